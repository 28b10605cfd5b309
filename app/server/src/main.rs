//! `export-center`: Export Center as a service, with its workers.
//!
//! The place where implementations are chosen: which database has the catalog and the ledger, where
//! the depot is, who signs.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program of the terminal: what it says at its start is for whoever started it"
)]

mod arguments;
mod bundle;
mod caller;
mod events;
mod order;
mod performer;
mod problem;
mod range;
mod runs;
mod serve;
mod service;

use std::process::ExitCode;

use clap::Parser as _;

/// Where the interface of the service begins.
pub(crate) const BASE: &str = "/api/export/v1";

fn main() -> ExitCode {
    let done = match arguments::Arguments::parse().command {
        arguments::Command::Migrate(place) => serve::migrate(&place),
        arguments::Command::Serve(serve) => serve::serve(&serve),
        arguments::Command::Worker(work) => serve::work(&work),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            let catalog = error.downcast_ref::<stella_catalog::CatalogError>();
            ExitCode::from(catalog.map_or(1, |error| error.code().exit_code()))
        }
    }
}
