//! Bundles of the engine read back: verify, inspect, diff, cat, prove.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{ingest_into, now, request};
use stella_engine::{
    Cancel, Carrier, CatForm, CatRequest, ChangeKind, ExportRequest, MissingSet, NoProgress,
    ProveRequest, RunRequest, Signing, Store, VerifyProofRequest, VerifyRequest, cat, diff, export,
    inspect, prove, verify, verify_proof,
};
use stella_keys::{Existing, KeyName, KeyStore, Password, PasswordSource, TrustStore};
use stella_ledger::IngestMode;
use stella_model::{Digest, ErrorCode};
use stella_seal::Algorithm;
use stella_testkit::overwrite;
use stella_verify::{Check, Proven, Report, State};

/// A store with samples and a key, and the bundles made from it.
struct Fixture {
    dir: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = stella_testkit::temp_dir();
        let store = Store::at(dir.path().join("store"));
        let fixture = Fixture { dir, store };
        let samples = stella_testkit::samples();
        for folder in ["advisories", "sbom", "vex", "findings"] {
            fixture.take_in(folder, vec![samples.join(folder)]);
        }
        fixture.key("release");
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn take_in(&self, feed: &str, paths: Vec<PathBuf>) {
        ingest_into(&self.store, feed, paths, IngestMode::Merge);
    }

    /// Makes a key and its public file.
    fn key(&self, name: &str) -> PathBuf {
        let keys = KeyStore::at(self.store.keys_dir());
        let key = KeyName::new(name).expect("a name");
        let password = PasswordSource::Given(Password::new(b"secret".to_vec()));
        keys.generate(&key, Algorithm::Ed25519, &password, Existing::Keep).expect("a key");
        let path = self.path(&format!("{name}.pub"));
        fs::write(&path, keys.export_public(&key).expect("a key")).expect("writes");
        path
    }

    fn run(&self, profile: &str, name: &str, carrier: Carrier, signed: bool) -> PathBuf {
        let run = RunRequest { threads: 1, ..request(profile) };
        let signing = if signed {
            let password = PasswordSource::Given(Password::new(b"secret".to_vec()));
            Signing::Key { name: KeyName::new("release").ok(), password }
        } else {
            Signing::UnsignedForTesting
        };
        let dest = self.path(name);
        let request = ExportRequest {
            run,
            dest: dest.clone(),
            carrier,
            replace: true,
            signing,
            cache_bytes: None,
        };
        export(&self.store, &request, &NoProgress, &Cancel::new()).expect("runs");
        dest
    }

    fn request(&self, bundle: &Path) -> VerifyRequest<'_> {
        VerifyRequest {
            scanner: None,
            path: bundle.to_owned(),
            keys: vec![self.path("release.pub")],
            store: None,
            max_age: None,
            now: now(),
            deep: true,
            allow_unsigned: false,
            threads: 2,
        }
    }

    /// A copy of the manifest of a bundle, with its signatures, away from it.
    fn manifest_of(&self, bundle: &Path) -> PathBuf {
        let manifest = self.path("export.json");
        for suffix in ["", ".sig", ".sigstore.json"] {
            let from = bundle.join(format!("export.json{suffix}"));
            fs::copy(from, format!("{}{suffix}", manifest.display())).expect("copies");
        }
        manifest
    }

    fn verify(&self, bundle: &Path) -> Report {
        check(&self.request(bundle))
    }
}

fn check(request: &VerifyRequest<'_>) -> Report {
    verify(request, &NoProgress, &Cancel::new()).expect("a report")
}

fn failed(report: &Report) -> Vec<Check> {
    report.failed().map(|result| result.check).collect()
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).expect("copies");
        return;
    }
    fs::create_dir(to).expect("makes");
    for entry in fs::read_dir(from).expect("lists") {
        let entry = entry.expect("an entry");
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

fn flip(path: &Path, at: usize, bit: u32) {
    let mut bytes = fs::read(path).expect("reads");
    bytes[at] ^= 1 << bit;
    overwrite(path, bytes);
}

#[test]
fn what_the_engine_exports_verifies_in_both_carriers_on_any_number_of_threads() {
    let fixture = Fixture::new();
    for profile in ["json:raw", "mirror:full"] {
        let mut reports = Vec::new();
        for (carrier, name) in [(Carrier::Dir, "folder"), (Carrier::Tar, "tar")] {
            let bundle = fixture.run(profile, name, carrier, true);
            for threads in [1, 2, 50] {
                reports.push(check(&VerifyRequest { threads, ..fixture.request(&bundle) }));
            }
        }
        let first = &reports[0];
        assert!(first.verified, "{profile}: {:#?}", first.failed().collect::<Vec<_>>());
        assert_eq!((first.exit_code(), first.summary.not_checked), (0, 0));
        assert!(first.bundle.as_ref().is_some_and(|bundle| bundle.records > 60));
        // Folder and tar differ in nothing but the number of files, which is the same.
        assert!(reports.iter().all(|report| report == first), "{profile}");
    }
}

#[test]
fn keys_come_from_files_or_the_trust_store_and_never_from_the_bundle() {
    let fixture = Fixture::new();
    let bundle = fixture.run("mirror:full", "bundle", Carrier::Dir, true);
    let without = VerifyRequest { keys: Vec::new(), ..fixture.request(&bundle) };
    let report = check(&without);
    assert_eq!((report.exit_code(), failed(&report)), (8, vec![]));
    let by_store = VerifyRequest { store: Some(&fixture.store), ..without };
    assert_eq!(check(&by_store).exit_code(), 8);
    let trust = TrustStore::at(fixture.store.trust_dir());
    let publisher = KeyName::new("publisher").expect("a name");
    trust.add(&publisher, &fixture.path("release.pub")).expect("adds");
    let report = check(&by_store);
    assert!(report.verified);
    assert_eq!(report.signers[0].key.as_deref(), Some("publisher"));
    let wrong = VerifyRequest { keys: vec![fixture.key("other")], ..by_store };
    let report = check(&wrong);
    assert_eq!(report.error_code(), Some(ErrorCode::Signature));
    assert!(failed(&report).contains(&Check::ManifestSignature));

    let inside = bundle.join("data/key.pub");
    fs::copy(fixture.path("release.pub"), &inside).expect("copies");
    symlink(&inside, fixture.path("link.pub")).expect("links");
    for (key, code) in [
        (inside, ErrorCode::Usage),
        (fixture.path("link.pub"), ErrorCode::Usage),
        (fixture.path("nowhere.pub"), ErrorCode::NotFound),
        (bundle.with_file_name("store").join("keys/release.key"), ErrorCode::Invalid),
    ] {
        let request = VerifyRequest { keys: vec![key.clone()], ..fixture.request(&bundle) };
        let error = verify(&request, &NoProgress, &Cancel::new()).expect_err("is refused");
        assert_eq!(error.code(), code, "{key:?}: {error}");
    }
}

#[test]
fn age_unsigned_bundles_and_interruption() {
    let fixture = Fixture::new();
    let bundle = fixture.run("mirror:full", "bundle", Carrier::Dir, true);
    for (max_age, exit) in [(Duration::from_secs(1), 11), (Duration::from_secs(u64::MAX), 0)] {
        let request = VerifyRequest { max_age: Some(max_age), ..fixture.request(&bundle) };
        assert_eq!(check(&request).exit_code(), exit, "{max_age:?}");
    }
    let unsigned = fixture.run("mirror:full", "unsigned", Carrier::Dir, false);
    assert_eq!(failed(&fixture.verify(&unsigned)), [Check::ManifestSignature]);
    let told = VerifyRequest { allow_unsigned: true, ..fixture.request(&unsigned) };
    assert!(check(&told).verified);
    let cancel = Cancel::new();
    cancel.set();
    let stopped = verify(&fixture.request(&bundle), &NoProgress, &cancel).expect_err("is stopped");
    assert_eq!(stopped.code(), ErrorCode::Interrupted);
    let missing = VerifyRequest { path: fixture.path("nowhere"), ..fixture.request(&bundle) };
    let missing = verify(&missing, &NoProgress, &Cancel::new()).expect_err("is not there");
    assert_eq!(missing.code(), ErrorCode::NotFound);
}

/// A way to tamper with a bundle: what it is, the check that tells, how.
type Tampering = (&'static str, Check, Box<dyn Fn(&Path)>);

/// What is there that no bundle holds.
fn foreign() -> Vec<Tampering> {
    vec![
        (
            "a link instead of a file",
            Check::Carrier,
            Box::new(|b| {
                fs::rename(b.join("README.md"), b.with_file_name("aside")).expect("renames");
                symlink(b.with_file_name("aside"), b.join("README.md")).expect("links");
            }),
        ),
        (
            "a link instead of a folder",
            Check::Carrier,
            Box::new(|b| {
                fs::rename(b.join("data"), b.with_file_name("data-aside")).expect("renames");
                symlink(b.with_file_name("data-aside"), b.join("data")).expect("links");
            }),
        ),
        (
            "an extra link",
            Check::Carrier,
            Box::new(|b| symlink("/", b.join("data/root")).expect("links")),
        ),
        (
            "an extra file with capitals",
            Check::Carrier,
            Box::new(|b| fs::write(b.join("Extra"), "x").expect("writes")),
        ),
        (
            "an empty folder",
            Check::Carrier,
            Box::new(|b| fs::create_dir(b.join("extra")).expect("makes")),
        ),
        (
            "a pipe",
            Check::Carrier,
            Box::new(|b| drop(std::os::unix::net::UnixListener::bind(b.join("s")).expect("binds"))),
        ),
    ]
}

/// What is there is not what was signed.
fn altered() -> Vec<Tampering> {
    let part = |bundle: &Path| {
        let folder = bundle.join("data/raw/advisory/advisories");
        fs::read_dir(folder).expect("lists").next().expect("a part").expect("an entry").path()
    };
    vec![
        (
            "an extra file",
            Check::FilesListed,
            Box::new(|b| fs::write(b.join("data/extra"), "x").expect("writes")),
        ),
        (
            "a missing part",
            Check::FilesListed,
            Box::new(move |b| fs::remove_file(part(b)).expect("removes")),
        ),
        (
            "a renamed part",
            Check::FilesListed,
            Box::new(move |b| {
                let to =
                    b.join("data/raw/advisory/advisories/p-000000000000000000000000.jsonl.zst");
                fs::rename(part(b), to).expect("renames");
            }),
        ),
        (
            "a part cut short",
            Check::PartDigests,
            Box::new(move |b| {
                let bytes = fs::read(part(b)).expect("reads");
                overwrite(&part(b), &bytes[..100]);
            }),
        ),
        ("a changed part", Check::PartDigests, Box::new(move |b| flip(&part(b), 77, 3))),
        (
            "a changed manifest",
            Check::ManifestSignature,
            Box::new(|b| flip(&b.join("export.json"), 900, 0)),
        ),
    ]
}

#[test]
fn a_folder_that_was_tampered_with_is_refused() {
    let fixture = Fixture::new();
    let good = fixture.run("mirror:full", "good", Carrier::Dir, true);
    for (what, expected, change) in foreign().into_iter().chain(altered()) {
        let dir = fixture.path(&format!("case {what}"));
        fs::create_dir(&dir).expect("makes");
        let bundle = dir.join("bundle");
        copy(&good, &bundle);
        change(&bundle);
        let report = fixture.verify(&bundle);
        assert!(failed(&report).contains(&expected), "{what}: {:?}", failed(&report));
        assert_eq!(report.exit_code(), 8, "{what}");
    }
    assert!(fixture.verify(&good).verified);
}

#[test]
fn a_tar_cut_short_anywhere_or_with_a_flipped_bit_is_refused() {
    let fixture = Fixture::new();
    let good = fixture.run("mirror:full", "good", Carrier::Tar, true);
    let bytes = fs::read(&good).expect("reads");
    let bundle = fixture.path("bundle");
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&bundle, bytes).expect("writes");
        match verify(&fixture.request(&bundle), &NoProgress, &Cancel::new()) {
            Ok(report) => {
                assert_eq!(report.exit_code(), 8, "{what}: {:?}", failed(&report));
                failed(&report)
            }
            // What does not begin as a bundle is none.
            Err(error) => {
                assert!(!bytes.starts_with(b"export.json\0"), "{what}");
                assert_eq!(error.code(), ErrorCode::BadBundle, "{what}");
                vec![Check::Carrier]
            }
        }
    };
    for at in [0, 1, 511, 512, 700, 1024, bytes.len() / 2, bytes.len() - 1024, bytes.len() - 1] {
        assert!(refused(&bytes[..at], "cut").contains(&Check::Carrier), "{at}");
    }
    assert!(refused(&[&bytes[..], b"\0"].concat(), "more").contains(&Check::Carrier));
    let mut state: u64 = 7;
    for _ in 0..stella_testkit::rounds(120, 2000) {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (state >> 20) as usize % bytes.len();
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (state >> 61);
        let failed = refused(&changed, &format!("byte {at}"));
        assert!(!failed.is_empty(), "byte {at}");
    }
}

#[test]
fn inspect_tells_what_is_claimed_and_that_nothing_was_checked() {
    let fixture = Fixture::new();
    for carrier in [Carrier::Dir, Carrier::Tar] {
        let bundle = fixture.run("json:raw", "bundle", carrier, true);
        let report = inspect(&bundle).expect("reads");
        assert_eq!(report.state, "not-checked");
        assert_eq!(report.files.len(), report.manifest.parts.len() + 5);
        assert_eq!(report.files.iter().filter(|file| !file.listed).count(), 5);
        assert_eq!(report.signatures.len(), 2);
        assert!(report.signatures.iter().all(|signature| signature.fingerprint.is_some()));
        assert!(report.provenance.is_some() && report.faults.is_empty());
    }
    let error = inspect(fixture.dir.path()).expect_err("no bundle");
    assert_eq!(error.code(), ErrorCode::BadBundle);
}

#[test]
fn diff_names_every_record_that_differs() {
    let fixture = Fixture::new();
    let old = fixture.run("mirror:full", "old", Carrier::Dir, false);
    let write = |name: &str, id: &str, modified: &str| {
        let path = fixture.path(name);
        let text = format!(r#"{{"id":"{id}","modified":"{modified}","affected":[]}}"#);
        fs::write(&path, text).expect("writes");
        path
    };

    let known = stella_testkit::sample_files().into_iter().find_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        let document: serde_json::Value = serde_json::from_str(&text).ok()?;
        document.get("modified")?;
        Some(document["id"].as_str()?.to_owned())
    });

    let known = known.expect("samples have advisories");
    fixture.take_in("advisories", vec![write("changed.json", &known, "2026-11-22T00:00:00Z")]);
    fixture.take_in("advisories", vec![write("added.json", "ZZZ-1", "2026-11-22T00:00:00Z")]);
    fixture.take_in("new-feed", vec![write("other.json", "ZZZ-2", "2026-11-22T00:00:00Z")]);
    let new = fixture.run("mirror:full", "new", Carrier::Tar, false);
    let run = |from: &Path, to: &Path| {
        let mut changes = Vec::new();
        let report = diff(
            from,
            to,
            &mut |change| {
                changes.push((change.change, change.set.feed.to_string(), change.id.to_string()));
                ControlFlow::Continue(())
            },
            &Cancel::new(),
        );
        (report.expect("compares"), changes)
    };
    let (report, changes) = run(&old, &new);
    let expected = [
        (ChangeKind::Changed, "advisories".to_owned(), known.clone()),
        (ChangeKind::Added, "advisories".to_owned(), "ZZZ-1".to_owned()),
        (ChangeKind::Added, "new-feed".to_owned(), "ZZZ-2".to_owned()),
    ];
    assert_eq!(changes, expected);
    assert_eq!((report.exit_code(), report.total.added, report.total.changed), (10, 2, 1));
    let (back, changes) = run(&new, &old);
    assert_eq!(
        (back.total.removed, back.total.changed, back.total.same),
        (2, 1, report.total.same)
    );
    assert_eq!(changes[1].0, ChangeKind::Removed);
    let (same, changes) = run(&new, &new);
    assert!(same.same_records && changes.is_empty());
    assert_eq!((same.exit_code(), same.total.same), (0, report.total.same + 3));
    let stopped = diff(&old, &new, &mut |_| ControlFlow::Break(()), &Cancel::new());
    assert_eq!(stopped.expect_err("is stopped").code(), ErrorCode::Interrupted);
}

#[test]
fn cat_writes_every_record_or_the_wanted_ones() {
    let fixture = Fixture::new();
    let bundle = fixture.run("mirror:full", "bundle", Carrier::Tar, false);
    let request =
        CatRequest { path: bundle, kind: None, feed: None, id: None, form: CatForm::Lines };
    let run = |request: &CatRequest| {
        let mut out = Vec::new();
        let report = cat(request, &mut out, &Cancel::new()).expect("writes");
        assert_eq!(report.bytes, out.len() as u64);
        (report.records, out)
    };
    let (records, lines) = run(&request);
    let mut seen = BTreeSet::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: serde_json::Value = serde_json::from_slice(line).expect("JSON");
        seen.insert(
            ["kind", "feed", "id"].map(|name| line[name].as_str().expect("text").to_owned()),
        );
    }
    assert_eq!(seen.len() as u64, records);
    assert_eq!(records, inspect(&request.path).expect("reads").manifest.counts.records);
    for [kind, feed, id] in &seen {
        let one = CatRequest {
            kind: kind.parse().ok(),
            feed: feed.parse().ok(),
            id: id.parse().ok(),
            form: CatForm::Documents,
            ..request.clone()
        };
        let (records, document) = run(&one);
        assert!(records == 1 && document.len() > 10, "{kind} {feed} {id}");
    }
    let none = CatRequest { id: "no such id".parse().ok(), ..request.clone() };
    let error = cat(&none, &mut Vec::new(), &Cancel::new()).expect_err("is not there");
    assert_eq!(error.code(), ErrorCode::NotFound);
    let advisories = CatRequest { kind: "advisory".parse().ok(), ..request.clone() };
    let wanted = seen.iter().filter(|[kind, ..]| kind == "advisory").count() as u64;
    assert_eq!(run(&advisories).0, wanted);
    assert_eq!(cat(&request, &mut Closed, &Cancel::new()).expect("ends").records, 0);
}

/// A reader that went away.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn records_and_their_absence_are_proven_from_the_manifest_alone() {
    let fixture = Fixture::new();
    let bundle = fixture.run("mirror:full", "bundle", Carrier::Dir, true);
    let manifest = fixture.manifest_of(&bundle);
    let proven = |kind: &str, feed: &str, id: &str| {
        let request = ProveRequest {
            path: bundle.clone(),
            kind: kind.parse().expect("a kind"),
            feed: feed.parse().expect("a feed"),
            id: id.parse().expect("an id"),
            missing_set: MissingSet::ProvesAbsence,
        };
        let proof = prove(&request).expect("proves");
        let file = fixture.path("proof.json");
        fs::write(&file, proof.to_bytes()).expect("writes");
        let request = VerifyProofRequest {
            proof: file,
            manifest: manifest.clone(),
            keys: vec![fixture.path("release.pub")],
            store: None,
        };
        let report = verify_proof(&request).expect("a report");
        assert!(report.report.verified, "{id}: {report:#?}");
        let untrusted = VerifyProofRequest { keys: Vec::new(), ..request };
        assert_eq!(verify_proof(&untrusted).expect("a report").report.exit_code(), 8);
        report.proven
    };
    let all =
        CatRequest { path: bundle.clone(), kind: None, feed: None, id: None, form: CatForm::Lines };
    let mut lines = Vec::new();
    cat(&all, &mut lines, &Cancel::new()).expect("writes");
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: serde_json::Value = serde_json::from_slice(line).expect("JSON");
        let text = |name: &str| line[name].as_str().expect("text").to_owned();
        let digest: Digest = text("contentDigest").parse().expect("a digest");
        let found = proven(&text("kind"), &text("feed"), &text("id"));
        assert_eq!(found, Some(Proven::Presence { content_digest: digest }));
    }
    for (kind, feed, id) in [
        ("advisory", "advisories", "0"),
        ("advisory", "advisories", "GHSA-0000"),
        ("advisory", "advisories", "~"),
        ("advisory", "no-such-feed", "x"),
    ] {
        assert_eq!(proven(kind, feed, id), Some(Proven::Absence), "{id}");
    }
}

#[test]
fn a_proof_against_a_key_of_the_bundle_or_a_changed_manifest_is_none() {
    let fixture = Fixture::new();
    let bundle = fixture.run("mirror:full", "bundle", Carrier::Dir, true);
    let manifest = fixture.manifest_of(&bundle);
    let request = ProveRequest {
        path: bundle.clone(),
        kind: "advisory".parse().expect("a kind"),
        feed: "advisories".parse().expect("a feed"),
        id: "GHSA-0000".parse().expect("an id"),
        missing_set: MissingSet::Refuse,
    };
    let proof = prove(&request).expect("proves");
    fs::write(fixture.path("proof.json"), proof.to_bytes()).expect("writes");
    let inside = bundle.join("key.pub");
    fs::copy(fixture.path("release.pub"), &inside).expect("copies");
    let carried = VerifyProofRequest {
        proof: fixture.path("proof.json"),
        manifest: bundle.join("export.json"),
        keys: vec![inside],
        store: None,
    };
    let error = verify_proof(&carried).expect_err("is refused");
    assert_eq!((error.code(), error.code().exit_code()), (ErrorCode::Usage, 2));
    flip(&manifest, 60, 1);
    let request = VerifyProofRequest {
        proof: fixture.path("proof.json"),
        manifest,
        keys: vec![fixture.path("release.pub")],
        store: None,
    };
    let report = verify_proof(&request).expect("a report");
    assert_eq!(report.report.exit_code(), 8);
    assert_eq!(report.report.result(Check::ManifestSignature).map(|r| r.state), Some(State::Fail));
}
