//! What can be done next, and what follows from what was done.

use serde::{Deserialize, Serialize};
use stella_model::{Digest, Target};

use crate::{
    Bundle, CancelRequest, Failure, Millis, Phase, Remedy, RunState, Snapshot, Status, Task,
    TaskId, TaskProgress, TaskResult,
};

/// Something that can be done for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Claim this task and do it.
    Offer(TaskId),
    /// Take back this attempt at a task: its worker gave no sign of life.
    TakeBack {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
    },
    /// Look again at this time.
    Wait(Millis),
}

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A worker takes a task.
    Claimed {
        /// The task.
        task: TaskId,
        /// The worker, for people.
        worker: String,
    },
    /// The worker of an attempt is alive.
    Renewed {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
        /// How far it is, where that is to be told.
        progress: Option<TaskProgress>,
    },
    /// An attempt did it.
    Done {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
        /// What it gave.
        result: TaskResult,
    },
    /// An attempt did not.
    Failed {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
    },
    /// A worker gives an attempt back that it did not end, because it is told to stop.
    GivenBack {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
    },
    /// The lease of an attempt ran out.
    Expired {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
    },
    /// Somebody wants the run to stop.
    CancelAsked {
        /// Who.
        by: String,
        /// What becomes of the tasks that workers hold.
        held: Held,
    },
}

/// What becomes of held tasks when a run is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The run ends when they are given back, one lease later at most.
    Awaited,
    /// The run ends at once; what their workers report does not count any more.
    Abandoned,
}

/// What a run tells of a step, for those who watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum RunEvent {
    /// A worker took a task.
    Begun {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
        /// The worker.
        worker: String,
    },
    /// An attempt has come further.
    Progress {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
        /// How far it is.
        #[serde(flatten)]
        progress: TaskProgress,
    },
    /// A task is done.
    Done {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
    },
    /// It is decided what the run is and what it reads.
    Planned {
        /// Identity of the plan.
        plan_hash: Digest,
        /// What it reads.
        snapshot: Snapshot,
    },
    /// A bundle was sealed.
    Sealed {
        /// The bundle.
        bundle: Bundle,
    },
    /// An attempt failed.
    Failed {
        /// The task.
        task: TaskId,
        /// The attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// When it is tried again; none if it is given up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_at: Option<Millis>,
    },
    /// The depot lost something: all that lies in it is looked at again, and made anew where needed.
    Repairing {
        /// How often by now.
        repairs: u32,
    },
    /// Somebody wants the run to stop.
    CancelAsked {
        /// Who.
        by: String,
    },
    /// The run has another status.
    Status {
        /// The one before.
        from: Status,
        /// The one now.
        to: Status,
    },
}

/// Why an outcome does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The run is over.
    #[error("the run is {0}")]
    Over(Status),
    /// The run is to stop.
    #[error("the run is to be cancelled")]
    Cancelling,
    /// The task is not there to be claimed.
    #[error("task {0} is not offered")]
    NotOffered(TaskId),
    /// Another attempt is the newest, or nobody holds the task.
    #[error("attempt {attempt} at task {task} is not the one that counts")]
    Stale {
        /// The task.
        task: TaskId,
        /// The attempt that was named.
        attempt: u32,
    },
    /// A lease that is said to have run out did not.
    #[error("the lease of task {0} has not run out")]
    Alive(TaskId),
    /// A task gave what another one gives.
    #[error("task {0} cannot give that")]
    WrongResult(TaskId),
}

impl RunState {
    /// What can be done at this time: first what is lost, then what is offered, in the order of the
    /// tasks; last when to look again, if something takes time.
    #[must_use]
    pub fn next(&self, now: Millis) -> Vec<Action> {
        if self.status.is_terminal() {
            return Vec::new();
        }
        let (mut lost, mut offered, mut wait) = (Vec::new(), Vec::new(), None::<Millis>);
        let mut later = |time: Millis| wait = Some(wait.map_or(time, |other| other.min(time)));
        for (id, task) in &self.tasks {
            match &task.phase {
                Phase::Leased { until, .. } if *until <= now => {
                    lost.push(Action::TakeBack { task: id.clone(), attempt: task.attempt });
                }
                Phase::Leased { until, .. } => later(*until),
                Phase::Ready { not_before } if *not_before > now => later(*not_before),
                Phase::Ready { .. } if self.cancel.is_none() => {
                    offered.push(Action::Offer(id.clone()));
                }
                Phase::Waiting | Phase::Ready { .. } | Phase::Done | Phase::GivenUp => {}
            }
        }
        lost.extend(offered);
        lost.extend(wait.map(Action::Wait));
        lost
    }

    /// Takes in what happened at this time, and tells what follows.
    ///
    /// # Errors
    /// [`Refused`] if it does not count; the state is then as it was.
    pub fn apply(&mut self, outcome: Outcome, now: Millis) -> Result<Vec<RunEvent>, Refused> {
        if self.status.is_terminal() {
            return Err(Refused::Over(self.status));
        }
        let mut events = Vec::new();
        match outcome {
            Outcome::Claimed { task, worker } => self.claim(task, worker, now, &mut events)?,
            Outcome::Renewed { task, attempt, progress } => {
                self.renew(task, attempt, progress, now, &mut events)?;
            }
            Outcome::Done { task, attempt, result } => {
                self.done(task, attempt, result, &mut events)?;
            }
            Outcome::Failed { task, attempt, failure } => {
                self.held(&task, attempt)?;
                self.failed(task, attempt, failure, now, &mut events);
            }
            Outcome::GivenBack { task, attempt } => {
                self.held(&task, attempt)?.phase = Phase::Ready { not_before: now };
            }
            Outcome::Expired { task, attempt } => self.expire(task, attempt, now, &mut events)?,
            Outcome::CancelAsked { by, held } => self.ask_to_cancel(by, held, now, &mut events),
        }
        self.grow(now);
        self.settle(&mut events);
        Ok(events)
    }

    fn claim(
        &mut self,
        id: TaskId,
        worker: String,
        now: Millis,
        events: &mut Vec<RunEvent>,
    ) -> Result<(), Refused> {
        if self.cancel.is_some() {
            return Err(Refused::Cancelling);
        }
        let until = now.after(self.rules.lease_ms);
        let is_offered = |task: &&mut Task| matches!(task.phase, Phase::Ready { not_before } if not_before <= now);
        let Some(task) = self.tasks.get_mut(&id).filter(is_offered) else {
            return Err(Refused::NotOffered(id));
        };
        task.attempt += 1;
        task.phase = Phase::Leased { worker: worker.clone(), until, progress: None };
        events.push(RunEvent::Begun { task: id, attempt: task.attempt, worker });
        Ok(())
    }

    /// A lease that ran out and that nobody took back yet is renewed all the same: its worker is the
    /// only one that has the task.
    fn renew(
        &mut self,
        id: TaskId,
        attempt: u32,
        news: Option<TaskProgress>,
        now: Millis,
        events: &mut Vec<RunEvent>,
    ) -> Result<(), Refused> {
        let new = now.after(self.rules.lease_ms);
        let is_stopping = self.cancel.is_some();
        let task = self.held(&id, attempt)?;
        if is_stopping {
            return Err(Refused::Cancelling);
        }
        if let Phase::Leased { until, progress, .. } = &mut task.phase {
            // Clocks of several machines differ: a lease never becomes shorter.
            *until = new.max(*until);
            if let Some(news) = news.filter(|news| progress.as_ref() != Some(news)) {
                *progress = Some(news.clone());
                events.push(RunEvent::Progress { task: id, attempt, progress: news });
            }
        }
        Ok(())
    }

    fn done(
        &mut self,
        id: TaskId,
        attempt: u32,
        result: TaskResult,
        events: &mut Vec<RunEvent>,
    ) -> Result<(), Refused> {
        self.held(&id, attempt)?;
        match (&id, result) {
            (TaskId::Plan, TaskResult::Planned { plan, snapshot }) => {
                events.push(RunEvent::Planned { plan_hash: plan.plan_hash, snapshot });
                self.plan = Some(plan);
            }
            (TaskId::Seal, TaskResult::Sealed(bundle)) => {
                events.push(RunEvent::Sealed { bundle });
                self.bundle = Some(bundle);
            }
            (TaskId::Make(_) | TaskId::Pack(_), TaskResult::Stored)
            | (TaskId::Distribute(_), TaskResult::Delivered)
            | (TaskId::Verify(_), TaskResult::Verified) => {}
            _ => return Err(Refused::WrongResult(id)),
        }
        let task = self.held(&id, attempt)?;
        task.phase = Phase::Done;
        task.trouble = None;
        events.push(RunEvent::Done { task: id, attempt });
        Ok(())
    }

    fn failed(
        &mut self,
        id: TaskId,
        attempt: u32,
        failure: Failure,
        now: Millis,
        events: &mut Vec<RunEvent>,
    ) {
        let rules = self.rules;
        let may_repair = self.repairs < rules.most_repairs;
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.failures += 1;
        let again_at = match failure.remedy {
            Remedy::Again if task.failures < rules.most_failures => {
                Some(now.after(rules.wait_ms(task.failures)))
            }
            Remedy::Rebuild if may_repair => Some(now),
            Remedy::None | Remedy::Again | Remedy::Rebuild => None,
        };
        let remedy = failure.remedy;
        self.end_attempt(id, attempt, failure, again_at, events);
        if remedy == Remedy::Rebuild && again_at.is_some() {
            self.rebuild(now, events);
        }
    }

    fn expire(
        &mut self,
        id: TaskId,
        attempt: u32,
        now: Millis,
        events: &mut Vec<RunEvent>,
    ) -> Result<(), Refused> {
        let most_losses = self.rules.most_losses;
        let task = self.held(&id, attempt)?;
        let failure = match &task.phase {
            Phase::Leased { until, .. } if *until > now => return Err(Refused::Alive(id)),
            Phase::Leased { worker, .. } => Failure::silence(worker),
            _ => return Err(Refused::Stale { task: id, attempt }),
        };
        task.losses += 1;
        let again_at = (task.losses < most_losses).then_some(now);
        self.end_attempt(id, attempt, failure, again_at, events);
        Ok(())
    }

    /// Offers a task again, or gives it up.
    fn end_attempt(
        &mut self,
        id: TaskId,
        attempt: u32,
        failure: Failure,
        again_at: Option<Millis>,
        events: &mut Vec<RunEvent>,
    ) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.trouble = Some(failure.clone());
        task.phase = match again_at {
            Some(not_before) => Phase::Ready { not_before },
            None => Phase::GivenUp,
        };
        // Without this task there is no bundle; without a target there is one.
        if again_at.is_none() && id.target().is_none() {
            self.failure = Some(failure.clone());
        }
        events.push(RunEvent::Failed { task: id, attempt, failure, again_at });
    }

    /// Offers everything that lies in the depot again. What is still good there is found and taken.
    fn rebuild(&mut self, now: Millis, events: &mut Vec<RunEvent>) {
        self.repairs += 1;
        self.bundle = None;
        if let Some(plan) = &mut self.plan {
            plan.same_as = None;
        }
        // No task is forgotten: the numbers of its attempts go on, so that those before do not count.
        for (id, task) in &mut self.tasks {
            match (id, &task.phase) {
                (TaskId::Plan, _) | (_, Phase::Leased { .. } | Phase::GivenUp) => {}
                (TaskId::Make(_) | TaskId::Pack(_), _) => {
                    task.phase = Phase::Ready { not_before: now };
                }
                // Begun when packing is done, as before.
                _ => task.phase = Phase::Waiting,
            }
        }
        events.push(RunEvent::Repairing { repairs: self.repairs });
    }

    fn ask_to_cancel(&mut self, by: String, held: Held, now: Millis, events: &mut Vec<RunEvent>) {
        if self.cancel.is_none() {
            self.cancel = Some(CancelRequest { by: by.clone(), at: now });
            events.push(RunEvent::CancelAsked { by });
        }
        if held == Held::Abandoned {
            for task in self.tasks.values_mut().filter(|task| task.is_leased()) {
                task.phase = Phase::Ready { not_before: now };
            }
        }
    }

    /// The task, if this attempt at it is the one that counts.
    fn held(&mut self, id: &TaskId, attempt: u32) -> Result<&mut Task, Refused> {
        let is_held = |task: &&mut Task| task.attempt == attempt && task.is_leased();
        let stale = || Refused::Stale { task: id.clone(), attempt };
        self.tasks.get_mut(id).filter(is_held).ok_or_else(stale)
    }

    /// Offers the tasks that can be done now because those before them are.
    fn grow(&mut self, now: Millis) {
        let Some(plan) = self.plan.clone() else { return };
        if let Some(bundle) = plan.same_as {
            self.bundle = Some(bundle);
        } else {
            for id in plan.packing() {
                self.offer(id, now);
            }
            if !plan.packing().all(|id| self.is_done(&id)) {
                return;
            }
            self.offer(TaskId::Seal, now);
            if !self.is_done(&TaskId::Seal) {
                return;
            }
        }
        for target in self.targets.clone() {
            let deliver = TaskId::Distribute(target.clone());
            self.offer(deliver.clone(), now);
            if self.is_done(&deliver) {
                self.offer(TaskId::Verify(target), now);
            }
        }
    }

    /// Offers a task that was not offered yet.
    fn offer(&mut self, id: TaskId, now: Millis) {
        let task = self.tasks.entry(id).or_insert(Task::NEW);
        if task.phase == Phase::Waiting {
            task.phase = Phase::Ready { not_before: now };
        }
    }

    /// Finds the status. What somebody wants comes before what the tasks say.
    fn settle(&mut self, events: &mut Vec<RunEvent>) {
        let from = self.status;
        self.status = if self.cancel.is_some() && !self.is_held() {
            Status::Cancelled
        } else if self.failure.is_some() {
            Status::Failed
        } else {
            self.delivered().unwrap_or_else(|| self.under_way())
        };
        if self.status == Status::Failed && self.failure.is_none() {
            let troubles = self.tasks.values().filter(|task| task.is_given_up());
            self.failure = troubles.filter_map(|task| task.trouble.clone()).next();
        }
        if self.status != from {
            events.push(RunEvent::Status { from, to: self.status });
        }
    }

    /// The status once every target has the bundle or has failed.
    fn delivered(&self) -> Option<Status> {
        self.bundle?;
        let has_failed = |target: &Target| {
            let tasks = [TaskId::Distribute(target.clone()), TaskId::Verify(target.clone())];
            tasks.iter().any(|id| self.tasks.get(id).is_some_and(Task::is_given_up))
        };
        let has_it = |target: &&Target| self.is_done(&TaskId::Verify((*target).clone()));
        let failed = self.targets.iter().filter(|target| has_failed(target)).count();
        let good = self.targets.iter().filter(has_it).count();
        match (good, failed) {
            _ if good + failed < self.targets.len() => None,
            (_, 0) => Some(Status::Succeeded),
            (0, _) => Some(Status::Failed),
            _ => Some(Status::Partial),
        }
    }

    fn under_way(&self) -> Status {
        if self.attempt() == 0 {
            return Status::Queued;
        }
        let is_troubled = |task: &Task| task.trouble.is_some() && !task.is_given_up();
        let is_mending = self.repairs > 0 && self.bundle.is_none();
        match is_mending || self.tasks.values().any(is_troubled) {
            true => Status::Retrying,
            false => Status::Running,
        }
    }

    fn is_done(&self, id: &TaskId) -> bool {
        self.tasks.get(id).is_some_and(Task::is_done)
    }
}
