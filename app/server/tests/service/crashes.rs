//! Servers and workers that are killed in the middle.

use std::time::Duration;

use serde_json::json;
use stella_engine::Store;
use stella_peers::Postgres;

use crate::server::{Beside, Server, ingest, ingest_into, program};

#[test]
fn a_service_that_is_killed_goes_on_where_it_was() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let mut server = Server::start(dir.path(), None);
    let expected = {
        server.start_run("mirror:full", &[]);
        server.wait("r-1")["exportDigest"].clone()
    };
    let kills = stella_testkit::rounds(3, 20);
    for number in 2..2 + kills {
        // Nothing that was made before is of use.
        for folder in ["blobs", "parts", "bundles", "plans"] {
            std::fs::remove_dir_all(dir.path().join("depot/local").join(folder)).ok();
        }
        let id = format!("r-{number}");
        assert_eq!(server.start_run("mirror:full", &[]).json()["id"], json!(id));
        std::thread::sleep(Duration::from_millis(7 * number as u64 % 60));
        server = server.kill();
        let run = server.wait(&id);
        assert_eq!(
            (&run["status"], &run["exportDigest"]),
            (&json!("succeeded"), &expected),
            "{run}"
        );
    }
}

#[test]
fn workers_beside_a_server_share_its_runs_and_may_be_killed() {
    let Some(postgres) = Postgres::start() else { return };
    let (catalog, ledger) = (postgres.database("catalog"), postgres.database("ledger"));
    let dir = stella_testkit::temp_dir();
    ingest_into(&Store::at(dir.path()).with_database(&ledger));
    let place = ["--catalog", &catalog, "--ledger", &ledger];
    let migrated = program(dir.path()).arg("migrate").args(place).status().expect("runs");
    assert!(migrated.success());
    // The server itself does nothing.
    let alone = [&["--workers", "0"], &place[..]].concat();
    let server = Server::start_with(dir.path(), None, &alone);
    let mut workers: Vec<Beside> = (0..2).map(|_| Beside::start(dir.path(), &place)).collect();
    let rounds = stella_testkit::rounds(2, 10);
    let mut digests = std::collections::BTreeSet::new();
    for round in 0..rounds {
        for folder in ["blobs", "parts", "bundles", "plans"] {
            std::fs::remove_dir_all(dir.path().join("depot/local").join(folder)).ok();
        }
        let ids: Vec<String> = (0..4)
            .map(|_| {
                server.start_run("mirror:full", &[]).json()["id"]
                    .as_str()
                    .expect("an id")
                    .to_owned()
            })
            .collect();
        let dead = round % workers.len();
        std::thread::sleep(Duration::from_millis(40 * round as u64));
        workers[dead].kill();
        workers[dead] = Beside::start(dir.path(), &place);
        for id in ids {
            let run = server.wait(&id);
            assert_eq!(run["status"], json!("succeeded"), "{run}");
            digests.insert(run["exportDigest"].to_string());
        }
    }
    assert_eq!(digests.len(), 1, "{digests:?}");
}
