//! Changes to a bundle by someone who does not have the key.

use stella_manifest::ExportManifest;
use stella_model::Digest;
use stella_verify::Check;

use crate::maker::{Files, Maker, RELEASE, find, further, key, replace, sign};

pub(crate) type FilesChange = fn(&mut Files);

/// Changes without the key.
pub(crate) const CHANGED_AFTER_SIGNING: &[(&str, Check, FilesChange)] = &[
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
    ("a further signed statement of another type", Check::FurtherSignatures, |f| {
        let auditor = key(3);
        let statement = f.bytes["provenance.json"].clone();
        let envelope = stella_seal::dsse::Envelope::sign(&auditor, "text/plain", &statement);
        let bundle = stella_seal::SigstoreBundle::dsse(auditor.public(), envelope.expect("signs"));
        let name = format!("signatures/audit.{}.sigstore.json", auditor.public().hint8());
        f.bytes.insert(name, bundle.to_bytes());
    }),
    ("a fault of the carrier", Check::Carrier, |f| {
        let (at, problem) = ("data/link".to_owned(), "a symbolic link".to_owned());
        f.faults.push(stella_verify::CarrierFault { at, problem });
    }),
];
