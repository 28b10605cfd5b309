//! `feeds`: what the store holds, and what stays out of it.

use std::fmt::Write as _;

use serde_json::{Value, json};
use stella_engine::EngineError;
use stella_ledger::{Block, LedgerError};
use stella_model::screen::Safe;
use stella_model::{FeedName, SetKey};

use super::report::{number, text};
use super::{Exit, service, value};
use crate::args::{BlockArgs, FeedsCommand, UnblockArgs};
use crate::clock;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table, human};

/// Runs a verb of `feeds`.
pub(crate) fn run(command: FeedsCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        FeedsCommand::List { library: true } => service::library::list(context)?,
        FeedsCommand::List { library: false } => match service::server(context)? {
            Some(client) => service::evidence::feeds(&client, context)?,
            None => list_here(context)?,
        },
        FeedsCommand::Subscribe { feed } => service::library::subscribe(&feed, context)?,
        FeedsCommand::Unsubscribe { feed } => service::library::unsubscribe(&feed, context)?,
        FeedsCommand::Show { feed } => match service::server(context)? {
            Some(client) => service::evidence::feed(&client, &feed, context)?,
            None => show(&feed, context)?,
        },
        FeedsCommand::Pull(args) => service::pull::run(args, context)?,
        FeedsCommand::Block(args) => block(&args, context)?,
        FeedsCommand::Unblock(args) => unblock(&args, context)?,
        FeedsCommand::Remove { feed } => remove(&feed, context)?,
    }
    Ok(Exit::Done)
}

/// An error of the ledger as the engine tells it.
pub(super) fn engine(error: LedgerError) -> Failure {
    EngineError::from(error).into()
}

/// The feeds of this store.
fn list_here(context: &Context) -> Result<(), Failure> {
    let feeds = context.store.ledger()?.feeds().map_err(engine)?;
    let feeds: Vec<Value> = feeds.iter().map(value).collect::<Result<_, _>>()?;
    context.print(&list(&feeds))
}

/// Feeds as the engine and servers tell of them, one row a kind.
pub(super) fn list(feeds: &[Value]) -> Page {
    let mut table = Table::new([
        Column::new("FEED"),
        Column::new("KIND"),
        Column::new("RECORDS").right(),
        Column::new("LICENCE").shrinks(),
        Column::new("REJECTED").right(),
        Column::new("BLOCKED").right().spare(),
        Column::new("LAST INGEST").time().spare(),
        Column::new("PUBLISHER").wide().shrinks(),
        Column::new("PASS ON").wide(),
        Column::new("OWNER").wide(),
    ]);
    for feed in feeds {
        let mut kinds = kinds(feed);
        if kinds.is_empty() {
            // A feed without records has one row all the same.
            kinds.push((String::new(), 0));
        }
        for (kind, records) in kinds {
            table.row([
                text(feed, "name").into(),
                kind.into(),
                human::count(records).into(),
                text(feed, "licence").into(),
                human::count(number(feed, "quarantined")).into(),
                human::count(number(feed, "blocked")).into(),
                text(feed, "lastIngest").into(),
                text(feed, "publisher").into(),
                passed_on(feed["redistribution"].as_bool()).into(),
                if feed["library"] == Value::Bool(true) { "library" } else { "tenant" }.into(),
            ]);
        }
    }
    Page::list("FeedList", feeds.iter().map(feed_item).collect()).table(table)
}

/// A feed of a list, or of an answer.
pub(super) fn feed_item(feed: &Value) -> Item {
    let name = feed["name"].as_str().unwrap_or_default().to_owned();
    Item { id: name.clone(), name, value: feed.clone() }
}

/// How many records a feed has of each kind.
pub(super) fn kinds(feed: &Value) -> Vec<(String, u64)> {
    let kinds = feed["records"].as_object().into_iter().flatten();
    kinds.map(|(kind, n)| (Safe(kind).to_string(), n.as_u64().unwrap_or(0))).collect()
}

fn passed_on(redistribution: Option<bool>) -> &'static str {
    match redistribution {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not told",
    }
}

fn show(name: &FeedName, context: &Context) -> Result<(), Failure> {
    let ledger = context.store.ledger()?;
    let feed = ledger.feed(name).map_err(engine)?;
    let blocks = ledger.blocks(name).map_err(engine)?;
    let mut json = value(&feed)?;
    let told = summary(&json);
    json["blocks"] = json!(blocks.iter().map(block_value).collect::<Vec<_>>());
    let item = Item { name: feed.name.to_string(), id: feed.name.to_string(), value: json };
    let mut page = Page::one("Feed", item).text(told);
    if !blocks.is_empty() {
        page = page.text("").table(block_table(&blocks));
    }
    context.print(&page)
}

/// What is told of a feed, of this store or of a server, but for its blocked ids.
pub(super) fn summary(feed: &Value) -> String {
    let told = |member: &str, otherwise: &str| {
        Safe(feed[member].as_str().unwrap_or(otherwise)).to_string()
    };
    let records = kinds(feed).into_iter();
    let records: Vec<String> =
        records.map(|(kind, n)| format!("{} {kind}", human::count(n))).collect();
    let mut text = format!(
        "Feed {}\n  publisher    {}\n  licence      {}\n  attribution  {}\n  pass on      {}\n  \
         records      {}\n  rejected     {}\n  last ingest  {}\n  blocked      {}",
        told("name", ""),
        told("publisher", "not told"),
        told("licence", "not told"),
        told("attribution", "not told"),
        passed_on(feed["redistribution"].as_bool()),
        if records.is_empty() { "none".to_owned() } else { records.join(", ") },
        human::count(number(feed, "quarantined")),
        told("lastIngest", "never"),
        human::count(number(feed, "blocked")),
    );
    if feed["library"] == Value::Bool(true) {
        text.push_str("\n  owner        the library");
    }
    if feed["origin"].is_object() {
        let _ = write!(text, "\n  pulled from  {}", origin(&feed["origin"]));
    }
    text
}

/// Of which state of another ledger a feed is.
fn origin(origin: &Value) -> String {
    let state = match number(origin, "sequence") {
        0 => "to be pulled whole".to_owned(),
        sequence => format!("sequence {sequence}"),
    };
    format!(
        "ledger {}, epoch {}, tenant {}, {state}",
        text(origin, "ledger"),
        origin["epoch"],
        text(origin, "tenant")
    )
}

fn block_value(block: &Block) -> Value {
    json!({
        "kind": block.set.kind.as_str(),
        "id": block.id.as_str(),
        "reason": block.reason,
        "at": block.at.to_string(),
    })
}

fn block_table(blocks: &[Block]) -> Table {
    let mut table = Table::new([
        Column::new("BLOCKED ID").shrinks(),
        Column::new("KIND"),
        Column::new("SINCE").time(),
        Column::new("REASON").shrinks(),
    ]);
    for block in blocks {
        table.row([
            block.id.as_str().into(),
            block.set.kind.as_str().into(),
            block.at.to_string().into(),
            block.reason.as_str().into(),
        ]);
    }
    table
}

fn block(args: &BlockArgs, context: &Context) -> Result<(), Failure> {
    service::refuse_server("feeds block", context)?;
    let set = SetKey { kind: args.kind.clone(), feed: args.feed.clone() };
    let ledger = context.store.ledger()?;
    let held = ledger.block(&set, &args.id, &args.reason, clock::now()).map_err(engine)?;
    let before = if held { "it was held and is gone now" } else { "it was not held" };
    let id = Safe(args.id.as_str());
    let text = format!("Blocked {set} {id}: {before}, and stays out whatever the feed brings");
    let json = json!({"set": set.to_string(), "id": args.id.as_str(), "reason": args.reason, "held": held});
    let item = Item { name: args.id.to_string(), id: args.id.to_string(), value: json };
    context.print(&Page::one("Block", item).text(text))
}

fn unblock(args: &UnblockArgs, context: &Context) -> Result<(), Failure> {
    service::refuse_server("feeds unblock", context)?;
    let set = SetKey { kind: args.kind.clone(), feed: args.feed.clone() };
    context.store.ledger()?.unblock(&set, &args.id).map_err(engine)?;
    let text = format!(
        "Unblocked {set} {}: the next ingest that brings it takes it in",
        Safe(args.id.as_str())
    );
    let json = json!({"set": set.to_string(), "id": args.id.as_str()});
    let item = Item { name: args.id.to_string(), id: args.id.to_string(), value: json };
    context.print(&Page::one("Unblock", item).text(text))
}

fn remove(name: &FeedName, context: &Context) -> Result<(), Failure> {
    service::refuse_server("feeds remove", context)?;
    let ledger = context.store.ledger()?;
    let held: u64 = ledger.feed(name).map_err(engine)?.records.values().sum();
    let records = human::counted(held, "record");
    context.confirm(&format!("remove the feed {name} with its {records}"))?;
    let removed = ledger.remove_feed(name).map_err(engine)?;
    let text = format!("Removed the feed {name} with {}", human::counted(removed, "record"));
    let json = json!({"feed": name.as_str(), "records": removed});
    let item = Item { name: name.to_string(), id: name.to_string(), value: json };
    context.print(&Page::one("FeedRemoval", item).text(text))
}
