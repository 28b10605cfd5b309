//! Flags that every command takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::values;

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    // Not clap's own reading of variables: usage lines would tell them as if they had been typed.
    /// Data folder: ledger, parts, keys, trusted keys [env: STELLA_STORE] [default: stella in the XDG data folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,

    /// Work against this server instead of the store [env: STELLA_SERVER; the token: STELLA_TOKEN]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,

    /// Work on the store of this machine, whatever server was logged in at
    #[arg(long, global = true, conflicts_with = "server")]
    pub(crate) local: bool,

    /// Form of the result on standard output
    #[arg(
        short = 'o',
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value = "table",
        env = "STELLA_OUTPUT",
        hide_env_values = true
    )]
    pub(crate) output: Format,

    /// Leave out the header line of tables
    #[arg(long, global = true)]
    pub(crate) no_headers: bool,

    /// How progress is told on standard error
    #[arg(long, global = true, value_enum, value_name = "MODE", default_value = "auto")]
    pub(crate) progress: ProgressMode,

    /// Tell nothing but the result, warnings and errors
    #[arg(short = 'q', long, global = true)]
    pub(crate) quiet: bool,

    /// Tell more
    #[arg(short = 'v', long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,

    /// When to use colour; NO_COLOR, CLICOLOR_FORCE and TERM=dumb count in auto
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,

    /// Worker threads [default: one per processor]
    #[arg(long, global = true, value_name = "N", value_parser = values::threads)]
    pub(crate) threads: Option<usize>,

    /// Answer yes to every question
    #[arg(short = 'y', long, global = true)]
    pub(crate) yes: bool,

    /// Stop after this time, such as 90s, 15m or 2h (exit 124)
    #[arg(long, global = true, value_name = "TIME", value_parser = values::age)]
    pub(crate) timeout: Option<Duration>,
}

/// Forms of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// More columns for people
    Wide,
    /// One JSON document with apiVersion
    Json,
    /// The same as YAML
    Yaml,
    /// One JSON value a line
    Jsonl,
    /// Names only, one a line
    Name,
    /// Identities only (digests, record ids), one a line
    Id,
}

/// How progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// tty on a terminal, else plain
    Auto,
    /// A live line per stage
    Tty,
    /// A line per change of stage and at most one every 10 seconds
    Plain,
    /// JSON lines
    Json,
    /// Nothing
    None,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal that can show it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
