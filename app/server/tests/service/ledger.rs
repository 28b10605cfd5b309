//! One instance feeds another: the real server, and a follower behind a network that does what it likes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use stella_engine::{
    Cancel, Carrier, EngineError, ExportRequest, IngestRequest, NoProgress, PolicyRequest,
    ProfileSource, PullPatience, PullReport, PullRequest, PulledAs, RunRequest, Signing, Store,
};
use stella_ledger::{FeedSpec, IngestMode};
use stella_model::{Digest, ErrorCode, Instant};
use stella_plan::profile::Select;
use stella_remote::{Client, Credentials};
use stella_testkit::{Passing, Proxy};

use crate::server::{Server, ingest};

fn now() -> Instant {
    Instant::parse("2026-11-23T12:00:00Z").expect("a time")
}

fn request() -> PullRequest {
    PullRequest {
        feeds: Vec::new(),
        whole: false,
        take_over: false,
        max_drop_percent: 2.0,
        accept: None,
        threads: 2,
        now: now(),
        patience: PullPatience {
            page: Duration::from_secs(20),
            tries: 3,
            first_wait: Duration::from_millis(5),
        },
    }
}

fn pull_from(
    address: &str,
    token: &str,
    store: &Store,
    request: &PullRequest,
) -> Result<PullReport, EngineError> {
    let credentials = Credentials { token: token.to_owned(), tenant: None };
    let client = Client::new(&format!("http://{address}"), credentials).expect("an address");
    stella_engine::pull(store, &client, request, &NoProgress, &Cancel::new())
}

fn pull(server: &Server, store: &Store) -> PullReport {
    pull_from(&server.address, &server.token, store, &request()).expect("pulls")
}

/// Every file of a folder with its digest.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Digest> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("lists") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(tree(&path).into_iter().map(|(name, digest)| {
                (Path::new(path.file_name().expect("a name")).join(name), digest)
            })),
            false => {
                let name = path.file_name().expect("a name").into();
                files.insert(name, Digest::of(&std::fs::read(&path).expect("reads")));
            }
        }
    }
    files
}

/// The files of a bundle of everything that a store holds.
fn bundle(store: &Store, profile: &str) -> BTreeMap<PathBuf, Digest> {
    let dir = stella_testkit::temp_dir();
    let dest = dir.path().join("bundle");
    let run = RunRequest {
        profile: ProfileSource::BuiltIn(profile.to_owned()),
        select: Select::default(),
        as_of: None,
        redaction: None,
        policy: PolicyRequest::default(),
        accept_drop: None,
        // It becomes empty on the way.
        allow_empty: vec!["advisory/more".parse().expect("a set")],
        threads: 2,
        now: now(),
        again: None,
    };
    let signing = Signing::UnsignedForTesting;
    let (carrier, cache_bytes) = (Carrier::Dir, None);
    let request =
        ExportRequest { run, dest: dest.clone(), carrier, replace: false, signing, cache_bytes };
    stella_engine::export(store, &request, &NoProgress, &Cancel::new()).expect("exports");
    tree(&dest)
}

/// Both make the same bundles: the parts, the set roots in the manifest, everything.
#[track_caller]
fn assert_equal(one: &Store, other: &Store) {
    for profile in ["json:raw", "mirror:full"] {
        let (expected, found) = (bundle(one, profile), bundle(other, profile));
        assert!(expected.len() > 5, "{expected:?}");
        assert_eq!(found, expected, "{profile}");
    }
}

/// Added, updated, removed and held, by feed.
fn counts(report: &PullReport) -> BTreeMap<&str, [u64; 4]> {
    let feeds = report.feeds.iter();
    feeds.map(|f| (f.feed.as_str(), [f.added, f.updated, f.removed, f.records])).collect()
}

fn take_in(store: &Store, feed: &str, text: &str, mode: IngestMode) {
    let dir = stella_testkit::temp_dir();
    let path = dir.path().join("in.jsonl");
    std::fs::write(&path, text).expect("writes");
    let request = IngestRequest {
        feed: FeedSpec {
            licence: Some("CC-BY-4.0".to_owned()),
            publisher: Some("Somebody".to_owned()),
            redistribution: Some(true),
            ..FeedSpec::named(feed.parse().expect("a feed"))
        },
        paths: vec![path],
        mode,
        threads: 1,
        dry_run: false,
        now: now(),
    };
    stella_engine::ingest(store, &request, &NoProgress, &Cancel::new()).expect("ingests");
}

fn replace() -> IngestMode {
    IngestMode::Replace { max_drop_percent: 100.0, accept: None }
}

/// Advisories as lines: an id and a day each.
fn osv(records: &[(&str, u8)]) -> String {
    let line = |(id, day): &(&str, u8)| {
        format!("{{\"id\":\"{id}\",\"modified\":\"2026-01-{day:02}T00:00:00Z\",\"affected\":[]}}\n")
    };
    records.iter().map(line).collect()
}

#[test]
fn a_follower_comes_to_hold_the_same_and_makes_the_same_bundles() {
    let (here, there) = (stella_testkit::temp_dir(), stella_testkit::temp_dir());
    ingest(there.path());
    let (origin, store) = (Store::at(there.path()), Store::at(here.path()));
    let own = [("A-1", 1), ("A-2", 5), ("A-3", 1), ("A-4", 1)];
    take_in(&origin, "own", &osv(&own), IngestMode::Merge);
    let server = Server::start(there.path(), None);
    let first = pull(&server, &store);
    assert!(first.feeds.iter().all(|feed| feed.pulled == PulledAs::Whole), "{first:?}");
    assert_eq!(counts(&first)["own"], [4, 0, 0, 4]);
    assert_eq!(first.feeds.len(), 5, "{first:?}");
    assert_equal(&origin, &store);

    // One went back to an older version, one vanished, one is new; a feed is new.
    let own = [("A-2", 2), ("A-3", 1), ("A-4", 1), ("A-5", 1)];
    take_in(&origin, "own", &osv(&own), replace());
    take_in(&origin, "more", &osv(&[("B-1", 1)]), IngestMode::Merge);
    let drops = PullRequest { max_drop_percent: 50.0, ..request() };
    let refused = pull_from(&server.address, &server.token, &store, &request());
    assert_eq!(refused.expect_err("1 of 4 would vanish").code(), ErrorCode::Drop);
    let second = pull_from(&server.address, &server.token, &store, &drops).expect("pulls");
    assert_eq!(counts(&second)["own"], [1, 1, 1, 4], "{second:?}");
    assert_eq!(counts(&second)["more"], [0, 0, 0, 1], "it came before the refused one");
    assert_eq!(counts(&second)["sbom"][..3], [0, 0, 0]);
    let of = |name: &str| second.feeds.iter().find(|feed| feed.feed.as_str() == name);
    let own = of("own").expect("is there");
    assert_eq!((own.pulled, own.unchanged), (PulledAs::Changes, 0), "{own:?}");
    assert_equal(&origin, &store);

    // Nothing new: no more than the four questions what there is, and no sequence.
    let third = pull(&server, &store);
    assert_eq!((third.pages, third.bytes), (4, 0), "{third:?}");
    assert!(third.feeds.iter().all(|feed| feed.added + feed.updated + feed.removed == 0));
    let head = store.ledger().expect("a ledger").head().expect("a head");
    assert_eq!(third.feeds[0].sequence, head.0);

    // A feed that is gone there becomes empty here, if that much may vanish.
    let name = "more".parse().expect("a feed");
    origin.ledger().expect("a ledger").remove_feed(&name).expect("removes");
    let refused = pull_from(&server.address, &server.token, &store, &drops);
    assert_eq!(refused.expect_err("all would vanish").code(), ErrorCode::Drop);
    let accepted = PullRequest { accept: Some("a test".to_owned()), ..request() };
    let fourth = pull_from(&server.address, &server.token, &store, &accepted).expect("pulls");
    assert_eq!(counts(&fourth)["more"], [0, 0, 1, 0]);
    assert_equal(&origin, &store);
    let whole = PullRequest { whole: true, ..request() };
    let fifth = pull_from(&server.address, &server.token, &store, &whole).expect("pulls");
    assert!(fifth.feeds.iter().all(|feed| feed.added + feed.updated + feed.removed == 0));
    assert_equal(&origin, &store);
    let held = store.ledger().expect("a ledger");
    let own = held.feed(&"own".parse().expect("a feed")).expect("is there");
    let told = (own.licence.as_deref(), own.publisher.as_deref(), own.redistribution);
    assert_eq!(told, (Some("CC-BY-4.0"), Some("Somebody"), Some(true)));

    // What was asked for is in the log there: who has the evidence now.
    let log = server.ask("GET", "/audit?limit=1000", &[], "").json();
    let entries = log["items"].as_array().expect("entries").iter();
    let objects: Vec<&str> = entries
        .filter(|entry| entry["action"] == json!("ledger.export"))
        .filter_map(|entry| entry["object"].as_str())
        .collect();
    assert!(objects.contains(&"advisories sequences 0 to 5"), "{objects:?}");
}

#[test]
fn feeds_of_this_ledger_are_not_overwritten_and_what_is_blocked_here_stays_out() {
    let (here, there) = (stella_testkit::temp_dir(), stella_testkit::temp_dir());
    let (origin, store) = (Store::at(there.path()), Store::at(here.path()));
    take_in(&origin, "a", &osv(&[("A-1", 1), ("A-2", 1)]), IngestMode::Merge);
    take_in(&origin, "b", &osv(&[("B-1", 1)]), IngestMode::Merge);
    take_in(&store, "b", &osv(&[("B-1", 9), ("B-2", 9)]), IngestMode::Merge);
    let server = Server::start(there.path(), None);
    let ask = |request: &PullRequest| pull_from(&server.address, &server.token, &store, request);
    let only = |name: &str| PullRequest { feeds: vec![name.parse().expect("a feed")], ..request() };
    let refused = ask(&request()).expect_err("b is ours");
    assert_eq!(refused.code(), ErrorCode::Conflict);
    assert!(refused.to_string().contains("feed b of this ledger"), "{refused}");
    assert!(refused.next_step().expect("a hint").contains("--take-over"));
    let held = store.ledger().expect("a ledger");
    assert_eq!(held.feeds().expect("feeds").len(), 1);
    assert_eq!(counts(&ask(&only("a")).expect("pulls"))["a"], [2, 0, 0, 2]);
    let unknown = ask(&only("c")).expect_err("there is none");
    assert_eq!(unknown.code(), ErrorCode::NotFound);
    let over = PullRequest { take_over: true, accept: Some("ours is old".into()), ..request() };
    assert_eq!(counts(&ask(&over).expect("pulls"))["b"], [0, 1, 1, 1]);

    // Blocked here: it stays out, until it is let in again and comes with all the others.
    let (set, id) = ("advisory/a".parse().expect("a set"), "A-1".parse().expect("an id"));
    held.block(&set, &id, "a test", now()).expect("blocks");
    take_in(&origin, "a", &osv(&[("A-1", 3)]), IngestMode::Merge);
    let report = ask(&request()).expect("pulls");
    assert_eq!((counts(&report)["a"], report.feeds[0].blocked), ([0, 0, 0, 1], 1));
    held.unblock(&set, &id).expect("unblocks");
    let report = ask(&request()).expect("pulls");
    assert_eq!(counts(&report)["a"], [1, 0, 0, 2]);
    assert_equal(&origin, &store);
    // Changed here since: it is not the other's any more.
    take_in(&store, "a", &osv(&[("A-9", 3)]), IngestMode::Merge);
    assert_eq!(ask(&request()).expect_err("a was changed").code(), ErrorCode::Conflict);
}

/// What a network does to the answer with this number, from 0, among those to requests for pages.
type Mischief = Arc<dyn Fn(usize, Vec<u8>) -> Option<Vec<u8>> + Send + Sync>;

/// A proxy before a server that changes what passes.
fn proxy(server: &Server, mischief: Mischief) -> Proxy {
    let plan = move |passing: &Passing<'_>| mischief(passing.number, passing.answer());
    Proxy::start(&server.address, plan)
}

/// An answer with another body.
fn with_body(answer: &[u8], change: impl FnOnce(&str) -> String) -> Vec<u8> {
    let text = String::from_utf8(answer.to_vec()).expect("is text");
    let (_, body) = text.split_once("\r\n\r\n").expect("a head");
    let body = change(body);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson";
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The answers before are those to the questions what there is.
const FIRST_PAGE: usize = 4;

/// What is made of the body of an answer.
type Change = fn(&str) -> String;

/// What happens to every page, and the error that comes of it.
const LASTING: [(&str, Change, ErrorCode, &str); 12] = [
    (
        "always cut short",
        |body| body[..body.len() / 2].to_owned(),
        ErrorCode::Unreachable,
        "cut short",
    ),
    (
        "always without an end",
        |body| body.split("{\"end\"").next().unwrap_or_default().to_owned(),
        ErrorCode::Unreachable,
        "cut short",
    ),
    (
        "another tenant",
        |body| body.replace("\"local\"", "\"acme\""),
        ErrorCode::Invalid,
        "tenant is acme, not local",
    ),
    (
        "another tenant of one record",
        |body| body.replacen("\"tenant\":\"local\",\"raw\"", "\"tenant\":\"acme\",\"raw\"", 1),
        ErrorCode::Invalid,
        "tenant is acme, not local",
    ),
    (
        "another ledger",
        |body| body.replacen("\"epoch\":1", "\"epoch\":2", 1),
        ErrorCode::Invalid,
        "epoch is 2, not 1",
    ),
    (
        "a sequence outside",
        |body| body.replace("\"sequence\":2", "\"sequence\":1"),
        ErrorCode::Invalid,
        "sequence 1 does not come after 1",
    ),
    (
        "a changed document",
        |body| body.replacen("2026-01-02T00:00:00Z\"}", "2026-01-02T00:00:01Z\"}", 1),
        ErrorCode::Invalid,
        "does not have the digest",
    ),
    (
        "a left-out record",
        |body| {
            body.lines()
                .filter(|line| !line.contains("N-0007"))
                .map(|line| format!("{line}\n"))
                .collect()
        },
        ErrorCode::Invalid,
        "records are told up to the end",
    ),
    (
        "another id",
        |body| body.replacen("\"id\":\"N-0000\",\"kind\"", "\"id\":\"N-00000\",\"kind\"", 1),
        ErrorCode::Invalid,
        "its document is advisory N-0000",
    ),
    (
        "another kind",
        |body| body.replace("\"kind\":\"advisory\"", "\"kind\":\"vex\""),
        ErrorCode::Invalid,
        "kind is vex, not advisory",
    ),
    (
        "another time",
        |body| {
            body.replacen(
                "\"modified\":\"2026-01-02T00:00:00Z\",\"sequence\"",
                "\"modified\":\"2026-01-03T00:00:00Z\",\"sequence\"",
                1,
            )
        },
        ErrorCode::Invalid,
        "its document is another version",
    ),
    (
        "another format",
        |body| body.replacen("\"format\":\"osv\"", "\"format\":\"csaf-vex\"", 1),
        ErrorCode::Invalid,
        "its document is refused",
    ),
];

#[test]
fn whatever_a_network_does_a_pull_goes_on_or_changes_nothing() {
    let (here, there) = (stella_testkit::temp_dir(), stella_testkit::temp_dir());
    let (origin, store) = (Store::at(there.path()), Store::at(here.path()));
    take_in(&origin, "a", &osv(&[("A-1", 1)]), IngestMode::Merge);
    let server = Server::start(there.path(), None);
    pull(&server, &store);
    let before = store.ledger().expect("a ledger").head().expect("a head");
    // More than a page.
    let many: Vec<String> = (0..2_500).map(|n| format!("N-{n:04}")).collect();
    let many: Vec<(&str, u8)> = many.iter().map(|id| (id.as_str(), 2)).collect();
    take_in(&origin, "a", &osv(&many), IngestMode::Merge);
    take_in(&origin, "z", &osv(&[("Z-1", 1)]), IngestMode::Merge);

    let once = |at: usize, what: fn(Vec<u8>) -> Option<Vec<u8>>| -> Mischief {
        Arc::new(move |number, answer| if number == at { what(answer) } else { Some(answer) })
    };
    let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
    let repeated: Mischief = Arc::new(move |number, answer| {
        let mut kept = kept.lock().expect("is there");
        if number == FIRST_PAGE {
            kept.clone_from(&answer);
        }
        Some(if number == FIRST_PAGE + 1 { kept.clone() } else { answer })
    });
    let unavailable = |_: Vec<u8>| {
        let body = r#"{"code":"ERR_EXPORT_QUOTA","message":"no","hint":"wait","traceId":"0"}"#;
        let head = format!("HTTP/1.1 429 No\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        Some(head.into_bytes())
    };
    // What keeps on: nothing changes here.
    for (name, change, code, told) in LASTING {
        let mischief: Mischief = Arc::new(move |number, answer| {
            Some(if number < FIRST_PAGE { answer } else { with_body(&answer, change) })
        });
        let proxy = proxy(&server, mischief);
        let error = pull_from(&proxy.address(), &server.token, &store, &request()).expect_err(name);
        assert!(error.to_string().contains(told), "{name}: {error}");
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(error.next_step().is_some() || code == ErrorCode::Unreachable, "{name}");
        let head = store.ledger().expect("a ledger").head().expect("a head");
        assert_eq!(head, before, "{name}");
    }
    // What happens once: the page is asked for again, and all is as if nothing had happened.
    for (name, mischief) in [
        ("hangs up", once(FIRST_PAGE + 1, |_| None)),
        ("cuts an answer", once(FIRST_PAGE, |answer| Some(answer[..answer.len() / 2].to_vec()))),
        (
            "cuts a question what there is",
            once(1, |answer| Some(answer[..answer.len() - 9].to_vec())),
        ),
        ("has no time", once(FIRST_PAGE + 1, unavailable)),
        ("repeats a page", repeated),
    ] {
        let fresh = stella_testkit::temp_dir();
        let store = Store::at(fresh.path());
        let proxy = proxy(&server, mischief);
        let report = pull_from(&proxy.address(), &server.token, &store, &request()).expect(name);
        assert_eq!(report.retries, 1, "{name}");
        assert_eq!(counts(&report), [("a", [2_501, 0, 0, 2_501]), ("z", [1, 0, 0, 1])].into());
        assert_equal(&origin, &store);
    }
    pull(&server, &store);
    assert_equal(&origin, &store);
}

#[test]
fn pages_have_their_rules_and_tokens_lead_nowhere_else() {
    let dir = stella_testkit::temp_dir();
    let server = Server::start(dir.path(), None);
    let ask = |path: &str| server.ask("GET", &format!("/ledger/export/{path}"), &[], "");
    assert_eq!(ask("advisories").problem(), (404, "ERR_EXPORT_NOT_FOUND".to_owned()));
    let store = Store::at(dir.path());
    take_in(&store, "a", &osv(&[("A-1", 1), ("A-2", 1), ("A-3", 1)]), IngestMode::Merge);
    take_in(&store, "b", &osv(&[("B-1", 1)]), IngestMode::Merge);
    let lines = |path: &str| -> Vec<Value> {
        let answer = ask(path);
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"), "{answer:?}");
        let text = String::from_utf8(answer.body).expect("is text");
        text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
    };
    let (mut ids, mut path, mut pages) = (Vec::new(), "advisories?page_size=1".to_owned(), 0);
    loop {
        let page = lines(&path);
        pages += 1;
        ids.extend(page.iter().filter_map(|line| line["record"]["id"].as_str()).map(str::to_owned));
        let feeds = page.iter().filter(|line| line["feed"].is_object()).count();
        assert_eq!(feeds, if pages == 1 { 2 } else { 0 });
        match page.last().expect("an end")["end"]["next"].as_str() {
            Some(token) => path = format!("advisories?page_token={token}"),
            None => break,
        }
    }
    assert_eq!((ids, pages), (["A-1", "A-2", "A-3", "B-1"].map(str::to_owned).into(), 4));
    let token = path.split_once('=').expect("a token").1.to_owned();
    assert_eq!(lines("advisories?since_sequence=1&feed=a").len(), 3);
    assert_eq!(lines("advisories?since_sequence=1&until_sequence=1").len(), 3);
    assert_eq!(lines("vex").len(), 2);
    for (path, status) in [
        ("decisions", 404),
        ("advisories?page_size=0", 400),
        ("advisories?page_size=10001", 400),
        ("advisories?feed=../x", 400),
        ("advisories?since_sequence=-1", 400),
        ("advisories?colour=red", 400),
        ("advisories?since_sequence=9", 410),
        ("advisories?since_sequence=2&until_sequence=1", 410),
        ("advisories?until_sequence=99999999999999", 410),
        ("advisories?page_token=", 400),
        ("advisories?page_token=AAAA", 400),
        (&format!("advisories?page_token={token}&page_size=1"), 400),
        (&format!("vex?page_token={token}"), 400),
    ] {
        assert_eq!(ask(path).problem().0, status, "{path}");
    }
    // A state that is forgotten is told as such, and a pull begins anew.
    take_in(&store, "a", &osv(&[("A-1", 2)]), IngestMode::Merge);
    store.ledger().expect("a ledger").compact().expect("compacts");
    assert_eq!(ask(&format!("advisories?page_token={token}")).problem().0, 410);
    assert_eq!(ask("advisories?until_sequence=2").problem().0, 410);
    assert_eq!(lines("advisories?since_sequence=2").len(), 5);
}
