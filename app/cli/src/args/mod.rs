//! The command line as types: `stella [global flags] NOUN VERB [arguments]`.
//!
//! `-d` is always a destination, `-f` always an input document, `-o` always the format. Help texts,
//! man pages and completions are made from these types.

mod evidence;
mod export;
mod global;
mod keys;
mod read;
mod service;
pub(crate) mod values;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(crate) use evidence::{
    BlockArgs, FeedsCommand, IngestArgs, PullArgs, QuarantineCommand, UnblockArgs, YesNo,
};
pub(crate) use export::{
    Carrier, ExportCommand, PlanArgs, ProfileCommand, RunArgs, ScopeArgs, SelectArgs, Severity,
    SigningArgs,
};
pub(crate) use global::{Color, Format, Global, ProgressMode};
pub(crate) use keys::{
    AddCommand, AddedArgs, Algorithm, GenerateArgs, ImportArgs, KeysCommand, PasswordArgs,
    TrustCommand,
};
pub(crate) use read::{
    CatArgs, CoverageArgs, DiffArgs, InspectArgs, ProveArgs, VerifyArgs, VerifyProofArgs,
};
pub(crate) use service::{
    AuthCommand, CancelArgs, DownloadArgs, DownloadTrust, LoginArgs, RetryArgs, RunId, StatusArgs,
};

/// Collect vulnerability evidence, export it as reproducible signed bundles, verify bundles.
#[derive(Debug, Parser)]
#[command(
    name = "stella",
    version,
    about,
    disable_help_subcommand = true,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 bug or I/O, 2 usage or invalid document, 3 not found, 4 not allowed, \
                  5 unreachable, 6 run failed, 7 partial, 8 integrity or signature, 9 conflict or quota, 10 differences found, 11 too old, \
                  15 needs a newer version, 124 timeout, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The nouns.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take evidence into a feed of the store
    Ingest(IngestArgs),
    /// Feeds: what the store holds, and what stays out of it
    #[command(subcommand)]
    Feeds(FeedsCommand),
    /// Documents that were rejected, with the reason
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Plan, make, check and read bundles
    #[command(subcommand)]
    Export(ExportCommand),
    /// Signing keys of the store
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Public keys whose signatures this store believes
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Servers: log in, choose one, see who one is there
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Say what an error code means and what to do
    Explain {
        /// A code such as ERR_EXPORT_NO_KEY; without one, all codes are listed
        code: Option<String>,
    },
    /// Check that this machine and store are fit for work
    Doctor,
    /// Print the completion script of a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    Man {
        /// Folder to write into
        #[arg(short = 'd', long = "dest", value_name = "DIR")]
        dest: PathBuf,
    },
    /// Show the version and what this build reads and writes
    Version,
}
