//! What may be wrong with a page.

use stella_model::{ErrorCode, FeedName, RecordId};

/// What is wrong with a page of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageFault {
    /// A line or the last line is missing.
    #[error("the page is cut short")]
    CutShort,
    /// The page does not end.
    #[error("the page is longer than {limit} bytes")]
    PageTooLong {
        /// The most there may be.
        limit: u64,
    },
    /// A line does not end.
    #[error("it is longer than {limit} bytes")]
    LineTooLong {
        /// The most there may be.
        limit: u64,
    },
    /// It is no line of a page.
    #[error("{expected} expected at byte {offset}")]
    NotALine {
        /// What had to come.
        expected: &'static str,
        /// The offset within the line.
        offset: usize,
    },
    /// A line where it may not stand.
    #[error("{what} does not stand where it may")]
    OutOfPlace {
        /// What it is.
        what: &'static str,
    },
    /// A newer version of the format.
    #[error("the pages have version {found}, this version reads 1")]
    Version {
        /// Its number.
        found: u64,
    },
    /// It belongs to something else than was asked for, or than the pages before.
    #[error("its {what} is {found}, not {expected}")]
    Foreign {
        /// Which of its members says so.
        what: &'static str,
        /// What it says.
        found: String,
        /// What it had to say.
        expected: String,
    },
    /// A page came twice, or one is missing.
    #[error(
        "it goes on after {found} records, not after {expected}: a page came twice or is missing"
    )]
    OtherPage {
        /// Records on the pages before, as it says.
        found: u64,
        /// Records that came.
        expected: u64,
    },
    /// It does not come after the line before.
    #[error("{feed} {id} does not come after the record before")]
    Order {
        /// Its feed.
        feed: FeedName,
        /// Its id.
        id: RecordId,
    },
    /// A sequence that was not asked for.
    #[error("sequence {found} does not come after {since} and up to {until}")]
    Sequence {
        /// What it says.
        found: u64,
        /// What is here already.
        since: u64,
        /// What was asked for.
        until: u64,
    },
    /// A document that is not the one that is told.
    #[error("the document of {feed} {id} does not have the digest that is told")]
    Digest {
        /// Its feed.
        feed: FeedName,
        /// Its id.
        id: RecordId,
    },
    /// The page tells of another number of records than it has.
    #[error("{found} records are told up to the end of the page, {expected} came")]
    Count {
        /// What it says.
        found: u64,
        /// What came.
        expected: u64,
    },
    /// Of a feed other records came than it holds.
    #[error("{came} records of feed {feed} came, it holds {told}")]
    Incomplete {
        /// The feed.
        feed: FeedName,
        /// What came.
        came: u64,
        /// What it holds.
        told: u64,
    },
}

impl PageFault {
    /// The row of the one table of errors.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            PageFault::CutShort => ErrorCode::Unreachable,
            PageFault::Version { .. } => ErrorCode::NeedsNewer,
            _ => ErrorCode::Invalid,
        }
    }

    /// Whether the page may come as it should when it is asked for again: what breaks on its way, or
    /// is kept in a place where it should not, may be right the next time.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            PageFault::CutShort
            | PageFault::NotALine { .. }
            | PageFault::OutOfPlace { .. }
            | PageFault::OtherPage { .. }
            | PageFault::Order { .. }
            | PageFault::Digest { .. }
            | PageFault::Count { .. } => true,
            PageFault::PageTooLong { .. }
            | PageFault::LineTooLong { .. }
            | PageFault::Version { .. }
            | PageFault::Foreign { .. }
            | PageFault::Sequence { .. }
            | PageFault::Incomplete { .. } => false,
        }
    }
}
