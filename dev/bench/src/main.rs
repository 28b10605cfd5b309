//! Measures whole processes of `stella` on the real corpus and on ten times as much, beside the
//! programs that people would use otherwise.
//!
//! `cargo run --release -p stella-bench -- all` does everything and takes long;
//! `all --scales 1 --only advisories/ --repetitions 1` is a quick look.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program of the terminal: its output is what it is for"
)]

mod bolt;
mod bundle;
mod corpus;
mod database;
mod measure;
mod report;
mod rewrite;
mod scenarios;
mod series;
mod service;
mod stella;
mod trivy;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::report::{Machine, Results};
use crate::scenarios::Bench;
use crate::stella::Stella;

#[derive(Parser)]
#[command(disable_help_subcommand = true, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Task>,
    /// Without a command, everything is measured.
    #[command(flatten)]
    all: All,
}

#[derive(Subcommand)]
enum Task {
    /// Measure everything and report it.
    All(All),
    /// Make the copies and changes that `all` needs, and measure nothing.
    Corpus(Place),
    /// Measure loading sorted pairs into bbolt files, beside bbolt itself.
    Bolt {
        #[command(flatten)]
        place: Place,
        /// How many pairs.
        #[arg(long, default_value_t = 1_000_000)]
        pairs: usize,
        /// How often each program is measured, in turns.
        #[arg(long, default_value_t = 3)]
        repetitions: usize,
    },
    /// Measure `trivy:db`, beside hashing and compressing its file and upstream's builder.
    Trivy {
        #[command(flatten)]
        place: Place,
        /// The program to measure; else it is built with the release profile.
        #[arg(long, value_name = "FILE")]
        stella: Option<PathBuf>,
    },
    /// Measure the service: bundles fetched from it beside nginx, memory, answers, runs.
    Service {
        #[command(flatten)]
        place: Place,
        /// The program that makes its evidence ready; else it is built with the release profile.
        #[arg(long, value_name = "FILE")]
        stella: Option<PathBuf>,
        /// The service to measure; else it is built with the release profile.
        #[arg(long, value_name = "FILE")]
        server: Option<PathBuf>,
        /// Only this part: downloads, crowd, requests or runs.
        #[arg(long, value_name = "PART")]
        part: Option<String>,
    },
    /// Deflate a file (what `trivy` measures).
    #[command(hide = true)]
    Deflate { file: PathBuf },
    /// Write the database of a store as it was at a time (what `trivy` measures).
    #[command(hide = true)]
    Database { store: PathBuf, file: PathBuf, as_of: String },
    /// Load pairs into a bbolt file (what `bolt` measures).
    #[command(hide = true)]
    BoltLoad { file: PathBuf, shape: bolt::Shape, pairs: usize },
    /// Run one command and write what it used (what every measurement is made of).
    #[command(hide = true)]
    Measure {
        report: PathBuf,
        #[arg(last = true)]
        words: Vec<String>,
    },
}

#[derive(Args)]
struct All {
    #[command(flatten)]
    place: Place,
    /// Sizes of the corpus, in times of the real one: 1, 10 or both.
    #[arg(long, value_delimiter = ',', default_value = "1,10", value_parser = scale)]
    scales: Vec<usize>,
    /// How often each command is measured on the real corpus; on ten times as much, once.
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// The program to measure; else it is built with the release profile.
    #[arg(long, value_name = "FILE")]
    stella: Option<PathBuf>,
    /// Leave out jq, which takes longer than everything else together.
    #[arg(long)]
    no_script: bool,
    /// A page to put the figures in, in place of those that it has; results.json lies in the cache.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args)]
struct Place {
    /// The real data [default: STELLA_DATA_DIR, else ../shared/data beside the workspace].
    #[arg(long, env = "STELLA_DATA_DIR", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where copies of the data are kept and stores are made; needs 40 GB for ten times the corpus.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Only archives in whose path this occurs, such as advisories/.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

impl Place {
    fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| root().join("../shared/data"))
    }

    fn cache(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(|| root().join("target/bench"))
    }
}

fn main() -> ExitCode {
    let Cli { command, all } = Cli::parse();
    let done = match command {
        None => measure_all(&all),
        Some(Task::All(all)) => measure_all(&all),
        Some(Task::Corpus(place)) => prepare(&place),
        Some(Task::Bolt { place, pairs, repetitions }) => {
            bolt::measure(&place.cache(), pairs, repetitions).map(|page| println!("{page}"))
        }
        Some(Task::Trivy { place, stella }) => program(stella.as_deref())
            .and_then(|binary| trivy::measure(&place.data(), &place.cache(), binary))
            .map(|page| println!("{page}")),
        Some(Task::Service { place, stella, server, part }) => {
            measure_service(&place, stella.as_deref(), server.as_deref(), part.as_deref())
        }
        Some(Task::Deflate { file }) => trivy::deflate(&file),
        Some(Task::Database { store, file, as_of }) => database::build(&store, &file, &as_of),
        Some(Task::BoltLoad { file, shape, pairs }) => bolt::load(&file, shape, pairs),
        Some(Task::Measure { report, words }) => measure::parent(&report, &words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stella-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(all: &All) -> Result<()> {
    let (data, cache) = (all.place.data(), all.place.cache());
    let binary = program(all.stella.as_deref())?;
    let version = first_line(&[&binary.to_string_lossy(), "--version"])?;
    let machine = machine()?;
    let real = corpus::real(&data, all.place.only.as_deref())?;
    let mut scales = Vec::new();
    for factor in &all.scales {
        let feeds = if *factor == 1 { real.clone() } else { corpus::tenfold(&real, &cache)? };
        let work = cache.join(format!("work-{factor}x"));
        let repetitions = if *factor == 1 { all.repetitions } else { 1 };
        eprintln!("measuring {factor}x: {} documents", corpus::total(&feeds).documents);
        let stella = Stella::new(binary.clone(), work)?;
        let script = *factor == 1 && !all.no_script;
        let (data, cache) = (data.as_path(), cache.as_path());
        let bench = Bench { stella, data, cache, feeds, factor: *factor, repetitions, script };
        scales.push(bench.run()?);
    }
    let results = Results { version, machine, scales };
    fs::write(cache.join("results.json"), serde_json::to_vec_pretty(&results)?)?;
    println!("{}", results.page(""));
    if let Some(out) = &all.out {
        let before = fs::read_to_string(out).unwrap_or_default();
        fs::write(out, results.page(&before))
            .with_context(|| format!("write {}", out.display()))?;
    }
    Ok(())
}

fn measure_service(
    place: &Place,
    stella: Option<&Path>,
    server: Option<&Path>,
    part: Option<&str>,
) -> Result<()> {
    let feeds = corpus::real(&place.data(), place.only.as_deref())?;
    let server = match server {
        Some(binary) => fs::canonicalize(binary).context("find the service to measure")?,
        None => build("stella-server", "export-center")?,
    };
    let programs = service::Programs { server, stella: program(stella)? };
    let page = service::measure(&feeds, &place.cache(), &programs, part)?;
    println!("{page}");
    Ok(())
}

fn program(named: Option<&Path>) -> Result<PathBuf> {
    match named {
        Some(binary) => fs::canonicalize(binary).context("find the program to measure"),
        None => build("stella-cli", "stella"),
    }
}

fn prepare(place: &Place) -> Result<()> {
    let cache = place.cache();
    let real = corpus::real(&place.data(), place.only.as_deref())?;
    let ten = corpus::tenfold(&real, &cache)?;
    for (factor, feeds) in [(1, real), (10, ten)] {
        let (size, changed) = (corpus::total(&feeds), corpus::uniform_change(&feeds, &cache)?);
        println!(
            "{factor}x: {} feeds, {} documents, {:.0} MB; a uniform change touches {} documents",
            feeds.len(),
            size.documents,
            size.bytes as f64 / 1e6,
            corpus::total(&changed).documents
        );
    }
    Ok(())
}

/// Builds a program with the profile that users get.
fn build(package: &str, program: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", package])
        .current_dir(root())
        .status()
        .context("start cargo")?;
    if !status.success() {
        bail!("{program} cannot be built");
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release").join(format!("{program}{}", std::env::consts::EXE_SUFFIX)))
}

fn machine() -> Result<Machine> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let processor =
        model.map_or("an unknown processor", |line| line.trim_start_matches([' ', '\t', ':']));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let peers = [&["zstd", "--version"][..], &["openssl", "version"], &["jq", "--version"]];
    let peers: Vec<String> = peers
        .iter()
        .map(|words| first_line(words))
        .collect::<Result<_>>()
        .context("ask the peers")?;
    Ok(Machine {
        processor: processor.to_owned(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: first_line(&["uname", "-sr"])?,
        peers: peers.iter().map(|line| peer_version(line)).collect(),
        load: load.split(' ').next().unwrap_or("unknown").to_owned(),
    })
}

/// `*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***` and the like without ornaments.
fn peer_version(line: &str) -> String {
    let plain = line.trim_matches(['*', ' ']);
    let plain = plain.split(", by").next().unwrap_or(plain);
    plain.split(" (Library").next().unwrap_or(plain).to_owned()
}

fn first_line(words: &[&str]) -> Result<String> {
    let output = Command::new(words[0])
        .args(&words[1..])
        .output()
        .with_context(|| format!("start {}", words[0]))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn scale(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "10" => Ok(10),
        _ => Err("1 or 10".into()),
    }
}

fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("this crate lies two folders below the root")
}
