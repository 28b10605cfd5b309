//! Content-defined boundaries of parts.
//!
//! Where a part ends is a pure function of the ordered ids and sizes of the records, so that a
//! changed record changes one part, rarely a few, and workers need no coordination (FORMATS
//! "Part boundaries").

use serde::Serialize;
use stella_model::{Digest, DigestBuilder, FeedName};

/// Bounds of the sizes of parts, in bytes of documents before redaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// Name of the algorithm, fixed for this version of the format.
    algorithm: &'static str,
    max: u64,
    min: u64,
    target: u64,
}

/// The bounds are not `0 < min < target ≤ max`, or too large.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("part sizes must be 0 < min < target <= max <= 64 MiB, not {min}, {target}, {max}")]
pub struct PartitionError {
    min: u64,
    target: u64,
    max: u64,
}

impl Partition {
    /// 1, 4 and 16 MiB.
    pub const DEFAULT: Partition =
        Partition { algorithm: ALGORITHM, min: 1 << 20, target: 4 << 20, max: 16 << 20 };

    /// Bounds in bytes.
    ///
    /// # Errors
    /// [`PartitionError`] unless `0 < min < target <= max <= 64 MiB`: a part is built in memory.
    pub fn new(min: u64, target: u64, max: u64) -> Result<Partition, PartitionError> {
        if 0 < min && min < target && target <= max && max <= 64 << 20 {
            Ok(Partition { algorithm: ALGORITHM, min, target, max })
        } else {
            Err(PartitionError { min, target, max })
        }
    }

    /// Whether a new part begins before the record with this id and size, when the open part holds
    /// `open` bytes.
    #[must_use]
    pub fn cuts_before(&self, open: u64, feed: &FeedName, id: &str, size: u64) -> bool {
        if open == 0 {
            return false;
        }
        if open.saturating_add(size) > self.max {
            return true;
        }
        open >= self.min && {
            // A record of `size` bytes is a boundary with probability size / (target − min), so
            // that parts are target bytes long on average whatever the sizes of records are.
            let threshold = (u128::from(size) << 64) / u128::from(self.target - self.min);
            u128::from(mark(feed, id)) < threshold
        }
    }
}

const ALGORITHM: &str = "stella-content-defined-1";

fn mark(feed: &FeedName, id: &str) -> u64 {
    let mut input = DigestBuilder::new();
    input.lp(feed.as_str().as_bytes()).lp(id.as_bytes());
    let digest: Digest = input.finish();
    let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(partition: &Partition, records: &[(String, u64)]) -> Vec<Vec<String>> {
        let feed = FeedName::new("f").expect("a feed name");
        let mut parts: Vec<Vec<String>> = Vec::new();
        let mut open = 0;
        for (id, size) in records {
            if parts.is_empty() || partition.cuts_before(open, &feed, id, *size) {
                parts.push(Vec::new());
                open = 0;
            }
            parts.last_mut().expect("one is open").push(id.clone());
            open += size;
        }
        parts
    }

    fn records(count: u64, size: impl Fn(u64) -> u64) -> Vec<(String, u64)> {
        (0..count).map(|n| (format!("ID-{n:06}"), size(n))).collect()
    }

    #[test]
    fn bounds_are_checked() {
        assert!(Partition::new(1, 2, 2).is_ok());
        for (min, target, max) in [(0, 2, 3), (2, 2, 3), (1, 4, 3), (1, 2, 65 << 20)] {
            assert!(Partition::new(min, target, max).is_err());
        }
    }

    #[test]
    fn cuts_are_those_computed_apart_from_this_code() {
        // python3, from the formula of the bundle format: a cut before record n where the sum would
        // pass max, or where it is at least min and the mark is below 2^64 * size / (target - min).
        let partition = Partition::new(2000, 5000, 9000).expect("valid bounds");
        let parts = parts(&partition, &records(60, |n| 700 + n * 37 % 900));
        let cuts: Vec<usize> = parts[..parts.len() - 1]
            .iter()
            .scan(0, |end, part| {
                *end += part.len();
                Some(*end)
            })
            .collect();
        assert_eq!(cuts, [5, 8, 11, 13, 16, 18, 20, 22, 25, 35, 37, 40, 43, 45, 48, 50, 54, 58]);
    }

    #[test]
    fn the_edges_of_the_bounds_are_on_the_right_side() {
        let feed = FeedName::new("f").expect("a feed name");
        let partition = Partition::new(10, 20, 40).expect("valid bounds");
        // target - min = 10: a record of 10 bytes has a threshold of 2^64, above every mark.
        for (open, size, cut) in [
            (0, 99, false),
            (30, 10, true),
            (31, 10, true),
            (9, 31, false),
            (9, 32, true),
            (10, 10, true),
            (9, 10, false),
            (20, 0, false),
        ] {
            assert_eq!(partition.cuts_before(open, &feed, "x", size), cut, "{open} + {size}");
        }
    }

    #[test]
    fn parts_are_target_sized_on_average_and_never_over_max() {
        let partition = Partition::DEFAULT;
        let records = records(200_000, |n| 500 + n % 7000);
        let total: u64 = records.iter().map(|(_, size)| size).sum();
        let count = parts(&partition, &records).len() as u64;
        let average = total / count;
        assert!((3 << 20..5 << 20).contains(&average), "{average}");
    }

    #[test]
    fn a_record_larger_than_max_is_a_part_of_its_own() {
        let partition = Partition::DEFAULT;
        let records = records(9, |n| if n == 4 { 40 << 20 } else { 10 });
        let parts = parts(&partition, &records);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [4, 1, 4]);
    }

    #[test]
    fn one_removed_record_changes_few_parts() {
        let partition = Partition::DEFAULT;
        let all = records(50_000, |n| 1000 + n % 3000);
        let before = parts(&partition, &all);
        for removed in [0, 17_000, 33_333, 49_999] {
            let mut fewer = all.clone();
            fewer.remove(removed);
            let after = parts(&partition, &fewer);
            let new = after.iter().filter(|part| !before.contains(part)).count();
            assert!(new <= 3, "{new} of {} parts are new", after.len());
        }
    }
}
