//! What a run will cost, told before it begins.

use serde::Serialize;

/// What past runs showed, or the defaults of a first run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Experience {
    /// Uncompressed bytes packed per second of wall time.
    pub bytes_per_second: f64,
    /// Stored bytes per uncompressed byte.
    pub stored_per_byte: f64,
}

impl Experience {
    /// Measured on two cores over real evidence (`docs/benchmarks.md`).
    pub const DEFAULT: Experience = Experience { bytes_per_second: 300e6, stored_per_byte: 0.1 };
}

/// The work that planning found, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Uncompressed bytes of parts that must be built.
    pub to_build: u64,
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
    let built = (work.to_build as f64 * experience.stored_per_byte) as u64;
    let bundle_bytes = built + work.reused;
    let seconds = work.to_build as f64 / experience.bytes_per_second.max(1.0);
    Estimate {
        bundle_bytes,
        disk_bytes: (built * 2 + work.reused) / 10 * 11,
        duration_ms: (seconds * 1000.0) as u64,
    }
}
