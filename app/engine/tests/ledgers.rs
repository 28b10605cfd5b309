//! Where the ledger lies changes nothing of a bundle.

mod common;

use std::path::{Path, PathBuf};

use common::{ingest_into, request, run};
use stella_engine::{Carrier, RunRequest, Store};
use stella_ledger::{IngestMode, IngestSummary};
use stella_model::Digest;
use stella_peers::Postgres;

/// Evidence of every kind, with documents that are rejected, come twice, or are cut from reports.
fn evidence() -> Vec<(String, Vec<PathBuf>)> {
    let samples = stella_testkit::SAMPLE_FEEDS.iter().map(|(feed, paths)| {
        let paths = paths.iter().map(|path| stella_testkit::samples().join(path));
        ((*feed).to_owned(), paths.collect())
    });
    let real = [
        "advisories/kubernetes.osv.jsonl.zst",
        "advisories/edge-duplicate-ids.jsonl.zst",
        "findings/defectdojo-trivy.tar.zst",
        "csaf/csaf-validator-cases.tar.zst",
    ];
    let real = real.iter().enumerate().filter_map(|(number, name)| {
        Some((format!("real-{number}"), vec![stella_testkit::data_archive(name)?]))
    });
    samples.chain(real).collect()
}

fn digest(store: &Store, dest: &Path, profile: &str, threads: usize) -> Digest {
    let asked = RunRequest { threads, ..request(profile) };
    run(store, asked, dest, Carrier::Dir).expect("runs").export_digest
}

#[test]
fn bundles_from_postgresql_are_those_from_the_embedded_ledger() {
    let Some(server) = Postgres::start() else { return };
    let dir = stella_testkit::temp_dir();
    let embedded = Store::at(dir.path().join("embedded"));
    let shared = Store::at(dir.path().join("shared")).with_database(&server.database("ledger"));
    // The worker that runs has taken nothing in itself.
    let worker = Store::at(dir.path().join("worker")).with_database(&server.database("none"));
    assert!(worker.ledger().expect("a ledger").feeds().expect("feeds").is_empty());
    let said = |summary: IngestSummary| serde_json::to_string(&summary).expect("JSON");
    for (feed, paths) in evidence() {
        for mode in [IngestMode::Merge, whole()] {
            let take = |store| said(ingest_into(store, &feed, paths.clone(), mode.clone()).summary);
            assert_eq!(take(&shared), take(&embedded), "{feed} {mode:?}");
        }
    }
    let feeds = |store: &Store| {
        let feeds = store.ledger().expect("a ledger").feeds().expect("feeds");
        serde_json::to_string(&feeds).expect("JSON")
    };
    assert_eq!(feeds(&shared), feeds(&embedded));
    for (number, profile) in ["json:raw", "mirror:full", "trivy:db"].into_iter().enumerate() {
        let dest = |store: &str| dir.path().join(format!("{store}-{number}"));
        assert_eq!(
            digest(&shared, &dest("from-shared"), profile, 1),
            digest(&embedded, &dest("from-embedded"), profile, 2),
            "{profile}"
        );
    }
}

/// The input is the whole feed.
fn whole() -> IngestMode {
    IngestMode::Replace { max_drop_percent: 0.0, accept: None }
}
