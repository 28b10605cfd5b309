//! All real data, member by member: what is recognised as what, what is rejected and why, and
//! which identities meet.
//!
//! The small archives are read in every run, the rest with `STELLA_FULL=1`. Counts of records
//! agree with `README.md` of the data; a change of any figure here is a change of behaviour.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test reads files; INV-PURE binds the crate"
)]

mod archive;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use archive::each_document;
use stella_model::{Digest, Limits};
use stella_records::view::Evidence;
use stella_records::{Draft, Facets, Recognised, recognise, reread};
use stella_testkit::{data_dir, full};

/// What an archive must yield.
struct Expected {
    archive: &'static str,
    /// Members, or lines of a JSONL archive.
    documents: usize,
    /// Records by format, companions, reports without findings, rejections by reason.
    counts: &'static [(&'static str, usize)],
    /// Records beyond the first of their identity that differ from it, and that equal another.
    differing: usize,
    equal: usize,
    /// Read only with `STELLA_FULL=1`.
    large: bool,
}

const fn archive(
    archive: &'static str,
    documents: usize,
    counts: &'static [(&'static str, usize)],
) -> Expected {
    Expected { archive, documents, counts, differing: 0, equal: 0, large: false }
}

impl Expected {
    /// Identities that meet: test cases made from one template, one SBOM in two formats, versions.
    const fn meeting(mut self, differing: usize, equal: usize) -> Expected {
        self.differing = differing;
        self.equal = equal;
        self
    }

    const fn large(mut self) -> Expected {
        self.large = true;
        self
    }
}

const ARCHIVES: &[Expected] = &[
    archive("advisories/almalinux.osv.jsonl.zst", 4879, &[("osv", 4879)]).large(),
    archive("advisories/bitnami.osv.jsonl.zst", 6415, &[("osv", 6415)]).large(),
    archive("advisories/cpython.osv.jsonl.zst", 116, &[("osv", 116)]),
    archive("advisories/cran.osv.jsonl.zst", 14, &[("osv", 14)]),
    archive("advisories/crates.io.osv.jsonl.zst", 1047, &[("osv", 1047)]),
    // Lines that wrap an OSV document: see `duplicate_ids_across_folders`.
    archive("advisories/edge-duplicate-ids.jsonl.zst", 79, &[("unknown-format", 79)]),
    archive("advisories/ghsa-mix.osv.jsonl.zst", 343, &[("osv", 343)]),
    archive("advisories/go.osv.jsonl.zst", 3673, &[("osv", 3673)]),
    archive("advisories/kubernetes.osv.jsonl.zst", 47, &[("osv", 47)]),
    archive("advisories/ocaml.osv.jsonl.zst", 26, &[("osv", 26)]),
    archive("advisories/oss-fuzz.osv.jsonl.zst", 3485, &[("osv", 3485)]),
    archive("advisories/pypi.osv.jsonl.zst", 2277, &[("osv", 2277)]),
    archive("advisories-raw/crates.io-rustsec-toml-md.tar.zst", 1062, &[("unknown-format", 1062)]),
    archive("advisories-raw/cve-json5.tar.zst", 11, &[("unknown-format", 11)]),
    archive("advisories-raw/nodejs-security-wg-json.tar.zst", 554, &[("unknown-format", 554)]),
    archive(
        "advisories-raw/packagist-friendsofphp-yaml.tar.zst",
        1395,
        &[("unknown-format", 1395)],
    ),
    archive("advisories-raw/rubygems-rubysec-yaml.tar.zst", 969, &[("unknown-format", 969)]),
    archive("attestations/guac-data-slsa-scorecard.tar.zst", 16, &[("unknown-format", 16)]),
    archive("csaf/cisa-csaf.tar.zst", 1845, &[("csaf-advisory", 1845)]).large(),
    archive("csaf/csaf-validator-cases.tar.zst", 53, &[("csaf-advisory", 52), ("no-identity", 1)])
        .meeting(2, 0),
    archive("csaf/redhat-csaf.tar.zst", 10, &[("csaf-advisory", 10)]).large(),
    archive(
        "findings/defectdojo-other-scanners.tar.zst",
        111,
        &[
            ("csaf-advisory", 2),
            ("cyclonedx-json", 6),
            ("cyclonedx-xml", 8),
            ("empty report", 1),
            ("grype-finding", 1904),
            ("invalid-json", 2),
            ("unknown-format", 75),
            ("unsupported-version", 4),
        ],
    )
    .meeting(8, 1),
    archive(
        "findings/defectdojo-trivy.tar.zst",
        38,
        &[
            ("empty report", 1),
            ("trivy-finding", 60),
            ("unknown-format", 24),
            ("unsupported-version", 2),
        ],
    )
    .meeting(9, 2),
    archive("java/maven-jars-pyspark-3.5.3.jsonl.zst", 252, &[("jar-list", 252)]),
    archive("policy/defectdojo-policy-results.tar.zst", 19, &[("unknown-format", 19)]),
    archive("policy/gatekeeper-constraint-samples.tar.zst", 245, &[("unknown-format", 245)]),
    archive("sbom/bom-shelter-lab.tar.zst", 278, &[("spdx-json", 278)]).large(),
    archive("sbom/bom-shelter-scale.tar.zst", 1310, &[("spdx-json", 1310)]).large(),
    // Two files without line breaks, one empty namespace, one SPDX 2.1, one with trailing text.
    archive(
        "sbom/bom-shelter-wild-spdx.tar.zst",
        33,
        &[
            ("invalid-json", 1),
            ("no-identity", 1),
            ("spdx-json", 13),
            ("spdx-tag-value", 15),
            ("unknown-format", 2),
            ("unsupported-version", 1),
        ],
    )
    .meeting(7, 1),
    archive(
        "sbom/cyclonedx-bom-examples.tar.zst",
        35,
        &[("cyclonedx-json", 20), ("cyclonedx-xml", 15)],
    )
    .meeting(19, 0),
    // 167 textproto files and 6 `invalid-bomformat-*` are no format that is read; CycloneDX 1.0,
    // 1.1 and the made-up versions of `invalid-namespace-*` are versions that are not.
    archive(
        "sbom/cyclonedx-spec-cases.tar.zst",
        827,
        &[
            ("cyclonedx-json", 295),
            ("cyclonedx-xml", 324),
            ("unknown-format", 173),
            ("unsupported-version", 35),
        ],
    )
    .meeting(605, 0),
    archive("sbom/guac-data.tar.zst", 81, &[("cyclonedx-json", 17), ("spdx-json", 64)]).large(),
    archive(
        "sbom/spdx-examples.tar.zst",
        27,
        &[("spdx-json", 15), ("spdx-tag-value", 11), ("spdx3", 1)],
    )
    .meeting(3, 0),
    // broken-refs and loop are broken in what they carry, not in who they are.
    archive("sbom/trustify-redhat-sboms.tar.zst", 99, &[("cyclonedx-json", 63), ("spdx-json", 36)])
        .meeting(19, 1)
        .large(),
    archive("vex/csaf-vex.tar.zst", 19, &[("csaf-vex", 19)]),
    archive("vex/cyclonedx-vex.tar.zst", 32, &[("cyclonedx-json", 32)]).meeting(10, 3),
    archive("vex/openvex-aqua-vexhub.tar.zst", 118, &[("companion", 59), ("openvex", 59)])
        .meeting(0, 2),
    archive("vex/openvex-rancher-vexhub.tar.zst", 971, &[("openvex", 971)]).large(),
    archive("vex/openvex-vexctl.tar.zst", 17, &[("openvex", 17)]).meeting(3, 3),
];

#[test]
fn every_member_of_every_archive_is_what_it_should_be() {
    let Some(data) = data_dir() else { return };
    let mut wrong = String::new();
    for expected in ARCHIVES.iter().filter(|expected| full() || !expected.large) {
        let found = read_archive(&data.join(expected.archive));
        let counts: Vec<(&str, usize)> =
            found.counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        let (differing, equal) = found.meetings();
        if (found.documents, &counts[..], differing, equal)
            != (expected.documents, expected.counts, expected.differing, expected.equal)
        {
            wrong += &format!(
                "{}: {} documents, {counts:?}, {differing} differing, {equal} equal\n",
                expected.archive, found.documents
            );
        }
    }
    assert!(wrong.is_empty(), "archives that yield something else:\n{wrong}");
}

#[test]
fn the_table_names_every_archive_there_is() {
    let Some(data) = data_dir() else { return };
    let table: BTreeSet<&str> = ARCHIVES.iter().map(|expected| expected.archive).collect();
    let folders: BTreeSet<&str> =
        ARCHIVES.iter().filter_map(|expected| expected.archive.split('/').next()).collect();
    for folder in folders {
        for entry in std::fs::read_dir(data.join(folder)).expect("a folder of the data") {
            let name = entry.expect("a readable folder").file_name();
            let name = format!("{folder}/{}", name.to_string_lossy());
            assert!(table.contains(name.as_str()), "{name} is not in the table");
        }
    }
}

/// Both versions of documents whose ids occur in two folders of one publisher.
#[test]
fn duplicate_ids_across_folders_have_one_winner_whatever_the_order() {
    let Some(data) = data_dir() else { return };
    let mut versions: BTreeMap<String, Vec<Draft>> = BTreeMap::new();
    each_document(&data.join("advisories/edge-duplicate-ids.jsonl.zst"), &mut |path, bytes| {
        let start = find(bytes, b"\"doc\":") + "\"doc\":".len();
        let end = bytes.len() - 1;
        match recognise(path, &bytes[start..end], &Limits::DEFAULT) {
            Ok(Recognised::Records(mut drafts)) => {
                let draft = drafts.pop().expect("one record");
                versions.entry(draft.id.to_string()).or_default().push(draft);
            }
            other => panic!("{path}: {other:?}"),
        }
    });
    assert_eq!(versions.values().map(Vec::len).sum::<usize>(), 79);
    for (id, drafts) in versions {
        let key = |draft: &Draft| (draft.revision.clone(), draft.content_digest);
        let winner = drafts.iter().max_by_key(|draft| key(draft)).map(key);
        let reversed = drafts.iter().rev().max_by_key(|draft| key(draft)).map(key);
        assert_eq!(winner, reversed, "{id}");
    }
}

/// Of 22,322 advisories 57 are withdrawn, as the data's README says. Severities: 7,333 have a
/// `severity` list; labels of their databases make up for some of the rest.
#[test]
fn facets_agree_with_what_is_known_of_the_data() {
    let Some(data) = data_dir() else { return };
    if !full() {
        return;
    }
    let (mut records, mut withdrawn, mut severities, mut packages) = (0, 0, 0, 0);
    for expected in ARCHIVES.iter().filter(|expected| expected.archive.contains(".osv.")) {
        each_record(&data.join(expected.archive), &mut |draft| {
            records += 1;
            withdrawn += usize::from(draft.facets.withdrawn.is_some());
            severities += usize::from(draft.facets.severity.is_some());
            packages += usize::from(!draft.facets.packages.is_empty());
        });
    }
    assert_eq!((records, withdrawn, severities, packages), (22_322, 57, 10_453, 22_206));
}

/// Records, statements, products, products without purl, records that say what they are about,
/// records that list components. Every statement has a status that its format knows.
#[test]
fn views_find_statements_and_components_in_real_documents() {
    let Some(data) = data_dir() else { return };
    let cases = [
        ("vex/csaf-vex.tar.zst", [19, 59, 6627, 83, 0, 0]),
        ("vex/openvex-aqua-vexhub.tar.zst", [59, 15_304, 15_350, 0, 0, 0]),
        ("vex/openvex-vexctl.tar.zst", [17, 25, 24, 2, 0, 0]),
        ("vex/cyclonedx-vex.tar.zst", [32, 100, 141, 141, 26, 0]),
        ("sbom/cyclonedx-bom-examples.tar.zst", [35, 0, 0, 0, 35, 34]),
        ("sbom/bom-shelter-wild-spdx.tar.zst", [28, 0, 0, 0, 8, 28]),
        ("sbom/spdx-examples.tar.zst", [27, 0, 0, 0, 26, 26]),
    ];
    for (archive, expected) in cases {
        let mut found = [0; 6];
        each_record(&data.join(archive), &mut |draft| {
            count_views(draft, &mut found);
        });
        assert_eq!(found, expected, "{archive}");
    }
}

fn count_views(draft: &Draft, found: &mut [usize; 6]) {
    let evidence = Evidence::open(draft.format, &draft.content, &Limits::DEFAULT).expect("content");
    found[0] += 1;
    if let Some(vex) = evidence.vex() {
        vex.each_statement(&mut |statement| {
            assert!(statement.status.is_some(), "{}: {statement:?}", draft.id);
            found[1] += 1;
            found[2] += statement.products.len();
            found[3] += statement.products.iter().filter(|product| product.purl.is_none()).count();
        });
    }
    if let Some(sbom) = evidence.sbom() {
        let (mut subjects, mut components) = (0, 0);
        sbom.each_subject(&mut |_| subjects += 1);
        sbom.each_component(&mut |_| components += 1);
        found[4] += usize::from(subjects > 0);
        found[5] += usize::from(components > 0);
    }
}

fn each_record(archive: &Path, record: &mut dyn FnMut(&Draft)) {
    each_document(archive, &mut |name, bytes| {
        if let Ok(Recognised::Records(drafts)) = recognise(name, bytes, &Limits::DEFAULT) {
            drafts.iter().for_each(&mut *record);
        }
    });
}

/// What one archive yielded.
#[derive(Default)]
struct Found {
    documents: usize,
    counts: BTreeMap<String, usize>,
    identities: BTreeMap<(String, String), Vec<Digest>>,
}

impl Found {
    fn meetings(&self) -> (usize, usize) {
        let (mut differing, mut equal) = (0, 0);
        for digests in self.identities.values() {
            let distinct: BTreeSet<&Digest> = digests.iter().collect();
            differing += distinct.len() - 1;
            equal += digests.len() - distinct.len();
        }
        (differing, equal)
    }

    fn count(&mut self, name: &str) {
        *self.counts.entry(name.to_owned()).or_default() += 1;
    }
}

fn read_archive(path: &Path) -> Found {
    let mut found = Found::default();
    each_document(path, &mut |name, bytes| {
        found.documents += 1;
        match recognise(name, bytes, &Limits::DEFAULT) {
            Ok(Recognised::Records(drafts)) => {
                if drafts.is_empty() {
                    found.count("empty report");
                }
                for draft in drafts {
                    check_draft(name, bytes, &draft);
                    found.count(draft.format.as_str());
                    let identity = (draft.kind.to_string(), draft.id.to_string());
                    found.identities.entry(identity).or_default().push(draft.content_digest);
                }
            }
            Ok(Recognised::Companion) => found.count("companion"),
            Ok(Recognised::Ignored) => found.count("ignored"),
            Err(rejection) => found.count(rejection.reason.as_str()),
        }
    });
    found
}

/// What holds for every record: the digest is that of the content, the content is its own
/// canonical form, and the facets can be derived again from the content alone.
fn check_draft(name: &str, received: &[u8], draft: &Draft) {
    assert_eq!(draft.content_digest, Digest::of(&draft.content), "{name}");
    assert_eq!(draft.verbatim, draft.content == received, "{name}");
    // Reading a second time doubles the work; a sixteenth of the records shows it well enough.
    if draft.content_digest.as_bytes()[0] >= 16 {
        return;
    }
    let evidence = Evidence::open(draft.format, &draft.content, &Limits::DEFAULT).expect(name);
    assert_eq!(Facets::of(&draft.id, &evidence), draft.facets, "{name}");
    let again = reread(draft.format, &draft.id, &draft.content, &Limits::DEFAULT);
    assert_eq!(again, Ok(Draft { verbatim: true, ..draft.clone() }), "{name}");
}

fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).expect("the part is there")
}
