//! `cargo xtask demo`: the main job of the product, on the samples, in a store of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use stella_testkit::SAMPLE_FEEDS;
use xtask::workspace;

use crate::process::{cargo, run, show};

/// The variable that `stella` takes the password of a key from. The key of the demonstration
/// protects nothing.
const PASSWORD: (&str, &str) = ("STELLA_KEY_PASSWORD", "demo");

/// Licence and publisher of the samples (samples/README.md).
const LICENCE: &str = "Apache-2.0";
const PUBLISHER: &str = "Export Center samples";
const ATTRIBUTION: &str = "Texts by the authors of Export Center";

/// Where the demonstration works.
#[derive(clap::Args)]
pub(crate) struct Demo {
    /// Keep store, key and bundles in this new folder instead of target/demo, which every
    /// demonstration makes anew.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

impl Demo {
    /// Runs every step and prints what it did.
    ///
    /// # Errors
    /// Of the first step that fails.
    pub(crate) fn run(&self) -> Result<()> {
        println!("Building stella. This takes some minutes the first time.");
        run(&mut cargo(["build", "--quiet", "--profile", "ci", "--package", "stella-cli"]))?;
        let folder = match &self.keep {
            Some(folder) => new_folder(folder)?,
            None => own_folder()?,
        };
        let mut session = Session::new(folder);
        for (feed, folders) in SAMPLE_FEEDS {
            session.ingest(feed, folders)?;
        }
        session.stella("list", &["feeds", "list"])?;
        session.stella("make a key", &["keys", "generate", "demo"])?;
        session.stella("make a key", &["keys", "export-public", "demo", "-d", "demo.pub"])?;
        session.stella("plan", &["export", "plan", "json:raw"])?;
        for (profile, bundle) in [("json:raw", "raw"), ("mirror:full", "mirror")] {
            session.stella(profile, &["export", "run", profile, "-d", bundle, "--key", "demo"])?;
        }
        for bundle in ["raw", "mirror"] {
            let name = format!("verify {bundle}");
            session.stella(&name, &["export", "verify", bundle, "--key", "demo.pub"])?;
        }
        session.report()?;
        println!("\nStore, key and bundles are kept:  {}", session.folder.display());
        println!("The program:                      {}", session.stella.display());
        Ok(())
    }
}

/// One run through the steps, in one folder.
struct Session {
    stella: PathBuf,
    folder: PathBuf,
    steps: Vec<(String, Duration)>,
}

impl Session {
    fn new(folder: PathBuf) -> Session {
        let stella = target().join("ci").join(format!("stella{}", std::env::consts::EXE_SUFFIX));
        Session { stella, folder, steps: Vec::new() }
    }

    fn ingest(&mut self, feed: &str, folders: &[&str]) -> Result<()> {
        let mut arguments = vec!["ingest", "--feed", feed, "--licence", LICENCE];
        arguments.extend(["--publisher", PUBLISHER, "--attribution", ATTRIBUTION]);
        let samples = workspace::root().join("samples");
        let paths: Vec<String> =
            folders.iter().map(|path| samples.join(path).to_string_lossy().into_owned()).collect();
        arguments.extend(paths.iter().map(String::as_str));
        self.stella("ingest", &arguments)
    }

    /// Runs `stella` in the folder of the session, its output on ours.
    fn stella(&mut self, step: &str, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.stella);
        command.args(["--quiet", "--store", "store"]).args(arguments).current_dir(&self.folder);
        println!("\n$ {}", show(&command));
        let begin = Instant::now();
        let status = command.env(PASSWORD.0, PASSWORD.1).stdin(Stdio::null()).status();
        let status = status.with_context(|| format!("start {}", self.stella.display()))?;
        if !status.success() {
            bail!("{}: {status}", show(&command));
        }
        match self.steps.last_mut() {
            Some((last, took)) if last == step => *took += begin.elapsed(),
            _ => self.steps.push((step.to_owned(), begin.elapsed())),
        }
        Ok(())
    }

    /// Prints the table of what was done, the result, and how to check it with cosign.
    fn report(&self) -> Result<()> {
        println!("\n{:<16}{:<52}{:>8}", "STEP", "RESULT", "SECONDS");
        for (step, took) in &self.steps {
            let result = match step.as_str() {
                "ingest" => format!("{} feeds from samples/", SAMPLE_FEEDS.len()),
                "json:raw" => describe(&self.folder.join("raw"))?,
                "mirror:full" => describe(&self.folder.join("mirror"))?,
                step if step.starts_with("verify") => "verified".to_owned(),
                _ => "done".to_owned(),
            };
            println!("{step:<16}{result:<52}{:>8.2}", took.as_secs_f64());
        }
        println!("\nBoth bundles verified. The same check of one with cosign 2 or 3, offline:");
        println!("  cd {}", self.folder.display());
        println!(
            "  cosign verify-blob --key demo.pub --insecure-ignore-tlog --trusted-root raw/trusted_root.json \\\n    \
             --bundle raw/export.json.sigstore.json raw/export.json"
        );
        Ok(())
    }
}

/// Records, feeds, files and bytes of a bundle.
fn describe(bundle: &Path) -> Result<String> {
    let manifest = bundle.join("export.json");
    let bytes = fs::read(&manifest).with_context(|| format!("read {}", manifest.display()))?;
    let manifest: Value = serde_json::from_slice(&bytes).context("export.json is JSON")?;
    let list = |name: &str| manifest[name].as_array().map_or(&[][..], Vec::as_slice);
    let records: u64 = list("sets").iter().filter_map(|set| set["count"].as_u64()).sum();
    let size: u64 = list("parts").iter().filter_map(|part| part["size"].as_u64()).sum();
    Ok(format!(
        "{records} records in {} sets, {} files, {:.1} KiB",
        list("sets").len(),
        list("parts").len(),
        size as f64 / 1024.0
    ))
}

/// The folder of what is built.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace::root().join("target"), |target| workspace::root().join(target))
}

/// Makes the folder of the demonstration anew; what is in it is of an earlier one.
fn own_folder() -> Result<PathBuf> {
    let folder = target().join("demo");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    fs::create_dir_all(target())?;
    new_folder(&folder)
}

/// Makes a folder that must not be there yet, and gives its absolute path.
fn new_folder(folder: &Path) -> Result<PathBuf> {
    fs::create_dir(folder).with_context(|| format!("make {}", folder.display()))?;
    fs::canonicalize(folder).with_context(|| format!("find {}", folder.display()))
}
