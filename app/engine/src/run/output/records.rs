//! The selected records of some kinds, read by several threads for whatever is made of all of them.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use stella_model::json::Tape;
use stella_model::screen::Safe;
use stella_model::{ErrorCode, FeedName, Instant, RecordId, SetKey};
use stella_plan::{AdapterSpec, PartPlan, SetSummary};
use stella_records::Rejection;
use stella_records::view::Evidence;

use crate::run::prepare::Prepared;
use crate::{Cancel, EngineError, LIMITS, Progress, Stage, StageUpdate};

/// Takes records in any order. Each works on a thread of its own, and which takes what must not
/// matter (INV-DET).
pub(super) trait Taker: Send {
    /// Takes a record.
    fn take(&mut self, record: &Taken<'_>) -> io::Result<()>;
}

/// A record as it is taken.
pub(super) struct Taken<'r> {
    pub(super) feed: &'r FeedName,
    /// That of the feed.
    pub(super) publisher: Option<&'r str>,
    pub(super) id: &'r RecordId,
    /// Its revision time.
    pub(super) modified: Option<Instant>,
    pub(super) evidence: &'r Evidence<'r>,
}

/// What all threads share.
pub(super) struct Reading<'a> {
    prepared: &'a Prepared,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
    /// What the records are read for.
    adapter: &'static str,
    tasks: Vec<(&'a SetSummary, &'a PartPlan)>,
    /// Records of all tasks.
    total: u64,
    publishers: BTreeMap<&'a FeedName, &'a str>,
    next: AtomicUsize,
    records: AtomicU64,
}

impl<'a> Reading<'a> {
    /// Reading of the records that an adapter is made from.
    pub(super) fn new(
        prepared: &'a Prepared,
        adapter: &AdapterSpec,
        progress: &'a dyn Progress,
        cancel: &'a Cancel,
    ) -> Reading<'a> {
        let wanted = |set: &SetKey| adapter.kinds.contains(&set.kind.as_str());
        let sets = prepared.sets.iter().filter(|set| wanted(&set.set));
        let tasks: Vec<_> =
            sets.flat_map(|set| set.parts.iter().map(move |part| (set, part))).collect();
        let feeds = prepared.plan.feeds.iter();
        Reading {
            prepared,
            progress,
            cancel,
            adapter: adapter.id,
            total: tasks.iter().map(|(_, part)| part.records).sum(),
            tasks,
            publishers: feeds
                .filter_map(|feed| Some((&feed.feed, feed.publisher.as_deref()?)))
                .collect(),
            next: AtomicUsize::new(0),
            records: AtomicU64::new(0),
        }
    }

    /// Gives each record to one of the takers, which come back in their order.
    pub(super) fn give<T: Taker>(&self, takers: Vec<T>) -> Result<Vec<T>, EngineError> {
        let failure = Mutex::new(None);
        let work = |mut taker: T| {
            if let Err(error) = self.work(&mut taker) {
                // Other threads stop at their next task.
                self.next.store(self.tasks.len(), Ordering::Relaxed);
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
            taker
        };
        let takers = std::thread::scope(|scope| {
            let work = &work;
            let start = |taker| scope.spawn(move || work(taker));
            let threads: Vec<_> = takers.into_iter().map(start).collect();
            threads.into_iter().map(|thread| thread.join()).collect::<Result<Vec<T>, _>>()
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        takers.map_err(|_| EngineError::new(ErrorCode::Internal, "reading records panicked"))
    }

    fn work(&self, taker: &mut dyn Taker) -> Result<(), EngineError> {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((set, part)) = self.tasks.get(index) else { return Ok(()) };
            if self.cancel.is_set() {
                return Ok(());
            }
            self.part(set, part, taker)?;
            let done = self.records.fetch_add(part.records, Ordering::Relaxed) + part.records;
            self.progress.update(&StageUpdate {
                stage: Stage::Pack,
                done,
                total: Some(self.total),
                bytes: 0,
                unit: "records",
                finished: None,
            });
        }
    }

    fn part(
        &self,
        summary: &SetSummary,
        part: &PartPlan,
        taker: &mut dyn Taker,
    ) -> Result<(), EngineError> {
        let set = &summary.set;
        let publisher = self.publishers.get(&set.feed).copied();
        let mut tape = Tape::default();
        self.prepared.read_part(summary, part, &mut |record| {
            let room = std::mem::take(&mut tape);
            let evidence = Evidence::open_in(room, record.format, &record.content, &LIMITS)
                .map_err(|rejection| unreadable(&record.id, set, rejection))?;
            let taken = Taken {
                feed: &set.feed,
                publisher,
                id: &record.id,
                modified: record.modified,
                evidence: &evidence,
            };
            taker.take(&taken).map_err(|source| {
                let message = format!("cannot keep what records give for {}", self.adapter);
                EngineError::new(ErrorCode::Io, message)
                    .because(source)
                    .hint("look at the room on the disk of the store")
            })?;
            tape = evidence.into_tape();
            Ok(())
        })
    }
}

/// A record of the ledger that no longer reads, although it did when it was taken in.
fn unreadable(id: &RecordId, set: &SetKey, rejection: Rejection) -> EngineError {
    let message = format!("record {} of {set} cannot be read", Safe(id.as_str()));
    EngineError::new(ErrorCode::RunFailed, message)
        .because(Safe(&rejection.to_string()).to_string())
        .hint(format!(
            "the ledger holds it damaged: ingest feed {} again into a new store, or leave it out by naming the \
             others with --feed",
            set.feed
        ))
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use stella_ledger::{FeedSpec, IngestMode};
    use stella_model::Digest;
    use stella_pack::trivy_vex::TRIVY_VEX;
    use stella_plan::profile::Select;
    use stella_records::Format;

    use super::*;
    use crate::run::prepare::prepare;
    use crate::{IngestRequest, NoProgress, PolicyRequest, ProfileSource, RunRequest, Store};

    /// A plan over the sample statements.
    fn prepared(dir: &std::path::Path) -> Prepared {
        let store = Store::at(dir.join("store"));
        let now = Instant::parse("2026-11-23T12:00:00Z").expect("a time");
        let ingest = IngestRequest {
            feed: FeedSpec::named("acme".parse().expect("a feed")),
            paths: vec![stella_testkit::samples().join("vex")],
            mode: IngestMode::Merge,
            threads: 1,
            dry_run: false,
            now,
        };
        crate::ingest(&store, &ingest, &NoProgress, &Cancel::new()).expect("ingests");
        let request = RunRequest {
            profile: ProfileSource::BuiltIn("trivy:vex".to_owned()),
            select: Select::default(),
            as_of: None,
            redaction: None,
            policy: PolicyRequest::default(),
            accept_drop: None,
            allow_empty: Vec::new(),
            threads: 1,
            now,
            again: None,
        };
        prepare(&store, &request, &NoProgress, &Cancel::new()).expect("plans")
    }

    /// Takes everything, or nothing.
    struct Hand {
        is_full: bool,
        taken: u64,
    }

    impl Taker for Hand {
        fn take(&mut self, _record: &Taken<'_>) -> io::Result<()> {
            self.taken += 1;
            if self.is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    fn give(prepared: &Prepared, is_full: bool) -> Result<u64, EngineError> {
        let cancel = Cancel::new();
        let reading = Reading::new(prepared, &TRIVY_VEX.spec, &NoProgress, &cancel);
        let hands = reading.give(vec![Hand { is_full, taken: 0 }, Hand { is_full, taken: 0 }])?;
        Ok(hands.iter().map(|hand| hand.taken).sum())
    }

    #[test]
    fn records_are_the_planned_ones_or_the_reading_fails() {
        let dir = stella_testkit::temp_dir();
        let mut prepared = prepared(dir.path());
        assert_eq!(give(&prepared, false).expect("reads"), prepared.sets[0].count);
        let key = prepared.sets[0].parts[0].key;
        prepared.sets[0].parts[0].key = Digest::of(b"another record");
        let error = give(&prepared, false).expect_err("a record is another one");
        assert_eq!(error.code(), ErrorCode::RunFailed);
        assert!(error.to_string().contains("no longer those of the plan"), "{error}");
        prepared.sets[0].parts[0].key = key;
        prepared.sets[0].parts[0].records += 1;
        give(&prepared, false).expect_err("a record is missing");
    }

    #[test]
    fn a_record_that_does_not_read_comes_with_its_cause_and_a_next_step() {
        let set: SetKey = "advisory/npm".parse().expect("a set");
        let id = RecordId::new("GHSA-1\u{202e}x").expect("an id");
        let rejection = Evidence::open(Format::Osv, b"{", &LIMITS).map(|_| ()).expect_err("half");
        let error = unreadable(&id, &set, rejection);
        assert_eq!(error.code(), ErrorCode::RunFailed);
        assert_eq!(error.to_string(), "record GHSA-1\\u{202e}x of advisory/npm cannot be read");
        let cause = error.source().expect("the cause").to_string();
        assert!(cause.starts_with("invalid-json: "), "{cause}");
        let hint = error.next_step().expect("a next step");
        assert!(hint.contains("ingest feed npm again") && hint.contains("--feed"), "{hint}");
    }

    #[test]
    fn an_error_while_taking_names_what_the_records_are_read_for() {
        let dir = stella_testkit::temp_dir();
        let error = give(&prepared(dir.path()), true).expect_err("the disk is full");
        assert_eq!(error.code(), ErrorCode::Io);
        assert_eq!(error.to_string(), "cannot keep what records give for trivy:vex");
        assert!(error.source().is_some());
    }
}
