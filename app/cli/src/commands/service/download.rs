//! `export download`: the bundle of a run of a server.

use std::path::PathBuf;

use stella_engine::{DownloadReport, DownloadRequest};
use stella_model::screen::Safe;
use stella_remote::Client;

use super::super::export::refuse_inside_bundle_or_store;
use super::super::{Exit, value};
use super::{needed, segment};
use crate::args::{Carrier, DownloadArgs, DownloadTrust};
use crate::clock;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Item, Page, human, shell};

/// What is fetched, and where to.
pub(super) struct Fetch {
    pub(super) run: String,
    pub(super) dest: PathBuf,
    pub(super) carrier: Carrier,
    pub(super) replace: bool,
    pub(super) trust: DownloadTrust,
    pub(super) parallel: u16,
}

/// `export download`.
pub(crate) fn run(args: DownloadArgs, context: &Context) -> Result<Exit, Failure> {
    let client = needed(context)?;
    let DownloadArgs { run, dest, carrier, replace, trust, parallel } = args;
    let run = segment("run", &run)?;
    fetch(&client, Fetch { run, dest, carrier, replace, trust, parallel }, context)
}

/// Fetches a bundle and prints what it is.
pub(super) fn fetch(client: &Client, fetch: Fetch, context: &Context) -> Result<Exit, Failure> {
    refuse_inside_bundle_or_store(&fetch.dest, context)?;
    let request = DownloadRequest {
        run: fetch.run,
        dest: fetch.dest,
        carrier: match fetch.carrier {
            Carrier::Dir => stella_engine::Carrier::Dir,
            Carrier::Tar => stella_engine::Carrier::Tar,
        },
        replace: fetch.replace,
        keys: fetch.trust.keys,
        store: &context.store,
        allow_unsigned: fetch.trust.allow_unsigned_for_testing,
        threads: usize::from(fetch.parallel),
        now: clock::now(),
    };
    let report = context
        .work(|progress, cancel| stella_engine::download(client, &request, progress, cancel))?;
    let item = Item {
        name: report.destination.to_string_lossy().into_owned(),
        id: report.export_digest.to_string(),
        value: value(&report)?,
    };
    context.print(&Page::one("Download", item).text(summary(&report)))?;
    let bundle = shell::quote(&report.destination);
    context.hint(&format!("Next:  stella export inspect {bundle}"));
    Ok(Exit::Done)
}

fn summary(report: &DownloadReport) -> String {
    let there = if report.already_there { "  (was there already, unchanged)" } else { "" };
    format!(
        "Bundle {}{there}\n  digest    sha256:{}\n  run       {}\n  size      {}, {} ({} fetched)\n  \
         signed    {}",
        Safe(&report.destination.to_string_lossy()),
        report.export_digest,
        Safe(&report.run),
        human::bytes(report.bytes),
        human::counted(report.files, "file"),
        human::bytes(report.fetched_bytes),
        match &report.signed_by {
            Some(key) => format!("verified, key {}", Safe(key)),
            None => "NOT SIGNED: only for testing".to_owned(),
        },
    )
}
