//! `export plan`: what a run would do, here or at a server.

use std::time::Duration;

use serde_json::Value;
use stella_model::screen::Safe;

use super::super::report::{list, number, text};
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
    show(value(&report)?, context)
}

/// Prints the report of a plan, which a server and the engine make alike.
pub(crate) fn show(report: Value, context: &Context) -> Result<Exit, Failure> {
    for warning in list(&report, "warnings") {
        context.warn(warning.as_str().unwrap_or_default());
    }
    for broken in list(&report, "brokenFloors") {
        context.warn(&format!("this run would fail: {}", broken.as_str().unwrap_or_default()));
    }
    let (table, totals) = (table(&report), totals(&report));
    let outputs = (!list(&report, "outputs").is_empty()).then(|| outputs(&report));
    let (name, id) = (text(&report["plan"]["profile"], "name"), text(&report, "planHash"));
    let mut page = Page::one("Plan", Item { name, id, value: report }).table(table);
    if let Some(outputs) = outputs {
        page = page.text("").table(outputs);
    }
    context.print(&page.text(totals))?;
    Ok(Exit::Done)
}

fn table(report: &Value) -> Table {
    let mut table = Table::new([
        Column::new("KIND"),
        Column::new("FEED").shrinks(),
        Column::new("RECORDS").right(),
        Column::new("SIZE").right(),
        Column::new("PARTS").right(),
        Column::new("REUSED").right(),
        Column::new("SINCE LAST RUN"),
    ]);
    for set in list(report, "sets") {
        table.row([
            text(set, "kind").into(),
            text(set, "feed").into(),
            human::count(number(set, "records")).into(),
            human::bytes(number(set, "bytes")).into(),
            human::count(number(set, "parts")).into(),
            human::count(number(set, "reusableParts")).into(),
            change(&set["change"]).into(),
        ]);
    }
    table
}

/// What would be made of the records.
fn outputs(report: &Value) -> Table {
    let mut table = Table::new([
        Column::new("OUTPUT"),
        Column::new("RECORDS").right(),
        Column::new("MADE OF").right(),
        Column::new("REUSED"),
    ]);
    for output in list(report, "outputs") {
        let reused = output["keptBytes"]
            .as_u64()
            .map_or_else(|| "no".to_owned(), |bytes| format!("yes, {}", human::bytes(bytes)));
        table.row([
            text(output, "adapter").into(),
            human::count(number(output, "records")).into(),
            human::bytes(number(output, "sourceBytes")).into(),
            reused.into(),
        ]);
    }
    table
}

/// `new`, `unchanged`, or what became of the records of a set.
fn change(change: &Value) -> String {
    let changed = &change["changed"];
    if changed["added"].is_u64() {
        let told = ["added", "changed", "removed"].map(|what| (number(changed, what), what));
        let told = told.iter().filter(|(count, _)| *count > 0);
        let told = told.map(|(count, what)| format!("{} {what}", human::count(*count)));
        return told.collect::<Vec<_>>().join(", ");
    }
    match changed["records"].as_i64() {
        // How many were added and removed is not known, only what is left of it.
        Some(records) => {
            let sign = if records < 0 { '-' } else { '+' };
            format!("changed, net {sign}{}", human::count(records.unsigned_abs()))
        }
        None => Safe(change.as_str().unwrap_or_default()).to_string(),
    }
}

fn totals(report: &Value) -> String {
    let (plan, estimate) = (&report["plan"], &report["estimate"]);
    let basis = match report["lastRun"]["finished"].as_str() {
        Some(finished) => format!("from the last run, of {}", Safe(finished)),
        None => "from usual figures, as there was no run yet".to_owned(),
    };
    let policy = match plan["policy"]["policyVersion"].as_str() {
        Some(version) => format!("   policy {}", Safe(version)),
        None => String::new(),
    };
    format!(
        "\n{}, {} before compression, {} ({} reused)\n\
         About {} of bundle, {} of free disk, {}\n\
         Estimated {basis}\n\
         asOf {}   redaction {}{policy}\n\
         plan {}\n\
         Nothing was written.",
        human::counted(number(report, "records"), "record"),
        human::bytes(number(report, "uncompressedBytes")),
        human::counted(number(report, "parts"), "part"),
        human::count(number(report, "reusableParts")),
        human::bytes(number(estimate, "bundleBytes")),
        human::bytes(number(estimate, "diskBytes")),
        human::duration(Duration::from_millis(number(estimate, "durationMs"))),
        text(plan, "asOf"),
        text(&plan["redaction"], "name"),
        text(report, "planHash"),
    )
}
