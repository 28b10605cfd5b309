//! What the depot remembers of a packed part: all that a manifest tells of it.
//!
//! A record is stored as a line with the SHA-256 of the rest, then its JSON. The files of a part are
//! hashed when a bundle is read back; counts, ids and sizes are nowhere but here, so that a record
//! vouches for itself: one that was damaged on the disk is as good as absent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stella_model::{Digest, RecordId};

/// Hexadecimal digits of a digest.
const DIGEST_BYTES: usize = 64;

/// A stored file by digest and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// SHA-256 of the stored bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
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

impl PartRecord {
    /// The files that the record needs.
    pub fn files(&self) -> impl Iterator<Item = &StoredFile> {
        self.stored.iter().flat_map(|stored| [&stored.data, &stored.index])
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let json = stella_model::rfc8785::to_vec(self);
        let mut bytes = format!("{}\n", Digest::of(&json)).into_bytes();
        bytes.extend(json);
        bytes
    }

    /// Reads a record; whatever does not read, or is not what was written, is as good as absent.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<PartRecord> {
        let (digest, json) = bytes.split_at_checked(DIGEST_BYTES)?;
        let json = json.strip_prefix(b"\n")?;
        let is_whole = Digest::of(json).to_string().as_bytes() == digest;
        is_whole.then(|| serde_json::from_slice(json).ok()).flatten()
    }

    #[cfg(test)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_any_bit_flipped_or_byte_missing_is_not_there() {
        let file = StoredFile { digest: Digest::of(b"data"), size: 4 };
        let record = PartRecord::for_test(file, file);
        let bytes = record.to_bytes();
        assert_eq!(PartRecord::from_bytes(&bytes), Some(record));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(PartRecord::from_bytes(&damaged), None, "byte {at}, bit {bit}");
            }
            assert_eq!(PartRecord::from_bytes(&bytes[..at]), None, "{at} bytes");
        }
        assert_eq!(PartRecord::from_bytes(&[bytes, b"\n".to_vec()].concat()), None);
    }
}
