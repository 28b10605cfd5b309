//! Workers: threads that take tasks of runs, hold them by leases, and report.
//!
//! The queue only wakes them. What is to be done is in the stored states of the runs, so a wake that
//! is lost costs the time until the next look, and one that comes twice costs a look.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use stella_model::ErrorCode;
use stella_run::{
    DriveError, Driver, Ending, Failure, Lease, Millis, Refused, RunEvent, RunKey, RunState,
    RunStore, Saved, Stored, TaskProgress, TaskResult,
};

use crate::{Cancel, Progress, StageUpdate};

/// How long a worker waits for a wake before it looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(250);

/// Milliseconds between two looks at what is due.
const SWEEP_MS: i64 = 2_000;

/// Runs that a sweep wakes workers for at most: those that wait longest.
const SWEPT: usize = 64;

/// Runs that a sweep looks at beyond that for what dead workers hold, at most.
const LOOKED_AT: usize = 256;

/// Runs that wait in a queue at most: others are found by a sweep.
const LONGEST_QUEUE: usize = 10_000;

/// Milliseconds between two tellings of how far a task is, at first and at most: a task that takes an
/// hour is not told of two thousand times. One that is over before the first is not told of at all.
const TELLING_MS: (i64, i64) = (2_000, 10_000);

/// How often a report is tried while the store cannot be reached.
const REPORTS: u32 = 20;

/// Wakes workers.
pub trait TaskQueue: Sync {
    /// Says that a run may have something to do.
    fn wake(&self, run: &RunKey);

    /// Waits for a run that may have something to do, at most so long.
    fn next(&self, patience: Duration) -> Option<RunKey>;
}

/// The queue of one process. A run waits in it once, however often it is named.
#[derive(Debug, Default)]
pub struct LocalQueue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<RunKey>,
    runs: BTreeSet<RunKey>,
}

impl LocalQueue {
    /// Number of runs that wait.
    pub fn depth(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).order.len()
    }
}

impl TaskQueue for LocalQueue {
    fn wake(&self, run: &RunKey) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.order.len() < LONGEST_QUEUE && waiting.runs.insert(run.clone()) {
            waiting.order.push_back(run.clone());
            self.filled.notify_one();
        }
    }

    fn next(&self, patience: Duration) -> Option<RunKey> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_empty = |waiting: &mut Waiting| waiting.order.is_empty();
        let waited = self.filled.wait_timeout_while(waiting, patience, is_empty);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let run = waiting.order.pop_front()?;
        waiting.runs.remove(&run);
        Some(run)
    }
}

/// Something that workers tell of, for logs and figures.
#[derive(Debug)]
pub enum WorkerEvent<'a> {
    /// A worker begins a task.
    Begun {
        /// What it was given.
        lease: &'a Lease,
        /// The worker.
        worker: &'a str,
    },
    /// An attempt at a task is over.
    Ended {
        /// What the worker was given.
        lease: &'a Lease,
        /// The worker.
        worker: &'a str,
        /// How it ended.
        ending: &'a Ending,
        /// Milliseconds that it took.
        took_ms: i64,
    },
    /// What a worker reported does not count: the run is over, or somebody else has the task.
    Refused {
        /// What the worker was given.
        lease: &'a Lease,
        /// The worker.
        worker: &'a str,
        /// Why it does not count.
        refused: &'a Refused,
    },
    /// A run changed.
    Changed {
        /// The run.
        run: &'a RunKey,
        /// Where it stands now.
        state: &'a RunState,
        /// What happened to it.
        events: &'a [RunEvent],
    },
    /// The store of states does not answer, or not as it should; it is asked again.
    StoreFailed {
        /// The run that was looked at, if it was one.
        run: Option<&'a RunKey>,
        /// What it says.
        error: &'a dyn std::error::Error,
    },
}

/// Takes what workers tell of; called from several threads.
pub type Watch<'a> = &'a (dyn Fn(&WorkerEvent<'_>) + Sync);

/// A store whose changes wake workers of this process.
#[derive(Clone, Copy)]
pub struct WakingStore<'a, S, Q> {
    /// Where the states are.
    pub store: &'a S,
    /// Whom to wake.
    pub queue: &'a Q,
    /// Whom to tell.
    pub watch: Watch<'a>,
}

impl<S: RunStore, Q: TaskQueue> RunStore for WakingStore<'_, S, Q> {
    type Error = S::Error;

    fn load(&self, run: &RunKey) -> Result<Option<Stored>, S::Error> {
        self.store.load(run)
    }

    fn save(
        &self,
        run: &RunKey,
        seen: u64,
        state: &RunState,
        events: &[RunEvent],
        now: Millis,
    ) -> Result<Saved, S::Error> {
        let saved = self.store.save(run, seen, state, events, now)?;
        if saved == Saved::Yes {
            (self.watch)(&WorkerEvent::Changed { run, state, events });
            if state.is_due(now) {
                self.queue.wake(run);
            }
        }
        Ok(saved)
    }

    fn due(&self, now: Millis, most: usize) -> Result<Vec<RunKey>, S::Error> {
        self.store.due(now, most)
    }

    fn due_after(
        &self,
        after: Option<&RunKey>,
        now: Millis,
        most: usize,
    ) -> Result<Vec<RunKey>, S::Error> {
        self.store.due_after(after, now, most)
    }
}

/// Does tasks.
pub trait Performer: Sync {
    /// Does the task of a lease, of a run that stands like this, and tells how far it is.
    ///
    /// # Errors
    /// Why it was not done; none if `cancel` was set meanwhile.
    fn perform(
        &self,
        lease: &Lease,
        run: &RunState,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<TaskResult, Option<Failure>>;
}

/// A worker.
pub struct Worker<'a, S, Q, P> {
    /// What it is called, for people.
    pub name: String,
    /// Where the states of runs are.
    pub store: &'a S,
    /// What wakes it.
    pub queue: &'a Q,
    /// What does its tasks.
    pub performer: &'a P,
    /// The time.
    pub clock: &'a (dyn Fn() -> Millis + Sync),
    /// Whom to tell.
    pub watch: Watch<'a>,
}

impl<S, Q, P> Worker<'_, S, Q, P>
where
    S: RunStore + Sync,
    Q: TaskQueue,
    P: Performer,
{
    /// Works until it is told to stop; a task that it is at then is given back.
    pub fn work(&self, stop: &Cancel) {
        while !stop.is_set() {
            if let Some(run) = self.queue.next(PATIENCE) {
                self.look(&run, stop);
            }
        }
    }

    /// Takes a task of a run, if there is one, and does it.
    fn look(&self, run: &RunKey, stop: &Cancel) {
        let begun = (self.clock)();
        let (lease, state) = match Driver::new(self.store).take(run, &self.name, begun) {
            Ok(Some(taken)) => taken,
            Ok(None)
            | Err(DriveError::NoRun(_) | DriveError::Later(_) | DriveError::Refused { .. }) => {
                return;
            }
            // What is due is found by the next sweep.
            Err(error) => return self.store_failed(run, error),
        };
        let worker = self.name.as_str();
        (self.watch)(&WorkerEvent::Begun { lease: &lease, worker });
        let ending = self.hold(&lease, &state, stop);
        let took_ms = (self.clock)().0 - begun.0;
        (self.watch)(&WorkerEvent::Ended { lease: &lease, worker, ending: &ending, took_ms });
        self.report(&lease, &ending);
    }

    fn store_failed(&self, run: &RunKey, error: DriveError<S::Error>) {
        if let DriveError::Store(error) = error {
            (self.watch)(&WorkerEvent::StoreFailed { run: Some(run), error: &error });
        }
    }

    /// Does a task while its lease is renewed.
    fn hold(&self, lease: &Lease, run: &RunState, stop: &Cancel) -> Ending {
        let cancel = Cancel::new();
        let newest = Newest::default();
        let (done, is_done) = mpsc::channel::<()>();
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                let is_done = is_done;
                self.renew(lease, &newest, &is_done, stop, &cancel);
            });
            // A defect in one task must not take the worker from all other runs.
            let perform = || self.performer.perform(lease, run, &newest, &cancel);
            let outcome = catch_unwind(AssertUnwindSafe(perform)).unwrap_or_else(|_| {
                let message = format!("task {} ended in a defect of the program", lease.task);
                Err(Some(Failure::new(ErrorCode::Internal, message)))
            });
            drop(done);
            outcome
        });
        match outcome {
            Ok(result) => Ending::Done(result),
            Err(Some(failure)) => Ending::Failed(failure),
            Err(None) => Ending::GivenBack,
        }
    }

    /// Renews a lease until its task is over, with how far it is; tells the task to stop if the lease
    /// is gone, the run is to be cancelled, or the worker is to stop.
    fn renew(
        &self,
        lease: &Lease,
        newest: &Newest,
        is_done: &mpsc::Receiver<()>,
        stop: &Cancel,
        cancel: &Cancel,
    ) {
        let driver = Driver::new(self.store);
        let third = lease.lease_ms / 3;
        let begun = (self.clock)();
        let mut renews_at = begun.after(third);
        let mut telling = Telling::since(begun);
        while is_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            if stop.is_set() {
                cancel.set();
            }
            let now = (self.clock)();
            let news = telling.news(newest, now);
            if now < renews_at && news.is_none() {
                continue;
            }
            renews_at = now.after(third);
            match driver.renew(lease, news.clone(), now) {
                Ok(()) => telling.told(news, now),
                Err(DriveError::Refused { .. } | DriveError::NoRun(_)) => cancel.set(),
                // Without an answer the worker goes on: its lease may last.
                Err(error) => {
                    telling.wait(now);
                    self.store_failed(&lease.run, error);
                }
            }
        }
    }

    /// Reports until the store answers, or so often that the lease has run out.
    fn report(&self, lease: &Lease, ending: &Ending) {
        let driver = Driver::new(self.store);
        for _ in 0..REPORTS {
            match driver.report(lease, ending.clone(), (self.clock)()) {
                // What does not count any more was taken over by somebody else.
                Ok(()) | Err(DriveError::NoRun(_)) => return,
                Err(DriveError::Refused { refused, .. }) => {
                    let worker = self.name.as_str();
                    return (self.watch)(&WorkerEvent::Refused {
                        lease,
                        worker,
                        refused: &refused,
                    });
                }
                Err(error) => self.store_failed(&lease.run, error),
            }
            let pause = lease.lease_ms.unsigned_abs() / u64::from(REPORTS);
            std::thread::sleep(Duration::from_millis(pause));
        }
    }
}

/// The newest that a task told of how far it is.
#[derive(Debug, Default)]
struct Newest(Mutex<Option<StageUpdate>>);

impl Progress for Newest {
    fn update(&self, update: &StageUpdate) {
        // The end of a stage has no counts: those before it stay.
        if update.finished.is_none() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(update.clone());
        }
    }
}

impl Newest {
    fn get(&self) -> Option<TaskProgress> {
        let newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().map(|update| TaskProgress {
            stage: update.stage.as_str().to_owned(),
            done: update.done,
            total: update.total,
            unit: update.unit.to_owned(),
            bytes: update.bytes,
        })
    }
}

/// When how far a task is is told, and what was told last.
#[derive(Debug)]
struct Telling {
    begun: Millis,
    tells_at: Millis,
    last: Option<TaskProgress>,
}

impl Telling {
    fn since(begun: Millis) -> Telling {
        Telling { begun, tells_at: begun.after(TELLING_MS.0), last: None }
    }

    /// What is to be told now, if anything.
    fn news(&self, newest: &Newest, now: Millis) -> Option<TaskProgress> {
        if now < self.tells_at {
            return None;
        }
        newest.get().filter(|news| self.last.as_ref() != Some(news))
    }

    /// That it was told.
    fn told(&mut self, news: Option<TaskProgress>, now: Millis) {
        if news.is_some() {
            let taken = now.0.saturating_sub(self.begun.0);
            self.tells_at = now.after((taken / 20).clamp(TELLING_MS.0, TELLING_MS.1));
            self.last = news;
        }
    }

    /// That it was not told: a store that does not answer is not asked again at once.
    fn wait(&mut self, now: Millis) {
        self.tells_at = now.after(TELLING_MS.1);
    }
}

/// Looks for runs that are due, one for each process: it wakes workers where a wake was lost or time
/// has passed, and takes back what dead workers hold.
pub struct Sweeper<'a, S, Q> {
    /// Where the states of runs are.
    pub store: &'a S,
    /// Whom to wake.
    pub queue: &'a Q,
    /// The time.
    pub clock: &'a (dyn Fn() -> Millis + Sync),
    /// Whom to tell.
    pub watch: Watch<'a>,
}

impl<S: RunStore, Q: TaskQueue> Sweeper<'_, S, Q> {
    /// Sweeps until it is told to stop.
    pub fn work(&self, stop: &Cancel) {
        let (mut sweeps_at, mut after) = (Millis(i64::MIN), None);
        while !stop.is_set() {
            let now = (self.clock)();
            if now >= sweeps_at {
                sweeps_at = now.after(SWEEP_MS);
                after = self.sweep(now, after);
            }
            std::thread::sleep(PATIENCE);
        }
    }

    /// Looks once. Where more is due than workers are woken for, the others are looked at in turn: those
    /// `after` a run, or from the first on. Gives after which run the next look goes on.
    pub fn sweep(&self, now: Millis, after: Option<RunKey>) -> Option<RunKey> {
        let Some(due) = self.found(self.store.due(now, SWEPT)) else { return after };
        for run in &due {
            self.take_back(run, now);
            self.queue.wake(run);
        }
        if due.len() < SWEPT {
            return None;
        }
        // Who waits for a worker stays due, and would hide for ever what a dead one holds.
        let found = self.found(self.store.due_after(after.as_ref(), now, LOOKED_AT));
        let Some(others) = found else { return after };
        for run in &others {
            // A store that is away is not asked for every one of them.
            if !self.take_back(run, now) {
                return Some(run.clone());
            }
        }
        others.into_iter().nth(LOOKED_AT - 1)
    }

    /// What the store found; none if it does not answer, which is told.
    fn found(&self, found: Result<Vec<RunKey>, S::Error>) -> Option<Vec<RunKey>> {
        match found {
            Ok(found) => Some(found),
            Err(error) => {
                (self.watch)(&WorkerEvent::StoreFailed { run: None, error: &error });
                None
            }
        }
    }

    /// Takes back what dead workers hold of a run; whether the store answered.
    fn take_back(&self, run: &RunKey, now: Millis) -> bool {
        let taken_back = Driver::new(self.store).take_back(run, now);
        let Err(DriveError::Store(error)) = taken_back else { return true };
        (self.watch)(&WorkerEvent::StoreFailed { run: Some(run), error: &error });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: u64) -> RunKey {
        RunKey { tenant: stella_model::TenantId::local(), number }
    }

    #[test]
    fn a_task_that_takes_long_is_told_of_less_often_and_a_short_one_never() {
        let newest = Newest::default();
        let update = |done| StageUpdate { done, ..StageUpdate::begun(crate::Stage::Pack) };
        let mut telling = Telling::since(Millis(0));
        let mut times = Vec::new();
        for now in (0..=600_000).step_by(250) {
            newest.update(&update(now / 250));
            let now = Millis(now.cast_signed());
            if let Some(news) = telling.news(&newest, now) {
                telling.told(Some(news), now);
                times.push(now.0);
            }
        }
        assert_eq!(times[..3], [2_000, 4_000, 6_000]);
        let mut pauses = times.windows(2).map(|two| two[1] - two[0]);
        assert_eq!(pauses.next_back(), Some(10_000));
        assert!(times.len() < 100, "{}", times.len());
        // What did not change is no news, and neither is that a stage is over.
        newest.update(&StageUpdate::over(crate::Stage::Pack));
        assert_eq!(telling.news(&newest, Millis(900_000)).map(|news| news.done), Some(2_400));
        telling.told(newest.get(), Millis(900_000));
        assert_eq!(telling.news(&newest, Millis(2_000_000)), None);
    }

    #[test]
    fn a_run_waits_once_and_the_queue_does_not_grow_without_end() {
        let queue = LocalQueue::default();
        for _ in 0..3 {
            queue.wake(&run(1));
            queue.wake(&run(2));
        }
        assert_eq!(queue.depth(), 2);
        assert_eq!(queue.next(Duration::ZERO), Some(run(1)));
        // Whoever took it may leave something: it waits again.
        queue.wake(&run(1));
        let rest: Vec<RunKey> = std::iter::from_fn(|| queue.next(Duration::ZERO)).collect();
        assert_eq!(rest, [run(2), run(1)]);
        for number in 0..=LONGEST_QUEUE as u64 {
            queue.wake(&run(number));
        }
        assert_eq!(queue.depth(), LONGEST_QUEUE);
    }
}
