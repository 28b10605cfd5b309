//! `export`: bundles.

mod cat;
mod checks;
mod coverage;
mod dest;
mod diff;
mod inspect;
mod plan;
mod profile;
mod prove;
mod request;
mod run;
mod verify;

use std::path::Path;

use stella_model::ErrorCode;

pub(super) use dest::refuse_inside_bundle_or_store;
pub(super) use plan::show as show_plan;
pub(super) use request::selection;

use super::{Exit, service};
use crate::args::ExportCommand;
use crate::context::Context;
use crate::error::Failure;

/// The file that makes a folder a bundle.
const MANIFEST: &str = "export.json";

/// Refuses the manifest of a bundle where the bundle is meant.
fn is_bundle(path: &Path) -> Result<(), Failure> {
    let is_manifest = path.file_name().is_some_and(|name| name == MANIFEST) && path.is_file();
    if !is_manifest {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).display();
    let message = format!("{} is the manifest of a bundle, not the bundle", path.display());
    Err(Failure::new(ErrorCode::Usage, message)
        .hint(format!("give the folder that holds {MANIFEST}: {folder}")))
}

/// Runs a verb of `export`.
pub(crate) fn run(command: ExportCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        ExportCommand::Plan(args) => match service::server(context)? {
            Some(client) => service::order::plan(&client, *args, context),
            None => plan::run(*args, context),
        },
        ExportCommand::Run(args) => match service::server(context)? {
            Some(client) => service::order::run(&client, *args, context),
            None => run::run(*args, context),
        },
        ExportCommand::Status(args) => service::runs::status(args, context),
        ExportCommand::Watch(args) => service::watch::run(&args.run, context),
        ExportCommand::Cancel(args) => service::runs::cancel(&args, context),
        ExportCommand::Retry(args) => service::runs::retry(&args, context),
        ExportCommand::Download(args) => service::download::run(*args, context),
        ExportCommand::Profile(command) => profile::run(command, context),
        ExportCommand::Verify(args) => verify::run(&args, context),
        ExportCommand::Inspect(args) => inspect::run(&args, context),
        ExportCommand::Coverage(args) => coverage::run(&args, context),
        ExportCommand::Diff(args) => diff::run(&args, context),
        ExportCommand::Cat(args) => cat::run(args, context),
        ExportCommand::Prove(args) => prove::prove(args, context),
        ExportCommand::VerifyProof(args) => prove::verify(args, context),
    }
}
