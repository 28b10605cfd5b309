//! `ingest`: evidence into a feed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use stella_engine::{IngestReport, IngestRequest};
use stella_ledger::{FeedSpec, IngestMode};
use stella_model::screen::Safe;
use stella_model::{ErrorCode, FeedName};

use super::{Exit, value};
use crate::args::{IngestArgs, YesNo};
use crate::clock;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Item, Page, human};

/// Takes the evidence in and prints what came of it.
pub(crate) fn run(args: IngestArgs, context: &Context) -> Result<Exit, Failure> {
    let is_strict = args.strict;
    let request = request(args, context);
    context.expect_input(&request.paths);
    let report = context.work(|progress, cancel| {
        stella_engine::ingest(&context.store, &request, progress, cancel)
    })?;
    let item = Item {
        name: report.feed.to_string(),
        id: report.summary.seq_to.to_string(),
        value: value(&report)?,
    };
    context.print(&Page::one("Ingest", item).text(screen(&report, held(&report, context))))?;
    for change in &report.feed_changes {
        context.warn(change);
    }
    warn_of_quarantine(&report, context);
    judge(&report, is_strict)
}

fn request(args: IngestArgs, context: &Context) -> IngestRequest {
    let mode = if args.replace {
        let accept = args.reason.filter(|_| args.accept_drop);
        IngestMode::Replace { max_drop_percent: args.max_drop, accept }
    } else {
        IngestMode::Merge
    };
    IngestRequest {
        feed: FeedSpec {
            name: args.feed,
            publisher: args.publisher,
            licence: args.licence,
            attribution: args.attribution,
            redistribution: args.redistribution.map(|answer| answer == YesNo::Yes),
        },
        paths: args.paths,
        mode,
        threads: context.threads(),
        dry_run: args.dry_run,
        now: clock::now(),
    }
}

/// Records that the feed holds now; not told of a trial.
fn held(report: &IngestReport, context: &Context) -> Option<u64> {
    let feed = (!report.dry_run).then(|| context.store.ledger().ok()?.feed(&report.feed).ok());
    Some(feed??.records.values().sum())
}

fn screen(report: &IngestReport, held: Option<u64>) -> String {
    let summary = &report.summary;
    let records: u64 = summary.records.values().sum();
    let mut text = format!("Input for feed {}: {}", report.feed, human::counted(records, "record"));
    let kinds: Vec<String> =
        summary.records.iter().map(|(kind, n)| format!("{} {kind}", human::count(*n))).collect();
    if !kinds.is_empty() {
        let _ = write!(text, " ({})", kinds.join(", "));
    }
    if let Some(held) = held {
        let _ = write!(text, "; the feed holds {}", human::count(held));
    }
    let changes = [
        ("added", summary.added),
        ("updated", summary.updated),
        ("unchanged", summary.unchanged),
        ("older", summary.older),
        ("vanished", summary.vanished),
        ("blocked", summary.blocked),
    ];
    let _ = write!(text, "\n  records    {}", counts(&changes));
    let read = [
        ("read", summary.documents),
        ("repeated", summary.repeated),
        ("companions", summary.companions),
        ("ignored", summary.ignored),
        ("rejected", summary.quarantined.values().sum()),
    ];
    let _ = write!(text, "\n  documents  {}, {}", counts(&read), human::bytes(summary.bytes));
    let outcome = match (report.dry_run, summary.changed()) {
        (true, _) => "a trial: nothing was stored".to_owned(),
        (false, false) => format!("nothing changed, sequence {}", summary.seq_to),
        (false, true) => format!("stored as sequence {}", summary.seq_to),
    };
    let _ = write!(text, "\n  outcome    {outcome}");
    text
}

/// The counts that are not zero; the first is always told.
fn counts(counts: &[(&str, u64)]) -> String {
    let told = counts.iter().enumerate().filter(|(i, (_, count))| *i == 0 || *count > 0);
    told.map(|(_, (name, count))| format!("{} {name}", human::count(*count)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn warn_of_quarantine(report: &IngestReport, context: &Context) {
    let quarantined = &report.summary.quarantined;
    if quarantined.is_empty() {
        return;
    }
    let total = human::counted(quarantined.values().sum(), "document");
    context.warn(&format!("{total} rejected: {}", reasons(quarantined)));
    if !report.dry_run {
        context.note(&format!("See each:  stella quarantine list --feed {}", report.feed));
    }
}

fn reasons(quarantined: &BTreeMap<String, u64>) -> String {
    let one =
        |(reason, count): (&String, &u64)| format!("{} {}", human::count(*count), Safe(reason));
    quarantined.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Where rejected documents are listed.
pub(crate) fn where_rejected(feed: &FeedName, is_dry: bool) -> String {
    let list = format!("stella quarantine list --feed {feed} shows each with its reason");
    if is_dry { format!("without --dry-run they are kept: {list}") } else { list }
}

/// 0 if anything was accepted, 2 if every document was rejected, or any under `--strict`.
fn judge(report: &IngestReport, is_strict: bool) -> Result<Exit, Failure> {
    let hint = where_rejected(&report.feed, report.dry_run);
    if report.all_rejected() {
        let failure = Failure::new(ErrorCode::Rejected, "every document was rejected");
        return Err(failure.hint(hint));
    }
    if is_strict && !report.summary.quarantined.is_empty() {
        let what = "documents were rejected, which --strict does not allow; the others are stored";
        return Err(Failure::new(ErrorCode::Rejected, what).hint(hint));
    }
    Ok(Exit::Done)
}
