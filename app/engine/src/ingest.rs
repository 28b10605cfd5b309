//! `ingest`: evidence into the ledger, as a stream.
//!
//! One thread walks the inputs, several recognise, canonicalise, hash and compress, one writes. A
//! budget bounds the documents in flight, so that memory does not grow with what is read.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender, bounded};
use serde::Serialize;
use stella_ledger::{
    FeedSpec, Ingest, IngestMode, IngestSummary, Ledger, LedgerError, PreparedDocument,
    Quarantined, prepare,
};
use stella_model::{ErrorCode, FeedName, Instant};
use stella_records::{NameClass, Recognised, by_name, recognise};
use stella_sources::{Class, Document, Event, Input, Options, SourceError, walk};

use crate::budget::{Admission, Budget};
use crate::bundle::ReadBundle;
use crate::{Cancel, EngineError, LIMITS, Progress, Stage, StageUpdate, Store};

/// Evidence to take in.
#[derive(Debug, Clone)]
pub struct IngestRequest {
    /// The feed it belongs to, with what is told of it.
    pub feed: FeedSpec,
    /// Files, folders, archives; `-` is standard input.
    pub paths: Vec<PathBuf>,
    /// Whether the input adds to the feed or is the whole of it.
    pub mode: IngestMode,
    /// Threads that recognise and compress.
    pub threads: usize,
    /// Whether to leave the ledger as it is and only tell what would happen.
    pub dry_run: bool,
    /// The time of the ingest.
    pub now: Instant,
}

/// What an ingest did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IngestReport {
    /// The feed.
    pub feed: FeedName,
    /// Whether nothing was stored because only a trial was asked for.
    pub dry_run: bool,
    /// What is told of the feed otherwise than before, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub feed_changes: Vec<String>,
    /// The counts.
    #[serde(flatten)]
    pub summary: IngestSummary,
}

impl IngestReport {
    /// Whether something came in and every document of it was rejected.
    #[must_use]
    pub fn all_rejected(&self) -> bool {
        self.summary.documents == 0 && !self.summary.quarantined.is_empty()
    }
}

/// Received bytes of documents in flight; each takes up to four times its size on its way.
const BYTES_IN_FLIGHT: u64 = 4 << 20;

/// Documents that wait between two stages.
const QUEUE: usize = 256;

/// Takes evidence into a feed, in one transaction: all of it or nothing (INV-ATOMIC).
///
/// # Errors
/// [`EngineError`] if an input cannot be read, holds nothing that could be evidence, too much would vanish, or the ledger fails.
pub fn ingest(
    store: &Store,
    request: &IngestRequest,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<IngestReport, EngineError> {
    request.paths.iter().try_for_each(|path| refuse_bundle(path))?;
    let inputs = request.paths.iter().map(|path| Input::from_arg(path)).collect();
    take_in(store, request, inputs, progress, cancel)
}

/// As [`ingest`], of bytes that come from somewhere else than a path, in any form that a file may
/// have: what they are is seen from their beginning. A reader that fails ends it, and nothing is taken.
///
/// # Errors
/// As [`ingest`].
pub fn ingest_stream(
    store: &Store,
    request: &IngestRequest,
    name: &str,
    reader: Box<dyn Read + Send>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<IngestReport, EngineError> {
    let inputs = vec![Input::Stream { name: name.to_owned(), reader }];
    take_in(store, request, inputs, progress, cancel)
}

fn take_in(
    store: &Store,
    request: &IngestRequest,
    inputs: Vec<Input>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<IngestReport, EngineError> {
    let ledger = store.new_ledger()?;
    let feed_changes = feed_changes(&*ledger, &request.feed);
    let line = Line { spool: store.dir().to_owned(), threads: request.threads.max(1), cancel };
    let begin = || ledger.ingest(&request.feed, request.mode.clone(), request.now);
    let update = first_update();
    let mut writer = Writer { begin: &begin, ingest: None, update, documents: 0, progress };
    line.run(inputs, &mut writer)?;
    cancel.check()?;
    let Writer { ingest, documents, .. } = writer;
    // A replacement by nothing is judged by how much would vanish, where there is something.
    let is_empty = || ledger.feed(&request.feed.name).map_or(true, |feed| feed.records.is_empty());
    if documents == 0 && (matches!(request.mode, IngestMode::Merge) || is_empty()) {
        let what = "nothing to take in: the input holds no document";
        return Err(EngineError::new(ErrorCode::Invalid, what)
            .hint("check the path; documents end in .json, .jsonl, .xml or .spdx, or are in a .tar or .zip"));
    }
    let ingest = ingest.map_or_else(begin, Ok)?;
    let summary = if request.dry_run { ingest.preview()? } else { ingest.commit()? };
    let (feed, dry_run) = (request.feed.name.clone(), request.dry_run);
    Ok(IngestReport { feed, dry_run, feed_changes, summary })
}

/// Which statements on a feed, legal ones among them, an ingest replaces by others.
fn feed_changes(ledger: &dyn Ledger, spec: &FeedSpec) -> Vec<String> {
    let Ok(held) = ledger.feed(&spec.name) else { return Vec::new() };
    let answer =
        |allowed: Option<bool>| allowed.map(|yes| (if yes { "yes" } else { "no" }).to_owned());
    let statements = [
        ("licence", held.licence, spec.licence.clone()),
        ("publisher", held.publisher, spec.publisher.clone()),
        ("attribution", held.attribution, spec.attribution.clone()),
        ("redistribution", answer(held.redistribution), answer(spec.redistribution)),
    ];
    let changed = statements.into_iter().filter_map(|(what, before, now)| {
        let (before, now) = (before?, now?);
        (before != now).then(|| format!("{what} of feed {}: {before} becomes {now}", spec.name))
    });
    changed.collect()
}

/// A bundle is taken for evidence by mistake: it holds records of many feeds, signed as a whole.
fn refuse_bundle(path: &Path) -> Result<(), EngineError> {
    // What is no file and no folder may give its bytes only once.
    let is_there = std::fs::metadata(path).is_ok_and(|found| found.is_file() || found.is_dir());
    if !is_there || ReadBundle::open(path).is_err() {
        return Ok(());
    }
    let shown = path.display();
    Err(EngineError::new(ErrorCode::Usage, format!("{shown} is a bundle, not evidence"))
        .hint("there is no import yet: stella export verify checks it, stella export cat reads it"))
}

fn first_update() -> StageUpdate {
    StageUpdate {
        stage: Stage::Ingest,
        done: 0,
        total: None,
        bytes: 0,
        unit: "documents",
        finished: None,
    }
}

/// What a document became.
enum Outcome {
    Prepared(PreparedDocument),
    Companion,
    Ignored,
    Quarantined { document: Quarantined, read_error: bool },
}

/// An outcome with its share of the budget, which ends when it is written.
struct Item<'a> {
    outcome: Outcome,
    received: u64,
    _admission: Option<Admission<'a>>,
}

/// The assembly line from inputs to the writer.
struct Line<'a> {
    spool: PathBuf,
    threads: usize,
    cancel: &'a Cancel,
}

impl Line<'_> {
    fn run(&self, inputs: Vec<Input>, writer: &mut Writer<'_>) -> Result<(), EngineError> {
        let budget = Budget::new(BYTES_IN_FLIGHT);
        std::thread::scope(|scope| {
            let (documents, to_recognise) = bounded::<(Document, Admission<'_>)>(QUEUE);
            let (outcomes, to_write) = bounded::<Item<'_>>(QUEUE);
            for _ in 0..self.threads {
                let (to_recognise, outcomes) = (to_recognise.clone(), outcomes.clone());
                scope.spawn(move || recognise_all(&to_recognise, &outcomes));
            }
            drop(to_recognise);
            let budget = &budget;
            let walking = scope.spawn(move || self.walk(inputs, budget, &documents, &outcomes));
            let written = writer.write_all(&to_write);
            // When writing failed, the receiver is gone and the other threads end.
            drop(to_write);
            let walked = walking
                .join()
                .map_err(|_| EngineError::new(ErrorCode::Internal, "reading the input panicked"))?;
            written?;
            walked.map_err(EngineError::from)
        })
    }

    fn walk<'b>(
        &self,
        inputs: Vec<Input>,
        budget: &'b Budget,
        documents: &Sender<(Document, Admission<'b>)>,
        outcomes: &Sender<Item<'b>>,
    ) -> Result<(), SourceError> {
        let options =
            Options { limits: LIMITS, by_name: &class, spool_dir: Some(self.spool.clone()) };
        walk(inputs, &options, &mut |event| {
            let open = match event {
                Event::Document(document) => {
                    let admission = budget.admit(document.bytes.len() as u64);
                    documents.send((document, admission)).is_ok()
                }
                other => outcomes.send(Item::of(without_document(other))).is_ok(),
            };
            match open && !self.cancel.is_set() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })
        .map(|_| ())
    }
}

impl Item<'_> {
    fn of(outcome: Outcome) -> Self {
        Item { outcome, received: 0, _admission: None }
    }
}

/// What a file is by its name.
pub(crate) fn class(name: &str) -> Class {
    match by_name(name) {
        NameClass::Document => Class::Document,
        NameClass::Companion => Class::Companion,
        NameClass::Ignored => Class::Ignored,
    }
}

/// What becomes of an event that is no document.
fn without_document(event: Event) -> Outcome {
    match event {
        Event::Skipped { class: Class::Companion, .. } => Outcome::Companion,
        Event::Skipped { .. } | Event::Document(_) => Outcome::Ignored,
        Event::Rejected(rejected) => Outcome::Quarantined {
            read_error: rejected.reason.is_read_error(),
            document: Quarantined {
                path: rejected.path,
                reason: rejected.reason.as_str().to_owned(),
                offset: rejected.offset,
                detail: rejected.detail,
            },
        },
    }
}

fn recognise_all<'b>(documents: &Receiver<(Document, Admission<'b>)>, outcomes: &Sender<Item<'b>>) {
    for (document, admission) in documents {
        let received = document.bytes.len() as u64;
        let outcome = outcome(document);
        if outcomes.send(Item { outcome, received, _admission: Some(admission) }).is_err() {
            return;
        }
    }
}

fn outcome(document: Document) -> Outcome {
    // The walk has looked at the name where it lies; here only the content counts.
    match recognise("", &document.bytes, &LIMITS) {
        Ok(Recognised::Records(drafts)) => {
            Outcome::Prepared(prepare(document.path, &document.bytes, drafts))
        }
        Ok(Recognised::Companion) => Outcome::Companion,
        Ok(Recognised::Ignored) => Outcome::Ignored,
        Err(rejection) => Outcome::Quarantined {
            read_error: false,
            document: Quarantined {
                path: document.path,
                reason: rejection.reason.as_str().to_owned(),
                // Counted within the container, where the document was cut from one.
                offset: rejection
                    .offset
                    .map(|offset| offset + document.offset.unwrap_or(0))
                    .or(document.offset),
                detail: rejection.detail,
            },
        },
    }
}

/// The end of the line.
struct Writer<'a> {
    begin: &'a dyn Fn() -> Result<Box<dyn Ingest>, LedgerError>,
    /// Begun with the first item: it keeps other writers away, and input may be long in coming.
    ingest: Option<Box<dyn Ingest>>,
    update: StageUpdate,
    /// Those that were read, accepted or not.
    documents: u64,
    progress: &'a dyn Progress,
}

impl Writer<'_> {
    fn write_all(&mut self, items: &Receiver<Item<'_>>) -> Result<(), EngineError> {
        for item in items {
            let is_document = !matches!(item.outcome, Outcome::Companion | Outcome::Ignored);
            self.documents += u64::from(is_document);
            let ingest = match &mut self.ingest {
                Some(ingest) => ingest,
                none => none.insert((self.begin)()?),
            };
            match item.outcome {
                Outcome::Prepared(document) => ingest.put(&document)?,
                Outcome::Companion => ingest.count_companion(),
                Outcome::Ignored => ingest.count_ignored(),
                Outcome::Quarantined { document, read_error: false } => {
                    ingest.quarantine(&document)?;
                }
                Outcome::Quarantined { document, read_error: true } => {
                    ingest.read_error(&document)?;
                }
            }
            self.update.done += 1;
            self.update.bytes += item.received;
            self.progress.update(&self.update);
        }
        Ok(())
    }
}
