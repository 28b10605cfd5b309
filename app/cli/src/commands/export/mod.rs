//! `export`: bundles.

mod plan;
mod profile;
mod request;
mod run;
mod verify;

use super::Exit;
use crate::args::ExportCommand;
use crate::context::Context;
use crate::error::Failure;

/// Runs a verb of `export`.
pub(crate) fn run(command: ExportCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        ExportCommand::Plan(args) => plan::run(args, context),
        ExportCommand::Run(args) => run::run(args, context),
        ExportCommand::Profile(command) => profile::run(command, context),
        ExportCommand::Verify(args) => verify::run(&args, context),
        _ => Err(Failure::new(stella_model::ErrorCode::Internal, "not wired yet")),
    }
}
