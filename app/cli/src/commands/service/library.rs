//! The library of a server: feeds that are for all of its tenants.

use serde_json::{Value, json};
use stella_model::FeedName;
use stella_remote::{Client, RemoteError};

use super::super::feeds::{feed_item, kinds};
use super::super::report::text;
use super::{items, needed_since, order, remote};
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table, human};

/// The server that has the library.
fn server(context: &Context) -> Result<Client, Failure> {
    needed_since(
        context,
        "a store of this machine has one tenant and no library: this needs a server",
    )
}

/// `feeds list --library`.
pub(crate) fn list(context: &Context) -> Result<(), Failure> {
    let listed = server(context)?.get("list the library", "/library/feeds").map_err(remote)?;
    let feeds = items(&listed);
    let mut table = Table::new([
        Column::new("FEED"),
        Column::new("RECORDS").right(),
        Column::new("LICENCE").shrinks(),
        Column::new("SUBSCRIBED"),
        Column::new("LAST INGEST").time().spare(),
        Column::new("PUBLISHER").wide().shrinks(),
    ]);
    for feed in feeds {
        table.row([
            text(feed, "name").into(),
            human::count(kinds(feed).iter().map(|(_, records)| records).sum()).into(),
            text(feed, "licence").into(),
            if feed["subscribed"] == Value::Bool(true) { "yes" } else { "no" }.into(),
            text(feed, "lastIngest").into(),
            text(feed, "publisher").into(),
        ]);
    }
    context
        .print(&Page::list("LibraryFeedList", feeds.iter().map(feed_item).collect()).table(table))
}

/// `feeds subscribe`.
pub(crate) fn subscribe(feed: &FeedName, context: &Context) -> Result<(), Failure> {
    change(feed, context, |client, path, key| client.put("subscribe", path, key))?;
    let told =
        format!("Subscribed to feed {feed} of the library: runs from now on have its records");
    tell(feed, &told, json!({ "feed": feed.as_str(), "subscribed": true }), context)
}

/// `feeds unsubscribe`.
pub(crate) fn unsubscribe(feed: &FeedName, context: &Context) -> Result<(), Failure> {
    change(feed, context, |client, path, key| client.delete("unsubscribe", path, key))?;
    let told = format!(
        "Not subscribed to feed {feed} of the library: runs from now on go without its records"
    );
    context.hint("A profile that had many of them needs --accept-drop --reason TEXT once.");
    tell(feed, &told, json!({ "feed": feed.as_str(), "subscribed": false }), context)
}

fn change(
    feed: &FeedName,
    context: &Context,
    send: fn(&Client, &str, &str) -> Result<Value, RemoteError>,
) -> Result<(), Failure> {
    let client = server(context)?;
    let path = format!("/feeds/{feed}/subscription");
    order::change(|key| send(&client, &path, key)).map(drop)
}

fn tell(feed: &FeedName, told: &str, value: Value, context: &Context) -> Result<(), Failure> {
    let item = Item { name: feed.to_string(), id: feed.to_string(), value };
    context.print(&Page::one("Subscription", item).text(told))
}
