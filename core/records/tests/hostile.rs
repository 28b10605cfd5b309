//! Documents that attack: each is a named rejection within the limits, never a crash.

use proptest::prelude::*;
use stella_model::Limits;
use stella_records::view::Evidence;
use stella_records::{Draft, Format, Recognised, RejectReason, recognise};

const NS: &str = "http://cyclonedx.org/schema/bom/1.4";

fn reason(document: &[u8], limits: &Limits) -> Option<RejectReason> {
    recognise("x", document, limits).err().map(|rejection| rejection.reason)
}

#[test]
fn json_attacks_are_named() {
    use RejectReason::{InvalidEncoding, InvalidJson, TooLarge};
    let deep = format!(
        r#"{{"id":"A","modified":"2024-01-01","affected":{}1{}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    let many =
        format!(r#"{{"id":"A","modified":"2024-01-01","affected":[{}0]}}"#, "0,".repeat(2_000_000));
    let wide: Vec<u8> = r#"{"id":"A"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: &[(&str, &[u8], RejectReason)] = &[
        ("deep", deep.as_bytes(), TooLarge),
        ("never closed", &b"[".repeat(1 << 20), TooLarge),
        ("many values", many.as_bytes(), TooLarge),
        (
            "duplicate id",
            br#"{"id":"A","modified":"2024-01-01","affected":[],"id":"B"}"#,
            InvalidJson,
        ),
        (
            "duplicate id, escaped",
            br#"{"id":"A","modified":"2024-01-01","affected":[],"\u0069d":"B"}"#,
            InvalidJson,
        ),
        (
            "lone surrogate",
            br#"{"id":"\ud800","modified":"2024-01-01","affected":[]}"#,
            InvalidJson,
        ),
        (
            "latin-1",
            b"{\"id\":\"\xe9\",\"modified\":\"2024-01-01\",\"affected\":[]}",
            InvalidEncoding,
        ),
        (
            "overlong",
            b"{\"id\":\"\xc0\xaf\",\"modified\":\"2024-01-01\",\"affected\":[]}",
            InvalidEncoding,
        ),
        ("UTF-16", &wide, InvalidEncoding),
        ("UTF-16 with mark", &[&[0xff, 0xfe], &wide[..]].concat(), InvalidEncoding),
        ("two documents", br#"{"id":"A"} {"id":"B"}"#, InvalidJson),
        ("NaN", br#"{"id":"A","modified":"2024-01-01","affected":[NaN]}"#, InvalidJson),
        ("comment", br#"{"id":"A" /* c */,"modified":"2024-01-01"}"#, InvalidJson),
        ("cut off", br#"{"id":"A","modified":"#, InvalidJson),
    ];
    for (name, document, expected) in cases {
        assert_eq!(reason(document, &Limits::DEFAULT), Some(*expected), "{name}");
    }
}

#[test]
fn xml_attacks_are_named() {
    use RejectReason::{InvalidEncoding, InvalidXml, TooLarge, UnknownFormat};
    let bom = |inside: &str| format!("<bom xmlns='{NS}' serialNumber='s'>{inside}</bom>");
    let laughs = format!(
        "<?xml version='1.0'?><!DOCTYPE bom [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'>]>{}",
        bom("<metadata><timestamp>&b;</timestamp></metadata>")
    );
    let external = format!("<!DOCTYPE bom SYSTEM 'file:///etc/passwd'>{}", bom(""));
    let wide: Vec<u8> = bom("").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wide_big: Vec<u8> = bom("").encode_utf16().flat_map(u16::to_be_bytes).collect();
    let attributes: String = (0..300).map(|i| format!(" a{i}='x'")).collect();
    let namespaces: String = (0..5000).map(|i| format!(" xmlns:n{i}='u{i}'")).collect();
    let cases: &[(&str, Vec<u8>, RejectReason)] = &[
        ("entity bomb", laughs.into(), InvalidXml),
        ("external entity", external.into(), InvalidXml),
        ("undefined entity", bom("&xxe;").into(), InvalidXml),
        ("undefined entity in an attribute", bom("<a b='&xxe;'/>").into(), InvalidXml),
        ("no character", bom("&#0;").into(), InvalidXml),
        ("deep", bom(&"<a>".repeat(100)).into(), TooLarge),
        ("very deep", bom(&"<a>".repeat(100_000)).into(), TooLarge),
        ("many elements", bom(&"<a/>".repeat(2_000_001)).into(), TooLarge),
        ("many attributes", bom(&format!("<a{attributes}/>")).into(), TooLarge),
        ("many namespaces", bom(&format!("<a{namespaces}/>")).into(), InvalidXml),
        (
            "duplicate attribute",
            format!("<bom xmlns='{NS}' serialNumber='a' serialNumber='b'/>").into(),
            InvalidXml,
        ),
        ("wrong end", format!("<bom xmlns='{NS}'><a></b></bom>").into(), InvalidXml),
        ("cut off", format!("<bom xmlns='{NS}'><a>").into(), InvalidXml),
        ("two roots", format!("{0}{0}", bom("")).into(), InvalidXml),
        ("trailing text", format!("{}x", bom("")).into(), InvalidXml),
        ("trailing character data", format!("{}<![CDATA[x]]>", bom("")).into(), InvalidXml),
        ("UTF-16", wide.clone(), InvalidEncoding),
        ("UTF-16 with mark", [&[0xff, 0xfe], &wide[..]].concat(), InvalidEncoding),
        ("UTF-16, big end first", wide_big, InvalidEncoding),
        ("latin-1", [bom("").as_bytes(), b"<!-- \xe9 -->"].concat(), InvalidEncoding),
        ("HTML in latin-1", b"<html>\xe9</html>".to_vec(), UnknownFormat),
    ];
    for (name, document, expected) in cases {
        assert_eq!(reason(document, &Limits::DEFAULT), Some(*expected), "{name}");
    }
}

#[test]
fn text_attacks_are_named() {
    use RejectReason::{InvalidEncoding, NoIdentity, UnknownFormat};
    let cases: &[(&str, &[u8], RejectReason)] = &[
        ("latin-1", b"SPDXVersion: SPDX-2.3\nDocumentNamespace: \xe9\n", InvalidEncoding),
        (
            "hidden in text",
            b"SPDXVersion: SPDX-2.3\nCreatorComment: <text>\nDocumentNamespace: n",
            NoIdentity,
        ),
        ("binary", b"\x7fELF\x02\x01\x01\0\0\0\0", UnknownFormat),
        ("zeros", &[0; 64], UnknownFormat),
        ("image", b"\x89PNG\r\n\x1a\n", UnknownFormat),
        ("UTF-16 text", b"\xff\xfeS\0P\0D\0X\0", UnknownFormat),
    ];
    for (name, document, expected) in cases {
        assert_eq!(reason(document, &Limits::DEFAULT), Some(*expected), "{name}");
    }
}

#[test]
fn tags_and_elements_are_counted_when_recognised_and_when_opened() {
    let head = "SPDXVersion: SPDX-2.3\nDocumentNamespace: n\n";
    let tags = format!("{head}{}", "PackageName:\n".repeat(2_000_000));
    let bom = format!(
        "<bom xmlns='{NS}' serialNumber='urn:uuid:1'><components>{}</components></bom>",
        "<component/>".repeat(2_000_000)
    );
    for (format, text) in [(Format::SpdxTagValue, &tags), (Format::CycloneDxXml, &bom)] {
        let bytes = text.as_bytes();
        assert_eq!(reason(bytes, &Limits::DEFAULT), Some(RejectReason::TooLarge), "{format:?}");
        let opened = Evidence::open(format, bytes, &Limits::DEFAULT).map(|_| ());
        assert_eq!(opened.expect_err("too large").reason, RejectReason::TooLarge, "{format:?}");
    }
}

/// Would take hours if each package were looked up by going through what is described.
#[test]
fn many_subjects_are_found_in_one_go() {
    let count = 300_000;
    let mut text = String::from("SPDXVersion: SPDX-2.3\nDocumentNamespace: n\n");
    for n in 0..count {
        text += &format!("PackageName: p\nSPDXID: R{n}\n");
        text += &format!("Relationship: SPDXRef-DOCUMENT DESCRIBES R{n}\n");
    }
    let evidence = Evidence::open(Format::SpdxTagValue, text.as_bytes(), &Limits::DEFAULT);
    let evidence = evidence.expect("within the limits");
    let mut subjects = 0;
    evidence.sbom().expect("an SBOM").each_subject(&mut |_| subjects += 1);
    assert_eq!(subjects, count);
}

#[test]
fn a_document_over_the_limit_is_not_looked_at() {
    let limits = Limits { document_bytes: 64, ..Limits::DEFAULT };
    for start in ["{", "<bom>", "SPDXVersion: ", "\0\0"] {
        let document = format!("{start}{}", "x".repeat(64));
        let rejection = recognise("x", document.as_bytes(), &limits).expect_err("too large");
        assert_eq!((rejection.reason, rejection.offset), (RejectReason::TooLarge, Some(64)));
    }
}

#[test]
fn a_report_cannot_be_cut_into_more_than_a_document_may_hold() {
    let finding = r#"{"VulnerabilityID":"V"},"#.repeat(500);
    let report = format!(
        r#"{{"SchemaVersion":2,"ArtifactName":"{}","Results":[{{"Vulnerabilities":[{finding}{{}}]}}]}}"#,
        "a".repeat(900)
    );
    let limits = Limits { document_bytes: 64 << 10, ..Limits::DEFAULT };
    assert!(report.len() < 64 << 10);
    assert_eq!(reason(report.as_bytes(), &limits), Some(RejectReason::TooLarge));
    assert_eq!(reason(report.as_bytes(), &Limits::DEFAULT), None);
}

#[test]
fn nested_documents_within_the_limits_are_read_in_every_view() {
    let nest = |open: &str, close: &str, times: usize| {
        format!("{}{}", open.repeat(times), close.repeat(times))
    };
    let branches = nest(r#"[{"branches":"#, "}]", 29).replacen("}]", "[]}]", 1);
    let csaf = format!(
        r#"{{"document":{{"csaf_version":"2.0","publisher":{{"namespace":"n"}},"tracking":{{"id":"i"}}}},"product_tree":{{"branches":{branches}}}}}"#
    );
    let components = nest(r#"[{"components":"#, "}]", 29).replacen("}]", "[]}]", 1);
    let bom = format!(
        r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","serialNumber":"s","components":{components}}}"#
    );
    for document in [csaf, bom] {
        assert_eq!(reason(document.as_bytes(), &Limits::DEFAULT), None, "{document}");
    }
}

/// Fragments that documents of the formats are made of, so that random strings of them go deep.
fn fragment() -> impl Strategy<Value = String> {
    let words: Vec<&'static str> = vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "<",
        ">",
        "/",
        "\\u0041",
        "\\ud800",
        "&amp;",
        "&x;",
        "null",
        "true",
        "1",
        "-1e5",
        "\"id\":\"A\"",
        "\"modified\":\"2024-01-01\"",
        "\"affected\":[]",
        "\"bomFormat\":\"CycloneDX\"",
        "\"specVersion\":\"1.5\"",
        "\"metadata\":",
        "\"component\":",
        "\"spdxVersion\":\"SPDX-2.3\"",
        "\"documentNamespace\":\"n\"",
        "\"document\":",
        "\"csaf_version\":\"2.0\"",
        "\"@context\":\"https://openvex.dev/ns\"",
        "\"statements\":",
        "\"products\":",
        "\"SchemaVersion\":2",
        "\"Results\":",
        "\"Vulnerabilities\":",
        "\"matches\":",
        "<bom xmlns='http://cyclonedx.org/schema/bom/1.5'",
        "</bom>",
        "<metadata>",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<!DOCTYPE bom [",
        "<?xml version='1.0'?>",
        "SPDXVersion: SPDX-2.3\n",
        "DocumentNamespace: n\n",
        "<text>",
        "</text>",
        "\u{feff}",
    ];
    prop_oneof![8 => prop::sample::select(words).prop_map(str::to_owned), 1 => ".{0,4}"]
}

proptest! {
    #[test]
    fn whatever_comes_in_is_answered(parts in prop::collection::vec(fragment(), 0..40)) {
        let document = parts.concat();
        if let Ok(Recognised::Records(drafts)) = recognise("x", document.as_bytes(), &Limits::DEFAULT) {
            for draft in drafts {
                prop_assert!(!draft.id.as_str().is_empty());
            }
        }
    }

    #[test]
    fn bytes_are_answered(document in prop::collection::vec(any::<u8>(), 0..200)) {
        let first = recognise("x", &document, &Limits::DEFAULT);
        prop_assert_eq!(first, recognise("x", &document, &Limits::DEFAULT));
    }

    /// The winner of two versions does not depend on which comes first, and order is transitive.
    #[test]
    fn revisions_are_a_total_order(mut revisions in prop::collection::vec(revision(), 3)) {
        revisions.sort();
        prop_assert!(revisions[0] <= revisions[1] && revisions[1] <= revisions[2]);
        prop_assert!(revisions[0] <= revisions[2]);
        prop_assert_eq!(revisions[0] == revisions[2], revisions[2] <= revisions[0]);
    }
}

fn revision() -> impl Strategy<Value = stella_records::Revision> {
    use stella_records::{Revision, RevisionOrder};
    let time =
        prop::sample::select(vec!["", "2024-01-01", "2024-01-01T01:00:00+01:00", "2024-01-02"]);
    let version = prop::sample::select(vec!["", "1", "1.0", "1.1", "01", "2", "10", "x"]);
    let order = prop::sample::select(vec![RevisionOrder::TimeFirst, RevisionOrder::VersionFirst]);
    (order, time, version)
        .prop_map(|(order, time, version)| Revision::new(order, Some(time), Some(version)))
}

/// A canonical document is its own canonical form: recognising it again changes nothing.
#[test]
fn recognition_is_idempotent() {
    let documents = [
        r#"{ "modified":"2024-01-01", "id":"A", "affected":[ ] }"#,
        r#"{ "specVersion":"1.5", "bomFormat":"CycloneDX" }"#,
    ];
    for document in documents {
        let first = one(document.as_bytes());
        let again = one(&first.content);
        assert_eq!(again, Draft { verbatim: true, ..first });
    }
}

fn one(document: &[u8]) -> Draft {
    match recognise("x", document, &Limits::DEFAULT) {
        Ok(Recognised::Records(mut drafts)) if drafts.len() == 1 => drafts.remove(0),
        other => panic!("{other:?}"),
    }
}
