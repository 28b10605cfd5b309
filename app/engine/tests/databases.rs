//! Databases as outputs: the policy that they name, what they may not lose, and what is kept of them.

mod common;

use std::path::{Path, PathBuf};

use common::{check_bundle, ingest_into, request, run, tree};
use stella_engine::{
    Cancel, Carrier, EngineError, ExportRequest, NoProgress, PolicyRequest, ProfileSource,
    RunReport, RunRequest, Signing, Store, export, plan,
};
use stella_ledger::IngestMode;
use stella_model::{Digest, ErrorCode, Instant};
use stella_testkit::{Osv, overwrite};

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
        let mode = IngestMode::Replace { max_drop_percent: 100.0, accept: None };
        let report = ingest_into(&self.store, feed, vec![file], mode);
        assert_eq!(report.summary.documents, documents.len() as u64);
    }

    /// Runs a profile into a folder of the site.
    fn run(&self, request: RunRequest, dest: &str) -> Result<RunReport, EngineError> {
        run(&self.store, request, &self.path(dest), Carrier::Dir)
    }

    /// A request for a profile with this text behind its name.
    fn profile(&self, text: &str) -> RunRequest {
        let path = self.path(&format!("{}.toml", Digest::of(text.as_bytes())));
        std::fs::write(&path, format!("name = \"site\"\n{text}")).expect("writes");
        RunRequest { profile: ProfileSource::File(path), ..request("") }
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

/// What an error tells to do.
fn next_step(error: &EngineError) -> &str {
    error.next_step().unwrap_or_default()
}

#[test]
fn a_database_that_lost_an_ecosystem_is_refused_unless_somebody_knows_why() {
    let site = Site::new();
    // The set keeps most of its records, and the database none of what they say of PyPI.
    let other = |ecosystem: &str, count: u32| -> Vec<Vec<u8>> {
        let one = |number| {
            Osv::new(&format!("PY-{number}")).affects(ecosystem, &format!("q{number}"), "2").bytes()
        };
        (0..count).map(one).collect()
    };
    site.take("acme", &[advisories(20), other("PyPI", 10)].concat());
    let first = site.run(request("trivy:db"), "a").expect("runs");
    site.take("acme", &[advisories(20), other("npm", 10)].concat());
    let error = site.run(request("trivy:db"), "b").expect_err("PyPI is gone");
    assert_eq!(error.code(), ErrorCode::Empty);
    let told = "trivy:db has 0 rows of PyPI, the last run had 10: more than 50 % are gone";
    assert_eq!(error.to_string(), told);
    assert!(next_step(&error).contains("--accept-drop --reason"), "{}", next_step(&error));
    assert!(!site.path("b").exists());
    // A refused run is nothing to be held against.
    let error = site.run(request("trivy:db"), "b").expect_err("PyPI is still gone");
    assert_eq!(error.to_string(), told);
    let floor = "outputs = [\"trivy:db\"]\n[select]\nkinds = [\"advisory\", \"vex\"]\n";
    let own = |floors: &str| site.profile(&format!("{floor}{floors}"));
    site.run(own(""), "own").expect("the first run of this profile");

    let accepted = RunRequest { accept_drop: Some("moved".to_owned()), ..request("trivy:db") };
    let second = site.run(accepted, "b").expect("is accepted");
    assert_ne!(first.export_digest, second.export_digest);
    assert!(second.warnings.contains(&format!("accepted: {told}")), "{:?}", second.warnings);
    assert!(second.databases[0].reused, "the refused run made it");
    let last = plan(&site.store, &request("trivy:db"), &NoProgress, &Cancel::new()).expect("plans");
    let last = last.last_run.expect("a run");
    let reason = last.accepted_drop.expect("a reason");
    assert_eq!((reason.reason.as_str(), reason.drops), ("moved", vec![told.to_owned()]));
    assert_eq!(last.outputs["trivy:db"]["npm"], 30);
    site.run(request("trivy:db"), "c").expect("the loss is known");

    site.take("acme", &advisories(20));
    site.take("more", &other("Go", 20));
    site.run(own(""), "own2").expect("npm lost a third");
    site.take("acme", &[advisories(1), other("Hex", 19)].concat());
    assert!(site.run(own(""), "own3").is_err());
    site.run(own("[trivy.floors]\nnpm = 0"), "own3").expect("npm may be lost as a whole");
}

#[test]
fn a_set_that_lost_much_is_accepted_in_the_same_way() {
    let site = Site::new();
    site.take("acme", &advisories(10));
    site.run(request("trivy:db"), "a").expect("runs");
    site.take("acme", &advisories(4));
    let error = site.run(request("trivy:db"), "b").expect_err("lost more than half");
    assert!(next_step(&error).contains("--accept-drop --reason"), "{}", next_step(&error));
    let accepted = RunRequest { accept_drop: Some("moved".to_owned()), ..request("trivy:db") };
    let report = site.run(accepted, "b").expect("is accepted");
    let told = ["advisory/acme has 4 records", "trivy:db has 4 rows of npm"];
    for told in told {
        assert!(report.warnings.iter().any(|warning| warning.contains(told)), "{told}");
    }
}

/// An OpenVEX document about one package.
fn statement() -> Vec<u8> {
    br#"{"@context":"https://openvex.dev/ns/v0.2.0","@id":"urn:acme:1","author":"acme","version":1,"timestamp":"2026-01-01T00:00:00Z","statements":[{"vulnerability":{"name":"CVE-2090-0001"},"products":[{"@id":"pkg:npm/p1@1.0.0"}],"status":"not_affected","justification":"component_not_present"}]}"#.to_vec()
}

/// A CycloneDX document with one jar.
fn sbom() -> Vec<u8> {
    br#"{"bomFormat":"CycloneDX","specVersion":"1.5","serialNumber":"urn:x","version":1,"metadata":{"timestamp":"2026-01-02T03:04:05Z"},"components":[{"type":"library","name":"x","purl":"pkg:maven/g/a@1","hashes":[{"alg":"SHA-1","content":"da39a3ee5e6b4b0d3255bfef95601890afd80709"}]}]}"#.to_vec()
}

/// All outputs for Trivy.
const ALL: &str = "outputs = [\"trivy:db\", \"trivy:java-db\", \"trivy:vex\"]\n";

/// A site with something for every output.
fn full_site() -> Site {
    let site = Site::new();
    site.take("acme", &advisories(20));
    site.take("vex", &[statement()]);
    site.take("sboms", &[sbom()]);
    site
}

fn reused(report: &RunReport) -> Vec<bool> {
    report.databases.iter().map(|database| database.reused).collect()
}

#[test]
fn an_unchanged_run_reuses_outputs_and_gives_the_bytes_of_a_fresh_one() {
    let (site, other) = (full_site(), full_site());
    let planned = |request: &RunRequest| {
        plan(&site.store, request, &NoProgress, &Cancel::new()).expect("plans").estimate
    };
    let before = planned(&site.profile(ALL));
    let first = site.run(site.profile(ALL), "a").expect("runs");
    assert_eq!(reused(&first), [false; 3]);
    let after = planned(&site.profile(ALL));
    assert!(before.duration_ms > 0 || after.duration_ms == 0);
    let again = site.run(RunRequest { threads: 1, ..site.profile(ALL) }, "b").expect("runs");
    assert_eq!(reused(&again), [true; 3]);
    let fresh = other.run(other.profile(ALL), "c").expect("runs");
    assert_eq!(reused(&fresh), [false; 3]);
    let trees = [site.path("a"), site.path("b"), other.path("c")].map(|path| tree(&path));
    assert!(trees[0].len() > 15, "{:?}", trees[0].keys());
    assert!(trees[0] == trees[1] && trees[0] == trees[2]);
    check_bundle(&site.path("b"));
}

#[test]
fn what_decides_the_bytes_of_an_output_decides_whether_it_is_reused() {
    let site = full_site();
    let profile = |text: &str| site.profile(&format!("{ALL}{text}"));
    site.run(profile(""), "first").expect("runs");
    let hour = |text: &str| Some(Instant::parse(text).expect("a time"));
    // Database, database of jars, VEX repository.
    let cases = [
        ("as-of", RunRequest { as_of: hour("2026-11-01T00:00:00Z"), ..profile("") }, [false; 3]),
        ("policy", RunRequest { policy: policy("7", None), ..profile("") }, [true; 3]),
        ("precedence", profile("[trivy]\nprecedence = [\"acme\"]"), [false, true, false]),
        ("address", profile("[trivy]\nvex-url = \"https://a\""), [true, true, false]),
        ("floors", profile("[trivy.floors]\nnpm = 20"), [true; 3]),
        (
            "fewer",
            profile("[select]\nids = [\"ACME-1\", \"urn:x\"]\nkinds = [\"advisory\", \"sbom\"]"),
            [false, true, false],
        ),
    ];
    for (name, request, expected) in cases {
        let other = full_site();
        let report = site.run(request.clone(), name).expect(name);
        assert_eq!(reused(&report), expected, "{name}");
        other.run(request, name).expect(name);
        assert_eq!(tree(&site.path(name)), tree(&other.path(name)), "{name}");
    }
    let error = site.run(profile("[trivy.floors]\nnpm = 21"), "floor").expect_err("is below");
    assert!(error.to_string().contains("its floor is 21"), "{error}");
}

#[test]
fn a_kept_output_that_was_changed_or_is_gone_is_made_again() {
    let site = full_site();
    let first = site.run(site.profile(ALL), "a").expect("runs");
    let depot = site.store.depot_dir();
    let kept: Vec<PathBuf> = tree(&depot).into_keys().map(|name| depot.join(name)).collect();
    let of = |folder: &str| -> Vec<&PathBuf> {
        let is_in = |path: &&PathBuf| path.to_string_lossy().contains(folder);
        kept.iter().filter(is_in).collect()
    };
    assert_eq!(of("/outputs/").len(), 3);
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).expect("reads");
        match bytes.last_mut() {
            Some(last) => *last ^= 1,
            None => bytes.push(1),
        }
        overwrite(path, bytes);
    };
    let remove = |path: &Path| std::fs::remove_file(path).expect("removes");
    type Damage<'d> = &'d dyn Fn(&Path);
    let damages: [(&str, &str, Damage<'_>); 4] = [
        ("blobs-changed", "/blobs/", &flip),
        ("blobs-gone", "/blobs/", &remove),
        ("records-changed", "/outputs/", &flip),
        ("records-gone", "/outputs/", &remove),
    ];
    for (name, folder, damage) in damages {
        of(folder).into_iter().for_each(|path| damage(path));
        let report = site.run(site.profile(ALL), name).expect(name);
        assert_eq!(report.export_digest, first.export_digest, "{name}");
        // An empty report shows at once that it was changed; its output is made before the others
        // turn out damaged, and is not made a second time.
        assert_eq!(reused(&report)[..2], [false; 2], "{name}");
        assert_eq!(tree(&site.path(name)), tree(&site.path("a")), "{name}");
        let after = site.run(site.profile(ALL), &format!("{name}-2")).expect(name);
        assert_eq!(reused(&after), [true; 3], "{name}");
    }
}

#[test]
fn kept_outputs_take_no_more_room_than_they_may() {
    let site = full_site();
    let request = ExportRequest {
        run: site.profile(ALL),
        dest: site.path("a"),
        carrier: Carrier::Dir,
        replace: false,
        signing: Signing::UnsignedForTesting,
        cache_bytes: Some(0),
    };
    export(&site.store, &request, &NoProgress, &Cancel::new()).expect("runs");
    let depot = site.store.depot_dir();
    let left: Vec<String> =
        tree(&depot).into_keys().filter(|name| !name.ends_with("lock")).collect();
    assert_eq!(left, [""; 0]);
}
