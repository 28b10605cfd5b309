//! How many small runs the service makes, and what a second worker brings to a large one.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use stella_peers::{Postgres, SeaweedFs};

use super::Programs;
use super::place::Place;
use super::process::Process;
use crate::corpus::Feed;
use crate::stella::Stella;

/// Small runs that are asked for at once.
const SMALL: usize = 200;

/// Large runs for each number of workers.
const LARGE: usize = 3;

/// Measures both.
///
/// # Errors
/// If a server is missing, or a run does not succeed.
pub(super) fn measure(
    feeds: &[Feed],
    cache: &Path,
    programs: &Programs,
    page: &mut String,
) -> Result<()> {
    let work = Stella::new(programs.stella.clone(), cache.join("service-runs"))?;
    let postgres = Postgres::start().context("PostgreSQL is missing")?;
    let database = |name: &str| postgres.database(name);
    let (catalog, ledger) = (database("catalog"), database("ledger"));
    page.push_str("| small runs, asked for at once | runs | runs/s | tasks/s |\n");
    page.push_str("| --- | ---: | ---: | ---: |\n");
    let there = ["--catalog", &catalog, "--ledger", &ledger];
    for (title, options) in [("SQLite", &[][..]), ("PostgreSQL", &there)] {
        let place = Place::new(&programs.server, work.path(title), options)?;
        let (rate, tasks) = small(&place)?;
        let _ = writeln!(page, "| {title} | {SMALL} | {rate:.1} | {:.0} |", rate * tasks);
    }
    page.push('\n');
    two_workers(feeds, &work, &postgres, programs, page)
}

/// Small runs a second, each of another plan, and the tasks of each.
fn small(place: &Place) -> Result<(f64, f64)> {
    let server = place.serve(&[])?;
    place.take_in(&server, "samples", samples()?.as_bytes())?;
    let begun = Instant::now();
    let runs: Vec<String> = (0..SMALL)
        .map(|number| place.ask_for(&server, &order("json:raw", number)))
        .collect::<Result<_>>()?;
    for run in &runs {
        place.wait(&server, run)?;
    }
    let rate = SMALL as f64 / begun.elapsed().as_secs_f64();
    let run = place.get(&server, &format!("/runs/{}", runs[0]))?;
    let tasks = run["tasks"].as_object().context("tasks of a run")?.len();
    Ok((rate, tasks as f64))
}

/// What is asked for: the same records by another plan for each number.
fn order(profile: &str, number: usize) -> Value {
    let since =
        format!("1990-01-01T{:02}:{:02}:{:02}Z", number / 3600, number / 60 % 60, number % 60);
    json!({ "profile": profile, "select": { "modified-since": since } })
}

/// The advisories of the samples, a line each.
fn samples() -> Result<String> {
    let mut lines = String::new();
    let mut folders: Vec<PathBuf> = vec![crate::root().join("samples/advisories")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).context("read the samples")? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "json") {
                let document: Value = serde_json::from_slice(&fs::read(&path)?)?;
                let _ = writeln!(lines, "{document}");
            }
        }
    }
    Ok(lines)
}

/// How long a large run takes with one and with two workers, each a process with a cache of its own.
fn two_workers(
    feeds: &[Feed],
    work: &Stella,
    postgres: &Postgres,
    programs: &Programs,
    page: &mut String,
) -> Result<()> {
    let weed = SeaweedFs::start().context("SeaweedFS is missing")?;
    let (catalog, ledger) = (postgres.database("catalog-2"), postgres.database("ledger-2"));
    let (bucket, url) = (format!("s3://{}", SeaweedFs::BUCKET), weed.url());
    let options =
        ["--catalog", &catalog, "--ledger", &ledger, "--depot", &bucket, "--s3-endpoint", &url];
    let place = Place::new(&programs.server, work.path("server"), &options)?;
    let server = place.serve(&["--workers", "0"])?;
    for feed in feeds {
        for path in &feed.paths {
            match place.take_in(&server, feed.name.as_str(), &fs::read(path)?) {
                // Archives that nothing is to be taken of are part of the corpus.
                Err(error) if error.to_string().contains("ERR_EXPORT_REJECTED") => {}
                taken => taken?,
            }
        }
    }
    let (mut number, mut medians) = (0, Vec::new());
    for workers in [1, 2] {
        let mut seconds = Vec::new();
        for _ in 0..LARGE {
            // A run of another plan by workers who have made nothing yet.
            number += 1;
            let begin = |worker| place.worker(&work.path(&format!("worker-{number}-{worker}")));
            let _working: Vec<Process> = (0..workers).map(begin).collect::<Result<_>>()?;
            let begun = Instant::now();
            let run = place.ask_for(&server, &order("mirror:full", number))?;
            place.wait(&server, &run)?;
            seconds.push(begun.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        medians.push(seconds[LARGE / 2]);
    }
    let _ = writeln!(
        page,
        "`mirror:full` on PostgreSQL and S3, each worker a process that does one task at once: {:.2} s with \
         one worker, {:.2} s with two, {:.2} times as fast. Server, database and storage are on the same \
         machine.\n",
        medians[0],
        medians[1],
        medians[0] / medians[1]
    );
    Ok(())
}
