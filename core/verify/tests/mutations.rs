//! Every change of a bundle is refused, and the right check says so.
//!
//! Two tables. In the first the bundle was changed after it was signed, by someone without the key.
//! In the second the publisher signed something that is not what the format describes.

mod maker;

use maker::{Files, Maker, RELEASE, further, key, part, policy, sign, trusted};
use stella_manifest::ExportManifest;
use stella_model::{Digest, PartName, RecordId};
use stella_verify::{Check, Depth, Policy, Report, State, Unsigned};

fn failed(report: &Report) -> Vec<Check> {
    report.failed().map(|result| result.check).collect()
}

/// The report refuses with the exit code, and the check is among those that fail.
fn refused(what: &str, report: &Report, check: Check, exit: u8) {
    let failed = failed(report);
    assert!(failed.contains(&check), "{what}: expected {check:?}, failed {failed:?}");
    assert_eq!(report.exit_code(), exit, "{what}: {failed:?}");
    assert!(!report.verified, "{what}");
    let result = report.result(check).expect("every check is in the report");
    assert!(result.problem_count > 0 && result.next.is_some_and(|next| !next.is_empty()), "{what}");
}

#[test]
fn the_bundle_itself_verifies() {
    let report = Maker::new().seal().verify();
    assert!(report.verified, "{:#?}", failed(&report));
    assert_eq!(report.exit_code(), 0);
    assert_eq!(report.summary.fail + report.summary.not_checked, 0, "{report:#?}");
    let not_used: Vec<Check> =
        report.checks.iter().filter(|r| r.state == State::NotUsed).map(|r| r.check).collect();
    assert_eq!(not_used, [Check::FurtherSignatures, Check::Age, Check::TransparencyLog]);
    assert_eq!(report.bundle.as_ref().map(|bundle| bundle.records), Some(15));
}

type FilesChange = fn(&mut Files);

/// Changes without the key.
const CHANGED_AFTER_SIGNING: &[(&str, Check, FilesChange)] = &[
    ("a bit of a data part", Check::PartDigests, |f| {
        let name = f.nth("data/raw/advisory", 1);
        f.edit(&name)[30] ^= 4;
    }),
    ("the last bit of a data part", Check::PartDigests, |f| {
        let name = f.nth("data/raw/vex", 0);
        *f.edit(&name).last_mut().expect("not empty") ^= 1;
    }),
    ("a bit of an index", Check::PartDigests, |f| {
        let name = f.nth("indexes/", 0);
        f.edit(&name)[20] ^= 1;
    }),
    ("a bit of README.md", Check::PartDigests, |f| f.edit("README.md")[0] ^= 1),
    ("a bit of NOTICE.md", Check::PartDigests, |f| f.edit("NOTICE.md")[3] ^= 1),
    ("a bit of SHA256SUMS", Check::PartDigests, |f| f.edit("SHA256SUMS")[5] ^= 1),
    ("a bit of trusted_root.json", Check::PartDigests, |f| f.edit("trusted_root.json")[9] ^= 1),
    ("a part cut short", Check::PartDigests, |f| {
        let name = f.nth("data/raw/advisory", 0);
        f.edit(&name).pop();
    }),
    ("a part made longer", Check::PartDigests, |f| {
        let name = f.nth("data/raw/advisory", 0);
        f.edit(&name).push(0);
    }),
    ("a part emptied", Check::PartDigests, |f| {
        let name = f.nth("data/raw/advisory", 2);
        f.edit(&name).clear();
    }),
    ("an index emptied", Check::PartDigests, |f| {
        let name = f.nth("indexes/vex", 0);
        f.edit(&name).clear();
    }),
    ("two parts swapped", Check::PartDigests, |f| {
        let (one, other) = (f.nth("data/raw/advisory", 0), f.nth("data/raw/advisory", 1));
        f.swap(&one, &other);
    }),
    ("two indexes swapped", Check::PartDigests, |f| {
        let (one, other) = (f.nth("indexes/advisory", 0), f.nth("indexes/advisory", 1));
        f.swap(&one, &other);
    }),
    ("README.md and NOTICE.md swapped", Check::PartDigests, |f| f.swap("README.md", "NOTICE.md")),
    ("a part renamed", Check::FilesListed, |f| {
        let name = f.nth("data/raw/advisory", 0);
        f.rename(&name, "data/raw/advisory/npm/p-000000000000000000000000.jsonl.zst");
    }),
    ("a part moved to another feed", Check::FilesListed, |f| {
        let name = f.nth("data/raw/vex/acme", 0);
        f.rename(&name, &name.replace("acme", "npm"));
    }),
    ("a data part missing", Check::FilesListed, |f| {
        let name = f.nth("data/raw/advisory", 1);
        f.bytes.remove(&name);
    }),
    ("an index missing", Check::FilesListed, |f| {
        let name = f.nth("indexes/", 2);
        f.bytes.remove(&name);
    }),
    ("a whole set missing", Check::FilesListed, |f| {
        f.bytes.retain(|name, _| !name.contains("vex"))
    }),
    ("README.md missing", Check::FilesListed, |f| drop(f.bytes.remove("README.md"))),
    ("SHA256SUMS missing", Check::FilesListed, |f| drop(f.bytes.remove("SHA256SUMS"))),
    ("trusted_root.json missing", Check::FilesListed, |f| {
        drop(f.bytes.remove("trusted_root.json"))
    }),
    ("export.json missing", Check::FilesListed, |f| drop(f.bytes.remove("export.json"))),
    ("provenance.json missing", Check::FilesListed, |f| drop(f.bytes.remove("provenance.json"))),
    ("an empty bundle", Check::FilesListed, |f| f.bytes.clear()),
    ("an extra file", Check::FilesListed, |f| drop(f.bytes.insert("extra".into(), vec![1]))),
    ("an extra data part", Check::FilesListed, |f| {
        let bytes = f.bytes[&f.nth("data/raw/vex", 0)].clone();
        f.bytes.insert("data/raw/vex/acme/p-111111111111111111111111.jsonl.zst".into(), bytes);
    }),
    ("a key beside the manifest", Check::FilesListed, |f| {
        f.bytes.insert("cosign.pub".into(), key(9).public().to_pem().into_bytes());
    }),
    ("a bit of the manifest", Check::ManifestSignature, |f| f.edit("export.json")[100] ^= 1),
    ("a manifest with a line feed", Check::ManifestSignature, |f| {
        f.edit("export.json").push(b'\n')
    }),
    ("another asOf", Check::ManifestSignature, |f| {
        replace(f.edit("export.json"), "2026-11-01", "2026-11-02")
    }),
    ("another feed licence", Check::ManifestSignature, |f| {
        replace(f.edit("export.json"), "CC-BY-4.0", "CC-BY-3.0")
    }),
    ("a manifest that allows more", Check::ManifestSignature, |f| {
        replace(f.edit("export.json"), "\"redistribution\":true", "\"redistribution\":false");
    }),
    ("a part taken out of manifest and bundle", Check::ManifestSignature, |f| {
        let name = f.nth("data/raw/vex", 0);
        f.bytes.remove(&name);
        let mut manifest = ExportManifest::from_bytes(&f.bytes["export.json"]).expect("a manifest");
        manifest.parts.retain(|part| part.path.as_str() != name);
        *f.edit("export.json") = manifest.to_bytes();
    }),
    ("a manifest of an older bundle", Check::ManifestSignature, |f| {
        let mut older = Maker::new();
        older.parts.pop();
        *f.edit("export.json") = older.seal().bytes["export.json"].clone();
    }),
    ("export.json.sig missing", Check::ManifestSignature, |f| {
        drop(f.bytes.remove("export.json.sig"))
    }),
    ("export.json.sigstore.json missing", Check::ManifestSignature, |f| {
        f.bytes.remove("export.json.sigstore.json");
    }),
    ("all signatures missing", Check::ManifestSignature, |f| {
        f.bytes.retain(|name, _| !name.contains(".sig"));
    }),
    ("a bit of export.json.sig", Check::ManifestSignature, |f| f.edit("export.json.sig")[20] ^= 1),
    ("export.json.sig with a line feed", Check::ManifestSignature, |f| {
        f.edit("export.json.sig").push(b'\n')
    }),
    ("export.json.sig by another key", Check::ManifestSignature, |f| {
        let signature = key(2).signature(&f.bytes["export.json"]);
        *f.edit("export.json.sig") = stella_seal::detached_sig(&signature).into_bytes();
    }),
    ("export.json.sig over another file", Check::ManifestSignature, |f| {
        let signature = key(RELEASE).signature(b"something else");
        *f.edit("export.json.sig") = stella_seal::detached_sig(&signature).into_bytes();
    }),
    ("a sigstore bundle with white space", Check::ManifestSignature, |f| {
        f.edit("export.json.sigstore.json").push(b' ');
    }),
    ("a sigstore bundle with another digest", Check::ManifestSignature, |f| {
        let bytes = f.edit("export.json.sigstore.json");
        let at = find(bytes, b"\"digest\":\"") + 10;
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    }),
    ("a sigstore bundle with a wrong hint", Check::ManifestSignature, |f| {
        let other = stella_seal::SigstoreBundle::message_signature(
            key(2).public(),
            Digest::of(&f.bytes["export.json"]),
            key(RELEASE).signature(&f.bytes["export.json"]),
        );
        *f.edit("export.json.sigstore.json") = other.to_bytes();
    }),
    ("a known key's hint on another key's signature", Check::ManifestSignature, |f| {
        let other = stella_seal::SigstoreBundle::message_signature(
            key(RELEASE).public(),
            Digest::of(&f.bytes["export.json"]),
            key(2).signature(&f.bytes["export.json"]),
        );
        *f.edit("export.json.sigstore.json") = other.to_bytes();
    }),
    ("a statement in the place of the signature", Check::ManifestSignature, |f| {
        let bytes = f.bytes["provenance.json.sigstore.json"].clone();
        *f.edit("export.json.sigstore.json") = bytes;
    }),
    ("signed again by another key", Check::ManifestSignature, |f| {
        let (export, statement) =
            (f.bytes["export.json"].clone(), f.bytes["provenance.json"].clone());
        sign(f, &key(2), export, statement);
    }),
    ("a bit of the provenance", Check::ProvenanceSignature, |f| f.edit("provenance.json")[90] ^= 1),
    ("provenance.json.sigstore.json missing", Check::ProvenanceSignature, |f| {
        f.bytes.remove("provenance.json.sigstore.json");
    }),
    ("the provenance of another bundle", Check::Provenance, |f| {
        let mut other = Maker::new();
        other.parts.pop();
        let other = other.seal();
        for name in ["provenance.json", "provenance.json.sigstore.json"] {
            *f.edit(name) = other.bytes[name].clone();
        }
    }),
    ("a provenance signed by another key", Check::ProvenanceSignature, |f| {
        let statement = f.bytes["provenance.json"].clone();
        let bundle =
            stella_seal::SigstoreBundle::sign_statement(&key(2), &statement).expect("signs");
        *f.edit("provenance.json.sigstore.json") = bundle.to_bytes();
    }),
    ("a signature in the place of the statement", Check::ProvenanceSignature, |f| {
        let bytes = f.bytes["export.json.sigstore.json"].clone();
        *f.edit("provenance.json.sigstore.json") = bytes;
    }),
    ("another document in the signed statement", Check::ProvenanceSignature, |f| {
        let bundle =
            stella_seal::SigstoreBundle::sign_statement(&key(RELEASE), b"{}").expect("signs");
        *f.edit("provenance.json.sigstore.json") = bundle.to_bytes();
    }),
    ("a further signature under another name", Check::FurtherSignatures, |f| {
        let (name, bytes) = further("audit", 3, f);
        let digits = key(3).public().hint8();
        f.bytes.insert(name.replace(&digits, "00000000"), bytes);
    }),
    ("a further signature without a role", Check::FurtherSignatures, |f| {
        let (_, bytes) = further("audit", 3, f);
        f.bytes.insert("signatures/audit.sigstore.json".into(), bytes);
    }),
    ("a further signature over another manifest", Check::FurtherSignatures, |f| {
        let mut other = Maker::new();
        other.parts.pop();
        let (name, bytes) = further("audit", 3, &other.seal());
        f.bytes.insert(name, bytes);
    }),
    ("a further signature that is no JSON", Check::FurtherSignatures, |f| {
        f.bytes.insert("signatures/audit.00000000.sigstore.json".into(), b"{".to_vec());
    }),
    ("a further signature by the known key that does not verify", Check::FurtherSignatures, |f| {
        let known = key(RELEASE);
        let bundle = stella_seal::SigstoreBundle::message_signature(
            known.public(),
            Digest::of(&f.bytes["export.json"]),
            known.signature(b"something else"),
        );
        let name = format!("signatures/audit.{}.sigstore.json", known.public().hint8());
        f.bytes.insert(name, bundle.to_bytes());
    }),
    ("a fault of the carrier", Check::Carrier, |f| {
        let (at, problem) = ("data/link".to_owned(), "a symbolic link".to_owned());
        f.faults.push(stella_verify::CarrierFault { at, problem });
    }),
];

#[test]
fn what_was_changed_after_signing_is_refused() {
    let good = Maker::new().seal();
    for (what, check, change) in CHANGED_AFTER_SIGNING {
        let mut files = good.clone();
        change(&mut files);
        refused(what, &files.verify(), *check, 8);
    }
}

enum Lie {
    /// The parts are not what they should be; the manifest lists them as they are.
    Parts(fn(&mut Vec<maker::Part>)),
    /// The manifest.
    Manifest(fn(&mut ExportManifest)),
    /// Its bytes.
    Export(fn(&mut Vec<u8>)),
    /// The provenance.
    Statement(fn(&mut serde_json::Value)),
}

/// What the holder of the key signed and should not have.
const SIGNED: &[(&str, Check, Lie)] = &[
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
];

#[test]
fn what_the_publisher_should_not_have_signed_is_refused() {
    for (what, check, lie) in SIGNED {
        let mut maker = Maker::new();
        match lie {
            Lie::Parts(change) => change(&mut maker.parts),
            Lie::Manifest(change) => maker.manifest = *change,
            Lie::Export(change) => maker.export = *change,
            Lie::Statement(change) => maker.statement = *change,
        }
        let report = maker.seal().verify();
        refused(what, &report, *check, 8);
        assert_eq!(
            report.result(Check::ManifestSignature).expect("is there").state,
            State::Pass,
            "{what}"
        );
    }
}

#[test]
fn a_newer_bundle_is_told_apart_from_a_broken_one() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(&str, Change); 2] = [
        ("a newer version", |e| {
            replace(e, "\"formatVersion\":1", "\"formatVersion\":2,\"new\":[]")
        }),
        ("a feature", |e| replace(e, "\"requires\":[]", "\"requires\":[\"trust-json\"]")),
    ];
    for (what, export) in cases {
        let files = Maker { export, ..Maker::new() }.seal();
        refused(what, &files.verify(), Check::FormatVersion, 15);
        let mut changed = files.clone();
        changed.edit("export.json.sig")[3] ^= 1;
        refused(what, &changed.verify(), Check::FormatVersion, 8);
    }
}

#[test]
fn evidence_that_is_too_old_has_its_own_exit_code() {
    let files = Maker::new().seal();
    for (max_age_seconds, exit) in [(None, 0), (Some(86_400), 0), (Some(86_399), 11), (Some(0), 11)]
    {
        let report = files.verify_as(&Policy { max_age_seconds, ..policy() });
        assert_eq!(report.exit_code(), exit, "{max_age_seconds:?}");
    }
    let mut changed = files.clone();
    changed.edit("README.md")[0] ^= 1;
    refused(
        "old and changed",
        &changed.verify_as(&Policy { max_age_seconds: Some(0), ..policy() }),
        Check::Age,
        8,
    );
}

#[test]
fn without_a_trusted_key_nothing_is_verified() {
    let report = Maker::new().seal().verify_as(&Policy { keys: Vec::new(), ..policy() });
    assert_eq!((report.exit_code(), report.verified), (8, false));
    assert_eq!(failed(&report), []);
    for check in [Check::Signer, Check::ManifestSignature, Check::ProvenanceSignature] {
        assert_eq!(report.result(check).expect("is there").state, State::NotChecked);
    }
    assert_eq!(report.result(Check::SetRoots).expect("is there").state, State::Pass);
}

#[test]
fn a_wrong_key_is_refused_and_any_of_several_trusted_keys_will_do() {
    let files = Maker::new().seal();
    let wrong = Policy { keys: vec![trusted("other", 2)], ..policy() };
    refused("wrong key", &files.verify_as(&wrong), Check::ManifestSignature, 8);
    refused("wrong key", &files.verify_as(&wrong), Check::ProvenanceSignature, 8);
    let keys = vec![trusted("other", 2), trusted("release", RELEASE), trusted("third", 3)];
    assert!(files.verify_as(&Policy { keys, ..policy() }).verified);
}

#[test]
fn the_detached_signature_and_the_bundle_are_by_the_same_key() {
    let mut files = Maker::new().seal();
    let signature = key(2).signature(&files.bytes["export.json"]);
    *files.edit("export.json.sig") = stella_seal::detached_sig(&signature).into_bytes();
    let keys = vec![trusted("release", RELEASE), trusted("other", 2)];
    refused(
        "two keys",
        &files.verify_as(&Policy { keys, ..policy() }),
        Check::ManifestSignature,
        8,
    );
}

#[test]
fn further_signatures_by_unknown_keys_change_nothing_and_by_known_ones_count() {
    let mut files = Maker::new().seal();
    let (name, bytes) = further("audit", 3, &files);
    files.bytes.insert(name.clone(), bytes);
    let report = files.verify();
    assert!(report.verified);
    assert_eq!(report.result(Check::FurtherSignatures).expect("is there").state, State::NotUsed);
    let keys = vec![trusted("release", RELEASE), trusted("auditor", 3)];
    let both = Policy { keys, ..policy() };
    let report = files.verify_as(&both);
    assert!(report.verified);
    assert_eq!(report.result(Check::FurtherSignatures).expect("is there").state, State::Pass);
    assert_eq!(report.signers.len(), 2);
    // Inside a signature by an unknown key a bit may change unnoticed; by a known key it may not.
    let bytes = files.edit(&name);
    let at = find(bytes, b"\"signature\":\"") + 40;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    assert!(files.verify().verified);
    refused("known", &files.verify_as(&both), Check::FurtherSignatures, 8);
}

#[test]
fn an_unsigned_bundle_is_accepted_only_if_told() {
    let mut files = Maker::new().seal();
    files.bytes.retain(|name, _| !name.contains(".sig"));
    refused("unsigned", &files.verify(), Check::ManifestSignature, 8);
    let lenient = Policy { unsigned: Unsigned::AcceptForTesting, ..policy() };
    let report = files.verify_as(&lenient);
    assert!(report.verified, "{:?}", failed(&report));
    files.edit("README.md")[0] ^= 1;
    refused("unsigned, changed", &files.verify_as(&lenient), Check::PartDigests, 8);
    // A bundle that lost only some of its signatures is no unsigned bundle.
    let mut partly = Maker::new().seal();
    partly.bytes.remove("export.json.sigstore.json");
    partly.bytes.remove("export.json.sig");
    refused("partly", &partly.verify_as(&lenient), Check::ManifestSignature, 8);
}

#[test]
fn documents_are_parsed_only_if_asked_for() {
    let mut maker = Maker::new();
    let records = [("A-000".to_owned(), "{\"a\": 1}".to_owned())];
    maker.parts[4] = part(&maker.parts[4].set, &records);
    let files = maker.seal();
    let shallow = files.verify_as(&Policy { depth: Depth::Digests, ..policy() });
    assert_eq!(failed(&shallow), [Check::SetRoots]);
    assert!(failed(&files.verify()).contains(&Check::Documents));
}

#[test]
fn every_flipped_bit_is_refused() {
    let good = Maker::new().seal();
    let mut state: u64 = 0x5DEE_CE66;
    for round in 0..600 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Every file in turn, so that small ones are hit as often as large ones.
        let name = good.bytes.keys().nth(round % good.bytes.len()).expect("in range").clone();
        let mut files = good.clone();
        let bytes = files.edit(&name);
        let at = (state >> 33) as usize % bytes.len();
        let bit = (state >> 20) as u32 % 8;
        bytes[at] ^= 1 << bit;
        let report = files.verify();
        let expected: &[Check] = match name.as_str() {
            "export.json" | "export.json.sig" | "export.json.sigstore.json" => {
                &[Check::ManifestSignature]
            }
            "provenance.json" | "provenance.json.sigstore.json" => &[Check::ProvenanceSignature],
            _ => &[Check::PartDigests],
        };
        let failed = failed(&report);
        let named = failed.iter().any(|check| expected.contains(check));
        assert!(named, "{name} byte {at} bit {bit}: {failed:?}");
        // A flip may make the manifest claim a version that does not exist.
        assert_eq!(report.exit_code(), 8, "{name} byte {at} bit {bit}");
    }
}

#[test]
fn the_tables_hold_at_least_sixty_mutations() {
    assert!(
        CHANGED_AFTER_SIGNING.len() >= 55 && SIGNED.len() >= 75,
        "{} {}",
        CHANGED_AFTER_SIGNING.len(),
        SIGNED.len()
    );
    let mut names: Vec<_> = CHANGED_AFTER_SIGNING.iter().map(|row| row.0).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CHANGED_AFTER_SIGNING.len());
    // Every check but those with tests of their own has a row.
    let apart = [Check::FormatVersion, Check::Age, Check::Signer, Check::TransparencyLog];
    for check in Check::ALL.iter().filter(|check| !apart.contains(check)) {
        let rows =
            CHANGED_AFTER_SIGNING.iter().map(|row| row.1).chain(SIGNED.iter().map(|row| row.1));
        assert!(rows.into_iter().any(|row| row == *check), "{check:?} has no mutation");
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).expect("is in the file")
}

fn replace(bytes: &mut Vec<u8>, from: &str, to: &str) {
    let at = find(bytes, from.as_bytes());
    bytes.splice(at..at + from.len(), to.bytes());
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
