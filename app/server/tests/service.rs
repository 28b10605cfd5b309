//! The service as clients meet it: the real program, over HTTP, killed in the middle.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant as Clock};

use serde_json::{Value, json};
use stella_engine::{Cancel, IngestRequest, NoProgress, Store};
use stella_ledger::{FeedSpec, IngestMode};
use stella_model::{Digest, Instant};
use stella_peers::Postgres;

/// How long anything may take.
const LONGEST: Duration = Duration::from_secs(60);

/// A running service.
struct Server {
    process: Child,
    address: String,
    token: String,
    data: PathBuf,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The status and the code of an error.
    fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status, "{self:?}");
        assert!(body["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{self:?}");
        (self.status, body["code"].as_str().unwrap_or_default().to_owned())
    }
}

impl Server {
    fn start(data: &Path, token: Option<&str>) -> Server {
        Server::start_with(data, token, &[])
    }

    fn start_with(data: &Path, token: Option<&str>, more: &[&str]) -> Server {
        let mut command = program(data);
        command.args(["serve", "--listen", "127.0.0.1:0", "--lease", "1"]).args(more);
        command.arg("--unsigned-for-testing").stdout(Stdio::piped());
        let mut process = command.spawn().expect("starts");
        let mut lines = BufReader::new(process.stdout.take().expect("is piped")).lines();
        let mut line = || lines.next().expect("says where it listens").expect("is text");
        let token = match token {
            Some(token) => token.to_owned(),
            None => line().rsplit(' ').next().expect("a word").to_owned(),
        };
        let told = line();
        let (_, address) = told.split_once("http://").unwrap_or_else(|| panic!("{told}"));
        let address = address.split('/').next().expect("a word").to_owned();
        Server { process, address, token, data: data.to_owned() }
    }

    /// Kills it as a pulled plug would, and starts it again.
    fn kill(mut self) -> Server {
        self.process.kill().expect("runs");
        self.process.wait().expect("ends");
        Server::start(&self.data, Some(&self.token))
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("connects");
        stream.set_read_timeout(Some(LONGEST)).expect("is set");
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).expect("is sent");
        stream
    }

    /// Asks without saying who.
    fn bare(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut bytes = Vec::new();
        self.send(method, path, headers, body).read_to_end(&mut bytes).expect("is answered");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).expect("is text");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut body = bytes[end + 4..].to_vec();
        let answer = Answer { status, head, body: Vec::new() };
        if answer.header("transfer-encoding") == Some("chunked") {
            body = unchunked(&body);
        }
        Answer { body, ..answer }
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let json = ("Content-Type", "application/json");
        let all = [&[("Authorization", bearer.as_str()), json], headers].concat();
        self.bare(method, &format!("/api/export/v1{path}"), &all, body)
    }

    fn start_run(&self, profile: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("POST", "/runs", headers, &json!({ "profile": profile }).to_string())
    }

    /// Waits until a run has ended.
    fn wait(&self, id: &str) -> Value {
        let begun = Clock::now();
        loop {
            let run = self.ask("GET", &format!("/runs/{id}"), &[], "").json();
            let status = run["status"].as_str().expect("a status");
            if !["queued", "running", "retrying"].contains(&status) {
                return run;
            }
            assert!(begun.elapsed() < LONGEST, "{run}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The program, on a data directory.
fn program(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_export-center"));
    command.env_clear().env("EXPORT_CENTER_DATA", data).stdin(Stdio::null());
    command
}

/// A worker beside a server.
struct Beside(Child);

impl Beside {
    fn start(data: &Path, more: &[&str]) -> Beside {
        let mut command = program(data);
        command.args(["worker", "--unsigned-for-testing", "--workers", "2"]).args(more);
        Beside(command.spawn().expect("starts"))
    }

    fn kill(&mut self) {
        self.0.kill().expect("runs");
        self.0.wait().expect("ends");
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The bytes of a chunked body.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).expect("is text");
        let size = usize::from_str_radix(size, 16).expect("a size");
        bytes.extend(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    bytes
}

fn ingest(data: &Path) {
    ingest_into(&Store::at(data));
}

fn ingest_into(store: &Store) {
    for folder in ["advisories", "sbom", "vex", "findings"] {
        let request = IngestRequest {
            feed: FeedSpec::named(folder.parse().expect("a feed")),
            paths: vec![stella_testkit::samples().join(folder)],
            mode: IngestMode::Merge,
            threads: 1,
            dry_run: false,
            now: Instant::parse("2026-11-23T12:00:00Z").expect("a time"),
        };
        stella_engine::ingest(store, &request, &NoProgress, &Cancel::new()).expect("ingests");
    }
}

#[test]
fn a_run_is_started_watched_and_fetched() {
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
fn any_range_of_a_bundle_can_be_fetched() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start(dir.path(), None);
    server.start_run("mirror:full", &[]);
    server.wait("r-1");
    let get = |headers: &[(&str, &str)]| server.ask("GET", "/runs/r-1/bundle.tar", headers, "");
    let all = get(&[]);
    let size = all.body.len();
    assert_eq!((all.status, all.header("content-length")), (200, Some(size.to_string().as_str())));
    assert_eq!(&all.body[..11], b"export.json");
    let head = server.ask("HEAD", "/runs/r-1/bundle.tar", &[], "");
    assert_eq!((head.header("content-length"), head.body.len()), (all.header("content-length"), 0));
    let etag = all.header("etag").expect("a tag").to_owned();
    let part = get(&[("Range", "bytes=1000-4999"), ("If-Range", &etag)]);
    let told = format!("bytes 1000-4999/{size}");
    assert_eq!((part.status, part.header("content-range")), (206, Some(told.as_str())));
    assert!(part.body == all.body[1000..5000]);
    let tail = get(&[("Range", "bytes=-1500")]);
    assert!(tail.body == all.body[size - 1500..]);
    assert_eq!(get(&[("Range", "bytes=0-0"), ("If-Range", "\"other\"")]).status, 200);
    assert_eq!(get(&[("If-None-Match", &etag)]).status, 304);
    let beyond = get(&[("Range", &format!("bytes={size}-"))]);
    assert_eq!(beyond.problem(), (416, "ERR_EXPORT_USAGE".to_owned()));
    assert_eq!(beyond.header("content-range"), Some(format!("bytes */{size}").as_str()));
    // What was fetched verifies, as any bundle does.
    let path = dir.path().join("fetched.tar");
    std::fs::write(&path, &all.body).expect("writes");
    let names = names_in(&path);
    assert!(names.contains(&"SHA256SUMS".to_owned()), "{names:?}");
}

/// The names in a tar.
fn names_in(path: &Path) -> Vec<String> {
    let listed = Command::new("tar").arg("-tf").arg(path).output().expect("tar runs");
    assert!(listed.status.success(), "{listed:?}");
    String::from_utf8(listed.stdout).expect("is text").lines().map(str::to_owned).collect()
}

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

#[test]
fn nobody_gets_in_without_a_token_and_bad_requests_say_what_is_wrong() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start(dir.path(), None);
    let base = "/api/export/v1";
    let denied = (401, "ERR_EXPORT_NOT_ALLOWED".to_owned());
    for path in ["/runs", "/runs/r-1", "/runs/r-1/bundle.tar", "/runs/r-1/events"] {
        let path = format!("{base}{path}");
        assert_eq!(server.bare("GET", &path, &[], "").problem(), denied, "{path}");
        for bad in ["Bearer x", "Basic YTpi", "Bearer ec1.local/AAAAAAAAAAA/x", "Bearer "] {
            let answer = server.bare("GET", &path, &[("Authorization", bad)], "");
            assert_eq!(answer.problem(), denied, "{path} {bad}");
        }
    }
    assert_eq!(server.bare("GET", &format!("{base}/health"), &[], "").status, 200);
    assert_eq!(server.bare("GET", &format!("{base}/ready"), &[], "").status, 200);
    let checks = [
        ("GET", "/runs/r-9", "", 404, "ERR_EXPORT_NOT_FOUND"),
        ("GET", "/runs/9", "", 404, "ERR_EXPORT_NOT_FOUND"),
        ("GET", "/runs/r-09", "", 404, "ERR_EXPORT_NOT_FOUND"),
        ("GET", "/runs?status=done", "", 400, "ERR_EXPORT_USAGE"),
        ("GET", "/runs?limit=0", "", 400, "ERR_EXPORT_USAGE"),
        ("GET", "/runs?cursor=x", "", 400, "ERR_EXPORT_USAGE"),
        ("GET", "/runs?colour=red", "", 400, "ERR_EXPORT_USAGE"),
        ("GET", "/nothing", "", 404, "ERR_EXPORT_NOT_FOUND"),
        ("DELETE", "/runs", "", 405, "ERR_EXPORT_USAGE"),
        ("POST", "/runs", "{", 422, "ERR_EXPORT_INVALID"),
        ("POST", "/runs", r#"{"profile":"json:raw","colour":1}"#, 422, "ERR_EXPORT_INVALID"),
        ("POST", "/runs", r#"{"profile":"none:such"}"#, 404, "ERR_EXPORT_NOT_FOUND"),
        ("POST", "/runs", r#"{"profile":"/etc/passwd"}"#, 404, "ERR_EXPORT_NOT_FOUND"),
        (
            "POST",
            "/runs",
            r#"{"profile":"json:raw","redaction":"/etc/passwd"}"#,
            422,
            "ERR_EXPORT_INVALID",
        ),
        (
            "POST",
            "/runs",
            r#"{"profile":"json:raw","allowEmpty":["x"]}"#,
            422,
            "ERR_EXPORT_INVALID",
        ),
        ("POST", "/runs/r-9/cancel", "", 404, "ERR_EXPORT_NOT_FOUND"),
        ("POST", "/runs/r-9/retry", "", 404, "ERR_EXPORT_NOT_FOUND"),
    ];
    for (method, path, body, status, code) in checks {
        let answer = server.ask(method, path, &[], body);
        assert_eq!(answer.problem(), (status, code.to_owned()), "{method} {path} {body}");
    }
    let foreign = server.ask("GET", "/runs", &[("X-Stella-Tenant", "other")], "");
    assert_eq!(foreign.problem().0, 403);
    assert_eq!(server.ask("GET", "/runs", &[("X-Stella-Tenant", "local")], "").status, 200);
}

#[test]
fn every_request_of_the_documentation_is_there_and_asks_who_comes() {
    let page = include_str!("../../../docs/modules/export-center/api.md");
    let dir = stella_testkit::temp_dir();
    let server = Server::start(dir.path(), None);
    let mut tried = 0;
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = row.split('|').skip(1);
        let request = cells.next().unwrap_or_default();
        let scope = cells.next().unwrap_or_default();
        let path = request.split(['`', ' ']).find(|word| word.starts_with('/')).expect("a path");
        let path = format!("/api/export/v1{}", path.replace("{id}", "r-1"));
        let methods = ["GET", "HEAD", "POST"].into_iter().filter(|method| request.contains(method));
        for method in methods {
            let expected = if scope.trim().is_empty() { 200 } else { 401 };
            assert_eq!(server.bare(method, &path, &[], "").status, expected, "{method} {path}");
            tried += 1;
        }
    }
    assert_eq!(tried, 10, "rows of the table that are understood");
}

#[test]
fn a_run_that_ended_is_repeated_as_a_run_of_its_own() {
    let dir = stella_testkit::temp_dir();
    let server = Server::start(dir.path(), None);
    // There is no evidence yet.
    server.start_run("mirror:full", &[]);
    let failed = server.wait("r-1");
    assert_eq!(failed["status"], json!("failed"), "{failed}");
    assert_eq!(failed["failure"]["code"], json!("ERR_EXPORT_NOT_FOUND"), "{failed}");
    let fetched = server.ask("GET", "/runs/r-1/bundle.tar", &[], "");
    assert_eq!(fetched.problem(), (409, "ERR_EXPORT_CONFLICT".to_owned()));
    let cancelled = server.ask("POST", "/runs/r-1/cancel", &[], "");
    assert_eq!(cancelled.problem(), (409, "ERR_EXPORT_CONFLICT".to_owned()));
    ingest(dir.path());
    let retried = server.ask("POST", "/runs/r-1/retry", &[], "");
    assert_eq!((retried.status, &retried.json()["retryOf"]), (201, &json!("r-1")));
    assert_eq!(server.wait("r-2")["status"], json!("succeeded"));
    assert_eq!(server.wait("r-1")["status"], json!("failed"));
}
