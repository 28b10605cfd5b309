//! Version texts of the ecosystems: which are well formed, which of two is newer, and what Trivy makes
//! of them.
//!
//! Two questions are kept apart. [`Scheme`] is the order that an ecosystem publishes for itself.
//! [`trivy::Comparer`] is the order, and [`trivy::Constraint`] the range grammar, of the program that
//! will read an exported database: where it deviates from the published order its decision counts,
//! since an advisory it cannot read is an advisory that is silently lost. The two have types of their
//! own, so that one is never taken for the other.
//!
//! Everything is a pure function of text (INV-PURE) and bounded (INV-LIMIT): texts over
//! [`MAX_VERSION_BYTES`] are refused, numbers are compared as digits of any length, nothing
//! backtracks, and comparing two parsed versions takes no memory.
//!
//! ```
//! use std::cmp::Ordering;
//! use stella_versions::{Scheme, trivy::Comparer};
//!
//! assert_eq!(Scheme::Pep440.compare("1.0rc1", "1.0")?, Ordering::Less);
//! let range = Comparer::Pep440.constraint(">=1.0, <1.4.2")?;
//! assert_eq!(range.matches(&Comparer::Pep440.version("1.4rc1")?), Some(true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod number;
mod scheme;

pub mod apk;
pub mod deb;
pub mod maven;
pub mod nuget;
pub mod pep440;
pub mod rpm;
pub mod rubygems;
pub mod semver;
pub mod trivy;

pub use scheme::{Scheme, Version};

/// Longest version text in bytes. The longest of real ecosystems have about 120; the bound stops texts
/// made to cost time, since a range may be compared with every version of a package.
pub const MAX_VERSION_BYTES: usize = 1024;

/// Why a text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The text is longer than [`MAX_VERSION_BYTES`].
    #[error("a version of {bytes} bytes; at most {MAX_VERSION_BYTES} are read")]
    TooLong {
        /// Length of the text.
        bytes: usize,
    },
    /// The text does not follow the grammar of its scheme.
    #[error("not a version of the scheme {scheme}: {text:?}")]
    Malformed {
        /// Name of the scheme or comparer.
        scheme: &'static str,
        /// The text as given.
        text: Box<str>,
    },
    /// A number is larger than the comparer of Trivy can hold.
    #[error("a number too large for {scheme}: {text:?}")]
    NumberTooLarge {
        /// Name of the comparer.
        scheme: &'static str,
        /// The text as given.
        text: Box<str>,
    },
}

impl VersionError {
    fn malformed(scheme: &'static str, text: &str) -> Self {
        Self::Malformed { scheme, text: text.into() }
    }

    fn number_too_large(scheme: &'static str, text: &str) -> Self {
        Self::NumberTooLarge { scheme, text: text.into() }
    }
}

/// Refuses what is too long before anything is parsed.
fn bounded(text: &str) -> Result<&str, VersionError> {
    if text.len() > MAX_VERSION_BYTES {
        return Err(VersionError::TooLong { bytes: text.len() });
    }
    Ok(text)
}
