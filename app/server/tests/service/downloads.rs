//! Bundles that are fetched: whole, in ranges, file by file.

use std::time::{Duration, Instant};

use base64::Engine as _;
use reqwest::StatusCode;
use reqwest::blocking::Client;
use serde_json::{Value, json};
use stella_model::Digest;

use crate::server::{LONGEST, Server, ingest, names_in};

#[test]
pub(crate) fn any_range_of_a_bundle_can_be_fetched() {
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
    let digest = base64::engine::general_purpose::STANDARD.encode(Digest::of(&all.body).as_bytes());
    let digest = format!("sha-256=:{digest}:");
    assert_eq!(all.header("repr-digest"), Some(digest.as_str()));
    let head = server.ask("HEAD", "/runs/r-1/bundle.tar", &[], "");
    assert_eq!((head.header("content-length"), head.body.len()), (all.header("content-length"), 0));
    let etag = all.header("etag").expect("a tag").to_owned();
    let part = get(&[("Range", "bytes=1000-4999"), ("If-Range", &etag)]);
    let told = format!("bytes 1000-4999/{size}");
    assert_eq!((part.status, part.header("content-range")), (206, Some(told.as_str())));
    assert!(part.body == all.body[1000..5000]);
    // Of the whole, also beside a range of it.
    assert_eq!(part.header("repr-digest"), Some(digest.as_str()));
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

#[test]
pub(crate) fn a_bundle_that_is_fetched_often_is_there_whatever_becomes_of_the_depot() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let server = Server::start(dir.path(), None);
    server.start_run("mirror:full", &[]);
    server.wait("r-1");
    let ask = |path: &str| server.ask("GET", &format!("/runs/r-1/{path}"), &[], "");
    let all = ask("bundle.tar").body;
    let (blobs, away) = (dir.path().join("depot/local/blobs"), dir.path().join("away"));
    let begun = Instant::now();
    // It is laid into one file by and by.
    loop {
        assert_eq!(ask("bundle.tar").status, 200);
        std::fs::rename(&blobs, &away).expect("is there");
        let (fetched, manifest) = (ask("bundle.tar"), ask("manifest"));
        std::fs::rename(&away, &blobs).expect("is there");
        // What is read from the depot is missed all the same.
        assert_eq!(manifest.problem(), (500, "ERR_EXPORT_DIGEST_MISMATCH".to_owned()));
        if fetched.status == 200 {
            assert!(fetched.body == all, "{} of {} bytes", fetched.body.len(), all.len());
            return;
        }
        assert_eq!(fetched.problem(), (500, "ERR_EXPORT_DIGEST_MISMATCH".to_owned()));
        assert!(begun.elapsed() < LONGEST, "it never is");
    }
}

/// Numbers that look random (xorshift64), always the same.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Bytes of a document that makes a part which is sent in several pieces.
const LARGE: usize = 6 << 20;

/// What is fetched over connections that are kept.
fn fetch(client: &Client, server: &Server, path: &str, range: Option<(u64, u64)>) -> Vec<u8> {
    let url = format!("http://{}/api/export/v1/runs/r-1/{path}", server.address);
    let request = client.get(url).bearer_auth(&server.token);
    let request = match range {
        Some((first, last)) => request.header("range", format!("bytes={first}-{last}")),
        None => request,
    };
    let answer = loop {
        let request = request.try_clone().expect("it has no body");
        let answer = request.send().expect("is answered");
        if answer.status() != StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        // Sent faster than a tenant may: as any client, it waits.
        let wait = answer.headers()["retry-after"].to_str().expect("text").parse();
        std::thread::sleep(Duration::from_secs(wait.expect("seconds")));
    };
    assert!(answer.status().is_success(), "{answer:?}");
    let told = answer.content_length().expect("a length");
    let bytes = answer.bytes().expect("comes whole").to_vec();
    assert_eq!(bytes.len() as u64, told);
    bytes
}

#[test]
pub(crate) fn what_is_large_comes_as_it_is_in_whatever_ranges() {
    let dir = stella_testkit::temp_dir();
    let server = Server::with_large_bundle(dir.path(), LARGE, &[]);
    let client = Client::builder().timeout(Duration::from_secs(60)).build().expect("a client");
    let all = fetch(&client, &server, "bundle.tar", None);
    // Every file of it stands in the tar as it is fetched by itself.
    let files = server.ask("GET", "/runs/r-1/files", &[], "").json();
    let mut largest = 0;
    for file in files["items"].as_array().expect("files") {
        let path = format!("parts/{}", file["path"].as_str().expect("a name"));
        let bytes = fetch(&client, &server, &path, None);
        let found = memchr::memmem::find(&all, &bytes);
        assert!(found.is_some_and(|at| at % 512 == 0), "{path}");
        largest = largest.max(bytes.len());
    }
    assert!(largest > 3 << 18, "only {largest} bytes: sent in one piece");
    std::thread::scope(|scope| {
        for seed in 1..=4 {
            let (client, server, all) = (&client, &server, &all);
            scope.spawn(move || {
                let mut numbers = Numbers(seed);
                for _ in 0..stella_testkit::rounds(60, 500) {
                    let size = all.len() as u64;
                    let first = numbers.next() % size;
                    let last = (first + numbers.next() % (size / 2)).min(size - 1);
                    let bytes = fetch(client, server, "bundle.tar", Some((first, last)));
                    let expected = &all[first as usize..=last as usize];
                    assert!(bytes == expected, "bytes {first} to {last} are others");
                }
            });
        }
    });
    // Who fetched what is told once, however many asked at once.
    let log = server.ask("GET", "/audit?limit=1000", &[], "").json();
    let fetched = |action: &str| {
        let told = log["items"].as_array().expect("entries").iter();
        told.filter(|entry| entry["action"] == action && entry["object"] == "r-1").count()
    };
    assert_eq!((fetched("bundle.download"), fetched("bundle.part")), (1, 1), "{log}");
}

#[test]
fn whoever_fetches_a_bundle_is_told_once_however_many_ranges_they_take() {
    let dir = stella_testkit::temp_dir();
    let server = Server::with_large_bundle(dir.path(), LARGE, &[]);
    let get = |path: &str, range: &str| {
        let answer = server.ask("GET", path, &[("Range", range)], "");
        assert_eq!(answer.status, 206, "{answer:?}");
    };
    for first in 0..5 {
        get("/runs/r-1/bundle.tar", &format!("bytes={first}-100"));
        get("/runs/r-1/parts/README.md", &format!("bytes={first}-100"));
        get("/runs/r-1/parts/NOTICE.md", &format!("bytes={first}-100"));
    }
    let told = || {
        let log = server.ask("GET", "/audit?limit=1000", &[], "").json();
        let entries = log["items"].as_array().expect("entries").clone();
        let is_fetched = |entry: &&Value| {
            entry["action"].as_str().is_some_and(|action| action.starts_with("bundle."))
        };
        let what = |entry: &Value| {
            (entry["action"].to_string(), entry["object"].to_string(), entry["details"].clone())
        };
        entries.iter().filter(is_fetched).map(what).collect::<Vec<_>>()
    };
    let entries = told();
    let named: Vec<(&str, &str)> =
        entries.iter().map(|(action, object, _)| (action.as_str(), object.as_str())).collect();
    assert_eq!(named, [(r#""bundle.download""#, r#""r-1""#), (r#""bundle.part""#, r#""r-1""#)]);
    assert_eq!(entries[1].2, json!({ "first": "README.md" }), "{entries:?}");
    // Somebody else is somebody else.
    let new = json!({ "name": "other", "scopes": ["export:download"], "expiresInDays": 1 });
    let made = server.ask("POST", "/tokens", &[], &new.to_string());
    let token = made.json()["token"].as_str().unwrap_or_else(|| panic!("{made:?}")).to_owned();
    let other = server.as_somebody(&token);
    assert_eq!(other.ask("GET", "/runs/r-1/bundle.tar", &[], "").status, 200);
    assert_eq!(told().len(), 3);
    // From the moment that it is revoked on it opens nothing, although it was known just now.
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(server.ask("DELETE", &format!("/tokens/{id}"), &[], "").status, 204);
    assert_eq!(other.ask("GET", "/runs/r-1/bundle.tar", &[], "").problem().0, 401);
}
