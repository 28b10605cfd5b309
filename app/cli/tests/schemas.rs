//! The JSON Schemas in `docs/schemas` against what the program really writes.

mod common;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use common::{Stella, files};
use jsonschema::Validator;
use serde_json::{Value, json};
use stella_verify::Check;

/// Every schema by the name of its file without `.schema.json`.
fn schemas() -> BTreeMap<String, Value> {
    let folder = stella_testkit::workspace_root().join("docs/schemas");
    let schema = |name: String| {
        let text = std::fs::read_to_string(folder.join(&name)).expect("a schema");
        let stem = name.strip_suffix(".schema.json").expect("`….schema.json`").to_owned();
        (stem, serde_json::from_str(&text).expect("a schema is JSON"))
    };
    let names = files(&folder).into_iter().filter(|name| name.ends_with(".json"));
    names.map(schema).collect()
}

/// The schemas, compiled, and how many documents each has seen.
struct Checker {
    validators: BTreeMap<String, Validator>,
    seen: BTreeMap<String, u64>,
}

impl Checker {
    fn new() -> Checker {
        let compile = |(name, schema): (String, Value)| {
            (name, jsonschema::draft202012::new(&schema).expect("a schema of draft 2020-12"))
        };
        Checker { validators: schemas().into_iter().map(compile).collect(), seen: BTreeMap::new() }
    }

    /// Fails unless the document follows the schema, and refuses a member more or a member less.
    fn check(&mut self, schema: &str, document: &Value) {
        let validator = &self.validators[schema];
        let errors: Vec<String> = validator
            .iter_errors(document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{schema}: {errors:#?} in {document:#}");
        let mut more = document.clone();
        more["unknown"] = json!(1);
        assert!(!validator.is_valid(&more), "{schema} takes unknown members");
        *self.seen.entry(schema.to_owned()).or_default() += 1;
    }

    fn check_bytes(&mut self, schema: &str, bytes: &[u8]) {
        let document = serde_json::from_slice(bytes).expect(schema);
        self.check(schema, &document);
    }

    fn check_lines(&mut self, schema: &str, bytes: &[u8]) {
        let lines = std::str::from_utf8(bytes).expect("UTF-8").lines();
        lines.for_each(|line| self.check_bytes(schema, line.as_bytes()));
    }

    /// Checks every file of a bundle, and every line of its parts.
    fn check_bundle(&mut self, folder: &Path) {
        for name in files(folder) {
            let bytes = std::fs::read(folder.join(&name)).expect("a file of the bundle");
            if name.ends_with(".jsonl.zst") {
                let line =
                    if name.starts_with("data/") { "record-line.v1" } else { "index-line.v1" };
                let mut text = String::new();
                let mut frame = zstd::stream::read::Decoder::new(&bytes[..]).expect("zstd");
                frame.read_to_string(&mut text).expect("lines");
                text.lines().for_each(|text| self.check_bytes(line, text.as_bytes()));
                continue;
            }
            match name.as_str() {
                "trivy/db.report.jsonl" => self.check_lines("trivy-db-report-line.v1", &bytes),
                "trivy/vex.report.jsonl" => self.check_lines("trivy-vex-report-line.v1", &bytes),
                // Forms of others.
                name if name.starts_with("trivy/") => {}
                "export.json" => self.check_bytes("export.v1", &bytes),
                "provenance.json" => self.check_bytes("provenance.v1", &bytes),
                "trusted_root.json" => self.check_bytes("trusted-root.v1", &bytes),
                "README.md" | "NOTICE.md" | "SHA256SUMS" | "export.json.sig" => {}
                name if name.ends_with(".sigstore.json") => {
                    self.check_bytes("sigstore-bundle.v1", &bytes);
                }
                // Files of the scanner, whose forms are its own.
                name if name.starts_with("trivy/") => {}
                name => panic!("{name} has no schema"),
            }
        }
    }
}

/// A profile with every member that reaches plan or manifest.
const PROFILE: &str = r#"
name = "everything"
outputs = ["json:raw"]
redaction = "rules.toml"

[select]
kinds = ["advisory", "vex", "sbom"]
feeds = ["acme", "other"]
modified-since = "2000-01-01T00:00:00.5Z"

[handling]
classification = "OFFICIAL"
caveats = ["NOFORN"]
releasableTo = ["AAA"]
maxTlp = "AMBER"
"#;

/// A hash of inputs, as a person may write it.
const HASH: &str = "sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";

#[test]
fn everything_that_is_written_follows_its_schema() {
    let stella = Stella::with_samples();
    let other = stella.file(
        "other/a.json",
        &stella_testkit::Osv::new("ACME-1")
            .summary("mail jane@example.com")
            .affects("CRAN", "p", "1")
            .bytes(),
    );
    stella.ok(&[
        "ingest",
        "--feed",
        "other",
        "--licence",
        "CC0-1.0",
        "--publisher",
        "Acme",
        "--attribution",
        "Acme",
        "--redistribution",
        "yes",
        &other,
    ]);
    let profile = stella.file("profile.toml", PROFILE.as_bytes());
    stella.file("rules.toml", b"name = \"acme\"\n[[deny]]\nid = \"id\"\npattern = 'ACME-[0-9]+'");
    // A statement on a product that Trivy does not know.
    let statement = json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "urn:x", "version": 1,
        "author": "acme", "timestamp": "2026-02-01T00:00:00Z", "statements": [{"status": "fixed",
        "vulnerability": {"name": "CVE-1"}, "products": [{"@id": "a product"}]}]});
    let statement = stella.file("said.json", statement.to_string().as_bytes());
    stella.ok(&["ingest", "--feed", "said", "--licence", "CC0-1.0", &statement]);
    let key = stella.public_key();
    let mut checker = Checker::new();
    let runs: &[(&str, &[&str])] = &[
        ("raw", &["json:raw"]),
        ("mirror", &["mirror:full"]),
        // The rules of the profile leave nothing of this set.
        ("profile", &[&profile, "--allow-empty", "advisory/other"]),
        ("db", &["trivy:db", "--policy-version", "2026.11.1", "--policy-inputs-hash", HASH]),
        ("jars", &["trivy:java-db", "--allow-empty", "sbom/acme"]),
        ("vex", &["trivy:vex"]),
        ("few", &["json:raw", "--kind", "advisory", "--severity", "high", "--ecosystem", "npm"]),
    ];
    for (name, args) in runs {
        let plan = stella.ok(&[&["export", "plan", "-o", "json"], *args].concat());
        let plan: Value = serde_json::from_str(&plan).expect("a plan");
        checker.check("plan.v1", &plan["plan"]);
        stella.ok(&[&["export", "run", "-d", &stella.arg(name)], *args].concat());
        checker.check_bundle(&stella.path(name));
        let report = stella.arg("report.json");
        let bundle = stella.arg(name);
        stella.ok(&["export", "verify", &bundle, "--key", &key, "--report", &report]);
        checker.check_bytes("verify-report.v1", &std::fs::read(&report).expect("a report"));
        std::fs::remove_file(&report).expect("removed");
    }
    check_proofs(&stella, &mut checker);
    check_failures(&stella, &mut checker);
    check_coverage(&stella, &mut checker);
    // Deltas come later; until then the page of the format is the only witness.
    let line = json!({"contentDigest": "0".repeat(64), "feed": "acme", "id": "A-1",
        "kind": "advisory", "reason": "vanished"});
    checker.check("tombstone.v1", &line);
    for schema in checker.validators.keys() {
        assert!(checker.seen.contains_key(schema), "{schema} has seen no document");
    }
}

/// Proofs of presence, of absence, and about an empty set, with the reports of checking them.
fn check_proofs(stella: &Stella, checker: &mut Checker) {
    let (raw, key) = (stella.arg("raw"), stella.public_key());
    let manifest = format!("{raw}/export.json");
    let first = stella.ok(&["export", "cat", &raw, "--kind", "advisory", "-o", "id"]);
    let first = first.lines().next().expect("a record").to_owned();
    for (kind, id) in [("advisory", first.as_str()), ("advisory", "M"), ("decision", "X")] {
        let proof = stella.ok(&["export", "prove", &raw, kind, "acme", id, "--allow-missing-set"]);
        checker.check_bytes("proof.v1", proof.as_bytes());
        let path = stella.file("proof.json", proof.as_bytes());
        let args = ["export", "verify-proof", &path, "--manifest", &manifest, "--key", &key];
        let report = stella.run(&[&args[..], &["-o", "json"]].concat());
        if kind == "advisory" {
            checker.check_bytes("verify-report.v1", report.stdout.as_bytes());
        }
    }
}

/// Reports on SBOMs of all kinds: seen, blind, without package URLs, without components, and on what is no
/// SBOM.
fn check_coverage(stella: &Stella, checker: &mut Checker) {
    for (name, purl) in [("a", "pkg:npm/lodash@4"), ("b", "pkg:generic/x@1"), ("c", "")] {
        let component = json!({"type": "library", "name": "x", "version": "1", "purl": purl});
        let bom = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "serialNumber": format!("urn:{name}"), "components": [component]});
        stella.file(&format!("sboms/{name}.json"), bom.to_string().as_bytes());
    }
    let empty =
        br#"{"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": []}"#;
    stella.file("sboms/empty.json", empty);
    stella.file("sboms/d.json", b"{");
    let args = ["export", "coverage", &stella.arg("db"), "--sbom", &stella.arg("sboms")];
    let outcome = stella.run(&[&args[..], &["-o", "json"]].concat());
    assert_eq!(outcome.code, 10, "{}", outcome.stderr);
    checker.check_bytes("coverage-report.v1", outcome.stdout.as_bytes());
    let report: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(report["rejected"].as_array().map(Vec::len), Some(1), "{report:#}");
    assert!(report["sboms"].to_string().contains("null"), "{report:#}");
}

/// Reports of bundles that do not verify.
fn check_failures(stella: &Stella, checker: &mut Checker) {
    let (raw, key) = (stella.arg("raw"), stella.public_key());
    let reports: &[&[&str]] = &[
        &["export", "verify", &raw],
        &["export", "verify", &raw, "--key", &key, "--max-age", "1s"],
    ];
    let mut codes = Vec::new();
    let mut check = |args: &[&str]| {
        let outcome = stella.run(&[args, &["-o", "json"]].concat());
        checker.check_bytes("verify-report.v1", outcome.stdout.as_bytes());
        codes.push(outcome.code);
    };
    reports.iter().for_each(|args| check(args));
    stella.file("raw/README.md", b"other");
    stella.file("raw/extra", b"");
    check(&["export", "verify", &raw, "--key", &key]);
    assert_eq!(codes, [8, 11, 8]);
}

#[test]
fn schemas_are_valid_strict_and_agree() {
    let mut definitions: BTreeMap<String, Value> = BTreeMap::new();
    for (name, schema) in schemas() {
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
        let id = schema["$id"].as_str().expect("an id");
        assert!(id.ends_with(&format!("/{name}.schema.json")), "{id}");
        for member in ["title", "description"] {
            assert!(schema[member].is_string(), "{name} has no {member}");
        }
        check_strict(&name, &schema);
        for (part, definition) in schema["$defs"].as_object().into_iter().flatten() {
            let before = definitions.entry(part.clone()).or_insert_with(|| definition.clone());
            assert_eq!(before, definition, "{name} has another {part} than the other schemas");
        }
    }
}

/// Every object is closed: it names its members or says what the values of a map are.
fn check_strict(name: &str, schema: &Value) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("properties") && members.contains_key("type") {
                assert_eq!(members.get("additionalProperties"), Some(&json!(false)), "{name}");
                assert!(members.contains_key("required"), "{name}: {members:?}");
            } else if members.get("type") == Some(&json!("object")) {
                assert!(members.contains_key("additionalProperties"), "{name}: {members:?}");
            }
            members.values().for_each(|value| check_strict(name, value));
        }
        Value::Array(items) => items.iter().for_each(|item| check_strict(name, item)),
        _ => {}
    }
}

#[test]
fn the_schema_of_reports_names_every_check() {
    let schema = &schemas()["verify-report.v1"];
    let named = &schema["properties"]["checks"]["items"]["properties"]["check"]["enum"];
    let codes: Vec<&str> = Check::ALL.iter().map(|check| check.code()).collect();
    assert_eq!(named, &json!(codes));
}

#[test]
fn the_schemas_of_reports_name_every_reason() {
    let schemas = schemas();
    let named = |name: &str| schemas[name]["properties"]["reason"]["enum"].clone();
    let page = |name: &str| {
        let page = stella_testkit::workspace_root().join("docs/modules/export-center").join(name);
        std::fs::read_to_string(page).expect("a page")
    };
    for (schema, pages) in [
        ("trivy-db-report-line.v1", &["trivy-adapter.md", "trivy-red-hat.md"][..]),
        ("trivy-vex-report-line.v1", &["trivy-vex.md"]),
    ] {
        let text: String = pages.iter().map(|name| page(name)).collect();
        for reason in named(schema).as_array().expect("reasons") {
            let reason = reason.as_str().expect("a word");
            assert!(text.contains(&format!("`{reason}`")), "no page has {reason}");
        }
    }
}

#[test]
fn values_that_break_a_rule_are_refused() {
    let good = json!({"contentDigest": "0".repeat(64), "feed": "acme", "id": "A-1",
        "kind": "advisory", "mediaType": "application/json",
        "modified": "2026-01-01T00:00:00.5Z", "raw": {}});
    let mut checker = Checker::new();
    checker.check("record-line.v1", &good);
    let line = &checker.validators["record-line.v1"];
    for (member, value) in [
        ("contentDigest", json!("A".repeat(64))),
        ("contentDigest", json!("0".repeat(63))),
        ("feed", json!("a..b")),
        ("feed", json!("Acme")),
        ("feed", json!("a".repeat(41))),
        ("id", json!("")),
        ("id", json!("x".repeat(1025))),
        ("kind", json!("1a")),
        ("kind", json!("a".repeat(13))),
        ("mediaType", json!("")),
        ("modified", json!("2026-01-01")),
        ("modified", json!("2026-01-01T00:00:00.50Z")),
        ("modified", json!("2026-01-01T00:00:00+01:00")),
        ("raw", json!("text")),
        ("text", json!("both")),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        assert!(!line.is_valid(&bad), "{bad}");
    }
    let policy = schemas()["plan.v1"]["$defs"]["policyVersion"].clone();
    let policy = jsonschema::draft202012::new(&policy).expect("a schema");
    for version in ["7", "a:b/c@d+e", ".7", "", "a b", "a\n", &"a".repeat(128), &"a".repeat(129)] {
        let is_read = version.parse::<stella_plan::PolicyVersion>().is_ok();
        assert_eq!(policy.is_valid(&json!(version)), is_read, "{version}");
    }
    let part = schemas()["export.v1"]["$defs"]["partName"].clone();
    let part = jsonschema::draft202012::new(&part).expect("a schema");
    for name in ["README.md", "data/raw/advisory/npm/p-0.jsonl.zst", "a", "_a/b-"] {
        assert!(part.is_valid(&json!(name)), "{name}");
    }
    for name in ["", "/a", "a/", "a//b", "../a", "a/..", "a/.b", "a.", "A", "a b", "readme.MD"] {
        assert!(!part.is_valid(&json!(name)), "{name}");
    }
}
