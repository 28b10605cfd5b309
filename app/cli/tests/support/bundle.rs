//! Bundles as files.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use stella_model::Digest;

/// One file of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) digest: String,
}

/// All files of a folder, or the one file at the path, sorted by path.
pub(crate) fn listing(root: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let kind = fs::symlink_metadata(&path).expect("a path of the bundle").file_type();
        if kind.is_dir() {
            for entry in fs::read_dir(&path).expect("a folder of the bundle") {
                open.push(entry.expect("a folder of the bundle").path());
            }
        } else {
            assert!(kind.is_file(), "{} is neither file nor folder", path.display());
            let bytes = fs::read(&path).expect("a file of the bundle");
            let below = path.strip_prefix(root).expect("a path below the root");
            entries.push(Entry {
                path: below.to_string_lossy().into_owned(),
                size: bytes.len() as u64,
                digest: Digest::of(&bytes).to_string(),
            });
        }
    }
    entries.sort();
    entries
}

/// Fails with the first difference if two lists of files differ.
pub(crate) fn same_files(left: &[Entry], right: &[Entry], what: &str) {
    for (one, other) in left.iter().zip(right) {
        assert_eq!(one, other, "{what}: files differ");
    }
    assert_eq!(left.len(), right.len(), "{what}: number of files");
}

/// The manifest of a bundle in a folder.
pub(crate) fn manifest(bundle: &Path) -> Value {
    let bytes = fs::read(bundle.join("export.json")).expect("a manifest");
    serde_json::from_slice(&bytes).expect("a manifest is JSON")
}

/// Paths of the data parts of a bundle in a folder.
pub(crate) fn data_parts(bundle: &Path) -> Vec<PathBuf> {
    let manifest = manifest(bundle);
    let parts = manifest["parts"].as_array().expect("a list of parts");
    let paths = parts.iter().filter_map(|part| part["path"].as_str());
    paths.filter(|path| path.starts_with("data/")).map(|path| bundle.join(path)).collect()
}

/// Whether anything, a broken link included, is at a path.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
