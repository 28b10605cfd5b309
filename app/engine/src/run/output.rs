//! Outputs that are made of all selected records together, such as a scanner's database.

mod archive;
mod bolt_tree;
mod records;
mod trivy;
mod trivy_db;
mod trivy_java_db;
mod trivy_vex;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::time::{Duration, Instant as Clock};

use serde::Serialize;
use stella_depot::{Depot, Kept as _, OutputFile, OutputRecord, StoredFile};
use stella_distribute::oci::{self, Artifact};
use stella_manifest::Scanner;
use stella_manifest::people::{Database, VexRepository};
use stella_model::{Digest, DigestBuilder, ErrorCode, Instant, PartName, rfc8785};
use stella_plan::floors::FloorBroken;
use stella_plan::{AdapterSpec, FeedEntry, OutputPlan, RunPlan, SetEntry};

pub use bolt_tree::BoltTree;
pub(crate) use trivy_db::cache_metadata;

use super::prepare::Prepared;
use super::record::Made;
use crate::{Cancel, EngineError, Progress};

/// What a run made of whole sets.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// Whose it is.
    pub(crate) origin: Origin,
    /// Its files, and what is told of them.
    pub(crate) record: OutputRecord,
    /// How long making it took; `None` if the depot had it.
    pub(crate) took: Option<Duration>,
    /// How it is used.
    pub(crate) use_of: Use,
    /// Drops against the last run that were accepted.
    pub(crate) accepted: Vec<FloorBroken>,
}

/// Whose the files of an output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Those of the adapter with this id.
    Adapter(&'static str),
    /// The small files of the image layout, which the artifacts of all adapters share.
    ImageLayout,
}

impl Origin {
    /// The id of the adapter, if it is one's.
    pub(crate) fn adapter(self) -> Option<&'static str> {
        match self {
            Origin::Adapter(id) => Some(id),
            Origin::ImageLayout => None,
        }
    }
}

/// How an output is used: follows from the plan and its files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Use {
    /// What goes into the image layout that all outputs share; its layer is among the files.
    pub(crate) artifact: Option<Artifact>,
    /// What the bundle's README tells of using it with Trivy.
    pub(crate) database: Option<Database>,
    /// The same of a VEX repository.
    pub(crate) vex: Option<VexRepository>,
    /// The scanner that it is for.
    pub(crate) scanner: Option<Scanner>,
}

/// What making an output needs.
#[derive(Clone, Copy)]
struct Workshop<'a> {
    prepared: &'a Prepared,
    depot: &'a Depot,
    threads: usize,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

/// An adapter that makes something of whole sets.
struct Maker {
    spec: &'static AdapterSpec,
    /// Makes it. What it makes is decided by what [`key`] covers and by nothing else.
    make: fn(&Workshop<'_>) -> Result<OutputRecord, EngineError>,
    /// INV-EMPTY: whether it has what the profile demands.
    check: fn(&Prepared, &OutputRecord) -> Result<(), EngineError>,
    /// How it is used.
    use_of: fn(&Prepared, &OutputRecord) -> Use,
}

impl Maker {
    /// INV-EMPTY: whether what was made is enough. Gives the drops that were accepted.
    fn judge(
        &self,
        prepared: &Prepared,
        record: &OutputRecord,
    ) -> Result<Vec<FloorBroken>, EngineError> {
        (self.check)(prepared, record)?;
        prepared.check_output(self.spec.id, &record.sizes)
    }
}

const MAKERS: &[Maker] = &[trivy_db::MAKER, trivy_java_db::MAKER, trivy_vex::MAKER];

/// Media type of the lists of what could not be said.
const REPORT_TYPE: &str = "application/x-ndjson";

/// Folder of the image layout, with its slash.
const OCI: &str = "trivy/oci/";

/// The makers of a plan with the keys of what they make.
fn makers(prepared: &Prepared) -> impl Iterator<Item = (&'static Maker, Digest)> {
    let outputs = prepared.plan.outputs.iter();
    outputs.filter_map(|output| {
        let maker = MAKERS.iter().find(|maker| maker.spec.id == output.adapter)?;
        Some((maker, key(&prepared.plan, output, maker.spec)))
    })
}

/// The identity of an output's bytes: equal keys, equal outputs. Everything that a maker reads of a
/// plan is in it; the roots of the sets are all of their records.
fn key(plan: &RunPlan, output: &OutputPlan, spec: &AdapterSpec) -> Digest {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Inputs<'a> {
        as_of: Instant,
        feeds: Vec<&'a FeedEntry>,
        output: &'a OutputPlan,
        producer: &'a str,
        sets: Vec<&'a SetEntry>,
    }
    let sets = plan.sets.iter().filter(|set| spec.kinds.contains(&set.kind.as_str()));
    let sets: Vec<&SetEntry> = sets.collect();
    let is_read = |feed: &&FeedEntry| sets.iter().any(|set| set.feed == feed.feed);
    let inputs = rfc8785::to_vec(&Inputs {
        as_of: plan.as_of,
        feeds: plan.feeds.iter().filter(is_read).collect(),
        output,
        producer: &plan.producer,
        sets: sets.clone(),
    });
    let mut key = DigestBuilder::new();
    key.lp(b"stella-output-1").lp(&inputs);
    key.finish()
}

/// An output that a run would make of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedOutput {
    /// Name of the adapter.
    pub adapter: String,
    /// Records that it would be made of.
    pub records: u64,
    /// Their bytes.
    pub source_bytes: u64,
    /// Stored bytes of its files, if the depot has it; else it must be made.
    pub kept_bytes: Option<u64>,
}

/// The outputs of a plan that would be made of records, and which of them the depot has.
pub(super) fn planned(
    prepared: &Prepared,
    depot: &Depot,
) -> Result<Vec<PlannedOutput>, EngineError> {
    let planned = makers(prepared).map(|(maker, key)| {
        let kept = depot.find::<OutputRecord>(&key)?;
        let (records, source_bytes) = sources(prepared, maker.spec);
        Ok(PlannedOutput {
            adapter: maker.spec.id.to_owned(),
            records,
            source_bytes,
            kept_bytes: kept.map(|record| record.files().iter().map(|file| file.size).sum()),
        })
    });
    planned.collect()
}

/// INV-EMPTY: judges the outputs of a plan as the depot has them, and makes none; `false` if one of them is
/// not there, so that it is judged once it is made.
pub(super) fn judge_kept(prepared: &Prepared, depot: &Depot) -> Result<bool, EngineError> {
    for (maker, key) in makers(prepared) {
        let Some(record) = depot.reuse::<OutputRecord>(&key)? else { return Ok(false) };
        maker.judge(prepared, &record)?;
    }
    Ok(true)
}

/// Number and bytes of the records that an output is made of.
fn sources(prepared: &Prepared, spec: &AdapterSpec) -> (u64, u64) {
    let read = prepared.sets.iter().filter(|set| spec.kinds.contains(&set.set.kind.as_str()));
    read.fold((0, 0), |(records, bytes), set| (records + set.count, bytes + set.bytes))
}

/// What was made for the outputs of a run, for the estimates of the next one.
pub(super) fn made(prepared: &Prepared, outputs: &[Output]) -> Made {
    let mut made = Made::default();
    for (maker, _) in makers(prepared) {
        let output = outputs.iter().find(|output| output.origin.adapter() == Some(maker.spec.id));
        let Some((output, took)) = output.and_then(|output| Some((output, output.took?))) else {
            continue;
        };
        made.source_bytes += sources(prepared, maker.spec).1;
        made.stored_bytes += output.record.files().iter().map(|file| file.size).sum::<u64>();
        made.ms += took.as_millis() as u64;
    }
    made
}

/// Forgets outputs whose bytes are missing or no longer what they were; returns their number.
pub(super) fn forget_damage(prepared: &Prepared, depot: &Depot) -> Result<usize, EngineError> {
    let mut damaged = 0;
    for (_, key) in makers(prepared) {
        damaged += usize::from(depot.forget_damaged::<OutputRecord>(&key)?);
    }
    Ok(damaged)
}

/// Makes the outputs of a plan that do not carry the records themselves, unless the depot has them.
/// Their bytes are hashed once, when the bundle is read back.
pub(crate) fn build(
    prepared: &Prepared,
    depot: &Depot,
    threads: usize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<Output>, EngineError> {
    let shop = Workshop { prepared, depot, threads, progress, cancel };
    let mut outputs = Vec::new();
    for (maker, key) in makers(prepared) {
        outputs.push(shop.output(maker, &key)?);
    }
    if let Some(layout) = layout(&outputs, depot)? {
        outputs.push(layout);
    }
    Ok(outputs)
}

/// Makes the output at this place among those of a plan that are made of records, so that it is in
/// the depot.
pub(crate) fn build_one(
    prepared: &Prepared,
    place: u32,
    depot: &Depot,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(), EngineError> {
    let shop = Workshop { prepared, depot, threads: 1, progress, cancel };
    let (maker, key) = makers(prepared).nth(place as usize).ok_or_else(|| {
        EngineError::new(ErrorCode::Internal, format!("the plan has no output {place} to make"))
    })?;
    shop.output(maker, &key).map(drop)
}

/// Number of outputs of a plan that are made of records.
pub(crate) fn count(prepared: &Prepared) -> u32 {
    u32::try_from(makers(prepared).count()).unwrap_or(u32::MAX)
}

impl Workshop<'_> {
    /// An output, from the depot or made anew.
    fn output(&self, maker: &'static Maker, key: &Digest) -> Result<Output, EngineError> {
        let (record, took) = match self.depot.reuse::<OutputRecord>(key)? {
            Some(record) => (record, None),
            None => {
                let begun = Clock::now();
                let record = (maker.make)(self)?;
                self.depot.keep(key, &record)?;
                (record, Some(begun.elapsed()))
            }
        };
        let accepted = maker.judge(self.prepared, &record)?;
        let use_of = (maker.use_of)(self.prepared, &record);
        Ok(Output { origin: Origin::Adapter(maker.spec.id), record, took, use_of, accepted })
    }
}

/// The small files of the image layout over the artifacts of all outputs.
fn layout(outputs: &[Output], depot: &Depot) -> Result<Option<Output>, EngineError> {
    let artifacts: Vec<Artifact> =
        outputs.iter().filter_map(|output| output.use_of.artifact.clone()).collect();
    if artifacts.is_empty() {
        return Ok(None);
    }
    let files = oci::layout(&artifacts).into_iter().map(|(name, bytes)| {
        let media_type = match name.as_str() {
            "index.json" => oci::INDEX,
            "oci-layout" => "application/vnd.oci.layout.header.v1+json",
            _ if bytes == oci::EMPTY_CONFIG => oci::EMPTY,
            _ => oci::MANIFEST,
        };
        file(&format!("{OCI}{name}"), media_type, depot.put_blob(&bytes)?)
    });
    let files = files.collect::<Result<_, EngineError>>()?;
    Ok(Some(Output {
        origin: Origin::ImageLayout,
        record: OutputRecord { files, ..OutputRecord::default() },
        took: Some(Duration::ZERO),
        use_of: Use::default(),
        accepted: Vec::new(),
    }))
}

/// Counts by words that are known when the program is built.
fn by_name(counts: BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// What could not be said of the evidence, for people: reasons with their counts.
fn reasons(record: &OutputRecord) -> String {
    let reasons = record.not_represented.iter();
    let reasons: Vec<String> = reasons.map(|(reason, count)| format!("{reason} {count}")).collect();
    reasons.join(", ")
}

/// What stands behind a buffer, with all bytes written.
fn flushed<W: Write>(writer: BufWriter<W>) -> io::Result<W> {
    writer.into_inner().map_err(IntoInnerError::into_error)
}

/// What was attempted, of an output whose bytes cannot be written.
fn not_written<E>(what: &'static str) -> impl Fn(E) -> EngineError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |source| {
        EngineError::new(ErrorCode::Io, format!("cannot write {what}"))
            .because(source)
            .hint("look at the room on the disk of the store")
    }
}

fn file(path: &str, media_type: &str, stored: StoredFile) -> Result<OutputFile, EngineError> {
    let path = part_name(path)?;
    Ok(OutputFile { path, media_type: media_type.to_owned(), stored, records: None })
}

fn part_name(text: &str) -> Result<PartName, EngineError> {
    PartName::new(text).map_err(|error| {
        EngineError::new(ErrorCode::Internal, "a file of an output has no usable name")
            .because(error)
    })
}
