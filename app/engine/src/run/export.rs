//! `export run`: plan, pack, manifest, seal, distribute, read back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant as Clock;

use serde::Serialize;
use stella_carrier::Carrier;
use stella_depot::{Depot, PartRecord};
use stella_keys::StoreSigner;
use stella_manifest::OutputEntry;
use stella_model::{Digest, ErrorCode, Instant, Kind};

use super::assemble::{Bytes, Files, assemble};
use super::distribute::{distribute, refuse_another};
use super::kept_sets::KeptSets;
use super::output::{self, Output};
use super::pack::{Packed, pack};
use super::prepare::{Prepared, prepare};
use super::record::{AcceptedDrop, Made, RunRecord, SetRecord};
use super::request::{DEFAULT_CACHE_BYTES, ExportRequest};
use super::seal::{KeyReport, Sealed, seal};
use crate::{Cancel, EngineError, Progress, Stage, StageUpdate, Store};

/// The outcome of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// Name of the profile.
    pub profile: String,
    /// The plan.
    pub plan_hash: Digest,
    /// SHA-256 of `export.json`: the identity of the bundle.
    pub export_digest: Digest,
    /// `asOf` of the bundle.
    pub as_of: Instant,
    /// Where the bundle is.
    pub destination: PathBuf,
    /// What carries it: `dir` or `tar`.
    pub carrier: &'static str,
    /// Carried records by kind.
    pub kinds: BTreeMap<Kind, u64>,
    /// Carried records.
    pub records: u64,
    /// Selected records that are not carried, by reason.
    pub not_carried: BTreeMap<String, u64>,
    /// Redacted values by rule.
    pub redacted: BTreeMap<String, u64>,
    /// Selected records, carried or made into something else.
    pub selected: u64,
    /// Databases that were made of them.
    pub databases: Vec<DatabaseReport>,
    /// Data parts.
    pub parts: u64,
    /// Data parts taken from the depot.
    pub reused_parts: u64,
    /// Stored bytes of all parts.
    pub bytes: u64,
    /// Uncompressed bytes of the data parts.
    pub uncompressed_bytes: u64,
    /// The signing key, unless unsigned.
    pub key: Option<KeyReport>,
    /// Whether the same bundle was already there.
    pub already_there: bool,
    /// Milliseconds by stage.
    pub stages_ms: BTreeMap<&'static str, u64>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// Signatures of one key that are kept, beside so many bytes of parts, for runs that make the same
/// bundle again. A signature takes a block of the disk, and all together a thousandth of the room; but
/// those of a hundred bundles are always kept: they take less than a megabyte, and without them a run
/// that changes nothing asks for a password.
fn kept_signatures(cache_bytes: u64) -> usize {
    const BLOCK: u64 = 4_096;
    const LEAST: u64 = 200;
    let most = (cache_bytes / 1_000 / BLOCK).max(LEAST);
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// A database of a bundle.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseReport {
    /// The adapter that made it.
    pub adapter: String,
    /// Its keys.
    pub keys: u64,
    /// Statements of the evidence that it cannot make, by reason.
    pub not_represented: BTreeMap<String, u64>,
    /// Whether the depot had it.
    pub reused: bool,
}

/// Runs a profile and puts the bundle at its destination.
///
/// Either the whole verified bundle is at the destination afterwards, or what was there before
/// (INV-ATOMIC, INV-SEAL, INV-VERIFY).
///
/// # Errors
/// [`EngineError`] with the code of the stage that failed.
pub fn export(
    store: &Store,
    request: &ExportRequest,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<RunReport, EngineError> {
    let key = request.signing.key(store)?;
    let mut stages = Stages { progress, times: BTreeMap::new() };
    let prepared = stages.time(Stage::Plan, |_| prepare(store, &request.run, progress, cancel))?;
    prepared.check_floors()?;
    refuse_another(request, &prepared.plan.hash())?;
    if let Some(key) = &key {
        try_key(key, &prepared, progress)?;
    }
    let depot = store.depot();
    let work = Work { request, prepared: &prepared, depot: &depot, key: key.as_ref(), cancel };
    // While a run holds the depot, nothing is pruned from it.
    let held = depot.hold()?;
    let done = match work.run(&mut stages) {
        // A part went bad or missing in the depot: it is built again, once.
        Err(error) if error.code() != ErrorCode::Interrupted => {
            let Damage { damaged, missing } = forget_damage(&prepared, &depot)?;
            if damaged + missing == 0 {
                return Err(error);
            }
            work.run(&mut stages)?
        }
        other => other?,
    };
    drop(held);
    let Done { packed, outputs, files, sealed, already_there } = done;
    let export_digest = Digest::of(&files.export);
    let mut record = record_of(&prepared, &packed, &files, &outputs, &stages.times);
    record.destination = request.dest.clone();
    record.save(store, &prepared.kin())?;
    let limit = request.cache_bytes.unwrap_or(DEFAULT_CACHE_BYTES);
    let accepted = record.accepted_drop.iter().flat_map(|accepted| &accepted.drops);
    let accepted: Vec<String> = accepted.map(|drop| format!("accepted: {drop}")).collect();
    let mut warnings = prepared.warnings;
    warnings.extend(accepted);
    warnings.extend(prepared.kept.as_ref().and_then(KeptSets::save));
    warnings.extend(prune(&depot, key.as_ref(), limit));
    let manifest = files.manifest;
    Ok(RunReport {
        profile: prepared.profile.name.clone(),
        plan_hash: manifest.plan_hash,
        export_digest,
        as_of: manifest.as_of,
        destination: request.dest.clone(),
        carrier: match request.carrier {
            Carrier::Dir => "dir",
            Carrier::Tar => "tar",
        },
        kinds: manifest.counts.kinds,
        records: manifest.counts.records,
        not_carried: manifest.counts.not_carried,
        redacted: manifest.redaction.counts,
        selected: prepared.sets.iter().map(|set| set.count).sum(),
        databases: databases(&manifest.outputs, &outputs),
        parts: packed.parts.len() as u64,
        reused_parts: packed.reused,
        bytes: manifest.counts.bytes,
        uncompressed_bytes: manifest.counts.uncompressed_bytes,
        key: sealed.key,
        already_there,
        stages_ms: stages.times,
        warnings,
    })
}

/// Prunes what is kept between runs to about so many bytes. What fails is a warning: the bundle is
/// where it should be, only the cache is larger than asked for.
fn prune(depot: &Depot, key: Option<&StoreSigner>, limit: u64) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Err(error) = depot.prune(limit) {
        warnings.push(format!("the depot was not pruned: {error}"));
    }
    if let Some(Err(error)) = key.map(|key| key.prune_kept(kept_signatures(limit))) {
        warnings.push(format!("the kept signatures were not pruned: {error}"));
    }
    warnings
}

/// What the next run is held against.
fn sizes(outputs: &[Output]) -> BTreeMap<String, BTreeMap<String, u64>> {
    let counted = outputs.iter().filter(|output| !output.record.sizes.is_empty());
    let of_adapter =
        |output: &Output| Some((output.origin.adapter()?.to_owned(), output.record.sizes.clone()));
    counted.filter_map(of_adapter).collect()
}

/// What was made, else what the run before made: one that reuses everything learns nothing.
fn made(prepared: &Prepared, outputs: &[Output]) -> Made {
    match (output::made(prepared, outputs), &prepared.last) {
        (made, Some(last)) if made == Made::default() => last.made,
        (made, _) => made,
    }
}

/// Drops that were accepted, of sets and of outputs.
fn accepted_drop(prepared: &Prepared, outputs: &[Output]) -> Option<AcceptedDrop> {
    let of_outputs = outputs.iter().flat_map(|output| &output.accepted);
    let drops = prepared.accepted.iter().chain(of_outputs).map(ToString::to_string);
    let drops: Vec<String> = drops.collect();
    let reason = prepared.accept_drop.clone().filter(|_| !drops.is_empty())?;
    Some(AcceptedDrop { reason, drops })
}

fn databases(outputs: &[OutputEntry], made: &[Output]) -> Vec<DatabaseReport> {
    let is_reused =
        |id: &str| made.iter().any(|made| made.origin.adapter() == Some(id) && made.took.is_none());
    let counted = outputs.iter().filter(|output| !output.keys.is_empty());
    let report = |output: &OutputEntry| DatabaseReport {
        adapter: output.adapter.clone(),
        keys: output.key_count(),
        not_represented: output.not_represented.clone(),
        reused: is_reused(&output.adapter),
    };
    counted.map(report).collect()
}

/// Tries the signing key before hours of packing, so that nobody waits for a question at their end,
/// and a wrong password, a wrong key or a service out of reach is known at once.
///
/// The last run of the same plan made the same bytes, and its signatures are kept: such a run needs
/// no password.
fn try_key(
    key: &StoreSigner,
    prepared: &Prepared,
    progress: &dyn Progress,
) -> Result<(), EngineError> {
    let same = prepared.last.as_ref().filter(|last| last.plan_hash == prepared.plan.hash());
    if same.is_some_and(|last| key.keeps_signature_of(&last.export_digest)) {
        return Ok(());
    }
    progress.before_question();
    Ok(key.ready()?)
}

/// The stages after planning.
struct Work<'a> {
    request: &'a ExportRequest,
    prepared: &'a Prepared,
    depot: &'a Depot,
    key: Option<&'a StoreSigner>,
    cancel: &'a Cancel,
}

/// A distributed bundle.
struct Done {
    packed: Packed,
    outputs: Vec<Output>,
    files: Files,
    sealed: Sealed,
    already_there: bool,
}

impl Work<'_> {
    fn run(&self, stages: &mut Stages<'_>) -> Result<Done, EngineError> {
        let (packed, outputs) = stages.time(Stage::Pack, |progress| {
            let (prepared, depot, cancel) = (self.prepared, self.depot, self.cancel);
            let threads = self.request.run.threads;
            let packed = pack(prepared, depot, threads, progress, cancel)?;
            Ok((packed, output::build(prepared, depot, threads, progress, cancel)?))
        })?;
        let (files, sealed) = stages.time(Stage::Seal, |_| {
            let files = assemble(self.prepared, &packed, &outputs, self.depot)?;
            self.prepared.check_carried(&files.manifest.sets)?;
            let sealed = seal(&files, self.key)?;
            Ok((files, sealed))
        })?;
        self.cancel.check()?;
        let already_there = stages.time(Stage::Distribute, |progress| {
            for (_, bytes) in &files.parts {
                if let Bytes::Depot(stored) = bytes {
                    self.depot.bring(stored)?;
                }
            }
            distribute(self.request, &files, &sealed, self.depot, progress, self.cancel)
                .map_err(EngineError::from)
        })?;
        Ok(Done { packed, outputs, files, sealed, already_there })
    }
}

/// Times stages and tells of their ends.
struct Stages<'a> {
    progress: &'a dyn Progress,
    times: BTreeMap<&'static str, u64>,
}

impl Stages<'_> {
    fn time<T>(
        &mut self,
        stage: Stage,
        work: impl FnOnce(&dyn Progress) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let begin = Clock::now();
        self.progress.update(&StageUpdate::begun(stage));
        let outcome = work(self.progress)?;
        self.times.insert(stage.as_str(), begin.elapsed().as_millis() as u64);
        self.progress.update(&StageUpdate::over(stage));
        Ok(outcome)
    }
}

/// What the next run is held against.
pub(super) fn record_of(
    prepared: &Prepared,
    packed: &Packed,
    files: &Files,
    outputs: &[Output],
    times: &BTreeMap<&'static str, u64>,
) -> RunRecord {
    let sets = prepared
        .sets
        .iter()
        .map(|set| (set.set.to_string(), SetRecord { count: set.count, root: set.root }));
    RunRecord {
        plan_hash: files.manifest.plan_hash,
        export_digest: Digest::of(&files.export),
        ledger: prepared.ledger_id.clone(),
        sequence: prepared.sequence,
        finished: prepared.now,
        destination: PathBuf::new(),
        sets: sets.collect(),
        outputs: sizes(outputs),
        accepted_drop: accepted_drop(prepared, outputs),
        made: made(prepared, outputs),
        packed_bytes: packed.packed_bytes,
        packing_ms: times.get(Stage::Pack.as_str()).copied().unwrap_or(0),
        uncompressed_bytes: files.manifest.counts.uncompressed_bytes,
        stored_bytes: files.manifest.counts.bytes,
    }
}

/// What the depot does not have, or no longer as it was.
pub(super) struct Damage {
    /// Parts and outputs that were damaged; they are forgotten, so that they are made anew.
    pub(super) damaged: usize,
    /// Parts that are not there.
    pub(super) missing: usize,
}

/// Looks at every part and output of a run, and forgets those whose bytes are missing or no longer
/// what they were.
pub(super) fn forget_damage(prepared: &Prepared, depot: &Depot) -> Result<Damage, EngineError> {
    let mut damage = Damage { damaged: output::forget_damage(prepared, depot)?, missing: 0 };
    let carried = if prepared.carries_records() { &prepared.sets[..] } else { &[] };
    for part in carried.iter().flat_map(|set| &set.parts) {
        if depot.forget_damaged::<PartRecord>(&part.key)? {
            damage.damaged += 1;
        } else if depot.find::<PartRecord>(&part.key)?.is_none() {
            damage.missing += 1;
        }
    }
    Ok(damage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_signatures_follow_the_size_of_the_cache_and_never_become_none() {
        let kept = [0, 1 << 20, 1 << 30, DEFAULT_CACHE_BYTES, u64::MAX].map(kept_signatures);
        assert_eq!(kept[..4], [200, 200, 262, 5_242]);
        assert!(kept[4] > 1 << 40);
    }
}
