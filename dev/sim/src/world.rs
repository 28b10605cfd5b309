//! The simulated world: its clock, its faults, and what must be true of it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use stella_model::{Digest, Target, TenantId};
use stella_run::{
    Bundle, DriveError, Driver, Held, Millis, Plan, Remedy, Rules, RunKey, RunState, Status, TaskId,
};

use crate::chance::Chance;
use crate::depot::{self, Depot};
use crate::store::{Row, Rows, StoreFault};
use crate::worker::{Worker, delivered, shared};

/// Steps with faults before the quiet time begins in which everything must end.
const WILD_STEPS: u64 = 400;

/// Steps that the quiet time may take.
const QUIET_STEPS: u64 = 60_000;

/// How deep steps of others lie within a step.
const DEEPEST: u32 = 3;

/// Plans that runs choose from: few, so that some choose the same.
const PLANS: u64 = 3;

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Decides everything.
    pub seed: u64,
    /// What may go wrong.
    pub faults: Faults,
    /// A bug that the simulator must see.
    pub canary: Option<Canary>,
}

/// What may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// Anything, by chance.
    Chance,
    /// Whoever does the action of this number is killed there; nothing else goes wrong.
    KillAt(u64),
}

/// A bug, to see that the simulator sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canary {
    /// The store writes a state although somebody else wrote another one meanwhile.
    LostUpdates,
    /// What a worker makes has its name in it.
    WorkerInBytes,
    /// Nobody looks at what is due, so that a wake that is lost is lost for ever.
    NoSweeper,
}

/// What was simulated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Things that workers did with the store or for a task, each a place to die at.
    pub actions: u64,
    /// Workers that were killed.
    pub kills: u64,
    /// Runs by the status that they ended with.
    pub ended: BTreeMap<Status, u64>,
}

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The seed that shows it.
    pub seed: u64,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.what)
    }
}

impl std::error::Error for Violation {}

/// Simulates a few runs until all have ended.
///
/// # Errors
/// The first [`Violation`].
pub fn simulate(setup: &Setup) -> Result<Report, Violation> {
    let world = World::new(*setup);
    world.live();
    let violation = world.violation.take();
    match violation {
        Some(what) => Err(Violation { seed: setup.seed, what }),
        None => Ok(world.report()),
    }
}

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) chance: Chance,
    pub(crate) rows: RefCell<Rows>,
    pub(crate) depot: Depot,
    workers: Vec<RefCell<Worker>>,
    now: Cell<Millis>,
    quiet: Cell<bool>,
    depth: Cell<u32>,
    actions: Cell<u64>,
    kills: Cell<u64>,
    /// Remedies of the failures that tasks of each run had.
    failures: RefCell<BTreeMap<RunKey, BTreeSet<&'static str>>>,
    violation: RefCell<Option<String>>,
}

impl World {
    fn new(setup: Setup) -> World {
        let chance = Chance::new(setup.seed);
        let wild = setup.faults == Faults::Chance;
        let count = if wild { 1 + chance.below(4) } else { 2 };
        let skew = |_| if wild { chance.below(4_000).cast_signed() - 2_000 } else { 0 };
        let worker = |number| RefCell::new(Worker::new(format!("w{number}"), skew(number)));
        let workers = (0..count).map(worker).collect();
        let mut rows = Rows::default();
        let runs = if wild { 1 + chance.below(4) } else { 2 };
        for number in 1..=runs {
            let targets: BTreeSet<Target> = ["http", "site-a"][..=usize::from(chance.once_in(3))]
                .iter()
                .map(|name| target(name))
                .collect();
            let state = RunState::new(targets, Rules::DEFAULT);
            let run = RunKey { tenant: TenantId::local(), number };
            rows.queue.push_back(run.clone());
            rows.runs.insert(run, Row { state, version: 0, events: Vec::new() });
        }
        World {
            setup,
            chance,
            rows: RefCell::new(rows),
            depot: Depot::default(),
            workers,
            now: Cell::new(Millis(1_000_000)),
            quiet: Cell::new(!wild),
            depth: Cell::new(0),
            actions: Cell::new(0),
            kills: Cell::new(0),
            failures: RefCell::default(),
            violation: RefCell::new(None),
        }
    }

    fn live(&self) {
        let wild = if self.is_quiet() { 0 } else { WILD_STEPS };
        for step in 0..wild + QUIET_STEPS {
            if step == wild {
                self.quiet.set(true);
            }
            if self.violation.borrow().is_some() || self.is_over() {
                break;
            }
            self.now.set(self.now().after(self.chance.below(1_500).cast_signed()));
            self.disturb();
            self.step_somebody();
            self.look();
        }
        for (run, row) in &self.rows.borrow().runs {
            self.judge(run, row);
        }
    }

    /// What others than workers do.
    fn disturb(&self) {
        if self.is_quiet() {
            return;
        }
        if self.chance.once_in(60) {
            self.depot.lose(self.chance.number());
        }
        if self.chance.once_in(40) {
            // A machine that stood still, or a clock that was set.
            self.now.set(self.now().after(self.chance.below(90_000).cast_signed()));
        }
        if self.chance.once_in(800) {
            let runs: Vec<RunKey> = self.rows.borrow().runs.keys().cloned().collect();
            let place = usize::try_from(self.chance.below(runs.len() as u64)).unwrap_or(0);
            let held = if self.chance.once_in(3) { Held::Abandoned } else { Held::Awaited };
            match Driver::new(self).cancel(&runs[place], "ada", held, self.now()) {
                Ok(()) | Err(DriveError::Store(_) | DriveError::Refused { .. }) => {}
                Err(other) => {
                    self.complain(&runs[place], &format!("cannot be cancelled: {other:?}"))
                }
            }
        }
    }

    /// Lets a worker that is neither away nor in the middle of a step do one thing.
    fn step_somebody(&self) {
        let place = usize::try_from(self.chance.below(self.workers.len() as u64)).unwrap_or(0);
        let Ok(mut worker) = self.workers[place].try_borrow_mut() else { return };
        if worker.away_until <= self.now() {
            worker.step(self);
        }
    }

    /// Lets others do something between two actions of somebody.
    pub(crate) fn let_others_in(&self) {
        let depth = self.depth.get();
        if depth < DEEPEST && self.chance.once_in(4) {
            self.depth.set(depth + 1);
            self.step_somebody();
            self.depth.set(depth);
        }
    }

    /// Counts an action; whoever does it may die of it, or not be answered.
    pub(crate) fn action(&self) -> Result<(), StoreFault> {
        let number = self.actions.get();
        self.actions.set(number + 1);
        let killed = match self.setup.faults {
            Faults::KillAt(at) => at == number,
            Faults::Chance => !self.is_quiet() && self.chance.once_in(25),
        };
        if killed {
            self.kills.set(self.kills.get() + 1);
            return Err(StoreFault::Killed);
        }
        match !self.is_quiet() && self.chance.once_in(25) {
            true => Err(StoreFault::Unreachable),
            false => Ok(()),
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.now.get()
    }

    fn is_quiet(&self) -> bool {
        self.quiet.get()
    }

    pub(crate) fn falls_asleep(&self) -> bool {
        !self.is_quiet() && self.chance.once_in(15)
    }

    /// How long somebody is away: often longer than a lease.
    pub(crate) fn pause_ms(&self) -> i64 {
        self.chance.below(60_000).cast_signed()
    }

    pub(crate) fn task_fails(&self) -> Option<Remedy> {
        if self.is_quiet() {
            return None;
        }
        match self.chance.below(120) {
            0..=5 => Some(Remedy::Again),
            6 => Some(Remedy::None),
            _ => None,
        }
    }

    pub(crate) fn loses_wake(&self) -> bool {
        !self.is_quiet() && self.chance.once_in(5)
    }

    /// The next wake; it may come twice.
    pub(crate) fn woken(&self) -> Option<RunKey> {
        let mut rows = self.rows.borrow_mut();
        let run = rows.queue.pop_front()?;
        if !self.is_quiet() && self.chance.once_in(10) {
            rows.queue.push_back(run.clone());
        }
        Some(run)
    }

    /// What a run is decided to be, whoever decides it and how often.
    pub(crate) fn plan_of(&self, run: &RunKey) -> Plan {
        let which = (run.number + self.setup.seed) % PLANS;
        let shards = u32::try_from(which + 1).unwrap_or(1);
        let plan_hash = Digest::of(&which.to_be_bytes());
        Plan { plan_hash, decided: plan_hash, shards, outputs: shards % 2, same_as: None }
    }

    /// The bundle that a run with this plan has made.
    pub(crate) fn was_sealed(&self, plan: &Digest) -> Option<Bundle> {
        let rows = self.rows.borrow();
        let of_plan = |row: &&Row| row.state.plan.as_ref().is_some_and(|of| of.plan_hash == *plan);
        rows.runs.values().filter(of_plan).find_map(|row| row.state.bundle)
    }

    pub(crate) fn saw_failure(&self, run: &RunKey, remedy: Remedy) {
        let word = match remedy {
            Remedy::None => "none",
            Remedy::Again => "again",
            Remedy::Rebuild => "rebuild",
        };
        self.failures.borrow_mut().entry(run.clone()).or_default().insert(word);
    }

    pub(crate) fn complain(&self, run: &RunKey, what: &str) {
        self.violation.borrow_mut().get_or_insert_with(|| format!("{run}: {what}"));
    }

    /// What is true after every step.
    fn look(&self) {
        let workers: Vec<_> = self.workers.iter().map(RefCell::borrow).collect();
        if let Some((run, what)) = shared(workers.iter().map(|worker| &**worker)) {
            self.complain(&run, &what);
        }
    }

    fn is_over(&self) -> bool {
        self.rows.borrow().runs.values().all(|row| row.state.status.is_terminal())
    }

    /// What is true of every run at the end.
    fn judge(&self, run: &RunKey, row: &Row) {
        let state = &row.state;
        match Rows::told(&row.events) {
            Ok(told) if told == state.status => {}
            Ok(told) => {
                self.complain(run, &format!("it is {} and was told to be {told}", state.status))
            }
            Err(what) => self.complain(run, &what),
        }
        let failures = self.failures.borrow().get(run).cloned().unwrap_or_default();
        match state.status {
            Status::Succeeded => self.judge_bundle(run, state),
            Status::Partial => {
                let plan = self.plan_of(run);
                if state.bundle != Some(depot::bundle(&plan)) {
                    self.complain(run, "the bundle is another one");
                }
            }
            Status::Cancelled if state.cancel.is_none() => {
                self.complain(run, "nobody cancelled it")
            }
            Status::Cancelled => {}
            Status::Failed => {
                let lost = state.tasks.values().any(|task| task.losses >= state.rules.most_losses);
                if failures.is_empty() && !lost {
                    self.complain(run, "it failed although nothing did");
                }
            }
            Status::Queued | Status::Running | Status::Retrying => {
                self.complain(run, &format!("it is {} for ever", state.status));
            }
        }
    }

    fn judge_bundle(&self, run: &RunKey, state: &RunState) {
        let plan = self.plan_of(run);
        let right = depot::bundle(&plan);
        if state.bundle != Some(right) {
            self.complain(run, "the bundle is another one");
        }
        // What a target had and lost since is no fault of the run.
        let wrong =
            |target: &&Target| delivered(self, &plan, target).is_some_and(|has| has != right.files);
        if let Some(target) = state.targets.iter().find(wrong) {
            self.complain(run, &format!("{target} has another bundle"));
        }
        let verified = |target: &Target| {
            state.tasks.get(&TaskId::Verify(target.clone())).is_some_and(stella_run::Task::is_done)
        };
        if !state.targets.iter().all(verified) {
            self.complain(run, "it succeeded without being verified");
        }
    }

    fn report(&self) -> Report {
        let mut ended = BTreeMap::new();
        for row in self.rows.borrow().runs.values() {
            *ended.entry(row.state.status).or_insert(0) += 1;
        }
        Report { actions: self.actions.get(), kills: self.kills.get(), ended }
    }
}

fn target(name: &str) -> Target {
    #[expect(clippy::expect_used, reason = "the names are written above")]
    name.parse().expect("a target")
}
