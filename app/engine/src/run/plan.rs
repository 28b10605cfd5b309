//! `export plan`: what a run would do.

use serde::Serialize;
use stella_depot::{Kept as _, PartRecord};
use stella_ledger::{Changes, Seq};
use stella_model::{Digest, SetKey};
use stella_plan::estimate::{Estimate, Experience, Work, estimate};
use stella_plan::{RunPlan, SetSummary};

use super::output::{self, PlannedOutput};
use super::prepare::{Prepared, prepare};
use super::record::RunRecord;
use super::request::RunRequest;
use crate::{Cancel, EngineError, Progress, Store};

/// What a run would do.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// The plan itself.
    pub plan: RunPlan,
    /// Its hash.
    pub plan_hash: Digest,
    /// The sets with their costs.
    pub sets: Vec<PlannedSet>,
    /// Selected records.
    pub records: u64,
    /// Their bytes before compression.
    pub uncompressed_bytes: u64,
    /// Data parts.
    pub parts: u64,
    /// Data parts that the depot already has.
    pub reusable_parts: u64,
    /// Outputs that are made of records, such as databases.
    pub outputs: Vec<PlannedOutput>,
    /// Bytes and time.
    pub estimate: Estimate,
    /// The last successful run of the profile, if there was one.
    pub last_run: Option<RunRecord>,
    /// Floors that would fail the run.
    pub broken_floors: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// One set of a plan with its costs.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedSet {
    /// Kind and feed.
    #[serde(flatten)]
    pub set: SetKey,
    /// Selected records.
    pub records: u64,
    /// Their bytes before compression.
    pub bytes: u64,
    /// Parts.
    pub parts: u64,
    /// Parts that the depot already has.
    pub reusable_parts: u64,
    /// Against the last run of the profile.
    pub change: Change,
}

/// How a set compares with the last run of the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// There is no last run, or the set was not in it.
    New,
    /// The same records.
    Unchanged,
    /// Other records; the number of them compared with the last run.
    Changed {
        /// Records more (or fewer) than in the last run.
        records: i64,
        /// What became of them, where the ledger of the last run can still tell: not if only some
        /// records of a set are selected.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        counts: Option<Changes>,
    },
}

/// Plans a run and writes nothing.
///
/// # Errors
/// [`EngineError`]: no such profile, an invalid one, no ledger, no dated record and no `asOf`.
pub fn plan(
    store: &Store,
    request: &RunRequest,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<PlanReport, EngineError> {
    let mut prepared = prepare(store, request, progress, cancel)?;
    let depot = store.depot();
    let last_run = prepared.last.take();
    let outputs = output::planned(&prepared, &depot)?;
    let mut work = Work::default();
    for output in &outputs {
        match output.kept_bytes {
            Some(bytes) => work.reused += bytes,
            None => work.to_make += output.source_bytes,
        }
    }
    let mut sets = Vec::new();
    for set in &prepared.sets {
        let parts = if prepared.carries_records() { &set.parts[..] } else { &[] };
        let mut reusable_parts = 0;
        for part in parts {
            match depot.find::<PartRecord>(&part.key)? {
                Some(record) => {
                    reusable_parts += 1;
                    work.reused += record.files().iter().map(|file| file.size).sum::<u64>();
                }
                None => work.to_build += part.bytes,
            }
        }
        sets.push(PlannedSet {
            set: set.set.clone(),
            records: set.count,
            bytes: set.bytes,
            parts: parts.len() as u64,
            reusable_parts,
            change: change(set, last_run.as_ref(), &prepared),
        });
    }
    let experience = last_run.as_ref().map_or(Experience::DEFAULT, RunRecord::experience);
    Ok(PlanReport {
        plan_hash: prepared.plan.hash(),
        records: sets.iter().map(|set| set.records).sum(),
        uncompressed_bytes: sets.iter().map(|set| set.bytes).sum(),
        parts: sets.iter().map(|set| set.parts).sum(),
        reusable_parts: sets.iter().map(|set| set.reusable_parts).sum(),
        outputs,
        estimate: estimate(work, experience),
        sets,
        last_run,
        broken_floors: prepared.broken.iter().map(ToString::to_string).collect(),
        warnings: prepared.warnings,
        plan: prepared.plan,
    })
}

fn change(set: &SetSummary, run: Option<&RunRecord>, prepared: &Prepared) -> Change {
    let last = run.and_then(|run| Some((run, run.sets.get(&set.set.to_string())?)));
    match last {
        None => Change::New,
        Some((_, last)) if last.root == set.root => Change::Unchanged,
        Some((run, last)) => Change::Changed {
            records: set.count as i64 - last.count as i64,
            counts: changes(set, run, prepared),
        },
    }
}

/// What became of the records of a set since a run, if the ledger can tell.
fn changes(set: &SetSummary, run: &RunRecord, prepared: &Prepared) -> Option<Changes> {
    let same_ledger = run.ledger == prepared.ledger_id;
    let (from, to) = (Seq(run.sequence), Seq(prepared.sequence));
    let told = (same_ledger && prepared.selectors.take_whole_sets())
        .then(|| prepared.ledger.changes(&set.set, from, to).ok());
    told.flatten()
}
