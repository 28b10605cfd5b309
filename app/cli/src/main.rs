//! `stella`: evidence in, signed bundles out, bundles checked. Works alone on one machine, or against
//! a server.
//!
//! Standard output carries results, standard error everything else, and the exit code says how it
//! went (FORMATS "Exit codes"). The work itself is in `stella-engine`; here are the command line,
//! the screens and the progress.

mod app;
mod args;
mod clock;
mod commands;
mod context;
mod contexts;
mod error;
mod interrupt;
mod output;
mod progress;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(app::run(std::env::args_os().collect()))
}
