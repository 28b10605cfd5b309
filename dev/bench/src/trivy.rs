//! `trivy:db` from the real advisories and from ten times as many, beside what hashing and
//! compressing the finished file costs and what upstream's builder needs.
//!
//! Upstream's builder cannot be had here. What it needed for the advisories that it reads was
//! measured once ([`UPSTREAM_CPU`]), together with loading a million pairs into bbolt
//! ([`UPSTREAM_LOAD_CPU`]), which is measured again: their ratio carries the figure over to the
//! machine at hand.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::GzDecoder;

use stella_model::Digest;

use crate::bolt;
use crate::corpus::{self, Feed};
use crate::measure::{Measured, Usage, median};
use crate::report::Goal;
use crate::stella::Stella;

/// CPU seconds of upstream's builder for 18,681 of these advisories.
const UPSTREAM_CPU: f64 = 11.86;

/// CPU seconds of bbolt for a million sorted pairs, on the machine and day of the above.
const UPSTREAM_LOAD_CPU: f64 = 1.05;

/// Most memory that a run may need.
const PEAK_BYTES: u64 = 150 << 20;

/// The advisories that upstream's builder has readers for.
const READ_BY_UPSTREAM: [&str; 7] =
    ["almalinux", "bitnami", "crates.io", "ghsa-mix", "go", "kubernetes", "pypi"];

/// How often each command is measured, in turns with the others.
const REPETITIONS: usize = 5;

/// Measures and gives a table.
///
/// # Errors
/// Of the first command that fails.
pub(crate) fn measure(data: &Path, cache: &Path, binary: PathBuf) -> Result<String> {
    let mut table = String::from(
        "| advisories | command | CPU s | wall s | peak MiB | MB | against the goal |\n\
         | --- | --- | ---: | ---: | ---: | ---: | --- |\n",
    );
    let real = corpus::real(data, Some("advisories/"))?;
    let known = |feed: &Feed| READ_BY_UPSTREAM.contains(&feed.name.as_str());
    let read: Vec<Feed> = real.iter().filter(|feed| known(feed)).cloned().collect();
    let ten = corpus::tenfold_advisories(&real, cache)?;
    let bench = Bench { stella: Stella::new(binary, cache.join("work-trivy"))? };
    let of_upstream = bench.run("those that upstream reads", &read, &mut table)?;
    let all = bench.run("all", &real, &mut table)?;
    let more = bench.run("10 times all", &ten, &mut table)?;
    let upstream = UPSTREAM_CPU * of_upstream.load / UPSTREAM_LOAD_CPU;
    let goals = [
        Goal::at_least(
            "times less CPU than upstream, the database alone",
            upstream / of_upstream.database,
            25.0,
        ),
        Goal::at_most(
            "of 10 times the CPU, at 10 times the advisories",
            more.database / all.database / 10.0,
            1.05,
        ),
    ];
    let mut page = format!(
        "Upstream's builder, carried over by bbolt's load of a million pairs ({:.2} CPU s in turns \
         with the first database, {UPSTREAM_LOAD_CPU} there): {upstream:.1} CPU s. Median of \
         {REPETITIONS} by CPU time.\n\n{table}\n",
        of_upstream.load
    );
    for goal in goals {
        writeln!(page, "- {}", goal.show())?;
    }
    crate::stella::remove(&bench.stella.work)?;
    Ok(page)
}

struct Bench {
    stella: Stella,
}

/// What one corpus took.
struct Took {
    /// CPU seconds for the database alone.
    database: f64,
    /// CPU seconds of bbolt's load, in turns with it.
    load: f64,
}

impl Bench {
    fn run(&self, title: &str, feeds: &[Feed], page: &mut String) -> Result<Took> {
        let store = self.stella.path("store");
        self.stella.put_aside(&store)?;
        self.stella.ingest(&store, feeds)?;
        self.stella.make_key(&store)?;
        let database = self.stella.path("trivy.db");
        let file = database.to_string_lossy().into_owned();
        let mut rounds: [Vec<Usage>; 8] = Default::default();
        for round in 0..REPETITIONS {
            // Of a store that has made a database, the next run would take that one.
            let fresh = self.stella.copy(&store, "fresh-store")?;
            let plain = self.stella.export(&fresh, "trivy:db", "plain", false)?;
            let again = self.stella.export(&fresh, "trivy:db", "again", false)?;
            let fresh = self.stella.copy(&store, "fresh-store")?;
            let signed = self.stella.export(&fresh, "trivy:db", "signed", true)?;
            if round == 0 {
                unpack(&self.stella.path("plain"), &database)?;
            }
            let load = bolt::their_flat_load(&self.stella.work)?;
            let alone = self.database(&store, &database)?;
            let deflate = self.once(&[&this_program()?, "deflate", &file])?;
            let hash = self.once(&["openssl", "dgst", "-sha256", &file])?;
            let gzip = self.once(&["gzip", "-k", "-f", &file])?;
            let taken = [signed, plain, again, alone, load, deflate, hash, gzip];
            rounds.iter_mut().zip(taken).for_each(|(rounds, usage)| rounds.push(usage));
        }
        let [signed, plain, again, alone, load, deflate, hash, gzip] = rounds.map(median);
        let scrypt = (signed.cpu() - plain.cpu()).max(0.0);
        let floor = hash.cpu() + gzip.cpu();
        let megabytes = fs::metadata(&database)?.len() as f64 / 1e6;
        let goal = Goal::at_most("of openssl sha256 + gzip", plain.cpu() / floor, 2.0);
        let peak = plain.peak_bytes.max(signed.peak_bytes);
        let within = if peak <= PEAK_BYTES { "met" } else { "missed" };
        let remark = format!("{}; at most {} MiB: {within}", goal.show(), PEAK_BYTES >> 20);
        let mut row = |command: &str, usage: &Usage, remark: &str| {
            let (cpu, wall, peak) = (usage.cpu(), usage.wall_seconds, usage.peak_bytes >> 20);
            writeln!(
                page,
                "| {title} | {command} | {cpu:.2} | {wall:.2} | {peak} | {megabytes:.1} | {remark} |"
            )
        };
        row("trivy:db, signed", &signed, &format!("{scrypt:.2} s of it for the key"))?;
        row("trivy:db, unsigned", &plain, &remark)?;
        row("of that, deflating", &deflate, "")?;
        row("trivy:db, nothing changed", &again, "")?;
        row("the database alone", &alone, "")?;
        row("openssl sha256 of trivy.db", &hash, "")?;
        row("gzip of trivy.db", &gzip, "")?;
        Ok(Took { database: alone.cpu(), load: load.cpu() })
    }

    /// Writes the database from the ledger and nothing else; it must be that of the bundle.
    fn database(&self, store: &Path, expected: &Path) -> Result<Usage> {
        let file = self.stella.path("alone.db");
        let as_of = as_of(&self.stella.path("plain"))?;
        let words = [
            &this_program()?,
            "database",
            &*store.to_string_lossy(),
            &*file.to_string_lossy(),
            &as_of,
        ];
        let usage = self.once(&words)?;
        let same = Digest::of(&fs::read(&file)?) == Digest::of(&fs::read(expected)?);
        ensure!(same, "the database alone is not that of the bundle");
        Ok(usage)
    }

    fn once(&self, words: &[&str]) -> Result<Usage> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Measured { words, env: &[], accepted: &[] }.run(&self.stella.work)
    }
}

fn this_program() -> Result<String> {
    Ok(std::env::current_exe().context("find this program")?.to_string_lossy().into_owned())
}

/// Deflates a file as the product does (what `trivy` measures).
///
/// # Errors
/// If it cannot be read.
pub(crate) fn deflate(file: &Path) -> Result<()> {
    let mut file = File::open(file).with_context(|| format!("open {}", file.display()))?;
    let mut gzip = flate2::write::GzEncoder::new(std::io::sink(), flate2::Compression::new(6));
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => gzip.write_all(&buffer[..read])?,
        }
    }
    gzip.finish()?;
    Ok(())
}

/// The time that a bundle stands for.
fn as_of(bundle: &Path) -> Result<String> {
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(bundle.join("export.json"))?)?;
    Ok(manifest["asOf"].as_str().context("a manifest with a time")?.to_owned())
}

/// Takes the database out of the layer of a bundle.
fn unpack(bundle: &Path, to: &Path) -> Result<()> {
    for blob in fs::read_dir(bundle.join("trivy/oci/blobs/sha256"))? {
        let blob = blob?.path();
        let mut head = [0; 2];
        let read = File::open(&blob)?.read(&mut head)?;
        if read == 2 && head == [0x1f, 0x8b] {
            let mut archive = tar::Archive::new(GzDecoder::new(File::open(&blob)?));
            for member in archive.entries()? {
                let mut member = member?;
                if member.path_bytes().as_ref() == b"trivy.db" {
                    let bytes = std::io::copy(&mut member, &mut File::create(to)?)?;
                    ensure!(bytes > 0, "the database is empty");
                    return Ok(());
                }
            }
        }
    }
    bail!("{} has no layer with a database", bundle.display())
}
