//! The database of a scanner: its packaging, its pages and values, the report of what it leaves out.
//!
//! [`Verification::check_scanner`](crate::Verification::check_scanner) unpacks the database into room
//! that the caller brings, and looks at every byte of it: the image layout, the archive, the pages of
//! the bbolt file, and every value against the schema that the scanner decodes. On the way it picks
//! packages for a [`Canary`]. A scanner that meets a damaged database often finds nothing and is
//! content, so nothing here is left to it.

mod archive;
mod buckets;
mod canary;
mod database;
mod layout;
mod metadata;
mod report_lines;
mod schema;

use std::io;

use stella_bolt::ReadAt;
use stella_manifest::{ExportManifest, OutputEntry, PartEntry};
use stella_model::Limits;

pub use buckets::{bucket_of_release, language_of_purl};
pub use canary::{Canary, CanaryError, CanaryOutcome, CanaryScan};

use crate::BundleFiles;
use crate::report::{Check, Findings, PROBLEMS_KEPT, Problem};

/// The adapter whose outputs are looked at.
const ADAPTER: &str = "trivy:db";

/// Folder of everything that is for this scanner, with its slash.
const FOLDER: &str = "trivy/";

/// The version of the scanner's schema that this verifier knows.
const SCHEMA: u32 = 2;

/// The checks made here; the canary is apart.
pub(crate) const CHECKS: [Check; 3] =
    [Check::ScannerPackaging, Check::ScannerDatabase, Check::ScannerReport];

/// What became of the database of a bundle.
#[derive(Debug, Clone, Default)]
pub struct ScannerVerdict {
    problems: Problems,
    /// What to tell of the checks that hold.
    details: Vec<(Check, String)>,
    canary: Canary,
    /// Bytes of `trivy.db`, if it was unpacked.
    database_bytes: Option<u64>,
}

impl ScannerVerdict {
    /// Packages with which a scanner can be tried.
    #[must_use]
    pub fn canary(&self) -> &Canary {
        &self.canary
    }

    /// Bytes of the database, which lie at the start of the room; `None` if it was not unpacked.
    #[must_use]
    pub fn database_bytes(&self) -> Option<u64> {
        self.database_bytes
    }

    /// Joins the verdict into what was found.
    pub(crate) fn tell(self, findings: &mut Findings) {
        for (check, problem) in self.problems.list {
            findings.fail(check, problem);
        }
        for (check, detail) in self.details {
            findings.pass(check, detail);
        }
    }
}

/// What is wrong. Bounded: a database of nothing but mistakes must not fill the memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Problems {
    list: Vec<(Check, Problem)>,
}

impl Problems {
    fn add(&mut self, check: Check, problem: Problem) {
        if !self.full() {
            self.list.push((check, problem));
        }
    }

    /// Whether there are so many that looking on is of no use.
    fn full(&self) -> bool {
        self.list.len() >= PROBLEMS_KEPT
    }

    fn of(&self, check: Check) -> bool {
        self.list.iter().any(|(other, _)| *other == check)
    }
}

/// What all checks of one database share.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) files: &'a dyn BundleFiles,
    pub(crate) manifest: &'a ExportManifest,
    pub(crate) output: &'a OutputEntry,
    pub(crate) limits: &'a Limits,
    /// Whether to end early.
    pub(crate) stop: &'a dyn Fn() -> bool,
}

impl<'a> Context<'a> {
    /// The part with a path.
    fn part(&self, path: &str) -> Option<&'a PartEntry> {
        let parts = &self.manifest.parts;
        let at = parts.binary_search_by(|part| part.path.as_str().cmp(path)).ok()?;
        parts.get(at)
    }

    /// Reads a small listed part.
    fn small(&self, path: &str) -> Result<Vec<u8>, String> {
        /// Larger than the small files of a layout ever are.
        const BYTES: u64 = 1 << 20;
        let part = self.part(path).ok_or("the manifest does not list it")?;
        crate::lines::read_small(self.files, &part.path, BYTES)
            .map_err(|error| format!("it cannot be read: {error}"))
    }
}

/// The output with the database, if the bundle has one.
pub(crate) fn output(manifest: &ExportManifest) -> Option<&OutputEntry> {
    manifest.outputs.iter().find(|output| output.adapter == ADAPTER)
}

/// Checks the database of a bundle, unpacking it into `room`. `None` if it was told to stop.
pub(crate) fn check<R: io::Write + ReadAt>(
    context: &Context<'_>,
    mut room: R,
) -> Option<ScannerVerdict> {
    let mut verdict = ScannerVerdict::default();
    let problems = &mut verdict.problems;
    check_output(context, problems);
    let layer = layout::check(context, problems);
    metadata::check_cache(context, problems);
    report_lines::check(context, problems);
    verdict.database_bytes =
        layer.and_then(|layer| archive::unpack(context, layer, &mut room, problems));
    let packaged = format!(
        "layer of {} bytes, metadata of {}",
        layer.map_or(0, |l| l.size),
        context.manifest.as_of
    );
    verdict.details.push((Check::ScannerPackaging, packaged));
    let lines =
        context.output.not_represented.values().fold(0, |sum: u64, n| sum.saturating_add(*n));
    verdict.details.push((Check::ScannerReport, format!("{lines} lines, sums agree")));
    match verdict.database_bytes {
        Some(_) => {
            let (told, canary) = database::check(context, room, &mut verdict.problems);
            verdict.canary = canary;
            verdict.details.push((Check::ScannerDatabase, told));
        }
        None if !verdict.problems.of(Check::ScannerDatabase) => {
            let problem = Problem::new("it could not be unpacked").of(archive::DATABASE);
            verdict.problems.add(Check::ScannerDatabase, problem);
        }
        None => {}
    }
    (!(context.stop)()).then_some(verdict)
}

/// Checks what the manifest tells of the output.
fn check_output(context: &Context<'_>, problems: &mut Problems) {
    let mut fail = |check: Check, message: &str| {
        problems.add(check, Problem::new(message).of(stella_manifest::layout::EXPORT));
    };
    let scanner = context.output.scanner.as_ref();
    if scanner.is_none_or(|scanner| scanner.name != "trivy" || scanner.schema != SCHEMA) {
        fail(Check::ScannerDatabase, "the output does not tell its scanner, or another schema");
    }
    let coverage = &context.manifest.coverage;
    if coverage.is_empty() {
        fail(Check::ScannerReport, "the manifest does not tell what a scanner sees");
    }
    if !coverage.windows(2).all(|pair| pair[0].ecosystem < pair[1].ecosystem) {
        fail(Check::ScannerReport, "its coverage is not sorted by ecosystem, or not unique");
    }
    let known = |state: &str| ["full", "partial", "absent"].contains(&state);
    if !coverage.iter().all(|entry| known(&entry.state)) {
        fail(Check::ScannerReport, "its coverage has a word that is not full, partial or absent");
    }
}
