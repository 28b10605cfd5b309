//! The reports of what an output does not say although the evidence does.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stella_manifest::{OutputEntry, PartEntry};
use stella_model::rfc8785;

use super::{Context, Problems, vex};
use crate::report::{Check, Problem};

const MEDIA_TYPE: &str = "application/x-ndjson";

/// A report.
pub(super) struct Report {
    /// The adapter that writes it.
    pub(super) adapter: &'static str,
    pub(super) file: &'static str,
    /// Reads its lines.
    read: Read,
}

type Read =
    for<'a> fn(&Context<'a>, &'a OutputEntry, &PartEntry) -> Result<Counts<'a>, Option<Problem>>;

/// Lines by reason.
type Counts<'a> = BTreeMap<&'a str, u64>;

/// The reports that there are.
pub(super) const REPORTS: [Report; 2] = [
    Report {
        adapter: super::DATABASE.adapter,
        file: "trivy/db.report.jsonl",
        read: read::<DatabaseLine>,
    },
    Report { adapter: vex::ADAPTER, file: "trivy/vex.report.jsonl", read: read::<VexLine> },
];

/// One line of a report.
trait Line: Serialize + DeserializeOwned {
    /// What lines are sorted by; no two have the same.
    fn key(&self) -> [&str; 5];

    fn reason(&self) -> &str;
}

/// A line about a database.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DatabaseLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    feed: String,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    reason: String,
}

impl Line for DatabaseLine {
    fn key(&self) -> [&str; 5] {
        let package = self.package.as_deref().unwrap_or_default();
        let detail = self.detail.as_deref().unwrap_or_default();
        [&self.feed, &self.id, package, &self.reason, detail]
    }

    fn reason(&self) -> &str {
        &self.reason
    }
}

/// A line about a VEX repository.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VexLine {
    feed: String,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    products: u64,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vulnerability: Option<String>,
}

impl Line for VexLine {
    fn key(&self) -> [&str; 5] {
        let vulnerability = self.vulnerability.as_deref().unwrap_or_default();
        [&self.feed, &self.id, vulnerability, &self.reason, ""]
    }

    fn reason(&self) -> &str {
        &self.reason
    }
}

/// Checks form, order and sums of the lines of all reports; what to tell if all is well.
pub(super) fn check(context: &Context<'_>, problems: &mut Problems) -> String {
    let mut lines: u64 = 0;
    for report in &REPORTS {
        if let Some(output) = context.output(report.adapter) {
            lines = lines.saturating_add(check_one(context, report, output, problems));
        }
    }
    format!("{lines} lines, sums agree")
}

fn check_one<'a>(
    context: &Context<'a>,
    report: &Report,
    output: &'a OutputEntry,
    problems: &mut Problems,
) -> u64 {
    let mut fail = |problem: Problem| problems.add(Check::ScannerReport, problem.of(report.file));
    let Some(part) = context.part(report.file) else {
        fail(Problem::new("the manifest does not list it"));
        return 0;
    };
    if part.media_type != MEDIA_TYPE {
        fail(Problem::new("another media type").expected(MEDIA_TYPE, &part.media_type));
    }
    let counts = match (report.read)(context, output, part) {
        Ok(counts) => counts,
        Err(problem) => {
            problem.into_iter().for_each(fail);
            return 0;
        }
    };
    let lines = counts.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
    if part.records != Some(lines) {
        let told = part.records.map_or_else(|| "none".to_owned(), |records| records.to_string());
        fail(Problem::new("the manifest tells another number of records").expected(told, lines));
    }
    for (reason, told) in &output.not_represented {
        let found = counts.get(reason.as_str()).copied().unwrap_or(0);
        if found != *told {
            let problem = Problem::new(format!("notRepresented tells another number of {reason}"));
            fail(problem.expected(told, found));
        }
    }
    lines
}

/// Reads all lines; their number by reason. An error without a problem: it was told to stop.
fn read<'a, L: Line>(
    context: &Context<'a>,
    output: &'a OutputEntry,
    part: &PartEntry,
) -> Result<Counts<'a>, Option<Problem>> {
    // A line quotes a name or a version of a document, every character escaped at worst.
    let longest = context.limits.document_bytes.saturating_mul(2).saturating_add(64 << 10);
    let bad = |message: String| Some(Problem::new(message));
    let opened = context.files.open(&part.path);
    let opened = opened.map_err(|error| bad(format!("it cannot be read: {error}")))?;
    let mut lines = BufReader::with_capacity(128 << 10, opened.take(part.size));
    let (mut line, mut last, mut number) = (Vec::new(), None::<L>, 0_u64);
    let mut counts = Counts::new();
    loop {
        if (context.stop)() {
            return Err(None);
        }
        line.clear();
        number += 1;
        let read = (&mut lines).take(longest).read_until(b'\n', &mut line);
        if read.map_err(|error| bad(format!("it cannot be read: {error}")))? == 0 {
            return Ok(counts);
        }
        if line.pop() != Some(b'\n') {
            return Err(bad(format!("line {number} does not end, or is too long")));
        }
        let parsed: L = serde_json::from_slice(&line)
            .map_err(|error| bad(format!("line {number} does not read: {error}")))?;
        if rfc8785::to_vec(&parsed) != line {
            return Err(bad(format!("line {number} is not in canonical form")));
        }
        if last.as_ref().is_some_and(|last| last.key() >= parsed.key()) {
            return Err(bad(format!("line {number} does not follow the one before it")));
        }
        let told = output.not_represented.get_key_value(parsed.reason());
        let Some((reason, _)) = told else {
            let message = format!("line {number} has a reason that notRepresented does not tell");
            return Err(Some(Problem::new(message).expected("a reason", parsed.reason())));
        };
        *counts.entry(reason).or_default() += 1;
        last = Some(parsed);
    }
}
