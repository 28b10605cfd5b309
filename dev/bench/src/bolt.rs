//! Loading sorted pairs into a bbolt file: `stella-bolt` beside the original bbolt in Go.
//!
//! Both get the same keys of 20 bytes and values of 96, and neither waits for the disk. bbolt gets
//! what is quickest for it: sorted keys, full pages, 4,000 pairs in a transaction.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use stella_bolt::{Database, Limits, PageSize, Writer};
use stella_peers::Peer;

use crate::measure::{Measured, Usage, median};
use crate::report::Goal;

/// Most memory that loading may need.
const PEAK_BYTES: u64 = 25 << 20;

/// How the pairs are spread over buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// All in one bucket.
    Flat,
    /// Four to a bucket, the buckets in one.
    Four,
    /// One to a bucket, the buckets in one.
    One,
}

/// Each shape with its name for people and for both programs, and how many times as fast as bbolt
/// loading is to be.
const SHAPES: [(Shape, &str, &str, f64); 3] = [
    (Shape::Flat, "one bucket", "flat", 8.0),
    (Shape::Four, "4 pairs in a bucket", "four", 5.0),
    (Shape::One, "1 pair in a bucket", "one", 5.0),
];

/// Measures every shape with both programs in turns and gives a table.
///
/// # Errors
/// If a program is missing or fails, or our file does not hold every pair.
pub(crate) fn measure(cache: &Path, pairs: usize, repetitions: usize) -> Result<String> {
    let judge = judge()?;
    let ours = std::env::current_exe().context("find this program")?;
    fs::create_dir_all(cache).with_context(|| format!("make {}", cache.display()))?;
    let file = |name: &str| cache.join(format!("{name}.db"));
    let (our_file, their_file) = (file("stella-bolt"), file("bbolt"));
    let mut page = format!("{pairs} sorted pairs, median of {repetitions} by CPU time:\n\n");
    page.push_str("| pairs | program | CPU s | wall s | peak MiB | file MB | against the goal |\n");
    page.push_str("| --- | --- | ---: | ---: | ---: | ---: | --- |\n");
    for (_, title, name, wanted) in SHAPES {
        let (mut we, mut they) = (Vec::new(), Vec::new());
        for _ in 0..repetitions.max(1) {
            they.push(once(cache, &judge, "load", &their_file, name, pairs)?);
            we.push(once(cache, &ours, "bolt-load", &our_file, name, pairs)?);
        }
        let (we, they) = (median(we), median(they));
        let file = File::open(&our_file).context("open the file that was loaded")?;
        let report = Database::open(file, Limits::DEFAULT)?.check()?;
        anyhow::ensure!(report.pairs == pairs as u64, "{} pairs were loaded", report.pairs);
        let goal = Goal::at_least("times bbolt", they.cpu() / we.cpu().max(0.001), wanted);
        let within = if we.peak_bytes <= PEAK_BYTES { "met" } else { "missed" };
        let remark = format!("{}; at most {} MiB: {within}", goal.show(), PEAK_BYTES >> 20);
        row(&mut page, title, "stella-bolt", &we, &our_file, &remark)?;
        row(&mut page, title, "bbolt", &they, &their_file, "")?;
    }
    for file in [our_file, their_file] {
        fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))?;
    }
    Ok(page)
}

/// Loads a million pairs into one bucket with bbolt: the yardstick for figures of programs that build
/// on it.
///
/// # Errors
/// If the program is missing or fails.
pub(crate) fn their_flat_load(scratch: &Path) -> Result<Usage> {
    const PAIRS: usize = 1_000_000;
    let file = scratch.join("bbolt.db");
    let usage = once(scratch, &judge()?, "load", &file, "flat", PAIRS)?;
    fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))?;
    Ok(usage)
}

/// Loads a file with this program.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn load(file: &Path, shape: Shape, pairs: usize) -> Result<()> {
    let sink = File::create(file).with_context(|| format!("create {}", file.display()))?;
    let mut writer = Writer::new(sink, PageSize::DEFAULT);
    let in_bucket = match shape {
        Shape::Flat => usize::MAX,
        Shape::Four => 4,
        Shape::One => 1,
    };
    let (mut name, mut key) = (*b"bucket-0000000000000", *b"key-0000000000000000");
    let value = [b'v'; 96];
    writer.enter(b"bench")?;
    for number in 0..pairs {
        if shape != Shape::Flat && number % in_bucket == 0 {
            if number > 0 {
                writer.leave()?;
            }
            digits(&mut name, number);
            writer.enter(&name)?;
        }
        digits(&mut key, number);
        writer.put(&key, &value)?;
    }
    while writer.depth() > 0 {
        writer.leave()?;
    }
    writer.finish()?;
    Ok(())
}

fn once(
    cache: &Path,
    program: &Path,
    command: &str,
    file: &Path,
    shape: &str,
    pairs: usize,
) -> Result<Usage> {
    if file.exists() {
        fs::remove_file(file).with_context(|| format!("remove {}", file.display()))?;
    }
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    let words =
        vec![shown(program), command.to_owned(), shown(file), shape.to_owned(), pairs.to_string()];
    Measured { words, env: &[], accepted: &[] }.run(cache)
}

fn judge() -> Result<PathBuf> {
    let peer = Peer::find("bolt-judge", "1.3.6").context("the judge is in the table of peers")?;
    peer.installed().context("bolt-judge is missing: cargo xtask peers bolt-judge")
}

fn row(
    page: &mut String,
    title: &str,
    program: &str,
    usage: &Usage,
    file: &Path,
    remark: &str,
) -> Result<()> {
    let megabytes = fs::metadata(file)?.len() as f64 / 1e6;
    let (cpu, wall, peak) = (usage.cpu(), usage.wall_seconds, usage.peak_bytes >> 20);
    writeln!(
        page,
        "| {title} | {program} | {cpu:.3} | {wall:.3} | {peak} | {megabytes:.1} | {remark} |"
    )?;
    Ok(())
}

/// Writes a number over the end of a key.
fn digits(key: &mut [u8], number: usize) {
    let mut rest = number;
    for byte in key.iter_mut().rev() {
        if rest == 0 {
            break;
        }
        *byte = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_loaded() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("loaded.db");
        for (shape, title, _, _) in SHAPES {
            load(&file, shape, 1002).expect("the file is written");
            let bytes = fs::read(&file).expect("the file");
            let database = Database::open(&bytes[..], Limits::DEFAULT).expect("it opens");
            let report = database.check().expect("it is in order");
            let buckets = match shape {
                Shape::Flat => 1,
                Shape::Four => 252,
                Shape::One => 1003,
            };
            assert_eq!((report.pairs, report.buckets), (1002, buckets), "{title}");
        }
    }
}
