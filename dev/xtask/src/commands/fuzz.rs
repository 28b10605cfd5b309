//! `cargo xtask fuzz`: runs a target of dev/fuzz with cargo-fuzz and the nightly toolchain.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use xtask::workspace;

use crate::process::{cargo, has_cargo_command, run};

/// The version of cargo-fuzz that is installed where there is none.
const CARGO_FUZZ: &str = "0.13.2";

/// Which target, for how long.
#[derive(clap::Args)]
pub(crate) struct Fuzz {
    /// Name of a file in dev/fuzz/fuzz_targets; without one, the names are listed.
    target: Option<String>,
    /// How long to run.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

impl Fuzz {
    /// Lists the targets or runs one.
    ///
    /// # Errors
    /// If the target is unknown, cargo-fuzz cannot be installed, or an input was found that breaks
    /// the target.
    pub(crate) fn run(&self) -> Result<()> {
        let targets = targets()?;
        let Some(target) = &self.target else {
            targets.iter().for_each(|target| println!("{target}"));
            return Ok(());
        };
        if !targets.contains(target) {
            bail!("no fuzz target {target}; there are {}", targets.join(", "));
        }
        if !has_cargo_command("fuzz") {
            run(&mut cargo(["install", "--locked", "cargo-fuzz", "--version", CARGO_FUZZ]))?;
        }
        // A cargo that was started by rustup's proxy keeps its toolchain: ask the proxy for another.
        let mut command = Command::new("cargo");
        command.args(["+nightly", "fuzz", "run", "--fuzz-dir", ".", target]);
        let (folder, corpus) = (workspace::root().join("dev/fuzz"), format!("corpus/{target}"));
        let seeds = format!("seeds/{target}");
        if folder.join(&seeds).is_dir() {
            // What is found goes to the first, which git does not know.
            fs::create_dir_all(folder.join(&corpus)).context("make the folder of the corpus")?;
            command.args([corpus, seeds]);
        }
        command.args(["--".to_owned(), format!("-max_total_time={}", self.seconds)]);
        command.current_dir(folder);
        for inherited in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC"] {
            command.env_remove(inherited);
        }
        run(&mut command)
    }
}

fn targets() -> Result<Vec<String>> {
    let folder = workspace::root().join("dev/fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).context("list the fuzz targets")? {
        names.extend(entry?.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
