//! Disks that are full or can only be read.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stella_engine::Store;
use stella_testkit::Osv;

use crate::machines::NEW;
use crate::server::{LONGEST, Server, ingest, ingest_large, program};

/// A small disk in memory, gone with the value.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// None means that the test is skipped and has said so.
    fn mount(mebibytes: u32) -> Option<Disk> {
        let folder = stella_testkit::temp_dir();
        let size = format!("size={mebibytes}m");
        if !mount(&["-t", "tmpfs", "-o", &size, "none"], folder.path()) {
            stella_testkit::skip("a file system cannot be mounted here: it takes root");
            return None;
        }
        Some(Disk { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves so many bytes of room; gives them back when the file is removed.
    fn fill(&self, room: u64) {
        use std::io::Write as _;
        let path = self.path().join("filler");
        let mut file = std::fs::File::create(&path).expect("opens");
        let mut size = 0_u64;
        while file.write_all(&[1; 4096]).is_ok() {
            size += 4096;
        }
        file.set_len(size.saturating_sub(room)).expect("is cut short");
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path().join("filler")).expect("is there");
    }

    /// Lets it be read only, or written again.
    fn remount(&self, how: &str) {
        assert!(mount(&["-o", &format!("remount,{how}")], self.path()), "{how}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also where somebody still has a file of it open.
        Command::new("umount").arg("--lazy").arg(self.path()).status().ok();
    }
}

fn mount(how: &[&str], folder: &Path) -> bool {
    let done = Command::new("mount").args(how).arg(folder).output();
    done.is_ok_and(|output| output.status.success())
}

/// Takes in the samples and a record of some megabytes that do not become small.
fn evidence(data: &Path) {
    ingest(data);
    ingest_large(&Store::at(data), 6 << 20);
}

/// The digest of the manifest where there is room.
fn expected() -> Value {
    let dir = stella_testkit::temp_dir();
    evidence(dir.path());
    let server = Server::start(dir.path(), None);
    server.start_run("mirror:full", &[]);
    server.wait("r-1")["exportDigest"].clone()
}

/// The run, once a task of it failed.
fn troubled(server: &Server, id: &str) -> Value {
    let begun = Instant::now();
    loop {
        let run = server.ask("GET", &format!("/runs/{id}"), &[], "").json();
        let tasks = run["tasks"].as_object().expect("tasks");
        if tasks.values().any(|task| task["trouble"].is_object()) {
            return run;
        }
        assert!(begun.elapsed() < LONGEST, "{run}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What is wrong with the first task of a run that is in trouble.
fn trouble(run: &Value) -> Value {
    let mut tasks = run["tasks"].as_object().expect("tasks").values();
    tasks.find(|task| task["trouble"].is_object()).expect("one")["trouble"].clone()
}

/// Nothing in the data directory is damaged.
fn check(server: &Server) {
    let data = &server.data;
    let scrubbed = program(data).arg("scrub").output().expect("runs");
    assert!(scrubbed.status.success(), "{scrubbed:?}");
    assert_eq!(server.ask("GET", "/audit/verification", &[], "").status, 200);
    for name in ["catalog.db", "ledger.db"] {
        let database = rusqlite::Connection::open(data.join(name)).expect("opens");
        let told: String =
            database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
        assert_eq!(told, "ok", "{name}");
    }
}

#[test]
fn a_run_that_finds_no_room_says_so_and_ends_well_once_there_is() {
    let Some(disk) = Disk::mount(96) else { return };
    let expected = expected();
    let data = disk.path().join("data");
    evidence(&data);
    let server = Server::start(&data, None);
    // Enough for the catalog, and not for what the run makes.
    disk.fill(2 << 20);
    assert_eq!(server.start_run("mirror:full", &[]).status, 201);
    let run = troubled(&server, "r-1");
    assert_eq!(run["status"], json!("retrying"), "{run}");
    let trouble = trouble(&run);
    assert_eq!(trouble["code"], json!("ERR_EXPORT_IO"), "{run}");
    let message = trouble["message"].as_str().expect("a message");
    assert!(message.contains("No space left") || message.contains("no space"), "{message}");
    assert!(!message.contains(&*data.to_string_lossy()), "{message}");
    assert_eq!(server.ask("GET", "/runs", &[], "").status, 200);
    disk.make_room();
    let run = server.wait("r-1");
    assert_eq!((&run["status"], &run["exportDigest"]), (&json!("succeeded"), &expected), "{run}");
    check(&server);
}

#[test]
fn databases_that_find_no_room_refuse_what_they_cannot_keep_and_go_on_once_there_is() {
    let Some(disk) = Disk::mount(64) else { return };
    let data = disk.path().join("data");
    ingest(&data);
    let server = Server::start(&data, None);
    let profile = |number: usize| {
        json!({ "name": format!("p-{number}"), "outputs": ["mirror:full"] }).to_string()
    };
    disk.fill(0);
    // There is some room left in files that are there already.
    let (mut kept, mut refused) = (0, None);
    for number in 0..900 {
        let path = format!("/profiles/p-{number}");
        let answer = server.ask("PUT", &path, &[NEW], &profile(number));
        if answer.status != 201 {
            refused = Some(answer);
            break;
        }
        kept += 1;
    }
    let refused = refused.expect("at last it is full");
    assert_eq!(refused.problem(), (503, "ERR_EXPORT_IO".to_owned()), "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{}", refused.head);
    let said = refused.json()["message"].as_str().expect("a message").to_owned();
    assert!(said.contains("no space is left"), "{said}");
    let document = String::from_utf8(Osv::new("TEST-1").padded(100_000).bytes()).expect("text");
    let ingested = server.ask("POST", "/feeds/more/records", &[], &document);
    assert_eq!(ingested.problem().1, "ERR_EXPORT_IO", "{ingested:?}");
    let ready = server.bare("GET", "/api/export/v1/ready", &[], "");
    assert_eq!(ready.problem(), (503, "ERR_EXPORT_IO".to_owned()), "{ready:?}");
    assert_eq!(server.bare("GET", "/api/export/v1/health", &[], "").status, 200);
    let listed = server.ask("GET", "/profiles", &[], "");
    assert_eq!(listed.status, 200, "{listed:?}");
    disk.make_room();
    assert_eq!(server.bare("GET", "/api/export/v1/ready", &[], "").status, 200);
    let again = server.ask("PUT", &format!("/profiles/p-{kept}"), &[NEW], &profile(kept));
    assert_eq!(again.status, 201, "{again:?}");
    for number in 0..=kept {
        assert_eq!(server.ask("GET", &format!("/profiles/p-{number}"), &[], "").status, 200);
    }
    assert_eq!(server.ask("POST", "/feeds/more/records", &[], &document).status, 200);
    server.start_run("mirror:full", &[]);
    assert_eq!(server.wait("r-1")["status"], json!("succeeded"));
    check(&server);
}

#[test]
fn a_depot_that_can_only_be_read_fails_runs_and_they_succeed_when_asked_again() {
    let Some(disk) = Disk::mount(64) else { return };
    let expected = expected();
    let dir = stella_testkit::temp_dir();
    let data = dir.path();
    evidence(data);
    // The depot on a disk of its own, as the rest goes on being written to.
    std::os::unix::fs::symlink(disk.path(), data.join("depot")).expect("a link");
    let server = Server::start_with(data, None, &["--gc-minutes", "0"]);
    server.start_run("json:raw", &[]);
    assert_eq!(server.wait("r-1")["status"], json!("succeeded"));
    disk.remount("ro");
    let ready = server.bare("GET", "/api/export/v1/ready", &[], "");
    assert_eq!(ready.problem(), (503, "ERR_EXPORT_IO".to_owned()), "{ready:?}");
    // What is there can be fetched.
    let before = server.ask("GET", "/runs/r-1/bundle.tar", &[], "");
    assert_eq!(before.status, 200, "{}", before.head);
    server.start_run("mirror:full", &[]);
    let run = server.wait("r-2");
    assert_eq!(run["status"], json!("failed"), "{run}");
    assert_eq!(run["failure"]["code"], json!("ERR_EXPORT_NOT_ALLOWED"), "{run}");
    let message = run["failure"]["message"].as_str().expect("a message");
    assert!(message.contains("Read-only file system"), "{run}");
    disk.remount("rw");
    assert_eq!(server.bare("GET", "/api/export/v1/ready", &[], "").status, 200);
    assert_eq!(server.ask("POST", "/runs/r-2/retry", &[], "").status, 201);
    let run = server.wait("r-3");
    assert_eq!((&run["status"], &run["exportDigest"]), (&json!("succeeded"), &expected), "{run}");
    check(&server);
}

#[test]
fn a_server_does_not_start_where_it_can_only_read_and_does_once_it_can_write() {
    let Some(disk) = Disk::mount(64) else { return };
    let data = disk.path().join("data");
    ingest(&data);
    let server = Server::start(&data, None);
    let token = server.token.clone();
    server.start_run("json:raw", &[]);
    assert_eq!(server.wait("r-1")["status"], json!("succeeded"));
    drop(server);
    disk.remount("ro");
    let mut command = program(&data);
    let refused = command.args(["serve", "--listen", "127.0.0.1:0"]).output().expect("runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("cannot write the catalog"), "{said}");
    disk.remount("rw");
    let server = Server::start(&data, Some(&token));
    assert_eq!(server.ask("GET", "/runs/r-1/bundle.tar", &[], "").status, 200);
    check(&server);
}
