//! Bundles that the holder of the key signed though they are not what the format describes.

use stella_manifest::ExportManifest;
use stella_model::{Digest, PartName, RecordId};
use stella_verify::Check;

use crate::maker::{Part, find, part, replace};

pub(crate) enum Lie {
    /// The parts are not what they should be; the manifest lists them as they are.
    Parts(fn(&mut Vec<Part>)),
    /// The manifest.
    Manifest(fn(&mut ExportManifest)),
    /// Its bytes.
    Export(fn(&mut Vec<u8>)),
    /// The provenance.
    Statement(fn(&mut serde_json::Value)),
}

/// What the holder of the key signed and should not have.
pub(crate) const SIGNED: &[(&str, Check, Lie)] = &[
    (
        "a document that was changed",
        Check::RecordDigests,
        Lie::Parts(|p| {
            replace(&mut p[0].data, "\"id\":\"A-002\"}", "\"id\":\"A-00X\"}");
        }),
    ),
    (
        "a text that was changed",
        Check::RecordDigests,
        Lie::Parts(|p| replace(&mut p[3].data, "<bom/>", "<BOM/>")),
    ),
    (
        "a document exchanged with digest and index",
        Check::SetRoots,
        Lie::Parts(|p| {
            p[0] = part(&p[0].set, &five("A-002"));
        }),
    ),
    (
        "a record left out",
        Check::SetRoots,
        Lie::Parts(|p| {
            p[2] = part(&p[2].set, &[("A-010".to_owned(), "{}".to_owned())]);
        }),
    ),
    ("a part left out", Check::SetRoots, Lie::Parts(|p| drop(p.remove(1)))),
    ("all parts of a set left out", Check::SetRoots, Lie::Parts(|p| drop(p.pop()))),
    (
        "records out of order",
        Check::RecordOrder,
        Lie::Parts(|p| {
            let mut records = five("");
            records.swap(1, 2);
            p[0] = part(&p[0].set, &records);
        }),
    ),
    (
        "a record twice",
        Check::RecordOrder,
        Lie::Parts(|p| {
            let mut records = five("");
            records[2] = records[1].clone();
            p[0] = part(&p[0].set, &records);
        }),
    ),
    (
        "parts that overlap",
        Check::RecordOrder,
        Lie::Parts(|p| {
            p[1] = part(&p[1].set, &[("A-004".to_owned(), "{}".to_owned())]);
        }),
    ),
    (
        "a line of another feed",
        Check::RecordLines,
        Lie::Parts(|p| replace(&mut p[0].data, "\"feed\":\"npm\"", "\"feed\":\"pip\"")),
    ),
    (
        "a line of another kind",
        Check::RecordLines,
        Lie::Parts(|p| replace(&mut p[4].data, "\"kind\":\"vex\"", "\"kind\":\"kev\"")),
    ),
    (
        "a line with white space",
        Check::RecordLines,
        Lie::Parts(|p| replace(&mut p[0].data, ",\"feed\"", ", \"feed\"")),
    ),
    (
        "a line with escapes",
        Check::RecordLines,
        Lie::Parts(|p| replace(&mut p[0].data, "\"id\":\"A-0", "\"id\":\"\\u0041-0")),
    ),
    (
        "a line with members in another order",
        Check::RecordLines,
        Lie::Parts(|p| {
            replace(
                &mut p[0].data,
                "\"feed\":\"npm\",\"id\":\"A-000\"",
                "\"id\":\"A-000\",\"feed\":\"npm\"",
            );
        }),
    ),
    ("an empty line", Check::RecordLines, Lie::Parts(|p| p[0].data.push(b'\n'))),
    (
        "no line feed at the end",
        Check::RecordLines,
        Lie::Parts(|p| {
            p[0].data.pop();
        }),
    ),
    (
        "a carriage return",
        Check::RecordLines,
        Lie::Parts(|p| {
            p[0].data.pop();
            p[0].data.extend(b"\r\n");
        }),
    ),
    (
        "a document that is not canonical",
        Check::Documents,
        Lie::Parts(|p| {
            p[0] = part(&p[0].set, &[("A-000".to_owned(), "{\"a\": 1}".to_owned())]);
        }),
    ),
    (
        "a document that is no JSON",
        Check::Documents,
        Lie::Parts(|p| {
            p[0] = part(&p[0].set, &[("A-000".to_owned(), "{},\"x\":{}".to_owned())]);
        }),
    ),
    (
        "an index with another offset",
        Check::Indexes,
        Lie::Parts(|p| replace(&mut p[0].index, "\"offset\":0", "\"offset\":1")),
    ),
    (
        "an index with another id",
        Check::Indexes,
        Lie::Parts(|p| replace(&mut p[0].index, "A-003", "A-00Z")),
    ),
    (
        "an index with another digest",
        Check::Indexes,
        Lie::Parts(|p| {
            let other = Digest::of(b"other").to_string();
            let at = find(&p[0].index, b"Digest\":\"") + 9;
            p[0].index[at..at + 64].copy_from_slice(other.as_bytes());
        }),
    ),
    (
        "an index with a line less",
        Check::Indexes,
        Lie::Parts(|p| {
            let at = find(&p[0].index, b"\n") + 1;
            p[0].index.truncate(at);
        }),
    ),
    (
        "an index with a line more",
        Check::Indexes,
        Lie::Parts(|p| p[4].index.extend_from_within(..)),
    ),
    (
        "an index that is not canonical",
        Check::Indexes,
        Lie::Parts(|p| replace(&mut p[0].index, "\"offset\":0", "\"offset\":00")),
    ),
    ("a part without checksum", Check::Compression, Lie::Parts(|p| p[0].checksum = false)),
    (
        "a part under another name",
        Check::PartNames,
        Lie::Parts(|p| p[0].name = Some("0".repeat(24))),
    ),
    ("another number of records in a part", Check::PartCounts, Lie::Parts(|p| p[0].records += 1)),
    (
        "another first id",
        Check::PartCounts,
        Lie::Parts(|p| p[1].ids.0 = RecordId::new("A-006").expect("an id")),
    ),
    (
        "another last id",
        Check::PartCounts,
        Lie::Parts(|p| p[1].ids.1 = RecordId::new("A-009").expect("an id")),
    ),
    (
        "more records in a part than can be counted",
        Check::PartCounts,
        Lie::Parts(|p| p[0].records = 1 << 54),
    ),
    (
        "parts whose records sum up to more than can be counted",
        Check::PartCounts,
        Lie::Parts(|p| p.iter_mut().for_each(|part| part.records = 1 << 53)),
    ),
    (
        "more records in a set than can be counted",
        Check::ManifestForm,
        Lie::Manifest(|m| m.sets[0].count = 1 << 54),
    ),
    (
        "a set listed twice",
        Check::ManifestForm,
        Lie::Manifest(|m| {
            let set = m.sets[0].clone();
            m.sets.insert(0, set);
        }),
    ),
    ("a part without records", Check::PartCounts, Lie::Parts(|p| p[1].records = 0)),
    ("another root", Check::SetRoots, Lie::Manifest(|m| m.sets[0].root = Digest::of(b"x"))),
    ("another count", Check::SetRoots, Lie::Manifest(|m| m.sets[1].count = 2)),
    ("a set not listed", Check::SetRoots, Lie::Manifest(|m| drop(m.sets.pop()))),
    (
        "a set without records listed",
        Check::SetRoots,
        Lie::Manifest(|m| {
            let mut set = m.sets[2].clone();
            set.feed = "npm".parse().expect("a feed name");
            m.sets.push(set);
        }),
    ),
    ("sets out of order", Check::ManifestForm, Lie::Manifest(|m| m.sets.swap(0, 1))),
    ("feeds out of order", Check::ManifestForm, Lie::Manifest(|m| m.feeds.swap(0, 1))),
    ("parts out of order", Check::ManifestForm, Lie::Manifest(|m| m.parts.swap(0, 1))),
    (
        "a part listed twice",
        Check::ManifestForm,
        Lie::Manifest(|m| {
            let part = m.parts[0].clone();
            m.parts.insert(0, part);
        }),
    ),
    (
        "an output listed twice",
        Check::ManifestForm,
        Lie::Manifest(|m| {
            let output = m.outputs[0].clone();
            m.outputs.push(output);
        }),
    ),
    (
        "a fraction of a second",
        Check::ManifestForm,
        Lie::Manifest(|m| {
            m.as_of = stella_model::Instant::parse("2026-11-01T00:00:00.5Z").expect("a time");
        }),
    ),
    ("redaction without rules", Check::ManifestForm, Lie::Manifest(|m| m.redaction.records = 1)),
    (
        "the manifest lists its own signature",
        Check::ManifestForm,
        Lie::Manifest(|m| {
            let mut part = m.parts[0].clone();
            part.path = PartName::new("export.json.sig").expect("a part name");
            m.parts.push(part);
            m.parts.sort_by(|a, b| a.path.cmp(&b.path));
        }),
    ),
    ("totals of bytes", Check::Totals, Lie::Manifest(|m| m.counts.bytes += 1)),
    ("totals of parts", Check::Totals, Lie::Manifest(|m| m.counts.parts -= 1)),
    ("totals of records", Check::Totals, Lie::Manifest(|m| m.counts.records += 1)),
    (
        "totals of uncompressed bytes",
        Check::Totals,
        Lie::Manifest(|m| m.counts.uncompressed_bytes = 0),
    ),
    ("totals of kinds", Check::Totals, Lie::Manifest(|m| m.counts.kinds.clear())),
    ("a feed not listed", Check::Feeds, Lie::Manifest(|m| drop(m.feeds.pop()))),
    (
        "README.md not listed",
        Check::FilesListed,
        Lie::Manifest(|m| {
            m.parts.retain(|part| part.path.as_str() != "README.md");
        }),
    ),
    (
        "SHA256SUMS with other sums",
        Check::ChecksumsFile,
        Lie::Manifest(|m| {
            let part = m.parts.iter_mut().find(|part| part.path.as_str() == "NOTICE.md");
            part.expect("is listed").digest = Digest::of(b"x").into();
        }),
    ),
    (
        "another trusted root",
        Check::TrustedRoot,
        Lie::Manifest(|m| {
            let part = m.parts.iter_mut().find(|part| part.path.as_str() == "trusted_root.json");
            part.expect("is listed").digest = Digest::of(b"{}").into();
        }),
    ),
    (
        "an index not listed",
        Check::Indexes,
        Lie::Manifest(|m| {
            let at = m.parts.iter().position(|part| part.path.as_str().starts_with("indexes/"));
            m.parts.remove(at.expect("is listed"));
        }),
    ),
    (
        "an index of no part",
        Check::Indexes,
        Lie::Manifest(|m| {
            let at = m.parts.iter().position(|part| part.path.as_str().starts_with("data/raw/"));
            m.parts.remove(at.expect("is listed"));
        }),
    ),
    (
        "an index with other ids in the manifest",
        Check::Indexes,
        Lie::Manifest(|m| {
            index(m).last_id = RecordId::new("Z").ok();
        }),
    ),
    (
        "another media type",
        Check::PartNames,
        Lie::Manifest(|m| index(m).media_type = "text/plain".to_owned()),
    ),
    ("a part without a kind", Check::PartNames, Lie::Manifest(|m| index(m).kind = None)),
    (
        "a part of another feed",
        Check::PartNames,
        Lie::Manifest(|m| index(m).feed = "acme".parse().ok()),
    ),
    (
        "a larger uncompressed size",
        Check::Compression,
        Lie::Manifest(|m| {
            index(m).uncompressed_size = Some(1 << 20);
        }),
    ),
    (
        "a decompression bomb",
        Check::Compression,
        Lie::Manifest(|m| {
            index(m).uncompressed_size = Some(1 << 52);
        }),
    ),
    ("a part of 4 GiB", Check::Compression, Lie::Manifest(|m| index(m).size = 4 << 30)),
    ("another planHash", Check::PlanHash, Lie::Manifest(|m| m.plan_hash = Digest::of(b"plan"))),
    (
        "another profile",
        Check::Provenance,
        Lie::Manifest(|m| m.profile.name = "json:raw".to_owned()),
    ),
    ("other feeds than planned", Check::PlanHash, Lie::Manifest(|m| m.feeds[0].licence = None)),
    (
        "a handling mark left out",
        Check::PlanHash,
        Lie::Manifest(|m| m.handling = Some(stella_plan::Handling::default())),
    ),
    (
        "a policy that was not planned",
        Check::PlanHash,
        Lie::Manifest(|m| m.policy_version = "7".parse().ok()),
    ),
    (
        "a hash of inputs without a policy",
        Check::PlanHash,
        Lie::Manifest(|m| m.inputs_hash = Some(Digest::EMPTY)),
    ),
    ("a manifest with white space", Check::ManifestForm, Lie::Export(|e| e.insert(1, b' '))),
    ("a manifest with a line feed", Check::ManifestForm, Lie::Export(|e| e.push(b'\n'))),
    (
        "a manifest with a byte order mark",
        Check::ManifestForm,
        Lie::Export(|e| drop(e.splice(..0, *b"\xef\xbb\xbf"))),
    ),
    (
        "an unknown member",
        Check::ManifestForm,
        Lie::Export(|e| replace(e, "{\"asOf\"", "{\"aaa\":1,\"asOf\"")),
    ),
    (
        "a member twice",
        Check::ManifestForm,
        Lie::Export(|e| replace(e, "\"coverage\":[]", "\"coverage\":[],\"coverage\":[]")),
    ),
    (
        "an escaped character",
        Check::ManifestForm,
        Lie::Export(|e| replace(e, "mirror:full", "mirror\\u003afull")),
    ),
    (
        "a number in another spelling",
        Check::ManifestForm,
        Lie::Export(|e| replace(e, "\"adapterVersion\":1", "\"adapterVersion\":1.0")),
    ),
    (
        "a time in another zone",
        Check::ManifestForm,
        Lie::Export(|e| {
            replace(e, "2026-11-01T00:00:00Z", "2026-11-01T01:00:00+01:00");
        }),
    ),
    (
        "a way out of the folder",
        Check::ManifestForm,
        Lie::Export(|e| replace(e, "\"path\":\"NOTICE.md\"", "\"path\":\"../notice\"")),
    ),
    (
        "an absolute path",
        Check::ManifestForm,
        Lie::Export(|e| replace(e, "\"path\":\"NOTICE.md\"", "\"path\":\"/etc/hosts\"")),
    ),
    ("no JSON at all", Check::ManifestForm, Lie::Export(|e| *e = b"manifest".to_vec())),
    (
        "another subject",
        Check::Provenance,
        Lie::Statement(|s| s["subject"][0]["name"] = "README.md".into()),
    ),
    (
        "a subject with another digest",
        Check::Provenance,
        Lie::Statement(|s| {
            s["subject"][0]["digest"]["sha256"] = Digest::of(b"x").to_string().into();
        }),
    ),
    (
        "two subjects",
        Check::Provenance,
        Lie::Statement(|s| {
            let subject = s["subject"][0].clone();
            s["subject"].as_array_mut().expect("an array").push(subject);
        }),
    ),
    (
        "another predicate type",
        Check::Provenance,
        Lie::Statement(|s| s["predicateType"] = "https://slsa.dev/provenance/v0.2".into()),
    ),
    (
        "another statement type",
        Check::Provenance,
        Lie::Statement(|s| s["_type"] = "https://in-toto.io/Statement/v0.1".into()),
    ),
    (
        "another invocation",
        Check::Provenance,
        Lie::Statement(|s| {
            s["predicate"]["runDetails"]["metadata"]["invocationId"] = "urn:other".into();
        }),
    ),
    (
        "an unknown member of the statement",
        Check::Provenance,
        Lie::Statement(|s| s["extra"] = 1.into()),
    ),
    (
        "another codec in the provenance",
        Check::PlanHash,
        Lie::Statement(|s| {
            s["predicate"]["buildDefinition"]["internalParameters"]["codec"]["level"] = 19.into();
        }),
    ),
    (
        "another asOf in the provenance",
        Check::Provenance,
        Lie::Statement(|s| {
            s["predicate"]["buildDefinition"]["externalParameters"]["asOf"] =
                "2027-01-01T00:00:00Z".into();
        }),
    ),
    (
        "another selection in the provenance",
        Check::PlanHash,
        Lie::Statement(|s| {
            s["predicate"]["buildDefinition"]["resolvedDependencies"]
                .as_array_mut()
                .expect("an array")
                .remove(1);
        }),
    ),
    (
        "another member of the predicate",
        Check::Provenance,
        Lie::Statement(|s| s["predicate"]["extra"] = 1.into()),
    ),
    (
        "another member of the build",
        Check::Provenance,
        Lie::Statement(|s| {
            s["predicate"]["buildDefinition"]["externalParameters"]["extra"] = "x".into();
        }),
    ),
    (
        "a time in the provenance",
        Check::Provenance,
        Lie::Statement(|s| {
            s["predicate"]["runDetails"]["metadata"]["startedOn"] = "2026-11-01T00:00:00Z".into();
        }),
    ),
    (
        "another builder",
        Check::Provenance,
        Lie::Statement(|s| {
            s["predicate"]["runDetails"]["builder"]["id"] = "https://example.com".into();
        }),
    ),
    (
        "another build type",
        Check::Provenance,
        Lie::Statement(|s| {
            s["predicate"]["buildDefinition"]["buildType"] = "https://example.com".into();
        }),
    ),
    (
        "a set in the provenance that does not read",
        Check::Provenance,
        Lie::Statement(|s| {
            add_dependency(s, "urn:stella:set:local:no set", "no set");
        }),
    ),
    (
        "a dependency that is of no plan",
        Check::Provenance,
        Lie::Statement(|s| {
            add_dependency(s, "https://example.com", "x");
        }),
    ),
    (
        "a dependency with another uri",
        Check::Provenance,
        Lie::Statement(|s| {
            s["predicate"]["buildDefinition"]["resolvedDependencies"][1]["uri"] =
                "urn:stella:set:local:vex/other".into();
        }),
    ),
];

/// Adds something to what the provenance says the bundle was made from.
fn add_dependency(statement: &mut serde_json::Value, uri: &str, name: &str) {
    let dependencies = &mut statement["predicate"]["buildDefinition"]["resolvedDependencies"];
    let digest = Digest::of(b"x").to_string();
    dependencies.as_array_mut().expect("an array").push(serde_json::json!({
        "annotations": {"count": 1},
        "digest": {"sha256": digest},
        "name": name,
        "uri": uri,
    }));
}

/// The records of the first part, one of them with another document.
fn five(changed: &str) -> Vec<(String, String)> {
    let document = |id: &str| {
        let text = if id == changed { "changed".to_owned() } else { "é ".repeat(40) };
        format!("{{\"details\":\"{text}\",\"id\":\"{id}\"}}")
    };
    (0..5).map(|n| format!("A-{n:03}")).map(|id| (id.clone(), document(&id))).collect()
}

fn index(manifest: &mut ExportManifest) -> &mut stella_manifest::PartEntry {
    let mut parts = manifest.parts.iter_mut();
    parts.find(|part| part.path.as_str().starts_with("indexes/advisory")).expect("is listed")
}
