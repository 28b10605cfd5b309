//! Processes that are asked to end.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::json;
use stella_peers::{Postgres, SeaweedFs};

use crate::follower::{Follower, Told};
use crate::machines::{Machines, evidence};
use crate::server::{Beside, LONGEST, Server, ingest};
use crate::storage::{Fault, Storage};

fn ask_to_end(process: u32) {
    let asked = Command::new("kill").args(["-s", "TERM", &process.to_string()]).status();
    assert!(asked.expect("kill is there").success());
}

/// How a process ended, and how long after.
fn ended(process: &mut Child, since: Instant) -> (Option<i32>, Duration) {
    loop {
        if let Some(status) = process.try_wait().expect("a child of ours") {
            return (status.code(), since.elapsed());
        }
        assert!(since.elapsed() < LONGEST, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A server with a bundle that is larger than what the system keeps for a connection, and the whole tar.
fn with_large_bundle(data: &Path, drain: &str) -> (Server, Vec<u8>) {
    ingest(data);
    let server = Server::with_large_bundle(data, 24 << 20, &["--drain", drain]);
    let tar = server.ask("GET", "/runs/r-1/bundle.tar", &[], "");
    assert!(tar.status == 200 && tar.body.len() > 12 << 20, "{} {}", tar.head, tar.body.len());
    (server, tar.body)
}

/// Begins to fetch the tar; what has come by now.
fn begin_to_fetch(server: &Server) -> (TcpStream, Vec<u8>) {
    let bearer = format!("Bearer {}", server.token);
    let headers = [("Authorization", bearer.as_str())];
    let mut stream = server.send("GET", "/api/export/v1/runs/r-1/bundle.tar", &headers, "");
    let mut come = vec![0; 1 << 16];
    stream.read_exact(&mut come).expect("it begins");
    (stream, come)
}

/// The body of what has come.
fn body(come: &[u8]) -> &[u8] {
    let end = come.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    &come[end + 4..]
}

#[test]
fn who_fetches_has_the_time_that_is_left_and_nobody_else_is_let_in() {
    let dir = stella_testkit::temp_dir();
    let (mut server, tar) = with_large_bundle(dir.path(), "20");
    let (mut stream, mut come) = begin_to_fetch(&server);
    let since = Instant::now();
    ask_to_end(server.process.id());
    std::thread::sleep(Duration::from_millis(500));
    assert!(TcpStream::connect(&server.address).is_err(), "it still listens");
    stream.read_to_end(&mut come).expect("all of it comes");
    assert!(body(&come) == tar, "{} of {}", come.len(), tar.len());
    let (code, after) = ended(&mut server.process, since);
    assert_eq!(code, Some(0));
    assert!(after < Duration::from_secs(10), "{after:?}");
}

#[test]
fn who_does_not_fetch_is_cut_off_when_the_time_is_over() {
    let dir = stella_testkit::temp_dir();
    let (mut server, tar) = with_large_bundle(dir.path(), "2");
    let (mut stream, mut come) = begin_to_fetch(&server);
    let since = Instant::now();
    ask_to_end(server.process.id());
    let (code, after) = ended(&mut server.process, since);
    assert_eq!(code, Some(0));
    let expected = Duration::from_secs(2)..Duration::from_secs(4);
    assert!(expected.contains(&after), "{after:?}");
    let rest = stream.read_to_end(&mut come).map_err(|error| error.kind());
    assert!(matches!(rest, Ok(_) | Err(ErrorKind::ConnectionReset)), "{rest:?}");
    assert!(body(&come).len() < tar.len(), "all of it came");
}

#[test]
fn a_process_that_is_asked_twice_ends_at_once() {
    let dir = stella_testkit::temp_dir();
    let (mut server, _) = with_large_bundle(dir.path(), "600");
    let (_stream, _) = begin_to_fetch(&server);
    let since = Instant::now();
    ask_to_end(server.process.id());
    std::thread::sleep(Duration::from_millis(500));
    assert!(server.process.try_wait().expect("a child of ours").is_none(), "it waits for nobody");
    ask_to_end(server.process.id());
    let (code, after) = ended(&mut server.process, since);
    assert_eq!(code, Some(143));
    assert!(after < Duration::from_secs(5), "{after:?}");
}

#[test]
fn who_only_watches_is_sent_elsewhere_at_once() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let mut server = Server::start_with(dir.path(), None, &["--drain", "30"]);
    let whereabouts = std::sync::Arc::new(std::sync::Mutex::new(server.address.clone()));
    let events = Follower::start(&whereabouts, &server.token, "/events?after=0");
    server.start_run("json:raw", &[]);
    events.wait(0, LONGEST, |_| Some(())).expect("it is told");
    server.wait("r-1");
    let since = Instant::now();
    ask_to_end(server.process.id());
    let (code, after) = ended(&mut server.process, since);
    assert_eq!(code, Some(0));
    assert!(after < Duration::from_secs(3), "{after:?}");
}

#[test]
fn tasks_are_given_back_at_once_and_others_go_on_with_them() {
    let Some(weed) = SeaweedFs::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    let ledger = postgres.database("ledger");
    evidence(&ledger);
    let storage = Storage::start(weed.port());
    // So slow that a task is surely in the middle.
    storage.set(|_| Fault::Late(Duration::from_millis(150)));
    // Leases last longer than the test: nobody waits for one to run out.
    let mut machines = Machines::patient("leaving", &postgres, &ledger, &storage.url(), 1, "600");
    let events = Follower::start(&machines.whereabouts, &machines.server.token, "/events?after=0");
    let level = machines.add_level(1);
    let id = machines.server.start_run(&level, &[]).json()["id"].clone();
    let id = id.as_str().expect("an id");
    let packs = |told: &Told| {
        let task = told.data["event"]["task"].as_str().unwrap_or_default();
        (told.data["event"]["type"] == json!("begun") && task.starts_with("pack")).then_some(())
    };
    events.wait(0, LONGEST, packs).expect("something is packed");
    let since = Instant::now();
    ask_to_end(machines.workers[0].id());
    let (code, after) = ended(machines.workers[0].process(), since);
    assert_eq!(code, Some(0));
    assert!(after < Duration::from_secs(5), "{after:?}");
    let run = machines.server.ask("GET", &format!("/runs/{id}"), &[], "").json();
    assert_eq!(run["status"], json!("running"), "{run}");
    machines.replace_worker(0);
    let run = machines.server.wait(id);
    assert_eq!(run["status"], json!("succeeded"), "{run}");
    assert_eq!(run["attempt"], json!(2), "{run}");
    let lost = events.so_far().iter().any(|told| told.data["event"]["type"] == json!("failed"));
    assert!(!lost, "a task was lost");
}

#[test]
fn a_worker_whose_task_waits_for_storage_ends_in_time_all_the_same() {
    let Some(weed) = SeaweedFs::start() else { return };
    let Some(postgres) = Postgres::start() else { return };
    let ledger = postgres.database("ledger");
    evidence(&ledger);
    let storage = Storage::start(weed.port());
    let mut machines = Machines::start("stuck", &postgres, &ledger, &storage.url(), 0);
    machines.workers.push(Beside::start(&machines.data_of(0), &machines.and(&["--drain", "1"])));
    storage.set(|_| Fault::Late(Duration::from_secs(25)));
    let events = Follower::start(&machines.whereabouts, &machines.server.token, "/events?after=0");
    let level = machines.add_level(1);
    let id = machines.server.start_run(&level, &[]).json()["id"].clone();
    let begun = |told: &Told| (told.data["event"]["type"] == json!("begun")).then_some(());
    events.wait(0, LONGEST, begun).expect("it is begun");
    std::thread::sleep(Duration::from_millis(500));
    let since = Instant::now();
    ask_to_end(machines.workers[0].id());
    let (code, after) = ended(machines.workers[0].process(), since);
    assert_eq!(code, Some(0));
    assert!(after < Duration::from_secs(4), "{after:?}");
    storage.set(|_| Fault::None);
    machines.replace_worker(0);
    let run = machines.server.wait(id.as_str().expect("an id"));
    assert_eq!(run["status"], json!("succeeded"), "{run}");
}
