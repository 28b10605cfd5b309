//! What the depot remembers of a packed part: all that a manifest tells of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stella_model::{Digest, RecordId};

use crate::Kept;

/// A stored file by digest and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// SHA-256 of the stored bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
}

impl StoredFile {
    /// What bytes are stored as.
    #[must_use]
    pub fn of(bytes: &[u8]) -> StoredFile {
        StoredFile { digest: Digest::of(bytes), size: bytes.len() as u64 }
    }
}

/// The outcome of packing one planned part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PartRecord {
    /// The files, unless redaction left no record over.
    pub stored: Option<StoredPart>,
    /// Redacted values by rule.
    pub redacted_values: BTreeMap<String, u64>,
    /// Records in which something was redacted.
    pub redacted_records: u64,
    /// Records left out because no rule reads their format.
    pub not_redactable: u64,
}

/// The files of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoredPart {
    /// The data file.
    pub data: StoredFile,
    /// Its size before compression.
    pub data_uncompressed: u64,
    /// The index file.
    pub index: StoredFile,
    /// Its size before compression.
    pub index_uncompressed: u64,
    /// Number of records.
    pub records: u64,
    /// Id of the first record.
    pub first_id: RecordId,
    /// Id of the last record.
    pub last_id: RecordId,
}

impl Kept for PartRecord {
    const FOLDER: &'static str = "parts";

    fn files(&self) -> Vec<StoredFile> {
        self.stored.iter().flat_map(|stored| [stored.data, stored.index]).collect()
    }
}

#[cfg(test)]
impl PartRecord {
    pub(crate) fn for_test(data: StoredFile, index: StoredFile) -> PartRecord {
        let id = RecordId::new("X").expect("an id");
        PartRecord {
            stored: Some(StoredPart {
                data,
                data_uncompressed: 9,
                index,
                index_uncompressed: 9,
                records: 1,
                first_id: id.clone(),
                last_id: id,
            }),
            redacted_values: BTreeMap::new(),
            redacted_records: 0,
            not_redactable: 0,
        }
    }
}
