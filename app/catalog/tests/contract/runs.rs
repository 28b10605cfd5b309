//! Runs from the request to their end, by one worker and by many.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};
use stella_catalog::{
    BlockingStore, CatalogError, Distribution, DistributionState, IdempotencyKey, Input, Mutation,
    RunFilter,
};
use stella_model::Digest;
use stella_run::{
    Bundle, DriveError, Driver, Ending, Held, Millis, Plan, RunKey, RunStore as _, Saved, Snapshot,
    SnapshotSet, Status, TaskId, TaskProgress, TaskResult,
};

use crate::place::{Place, TRACE, entry, mutation, new_run, on_both, on_postgres, tenant};

fn start(place: &Place, profile: &str) -> RunKey {
    let new = new_run(profile);
    let entry = entry("run.create");
    let tenant = tenant("acme");
    let mutation = mutation(&entry, 5);
    let started = place.catalog.start_run(&tenant, &new, &mutation);
    let number = place.wait(started).expect("is accepted").number;
    RunKey { tenant, number }
}

fn bundle() -> Bundle {
    Bundle { export_digest: Digest::of(b"export.json"), files: Digest::of(b"files"), bytes: 600 }
}

fn snapshot() -> Snapshot {
    let set = |name: &str, records| SnapshotSet {
        set: name.parse().expect("a set"),
        records,
        root: Digest::of(name.as_bytes()),
    };
    let sets = vec![set("advisory/debian", 3), set("advisory/npm", 4)];
    Snapshot { ledger: "1f.0".to_owned(), sequence: 17, sets }
}

fn pace() -> TaskProgress {
    let (stage, unit) = ("pack".to_owned(), "records".to_owned());
    TaskProgress { stage, done: 3, total: Some(7), unit, bytes: 0 }
}

/// What tasks give.
fn result(task: &TaskId) -> TaskResult {
    match task {
        TaskId::Plan => {
            let plan_hash = Digest::of(b"plan");
            let decided = Digest::of(b"decided");
            let plan = Plan { plan_hash, decided, shards: 3, outputs: 1, same_as: None };
            TaskResult::Planned { plan, snapshot: snapshot() }
        }
        TaskId::Make(_) | TaskId::Pack(_) => TaskResult::Stored,
        TaskId::Seal => TaskResult::Sealed(bundle()),
        TaskId::Distribute(_) => TaskResult::Delivered,
        TaskId::Verify(_) => TaskResult::Verified,
    }
}

/// Does everything that is due, of all tenants.
pub(crate) fn work_all(store: &BlockingStore) {
    // Well after the time at which runs of a full tenant are looked at again.
    work(store, "w", &AtomicU64::new(5_000));
}

/// Does everything that is due; gives the number of tasks.
fn work(store: &BlockingStore, name: &str, clock: &AtomicU64) -> u64 {
    let driver = Driver::new(store);
    let mut done = 0;
    loop {
        let now = Millis(clock.fetch_add(1, Ordering::Relaxed).cast_signed());
        let due = store.due(now, 10).expect("reads");
        let Some(run) = due.first() else { return done };
        match driver.take(run, name, now) {
            Ok(Some((lease, _))) => {
                assert_eq!(lease.trace, TRACE.parse().ok());
                driver.renew(&lease, Some(pace()), now).expect("is held");
                driver.report(&lease, Ending::Done(result(&lease.task)), now).expect("counts");
                done += 1;
            }
            Ok(None) => {}
            Err(DriveError::Later(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_run_is_driven_to_its_end_and_tells_of_it() {
    on_both(|place| {
        let run = start(place, "json:raw");
        let tasks = work(&place.store(), "w1", &AtomicU64::new(100));
        assert_eq!(tasks, 8);
        let found = place.wait(place.catalog.run(&run)).expect("reads").expect("is there");
        assert_eq!(found.state.status, Status::Succeeded);
        let summary = found.summary;
        assert_eq!(
            (summary.number, summary.profile.as_str(), summary.by.as_str()),
            (1, "json:raw", "ada")
        );
        assert_eq!((summary.status, summary.attempt), (Status::Succeeded, 1));
        assert_eq!(summary.started, Some(Millis(100)));
        assert!(summary.finished > summary.started);
        assert_eq!(summary.plan_hash, Some(Digest::of(b"plan")));
        assert_eq!((summary.bundle, summary.released), (Some(bundle()), None));
        let events = place.wait(place.catalog.events(&run.tenant, Some(1), 0, 100)).expect("reads");
        let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
        assert_eq!(events[0].data, r#"{"type":"accepted","profile":"json:raw","by":"ada"}"#);
        let last = events.last().map(|event| event.data.as_str());
        assert_eq!(last, Some(r#"{"type":"status","from":"running","to":"succeeded"}"#));
        let rest = place.wait(place.catalog.events(&run.tenant, None, 3, 2)).expect("reads");
        assert_eq!(rest, events[3..5]);
        let usage = place.wait(place.catalog.usage(&run.tenant, Millis(200))).expect("reads");
        assert_eq!((usage.bytes_today, usage.stored_bytes), (600, 600));
    });
}

#[test]
fn on_a_server_every_process_hears_what_was_committed() {
    on_postgres(every_process_hears);
}

/// What is committed is heard, and nothing else.
pub(crate) fn every_process_hears(place: &Place) {
    let (give, take) = std::sync::mpsc::channel();
    let (catalog, url) = (place.catalog.clone(), place.url.clone());
    let hearing = place.runtime.spawn(async move {
        catalog.hear(&url, |run| drop(give.send(run.clone()))).await;
    });
    // Calls before the connection stands are not heard.
    let mut started = Vec::new();
    let heard = loop {
        started.push(start(place, "json:raw"));
        if let Ok(run) = take.recv_timeout(std::time::Duration::from_millis(200)) {
            break run;
        }
        assert!(started.len() < 100, "nothing is heard");
    };
    assert!(started.contains(&heard), "{heard}");
    let (new, entry) = (new_run("json:raw"), entry("run.create"));
    let nobody = tenant("nobody");
    let mutation = mutation(&entry, 5);
    let refused = place.catalog.start_run(&nobody, &new, &mutation);
    assert!(place.wait(refused).is_err());
    let last = start(place, "json:raw");
    let next = || take.recv_timeout(std::time::Duration::from_secs(20)).expect("hears");
    while next() != last {}
    hearing.abort();
}

#[test]
fn many_workers_do_every_task_once() {
    on_both(|place| {
        let runs: Vec<RunKey> = (0..12).map(|_| start(place, "mirror:full")).collect();
        let clock = AtomicU64::new(1_000);
        let done: u64 = std::thread::scope(|scope| {
            let clock = &clock;
            let workers: Vec<_> = (0..4)
                .map(|number| {
                    let store = place.store();
                    scope.spawn(move || work(&store, &format!("w{number}"), clock))
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().expect("ends")).sum()
        });
        assert_eq!(done, 12 * 8);
        for run in &runs {
            let found = place.wait(place.catalog.run(run)).expect("reads").expect("is there");
            assert_eq!((found.state.status, found.state.attempt()), (Status::Succeeded, 1));
        }
        let tenant = tenant("acme");
        let events = place.wait(place.catalog.events(&tenant, None, 0, 10_000)).expect("reads");
        let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
        // Accepted, begun, how far it is and done for each task, planned, sealed, and two changes of the status.
        assert_eq!(events.len(), 12 * (1 + 3 * 8 + 2 + 2));
    });
}

#[test]
fn whoever_is_overtaken_changes_nothing() {
    on_both(|place| {
        let run = start(place, "json:raw");
        let store = place.store();
        let seen = store.load(&run).expect("reads").expect("is there");
        Driver::new(&store).cancel(&run, "ada", Held::Awaited, Millis(6)).expect("is cancelled");
        let mut late = seen.state.clone();
        let claimed =
            stella_run::Outcome::Claimed { task: TaskId::Plan, worker: "late".to_owned() };
        let events = late.apply(claimed, Millis(7)).expect("was offered");
        let saved = store.save(&run, seen.version, &late, &events, Millis(7)).expect("answers");
        assert_eq!(saved, Saved::Overtaken);
        let found = place.wait(place.catalog.run(&run)).expect("reads").expect("is there");
        assert_eq!((found.state.status, found.version), (Status::Cancelled, 1));
        let events = place.wait(place.catalog.events(&run.tenant, None, 0, 100)).expect("reads");
        assert_eq!(events.len(), 3);
        assert_eq!(store.due(Millis(i64::MAX), 10).expect("reads"), []);
        let missing = RunKey { number: 99, ..run };
        assert!(matches!(
            Driver::new(&store).take(&missing, "w", Millis(8)),
            Err(DriveError::NoRun(_))
        ));
    });
}

#[test]
fn what_is_due_is_seen_run_by_run_whoever_waits_longest() {
    on_both(|place| {
        let runs: Vec<RunKey> = (0..4).map(|_| start(place, "json:raw")).collect();
        let (new, entry, other) = (new_run("json:raw"), entry("run.create"), tenant("other"));
        let mutation = mutation(&entry, 5);
        let started = place.wait(place.catalog.start_run(&other, &new, &mutation));
        let number = started.expect("is accepted").number;
        let last = RunKey { tenant: other, number };
        let store = place.store();
        let driver = Driver::new(&store);
        driver.cancel(&runs[0], "ada", Held::Awaited, Millis(6)).expect("is cancelled");
        let taken = driver.take(&runs[1], "w", Millis(6)).expect("answers");
        let lease_ms = taken.expect("is offered").0.lease_ms;
        let due = |after: Option<&RunKey>, now, most| {
            store.due_after(after, Millis(now), most).expect("reads")
        };
        let waiting = [runs[2].clone(), runs[3].clone(), last];
        assert_eq!(due(None, 9, 10), waiting);
        assert_eq!(due(None, 9, 2), waiting[..2]);
        assert_eq!(due(Some(&runs[2]), 9, 10), waiting[1..]);
        assert_eq!(due(Some(&runs[3]), 9, 10), waiting[2..]);
        assert_eq!(due(Some(&waiting[2]), 9, 10), []);
        // What a worker holds is due once its lease is over.
        assert_eq!(due(Some(&runs[0]), 7 + lease_ms, 1), runs[1..2]);
    });
}

#[test]
fn a_request_that_comes_twice_makes_one_run() {
    on_both(|place| {
        let acme = tenant("acme");
        let key = IdempotencyKey { key: "k-1".to_owned(), request: Digest::of(b"a request") };
        let start = |key: &IdempotencyKey, now| {
            let (new, entry) = (new_run("json:raw"), entry("run.create"));
            let mutation = Mutation { key: Some(key), ..mutation(&entry, now) };
            place.wait(place.catalog.start_run(&acme, &new, &mutation))
        };
        let first = start(&key, 5).expect("is accepted");
        let second = start(&key, 6).expect("is accepted");
        assert_eq!((first.number, first.is_new), (1, true));
        assert_eq!((second.number, second.is_new), (1, false));
        let other = IdempotencyKey { request: Digest::of(b"another request"), ..key.clone() };
        assert!(matches!(start(&other, 7), Err(CatalogError::Conflict(_))));
        // After a day the key is free again.
        let later = start(&key, 24 * 60 * 60 * 1000 + 6).expect("is accepted");
        assert_eq!((later.number, later.is_new), (2, true));
        let log = place.wait(place.catalog.audit_log(&acme, 0, 100)).expect("reads");
        let objects: Vec<&str> = log.iter().map(|record| record.object.as_str()).collect();
        assert_eq!(objects, ["r-1", "r-2"]);
    });
}

#[test]
fn runs_are_listed_newest_first_a_page_at_a_time() {
    on_both(|place| {
        for number in 0..7 {
            start(place, if number % 2 == 0 { "json:raw" } else { "mirror:full" });
        }
        let cancelled = RunKey { tenant: tenant("acme"), number: 4 };
        let store = place.store();
        Driver::new(&store)
            .cancel(&cancelled, "ada", Held::Awaited, Millis(9))
            .expect("is cancelled");
        let list = |filter: &RunFilter, most| {
            let page = place.wait(place.catalog.runs(&tenant("acme"), filter, most));
            let page = page.expect("reads");
            (page.runs.iter().map(|run| run.number).collect::<Vec<_>>(), page.next)
        };
        assert_eq!(list(&RunFilter::default(), 3), (vec![7, 6, 5], Some(5)));
        let next = RunFilter { before: Some(5), ..RunFilter::default() };
        assert_eq!(list(&next, 4), (vec![4, 3, 2, 1], None));
        let of_profile =
            RunFilter { profile: Some("mirror:full".to_owned()), ..RunFilter::default() };
        assert_eq!(list(&of_profile, 10), (vec![6, 4, 2], None));
        let statuses = BTreeSet::from([Status::Cancelled, Status::Failed]);
        let over = RunFilter { statuses, ..RunFilter::default() };
        assert_eq!(list(&over, 10), (vec![4], None));
        let statuses = BTreeSet::from([Status::Queued, Status::Cancelled]);
        let most = RunFilter { statuses, ..RunFilter::default() };
        assert_eq!(list(&most, 2), (vec![7, 6], Some(6)));
    });
}

#[test]
fn inputs_and_distributions_belong_to_their_run() {
    on_both(|place| {
        let run = start(place, "json:raw");
        let distributions = || place.wait(place.catalog.distributions(&run)).expect("reads");
        assert_eq!(distributions(), []);
        assert_eq!(place.wait(place.catalog.inputs(&run)).expect("reads"), []);
        // One task after the other.
        let (store, mut seen) = (place.store(), Vec::new());
        while let Some((lease, _)) = Driver::new(&store).take(&run, "w", Millis(6)).expect("takes")
        {
            let done = Ending::Done(result(&lease.task));
            Driver::new(&store).report(&lease, done, Millis(6)).expect("counts");
            let reached = distributions()[0].state;
            if seen.last() != Some(&reached) {
                seen.push(reached);
            }
        }
        let input = |feed: &str, records| Input {
            kind: "advisory".parse().expect("a kind"),
            feed: feed.parse().expect("a feed"),
            records,
            root: Digest::of(format!("advisory/{feed}").as_bytes()),
            ledger: "1f.0".to_owned(),
            sequence: 17,
        };
        let inputs = vec![input("debian", 3), input("npm", 4)];
        assert_eq!(place.wait(place.catalog.inputs(&run)).expect("reads"), inputs);
        use DistributionState::{Delivered, Pending, Verified};
        assert_eq!(seen, [Pending, Delivered, Verified]);
        let expected = Distribution {
            target: "http".parse().expect("a target"),
            state: Verified,
            export_digest: Some(bundle().export_digest),
            bytes: Some(600),
            error_code: None,
        };
        assert_eq!(distributions(), [expected]);
    });
}

#[test]
fn cancelling_is_written_to_the_audit_log_with_it_or_not_at_all() {
    on_both(|place| {
        let run = start(place, "json:raw");
        let cancel = |run: &RunKey| {
            let entry = entry("run.cancel");
            place.wait(place.catalog.cancel_run(run, Held::Awaited, &mutation(&entry, 7)))
        };
        cancel(&run).expect("is cancelled");
        let again = cancel(&run).expect_err("is over");
        assert_eq!(again.to_string(), "r-1 is cancelled: there is nothing to cancel");
        let missing = RunKey { number: 9, ..run.clone() };
        assert!(matches!(cancel(&missing), Err(CatalogError::NotFound(_))));
        let log = place.wait(place.catalog.audit_log(&run.tenant, 0, 10)).expect("reads");
        let actions: Vec<&str> = log.iter().map(|record| record.action.as_str()).collect();
        assert_eq!(actions, ["run.create", "run.cancel"]);
    });
}

#[test]
fn a_state_that_does_not_read_stands_in_nobodys_way() {
    on_both(|place| {
        let (bad, good) = (start(place, "json:raw"), start(place, "json:raw"));
        place.wait(async {
            let mut connection = AnyConnection::connect(&place.url).await.expect("opens");
            let table = if place.is_postgres { "catalog.export_runs" } else { "export_runs" };
            let spoil = format!("UPDATE {table} SET state = '{{}}' WHERE run = 1");
            connection.execute(AssertSqlSafe(spoil)).await.expect("writes");
        });
        let store = place.store();
        assert_eq!(store.due(Millis(9), 1).expect("reads"), std::slice::from_ref(&bad));
        let taken = Driver::new(&store).take(&bad, "w", Millis(9));
        let Err(DriveError::Store(damaged @ CatalogError::Damaged { .. })) = taken else {
            panic!("{taken:?}")
        };
        assert!(damaged.to_string().starts_with("a row of export_runs does not read"));
        assert_eq!(store.due(Millis(9), 1).expect("reads"), [good]);
        assert!(store.due(Millis(60_009), 2).expect("reads").contains(&bad));
    });
}
