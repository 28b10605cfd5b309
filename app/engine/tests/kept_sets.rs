//! What is kept of sets from run to run saves time and changes nothing.

mod common;

use std::path::{Path, PathBuf};

use common::{ingest_into, request};
use stella_engine::{
    Cancel, Carrier, ExportRequest, NoProgress, PlanReport, RunRequest, Signing, Store, export,
    plan,
};
use stella_ledger::IngestMode;
use stella_model::Digest;
use stella_plan::profile::Select;

const PROFILE: &str = "mirror:full";

fn samples(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples").join(folder)
}

fn take_in(store: &Store, feed: &str, path: PathBuf) {
    ingest_into(store, feed, vec![path], IngestMode::Merge);
}

/// An advisory of its own, in a file.
fn advisory(dir: &Path, id: &str, summary: &str) -> PathBuf {
    let path = dir.join(format!("{id}-{summary}.json"));
    let text = format!(
        r#"{{"schema_version":"1.7.0","id":"{id}","modified":"2026-01-01T00:00:00Z","summary":"{summary}"}}"#
    );
    std::fs::write(&path, text).expect("writes");
    path
}

fn run(store: &Store, dest: &Path) -> Digest {
    let request = ExportRequest {
        run: request(PROFILE),
        dest: dest.to_owned(),
        carrier: Carrier::Dir,
        replace: true,
        signing: Signing::UnsignedForTesting,
        cache_bytes: None,
    };
    export(store, &request, &NoProgress, &Cancel::new()).expect("runs").export_digest
}

fn planned(store: &Store, select: Select) -> PlanReport {
    let request = RunRequest { select, ..request(PROFILE) };
    plan(store, &request, &NoProgress, &Cancel::new()).expect("plans")
}

/// The one file of kept sets of a store.
fn kept(store: &Store) -> PathBuf {
    let files = std::fs::read_dir(store.runs_dir()).expect("a folder");
    let mut files = files.map(|file| file.expect("an entry").path());
    let is_kept = |path: &PathBuf| path.extension().is_some_and(|found| found == "sets");
    files.find(is_kept).expect("a run keeps what it found")
}

fn forget(store: &Store) {
    std::fs::remove_file(kept(store)).expect("removes");
}

#[test]
fn a_run_over_changed_evidence_is_the_same_with_and_without_what_was_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::at(dir.path().join("store"));
    let dest = dir.path().join("bundle");
    for feed in ["advisories", "sbom", "vex"] {
        take_in(&store, feed, samples(feed));
    }
    let mut digests = vec![run(&store, &dest)];
    for summary in ["one", "two"] {
        take_in(&store, "own", advisory(dir.path(), &format!("OWN-{summary}"), summary));
        let with = run(&store, &dest);
        forget(&store);
        assert_eq!(run(&store, &dest), with, "{summary}");
        assert_eq!(run(&store, &dest), with, "{summary}");
        digests.push(with);
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 3, "every change is in the bundle");
}

#[test]
fn what_was_kept_is_used_and_only_if_it_is_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::at(dir.path().join("store"));
    take_in(&store, "sbom", samples("sbom"));
    run(&store, &dir.path().join("bundle"));
    let truth = planned(&store, Select::default()).plan_hash;
    let text = std::fs::read_to_string(kept(&store)).expect("reads");
    let (digest, sets) = text.split_once('\n').expect("two lines");
    assert_eq!(digest, Digest::of(sets.as_bytes()).to_string());
    let other = sets.replacen(r#""root":""#, r#""root":"0000"#, 1);
    let at = other.find("0000").expect("it is there") + 64;
    let other = format!("{}{}", &other[..at], &other[at + 4..]);

    // Whoever can write both can write the ledger too.
    let forged = format!("{}\n{other}", Digest::of(other.as_bytes()));
    std::fs::write(kept(&store), forged).expect("writes");
    assert_ne!(planned(&store, Select::default()).plan_hash, truth, "it is used");
    let only = Select { ids: ["none".to_owned()].into(), ..Select::default() };
    assert_eq!(planned(&store, only).records, 0, "not where records are selected one by one");
    for damaged in [format!("{digest}\n{other}"), digest.to_owned(), String::new()] {
        std::fs::write(kept(&store), damaged).expect("writes");
        assert_eq!(planned(&store, Select::default()).plan_hash, truth);
    }
}

#[test]
fn a_ledger_that_was_put_back_is_read_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::at(dir.path().join("store"));
    let (dest, ledger) = (dir.path().join("bundle"), store.dir().join("ledger.sqlite"));
    take_in(&store, "own", advisory(dir.path(), "OWN-1", "first"));
    let copy = std::fs::read(&ledger).expect("reads");
    take_in(&store, "own", advisory(dir.path(), "OWN-2", "lost"));
    let lost = run(&store, &dest);

    // The same sequence, other records.
    std::fs::write(&ledger, copy).expect("writes");
    take_in(&store, "own", advisory(dir.path(), "OWN-2", "found"));
    let found = run(&store, &dest);
    assert_ne!(found, lost);
    forget(&store);
    assert_eq!(run(&store, &dest), found);
}
