//! What is for a scanner: databases, their packaging, a VEX repository, the reports of what they
//! leave out.
//!
//! [`Verification::check_scanner`](crate::Verification::check_scanner) unpacks the databases into rooms
//! that the caller brings, and looks at every byte of them: the image layout, the archives, the pages
//! of the bbolt and of the SQLite file, and every value against the schema that the scanner decodes. On
//! the way it picks packages for a [`Canary`]. A scanner that meets a damaged database often finds
//! nothing and is content, so nothing here is left to it.

mod archive;
mod buckets;
mod canary;
mod database;
mod java_index;
mod layout;
mod metadata;
mod report_lines;
mod schema;
mod vex;

use std::io;

use stella_bolt::ReadAt;
use stella_manifest::{ExportManifest, OutputEntry, PartEntry};
use stella_model::Limits;

pub use buckets::{bucket_of_release, language_of_purl};
pub use canary::{
    Canary, CanaryError, CanaryOutcome, CanaryScan, SkipReason, Skipped, TrivyVersion,
};

use crate::BundleFiles;
use crate::report::{Check, Findings, PROBLEMS_KEPT, Problem};

/// Folder of everything that is for this scanner, with its slash.
const FOLDER: &str = "trivy/";

/// Everything about a database but its content.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The adapter that makes it.
    adapter: &'static str,
    /// The check of its content.
    check: Check,
    /// The version of its schema that this verifier knows.
    schema: u32,
    /// Its file in the layer.
    file: &'static str,
    /// Its metadata for a cache folder.
    cache: &'static str,
    /// The tag under which the layout lists it.
    tag: &'static str,
    /// Media type of its layer.
    layer_type: &'static str,
    /// The name that a registry's clients give the layer; its ending tells them how to unpack it.
    title: &'static str,
    /// How long one from a registry is taken for fresh, in days and in words.
    fresh_days: i64,
    fresh: &'static str,
}

/// The database of vulnerabilities.
const DATABASE: Kind = Kind {
    adapter: "trivy:db",
    check: Check::ScannerDatabase,
    schema: 2,
    file: "trivy.db",
    cache: "trivy/cache/db/metadata.json",
    tag: "db-2",
    layer_type: "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip",
    title: "db.tar.gz",
    fresh_days: 1,
    fresh: "a day after asOf",
};

/// The index of jars.
const JAVA_INDEX: Kind = Kind {
    adapter: "trivy:java-db",
    check: Check::ScannerJavaIndex,
    schema: 1,
    file: "trivy-java.db",
    cache: "trivy/cache/java-db/metadata.json",
    tag: "java-db-1",
    layer_type: "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip",
    title: "javadb.tar.gz",
    fresh_days: 3,
    fresh: "three days after asOf",
};

/// The checks made here, each with the adapters whose outputs it looks at; the canary is apart.
const CHECKS: [(Check, &[&str]); 5] = [
    (Check::ScannerPackaging, &[DATABASE.adapter, JAVA_INDEX.adapter]),
    (Check::ScannerDatabase, &[DATABASE.adapter]),
    (Check::ScannerJavaIndex, &[JAVA_INDEX.adapter]),
    (Check::ScannerVex, &[vex::ADAPTER]),
    (Check::ScannerReport, &[DATABASE.adapter, vex::ADAPTER]),
];

/// What became of what a bundle has for a scanner.
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

/// What all checks of the outputs for one scanner share.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) files: &'a dyn BundleFiles,
    pub(crate) manifest: &'a ExportManifest,
    pub(crate) limits: &'a Limits,
    /// Whether to end early.
    pub(crate) stop: &'a dyn Fn() -> bool,
}

impl<'a> Context<'a> {
    /// The output of an adapter, if the bundle has one.
    fn output(&self, adapter: &str) -> Option<&'a OutputEntry> {
        output(self.manifest, adapter)
    }

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

fn output<'m>(manifest: &'m ExportManifest, adapter: &str) -> Option<&'m OutputEntry> {
    manifest.outputs.iter().find(|output| output.adapter == adapter)
}

/// Whether a bundle has anything for the scanner.
pub(crate) fn is_wanted(manifest: &ExportManifest) -> bool {
    CHECKS.iter().any(|(_, adapters)| adapters.iter().any(|id| output(manifest, id).is_some()))
}

/// Whether a bundle has a database of vulnerabilities.
pub(crate) fn has_database(manifest: &ExportManifest) -> bool {
    output(manifest, DATABASE.adapter).is_some()
}

/// The checks that find nothing to look at in a bundle, with the reason.
pub(crate) fn not_used(
    manifest: &ExportManifest,
) -> impl Iterator<Item = (Check, &'static str)> + '_ {
    let none = |adapters: &[&str]| adapters.iter().all(|id| output(manifest, id).is_none());
    let checks = CHECKS.into_iter().chain([(Check::ScannerCanary, &[DATABASE.adapter][..])]);
    checks.filter(move |(_, adapters)| none(adapters)).map(|(check, _)| {
        let why = match check {
            Check::ScannerPackaging | Check::ScannerReport => "nothing for a scanner",
            Check::ScannerJavaIndex => "no index of jars",
            Check::ScannerVex => "no VEX repository",
            _ => "no database for a scanner",
        };
        (check, why)
    })
}

/// Checks what a bundle has for the scanner, unpacking the database of vulnerabilities and the index
/// of jars into the rooms. `None` if it was told to stop.
pub(crate) fn check<R: io::Write + ReadAt>(
    context: &Context<'_>,
    mut database_room: R,
    mut java_room: R,
) -> Option<ScannerVerdict> {
    let mut verdict = ScannerVerdict::default();
    let mut layers = layout::check(context, &mut verdict.problems);
    let mut packaged = Vec::new();
    for (kind, room) in [(&DATABASE, &mut database_room), (&JAVA_INDEX, &mut java_room)] {
        let Some(output) = context.output(kind.adapter) else { continue };
        let problems = &mut verdict.problems;
        check_scanner(kind, output, problems);
        metadata::check_cache(context, kind, problems);
        let layer = *layers.of(kind);
        let bytes = layer.and_then(|layer| archive::unpack(context, kind, layer, room, problems));
        let size = layer.map_or(0, |layer| layer.size);
        packaged.push(format!("{} in a layer of {size} bytes", kind.file));
        match (layer.zip(bytes), kind.check) {
            (Some((layer, bytes)), Check::ScannerJavaIndex) => {
                let told = java_index::check(context, output, layer, bytes, &*room, problems);
                verdict.details.push((kind.check, told));
            }
            (Some((_, bytes)), _) => {
                verdict.database_bytes = Some(bytes);
                let (told, canary) = database::check(context, output, &*room, problems);
                verdict.canary = canary;
                verdict.details.push((kind.check, told));
            }
            (None, _) if !problems.of(kind.check) => {
                let problem = Problem::new("it could not be unpacked").of(kind.file);
                problems.add(kind.check, problem);
            }
            (None, _) => {}
        }
    }
    let packaged = format!("{}, of {}", packaged.join(", "), context.manifest.as_of);
    verdict.details.push((Check::ScannerPackaging, packaged));
    if let Some(output) = context.output(vex::ADAPTER) {
        let told = vex::check(context, output, &mut verdict.problems);
        verdict.details.push((Check::ScannerVex, told));
    }
    if context.output(DATABASE.adapter).is_some() {
        check_coverage(context, &mut verdict.problems);
    }
    let told = report_lines::check(context, &mut verdict.problems);
    verdict.details.push((Check::ScannerReport, told));
    (!(context.stop)()).then_some(verdict)
}

/// Checks for which scanner the manifest says that a database is.
fn check_scanner(kind: &Kind, output: &OutputEntry, problems: &mut Problems) {
    let scanner = output.scanner.as_ref();
    if scanner.is_none_or(|scanner| scanner.name != "trivy" || scanner.schema != kind.schema) {
        let message = "the output does not tell its scanner, or another schema";
        problems.add(kind.check, Problem::new(message).of(stella_manifest::layout::EXPORT));
    }
}

/// Checks what the manifest tells that the scanner sees.
fn check_coverage(context: &Context<'_>, problems: &mut Problems) {
    let mut fail = |message: &str| {
        let problem = Problem::new(message).of(stella_manifest::layout::EXPORT);
        problems.add(Check::ScannerReport, problem);
    };
    let coverage = &context.manifest.coverage;
    if coverage.is_empty() {
        fail("the manifest does not tell what a scanner sees");
    }
    if !coverage.windows(2).all(|pair| pair[0].ecosystem < pair[1].ecosystem) {
        fail("its coverage is not sorted by ecosystem, or not unique");
    }
    let known = |state: &str| ["full", "partial", "absent"].contains(&state);
    if !coverage.iter().all(|entry| known(&entry.state)) {
        fail("its coverage has a word that is not full, partial or absent");
    }
}

/// An error with its causes.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
