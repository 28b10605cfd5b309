//! What the depot remembers of an output that was made of whole sets, such as a scanner's database:
//! its files, and all that a manifest tells of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stella_model::PartName;

use crate::{Kept, StoredFile};

/// One file of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputFile {
    /// Where it lies in a bundle.
    pub path: PartName,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub stored: StoredFile,
    /// Number of lines, of a file of lines.
    pub records: Option<u64>,
}

/// The outcome of making an output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputRecord {
    /// Its files.
    pub files: Vec<OutputFile>,
    /// Keys of a database, by what the manifest counts them by.
    pub keys: BTreeMap<String, u64>,
    /// What could not be said, by reason.
    pub not_represented: BTreeMap<String, u64>,
    /// What a scanner sees, by ecosystem.
    pub coverage: BTreeMap<String, String>,
    /// How much there is of everything that must not become empty or much less.
    pub sizes: BTreeMap<String, u64>,
    /// What floors of a profile are about, where that is counted otherwise.
    pub floors: BTreeMap<String, u64>,
    /// Of what nothing at all could be said although the evidence speaks of it.
    pub lost: Vec<String>,
}

impl Kept for OutputRecord {
    const FOLDER: &'static str = "outputs";

    fn files(&self) -> Vec<StoredFile> {
        self.files.iter().map(|file| file.stored).collect()
    }
}
