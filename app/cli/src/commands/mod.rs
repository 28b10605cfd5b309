//! The commands, one file each: arguments in, one call of the engine, one page out.

mod completion;
mod doctor;
mod explain;
mod export;
mod feeds;
mod files;
mod ingest;
mod keys;
mod man;
mod quarantine;
mod report;
mod service;
mod trust;
mod version;

use stella_model::ErrorCode;

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::error::Failure;

/// How a command that did its work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// As wished.
    Done,
    /// The work is done and its result has a code of its own, such as differences found.
    With(ErrorCode),
}

impl Exit {
    /// The exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::With(code) => code.exit_code(),
        }
    }
}

/// Runs a command.
pub(crate) fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Ingest(args) => match service::server(context)? {
            Some(client) => service::evidence::ingest(&client, args, context),
            None => ingest::run(args, context),
        },
        Command::Feeds(command) => feeds::run(command, context),
        Command::Quarantine(command) => quarantine::run(command, context),
        Command::Export(command) => export::run(command, context),
        Command::Keys(command) => keys::run(command, context),
        Command::Trust(command) => trust::run(command, context),
        Command::Auth(command) => service::auth::run(command, context),
        Command::Explain { code } => explain::run(code.as_deref(), context),
        Command::Completion { shell } => completion::run(shell, context),
        Command::Man { dest } => man::run(&dest, context),
        Command::Version => version::run(context),
        Command::Doctor => doctor::run(context),
    }
}

/// The command line as a value, for help, completions and man pages.
pub(crate) fn command_line() -> clap::Command {
    use clap::CommandFactory as _;
    Cli::command()
}

/// A report of the engine as JSON.
fn value(report: &impl serde::Serialize) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(report).map_err(|error| {
        Failure::new(ErrorCode::Internal, "a result has no JSON form").because(&error)
    })
}
