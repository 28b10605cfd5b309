//! The commands that only start another program.

use anyhow::{Result, bail};
use std::process::Command;
use xtask::workspace;

use crate::process::{cargo, run};

/// Runs `.ci/run`.
///
/// # Errors
/// If it fails.
pub(crate) fn ci() -> Result<()> {
    run(Command::new(workspace::root().join(".ci/run")).current_dir(workspace::root()))
}

/// Runs the benchmarks as released code.
///
/// # Errors
/// If they fail.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    let programs = ["build", "--release", "--package", "stella-bench", "--package", "stella-cli"];
    run(&mut cargo(programs))?;
    run(cargo(["run", "--release", "--quiet", "--package", "stella-bench", "--"]).args(arguments))
}

/// Builds the documentation of the crates.
///
/// # Errors
/// If it has a broken link or another fault.
pub(crate) fn docs() -> Result<()> {
    let mut command = cargo(["doc", "--profile", "ci", "--workspace", "--no-deps"]);
    run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Fetches the peers into their cache.
///
/// # Errors
/// If a peer cannot be had.
pub(crate) fn peers(arguments: &[String]) -> Result<()> {
    if !workspace::root().join("dev/peers/Cargo.toml").is_file() {
        bail!("dev/peers is missing from this checkout");
    }
    let mut command =
        cargo(["run", "--quiet", "--profile", "ci", "--package", "stella-peers", "--"]);
    run(command.args(arguments))
}

/// Fetches all versions of Trivy and runs the tests with them.
///
/// # Errors
/// If a version cannot be had, or a test fails.
pub(crate) fn trivy_matrix() -> Result<()> {
    let names = ["trivy", "oras", "docker-registry", "jq"].map(str::to_owned);
    peers(&names)?;
    let mut tests = cargo(["test", "--profile", "ci", "--package", "stella-cli"]);
    tests.args(["--package", "stella-engine", "--test", "trivy_java_db"]);
    for test in ["trivy_db", "trivy_registry", "trivy_vex", "red_hat", "scanner"] {
        tests.args(["--test", test]);
    }
    run(tests.args(["--no-fail-fast", "--", "--nocapture"]).env("STELLA_FULL", "1"))
}
