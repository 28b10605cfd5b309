//! `export-center pull`: what another instance holds, into the ledger of a tenant.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use stella_engine::{
    Cancel, EngineError, Progress, PullPatience, PullReport, PullRequest, StageUpdate, Store, pull,
};
use stella_model::{FeedName, Instant, TenantId};
use stella_remote::{Client, Credentials};

use crate::operator::{entry, find, with_catalog};
use crate::output;
use crate::place::Place;
use crate::service::now;

/// `export-center pull`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Pull {
    #[command(flatten)]
    place: Place,
    /// The other instance, such as https://export.example
    #[arg(long, env = "EXPORT_CENTER_PULL_FROM", value_name = "URL")]
    from: String,
    /// File with a token of the other instance on its first line; it needs the scope ledger:read.
    #[arg(long, env = "EXPORT_CENTER_PULL_TOKEN_FILE", value_name = "FILE")]
    token_file: PathBuf,
    /// The tenant there, where the token belongs to several.
    #[arg(long, value_name = "NAME")]
    from_tenant: Option<TenantId>,
    /// The tenant here.
    #[arg(long, value_name = "NAME", default_value = "local")]
    tenant: TenantId,
    /// Pull all of each feed, not only what changed.
    #[arg(long)]
    whole: bool,
    /// Make feeds that were not pulled from there equal to those of the other instance.
    #[arg(long)]
    take_over: bool,
    /// Change nothing of a feed if more than this share of it would vanish.
    #[arg(long, value_name = "PERCENT", default_value = "2%", value_parser = stella_engine::percent)]
    max_drop: f64,
    /// Let more vanish than --max-drop allows; needs --reason.
    #[arg(long, requires = "reason")]
    accept_drop: bool,
    /// Why so much may vanish; kept with the ingest.
    #[arg(long, value_name = "TEXT", requires = "accept_drop")]
    reason: Option<String>,
    /// Only these feeds.
    #[arg(value_name = "FEED")]
    feeds: Vec<FeedName>,
}

/// Tells what is tried again.
struct Troubles;

impl Progress for Troubles {
    fn update(&self, _: &StageUpdate) {}

    fn trouble(&self, what: &str) {
        eprintln!("{what}");
    }
}

/// Pulls once.
pub(crate) fn run(args: &Pull) -> anyhow::Result<()> {
    let store = Store::at(args.place.dir()?).of_tenant(args.tenant.clone());
    let store = match &args.place.ledger {
        Some(url) => store.with_database(url.as_str()),
        None => store,
    };
    let text = std::fs::read_to_string(&args.token_file)
        .with_context(|| format!("cannot read {}", args.token_file.display()))?;
    let token = text.lines().next().unwrap_or_default().trim().to_owned();
    let tenant = args.from_tenant.as_ref().map(ToString::to_string);
    let client =
        Client::new(&args.from, Credentials { token, tenant }).map_err(EngineError::from)?;
    let request = PullRequest {
        feeds: args.feeds.clone(),
        whole: args.whole,
        take_over: args.take_over,
        max_drop_percent: args.max_drop,
        accept: args.reason.clone().filter(|_| args.accept_drop),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        now: Instant::from_unix_seconds(now().0.div_euclid(1000)).context("no time can be told")?,
        patience: PullPatience::default(),
    };
    // Before anything changes: whatever becomes of this process, it is known who wanted it.
    with_catalog(&args.place, async |catalog| {
        find(catalog, &args.tenant).await?;
        let entry = entry("feed.pull", client.address());
        Ok(catalog.audit(&args.tenant, &entry, now()).await?)
    })?;
    let report = pull(&store, &client, &request, &Troubles, &Cancel::new())?;
    print(&report)
}

fn print(report: &PullReport) -> anyhow::Result<()> {
    output::line(format_args!("{} at sequence {}", report.server, report.sequence))?;
    for feed in &report.feeds {
        output::line(format_args!(
            "{}: {} added, {} updated, {} removed; {} records",
            feed.feed, feed.added, feed.updated, feed.removed, feed.records
        ))?;
    }
    Ok(())
}
