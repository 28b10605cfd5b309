//! Rules about source files and about words that must stand in no file.

use crate::Workspace;
use crate::workspace::TextFile;

/// Files that may be longer than [`MAX_LINES`], each with the reason.
pub const LONG_FILES: &[(&str, &str)] = &[];

/// Longest file that needs no reason.
const MAX_LINES: usize = 800;

/// The hosts where packages and images come from. Mirrors differ from site to site, so no file names
/// one. The pieces are joined at run time: this file is checked too.
const REGISTRY_HOSTS: &[(&str, &str)] = &[
    ("registry.npm", "js.org"),
    ("pypi", ".org/simple"),
    ("files.python", "hosted.org"),
    ("index.crates", ".io"),
    ("static.crates", ".io"),
    ("proxy.go", "lang.org"),
    ("rubygems", ".org/downloads"),
    ("repo1.maven", ".org"),
    ("deb.debian", ".org"),
    ("ghcr", ".io"),
    ("registry-1.docker", ".io"),
];

/// Folders of one machine.
const MACHINE_PATHS: &[(&str, &str)] = &[("/wo", "rk/"), ("/ro", "ot/"), ("/Us", "ers/")];

/// Marks of unfinished work.
const UNFINISHED: &[(&str, &str)] = &[
    ("TO", "DO"),
    ("FIX", "ME"),
    ("XX", "X:"),
    ("to", "do!("),
    ("unimple", "mented!("),
    ("HA", "CK:"),
    ("#[ign", "ore"),
];

/// A source file over 800 lines needs a reason in [`LONG_FILES`], and a listed one must be long.
#[must_use]
pub fn length(workspace: &Workspace) -> Vec<String> {
    let reason = |path: &str| LONG_FILES.iter().find(|(listed, _)| *listed == path);
    let mut complaints = Vec::new();
    for file in rust(workspace) {
        let lines = file.text.lines().count();
        match (lines > MAX_LINES, reason(&file.path)) {
            (true, None) => complaints.push(format!(
                "{}: {lines} lines; split it, or say in tidy::LONG_FILES why it is one idea",
                file.path
            )),
            (false, Some(_)) => {
                complaints
                    .push(format!("{}: is short now, take it off tidy::LONG_FILES", file.path));
            }
            _ => {}
        }
    }
    complaints
}

/// Every module of core and of the standalone formats says at its top what it is for.
#[must_use]
pub fn module_docs(workspace: &Workspace) -> Vec<String> {
    rust(workspace)
        .filter(|file| file.path.starts_with("core/") || file.path.starts_with("formats/"))
        .filter(|file| file.path.contains("/src/") && !file.path.ends_with("/tests.rs"))
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| format!("{}: no module documentation on the first line", file.path))
        .collect()
}

/// Source files have no licence headers: the licence is the one at the root.
#[must_use]
pub fn headers(workspace: &Workspace) -> Vec<String> {
    let is_header = |line: &str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("//") && (line.contains("copyright") || line.contains("spdx-license-"))
    };
    rust(workspace)
        .filter(|file| file.text.lines().take(5).any(is_header))
        .map(|file| format!("{}: licence headers are not used here", file.path))
        .collect()
}

/// Nothing unfinished is kept in the tree.
#[must_use]
pub fn unfinished(workspace: &Workspace) -> Vec<String> {
    let own =
        |file: &&TextFile| !file.path.starts_with("samples/") && !file.path.ends_with("Cargo.lock");
    let mut complaints = Vec::new();
    for file in workspace.files().iter().filter(own) {
        for word in joined(UNFINISHED) {
            complaints.extend(lines_with(file, |line| finds_word(line, &word)).map(|number| {
                format!("{}:{number}: {word} (open work lives in the issues)", file.path)
            }));
        }
    }
    complaints
}

/// No file names a package registry or a folder of somebody's machine.
#[must_use]
pub fn places(workspace: &Workspace) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in workspace.files().iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for host in joined(REGISTRY_HOSTS) {
            complaints.extend(
                lines_with(file, |line| line.contains(&host))
                    .map(|number| format!("{}:{number}: names the registry {host}", file.path)),
            );
        }
        for path in joined(MACHINE_PATHS) {
            complaints.extend(
                lines_with(file, |line| begins_path(line, &path)).map(|number| {
                    format!("{}:{number}: a path of one machine ({path})", file.path)
                }),
            );
        }
    }
    complaints
}

fn rust(workspace: &Workspace) -> impl Iterator<Item = &TextFile> {
    workspace.files().iter().filter(|file| file.path.ends_with(".rs"))
}

fn joined(pieces: &[(&str, &str)]) -> impl Iterator<Item = String> {
    pieces.iter().map(|(a, b)| format!("{a}{b}"))
}

/// The numbers, from 1, of the lines that `holds`.
fn lines_with(file: &TextFile, holds: impl Fn(&str) -> bool) -> impl Iterator<Item = usize> {
    file.text.lines().enumerate().filter(move |(_, line)| holds(line)).map(|(index, _)| index + 1)
}

/// Whether `line` holds `word` not as a piece of a longer word.
fn finds_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// Whether an absolute path that starts with `path` stands in `line`: a slash after a letter is the
/// inside of a longer path.
fn begins_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before
            .is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '}' | '~'))
    })
}
