//! Runs, from the request to the bundle.

use serde_json::{Value, json};
use stella_model::Digest;

use crate::elsewhere;
use crate::server::{Server, ingest};

#[test]
pub(crate) fn a_run_is_started_watched_and_fetched() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start(dir.path(), None);
    let started = server.start_run("json:raw", &[("Idempotency-Key", "k-1")]);
    assert_eq!(
        (started.status, started.header("location")),
        (201, Some("/api/export/v1/runs/r-1"))
    );
    let again = server.start_run("json:raw", &[("Idempotency-Key", "k-1")]);
    assert_eq!((again.status, &again.json()["id"]), (200, &json!("r-1")));
    let other = server.start_run("mirror:full", &[("Idempotency-Key", "k-1")]);
    assert_eq!(other.problem(), (409, "ERR_EXPORT_CONFLICT".to_owned()));
    // The stream ends with the run, and goes on where it was left.
    let told = server.ask("GET", "/runs/r-1/events", &[], "");
    assert_eq!(told.header("content-type"), Some("text/event-stream"));
    let text = String::from_utf8(told.body).expect("is text");
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert!(text.contains(r#"{"type":"status","from":"running","to":"succeeded"}"#), "{text}");
    let rest = server.ask("GET", "/runs/r-1/events", &[("Last-Event-ID", ids[2])], "");
    let rest = String::from_utf8(rest.body).expect("is text");
    let later: Vec<&str> = rest.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(later, ids[3..]);
    let run = server.wait("r-1");
    assert_eq!((&run["status"], &run["attempt"]), (&json!("succeeded"), &json!(1)), "{run}");
    let manifest = server.ask("GET", "/runs/r-1/manifest", &[], "");
    assert_eq!(run["exportDigest"], json!(Digest::of(&manifest.body).to_string()));
    let listed = server.ask("GET", "/runs?status=succeeded&limit=1", &[], "").json();
    assert_eq!((&listed["items"][0]["id"], &listed["next"]), (&json!("r-1"), &Value::Null));
}

#[test]
pub(crate) fn a_run_that_ended_is_repeated_as_a_run_of_its_own() {
    let dir = stella_testkit::temp_dir();
    let server = Server::start(dir.path(), None);
    // There is no evidence yet.
    server.start_run("mirror:full", &[]);
    let failed = server.wait("r-1");
    assert_eq!(failed["status"], json!("failed"), "{failed}");
    // A file comes with the first evidence; a database is there before it.
    let code = if elsewhere::is_used() { "ERR_EXPORT_EMPTY" } else { "ERR_EXPORT_NOT_FOUND" };
    assert_eq!(failed["failure"]["code"], json!(code), "{failed}");
    let fetched = server.ask("GET", "/runs/r-1/bundle.tar", &[], "");
    assert_eq!(fetched.problem(), (409, "ERR_EXPORT_CONFLICT".to_owned()));
    let cancelled = server.ask("POST", "/runs/r-1/cancel", &[], "");
    assert_eq!(cancelled.problem(), (409, "ERR_EXPORT_CONFLICT".to_owned()));
    assert_eq!(cancelled.json()["hint"], "GET /runs/r-1 tells how it ended");
    ingest(dir.path());
    let retried = server.ask("POST", "/runs/r-1/retry", &[], "");
    assert_eq!((retried.status, &retried.json()["retryOf"]), (201, &json!("r-1")));
    assert_eq!(server.wait("r-2")["status"], json!("succeeded"));
    assert_eq!(server.wait("r-1")["status"], json!("failed"));
}

#[test]
pub(crate) fn what_a_run_read_and_where_it_is_can_be_asked_for() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start(dir.path(), None);
    let plan = server.ask("POST", "/plans", &[], r#"{"profile":"mirror:full"}"#);
    assert_eq!(plan.status, 200, "{plan:?}");
    let plan = plan.json();
    server.start_run("mirror:full", &[]);
    let run = server.wait("r-1");
    assert_eq!(run["planHash"], plan["planHash"], "a plan is what a run does");
    let get = |path: &str| server.ask("GET", &format!("/runs/r-1{path}"), &[], "").json();
    let inputs = get("/inputs");
    let records = |input: &Value| input["records"].as_u64().expect("a number");
    let items = inputs["items"].as_array().expect("inputs");
    assert_eq!(Some(items.iter().map(records).sum::<u64>()), plan["records"].as_u64(), "{inputs}");
    assert_eq!(
        get("/distributions")["items"],
        json!([{ "target": "http", "state": "verified", "exportDigest": run["exportDigest"],
                 "bytes": run["bundleBytes"] }])
    );
    let manifest = get("/manifest");
    let parts = get("/parts");
    let paths = |value: &Value, from: &str| {
        let items = value[from].as_array().expect("a list").iter();
        items.map(|item| item["path"].as_str().expect("a path").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&parts, "items"), paths(&manifest, "parts"));
    let statement = get("/provenance");
    assert_eq!(statement["subject"][0]["name"], json!("export.json"), "{statement}");
    let part = &parts["items"][0];
    let path = format!("/runs/r-1/parts/{}", part["path"].as_str().expect("a path"));
    let fetched = server.ask("GET", &path, &[], "");
    assert_eq!(json!(Digest::of(&fetched.body).to_string()), part["digest"]);
    assert!(fetched.header("repr-digest").is_some_and(|digest| digest.starts_with("sha-256=:")));
    let usage = server.ask("GET", "/quotas", &[], "").json();
    assert_eq!(usage["used"]["storedBytes"], run["bundleBytes"], "{usage}");
}

#[test]
pub(crate) fn a_profile_of_a_tenant_is_run_as_it_was_when_the_run_was_accepted() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start(dir.path(), None);
    let toml = [("Content-Type", "application/toml"), ("If-None-Match", "*")];
    let bearer = format!("Bearer {}", server.token);
    let headers = [&[("Authorization", bearer.as_str())], &toml[..]].concat();
    let text = "name = \"nightly\"\noutputs = [\"json:raw\"]\n";
    let path = "/api/export/v1/profiles/nightly";
    let made = server.bare("PUT", path, &headers, text);
    assert_eq!((made.status, made.header("etag")), (201, Some("\"1\"")), "{made:?}");
    server.start_run("nightly", &[]);
    let first = server.wait("r-1");
    let seen = [("If-Match", "\"1\"")];
    let json = r#"{"name":"nightly","outputs":["mirror:full"]}"#;
    let dry = server.ask("PUT", "/profiles/nightly?dryRun=true", &seen, json);
    assert_eq!((dry.status, &dry.json()["revision"]), (200, &json!(2)));
    let once = [seen[0], ("Idempotency-Key", "p-2")];
    for _ in 0..2 {
        let changed = server.ask("PUT", "/profiles/nightly", &once, json);
        assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")), "{changed:?}");
    }
    server.start_run("nightly", &[]);
    assert_eq!(server.wait("r-2")["revision"], json!(2));
    // Repeated with the profile of then.
    server.ask("POST", "/runs/r-1/retry", &[], "");
    let repeated = server.wait("r-3");
    assert_eq!((&repeated["revision"], &repeated["planHash"]), (&json!(1), &first["planHash"]));
    let listed = server.ask("GET", "/profiles", &[], "").json();
    let own = listed["items"].as_array().expect("profiles").last().cloned().expect("one");
    assert_eq!(own["profile"]["outputs"], json!(["mirror:full"]), "{own}");
    assert_eq!(server.ask("DELETE", "/profiles/nightly", &[("If-Match", "\"2\"")], "").status, 204);
    assert_eq!(server.ask("GET", "/profiles/nightly", &[], "").status, 404);
    let history = server.ask("GET", "/profiles/nightly/revisions", &[], "").json();
    assert_eq!(history["items"].as_array().map(Vec::len), Some(3), "{history}");
}

#[test]
pub(crate) fn one_stream_tells_of_all_runs_and_a_stream_that_is_over_says_so() {
    use std::io::Read as _;
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start(dir.path(), None);
    let bearer = format!("Bearer {}", server.token);
    let headers = [("Authorization", bearer.as_str())];
    let mut stream = server.send("GET", "/api/export/v1/events", &headers, "");
    let mut told = String::new();
    let mut piece = [0; 4096];
    // The head of the answer comes at once: from here on everything is told.
    while !told.contains("\r\n\r\n") {
        let read = stream.read(&mut piece).expect("reads");
        told.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    for _ in 0..2 {
        server.start_run("json:raw", &[]);
    }
    let over = |run: &str| {
        format!(
            r#"{{"run":"{run}","event":{{"type":"status","from":"running","to":"succeeded"}}}}"#
        )
    };
    while !(told.contains(&over("r-1")) && told.contains(&over("r-2"))) {
        let read = stream.read(&mut piece).expect("reads");
        assert!(read > 0, "{told}");
        told.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    let events = server.ask("GET", "/runs/r-1/events", &[], "");
    let text = String::from_utf8(events.body).expect("is text");
    let last =
        text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().expect("an id");
    let rest = server.ask("GET", "/runs/r-1/events", &[("Last-Event-ID", last)], "");
    assert_eq!(rest.status, 204, "{rest:?}");
}

#[test]
pub(crate) fn figures_are_told_to_the_operator_alone() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let (server, operations) = Server::start_with_operations(dir.path());
    server.start_run("mirror:full", &[]);
    let run = server.wait("r-1");
    let text = crate::server::get(&operations, "/metrics");
    for expected in [
        r#"exporter_run_duration_seconds_count{profile_kind="mirror:full",status="succeeded"} 1"#,
        &format!("exporter_bundle_bytes_total {}", run["bundleBytes"]),
        "exporter_active_runs 0",
        "exporter_queue_depth 0",
        r#"exporter_task_duration_seconds_count{task="seal",outcome="done"} 1"#,
        "# EOF",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert_eq!(server.bare("GET", "/metrics", &[], "").status, 404);
}
