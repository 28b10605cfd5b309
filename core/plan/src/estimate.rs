//! What a run will cost, told before it begins.

use serde::Serialize;

/// What past runs showed, or the defaults of a first run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Experience {
    /// Uncompressed bytes packed per second of wall time.
    pub bytes_per_second: f64,
    /// Stored bytes per uncompressed byte.
    pub stored_per_byte: f64,
    /// Bytes of records per second of wall time of which outputs such as databases are made.
    pub made_bytes_per_second: f64,
    /// Stored bytes of such outputs per byte of records.
    pub made_per_byte: f64,
}

impl Experience {
    /// Measured on two cores over real evidence (`docs/benchmarks.md`).
    pub const DEFAULT: Experience = Experience {
        bytes_per_second: 300e6,
        stored_per_byte: 0.1,
        made_bytes_per_second: 50e6,
        made_per_byte: 0.2,
    };
}

/// The work that planning found, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Uncompressed bytes of parts that must be built.
    pub to_build: u64,
    /// Bytes of records of which outputs must be made.
    pub to_make: u64,
    /// Stored bytes of parts that are reused.
    pub reused: u64,
}

/// The estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// Size of the bundle in bytes.
    pub bundle_bytes: u64,
    /// Free disk needed in bytes, with a margin of a tenth and one copy in the depot.
    pub disk_bytes: u64,
    /// Duration in milliseconds.
    pub duration_ms: u64,
}

/// Estimates a run.
#[must_use]
pub fn estimate(work: Work, experience: Experience) -> Estimate {
    let (to_build, to_make) = (work.to_build as f64, work.to_make as f64);
    let built = to_build * experience.stored_per_byte + to_make * experience.made_per_byte;
    let built = built as u64;
    let seconds = to_build / experience.bytes_per_second.max(1.0)
        + to_make / experience.made_bytes_per_second.max(1.0);
    // A database lies there whole while it is made, with what is sorted for it.
    let working = work.to_make * 3;
    Estimate {
        bundle_bytes: built + work.reused,
        disk_bytes: (built * 2 + work.reused + working) / 10 * 11,
        duration_ms: (seconds * 1000.0) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_of_records_is_estimated_by_what_it_was_like_before() {
        let experience = Experience {
            bytes_per_second: 100.0,
            stored_per_byte: 0.1,
            made_bytes_per_second: 10.0,
            made_per_byte: 0.5,
        };
        let work = Work { to_build: 1_000, to_make: 100, reused: 7 };
        let told = estimate(work, experience);
        assert_eq!(told.bundle_bytes, 100 + 50 + 7);
        assert_eq!(told.duration_ms, 10_000 + 10_000);
        assert!(told.disk_bytes > 2 * (100 + 50) + 7 + 300);
    }
}
