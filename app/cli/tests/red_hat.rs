//! Red Hat's systems, scanned by real Trivy with a database of ours.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::Stella;
use serde_json::{Value, json};

const BASEOS: &str = "cpe:/o:redhat:enterprise_linux:9::baseos";
const APPSTREAM: &str = "cpe:/a:redhat:enterprise_linux:9::appstream";
const RHEL9: &str = "cpe:/o:redhat:enterprise_linux:9";
const EUS: &str = "cpe:/o:redhat:rhel_eus:9.4::baseos";

/// A document about packages, each with its purl and its product.
fn document(id: &str, packages: &[(&str, &str)], vulnerabilities: &[Value]) -> String {
    let category = if id.starts_with("CVE") { "csaf_vex" } else { "csaf_security_advisory" };
    let named = |id: &str, kind: &str, value: &str| {
        json!({"category": "product_version", "name": id, "product": {"name": id, "product_id": id,
            "product_identification_helper": {kind: value}}})
    };
    let cpes: BTreeSet<&str> = packages.iter().map(|(_, cpe)| *cpe).collect();
    let mut branches: Vec<Value> = cpes.iter().map(|cpe| named(cpe, "cpe", cpe)).collect();
    let mut relationships = Vec::new();
    for (purl, cpe) in packages {
        branches.push(named(purl, "purl", purl));
        relationships.push(json!({"category": "default_component_of",
            "full_product_name": {"name": purl, "product_id": format!("in:{purl}")},
            "product_reference": purl, "relates_to_product_reference": cpe}));
    }
    json!({"document": {"category": category, "csaf_version": "2.0", "title": id,
            "publisher": {"category": "vendor", "name": "Red Hat Product Security",
                "namespace": "https://www.redhat.com"},
            "tracking": {"id": id, "status": "final", "version": "1",
                "initial_release_date": "2023-02-28T08:00:00+00:00",
                "current_release_date": "2024-11-08T11:00:00+00:00"}},
        "product_tree": {"branches": branches, "relationships": relationships},
        "vulnerabilities": vulnerabilities})
    .to_string()
}

fn products(packages: &[(&str, &str)]) -> Vec<String> {
    packages.iter().map(|(purl, _)| format!("in:{purl}")).collect()
}

/// A notice that fixes vulnerabilities, each with its impact.
fn notice(id: &str, packages: &[(&str, &str)], cves: &[(&str, &str)]) -> String {
    let vulnerability = |(cve, impact): &(&str, &str)| {
        json!({"cve": cve, "title": format!("{id} fixes {cve}"),
            "product_status": {"fixed": products(packages)},
            "remediations": [{"category": "vendor_fix", "product_ids": products(packages),
                "url": format!("https://access.redhat.com/errata/{id}")}],
            "threats": [{"category": "impact", "details": impact}]})
    };
    document(id, packages, &cves.iter().map(vulnerability).collect::<Vec<_>>())
}

/// VEX on a vulnerability without a fix.
fn unfixed(cve: &str, packages: &[(&str, &str)], category: &str, details: &str) -> String {
    let vulnerability = json!({"cve": cve, "title": format!("{cve} has no fix"),
        "product_status": {"known_affected": products(packages)},
        "remediations": [{"category": category, "details": details,
            "product_ids": products(packages)}],
        "threats": [{"category": "impact", "details": "Low", "product_ids": products(packages)}]});
    document(cve, packages, &[vulnerability])
}

fn evidence() -> Vec<String> {
    const OPENSSL: &str = "@3.0.1-47.el9_1?arch=x86_64&epoch=1";
    let rpm = |rest: &str| format!("pkg:rpm/redhat/{rest}");
    let (openssl, libs) =
        (rpm(&format!("openssl{OPENSSL}")), rpm(&format!("openssl-libs{OPENSSL}")));
    let perl = rpm("openssl-perl@3.0.1-47.el9_1?arch=s390x&epoch=1");
    let node = rpm("nodejs@18.19.1-1.module%2Bel9.3.0%2B21388%2B22892fb9?arch=x86_64&epoch=1\
        &rpmmod=nodejs:18:9030020240301111035:rhel9");
    let core = rpm("kernel-core@5.14.0-427.57.1.el9_4?arch=x86_64");
    vec![
        notice(
            "RHSA-2023:0946",
            &[(&openssl, BASEOS), (&libs, BASEOS), (&perl, APPSTREAM)],
            &[("CVE-2023-0286", "Important"), ("CVE-2022-4304", "Moderate")],
        ),
        notice("RHSA-2024:1503", &[(&node, APPSTREAM)], &[("CVE-2024-22019", "Important")]),
        notice("RHSA-2025:2270", &[(&core, EUS)], &[("CVE-2019-25162", "Low")]),
        unfixed("CVE-2022-3219", &[(&rpm("gnupg2"), RHEL9)], "no_fix_planned", "Will not fix"),
        unfixed("CVE-2023-4156", &[(&rpm("gawk"), RHEL9)], "none_available", "Fix deferred"),
    ]
}

/// A database of the evidence in the cache folder of a scanner.
fn cache(stella: &Stella) -> PathBuf {
    for (number, document) in evidence().iter().enumerate() {
        stella.file(&format!("evidence/{number}.json"), document.as_bytes());
    }
    let folder = stella.arg("evidence");
    stella.ok(&["ingest", "--feed", "redhat", "--licence", "CC-BY-4.0", &folder]);
    stella.ok(&["keys", "generate"]);
    let bundle = stella.bundle("trivy:db", "bundle");
    let cache = stella.path("cache/db");
    fs::create_dir_all(&cache).expect("a folder");
    for name in common::files(&bundle.join("trivy/oci/blobs")) {
        let blob = bundle.join("trivy/oci/blobs").join(name);
        // The layer is the blob that is an archive.
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(blob).arg("-C").arg(&cache).stderr(Stdio::null());
        tar.status().expect("tar runs");
    }
    let metadata = bundle.join("trivy/cache/db/metadata.json");
    fs::copy(metadata, cache.join("metadata.json")).expect("copied");
    assert!(cache.join("trivy.db").is_file());
    stella.path("cache")
}

fn package(name: &str, version: &str, qualifiers: &str, label: &str) -> Value {
    let purl = format!("pkg:rpm/redhat/{name}@{version}?{qualifiers}&distro=redhat-9.4");
    let mut properties = vec![json!({"name": "aquasecurity:trivy:PkgType", "value": "redhat"})];
    if !label.is_empty() {
        properties.push(json!({"name": "aquasecurity:trivy:Modularitylabel", "value": label}));
    }
    json!({"bom-ref": purl, "type": "library", "name": name, "version": version, "purl": purl,
        "properties": properties})
}

fn sbom(release: &str, packages: Vec<Value>) -> Vec<u8> {
    let mut components = vec![
        json!({"bom-ref": "os", "type": "operating-system", "name": "redhat", "version": release}),
    ];
    components.extend(packages);
    let sbom = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"component": {"bom-ref": "root", "type": "container", "name": "system"}},
        "components": components});
    sbom.to_string().into_bytes()
}

fn scan(stella: &Stella, trivy: &Path, version: &str, cache: &Path, sbom: &str) -> common::Outcome {
    let mut command: Command = stella_peers::offline(trivy);
    command.args(["sbom", "--skip-db-update", "--skip-java-db-update", "--offline-scan"]);
    command.args(["--quiet", "--format", "json", "--cache-dir"]).arg(cache);
    if version != "0.59.1" {
        command.args(["--skip-version-check", "--disable-telemetry"]);
    }
    command.arg(sbom).env("HOME", stella.path("home")).current_dir(stella.path("."));
    common::Outcome::of(command.output().expect("trivy starts"))
}

/// Package, vulnerability, status, version with the fix, severity, notice.
fn findings(outcome: &common::Outcome) -> Vec<[String; 6]> {
    let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    let results = report["Results"].as_array().cloned().unwrap_or_default();
    let mut found: Vec<[String; 6]> = results
        .iter()
        .flat_map(|result| result["Vulnerabilities"].as_array().cloned().unwrap_or_default())
        .map(|found| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            [
                text(&found["PkgName"]),
                text(&found["VulnerabilityID"]),
                text(&found["Status"]),
                text(&found["FixedVersion"]),
                text(&found["Severity"]),
                text(&found["VendorIDs"][0]),
            ]
        })
        .collect();
    found.sort();
    found
}

#[test]
fn peer_trivy_finds_what_red_hat_says_and_nothing_else() {
    let stella = Stella::new();
    let cache = cache(&stella);
    let vulnerable = vec![
        package("openssl", "3.0.1-46.el9_1", "arch=x86_64&epoch=1", ""),
        package("gnupg2", "2.3.3-4.el9", "arch=x86_64", ""),
        package("gawk", "5.1.0-6.el9", "arch=x86_64", ""),
        package(
            "nodejs",
            "18.18.2-3.module+el9.3.0+20698+5ac5e1c4",
            "arch=x86_64&epoch=1",
            "nodejs:18:9030020231102103210:rhel9",
        ),
        // Fixed.
        package("openssl-libs", "3.0.1-47.el9_1", "arch=x86_64&epoch=1", ""),
        // Fixed on another architecture.
        package("openssl-perl", "3.0.1-46.el9_1", "arch=x86_64&epoch=1", ""),
        // Fixed in a product that the system does not have.
        package("kernel-core", "5.14.0-427.13.1.el9_4", "arch=x86_64", ""),
        package("bash", "5.1.8-9.el9", "arch=x86_64", ""),
    ];
    let planted = stella.file("rhel9.cdx.json", &sbom("9.4", vulnerable));
    // A stream of the module that nothing is said of.
    let other = vec![package(
        "nodejs",
        "20.9.0-1.module+el9.3.0+20698+5ac5e1c4",
        "arch=x86_64&epoch=1",
        "nodejs:20:9030020231102103210:rhel9",
    )];
    let clean = stella.file("clean.cdx.json", &sbom("9.4", other));
    let expected = [
        ["gawk", "CVE-2023-4156", "fix_deferred", "", "LOW", ""],
        ["gnupg2", "CVE-2022-3219", "will_not_fix", "", "LOW", ""],
        [
            "nodejs",
            "CVE-2024-22019",
            "fixed",
            "1:18.19.1-1.module+el9.3.0+21388+22892fb9",
            "HIGH",
            "RHSA-2024:1503",
        ],
        ["openssl", "CVE-2022-4304", "fixed", "1:3.0.1-47.el9_1", "MEDIUM", "RHSA-2023:0946"],
        ["openssl", "CVE-2023-0286", "fixed", "1:3.0.1-47.el9_1", "HIGH", "RHSA-2023:0946"],
    ];
    for version in stella_peers::trivy_versions(stella_testkit::full()) {
        let Some(trivy) = stella_peers::trivy(version) else { continue };
        let outcome = scan(&stella, &trivy, version, &cache, &planted);
        assert_eq!(outcome.code, 0, "{version}: {}", outcome.stderr);
        assert_eq!(findings(&outcome), expected, "{version}");
        let outcome = scan(&stella, &trivy, version, &cache, &clean);
        assert_eq!(outcome.code, 0, "{version}: {}", outcome.stderr);
        assert_eq!(findings(&outcome), [[""; 6]; 0], "{version}");
    }
}

#[test]
fn peer_trivy_is_tried_with_packages_of_red_hat_and_of_its_modules() {
    let stella = Stella::new();
    cache(&stella);
    for version in stella_peers::trivy_versions(stella_testkit::full()) {
        let Some(trivy) = stella_peers::trivy(version) else { continue };
        let (bundle, key) = (stella.arg("bundle"), stella.public_key());
        let trivy = trivy.to_str().expect("UTF-8");
        let args = ["export", "verify", &bundle, "--key", &key, "--scanner", trivy];
        let outcome = stella.run(&args);
        assert_eq!(outcome.code, 0, "{version}: {}{}", outcome.stdout, outcome.stderr);
        // Two without a fix and one with it, and the first of a module.
        let found = format!("Trivy {version} finds 4 of 4, none of 2 unaffected");
        assert!(outcome.stdout.contains(&found), "{}", outcome.stdout);
    }
}

/// Trivy knows no content sets of RHEL 10 by itself, and an SBOM tells none.
#[test]
fn peer_trivy_does_not_scan_rhel_10_without_content_sets() {
    let stella = Stella::new();
    let cache = cache(&stella);
    let packages = vec![package("bash", "5.2.26-6.el10", "arch=x86_64", "")];
    let sbom = stella.file("rhel10.cdx.json", &sbom("10.0", packages));
    for version in stella_peers::trivy_versions(stella_testkit::full()) {
        let Some(trivy) = stella_peers::trivy(version) else { continue };
        let outcome = scan(&stella, &trivy, version, &cache, &sbom);
        assert_eq!(outcome.code, 1, "{version}");
        assert!(outcome.stderr.contains("CPE indices"), "{version}: {}", outcome.stderr);
    }
}
