//! Planning the sets of a run: one pass over the ledger's index of those that are not known.

use std::ops::ControlFlow;

use stella_ledger::{IdRange, Ledger, LiveSet, Seq, WithFacets};
use stella_model::{Digest, SetKey};
use stella_plan::{PlannedRecord, Profile, Selectors, SetPlan, SetSummary, Unmatched};

use super::kept_sets::KeptSets;
use crate::{Cancel, EngineError, Progress, Stage, StageUpdate};

/// The sets of a snapshot, and how they are planned.
pub(super) struct Scan<'a> {
    pub(super) ledger: &'a dyn Ledger,
    pub(super) head: Seq,
    pub(super) selectors: &'a Selectors,
    pub(super) profile: &'a Profile,
    pub(super) redaction: Option<Digest>,
    pub(super) codec: Vec<u8>,
    /// What earlier runs found of sets that they took whole.
    pub(super) kept: &'a KeptSets,
    pub(super) progress: &'a dyn Progress,
    pub(super) cancel: &'a Cancel,
}

/// Facets cost a second look-up, so they are read only for selectors that ask for them.
pub(super) fn with_facets(selectors: &Selectors) -> WithFacets {
    if selectors.need_facets() { WithFacets::Yes } else { WithFacets::No }
}

/// How many rows go by between two looks at progress and cancellation.
const ROWS_PER_UPDATE: u64 = 4096;

impl Scan<'_> {
    /// Every admitted set in order, empty ones too.
    pub(super) fn sets(
        &self,
        live: &[LiveSet],
        unmatched: &mut Unmatched<'_>,
    ) -> Result<Vec<SetSummary>, EngineError> {
        let admitted: Vec<_> =
            live.iter().filter(|live| self.selectors.admits_set(&live.set)).collect();
        let total = admitted.iter().map(|live| live.records).sum();
        let mut seen = 0;
        let summaries = admitted
            .into_iter()
            .map(|live| {
                unmatched.see_set(&live.set);
                let plan = self.plan(&live.set);
                match self.kept.recall(live, &plan) {
                    Some(summary) => {
                        seen += live.records;
                        Ok(summary)
                    }
                    None => self.read(&live.set, plan, &mut seen, total, unmatched),
                }
            })
            .collect();
        self.tell(seen, total);
        summaries
    }

    fn plan(&self, set: &SetKey) -> SetPlan<'_> {
        let redaction = self.redaction.as_ref();
        SetPlan::new(set.clone(), &self.profile.partition, redaction, &self.codec)
    }

    fn read(
        &self,
        set: &SetKey,
        mut planned: SetPlan<'_>,
        seen: &mut u64,
        total: u64,
        unmatched: &mut Unmatched<'_>,
    ) -> Result<SetSummary, EngineError> {
        let facets = with_facets(self.selectors);
        self.ledger.scan(self.head, set, &IdRange::ALL, facets, &mut |row| {
            *seen += 1;
            if seen.is_multiple_of(ROWS_PER_UPDATE) {
                self.tell(*seen, total);
                if self.cancel.is_set() {
                    return ControlFlow::Break(());
                }
            }
            unmatched.see(row.id.as_str(), row.facets.as_ref());
            if self.selectors.admits(row.id.as_str(), row.modified, row.facets.as_ref()) {
                planned.push(&PlannedRecord {
                    id: &row.id,
                    content_digest: row.content_digest,
                    size: row.size,
                    modified: row.modified,
                    format: row.format,
                });
            }
            ControlFlow::Continue(())
        })?;
        self.cancel.check()?;
        Ok(planned.finish())
    }

    fn tell(&self, done: u64, total: u64) {
        self.progress.update(&StageUpdate {
            stage: Stage::Plan,
            done,
            total: Some(total),
            bytes: 0,
            unit: "records",
            finished: None,
        });
    }
}
