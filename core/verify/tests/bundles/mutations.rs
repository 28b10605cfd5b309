//! Every change of a bundle is refused, and the right check says so.
//!
//! Two tables. In the first the bundle was changed after it was signed, by someone without the key.
//! In the second the publisher signed something that is not what the format describes.

use stella_verify::{Check, Depth, Policy, Report, State, Unsigned};

use crate::changed::CHANGED_AFTER_SIGNING;
use crate::maker::{Maker, RELEASE, find, further, key, part, policy, replace, trusted};
use crate::signed::{Lie, SIGNED};

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
    assert_eq!(
        not_used,
        [
            Check::FurtherSignatures,
            Check::ScannerPackaging,
            Check::ScannerDatabase,
            Check::ScannerJavaIndex,
            Check::ScannerVex,
            Check::ScannerReport,
            Check::ScannerCanary,
            Check::Age,
            Check::TransparencyLog
        ]
    );
    assert_eq!(report.bundle.as_ref().map(|bundle| bundle.records), Some(15));
}

#[test]
fn what_was_changed_after_signing_is_refused() {
    let good = Maker::new().seal();
    for (what, check, change) in CHANGED_AFTER_SIGNING {
        let mut files = good.clone();
        change(&mut files);
        refused(what, &files.verify(), *check, 8);
    }
}

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
        refused(what, &changed.verify(), Check::ManifestSignature, 8);
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
    let ahead = |as_of: &str, max_age_seconds| {
        let now = stella_model::Instant::parse(as_of).expect("a time");
        files.verify_as(&Policy { now, max_age_seconds, ..policy() }).exit_code()
    };
    assert_eq!(ahead("2026-10-31T00:00:00Z", Some(0)), 0);
    assert_eq!(ahead("2026-10-30T23:59:59Z", Some(u64::MAX)), 11);
    assert_eq!(ahead("2026-10-30T23:59:59Z", None), 0);
    let next = |as_of: &str| {
        let now = stella_model::Instant::parse(as_of).expect("a time");
        let report = files.verify_as(&Policy { now, max_age_seconds: Some(0), ..policy() });
        report.checks.iter().find(|result| result.check == Check::Age).and_then(|age| age.next)
    };
    let (older, newer) = (next("2026-12-31T00:00:00Z"), next("2026-10-30T23:59:59Z"));
    assert!(older.is_some_and(|next| next.contains("newer bundle")), "{older:?}");
    assert!(newer.is_some_and(|next| next.contains("clock")), "{newer:?}");
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
fn a_manifest_that_no_trusted_key_signed_is_not_parsed() {
    let mut files = Maker::new().seal();
    *files.edit("export.json") = b"{\"formatVersion\":9".to_vec();
    let report = files.verify();
    assert_eq!(failed(&report), [Check::ManifestSignature]);
    for check in [Check::FormatVersion, Check::ManifestForm, Check::Provenance, Check::PartDigests]
    {
        let result = report.result(check).expect("is there");
        assert_eq!(result.state, State::NotChecked);
        assert_eq!(result.detail, "the manifest is not signed by a trusted key");
    }
    assert!(report.bundle.is_none());
    let without = Policy { keys: Vec::new(), ..policy() };
    assert!(failed(&files.verify_as(&without)).contains(&Check::ManifestForm));
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
    let apart = [
        Check::FormatVersion,
        Check::Age,
        Check::Signer,
        Check::TransparencyLog,
        Check::Proof,
        Check::ScannerPackaging,
        Check::ScannerDatabase,
        Check::ScannerJavaIndex,
        Check::ScannerVex,
        Check::ScannerReport,
        Check::ScannerCanary,
    ];
    for check in Check::ALL.iter().filter(|check| !apart.contains(check)) {
        let rows =
            CHANGED_AFTER_SIGNING.iter().map(|row| row.1).chain(SIGNED.iter().map(|row| row.1));
        assert!(rows.into_iter().any(|row| row == *check), "{check:?} has no mutation");
    }
}
