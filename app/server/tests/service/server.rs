//! The real program and clients of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant as Clock};

use serde_json::{Value, json};
use stella_engine::{Cancel, IngestRequest, NoProgress, Store};
use stella_ledger::{FeedSpec, IngestMode};
use stella_model::Instant;
use stella_testkit::Osv;

use crate::elsewhere;

/// How long anything may take.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// A port of this machine that is free.
const NOWHERE: &str = "127.0.0.1:0";

/// A running service.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: String,
    pub(crate) token: String,
    pub(crate) data: PathBuf,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    /// With the beginning of the body: a bundle is long and no text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: String = String::from_utf8_lossy(&self.body).chars().take(2_000).collect();
        write!(f, "{}\n\n{} bytes: {}", self.head, self.body.len(), text.escape_debug())
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The status and the code of an error.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["status"], self.status, "{self:?}");
        assert!(body["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{self:?}");
        (self.status, body["code"].as_str().unwrap_or_default().to_owned())
    }
}

impl Server {
    pub(crate) fn start(data: &Path, token: Option<&str>) -> Server {
        Server::start_with(data, token, &[])
    }

    /// With figures for the operator; gives the address of those too.
    pub(crate) fn start_with_operations(data: &Path) -> (Server, String) {
        Server::start_observed(data, None, &[])
    }

    /// With figures for the operator, and with a log in a file if one is named, as JSON.
    pub(crate) fn start_observed(
        data: &Path,
        log: Option<&Path>,
        more: &[&str],
    ) -> (Server, String) {
        let more = [&["--operations-listen", NOWHERE], more].concat();
        let (server, mut line) = Server::launch(data, None, log, &more);
        let operations = address_in(&line());
        (server, operations)
    }

    pub(crate) fn start_with(data: &Path, token: Option<&str>, more: &[&str]) -> Server {
        Server::launch(data, token, None, more).0
    }

    /// The server, listening; and what else it says.
    fn launch(
        data: &Path,
        token: Option<&str>,
        log: Option<&Path>,
        more: &[&str],
    ) -> (Server, impl FnMut() -> String + use<>) {
        let mut command = program(data);
        command.args(["serve", "--listen", NOWHERE]).args(more);
        if !more.contains(&"--lease") {
            command.args(["--lease", "1"]);
        }
        logged(&mut command, log);
        command.arg("--unsigned-for-testing").stdout(Stdio::piped());
        let mut process = command.spawn().expect("starts");
        let mut lines = BufReader::new(process.stdout.take().expect("is piped")).lines();
        let mut line = move || lines.next().expect("says where it listens").expect("is text");
        let token = match token {
            Some(token) => token.to_owned(),
            None => line().rsplit(' ').next().expect("a word").to_owned(),
        };
        let address = address_in(&line());
        (Server { process, address, token, data: data.to_owned() }, line)
    }

    /// With a bundle of a document of so many bytes, and of what is there.
    pub(crate) fn with_large_bundle(data: &Path, bytes: usize, more: &[&str]) -> Server {
        let server = Server::start_with(data, None, more);
        let evidence = String::from_utf8(large(bytes)).expect("is text");
        assert_eq!(server.ask("POST", "/feeds/large/records", &[], &evidence).status, 200);
        server.start_run("mirror:full", &[]);
        assert_eq!(server.wait("r-1")["status"], json!("succeeded"));
        server
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) {
        end(&mut self.process);
    }

    /// Kills it as a pulled plug would, and starts it again.
    pub(crate) fn kill(mut self) -> Server {
        self.process.kill().expect("runs");
        self.process.wait().expect("ends");
        Server::start(&self.data, Some(&self.token))
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> TcpStream {
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
    pub(crate) fn bare(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
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

    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        self.as_somebody(&self.token).ask(method, path, headers, body)
    }

    /// A tenant beside the first one; gives the token of its administrator.
    pub(crate) fn add_tenant(&self, name: &str) -> String {
        let made = program(&self.data).args(["tenant", name]).output().expect("runs");
        let told = String::from_utf8(made.stdout).expect("is text");
        let token = told.trim().rsplit(' ').next().expect("a word").to_owned();
        assert!(token.starts_with(&format!("ec1.{name}/")), "{told}");
        token
    }

    /// The same server as somebody else sees it.
    pub(crate) fn as_somebody<'a>(&'a self, token: &'a str) -> Client<'a> {
        Client { server: self, token }
    }

    pub(crate) fn start_run(&self, profile: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("POST", "/runs", headers, &json!({ "profile": profile }).to_string())
    }

    /// Waits until a run has ended.
    pub(crate) fn wait(&self, id: &str) -> Value {
        let begun = Clock::now();
        loop {
            let run = self.ask("GET", &format!("/runs/{id}"), &[], "").json();
            if is_over(&run) {
                return run;
            }
            assert!(begun.elapsed() < LONGEST, "{run}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// As [`wait`](Self::wait), of a service that has just lost its database.
    pub(crate) fn wait_patiently(&self, id: &str) -> Value {
        let begun = Clock::now();
        loop {
            let answer = self.ask("GET", &format!("/runs/{id}"), &[], "");
            if answer.status == 200 && is_over(&answer.json()) {
                return answer.json();
            }
            assert!(matches!(answer.status, 200 | 503), "{answer:?}");
            assert!(begun.elapsed() < LONGEST, "{answer:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What a run is that is over.
fn is_over(run: &Value) -> bool {
    let status = run["status"].as_str().expect("a status");
    !["queued", "running", "retrying"].contains(&status)
}

/// Somebody with a token.
pub(crate) struct Client<'a> {
    server: &'a Server,
    token: &'a str,
}

impl Client<'_> {
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let json = ("Content-Type", "application/json");
        let all = [&[("Authorization", bearer.as_str()), json], headers].concat();
        self.server.bare(method, &whole(path), &all, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The program, on a data directory.
pub(crate) fn program(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_export-center"));
    command.env_clear().env("EXPORT_CENTER_DATA", data).stdin(Stdio::null());
    command.envs(stella_peers::SeaweedFs::CREDENTIALS);
    elsewhere::tell(&mut command, data);
    // Tests do not wait five seconds for spans.
    command.env("OTEL_BSP_SCHEDULE_DELAY", "100");
    command
}

/// Lets a program log all that it does to a file, as JSON; without one, errors alone.
fn logged(command: &mut Command, log: Option<&Path>) {
    match log {
        None => command.args(["--log", "error"]),
        Some(path) => command
            .args(["--log", "debug,hyper_util=off,sqlx=off", "--log-format", "json"])
            .stderr(std::fs::File::create(path).expect("writes")),
    };
}

/// Asks a process to end, and waits until it has.
fn end(process: &mut Child) {
    let id = rustix::process::Pid::from_child(process);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("runs");
    let ended = process.wait().expect("ends");
    assert!(ended.success(), "{ended}");
}

/// A worker beside a server.
pub(crate) struct Beside(Child);

impl Beside {
    pub(crate) fn start(data: &Path, more: &[&str]) -> Beside {
        Beside::start_logged(data, None, more)
    }

    /// With a log in a file if one is named, as JSON.
    pub(crate) fn start_logged(data: &Path, log: Option<&Path>, more: &[&str]) -> Beside {
        let mut command = program(data);
        command.args(["worker", "--unsigned-for-testing", "--workers", "2"]).args(more);
        logged(&mut command, log);
        Beside(command.spawn().expect("starts"))
    }

    pub(crate) fn process(&mut self) -> &mut Child {
        &mut self.0
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) {
        end(&mut self.0);
    }

    pub(crate) fn kill(&mut self) {
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

/// A path with its base, which that of the export of the ledger does not have.
pub(crate) fn whole(path: &str) -> String {
    let base = if path.starts_with("/ledger/") { "" } else { "/api/export/v1" };
    format!("{base}{path}")
}

/// The host and the port that a line tells.
fn address_in(line: &str) -> String {
    let (_, rest) = line.split_once("://").unwrap_or_else(|| panic!("{line}"));
    rest.split('/').next().expect("a word").to_owned()
}

/// What an address says to whoever asks.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connects");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("is sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("is answered");
    text
}

/// The bytes of a chunked body.
pub(crate) fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).expect("is text");
        let size = usize::from_str_radix(size, 16).expect("a size");
        bytes.extend(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    bytes
}

pub(crate) fn ingest(data: &Path) {
    ingest_into(&elsewhere::store(data));
}

pub(crate) fn ingest_into(store: &Store) {
    for folder in ["advisories", "sbom", "vex", "findings"] {
        take_in(store, folder, stella_testkit::samples().join(folder));
    }
}

/// A document of so many bytes that does not become small.
pub(crate) fn large(bytes: usize) -> Vec<u8> {
    Osv::new("TEST-LARGE").affects("npm", "left-pad", "1.3.0").padded(bytes).bytes()
}

/// Takes in a document of so many bytes.
pub(crate) fn ingest_large(store: &Store, bytes: usize) {
    let dir = stella_testkit::temp_dir();
    let path = dir.path().join("large.json");
    std::fs::write(&path, large(bytes)).expect("writes");
    take_in(store, "large", path);
}

fn take_in(store: &Store, feed: &str, path: PathBuf) {
    let request = IngestRequest {
        feed: FeedSpec::named(feed.parse().expect("a feed")),
        paths: vec![path],
        mode: IngestMode::Merge,
        threads: 1,
        dry_run: false,
        now: Instant::parse("2026-11-23T12:00:00Z").expect("a time"),
    };
    stella_engine::ingest(store, &request, &NoProgress, &Cancel::new()).expect("ingests");
}

/// The names in a tar.
pub(crate) fn names_in(path: &Path) -> Vec<String> {
    let listed = Command::new("tar").arg("-tf").arg(path).output().expect("tar runs");
    assert!(listed.status.success(), "{listed:?}");
    String::from_utf8(listed.stdout).expect("is text").lines().map(str::to_owned).collect()
}
