//! Databases for a scanner through the program: verified, tried with real Trivys, compared with SBOMs.

mod common;

use std::fs;
use std::path::Path;

use common::Stella;
use serde_json::{Value, json};
use stella_testkit::overwrite;

/// What is planted: an ecosystem, a package, the version with the fix.
const ADVISORIES: &[(&str, &str, &str)] = &[
    ("npm", "@acme/left-pad", "1.2.3"),
    ("PyPI", "Acme_Tools", "1.2.3"),
    ("Go", "github.com/Acme/tool", "1.2.3"),
    ("crates.io", "acme", "1.2.3"),
    ("Maven", "com.acme:tool", "1.2.3"),
    ("RubyGems", "acme", "1.2.3"),
    ("Packagist", "acme/tool", "1.2.3"),
    ("NuGet", "Acme.Tool", "1.2.3"),
    ("Hex", "acme", "1.2.3"),
    ("Pub", "acme", "1.2.3"),
    ("SwiftURL", "https://github.com/acme/tool.git", "1.2.3"),
    ("Bitnami", "acme", "1.2.3"),
    ("Kubernetes", "k8s.io/apiserver", "1.2.3"),
    ("Debian:12", "curl", "7.88.1-10+deb12u5"),
    ("Ubuntu:22.04:LTS", "curl", "7.81.0-1ubuntu1.15"),
    ("Alpine:v3.18", "busybox", "1.36.1-r1"),
    ("AlmaLinux:9", "openssl", "1:3.0.7-25.el9_3"),
    ("Rocky Linux:9", "openssl", "1:3.0.7-25.el9_3"),
    ("Wolfi", "curl", "8.5.0-r0"),
    ("Chainguard", "curl", "8.5.0-r0"),
    ("MinimOS", "curl", "8.5.0-r0"),
    ("Echo", "curl", "8.5.0-1"),
    ("openSUSE:Leap 15.5", "curl", "8.0.1-150400.5.36.1"),
    ("openSUSE:Tumbleweed", "curl", "8.5.0-1.1"),
    ("SUSE:Linux Enterprise Server 15 SP5", "curl", "8.0.1-150400.5.36.1"),
    ("SUSE:Linux Enterprise Micro 5.3", "curl", "8.0.1-150400.5.36.1"),
    ("ConanCenter", "zlib", "1.2.13"),
    ("CocoaPods", "AFNetworking", "2.5.3"),
    ("Alpine:edge", "xz", "5.6.1-r2"),
    ("Ubuntu:Pro:18.04:LTS", "curl", "7.58.0-2ubuntu3.24+esm2"),
    ("AlmaLinux:9", "nodejs:18::nodejs", "1:18.18.2-2.module_el9.2.0+43+3ebc9e20"),
    ("Rocky Linux:9", "nodejs:18::nodejs", "1:18.18.2-2.module+el9.2.0+43+3ebc9e20"),
    ("Julia", "HTTP", "1.10.17"),
    ("openSUSE:Leap Micro 5.5", "curl", "8.0.1-150400.5.36.1"),
];

/// A store with these advisories and the bundle `db` of a database of them.
fn with_database(advisories: &[(&str, &str, &str)]) -> Stella {
    let stella = Stella::new();
    let mut lines = String::new();
    for (number, (ecosystem, name, fixed)) in advisories.iter().enumerate() {
        // A module stream is told by the summary alone.
        let (stream, name) = name.split_once("::").unwrap_or(("acme", name));
        let advisory = json!({
            "summary": format!("Important: {stream} security update"),
            "schema_version": "1.6.0",
            "id": format!("ACME-2090-{number:04}"),
            "modified": "2026-10-01T00:00:00Z",
            "aliases": [format!("CVE-2090-{number:04}")],
            "affected": [{
                "package": { "ecosystem": ecosystem, "name": name },
                "ranges": [{
                    "type": "ECOSYSTEM",
                    "events": [{ "introduced": "0" }, { "fixed": fixed }],
                }],
            }],
        });
        lines += &format!("{advisory}\n");
    }
    let input = stella.file("advisories.jsonl", lines.as_bytes());
    stella.ok(&["ingest", "--feed", "acme", "--licence", "CC0-1.0", &input]);
    stella.ok(&["keys", "generate"]);
    stella.bundle("trivy:db", "db");
    stella
}

/// Verifies the database with a scanner.
fn verify(stella: &Stella, more: &[&str]) -> (i32, Value, String) {
    let (db, key) = (stella.arg("db"), stella.public_key());
    let args = ["export", "verify", &db, "--key", &key, "-o", "json", "--progress", "none"];
    let outcome = stella.run(&[&args[..], more].concat());
    (outcome.code, serde_json::from_str(&outcome.stdout).unwrap_or_default(), outcome.stderr)
}

fn check<'r>(report: &'r Value, code: &str) -> &'r Value {
    let checks = report["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["check"] == code).expect("is there")
}

fn follows_schema(name: &str, document: &Value) {
    let path = stella_testkit::workspace_root().join(format!("docs/schemas/{name}.schema.json"));
    let schema = fs::read_to_string(path).expect("a schema");
    let schema = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema of draft 2020-12");
    let errors: Vec<String> =
        validator.iter_errors(document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn a_database_that_the_adapter_writes_is_in_order() {
    let stella = with_database(ADVISORIES);
    let (code, report, _) = verify(&stella, &[]);
    assert_eq!(code, 0, "{report:#}");
    for code in ["scanner-packaging", "scanner-database", "scanner-report"] {
        assert_eq!(check(&report, code)["state"], "pass");
    }
    assert_eq!(check(&report, "scanner-canary")["state"], "not-used");
    follows_schema("verify-report.v1", &report);
    let manifest = fs::read(stella.path("db/export.json")).expect("readable");
    follows_schema("export.v1", &serde_json::from_slice(&manifest).expect("JSON"));
}

#[test]
fn a_database_that_is_not_complete_is_refused() {
    let stella = with_database(&ADVISORIES[..2]);
    let metadata = stella.path("db/trivy/cache/db/metadata.json");
    let text = fs::read_to_string(&metadata).expect("readable");
    overwrite(&metadata, text.replace("\"Version\":2", "\"Version\":1"));
    let (code, report, _) = verify(&stella, &[]);
    assert_eq!(code, 8);
    assert_eq!(check(&report, "scanner-packaging")["state"], "fail");
    fs::remove_file(&metadata).expect("is there");
    let (code, report, _) = verify(&stella, &[]);
    assert_eq!(code, 8);
    assert_eq!(check(&report, "files-listed")["state"], "fail");
}

#[test]
fn peer_trivy_finds_what_was_planted_and_nothing_else() {
    let stella = with_database(ADVISORIES);
    for version in stella_peers::trivy_versions(stella_testkit::full()) {
        let (planted, unknown) = match version {
            "0.59.1" => (30, &["echo, minimos", "rocky 9 modules", "julia"][..]),
            "0.67.2" | "0.68.2" => (32, &["rocky 9 modules", "julia"][..]),
            "0.76.0" => (34, &[][..]),
            _ => (33, &["julia"][..]),
        };
        let Some(trivy) = stella_peers::trivy(version) else { continue };
        let trivy = trivy.to_str().expect("UTF-8");
        let (code, report, stderr) = verify(&stella, &["--scanner", trivy]);
        assert_eq!(code, 0, "{version}: {report:#}{stderr}");
        let canary = check(&report, "scanner-canary");
        let found =
            format!("Trivy {version} finds {planted} of {planted}, none of {planted} unaffected");
        let detail = canary["detail"].as_str().expect("text");
        assert!(detail.starts_with(&found), "{detail}");
        for name in unknown {
            let told = format!("; nothing planted of {name} (not looked for before Trivy 0.");
            assert!(detail.contains(&told), "{detail}");
        }
        let micro =
            "; nothing planted of openSUSE Leap Micro 5.5 (no Trivy comes to it from an SBOM)";
        assert!(detail.contains(micro), "{detail}");
        assert_eq!(detail.matches("; ").count(), 1 + unknown.len(), "{detail}");
    }
}

#[test]
fn peer_trivy_that_is_told_to_look_away_is_not_influenced() {
    let Some(trivy) = stella_peers::trivy("0.76.0") else { return };
    let stella = with_database(&ADVISORIES[..1]);
    stella.file(".trivyignore", b"CVE-2090-0000\n");
    stella.file("trivy.yaml", b"severity: [CRITICAL]\n");
    let (db, key, trivy) = (stella.arg("db"), stella.public_key(), trivy.to_str().expect("UTF-8"));
    let mut command = stella.command(&["export", "verify", &db, "--key", &key, "--scanner", trivy]);
    command.env("TRIVY_SEVERITY", "CRITICAL").env("TRIVY_IGNORE_UNFIXED", "true");
    let output = command.output().expect("stella starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[cfg(unix)]
fn script(stella: &Stella, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = stella.file(name, format!("#!/bin/sh\n{text}\n").as_bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    path
}

#[cfg(unix)]
#[test]
fn scanners_that_prove_nothing_are_told_apart() {
    let stella = with_database(&ADVISORIES[..1]);
    let version = "[ \"$1\" = --version ] && echo 'Version: 0.76.0' && exit 0";
    let blind = script(&stella, "blind", &format!("{version}\necho '{{}}'"));
    let crashing = script(&stella, "crashing", &format!("{version}\necho panic >&2; exit 2"));
    let silent = script(&stella, "silent", &format!("{version}\nexit 0"));
    let slow = script(&stella, "slow", &format!("{version}\nexec sleep 60"));
    let other = script(&stella, "other", "echo 'grype 1.0'");
    let missing = stella.arg("missing");
    for (program, code, says) in [
        (&blind, 8, "misses pkg:npm/%40acme/left-pad@"),
        (&crashing, 8, "panic"),
        (&silent, 8, "wrote no report"),
        (&slow, 124, "did not end within 1 s"),
        (&other, 2, "is not Trivy"),
        (&missing, 3, "cannot be run"),
    ] {
        let more = ["--scanner", program, "--scanner-timeout", "1s"];
        let (found, report, stderr) = verify(&stella, &more);
        assert_eq!(found, code, "{program}: {stderr}");
        if code == 8 {
            let canary = check(&report, "scanner-canary");
            assert_eq!(canary["state"], "fail", "{program}");
            assert!(canary["problems"].to_string().contains(says), "{program}: {canary:#}");
        } else {
            assert!(stderr.contains(says), "{program}: {stderr}");
        }
    }
}

#[cfg(unix)]
#[test]
fn nothing_is_proven_where_nothing_can_be_planted() {
    let stella = with_database(&[("openSUSE:Leap Micro 5.5", "curl", "8.0.1-1.1")]);
    let never = script(&stella, "never", "[ \"$1\" = --version ] && echo 'Version: 0.76.0'");
    let (code, report, _) = verify(&stella, &["--scanner", &never]);
    assert_eq!(code, 8);
    let canary = check(&report, "scanner-canary");
    assert_eq!(canary["state"], "not-checked");
    let detail = canary["detail"].as_str().expect("text");
    assert!(detail.contains("openSUSE Leap Micro 5.5 (no Trivy comes to it"), "{detail}");
    // A scanner is given no database that is not verified.
    let readme = stella.path("db/README.md");
    fs::write(&readme, "changed").expect("writable");
    let (code, report, _) = verify(&stella, &["--scanner", &never]);
    assert_eq!(code, 8);
    assert_eq!(check(&report, "scanner-canary")["state"], "not-used");
}

fn sbom(folder: &Path, name: &str, purls: &[&str]) {
    let library = |purl| json!({ "type": "library", "name": "x", "version": "1", "purl": purl });
    let mut components: Vec<Value> = purls.iter().map(library).collect();
    // A scanner goes by it, and by no qualifier.
    let release = purls.iter().find_map(|purl| purl.split_once("distro=debian-"));
    let system =
        |release| json!({ "type": "operating-system", "name": "debian", "version": release });
    components.extend(release.map(|(_, release)| system(release)));
    let bom = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "components": components,
    });
    fs::create_dir_all(folder).expect("writable");
    fs::write(folder.join(name), bom.to_string()).expect("writable");
}

#[test]
fn coverage_tells_which_sboms_would_be_scanned_blind() {
    let stella = with_database(ADVISORIES);
    let (db, sboms) = (stella.arg("db"), stella.path("sboms"));
    sbom(&sboms, "seen.json", &["pkg:npm/a@1", "pkg:deb/debian/curl@7?distro=debian-12"]);
    let run = |more: &[&str]| {
        let sboms = stella.arg("sboms");
        stella.run(
            &[&["export", "coverage", &db, "--sbom", &sboms, "--progress", "none"], more].concat(),
        )
    };
    let outcome = run(&[]);
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    let told = "All packages named in 1 SBOM are covered. The database";
    assert!(outcome.stdout.contains(told), "{}", outcome.stdout);
    let unnamed = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "components": [{"type": "library", "name": "lodash", "version": "4.17.10"}]});
    let alone = stella.file("unnamed/bom.json", unnamed.to_string().as_bytes());
    let outcome = stella.run(&["export", "coverage", &db, "--sbom", &alone]);
    assert_eq!(outcome.code, 10, "{outcome:?}");
    let told = "No scanner looks for 1 component without a package URL, or images.";
    assert!(outcome.stdout.contains(told), "{}", outcome.stdout);
    sbom(&sboms, "blind.json", &["pkg:npm/a@1", "pkg:deb/debian/curl@7?distro=debian-11"]);
    fs::write(sboms.join("broken.json"), "{").expect("writable");
    let outcome = run(&[]);
    assert_eq!(outcome.code, 10, "{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.stdout.contains("In 1 of 2 SBOMs something would be scanned blind"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stderr.contains("not looked at: "), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("Not looked at: 1 document."), "{}", outcome.stdout);
    fs::remove_file(sboms.join("blind.json")).expect("is there");
    assert_eq!(run(&[]).code, 0, "what can be read is covered");
    assert_eq!(run(&["--strict"]).code, 10, "not all could be read");
    sbom(&sboms, "blind.json", &["pkg:npm/a@1", "pkg:deb/debian/curl@7?distro=debian-11"]);
    let report: Value = serde_json::from_str(&run(&["-o", "json"]).stdout).expect("JSON");
    assert_eq!(report["worst"], "absent");
    let blind = &report["sboms"][0]["ecosystems"][0];
    assert_eq!(blind, &json!({ "ecosystem": "debian 11", "packages": 1, "state": "absent" }));
    let raw = stella.bundle("json:raw", "raw");
    let raw = raw.to_str().expect("UTF-8");
    assert_eq!(stella.run(&["export", "coverage", raw, "--sbom", &stella.arg("sboms")]).code, 2);
    let none = stella.file("none/a.json", b"{");
    assert_eq!(stella.run(&["export", "coverage", &db, "--sbom", &none]).code, 2);
}
