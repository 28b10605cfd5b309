//! Identity, kind and revision of small documents of every format, and the reasons for which
//! documents are rejected. Each case is a line of a table.

use stella_model::{Digest, DigestBuilder, Limits, RecordId};
use stella_records::{
    Draft, Format, NameClass, Recognised, RejectReason, by_name, recognise, reread,
};

/// The records of a document, as `format kind id @time vversion`, or the code of its rejection.
fn outcome(document: &[u8]) -> String {
    match recognise("x", document, &Limits::DEFAULT) {
        Ok(Recognised::Records(drafts)) => {
            drafts.iter().for_each(rereads);
            drafts.iter().map(line).collect::<Vec<_>>().join(" | ")
        }
        Ok(other) => format!("{other:?}").to_lowercase(),
        Err(rejection) => rejection.reason.to_string(),
    }
}

/// What is stored of a document tells all that the document told.
#[track_caller]
fn rereads(draft: &Draft) {
    let again = reread(draft.format, &draft.id, &draft.content, &Limits::DEFAULT);
    assert_eq!(again, Ok(Draft { verbatim: true, ..draft.clone() }));
}

fn line(draft: &Draft) -> String {
    let mut line = format!("{} {} {}", draft.format, draft.kind, draft.id);
    if let Some(time) = draft.revision.time_text() {
        line += &format!(" @{time}");
    }
    if let Some(version) = &draft.revision.version {
        line += &format!(" v{version}");
    }
    line
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (document, expected) in cases {
        assert_eq!(&outcome(document.as_bytes()), expected, "{document}");
    }
}

#[test]
fn osv() {
    check(&[
        (
            r#"{"id":"A-1","modified":"2024-01-02T03:04:05Z","affected":[]}"#,
            "osv advisory A-1 @2024-01-02T03:04:05Z",
        ),
        (
            r#"{"schema_version":"1.6.0","id":"A-1","modified":"2024-01-02T05:04:05.25+02:00"}"#,
            "osv advisory A-1 @2024-01-02T03:04:05.25Z",
        ),
        (r#"{"schema_version":"1.0","id":"A-1","modified":"soon"}"#, "osv advisory A-1"),
        (r#"{"schema_version":"1.0","id":"A-1","modified":7}"#, "osv advisory A-1"),
        (
            r#"{"id":"A-1","modified":"2024-01-02","withdrawn":"2024-01-03"}"#,
            "osv advisory A-1 @2024-01-02T00:00:00Z",
        ),
        (r#"{"schema_version":"2.0.0","id":"A-1","modified":"2024-01-02"}"#, "unsupported-version"),
        (r#"{"schema_version":"1.0","modified":"2024-01-02"}"#, "no-identity"),
        (r#"{"schema_version":"1.0","id":"","modified":"2024-01-02"}"#, "no-identity"),
        (r#"{"schema_version":"1.0","id":null,"modified":"2024-01-02"}"#, "no-identity"),
        (r#"{"schema_version":"1.0","id":5,"modified":"2024-01-02"}"#, "no-identity"),
        (r#"{"schema_version":"1.0","id":["A"],"modified":"2024-01-02"}"#, "no-identity"),
        // What others call id and modified is no advisory.
        (r#"{"id":"A-1","modified":"2024-01-02"}"#, "unknown-format"),
        (r#"{"id":1,"title":"x","created_at":"2015-10-17"}"#, "unknown-format"),
    ]);
}

#[test]
fn jar_lists() {
    let sha1 = "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12";
    let line = |members: &str| format!(r#"{{"sha1":"{sha1}",{members}}}"#);
    let cases = [
        (
            line(r#""groupID":"g.h","artifactID":"a","version":"1.0+x","file":"a.jar","size":1"#),
            format!("jar-list sbom pkg:maven/g.h/a@1.0%2Bx?checksum=sha1:{sha1}"),
        ),
        (
            line(r#""groupID":null,"artifactID":"a""#).replace(sha1, &sha1.to_uppercase()),
            format!("jar-list sbom pkg:maven/a?checksum=sha1:{sha1}"),
        ),
        (line(r#""artifactID":"" "#), "no-identity".to_owned()),
        (line(r#""artifactID":7"#), "no-identity".to_owned()),
        (r#"{"sha1":"2fd4","artifactID":"a"}"#.to_owned(), "no-identity".to_owned()),
        (r#"{"sha1":"","artifactID":"a"}"#.to_owned(), "no-identity".to_owned()),
        (line(r#""artifactId":"a""#), "unknown-format".to_owned()),
        (r#"{"artifactID":"a","version":"1"}"#.to_owned(), "unknown-format".to_owned()),
    ];
    let cases: Vec<(&str, &str)> =
        cases.iter().map(|(document, expected)| (document.as_str(), expected.as_str())).collect();
    check(&cases);
}

#[test]
fn csaf() {
    let csaf = |category: &str, version: &str, publisher: &str, tracking: &str| {
        format!(
            r#"{{"document":{{"category":"{category}","csaf_version":"{version}","publisher":{publisher},"tracking":{tracking}}}}}"#
        )
    };
    let (publisher, tracking) = (
        r#"{"namespace":"https://a.example"}"#,
        r#"{"id":"A-1","version":"1.2.0","current_release_date":"2024-01-02T03:04:05+00:00"}"#,
    );
    let cases = [
        (
            csaf("csaf_security_advisory", "2.0", publisher, tracking),
            "csaf-advisory advisory https://a.example#A-1 @2024-01-02T03:04:05Z v1.2.0",
        ),
        (
            csaf("csaf_vex", "2.0", publisher, tracking),
            "csaf-vex vex https://a.example#A-1 @2024-01-02T03:04:05Z v1.2.0",
        ),
        (
            csaf("csaf_base", "2.0", publisher, r#"{"id":"A#1","version":"x"}"#),
            "csaf-advisory advisory https://a.example#A#1",
        ),
        (csaf("csaf_vex", "2.1", publisher, tracking), "unsupported-version"),
        (csaf("csaf_vex", "1.2", publisher, tracking), "unsupported-version"),
        (csaf("csaf_vex", "2.0", "{}", tracking), "no-identity"),
        (csaf("csaf_vex", "2.0", r#"{"namespace":""}"#, tracking), "no-identity"),
        (csaf("csaf_vex", "2.0", publisher, "{}"), "no-identity"),
        (csaf("csaf_vex", "2.0", publisher, r#"{"id":7}"#), "no-identity"),
        (csaf("csaf_vex", "2.0", publisher, "[]"), "no-identity"),
    ];
    for (document, expected) in &cases {
        assert_eq!(&outcome(document.as_bytes()), expected, "{document}");
    }
}

/// 16 hex digits over the products in byte order, computed apart from the code under test.
fn products(names: &[&str]) -> String {
    let mut input = DigestBuilder::new();
    for name in names {
        input.bytes(&u32::try_from(name.len()).expect("short").to_be_bytes());
        input.bytes(name.as_bytes());
    }
    input.finish().short(16)
}

#[test]
fn openvex() {
    let vex = |rest: &str| {
        format!(
            r#"{{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://v.example/1"{rest}}}"#
        )
    };
    let id = |names: &[&str]| format!("openvex vex https://v.example/1#{}", products(names));
    let cases = [
        (vex(""), id(&[])),
        (
            vex(r#","timestamp":"2024-01-01T00:00:00Z","version":3"#),
            format!("{} @2024-01-01T00:00:00Z v3", id(&[])),
        ),
        (
            vex(
                r#","timestamp":"2024-01-01T00:00:00Z","last_updated":"2024-02-01T00:00:00Z","version":"2""#,
            ),
            format!("{} @2024-02-01T00:00:00Z v2", id(&[])),
        ),
        // Distinct products in byte order, whatever their statements and order.
        (
            vex(
                r#","statements":[{"products":[{"@id":"pkg:b"},{"@id":"pkg:a"}]},{"products":[{"@id":"pkg:b","subcomponents":[{"@id":"pkg:z"}]}]}]"#,
            ),
            id(&["pkg:a", "pkg:b"]),
        ),
        // The @id before the purl, the purl before nothing; text as it is.
        (
            vex(
                r#","statements":[{"products":[{"@id":"i","identifiers":{"purl":"pkg:x"}},{"@id":"","identifiers":{"purl":"pkg:p"}},"text"]}]"#,
            ),
            id(&["i", "pkg:p", "text"]),
        ),
        (vex(r#","statements":[{"products":[{"identifiers":{"cpe23":"cpe:2.3:a"}}]}]"#), "no-identity".into()),
        (vex(r#","statements":[{"products":[7]}]"#), "no-identity".into()),
        (vex(r#","statements":[{"products":[{"@id":7}]}]"#), "no-identity".into()),
        (
            r#"{"@context":"https://openvex.dev/ns","@id":"v","statements":[{"vulnerability":"CVE-1","products":["pkg:a"]}]}"#.into(),
            format!("openvex vex v#{}", products(&["pkg:a"])),
        ),
        (r#"{"@context":"https://openvex.dev/ns/v0.2.0"}"#.into(), "no-identity".into()),
        (r#"{"@context":"https://openvex.dev/ns/v0.2.0","@id":{}}"#.into(), "no-identity".into()),
        (r#"{"@context":"https://openvex.dev/ns/v1.0.0","@id":"v"}"#.into(), "unsupported-version".into()),
    ];
    for (document, expected) in &cases {
        assert_eq!(&outcome(document.as_bytes()), expected, "{document}");
    }
}

#[test]
fn cyclonedx_json() {
    let bom = |rest: &str| format!(r#"{{"bomFormat":"CycloneDX","specVersion":"1.5"{rest}}}"#);
    let component = |members: &str| bom(&format!(r#","metadata":{{"component":{{{members}}}}}"#));
    let by_digest =
        |document: &str| format!("cyclonedx-json sbom sha256:{}", Digest::of(document.as_bytes()));
    let bare = bom("");
    let cases = [
        (
            bom(
                r#","serialNumber":"urn:uuid:1","version":2,"metadata":{"timestamp":"2024-01-01T00:00:00Z"}"#,
            ),
            "cyclonedx-json sbom urn:uuid:1 @2024-01-01T00:00:00Z v2".into(),
        ),
        (
            bom(r#","serialNumber":"","metadata":{"component":{"purl":"pkg:npm/a@1","name":"a"}}"#),
            "cyclonedx-json sbom pkg:npm/a@1".into(),
        ),
        (
            component(r#""group":"g","name":"n","purl":"","version":"1""#),
            "cyclonedx-json sbom g/n@1".into(),
        ),
        (component(r#""name":"n","version":"1""#), "cyclonedx-json sbom n@1".into()),
        (component(r#""group":"g","name":"n""#), "cyclonedx-json sbom g/n".into()),
        (component(r#""name":"n""#), "cyclonedx-json sbom n".into()),
        (bare.clone(), by_digest(&bare)),
        // The canonical form decides, not the bytes received.
        (bare.replace(",", ", "), by_digest(&bare)),
        (
            bom(r#","serialNumber":"s","vulnerabilities":[{}],"components":[]"#),
            "cyclonedx-json vex s".into(),
        ),
        (bom(r#","serialNumber":"s","vulnerabilities":[{}]"#), "cyclonedx-json vex s".into()),
        (
            bom(r#","serialNumber":"s","vulnerabilities":[{}],"components":[{}]"#),
            "cyclonedx-json sbom s".into(),
        ),
        (bom(r#","serialNumber":"s","vulnerabilities":[]"#), "cyclonedx-json sbom s".into()),
        (bom(r#","serialNumber":17"#), "no-identity".into()),
        (component(r#""name":["n"]"#), "no-identity".into()),
        (bare.replace("1.5", "1.1"), "unsupported-version".into()),
        (bare.replace("1.5", "2.0"), "unsupported-version".into()),
        (bare.replace(r#""1.5""#, "1.5"), "unsupported-version".into()),
        (bare.replace("CycloneDX", "cyclonedx"), "unknown-format".into()),
    ];
    for (document, expected) in &cases {
        assert_eq!(&outcome(document.as_bytes()), expected, "{document}");
    }
    for version in ["1.2", "1.3", "1.4", "1.6", "1.7"] {
        let document = bom(r#","serialNumber":"s""#).replace("1.5", version);
        assert_eq!(outcome(document.as_bytes()), "cyclonedx-json sbom s", "{version}");
    }
}

#[test]
fn cyclonedx_xml() {
    let ns = "http://cyclonedx.org/schema/bom/1.4";
    let bom = |attributes: &str, inside: &str| {
        format!("<?xml version=\"1.0\"?>\n<bom xmlns=\"{ns}\" {attributes}>{inside}</bom>\n")
    };
    let by_digest =
        |document: &str| format!("cyclonedx-xml sbom sha256:{}", Digest::of(document.as_bytes()));
    let main = |inside: &str| {
        bom("", &format!("<metadata><component type='a'>{inside}</component></metadata>"))
    };
    let bare = bom("", "");
    let cases = [
        (
            bom(
                "serialNumber=\"urn:uuid:1\" version='3'",
                "<metadata><timestamp> 2024-01-01T00:00:00Z\n</timestamp></metadata>",
            ),
            "cyclonedx-xml sbom urn:uuid:1 @2024-01-01T00:00:00Z v3".into(),
        ),
        (
            main("<purl>pkg:npm/%40a/b?x=1&amp;y=2</purl><name>b</name>"),
            "cyclonedx-xml sbom pkg:npm/%40a/b?x=1&y=2".into(),
        ),
        (
            main("<group>g</group><name><![CDATA[n]]>&#x41;</name><version>1</version>"),
            "cyclonedx-xml sbom g/nA@1".into(),
        ),
        // Only the component itself counts, not what lies within it.
        (
            main(
                "<name>n</name><components><component><purl>pkg:x/y</purl></component></components>",
            ),
            "cyclonedx-xml sbom n".into(),
        ),
        (bare.clone(), by_digest(&bare)),
        (
            bom("serialNumber='s'", "<vulnerabilities><vulnerability/></vulnerabilities>"),
            "cyclonedx-xml vex s".into(),
        ),
        (
            bom(
                "serialNumber='s'",
                "<components><component/></components><vulnerabilities><vulnerability/></vulnerabilities>",
            ),
            "cyclonedx-xml sbom s".into(),
        ),
        // Elements of other namespaces are not CycloneDX's, whatever they are called.
        (
            bom(
                "serialNumber='s' xmlns:v='http://cyclonedx.org/schema/ext/vulnerability/1.0'",
                "<v:vulnerabilities><v:vulnerability/></v:vulnerabilities>",
            ),
            "cyclonedx-xml sbom s".into(),
        ),
        (format!("<b:bom xmlns:b='{ns}' serialNumber='s'/>"), "cyclonedx-xml sbom s".into()),
        (
            format!("\u{feff}  <!-- c --><bom xmlns='{ns}' serialNumber='s'/><!-- d -->"),
            "cyclonedx-xml sbom s".into(),
        ),
        (
            format!("<?xml version='1.0' encoding='utf-8'?><bom xmlns='{ns}' serialNumber='é'/>"),
            "cyclonedx-xml sbom é".into(),
        ),
        (
            format!(
                "<?xml version='1.0' encoding='ISO-8859-1'?><bom xmlns='{ns}' serialNumber='s'/>"
            ),
            "cyclonedx-xml sbom s".into(),
        ),
        (
            format!(
                "<?xml version='1.0' encoding='ISO-8859-1'?><bom xmlns='{ns}' serialNumber='é'/>"
            ),
            "invalid-encoding".into(),
        ),
        (bare.replace("1.4", "1.1"), "unsupported-version".into()),
        (bare.replace("1.4", "1.8"), "unsupported-version".into()),
        ("<bom/>".into(), "unknown-format".into()),
        ("<html><body/></html>".into(), "unknown-format".into()),
        ("<!DOCTYPE html><html/>".into(), "unknown-format".into()),
        ("<".into(), "unknown-format".into()),
        ("<!-- only -->".into(), "unknown-format".into()),
    ];
    for (document, expected) in &cases {
        assert_eq!(&outcome(document.as_bytes()), expected, "{document}");
    }
}

#[test]
fn spdx() {
    check(&[
        (
            r#"{"spdxVersion":"SPDX-2.3","documentNamespace":"https://n.example/1","creationInfo":{"created":"2024-01-01T00:00:00Z"}}"#,
            "spdx-json sbom https://n.example/1 @2024-01-01T00:00:00Z",
        ),
        (r#"{"spdxVersion":"SPDX-2.2","documentNamespace":"n"}"#, "spdx-json sbom n"),
        (r#"{"spdxVersion":"SPDX-2.1","documentNamespace":"n"}"#, "unsupported-version"),
        (r#"{"spdxVersion":"SPDX-2.3"}"#, "no-identity"),
        (r#"{"spdxVersion":"SPDX-2.3","documentNamespace":""}"#, "no-identity"),
        (r#"{"spdxVersion":"SPDX-2.3","documentNamespace":{}}"#, "no-identity"),
        (
            "# made by hand\nSPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\nDocumentNamespace: https://n.example/1\nCreated: 2024-01-01T00:00:00Z\n",
            "spdx-tag-value sbom https://n.example/1 @2024-01-01T00:00:00Z",
        ),
        ("\u{feff}SPDXVersion: SPDX-2.2\r\nDocumentNamespace: n\r\n", "spdx-tag-value sbom n"),
        ("SPDXVersion: SPDX-2.1\nDocumentNamespace: n\n", "unsupported-version"),
        ("SPDXVersion: SPDX-2.3\nDocumentNamespace:\n", "no-identity"),
        ("SPDXVersion: SPDX-2.3\nDocumentNamespace: a\nDocumentNamespace: b\n", "no-identity"),
        ("SPDXVersion: SPDX-2.3DataLicense: CC0-1.0DocumentNamespace: n", "unknown-format"),
        // SPDX in YAML begins with the same word.
        (
            "SPDXID: \"SPDXRef-DOCUMENT\"\nspdxVersion: \"SPDX-2.3\"\ndocumentNamespace: n\n",
            "unknown-format",
        ),
    ]);
}

#[test]
fn spdx3() {
    let spdx = |graph: &str| {
        format!(
            r#"{{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[{graph}]}}"#
        )
    };
    let document = r#"{"type":"SpdxDocument","spdxId":"https://n.example/d","creationInfo":"_:c"}"#;
    let created = r#"{"type":"CreationInfo","@id":"_:c","created":"2024-01-01T00:00:00Z"}"#;
    let cases = [
        (spdx(&format!("{created},{document}")), "spdx3 sbom https://n.example/d @2024-01-01T00:00:00Z"),
        (spdx(document), "spdx3 sbom https://n.example/d"),
        (
            spdx(r#"{"type":"SpdxDocument","@id":"d","creationInfo":{"created":"2024-01-01"}}"#),
            "spdx3 sbom d @2024-01-01T00:00:00Z",
        ),
        (
            r#"{"@context":["x","https://spdx.org/rdf/3.0.0/spdx-context.jsonld"],"type":"SpdxDocument","spdxId":"d"}"#.into(),
            "spdx3 sbom d",
        ),
        (spdx(r#"{"type":"SpdxDocument","spdxId":"_:d"}"#), "no-identity"),
        (spdx(r#"{"type":"SpdxDocument","spdxId":7}"#), "no-identity"),
        (spdx(r#"{"type":"software_Sbom","spdxId":"s"}"#), "no-identity"),
        (spdx(&format!("{document},{document}")), "no-identity"),
        (
            r#"{"@context":"https://spdx.org/rdf/3.1/spdx-context.jsonld","@graph":[]}"#.into(),
            "unsupported-version",
        ),
    ];
    for (document, expected) in &cases {
        assert_eq!(&outcome(document.as_bytes()), expected, "{document}");
    }
}

#[test]
fn trivy() {
    let report = |results: &str| {
        format!(
            r#"{{"SchemaVersion":2,"CreatedAt":"2024-01-01T00:00:00Z","ReportID":"r","ArtifactName":"a:1","Metadata":{{"ImageConfig":{{"history":[]}},"OS":{{"Family":"debian"}}}},"Results":[{results}]}}"#
        )
    };
    let cases = [
        (report(""), ""),
        (
            report(
                r#"{"Target":"a:1 (debian)","Class":"os-pkgs","Type":"debian","Vulnerabilities":[
                   {"VulnerabilityID":"CVE-1","PkgID":"apt@1","PkgName":"apt"},
                   {"VulnerabilityID":"CVE-1","PkgName":"bash","InstalledVersion":"5","PkgPath":"x/y"}]}"#,
            ),
            "trivy-finding finding a:1#os-pkgs#a:1 (debian)#apt@1##CVE-1 | trivy-finding finding a:1#os-pkgs#a:1 (debian)#bash@5#x/y#CVE-1",
        ),
        (
            report(
                r#"{"Target":"50%#","Class":"config","Misconfigurations":[{"ID":"DS-1","AVDID":"AVD-1"}]},
                   {"Target":"t","Class":"secret","Secrets":[{"RuleID":"aws"}]},
                   {"Class":"license","Licenses":[{"Name":"GPL","PkgName":"p","FilePath":"f"}]}"#,
            ),
            "trivy-finding finding a:1#config#50%25%23###DS-1 | trivy-finding finding a:1#secret#t###aws | trivy-finding finding a:1#license##p#f#GPL",
        ),
        (report(r#"{"Target":"t","Vulnerabilities":[{"VulnerabilityID":7}]}"#), "no-identity"),
        (report("").replace(r#""SchemaVersion":2"#, r#""SchemaVersion":3"#), "unsupported-version"),
        (r#"[{"Target":"t","Type":"x","Vulnerabilities":null}]"#.into(), "unsupported-version"),
    ];
    for (document, expected) in &cases {
        assert_eq!(&outcome(document.as_bytes()), expected, "{document}");
    }
}

#[test]
fn findings_are_cut_without_what_changes_at_every_scan() {
    let report = br#"{"SchemaVersion":2,"CreatedAt":"2024-01-01T00:00:00Z","ReportID":"r","ArtifactName":"a","ArtifactType":"t",
        "Metadata":{"OS":{"Family":"debian"},"ImageConfig":{"a":1},"Layers":[1],"DiffIDs":["d"]},"Trivy":{"Version":"0.70.0"},
        "Results":[{"Target":"x","Class":"c","Type":"y","Packages":[{}],"Vulnerabilities":[{"VulnerabilityID":"V","B":1.0,"A":[]}]}]}"#;
    let Ok(Recognised::Records(drafts)) = recognise("x", report, &Limits::DEFAULT) else {
        panic!("a Trivy report")
    };
    let content = std::str::from_utf8(&drafts[0].content).expect("canonical form is UTF-8");
    assert_eq!(
        content,
        r#"{"match":{"A":[],"B":1.0,"VulnerabilityID":"V"},"report":{"ArtifactName":"a","ArtifactType":"t","Metadata":{"DiffIDs":["d"],"OS":{"Family":"debian"}},"SchemaVersion":2,"Trivy":{"Version":"0.70.0"}},"result":{"class":"c","target":"x","type":"y"}}"#
    );
    let report = br#"{"matches":[{"vulnerability":{"id":"V"},"artifact":{"id":"p","locations":[{"path":"/b"},{"path":"/a"}]}}],
        "source":{"type":"image","target":{"userInput":"i:1","config":"x","manifest":"y","layers":[],"tags":[]}},
        "distro":{"name":"debian"},"descriptor":{"name":"grype","version":"1","timestamp":"t","db":{},"configuration":{}}}"#;
    assert_eq!(outcome(report), "grype-finding finding i:1###p#/a#V");
    let Ok(Recognised::Records(drafts)) = recognise("x", report, &Limits::DEFAULT) else {
        panic!("a Grype report")
    };
    assert_eq!(
        std::str::from_utf8(&drafts[0].content).expect("canonical form is UTF-8"),
        r#"{"match":{"artifact":{"id":"p","locations":[{"path":"/b"},{"path":"/a"}]},"vulnerability":{"id":"V"}},"report":{"descriptor":{"name":"grype","version":"1"},"distro":{"name":"debian"},"source":{"target":{"tags":[],"userInput":"i:1"},"type":"image"}},"result":{}}"#
    );
}

#[test]
fn findings_that_share_an_id_are_told_apart_by_their_content() {
    let report = |matches: &str| format!(r#"{{"matches":[{matches}],"source":{{"target":"/d"}}}}"#);
    let one = r#"{"vulnerability":{"id":"V"},"artifact":{"purl":"pkg:a/b@1"},"n":1}"#;
    let two = r#"{"vulnerability":{"id":"V"},"artifact":{"purl":"pkg:a/b@1"},"n":2}"#;
    let plain = "grype-finding finding /d###pkg:a/b@1##V";
    assert_eq!(outcome(report(one).as_bytes()), plain);
    assert_eq!(outcome(report(&format!("{one},{one}")).as_bytes()), format!("{plain} | {plain}"));

    let both = report(&format!("{one},{two}"));
    let Ok(Recognised::Records(drafts)) = recognise("x", both.as_bytes(), &Limits::DEFAULT) else {
        panic!("a Grype report")
    };
    for draft in &drafts {
        let suffix = draft.content_digest.short(16);
        assert_eq!(draft.id.as_str(), format!("/d###pkg:a/b@1##V#{suffix}"));
        assert!(draft.facets.ids.contains(&draft.id.to_string()));
    }
    assert_ne!(drafts[0].id, drafts[1].id);
}

#[test]
fn grype() {
    check(&[
        (r#"{"matches":[],"descriptor":{"name":"grype"}}"#, ""),
        (r#"{"matches":[],"descriptor":{"name":"other"}}"#, "unknown-format"),
        (r#"{"matches":[]}"#, "unknown-format"),
        (r#"{"matches":[{"a":1}]}"#, "unknown-format"),
        (
            r#"{"matches":[{"vulnerability":{"id":"V"},"artifact":{"name":"n","version":"1"}}]}"#,
            "grype-finding finding ###n@1##V",
        ),
        (r#"{"matches":[{"vulnerability":{},"artifact":{}}]}"#, "grype-finding finding #####"),
        (r#"{"matches":[{"vulnerability":{"id":[]},"artifact":{}}]}"#, "no-identity"),
    ]);
}

#[test]
fn what_leads_to_documents_is_a_companion() {
    check(&[
        (r#"{"feed":{"id":"f","entry":[]}}"#, "companion"),
        (r#"{"service":{"workspace":[]}}"#, "companion"),
        (r#"{"canonical_url":"u","metadata_version":"2.0","publisher":{}}"#, "companion"),
        (r#"{"updated_at":"x","packages":[{"id":"pkg:a/b","location":"l"}]}"#, "companion"),
        (r#"{"name":"n","versions":[{"spec_version":"0.1","locations":[]}]}"#, "companion"),
        (r#"{"ID":"pkg:a/b","Sources":[{"Path":"p","URL":"u"}]}"#, "companion"),
        (r#"{"ID":"pkg:a/b","Sources":[]}"#, "unknown-format"),
        (r#"{"packages":[{"id":"pkg:a/b"}]}"#, "unknown-format"),
    ]);
    let companion = recognise("a.json.sha256", b"00 a.json", &Limits::DEFAULT);
    assert_eq!(companion, Ok(Recognised::Companion));
    assert_eq!(recognise(".git/x.json", b"{}", &Limits::DEFAULT), Ok(Recognised::Ignored));
    assert_eq!(by_name("a.json"), NameClass::Document);
}

#[test]
fn other_formats_are_unknown() {
    check(&[
        ("", "unknown-format"),
        (" \n\t", "unknown-format"),
        ("null", "unknown-format"),
        ("true", "unknown-format"),
        ("\"text\"", "unknown-format"),
        ("12", "unknown-format"),
        ("{}", "unknown-format"),
        ("[]", "unknown-format"),
        ("[{\"id\":\"A\",\"modified\":\"2024-01-01\",\"affected\":[]}]", "unknown-format"),
        ("---\nid: A\nmodified: 2024-01-01\n", "unknown-format"),
        ("[advisory]\nid = \"RUSTSEC-1\"\n", "unknown-format"),
        ("[[bin]]\nname = \"x\"\n", "unknown-format"),
        ("[true, nope]", "invalid-json"),
        ("[ {\"id\": ", "invalid-json"),
        ("```toml\n[advisory]\n```\n# Title\n", "unknown-format"),
        ("# Title\n\ntext", "unknown-format"),
        ("spec_version: \"1.4\"\nserial_number: \"s\"\n", "unknown-format"),
        (r#"{"$schema":"https://sarif","version":"2.1.0","runs":[]}"#, "unknown-format"),
        (
            r#"{"dataType":"CVE_RECORD","dataVersion":"5.1","cveMetadata":{"cveId":"C"}}"#,
            "unknown-format",
        ),
        (
            r#"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"https://cyclonedx.org/bom","predicate":{"bomFormat":"CycloneDX","specVersion":"1.4"}}"#,
            "unknown-format",
        ),
        (
            r#"{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[]}"#,
            "unknown-format",
        ),
    ]);
}

#[test]
fn content_is_canonical_and_tells_whether_it_is_what_was_received() {
    let cases: &[(&[u8], &[u8], bool)] = &[
        (
            br#"{"affected":[],"id":"A","modified":"2024-01-01","n":1E5}"#,
            br#"{"affected":[],"id":"A","modified":"2024-01-01","n":1E5}"#,
            true,
        ),
        (
            b"\xef\xbb\xbf{ \"modified\":\"2024-01-01\", \"id\":\"\\u0041\", \"affected\":[-0, 7.0] }\n",
            br#"{"affected":[-0,7.0],"id":"A","modified":"2024-01-01"}"#,
            false,
        ),
        (
            b"\xef\xbb\xbfSPDXVersion: SPDX-2.3\r\nDocumentNamespace: n\r\n",
            b"\xef\xbb\xbfSPDXVersion: SPDX-2.3\r\nDocumentNamespace: n\r\n",
            true,
        ),
    ];
    for (received, content, verbatim) in cases {
        let Ok(Recognised::Records(drafts)) = recognise("x", received, &Limits::DEFAULT) else {
            panic!("{}", received.escape_ascii())
        };
        assert_eq!(
            drafts[0].content.escape_ascii().to_string(),
            content.escape_ascii().to_string()
        );
        assert_eq!(drafts[0].verbatim, *verbatim);
        assert_eq!(drafts[0].content_digest, Digest::of(content));
    }
}

#[test]
fn ids_have_1_to_1024_bytes() {
    let osv =
        |id: &str| format!(r#"{{"schema_version":"1.0","id":"{id}","modified":"2024-01-01"}}"#);
    for (id, accepted) in [
        ("a".repeat(1024), true),
        ("a".repeat(1025), false),
        ("é".repeat(512), true),
        ("é".repeat(513), false),
        (" ".into(), true),
        ("\\u0000\\u202e".into(), true),
    ] {
        let outcome = outcome(osv(&id).as_bytes());
        assert_eq!(outcome != "no-identity", accepted, "{} bytes: {outcome:.80}", id.len());
    }
    let rejection = recognise("x", osv(&"a".repeat(5000)).as_bytes(), &Limits::DEFAULT)
        .expect_err("the id is too long");
    assert_eq!(rejection.reason, RejectReason::NoIdentity);
    assert!(rejection.detail.len() < 300, "{}", rejection.detail);
}

#[test]
fn what_is_no_stored_content_is_not_reread() {
    let osv = r#"{"affected":[],"id":"A","modified":"2024-01-01"}"#;
    let finding = r#"{"match":{"VulnerabilityID":"V"},"report":{},"result":{}}"#;
    let (any, csaf, trivy) = (Format::Osv, Format::CsafVex, Format::TrivyFinding);
    let cases = [
        (any, osv.to_owned(), Some("A")),
        (any, osv.replace(':', ": "), None),
        (any, osv.replacen("\"id\"", "\"zd\"", 1), None),
        (csaf, osv.to_owned(), None),
        (trivy, osv.to_owned(), None),
        (trivy, finding.to_owned(), Some("#####V")),
        (Format::GrypeFinding, finding.to_owned(), Some("#####")),
        (trivy, finding.replace("{}", "{ }"), None),
        (trivy, finding.replace(",\"result\":{}", ""), None),
        (trivy, finding.replace("\"result\":{}", "\"result\":{},\"z\":1"), None),
        (trivy, finding.replace("\"V\"", "[]"), Some("#####")),
        (trivy, finding.replace("\"report\":{}", "\"report\":{\"ArtifactName\":1}"), None),
        (any, r#"{"matches":[],"descriptor":{"name":"grype"}}"#.to_owned(), None),
        (any, r#"{"feed":{"id":"f","entry":[]}}"#.to_owned(), None),
        (any, String::new(), None),
    ];
    let claimed = RecordId::new("whatever").expect("an id");
    for (format, content, id) in cases {
        let again = reread(format, &claimed, content.as_bytes(), &Limits::DEFAULT);
        let found = again.as_ref().ok().map(|draft| draft.id.as_str());
        assert_eq!(found, id, "{format} {content}: {again:?}");
    }
}

#[test]
fn a_finding_has_one_of_the_ids_that_its_content_allows() {
    let content =
        r#"{"match":{"ID":"I","Name":"N","VulnerabilityID":"V"},"report":{},"result":{}}"#;
    let short = Digest::of(content.as_bytes()).short(16);
    for (claimed, found) in [
        ("#####V".to_owned(), "#####V".to_owned()),
        ("#####N".to_owned(), "#####N".to_owned()),
        (format!("#####I#{short}"), format!("#####I#{short}")),
        (format!("#####I#{}", "0".repeat(16)), "#####V".to_owned()),
        ("#####X".to_owned(), "#####V".to_owned()),
    ] {
        let claimed = RecordId::new(&claimed).expect("an id");
        let limits = &Limits::DEFAULT;
        let draft = reread(Format::TrivyFinding, &claimed, content.as_bytes(), limits);
        assert_eq!(draft.expect("is a finding").id.as_str(), found, "{claimed}");
    }
}
