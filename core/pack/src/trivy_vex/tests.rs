//! Statements in, files of a repository out.

use std::collections::BTreeMap;
use std::io;

use stella_model::{Digest, FeedName, Instant, Limits, PartName, RecordId};
use stella_records::Format;
use stella_records::view::Evidence;

use super::*;
use crate::rows::memory::Memory;

#[derive(Default)]
struct Files(Vec<(String, String)>);

impl Shelf for Files {
    fn put(&mut self, name: &PartName, size: u64, content: &mut dyn io::Read) -> io::Result<()> {
        let mut text = String::new();
        content.read_to_string(&mut text)?;
        assert_eq!(text.len() as u64, size, "{name}");
        self.0.push((name.to_string(), text));
        Ok(())
    }
}

/// A record: feed, publisher, id, format, document.
type Record = (&'static str, &'static str, &'static str, Format, String);

struct Made {
    files: BTreeMap<String, String>,
    report: String,
    contents: Contents,
}

fn make(records: &[Record], mappers: usize, first: &[&str]) -> Made {
    let options = Options {
        precedence: Precedence { first: first.iter().map(|id| (*id).to_owned()).collect() },
    };
    let spools: Vec<(Memory, Memory)> = (0..mappers).map(|_| Default::default()).collect();
    let mut all: Vec<Mapper<'_>> = spools
        .iter()
        .map(|(rows, report)| Mapper::new(&options, Spools { rows, report }))
        .collect();
    for (place, (feed, publisher, id, format, document)) in records.iter().enumerate() {
        let evidence =
            Evidence::open(*format, document.as_bytes(), &Limits::DEFAULT).expect("a document");
        let feed = FeedName::new(feed).expect("a feed");
        let id = RecordId::new(id).expect("an id");
        let publisher = (!publisher.is_empty()).then_some(*publisher);
        let origin = Origin { feed: &feed, publisher, id: &id, modified: None };
        all[place % mappers].record(origin, &evidence).expect("spools");
    }
    let (mut files, mut report) = (Files::default(), Vec::new());
    let as_of = Instant::parse("2026-11-01T00:00:00Z").expect("a time");
    let contents =
        assemble(all, as_of, &Memory::default(), &mut files, &mut report).expect("assembles");
    let count = files.0.len();
    let files: BTreeMap<_, _> = files.0.into_iter().collect();
    assert_eq!(files.len(), count, "a location is used twice");
    Made { files, report: String::from_utf8(report).expect("UTF-8"), contents }
}

/// An OpenVEX document with one statement a line: vulnerability, status, product, time.
fn openvex(statements: &[(&str, &str, &str, &str)]) -> String {
    let statement = |(name, status, product, time): &(&str, &str, &str, &str)| {
        let product = match product.split_once(" part ") {
            Some((product, part)) => {
                format!(r#"{{"@id":"{product}","subcomponents":[{{"@id":"{part}"}}]}}"#)
            }
            None => format!(r#"{{"@id":"{product}"}}"#),
        };
        format!(
            r#"{{"vulnerability":{{"name":"{name}"}},"status":"{status}","timestamp":"{time}",
            "justification":"component_not_present","products":[{product}]}}"#
        )
    };
    let statements: Vec<String> = statements.iter().map(statement).collect();
    format!(
        r#"{{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"a",
        "timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[{}]}}"#,
        statements.join(",")
    )
}

fn record(feed: &'static str, id: &'static str, statements: &[(&str, &str, &str, &str)]) -> Record {
    (feed, "", id, Format::OpenVex, openvex(statements))
}

const DAY_1: &str = "2026-01-01T00:00:00Z";
const DAY_2: &str = "2026-01-02T00:00:00Z";

/// The statements of a document, short: `VULNERABILITY STATUS PRODUCT[ part PART],…`.
fn short(document: &str) -> Vec<String> {
    let document: serde_json::Value = serde_json::from_str(document).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let product = |product: &serde_json::Value| {
        let parts = product["subcomponents"].as_array().map(Vec::as_slice).unwrap_or_default();
        let parts: String =
            parts.iter().map(|part| format!(" part {}", text(&part["@id"]))).collect();
        text(&product["@id"]) + &parts
    };
    let statement = |statement: &serde_json::Value| {
        let products = statement["products"].as_array().expect("products");
        let products: Vec<String> = products.iter().map(product).collect();
        format!(
            "{} {} {}",
            text(&statement["vulnerability"]["name"]),
            text(&statement["status"]),
            products.join(",")
        )
    };
    document["statements"].as_array().expect("statements").iter().map(statement).collect()
}

#[test]
fn a_document_is_a_package_and_its_bytes_are_known() {
    let made = make(
        &[(
            "acme",
            "ACME Inc.",
            "1",
            Format::OpenVex,
            openvex(&[("CVE-2026-1", "not_affected", "pkg:npm/@a/b@1.0", DAY_1)]),
        )],
        1,
        &[],
    );
    assert_eq!(made.contents.packages, 1);
    assert_eq!(
        made.files["index.json"],
        r#"{"packages":[{"format":"openvex","id":"pkg:npm/%40a/b","location":"pkg/npm/_40a/b/vex.json"}],"updated_at":"2026-11-01T00:00:00Z"}"#
    );
    let document = &made.files["pkg/npm/_40a/b/vex.json"];
    let (head, rest) = document.split_once("\"@id\":\"urn:stella:openvex:sha256:").expect("an id");
    assert_eq!(head, r#"{"@context":"https://openvex.dev/ns/v0.2.0","#);
    let (digest, rest) = rest.split_at(64);
    assert_eq!(
        rest,
        r#"","author":"ACME Inc.","statements":[{"justification":"component_not_present","products":[{"@id":"pkg:npm/%40a/b@1.0"}],"status":"not_affected","timestamp":"2026-01-01T00:00:00Z","vulnerability":{"name":"CVE-2026-1"}}],"timestamp":"2026-11-01T00:00:00Z","version":1}"#
    );
    let value: serde_json::Value = serde_json::from_str(document).expect("JSON");
    assert_eq!(stella_model::rfc8785::to_string(&value), *document);
    assert!(digest.parse::<Digest>().is_ok());
    assert_eq!(made.report, "");
}

#[test]
fn the_newest_statement_stands_then_the_one_believed_most_then_the_one_that_hides_least() {
    let p = "pkg:npm/a@1";
    let old = record("one", "1", &[("CVE-1", "not_affected", p, DAY_1)]);
    let new = record("two", "2", &[("CVE-1", "affected", p, DAY_2)]);
    let beside = record("zwei", "3", &[("CVE-1", "fixed", p, DAY_2)]);
    for (records, first, expected, superseded) in [
        (vec![old.clone(), new.clone()], vec![], "affected", 1),
        (vec![new.clone(), old.clone()], vec!["one"], "affected", 1),
        (vec![new.clone(), beside.clone()], vec![], "affected", 1),
        (vec![beside.clone(), new.clone()], vec!["two", "zwei"], "affected", 1),
        (vec![beside.clone(), new.clone()], vec!["zwei", "two"], "fixed", 1),
        (vec![old.clone(), beside.clone(), new.clone()], vec![], "affected", 2),
        (
            vec![old.clone(), record("x", "4", &[("CVE-1", "not_affected", p, DAY_2)])],
            vec![],
            "not_affected",
            0,
        ),
        (
            vec![record(
                "x",
                "4",
                &[("CVE-1", "affected", p, DAY_1), ("CVE-1", "fixed", p, DAY_1)],
            )],
            vec![],
            "fixed",
            0,
        ),
    ] {
        let made = make(&records, 1, &first);
        let found = short(&made.files["pkg/npm/a/vex.json"]);
        assert_eq!(found, [format!("CVE-1 {expected} {p}")], "{first:?}");
        let count = made.contents.reasons.get("superseded").copied().unwrap_or(0);
        assert_eq!(count, superseded, "{}", made.report);
        assert_eq!(made.report.lines().count() as u64, superseded);
    }
}

#[test]
fn what_is_said_alike_is_one_statement_and_every_name_has_its_own() {
    let with_alias = openvex(&[("GHSA-1", "fixed", "pkg:npm/a@2", DAY_1)])
        .replace(r#""name":"GHSA-1""#, r#""name":"GHSA-1","aliases":["CVE-1","GHSA-1"]"#);
    let made = make(
        &[
            ("one", "", "1", Format::OpenVex, with_alias),
            record(
                "one",
                "2",
                &[
                    ("CVE-1", "fixed", "pkg:npm/a@1", DAY_1),
                    ("CVE-2", "affected", "pkg:npm/a part pkg:npm/b@1", DAY_1),
                    ("CVE-2", "affected", "pkg:npm/a part pkg:npm/c", DAY_1),
                    ("CVE-2", "affected", "pkg:npm/a@3", DAY_1),
                    ("CVE-2", "affected", "pkg:npm/a", DAY_1),
                ],
            ),
        ],
        1,
        &[],
    );
    assert_eq!(
        short(&made.files["pkg/npm/a/vex.json"]),
        [
            "CVE-1 fixed pkg:npm/a@1,pkg:npm/a@2",
            "CVE-2 affected pkg:npm/a,pkg:npm/a part pkg:npm/b@1 part pkg:npm/c,pkg:npm/a@3",
            "GHSA-1 fixed pkg:npm/a@2",
        ]
    );
    assert_eq!(made.contents.statements, 3);
}

#[test]
fn what_cannot_be_said_is_reported_with_its_reason() {
    let made = make(
        &[
            record(
                "one",
                "1",
                &[
                    ("", "fixed", "pkg:npm/a", DAY_1),
                    ("CVE-1", "maybe", "pkg:npm/a", DAY_1),
                    ("CVE-2", "fixed", "the product", DAY_1),
                    ("CVE-2", "fixed", "another product", DAY_1),
                    ("CVE-3", "fixed", "pkg:npm/", DAY_1),
                    ("CVE-4", "fixed", "pkg:golang/a/b#c", DAY_1),
                    ("CVE-5", "fixed", "pkg:npm/a part the part", DAY_1),
                ],
            ),
            ("two", "", "2", Format::CycloneDxJson, r#"{"bomFormat":"CycloneDX","specVersion":"1.6",
                "components":[{"bom-ref":"a","purl":"pkg:npm/a"}],
                "vulnerabilities":[{"id":"CVE-6","analysis":{"state":"resolved"},
                "affects":[{"ref":"a","versions":[{"range":"vers:npm/<2"}]}]}]}"#.to_owned()),
            ("three", "", "3", Format::CsafVex, r#"{"document":{"tracking":{"id":"x"}},
                "product_tree":{"full_product_names":[
                    {"product_id":"p","name":"p"},
                    {"product_id":"c","name":"c","product_identification_helper":{"purl":"pkg:rpm/redhat/c"}}],
                  "relationships":[{"category":"default_component_of","product_reference":"c",
                    "relates_to_product_reference":"p","full_product_name":{"product_id":"p:c","name":"x"}}]},
                "vulnerabilities":[{"cve":"CVE-7","product_status":{"known_not_affected":["p:c"]}}]}"#
                .to_owned()),
        ],
        1,
        &[],
    );
    assert_eq!(made.files.keys().collect::<Vec<_>>(), ["index.json"]);
    let reasons: Vec<(&str, u64)> = made.contents.reasons.iter().map(|(r, n)| (*r, *n)).collect();
    assert_eq!(
        reasons,
        [
            ("no-vulnerability-id", 1),
            ("product-without-purl", 1),
            ("purl-not-valid", 1),
            ("purl-with-subpath", 1),
            ("status-unknown", 1),
            ("subcomponent-without-purl", 1),
            ("versions-not-expressible", 1),
            ("whole-without-purl", 1),
        ]
    );
    let two = made.report.lines().find(|line| line.contains("CVE-2")).expect("a line");
    assert_eq!(
        two,
        r#"{"feed":"one","id":"1","product":"another product","products":2,"reason":"product-without-purl","vulnerability":"CVE-2"}"#
    );
}

#[test]
fn a_component_of_a_product_counts_within_it_alone() {
    let csaf = r#"{"document":{"tracking":{"id":"x","current_release_date":"2026-01-01T00:00:00Z"}},
        "product_tree":{"full_product_names":[
            {"product_id":"p","name":"p","product_identification_helper":{"purl":"pkg:oci/p@1?repository_url=r.example/p"}},
            {"product_id":"c","name":"c","product_identification_helper":{"purl":"pkg:npm/c@1"}}],
          "relationships":[{"category":"default_component_of","product_reference":"c",
            "relates_to_product_reference":"p","full_product_name":{"product_id":"p:c","name":"x"}}]},
        "vulnerabilities":[{"cve":"CVE-7","product_status":{"known_not_affected":["p:c"],"fixed":["c"]}}]}"#;
    let made = make(&[("rh", "", "1", Format::CsafVex, csaf.to_owned())], 1, &[]);
    let image = &made.files["pkg/oci/p/_/r.example_2fp/vex.json"];
    assert_eq!(
        short(image),
        ["CVE-7 not_affected pkg:oci/p@1?repository_url=r.example%2Fp part pkg:npm/c@1"]
    );
    assert!(image.contains(r#""impact_statement":"No reason was given.""#), "{image}");
    assert_eq!(short(&made.files["pkg/npm/c/vex.json"]), ["CVE-7 fixed pkg:npm/c@1"]);
    assert!(made.files["index.json"].contains(r#""id":"pkg:oci/p?repository_url=r.example%2Fp""#));
}

#[test]
fn order_and_number_of_mappers_decide_no_byte() {
    let mut records: Vec<Record> = Vec::new();
    let status = ["not_affected", "affected", "fixed", "under_investigation"];
    for number in 0..200_usize {
        let id: &'static str = Box::leak(number.to_string().into_boxed_str());
        let feed = ["one", "two", "three"][number % 3];
        let product = format!("pkg:npm/p{}@{}", number % 7, number % 3);
        let cve = format!("CVE-{}", number % 5);
        let time = format!("2026-01-{:02}T00:00:00Z", 1 + number % 4);
        let statements = [(cve.as_str(), status[number % 4], product.as_str(), time.as_str())];
        records.push(record(feed, id, &statements));
    }
    let made = make(&records, 1, &[]);
    assert_eq!(made.contents.packages, 7);
    assert!(made.contents.reasons["superseded"] > 10);
    for mappers in [2, 3, 7] {
        let salt = [mappers as u8];
        records.sort_by_key(|(_, _, id, ..)| Digest::of(&[&salt[..], id.as_bytes()].concat()));
        let other = make(&records, mappers, &[]);
        assert_eq!(other.files, made.files);
        assert_eq!((other.report, other.contents), (made.report.clone(), made.contents.clone()));
    }
}

#[test]
fn reasons_read_back_by_number() {
    for (number, reason) in Reason::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, number);
    }
}

#[test]
fn the_manifest_names_the_one_version_that_trivy_takes() {
    let text = String::from_utf8(manifest("acme", "https://h/a.tar.gz//x/0.1")).expect("UTF-8");
    assert_eq!(
        text,
        r#"{"description":"VEX statements of an evidence bundle","name":"acme","versions":[{"locations":[{"url":"https://h/a.tar.gz//x/0.1"}],"spec_version":"0.1","update_interval":"24h"}]}"#
    );
}

#[test]
fn a_statement_of_too_many_rows_is_reported_and_the_others_stand() {
    let statement = |aliases: usize, products: usize, text: usize| {
        let names: Vec<String> =
            (0..aliases).map(|number| format!(r#""CVE-2026-{number}""#)).collect();
        let names = names.join(",");
        let products: Vec<String> =
            (0..products).map(|number| format!(r#"{{"@id":"pkg:npm/a@{number}"}}"#)).collect();
        format!(
            r#"{{"vulnerability":{{"name":"CVE-1","aliases":[{names}]}},"status":"not_affected",
            "timestamp":"{DAY_1}","impact_statement":"{}","products":[{}]}}"#,
            "x".repeat(text),
            products.join(",")
        )
    };
    let document = |statements: &[String]| {
        format!(
            r#"{{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"a",
            "timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[{}]}}"#,
            statements.join(",")
        )
    };
    let made = |first: String| {
        let statements = [first, statement(0, 1, 0).replace("CVE-1", "CVE-2")];
        make(&[("acme", "", "1", Format::OpenVex, document(&statements))], 1, &[])
    };
    // Nothing is cut where there is room.
    for (aliases, products, text) in [(120, 20, 10), (2, 3000, 10), (2, 200, 20_000)] {
        let made = made(statement(aliases, products, text));
        assert_eq!(made.report, "", "{aliases} {products} {text}");
        assert_eq!(made.contents.statements, 2 + aliases as u64);
    }
    for (aliases, products, text) in [(200, 1, 0), (100, 1000, 300), (0, 1000, 20_000)] {
        let made = made(statement(aliases, products, text));
        assert_eq!(
            made.report,
            "{\"feed\":\"acme\",\"id\":\"1\",\"products\":0,\"reason\":\"too-many-rows\",\
             \"vulnerability\":\"CVE-1\"}\n",
            "{aliases} {products} {text}"
        );
        assert_eq!(made.contents.statements, 1);
    }
}

#[test]
fn a_document_of_too_many_rows_keeps_the_statements_that_fit() {
    // Each statement is within bounds, 20 of them are not.
    let products: Vec<String> =
        (0..1000).map(|number| format!(r#"{{"@id":"pkg:npm/a@{number}"}}"#)).collect();
    let statement = |number: usize| {
        format!(
            r#"{{"vulnerability":{{"name":"CVE-{number}"}},"status":"not_affected",
            "timestamp":"{DAY_1}","impact_statement":"{}","products":[{}]}}"#,
            "x".repeat(14_000),
            products.join(",")
        )
    };
    let statements: Vec<String> = (10..30).map(statement).collect();
    let document = format!(
        r#"{{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"a",
        "timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[{}]}}"#,
        statements.join(",")
    );
    let made = make(&[("acme", "", "1", Format::OpenVex, document)], 1, &[]);
    let told = made.report.lines().filter(|line| line.contains("too-many-rows")).count();
    assert!(told > 0 && made.contents.statements + told as u64 == 20, "{told}");
    assert!(made.contents.statements >= 16);
}

#[test]
fn a_product_with_many_nameless_parts_and_a_long_name_is_told_of_once() {
    let parts = vec!["{}"; 50_000].join(",");
    let name = "n".repeat(100_000);
    let document = format!(
        r#"{{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"a",
        "timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[
        {{"vulnerability":{{"name":"{name}","aliases":["CVE-1"]}},"status":"not_affected",
        "timestamp":"{DAY_1}","products":[{{"@id":"pkg:npm/a@1","subcomponents":[{parts}]}}]}}]}}"#
    );
    let made = make(&[("acme", "", "1", Format::OpenVex, document)], 1, &[]);
    assert_eq!(
        made.report,
        "{\"feed\":\"acme\",\"id\":\"1\",\"product\":\"pkg:npm/a@1\",\"products\":1,\
         \"reason\":\"subcomponent-without-purl\",\"vulnerability\":\"CVE-1\"}\n"
    );
}
