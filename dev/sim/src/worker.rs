//! A simulated worker: it looks for a task, is busy with it for a while, and reports.

use stella_model::{Digest, ErrorCode, Target};
use stella_run::{
    Bundle, DriveError, Driver, Ending, Failure, Lease, Millis, Plan, Refused, Remedy, RunKey,
    RunStore as _, Snapshot, TaskId, TaskProgress, TaskResult,
};

use crate::depot::{self, made};
use crate::store::StoreFault;
use crate::world::{Canary, World};

/// How often a worker is seen at its task before that is done, at most.
const LONGEST_TASK: u64 = 6;

/// Milliseconds between two looks at what is due.
const SWEEP_MS: i64 = 5_000;

/// A worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) name: String,
    /// How far its clock is ahead, in milliseconds.
    pub(crate) skew: i64,
    /// Nobody sees it before this time: it is dead or asleep.
    pub(crate) away_until: Millis,
    pub(crate) busy: Option<Busy>,
    pub(crate) sweeps_at: Millis,
}

/// A worker's task.
#[derive(Debug)]
pub(crate) struct Busy {
    pub(crate) lease: Lease,
    steps_left: u64,
    renews_at: Millis,
}

impl Busy {
    /// How far it is; now and then nothing is told.
    fn progress(&self) -> Option<TaskProgress> {
        let done = LONGEST_TASK.saturating_sub(self.steps_left);
        let (stage, unit) = (self.lease.task.to_string(), "steps".to_owned());
        let progress = TaskProgress { stage, done, total: Some(LONGEST_TASK), unit, bytes: 0 };
        (!done.is_multiple_of(3)).then_some(progress)
    }
}

type Step = Result<(), DriveError<StoreFault>>;

impl Worker {
    pub(crate) fn new(name: String, skew: i64) -> Worker {
        let (away_until, sweeps_at) = (Millis(0), Millis(0));
        Worker { name, skew, away_until, busy: None, sweeps_at }
    }

    /// Does one thing.
    pub(crate) fn step(&mut self, world: &World) {
        let now = world.now().after(self.skew);
        let outcome = match self.busy.take() {
            Some(busy) => self.go_on(world, busy, now),
            None => self.look_for_work(world, now),
        };
        match outcome {
            // Nothing that it knew is left; it is started again.
            Err(DriveError::Store(StoreFault::Killed)) => {
                self.busy = None;
                self.away_until = world.now().after(world.pause_ms());
            }
            Err(DriveError::Crowded(run)) => world.complain(&run, "nobody gets ahead"),
            Err(DriveError::NoRun(run)) => world.complain(&run, "it vanished"),
            Ok(())
            | Err(DriveError::Store(_) | DriveError::Later(_) | DriveError::Refused { .. }) => {}
        }
    }

    fn look_for_work(&mut self, world: &World, now: Millis) -> Step {
        let run = match world.woken() {
            Some(run) => run,
            None if now >= self.sweeps_at && world.setup.canary != Some(Canary::NoSweeper) => {
                self.sweeps_at = now.after(SWEEP_MS);
                match world.due(now, 1).map_err(DriveError::Store)?.pop() {
                    Some(run) => run,
                    None => return Ok(()),
                }
            }
            None => return Ok(()),
        };
        let taken = Driver::new(world).take(&run, &self.name, now)?;
        let Some((lease, _)) = taken else { return Ok(()) };
        let renews_at = now.after(lease.lease_ms / 3);
        let steps_left = 1 + world.chance.below(LONGEST_TASK);
        self.busy = Some(Busy { lease, steps_left, renews_at });
        Ok(())
    }

    fn go_on(&mut self, world: &World, mut busy: Busy, now: Millis) -> Step {
        if world.falls_asleep() {
            self.away_until = world.now().after(world.pause_ms());
            self.busy = Some(busy);
            return Ok(());
        }
        let driver = Driver::new(world);
        if now >= busy.renews_at {
            match driver.renew(&busy.lease, busy.progress(), now) {
                Err(DriveError::Refused { refused: Refused::Cancelling, .. }) => {
                    return driver.report(&busy.lease, Ending::GivenBack, now);
                }
                Ok(()) => busy.renews_at = now.after(busy.lease.lease_ms / 3),
                // Without an answer the worker goes on: its lease may last.
                Err(DriveError::Store(StoreFault::Unreachable)) => {}
                Err(other) => return Err(other),
            }
        }
        busy.steps_left = busy.steps_left.saturating_sub(1);
        if busy.steps_left > 0 {
            self.busy = Some(busy);
            return Ok(());
        }
        let ending = self.perform(world, &busy.lease).map_err(DriveError::Store)?;
        match driver.report(&busy.lease, ending, now) {
            // It is reported again when the store is back; perhaps it was written.
            Err(DriveError::Store(StoreFault::Unreachable)) => {
                busy.steps_left = 1;
                self.busy = Some(busy);
                Ok(())
            }
            other => other,
        }
    }

    /// Does the task itself.
    fn perform(&self, world: &World, lease: &Lease) -> Result<Ending, StoreFault> {
        world.action()?;
        if let Some(remedy) = world.task_fails() {
            world.saw_failure(&lease.run, remedy);
            let failure = Failure::new(ErrorCode::Io, "as the seed has it");
            return Ok(Ending::Failed(Failure { remedy, ..failure }));
        }
        let plan = world.plan_of(&lease.run);
        let done = match &lease.task {
            TaskId::Plan => {
                let snapshot = Snapshot { ledger: String::new(), sequence: 0, sets: Vec::new() };
                let plan = Plan { same_as: same(world, &plan), ..plan };
                Some(TaskResult::Planned { plan, snapshot })
            }
            TaskId::Make(_) | TaskId::Pack(_) => {
                self.put(world, lease, &plan.plan_hash, made(&plan.plan_hash, &lease.task));
                Some(TaskResult::Stored)
            }
            TaskId::Seal => world.depot.seal(&plan).map(TaskResult::Sealed),
            TaskId::Distribute(_) => world.depot.seal(&plan).map(|bundle| {
                self.put(world, lease, &plan.plan_hash, bundle.files);
                TaskResult::Delivered
            }),
            TaskId::Verify(target) => (delivered(world, &plan, target)
                == Some(depot::bundle(&plan).files))
            .then_some(TaskResult::Verified),
        };
        world.action()?;
        let lost = || {
            world.saw_failure(&lease.run, Remedy::Rebuild);
            let failure = Failure::new(ErrorCode::Io, "the depot lost something");
            Ending::Failed(Failure { remedy: Remedy::Rebuild, ..failure })
        };
        Ok(done.map_or_else(lost, Ending::Done))
    }

    fn put(&self, world: &World, lease: &Lease, plan: &Digest, mut content: Digest) {
        if world.setup.canary == Some(Canary::WorkerInBytes) {
            content = Digest::of(&[content.as_bytes(), self.name.as_bytes()].concat());
        }
        if let Err(fault) = world.depot.put(plan, &lease.task, content) {
            world.complain(&lease.run, &fault);
        }
    }
}

/// The bundle that the same plan already made, if all of it is still there.
fn same(world: &World, plan: &Plan) -> Option<Bundle> {
    let known = world.was_sealed(&plan.plan_hash);
    known.filter(|bundle| world.depot.seal(plan).as_ref() == Some(bundle))
}

/// What a target has of a plan.
pub(crate) fn delivered(world: &World, plan: &Plan, target: &Target) -> Option<Digest> {
    world.depot.get(&plan.plan_hash, &TaskId::Distribute(target.clone()))
}

/// Whether a worker other than this one has the same attempt at the same task.
pub(crate) fn shared<'w>(workers: impl Iterator<Item = &'w Worker>) -> Option<(RunKey, String)> {
    let mut held = std::collections::BTreeMap::new();
    for worker in workers {
        let Some(busy) = &worker.busy else { continue };
        let lease = &busy.lease;
        let key = (lease.run.clone(), lease.task.clone(), lease.attempt);
        if let Some(other) = held.insert(key, &worker.name) {
            let what = format!("{other} and {} hold {}#{}", worker.name, lease.task, lease.attempt);
            return Some((lease.run.clone(), what));
        }
    }
    None
}
