//! `export plan`: what a run would do.

use std::time::Duration;

use stella_engine::{Change, PlanReport, PlannedSet};

use super::super::{Exit, value};
use super::request::request;
use crate::args::PlanArgs;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table, human};

/// Plans and prints. Writes nothing, so the exit code is 0 even if the run would fail.
pub(crate) fn run(args: PlanArgs, context: &Context) -> Result<Exit, Failure> {
    let request = request(&args.profile, args.scope, args.select, context);
    let report = context
        .work(|progress, cancel| stella_engine::plan(&context.store, &request, progress, cancel))?;
    for warning in &report.warnings {
        context.warn(warning);
    }
    for broken in &report.broken_floors {
        context.warn(&format!("this run would fail: {broken}"));
    }
    let item = Item {
        name: report.plan.profile.name.clone(),
        id: report.plan_hash.to_string(),
        value: value(&report)?,
    };
    let mut page = Page::one("Plan", item).table(table(&report));
    if !report.outputs.is_empty() {
        page = page.text("").table(outputs(&report));
    }
    context.print(&page.text(totals(&report)))?;
    Ok(Exit::Done)
}

fn table(report: &PlanReport) -> Table {
    let mut table = Table::new([
        Column::new("KIND"),
        Column::new("FEED").shrinks(),
        Column::new("RECORDS").right(),
        Column::new("SIZE").right(),
        Column::new("PARTS").right(),
        Column::new("REUSED").right(),
        Column::new("SINCE LAST RUN"),
    ]);
    for set in &report.sets {
        table.row([
            set.set.kind.as_str().into(),
            set.set.feed.as_str().into(),
            human::count(set.records).into(),
            human::bytes(set.bytes).into(),
            human::count(set.parts).into(),
            human::count(set.reusable_parts).into(),
            change(set).into(),
        ]);
    }
    table
}

/// What would be made of the records.
fn outputs(report: &PlanReport) -> Table {
    let mut table = Table::new([
        Column::new("OUTPUT"),
        Column::new("RECORDS").right(),
        Column::new("MADE OF").right(),
        Column::new("REUSED"),
    ]);
    for output in &report.outputs {
        let reused = output
            .kept_bytes
            .map_or_else(|| "no".to_owned(), |bytes| format!("yes, {}", human::bytes(bytes)));
        table.row([
            output.adapter.as_str().into(),
            human::count(output.records).into(),
            human::bytes(output.source_bytes).into(),
            reused.into(),
        ]);
    }
    table
}

fn change(set: &PlannedSet) -> String {
    match set.change {
        Change::New => "new".to_owned(),
        Change::Unchanged => "unchanged".to_owned(),
        Change::Changed { counts: Some(counts), .. } => {
            let told =
                [(counts.added, "added"), (counts.changed, "changed"), (counts.removed, "removed")];
            let told = told.iter().filter(|(count, _)| *count > 0);
            let told = told.map(|(count, what)| format!("{} {what}", human::count(*count)));
            told.collect::<Vec<_>>().join(", ")
        }
        // How many were added and removed is not known, only what is left of it.
        Change::Changed { records, counts: None } => {
            let sign = if records < 0 { '-' } else { '+' };
            format!("changed, net {sign}{}", human::count(records.unsigned_abs()))
        }
    }
}

fn totals(report: &PlanReport) -> String {
    let plan = &report.plan;
    let basis = match &report.last_run {
        Some(run) => format!("from the last run, of {}", run.finished),
        None => "from usual figures, as there was no run yet".to_owned(),
    };
    let policy = match &plan.policy {
        Some(policy) => format!("   policy {}", policy.policy_version),
        None => String::new(),
    };
    let estimate = &report.estimate;
    format!(
        "\n{}, {} before compression, {} ({} reused)\n\
         About {} of bundle, {} of free disk, {}\n\
         Estimated {basis}\n\
         asOf {}   redaction {}{policy}\n\
         plan {}\n\
         Nothing was written.",
        human::counted(report.records, "record"),
        human::bytes(report.uncompressed_bytes),
        human::counted(report.parts, "part"),
        human::count(report.reusable_parts),
        human::bytes(estimate.bundle_bytes),
        human::bytes(estimate.disk_bytes),
        human::duration(Duration::from_millis(estimate.duration_ms)),
        plan.as_of,
        plan.redaction.name,
        report.plan_hash,
    )
}
