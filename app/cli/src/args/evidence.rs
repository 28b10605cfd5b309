//! `ingest`, `feeds` and `quarantine`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use stella_model::{FeedName, Kind, RecordId};

use super::values;

/// Arguments of `ingest`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stella ingest --feed npm --licence CC-BY-4.0 advisories/\n  \
                  stella ingest --feed npm --replace npm.osv.jsonl.zst\n  \
                  zstd -dc npm.jsonl.zst | stella ingest --feed npm -")]
pub(crate) struct IngestArgs {
    /// Files, folders and archives (.json .jsonl .xml .spdx .zip .tar, each also .zst or .gz); - is standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// The feed that the evidence belongs to
    #[arg(long, value_name = "NAME")]
    pub(crate) feed: FeedName,

    /// Licence of the feed as SPDX expression, such as CC-BY-4.0 or LicenseRef-acme
    #[arg(long, visible_alias = "license", value_name = "SPDX", value_parser = values::licence)]
    pub(crate) licence: Option<String>,

    /// Who must be named when the feed is passed on
    #[arg(long, value_name = "TEXT", value_parser = values::text)]
    pub(crate) attribution: Option<String>,

    /// Who publishes the feed
    #[arg(long, value_name = "TEXT", value_parser = values::text)]
    pub(crate) publisher: Option<String>,

    /// Whether the feed may be passed on to others
    #[arg(long, value_enum, value_name = "yes|no")]
    pub(crate) redistribution: Option<YesNo>,

    /// Make the feed equal to the input: records that are not in it vanish
    #[arg(long)]
    pub(crate) replace: bool,

    /// With --replace: change nothing if more than this share of the feed would vanish
    #[arg(long, value_name = "PERCENT", default_value = "2%", value_parser = stella_engine::percent)]
    pub(crate) max_drop: f64,

    /// With --replace: let more vanish than --max-drop allows; needs --reason
    #[arg(long, requires_all = ["replace", "reason"])]
    pub(crate) accept_drop: bool,

    /// Why so much may vanish; kept with the ingest
    #[arg(long, value_name = "TEXT", requires = "accept_drop", value_parser = values::text)]
    pub(crate) reason: Option<String>,

    /// Exit 2 if any document was rejected
    #[arg(long)]
    pub(crate) strict: bool,

    /// Read and judge everything, store nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Yes or no, where a flag alone would be ambiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesNo {
    /// Allowed
    Yes,
    /// Not allowed
    No,
}

/// Verbs of `feeds`.
#[derive(Debug, Subcommand)]
pub(crate) enum FeedsCommand {
    /// List the feeds with their records
    #[command(visible_alias = "ls")]
    List {
        /// List what the library of the server has for all of its tenants
        #[arg(long)]
        library: bool,
    },
    /// Show one feed: publisher, licence, records, blocked ids
    Show {
        /// The feed
        feed: FeedName,
    },
    /// Keep one id out, whatever the feed brings back
    Block(BlockArgs),
    /// Let a blocked id in again
    Unblock(UnblockArgs),
    /// Pull what changed in the feeds of a server
    Pull(PullArgs),
    /// Read a feed of the library of a server as if it were one's own
    Subscribe {
        /// The feed, as feeds list --library has it
        feed: FeedName,
    },
    /// End a subscription to a feed of the library
    Unsubscribe {
        /// The feed
        feed: FeedName,
    },
    /// Remove a feed with all its records
    Remove {
        /// The feed
        feed: FeedName,
    },
}

/// Arguments of `feeds pull`.
#[derive(Debug, Args)]
#[command(
    after_help = "The server is that of --server or auth login; its token needs the scope ledger:read. What broke \
                  off begins anew when the command is run again; feeds that are done stay.\n\nExamples:\n  \
                  stella feeds pull --server https://export.example\n  \
                  stella feeds pull npm pypi --max-drop 10%"
)]
pub(crate) struct PullArgs {
    /// Only these feeds [default: all of the server]
    pub(crate) feeds: Vec<FeedName>,

    /// Pull all of each feed, not only what changed
    #[arg(long)]
    pub(crate) whole: bool,

    /// Make feeds of this store that were not pulled from the server equal to those of the server
    #[arg(long)]
    pub(crate) take_over: bool,

    /// Change nothing of a feed if more than this share of it would vanish
    #[arg(long, value_name = "PERCENT", default_value = "2%", value_parser = stella_engine::percent)]
    pub(crate) max_drop: f64,

    /// Let more vanish than --max-drop allows; needs --reason
    #[arg(long, requires = "reason")]
    pub(crate) accept_drop: bool,

    /// Why so much may vanish; kept with the ingest
    #[arg(long, value_name = "TEXT", requires = "accept_drop", value_parser = values::text)]
    pub(crate) reason: Option<String>,
}

/// Arguments of `feeds block`.
#[derive(Debug, Args)]
pub(crate) struct BlockArgs {
    /// The feed
    pub(crate) feed: FeedName,
    /// The kind, such as advisory or vex
    pub(crate) kind: Kind,
    /// The record id
    pub(crate) id: RecordId,
    /// Why it stays out; kept with the block
    #[arg(long, value_name = "TEXT", value_parser = values::text)]
    pub(crate) reason: String,
}

/// Arguments of `feeds unblock`.
#[derive(Debug, Args)]
pub(crate) struct UnblockArgs {
    /// The feed
    pub(crate) feed: FeedName,
    /// The kind, such as advisory or vex
    pub(crate) kind: Kind,
    /// The record id
    pub(crate) id: RecordId,
}

/// Verbs of `quarantine`.
#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List rejected documents: feed, place, reason
    #[command(visible_alias = "ls")]
    List {
        /// Only this feed
        #[arg(long, value_name = "NAME")]
        feed: Option<FeedName>,
        /// Only this reason, such as invalid-json
        #[arg(long, value_name = "CODE")]
        reason: Option<String>,
        /// At most this many
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Show one rejected document
    Show {
        /// Its number in the list
        number: u64,
    },
}
