//! Where things are: the workspace, the samples, the real data, the built binary.

use std::path::{Path, PathBuf};

use crate::{may_skip, skip, skip_if};

/// The root of the workspace.
#[must_use]
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate lies two folders below the root")
        .to_owned()
}

/// The folder of the sample evidence, `samples/`.
#[must_use]
pub fn samples() -> PathBuf {
    workspace_root().join("samples")
}

/// The feeds of the samples, each with its folders in `samples/`.
pub const SAMPLE_FEEDS: [(&str, &[&str]); 9] = [
    ("npm", &["advisories/npm"]),
    ("pypi", &["advisories/pypi"]),
    ("maven", &["advisories/maven"]),
    ("go", &["advisories/go"]),
    ("crates.io", &["advisories/crates.io"]),
    ("rubygems", &["advisories/rubygems"]),
    ("debian", &["advisories/debian"]),
    ("alpine", &["advisories/alpine"]),
    ("acme", &["vex", "sbom", "findings"]),
];

/// All evidence documents of `samples/`, sorted by path: the advisories, SBOMs, VEX documents and
/// reports, without the README.
///
/// # Panics
/// If the folder cannot be read.
#[must_use]
pub fn sample_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![samples()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("samples are readable") {
            let path = entry.expect("samples are readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "json" || ext == "xml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The folder of the real data: `STELLA_DATA_DIR`, else `../shared/data` beside the workspace.
///
/// `None` means that there is none and that [`skip`] has been told; the test returns.
///
/// # Panics
/// As [`skip`] does: where `CI` is set and skipping is not allowed.
#[must_use]
pub fn data_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("STELLA_DATA_DIR")
        .map_or_else(|| workspace_root().join("../shared/data"), PathBuf::from);
    if dir.join("README.md").is_file() {
        return Some(dir);
    }
    let reason = format!("no real data at {} (STELLA_DATA_DIR names another place)", dir.display());
    skip_if(may_skip("data"), &reason);
    None
}

/// One archive of the real data, such as `advisories/go.osv.jsonl.zst`; else as [`data_dir`].
///
/// # Panics
/// As [`data_dir`] does.
#[must_use]
pub fn data_archive(name: &str) -> Option<PathBuf> {
    let path = data_dir()?.join(name);
    if path.is_file() {
        return Some(path);
    }
    skip_if(may_skip("data"), &format!("no {name} in the real data"));
    None
}

/// A new empty folder that is removed when the value is dropped.
///
/// # Panics
/// If the system gives none.
#[must_use]
pub fn temp_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("stella-test-").tempdir().expect("a temporary folder")
}

/// The built `stella` binary: `STELLA_BIN`, else the one beside the running test.
///
/// Tests of `app/cli` use `env!("CARGO_BIN_EXE_stella")` instead. `None` means that it has not been
/// built and that [`skip`] has been told; `cargo xtask test` builds it first.
///
/// # Panics
/// As [`skip`] does.
#[must_use]
pub fn stella() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("STELLA_BIN") {
        return Some(named.into());
    }
    // A test binary is target/PROFILE/deps/NAME-HASH.
    let test = std::env::current_exe().expect("the path of the running test");
    let profile = test.parent().and_then(Path::parent).expect("tests run from a target folder");
    let binary = profile.join(format!("stella{}", std::env::consts::EXE_SUFFIX));
    if binary.is_file() {
        return Some(binary);
    }
    skip("stella is not built (cargo build --profile ci -p stella-cli)");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_found_from_any_crate() {
        let files = sample_files();
        assert!(files.len() > 60, "{} files", files.len());
        assert!(files.is_sorted());
        assert!(files.iter().all(|file| file.starts_with(samples())));
    }

    #[test]
    fn temporary_folders_differ_and_vanish() {
        let (a, b) = (temp_dir(), temp_dir());
        assert_ne!(a.path(), b.path());
        let path = a.path().to_owned();
        drop(a);
        assert!(!path.exists() && b.path().exists());
    }
}
