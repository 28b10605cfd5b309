//! What can be done with a ledger, wherever it lies.

use std::ops::ControlFlow;

use stella_model::{FeedName, Instant, Kind, RecordId, SetKey};

use crate::{
    Block, ChangedRecord, Changes, Compacted, FeedInfo, FeedSpec, IdRange, IndexRow, IngestMode,
    IngestSummary, LedgerError, LibraryFeed, LiveSet, Origin, PreparedDocument, QuarantineEntry,
    QuarantineFilter, Quarantined, Seq, StoredRecord, WithFacets,
};

/// A ledger, bound to one tenant (INV-TENANT).
///
/// All methods may be called from several threads at once and while an ingest is under way.
pub trait Ledger: Snapshots + Feeds + Library + Upkeep {
    /// What tells this ledger's sequences from those of another: its id, 32 hex digits, and its
    /// epoch, which a restore from a copy raises.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails.
    fn identity(&self) -> Result<(String, u64), LedgerError>;

    /// Begins an ingest into a feed, which is made if it is new. `at` is the time that the ledger
    /// notes for it.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] if another writer is not done in time; [`LedgerError::OfLibrary`]; else if
    /// storage fails.
    fn ingest(
        &self,
        feed: &FeedSpec,
        mode: IngestMode,
        at: Instant,
    ) -> Result<Box<dyn Ingest>, LedgerError>;
}

/// Reading what the ledger holds, and what it held: the feeds of the tenant's own, and those of the
/// library as far as the tenant was subscribed to them then.
pub trait Snapshots: Send + Sync {
    /// The newest sequence; 0 if nothing was ever ingested.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails.
    fn head(&self) -> Result<Seq, LedgerError>;

    /// The sets that hold records at a snapshot, in export order. Costs nothing for those that did
    /// not change since.
    ///
    /// # Errors
    /// [`LedgerError::OutOfReach`] for a snapshot that cannot be read, else if storage fails.
    fn sets(&self, at: Seq) -> Result<Vec<LiveSet>, LedgerError>;

    /// Gives the records of a set at a snapshot, bytewise by id, until `row` breaks. Pages by key:
    /// no transaction is held while `row` runs for long.
    ///
    /// # Errors
    /// [`LedgerError::OutOfReach`] for a snapshot that cannot be read, else if storage fails.
    fn scan(
        &self,
        at: Seq,
        set: &SetKey,
        range: &IdRange,
        facets: WithFacets,
        row: &mut dyn FnMut(IndexRow) -> ControlFlow<()>,
    ) -> Result<(), LedgerError>;

    /// As [`scan`](Snapshots::scan), with the contents. The record lies in memory that the next one
    /// takes over.
    ///
    /// # Errors
    /// As [`scan`](Snapshots::scan); [`LedgerError::Damaged`] if a content cannot be decompressed.
    fn read(
        &self,
        at: Seq,
        set: &SetKey,
        range: &IdRange,
        record: &mut dyn FnMut(&StoredRecord) -> ControlFlow<()>,
    ) -> Result<(), LedgerError>;

    /// The bytes of a record's document as they were received; of a finding those of its report.
    ///
    /// # Errors
    /// As [`read`](Snapshots::read).
    fn received(
        &self,
        at: Seq,
        set: &SetKey,
        id: &RecordId,
    ) -> Result<Option<Vec<u8>>, LedgerError>;

    /// How a set at `to` differs from what it was at `from`. Reads the index of the set once.
    ///
    /// # Errors
    /// [`LedgerError::OutOfReach`] if one of the two can no longer be read, or if storage fails.
    fn changes(&self, set: &SetKey, from: Seq, to: Seq) -> Result<Changes, LedgerError>;

    /// The sets of the tenant's own that changed after `since`, those that hold nothing any more among
    /// them, in export order. One may have changed after any other sequence only.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails.
    fn changed_sets(&self, since: Seq) -> Result<Vec<SetKey>, LedgerError>;

    /// Gives what changed in a set of the tenant's own after `since` and up to `until`, as it was at
    /// `until`: each record once, bytewise by id, those after the id `after`, until `each` breaks. With
    /// `since` 0 these are the records of the set, and nothing is removed. Pages by key, and the record
    /// lies in memory that the next one takes over, as with [`read`](Snapshots::read).
    ///
    /// `since` may have been compacted away: what was there then is not looked at.
    ///
    /// # Errors
    /// [`LedgerError::OutOfReach`] if `until` cannot be read or `since` comes after it;
    /// [`LedgerError::Damaged`] if a content cannot be decompressed; else if storage fails.
    fn changed_records(
        &self,
        since: Seq,
        until: Seq,
        set: &SetKey,
        after: Option<&RecordId>,
        each: &mut dyn FnMut(ChangedRecord<'_>) -> ControlFlow<()>,
    ) -> Result<(), LedgerError>;
}

/// Feeds: what they hold, what stays out of them, what was rejected, and their removal.
pub trait Feeds {
    /// The feeds by name, as they are now; those of the library to which the tenant is subscribed
    /// among them, also one that was removed there: it holds nothing then.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails.
    fn feeds(&self) -> Result<Vec<FeedInfo>, LedgerError>;

    /// One feed as it is now.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`] if there is none; else if storage fails.
    fn feed(&self, name: &FeedName) -> Result<FeedInfo, LedgerError>;

    /// Keeps an id out of its feed, now and whatever later ingests bring. Gives whether the feed
    /// held it.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`] if there is no such feed, or it holds the id as another kind: the
    /// block would not do what it seems to; [`LedgerError::OfLibrary`]; else if storage fails.
    fn block(
        &self,
        set: &SetKey,
        id: &RecordId,
        reason: &str,
        at: Instant,
    ) -> Result<bool, LedgerError>;

    /// Lets an id in again: the next ingest that brings it takes it. A feed that was pulled has to be
    /// pulled whole next time.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`] if it is not blocked; else if storage fails.
    fn unblock(&self, set: &SetKey, id: &RecordId) -> Result<(), LedgerError>;

    /// The blocked ids of a feed, by kind and id.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails.
    fn blocks(&self, feed: &FeedName) -> Result<Vec<Block>, LedgerError>;

    /// Removes a feed: its records become tombstones, its quarantine and blocks are forgotten.
    /// Earlier snapshots still have it. Gives how many records it held.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`] if there is none; [`LedgerError::OfLibrary`]; else if storage fails.
    fn remove_feed(&self, name: &FeedName) -> Result<u64, LedgerError>;

    /// The entries of the quarantine that a filter lets through, in the order of their numbers.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails.
    fn quarantine(&self, filter: &QuarantineFilter) -> Result<Vec<QuarantineEntry>, LedgerError>;

    /// One entry of the quarantine by its number.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`] if there is none; else if storage fails.
    fn quarantine_entry(&self, number: u64) -> Result<QuarantineEntry, LedgerError>;
}

/// Feeds that are for all tenants: those of the tenant [`TenantId::library`]. Who is subscribed to one
/// reads it, and takes nothing into it.
///
/// [`TenantId::library`]: stella_model::TenantId::library
pub trait Library {
    /// The feeds of the library by name, as they are now.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails.
    fn library(&self) -> Result<Vec<LibraryFeed>, LedgerError>;

    /// Has a feed of the library among the tenant's, from the next sequence on. Gives whether it was
    /// not there already.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`] if the library has none of this name; [`LedgerError::OwnFeed`] if the
    /// tenant has one; else if storage fails.
    fn subscribe(&self, feed: &FeedName) -> Result<bool, LedgerError>;

    /// Ends that, from the next sequence on: earlier snapshots still have the feed. Gives whether
    /// there was something to end.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`] if the library never had a feed of this name; else if storage fails.
    fn unsubscribe(&self, feed: &FeedName) -> Result<bool, LedgerError>;
}

/// What keeps a ledger from growing for ever, and snapshots from being forgotten.
pub trait Upkeep {
    /// Keeps a snapshot from being compacted away. A pin of the same name is moved.
    ///
    /// # Errors
    /// [`LedgerError::OutOfReach`] if it cannot be read now; else if storage fails.
    fn pin(&self, name: &str, at: Seq) -> Result<(), LedgerError>;

    /// Lets a snapshot go. It is no fault if it is not pinned.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails.
    fn unpin(&self, name: &str) -> Result<(), LedgerError>;

    /// Forgets versions that neither the newest snapshot nor a pinned one has, and gives their
    /// space back. Tombstones stay.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] if another writer is at work; else if storage fails.
    fn compact(&self) -> Result<Compacted, LedgerError>;
}

/// An ingest under way. Dropping it takes everything back.
pub trait Ingest {
    /// Stores the records of a document as far as they win.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails; the ingest can then only be dropped.
    fn put(&mut self, document: &PreparedDocument) -> Result<(), LedgerError>;

    /// Takes a record out of the feed, unless the input has it. It is no fault if the feed does not
    /// hold it.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails.
    fn remove(&mut self, kind: &Kind, id: &RecordId) -> Result<(), LedgerError>;

    /// Notes of which state of another ledger the feed is after this ingest. An ingest that changes
    /// records and does not note one makes the feed one of this ledger.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails.
    fn set_origin(&mut self, origin: &Origin) -> Result<(), LedgerError>;

    /// Notes a document that is not taken in.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails.
    fn quarantine(&mut self, document: &Quarantined) -> Result<(), LedgerError>;

    /// Notes a part of the input that could not be read, so that the input is not the whole feed:
    /// with [`IngestMode::Replace`], [`commit`](Ingest::commit) fails unless that was accepted.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails.
    fn read_error(&mut self, document: &Quarantined) -> Result<(), LedgerError>;

    /// Counts a file that accompanies documents.
    fn count_companion(&mut self);

    /// Counts a file that is no evidence.
    fn count_ignored(&mut self);

    /// Makes the ingest part of the ledger, all of it or nothing.
    ///
    /// # Errors
    /// With [`IngestMode::Replace`], [`LedgerError::MaxDrop`] and [`LedgerError::ReadErrors`]; with
    /// [`IngestMode::Follow`] the former; else if storage fails.
    fn commit(self: Box<Self>) -> Result<IngestSummary, LedgerError>;

    /// What a commit would do, without doing it.
    ///
    /// # Errors
    /// As [`commit`](Ingest::commit).
    fn preview(self: Box<Self>) -> Result<IngestSummary, LedgerError>;
}
