//! From samples to a bundle: the whole path, in process.

mod common;

use std::path::{Path, PathBuf};

use common::{ingest_into, now, request, run, tree};
use stella_engine::{
    Cancel, Carrier, Change, EngineError, ExportRequest, IngestRequest, NoProgress, RunReport,
    RunRequest, Signing, Store, export, ingest, plan,
};
use stella_keys::{Existing, KeyName, KeyStore, Password, PasswordSource};
use stella_ledger::{Changes, FeedSpec, IngestMode};
use stella_model::{Digest, ErrorCode};
use stella_plan::profile::Select;
use stella_seal::Algorithm;
use stella_testkit::overwrite;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples")
}

fn take_in(store: &Store, feed: &str, paths: Vec<PathBuf>) {
    let report = ingest_into(store, feed, paths, IngestMode::Merge);
    assert!(report.summary.documents > 0, "{feed}: {report:?}");
}

/// A store with every sample folder as a feed.
fn store(dir: &Path) -> Store {
    let store = Store::at(dir.join("store"));
    for folder in ["advisories", "sbom", "vex", "findings"] {
        take_in(&store, folder, vec![samples().join(folder)]);
    }
    store
}

#[test]
fn the_same_evidence_gives_the_same_bytes_whatever_store_threads_and_depot() {
    let dir = tempfile::tempdir().expect("a folder");
    let (one, two) = (store(&dir.path().join("1")), store(&dir.path().join("2")));
    for profile in ["json:raw", "mirror:full"] {
        let mut reports = Vec::new();
        let mut trees = Vec::new();
        for (store, threads, name) in [(&one, 1, "a"), (&one, 2, "b"), (&two, 7, "c")] {
            let dest = dir.path().join(format!("{}-{name}", profile.replace(':', "-")));
            let request = RunRequest { threads, ..request(profile) };
            reports.push(run(store, request, &dest, Carrier::Dir).expect("runs"));
            trees.push(tree(&dest));
        }
        assert!(trees[0].len() > 10, "{:?}", trees[0].keys());
        assert!(trees.iter().all(|tree| *tree == trees[0]), "{profile}");
        assert!(reports[0].reused_parts == 0 && reports[1].reused_parts == reports[1].parts);
        assert_eq!(reports[0].export_digest, reports[2].export_digest);
    }
}

#[test]
fn a_destination_with_the_same_bundle_is_left_alone_and_another_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path());
    let dest = dir.path().join("bundle");
    assert!(!run(&store, request("mirror:full"), &dest, Carrier::Dir).expect("runs").already_there);
    assert!(run(&store, request("mirror:full"), &dest, Carrier::Dir).expect("runs").already_there);
    let before = tree(&dest);
    let error = run(&store, request("json:raw"), &dest, Carrier::Dir).expect_err("is refused");
    assert_eq!(error.code(), ErrorCode::Conflict);
    assert_eq!(tree(&dest), before);
}

#[test]
fn a_damaged_part_in_the_depot_is_built_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path());
    let first =
        run(&store, request("mirror:full"), &dir.path().join("a"), Carrier::Dir).expect("runs");
    for (name, digest) in tree(&store.depot_dir()) {
        if name.contains("blobs") {
            let path = store.depot_dir().join(name);
            let mut bytes = std::fs::read(&path).expect("reads");
            assert_eq!(Digest::of(&bytes), digest);
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            overwrite(&path, bytes);
        }
    }
    let second =
        run(&store, request("mirror:full"), &dir.path().join("b"), Carrier::Tar).expect("runs");
    assert_eq!((first.export_digest, second.reused_parts), (second.export_digest, 0));
}

#[test]
fn planning_tells_what_would_happen_and_writes_no_bundle() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path());
    let planned =
        plan(&store, &request("mirror:full"), &NoProgress, &Cancel::new()).expect("plans");
    assert_eq!((planned.reusable_parts, planned.last_run), (0, None));
    let report =
        run(&store, request("mirror:full"), &dir.path().join("a"), Carrier::Dir).expect("runs");
    assert_eq!((planned.plan_hash, planned.records), (report.plan_hash, report.records));
    let planned =
        plan(&store, &request("mirror:full"), &NoProgress, &Cancel::new()).expect("plans");
    assert_eq!(planned.reusable_parts, planned.parts);
    assert_eq!(planned.last_run.map(|run| run.export_digest), Some(report.export_digest));
    assert!(planned.sets.iter().all(|set| set.change == Change::Unchanged));
}

#[test]
fn a_plan_counts_what_changed_since_the_last_run_or_says_what_is_left_of_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::at(dir.path().join("store"));
    let osv = |id: &str, day: u8| {
        format!(r#"{{"id":"{id}","modified":"2026-01-{day:02}T00:00:00Z","affected":[]}}"#)
    };
    let take = |name: &str, lines: &[String]| {
        let file = dir.path().join(name);
        std::fs::write(&file, lines.join("\n") + "\n\n").expect("writes");
        take_in(&store, "osv", vec![file]);
    };
    let planned = |request: &RunRequest| {
        plan(&store, request, &NoProgress, &Cancel::new()).expect("plans").sets[0].change
    };
    let recent = RunRequest {
        select: Select { modified_since: Some("2026-01-01T00:00:00Z".into()), ..Select::default() },
        ..request("mirror:full")
    };
    take("one.jsonl", &[osv("A", 1), osv("B", 1)]);
    assert_eq!(planned(&request("mirror:full")), Change::New);
    run(&store, request("mirror:full"), &dir.path().join("a"), Carrier::Dir).expect("runs");
    run(&store, recent.clone(), &dir.path().join("b"), Carrier::Dir).expect("runs");
    take("two.jsonl", &[osv("B", 2), osv("C", 1), osv("D", 1)]);
    let counts = Some(Changes { added: 2, changed: 1, removed: 0 });
    assert_eq!(planned(&request("mirror:full")), Change::Changed { records: 2, counts });
    assert_eq!(planned(&recent), Change::Changed { records: 2, counts: None });
}

#[test]
fn an_empty_selection_and_an_unknown_feed_are_errors() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path());
    let select = Select { ids: ["CVE-1900-0001".to_owned()].into(), ..Select::default() };
    let nothing = RunRequest { select, ..request("mirror:full") };
    let error = run(&store, nothing, &dir.path().join("a"), Carrier::Dir).expect_err("is empty");
    assert_eq!(error.code(), ErrorCode::Empty);
    let select = Select { feeds: ["nosuch".parse().expect("a feed")].into(), ..Select::default() };
    let unknown = RunRequest { select, ..request("mirror:full") };
    let error = run(&store, unknown, &dir.path().join("a"), Carrier::Dir).expect_err("is unknown");
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert!(!dir.path().join("a").exists());
}

#[test]
fn a_selection_carries_the_selected_records_and_is_not_importable() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path());
    let select = Select { packages: ["pkg:npm/lodash".to_owned()].into(), ..Select::default() };
    let dest = dir.path().join("a");
    let report = run(&store, RunRequest { select, ..request("mirror:full") }, &dest, Carrier::Dir)
        .expect("runs");
    assert!((1..20).contains(&report.records), "{}", report.records);
    let manifest = std::fs::read_to_string(dest.join("export.json")).expect("reads");
    assert!(manifest.contains("\"importable\":false"));
}

#[test]
fn a_set_that_redaction_leaves_empty_is_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::at(dir.path().join("store"));
    take_in(&store, "npm", vec![samples().join("advisories/npm")]);
    take_in(&store, "xml", vec![samples().join("sbom/harbour-gateway.cdx.xml")]);
    let dest = dir.path().join("a");
    let error = run(&store, request("json:raw"), &dest, Carrier::Dir).expect_err("is empty");
    assert_eq!(error.code(), ErrorCode::Empty);
    assert!(error.to_string().contains("sbom/xml"), "{error}");
    assert!(!dest.exists());
    let allow_empty = vec!["sbom/xml".parse().expect("a set")];
    let allowed = RunRequest { allow_empty, ..request("json:raw") };
    let report = run(&store, allowed, &dest, Carrier::Dir).expect("runs");
    assert_eq!(report.not_carried.get("not-redactable"), Some(&1));
}

#[test]
fn runs_side_by_side_do_not_take_each_others_parts_away() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path());
    let digests: Vec<Digest> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..6)
            .map(|number| {
                let (store, dest) = (&store, dir.path().join(format!("b{number}")));
                scope.spawn(move || {
                    let request = ExportRequest {
                        run: request("mirror:full"),
                        dest,
                        carrier: Carrier::Dir,
                        replace: false,
                        signing: Signing::UnsignedForTesting,
                        cache_bytes: Some(0),
                    };
                    let report = export(store, &request, &NoProgress, &Cancel::new());
                    report.expect("runs").export_digest
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().expect("ends")).collect()
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

fn signed(store: &Store, password: PasswordSource, dest: &Path) -> Result<RunReport, EngineError> {
    let request = ExportRequest {
        run: request("mirror:full"),
        dest: dest.to_owned(),
        carrier: Carrier::Dir,
        replace: false,
        signing: Signing::Key { name: None, password },
        cache_bytes: None,
    };
    export(store, &request, &NoProgress, &Cancel::new())
}

#[test]
fn a_wrong_password_is_known_before_packing_and_what_was_signed_needs_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path());
    let given = |text: &str| PasswordSource::Given(Password::new(text.into()));
    let release = KeyName::new("release").expect("a name");
    let keys = KeyStore::at(store.keys_dir());
    keys.generate(&release, Algorithm::Ed25519, &given("right"), Existing::Keep).expect("a key");
    let error = signed(&store, given("wrong"), &dir.path().join("a")).expect_err("is refused");
    assert_eq!(error.code(), ErrorCode::NotAllowed);
    assert!(!store.depot_dir().exists(), "nothing was packed");
    let first = signed(&store, given("right"), &dir.path().join("a")).expect("runs");
    // The same plan again: its signatures are kept, whatever the password.
    let again = signed(&store, given("wrong"), &dir.path().join("b")).expect("runs");
    assert_eq!(first.export_digest, again.export_digest);
    assert!(again.key.expect("a key").reused_signatures);
    take_in(&store, "more", vec![samples().join("advisories/npm")]);
    let error = signed(&store, given("wrong"), &dir.path().join("c")).expect_err("is refused");
    assert_eq!(error.code(), ErrorCode::NotAllowed);
}

#[test]
fn plan_run_and_notice_tell_of_a_feed_that_may_not_be_passed_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::at(dir.path().join("store"));
    for (feed, redistribution) in [("npm", Some(false)), ("go", Some(true)), ("pypi", None)] {
        let feed = FeedSpec { redistribution, ..FeedSpec::named(feed.parse().expect("a feed")) };
        let paths = vec![samples().join("advisories").join(feed.name.as_str())];
        let mode = IngestMode::Merge;
        let request = IngestRequest { feed, paths, mode, threads: 1, dry_run: false, now: now() };
        ingest(&store, &request, &NoProgress, &Cancel::new()).expect("ingests");
    }
    let expected = ["feed npm may not be redistributed: mind where the bundle goes"];
    let planned = plan(&store, &request("json:raw"), &NoProgress, &Cancel::new()).expect("plans");
    assert_eq!(planned.warnings, expected);
    let dest = dir.path().join("a");
    let report = run(&store, request("json:raw"), &dest, Carrier::Dir).expect("runs");
    assert_eq!(report.warnings, expected);
    let notice = std::fs::read_to_string(dest.join("NOTICE.md")).expect("reads");
    let npm = notice.split("\n## ").find(|part| part.starts_with("npm\n")).expect("a part on npm");
    assert!(npm.contains("Redistribution: not allowed"), "{npm}");
}
