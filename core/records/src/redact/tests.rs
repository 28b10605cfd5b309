use proptest::prelude::*;
use serde_json::Value;

use super::*;

mod operators;
mod page;
mod rules;

/// The standard rules, compiled once.
fn standard() -> RuleSet {
    static RULES: std::sync::OnceLock<RuleSet> = std::sync::OnceLock::new();
    RULES.get_or_init(RuleSet::standard).clone()
}

/// Redacts a document of any spelling; `None` if it may stay as it is.
fn redact(rules: &RuleSet, format: Format, json: &str) -> (Option<String>, RedactionCounts) {
    let document = Document::parse(json.as_bytes(), &Limits::DEFAULT).expect("valid JSON");
    let mut content = Vec::new();
    document.write_canonical(&mut content);
    let (mut out, mut counts) = (Vec::new(), RedactionCounts::default());
    let done = rules.apply(format, &content, &Limits::DEFAULT, &mut out, &mut counts);
    match done.expect("a document") {
        Redacted::Changed => {
            check_stable(rules, format, &out);
            (Some(String::from_utf8(out).expect("UTF-8")), counts)
        }
        Redacted::Unchanged => {
            assert_eq!((out, &counts), (Vec::new(), &RedactionCounts::default()));
            (None, counts)
        }
        Redacted::NotRedactable => {
            assert!(out.is_empty());
            (Some("not redactable".to_owned()), counts)
        }
    }
}

/// What was redacted is canonical and redacts to itself.
fn check_stable(rules: &RuleSet, format: Format, redacted: &[u8]) {
    let document = Document::parse(redacted, &Limits::DEFAULT).expect("valid JSON");
    let mut canonical = Vec::new();
    document.write_canonical(&mut canonical);
    assert_eq!(String::from_utf8_lossy(&canonical), String::from_utf8_lossy(redacted));
    let (mut out, mut counts) = (Vec::new(), RedactionCounts::default());
    let again = rules.apply(format, redacted, &Limits::DEFAULT, &mut out, &mut counts);
    assert_eq!(again, Ok(Redacted::Unchanged), "{}", String::from_utf8_lossy(redacted));
    assert_eq!((out, counts), (Vec::new(), RedactionCounts::default()));
}

/// A text as the details of an advisory, redacted.
fn text(rules: &RuleSet, text: &str) -> (String, BTreeMap<String, u64>) {
    let json = serde_json::json!({"details": text, "id": "X-1"}).to_string();
    let (redacted, counts) = redact(rules, Format::Osv, &json);
    let redacted = redacted.unwrap_or(json);
    let value: Value = serde_json::from_str(&redacted).expect("valid JSON");
    (value["details"].as_str().expect("a text").to_owned(), counts.rules)
}

#[test]
fn members_outside_the_allow_list_are_removed_and_counted() {
    let rules = standard();
    let json = r#"{"id":"X-1","details":"d","acme":{"a":1,"b":2},"database_specific":
        {"severity":"HIGH","acme_score":1},"affected":[{"package":{"name":"p","x":1},
        "versions":[{"a":1}]}],"severity":[{"type":"CVSS_V3","score":7.0}],"summary":{"a":"b"}}"#;
    let (redacted, counts) = redact(&rules, Format::Osv, json);
    let expected = r#"{"affected":[{"package":{"name":"p"}}],"database_specific":{"severity":"HIGH"},"details":"d","id":"X-1","severity":[{"score":7.0,"type":"CVSS_V3"}]}"#;
    assert_eq!(redacted.as_deref(), Some(expected));
    // acme, acme_score, x, versions with objects, summary with an object.
    assert_eq!(counts.rules, BTreeMap::from([("allow-list".to_owned(), 5)]));
    assert_eq!((counts.records, counts.not_redactable), (1, 0));
}

#[test]
fn number_tokens_and_escapes_are_kept() {
    let json = r#"{"acme":1,"details":"tab\t \u0001 \"q\" é jane@example.com","id":"X",
        "severity":[{"score":-0,"type":1E5},{"score":9007199254740993},{"score":7.0}]}"#;
    let (redacted, _) = redact(&standard(), Format::Osv, json);
    let expected = "{\"details\":\"tab\\t \\u0001 \\\"q\\\" é [redacted:email]\",\"id\":\"X\",\"severity\":[{\"score\":-0,\"type\":1E5},{\"score\":9007199254740993},{\"score\":7.0}]}";
    assert_eq!(redacted.as_deref(), Some(expected));
}

#[test]
fn references_stay_apart_and_keep_meeting() {
    let json = r#"{"bomFormat":"CycloneDX","specVersion":"1.5","serialNumber":"urn:uuid:1","components":
        [{"bom-ref":"http://n.corp/a","name":"a"},{"bom-ref":"http://n.corp/b","name":"http://n.corp/b"},
        {"bom-ref":"x [redacted:internal-url#7]","name":"c"}],
        "dependencies":[{"ref":"http://n.corp/b","dependsOn":["http://n.corp/a"]}]}"#;
    let (redacted, counts) = redact(&standard(), Format::CycloneDxJson, json);
    let value: Value = serde_json::from_str(&redacted.expect("changed")).expect("valid JSON");
    assert_eq!(value["components"][0]["bom-ref"], "[redacted:internal-url#8]");
    assert_eq!(value["components"][1]["bom-ref"], "[redacted:internal-url#9]");
    assert_eq!(value["components"][1]["name"], "[redacted:internal-url]");
    assert_eq!(value["dependencies"][0]["ref"], "[redacted:internal-url#9]");
    assert_eq!(value["dependencies"][0]["dependsOn"][0], "[redacted:internal-url#8]");
    assert_eq!(counts.rules["internal-url"], 5);
}

#[test]
fn free_form_containers_of_cyclonedx_are_chosen_from() {
    let json = r#"{"bomFormat":"CycloneDX","specVersion":"1.5","serialNumber":"urn:uuid:1",
        "metadata":{"authors":[{"name":"J","phone":"1","email":"j@example.com"}]},
        "components":[{"name":"a","properties":[{"name":"syft:package:type","value":"apk"},
        {"name":"internal:owner","value":"me"},{"name":"cdx:x","value":"v","y":1},"odd"],
        "licenses":[{"license":{"text":{"content":"TUlU","encoding":"base64"}}},
        {"license":{"text":{"content":"MIT","contentType":"text/plain"}}}],
        "swid":{"name":"s","text":"not an attachment"}}]}"#;
    let (redacted, counts) = redact(&standard(), Format::CycloneDxJson, json);
    let expected = r#"{"bomFormat":"CycloneDX","components":[{"licenses":[{"license":{"text":{"encoding":"base64"}}},{"license":{"text":{"content":"MIT","contentType":"text/plain"}}}],"name":"a","properties":[{"name":"syft:package:type","value":"apk"},{"name":"cdx:x","value":"v"}],"swid":{"name":"s"}}],"metadata":{"authors":[{"email":"[redacted:email]","name":"J"}]},"serialNumber":"urn:uuid:1","specVersion":"1.5"}"#;
    assert_eq!(redacted.as_deref(), Some(expected));
    let rules = [("allow-list", 5), ("email", 1), ("encoded-content", 1)];
    assert_eq!(counts.rules, rules.map(|(rule, n)| (rule.to_owned(), n)).into());
}

#[test]
fn names_of_maps_are_data() {
    let json = r#"{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","statements":[{"products":
        [{"@id":"p","hashes":{"sha-256":"00","jane@example.com":"11"}}]}]}"#;
    let (redacted, counts) = redact(&standard(), Format::OpenVex, json);
    assert!(redacted.expect("changed").contains(r#""hashes":{"sha-256":"00"}"#));
    assert_eq!(counts.rules, BTreeMap::from([("email".to_owned(), 1)]));
}

#[test]
fn a_record_whose_identity_is_denied_is_not_redactable() {
    let rules = standard();
    for (format, json) in [
        (Format::Osv, r#"{"id":"jane@example.com"}"#),
        (
            Format::CsafAdvisory,
            r#"{"document":{"publisher":{"namespace":"https://psirt.corp"},"tracking":{"id":"A"}}}"#,
        ),
        (
            Format::CsafVex,
            r#"{"document":{"publisher":{"namespace":"https://a.example"},"tracking":{"id":"jane@example.com"}}}"#,
        ),
        (Format::OpenVex, r#"{"@id":"https://vex.internal/1"}"#),
        (Format::SpdxJson, r#"{"documentNamespace":"https://build01/sbom"}"#),
        (Format::Spdx3, r#"{"@graph":[{"type":"SpdxDocument","spdxId":"https://build01/sbom"}]}"#),
        (
            Format::CycloneDxJson,
            r#"{"serialNumber":"","metadata":{"component":{"purl":"pkg:generic/a?download_url=https://n.corp/a"}}}"#,
        ),
        (Format::CycloneDxJson, r#"{"metadata":{"component":{"name":"/home/jane/app"}}}"#),
        (Format::JarList, r#"{"groupID":"jane@example.com","artifactID":"a"}"#),
        (Format::JarList, r#"{"artifactID":"a","version":"jane@example.com"}"#),
        (Format::TrivyFinding, r#"{"report":{"ArtifactName":"registry.corp:5000/app"}}"#),
        (Format::TrivyFinding, r#"{"match":{"PkgPath":"/home/jane/app.jar"}}"#),
        (Format::GrypeFinding, r#"{"report":{"source":{"target":{"userInput":"/home/jane"}}}}"#),
        (Format::GrypeFinding, r#"{"match":{"artifact":{"locations":[{"path":"/home/jane/a"}]}}}"#),
    ] {
        let (result, counts) = redact(&rules, format, json);
        assert_eq!(result.as_deref(), Some("not redactable"), "{format}: {json}");
        assert_eq!((counts.records, counts.not_redactable), (0, 1), "{format}");
        assert!(counts.rules.is_empty());
    }
    let json =
        r#"{"serialNumber":"urn:uuid:1","metadata":{"component":{"name":"/home/jane/app"}}}"#;
    let (result, _) = redact(&rules, Format::CycloneDxJson, json);
    assert!(result.expect("changed").contains("/home/[redacted:home-path]/app"));
}

#[test]
fn text_documents_are_not_redactable() {
    let toml = "name = \"own\"\nextends = \"none\"\n[[deny]]\nid = \"x\"\npattern = \"x\"";
    for rules in [standard(), RuleSet::from_toml(toml).expect("rules")] {
        for format in [Format::CycloneDxXml, Format::SpdxTagValue] {
            let (mut out, mut counts) = (Vec::new(), RedactionCounts::default());
            let result = rules.apply(format, b"<a/>", &Limits::DEFAULT, &mut out, &mut counts);
            assert_eq!(result, Ok(Redacted::NotRedactable));
            assert_eq!(counts.not_redactable, 1);
        }
    }
}

#[test]
fn none_looks_at_nothing() {
    let rules = RuleSet::none();
    assert_eq!((rules.name(), rules.digest()), ("none", None));
    let (mut out, mut counts) = (Vec::new(), RedactionCounts::default());
    for format in Format::ALL {
        let result =
            rules.apply(*format, b"jane@example.com", &Limits::DEFAULT, &mut out, &mut counts);
        assert_eq!(result, Ok(Redacted::Unchanged));
    }
    assert_eq!((out, counts), (Vec::new(), RedactionCounts::default()));
}

#[test]
fn a_document_that_is_no_json_is_an_error() {
    let (mut out, mut counts) = (Vec::new(), RedactionCounts::default());
    let rules = standard();
    let result =
        rules.apply(Format::Osv, b"{\"a\":1,\"a\":2}", &Limits::DEFAULT, &mut out, &mut counts);
    assert!(matches!(result, Err(RedactError::Document(_))));
    assert_eq!((out, counts), (Vec::new(), RedactionCounts::default()));
}

#[test]
fn tables_name_only_types_they_have_and_are_sorted() {
    for format in Format::ALL {
        let Some(lines) = tables::of(*format) else {
            assert!(!format.is_json());
            continue;
        };
        let types: Vec<&str> = lines.iter().filter_map(|line| line.split(": ").next()).collect();
        let builtin = ["reference", "any", "properties", "attachment"];
        let mut used = vec![types[0]];
        for line in &lines {
            let (name, members) = line.split_once(": ").expect("`Type: members`");
            assert_eq!(types.iter().filter(|other| **other == name).count(), 1, "{format} {name}");
            let mut names: Vec<&str> = Vec::new();
            for member in members.split_ascii_whitespace() {
                let (member, target) = member.split_once('=').unwrap_or((member, ""));
                assert!(member.is_ascii(), "byte order must be the canonical order");
                names.push(member);
                if !target.is_empty() && !builtin.contains(&target) {
                    assert!(types.contains(&target), "{format}: {member}={target}");
                    used.push(target);
                }
            }
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), members.split_ascii_whitespace().count(), "{format} {name}");
        }
        for name in types {
            assert!(used.contains(&name), "{format}: {name} is never used");
        }
    }
}

/// Texts out of the pieces that rules look for.
fn odd_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~é]{0,4}",
        Just("jane".to_owned()),
        Just("@".to_owned()),
        Just("example.com".to_owned()),
        Just("http://".to_owned()),
        Just("a.corp".to_owned()),
        Just("u:p".to_owned()),
        Just("[redacted:".to_owned()),
        Just("email]".to_owned()),
        Just("#1]".to_owned()),
        Just("%40".to_owned()),
        Just("http:%2F%2F".to_owned()),
        Just("/home/".to_owned()),
        Just("C:\\Users\\".to_owned()),
        Just("password=".to_owned()),
        Just("'abc1'".to_owned()),
        Just("AKIAIOSFODNN7EXAMPLE".to_owned()),
        Just("sk-0123456789abcdef0123456789abcdef".to_owned()),
        Just("Authorization: Basic ".to_owned()),
        Just("pkg:".to_owned()),
        Just("10.1.2.3:80".to_owned()),
        Just(" ".to_owned()),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn redacting_twice_is_redacting_once(texts in proptest::collection::vec(odd_text(), 1..6)) {
        let json = serde_json::json!({
            "bomFormat": "CycloneDX", "serialNumber": "urn:uuid:1",
            "components": texts.iter().map(|text| serde_json::json!({
                "bom-ref": text, "name": text, "x": text,
                "properties": [{"name": "cdx:a", "value": text}],
            })).collect::<Vec<_>>(),
        });
        let standard = standard();
        // `redact` checks that the result is canonical and stable.
        redact(&standard, Format::CycloneDxJson, &json.to_string());
        let own = operators::acme();
        redact(&own, Format::CycloneDxJson, &json.to_string());
    }

    #[test]
    fn different_references_stay_different(a in odd_text(), b in odd_text()) {
        prop_assume!(a != b);
        let json = serde_json::json!({
            "serialNumber": "urn:uuid:1", "components": [{"bom-ref": a}, {"bom-ref": b}],
        });
        let (redacted, _) = redact(&standard(), Format::CycloneDxJson, &json.to_string());
        let redacted = redacted.map_or(json, |text| serde_json::from_str(&text).expect("JSON"));
        let reference = |i: usize| redacted["components"][i]["bom-ref"].clone();
        prop_assert_ne!(reference(0), reference(1));
    }
}

#[test]
fn counts_add_up() {
    let mut sum = RedactionCounts::default();
    let one = RedactionCounts {
        rules: BTreeMap::from([("email".to_owned(), 2)]),
        records: 1,
        not_redactable: 3,
    };
    sum.add(&one);
    sum.add(&one);
    assert_eq!((sum.rules["email"], sum.records, sum.not_redactable), (4, 2, 6));
    let json = serde_json::to_string(&one).expect("serializes");
    assert_eq!(json, r#"{"rules":{"email":2},"records":1,"notRedactable":3}"#);
    assert_eq!(serde_json::from_str::<RedactionCounts>(&json).expect("reads back"), one);
}
