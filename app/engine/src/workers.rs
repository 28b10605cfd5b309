//! Workers: threads that take tasks of runs, hold them by leases, and report.
//!
//! The queue only wakes them. What is to be done is in the stored states of the runs, so a wake that
//! is lost costs the time until the next look, and one that comes twice costs a look.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use stella_model::ErrorCode;
use stella_run::{
    DriveError, Driver, Ending, Failure, Lease, Millis, RunEvent, RunKey, RunState, RunStore,
    Saved, Stored, TaskResult,
};

use crate::Cancel;

/// How long a worker waits for a wake before it looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(250);

/// Milliseconds between two looks at what is due, of each worker.
const SWEEP_MS: i64 = 2_000;

/// How often a report is tried while the store cannot be reached.
const REPORTS: u32 = 20;

/// Wakes workers.
pub trait TaskQueue: Sync {
    /// Says that a run may have something to do.
    fn wake(&self, run: &RunKey);

    /// Waits for a run that may have something to do, at most so long.
    fn next(&self, patience: Duration) -> Option<RunKey>;
}

/// The queue of one process.
#[derive(Debug, Default)]
pub struct LocalQueue {
    runs: Mutex<VecDeque<RunKey>>,
    filled: Condvar,
}

impl TaskQueue for LocalQueue {
    fn wake(&self, run: &RunKey) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push_back(run.clone());
        self.filled.notify_one();
    }

    fn next(&self, patience: Duration) -> Option<RunKey> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.filled.wait_timeout_while(runs, patience, |runs| runs.is_empty());
        let (mut runs, _) = waited.unwrap_or_else(PoisonError::into_inner);
        runs.pop_front()
    }
}

/// A store whose changes wake workers of this process.
#[derive(Debug, Clone, Copy)]
pub struct WakingStore<'a, S, Q> {
    /// Where the states are.
    pub store: &'a S,
    /// Whom to tell.
    pub queue: &'a Q,
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
        if saved == Saved::Yes && state.is_due(now) {
            self.queue.wake(run);
        }
        Ok(saved)
    }

    fn due(&self, now: Millis, most: usize) -> Result<Vec<RunKey>, S::Error> {
        self.store.due(now, most)
    }
}

/// Does tasks.
pub trait Performer: Sync {
    /// Does the task of a lease, of a run that stands like this.
    ///
    /// # Errors
    /// Why it was not done; none if `cancel` was set meanwhile.
    fn perform(
        &self,
        lease: &Lease,
        run: &RunState,
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
}

impl<S, Q, P> Worker<'_, S, Q, P>
where
    S: RunStore + Sync,
    Q: TaskQueue,
    P: Performer,
{
    /// Works until it is told to stop; a task that it is at then is given back.
    pub fn work(&self, stop: &Cancel) {
        let mut sweeps_at = Millis(i64::MIN);
        while !stop.is_set() {
            let now = (self.clock)();
            if now >= sweeps_at {
                sweeps_at = now.after(SWEEP_MS);
                // A store that does not answer is asked again later.
                for run in self.store.due(now, 16).unwrap_or_default() {
                    self.queue.wake(&run);
                }
            }
            if let Some(run) = self.queue.next(PATIENCE) {
                self.look(&run, stop);
            }
        }
    }

    /// Takes a task of a run, if there is one, and does it.
    fn look(&self, run: &RunKey, stop: &Cancel) {
        let driver = Driver::new(self.store);
        let Ok(Some(lease)) = driver.take(run, &self.name, (self.clock)()) else { return };
        let Ok(Some(stored)) = self.store.load(run) else { return };
        let ending = self.hold(&lease, &stored.state, stop);
        self.report(&lease, &ending);
    }

    /// Does a task while its lease is renewed.
    fn hold(&self, lease: &Lease, run: &RunState, stop: &Cancel) -> Ending {
        let cancel = Cancel::new();
        let (done, is_done) = mpsc::channel::<()>();
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                let is_done = is_done;
                self.renew(lease, &is_done, stop, &cancel);
            });
            // A defect in one task must not take the worker from all other runs.
            let attempt = AssertUnwindSafe(|| self.performer.perform(lease, run, &cancel));
            let outcome = catch_unwind(attempt).unwrap_or_else(|_| {
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

    /// Renews a lease until its task is over; tells the task to stop if the lease is gone, the run is
    /// to be cancelled, or the worker is to stop.
    fn renew(&self, lease: &Lease, is_done: &mpsc::Receiver<()>, stop: &Cancel, cancel: &Cancel) {
        let driver = Driver::new(self.store);
        let third = lease.lease_ms / 3;
        let mut renews_at = (self.clock)().after(third);
        while is_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            if stop.is_set() {
                cancel.set();
            }
            let now = (self.clock)();
            if now < renews_at {
                continue;
            }
            renews_at = now.after(third);
            // Without an answer the worker goes on: its lease may last.
            if let Err(DriveError::Refused { .. } | DriveError::NoRun(_)) = driver.renew(lease, now)
            {
                cancel.set();
            }
        }
    }

    /// Reports until the store answers, or so often that the lease has run out.
    fn report(&self, lease: &Lease, ending: &Ending) {
        let driver = Driver::new(self.store);
        for _ in 0..REPORTS {
            match driver.report(lease, ending.clone(), (self.clock)()) {
                Err(DriveError::Store(_) | DriveError::Crowded(_)) => {
                    let pause = lease.lease_ms.unsigned_abs() / u64::from(REPORTS);
                    std::thread::sleep(Duration::from_millis(pause));
                }
                // What does not count any more was taken over by somebody else.
                Ok(()) | Err(DriveError::Refused { .. } | DriveError::NoRun(_)) => return,
            }
        }
    }
}
