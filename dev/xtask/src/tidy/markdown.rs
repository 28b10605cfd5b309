//! Rules about the documentation.

use std::collections::BTreeSet;

use crate::Workspace;
use crate::workspace::TextFile;

/// Every relative link of a page leads to a file of the repository, and every `#anchor` to a
/// heading.
#[must_use]
pub fn links(workspace: &Workspace) -> Vec<String> {
    let mut complaints = Vec::new();
    for page in workspace.files().iter().filter(|file| file.path.ends_with(".md")) {
        for link in link_targets(&page.text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if path.is_empty() { Some(page.path.clone()) } else { join(&page.path, path) };
            let Some(target) = target.filter(|target| workspace.has(target)) else {
                complaints.push(format!("{}: the link {link} leads nowhere", page.path));
                continue;
            };
            let headings =
                workspace.file(&target).filter(|_| target.ends_with(".md")).map(headings);
            if !anchor.is_empty() && !headings.is_some_and(|all| all.contains(anchor)) {
                complaints.push(format!("{}: {target} has no heading #{anchor}", page.path));
            }
        }
    }
    complaints
}

/// The changelog exists and says of each version whether bundle bytes changed.
#[must_use]
pub fn changelog(workspace: &Workspace) -> Vec<String> {
    let Some(file) = workspace.file("CHANGELOG.md") else {
        return vec!["CHANGELOG.md: missing".into()];
    };
    let versions: Vec<&str> = file.text.split("\n## ").skip(1).collect();
    if versions.is_empty() {
        return vec!["CHANGELOG.md: names no version".into()];
    }
    versions
        .iter()
        .filter(|version| !version.contains("**Bundle bytes:**"))
        .map(|version| {
            let name = version.lines().next().unwrap_or_default();
            format!("CHANGELOG.md: {name} does not say **Bundle bytes:**")
        })
        .collect()
}

/// Every error code has its row, with exit code, HTTP status and retry, in the table of `page`.
///
/// A row begins ``| `CODE` | EXIT | HTTP | RETRY |``; `codes` holds those four as text.
#[must_use]
pub fn documented_codes(workspace: &Workspace, page: &str, codes: &[[String; 4]]) -> Vec<String> {
    let Some(file) = workspace.file(page) else {
        return vec![format!("{page}: missing")];
    };
    let rows: Vec<Vec<&str>> = file
        .text
        .lines()
        .filter(|line| line.starts_with("| `ERR_"))
        .map(|line| {
            line.split('|').skip(1).take(4).map(|cell| cell.trim().trim_matches('`')).collect()
        })
        .collect();
    let mut complaints: Vec<String> = codes
        .iter()
        .filter(|code| !rows.iter().any(|row| row == *code))
        .map(|code| {
            format!("{page}: no row | `{}` | {} | {} | {} |", code[0], code[1], code[2], code[3])
        })
        .collect();
    let known: BTreeSet<&str> = codes.iter().map(|code| code[0].as_str()).collect();
    complaints.extend(
        rows.iter()
            .filter(|row| !known.contains(row[0]))
            .map(|row| format!("{page}: {} is no error code", row[0])),
    );
    complaints
}

/// The table below `heading` of `page` has one row for each of `words`, in that order, and no other.
#[must_use]
pub fn documented_words(
    workspace: &Workspace,
    page: &str,
    heading: &str,
    words: &[&str],
) -> Vec<String> {
    let section = workspace.file(page).and_then(|file| file.text.split(heading).nth(1));
    let Some(section) = section else {
        return vec![format!("{page}: no {heading}")];
    };
    let rows: Vec<&str> = section
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    if rows == words {
        return Vec::new();
    }
    vec![format!("{page}: {heading} has the rows {rows:?}, expected {words:?}")]
}

/// The targets of all inline links outside code blocks and code spans.
fn link_targets(text: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for line in prose_lines(text) {
        // Code spans may show the syntax of links; every second piece is one.
        for prose in line.split('`').step_by(2) {
            let mut rest = prose;
            while let Some(at) = rest.find("](") {
                rest = &rest[at + 2..];
                if let Some(end) = rest.find([')', ' ']) {
                    targets.push(&rest[..end]);
                }
            }
        }
    }
    targets
}

/// The anchors of a page: headings in lower case, words joined by `-`, punctuation left out.
fn headings(page: &TextFile) -> BTreeSet<String> {
    let anchor = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            })
            .collect()
    };
    prose_lines(&page.text).filter(|line| line.starts_with('#')).map(anchor).collect()
}

/// The lines outside fenced code blocks.
fn prose_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The path of `link` as seen from the page at `from`; none if it leaves the repository.
fn join(from: &str, link: &str) -> Option<String> {
    let mut segments: Vec<&str> = from.split('/').collect();
    segments.pop();
    for segment in link.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop()?;
            }
            name => segments.push(name),
        }
    }
    Some(segments.join("/"))
}
