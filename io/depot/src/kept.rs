//! What the depot remembers under a key: the files that were made, and what a manifest tells of them.
//!
//! A record is stored as a line with the SHA-256 of the rest, then its JSON. Its files are hashed when
//! a bundle is read back; counts, ids and sizes are nowhere but here, so that a record vouches for
//! itself: one that was damaged on the disk is as good as absent.

use serde::Serialize;
use serde::de::DeserializeOwned;
use stella_model::{Digest, rfc8785};

use crate::StoredFile;

/// Hexadecimal digits of a digest.
const DIGEST_BYTES: usize = 64;

/// What is remembered under a key.
pub trait Kept: Serialize + DeserializeOwned {
    /// The folder of the depot for records of this type.
    const FOLDER: &'static str;

    /// The files that the record needs.
    fn files(&self) -> Vec<StoredFile>;
}

/// A record as it is stored.
pub(crate) fn to_bytes<K: Kept>(record: &K) -> Vec<u8> {
    let json = rfc8785::to_vec(record);
    let mut bytes = format!("{}\n", Digest::of(&json)).into_bytes();
    bytes.extend(json);
    bytes
}

/// Reads a record; whatever does not read, or is not what was written, is as good as absent.
pub(crate) fn from_bytes<K: Kept>(bytes: &[u8]) -> Option<K> {
    serde_json::from_slice(json(bytes)?).ok()
}

/// Whether a record is what was written.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    json(bytes).is_some()
}

/// The JSON of a record that is what was written.
fn json(bytes: &[u8]) -> Option<&[u8]> {
    let (digest, json) = bytes.split_at_checked(DIGEST_BYTES)?;
    let json = json.strip_prefix(b"\n")?;
    (Digest::of(json).to_string().as_bytes() == digest).then_some(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PartRecord;

    #[test]
    fn a_record_with_any_bit_flipped_or_byte_missing_is_not_there() {
        let from_bytes = from_bytes::<PartRecord>;
        let file = StoredFile { digest: Digest::of(b"data"), size: 4 };
        let record = PartRecord::for_test(file, file);
        let bytes = to_bytes(&record);
        assert_eq!(from_bytes(&bytes), Some(record));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(from_bytes(&damaged), None, "byte {at}, bit {bit}");
            }
            assert_eq!(from_bytes(&bytes[..at]), None, "{at} bytes");
        }
        assert_eq!(from_bytes(&[bytes, b"\n".to_vec()].concat()), None);
    }
}
