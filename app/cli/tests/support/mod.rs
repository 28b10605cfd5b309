//! What the tests of the program share: running it, watching its memory, listing bundles.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of this")]

pub(crate) mod archive;
mod bundle;
mod process;
mod random;

pub(crate) use bundle::{Entry, data_parts, exists, listing, manifest, same_files};
pub(crate) use process::{Outcome, Running, Stella, copy};
pub(crate) use random::Random;

use std::path::{Path, PathBuf};

/// Reads a zstd file of the real data.
pub(crate) fn unpack(path: &Path) -> Vec<u8> {
    let file = std::fs::File::open(path).expect("an archive of the real data");
    let mut decoder = zstd::stream::read::Decoder::new(file).expect("zstd");
    decoder.window_log_max(27).expect("a window that zstd knows");
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut decoder, &mut bytes).expect("a whole archive");
    bytes
}

/// The feed of an archive of the real data: its name without extensions.
pub(crate) fn feed_of(archive: &Path) -> String {
    let name = archive.file_name().expect("a file").to_string_lossy().to_lowercase();
    [".zst", ".tar", ".jsonl", ".osv"]
        .iter()
        .fold(name.as_str(), |name, end| name.strip_suffix(end).unwrap_or(name))
        .to_owned()
}

/// All archives of the real data that are evidence, with their path below the data folder.
pub(crate) fn archives(data: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(data).expect("the data folder") {
        let folder = folder.expect("the data folder").path();
        let name = folder.file_name().expect("a folder").to_string_lossy().into_owned();
        if !folder.is_dir() || ["series", "oracle", "sealed"].contains(&name.as_str()) {
            continue;
        }
        for file in std::fs::read_dir(&folder).expect("a folder of data") {
            let path = file.expect("a file of data").path();
            let file = path.file_name().expect("a file").to_string_lossy().into_owned();
            found.push((format!("{name}/{file}"), path));
        }
    }
    found.sort();
    found
}
