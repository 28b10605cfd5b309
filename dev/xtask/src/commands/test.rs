//! `cargo xtask test` and `cargo xtask full`: every rule of the repository, then every test.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use xtask::workspace;

use crate::commands::tools;
use crate::process::{cargo, has_cargo_command, run};

/// What a run of the tests may leave out.
#[derive(clap::Args)]
pub(crate) struct Test {
    /// Do not fetch the peers; the tests that need one skip, or fail where CI is set.
    #[arg(long)]
    no_peers: bool,
    /// Filters and options for the test runner.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    runner: Vec<String>,
}

/// How thorough the tests are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Minutes.
    Quick,
    /// More rounds of everything random, such as crashes and mutations.
    Long,
}

impl Test {
    /// Runs the checks and tests; the test runner comes last, so that its closing lines do.
    ///
    /// # Errors
    /// Of the first step that fails.
    pub(crate) fn run(&self, form: Form) -> Result<()> {
        // The long form tries every version of a peer.
        let all = ["--all".to_owned()];
        let peers = if form == Form::Long { &all[..] } else { &[] };
        if !self.no_peers
            && let Err(error) = tools::peers(peers)
        {
            if !stella_testkit::may_skip("peers") {
                return Err(error);
            }
            println!("Going on without the peers that could not be fetched: {error:#}");
        }
        run(&mut cargo(["fmt", "--all", "--check"]))?;
        let lints =
            ["clippy", "--profile", "ci", "--workspace", "--all-targets", "--", "-D", "warnings"];
        run(&mut cargo(lints))?;
        // The only crate with features: what is left when none is built in.
        let lean = ["clippy", "--profile", "ci", "-p", "stella-keys", "--no-default-features"];
        run(cargo(lean).args(["--", "-D", "warnings"]))?;
        if has_cargo_command("deny") {
            run(&mut cargo([
                "deny",
                "check",
                "--hide-inclusion-graph",
                "bans",
                "licenses",
                "sources",
            ]))?;
        }
        // Tests outside app/cli start the program too (stella_testkit::stella). Built with everything
        // else: alone it would have other features of what it needs, and all of that be built twice.
        run(&mut cargo(["build", "--profile", "ci", "--workspace", "--all-targets"]))?;
        run(&mut cargo(["test", "--quiet", "--profile", "ci", "--workspace", "--doc"]))?;
        let log = workspace::root().join("target/skipped-tests.txt");
        fs::remove_file(&log).ok();
        let mut runner = runner();
        runner.args(&self.runner).env("STELLA_SKIP_LOG", &log).env("STELLA_BUILT", "1");
        if form == Form::Long {
            runner.env("STELLA_FULL", "1");
        }
        let result = run(&mut runner);
        report_skipped(&log);
        result
    }
}

/// cargo-nextest where it is installed, else the runner that comes with Rust.
fn runner() -> Command {
    if has_cargo_command("nextest") {
        return cargo(["nextest", "run", "--cargo-profile", "ci", "--workspace"]);
    }
    println!("cargo-nextest is not installed: the tests run one binary after the other");
    cargo([
        "test",
        "--profile",
        "ci",
        "--workspace",
        "--no-fail-fast",
        "--lib",
        "--bins",
        "--tests",
    ])
}

/// Says on the terminal what was skipped and why: a passing runner hides the output of tests.
fn report_skipped(log: &Path) {
    let text = fs::read_to_string(log).unwrap_or_default();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines() {
        // "skipped: TEST: REASON"
        let reason = line.splitn(3, ": ").nth(2).unwrap_or(line);
        *reasons.entry(reason).or_default() += 1;
    }
    for (reason, count) in reasons {
        println!("skipped in {count} test(s): {reason}");
    }
}
