//! Rules about the files of the repository: each is a function from the files to its complaints.

mod manifests;
mod markdown;
mod sources;

pub use manifests::{ban_lists, crate_manifests, pins, resolved_features};
pub use markdown::{changelog, documented_codes, documented_words, links};
pub use sources::{LONG_FILES, headers, length, module_docs, places, unfinished};

use crate::Workspace;

/// Runs every rule that needs nothing but the files.
///
/// A complaint begins with the path it is about.
#[must_use]
pub fn check(workspace: &Workspace) -> Vec<String> {
    const RULES: [fn(&Workspace) -> Vec<String>; 10] = [
        ban_lists,
        crate_manifests,
        pins,
        changelog,
        links,
        headers,
        length,
        module_docs,
        places,
        unfinished,
    ];
    RULES.iter().flat_map(|rule| rule(workspace)).collect()
}
