//! The workspace as the checks see it: its folder, its text files, its crates.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::{Metadata, MetadataCommand};

/// Folders that hold nothing of ours.
const FOREIGN: [&str; 7] =
    ["target", ".git", ".cache", "node_modules", "corpus", "artifacts", "coverage"];

/// The repository, read once.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    files: Vec<TextFile>,
}

/// One text file of the repository.
#[derive(Debug, Clone)]
pub struct TextFile {
    /// Path relative to the root, with `/`.
    pub path: String,
    /// The content.
    pub text: String,
}

impl Workspace {
    /// Reads every UTF-8 file below `root` of at most 1 MiB, sorted by path.
    ///
    /// # Errors
    /// If a folder or file cannot be read.
    pub fn read(root: &Path) -> Result<Workspace> {
        let mut files = Vec::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries =
                fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
            for entry in entries {
                let entry = entry.with_context(|| format!("list {}", folder.display()))?;
                let kind = entry.file_type()?;
                let name = entry.file_name();
                // Where a checkout is one of several of a repository, .git is a file.
                if FOREIGN.iter().any(|foreign| name == *foreign) {
                    continue;
                }
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() && entry.metadata()?.len() <= 1 << 20 {
                    files.extend(text_file(root, &entry.path())?);
                }
            }
        }
        files.sort_by(|a: &TextFile, b| a.path.cmp(&b.path));
        Ok(Workspace { root: root.to_owned(), files })
    }

    /// A workspace of given files, for tests of the rules.
    #[must_use]
    pub fn of(files: &[(&str, &str)]) -> Workspace {
        let text_file = |(path, text): &(&str, &str)| TextFile {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Workspace { root: PathBuf::new(), files: files.iter().map(text_file).collect() }
    }

    /// All text files, sorted by path.
    #[must_use]
    pub fn files(&self) -> &[TextFile] {
        &self.files
    }

    /// The file at a path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether something exists at a path, be it text, binary or a folder.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
            || (!self.root.as_os_str().is_empty() && self.root.join(path).exists())
    }
}

/// What cargo knows about the workspace at `root`, dependencies resolved.
///
/// # Errors
/// If cargo fails.
pub fn metadata(root: &Path) -> Result<Metadata> {
    MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .exec()
        .context("read the workspace with cargo metadata")
}

/// The root of the workspace that this program was built from.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate lies two folders below the root").to_owned()
}

fn text_file(root: &Path, path: &Path) -> Result<Option<TextFile>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        // An editor or a build removed it in the meantime.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let relative = path.strip_prefix(root).context("a file below the root")?;
    let parts: Vec<_> =
        relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    Ok(String::from_utf8(bytes).ok().map(|text| TextFile { path: parts.join("/"), text }))
}
