//! Databases as outputs: the policy that they name.

use std::path::{Path, PathBuf};

use stella_engine::{
    Cancel, Carrier, EngineError, ExportRequest, IngestRequest, NoProgress, PolicyRequest,
    ProfileSource, RunReport, RunRequest, Signing, Store, VerifyRequest, export, ingest, plan,
    verify,
};
use stella_ledger::{FeedSpec, IngestMode};
use stella_model::{Digest, ErrorCode, Instant};
use stella_plan::profile::Select;
use stella_testkit::Osv;

fn now() -> Instant {
    Instant::parse("2026-11-23T12:00:00Z").expect("a time")
}

/// A folder with a store.
struct Site {
    dir: tempfile::TempDir,
    store: Store,
}

impl Site {
    fn new() -> Site {
        let dir = stella_testkit::temp_dir();
        let store = Store::at(dir.path().join("store"));
        Site { dir, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a feed equal to some documents.
    fn take(&self, feed: &str, documents: &[Vec<u8>]) {
        let file = self.path(&format!("{feed}.jsonl"));
        let lines: Vec<u8> =
            documents.iter().flat_map(|line| [&line[..], b"\n"].concat()).collect();
        std::fs::write(&file, lines).expect("writes");
        let request = IngestRequest {
            feed: FeedSpec::named(feed.parse().expect("a feed")),
            paths: vec![file],
            mode: IngestMode::Replace { max_drop_percent: 100.0, accept: None },
            threads: 1,
            dry_run: false,
            now: now(),
        };
        let report = ingest(&self.store, &request, &NoProgress, &Cancel::new()).expect("ingests");
        assert_eq!(report.summary.documents, documents.len() as u64);
    }

    /// Runs a profile into a folder of the site.
    fn run(&self, request: RunRequest, dest: &str) -> Result<RunReport, EngineError> {
        let request = ExportRequest {
            run: request,
            dest: self.path(dest),
            carrier: Carrier::Dir,
            replace: false,
            signing: Signing::UnsignedForTesting,
            cache_bytes: None,
        };
        export(&self.store, &request, &NoProgress, &Cancel::new())
    }

    /// A request for a profile with this text behind its name.
    fn profile(&self, text: &str) -> RunRequest {
        let path = self.path("profile.toml");
        std::fs::write(&path, format!("name = \"site\"\n{text}")).expect("writes");
        RunRequest { profile: ProfileSource::File(path), ..request("") }
    }
}

fn request(profile: &str) -> RunRequest {
    RunRequest {
        profile: ProfileSource::BuiltIn(profile.to_owned()),
        select: Select::default(),
        as_of: None,
        redaction: None,
        policy: PolicyRequest::default(),
        allow_empty: Vec::new(),
        threads: 2,
        now: now(),
    }
}

/// An advisory about one package of npm.
fn advisory(number: u32) -> Vec<u8> {
    Osv::new(&format!("ACME-{number}")).affects("npm", &format!("p{number}"), "2.0.0").bytes()
}

fn advisories(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(advisory).collect()
}

fn manifest(bundle: &Path) -> serde_json::Value {
    let bytes = std::fs::read(bundle.join("export.json")).expect("reads");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Demands that a bundle verifies.
#[track_caller]
fn check_bundle(bundle: &Path) {
    let request = VerifyRequest {
        scanner: None,
        path: bundle.to_owned(),
        keys: Vec::new(),
        store: None,
        max_age: None,
        now: now(),
        deep: true,
        allow_unsigned: true,
        threads: 2,
    };
    let report = verify(&request, &NoProgress, &Cancel::new()).expect("a report");
    let failed: Vec<_> = report.failed().collect();
    assert!(report.verified, "{failed:?}");
}

fn policy(version: &str, inputs_hash: Option<Digest>) -> PolicyRequest {
    PolicyRequest { version: Some(version.parse().expect("a version")), inputs_hash }
}

#[test]
fn a_policy_is_part_of_plan_manifest_and_readme_and_of_no_database() {
    let site = Site::new();
    site.take("acme", &advisories(3));
    let of_profile = "outputs = [\"trivy:db\"]\n[policy]\nversion = \"7\"\ninputs-hash = \
        \"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"";
    let cases = [
        ("none", request("trivy:db"), None, None),
        (
            "version",
            RunRequest { policy: policy("7", None), ..request("trivy:db") },
            Some("7"),
            None,
        ),
        ("profile", site.profile(of_profile), Some("7"), Some(Digest::EMPTY)),
        (
            // The hash of the profile belongs to its version.
            "over",
            RunRequest { policy: policy("8", None), ..site.profile(of_profile) },
            Some("8"),
            None,
        ),
        (
            "hash",
            RunRequest {
                policy: PolicyRequest { version: None, inputs_hash: Some(Digest::of(b"x")) },
                ..site.profile(of_profile)
            },
            Some("7"),
            Some(Digest::of(b"x")),
        ),
    ];
    let mut plans = std::collections::BTreeSet::new();
    let mut layers = std::collections::BTreeSet::new();
    for (name, request, version, hash) in cases {
        let planned = plan(&site.store, &request, &NoProgress, &Cancel::new()).expect("plans");
        let report = site.run(request, name).expect("runs");
        assert_eq!(planned.plan_hash, report.plan_hash, "{name}");
        assert!(plans.insert(report.plan_hash), "{name}");
        let bundle = site.path(name);
        check_bundle(&bundle);
        let manifest = manifest(&bundle);
        assert_eq!(manifest["policyVersion"].as_str(), version, "{name}");
        let told = hash.map(|hash| hash.to_string());
        assert_eq!(manifest["inputsHash"].as_str(), told.as_deref(), "{name}");
        let readme = std::fs::read_to_string(bundle.join("README.md")).expect("reads");
        assert_eq!(readme.contains("Policy `"), version.is_some(), "{name}");
        assert!(told.is_none_or(|told| readme.contains(&told)), "{name}");
        let layer = manifest["parts"].as_array().into_iter().flatten();
        let layer = layer.filter(|part| part["mediaType"].as_str().is_some_and(is_layer));
        layers.extend(layer.map(|part| part["digest"].to_string()));
    }
    assert_eq!(layers.len(), 1, "the database is the same whatever the policy");
}

fn is_layer(media_type: &str) -> bool {
    media_type.ends_with(".layer.v1.tar+gzip")
}

#[test]
fn a_policy_of_outputs_that_belong_to_none_is_refused() {
    let site = Site::new();
    site.take("acme", &advisories(1));
    let hash = PolicyRequest { version: None, inputs_hash: Some(Digest::EMPTY) };
    for (request, expected) in [
        (RunRequest { policy: policy("7", None), ..request("json:raw") }, "belong to no policy"),
        (RunRequest { policy: hash, ..request("trivy:db") }, "names no policy"),
    ] {
        let error = site.run(request, "a").expect_err("is refused");
        assert_eq!(error.code(), ErrorCode::Usage);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = site.run(site.profile("outputs = [\"json:raw\"]\n[policy]\nversion = \"7\""), "a");
    assert_eq!(error.expect_err("is refused").code(), ErrorCode::Invalid);
}

#[test]
fn a_run_is_held_against_the_last_one_whatever_its_policy() {
    let site = Site::new();
    site.take("acme", &advisories(10));
    site.run(RunRequest { policy: policy("7", None), ..request("trivy:db") }, "a").expect("runs");
    site.take("acme", &advisories(4));
    let later = RunRequest { policy: policy("8", None), ..request("trivy:db") };
    let error = site.run(later, "b").expect_err("lost more than half");
    assert!(error.to_string().contains("the last run had 10"), "{error}");
}
