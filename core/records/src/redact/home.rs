//! Home folders, which carry the name of a person.

use std::collections::BTreeSet;
use std::ops::Range;

use regex::Regex;

/// Finds home folders and takes the name of the person out of them.
#[derive(Debug, Clone)]
pub(super) struct Homes {
    heads: Regex,
    kept: BTreeSet<String>,
}

/// Names of home folders that belong to no person but to systems, images and services.
pub(super) const SYSTEM_USERS: &[&str] = &[
    "admin",
    "administrator",
    "all users",
    "app",
    "appuser",
    "build",
    "builder",
    "buildagent",
    "circleci",
    "codespace",
    "containeradministrator",
    "containeruser",
    "debian",
    "default",
    "docker",
    "ec2-user",
    "fedora",
    "git",
    "gitlab-runner",
    "gitpod",
    "gradle",
    "jboss",
    "jenkins",
    "jovyan",
    "kasm-user",
    "linuxbrew",
    "node",
    "nonroot",
    "nginx",
    "postgres",
    "public",
    "root",
    "runner",
    "runneradmin",
    "shared",
    "travis",
    "ubuntu",
    "user",
    "username",
    "vagrant",
    "vsts",
    "vscode",
    "www",
    "www-data",
];

/// What home folders lie in, on Linux, macOS and Windows, there also with escaped backslashes.
const HEADS: &str = r"/home/|[:/](?:/|\\{1,2})?Users(?:/|\\{1,2})|:\\Documents and Settings\\";

impl Homes {
    pub(super) fn new(kept: BTreeSet<String>) -> Homes {
        let heads = Regex::new(HEADS).expect("a constant that compiles, as a test shows");
        Homes { heads, kept }
    }

    /// The name of the first home folder of a person at or after `from`.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let mut heads = self.heads.find_iter(&text[from..]);
        heads.find_map(|head| self.name(text, from + head.start(), from + head.end()))
    }

    fn name(&self, text: &str, head: usize, start: usize) -> Option<Range<usize>> {
        let before = text[..head].chars().next_back();
        let drive = text[head..].starts_with(':');
        let bounded = match before {
            None => !drive,
            Some(c) if drive => c.is_ascii_alphabetic(),
            // `https://host/home/news` is a page and `./home/x` no absolute path.
            Some(c) => !c.is_alphanumeric() && !matches!(c, '.' | '_' | '-' | '~' | '}' | '/'),
        };
        let part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '$');
        let run = text[start..].find(|c| !part(c)).unwrap_or(text.len() - start);
        let name = text[start..start + run].trim_end_matches('.');
        let next = text[start + run..].chars().next();
        let folder = next.is_none_or(|c| matches!(c, '/' | '\\' | '"' | '\'' | ':' | ';' | ','))
            || next.is_some_and(char::is_whitespace);
        let first = name.chars().next()?;
        let named = (first.is_alphanumeric() || first == '_') && !is_file(name, next);
        let lower = name.to_lowercase();
        let kept = SYSTEM_USERS.contains(&lower.as_str()) || self.kept.contains(&lower);
        (bounded && folder && named && !kept).then(|| start..start + name.len())
    }
}

/// Whether the last step of a path is a file, as in `/home/views.py`.
fn is_file(name: &str, next: Option<char>) -> bool {
    name.contains('.') && !matches!(next, Some('/' | '\\'))
}
