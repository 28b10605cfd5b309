//! What can go wrong with a carrier.

use std::io;
use std::path::{Path, PathBuf};

use stella_model::PartName;

/// Why a bundle could not be opened or placed.
#[derive(Debug, thiserror::Error)]
pub enum CarrierError {
    /// Nothing is at the path.
    #[error("there is nothing at {}", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// The path is neither a directory nor a file.
    #[error("{} is neither a directory nor a file", path.display())]
    NotABundle {
        /// The path.
        path: PathBuf,
    },
    /// A destination that is no name of something to be made, such as `..`.
    #[error("{} does not name a bundle to be made", path.display())]
    Destination {
        /// The path.
        path: PathBuf,
    },
    /// Something else is at the destination.
    #[error("{} is not the same bundle: {difference}", path.display())]
    Conflict {
        /// The destination.
        path: PathBuf,
        /// How it differs from what was to be placed.
        difference: String,
        /// Whether [`Existing::Replace`](crate::Existing::Replace) would replace it.
        replaceable: bool,
    },
    /// The files are not in the order of carriers, or a name occurs twice.
    #[error("{name} is out of the order of a carrier")]
    Order {
        /// The first file out of order.
        name: PartName,
    },
    /// A file that no tar entry holds.
    #[error("cannot write a tar: {0}")]
    TooLarge(#[from] stella_manifest::tar::TooLarge),
    /// A source does not have the size it was announced with.
    #[error("{} has {found} bytes instead of {expected}", path.display())]
    SourceSize {
        /// The source.
        path: PathBuf,
        /// Its size as announced.
        expected: u64,
        /// Its size.
        found: u64,
    },
    /// What was written does not read back as it should be; it was removed.
    #[error("the bundle for {} did not read back: {difference}", path.display())]
    ReadBack {
        /// The destination.
        path: PathBuf,
        /// What differs.
        difference: String,
    },
    /// What was written reads back as it was given, but is not what a bundle should be; it was
    /// removed.
    #[error("the bundle for {} does not verify: {problem}", path.display())]
    NotVerified {
        /// The destination.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The caller asked to stop.
    #[error("placing the bundle was stopped")]
    Stopped,
    /// Reading or writing failed.
    #[error("cannot {attempt} {}", path.display())]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl CarrierError {
    /// Whether reading failed, and not writing.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        const READING: [&str; 4] = ["look at", "open", "list", "read"];
        matches!(self, CarrierError::Io { attempt, .. } if READING.contains(attempt))
    }

    pub(crate) fn io(
        attempt: &'static str,
        path: &Path,
        source: impl Into<io::Error>,
    ) -> CarrierError {
        CarrierError::Io { attempt, path: path.to_owned(), source: source.into() }
    }
}
