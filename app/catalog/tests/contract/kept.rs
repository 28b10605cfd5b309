//! Which bundles are kept, and who collects the rest.

use stella_model::Digest;
use stella_run::{
    Bundle, Driver, Ending, Held, Millis, Plan, RunKey, Snapshot, Status, TaskId, TaskResult,
};

use crate::place::{Place, entry, mutation, new_run, on_both, tenant};

fn start(place: &Place, name: &str) -> RunKey {
    let (tenant, new, entry) = (tenant(name), new_run("json:raw"), entry("run.create"));
    let mutation = mutation(&entry, 5);
    let started = place.wait(place.catalog.start_run(&tenant, &new, &mutation));
    RunKey { tenant, number: started.expect("is accepted").number }
}

fn bundle(name: &str) -> Bundle {
    let digest = Digest::of(name.as_bytes());
    Bundle { export_digest: digest, files: digest, bytes: 600 }
}

/// Does so many tasks of a run, which makes a bundle of this name.
fn work(place: &Place, run: &RunKey, tasks: usize, name: &str, mut now: i64) {
    let store = place.store();
    let driver = Driver::new(&store);
    for _ in 0..tasks {
        let taken = driver.take(run, "w", Millis(now)).expect("begins");
        let Some((lease, _)) = taken else { return };
        let result = match &lease.task {
            TaskId::Plan => TaskResult::Planned {
                plan: Plan {
                    plan_hash: Digest::of(b"plan"),
                    decided: Digest::of(format!("decided {name}").as_bytes()),
                    shards: 1,
                    outputs: 0,
                    same_as: None,
                },
                snapshot: Snapshot { ledger: "1f.0".to_owned(), sequence: 1, sets: Vec::new() },
            },
            TaskId::Make(_) | TaskId::Pack(_) => TaskResult::Stored,
            TaskId::Seal => TaskResult::Sealed(bundle(name)),
            TaskId::Distribute(_) => TaskResult::Delivered,
            TaskId::Verify(_) => TaskResult::Verified,
        };
        now += 1;
        driver.report(&lease, Ending::Done(result), Millis(now)).expect("counts");
    }
}

/// Bundles and plans that are needed, by the names that they were made of.
fn needed(place: &Place, of: &str) -> (Vec<String>, Vec<String>) {
    let needed = place.wait(place.catalog.needed(&tenant(of))).expect("reads");
    let names = ["a", "b", "c", "d"].map(str::to_owned);
    let bundles = names.iter().filter(|name| needed.bundles.contains(&bundle(name).files));
    let decided = |name: &&String| Digest::of(format!("decided {name}").as_bytes());
    let plans = names.iter().filter(|name| needed.plans.contains(&decided(name)));
    let found = (bundles.cloned().collect::<Vec<_>>(), plans.cloned().collect::<Vec<_>>());
    assert_eq!((found.0.len(), found.1.len()), (needed.bundles.len(), needed.plans.len()));
    found
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn runs_need_their_plans_until_they_are_over_and_their_bundles_until_those_are_released() {
    on_both(|place| {
        let run = start(place, "acme");
        assert_eq!(needed(place, "acme"), (names(&[]), names(&[])));
        work(place, &run, 1, "a", 10);
        assert_eq!(needed(place, "acme"), (names(&[]), names(&["a"])));
        work(place, &run, 2, "a", 20);
        // Sealed, and not over yet.
        assert_eq!(needed(place, "acme"), (names(&["a"]), names(&["a"])));
        work(place, &run, 9, "a", 30);
        assert_eq!(needed(place, "acme"), (names(&["a"]), names(&[])));
        assert_eq!(needed(place, "other"), (names(&[]), names(&[])));
        // One that is cancelled needs no plan.
        let cancelled = start(place, "acme");
        work(place, &cancelled, 1, "d", 40);
        let store = place.store();
        Driver::new(&store).cancel(&cancelled, "ada", Held::Abandoned, Millis(50)).expect("stops");
        assert_eq!(needed(place, "acme"), (names(&["a"]), names(&[])));
    });
}

#[test]
fn old_bundles_are_released_unless_a_younger_run_has_them() {
    on_both(|place| {
        for (name, now) in [("a", 100), ("b", 200), ("a", 300)] {
            let run = start(place, "acme");
            work(place, &run, 9, name, now);
        }
        let live = start(place, "acme");
        work(place, &live, 3, "c", 50);
        let foreign = start(place, "other");
        work(place, &foreign, 9, "d", 100);
        let (acme, before) = (tenant("acme"), Millis(290));
        let release = |before| place.wait(place.catalog.release(&acme, before, Millis(1000)));
        assert_eq!(release(before).expect("releases"), 2);
        assert_eq!(release(before).expect("releases"), 0);
        assert_eq!(needed(place, "acme"), (names(&["a", "c"]), names(&["c"])));
        assert_eq!(needed(place, "other").0, names(&["d"]));
        let released = |number| {
            let run = RunKey { tenant: acme.clone(), number };
            let found = place.wait(place.catalog.run(&run)).expect("reads").expect("is there");
            assert!(matches!(found.summary.status, Status::Succeeded | Status::Running));
            found.summary.released
        };
        assert_eq!(
            [1, 2, 3, 4].map(released),
            [Some(Millis(1000)), Some(Millis(1000)), None, None]
        );
        // What is released is no longer counted.
        let usage = place.wait(place.catalog.usage(&acme, Millis(1000))).expect("reads");
        assert_eq!(usage.stored_bytes, 1200);
        let tenants = place.wait(place.catalog.tenants()).expect("lists");
        assert_eq!(tenants, [tenant("acme"), tenant("other")].into());
    });
}

#[test]
fn one_process_at_a_time_has_the_turn_to_collect() {
    on_both(|place| {
        let turn = || place.wait(place.catalog.turn_to_collect()).expect("answers");
        let first = turn();
        assert!(first.is_some());
        assert_eq!(turn().is_none(), place.is_postgres);
        place.wait(first.expect("is ours").end()).expect("ends");
        let second = turn();
        assert!(second.is_some());
        // A process that dies gives it back too.
        drop(second);
        let begun = std::time::Instant::now();
        while turn().is_none() {
            assert!(begun.elapsed().as_secs() < 30, "it is never given back");
        }
    });
}
