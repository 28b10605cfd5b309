//! Requests that are refused, and why.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::document::{Operation, operations};
use crate::elsewhere;
use crate::server::{Server, ingest, whole};

#[test]
pub(crate) fn nobody_gets_in_without_a_token() {
    let dir = stella_testkit::temp_dir();
    let server = Server::start(dir.path(), None);
    let denied = (401, "ERR_EXPORT_NOT_ALLOWED".to_owned());
    let mut tried = 0;
    for Operation { method, path, scopes, .. } in operations() {
        let path = whole(&path);
        let Some(_) = scopes else {
            assert_eq!(server.bare(&method, &path, &[], "").status, 200, "{path}");
            continue;
        };
        for bad in [None, Some("Basic YTpi"), Some("Bearer ec1.local/AAAAAAAAAAA/x")] {
            let header = bad.map(|bad| ("Authorization", bad));
            let answer = server.bare(&method, &path, header.as_slice(), "");
            // An address that tries too many tokens has to wait.
            if answer.status == 429 {
                assert!(tried > 20 && answer.header("retry-after").is_some(), "{answer:?}");
                continue;
            }
            assert_eq!(answer.problem(), denied, "{method} {path} {bad:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"export-center\""));
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn the_scheme_of_a_token_may_be_written_as_one_likes() {
    let dir = stella_testkit::temp_dir();
    let server = Server::start(dir.path(), None);
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let header = format!("{scheme} {}", server.token);
        let answer = server.bare("GET", "/api/export/v1/me", &[("Authorization", &header)], "");
        assert_eq!(answer.status, 200, "{scheme}");
    }
}

#[test]
pub(crate) fn bad_requests_say_what_is_wrong() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start(dir.path(), None);
    let (usage, invalid) = ("ERR_EXPORT_USAGE", "ERR_EXPORT_INVALID");
    let (missing, conflict) = ("ERR_EXPORT_NOT_FOUND", "ERR_EXPORT_CONFLICT");
    let profile = |rest: &str| format!(r#"{{"name":"nightly","outputs":["mirror:full"]{rest}}}"#);
    let checks: &[(&str, &str, &str, u16, &str)] = &[
        ("GET", "/runs/r-9", "", 404, missing),
        ("GET", "/runs/9", "", 404, missing),
        ("GET", "/runs/r-09", "", 404, missing),
        ("GET", "/runs/%00", "", 404, missing),
        ("GET", "/runs/%ff", "", 404, missing),
        ("GET", "/runs/r-99999999999999999999", "", 404, missing),
        ("GET", "/runs?status=done", "", 400, usage),
        ("GET", "/runs?limit=0", "", 400, usage),
        ("GET", "/runs?limit=x", "", 400, usage),
        ("GET", "/runs?cursor=x", "", 400, usage),
        ("GET", "/runs?colour=red", "", 400, usage),
        ("GET", "/runs?profile=%00", "", 400, usage),
        ("GET", "/nothing", "", 404, missing),
        ("DELETE", "/runs", "", 405, usage),
        ("POST", "/runs", "{", 400, usage),
        ("POST", "/runs", r#"{"profile":"json:raw","colour":1}"#, 422, invalid),
        ("POST", "/runs", r#"{"profile":"none:such"}"#, 404, missing),
        ("POST", "/runs", r#"{"profile":"\u0000"}"#, 404, missing),
        ("POST", "/runs", r#"{"profile":"json:raw","select":{"feeds":["none"]}}"#, 404, missing),
        ("POST", "/plans", r#"{"profile":"json:raw","select":{"feeds":["none"]}}"#, 404, missing),
        ("POST", "/runs", r#"{"profile":"/etc/passwd"}"#, 404, missing),
        ("POST", "/runs", r#"{"profile":"json:raw","redaction":"/etc/passwd"}"#, 422, invalid),
        ("POST", "/runs", r#"{"profile":"json:raw","allowEmpty":["x"]}"#, 422, invalid),
        ("POST", "/plans", r#"{"profile":"json:raw","select":{"kinds":["x"]}}"#, 422, invalid),
        ("POST", "/runs/r-9/cancel", "", 404, missing),
        ("POST", "/runs/r-9/retry", "", 404, missing),
        ("GET", "/runs/r-9/parts/../../etc/passwd", "", 404, missing),
        ("PUT", "/profiles/nightly", &profile(""), 428, usage),
        ("GET", "/profiles/none", "", 404, missing),
        ("GET", "/feeds/none/quarantine", "", 404, missing),
        ("GET", "/profiles/%2e%2e%2f", "", 404, missing),
        ("DELETE", "/profiles/none", "", 428, usage),
        ("GET", "/audit?limit=0", "", 400, usage),
        ("POST", "/tokens", r#"{"name":"x"}"#, 422, invalid),
        ("POST", "/tokens", r#"{"name":"x","role":"root"}"#, 422, invalid),
        ("POST", "/tokens", r#"{"name":"x","scopes":["all"]}"#, 422, invalid),
        ("POST", "/tokens", r#"{"name":"","role":"viewer"}"#, 422, invalid),
        ("POST", "/tokens", r#"{"name":"x","role":"viewer","expiresInDays":0}"#, 422, invalid),
        ("DELETE", "/tokens/AAAAAAAAAAA", "", 404, missing),
        ("PUT", "/quotas", r#"{"queuedRuns":1}"#, 405, usage),
    ];
    for (method, path, body, status, code) in checks {
        let answer = server.ask(method, path, &[], body);
        assert_eq!(answer.problem(), (*status, (*code).to_owned()), "{method} {path} {body}");
        let trace = answer.json()["traceId"].clone();
        assert_eq!(answer.header("x-trace-id"), trace.as_str(), "{answer:?}");
    }
    // What is wrong with which member, and what to do in the words of the interface.
    for (path, body, member) in [
        ("/plans", r#"{"profile":"json:raw","select":{"kinds":["x"]}}"#, "select.kinds"),
        ("/runs", r#"{"profile":"json:raw","select":{"feeds":["none"]}}"#, "select.feeds"),
        ("/runs", r#"{"profile":"json:raw","asOf":"soon"}"#, "asOf"),
        ("/tokens", "1", ""),
    ] {
        let problem = server.ask("POST", path, &[], body).json();
        assert_eq!(problem["details"][0]["path"], member, "{problem}");
        let hint = problem["hint"].as_str().expect("a hint");
        assert!(!hint.contains("--") && !hint.contains("stella "), "{hint}");
    }
    // Where the service keeps its files is nobody's business.
    let another = Server::start(&dir.path().join("another"), None);
    let missing = another.ask("GET", "/feeds/npm", &[], "");
    let told = String::from_utf8_lossy(&missing.body).into_owned();
    let names_a_file = told.contains("DATA") || elsewhere::is_used();
    assert!(missing.status == 404 && names_a_file, "{told}");
    assert!(!told.contains(dir.path().to_str().expect("UTF-8")), "{told}");
    let new = [("If-None-Match", "*")];
    for (rest, member) in [
        (r#","max-drop":101"#, "max-drop"),
        (r#","redaction":"/etc/passwd""#, "redaction"),
        (r#","select":{"kinds":["colour"]}"#, "select.kinds"),
        (r#","colour":1"#, ""),
    ] {
        let answer = server.ask("PUT", "/profiles/nightly", &new, &profile(rest));
        assert_eq!(answer.problem(), (422, invalid.to_owned()), "{rest}");
        assert_eq!(answer.json()["details"][0]["path"], member, "{answer:?}");
    }
    let stale = [("If-Match", "\"3\"")];
    let answer = server.ask("PUT", "/profiles/nightly", &stale, &profile(""));
    assert_eq!(answer.problem(), (412, conflict.to_owned()));
    let large = format!(r#"{{"profile":"{}"}}"#, "x".repeat(2 << 20));
    assert_eq!(server.ask("POST", "/runs", &[], &large).problem(), (413, usage.to_owned()));
    let bearer = format!("Bearer {}", server.token);
    let plain = [("Authorization", bearer.as_str()), ("Content-Type", "text/plain")];
    let answer = server.bare("POST", "/api/export/v1/runs", &plain, "{}");
    assert_eq!(answer.problem(), (415, usage.to_owned()));
    let foreign = server.ask("GET", "/runs", &[("X-Stella-Tenant", "other")], "");
    assert_eq!(foreign.problem().0, 403);
    assert_eq!(server.ask("GET", "/runs", &[("X-Stella-Tenant", "local")], "").status, 200);
}

#[test]
fn parameters_that_a_request_does_not_take_are_refused_before_anything_is_done() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start(dir.path(), None);
    let tokens = server.ask("GET", "/tokens", &[], "").json();
    let (mut without, mut with) = (0, 0);
    for operation in operations().into_iter().filter(|operation| operation.scopes.is_some()) {
        let Operation { method, path, takes_parameters, .. } = operation;
        let body = match &*path {
            "/runs" => r#"{"profile":"mirror:full"}"#,
            "/tokens" => r#"{"name":"x","scopes":["export:read"]}"#,
            _ => "",
        };
        let usage = (400, "ERR_EXPORT_USAGE".to_owned());
        let answer = server.ask(&method, &format!("{path}?colour=blue"), &[], body);
        assert_eq!(answer.problem(), usage, "{method} {path}");
        let told = answer.json()["message"].to_string();
        assert!(told.contains("`colour`"), "{method} {path}: {told}");
        if takes_parameters {
            with += 1;
            continue;
        }
        let answer = server.ask(&method, &format!("{path}?&dryRun=true"), &[], body);
        assert_eq!(answer.problem(), usage, "{method} {path}");
        without += 1;
    }
    assert!(without > 20 && with > 5, "{without} without, {with} with");
    assert_eq!(server.ask("GET", "/tokens", &[], "").json(), tokens);
    assert_eq!(server.ask("GET", "/runs", &[], "").json()["items"], serde_json::json!([]));
    assert_eq!(server.ask("GET", "/me?", &[], "").status, 200);
    // Whoever looks whether the service runs may ask as they like.
    assert_eq!(server.bare("GET", "/api/export/v1/health?probe=1", &[], "").status, 200);
}

#[test]
pub(crate) fn who_asks_too_often_has_to_wait() {
    let dir = stella_testkit::temp_dir();
    let server = Server::start_with(dir.path(), None, &["--rate", "1"]);
    let answers: Vec<_> = (0..12).map(|_| server.ask("GET", "/me", &[], "")).collect();
    assert!(answers[..10].iter().all(|answer| answer.status == 200), "{answers:?}");
    let refused = answers.iter().find(|answer| answer.status != 200).expect("is refused");
    assert_eq!(refused.problem(), (429, "ERR_EXPORT_QUOTA".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[test]
fn who_takes_nothing_of_the_answers_is_sent_away() {
    if !stella_testkit::full() {
        eprintln!("not tried: it takes more than a minute");
        return;
    }
    const ASKED: usize = 500;
    let dir = stella_testkit::temp_dir();
    let server = Server::start(dir.path(), None);
    let path = "/api/export/v1/openapi.json";
    let size = server.bare("GET", path, &[], "").body.len();
    let mut stream = TcpStream::connect(&server.address).expect("is there");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    stream.write_all(request.repeat(ASKED).as_bytes()).expect("is taken");
    std::thread::sleep(Duration::from_secs(75));
    // What the system holds is still there, and nothing comes after it.
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("can be set");
    let (mut taken, mut piece) = (0, vec![0; 1 << 16]);
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        taken += read;
    }
    assert!(taken > 0 && taken < size * ASKED, "{taken} bytes of {}", size * ASKED);
}
