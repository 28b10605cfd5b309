//! The selected records of some kinds, read by several threads for whatever is made of all of them.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use stella_model::{ErrorCode, FeedName, Instant, RecordId, SetKey};
use stella_plan::{AdapterSpec, PartPlan};
use stella_records::view::Evidence;

use super::trivy::not_written;
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
    tasks: Vec<(&'a SetKey, &'a PartPlan)>,
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
            sets.flat_map(|set| set.parts.iter().map(move |part| (&set.set, part))).collect();
        let feeds = prepared.plan.feeds.iter();
        Reading {
            prepared,
            progress,
            cancel,
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
        set: &SetKey,
        part: &PartPlan,
        taker: &mut dyn Taker,
    ) -> Result<(), EngineError> {
        let publisher = self.publishers.get(&set.feed).copied();
        self.prepared.read_part(set, part, &mut |record| {
            let evidence = Evidence::open(record.format, &record.content, &LIMITS);
            let evidence = evidence.map_err(|rejection| {
                let message = format!("record {} of {set} cannot be read: {rejection}", record.id);
                EngineError::new(ErrorCode::RunFailed, message)
            })?;
            let taken = Taken {
                feed: &set.feed,
                publisher,
                id: &record.id,
                modified: record.modified,
                evidence: &evidence,
            };
            taker.take(&taken).map_err(not_written)
        })
    }
}
