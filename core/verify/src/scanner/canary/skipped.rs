//! What nothing is planted of, and why: a canary that is silent about its blind spots proves less than it seems.

use std::fmt;

use super::TrivyVersion;

/// An ecosystem or release with advisories of which nothing is planted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// Why.
    pub reason: SkipReason,
    /// The prefix of its buckets, or the name of its bucket; ` modules` follows where it is about module
    /// streams alone.
    pub name: String,
}

/// Why nothing is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipReason {
    /// No advisory of it has a vulnerable version that every scanner reads alike.
    NoVersion,
    /// No version of Trivy comes to the bucket from an SBOM.
    OutOfReach,
    /// Its rows are about products that Trivy takes for granted in no system.
    NoProduct,
    /// Trivy looks for it since this version.
    Since(TrivyVersion),
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::NoVersion => f.write_str("no plain version follows from its advisories"),
            SkipReason::OutOfReach => f.write_str("no Trivy comes to it from an SBOM"),
            SkipReason::NoProduct => {
                f.write_str("of no product that Trivy takes for granted in an SBOM")
            }
            SkipReason::Since((major, minor, patch)) => {
                write!(f, "not looked for before Trivy {major}.{minor}.{patch}")
            }
        }
    }
}
