//! What planning found of sets that were taken whole, kept from run to run: a set that did not change
//! is not read again to be planned.
//!
//! A summary is kept under the state that the ledger gave the set ([`stella_ledger::SetState`]), so
//! that it can be outdated but never wrong. A file that is lost, or damaged, costs the time of reading
//! the sets again.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stella_ledger::{LiveSet, SetState};
use stella_model::{Digest, SetKey, rfc8785};
use stella_plan::{KeptSummary, ProfileId, Selectors, SetPlan, SetSummary};

use super::record;
use crate::Store;

/// The summaries that the last run of a profile kept, or the next one shall find.
pub(super) struct KeptSets {
    path: PathBuf,
    /// Whether runs like this one can use any.
    usable: bool,
    sets: Vec<KeptSet>,
    /// Whether the file says otherwise.
    outdated: bool,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct KeptSet {
    #[serde(flatten)]
    set: SetKey,
    state: SetState,
    summary: KeptSummary,
}

impl KeptSets {
    /// Those of the last run of a profile; none where records are selected one by one.
    pub(super) fn load(store: &Store, profile: &ProfileId, selectors: &Selectors) -> KeptSets {
        let path = record::path(store, profile, "sets");
        let usable = selectors.take_whole_sets();
        let sets = if usable { read(&path) } else { None };
        KeptSets { path, usable, sets: sets.unwrap_or_default(), outdated: false }
    }

    /// What is known of a set in the state that it has.
    pub(super) fn recall(&self, live: &LiveSet, plan: &SetPlan<'_>) -> Option<SetSummary> {
        let state = live.state?;
        let kept = self.sets.iter().find(|kept| kept.set == live.set && kept.state == state)?;
        plan.recall(&kept.summary)
    }

    /// What the next run shall find, now that the sets are planned.
    pub(super) fn renew(self, live: &[LiveSet], planned: &[SetSummary]) -> KeptSets {
        let KeptSets { path, usable, sets: before, .. } = self;
        let keep = |summary: &SetSummary| {
            let live = live.iter().find(|live| live.set == summary.set)?;
            let state = live.state.filter(|_| usable)?;
            Some(KeptSet { set: summary.set.clone(), state, summary: summary.keep() })
        };
        let sets: Vec<KeptSet> = planned.iter().filter_map(keep).collect();
        KeptSets { path, usable, outdated: sets != before, sets }
    }

    /// Keeps them, whole or not at all. Gives a warning if that fails: the bundle is where it should
    /// be.
    pub(super) fn save(&self) -> Option<String> {
        if !self.outdated {
            return None;
        }
        let sets = rfc8785::to_vec(&self.sets);
        let text = [Digest::of(&sets).to_string().as_bytes(), b"\n", &sets].concat();
        let failed = record::put(&self.path, &text).err()?;
        let path = self.path.display();
        Some(format!("{path} was not written, the next run reads all sets again: {failed}"))
    }
}

/// The summaries in a file whose bytes have the digest in its first line.
fn read(path: &std::path::Path) -> Option<Vec<KeptSet>> {
    let text = std::fs::read(path).ok()?;
    let (digest, sets) = text.split_at_checked(65)?;
    let same = digest.strip_suffix(b"\n")? == Digest::of(sets).to_string().as_bytes();
    if same { serde_json::from_slice(sets).ok() } else { None }
}
