//! Storage and database that are slow, refuse, break off or are away for a while, in the middle of runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stella_engine::Store;
use stella_peers::{Postgres, SeaweedFs, Stop};
use stella_testkit::Osv;

use crate::follower::{Follower, Told};
use crate::machines::{Machines, evidence};
use crate::server::{Answer, LONGEST, Server, ingest_into, program};
use crate::storage::{Fault, Storage};

/// Digest of the manifest and the tar that a level has where nothing fails.
fn expected(machines: &Machines, level: &str) -> (Value, Vec<u8>) {
    let id = machines.server.start_run(level, &[]).json()["id"].clone();
    let id = id.as_str().expect("an id");
    let run = machines.server.wait(id);
    assert_eq!(run["status"], json!("succeeded"), "{run}");
    (run["exportDigest"].clone(), machines.tar(id))
}

/// A storage that fails in one way, by the number of the request.
type Failing = fn(usize) -> Fault;

const FAILING: [(&str, Failing); 6] = [
    ("answers 500 to every third request", |number| match number % 3 {
        2 => Fault::Refused(500, "InternalError"),
        _ => Fault::None,
    }),
    ("wants its clients to slow down", |number| match number % 20 {
        10..14 => Fault::Refused(503, "SlowDown"),
        _ => Fault::None,
    }),
    ("is slow", |number| match number % 4 {
        3 => Fault::Late(Duration::from_millis(700)),
        _ => Fault::Late(Duration::from_millis(50)),
    }),
    ("loses answers", |number| if number % 4 == 1 { Fault::Unanswered } else { Fault::None }),
    ("breaks off in the middle of answers", |number| match number % 4 {
        1 => Fault::Half,
        _ => Fault::None,
    }),
    ("hangs up", |number| if number % 4 == 2 { Fault::Down } else { Fault::None }),
];

#[test]
fn runs_come_to_the_same_end_however_storage_fails() {
    let Some(weed) = SeaweedFs::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    let ledger = postgres.database("ledger");
    evidence(&ledger);
    let calm = Machines::start("calm", &postgres, &ledger, &weed.url(), 1);
    let storage = Storage::start(weed.port());
    let machines = Machines::start("failing", &postgres, &ledger, &storage.url(), 2);
    for (level, (what, fault)) in (1..).zip(FAILING) {
        let (digest, tar) = expected(&calm, &calm.add_level(level));
        let level = machines.add_level(level);
        storage.set(move |passing| fault(passing.number));
        let id = machines.server.start_run(&level, &[]).json()["id"].clone();
        let id = id.as_str().expect("an id");
        let run = machines.server.wait(id);
        assert_eq!(
            (&run["status"], &run["exportDigest"]),
            (&json!("succeeded"), &digest),
            "{what} {run}"
        );
        assert!(what == "is slow" || storage.faults() > 0, "{what}");
        storage.set(|_| Fault::None);
        assert!(machines.tar(id) == tar, "{what}");
    }
    let (code, told) = machines.command("scrub", &[]);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn storage_that_is_down_for_a_while_costs_attempts_that_everybody_can_see() {
    let Some(weed) = SeaweedFs::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    let ledger = postgres.database("ledger");
    evidence(&ledger);
    let calm = Machines::start("calm", &postgres, &ledger, &weed.url(), 1);
    let (digest, tar) = expected(&calm, &calm.add_level(1));
    let storage = Storage::start(weed.port());
    let machines = Machines::start("failing", &postgres, &ledger, &storage.url(), 2);
    let level = machines.add_level(1);
    let events = Follower::start(&machines.whereabouts, &machines.server.token, "/events?after=0");
    // It is away from the moment on at which something is packed.
    let is_down = Arc::new(Mutex::new(None::<Instant>));
    let since = is_down.clone();
    storage.set(move |_| {
        let since = since.lock().unwrap_or_else(PoisonError::into_inner);
        if since.is_some() { Fault::Down } else { Fault::None }
    });
    let set = |now| *is_down.lock().unwrap_or_else(PoisonError::into_inner) = now;
    let id = machines.server.start_run(&level, &[]).json()["id"].clone();
    let id = id.as_str().expect("an id");
    let planned = |told: &Told| (told.data["event"]["type"] == json!("planned")).then_some(());
    events.wait(0, LONGEST, planned).expect("it is planned");
    set(Some(Instant::now()));
    // Whoever looks sees what is wrong, and that it is tried again.
    let failed = |told: &Told| {
        let event = &told.data["event"];
        (event["type"] == json!("failed")).then(|| event.clone())
    };
    let (_, event) = events.wait(0, LONGEST, failed).expect("an attempt fails");
    assert_eq!(event["failure"]["code"], json!("ERR_EXPORT_UNREACHABLE"), "{event}");
    assert!(event["againAt"].is_number(), "{event}");
    let run = machines.server.ask("GET", &format!("/runs/{id}"), &[], "").json();
    assert_eq!(run["status"], json!("retrying"), "{run}");
    set(None);
    let run = machines.server.wait(id);
    assert_eq!((&run["status"], &run["exportDigest"]), (&json!("succeeded"), &digest), "{run}");
    assert!(run["attempt"].as_u64().is_some_and(|attempt| attempt > 1), "{run}");
    assert!(machines.tar(id) == tar);
    // Who fetches meanwhile is told to come again.
    std::fs::remove_dir_all(machines.server.data.join("depot")).ok();
    set(Some(Instant::now()));
    let away = machines.server.ask("GET", &format!("/runs/{id}/bundle.tar"), &[], "");
    assert_eq!(away.problem(), (503, "ERR_EXPORT_UNREACHABLE".to_owned()));
    assert!(away.header("retry-after").is_some(), "{}", away.head);
    set(None);
    assert!(machines.tar(id) == tar);
    let (code, told) = machines.command("scrub", &[]);
    assert_eq!(code, Some(0), "{told}");
}

/// A server with two workers of its own on a database.
fn on_postgres(postgres: &Postgres, data: &std::path::Path) -> Server {
    let (catalog, ledger) = (postgres.database("catalog"), postgres.database("ledger"));
    ingest_into(&Store::at(data).with_database(&ledger));
    let place = ["--catalog", &catalog, "--ledger", &ledger];
    assert!(program(data).arg("migrate").args(place).status().expect("runs").success());
    Server::start_with(data, None, &place)
}

/// Asks while the database is away: the answer says so, and when to come again.
fn check_away(answer: &Answer) {
    assert_eq!(answer.problem(), (503, "ERR_EXPORT_UNREACHABLE".to_owned()), "{answer:?}");
    assert!(answer.header("retry-after").is_some(), "{}", answer.head);
}

#[test]
fn a_database_that_is_stopped_or_crashes_costs_time_only() {
    let Some(mut postgres) = Postgres::start() else { return };
    let dir = stella_testkit::temp_dir();
    let server = on_postgres(&postgres, dir.path());
    let whereabouts = Arc::new(Mutex::new(server.address.clone()));
    let events = Follower::start(&whereabouts, &server.token, "/events?after=0");
    let expected = {
        server.start_run("mirror:full", &[]);
        server.wait("r-1")["exportDigest"].clone()
    };
    let ways = [Stop::Fast, Stop::Immediate];
    for number in 2..2 + stella_testkit::rounds(4, 20) {
        for folder in ["blobs", "parts", "bundles", "plans"] {
            std::fs::remove_dir_all(dir.path().join("depot/local").join(folder)).ok();
        }
        let id = format!("r-{number}");
        assert_eq!(server.start_run("mirror:full", &[]).json()["id"], json!(id));
        std::thread::sleep(Duration::from_millis(17 * number as u64 % 90));
        postgres.stop(ways[number % 2]);
        let begun = Instant::now();
        for (method, path) in
            [("GET", format!("/runs/{id}")), ("POST", format!("/runs/{id}/retry"))]
        {
            check_away(&server.ask(method, &path, &[], ""));
        }
        check_away(&server.bare("GET", "/api/export/v1/ready", &[], ""));
        assert_eq!(server.bare("GET", "/api/export/v1/health", &[], "").status, 200);
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        postgres.start_again();
        let run = server.wait_patiently(&id);
        assert_eq!(
            (&run["status"], &run["exportDigest"]),
            (&json!("succeeded"), &expected),
            "{run}"
        );
    }
    assert_eq!(server.bare("GET", "/api/export/v1/ready", &[], "").status, 200);
    let last = server.ask("GET", "/audit/verification", &[], "");
    assert_eq!(last.status, 200, "{last:?}");
    check_all_told(&server, &events);
}

/// Whoever followed was told every event, and each once.
fn check_all_told(server: &Server, events: &Follower) {
    let whereabouts = Arc::new(Mutex::new(server.address.clone()));
    let afresh = Follower::start(&whereabouts, &server.token, "/events?after=0");
    let count = events.count();
    afresh.wait(count - 1, LONGEST, |_| Some(())).expect("is told the same");
    let numbers = |told: Vec<Told>| told.iter().map(|told| told.number).collect::<Vec<u64>>();
    assert_eq!(numbers(events.so_far()), (1..=count as u64).collect::<Vec<_>>());
    assert_eq!(numbers(afresh.so_far())[..count], numbers(events.so_far()));
}

#[test]
fn an_ingest_that_loses_its_database_takes_nothing_and_can_come_again() {
    let Some(mut postgres) = Postgres::start() else { return };
    let dir = stella_testkit::temp_dir();
    let server = on_postgres(&postgres, dir.path());
    let lines: Vec<Vec<u8>> = (0..4_000)
        .map(|number| {
            Osv::new(&format!("TEST-{number}")).affects("npm", "a", "1").padded(900).bytes()
        })
        .collect();
    let body = String::from_utf8(lines.join(&b'\n')).expect("is text");
    let mut refused = 0;
    for (round, how) in
        [Stop::Fast, Stop::Immediate, Stop::Fast, Stop::Immediate].into_iter().enumerate()
    {
        let path = format!("/feeds/feed-{round}/records");
        let answer = std::thread::scope(|scope| {
            let asking = scope.spawn(|| server.ask("POST", &path, &[], &body));
            std::thread::sleep(Duration::from_millis(250 + 200 * round as u64));
            postgres.stop(how);
            asking.join().expect("is answered")
        });
        postgres.start_again();
        let begun = Instant::now();
        while server.bare("GET", "/api/export/v1/ready", &[], "").status != 200 {
            assert!(begun.elapsed() < LONGEST);
        }
        let held = server.ask("GET", &format!("/feeds/feed-{round}"), &[], "");
        if answer.status == 200 {
            assert_eq!(held.status, 200, "{held:?}");
        } else {
            refused += 1;
            check_away(&answer);
        }
        let again = server.ask("POST", &path, &[], &body);
        assert_eq!(again.status, 200, "{again:?}");
        let report = again.json();
        let (added, same) = (&report["added"], &report["unchanged"]);
        let total = added.as_u64().unwrap_or(0) + same.as_u64().unwrap_or(0);
        assert_eq!(total, 4_000, "{report}");
        assert!(added == &json!(4_000) || added == &json!(0), "half of it was taken: {report}");
    }
    assert!(refused > 0, "the database was always too late or too early away");
    let id = server.start_run("mirror:full", &[]).json()["id"].clone();
    let run = server.wait(id.as_str().expect("an id"));
    assert_eq!(run["status"], json!("succeeded"), "{run}");
}
