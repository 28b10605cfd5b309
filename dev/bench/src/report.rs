//! Figures as a table, as JSON and as a page.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::measure::Usage;
use crate::scenarios::{LEAST_FIRST, LEAST_SHORT};

/// Everything that one call measured.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Results {
    /// Version of the product.
    pub(crate) version: String,
    pub(crate) machine: Machine,
    pub(crate) scales: Vec<Scale>,
}

/// What it was measured on.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) threads: usize,
    pub(crate) kernel: String,
    /// Versions of the peers.
    pub(crate) peers: Vec<String>,
    /// Load over one minute when the measurements began: above 0, wall times say little.
    pub(crate) load: String,
}

/// The figures of one corpus.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Scale {
    /// How many times as large as the real data.
    pub(crate) factor: usize,
    pub(crate) feeds: usize,
    pub(crate) documents: u64,
    /// Uncompressed bytes of all documents.
    pub(crate) bytes: u64,
    /// Bytes of the canonical lines in mirror:full.
    pub(crate) canonical_bytes: u64,
    /// Bytes that its parts and indexes take.
    pub(crate) stored_bytes: u64,
    pub(crate) parts: usize,
    pub(crate) repetitions: usize,
    pub(crate) figures: Vec<Figure>,
}

/// One measured command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figure {
    pub(crate) scenario: String,
    /// Whether it is a program of others.
    pub(crate) peer: bool,
    pub(crate) usage: Usage,
    /// Uncompressed bytes gone through.
    pub(crate) bytes: Option<u64>,
    pub(crate) note: Option<String>,
    pub(crate) goal: Option<Goal>,
    /// Whether the peak stays within the product's bound.
    pub(crate) memory_met: Option<bool>,
}

/// A measured ratio and what it should be.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Goal {
    pub(crate) of: String,
    pub(crate) measured: f64,
    pub(crate) wanted: f64,
    /// Whether more is better.
    pub(crate) at_least: bool,
}

impl Goal {
    pub(crate) fn at_least(of: &str, measured: f64, wanted: f64) -> Goal {
        Goal { of: of.to_owned(), measured, wanted, at_least: true }
    }

    pub(crate) fn at_most(of: &str, measured: f64, wanted: f64) -> Goal {
        Goal { of: of.to_owned(), measured, wanted, at_least: false }
    }

    pub(crate) fn met(&self) -> bool {
        if self.at_least { self.measured >= self.wanted } else { self.measured <= self.wanted }
    }

    pub(crate) fn show(&self) -> String {
        let (sign, verdict) =
            (if self.at_least { "≥" } else { "≤" }, if self.met() { "met" } else { "missed" });
        // Shares are small and read as percentages; speeds and factors are not.
        if self.at_least {
            let digits = if self.wanted >= 10.0 { 0 } else { 2 };
            format!(
                "{:.digits$} {} (goal {sign} {:.digits$}): {verdict}",
                self.measured, self.of, self.wanted
            )
        } else {
            let (measured, wanted) = (self.measured * 100.0, self.wanted * 100.0);
            format!("{measured:.1} % {} (goal {sign} {wanted:.1} %): {verdict}", self.of)
        }
    }
}

impl Figure {
    pub(crate) fn new(scenario: &str, usage: Usage) -> Figure {
        Figure {
            scenario: scenario.to_owned(),
            peer: false,
            usage,
            bytes: None,
            note: None,
            goal: None,
            memory_met: None,
        }
    }

    pub(crate) fn bytes(self, bytes: u64) -> Figure {
        Figure { bytes: Some(bytes), ..self }
    }

    pub(crate) fn note(self, note: String) -> Figure {
        Figure { note: Some(note), ..self }
    }

    pub(crate) fn goal(self, goal: Goal) -> Figure {
        Figure { goal: Some(goal), ..self }
    }

    pub(crate) fn peer(self) -> Figure {
        Figure { peer: true, ..self }
    }

    fn remark(&self) -> String {
        let goal = self.goal.as_ref().map(Goal::show);
        let parts: Vec<String> = goal.into_iter().chain(self.note.clone()).collect();
        parts.join("; ")
    }
}

impl Results {
    /// The page `docs/benchmarks.md`: what `before` says up to its figures, then these.
    pub(crate) fn page(&self, before: &str) -> String {
        let kept = before.find(HEADING).map_or(before, |at| &before[..at]).trim_end();
        let mut page = if kept.is_empty() { String::new() } else { format!("{kept}\n\n") };
        page.push_str(HEADING);
        page.push('\n');
        page.push_str(INTRODUCTION);
        let machine = &self.machine;
        let _ = writeln!(
            page,
            "{}, on {} threads of {}, {}, load at the start {}. Peers: {}.",
            self.version,
            machine.threads,
            machine.processor,
            machine.kernel,
            machine.load,
            machine.peers.join(", ")
        );
        for scale in &self.scales {
            scale.section(&mut page);
        }
        self.memory(&mut page);
        page
    }

    /// Peak memory at both scales, side by side.
    fn memory(&self, page: &mut String) {
        let [small, .., large] = &self.scales[..] else { return };
        page.push_str("\n### Peak memory as the data grows\n\n");
        let _ = writeln!(page, "| command | {}× | {}× | growth |", small.factor, large.factor);
        page.push_str("| --- | ---: | ---: | ---: |\n");
        for figure in small.figures.iter().filter(|figure| !figure.peer) {
            let same = large.figures.iter().find(|other| other.scenario == figure.scenario);
            let Some(same) = same else { continue };
            let (before, after) = (figure.usage.peak_bytes, same.usage.peak_bytes);
            let growth = after as f64 / before.max(1) as f64;
            let _ = writeln!(
                page,
                "| {} | {} MiB | {} MiB | {growth:.2} |",
                figure.scenario,
                before >> 20,
                after >> 20
            );
        }
    }
}

impl Scale {
    fn section(&self, page: &mut String) {
        let title = match self.factor {
            1 => "The real corpus".to_owned(),
            factor => format!("{factor} times the real corpus, identities distinct"),
        };
        let _ = writeln!(page, "\n### {title}\n");
        let _ = writeln!(
            page,
            "{} feeds, {} documents, {:.0} MB; as mirror:full {:.0} MB of canonical lines in {} parts \
             that take {:.0} MB with their indexes. Median of {} by CPU time, of the first mirror:full of {}, \
             of what takes a moment and of the uniform change of {}.\n",
            self.feeds,
            self.documents,
            self.bytes as f64 / 1e6,
            self.canonical_bytes as f64 / 1e6,
            self.parts,
            self.stored_bytes as f64 / 1e6,
            self.repetitions,
            self.repetitions.max(LEAST_FIRST),
            self.repetitions.max(LEAST_SHORT)
        );
        page.push_str(
            "| command | CPU s | wall s | MB per CPU s | peak MiB | against the goal |\n",
        );
        page.push_str("| --- | ---: | ---: | ---: | ---: | --- |\n");
        for figure in &self.figures {
            let usage = &figure.usage;
            let speed = figure.bytes.filter(|_| usage.cpu() > 0.0);
            let speed = speed.map_or_else(String::new, |bytes| {
                format!("{:.0}", bytes as f64 / 1e6 / usage.cpu())
            });
            let over = if figure.memory_met == Some(false) { " (over 200)" } else { "" };
            let _ = writeln!(
                page,
                "| {} | {:.2} | {:.2} | {speed} | {}{over} | {} |",
                figure.scenario,
                usage.cpu(),
                usage.wall_seconds,
                usage.peak_bytes >> 20,
                figure.remark()
            );
        }
    }
}

/// The heading under which figures stand; a page keeps what stands before it.
const HEADING: &str = "## Figures";

const INTRODUCTION: &str = "
Written by `cargo xtask bench --out docs/benchmarks.md`. Every figure is of one whole process with its
children: CPU-seconds in and outside the kernel, wall seconds, and the largest resident set. Runs are
signed; where a ratio says *without scrypt*, the time that decrypting the key takes is left out of it,
because it is the same however much is exported.

";

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(factor: usize, peak_bytes: u64) -> Scale {
        let usage = Usage { user_seconds: 2.0, system_seconds: 0.5, wall_seconds: 1.5, peak_bytes };
        let goal = Goal::at_least("MB per CPU-second", 160.0, 120.0);
        Scale {
            factor,
            feeds: 1,
            documents: 2,
            bytes: 400_000_000,
            canonical_bytes: 400_000_000,
            stored_bytes: 1,
            parts: 1,
            repetitions: 3,
            figures: vec![
                Figure::new("ingest", usage).bytes(400_000_000).goal(goal),
                Figure::new("zstd", usage).peer(),
            ],
        }
    }

    #[test]
    fn the_page_tells_speed_goal_and_growth() {
        let machine = Machine {
            processor: "P".into(),
            threads: 2,
            kernel: "K".into(),
            peers: vec!["zstd 1".into()],
            load: "0.1".into(),
        };
        let scales = vec![scale(1, 100 << 20), scale(10, 110 << 20)];
        let page = Results { version: "0.1.0".into(), machine, scales }
            .page("# Benchmarks\n\nWhy.\n\n## Figures\n\nOld.\n");
        assert!(page.starts_with("# Benchmarks\n\nWhy.\n\n## Figures\n\nWritten"), "{page}");
        assert!(!page.contains("Old."), "{page}");
        let row = "| ingest | 2.50 | 1.50 | 160 | 100 | 160 MB per CPU-second (goal ≥ 120): met |";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("| ingest | 100 MiB | 110 MiB | 1.10 |"), "{page}");
        assert!(!page.contains("| zstd | 100 MiB"), "peers have no goal of memory: {page}");
    }

    #[test]
    fn goals_are_met_from_either_side() {
        assert!(Goal::at_most("x", 0.05, 0.05).met() && !Goal::at_most("x", 0.06, 0.05).met());
        assert!(Goal::at_least("x", 0.8, 0.8).met() && !Goal::at_least("x", 0.79, 0.8).met());
        assert_eq!(
            Goal::at_most("of the first run", 0.0312, 0.08).show(),
            "3.1 % of the first run (goal ≤ 8.0 %): met"
        );
    }
}
