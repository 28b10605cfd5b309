//! `export-center`: Export Center as a service, with its workers.
//!
//! The place where implementations are chosen: which database has the catalog and the ledger, where
//! the depot is, who signs.
#![expect(
    clippy::print_stderr,
    reason = "a program of the terminal: what it says at its start is for whoever started it"
)]

mod access;
mod api;
mod arguments;
mod demo;
mod descriptors;
mod end;
mod failure;
mod keeping;
mod listener;
mod opened;
mod operator;
mod output;
mod place;
mod pull;
mod remembered;
mod serve;
mod service;
mod telemetry;
mod tls;
mod watch;
mod workers;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let done = match arguments::Arguments::parse().command {
        arguments::Command::Migrate(place) => serve::migrate(&place),
        arguments::Command::Serve(serve) => serve::serve(&serve),
        arguments::Command::Worker(work) => serve::work(&work),
        arguments::Command::Tenant(new) => operator::add_tenant(&new),
        arguments::Command::Token(of) => operator::add_token(&of),
        arguments::Command::Quota(quota) => operator::set_quota(&quota),
        arguments::Command::Collect(collect) => keeping::collect(&collect),
        arguments::Command::Scrub(scrub) => keeping::scrub(&scrub),
        arguments::Command::Pull(args) => pull::run(&args),
        arguments::Command::Openapi => print_openapi(),
    };
    done.map_or_else(|error| ExitCode::from(failure::tell(&error)), |()| ExitCode::SUCCESS)
}

fn print_openapi() -> anyhow::Result<()> {
    output::line(format_args!("{}", serde_json::to_string_pretty(&api::document())?))
}
