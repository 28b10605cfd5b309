//! What an ingest decides and counts, wherever the ledger lies.

use stella_model::{Digest, FeedName, Kind};
use stella_records::Revision;

use crate::prepare::{Prepared, PreparedDocument};
use crate::{IngestMode, IngestSummary, LedgerError, Quarantined, Seq};

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Added,
    Updated,
    Unchanged,
    Older,
    Blocked,
}

impl Fate {
    const ALL: [Fate; 5] =
        [Fate::Added, Fate::Updated, Fate::Unchanged, Fate::Older, Fate::Blocked];

    /// For a column.
    pub(crate) fn number(self) -> i16 {
        self as i16
    }

    pub(crate) fn of_number(number: i16) -> Option<Fate> {
        Fate::ALL.into_iter().find(|fate| fate.number() == number)
    }

    /// Whether the record is stored.
    pub(crate) fn is_stored(self) -> bool {
        matches!(self, Fate::Added | Fate::Updated)
    }
}

/// An ingest's feed and mode, and what it has met so far.
pub(crate) struct Account {
    feed: FeedName,
    mode: IngestMode,
    read_errors: u64,
    first_read_error: Option<String>,
    /// Whether the input said of a record that it is gone.
    pub(crate) removes: bool,
    /// Whether the input is a state of another ledger.
    pub(crate) has_origin: bool,
    pub(crate) summary: IngestSummary,
}

impl Account {
    /// Nothing met yet; the ledger is at `before`.
    pub(crate) fn new(feed: FeedName, mode: IngestMode, before: Seq) -> Account {
        let summary =
            IngestSummary { seq_from: before, seq_to: before, ..IngestSummary::default() };
        Account {
            feed,
            mode,
            read_errors: 0,
            first_read_error: None,
            removes: false,
            has_origin: false,
            summary,
        }
    }

    /// What becomes of a record whose identity is held with a content of this digest, if at all. The
    /// revision of what is held is asked for only where it decides.
    pub(crate) fn fate<E>(
        &self,
        record: &Prepared,
        held: Option<Digest>,
        revision: impl FnOnce() -> Result<Revision, E>,
    ) -> Result<Fate, E> {
        let Some(digest) = held else { return Ok(Fate::Added) };
        if digest == record.content_digest {
            return Ok(Fate::Unchanged);
        }
        let is_older = matches!(self.mode, IngestMode::Merge)
            && (&record.revision, record.content_digest) <= (&revision()?, digest);
        Ok(if is_older { Fate::Older } else { Fate::Updated })
    }

    pub(crate) fn count_document(&mut self, document: &PreparedDocument) {
        self.summary.documents += 1;
        self.summary.bytes += document.received_bytes;
        self.summary.byte_order_marks += u64::from(document.byte_order_mark);
    }

    /// Counts a record of an identity that was not met before.
    pub(crate) fn count_first(&mut self, kind: &Kind, fate: Fate) {
        *self.counter(fate) += 1;
        if fate != Fate::Blocked {
            *self.summary.records.entry(kind.clone()).or_default() += 1;
        }
    }

    pub(crate) fn count_rejection(&mut self, document: &Quarantined) {
        *self.summary.quarantined.entry(document.reason.clone()).or_default() += 1;
    }

    pub(crate) fn count_read_error(&mut self, document: &Quarantined) {
        self.read_errors += 1;
        self.first_read_error
            .get_or_insert_with(|| format!("{}: {}", document.path, document.detail));
    }

    pub(crate) fn counter(&mut self, fate: Fate) -> &mut u64 {
        match fate {
            Fate::Added => &mut self.summary.added,
            Fate::Updated => &mut self.summary.updated,
            Fate::Unchanged => &mut self.summary.unchanged,
            Fate::Older => &mut self.summary.older,
            Fate::Blocked => &mut self.summary.blocked,
        }
    }

    /// Whether the input is the whole feed.
    pub(crate) fn replaces(&self) -> bool {
        matches!(self.mode, IngestMode::Replace { .. })
    }

    /// Whether records may vanish.
    pub(crate) fn may_drop(&self) -> bool {
        self.replaces() || self.removes
    }

    /// The mode, for the history.
    pub(crate) fn mode_name(&self) -> &'static str {
        match self.mode {
            IngestMode::Merge => "merge",
            IngestMode::Replace { .. } => "replace",
            IngestMode::Follow { .. } => "follow",
        }
    }

    /// Why losses are accepted, if they are.
    pub(crate) fn accepted(&self) -> Option<&str> {
        match &self.mode {
            IngestMode::Merge => None,
            IngestMode::Replace { accept, .. } | IngestMode::Follow { accept, .. } => {
                accept.as_deref()
            }
        }
    }

    /// Refuses an input that was not read whole, where it should be the whole feed.
    pub(crate) fn check_whole(&self) -> Result<(), LedgerError> {
        if !self.replaces() || self.read_errors == 0 || self.accepted().is_some() {
            return Ok(());
        }
        Err(LedgerError::ReadErrors {
            feed: self.feed.to_string(),
            count: self.read_errors,
            first: self.first_read_error.clone().unwrap_or_default(),
        })
    }

    /// Counts the records that vanish, unless they are too many of those held.
    pub(crate) fn count_vanished(&mut self, held: u64, vanished: u64) -> Result<(), LedgerError> {
        if let IngestMode::Replace { max_drop_percent, accept: None }
        | IngestMode::Follow { max_drop_percent, accept: None } = self.mode
            // Exact for counts below 2^53.
            && vanished as f64 * 100.0 > held as f64 * max_drop_percent
        {
            let (feed, max_percent) = (self.feed.to_string(), max_drop_percent);
            return Err(LedgerError::MaxDrop { feed, vanished, held, max_percent });
        }
        self.summary.vanished = vanished;
        Ok(())
    }

    /// Whether any record is another than before.
    pub(crate) fn changes(&self) -> bool {
        self.summary.added + self.summary.updated + self.summary.vanished > 0
    }
}
