//! The store of the simulated world: it fails, kills whoever uses it, and lets others overtake.

use std::collections::{BTreeMap, VecDeque};

use stella_run::{Millis, RunEvent, RunKey, RunState, RunStore, Saved, Status, Stored};

use crate::world::{Canary, World};

/// Why the store did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreFault {
    /// It cannot be reached, or its answer was lost.
    #[error("the store does not answer")]
    Unreachable,
    /// Whoever asked is dead.
    #[error("whoever asked is dead")]
    Killed,
}

/// A stored run and all that was ever told of it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) state: RunState,
    pub(crate) version: u64,
    pub(crate) events: Vec<RunEvent>,
}

/// What the store holds.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) runs: BTreeMap<RunKey, Row>,
    /// Wakes that workers did not see yet.
    pub(crate) queue: VecDeque<RunKey>,
}

impl Rows {
    /// Where a run stands by what was told of it.
    pub(crate) fn told(events: &[RunEvent]) -> Result<Status, String> {
        let (mut told, mut held) = (Status::Queued, BTreeMap::new());
        for event in events {
            match event {
                RunEvent::Status { from, to } => {
                    if *from != told {
                        return Err(format!("it was told to be {told}, then to leave {from}"));
                    }
                    told = *to;
                }
                RunEvent::Begun { task, attempt, .. } => drop(held.insert(task, attempt)),
                RunEvent::Done { task, .. } | RunEvent::Failed { task, .. } => {
                    held.remove(task);
                }
                // Of an attempt that is over or was overtaken, nothing is told any more.
                RunEvent::Progress { task, attempt, .. } if held.get(task) != Some(&attempt) => {
                    return Err(format!("{task}#{attempt} went on after its end"));
                }
                _ => {}
            }
        }
        Ok(told)
    }
}

impl RunStore for World {
    type Error = StoreFault;

    fn load(&self, run: &RunKey) -> Result<Option<Stored>, StoreFault> {
        self.action()?;
        let stored = {
            let rows = self.rows.borrow();
            let row = rows.runs.get(run);
            row.map(|row| Stored { state: row.state.clone(), version: row.version })
        };
        // Between reading and writing, others come first.
        self.let_others_in();
        Ok(stored)
    }

    fn save(
        &self,
        run: &RunKey,
        seen: u64,
        state: &RunState,
        events: &[RunEvent],
        now: Millis,
    ) -> Result<Saved, StoreFault> {
        self.action()?;
        {
            let mut rows = self.rows.borrow_mut();
            let Some(row) = rows.runs.get_mut(run) else { return Ok(Saved::Overtaken) };
            if row.version != seen && self.setup.canary != Some(Canary::LostUpdates) {
                return Ok(Saved::Overtaken);
            }
            if row.state.status.is_terminal() {
                self.complain(run, "a run that is over was changed");
            }
            row.state = state.clone();
            row.version += 1;
            row.events.extend_from_slice(events);
            if state.is_due(now) && !self.loses_wake() {
                rows.queue.push_back(run.clone());
            }
        }
        // The answer may be lost although it was written.
        self.action()?;
        Ok(Saved::Yes)
    }

    fn due(&self, now: Millis, most: usize) -> Result<Vec<RunKey>, StoreFault> {
        self.action()?;
        let rows = self.rows.borrow();
        let due = rows.runs.iter().filter_map(|(run, row)| Some((row.state.wakes_at()?, run)));
        let mut due: Vec<(Millis, &RunKey)> = due.filter(|(time, _)| *time <= now).collect();
        due.sort();
        Ok(due.into_iter().take(most).map(|(_, run)| run.clone()).collect())
    }

    fn due_after(
        &self,
        after: Option<&RunKey>,
        now: Millis,
        most: usize,
    ) -> Result<Vec<RunKey>, StoreFault> {
        self.action()?;
        let rows = self.rows.borrow();
        let due = rows.runs.iter().filter(|(run, row)| Some(*run) > after && row.state.is_due(now));
        Ok(due.take(most).map(|(run, _)| run.clone()).collect())
    }
}
