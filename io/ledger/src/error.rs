//! What can go wrong with a ledger.

use stella_model::{ErrorCode, FeedName, RecordId, SetKey};

use crate::Seq;

/// Why an operation on a ledger failed. Nothing was changed by an operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no ledger yet.
    #[error("there is no ledger at {place}")]
    Missing {
        /// The file or database that was looked for.
        place: String,
    },
    /// The file is not a ledger of this product.
    #[error("{place} is not a ledger: {found}")]
    NotALedger {
        /// The file or database.
        place: String,
        /// What it is instead.
        found: String,
    },
    /// A newer version of the product wrote it.
    #[error("{place} has schema {found}; this version reads up to {known}")]
    NewerSchema {
        /// The file or database.
        place: String,
        /// The schema it has.
        found: i64,
        /// The newest schema that is known here.
        known: i64,
    },
    /// Another process is writing.
    #[error("another process is writing to {place}")]
    Busy {
        /// The file or database.
        place: String,
    },
    /// The file is there and cannot be read.
    #[error("{place} cannot be read: {reason}")]
    Unreadable {
        /// The file or database.
        place: String,
        /// What the system says.
        reason: String,
    },
    /// The file or its folder cannot be written.
    #[error("{place} cannot be written: {reason}")]
    ReadOnly {
        /// The file or database.
        place: String,
        /// What the system says.
        reason: String,
    },
    /// The server of the database does not answer, or broke off.
    #[error("{place} does not answer")]
    Unreachable {
        /// The database.
        place: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The address of a database cannot be followed.
    #[error("the address of the ledger cannot be used: {problem}")]
    Address {
        /// What is wrong with it.
        problem: String,
    },
    /// The server of the database has no TLS, or none of the kind that the address asks for.
    #[error("no connection to {place} over TLS: {reason}")]
    Tls {
        /// The database.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No space is left.
    #[error("no space is left for {place}")]
    Full {
        /// The file or database.
        place: String,
    },
    /// The file is damaged.
    #[error("{place} is damaged: {detail}")]
    Damaged {
        /// The file or database.
        place: String,
        /// What was found.
        detail: String,
    },
    /// The system or SQLite failed in some other way.
    #[error("cannot {action} in {place}")]
    Storage {
        /// What was attempted.
        action: &'static str,
        /// The file or database.
        place: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Too many records would vanish.
    #[error("{vanished} of {held} records of feed {feed} would vanish, more than {max_percent} %")]
    MaxDrop {
        /// The feed.
        feed: String,
        /// Records that would vanish.
        vanished: u64,
        /// Records that the feed holds.
        held: u64,
        /// The most that may vanish, in percent.
        max_percent: f64,
    },
    /// The input of a replacement could not be read whole.
    #[error(
        "{count} parts of the input could not be read, so it is not the whole of feed {feed}; the first: {first}"
    )]
    ReadErrors {
        /// The feed.
        feed: String,
        /// How many.
        count: u64,
        /// Path and reason of the first.
        first: String,
    },
    /// Something that was named does not exist.
    #[error("there is no {what}")]
    NotFound {
        /// What was named.
        what: String,
    },
    /// Something that would change a feed of the library, to which the tenant is subscribed.
    #[error("feed {feed} is of the library, where it can only be read")]
    OfLibrary {
        /// The feed.
        feed: String,
    },
    /// A subscription to a feed of the library whose name is taken.
    #[error(
        "the tenant has a feed {feed} of its own, beside which there can be no other of this name"
    )]
    OwnFeed {
        /// The feed.
        feed: String,
    },
    /// A snapshot that this ledger has not reached, or whose records were compacted away.
    #[error("the ledger cannot read sequence {at}: it holds {from} to {to}")]
    OutOfReach {
        /// The sequence asked for.
        at: u64,
        /// The oldest that can be read.
        from: u64,
        /// The newest.
        to: u64,
    },
}

impl LedgerError {
    pub(crate) fn no_feed(name: &FeedName) -> LedgerError {
        LedgerError::NotFound { what: format!("feed {name}") }
    }

    pub(crate) fn not_in_library(name: &FeedName) -> LedgerError {
        LedgerError::NotFound { what: format!("feed {name} in the library") }
    }

    pub(crate) fn of_library(name: &FeedName) -> LedgerError {
        LedgerError::OfLibrary { feed: name.to_string() }
    }

    pub(crate) fn no_quarantine_entry(number: u64) -> LedgerError {
        LedgerError::NotFound { what: format!("quarantine entry {number}") }
    }

    pub(crate) fn not_blocked(set: &SetKey, id: &RecordId) -> LedgerError {
        LedgerError::NotFound { what: format!("block of {set} {id}") }
    }

    /// A block of an id that its feed holds as another kind.
    pub(crate) fn held_elsewhere(set: &SetKey, id: &RecordId, kind: &str) -> LedgerError {
        let what = format!("record {id} of {set}; feed {} holds it as {kind}", set.feed);
        LedgerError::NotFound { what }
    }

    /// Refuses a snapshot that is not there, or not there any more: a ledger reads all from its oldest to
    /// its newest, and older ones that are pinned.
    pub(crate) fn unless_in_reach(
        at: Seq,
        from: u64,
        to: u64,
        pinned: bool,
    ) -> Result<(), LedgerError> {
        if at.0 <= to && (at.0 >= from || pinned) {
            Ok(())
        } else {
            Err(LedgerError::OutOfReach { at: at.0, from, to })
        }
    }

    /// The code, from which exit code and HTTP status follow.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            LedgerError::Missing { .. } | LedgerError::NotFound { .. } => ErrorCode::NotFound,
            LedgerError::NotALedger { .. } => ErrorCode::Invalid,
            LedgerError::NewerSchema { .. } => ErrorCode::NeedsNewer,
            LedgerError::Busy { .. }
            | LedgerError::OfLibrary { .. }
            | LedgerError::OwnFeed { .. } => ErrorCode::Conflict,
            LedgerError::Unreadable { .. } | LedgerError::ReadOnly { .. } => ErrorCode::NotAllowed,
            LedgerError::Unreachable { .. } | LedgerError::Tls { .. } => ErrorCode::Unreachable,
            LedgerError::Full { .. }
            | LedgerError::Storage { .. }
            | LedgerError::Address { .. } => ErrorCode::Io,
            LedgerError::Damaged { .. } => ErrorCode::DigestMismatch,
            LedgerError::MaxDrop { .. } => ErrorCode::Drop,
            LedgerError::ReadErrors { .. } => ErrorCode::Rejected,
            LedgerError::OutOfReach { .. } => ErrorCode::NotFound,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            LedgerError::Missing { .. } => {
                "bring evidence in first: stella ingest --feed NAME PATH"
            }
            LedgerError::NotALedger { .. } => {
                "restore it from a backup if it was a ledger, or choose another folder with --store"
            }
            LedgerError::NewerSchema { .. } => {
                "use the version of stella that wrote it, or a newer one"
            }
            LedgerError::Busy { .. } => "wait until the other ingest is done, then try again",
            LedgerError::Unreadable { .. } | LedgerError::ReadOnly { .. } => {
                "check the owner and mode of the folder, or choose another with --store"
            }
            LedgerError::Unreachable { .. } => {
                "check the address and the server, then try again; nothing was changed"
            }
            LedgerError::Address { .. } | LedgerError::Tls { .. } => {
                "check sslmode and sslrootcert of the address, and the certificate of the server"
            }
            LedgerError::Full { .. } => "free some space and try again; nothing was changed",
            LedgerError::Damaged { .. } => {
                "restore the file from a copy, or ingest again into a new store"
            }
            LedgerError::MaxDrop { .. } | LedgerError::ReadErrors { .. } => {
                "look at the input; if it is right, repeat with --accept-drop --reason TEXT"
            }
            LedgerError::OfLibrary { .. } => {
                "take another name for evidence of your own, or unsubscribe from the feed first"
            }
            LedgerError::OwnFeed { .. } => {
                "go on with the feed that is there, or have it removed where its ledger is kept"
            }
            LedgerError::NotFound { .. } => {
                "stella feeds list, stella feeds show FEED and stella quarantine list show what \
                 there is"
            }
            LedgerError::Storage { .. } => {
                "look at the disk of the store; restore the file from a copy if it stays so"
            }
            LedgerError::OutOfReach { .. } => return None,
        })
    }
}
