//! Driving runs whose states are stored: load, apply, store again unless somebody else did.

use std::fmt;

use stella_model::TenantId;

use crate::{
    Action, Failure, Held, Millis, Outcome, Phase, Refused, RunEvent, RunState, TaskId,
    TaskProgress, TaskResult, TraceParent,
};

/// Names a run: runs are numbered within their tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its number.
    pub number: u64,
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r-{} of {}", self.number, self.tenant)
    }
}

/// A state as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The state.
    pub state: RunState,
    /// Grows with every change.
    pub version: u64,
}

/// What became of storing a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It is stored.
    Yes,
    /// Somebody else stored another one since it was read; nothing was changed.
    Overtaken,
    /// It is not the run's turn: it is due again later, and nothing was changed.
    Later,
}

/// Where the states of runs are kept.
pub trait RunStore {
    /// Why it cannot be reached.
    type Error: std::error::Error;

    /// The state of a run; none if there is no such run.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn load(&self, run: &RunKey) -> Result<Option<Stored>, Self::Error>;

    /// Replaces the state if its version is still `seen`, keeps the events in their order, and wakes
    /// workers if there is something for them; all of it or nothing (INV-ATOMIC).
    ///
    /// # Errors
    /// If the store cannot be written; whether it was written is then not known.
    fn save(
        &self,
        run: &RunKey,
        seen: u64,
        state: &RunState,
        events: &[RunEvent],
        now: Millis,
    ) -> Result<Saved, Self::Error>;

    /// Runs for which there is something to do at this time, the longest waiting first.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn due(&self, now: Millis, most: usize) -> Result<Vec<RunKey>, Self::Error>;

    /// The same runs in the order of their keys, whoever waits longest: those after one, or from the
    /// first on, so that all of them are seen by and by.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn due_after(
        &self,
        after: Option<&RunKey>,
        now: Millis,
        most: usize,
    ) -> Result<Vec<RunKey>, Self::Error>;
}

/// A task that a worker was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The run.
    pub run: RunKey,
    /// The task.
    pub task: TaskId,
    /// The attempt: the fencing token.
    pub attempt: u32,
    /// Milliseconds that it lasts unless it is renewed.
    pub lease_ms: i64,
    /// Milliseconds that the task waited for a worker since it could be begun.
    pub waited_ms: i64,
    /// The span of the request that asked for the run, if that is known.
    pub trace: Option<TraceParent>,
}

/// How a worker's attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It is done.
    Done(TaskResult),
    /// It failed.
    Failed(Failure),
    /// It was stopped before its end.
    GivenBack,
}

/// Why a step was not made.
#[derive(Debug, thiserror::Error)]
pub enum DriveError<E> {
    /// The store cannot be reached.
    #[error("the state of a run cannot be reached")]
    Store(#[source] E),
    /// There is no such run.
    #[error("there is no run {0}")]
    NoRun(RunKey),
    /// The step does not count.
    #[error("run {run}: {refused}")]
    Refused {
        /// The run.
        run: RunKey,
        /// Why.
        refused: Refused,
    },
    /// It is not the run's turn.
    #[error("run {0} waits for its turn")]
    Later(RunKey),
    /// Others changed the run every time.
    #[error("run {0} is changed by others all the time")]
    Crowded(RunKey),
}

/// How often a step is tried that others overtake. Somebody gets ahead every time, so that the run
/// as a whole goes on.
const TRIES: usize = 200;

/// Drives the runs of a store.
#[derive(Debug, Clone, Copy)]
pub struct Driver<'a, S> {
    store: &'a S,
}

impl<'a, S: RunStore> Driver<'a, S> {
    /// Drives the runs of this store.
    #[must_use]
    pub fn new(store: &'a S) -> Driver<'a, S> {
        Driver { store }
    }

    /// Takes the first task of a run that is offered, and gives the state of the run with it; none if
    /// there is none now. What was lost is taken back first.
    ///
    /// # Errors
    /// [`DriveError`], never [`DriveError::Refused`].
    pub fn take(
        &self,
        run: &RunKey,
        worker: &str,
        now: Millis,
    ) -> Result<Option<(Lease, RunState)>, DriveError<S::Error>> {
        self.change(run, now, |state| {
            let mut events = take_back(state, now);
            let taken = claim(state, worker, now, &mut events);
            let trace = state.origin.map(|origin| origin.trace);
            let (run, lease_ms) = (run.clone(), state.rules.lease_ms);
            let lease = |(task, attempt, waited_ms)| {
                (Lease { run, task, attempt, lease_ms, waited_ms, trace }, state.clone())
            };
            Ok((events, taken.map(lease)))
        })
    }

    /// Takes back what was lost of a run, also where nobody is there to take it over: a run that is
    /// cancelled ends then.
    ///
    /// # Errors
    /// [`DriveError`], never [`DriveError::Refused`].
    pub fn take_back(&self, run: &RunKey, now: Millis) -> Result<(), DriveError<S::Error>> {
        self.change(run, now, |state| Ok((take_back(state, now), ())))
    }

    /// Tells that a worker is alive and at its task, and how far it is where that is to be told.
    ///
    /// # Errors
    /// [`DriveError::Refused`] if the worker is to stop.
    pub fn renew(
        &self,
        lease: &Lease,
        progress: Option<TaskProgress>,
        now: Millis,
    ) -> Result<(), DriveError<S::Error>> {
        let (task, attempt) = (lease.task.clone(), lease.attempt);
        self.step(&lease.run, &Outcome::Renewed { task, attempt, progress }, now)
    }

    /// Tells how a worker's attempt ended.
    ///
    /// # Errors
    /// [`DriveError::Refused`] if it does not count, as after the run was cancelled or somebody else
    /// took the task over.
    pub fn report(
        &self,
        lease: &Lease,
        ending: Ending,
        now: Millis,
    ) -> Result<(), DriveError<S::Error>> {
        let (task, attempt) = (lease.task.clone(), lease.attempt);
        let outcome = match ending {
            Ending::Done(result) => Outcome::Done { task, attempt, result },
            Ending::Failed(failure) => Outcome::Failed { task, attempt, failure },
            Ending::GivenBack => Outcome::GivenBack { task, attempt },
        };
        self.step(&lease.run, &outcome, now)
    }

    /// Asks a run to stop.
    ///
    /// # Errors
    /// [`DriveError::Refused`] if it is over.
    pub fn cancel(
        &self,
        run: &RunKey,
        by: &str,
        held: Held,
        now: Millis,
    ) -> Result<(), DriveError<S::Error>> {
        self.step(run, &Outcome::CancelAsked { by: by.to_owned(), held }, now)
    }

    fn step(
        &self,
        run: &RunKey,
        outcome: &Outcome,
        now: Millis,
    ) -> Result<(), DriveError<S::Error>> {
        self.change(run, now, |state| Ok((state.apply(outcome.clone(), now)?, ())))
    }

    /// Loads a state, changes it, and stores it unless it stayed as it was; again if somebody else came
    /// before.
    fn change<T>(
        &self,
        run: &RunKey,
        now: Millis,
        change: impl Fn(&mut RunState) -> Result<(Vec<RunEvent>, T), Refused>,
    ) -> Result<T, DriveError<S::Error>> {
        for _ in 0..TRIES {
            let stored = self.store.load(run).map_err(DriveError::Store)?;
            let Stored { mut state, version } =
                stored.ok_or_else(|| DriveError::NoRun(run.clone()))?;
            let before = state.clone();
            let (events, told) = change(&mut state)
                .map_err(|refused| DriveError::Refused { run: run.clone(), refused })?;
            if state == before {
                return Ok(told);
            }
            let saved = self.store.save(run, version, &state, &events, now);
            match saved.map_err(DriveError::Store)? {
                Saved::Yes => return Ok(told),
                Saved::Later => return Err(DriveError::Later(run.clone())),
                Saved::Overtaken => {}
            }
        }
        Err(DriveError::Crowded(run.clone()))
    }
}

/// Takes back the attempts whose leases ran out.
fn take_back(state: &mut RunState, now: Millis) -> Vec<RunEvent> {
    let mut events = Vec::new();
    // Taking one back may end the run; so what is lost is asked each time.
    while let Some(Action::TakeBack { task, attempt }) = state.next(now).into_iter().next() {
        // What `next` names is never refused: nothing lies between the two.
        let Ok(told) = state.apply(Outcome::Expired { task, attempt }, now) else { break };
        events.extend(told);
    }
    events
}

/// Claims the first task that is offered; gives its attempt and how long it waited.
fn claim(
    state: &mut RunState,
    worker: &str,
    now: Millis,
    events: &mut Vec<RunEvent>,
) -> Option<(TaskId, u32, i64)> {
    let Action::Offer(task) = state.next(now).into_iter().next()? else { return None };
    let waited_ms = waited_ms(state, &task, now);
    let claimed = Outcome::Claimed { task: task.clone(), worker: worker.to_owned() };
    events.extend(state.apply(claimed, now).ok()?);
    let attempt = state.tasks.get(&task)?.attempt;
    Some((task, attempt, waited_ms))
}

/// Milliseconds since a task could be begun. Clocks of several machines differ: never less than none.
pub(crate) fn waited_ms(state: &RunState, task: &TaskId, now: Millis) -> i64 {
    let Some(Phase::Ready { not_before }) = state.tasks.get(task).map(|task| &task.phase) else {
        return 0;
    };
    // What comes first is offered from the beginning of time on.
    let since = match (*not_before, state.origin) {
        (Millis(0), None) => now,
        (Millis(0), Some(origin)) => origin.at,
        (not_before, _) => not_before,
    };
    now.0.saturating_sub(since.0).max(0)
}
