//! `export`: bundles.

mod cat;
mod checks;
mod diff;
mod inspect;
mod plan;
mod profile;
mod prove;
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
        ExportCommand::Inspect(args) => inspect::run(&args, context),
        ExportCommand::Diff(args) => diff::run(&args, context),
        ExportCommand::Cat(args) => cat::run(args, context),
        ExportCommand::Prove(args) => prove::prove(args, context),
        ExportCommand::VerifyProof(args) => prove::verify(args, context),
    }
}
