//! VEX repositories that a publisher signed and no scanner should be given.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stella_manifest::OutputEntry;
use stella_verify::{Check, State};

use crate::database::{AS_OF, Listed, Made, tar_gz};
use crate::maker::{Files, Maker};

use Check::{ScannerReport, ScannerVex};

/// A repository in the making; every step can be spoilt.
struct Vex {
    manifest: Value,
    /// The manifest in the archive, if it is another.
    within: Option<Value>,
    settings: String,
    documents: Vec<(String, Value)>,
    index: Value,
    members: fn(&mut Vec<(String, Vec<u8>)>),
    tar: fn(&mut Vec<u8>),
    gzip: fn(&mut Vec<u8>),
    lines: String,
    output: fn(&mut OutputEntry),
    listed: fn(&mut Vec<Listed>),
}

fn statement(vulnerability: &str, product: &str) -> Value {
    json!({
        "justification": "component_not_present",
        "products": [{"@id": product, "subcomponents": [{"@id": "pkg:npm/ms"}]}],
        "status": "not_affected",
        "timestamp": "2026-10-01T00:00:00Z",
        "vulnerability": {"name": vulnerability},
    })
}

fn openvex(statements: &[Value]) -> Value {
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "urn:a",
        "author": "acme",
        "statements": statements,
        "timestamp": AS_OF,
        "version": 1,
    })
}

impl Vex {
    fn new() -> Vex {
        let document = |purl: &str, folder: &str| {
            let statements = [statement("CVE-1", purl), statement("CVE-2", &format!("{purl}@1"))];
            (format!("pkg/{folder}/vex.json"), openvex(&statements))
        };
        let csaf = json!({
            "document": {"category": "csaf_vex", "csaf_version": "2.0", "title": "x"},
            "product_tree": {"branches": []},
            "vulnerabilities": [{"cve": "CVE-3", "x": [{}]}],
        });
        let entry = |id: &str, folder: &str, format: &str| json!({"format": format, "id": id, "location": format!("pkg/{folder}/vex.json")});
        Vex {
            manifest: json!({
                "description": "x",
                "name": "acme",
                "versions": [{
                    "locations": [{"url": "https://vex.example/vex-repository.tar.gz//acme/0.1"}],
                    "spec_version": "0.1",
                    "update_interval": "24h",
                }],
            }),
            within: None,
            settings: "repositories:\n  - name: acme\n    url: https://vex.example\n    enabled: true\n"
                .to_owned(),
            documents: vec![
                document("pkg:npm/%40a/b", "npm/_40a/b"),
                document("pkg:npm/json", "npm/json"),
                ("pkg/pypi/x/vex.json".to_owned(), csaf),
            ],
            index: json!({
                "packages": [
                    entry("pkg:npm/%40a/b", "npm/_40a/b", "openvex"),
                    entry("pkg:npm/JSON", "npm/json", "openvex"),
                    entry("pkg:npm/json", "npm/json", "openvex"),
                    entry("pkg:pypi/x", "pypi/x", "csaf"),
                ],
                "updated_at": AS_OF,
            }),
            members: |_| {},
            tar: |_| {},
            gzip: |_| {},
            lines: concat!(
                "{\"feed\":\"a\",\"id\":\"A\",\"products\":0,\"reason\":\"no-product\",\"vulnerability\":\"CVE-1\"}\n",
                "{\"feed\":\"a\",\"id\":\"A\",\"product\":\"p\",\"products\":2,\"reason\":\"superseded\",\"vulnerability\":\"CVE-1\"}\n",
            )
            .to_owned(),
            output: |_| {},
            listed: |_| {},
        }
    }

    fn made(&self) -> Made {
        let bytes = |value: &Value| value.to_string().into_bytes();
        let within = self.within.as_ref().unwrap_or(&self.manifest);
        let mut members = vec![("acme/vex-repository.json".to_owned(), bytes(within))];
        let documents = self.documents.iter();
        members.extend(documents.map(|(name, text)| (format!("acme/0.1/{name}"), bytes(text))));
        members.push(("acme/0.1/index.json".to_owned(), bytes(&self.index)));
        (self.members)(&mut members);
        let mut parts: Vec<Listed> = vec![
            (
                "trivy/vex/vex-repository.tar.gz".into(),
                "application/gzip",
                tar_gz(&members, self.tar, self.gzip),
                None,
            ),
            (
                "trivy/vex/vex-repository.json".into(),
                "application/json",
                bytes(&self.manifest),
                None,
            ),
            (
                "trivy/vex/repository.yaml".into(),
                "application/yaml",
                self.settings.clone().into(),
                None,
            ),
            (
                "trivy/vex.report.jsonl".into(),
                "application/x-ndjson",
                self.lines.clone().into(),
                Some(self.lines.lines().count() as u64),
            ),
        ];
        (self.listed)(&mut parts);
        let mut entry = OutputEntry {
            adapter: "trivy:vex".to_owned(),
            adapter_version: 1,
            importable: false,
            keys: BTreeMap::from([("packages".to_owned(), 3)]),
            not_represented: BTreeMap::from([
                ("no-product".to_owned(), 1),
                ("superseded".to_owned(), 1),
            ]),
            scanner: None,
        };
        (self.output)(&mut entry);
        Made { parts, entry, coverage: Vec::new() }
    }

    fn seal(&self) -> Files {
        Maker::with_output(self.made()).seal()
    }

    /// The first statement of the second document.
    fn statement(&mut self) -> &mut Value {
        &mut self.documents[1].1["statements"][0]
    }
}

fn remove(value: &mut Value, member: &str) {
    value.as_object_mut().expect("an object").remove(member).expect("is there");
}

type Spoil = fn(&mut Vex);

/// What is wrong with the repository.
const REPOSITORIES: &[(&str, &str, Spoil)] = &[
    ("no archive", "does not list", |v| v.listed = |l| drop(l.remove(0))),
    ("no manifest", "does not list", |v| v.listed = |l| drop(l.remove(1))),
    ("no settings", "does not list", |v| v.listed = |l| drop(l.remove(2))),
    ("another media type", "media type", |v| v.listed = |l| l[0].1 = "application/x-tar"),
    ("a file too many", "leads to this file", |v| {
        v.listed = |l| l.push(("trivy/vex/x".into(), "x/y", b"x".to_vec(), None));
    }),
    ("another version of the specification", "version of the specification", |v| {
        v.manifest["versions"][0]["spec_version"] = json!("0.2");
    }),
    ("a version that is a number", "no manifest", |v| {
        v.manifest["versions"][0]["spec_version"] = json!(0.1);
    }),
    ("no version", "number of versions", |v| v.manifest["versions"] = json!([])),
    ("no location", "number of locations", |v| {
        v.manifest["versions"][0]["locations"] = json!([]);
    }),
    ("a location elsewhere", "lead into the archive", |v| {
        v.manifest["versions"][0]["locations"][0]["url"] = json!("https://vex.example/x.tar.gz");
    }),
    ("a location of another scheme", "lead into the archive", |v| {
        v.manifest["versions"][0]["locations"][0]["url"] =
            json!("file:///vex-repository.tar.gz//acme/0.1");
    }),
    ("a span of time in words", "span of time", |v| {
        v.manifest["versions"][0]["update_interval"] = json!("a day");
    }),
    ("a name that leads out", "no name of a folder", |v| v.manifest["name"] = json!("../acme")),
    ("an unknown member of the manifest", "no manifest", |v| v.manifest["x"] = json!(1)),
    ("a manifest without a name", "no manifest", |v| remove(&mut v.manifest, "name")),
    ("settings of another repository", "tells of another", |v| {
        v.settings = v.settings.replace("acme", "other");
    }),
    ("settings that switch it off", "tells of another", |v| {
        v.settings = v.settings.replace("true", "false");
    }),
    ("another manifest in the archive", "another vex-repository.json", |v| {
        let mut within = v.manifest.clone();
        within["description"] = json!("y");
        v.within = Some(within);
    }),
    ("a longer manifest in the archive", "another vex-repository.json", |v| {
        let mut within = v.manifest.clone();
        within["description"] = json!("longer");
        v.within = Some(within);
    }),
    ("no manifest in the archive", "does not begin with the manifest", |v| {
        v.members = |m| drop(m.remove(0));
    }),
    ("an archive of nothing", "does not begin with the manifest", |v| v.members = Vec::clear),
    ("no index", "no index.json", |v| v.members = |m| drop(m.pop())),
    ("an index before the documents", "follows the index", |v| {
        v.members = |m| {
            let index = m.pop().expect("an index");
            m.insert(1, index);
        }
    }),
    ("a member elsewhere", "lies elsewhere", |v| {
        v.members = |m| m.insert(1, ("acme/0.2/x.json".to_owned(), b"{}".to_vec()));
    }),
    ("a document too many", "does not lead to all", |v| {
        v.documents.insert(0, ("pkg/npm/extra/vex.json".to_owned(), v.documents[1].1.clone()));
        v.output = |o| o.keys.extend([("packages".to_owned(), 4)]);
    }),
    ("a document twice", "there twice", |v| v.documents.push(v.documents[1].clone())),
    ("a document too few", "which is not there", |v| drop(v.documents.remove(0))),
    ("a wrong number of packages", "number of packages", |v| {
        v.output = |o| o.keys.extend([("packages".to_owned(), 4)]);
    }),
    ("no number of packages", "number of packages", |v| v.output = |o| o.keys.clear()),
    ("a link in the archive", "another name or header", |v| v.tar = |t| t[156] = b'2'),
    ("something after the archive", "follows the archive", |v| v.tar = |t| t.push(0)),
    ("an archive without an end", "does not unpack", |v| v.tar = |t| t.truncate(t.len() - 1024)),
    ("an archive cut short", "does not unpack", |v| v.gzip = |g| g.truncate(g.len() / 2)),
    ("a time in the gzip header", "gzip header", |v| v.gzip = |g| g[4] = 1),
    ("something after the gzip stream", "follows the compressed", |v| v.gzip = |g| g.push(0)),
    ("an index of another time", "updated_at is", |v| {
        v.index["updated_at"] = json!("2026-10-31T00:00:00Z");
    }),
    ("an index without a time", "updated_at", |v| remove(&mut v.index, "updated_at")),
    ("an index without packages", "packages", |v| remove(&mut v.index, "packages")),
    ("an index with more", "unknown or second member", |v| v.index["x"] = json!(1)),
    ("an index that is none", "no index", |v| v.index = json!([])),
    ("entries out of order", "does not come after", |v| {
        v.index["packages"].as_array_mut().expect("a list").swap(0, 1);
    }),
    ("an entry twice", "does not come after", |v| {
        let entries = v.index["packages"].as_array_mut().expect("a list");
        entries.insert(1, entries[0].clone());
    }),
    ("an entry of a version", "without version", |v| {
        v.index["packages"][3]["id"] = json!("pkg:pypi/x@1");
    }),
    ("an entry of no package URL", "no package URL", |v| v.index["packages"][0]["id"] = json!("a")),
    ("an entry that leads out", "which is not there", |v| {
        v.index["packages"][3]["location"] = json!("../x/vex.json");
    }),
    ("an entry of another format", "another format", |v| {
        v.index["packages"][3]["format"] = json!("openvex");
    }),
    ("an entry of a format that is none", "another format", |v| {
        v.index["packages"][0]["format"] = json!("cyclonedx");
    }),
    ("an entry with more", "no index", |v| v.index["packages"][0]["x"] = json!(1)),
    ("entries exchanged", "about another package", |v| {
        let location = v.index["packages"][0]["location"].take();
        v.index["packages"][0]["location"] = v.index["packages"][2]["location"].clone();
        v.index["packages"][2]["location"] = location;
    }),
    ("a document that is no JSON object", "an object", |v| v.documents[1].1 = json!([])),
    ("a document that is nothing", "unknown member", |v| v.documents[1].1 = json!({"x": 1})),
    ("a document of another context", "@context", |v| {
        v.documents[1].1["@context"] = json!("https://other.example");
    }),
    ("a document without an author", "author", |v| v.documents[1].1["author"] = json!("")),
    ("a document without a version", "version", |v| remove(&mut v.documents[1].1, "version")),
    ("a document of another time", "timestamp", |v| {
        v.documents[1].1["timestamp"] = json!("2026-10-31T00:00:00Z");
    }),
    ("a document without statements", "statements", |v| {
        remove(&mut v.documents[1].1, "statements");
    }),
    ("a document with no statement", "no statement", |v| {
        v.documents[1].1["statements"] = json!([]);
    }),
    ("a document with more", "unknown member", |v| v.documents[1].1["x"] = json!(1)),
    ("OpenVEX and CSAF at once", "at once", |v| {
        v.documents[1].1["document"] = json!({"category": "csaf_vex", "csaf_version": "2.0"});
    }),
    ("an advisory in CSAF", "category", |v| {
        v.documents[2].1["document"]["category"] = json!("csaf_security_advisory");
    }),
    ("CSAF 1", "CSAF 1", |v| v.documents[2].1["document"]["csaf_version"] = json!("1")),
    ("CSAF without products", "without products", |v| {
        remove(&mut v.documents[2].1, "product_tree");
    }),
    ("CSAF with products of another shape", "an object", |v| {
        v.documents[2].1["product_tree"] = json!([]);
    }),
    ("a status that is none", "a status that is none", |v| {
        v.statement()["status"] = json!("not affected");
    }),
    ("a justification that is none", "justification that is none", |v| {
        v.statement()["justification"] = json!("code_not_present");
    }),
    ("not affected without a reason", "says why nowhere", |v| {
        remove(v.statement(), "justification");
    }),
    ("affected without an action", "says what to do nowhere", |v| {
        v.statement()["status"] = json!("affected");
    }),
    ("a time without a zone", "RFC 3339", |v| {
        v.statement()["timestamp"] = json!("2026-10-01T00:00:00");
    }),
    ("no vulnerability", "vulnerability", |v| remove(v.statement(), "vulnerability")),
    ("a vulnerability without a name", "names no vulnerability", |v| {
        v.statement()["vulnerability"]["name"] = json!("");
    }),
    ("no product", "no product", |v| v.statement()["products"] = json!([])),
    ("a product by name", "no package URL", |v| {
        v.statement()["products"][0]["@id"] = json!("json");
    }),
    ("a part by name", "no package URL", |v| {
        v.statement()["products"][0]["subcomponents"][0]["@id"] = json!("ms");
    }),
    ("a part of a part", "parts of parts", |v| {
        v.statement()["products"][0]["subcomponents"][0]["subcomponents"] = json!([]);
    }),
    ("another product", "another package", |v| {
        v.statement()["products"][0]["@id"] = json!("pkg:npm/other");
    }),
    ("a statement with more", "unknown field", |v| v.statement()["x"] = json!(1)),
    ("products of another shape", "invalid type", |v| v.statement()["products"] = json!("a")),
];

/// What is wrong with the report.
const REPORTS: &[(&str, &str, Spoil)] = &[
    ("no report", "does not list", |v| v.listed = |l| drop(l.remove(3))),
    ("another number of lines", "number of records", |v| v.listed = |l| l[3].3 = Some(4)),
    ("lines out of order", "does not follow", |v| {
        let (first, rest) = v.lines.split_once('\n').expect("lines");
        v.lines = format!("{rest}{first}\n");
    }),
    ("a line too few", "another number of no-product", |v| {
        v.lines = v.lines.split_once('\n').expect("lines").1.to_owned();
    }),
    ("a reason that is not told", "notRepresented does not tell", |v| {
        v.lines = v.lines.replace("superseded", "other");
    }),
    ("a line of the other report", "does not read", |v| {
        v.lines = v.lines.replace("\"product\"", "\"package\"");
    }),
    ("a line with white space", "canonical", |v| v.lines = v.lines.replace(",\"id\"", ", \"id\"")),
];

#[test]
fn a_repository_in_order_verifies() {
    let report = Vex::new().seal().verify();
    let failed: Vec<_> = report.failed().collect();
    assert!(report.verified, "{failed:#?}");
    let state = |check| report.result(check).expect("is there").state;
    assert_eq!([state(ScannerVex), state(ScannerReport)], [State::Pass; 2]);
    for check in [
        Check::ScannerPackaging,
        Check::ScannerDatabase,
        Check::ScannerJavaIndex,
        Check::ScannerCanary,
    ] {
        assert_eq!(state(check), State::NotUsed, "{check:?}");
    }
    let detail = &report.result(ScannerVex).expect("is there").detail;
    assert_eq!(detail, "3 documents, 4 entries of the index lead to them");
}

#[test]
fn a_repository_that_no_scanner_should_be_given_is_refused() {
    assert!(REPOSITORIES.len() >= 70 && REPORTS.len() >= 7);
    for (check, table) in [(ScannerVex, REPOSITORIES), (ScannerReport, REPORTS)] {
        for (what, says, spoil) in table {
            let mut vex = Vex::new();
            spoil(&mut vex);
            let report = vex.seal().verify();
            let failed: Vec<Check> = report.failed().map(|result| result.check).collect();
            assert_eq!(failed, [check], "{what}");
            assert_eq!((report.exit_code(), report.verified), (8, false), "{what}");
            let problems = &report.result(check).expect("is there").problems;
            let told = problems.iter().any(|problem| problem.message.contains(says));
            assert!(told, "{what}: {problems:#?}");
        }
    }
}

#[test]
fn a_statement_larger_than_any_document_is_refused() {
    let mut vex = Vex::new();
    let many: Vec<Value> =
        (0..3000).map(|n| statement(&format!("CVE-{n}"), "pkg:npm/json")).collect();
    vex.documents[1].1 = openvex(&many);
    let mut policy = crate::maker::policy();
    policy.limits.document_bytes = 64 << 10;
    // Many statements are no reason, a large one is.
    let report = vex.seal().verify_as(&policy);
    assert!(report.verified, "{:#?}", report.failed().collect::<Vec<_>>());
    vex.statement()["status_notes"] = json!("x".repeat(100 << 10));
    let report = vex.seal().verify_as(&policy);
    let detail = &report.result(ScannerVex).expect("is there").detail;
    assert!(detail.contains("larger than any document"), "{detail}");
    assert_eq!(report.exit_code(), 8);
}

#[test]
fn nesting_without_end_is_refused() {
    let mut vex = Vex::new();
    vex.members = |m| {
        let deep = format!("{{\"product_tree\":{{\"a\":{}", "[".repeat(200_000));
        m[2].1 = deep.into_bytes();
    };
    let report = vex.seal().verify();
    assert_eq!(report.exit_code(), 8);
    assert_eq!(report.result(ScannerVex).expect("is there").state, State::Fail);
}
