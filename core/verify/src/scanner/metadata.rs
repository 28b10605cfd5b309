//! `metadata.json` beside a database, by which Trivy decides whether it loads it.

use serde::Deserialize;
use stella_model::Instant;

use super::{Context, Kind, Problems};
use crate::report::{Check, Problem};

/// The time that was not, as Go writes it.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// How long one in a cache folder must be, so that no scanner asks for another: ten years.
const LASTING_SECONDS: i64 = 3_652 * 86_400;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Metadata {
    version: u32,
    next_update: String,
    updated_at: String,
    downloaded_at: String,
}

/// Which of the two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// In the layer of a registry: Trivy stamps it when it has downloaded it.
    Layer,
    /// In a cache folder: as if it had been downloaded at `asOf`.
    Cache,
}

/// Checks the form for a cache folder.
pub(super) fn check_cache(context: &Context<'_>, kind: &Kind, problems: &mut Problems) {
    let file = kind.cache;
    match context.small(file) {
        Ok(bytes) => check(file, &bytes, context.manifest.as_of, Form::Cache, kind, problems),
        Err(message) => problems.add(Check::ScannerPackaging, Problem::new(message).of(file)),
    }
}

/// Checks one form of the file.
pub(super) fn check(
    file: &str,
    bytes: &[u8],
    as_of: Instant,
    form: Form,
    kind: &Kind,
    problems: &mut Problems,
) {
    let mut fail = |problem: Problem| problems.add(Check::ScannerPackaging, problem.of(file));
    let metadata: Metadata = match serde_json::from_slice(bytes) {
        Ok(metadata) => metadata,
        Err(error) => return fail(Problem::new(format!("it is no metadata: {error}"))),
    };
    if metadata.version != kind.schema {
        let problem = Problem::new("Trivy would refuse the Version");
        fail(problem.expected(kind.schema, metadata.version));
    }
    let as_of_text = as_of.to_string();
    let downloaded = match form {
        Form::Layer => NO_TIME,
        Form::Cache => &as_of_text,
    };
    for (what, expected, found) in [
        ("UpdatedAt", as_of_text.as_str(), &metadata.updated_at),
        ("DownloadedAt", downloaded, &metadata.downloaded_at),
    ] {
        if expected != found {
            fail(Problem::new(format!("another {what}")).expected(expected, found));
        }
    }
    let next = Instant::parse(&metadata.next_update).ok();
    let next = next.filter(|_| super::schema::is_go_time(&metadata.next_update));
    let ahead = next.map(|next| next.unix_seconds() - as_of.unix_seconds());
    let (good, expected) = match form {
        Form::Layer => (ahead == Some(kind.fresh_days * 86_400), kind.fresh),
        Form::Cache => {
            (ahead.is_some_and(|ahead| ahead >= LASTING_SECONDS), "many years after asOf")
        }
    };
    if !good {
        fail(Problem::new("another NextUpdate").expected(expected, &metadata.next_update));
    }
}
