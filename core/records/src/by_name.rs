//! What a file is by its name alone.

/// What a file is by its name, before its bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameClass {
    /// To be read and recognised by content.
    Document,
    /// Belongs to documents without being one: signatures, checksums, lists of changes.
    Companion,
    /// No evidence by any reading: version control, read-me files, what desktops leave behind.
    Ignored,
}

/// Extensions of files that accompany a document of the same name.
const COMPANION_EXTENSIONS: [&str; 12] = [
    "asc", "sig", "sign", "minisig", "pem", "crt", "md5", "sha1", "sha256", "sha384", "sha512",
    "sigstore",
];

/// Whole names of files that feeds put beside their documents.
const COMPANION_NAMES: [&str; 9] = [
    "changes.csv",
    "deletions.csv",
    "releases.csv",
    "modified_id.csv",
    "index.txt",
    "sha256sums",
    "sha512sums",
    "md5sums",
    "ecosystems.txt",
];

/// Folders of version control and of archivers; everything in them is ignored.
const IGNORED_FOLDERS: [&str; 8] =
    [".git", ".github", ".gitlab", ".hg", ".svn", ".bzr", "cvs", "__macosx"];

const IGNORED_NAMES: [&str; 8] = [
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".gitkeep",
    ".ds_store",
    "thumbs.db",
    "desktop.ini",
    "codeowners",
];

/// Stems of files that tell people about a folder, if the extension is one of [`PROSE`].
const PROSE_STEMS: [&str; 8] = [
    "readme",
    "license",
    "licence",
    "copying",
    "notice",
    "contributing",
    "code_of_conduct",
    "changelog",
];

const PROSE: [&str; 5] = ["", "md", "txt", "rst", "adoc"];

/// What a file is by its name alone. `path` may have folders, separated by `/`.
///
/// Only names that can be nothing else are told apart here; a format is never concluded from a
/// name. Letters count in either case.
///
/// # Examples
/// ```
/// use stella_records::{NameClass, by_name};
/// assert_eq!(by_name("2024/rhsa-2024_0041.json"), NameClass::Document);
/// assert_eq!(by_name("2024/rhsa-2024_0041.json.asc"), NameClass::Companion);
/// assert_eq!(by_name(".git/config"), NameClass::Ignored);
/// ```
#[must_use]
pub fn by_name(path: &str) -> NameClass {
    let path = path.to_ascii_lowercase();
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", &path));
    if folders.split('/').any(|folder| IGNORED_FOLDERS.contains(&folder))
        || IGNORED_NAMES.contains(&name)
        || name.starts_with("._")
        || is_prose(name)
    {
        return NameClass::Ignored;
    }
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if COMPANION_NAMES.contains(&name)
        || COMPANION_EXTENSIONS.contains(&extension)
        || name.ends_with(".sigstore.json")
    {
        return NameClass::Companion;
    }
    NameClass::Document
}

fn is_prose(name: &str) -> bool {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    PROSE_STEMS.contains(&stem) && PROSE.contains(&extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_nothing_else_are_told_apart() {
        use NameClass::{Companion, Document, Ignored};
        let cases = [
            ("a.json", Document),
            ("", Document),
            ("deep/er/x.spdx", Document),
            ("index.json", Document),
            ("advisories.md", Document),
            ("readme.json", Document),
            ("README.d/a.json", Document),
            (".gitlab-ci.yml", Document),
            ("git/a.json", Document),
            ("a.json.asc", Companion),
            ("a.json.SHA512", Companion),
            ("white/2024/changes.csv", Companion),
            ("other.csv", Document),
            ("index.txt", Companion),
            ("SHA256SUMS", Companion),
            ("a.json.sigstore.json", Companion),
            ("README", Ignored),
            ("docs/ReadMe.MD", Ignored),
            ("LICENSE.txt", Ignored),
            (".git/HEAD", Ignored),
            ("x/.git/objects/ab/cd.json", Ignored),
            (".github/workflows/ci.yml", Ignored),
            ("__MACOSX/._a.json", Ignored),
            ("._a.json", Ignored),
            (".DS_Store", Ignored),
        ];
        for (path, class) in cases {
            assert_eq!(by_name(path), class, "{path:?}");
        }
    }
}
