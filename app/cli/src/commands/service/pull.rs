//! `feeds pull`: the feeds of a server into the store of this machine.

use stella_engine::{PullPatience, PullReport, PullRequest, PulledAs};
use stella_model::screen::Safe;

use super::super::value;
use crate::args::PullArgs;
use crate::clock;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table, human};

/// Runs it.
pub(crate) fn run(args: PullArgs, context: &Context) -> Result<(), Failure> {
    let client = super::needed(context)?;
    let request = PullRequest {
        feeds: args.feeds,
        whole: args.whole,
        take_over: args.take_over,
        max_drop_percent: args.max_drop,
        accept: args.reason.filter(|_| args.accept_drop),
        threads: context.threads(),
        now: clock::now(),
        patience: PullPatience::default(),
    };
    let report = context.work(|progress, cancel| {
        stella_engine::pull(&context.store, &client, &request, progress, cancel)
    })?;
    let (name, id) = (report.server.clone(), report.sequence.to_string());
    let item = Item { name, id, value: value(&report)? };
    context.print(&Page::one("Pull", item).text(summary(&report)).table(table(&report)))
}

fn summary(report: &PullReport) -> String {
    let feeds = human::counted(report.feeds.len() as u64, "feed");
    let server = Safe(&report.server).to_string();
    let tried = match report.retries {
        0 => String::new(),
        times => format!(", {} asked for again", human::counted(times, "page")),
    };
    format!(
        "{feeds} of {server}, tenant {}, as of its sequence {}\n  came       {} on {}{tried}\n",
        report.tenant,
        report.sequence,
        human::bytes(report.bytes),
        human::counted(report.pages, "page"),
    )
}

fn table(report: &PullReport) -> Table {
    let mut table = Table::new([
        Column::new("FEED"),
        Column::new("ADDED").right(),
        Column::new("UPDATED").right(),
        Column::new("REMOVED").right(),
        Column::new("UNCHANGED").right().spare(),
        Column::new("RECORDS").right(),
        Column::new("SEQUENCE").right(),
        Column::new("PULLED").spare(),
        Column::new("BLOCKED").right().wide(),
    ]);
    for feed in &report.feeds {
        table.row([
            feed.feed.as_str().into(),
            human::count(feed.added).into(),
            human::count(feed.updated).into(),
            human::count(feed.removed).into(),
            human::count(feed.unchanged).into(),
            human::count(feed.records).into(),
            feed.sequence.to_string().into(),
            match feed.pulled {
                PulledAs::Whole => "whole",
                PulledAs::Changes => "changes",
            }
            .into(),
            human::count(feed.blocked).into(),
        ]);
    }
    table
}
