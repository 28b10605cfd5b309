//! CPU time, wall time and peak memory of one whole child process.
//!
//! The kernel keeps one sum per process over all children it waited for, and counts the memory of a
//! parent to its child until the child runs its own program. So each measurement starts this binary
//! again as a small parent of exactly one child, and that parent reports.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::{Deserialize, Serialize};

/// What one process, with all its children, used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    /// CPU seconds outside the kernel.
    pub(crate) user_seconds: f64,
    /// CPU seconds in the kernel.
    pub(crate) system_seconds: f64,
    /// Seconds from start to end.
    pub(crate) wall_seconds: f64,
    /// Largest resident set of any one process.
    pub(crate) peak_bytes: u64,
}

impl Usage {
    /// CPU seconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }

    /// One after the other: times add up, the larger peak stays.
    pub(crate) fn then(self, next: Usage) -> Usage {
        Usage {
            user_seconds: self.user_seconds + next.user_seconds,
            system_seconds: self.system_seconds + next.system_seconds,
            wall_seconds: self.wall_seconds + next.wall_seconds,
            peak_bytes: self.peak_bytes.max(next.peak_bytes),
        }
    }

    /// Nothing used.
    pub(crate) const ZERO: Usage =
        Usage { user_seconds: 0.0, system_seconds: 0.0, wall_seconds: 0.0, peak_bytes: 0 };
}

/// A command to be measured.
pub(crate) struct Measured<'a> {
    /// Program and arguments.
    pub(crate) words: Vec<String>,
    /// Variables set besides those of this process.
    pub(crate) env: &'a [(&'a str, &'a str)],
    /// Exit codes other than 0 that are no failure of the measurement.
    pub(crate) accepted: &'a [i32],
}

/// What the small parent hands over.
#[derive(Serialize, Deserialize)]
struct Outcome {
    code: Option<i32>,
    usage: Usage,
}

impl Measured<'_> {
    /// Runs the command and says what it used.
    ///
    /// # Errors
    /// If it cannot be started or ends otherwise than accepted; then with the end of what it said.
    pub(crate) fn run(&self, scratch: &Path) -> Result<Usage> {
        let shown = self.words.join(" ");
        let (report, log) = (scratch.join("usage.json"), scratch.join("stderr.txt"));
        let status = Command::new(std::env::current_exe().context("find this program")?)
            .arg("measure")
            .arg(&report)
            .arg("--")
            .args(&self.words)
            .envs(self.env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .status()
            .with_context(|| format!("start {shown}"))?;
        let said = || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let from = said.len().saturating_sub(2000);
            said.get(from..).unwrap_or(&said).to_owned()
        };
        if !status.success() {
            bail!("{shown}: {}", said());
        }
        let bytes = std::fs::read(&report).context("read the measurement")?;
        let Outcome { code, usage } =
            serde_json::from_slice(&bytes).context("read the measurement")?;
        match code {
            Some(code) if code == 0 || self.accepted.contains(&code) => Ok(usage),
            code => bail!("{shown}: ended with {code:?}\n{}", said()),
        }
    }
}

/// The small parent: runs the words as one child and writes what it used to `report`.
///
/// # Errors
/// If the child cannot be started. How it ends is part of the report.
pub(crate) fn parent(report: &Path, words: &[String]) -> Result<()> {
    let (program, arguments) = words.split_first().context("no command to measure")?;
    let begin = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .status()
        .with_context(|| format!("start {program}"))?;
    let wall_seconds = begin.elapsed().as_secs_f64();
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).context("read what the child used")?;
    let seconds = |time: nix::sys::time::TimeVal| time.num_microseconds() as f64 / 1e6;
    let usage = Usage {
        user_seconds: seconds(used.user_time()),
        system_seconds: seconds(used.system_time()),
        wall_seconds,
        // Linux counts in KiB.
        peak_bytes: u64::try_from(used.max_rss()).unwrap_or(0) * 1024,
    };
    let outcome = Outcome { code: status.code(), usage };
    std::fs::write(report, serde_json::to_vec(&outcome)?).context("write the measurement")
}

/// The repetition in the middle by CPU time, with the highest peak of all.
///
/// # Panics
/// If there is none.
pub(crate) fn median(mut runs: Vec<Usage>) -> Usage {
    runs.sort_by(|a, b| a.cpu().total_cmp(&b.cpu()));
    let peak_bytes = runs.iter().map(|run| run.peak_bytes).max().unwrap_or(0);
    Usage { peak_bytes, ..runs[(runs.len() - 1) / 2] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(user_seconds: f64, peak_bytes: u64) -> Usage {
        Usage { user_seconds, peak_bytes, ..Usage::ZERO }
    }

    #[test]
    fn the_median_is_of_time_and_the_peak_is_of_all() {
        let middle = median(vec![cpu(3.0, 1), cpu(1.0, 9), cpu(2.0, 2)]);
        assert_eq!((middle.cpu(), middle.peak_bytes), (2.0, 9));
        // Of two the faster one: an even number of runs is one too few.
        assert_eq!(median(vec![cpu(3.0, 1), cpu(1.0, 1)]).cpu(), 1.0);
    }

    #[test]
    fn the_parent_reports_what_its_child_used() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let report = dir.path().join("usage.json");
        let words = ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"];
        parent(&report, &words.map(str::to_owned)).expect("the loop ends with 0");
        let outcome = || -> Outcome {
            serde_json::from_slice(&std::fs::read(&report).expect("a report")).expect("its JSON")
        };
        let Outcome { code, usage } = outcome();
        assert_eq!(code, Some(0));
        assert!(usage.cpu() > 0.0 && usage.wall_seconds > 0.0, "{usage:?}");
        assert!(usage.peak_bytes > 100 << 10 && usage.peak_bytes < 100 << 20, "{usage:?}");
        parent(&report, &["false".to_owned()]).expect("false can be started");
        assert_eq!(outcome().code, Some(1));
        assert!(parent(&report, &["/no/such/program".to_owned()]).is_err());
    }
}
