//! A decided run, kept in the depot for whoever executes a part of it.

use serde::{Deserialize, Serialize};
use stella_depot::{Depot, Kept, StoredFile};
use stella_model::{Digest, ErrorCode, Instant, SetKey, rfc8785};
use stella_pack::codec;
use stella_plan::{FeedEntry, KeptSummary, SetPlan, SetSummary};
use stella_run::{Plan, Snapshot, SnapshotSet};

use super::prepare::{self, Prepared, Recipe};
use super::record::RunRecord;
use super::request::RunRequest;
use crate::{EngineError, Store};

/// What a run was decided to be, kept for whoever executes a part of it. What follows from the
/// request is not in it: the hash of the plan tells whether all of it still does.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Decided {
    as_of: Instant,
    feeds: Vec<FeedEntry>,
    ledger: String,
    sequence: u64,
    sets: Vec<DecidedSet>,
    /// The run that this one is held against.
    last: Option<RunRecord>,
}

#[derive(Serialize, Deserialize)]
struct DecidedSet {
    #[serde(flatten)]
    set: SetKey,
    summary: KeptSummary,
}

impl Kept for Decided {
    const FOLDER: &'static str = "plans";

    fn files(&self) -> Vec<StoredFile> {
        Vec::new()
    }
}

impl Prepared {
    /// Keeps what others need to execute the run; gives what it is kept under.
    pub(super) fn keep_decided(&self, depot: &Depot) -> Result<Digest, EngineError> {
        let decided = self.decided();
        // Runs of one plan may be held against different runs: what they share is not enough.
        let key = Digest::of(&rfc8785::to_vec(&decided));
        depot.keep(&key, &decided)?;
        Ok(key)
    }

    /// What the snapshot of the run holds.
    pub(super) fn snapshot(&self) -> Snapshot {
        let set = |set: &SetSummary| SnapshotSet {
            set: set.set.clone(),
            records: set.count,
            root: set.root,
        };
        let sets = self.sets.iter().map(set).collect();
        Snapshot { ledger: self.ledger_id.clone(), sequence: self.sequence, sets }
    }

    fn decided(&self) -> Decided {
        let set = |set: &SetSummary| DecidedSet { set: set.set.clone(), summary: set.keep() };
        Decided {
            as_of: self.plan.as_of,
            feeds: self.plan.feeds.clone(),
            ledger: self.ledger_id.clone(),
            sequence: self.sequence,
            sets: self.sets.iter().map(set).collect(),
            last: self.last.clone(),
        }
    }

    /// The run as it was decided; nothing is decided again (INV-PLAN).
    pub(super) fn recall(
        store: &Store,
        request: &RunRequest,
        decided: &Plan,
    ) -> Result<Prepared, EngineError> {
        let plan_hash = &decided.plan_hash;
        let other = || {
            let message =
                format!("plan {} is no longer the one that was made", plan_hash.short(16));
            EngineError::new(ErrorCode::RunFailed, message)
                .hint("another version of the program made it; run the same again")
        };
        let recipe = Recipe::of(request)?;
        let decided: Decided = store.depot().find(&decided.decided)?.ok_or_else(other)?;
        let codec = rfc8785::to_vec(&codec::codec(recipe.profile.level));
        let redaction = recipe.rules.digest();
        let recalled = decided.sets.iter().map(|kept| {
            let partition = &recipe.profile.partition;
            let plan = SetPlan::new(kept.set.clone(), partition, redaction.as_ref(), &codec);
            plan.recall(&kept.summary).ok_or_else(other)
        });
        let sets = recalled.collect::<Result<Vec<_>, _>>()?;
        let plan = prepare::plan(store.tenant(), &recipe, decided.as_of, decided.feeds, &sets);
        if plan.hash() != *plan_hash {
            return Err(other());
        }
        let Recipe { profile, rules, selectors } = recipe;
        let floors = prepare::floors(decided.last.as_ref(), &profile, &selectors);
        Ok(Prepared {
            plan,
            kept: None,
            profile,
            sets,
            rules,
            ledger: store.ledger()?,
            ledger_id: decided.ledger,
            sequence: decided.sequence,
            selectors,
            unmatched: Vec::new(),
            warnings: Vec::new(),
            now: request.now,
            floors,
            broken: Vec::new(),
            accepted: Vec::new(),
            last: decided.last,
            accept_drop: request.accept_drop.clone(),
        })
    }
}
