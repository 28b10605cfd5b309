//! What came, into the ledger: one transaction a feed.

use std::collections::BTreeMap;

use stella_ledger::{
    FeedSpec, Ingest, IngestMode, IngestSummary, Ledger, Origin, PreparedDocument, prepare,
};
use stella_model::{ErrorCode, FeedName};
use stella_records::exchange::{self, PageLine, Removed};
use stella_records::reread;

use super::plan::{Remote, Wanted};
use super::spool::Spool;
use super::{PullRequest, PulledAs, PulledFeed};
use crate::{Cancel, EngineError, LIMITS, Progress, Stage, StageUpdate, threads};

/// Bytes and number of lines that wait for threads that prepare them.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_LINES: usize = 512;

/// Takes in every feed that came.
pub(super) fn all(
    ledger: &dyn Ledger,
    remote: &Remote,
    wanted: &BTreeMap<FeedName, Wanted>,
    spool: &Spool,
    request: &PullRequest,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<PulledFeed>, EngineError> {
    let mut apply =
        Apply { ledger, remote, spool, request, progress, cancel, records: 0, bytes: 0 };
    let mut done = Vec::new();
    for (feed, one) in wanted {
        let pulled = apply.feed(feed, one);
        done.push(pulled.map_err(|error| apply.told(error, done.len(), wanted.len()))?);
    }
    Ok(done)
}

struct Apply<'a> {
    ledger: &'a dyn Ledger,
    remote: &'a Remote,
    spool: &'a Spool,
    request: &'a PullRequest,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
    records: u64,
    bytes: u64,
}

/// Lines that wait.
#[derive(Default)]
struct Batch {
    lines: Vec<Vec<u8>>,
    bytes: usize,
}

impl Apply<'_> {
    /// Of an interruption, how far it came.
    fn told(&self, error: EngineError, done: usize, of: usize) -> EngineError {
        if error.code() != ErrorCode::Interrupted || done == 0 {
            return error;
        }
        let message = format!("interrupted; {done} of {of} feeds are pulled");
        EngineError::new(ErrorCode::Interrupted, message)
            .hint("run the same command again; it goes on with the others")
    }

    fn feed(&mut self, feed: &FeedName, wanted: &Wanted) -> Result<PulledFeed, EngineError> {
        let request = self.request;
        let (max_drop_percent, accept) = (request.max_drop_percent, request.accept.clone());
        let mode = match wanted.pulled {
            PulledAs::Whole => IngestMode::Replace { max_drop_percent, accept },
            PulledAs::Changes => IngestMode::Follow { max_drop_percent, accept },
        };
        let told = self.remote.feeds.get(feed);
        let spec = told.map_or_else(|| FeedSpec::named(feed.clone()), |(spec, _)| spec.clone());
        let mut ingest = self.ledger.ingest(&spec, mode, request.now)?;
        // Nobody else changes the feed from here on: what was decided about it has to be true still.
        let origin = self.ledger.feed(feed).ok().and_then(|feed| feed.origin);
        if origin != wanted.origin {
            let message =
                format!("feed {feed} was changed meanwhile, by another pull or an ingest");
            return Err(
                EngineError::new(ErrorCode::Conflict, message).hint("run the same command again")
            );
        }
        let mut batch = Batch::default();
        self.spool.each_line(feed, &mut |line| {
            batch.bytes += line.len();
            batch.lines.push(line);
            match batch.bytes >= BATCH_BYTES || batch.lines.len() >= BATCH_LINES {
                true => self.put(&mut *ingest, std::mem::take(&mut batch)),
                false => Ok(()),
            }
        })?;
        self.put(&mut *ingest, batch)?;
        ingest.set_origin(&self.remote.origin())?;
        let summary = ingest.commit()?;
        self.pulled(feed, wanted.pulled, &summary, told.map_or(0, |(_, records)| *records))
    }

    /// Has lines read and compressed by all threads, and puts them in their order.
    fn put(&mut self, ingest: &mut dyn Ingest, batch: Batch) -> Result<(), EngineError> {
        self.cancel.check()?;
        let count = batch.lines.len();
        let each = count.div_ceil(self.request.threads.max(1)).max(1);
        let shares: Vec<&[Vec<u8>]> = batch.lines.chunks(each).collect();
        let read = threads::each(&shares, |lines| lines.iter().map(|line| read(line)).collect());
        for share in read {
            let lines: Vec<Line> = Result::from_iter::<Vec<Result<Line, EngineError>>>(share)?;
            for line in lines {
                match line {
                    Line::Record(document) => ingest.put(&document)?,
                    Line::Removed(removed) => ingest.remove(&removed.kind, &removed.id)?,
                }
            }
        }
        self.records += count as u64;
        self.bytes += batch.bytes as u64;
        self.progress.update(&StageUpdate {
            stage: Stage::Ingest,
            done: self.records,
            total: None,
            bytes: self.bytes,
            unit: "records",
            finished: None,
        });
        Ok(())
    }

    /// Has the next pull take all of a feed, as if nothing of it had come yet.
    fn forget(&self, feed: &FeedName) -> Result<(), EngineError> {
        let mode = IngestMode::Follow { max_drop_percent: 0.0, accept: None };
        let mut ingest =
            self.ledger.ingest(&FeedSpec::named(feed.clone()), mode, self.request.now)?;
        ingest.set_origin(&Origin { sequence: 0, ..self.remote.origin() })?;
        ingest.commit()?;
        Ok(())
    }

    /// What became of a feed, which must hold now what the other one does.
    fn pulled(
        &self,
        feed: &FeedName,
        pulled: PulledAs,
        summary: &IngestSummary,
        expected: u64,
    ) -> Result<PulledFeed, EngineError> {
        let held = self.ledger.feed(feed)?;
        let records = held.records.values().sum();
        // What is blocked here may be there.
        if held.blocked == 0 && records != expected {
            self.forget(feed)?;
            let message = format!(
                "feed {feed} holds {records} records after it was pulled, that of the server {expected}"
            );
            return Err(EngineError::new(ErrorCode::DigestMismatch, message)
                .hint("run the same command again: it pulls all of this feed"));
        }
        Ok(PulledFeed {
            feed: feed.clone(),
            pulled,
            added: summary.added,
            updated: summary.updated,
            removed: summary.vanished,
            unchanged: summary.unchanged,
            blocked: summary.blocked,
            records,
            sequence: summary.seq_to.0,
        })
    }
}

/// A line that was read.
enum Line {
    Record(PreparedDocument),
    Removed(Removed),
}

fn read(line: &[u8]) -> Result<Line, EngineError> {
    // It was read before it was kept: only the disk can have changed it.
    let broken = |what: String| {
        EngineError::new(ErrorCode::Io, format!("what came was not kept as it was: {what}"))
            .hint("look at the disk of the store")
    };
    match exchange::parse(line).map_err(|error| broken(error.to_string()))? {
        PageLine::Removed(removed) => Ok(Line::Removed(removed)),
        PageLine::Record(head, body) => {
            let content = body.bytes();
            let draft = reread(head.format, &head.id, content, &LIMITS)
                .map_err(|rejection| broken(rejection.to_string()))?;
            let path = format!("pulled/{}/{}", head.kind, head.id);
            Ok(Line::Record(prepare(path, content, vec![draft])))
        }
        _ => Err(broken("a line of another sort".to_owned())),
    }
}
