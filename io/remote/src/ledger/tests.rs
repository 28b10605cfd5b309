//! Every rule of a page, broken once.

use std::sync::Mutex;
use std::time::Duration;

use stella_model::{Digest, FeedName, Kind, Limits, RecordId, TenantId};
use stella_records::Format;
use stella_records::exchange::{self, FeedTold, PageEnd, PageHead, RecordHead, Removed};
use stella_records::line::Content;

use super::*;
use crate::Credentials;

/// A ledger of the tests at sequence 9: two feeds, three records, of which one changed after 4; and
/// what it says of them.
fn head(since: u64, records: u64) -> PageHead {
    PageHead {
        epoch: 1,
        feed: None,
        kind: Kind::advisory(),
        ledger: "0123456789abcdef0123456789abcdef".to_owned(),
        records,
        since,
        tenant: TenantId::local(),
        until: 9,
        version: exchange::VERSION,
    }
}

fn feed(name: &str, records: u64) -> FeedTold {
    FeedTold {
        attribution: None,
        licence: Some("MIT".to_owned()),
        name: name.parse().expect("a feed"),
        publisher: None,
        records,
        redistribution: None,
    }
}

fn record(feed: &str, id: &str, sequence: u64) -> Vec<u8> {
    let content = format!(r#"{{"affected":[],"id":"{id}","modified":"2026-01-01T00:00:00Z"}}"#);
    record_of(&content, feed, id, sequence)
}

fn record_of(content: &str, feed: &str, id: &str, sequence: u64) -> Vec<u8> {
    let head = RecordHead {
        content_digest: Digest::of(content.as_bytes()),
        feed: feed.parse().expect("a feed"),
        format: Format::Osv,
        id: RecordId::new(id).expect("an id"),
        kind: Kind::advisory(),
        modified: None,
        sequence,
        tenant: TenantId::local(),
    };
    let mut line = Vec::new();
    exchange::write_record(&mut line, &head, Content::Json(content.as_bytes()));
    line
}

/// The two pages of the whole, as text.
fn whole() -> [String; 2] {
    let mut first = Vec::new();
    exchange::write_head(&mut first, &head(0, 0));
    exchange::write_feed(&mut first, &feed("npm", 2));
    exchange::write_feed(&mut first, &feed("pypi", 1));
    first.extend(record("npm", "A", 3));
    exchange::write_end(&mut first, &PageEnd { next: Some("two".to_owned()), records: 1 });
    let mut second = Vec::new();
    exchange::write_head(&mut second, &head(0, 1));
    second.extend(record("npm", "B", 5));
    second.extend(record("pypi", "A", 9));
    exchange::write_end(&mut second, &PageEnd { next: None, records: 3 });
    [first, second].map(|page| String::from_utf8(page).expect("is text"))
}

/// The page of what changed after 4.
fn changes() -> String {
    let mut page = Vec::new();
    exchange::write_head(&mut page, &head(4, 0));
    exchange::write_feed(&mut page, &feed("npm", 2));
    page.extend(record("npm", "B", 5));
    let removed = Removed {
        feed: "old".parse().expect("a feed"),
        id: RecordId::new("C").expect("an id"),
        kind: Kind::advisory(),
        sequence: 6,
        tenant: TenantId::local(),
    };
    exchange::write_removed(&mut page, &removed);
    exchange::write_end(&mut page, &PageEnd { next: None, records: 2 });
    String::from_utf8(page).expect("is text")
}

fn query(since: u64) -> ExportQuery {
    ExportQuery { kind: Kind::advisory(), feed: None, since, of: None, page_size: None }
}

/// Reads pages one after the other; what they told, or the first fault with its line.
fn read(query: ExportQuery, pages: &[&str]) -> Result<Vec<String>, (u64, PageFault)> {
    let mut walk = Walk::new(query, Some("local".to_owned()));
    let mut told = Vec::new();
    for page in pages {
        let (mut reading, mut number) = (walk.page(), 0);
        for line in page.lines() {
            number += 1;
            let checked = reading.line(line.as_bytes()).map_err(|fault| (number, fault))?;
            told.extend(checked.map(|line| match line.as_told() {
                Told::Feed(feed) => format!("{}:{}", feed.name, feed.records),
                Told::Record(head, _) => format!("{} {}", head.feed, head.id),
                Told::Removed(gone) => format!("{} -{}", gone.feed, gone.id),
            }));
        }
        walk = reading.whole().map_err(|fault| (number, fault))?;
    }
    Ok(told)
}

#[test]
fn right_pages_are_read_in_their_order() {
    let [first, second] = whole();
    let told = read(query(0), &[&first, &second]).expect("is right");
    assert_eq!(told, ["npm:2", "pypi:1", "npm A", "npm B", "pypi A"]);
    let told = read(query(4), &[&changes()]).expect("is right");
    assert_eq!(told, ["npm:2", "npm B", "old -C"]);
    let of = RemoteState {
        ledger: "0123456789abcdef0123456789abcdef".to_owned(),
        epoch: 1,
        tenant: TenantId::local(),
        until: 9,
    };
    let asked = |of: RemoteState| ExportQuery { of: Some(of), ..query(4) };
    assert!(read(asked(of.clone()), &[&changes()]).is_ok());
    for other in [
        RemoteState { ledger: "f".repeat(32), ..of.clone() },
        RemoteState { epoch: 2, ..of.clone() },
        RemoteState { tenant: "acme".parse().expect("a tenant"), ..of.clone() },
        RemoteState { until: 8, ..of },
    ] {
        let fault = read(asked(other), &[&changes()]).expect_err("is of another state");
        assert!(matches!(fault, (1, PageFault::Foreign { .. })), "{fault:?}");
    }
}

#[test]
fn every_defect_of_a_page_has_a_name_and_a_line() {
    let [first, second] = whole();
    let changes = changes();
    let digest = Digest::of(b"").to_string();
    let line_of = |text: &str, at: usize| text.lines().nth(at).expect("a line").to_owned() + "\n";
    let (a, b, end) = (line_of(&first, 3), line_of(&second, 1), line_of(&second, 3));
    let place = |what: &'static str| format!("{what} does not stand where it may");
    // What is changed in the first page, the line and the fault.
    let cases: Vec<(&str, String, u64, String)> = vec![
        ("\"version\":1", "\"version\":2".to_owned(), 1, "the pages have version 2".to_owned()),
        (
            "\"tenant\":\"local\",\"until\"",
            "\"tenant\":\"acme\",\"until\"".to_owned(),
            1,
            "tenant is acme".to_owned(),
        ),
        (
            "\"kind\":\"advisory\",\"ledger\"",
            "\"kind\":\"vex\",\"ledger\"".to_owned(),
            1,
            "kind is vex".to_owned(),
        ),
        ("0123456789abcdef", "0123456789ABCDEF".to_owned(), 1, "ledger is".to_owned()),
        ("\"since\":0", "\"since\":1".to_owned(), 1, "since is 1, not 0".to_owned()),
        (
            "\"records\":0",
            "\"records\":1".to_owned(),
            1,
            "goes on after 1 records, not after 0".to_owned(),
        ),
        ("\"epoch\":1,", String::new(), 1, "expected at byte".to_owned()),
        ("\"page\"", "\"feed\"".to_owned(), 1, "expected at byte".to_owned()),
        (&a, String::new(), 4, "1 records are told up to the end of the page, 0 came".to_owned()),
        (&a, format!("{a}{a}"), 5, "npm A does not come after".to_owned()),
        (&a, format!("{b}{a}"), 5, "npm A does not come after".to_owned()),
        (&a, a.replace("\"npm\"", "\"other\""), 4, place("a record of a feed that was not told")),
        (&a, a.replace("\"advisory\"", "\"vex\""), 4, "kind is vex, not advisory".to_owned()),
        (&a, a.replace("\"local\"", "\"acme\""), 4, "tenant is acme, not local".to_owned()),
        (
            &a,
            a.replace("\"sequence\":3", "\"sequence\":0"),
            4,
            "sequence 0 does not come after 0".to_owned(),
        ),
        (&a, a.replace("\"sequence\":3", "\"sequence\":10"), 4, "sequence 10 does not".to_owned()),
        (&a, a.replace("[]", "[0]"), 4, "npm A does not have the digest".to_owned()),
        (&a, a.replacen(&a[28..92], &digest, 1), 4, "does not have the digest".to_owned()),
        (&a, a[..a.len() - 3].to_owned() + "\n", 4, "expected at byte".to_owned()),
        (&a, a[..40].to_owned() + "\n", 4, "expected at byte".to_owned()),
        (&a, line_of(&changes, 3), 4, place("a removal in the whole")),
        (&a, line_of(&first, 0), 4, place("a second beginning")),
        (&a, format!("{a}{}", line_of(&first, 2)), 5, place("what is told of a feed")),
        ("\"name\":\"npm\"", "\"name\":\"zzz\"".to_owned(), 3, place("what is told of a feed")),
        (
            "\"next\":\"two\"",
            "\"next\":null".to_owned(),
            5,
            "1 records of feed npm came, it holds 2".to_owned(),
        ),
        ("\"next\":\"two\"", "\"next\":\"t&w\"".to_owned(), 5, "a token".to_owned()),
        ("\"next\":\"two\"", "\"next\":\"\"".to_owned(), 5, "a token".to_owned()),
        (
            "\"two\",\"records\":1",
            "\"two\",\"records\":2".to_owned(),
            5,
            "2 records are told".to_owned(),
        ),
    ];
    for (from, to, line, expected) in cases {
        assert!(first.contains(from), "{from}");
        let changed = first.replacen(from, &to, 1);
        let (at, fault) = read(query(0), &[&changed, &second]).expect_err(&changed);
        assert!(fault.to_string().contains(&expected), "{from} -> {to}: {fault}");
        assert_eq!(at, line, "{from} -> {to}: {fault}");
    }
    let cut = |page: &str, lines: usize| page.lines().take(lines).collect::<Vec<_>>().join("\n");
    for (pages, expected) in [
        (vec![first.clone(), first.clone()], "goes on after 0 records, not after 1"),
        (vec![second.clone()], "goes on after 1 records, not after 0"),
        (vec![first.clone(), second.replace("\"until\":9", "\"until\":8")], "until is 8, not 9"),
        (vec![first.clone(), second.replace("\"epoch\":1", "\"epoch\":2")], "epoch is 2, not 1"),
        (vec![first.clone(), second.replace("9abcdef\"", "9abcdee\"")], "ledger is"),
        (vec![first.clone(), second.replace(&b, &a)], "npm A does not come after"),
        (vec![first.clone(), format!("{second}{end}")], "a line after the last one"),
        (vec![cut(&first, 4)], "cut short"),
        (vec![cut(&first, 1)], "cut short"),
        (vec![String::new()], "cut short"),
        (vec![first.lines().skip(1).collect::<Vec<_>>().join("\n")], "a line before the first one"),
    ] {
        let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
        let (_, fault) = read(query(0), &pages).expect_err(expected);
        assert!(fault.to_string().contains(expected), "{expected}: {fault}");
    }
    let page = changes.replace("\"sequence\":6", "\"sequence\":4");
    assert!(matches!(read(query(4), &[&page]), Err((4, PageFault::Sequence { found: 4, .. }))));
    let page = changes.replace("\"records\":2}}\n{\"record", "\"records\":0}}\n{\"record");
    assert!(matches!(read(query(4), &[&page]), Err((_, PageFault::Incomplete { .. }))), "{page}");
    let empty = changes.replace(&line_of(&changes, 2), "").replace(&line_of(&changes, 3), "");
    let empty = empty.replace("null,\"records\":2", "\"again\",\"records\":0");
    let (_, fault) = read(query(4), &[&empty]).expect_err("leads nowhere");
    assert_eq!(fault.to_string(), place("the end of an empty page"));
    let only: FeedName = "npm".parse().expect("a feed");
    let one = ExportQuery { feed: Some(only), ..query(4) };
    let (_, fault) = read(one.clone(), &[&changes]).expect_err("is of all feeds");
    assert_eq!(fault.to_string(), "its feed is all feeds, not npm");
    let page = changes.replace("\"epoch\":1,", "\"epoch\":1,\"feed\":\"npm\",");
    let (at, fault) = read(one, &[&page]).expect_err("has a removal of another");
    assert_eq!((at, fault.to_string().as_str()), (4, "its feed is old, not npm"));
}

/// What a client makes of an answer.
fn fetch(answer: Vec<u8>, limits: Limits) -> Result<bool, RemoteError> {
    fetch_from(answer, limits, false)
}

/// As [`fetch`], of a server that may go on without a word when it has said this.
fn fetch_from(answer: Vec<u8>, limits: Limits, stalls: bool) -> Result<bool, RemoteError> {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("is bound"));
    let answer = Mutex::new(answer);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("somebody comes");
            let mut asked = [0; 4096];
            let read = stream.read(&mut asked).expect("asks");
            let asked = String::from_utf8_lossy(&asked[..read]).to_string();
            assert!(
                asked.starts_with("GET /ledger/export/advisories?since_sequence=4 "),
                "{asked}"
            );
            assert!(asked.contains("x-stella-tenant: local"), "{asked}");
            stream.write_all(&answer.lock().expect("is there")).ok();
            if stalls {
                // Until the client has enough of it.
                stream.read_exact(&mut [0; 1]).ok();
            }
        });
        let credentials = Credentials { token: "t".into(), tenant: Some("local".into()) };
        let client = Client::new(&address, credentials).expect("an address");
        let mut export = client.ledger_export(query(4), limits, Duration::from_secs(3));
        let outcome = export.next_page::<RemoteError>(&mut |_| Ok(()));
        assert_eq!(export.state().is_some(), outcome.is_ok());
        outcome
    })
}

fn answer(kind: &str, length: usize, body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n");
    format!("{head}connection: close\r\n\r\n{body}").into_bytes()
}

#[test]
fn an_answer_that_breaks_off_or_is_another_is_told_apart_from_a_page() {
    let (page, kind) = (changes(), exchange::MEDIA_TYPE);
    let good = answer(kind, page.len(), &page);
    assert!(!fetch(good.clone(), Limits::DEFAULT).expect("is right"));
    let cut = page.len() - 9;
    for (name, bytes, may_pass) in [
        ("a connection that breaks", answer(kind, page.len(), &page[..cut]), true),
        ("a line that is cut", answer(kind, cut, &page[..cut]), true),
        ("no answer", Vec::new(), true),
        ("a page of something else", answer("text/html", 5, "<html"), false),
    ] {
        let error = fetch(bytes, Limits::DEFAULT).expect_err(name);
        assert_eq!(error.may_pass(), may_pass, "{name}: {error:?}");
        assert_eq!(error.code(), stella_model::ErrorCode::Unreachable, "{name}: {error:?}");
    }
    let gone = br#"{"code":"ERR_EXPORT_NOT_FOUND","message":"no","hint":"again","traceId":"0"}"#;
    let head = format!("HTTP/1.1 410 Gone\r\ncontent-length: {}\r\n\r\n", gone.len());
    let error = fetch([head.as_bytes(), gone].concat(), Limits::DEFAULT).expect_err("is gone");
    assert!(error.is_out_of_reach() && !error.may_pass(), "{error:?}");
}

#[test]
fn a_line_that_is_too_long_and_a_server_that_stalls_end_the_page() {
    let page = changes();
    let small = Limits { document_bytes: 0, ..Limits::DEFAULT };
    let line = format!("{}{}\n", page, " ".repeat(70_000));
    let long = answer(exchange::MEDIA_TYPE, line.len(), &line);
    let error = fetch(long, small).expect_err("is too long");
    let RemoteError::Page { line: 6, fault: PageFault::LineTooLong { .. }, .. } = error else {
        panic!("{error:?}")
    };
    // More is told than ever comes, and the connection stays open for longer than is waited.
    let begun = std::time::Instant::now();
    let stalled = answer(exchange::MEDIA_TYPE, page.len() + 9, &page);
    let error = fetch_from(stalled, Limits::DEFAULT, true);
    assert!(error.expect_err("breaks off").may_pass());
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_page_ends_with_a_record_as_long_as_a_record_may_be() {
    let long = |id: &str, mebibytes: usize, sequence| {
        let details = "x".repeat(mebibytes << 20);
        let content = format!(
            r#"{{"affected":[],"details":"{details}","id":"{id}","modified":"2026-01-01T00:00:00Z"}}"#
        );
        record_of(&content, "npm", id, sequence)
    };
    let page = |records: &[Vec<u8>]| {
        let mut page = Vec::new();
        exchange::write_head(&mut page, &head(4, 0));
        exchange::write_feed(&mut page, &feed("npm", 2));
        records.iter().for_each(|record| page.extend(record));
        exchange::write_end(&mut page, &PageEnd { next: None, records: records.len() as u64 });
        let page = String::from_utf8(page).expect("is text");
        answer(exchange::MEDIA_TYPE, page.len(), &page)
    };
    let fits = page(&[long("A", 7, 5), long("B", 30, 6)]);
    assert!(!fetch(fits, Limits::DEFAULT).expect("is right"));
    let endless = page(&[long("A", 30, 5), record("npm", "B", 6)]);
    let error = fetch(endless, Limits::DEFAULT).expect_err("goes on after a long record");
    assert!(
        matches!(error, RemoteError::Page { fault: PageFault::PageTooLong { .. }, .. }),
        "{error:?}"
    );
}
