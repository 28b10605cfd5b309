//! The database beside what upstream's own builder stores for the same advisories, key by key.
//!
//! The reference lies in the real data (`oracle/`). Every difference belongs to a class with a
//! reason, and every class has its count: a change of any figure here is a change of behaviour.

#![expect(clippy::disallowed_types, reason = "a test reads files; INV-PURE binds the crate")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde_json::Value;
use stella_pack::trivy_db::Options;
use stella_versions::Scheme;
use stella_versions::trivy::Comparer;

use support::{AS_OF, Built, Keys, build_with};

/// The files that upstream's builder has readers for.
const FEEDS: [&str; 7] =
    ["almalinux", "bitnami", "crates.io", "ghsa-mix", "go", "kubernetes", "pypi"];

fn lines(path: &Path, each: &mut dyn FnMut(&[u8])) {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let decoder = zstd::Decoder::new(file).expect("zstd");
    let mut lines = BufReader::new(decoder);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).expect("reads") > 0 {
        each(line.trim_ascii_end());
        line.clear();
    }
}

fn ours(data: &Path) -> Built {
    let mut documents = Vec::new();
    for feed in FEEDS {
        lines(&data.join(format!("advisories/{feed}.osv.jsonl.zst")), &mut |line| {
            documents.push((feed.to_owned(), line.to_vec()));
        });
    }
    build_with(&Options::default(), AS_OF, 1, documents)
}

fn expected(path: &Path) -> Keys {
    let mut keys = Keys::new();
    lines(path, &mut |line| {
        let line: Value = serde_json::from_slice(line).expect("JSON");
        let bucket = line["bucket"].as_array().expect("a path");
        let part =
            |at: usize| bucket.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = line["key"].as_str().expect("a key").to_owned();
        keys.insert((part(0), part(1), key), line["raw"].as_str().expect("a value").to_owned());
    });
    keys
}

/// One key under all buckets of an ecosystem: ours names them after other sources.
type Rows = BTreeMap<(String, String, String), Vec<Value>>;

fn by_ecosystem(keys: &Keys) -> Rows {
    let mut rows = Rows::new();
    for ((top, package, key), value) in keys {
        let top = match top.split_once("::") {
            Some((prefix, _)) => format!("{prefix}::"),
            None => top.clone(),
        };
        let value = serde_json::from_str(value).expect("JSON");
        rows.entry((top, package.clone(), key.clone())).or_default().push(value);
    }
    rows
}

/// The texts of a list.
fn list(value: &Value, name: &str) -> Vec<String> {
    let items = value[name].as_array().into_iter().flatten();
    items.map(|item| item.as_str().expect("a text").to_owned()).collect()
}

fn set(value: &Value, name: &str) -> BTreeSet<String> {
    list(value, name).into_iter().collect()
}

/// Why the row of a language differs from upstream's.
fn language_class(prefix: &str, ours: &Value, theirs: &[Value]) -> &'static str {
    let comparer = Comparer::of_ecosystem(prefix.trim_end_matches("::")).expect("a language");
    let constraint = |text: &String| comparer.constraint(text).ok();
    let constraints: Vec<_> =
        list(ours, "VulnerableVersions").iter().filter_map(constraint).collect();
    let covered = |version: &str| {
        let version = comparer.version(version);
        version.is_ok_and(|version| constraints.iter().any(|c| c.matches(&version) == Some(true)))
    };
    // Upstream leaves ", " behind ranges without an end, and repeats the ranges of a record for
    // each of its CVE ids.
    let tidy = |text: String| text.trim_end_matches([',', ' ']).to_owned();
    let their_ranges: BTreeSet<String> =
        theirs.iter().flat_map(|value| list(value, "VulnerableVersions")).map(tidy).collect();
    let our_ranges = set(ours, "VulnerableVersions");
    let patched: BTreeSet<String> =
        theirs.iter().flat_map(|value| list(value, "PatchedVersions")).collect();
    let names: BTreeSet<String> =
        theirs.iter().flat_map(|value| list(value, "VendorIDs")).collect();
    let our_patched = set(ours, "PatchedVersions");
    let same_names = set(ours, "VendorIDs") == names;
    if our_ranges == their_ranges && our_patched == patched && same_names {
        return "repeats and dangling commas of upstream left out";
    }
    if set(ours, "VendorIDs").is_superset(&names) && !same_names {
        return "several records merged";
    }
    let beyond = their_ranges.difference(&our_ranges);
    let mut said_already = beyond.clone().all(|text| text.strip_prefix('=').is_some_and(covered));
    said_already &= our_ranges.is_subset(&their_ranges);
    if said_already && our_patched == patched && same_names {
        return "listed versions that a range covers left out";
    }
    let unreadable = |text: &&String| comparer.constraint(text).is_err();
    if beyond.clone().all(|text| unreadable(&text) || text.strip_prefix('=').is_some_and(covered)) {
        return match our_ranges.is_subset(&their_ranges) {
            true => "what Trivy cannot read left out",
            false => "several records merged",
        };
    }
    "unexplained"
}

/// Why the row of a distribution differs.
fn fix_class(ours: &Value, theirs: &Value) -> &'static str {
    let version = |value: &Value| value["FixedVersion"].as_str().expect("a fix").to_owned();
    match Scheme::Rpm.compare(&version(ours), &version(theirs)) {
        Ok(std::cmp::Ordering::Greater) => "the highest fix of several",
        _ => "unexplained",
    }
}

/// Why what is known of a vulnerability differs: the first member that does.
fn detail_class(ours: &Value, accepted: &[Value]) -> &'static str {
    // The reference has PyPA's and RustSec's records in GitHub's source.
    let renamed = |value: &Value| {
        let mut value = value.clone();
        for member in ["VendorSeverity", "CVSS"] {
            let Some(sources) = value[member].as_object_mut() else { continue };
            for source in ["pypa", "rustsec"] {
                if let Some(told) = sources.remove(source) {
                    sources.entry("ghsa").or_insert(told);
                }
            }
        }
        value
    };
    let ours = renamed(ours);
    let same = |member: &str| accepted.iter().any(|theirs| ours[member] == theirs[member]);
    for (member, class) in [
        ("Title", "another record's title"),
        ("Description", "another record's description"),
        ("Severity", "another severity"),
        ("VendorSeverity", "another severity of a source"),
        ("CVSS", "another score"),
        ("References", "references as published, of all records"),
        ("CweIDs", "weaknesses told"),
    ] {
        if !same(member) {
            return class;
        }
    }
    "dates told"
}

fn class(key: &(String, String, String), ours: &Value, theirs: &[Value], also: &Keys) -> String {
    let (top, _, id) = key;
    if theirs.iter().all(|theirs| ours == theirs) {
        return "equal".to_owned();
    }
    if top == "vulnerability" {
        let mut accepted = theirs.to_vec();
        let more = also.get(&(top.clone(), String::new(), id.clone()));
        let more: Vec<Value> = more.map_or_else(Vec::new, |raws| {
            let raws: Vec<String> = serde_json::from_str(raws).expect("JSON");
            raws.iter().map(|raw| serde_json::from_str(raw).expect("JSON")).collect()
        });
        accepted.extend(more);
        return detail_class(ours, &accepted).to_owned();
    }
    if top.ends_with("::") {
        return language_class(top, ours, theirs).to_owned();
    }
    fix_class(ours, &theirs[0]).to_owned()
}

/// Values that upstream gives at other runs, as a JSON list of texts by key.
fn also_accepted(data: &Path) -> Keys {
    let mut keys = Keys::new();
    lines(&data.join("oracle/also-accepted.jsonl.zst"), &mut |line| {
        let line: Value = serde_json::from_slice(line).expect("JSON");
        let key = line["key"].as_str().expect("a key").to_owned();
        keys.insert(("vulnerability".into(), String::new(), key), line["raws"].to_string());
    });
    keys
}

#[test]
fn every_key_is_upstreams_or_differs_for_a_reason() {
    let Some(data) = stella_testkit::data_dir() else { return };
    let Built { keys: ours, .. } = ours(&data);
    let mut theirs = expected(&data.join("oracle/expected.jsonl.zst"));
    // Modular packages where Trivy looks for them.
    theirs.retain(|(top, _, _), _| !top.starts_with("alma "));
    theirs.extend(expected(&data.join("oracle/alma-modules.expected.jsonl.zst")));
    let also = also_accepted(&data);
    let (ours, theirs) = (by_ecosystem(&ours), by_ecosystem(&theirs));
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for key in keys {
        let class = match (ours.get(key), theirs.get(key)) {
            (Some(ours), Some(theirs)) => class(key, &ours[0], theirs, &also),
            (Some(_), None) => "ours alone".to_owned(),
            _ => "theirs alone".to_owned(),
        };
        let top = key.0.split(' ').next().unwrap_or(&key.0);
        let example = || {
            let shown = format!("{key:?}\n  {:?}\n  {:?}", ours.get(key), theirs.get(key));
            shown.chars().take(3000).collect()
        };
        found.entry(format!("{top} {class}")).or_insert_with(|| (0, example())).0 += 1;
    }
    let counts: Vec<(&str, usize)> =
        found.iter().map(|(class, (count, _))| (class.as_str(), *count)).collect();
    let examples: Vec<&String> = found
        .iter()
        .filter(|(class, (count, _))| !EXPECTED.contains(&(class.as_str(), *count)))
        .map(|(_, (_, example))| example)
        .collect();
    assert!(
        counts == EXPECTED,
        "{counts:#?}\n{}",
        examples.iter().fold(String::new(), |all, one| all + one + "\n")
    );
}

/// Keys by bucket and class.
const EXPECTED: &[(&str, usize)] = &[
    ("Red ours alone", 8),
    ("alma equal", 199_553),
    ("alma the highest fix of several", 8_868),
    ("bitnami:: equal", 6_405),
    ("bitnami:: theirs alone", 1),
    ("cargo:: equal", 611),
    ("cargo:: ours alone", 54),
    ("cargo:: repeats and dangling commas of upstream left out", 414),
    ("cargo:: several records merged", 5),
    ("composer:: equal", 2),
    ("data-source equal", 15),
    ("data-source ours alone", 2),
    ("data-source theirs alone", 1),
    ("go:: equal", 231),
    ("go:: ours alone", 4_952),
    ("go:: repeats and dangling commas of upstream left out", 4),
    ("go:: several records merged", 15),
    ("k8s:: equal", 50),
    ("maven:: equal", 443),
    ("maven:: ours alone", 6),
    ("maven:: repeats and dangling commas of upstream left out", 4),
    ("maven:: several records merged", 3),
    ("npm:: equal", 1),
    ("nuget:: equal", 48),
    ("nuget:: listed versions that a range covers left out", 6),
    ("pip:: equal", 2_021),
    ("pip:: listed versions that a range covers left out", 217),
    ("pip:: several records merged", 1),
    ("pip:: theirs alone", 2),
    ("pip:: what Trivy cannot read left out", 27),
    ("pub:: equal", 1),
    ("rubygems:: equal", 3),
    ("swift:: equal", 2),
    ("vulnerability another record's description", 44),
    ("vulnerability another record's title", 650),
    ("vulnerability another score", 518),
    ("vulnerability another severity", 2),
    ("vulnerability another severity of a source", 1),
    ("vulnerability dates told", 8_261),
    ("vulnerability equal", 3),
    ("vulnerability ours alone", 3_102),
    ("vulnerability references as published, of all records", 3_561),
    ("vulnerability theirs alone", 3),
    ("vulnerability weaknesses told", 241),
];
