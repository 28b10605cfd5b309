//! Where a run stands, in the words of the product.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a run stands. A terminal status never changes: what comes later, such as a delivery to one
/// more target, is a record of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Accepted; nobody has begun.
    Queued,
    /// A worker is at it, or could be.
    Running,
    /// Something failed and is done again by itself.
    Retrying,
    /// The bundle is at every target, read back and verified.
    Succeeded,
    /// The bundle is good; some targets failed.
    Partial,
    /// There is no bundle, or it is at none of its targets.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl Status {
    /// All, in the order in which a run may pass them.
    pub const ALL: [Status; 7] = [
        Status::Queued,
        Status::Running,
        Status::Retrying,
        Status::Succeeded,
        Status::Partial,
        Status::Failed,
        Status::Cancelled,
    ];

    /// The word for people and machines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Queued => "queued",
            Status::Running => "running",
            Status::Retrying => "retrying",
            Status::Succeeded => "succeeded",
            Status::Partial => "partial",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
        }
    }

    /// The status of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the run is over.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Status::Succeeded | Status::Partial | Status::Failed | Status::Cancelled)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
