//! Verbs that need a server: `export status`, `watch`, `cancel`, `retry`, `download`; `auth`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use stella_run::Status;

use super::Carrier;

/// Verbs of `auth`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Remember a server and a token of it, and work with it from now on
    Login(LoginArgs),
    /// Forget a server
    Logout {
        /// The name it was given [default: the current one]
        name: Option<String>,
    },
    /// List the servers that are remembered
    #[command(visible_alias = "ls")]
    List,
    /// Work with another server that is remembered, or with none
    Use {
        /// The name it was given
        #[arg(required_unless_present = "none")]
        name: Option<String>,
        /// Work with the store of this machine again
        #[arg(long, conflicts_with = "name")]
        none: bool,
    },
    /// Say who the server takes this person for
    Whoami,
    /// Say whether the token has a scope (exit 4 if not)
    CanI {
        /// A scope such as export:run
        scope: String,
    },
}

/// Arguments of `auth login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// A name for the server
    #[arg(default_value = "default")]
    pub(crate) name: String,
    /// File with the token on its first line [else STELLA_TOKEN, else standard input]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// A run of a server.
#[derive(Debug, Args)]
pub(crate) struct RunId {
    /// The run, such as r-17
    pub(crate) run: String,
}

/// Arguments of `export status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The run, such as r-17; without one, runs are listed, the newest first
    pub(crate) run: Option<String>,
    /// Only runs of these statuses (repeatable, or separated by commas)
    #[arg(long, value_name = "STATUS", value_delimiter = ',', conflicts_with = "run",
          value_parser = PossibleValuesParser::new(Status::ALL.map(Status::as_str)))]
    pub(crate) status: Vec<String>,
    /// Only runs of this profile
    #[arg(long, value_name = "PROFILE", conflicts_with = "run")]
    pub(crate) profile: Option<String>,
    /// How many runs are listed
    #[arg(long, value_name = "N", default_value = "50", conflicts_with = "run",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

/// Arguments of `export cancel`.
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The run, such as r-17
    pub(crate) run: String,
    /// End it at once, whatever its workers do
    #[arg(long)]
    pub(crate) force: bool,
}

/// Arguments of `export retry`.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The run, such as r-17
    pub(crate) run: String,
    /// Tell what happens until it ends
    #[arg(long)]
    pub(crate) watch: bool,
}

/// Arguments of `export download`.
#[derive(Debug, Args)]
#[command(
    after_help = "What broke off goes on at its byte when the command is run again.\n\nExamples:\n  \
                        stella export download r-17 -d out/raw --trusted-key release.pub\n  \
                        stella export download r-17 -d mirror.tar --carrier tar"
)]
pub(crate) struct DownloadArgs {
    /// The run, such as r-17
    pub(crate) run: String,
    /// The bundle itself: a folder, or with --carrier tar a file
    #[arg(short = 'd', long = "dest", value_name = "PATH")]
    pub(crate) dest: PathBuf,
    /// What carries the bundle
    #[arg(long, value_enum, default_value = "dir")]
    pub(crate) carrier: Carrier,
    /// Replace another bundle at the destination
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) trust: DownloadTrust,
    /// Files that are fetched at once
    #[arg(long, value_name = "N", default_value = "4")]
    pub(crate) parallel: u16,
}

/// Whom a bundle that is fetched has to be signed by.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DownloadTrust {
    /// A public key to believe, as PEM (repeatable) [default: the trusted keys of the store]
    #[arg(long = "trusted-key", value_name = "PUB")]
    pub(crate) keys: Vec<PathBuf>,
    /// Accept a bundle that nobody signed
    #[arg(long)]
    pub(crate) allow_unsigned_for_testing: bool,
}
