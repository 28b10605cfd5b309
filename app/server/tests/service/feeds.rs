//! Evidence that comes in over HTTP.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use crate::server::{Server, ingest};

/// The samples of a feed as lines.
pub(crate) fn lines() -> Vec<u8> {
    let folder = stella_testkit::samples().join("advisories/npm");
    let mut paths: Vec<_> = std::fs::read_dir(folder).expect("is there").flatten().collect();
    paths.sort_by_key(std::fs::DirEntry::path);
    let mut lines = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(path.path()).expect("reads");
        let value: Value = serde_json::from_str(&text).expect("is JSON");
        writeln!(lines, "{value}").expect("writes");
    }
    lines
}

#[test]
pub(crate) fn evidence_that_streams_in_becomes_a_bundle() {
    let dir = stella_testkit::temp_dir();
    let server = Server::start(dir.path(), None);
    assert_eq!(server.ask("GET", "/feeds", &[], "").json(), json!({ "items": [] }));
    let text = String::from_utf8(lines()).expect("is text");
    let path = "/feeds/npm/records?licence=CC-BY-4.0&publisher=Somebody";
    let dry = server.ask("POST", &format!("{path}&dryRun=true"), &[], &text);
    assert_eq!((dry.status, &dry.json()["added"]), (200, &json!(9)), "{dry:?}");
    let taken = server.ask("POST", path, &[], &text).json();
    assert_eq!((&taken["added"], &taken["dryRun"]), (&json!(9), &json!(false)), "{taken}");
    let again = server.ask("POST", path, &[], &text).json();
    assert_eq!((&again["added"], &again["unchanged"]), (&json!(0), &json!(9)), "{again}");
    let feed = server.ask("GET", "/feeds/npm", &[], "").json();
    assert_eq!(feed["records"], json!({ "advisory": 9 }), "{feed}");
    assert_eq!(feed["licence"], json!("CC-BY-4.0"));
    server.start_run("mirror:full", &[]);
    assert_eq!(server.wait("r-1")["status"], json!("succeeded"));
    // Replaced by less than may vanish.
    let one = text.lines().next().expect("a line");
    let refused = server.ask("POST", "/feeds/npm/records?replace=true", &[], one);
    assert_eq!(refused.problem(), (422, "ERR_EXPORT_DROP".to_owned()));
    let accepted = "/feeds/npm/records?replace=true&acceptDrop=a%20test";
    assert_eq!(server.ask("POST", accepted, &[], one).json()["vanished"], json!(8));
    let rejected = server.ask("POST", "/feeds/other/records", &[], r#"{"what":"is this"}"#);
    assert_eq!(rejected.problem(), (422, "ERR_EXPORT_REJECTED".to_owned()));
    let why = server.ask("GET", "/feeds/other/quarantine", &[], "").json();
    assert_eq!(why["items"][0]["reason"], json!("unknown-format"), "{why}");
    let log = server.ask("GET", "/audit", &[], "").json();
    let ingests = log["items"].as_array().expect("entries").iter();
    let ingests = ingests.filter(|entry| entry["action"] == json!("feed.ingest"));
    let outcomes: Vec<_> = ingests.map(|entry| (&entry["outcome"], &entry["details"])).collect();
    // That it was wanted and what came of it, of each; the trial is none.
    assert_eq!(outcomes.len(), 10, "{log}");
    assert!(outcomes.iter().step_by(2).all(|outcome| *outcome == (&json!("allowed"), &json!({}))));
    let came: Vec<_> = outcomes.iter().skip(1).step_by(2).collect();
    let codes = [
        &Value::Null,
        &Value::Null,
        &json!("ERR_EXPORT_DROP"),
        &Value::Null,
        &json!("ERR_EXPORT_REJECTED"),
    ];
    for ((outcome, details), code) in came.into_iter().zip(codes) {
        assert_eq!(&details["code"], code, "{log}");
        assert_eq!(**outcome, json!(if code.is_null() { "allowed" } else { "failed" }), "{log}");
    }
}

#[test]
pub(crate) fn evidence_that_breaks_off_leaves_nothing() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start(dir.path(), None);
    let before = server.ask("GET", "/feeds", &[], "").json();
    let all = lines();
    let bearer = format!("Bearer {}", server.token);
    for sent in [0, 100, all.len() / 2, all.len() - 1] {
        let mut stream = std::net::TcpStream::connect(&server.address).expect("connects");
        let head = format!(
            "POST /api/export/v1/feeds/npm/records HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer}\r\n\
             Content-Length: {}\r\n\r\n",
            all.len()
        );
        stream.write_all(head.as_bytes()).expect("is sent");
        stream.write_all(&all[..sent]).expect("is sent");
        stream.shutdown(std::net::Shutdown::Write).expect("ends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok();
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(server.ask("GET", "/feeds", &[], "").json(), before);
    let bad = [
        ("/feeds/npm/records", "", 422),
        ("/feeds/npm/records?maxDrop=101", "x", 400),
        ("/feeds/npm/records?licence=", "x", 400),
        ("/feeds/..%2f/records", "x", 404),
        ("/feeds/NPM/records", "x", 422),
    ];
    for (path, body, status) in bad {
        assert_eq!(server.ask("POST", path, &[], body).problem().0, status, "{path}");
    }
}
