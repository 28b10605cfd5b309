//! How far a task is, as it is told while a worker is at it.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use stella_engine::{Stage, StageUpdate};
use stella_run::{Phase, TaskProgress};

use super::*;

/// How long anything may take.
const LONGEST: Duration = Duration::from_secs(60);

/// A task that takes as long as the test says: it goes on when what it told was stored.
struct Slow<'a> {
    states: &'a Memory,
    clock: &'a AtomicI64,
    attempts: AtomicU32,
}

impl Slow<'_> {
    /// Waits until the stored state tells so much; time goes on meanwhile, or nothing is told.
    fn until_told(&self, lease: &Lease, done: u64, cancel: &Cancel) {
        let begun = std::time::Instant::now();
        loop {
            self.clock.fetch_add(500, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(50));
            let state = self.states.load(&lease.run).expect("reads").expect("is there").state;
            let told = told(&state, &lease.task).map(|progress| progress.done);
            if told == Some(done) || cancel.is_set() {
                return;
            }
            assert!(begun.elapsed() < LONGEST, "{done} is not told: {told:?}");
        }
    }
}

fn told(state: &RunState, task: &TaskId) -> Option<TaskProgress> {
    match &state.tasks[task].phase {
        Phase::Leased { progress, .. } => progress.clone(),
        _ => None,
    }
}

impl Performer for Slow<'_> {
    fn perform(
        &self,
        lease: &Lease,
        _: &RunState,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<TaskResult, Option<Failure>> {
        let attempt = self.attempts.fetch_add(1, Ordering::SeqCst);
        let update = |done| StageUpdate {
            done,
            total: Some(9),
            bytes: 10 * done,
            unit: "records",
            ..StageUpdate::begun(Stage::Pack)
        };
        // Told before anybody is told anything, so that it is never told.
        progress.update(&update(1));
        for done in [2, 7] {
            progress.update(&update(done + u64::from(attempt)));
            self.until_told(lease, done + u64::from(attempt), cancel);
        }
        progress.update(&StageUpdate::over(Stage::Pack));
        let again = Failure::new(stella_model::ErrorCode::Unreachable, "the first one fails");
        if attempt == 0 { Err(Some(again)) } else { Err(None) }
    }
}

#[test]
fn a_task_that_takes_long_tells_how_far_it_is_and_its_next_attempt_begins_anew() {
    let (states, queue, clock) = (Memory::default(), LocalQueue::default(), AtomicI64::new(1_000));
    let run = RunKey { tenant: TenantId::local(), number: 1 };
    let targets = BTreeSet::from(["http".parse().expect("a target")]);
    let stored = Stored { state: RunState::new(targets, Rules::DEFAULT), version: 0 };
    states.0.lock().expect("a lock").insert(run.clone(), stored);
    let (events, stop) = (Mutex::new(Vec::new()), Cancel::new());
    let watch = |event: &WorkerEvent<'_>| {
        if let WorkerEvent::Changed { events: changed, .. } = event {
            events.lock().expect("a lock").extend_from_slice(changed);
        }
        // The second attempt is given back, and nobody begins a third.
        if let WorkerEvent::Ended { lease, .. } = event
            && lease.attempt == 2
        {
            stop.set();
        }
    };
    let now = || Millis(clock.load(Ordering::SeqCst));
    let waking = WakingStore { store: &states, queue: &queue, watch: &watch };
    let performer = Slow { states: &states, clock: &clock, attempts: AtomicU32::new(0) };
    std::thread::scope(|scope| {
        let stop = &stop;
        let sweeper = Sweeper { store: &waking, queue: &queue, clock: &now, watch: &watch };
        scope.spawn(move || sweeper.work(stop));
        let worker = Worker {
            name: "w".to_owned(),
            store: &waking,
            queue: &queue,
            performer: &performer,
            clock: &now,
            watch: &watch,
        };
        scope.spawn(move || worker.work(stop));
        // Time goes on also while nobody is at the task.
        while !stop.is_set() {
            clock.fetch_add(100, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let events = events.into_inner().expect("a lock");
    let progress: Vec<(u32, u64)> = events
        .iter()
        .filter_map(|event| match event {
            RunEvent::Progress { task, attempt, progress } => {
                assert_eq!((task, progress.stage.as_str()), (&TaskId::Plan, "pack"));
                assert_eq!((progress.total, progress.bytes), (Some(9), 10 * progress.done));
                Some((*attempt, progress.done))
            }
            _ => None,
        })
        .collect();
    assert_eq!(progress, [(1, 2), (1, 7), (2, 3), (2, 8)]);
    let state = states.load(&run).expect("reads").expect("is there").state;
    assert_eq!(told(&state, &TaskId::Plan), None, "{state:?}");
    assert_eq!(state.tasks[&TaskId::Plan].attempt, 2);
}
