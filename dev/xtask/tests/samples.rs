//! `samples/` is consistent: what its documents refer to is there, and its README counts right.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stella_model::Limits;
use stella_records::{Recognised, recognise};

#[test]
fn every_advisory_is_named_by_its_id_and_says_what_it_affects() {
    for (path, doc) in advisories() {
        let id = doc["id"].as_str().expect("an id");
        assert!(path.ends_with(&format!("/{id}.json")), "{path} holds {id}");
        assert_eq!(doc["schema_version"], "1.7.0", "{path}");
        for member in ["modified", "summary", "details"] {
            assert!(doc[member].as_str().is_some_and(|text| !text.is_empty()), "{path}: {member}");
        }
        let affected = doc["affected"].as_array().expect("affected packages");
        assert!(!affected.is_empty(), "{path}");
        for entry in affected {
            let package = &entry["package"];
            assert!(
                package["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:")),
                "{path}"
            );
            assert!(entry["ranges"].is_array() || entry["versions"].is_array(), "{path}");
        }
    }
}

#[test]
fn statements_and_findings_refer_to_advisories_of_the_samples() {
    let mut known = BTreeSet::new();
    for (_, doc) in advisories() {
        let lists = ["aliases", "upstream"].into_iter().filter_map(|list| doc[list].as_array());
        known.extend(lists.flatten().filter_map(Value::as_str).map(str::to_owned));
        known.extend(doc["id"].as_str().map(str::to_owned));
    }
    let mut referred = 0;
    for (path, text) in files().filter(|(path, _)| !path.contains("/advisories/")) {
        let doc: Value = serde_json::from_str(&text).unwrap_or_default();
        for id in referred_ids(&doc) {
            assert!(known.contains(&id), "{path} speaks of {id}, which no advisory has");
            referred += 1;
        }
    }
    assert!(referred >= 10, "{referred} references");
}

#[test]
fn every_document_is_recognised_as_what_its_folder_says() {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut identities = BTreeSet::new();
    for (path, text) in files() {
        let recognised = recognise(&path, text.as_bytes(), &Limits::DEFAULT);
        let Ok(Recognised::Records(drafts)) = recognised else {
            panic!("{path} is not taken: {recognised:?}")
        };
        for draft in drafts {
            *found.entry(format!("{} {}", draft.kind, draft.format.as_str())).or_default() += 1;
            assert!(identities.insert((draft.kind, draft.id.to_string())), "{path} comes twice");
        }
    }
    let found: Vec<String> = found.iter().map(|(what, count)| format!("{count} {what}")).collect();
    let expected = [
        "69 advisory osv",
        "4 finding trivy-finding",
        "1 sbom cyclonedx-json",
        "1 sbom cyclonedx-xml",
        "1 sbom spdx-json",
        "4 vex openvex",
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_readme_counts_what_is_there() {
    let readme = std::fs::read_to_string(stella_testkit::samples().join("README.md")).unwrap();
    let mut total = 0;
    for line in readme.lines().filter(|line| line.starts_with("| `advisories/")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let folder = cells[1].trim_matches('`');
        let count: usize = cells[4].parse().expect("a count");
        let found = files().filter(|(path, _)| path.contains(&format!("/{folder}/"))).count();
        assert_eq!(found, count, "{folder}");
        assert_eq!(folder, format!("advisories/{}", cells[2].trim_matches('`')), "folder and feed");
        total += count;
    }
    assert_eq!(total, advisories().count());
}

fn files() -> impl Iterator<Item = (String, String)> {
    stella_testkit::sample_files().into_iter().map(|path| {
        let text = std::fs::read_to_string(&path).expect("samples are UTF-8");
        (path.to_string_lossy().replace('\\', "/"), text)
    })
}

fn advisories() -> impl Iterator<Item = (String, Value)> {
    files().filter(|(path, _)| path.contains("/advisories/")).map(|(path, text)| {
        let doc = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        (path, doc)
    })
}

/// Ids of vulnerabilities in an OpenVEX document or a Trivy report.
fn referred_ids(doc: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut ids = Vec::new();
    for statement in list(&doc["statements"]) {
        let vulnerability = &statement["vulnerability"];
        ids.push(vulnerability["name"].clone());
        ids.extend(list(&vulnerability["aliases"]));
    }
    for result in list(&doc["Results"]) {
        ids.extend(list(&result["Vulnerabilities"]).iter().map(|v| v["VulnerabilityID"].clone()));
    }
    ids.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
