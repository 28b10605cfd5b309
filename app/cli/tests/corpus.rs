//! The real corpus from ingest to verified bundles, with every document accounted for.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use stella_testkit::{data_dir, full};
use support::{Stella, archives, feed_of};

/// What is ingested in a quick run: every form of container, every kind, and formats that are not
/// read.
const SLICE: &[&str] = &[
    "advisories/edge-duplicate-ids.jsonl.zst",
    "advisories/go.osv.jsonl.zst",
    "advisories-raw/nodejs-security-wg-json.tar.zst",
    "csaf/csaf-validator-cases.tar.zst",
    "findings/defectdojo-trivy.tar.zst",
    "java/maven-jars-pyspark-3.5.3.jsonl.zst",
    "sbom/cyclonedx-spec-cases.tar.zst",
    "sbom/spdx-examples.tar.zst",
    "vex/cyclonedx-vex.tar.zst",
    "vex/openvex-vexctl.tar.zst",
];

/// One row of the table in the data's README.
struct Row {
    path: String,
    /// Lines or members.
    documents: u64,
}

/// The rows that are evidence.
fn rows(data: &Path) -> Vec<Row> {
    let readme = std::fs::read_to_string(data.join("README.md")).expect("the data has a README");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let path = cells.next()?.trim_end_matches('`').to_owned();
        let documents = cells.next()?.parse().ok()?;
        Some(Row { path, documents })
    };
    let apart =
        |row: &Row| ["series/", "oracle/", "sealed/"].iter().any(|p| row.path.starts_with(p));
    readme.lines().filter_map(row).filter(|row| !apart(row)).collect()
}

/// What an ingest told.
struct Ingested {
    row: Row,
    feed: String,
    report: Value,
    quarantine: Vec<Value>,
}

impl Ingested {
    fn count(&self, member: &str) -> u64 {
        self.report[member].as_u64().unwrap_or_else(|| panic!("{member} in {:#}", self.report))
    }

    fn counts(&self, member: &str) -> BTreeMap<String, u64> {
        let counts = self.report[member].as_object().cloned().unwrap_or_default();
        counts.into_iter().map(|(name, count)| (name, count.as_u64().unwrap_or(0))).collect()
    }
}

fn ingest(stella: &Stella, data: &Path, row: Row) -> Ingested {
    let path = data.join(&row.path);
    let feed = feed_of(&path);
    let path = path.to_string_lossy().into_owned();
    let outcome = stella.run(&["-o", "json", "ingest", "--feed", &feed, &path]);
    // 2: every document was rejected.
    assert!(matches!(outcome.code, Some(0 | 2)), "{}: {outcome:#?}", row.path);
    let report = outcome.json();
    let list = stella.json(&["quarantine", "list", "--feed", &feed]);
    let quarantine = list["items"].as_array().expect("a list").clone();
    Ingested { row, feed, report, quarantine }
}

#[test]
fn every_document_of_the_corpus_is_accounted_for_and_carried() {
    let Some(data) = data_dir() else { return };
    let mut rows = rows(&data);
    let listed: Vec<&str> = rows.iter().map(|row| row.path.as_str()).collect();
    let found: Vec<(String, PathBuf)> = archives(&data);
    let found: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(listed, found, "the table of the README names every archive");
    if !full() {
        rows.retain(|row| SLICE.contains(&row.path.as_str()));
        assert_eq!(rows.len(), SLICE.len(), "the slice is in the data");
    }
    let stella = Stella::new();
    let all: Vec<Ingested> = rows.into_iter().map(|row| ingest(&stella, &data, row)).collect();
    for one in &all {
        accounted(one);
        as_expected(one);
    }
    listed_feeds(&stella, &all);
    stella.run(&["keys", "generate", "corpus"]).expect(0);
    stella.run(&["keys", "export-public", "corpus", "-d", "corpus.pub"]).expect(0);
    for profile in ["json:raw", "mirror:full"] {
        carried(&stella, profile, &all);
    }
}

/// Documents, companions, ignored files and rejected documents are all that there is.
fn accounted(one: &Ingested) {
    let quarantined = one.counts("quarantined");
    // A duplicate was recognised before it lost.
    let rejected: u64 = quarantined
        .iter()
        .filter(|(reason, _)| *reason != "duplicate-identity")
        .map(|(_, count)| count)
        .sum();
    let sum = one.count("documents") + one.count("companions") + one.count("ignored") + rejected;
    assert_eq!(sum, one.row.documents, "{}: {:#}", one.row.path, one.report);
    let mut listed = BTreeMap::new();
    for entry in &one.quarantine {
        let text = |member: &str| {
            let text = entry[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{}: no {member} in {entry:#}", one.row.path);
            text.to_owned()
        };
        text("path");
        text("detail");
        *listed.entry(text("reason")).or_insert(0) += 1;
    }
    assert_eq!(listed, quarantined, "{}: the quarantine lists what was counted", one.row.path);
}

/// What is known of the archives besides their number of documents.
fn as_expected(one: &Ingested) {
    let (path, records, quarantined) =
        (one.row.path.as_str(), one.counts("records"), one.counts("quarantined"));
    let kinds: Vec<&str> = records.keys().map(String::as_str).collect();
    let only = |kind: &str| assert_eq!(kinds, [kind], "{path}: {:#}", one.report);
    let unread = || {
        assert!(records.is_empty(), "{path}: {:#}", one.report);
        assert_eq!(quarantined.keys().collect::<Vec<_>>(), ["unknown-format"], "{path}");
    };
    match path.split('/').next().unwrap_or_default() {
        "advisories" if path.ends_with(".osv.jsonl.zst") => {
            only("advisory");
            assert_eq!(records["advisory"], one.row.documents, "{path}: all are distinct");
            assert!(quarantined.is_empty(), "{path}: {:#}", one.report);
        }
        // Each line wraps an advisory in where it was found.
        "advisories" => unread(),
        "advisories-raw" | "policy" | "attestations" => unread(),
        // Each line of a jar list is one jar.
        "java" => {
            only("sbom");
            assert_eq!(records["sbom"], one.row.documents, "{path}: all are distinct");
        }
        "csaf" => only("advisory"),
        "vex" => assert!(kinds.contains(&"vex"), "{path}: {:#}", one.report),
        "sbom" => assert!(kinds.contains(&"sbom"), "{path}: {:#}", one.report),
        "findings" => assert!(kinds.contains(&"finding"), "{path}: {:#}", one.report),
        other => panic!("{other}: a folder of the data that this test does not know"),
    }
}

/// `feeds list` says what the ingests said.
fn listed_feeds(stella: &Stella, all: &[Ingested]) {
    let list = stella.json(&["feeds", "list"]);
    for one in all {
        let items = list["items"].as_array().expect("a list");
        let feed = items.iter().find(|item| item["name"] == one.feed.as_str());
        let feed = feed.unwrap_or_else(|| panic!("{} in {list:#}", one.feed));
        let held = feed["records"].as_object().cloned().unwrap_or_default();
        let held: BTreeMap<String, u64> =
            held.into_iter().map(|(kind, count)| (kind, count.as_u64().unwrap_or(0))).collect();
        assert_eq!(held, one.counts("records"), "{}", one.feed);
        assert_eq!(feed["quarantined"].as_u64(), Some(one.quarantine.len() as u64), "{}", one.feed);
    }
}

/// Plans, runs and verifies a profile: the bundle has every record that was taken in.
fn carried(stella: &Stella, profile: &str, all: &[Ingested]) {
    let mut expected = BTreeMap::new();
    for one in all {
        for (kind, count) in one.counts("records") {
            expected.insert((kind, one.feed.clone()), count);
        }
    }
    let total: u64 = expected.values().sum();
    let plan = stella.json(&["export", "plan", profile]);
    assert_eq!(plan["records"].as_u64(), Some(total), "{profile}: {plan:#}");

    let name = profile.replace(':', "-");
    let run = stella.json(&["export", "run", profile, "-d", &name, "--key", "corpus"]);
    let manifest = support::manifest(&stella.path(&name));
    let mut sets = BTreeMap::new();
    for set in manifest["sets"].as_array().expect("sets") {
        let text = |member: &str| set[member].as_str().unwrap_or_default().to_owned();
        sets.insert((text("kind"), text("feed")), set["count"].as_u64().unwrap_or(0));
    }
    let left_out = run["notCarried"].as_object().cloned().unwrap_or_default();
    let left_out: u64 = left_out.values().filter_map(Value::as_u64).sum();
    if profile == "mirror:full" {
        assert_eq!(sets, expected, "{profile}");
        assert_eq!(left_out, 0, "{profile}: a mirror leaves out nothing");
    }
    assert_eq!(sets.values().sum::<u64>() + left_out, total, "{profile}: carried and left out");

    let verify = ["export", "verify", &name, "--key", "corpus.pub"];
    stella.run(&verify).expect(0);
    if full() {
        stella.run(&[&verify[..], &["--deep"]].concat()).expect(0);
    }
}
