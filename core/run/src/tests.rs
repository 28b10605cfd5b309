//! The state machine by hand, and by whatever order of outcomes comes.

use std::collections::BTreeSet;

use proptest::prelude::*;
use stella_model::{Digest, ErrorCode, Target};

use crate::{
    Action, Bundle, Failure, Held, Millis, Origin, Outcome, Phase, Plan, Refused, Remedy, Rules,
    RunEvent, RunState, Snapshot, Status, TaskId, TaskProgress, TaskResult,
};

fn target(name: &str) -> Target {
    name.parse().expect("a target")
}

fn run(targets: &[&str]) -> RunState {
    RunState::new(targets.iter().map(|name| target(name)).collect(), Rules::DEFAULT)
}

fn plan(outputs: u32, shards: u32) -> TaskResult {
    let plan_hash = Digest::of(b"plan");
    let decided = Digest::of(b"decided");
    let plan = Plan { plan_hash, decided, shards, outputs, same_as: None };
    TaskResult::Planned { plan, snapshot: snapshot() }
}

fn snapshot() -> Snapshot {
    Snapshot { ledger: "1f".to_owned(), sequence: 7, sets: Vec::new() }
}

fn bundle() -> Bundle {
    Bundle { export_digest: Digest::of(b"export.json"), files: Digest::of(b"files"), bytes: 9 }
}

/// What a task gives when all goes well.
fn result(task: &TaskId) -> TaskResult {
    match task {
        TaskId::Plan => plan(1, 2),
        TaskId::Make(_) | TaskId::Pack(_) => TaskResult::Stored,
        TaskId::Seal => TaskResult::Sealed(bundle()),
        TaskId::Distribute(_) => TaskResult::Delivered,
        TaskId::Verify(_) => TaskResult::Verified,
    }
}

/// Claims a task; gives the attempt.
fn claim(run: &mut RunState, task: &str, now: i64) -> u32 {
    let task: TaskId = task.parse().expect("a task");
    let claimed = Outcome::Claimed { task: task.clone(), worker: "w".to_owned() };
    run.apply(claimed, Millis(now)).expect("is offered");
    run.tasks[&task].attempt
}

/// Ends an attempt well.
fn end(run: &mut RunState, task: &str, attempt: u32, now: i64) -> Result<Vec<RunEvent>, Refused> {
    let task: TaskId = task.parse().expect("a task");
    let result = result(&task);
    run.apply(Outcome::Done { task, attempt, result }, Millis(now))
}

/// Does a task.
fn pass(run: &mut RunState, task: &str, now: i64) {
    let attempt = claim(run, task, now);
    end(run, task, attempt, now).expect("counts");
}

/// Lets an attempt at a task fail.
fn fail(run: &mut RunState, task: &str, remedy: Remedy, now: i64) -> Vec<RunEvent> {
    let attempt = claim(run, task, now);
    let failure = Failure { remedy, ..Failure::new(ErrorCode::Io, "a disk is full") };
    let task = task.parse().expect("a task");
    run.apply(Outcome::Failed { task, attempt, failure }, Millis(now)).expect("counts")
}

/// What is offered at a time, as words.
fn offered(run: &RunState, now: i64) -> String {
    let words = run.next(Millis(now)).into_iter().map(|action| match action {
        Action::Offer(task) => task.to_string(),
        Action::TakeBack { task, attempt } => format!("lost {task}#{attempt}"),
        Action::Wait(until) => format!("wait {}", until.0),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_run_passes_its_stages_in_their_order() {
    let mut run = run(&["http", "site-a"]);
    assert_eq!((offered(&run, 0).as_str(), run.status), ("plan", Status::Queued));
    pass(&mut run, "plan", 0);
    assert_eq!(
        (offered(&run, 1).as_str(), run.status),
        ("make/0, pack/0, pack/1", Status::Running)
    );
    pass(&mut run, "pack/1", 1);
    pass(&mut run, "make/0", 1);
    assert_eq!(offered(&run, 1), "pack/0");
    pass(&mut run, "pack/0", 1);
    assert_eq!(offered(&run, 1), "seal");
    pass(&mut run, "seal", 1);
    assert_eq!(run.bundle, Some(bundle()));
    assert_eq!(offered(&run, 1), "distribute/http, distribute/site-a");
    pass(&mut run, "distribute/site-a", 1);
    assert_eq!(offered(&run, 1), "distribute/http, verify/site-a");
    pass(&mut run, "distribute/http", 1);
    pass(&mut run, "verify/http", 1);
    assert_eq!(run.status, Status::Running);
    pass(&mut run, "verify/site-a", 1);
    assert_eq!((offered(&run, 1).as_str(), run.status), ("", Status::Succeeded));
    assert_eq!((run.attempt(), run.wakes_at()), (1, None));
}

#[test]
fn a_worker_that_was_thought_dead_changes_nothing() {
    let mut run = run(&["http"]);
    let first = claim(&mut run, "plan", 0);
    let expired = || Outcome::Expired { task: TaskId::Plan, attempt: first };
    assert_eq!(run.apply(expired(), Millis(29_999)), Err(Refused::Alive(TaskId::Plan)));
    assert_eq!(offered(&run, 30_000), "lost plan#1");
    run.apply(expired(), Millis(30_000)).expect("is lost");
    assert_eq!((run.status, offered(&run, 30_000).as_str()), (Status::Retrying, "plan"));
    let second = claim(&mut run, "plan", 30_000);
    assert_eq!((first, second), (1, 2));
    let stale = Err(Refused::Stale { task: TaskId::Plan, attempt: first });
    assert_eq!(end(&mut run, "plan", first, 30_001), stale);
    end(&mut run, "plan", second, 30_001).expect("counts");
    assert_eq!(run.status, Status::Running);
}

#[test]
fn a_lease_lasts_as_long_as_it_is_renewed() {
    let mut run = run(&["http"]);
    let attempt = claim(&mut run, "plan", 0);
    let renewed = || Outcome::Renewed { task: TaskId::Plan, attempt, progress: None };
    run.apply(renewed(), Millis(20_000)).expect("is held");
    assert_eq!(offered(&run, 49_999), "wait 50000");
    // A machine whose clock is behind does not make it shorter.
    run.apply(renewed(), Millis(1_000)).expect("is held");
    assert_eq!(run.wakes_at(), Some(Millis(50_000)));
}

fn pace(done: u64) -> TaskProgress {
    let (stage, unit) = ("pack".to_owned(), "records".to_owned());
    TaskProgress { stage, done, total: Some(9), unit, bytes: 100 * done }
}

/// What is stored of how far a task is.
fn told(run: &RunState, task: &str) -> Option<TaskProgress> {
    let task: TaskId = task.parse().expect("a task");
    match &run.tasks[&task].phase {
        Phase::Leased { progress, .. } => progress.clone(),
        _ => None,
    }
}

#[test]
fn how_far_a_task_is_is_told_when_it_changed_and_forgotten_with_its_attempt() {
    let mut run = run(&["http"]);
    pass(&mut run, "plan", 0);
    let attempt = claim(&mut run, "pack/0", 0);
    let renewed = |attempt, progress| {
        let task: TaskId = "pack/0".parse().expect("a task");
        Outcome::Renewed { task, attempt, progress }
    };
    let mut tell =
        |progress, now| run.apply(renewed(attempt, progress), Millis(now)).expect("is held");
    let event = |done| RunEvent::Progress {
        task: "pack/0".parse().expect("a task"),
        attempt,
        progress: pace(done),
    };
    assert_eq!(tell(None, 1), []);
    assert_eq!(tell(Some(pace(3)), 2), [event(3)]);
    // The same again is a sign of life, and no news.
    assert_eq!(tell(Some(pace(3)), 3), []);
    assert_eq!(tell(None, 4), []);
    assert_eq!(tell(Some(pace(5)), 5), [event(5)]);
    assert_eq!(told(&run, "pack/0"), Some(pace(5)));
    assert_eq!(offered(&run, 30_004), "make/0, pack/1, wait 30005");
    let text = serde_json::to_string(&event(5)).expect("is JSON");
    assert_eq!(
        text,
        r#"{"type":"progress","task":"pack/0","attempt":1,"stage":"pack","done":5,"total":9,"unit":"records","bytes":500}"#
    );
    // Somebody else has it now: what the first one says changes nothing.
    let task: TaskId = "pack/0".parse().expect("a task");
    run.apply(Outcome::Expired { task, attempt }, Millis(90_000)).expect("is lost");
    assert_eq!(told(&run, "pack/0"), None);
    let second = claim(&mut run, "pack/0", 90_000);
    let before = run.clone();
    assert!(run.apply(renewed(attempt, Some(pace(6))), Millis(90_001)).is_err());
    assert_eq!(run, before);
    run.apply(renewed(second, Some(pace(1))), Millis(90_002)).expect("is held");
    assert_eq!(told(&run, "pack/0"), Some(pace(1)));
    end(&mut run, "pack/0", second, 90_003).expect("counts");
    assert_eq!(told(&run, "pack/0"), None);
}

#[test]
fn a_task_waits_from_when_it_could_be_begun() {
    use crate::drive::waited_ms;
    let mut run = run(&["http"]);
    // Nobody knows when it was asked for.
    assert_eq!(waited_ms(&run, &TaskId::Plan, Millis(5_000)), 0);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().expect("is one");
    run.origin = Some(Origin { trace, at: Millis(1_000) });
    assert_eq!(waited_ms(&run, &TaskId::Plan, Millis(5_000)), 4_000);
    assert_eq!(waited_ms(&run, &TaskId::Plan, Millis(999)), 0);
    fail(&mut run, "plan", Remedy::Again, 5_000);
    assert_eq!(waited_ms(&run, &TaskId::Plan, Millis(6_250)), 250);
    pass(&mut run, "plan", 7_000);
    assert_eq!(waited_ms(&run, &TaskId::Seal, Millis(9_000)), 0);
    let text = serde_json::to_string(&run).expect("is JSON");
    assert_eq!(serde_json::from_str::<RunState>(&text).expect("reads"), run);
}

#[test]
fn what_may_pass_is_tried_again_later_and_later() {
    let mut run = run(&["http"]);
    let mut times = Vec::new();
    let mut now = 0;
    for _ in 0..4 {
        fail(&mut run, "plan", Remedy::Again, now);
        assert_eq!(run.status, Status::Retrying);
        let Some(Millis(next)) = run.wakes_at() else { panic!("it is not over") };
        assert_eq!(offered(&run, next - 1), format!("wait {next}"));
        times.push(next - now);
        now = next;
    }
    assert_eq!(times, [1_000, 2_000, 4_000, 8_000]);
    fail(&mut run, "plan", Remedy::Again, now);
    assert_eq!((run.status, run.attempt()), (Status::Failed, 5));
    assert_eq!(run.failure.map(|failure| failure.message).as_deref(), Some("a disk is full"));
    assert_eq!(
        [1, 7, 64, u32::MAX].map(|count| Rules::DEFAULT.wait_ms(count)),
        [1_000, 60_000, 60_000, 60_000]
    );
}

#[test]
fn a_task_that_kills_its_workers_is_given_up() {
    let mut run = run(&["http"]);
    let mut now = 0;
    let mut losses = 0;
    while !run.status.is_terminal() {
        let attempt = claim(&mut run, "plan", now);
        now += 30_000;
        run.apply(Outcome::Expired { task: TaskId::Plan, attempt }, Millis(now)).expect("is lost");
        losses += 1;
    }
    assert_eq!((losses, run.status), (25, Status::Failed));
    let failure = run.failure.expect("says why");
    assert_eq!((failure.code.as_str(), failure.is_silence), ("ERR_EXPORT_UNREACHABLE", true));
    assert!(!Failure::new(ErrorCode::Unreachable, "no bucket").is_silence);
}

#[test]
fn what_the_depot_lost_is_made_again_but_not_for_ever() {
    let mut run = run(&["http"]);
    for task in ["plan", "make/0", "pack/0", "pack/1", "seal", "distribute/http"] {
        pass(&mut run, task, 0);
    }
    let events = fail(&mut run, "verify/http", Remedy::Rebuild, 1);
    assert!(events.contains(&RunEvent::Repairing { repairs: 1 }));
    assert_eq!((offered(&run, 1).as_str(), run.bundle), ("make/0, pack/0, pack/1", None));
    assert_eq!(run.status, Status::Retrying);
    for task in ["make/0", "pack/0", "pack/1", "seal", "distribute/http", "verify/http"] {
        pass(&mut run, task, 2);
    }
    assert_eq!((run.status, run.attempt()), (Status::Succeeded, 2));
    let mut run = self::run(&["http"]);
    pass(&mut run, "plan", 0);
    for _ in 0..2 {
        fail(&mut run, "pack/0", Remedy::Rebuild, 1);
        assert_eq!(run.status, Status::Retrying);
    }
    fail(&mut run, "pack/0", Remedy::Rebuild, 1);
    assert_eq!(run.status, Status::Failed);
}

#[test]
fn attempts_from_before_a_repair_do_not_count_after_it() {
    let mut run = run(&["http"]);
    for task in ["plan", "make/0", "pack/0", "pack/1"] {
        pass(&mut run, task, 0);
    }
    let asleep = claim(&mut run, "seal", 0);
    run.apply(Outcome::Expired { task: TaskId::Seal, attempt: asleep }, Millis(30_000))
        .expect("is lost");
    fail(&mut run, "seal", Remedy::Rebuild, 30_000);
    for task in ["make/0", "pack/0", "pack/1"] {
        pass(&mut run, task, 30_000);
    }
    let awake = claim(&mut run, "seal", 30_000);
    assert_eq!((asleep, awake), (1, 3));
    assert!(end(&mut run, "seal", asleep, 30_001).is_err());
    end(&mut run, "seal", awake, 30_001).expect("counts");
}

#[test]
fn a_plan_that_was_run_before_is_delivered_at_once() {
    let mut run = run(&["http"]);
    let attempt = claim(&mut run, "plan", 0);
    let same_as = Some(bundle());
    let decided = Digest::of(b"decided");
    let plan = Plan { plan_hash: Digest::of(b"plan"), decided, shards: 9, outputs: 9, same_as };
    let result = TaskResult::Planned { plan, snapshot: snapshot() };
    run.apply(Outcome::Done { task: TaskId::Plan, attempt, result }, Millis(0)).expect("counts");
    assert_eq!((offered(&run, 0).as_str(), run.bundle), ("distribute/http", same_as));
    // The bundle is not what it was: it is made again from the same plan.
    fail(&mut run, "distribute/http", Remedy::Rebuild, 0);
    assert_eq!(run.next(Millis(0)).len(), 18);
}

#[test]
fn targets_fail_for_themselves() {
    let sealed = || {
        let mut run = run(&["a", "b"]);
        for task in ["plan", "make/0", "pack/0", "pack/1", "seal"] {
            pass(&mut run, task, 0);
        }
        run
    };
    let mut one = sealed();
    fail(&mut one, "distribute/a", Remedy::None, 0);
    assert_eq!(one.status, Status::Running);
    pass(&mut one, "distribute/b", 0);
    pass(&mut one, "verify/b", 0);
    assert_eq!((one.status, one.failure), (Status::Partial, None));
    let mut both = sealed();
    fail(&mut both, "distribute/a", Remedy::None, 0);
    pass(&mut both, "distribute/b", 0);
    fail(&mut both, "verify/b", Remedy::None, 0);
    assert_eq!(both.status, Status::Failed);
    assert!(both.failure.is_some());
}

#[test]
fn a_run_is_cancelled_when_its_workers_gave_back_what_they_hold() {
    let ask = |held| Outcome::CancelAsked { by: "ada".to_owned(), held };
    let mut idle = run(&["http"]);
    idle.apply(ask(Held::Awaited), Millis(0)).expect("runs");
    assert_eq!(idle.status, Status::Cancelled);
    assert_eq!(idle.apply(ask(Held::Awaited), Millis(0)), Err(Refused::Over(Status::Cancelled)));
    let mut busy = run(&["http"]);
    let attempt = claim(&mut busy, "plan", 0);
    busy.apply(ask(Held::Awaited), Millis(1)).expect("runs");
    assert_eq!((busy.status, offered(&busy, 1).as_str()), (Status::Running, "wait 30000"));
    let renewed = Outcome::Renewed { task: TaskId::Plan, attempt, progress: None };
    assert_eq!(busy.apply(renewed, Millis(2)), Err(Refused::Cancelling));
    let mut forced = busy.clone();
    busy.apply(Outcome::GivenBack { task: TaskId::Plan, attempt }, Millis(3)).expect("is held");
    assert_eq!(busy.status, Status::Cancelled);
    forced.apply(ask(Held::Abandoned), Millis(3)).expect("runs");
    assert_eq!(forced.status, Status::Cancelled);
}

#[test]
fn a_cancelled_run_whose_worker_is_dead_ends_with_the_lease() {
    let mut run = run(&["http"]);
    let attempt = claim(&mut run, "plan", 0);
    let ask = Outcome::CancelAsked { by: "ada".to_owned(), held: Held::Awaited };
    run.apply(ask, Millis(1)).expect("runs");
    run.apply(Outcome::Expired { task: TaskId::Plan, attempt }, Millis(30_000)).expect("is lost");
    assert_eq!(run.status, Status::Cancelled);
}

#[test]
fn a_task_gives_what_it_is_for() {
    let mut run = run(&["http"]);
    let attempt = claim(&mut run, "plan", 0);
    let wrong = Outcome::Done { task: TaskId::Plan, attempt, result: TaskResult::Stored };
    let before = run.clone();
    assert_eq!(run.apply(wrong, Millis(0)), Err(Refused::WrongResult(TaskId::Plan)));
    assert_eq!(run, before);
}

#[test]
fn names_of_tasks_read_as_they_are_written() {
    for name in ["plan", "make/0", "pack/4294967295", "seal", "distribute/http", "verify/site-a"] {
        let task: TaskId = name.parse().expect("a task");
        assert_eq!(task.to_string(), name);
    }
    for name in
        ["", "pack", "pack/", "pack/01", "pack/-1", "plan/1", "verify/A", "seal/", "make/ 1"]
    {
        assert!(name.parse::<TaskId>().is_err(), "{name}");
    }
}

#[test]
fn a_state_is_stored_as_a_readable_document() {
    let mut run = run(&["http"]);
    pass(&mut run, "plan", 5);
    claim(&mut run, "pack/0", 7);
    fail(&mut run, "make/0", Remedy::Again, 9);
    let text = serde_json::to_string_pretty(&run).expect("is JSON");
    insta::assert_snapshot!(text);
    assert_eq!(serde_json::from_str::<RunState>(&text).expect("reads"), run);
}

/// Some step of somebody, right or wrong.
fn outcome() -> impl Strategy<Value = (u8, u8, u32, i64)> {
    (0..10u8, 0..8u8, 0..4u32, 0..40_000i64)
}

fn outcome_of((what, which, attempt, _): (u8, u8, u32, i64)) -> Outcome {
    let tasks =
        ["plan", "make/0", "pack/0", "pack/1", "seal", "distribute/a", "verify/a", "verify/b"];
    let task: TaskId = tasks[usize::from(which)].parse().expect("a task");
    let failure = |remedy| Failure { remedy, ..Failure::new(ErrorCode::Io, "no") };
    match what {
        0..=2 => Outcome::Claimed { task, worker: "w".to_owned() },
        3 | 4 => Outcome::Done { result: result(&task), task, attempt },
        5 => Outcome::Failed { task, attempt, failure: failure(Remedy::Again) },
        6 => Outcome::Failed { task, attempt, failure: failure(Remedy::Rebuild) },
        7 => Outcome::Expired { task, attempt },
        8 => Outcome::GivenBack { task, attempt },
        _ => Outcome::Renewed { task, attempt, progress: (which > 2).then(|| pace(which.into())) },
    }
}

proptest! {
    /// Whatever comes in whatever order: what does not count changes nothing, a terminal status
    /// stays, attempts only grow, and who does all that is offered ends the run.
    #[test]
    fn any_order_of_outcomes_leaves_a_run_that_can_be_ended(
        steps in proptest::collection::vec(outcome(), 0..120)
    ) {
        let mut run = run(&["a", "b"]);
        let mut now = 0;
        for step in steps {
            now += step.3;
            let before = run.clone();
            match run.apply(outcome_of(step), Millis(now)) {
                Err(_) => prop_assert_eq!(&run, &before),
                Ok(events) => {
                    for event in events {
                        if let RunEvent::Progress { task, attempt, .. } = event {
                            prop_assert_eq!(run.tasks[&task].attempt, attempt);
                        }
                    }
                    prop_assert!(!before.status.is_terminal());
                    prop_assert!(run.attempt() >= before.attempt());
                    prop_assert!(run.repairs <= run.rules.most_repairs);
                }
            }
            check(&run, now);
        }
        let mut left = 1_000;
        while !run.status.is_terminal() {
            left -= 1;
            prop_assert!(left > 0, "it does not end: {:?}", run);
            match run.next(Millis(now)).into_iter().next() {
                Some(Action::TakeBack { task, attempt }) => {
                    run.apply(Outcome::Expired { task, attempt }, Millis(now)).expect("is lost");
                }
                Some(Action::Offer(task)) => pass(&mut run, &task.to_string(), now),
                Some(Action::Wait(until)) => now = until.0,
                None => prop_assert!(false, "nothing can be done: {:?}", run),
            }
        }
        prop_assert_eq!(run.next(Millis(i64::MAX)), Vec::new());
    }
}

/// What is true of every state.
fn check(run: &RunState, now: i64) {
    let is_over = run.status.is_terminal();
    assert_eq!(run.wakes_at().is_none(), is_over, "{run:?}");
    assert_eq!(run.next(Millis(now)).is_empty(), is_over, "{run:?}");
    assert_eq!(run.status == Status::Failed, run.failure.is_some(), "{run:?}");
    if matches!(run.status, Status::Succeeded | Status::Partial) {
        assert!(run.bundle.is_some(), "{run:?}");
    }
    let targets: BTreeSet<&Target> = run.tasks.keys().filter_map(|task| task.target()).collect();
    assert!(targets.iter().all(|target| run.targets.contains(*target)));
    for (id, task) in &run.tasks {
        let was_begun = !matches!(task.phase, Phase::Waiting | Phase::Ready { .. });
        assert!(!was_begun || task.attempt > 0, "{id}: {task:?}");
    }
}
