//! Proofs of presence and absence against a signed manifest.

use stella_manifest::ExportManifest;
use stella_model::{Digest, RecordId};
use stella_records::setroot::{PathBuilder, leaf};
use stella_verify::proof::{Proof, ProofError, ProofLeaf, Proven};
use stella_verify::{Check, ProofFiles, State, verify_proof};

use crate::maker::{Maker, RELEASE, policy, trusted};

struct Set {
    manifest: ExportManifest,
    export: Vec<u8>,
    records: Vec<(String, Digest)>,
}

/// The set advisory/npm of the bundle.
fn set() -> Set {
    let files = Maker::new().seal();
    let export = files.bytes["export.json"].clone();
    let manifest = ExportManifest::from_bytes(&export).expect("a manifest");
    let mut records = Vec::new();
    for part in &Maker::new().parts[..3] {
        for line in part.data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line = stella_records::line::parse_line(line).expect("a line");
            records.push((line.id.to_string(), line.content_digest));
        }
    }
    Set { manifest, export, records }
}

impl Set {
    /// A proof about an id that shows these records.
    fn proof(&self, id: &str, shown: &[usize]) -> Proof {
        let entry = &self.manifest.sets[0];
        let key = "advisory/npm".parse().expect("a set");
        let shown = shown.iter().map(|index| {
            let mut path = PathBuilder::new(*index as u64, entry.count).expect("in range");
            for (id, digest) in &self.records {
                path.push(leaf(&key, id, digest));
            }
            let (id, content_digest) = &self.records[*index];
            ProofLeaf {
                content_digest: *content_digest,
                id: RecordId::new(id).expect("an id"),
                index: *index as u64,
                path: path.finish(),
            }
        });
        Proof {
            count: entry.count,
            export: Digest::of(&self.export).into(),
            feed: entry.feed.clone(),
            format_version: 1,
            id: RecordId::new(id).expect("an id"),
            kind: entry.kind.clone(),
            leaves: shown.collect(),
            root: entry.root,
        }
    }

    fn check(&self, proof: &Proof) -> Result<Proven, ProofError> {
        assert_eq!(Proof::from_bytes(&proof.to_bytes()).as_ref(), Ok(proof));
        proof.check(&self.manifest, &Digest::of(&self.export))
    }
}

#[test]
fn every_record_is_proven_and_every_gap() {
    let set = set();
    assert_eq!(set.records.len(), 11);
    for (index, (id, digest)) in set.records.iter().enumerate() {
        let proven = set.check(&set.proof(id, &[index]));
        assert_eq!(proven, Ok(Proven::Presence { content_digest: *digest }));
    }
    for (id, shown) in [("A", &[0][..]), ("A-009", &[8, 9]), ("A-0000", &[0, 1]), ("B", &[10])] {
        assert_eq!(set.check(&set.proof(id, shown)), Ok(Proven::Absence), "{id}");
    }
}

#[test]
fn what_is_shown_must_enclose_the_place_of_the_record() {
    let set = set();
    let cases: [(&str, &[usize]); 9] = [
        ("A-009", &[]),
        ("A-009", &[8]),
        ("A-009", &[9]),
        ("A-009", &[7, 9]),
        ("A-009", &[9, 8]),
        ("A-009", &[8, 9, 10]),
        ("A-003", &[2, 4]),
        ("A-003", &[3, 4]),
        ("B", &[9, 10]),
    ];
    for (id, shown) in cases {
        assert!(
            matches!(set.check(&set.proof(id, shown)), Err(ProofError::Leaves(_))),
            "{id} {shown:?}"
        );
    }
}

#[test]
fn a_changed_proof_proves_nothing() {
    let set = set();
    type Change = fn(&mut Proof);
    let changes: [(&str, Change); 10] = [
        ("digest of the document", |p| p.leaves[0].content_digest = Digest::of(b"x")),
        ("id", |p| p.id = RecordId::new("A-001").expect("an id")),
        ("id of the leaf", |p| p.leaves[0].id = RecordId::new("A-001").expect("an id")),
        ("index", |p| p.leaves[0].index = 1),
        ("index out of range", |p| p.leaves[0].index = 1 << 40),
        ("path", |p| p.leaves[0].path[1] = Digest::EMPTY),
        ("shorter path", |p| p.leaves[0].path.truncate(1)),
        ("count", |p| p.count = 12),
        ("root", |p| p.root = Digest::EMPTY),
        ("feed", |p| p.feed = "acme".parse().expect("a feed")),
    ];
    for (what, change) in changes {
        let mut proof = set.proof("A-002", &[2]);
        assert!(set.check(&proof).is_ok());
        change(&mut proof);
        assert!(set.check(&proof).is_err(), "{what}");
    }
    let mut other = set.proof("A-002", &[2]);
    other.export = Digest::of(b"other").into();
    assert!(matches!(set.check(&other), Err(ProofError::OtherBundle { .. })));
}

#[test]
fn a_set_that_is_not_listed_holds_nothing() {
    let set = set();
    let mut proof = set.proof("A-002", &[]);
    proof.feed = "none".parse().expect("a feed");
    (proof.count, proof.root) = (0, Digest::EMPTY);
    assert_eq!(set.check(&proof), Ok(Proven::Absence));
    proof.count = 1;
    assert!(set.check(&proof).is_err());
}

#[test]
fn other_spellings_and_versions_are_refused() {
    let text = String::from_utf8(set().proof("A-002", &[2]).to_bytes()).expect("UTF-8");
    for (from, to) in [
        ("{\"count", "{ \"count"),
        ("\"formatVersion\":1", "\"formatVersion\":2"),
        ("{\"count", "{\"a\":1,\"count"),
    ] {
        assert!(Proof::from_bytes(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
    }
    assert!(Proof::from_bytes(format!("{text}\n").as_bytes()).is_err());
}

#[test]
fn a_proof_counts_only_with_a_signed_manifest() {
    let files = Maker::new().seal();
    let set = set();
    let proof = set.proof("A-002", &[2]).to_bytes();
    let keys = policy().keys;
    let limits = policy().limits;
    let given = ProofFiles {
        proof: &proof,
        export: &files.bytes["export.json"],
        export_sig: Some(&files.bytes["export.json.sig"]),
        export_bundle: Some(&files.bytes["export.json.sigstore.json"]),
    };
    let good = verify_proof(given, &keys, &limits);
    assert!(good.report.verified && matches!(good.proven, Some(Proven::Presence { .. })));
    assert_eq!(good.report.checks.len(), 5);
    let mut changed = files.bytes["export.json"].clone();
    changed[50] ^= 1;
    let unsigned = ProofFiles { export_sig: None, export_bundle: None, ..given };
    let cases = [
        ("no key", given, vec![], None),
        ("wrong key", given, vec![trusted("x", 2)], Some(Check::ManifestSignature)),
        ("unsigned", unsigned, keys.clone(), Some(Check::ManifestSignature)),
        (
            "changed",
            ProofFiles { export: &changed, ..given },
            keys.clone(),
            Some(Check::ManifestSignature),
        ),
        ("no proof", ProofFiles { proof: b"{}", ..given }, keys.clone(), Some(Check::Proof)),
    ];
    for (what, files, keys, check) in cases {
        let report = verify_proof(files, &keys, &limits);
        assert_eq!((report.report.exit_code(), report.proven), (8, None), "{what}");
        if let Some(check) = check {
            assert_eq!(report.report.result(check).map(|r| r.state), Some(State::Fail), "{what}");
        }
    }
    assert!(verify_proof(given, &[trusted("release", RELEASE)], &limits).report.verified);
}

#[test]
fn a_manifest_that_lists_a_set_twice_proves_nothing() {
    let mut maker = Maker::new();
    maker.manifest = |manifest| {
        let mut other = manifest.sets[0].clone();
        other.root = Digest::EMPTY;
        manifest.sets.push(other);
    };
    let files = maker.seal();
    let mut proof = set().proof("A-002", &[2]);
    proof.export = Digest::of(&files.bytes["export.json"]).into();
    let given = ProofFiles {
        proof: &proof.to_bytes(),
        export: &files.bytes["export.json"],
        export_sig: Some(&files.bytes["export.json.sig"]),
        export_bundle: Some(&files.bytes["export.json.sigstore.json"]),
    };
    let report = verify_proof(given, &policy().keys, &policy().limits);
    assert_eq!((report.report.exit_code(), report.proven), (8, None));
    assert_eq!(report.report.result(Check::ManifestForm).map(|r| r.state), Some(State::Fail));
}
