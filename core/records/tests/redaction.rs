//! All real data under the standard redaction: what is taken out of documents that conform to
//! their formats, and that hardly anything but personal data is.
//!
//! The small archives are read in every run, the rest with `STELLA_FULL=1`. A change of any figure
//! here is a change of what bundles hold.

#![expect(clippy::disallowed_types, reason = "a test reads files; INV-PURE binds the crate")]

mod archive;

use std::collections::BTreeSet;
use std::path::Path;

use archive::each_document;
use stella_model::Limits;
use stella_model::json::{Document, Value};
use stella_records::redact::{Redacted, RedactionCounts, RuleSet};
use stella_records::{Draft, Recognised, recognise};
use stella_testkit::{data_dir, full};

/// What redaction must do to an archive.
struct Expected {
    archive: &'static str,
    /// Records in which something was redacted, and records that are left out.
    records: (u64, u64),
    /// Redacted values by rule.
    rules: &'static [(&'static str, u64)],
    /// Read only with `STELLA_FULL=1`.
    large: bool,
}

const fn archive(
    archive: &'static str,
    records: (u64, u64),
    rules: &'static [(&'static str, u64)],
) -> Expected {
    Expected { archive, records, rules, large: false }
}

const fn large(
    archive: &'static str,
    records: (u64, u64),
    rules: &'static [(&'static str, u64)],
) -> Expected {
    Expected { archive, records, rules, large: true }
}

const ARCHIVES: &[Expected] = &[
    large("advisories/almalinux.osv.jsonl.zst", (0, 0), &[]),
    large("advisories/bitnami.osv.jsonl.zst", (5, 0), &[("email", 3), ("internal-url", 2)]),
    archive("advisories/cpython.osv.jsonl.zst", (2, 0), &[("internal-url", 3)]),
    archive("advisories/cran.osv.jsonl.zst", (0, 0), &[]),
    archive(
        "advisories/crates.io.osv.jsonl.zst",
        (3, 0),
        &[("email", 10), ("home-path", 1), ("internal-url", 2)],
    ),
    archive("advisories/edge-duplicate-ids.jsonl.zst", (0, 0), &[]),
    archive("advisories/ghsa-mix.osv.jsonl.zst", (6, 0), &[("email", 4), ("internal-url", 5)]),
    archive("advisories/go.osv.jsonl.zst", (7, 0), &[("email", 6), ("internal-url", 1)]),
    archive("advisories/kubernetes.osv.jsonl.zst", (0, 0), &[]),
    archive("advisories/ocaml.osv.jsonl.zst", (2, 0), &[("email", 5)]),
    archive("advisories/oss-fuzz.osv.jsonl.zst", (0, 0), &[]),
    archive("advisories/pypi.osv.jsonl.zst", (4, 0), &[("internal-url", 4)]),
    large(
        "csaf/cisa-csaf.tar.zst",
        (33, 0),
        &[("email", 101), ("secret", 10), ("url-credentials", 1)],
    ),
    archive("csaf/csaf-validator-cases.tar.zst", (3, 0), &[("allow-list", 5)]),
    large("csaf/redhat-csaf.tar.zst", (3, 0), &[("email", 4)]),
    archive(
        "findings/defectdojo-other-scanners.tar.zst",
        (41, 8),
        &[("allow-list", 38), ("email", 6)],
    ),
    archive("findings/defectdojo-trivy.tar.zst", (4, 0), &[("allow-list", 4)]),
    large(
        "sbom/bom-shelter-lab.tar.zst",
        (55, 0),
        &[("email", 19300), ("home-path", 4), ("url-credentials", 2)],
    ),
    large("sbom/bom-shelter-scale.tar.zst", (281, 0), &[("email", 72785), ("home-path", 458)]),
    archive("sbom/bom-shelter-wild-spdx.tar.zst", (6, 15), &[("allow-list", 1549), ("email", 2)]),
    archive(
        "sbom/cyclonedx-bom-examples.tar.zst",
        (8, 15),
        &[("allow-list", 30), ("email", 16), ("home-path", 6)],
    ),
    archive(
        "sbom/cyclonedx-spec-cases.tar.zst",
        (79, 324),
        &[("allow-list", 153), ("email", 41), ("encoded-content", 55), ("internal-url", 41)],
    ),
    large("sbom/guac-data.tar.zst", (75, 0), &[("email", 1898), ("home-path", 4)]),
    archive("sbom/spdx-examples.tar.zst", (10, 11), &[("email", 10)]),
    large(
        "sbom/trustify-redhat-sboms.tar.zst",
        (26, 0),
        &[("allow-list", 27), ("email", 12750), ("home-path", 125), ("internal-url", 4)],
    ),
    archive("vex/csaf-vex.tar.zst", (1, 0), &[("email", 1)]),
    archive("vex/cyclonedx-vex.tar.zst", (0, 0), &[]),
    archive("vex/openvex-aqua-vexhub.tar.zst", (0, 0), &[]),
    large("vex/openvex-rancher-vexhub.tar.zst", (0, 0), &[]),
    archive("vex/openvex-vexctl.tar.zst", (8, 0), &[("allow-list", 12)]),
];

/// Every member that is removed from real documents: telephone numbers, properties of private name
/// spaces, encoded contents, how a build was done, quoted code and secrets, labels of images, and
/// members that no specification knows (most of them in test cases).
const REMOVED: &[&str] = &[
    "csaf-advisory/document/custom_property",
    "csaf-advisory/vulnerabilities/scores/cvss_v3/modifiedConfidentialality",
    "csaf-advisory/vulnerabilities/scores/cvss_v3/modifiedIntegrity",
    "cyclonedx-json/annotations/annotator/individual/phone",
    "cyclonedx-json/annotations/annotator/service/provider/contact/phone",
    "cyclonedx-json/components/$comment",
    "cyclonedx-json/components/authors/phone",
    "cyclonedx-json/components/cryptoProperties/relatedCryptoMaterialProperties/value",
    "cyclonedx-json/components/externalReferences/properties[]",
    "cyclonedx-json/components/licenses/license/licensing/purchaser/individual/phone",
    "cyclonedx-json/components/licenses/license/properties[]",
    "cyclonedx-json/components/licenses/license/text/content",
    "cyclonedx-json/components/licenses/licensing/purchaser/individual/phone",
    "cyclonedx-json/components/modelCard/properties[]",
    "cyclonedx-json/components/modelCard/quantitativeAnalysis/graphics/collection/image/content",
    "cyclonedx-json/components/pedigree/patches/diff/text/content",
    "cyclonedx-json/components/properties[]",
    "cyclonedx-json/components/releaseNotes/notes/text/content",
    "cyclonedx-json/components/supplier/contact/phone",
    "cyclonedx-json/components/swid/text/content",
    "cyclonedx-json/formulation/workflows/inputs",
    "cyclonedx-json/formulation/workflows/outputs",
    "cyclonedx-json/formulation/workflows/properties[]",
    "cyclonedx-json/formulation/workflows/steps/commands",
    "cyclonedx-json/formulation/workflows/steps/properties[]",
    "cyclonedx-json/formulation/workflows/tasks/inputs",
    "cyclonedx-json/formulation/workflows/tasks/outputs",
    "cyclonedx-json/formulation/workflows/tasks/workspaces",
    "cyclonedx-json/formulation/workflows/trigger/conditions/properties[]",
    "cyclonedx-json/formulation/workflows/trigger/event",
    "cyclonedx-json/formulation/workflows/trigger/inputs",
    "cyclonedx-json/formulation/workflows/trigger/outputs",
    "cyclonedx-json/formulation/workflows/trigger/properties[]",
    "cyclonedx-json/formulation/workflows/workspaces",
    "cyclonedx-json/metadata/authors/phone",
    "cyclonedx-json/metadata/component/properties[]",
    "cyclonedx-json/metadata/component/releaseNotes/properties[]",
    "cyclonedx-json/metadata/component/swid/text/content",
    "cyclonedx-json/metadata/cpkg:maven/com.redhat.quarkus.platform/quarkus-bom@2.13.9.SP2-redhat-00003?type=pomomponent",
    "cyclonedx-json/metadata/properties[]",
    "cyclonedx-json/services/patentAssertions/asserter/contact/phone",
    "cyclonedx-json/services/properties[]",
    "cyclonedx-json/services/provider/contact/phone",
    "cyclonedx-json/services/releaseNotes/notes/text/content",
    "cyclonedx-json/vulnerabilities/proofOfConcept/supportingMaterial/content",
    "cyclonedx-json/vulnerabilities/properties[]",
    "grype-finding/report/source/target/labels",
    "openvex/format",
    "openvex/statements/statement",
    "spdx-json/files/name",
    "trivy-finding/match/CauseMetadata/Code",
    "trivy-finding/match/Match",
];

#[test]
fn real_documents_lose_what_they_should_and_no_more() {
    let Some(data) = data_dir() else { return };
    let rules = RuleSet::standard();
    let (mut wrong, mut removed) = (String::new(), BTreeSet::new());
    for expected in ARCHIVES.iter().filter(|expected| full() || !expected.large) {
        let mut counts = RedactionCounts::default();
        each_record(&data.join(expected.archive), &mut |draft| {
            redact(&rules, draft, &mut counts, &mut removed);
        });
        let found: Vec<(&str, u64)> =
            counts.rules.iter().map(|(rule, count)| (rule.as_str(), *count)).collect();
        let records = (counts.records, counts.not_redactable);
        if (records, &found[..]) != (expected.records, expected.rules) {
            wrong += &format!("(\"{}\", {records:?}, &{found:?}),\n", expected.archive);
        }
    }
    assert!(wrong.is_empty(), "archives in which something else is redacted:\n{wrong}");
    let unknown: Vec<&String> =
        removed.iter().filter(|path| !REMOVED.contains(&path.as_str())).collect();
    assert!(unknown.is_empty(), "members that are removed: {unknown:#?}");
    assert!(!full() || removed.len() == REMOVED.len(), "a member of the list is never removed");
}

/// Redacts a record, checks that a second time changes nothing, and notes which members are gone.
fn redact(
    rules: &RuleSet,
    draft: &Draft,
    counts: &mut RedactionCounts,
    removed: &mut BTreeSet<String>,
) {
    let mut out = Vec::new();
    let done = rules.apply(draft.format, &draft.content, &Limits::DEFAULT, &mut out, counts);
    if done.expect("a recognised document") != Redacted::Changed {
        assert!(out.is_empty(), "{}", draft.id);
        return;
    }
    let (mut again, mut none) = (Vec::new(), RedactionCounts::default());
    let done = rules.apply(draft.format, &out, &Limits::DEFAULT, &mut again, &mut none);
    assert_eq!(done, Ok(Redacted::Unchanged), "{}", draft.id);
    assert_eq!((again, none), (Vec::new(), RedactionCounts::default()), "{}", draft.id);
    let before = Document::parse(&draft.content, &Limits::DEFAULT).expect("a document");
    let after = Document::parse(&out, &Limits::DEFAULT).expect("a document");
    note_removed(before.root(), after.root(), draft.format.as_str(), removed);
}

/// Notes the paths of members that only the first document has. Lists that became shorter lost
/// items as a whole.
fn note_removed(before: Value<'_>, after: Value<'_>, path: &str, removed: &mut BTreeSet<String>) {
    for (name, member) in before.members() {
        let path = format!("{path}/{name}");
        match after.get(&name) {
            Some(after) => note_removed(member, after, &path, removed),
            None => drop(removed.insert(path)),
        }
    }
    let (left, right) = (before.items().count(), after.items().count());
    if left == right {
        for (before, after) in before.items().zip(after.items()) {
            note_removed(before, after, path, removed);
        }
    } else if left > right {
        removed.insert(format!("{path}[]"));
    }
}

fn each_record(archive: &Path, record: &mut dyn FnMut(&Draft)) {
    each_document(archive, &mut |name, bytes| {
        if let Ok(Recognised::Records(drafts)) = recognise(name, bytes, &Limits::DEFAULT) {
            drafts.iter().for_each(&mut *record);
        }
    });
}
