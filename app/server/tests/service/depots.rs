//! Depots that machines share, what is collected from them, and what is found damaged in them.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

use serde_json::json;
use stella_engine::Store;
use stella_peers::{Postgres, SeaweedFs};

use crate::server::{Beside, Server, ingest, ingest_into, program};

/// Arguments of everybody who takes part.
fn place(weed: &SeaweedFs, catalog: &str, ledger: &str) -> Vec<String> {
    let url = weed.url();
    let all = ["--catalog", catalog, "--ledger", ledger, "--depot", "s3://evidence/exports"];
    let all = all.into_iter().chain(["--s3-endpoint", &url]);
    all.map(str::to_owned).collect()
}

/// The tar that a service alone makes of the same evidence.
fn expected() -> Vec<u8> {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start(dir.path(), None);
    server.start_run("mirror:full", &[]);
    assert_eq!(server.wait("r-1")["status"], json!("succeeded"));
    tar(&server, "r-1")
}

fn tar(server: &Server, id: &str) -> Vec<u8> {
    let answer = server.ask("GET", &format!("/runs/{id}/bundle.tar"), &[], "");
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer.body
}

#[test]
fn machines_that_share_a_bucket_and_a_database_make_the_same_bundle_whoever_is_killed() {
    let Some(weed) = SeaweedFs::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    let (catalog, ledger) = (postgres.database("catalog"), postgres.database("ledger"));
    let expected = expected();
    let dir = stella_testkit::temp_dir();
    let machine = |name: &str| dir.path().join(name);
    ingest_into(&Store::at(machine("ingests")).with_database(&ledger));
    let place = place(&weed, &catalog, &ledger);
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    let migrated =
        program(&machine("server")).arg("migrate").args(&place[..4]).status().expect("runs");
    assert!(migrated.success());
    // The server itself does nothing, and has nothing.
    let alone = [&["--workers", "0"], &place[..]].concat();
    let server = Server::start_with(&machine("server"), None, &alone);
    let names = ["one", "two"];
    let mut workers = names.map(|name| Beside::start(&machine(name), &place));
    for round in 0..stella_testkit::rounds(3, 20) {
        // Nothing that was made before is of use.
        weed.remove("exports/");
        let id = server.start_run("mirror:full", &[]).json()["id"].clone();
        let id = id.as_str().expect("an id");
        std::thread::sleep(Duration::from_millis(60 * round as u64 % 700));
        let dead = round % workers.len();
        workers[dead].kill();
        if round % 3 == 1 {
            std::fs::remove_dir_all(machine(names[dead]).join("depot")).ok();
        }
        workers[dead] = Beside::start(&machine(names[dead]), &place);
        let run = server.wait(id);
        assert_eq!(run["status"], json!("succeeded"), "{run}");
        assert!(tar(&server, id) == expected, "round {round}");
        // The cache of the server is but a cache.
        std::fs::remove_dir_all(machine("server").join("depot")).ok();
        let half = expected.len() / 2;
        let range = ("Range", format!("bytes={half}-"));
        let path = format!("/runs/{id}/bundle.tar");
        let rest = server.ask("GET", &path, &[(range.0, range.1.as_str())], "");
        assert!(rest.status == 206 && rest.body == expected[half..], "{}", rest.head);
    }
}

/// Runs a command of the operator on a data directory.
fn command(data: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = program(data).args(arguments).output().expect("runs");
    let told = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("is text")).concat();
    (status.code(), told)
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("is there").path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all
}

/// Lets two days pass for what is in a data directory.
fn let_time_pass(data: &Path) {
    let past = SystemTime::now() - Duration::from_secs(2 * 86_400);
    for path in files(&data.join("depot")) {
        let file = std::fs::File::open(&path).expect("opens");
        file.set_modified(past).expect("is its owner");
    }
    let catalog = rusqlite::Connection::open(data.join("catalog.db")).expect("opens");
    let older = "UPDATE export_runs SET finished_ms = finished_ms - 2 * 86400000";
    catalog.execute(older, []).expect("writes");
}

#[test]
fn a_bundle_is_kept_until_its_days_are_over_and_can_be_made_again() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let quiet = ["--gc-minutes", "0"];
    let server = Server::start_with(dir.path(), None, &quiet);
    for profile in ["mirror:full", "json:raw"] {
        let id = server.start_run(profile, &[]).json()["id"].clone();
        assert_eq!(server.wait(id.as_str().expect("an id"))["status"], json!("succeeded"));
    }
    let whole = tar(&server, "r-1");
    let_time_pass(dir.path());
    let blobs = || files(&dir.path().join("depot/local/blobs")).len();
    let before = blobs();
    // Without days all is kept, however old it is and however small the cache may be.
    for _ in 0..3 {
        let (code, told) = command(dir.path(), &["collect", "--cache-bytes", "0"]);
        assert_eq!(code, Some(0), "{told}");
    }
    assert_eq!(blobs(), before);
    assert!(tar(&server, "r-1") == whole);
    // A younger run has the bundle of r-1.
    let again = server.start_run("mirror:full", &[]).json()["id"].clone();
    assert_eq!(server.wait(again.as_str().expect("an id"))["status"], json!("succeeded"));
    let days = ["collect", "--cache-bytes", "0", "--keep-bundles-days", "1"];
    for _ in 0..3 {
        let (code, told) = command(dir.path(), &days);
        assert_eq!(code, Some(0), "{told}");
    }
    // What was found a moment ago is believed for a second.
    std::thread::sleep(Duration::from_secs(1));
    for id in ["r-1", "r-2"] {
        let gone = server.ask("GET", &format!("/runs/{id}/bundle.tar"), &[], "");
        assert_eq!(gone.problem().0, 410, "{}", gone.head);
    }
    assert!(tar(&server, "r-3") == whole);
    assert!(blobs() < before, "{} of {before} are left", blobs());
    let audit = server.ask("GET", "/audit", &[], "").json().to_string();
    assert!(audit.contains("bundle.release") && audit.contains("bundles of 2 runs"), "{audit}");
    let_time_pass(dir.path());
    for _ in 0..3 {
        command(dir.path(), &days);
    }
    assert_eq!(blobs(), 0, "nothing is needed any more");
    let anew = server.start_run("mirror:full", &[]).json()["id"].clone();
    server.wait(anew.as_str().expect("an id"));
    assert!(tar(&server, anew.as_str().expect("an id")) == whole);
}

#[test]
fn a_server_collects_by_itself() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start_with(dir.path(), None, &["--gc-minutes", "0"]);
    server.start_run("json:raw", &[]);
    assert_eq!(server.wait("r-1")["status"], json!("succeeded"));
    let_time_pass(dir.path());
    let token = server.token.clone();
    drop(server);
    let days = ["--keep-bundles-days", "1"];
    let server = Server::start_with(dir.path(), Some(&token), &days);
    let begun = std::time::Instant::now();
    let bundles = || files(&dir.path().join("depot/local/bundles")).len();
    while bundles() > 0 {
        assert!(begun.elapsed() < crate::server::LONGEST, "it is still there");
        std::thread::sleep(Duration::from_millis(50));
    }
    let gone = server.ask("GET", "/runs/r-1/bundle.tar", &[], "");
    assert_eq!(gone.problem().0, 410);
}

#[test]
fn a_depot_of_another_catalog_is_not_collected() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start_with(dir.path(), None, &[]);
    server.start_run("json:raw", &[]);
    assert_eq!(server.wait("r-1")["status"], json!("succeeded"));
    assert_eq!(command(dir.path(), &["collect"]).0, Some(0));
    drop(server);
    let_time_pass(dir.path());
    let before = files(&dir.path().join("depot")).len();
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        std::fs::remove_file(dir.path().join(name)).ok();
    }
    // A new catalog knows of no run.
    drop(Server::start_with(dir.path(), None, &["--gc-minutes", "0"]));
    let (code, told) = command(dir.path(), &["collect"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("it belongs to another catalog"), "{told}");
    assert_eq!(files(&dir.path().join("depot")).len(), before);
}

#[test]
fn damage_is_named_forgotten_and_made_good_by_the_same_run() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start(dir.path(), None);
    server.start_run("mirror:full", &[]);
    assert_eq!(server.wait("r-1")["status"], json!("succeeded"));
    let whole = tar(&server, "r-1");
    let (code, told) = command(dir.path(), &["scrub"]);
    assert_eq!(code, Some(0), "{told}");
    let blobs = files(&dir.path().join("depot/local/blobs"));
    let mut bytes = std::fs::read(&blobs[0]).expect("reads");
    bytes[0] ^= 1;
    stella_testkit::overwrite(&blobs[0], bytes);
    std::fs::remove_file(&blobs[1]).expect("is there");
    let (code, told) = command(dir.path(), &["scrub", "--repair"]);
    assert_eq!(code, Some(8), "{told}");
    for (how, path) in [("changed", &blobs[0]), ("missing", &blobs[1])] {
        let expected = format!("local {how} {} ", path.display());
        let line = told.lines().find(|line| line.starts_with(&expected));
        let line = line.unwrap_or_else(|| panic!("{told}"));
        assert!(line.contains(" -> bundles/"), "{line}");
    }
    assert!(told.contains("local r-1 made bundle sha256:"), "{told}");
    let lost = server.ask("GET", "/runs/r-1/bundle.tar", &[], "");
    assert_eq!(lost.problem(), (500, "ERR_EXPORT_DIGEST_MISMATCH".to_owned()));
    assert_eq!(lost.json()["hint"], "the same run makes it again");
    // What came since is not in what is made again.
    let later = String::from_utf8(crate::feeds::lines()).expect("is text");
    assert_eq!(server.ask("POST", "/feeds/later/records", &[], &later).status, 200);
    assert_eq!(server.ask("POST", "/runs/r-1/retry", &[], "").status, 201);
    let again = server.wait("r-2");
    assert_eq!(again["status"], json!("succeeded"), "{again}");
    assert!(tar(&server, "r-1") == whole && tar(&server, "r-2") == whole);
    let (code, told) = command(dir.path(), &["scrub"]);
    assert_eq!(code, Some(0), "{told}");
    server.start_run("mirror:full", &[]);
    assert_ne!(server.wait("r-3")["planHash"], server.wait("r-2")["planHash"]);
    // What is told of a feed goes into a bundle: with another licence it is not that one any more.
    let licensed = "/feeds/later/records?licence=CC0-1.0";
    assert_eq!(server.ask("POST", licensed, &[], &later).status, 200);
    assert_eq!(server.ask("POST", "/runs/r-3/retry", &[], "").status, 201);
    let lost = server.wait("r-4");
    assert_eq!(lost["failure"]["code"], "ERR_EXPORT_RUN_FAILED", "{lost}");
    let message = lost["failure"]["message"].as_str().expect("a message");
    assert!(message.contains("cannot be made again"), "{message}");
}
