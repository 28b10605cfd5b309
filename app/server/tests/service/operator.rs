//! Commands of the operator of a service.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use crate::server::{LONGEST, Server, ingest, program};

/// Runs a command on a data directory: how it ended and what it said.
pub(crate) fn command(data: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let done = program(data).args(arguments).output().expect("runs");
    let told = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8(told).expect("is text"))
}

#[test]
pub(crate) fn who_took_all_tokens_away_has_none_until_the_operator_makes_one() {
    let dir = stella_testkit::temp_dir();
    let server = Server::start(dir.path(), None);
    let tokens = server.ask("GET", "/tokens", &[], "").json();
    let id = tokens["items"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(server.ask("DELETE", &format!("/tokens/{id}"), &[], "").status, 204);
    let revoked = server.token.clone();
    drop(server);
    // A start that made one would say it first, and be taken for the place where it listens.
    let server = Server::start(dir.path(), Some(&revoked));
    assert_eq!(server.ask("GET", "/me", &[], "").problem().0, 401);
    let (code, told) = command(dir.path(), &["tenant", "local"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("export-center token local") && !told.contains("ec1."), "{told}");
    let (code, told) = command(dir.path(), &["token", "local"]);
    assert_eq!(code, Some(0), "{told}");
    let token = told.trim().rsplit(' ').next().expect("a word");
    assert_eq!(server.as_somebody(token).ask("GET", "/tokens", &[], "").status, 200);
    let (code, told) = command(dir.path(), &["token", "nobody"]);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("there is no tenant nobody"), "{told}");
}

#[test]
pub(crate) fn quotas_are_set_by_the_operator_and_shown_to_the_tenant() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start_with(dir.path(), None, &["--workers", "0"]);
    let (code, told) =
        command(dir.path(), &["quota", "local", "--queued-runs", "1", "--stored-bytes", "9000"]);
    assert_eq!(code, Some(0), "{told}");
    // What is not named stays as it is.
    let (code, told) = command(dir.path(), &["quota", "local", "--stored-bytes", "none"]);
    assert_eq!(code, Some(0), "{told}");
    let shown: Vec<&str> = told.lines().collect();
    let expected = [
        "concurrent runs  none",
        "queued runs      1",
        "bytes per day    none",
        "stored bytes     none",
    ];
    assert_eq!(shown, expected);
    let limits = server.ask("GET", "/quotas", &[], "").json()["limits"].clone();
    assert_eq!(limits, json!({ "queuedRuns": 1 }));
    assert_eq!(server.start_run("json:raw", &[]).status, 201);
    let refused = server.start_run("json:raw", &[]);
    assert_eq!(refused.problem(), (429, "ERR_EXPORT_QUOTA".to_owned()));
    // Its own administrator does not set it.
    let own = server.ask("PUT", "/quotas", &[], "{}");
    assert_eq!(own.problem().0, 405);
    let log = server.ask("GET", "/audit?limit=1000", &[], "").json().to_string();
    assert_eq!(log.matches(r#""action":"quota.set""#).count(), 2, "{log}");
    for bad in
        [["quota", "nobody", "--queued-runs", "1"], ["quota", "local", "--queued-runs", "-1"]]
    {
        assert_ne!(command(dir.path(), &bad).0, Some(0), "{bad:?}");
    }
}

#[test]
fn who_stops_reading_what_a_command_says_is_no_reason_to_fail() {
    let dir = stella_testkit::temp_dir();
    let mut command = program(dir.path());
    command.arg("openapi").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    drop(child.stdout.take());
    let done = child.wait_with_output().expect("ends");
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
}

#[test]
fn a_place_that_is_mistyped_or_cannot_be_written_is_named_and_not_made() {
    let dir = stella_testkit::temp_dir();
    let mistyped = dir.path().join("srv").join("exprot-center");
    let commands: [&[&str]; 4] =
        [&["token", "local"], &["quota", "local"], &["collect"], &["scrub"]];
    for arguments in commands {
        let (code, told) = command(&mistyped, arguments);
        assert_eq!(code, Some(3), "{told}");
        assert!(told.contains("exprot-center") && told.contains("hint: check --data"), "{told}");
    }
    assert!(!mistyped.exists());
    let (code, told) = command(&mistyped, &["migrate"]);
    assert_eq!(code, Some(0), "{told}");
    let mode = |path: &Path| path.metadata().expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(&mistyped), 0o700, "for nobody else to look into");
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").expect("writes");
    let (code, told) = command(&file.join("data"), &["migrate"]);
    assert_eq!(code, Some(4), "{told}");
    assert!(told.contains("cannot make the data directory"), "{told}");
}

#[test]
fn whoever_starts_a_service_is_told_that_no_run_can_be_signed() {
    let dir = stella_testkit::temp_dir();
    let none = dir.path().join("none");
    let (code, told) =
        command(dir.path(), &["serve", "--key-password-file", &none.to_string_lossy()]);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("none") && told.contains("hint: "), "{told}");
    let mut serving = program(dir.path());
    serving.args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut serving = serving.spawn().expect("starts");
    let log = BufReader::new(serving.stderr.take().expect("is piped")).lines();
    let (tell, hear) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut log = log.map_while(Result::ok);
        tell.send(log.find(|line| line.contains("no run of the tenant can be signed")))
    });
    let told = hear.recv_timeout(LONGEST);
    serving.kill().expect("runs");
    serving.wait().expect("ends");
    let told = told.expect("in time").expect("is told");
    assert!(told.contains("local") && told.contains("keys generate release"), "{told}");
}
