//! All that is known of a run between two steps.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use stella_model::{Digest, SetKey, Target};

use crate::{Failure, Millis, Origin, Phase, Status, Task, TaskId};

/// How patient a run is. Written into its state when it is made, so that a change of the defaults
/// does not reach runs that are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rules {
    /// Milliseconds that a lease lasts unless it is renewed.
    pub lease_ms: i64,
    /// How often a task may fail before it is given up.
    pub most_failures: u32,
    /// How often a task may be lost with its worker before it is given up: a task that kills every
    /// worker must not go on for ever, but restarts of workers are no fault of the run.
    pub most_losses: u32,
    /// Milliseconds before a task that failed is tried again; doubled with every failure.
    pub first_wait_ms: i64,
    /// The longest of these waits, in milliseconds.
    pub longest_wait_ms: i64,
    /// How often parts and databases are made anew because the depot lost them.
    pub most_repairs: u32,
}

impl Rules {
    /// The rules unless told otherwise.
    pub const DEFAULT: Rules = Rules {
        lease_ms: 30_000,
        most_failures: 5,
        most_losses: 25,
        first_wait_ms: 1_000,
        longest_wait_ms: 60_000,
        most_repairs: 2,
    };

    /// Milliseconds to wait after the failure of this number, counted from 1.
    #[must_use]
    pub fn wait_ms(&self, failures: u32) -> i64 {
        let doublings = failures.saturating_sub(1).min(32);
        self.first_wait_ms.saturating_mul(1 << doublings).min(self.longest_wait_ms)
    }
}

/// A sealed bundle. The same manifest signed by another key is another bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// SHA-256 of `export.json`.
    pub export_digest: Digest,
    /// Digest of the names and digests of all its files.
    pub files: Digest,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// What a run reads: its inputs, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The ledger that is read.
    pub ledger: String,
    /// Up to which sequence: a cursor of this ledger, which enters no hash.
    pub sequence: u64,
    /// Its sets, by kind and feed.
    pub sets: Vec<SnapshotSet>,
}

/// A set of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSet {
    /// Kind and feed.
    #[serde(flatten)]
    pub set: SetKey,
    /// Number of records.
    pub records: u64,
    /// Set root before redaction.
    pub root: Digest,
}

/// What a run was decided to be, as far as its life depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Identity of the plan.
    pub plan_hash: Digest,
    /// SHA-256 of what else was decided: what the snapshot held and what the run is held against. Runs
    /// of one plan may differ in it.
    pub decided: Digest,
    /// Number of shards that its parts are packed in.
    pub shards: u32,
    /// Number of outputs that are made of records.
    pub outputs: u32,
    /// The bundle that the same plan already made and that is still there: nothing is packed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<Bundle>,
}

impl Plan {
    /// The tasks that fill the depot, in the order of the plan.
    pub fn packing(&self) -> impl Iterator<Item = TaskId> + use<> {
        (0..self.outputs).map(TaskId::Make).chain((0..self.shards).map(TaskId::Pack))
    }
}

/// That somebody wants a run to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelRequest {
    /// Who asked first.
    pub by: String,
    /// When.
    pub at: Millis,
}

/// The state of a run, stored as one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunState {
    /// Where it stands.
    pub status: Status,
    /// The tasks that are known so far.
    pub tasks: BTreeMap<TaskId, Task>,
    /// Where the bundle is to go.
    pub targets: BTreeSet<Target>,
    /// How patient it is.
    pub rules: Rules,
    /// What it was decided to be, once it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// Its bundle, once that is sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<Bundle>,
    /// That somebody wants it to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<CancelRequest>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// How often parts and databases were made anew.
    #[serde(default)]
    pub repairs: u32,
    /// Where it comes from, so that whoever does its tasks tells of them as of one thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

impl RunState {
    /// A run that was accepted.
    #[must_use]
    pub fn new(targets: BTreeSet<Target>, rules: Rules) -> RunState {
        let plan = Task { phase: Phase::Ready { not_before: Millis(0) }, ..Task::NEW };
        RunState {
            status: Status::Queued,
            tasks: BTreeMap::from([(TaskId::Plan, plan)]),
            targets,
            rules,
            plan: None,
            bundle: None,
            cancel: None,
            failure: None,
            repairs: 0,
            origin: None,
        }
    }

    /// How often something had to be begun, at most: 1 if all went well, 0 before anything began.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.tasks.values().map(|task| task.attempt).max().unwrap_or(0)
    }

    /// The earliest time at which [`RunState::next`] offers something; none once the run is over.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Millis> {
        if self.status.is_terminal() {
            return None;
        }
        let times = self.tasks.values().filter_map(|task| match &task.phase {
            Phase::Ready { not_before } if self.cancel.is_none() => Some(*not_before),
            Phase::Leased { until, .. } => Some(*until),
            Phase::Waiting | Phase::Ready { .. } | Phase::Done | Phase::GivenUp => None,
        });
        times.min()
    }

    /// Whether there is something to do at this time.
    #[must_use]
    pub fn is_due(&self, now: Millis) -> bool {
        self.wakes_at().is_some_and(|time| time <= now)
    }

    /// Whether any worker holds a task.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.tasks.values().any(Task::is_leased)
    }
}
