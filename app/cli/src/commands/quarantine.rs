//! `quarantine`: documents that were rejected, with place and reason.

use serde_json::Value;
use stella_ledger::QuarantineFilter;
use stella_model::ErrorCode;
use stella_model::screen::Safe;
use stella_records::RejectReason;

use super::feeds::engine;
use super::{Exit, service, value};
use crate::args::QuarantineCommand;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table};

/// Runs a verb of `quarantine`.
pub(crate) fn run(command: QuarantineCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        QuarantineCommand::List { feed, reason, limit } => {
            list(&QuarantineFilter { feed, reason, after: 0, limit }, context)?;
        }
        QuarantineCommand::Show { number } => show(number, context)?,
    }
    Ok(Exit::Done)
}

fn list(filter: &QuarantineFilter, context: &Context) -> Result<(), Failure> {
    let entries = match service::server(context)? {
        Some(client) => service::evidence::quarantine(&client, filter)?,
        None => held(filter, context)?,
    };
    if let (Some(reason), true) = (&filter.reason, entries.is_empty()) {
        nothing_for(reason)?;
    }
    let mut table = Table::new([
        Column::new("NUMBER").right(),
        Column::new("FEED"),
        Column::new("REASON"),
        Column::new("PLACE").shrinks_at_start(),
        Column::new("OFFSET").right(),
        Column::new("DETAIL").shrinks(),
        Column::new("SEEN").wide().time(),
    ]);
    for entry in &entries {
        let text = |member: &str| entry[member].as_str().unwrap_or_default();
        let number = |member: &str| entry[member].as_u64().map(|n| n.to_string());
        table.row([
            number("number").unwrap_or_default().into(),
            text("feed").into(),
            text("reason").into(),
            text("path").into(),
            number("offset").unwrap_or_default().into(),
            text("detail").into(),
            text("at").into(),
        ]);
    }
    let is_empty = entries.is_empty();
    let items = entries.into_iter().map(item).collect();
    context.print(&Page::list("QuarantineList", items).table(table))?;
    if is_empty {
        context.hint("Nothing was rejected.");
    }
    Ok(())
}

/// What the store of this machine rejected.
fn held(filter: &QuarantineFilter, context: &Context) -> Result<Vec<Value>, Failure> {
    let ledger = context.store.ledger()?;
    if let Some(feed) = &filter.feed {
        // An unknown feed is a mistake, not an empty list.
        ledger.feed(feed).map_err(engine)?;
    }
    ledger.quarantine(filter).map_err(engine)?.iter().map(value).collect()
}

/// Nothing was rejected for the reason: fine if there is such a reason, else a mistake.
fn nothing_for(reason: &str) -> Result<(), Failure> {
    if RejectReason::parse(reason).is_some() {
        return Ok(());
    }
    let what = format!("no document was rejected with the reason {reason}");
    let all: Vec<&str> = RejectReason::ALL.iter().map(|reason| reason.as_str()).collect();
    Err(Failure::new(ErrorCode::NotFound, what)
        .hint(format!("reasons of documents: {}", all.join(", "))))
}

fn show(number: u64, context: &Context) -> Result<(), Failure> {
    service::refuse_server("quarantine show", context)?;
    let entry = context.store.ledger()?.quarantine_entry(number).map_err(engine)?;
    let offset = entry.document.offset.map(|offset| offset.to_string());
    let text = format!(
        "Rejected document {}\n  feed    {}\n  place   {}\n  reason  {}\n  offset  {}\n  detail  {}\n  seen    {}",
        entry.number,
        entry.feed,
        Safe(&entry.document.path),
        Safe(&entry.document.reason),
        offset.as_deref().unwrap_or("-"),
        Safe(&entry.document.detail),
        entry.at,
    );
    context.print(&Page::one("QuarantineEntry", item(value(&entry)?)).text(text))
}

fn item(entry: Value) -> Item {
    let name = entry["path"].as_str().unwrap_or_default().to_owned();
    Item { name, id: entry["number"].to_string(), value: entry }
}
