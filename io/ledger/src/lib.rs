//! The ledger: every version of every record that was taken in, and what a snapshot of it holds.
//!
//! Evidence is canonicalised, hashed and compressed once, by [`prepare`] on any thread; an
//! [`Ingest`] stores it in one transaction. A **sequence** counts the transactions that changed
//! something: a read at sequence N sees exactly what the ledger held after the Nth, whatever has
//! been ingested since.
//!
//! What an ingest makes of a record (FORMATS "Two versions of one identity"):
//! - the newer revision wins, then the greater content digest; an older one is only counted;
//! - of several versions within one ingest the losers go to quarantine as `duplicate-identity`,
//!   and which one wins does not depend on their order; equal ones are only counted;
//! - [`IngestMode::Replace`] makes the feed equal to the input: its version wins whatever its
//!   revision, and records that it does not have become tombstones;
//! - [`IngestMode::Follow`] makes the records that the input has equal to it, whatever their
//!   revision, takes out those that it says are gone, and leaves all others;
//! - a blocked id stays out;
//! - the same input again changes nothing and takes no sequence.
//!
//! The feeds of the tenant [`TenantId::library`] are for all: whoever is subscribed to one reads it
//! as if it were their own, and only reads it ([`Library`]). Beginning and ending a subscription
//! takes a sequence too, so that a snapshot keeps what it had.

mod account;
mod error;
mod ledger;
mod postgres;
mod prepare;
mod sqlite;
mod stored;

#[cfg(test)]
mod contract;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use stella_model::{Digest, FeedName, Instant, Kind, RecordId, SetKey, TenantId};
use stella_records::{Facets, Format};

pub use error::LedgerError;
pub use ledger::{Feeds, Ingest, Ledger, Library, Snapshots, Upkeep};
pub use postgres::{PostgresLedger, place_of};
pub use prepare::{Prepared, PreparedDocument, prepare};
pub use sqlite::SqliteLedger;

/// A position in the history of one ledger: the count of changing transactions. Means nothing in
/// another ledger and is never part of a bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A range of ids, both ends included; an absent end is open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdRange {
    /// Least id.
    pub first: Option<RecordId>,
    /// Greatest id.
    pub last: Option<RecordId>,
}

impl IdRange {
    /// Every id.
    pub const ALL: IdRange = IdRange { first: None, last: None };

    /// One id.
    #[must_use]
    pub fn one(id: &RecordId) -> IdRange {
        IdRange { first: Some(id.clone()), last: Some(id.clone()) }
    }
}

/// Tells what a set holds from everything that it or another set ever held or will hold.
///
/// Drawn at random whenever a record of the set is added, changed or removed, so that it also tells
/// apart the histories of a ledger and of a copy of it. Equal states, equal records: what was worked
/// out from the records of a set may be kept under it. Never part of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SetState([u8; 16]);

/// A set that holds records at a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSet {
    /// Kind and feed.
    pub set: SetKey,
    /// How many records it holds.
    pub records: u64,
    /// What it holds; absent where it changed since the snapshot.
    pub state: Option<SetState>,
    /// Whether it is of the library, and not of the tenant's own.
    pub library: bool,
}

/// Whether a scan shall give the facets of each record, which costs a second look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithFacets {
    /// Leave them out.
    No,
    /// Give them.
    Yes,
}

/// What a scan tells of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    /// Its id.
    pub id: RecordId,
    /// SHA-256 of its content.
    pub content_digest: Digest,
    /// Length of its content in bytes.
    pub size: u64,
    /// Its revision time.
    pub modified: Option<Instant>,
    /// The format of its content.
    pub format: Format,
    /// Its facets, if asked for.
    pub facets: Option<Facets>,
}

/// A record with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its id.
    pub id: RecordId,
    /// SHA-256 of `content`.
    pub content_digest: Digest,
    /// Its revision time.
    pub modified: Option<Instant>,
    /// The format of `content`.
    pub format: Format,
    /// The canonical form of a JSON document, or the text unchanged.
    pub content: Vec<u8>,
}

/// What is said of a feed when something is ingested into it. Absent members stay as they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedSpec {
    /// Its name.
    pub name: FeedName,
    /// Who publishes its records.
    pub publisher: Option<String>,
    /// SPDX id of their licence.
    pub licence: Option<String>,
    /// How the publisher wants to be named.
    pub attribution: Option<String>,
    /// Whether they may be passed on.
    pub redistribution: Option<bool>,
}

impl FeedSpec {
    /// A feed of which nothing but the name is said.
    #[must_use]
    pub fn named(name: FeedName) -> FeedSpec {
        FeedSpec { name, publisher: None, licence: None, attribution: None, redistribution: None }
    }
}

/// What became of a record of a set between two sequences.
#[derive(Debug, Clone, Copy)]
pub enum ChangedRecord<'r> {
    /// It is there, and was not, or was another.
    Held {
        /// The record.
        record: &'r StoredRecord,
        /// Since when it is as it is.
        seq: Seq,
    },
    /// It is not there any more, if it ever was.
    Removed {
        /// Its id.
        id: &'r RecordId,
        /// Since when it is gone.
        seq: Seq,
    },
}

/// From which state of another ledger a feed was pulled: it holds what that one held, but for ids
/// that are blocked here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// Id of the other ledger, as [`Ledger::identity`] has it.
    pub ledger: String,
    /// Its epoch.
    pub epoch: u64,
    /// Whose records they were there.
    pub tenant: TenantId,
    /// Its sequence then; 0 if the feed has to be pulled whole, because an id was unblocked since.
    pub sequence: u64,
}

/// How an input relates to what its feed holds.
#[derive(Debug, Clone, PartialEq)]
pub enum IngestMode {
    /// The input adds to the feed.
    Merge,
    /// The input is what changed in the feed at its origin: its versions win whatever their
    /// revision, and what it removes goes.
    Follow {
        /// The most that may vanish, in percent of the records held.
        max_drop_percent: f64,
        /// Why a greater drop is accepted.
        accept: Option<String>,
    },
    /// The input is the whole feed.
    Replace {
        /// The most that may vanish, in percent of the records held.
        max_drop_percent: f64,
        /// Why a greater drop, or an input that could not be read whole, is accepted.
        accept: Option<String>,
    },
}

/// A document that was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// Where it was found; not escaped.
    pub path: String,
    /// Why, as a code such as `unknown-format`.
    pub reason: String,
    /// Offset in bytes at which the fault shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What was found, for a person; not escaped.
    pub detail: String,
}

/// An entry of the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantineEntry {
    /// Number of the entry, for `stella quarantine show`.
    pub number: u64,
    /// The feed it was meant for.
    pub feed: FeedName,
    /// When it was last seen.
    pub at: Instant,
    /// What and why.
    #[serde(flatten)]
    pub document: Quarantined,
}

/// Which entries of the quarantine are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuarantineFilter {
    /// Only of this feed.
    pub feed: Option<FeedName>,
    /// Only with this reason.
    pub reason: Option<String>,
    /// Only after this number, for paging.
    pub after: u64,
    /// At most this many.
    pub limit: Option<u64>,
}

/// What an ingest did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IngestSummary {
    /// Distinct records that the input had, by kind, blocked ones left out.
    pub records: BTreeMap<Kind, u64>,
    /// Records that the feed did not hold.
    pub added: u64,
    /// Records of which the input had another version that won.
    pub updated: u64,
    /// Records that were held as they are.
    pub unchanged: u64,
    /// Records of which a newer version is held.
    pub older: u64,
    /// Records held before that the input did not have (only with [`IngestMode::Replace`]), or that
    /// it removed.
    pub vanished: u64,
    /// Records kept out because their id is blocked.
    pub blocked: u64,
    /// Documents equal to another one of the same input. Like every count here, it does not depend
    /// on the order of the input.
    pub repeated: u64,
    /// Documents that yielded records or were recognised without any, such as a report without
    /// findings.
    pub documents: u64,
    /// Bytes of those documents as received.
    pub bytes: u64,
    /// JSON documents from which a leading byte order mark was dropped.
    pub byte_order_marks: u64,
    /// Files that accompany documents.
    pub companions: u64,
    /// Files that are no evidence by their name.
    pub ignored: u64,
    /// Documents in quarantine, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// The sequence before.
    pub seq_from: Seq,
    /// The sequence after; the same if nothing was changed.
    pub seq_to: Seq,
}

impl IngestSummary {
    /// Whether the ledger holds other records than before.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.seq_from != self.seq_to
    }
}

/// A feed and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedInfo {
    /// Its name.
    pub name: FeedName,
    /// Who publishes its records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// SPDX id of their licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// How the publisher wants to be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<String>,
    /// Whether they may be passed on; absent if nobody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redistribution: Option<bool>,
    /// Records held, by kind.
    pub records: BTreeMap<Kind, u64>,
    /// Kinds of which it ever held a record. One that is not in `records` was emptied since.
    pub kinds: BTreeSet<Kind>,
    /// Blocked ids.
    pub blocked: u64,
    /// Documents in quarantine.
    pub quarantined: u64,
    /// When something was last ingested, changed or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ingest: Option<Instant>,
    /// The state of another ledger that it holds; absent if it was not pulled from one, or changed
    /// otherwise since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Whether it is of the library, and not of the tenant's own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub library: bool,
}

impl FeedInfo {
    /// What the tenant is told of it: how the library is kept is not for those who read it.
    fn told(self) -> FeedInfo {
        match self.library {
            true => FeedInfo { blocked: 0, quarantined: 0, origin: None, ..self },
            false => self,
        }
    }
}

/// A feed of the library, for a tenant that may subscribe to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LibraryFeed {
    /// The feed.
    #[serde(flatten)]
    pub feed: FeedInfo,
    /// Whether the tenant is subscribed to it.
    pub subscribed: bool,
}

/// An id that stays out of its feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    /// Kind and feed.
    pub set: SetKey,
    /// The id.
    pub id: RecordId,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Instant,
}

/// Records of a set by what became of them between two snapshots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Not there before.
    pub added: u64,
    /// There before and after with another content.
    pub changed: u64,
    /// No longer there.
    pub removed: u64,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Versions forgotten.
    pub versions: u64,
    /// Length of what is stored before, in bytes.
    pub bytes_before: u64,
    /// Length of what is stored after, in bytes.
    pub bytes_after: u64,
}
