//! The report of what the database does not say although the evidence does.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};

use serde::{Deserialize, Serialize};
use stella_manifest::PartEntry;
use stella_model::rfc8785;

use super::{Context, Problems};
use crate::report::{Check, Problem};

/// The file.
pub(super) const FILE: &str = "trivy/db.report.jsonl";

const MEDIA_TYPE: &str = "application/x-ndjson";

/// One line.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    feed: String,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    reason: String,
}

impl Line {
    /// What lines are sorted by.
    fn key(&self) -> (&str, &str, &str, &str, &str) {
        let package = self.package.as_deref().unwrap_or_default();
        let detail = self.detail.as_deref().unwrap_or_default();
        (&self.feed, &self.id, package, &self.reason, detail)
    }
}

/// Checks form, order and sums of the lines.
pub(super) fn check(context: &Context<'_>, problems: &mut Problems) {
    let mut fail = |problem: Problem| problems.add(Check::ScannerReport, problem.of(FILE));
    let Some(part) = context.part(FILE) else {
        return fail(Problem::new("the manifest does not list it"));
    };
    if part.media_type != MEDIA_TYPE {
        fail(Problem::new("another media type").expected(MEDIA_TYPE, &part.media_type));
    }
    let told = &context.output.not_represented;
    let counts = match read(context, part) {
        Ok(counts) => counts,
        Err(None) => return,
        Err(Some(problem)) => return fail(*problem),
    };
    let lines = counts.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
    if part.records != Some(lines) {
        let told = part.records.map_or_else(|| "none".to_owned(), |records| records.to_string());
        fail(Problem::new("the manifest tells another number of records").expected(told, lines));
    }
    for (reason, told) in told {
        let found = counts.get(reason.as_str()).copied().unwrap_or(0);
        if found != *told {
            let problem = Problem::new(format!("notRepresented tells another number of {reason}"));
            fail(problem.expected(told, found));
        }
    }
}

/// Reads all lines; their number by reason. An error without a problem: it was told to stop.
fn read<'a>(
    context: &Context<'a>,
    part: &PartEntry,
) -> Result<BTreeMap<&'a str, u64>, Option<Box<Problem>>> {
    // A line quotes a name or a version of a document, every character escaped at worst.
    let longest = context.limits.document_bytes.saturating_mul(2).saturating_add(64 << 10);
    let bad = |message: String| Some(Box::new(Problem::new(message)));
    let opened = context.files.open(&part.path);
    let opened = opened.map_err(|error| bad(format!("it cannot be read: {error}")))?;
    let mut lines = BufReader::with_capacity(128 << 10, opened.take(part.size));
    let (mut line, mut last, mut number) = (Vec::new(), None::<Line>, 0_u64);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
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
        let parsed: Line = serde_json::from_slice(&line)
            .map_err(|error| bad(format!("line {number} does not read: {error}")))?;
        if rfc8785::to_vec(&parsed) != line {
            return Err(bad(format!("line {number} is not in canonical form")));
        }
        if last.as_ref().is_some_and(|last| last.key() >= parsed.key()) {
            return Err(bad(format!("line {number} does not follow the one before it")));
        }
        let told = context.output.not_represented.get_key_value(&parsed.reason);
        let Some((reason, _)) = told else {
            let message = format!("line {number} has a reason that notRepresented does not tell");
            return Err(Some(Box::new(Problem::new(message).expected("a reason", &parsed.reason))));
        };
        *counts.entry(reason).or_default() += 1;
        last = Some(parsed);
    }
}
