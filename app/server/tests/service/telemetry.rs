//! What the service tells of itself: spans as a collector reads them, and lines of the log.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use serde_json::{Value, json};
use stella_depot::Depot;
use stella_engine::Store;
use stella_model::TenantId;
use stella_peers::Postgres;
use stella_testkit::{Answered, WebServer};

use crate::server::{Beside, LONGEST, Server, get, ingest, ingest_into, program};

/// What a client is at.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// A collector that keeps what it is sent.
struct Collector(WebServer);

/// A span with who sent it.
#[derive(Debug, Clone)]
struct Sent {
    from: BTreeMap<String, String>,
    of: BTreeMap<String, String>,
    span: Span,
}

impl Sent {
    fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    fn is(&self, kind: SpanKind) -> bool {
        self.span.kind == kind as i32
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|it| it.value.clone()) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(|pair| (pair.key.clone(), text(&pair.value))).collect()
}

impl Collector {
    fn start() -> Collector {
        Collector(WebServer::start(|_| Answered::Bytes(Vec::new())))
    }

    /// All that it was sent, by name of the span.
    fn sent(&self) -> Vec<Sent> {
        let mut all = Vec::new();
        for asked in self.0.asked() {
            assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/traces"));
            assert_eq!(asked.header("content-type"), "application/x-protobuf");
            let request = ExportTraceServiceRequest::decode(&*asked.body).expect("is OTLP");
            for of_resource in request.resource_spans {
                let from = texts(&of_resource.resource.expect("says who").attributes);
                for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    let of = texts(&span.attributes);
                    all.push(Sent { from: from.clone(), of, span });
                }
            }
        }
        all
    }

    /// The spans of a trace, once there is one of each of these names.
    fn trace(&self, trace: &str, names: &[String]) -> Vec<Sent> {
        let begun = Instant::now();
        loop {
            let mut sent = self.sent();
            sent.retain(|sent| sent.trace() == trace);
            let has = |name: &&String| sent.iter().any(|sent| sent.span.name == **name);
            let missing: Vec<&String> = names.iter().filter(|name| !has(name)).collect();
            if missing.is_empty() {
                return sent;
            }
            assert!(begun.elapsed() < LONGEST, "{missing:?} are not among {sent:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether anything that came has these bytes in it.
    fn was_told(&self, secret: &str) -> bool {
        let has = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        self.0.asked().iter().any(|asked| has(&asked.body) || has(format!("{asked:?}").as_bytes()))
    }
}

fn names(run: &Value) -> Vec<String> {
    let tasks = run["tasks"].as_object().expect("tasks");
    tasks.keys().map(|task| format!("task {task}")).collect()
}

/// The lines of a log.
fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("reads");
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    text.lines().map(line).collect()
}

#[test]
fn one_trace_leads_from_a_client_over_the_service_to_a_worker_elsewhere() {
    let Some(postgres) = Postgres::start() else { return };
    let (catalog, ledger) = (postgres.database("catalog"), postgres.database("ledger"));
    let dir = stella_testkit::temp_dir();
    ingest_into(&Store::at(dir.path()).with_database(&ledger));
    let place = ["--catalog", &catalog, "--ledger", &ledger];
    let migrated = program(dir.path()).arg("migrate").args(place).status().expect("runs");
    assert!(migrated.success());
    let collector = Collector::start();
    let url = collector.0.url();
    let told = [&place[..], &["--otlp-endpoint", &url]].concat();
    let logs = ["server.log", "worker.log"].map(|name| dir.path().join(name));
    let (server, _) = Server::start_observed(
        dir.path(),
        Some(&logs[0]),
        &[&["--workers", "0", "--lease", "30"], &told[..]].concat(),
    );
    let worker = Beside::start_logged(dir.path(), Some(&logs[1]), &told);
    let started =
        server.start_run("mirror:full", &[("traceparent", &format!("00-{TRACE}-{SPAN}-01"))]);
    assert_eq!((started.status, started.header("x-trace-id")), (201, Some(TRACE)), "{started:?}");
    let run = server.wait("r-1");
    assert_eq!(run["status"], json!("succeeded"), "{run}");
    let request = "POST /api/export/v1/runs".to_owned();
    let sent = collector.trace(TRACE, &[&names(&run)[..], std::slice::from_ref(&request)].concat());

    let of_request: Vec<&Sent> = sent.iter().filter(|sent| sent.span.name == request).collect();
    let [of_request] = of_request[..] else { panic!("{sent:?}") };
    assert!(of_request.is(SpanKind::Server) && of_request.parent() == SPAN, "{of_request:?}");
    let expected = [
        ("http.request.method", "POST"),
        ("http.response.status_code", "201"),
        ("http.route", "/api/export/v1/runs"),
        ("url.scheme", "http"),
    ];
    assert_eq!(of_request.of, expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    assert_eq!(of_request.from["service.name"], "export-center");
    assert_eq!(of_request.from["service.version"], env!("CARGO_PKG_VERSION"));
    let tasks: Vec<&Sent> = sent.iter().filter(|sent| sent.is(SpanKind::Consumer)).collect();
    assert_eq!(tasks.len(), names(&run).len(), "{tasks:?}");
    for task in &tasks {
        assert_eq!(task.parent(), of_request.id(), "{task:?}");
        let instance = &task.from["service.instance.id"];
        assert_ne!(*instance, of_request.from["service.instance.id"]);
        assert!(task.of["export_center.worker"].starts_with(instance.as_str()), "{task:?}");
        let of = |name: &str| task.of[&format!("export_center.{name}")].as_str();
        assert_eq!((of("run"), of("tenant"), of("attempt")), ("1", "local", "1"));
        assert_eq!((of("outcome"), &task.span.name), ("done", &format!("task {}", of("task"))));
        assert!(of("waited_ms").parse::<i64>().is_ok_and(|waited| (0..60_000).contains(&waited)));
        assert!(task.span.end_time_unix_nano >= task.span.start_time_unix_nano);
    }
    let stages: Vec<&Sent> = sent.iter().filter(|sent| sent.is(SpanKind::Internal)).collect();
    for stage in ["plan", "pack", "seal", "distribute", "verify"] {
        let name = format!("stage {stage}");
        assert!(stages.iter().any(|stage| stage.span.name == name), "{name}: {stages:?}");
    }
    for stage in stages {
        assert!(tasks.iter().any(|task| task.id() == stage.parent()), "{stage:?}");
    }
    // What was sent, and what was logged, is nobody's secret.
    let secret = server.token.rsplit('/').next().expect("a secret").to_owned();
    assert!(secret.len() > 20 && !collector.was_told(&secret));
    assert!(!collector.was_told("postgres://") && !collector.was_told("mirror:full"));
    server.end();
    worker.end();
    check_logs(&logs.map(|path| lines(&path)), &secret);
}

/// The lines of a server and of its worker.
fn check_logs([server, worker]: &[Vec<Value>; 2], secret: &str) {
    let with = |lines: &[Value], message: &str| -> Vec<Value> {
        lines.iter().filter(|line| line["message"] == message).cloned().collect()
    };
    let ended = with(worker, "task ended");
    assert!(ended.len() >= 5 && with(worker, "task begun").len() == ended.len(), "{worker:?}");
    let over = with(worker, "run ended");
    assert_eq!((over.len(), &over[0]["status"]), (1, &json!("succeeded")));
    let accepted = with(server, "run accepted");
    assert_eq!(accepted.len(), 1, "{server:?}");
    for line in ended.iter().chain(&over).chain(&accepted) {
        let of = (&line["run"], &line["tenant"], &line["trace"]);
        assert_eq!(of, (&json!(1), &json!("local"), &json!(TRACE)), "{line}");
    }
    let requests = with(server, "request");
    assert!(requests.iter().any(|line| line["trace"] == TRACE && line["status"] == 201));
    assert!(requests.iter().all(|line| line["trace"].as_str().is_some_and(|id| id.len() == 32)));
    for line in server.iter().chain(worker) {
        assert!(!line.to_string().contains(secret), "{line}");
    }
}

#[test]
fn a_task_that_failed_says_so_and_what_nobody_samples_is_not_sent() {
    let dir = stella_testkit::temp_dir();
    let collector = Collector::start();
    let url = collector.0.url();
    let server = Server::start_with(dir.path(), None, &["--otlp-endpoint", &url]);
    // There is no evidence.
    let unsampled = format!("00-{}-{SPAN}-00", "c".repeat(32));
    server.start_run("mirror:full", &[("traceparent", &unsampled)]);
    server.wait("r-1");
    let sampled = format!("00-{TRACE}-{SPAN}-01");
    server.start_run("mirror:full", &[("traceparent", &sampled)]);
    assert_eq!(server.wait("r-2")["failure"]["code"], json!("ERR_EXPORT_NOT_FOUND"));
    let missing = server.ask("GET", "/runs/r-9", &[("traceparent", &sampled)], "");
    assert_eq!((missing.json()["traceId"].as_str(), missing.status), (Some(TRACE), 404));
    // A header that is none is as if there were none.
    let own = server.ask("GET", "/me", &[("traceparent", "00-x-y-z")], "");
    let own = own.header("x-trace-id").expect("a trace").to_owned();
    // What is left is sent at the end.
    server.end();
    let sent = collector.trace(TRACE, &["task plan".to_owned()]);
    let task = sent.iter().find(|sent| sent.span.name == "task plan").expect("is there");
    assert_eq!(task.of["error.type"], "ERR_EXPORT_NOT_FOUND");
    assert_eq!(task.of["export_center.outcome"], "failed");
    let status = task.span.status.clone().expect("a status");
    assert_eq!((status.code, status.message.as_str()), (2, "ERR_EXPORT_NOT_FOUND"));
    let of_request = sent
        .iter()
        .find(|sent| sent.of.get("http.response.status_code").is_some_and(|code| code == "404"));
    let of_request = of_request.expect("is there");
    assert_eq!(of_request.span.name, "GET /api/export/v1/runs/{id}");
    assert!(!of_request.of.contains_key("error.type"), "the client erred, not the service");
    let me = collector.trace(&own, &["GET /api/export/v1/me".to_owned()]);
    assert_eq!(me[0].parent(), "");
    assert!(collector.sent().iter().all(|sent| sent.trace() != "c".repeat(32)));
}

#[test]
fn a_collector_that_is_away_is_told_of_once_and_waited_for_by_nobody() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let log = dir.path().join("server.log");
    // Nobody listens there.
    let nowhere = ["--otlp-endpoint", "http://127.0.0.1:9"];
    let (server, operations) = Server::start_observed(dir.path(), Some(&log), &nowhere);
    for number in 1..=2 {
        server.start_run("mirror:full", &[]);
        assert_eq!(server.wait(&format!("r-{number}"))["status"], json!("succeeded"));
    }
    let begun = Instant::now();
    let lost = loop {
        let text = get(&operations, "/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix("exporter_spans_lost_total "));
        let lost: u64 = line.and_then(|count| count.parse().ok()).expect("is a number");
        if lost > 5 {
            break lost;
        }
        assert!(begun.elapsed() < LONGEST, "{text}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let begun = Instant::now();
    server.end();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let lines = lines(&log);
    let warned =
        |line: &&Value| line["message"].as_str().is_some_and(|it| it.contains("the collector"));
    assert_eq!(lines.iter().filter(warned).count(), 1, "{lost} are lost: {lines:?}");
}

#[test]
fn a_depot_that_runs_hold_all_the_time_does_not_pass_for_collected() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let depot = Depot::at(&dir.path().join("depot"), &TenantId::local());
    let held = depot.hold().expect("nobody has it");
    let (server, operations) = Server::start_observed(dir.path(), None, &[]);
    let begun = Instant::now();
    let figures = loop {
        let figures = get(&operations, "/metrics");
        if figures.contains("\nexporter_depot_busy_collections_total 1\n") {
            break figures;
        }
        assert!(begun.elapsed() < LONGEST, "{figures}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let never = "\nexporter_depot_collection_timestamp_seconds 0\n";
    assert!(figures.contains(never), "{figures}");
    drop(server);
    let collect = || {
        let collected = program(dir.path()).arg("collect").output().expect("runs");
        assert_eq!(collected.status.code(), Some(0), "{collected:?}");
        String::from_utf8(collected.stdout).expect("is text")
    };
    let told = collect();
    assert!(told.starts_with("local is not collected: runs hold its depot"), "{told}");
    drop(held);
    assert_eq!(collect(), "");
}

#[test]
fn what_is_collected_and_what_is_damaged_is_counted() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let (server, operations) = Server::start_observed(dir.path(), None, &[]);
    let begun = Instant::now();
    let ended = "exporter_depot_collection_timestamp_seconds ";
    let has_ended = |text: &str| {
        text.lines().any(|line| line.strip_prefix(ended).is_some_and(|time| time != "0"))
    };
    while !has_ended(&get(&operations, "/metrics")) {
        assert!(begun.elapsed() < LONGEST, "{}", get(&operations, "/metrics"));
        std::thread::sleep(Duration::from_millis(50));
    }
    let text = get(&operations, "/metrics");
    assert!(text.contains("exporter_depot_collection_failures_total 0"), "{text}");
    server.start_run("mirror:full", &[]);
    assert_eq!(server.wait("r-1")["status"], json!("succeeded"));
    let blob = std::fs::read_dir(dir.path().join("depot/local/blobs"))
        .expect("a depot")
        .flatten()
        .find_map(|folder| std::fs::read_dir(folder.path()).ok()?.flatten().next())
        .expect("a blob");
    std::fs::remove_file(blob.path()).expect("is there");
    let figures = dir.path().join("scrub.prom");
    let scrubbed =
        program(dir.path()).arg("scrub").arg("--figures").arg(&figures).output().expect("runs");
    assert_eq!(scrubbed.status.code(), Some(8), "{scrubbed:?}");
    let text = std::fs::read_to_string(&figures).expect("reads");
    assert!(text.contains("\nexporter_depot_damaged_files 1\n"), "{text}");
    assert!(!text.contains("exporter_depot_scrubbed_blobs 0"), "{text}");
}
