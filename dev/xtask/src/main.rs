//! `cargo xtask COMMAND`: everything a developer runs, with nothing installed but Rust.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program of the terminal: its output is what it is for"
)]

mod commands;
mod process;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of the repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Xtask {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build `stella`, and take the samples from ingest to a verified bundle in a temporary store.
    Demo(commands::demo::Demo),
    /// Run all checks and tests, after fetching the peers that the tests are judged by.
    Test(commands::test::Test),
    /// Run `.ci/run`, which is what the build machine runs.
    Ci,
    /// Run all checks and the long form of the tests.
    Full(commands::test::Test),
    /// Run the benchmarks; arguments go to `stella-bench`.
    Bench {
        /// Arguments of `stella-bench`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the documentation of the crates; a warning is an error.
    Docs,
    /// Fetch the peers, real programs of others that judge our output; arguments go to `stella-peers`.
    Peers {
        /// Arguments of `stella-peers`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Try the database of Trivy with every version of Trivy that can be had, fetching them first.
    TrivyMatrix,
    /// Run one fuzz target, or list them.
    Fuzz(commands::fuzz::Fuzz),
}

fn main() -> ExitCode {
    let result = match Xtask::parse().task {
        Task::Demo(demo) => demo.run(),
        Task::Test(test) => test.run(commands::test::Form::Quick),
        Task::Full(test) => test.run(commands::test::Form::Long),
        Task::Ci => commands::tools::ci(),
        Task::Bench { arguments } => commands::tools::bench(&arguments),
        Task::Docs => commands::tools::docs(),
        Task::Peers { arguments } => commands::tools::peers(&arguments),
        Task::TrivyMatrix => commands::tools::trivy_matrix(),
        Task::Fuzz(fuzz) => fuzz.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
