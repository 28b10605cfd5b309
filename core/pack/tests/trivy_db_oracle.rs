//! The database beside what upstream's own builder stores for the same advisories, key by key.
//!
//! The reference lies in the real data (`oracle/`). Every difference belongs to a class, every class
//! has its count, and docs/modules/export-center/trivy-judges.md has the reason: a change of any figure
//! here is a change of behaviour.

#![expect(clippy::disallowed_types, reason = "a test reads files; INV-PURE binds the crate")]

mod support;

use std::cmp::Ordering;
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

fn documents(data: &Path) -> Vec<(String, Vec<u8>)> {
    let mut documents = Vec::new();
    for feed in FEEDS {
        lines(&data.join(format!("advisories/{feed}.osv.jsonl.zst")), &mut |line| {
            documents.push((feed.to_owned(), line.to_vec()));
        });
    }
    documents
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
    let as_stored: BTreeSet<String> =
        theirs.iter().flat_map(|value| list(value, "VulnerableVersions")).map(tidy).collect();
    // From 0 on is for it from the release 0 on.
    let from_all = |text: &String| match text.strip_prefix(">=0") {
        Some(rest)
            if comparer == Comparer::Generic && (rest.is_empty() || rest.starts_with(',')) =>
        {
            format!(">=0.0.0-0{rest}")
        }
        _ => text.clone(),
    };
    let their_ranges: BTreeSet<String> = as_stored.iter().map(from_all).collect();
    let our_ranges = set(ours, "VulnerableVersions");
    let patched: BTreeSet<String> =
        theirs.iter().flat_map(|value| list(value, "PatchedVersions")).collect();
    let names: BTreeSet<String> =
        theirs.iter().flat_map(|value| list(value, "VendorIDs")).collect();
    let our_patched = set(ours, "PatchedVersions");
    let same_names = set(ours, "VendorIDs") == names;
    if our_ranges == their_ranges && our_patched == patched && same_names {
        return match their_ranges == as_stored {
            true => "repeats and dangling commas of upstream left out",
            false => "all versions are also those before 0",
        };
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
    let backwards = |text: &&String| {
        let ends = text.strip_prefix(">=").and_then(|ends| ends.split_once(", <"));
        ends.is_some_and(|(from, to)| comparer.compare(to, from) == Ok(Ordering::Less))
    };
    if beyond.clone().any(|text| backwards(&text)) && our_patched.is_subset(&patched) && same_names
    {
        return "ranges with an end before its beginning, read by version";
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
        Ok(Ordering::Greater) => "the highest fix of several",
        _ => "unexplained",
    }
}

/// Texts of the records, for what is "another record's".
#[derive(Default)]
struct Published {
    titles: BTreeSet<String>,
    descriptions: BTreeSet<String>,
    references: BTreeSet<String>,
    /// CVE ids of records that name another before them.
    further: BTreeSet<String>,
}

impl Published {
    fn of(documents: &[(String, Vec<u8>)]) -> Published {
        let mut published = Published::default();
        for (_, document) in documents {
            let record: Value = serde_json::from_slice(document).expect("JSON");
            let text = |name: &str| record[name].as_str().map(str::to_owned);
            published.titles.extend(text("summary"));
            published.descriptions.extend(text("details"));
            let references = record["references"].as_array().into_iter().flatten();
            let urls = references.filter_map(|reference| reference["url"].as_str());
            published.references.extend(urls.map(|url| url.trim().to_owned()));
            let names = |name: &str| list(&record, name);
            let mut cves: Vec<String> =
                ["aliases", "upstream"].into_iter().flat_map(names).collect();
            cves.extend(text("id"));
            cves.retain(|name| name.starts_with("CVE-"));
            published.further.extend(cves.into_iter().skip(1));
        }
        published
    }
}

/// Why members of what is known of a vulnerability differ: each by itself.
fn detail_classes(ours: &Value, accepted: &[Value], published: &Published) -> Vec<&'static str> {
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
    let theirs = &accepted[0];
    let is =
        |known: &BTreeSet<String>, text: &Value| text.as_str().is_some_and(|t| known.contains(t));
    let member = |name: &str| match name {
        "Title" if is(&published.titles, &ours[name]) => "another record's title",
        "Description" if is(&published.descriptions, &ours[name]) => "another record's description",
        "Severity" | "VendorSeverity" if tells_more(&ours["VendorSeverity"], theirs) => {
            "the severity that upstream's last record hides"
        }
        "Severity" | "VendorSeverity" if of_errata_alone(&ours, theirs) => {
            "the severity of the newest erratum"
        }
        "CVSS" => score_class(&ours[name], &theirs[name]),
        "References" if set(&ours, name).iter().all(|url| published.references.contains(url)) => {
            "references as published, of all records"
        }
        "CweIDs" if theirs[name].is_null() => "weaknesses told",
        "PublishedDate" | "LastModifiedDate" if theirs[name].is_null() => "dates told",
        "PublishedDate" | "LastModifiedDate" if same_second(&ours[name], &theirs[name]) => {
            "dates in whole seconds"
        }
        _ => "unexplained",
    };
    let names = ["Title", "Description", "Severity", "VendorSeverity", "CVSS", "References"];
    let more = ["CweIDs", "PublishedDate", "LastModifiedDate"];
    let differs = |name: &&&str| accepted.iter().all(|theirs| ours[**name] != theirs[**name]);
    let mut classes: Vec<_> =
        names.iter().chain(&more).filter(differs).map(|name| member(name)).collect();
    classes.dedup();
    classes
}

/// Whether all that their sources say of the severity is said, and another source besides.
fn tells_more(ours: &Value, theirs: &Value) -> bool {
    let none = serde_json::Map::new();
    let sources = |value: &Value| value.as_object().unwrap_or(&none).clone();
    let (ours, theirs) = (sources(ours), sources(&theirs["VendorSeverity"]));
    theirs.iter().all(|(source, severity)| ours.get(source) == Some(severity))
        && ours.len() > theirs.len()
}

/// Whether only AlmaLinux tells another severity.
fn of_errata_alone(ours: &Value, theirs: &Value) -> bool {
    let others = |value: &Value| {
        let mut sources = value["VendorSeverity"].as_object().cloned().unwrap_or_default();
        (sources.remove("alma").is_some(), sources)
    };
    others(ours) == others(theirs) && others(ours).0
}

fn same_second(ours: &Value, theirs: &Value) -> bool {
    let second = |value: &Value| value.as_str().and_then(|text| text.get(..19)).map(str::to_owned);
    second(ours).is_some() && second(ours) == second(theirs)
}

/// Why vectors and scores differ.
fn score_class(ours: &Value, theirs: &Value) -> &'static str {
    let Some(theirs) = theirs.as_object() else {
        return "scores that upstream's last record hides";
    };
    let mut class = "unexplained";
    for (source, theirs) in theirs {
        let ours = &ours[source];
        if ours == theirs {
            continue;
        }
        let same = |name: &str| ours[name] == theirs[name];
        let vector = |value: &Value, name| value[name].as_str().unwrap_or_default().to_owned();
        let ours_v4 = vector(ours, "V40Vector");
        let undefined = |metric: &&str| !metric.ends_with(":X");
        let defined: Vec<&str> = ours_v4.split('/').filter(undefined).collect();
        let v3 = vector(ours, "V3Vector");
        class = if same("V3Vector") && same("V3Score") && same("V40Score") {
            match defined.join("/") == vector(theirs, "V40Vector") {
                true => "vectors as published, with metrics that are not defined",
                false => "unexplained",
            }
        } else if same("V3Vector") && same("V40Vector") && same("V40Score") {
            let scores = [&ours["V3Score"], &theirs["V3Score"]].map(|score| score.as_f64());
            match scores == [Kind::Base, Kind::Environmental].map(|kind| Some(cvss_3(&v3, kind))) {
                true => "base scores, not environmental ones",
                false => "unexplained",
            }
        } else {
            "unexplained"
        };
    }
    class
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Base,
    /// Of a vector that says nothing of the environment.
    Environmental,
}

/// The score of a vector by the formulas of the standard, [3.0] sections 8.1 to 8.3 or [3.1] sections
/// 7.1 to 7.4, with the "remediation level" of the temporal metrics.
///
/// [3.0]: https://www.first.org/cvss/v3.0/specification-document
/// [3.1]: https://www.first.org/cvss/v3.1/specification-document
fn cvss_3(vector: &str, kind: Kind) -> f64 {
    let is_3_1 = vector.starts_with("CVSS:3.1/");
    let is_changed = vector.contains("/S:C");
    let (mut exploitability, mut harmless, mut remediation) = (8.22, 1.0, 1.0);
    for metric in vector.split('/').skip(1) {
        match metric {
            "AV:N" | "PR:N" | "UI:N" => exploitability *= 0.85,
            "AC:L" => exploitability *= 0.77,
            "AV:A" | "UI:R" => exploitability *= 0.62,
            "AV:L" => exploitability *= 0.55,
            "AV:P" => exploitability *= 0.2,
            "AC:H" => exploitability *= 0.44,
            "PR:L" => exploitability *= if is_changed { 0.68 } else { 0.62 },
            "PR:H" => exploitability *= if is_changed { 0.5 } else { 0.27 },
            "C:H" | "I:H" | "A:H" => harmless *= 1.0 - 0.56,
            "C:L" | "I:L" | "A:L" => harmless *= 1.0 - 0.22,
            "C:N" | "I:N" | "A:N" | "S:C" | "S:U" => {}
            "RL:O" => remediation = 0.95,
            _ => panic!("{vector}: {metric} is not known here"),
        }
    }
    let told: f64 = 1.0 - harmless;
    let impact = match (is_changed, kind) {
        (false, _) => 6.42 * told,
        (true, Kind::Environmental) if is_3_1 => {
            let told = told.min(0.915);
            7.52 * (told - 0.029) - 3.25 * (told * 0.9731 - 0.02).powi(13)
        }
        (true, _) => 7.52 * (told - 0.029) - 3.25 * (told - 0.02).powi(15),
    };
    let scope = if is_changed { 1.08 } else { 1.0 };
    let base = if impact <= 0.0 { 0.0 } else { (scope * (impact + exploitability)).min(10.0) };
    match kind {
        Kind::Base => round_up(base),
        Kind::Environmental => round_up(round_up(base) * remediation),
    }
}

/// To the next tenth, as appendix A of version 3.1 has it.
fn round_up(score: f64) -> f64 {
    let hundred_thousandths = (score * 100_000.0).round();
    match hundred_thousandths % 10_000.0 == 0.0 {
        true => hundred_thousandths / 100_000.0,
        false => ((hundred_thousandths / 10_000.0).floor() + 1.0) / 10.0,
    }
}

fn classes(
    key: &(String, String, String),
    ours: &Value,
    theirs: &[Value],
    also: &Keys,
    published: &Published,
) -> Vec<&'static str> {
    let (top, _, id) = key;
    if theirs.iter().all(|theirs| ours == theirs) {
        return vec!["equal"];
    }
    if top == "vulnerability" {
        let mut accepted = theirs.to_vec();
        let more = also.get(&(top.clone(), String::new(), id.clone()));
        let more: Vec<Value> = more.map_or_else(Vec::new, |raws| {
            let raws: Vec<String> = serde_json::from_str(raws).expect("JSON");
            raws.iter().map(|raw| serde_json::from_str(raw).expect("JSON")).collect()
        });
        accepted.extend(more);
        return detail_classes(ours, &accepted, published);
    }
    if top.ends_with("::") {
        return vec![language_class(top, ours, theirs)];
    }
    vec![fix_class(ours, &theirs[0])]
}

/// Why only one side has a key. `rows` are ids of rows that only this side has.
fn alone_class(
    key: &(String, String, String),
    theirs: Option<&Vec<Value>>,
    rows: &BTreeSet<String>,
    published: &Published,
) -> &'static str {
    let (top, _, id) = key;
    let unreadable = |theirs: &Vec<Value>| {
        let comparer = Comparer::of_ecosystem(top.trim_end_matches("::")).expect("a language");
        let mut texts = theirs.iter().flat_map(|value| list(value, "VulnerableVersions"));
        texts.all(|text| comparer.constraint(&text).is_err())
    };
    match theirs {
        _ if top == "data-source" => "buckets named after the records' own source",
        _ if top == "vulnerability" && rows.contains(id) => "details of such rows",
        Some(theirs) if top.ends_with("::") && unreadable(theirs) => "rows that Trivy cannot read",
        None if top == "Red Hat CPE" => "content sets that Trivy cannot do without",
        None if published.further.contains(id) => "further CVE ids of a record",
        None if top == "go::" => "modules that upstream leaves to GitHub's advisories",
        _ => "unexplained",
    }
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
    let documents = documents(&data);
    let published = Published::of(&documents);
    let Built { keys: ours, .. } = build_with(&Options::default(), AS_OF, 1, documents);
    let mut theirs = expected(&data.join("oracle/expected.jsonl.zst"));
    // Modular packages where Trivy looks for them.
    theirs.retain(|(top, _, _), _| !top.starts_with("alma "));
    theirs.extend(expected(&data.join("oracle/alma-modules.expected.jsonl.zst")));
    let also = also_accepted(&data);
    let (ours, theirs) = (by_ecosystem(&ours), by_ecosystem(&theirs));
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let alone = |these: &'_ Rows, others: &Rows| -> BTreeSet<String> {
        let rows =
            these.keys().filter(|key| key.0 != "vulnerability" && !others.contains_key(*key));
        rows.map(|(_, _, id)| id.clone()).collect()
    };
    let (rows_of_ours, rows_of_theirs) = (alone(&ours, &theirs), alone(&theirs, &ours));
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for key in keys {
        let classes = match (ours.get(key), theirs.get(key)) {
            (Some(ours), Some(theirs)) => classes(key, &ours[0], theirs, &also, &published),
            (Some(_), None) => vec![alone_class(key, None, &rows_of_ours, &published)],
            (_, theirs) => vec![alone_class(key, theirs, &rows_of_theirs, &published)],
        };
        let top = key.0.split(' ').next().unwrap_or(&key.0);
        let example = || {
            let shown = format!("{key:?}\n  {:?}\n  {:?}", ours.get(key), theirs.get(key));
            shown.chars().take(3000).collect()
        };
        for class in classes {
            found.entry(format!("{top} {class}")).or_insert_with(|| (0, example())).0 += 1;
        }
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

/// The table of the page: class and number of differences.
fn documented() -> BTreeMap<String, usize> {
    let page = include_str!("../../../docs/modules/export-center/trivy-judges.md");
    let (_, table) = page.split_once("| difference | places | why |\n").expect("the table");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let (class, count) = (cells.next().expect("a class"), cells.next().expect("a number"));
        (class.to_owned(), count.replace(',', "").parse().expect("a number"))
    })
    .collect()
}

#[test]
fn every_difference_has_its_reason_on_the_page() {
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    for (class, count) in EXPECTED {
        let (_, class) = class.split_once(' ').expect("a bucket");
        if class != "equal" {
            *classes.entry(class.to_owned()).or_default() += count;
        }
    }
    assert!(!classes.contains_key("unexplained"));
    assert_eq!(documented(), classes);
}

/// Upstream also reads three formats that are no OSV, and that are not ingested: there are no rows to
/// compare. What can be is how the ranges of their publishers are read.
#[test]
fn ranges_of_formats_that_are_not_read_are_understood() {
    let Some(data) = stella_testkit::data_dir() else { return };
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for ((top, _, _), value) in expected(&data.join("oracle/raw-sources.expected.jsonl.zst")) {
        let Some((prefix, _)) = top.split_once("::") else { continue };
        let comparer = Comparer::of_ecosystem(prefix).expect("a language");
        let value: Value = serde_json::from_str(&value).expect("JSON");
        for member in ["VulnerableVersions", "PatchedVersions", "UnaffectedVersions"] {
            for text in list(&value, member) {
                assert!(comparer.constraint(&text).is_ok(), "{prefix}: {text}");
                *found.entry(prefix.to_owned()).or_default() += 1;
            }
        }
    }
    let expected = [("composer", 3_955), ("npm", 837), ("rubygems", 1_628)];
    assert_eq!(found, expected.map(|(prefix, count)| (prefix.to_owned(), count)).into());
}

/// Keys by bucket and class.
const EXPECTED: &[(&str, usize)] = &[
    ("Red content sets that Trivy cannot do without", 8),
    ("alma equal", 199_553),
    ("alma the highest fix of several", 8_868),
    ("bitnami:: equal", 6_402),
    ("bitnami:: ranges with an end before its beginning, read by version", 3),
    ("bitnami:: rows that Trivy cannot read", 1),
    ("cargo:: equal", 611),
    ("cargo:: further CVE ids of a record", 54),
    ("cargo:: repeats and dangling commas of upstream left out", 414),
    ("cargo:: several records merged", 5),
    ("composer:: equal", 2),
    ("data-source buckets named after the records' own source", 3),
    ("data-source equal", 15),
    ("go:: all versions are also those before 0", 1),
    ("go:: equal", 230),
    ("go:: further CVE ids of a record", 31),
    ("go:: modules that upstream leaves to GitHub's advisories", 4_921),
    ("go:: repeats and dangling commas of upstream left out", 4),
    ("go:: several records merged", 15),
    ("k8s:: equal", 50),
    ("maven:: equal", 443),
    ("maven:: further CVE ids of a record", 6),
    ("maven:: repeats and dangling commas of upstream left out", 4),
    ("maven:: several records merged", 3),
    ("npm:: equal", 1),
    ("nuget:: equal", 48),
    ("nuget:: listed versions that a range covers left out", 6),
    ("pip:: equal", 2_021),
    ("pip:: listed versions that a range covers left out", 217),
    ("pip:: rows that Trivy cannot read", 2),
    ("pip:: several records merged", 1),
    ("pip:: what Trivy cannot read left out", 27),
    ("pub:: equal", 1),
    ("rubygems:: equal", 3),
    ("swift:: equal", 2),
    ("vulnerability another record's description", 1_459),
    ("vulnerability another record's title", 1_135),
    ("vulnerability base scores, not environmental ones", 56),
    ("vulnerability dates in whole seconds", 4),
    ("vulnerability dates told", 13_223),
    ("vulnerability details of such rows", 3_105),
    ("vulnerability equal", 3),
    ("vulnerability references as published, of all records", 4_311),
    ("vulnerability scores that upstream's last record hides", 7),
    ("vulnerability the severity of the newest erratum", 16),
    ("vulnerability the severity that upstream's last record hides", 7),
    ("vulnerability vectors as published, with metrics that are not defined", 474),
    ("vulnerability weaknesses told", 322),
];
