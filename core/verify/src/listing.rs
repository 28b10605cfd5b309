//! What the manifest alone must satisfy, and which files have to be there.

use std::collections::{BTreeMap, BTreeSet};

use stella_manifest::{ExportManifest, PartEntry, layout};
use stella_model::{Digest, Limits, SetKey};
use stella_records::line::{INDEX_MEDIA_TYPE, PART_MEDIA_TYPE};
use stella_seal::TRUSTED_ROOT;

use crate::BundleFiles;
use crate::report::{Check, Findings, MISSING, Problem, UNLISTED};

pub(crate) use layout::DATA;
use layout::INDEXES;

/// Most records of a set: what numbers in JSON hold exactly, and far from where sums overflow.
const RECORDS_MAX: u64 = 1 << 53;

/// Listed parts that every bundle has.
const REQUIRED: [&str; 4] =
    [layout::README, layout::NOTICE, layout::SHA256SUMS, layout::TRUSTED_ROOT];

/// A data part with what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct DataPart {
    /// Its place in the manifest's list.
    pub(crate) data: usize,
    /// The place of its index.
    pub(crate) index: usize,
    /// Its set.
    pub(crate) set: SetKey,
    /// Number of the first record within the set.
    pub(crate) start: u64,
}

/// Checks all that the manifest tells without a look into parts.
pub(crate) fn check_manifest(manifest: &ExportManifest, findings: &mut Findings) {
    check_lists(manifest, findings);
    check_totals(manifest, findings);
    check_feeds(manifest, findings);
    check_fixed_parts(manifest, findings);
}

fn check_lists(manifest: &ExportManifest, findings: &mut Findings) {
    let mut fail = |message: &str| {
        findings.fail(Check::ManifestForm, Problem::new(message).of(layout::EXPORT));
    };
    if let Err(message) = check_sets(manifest) {
        fail(message);
    }
    if !manifest.feeds.windows(2).all(|pair| pair[0].feed < pair[1].feed) {
        fail("its feeds are not sorted by name, or not unique");
    }
    if !manifest.outputs.windows(2).all(|pair| pair[0].adapter < pair[1].adapter) {
        fail("its outputs are not sorted by adapter, or not unique");
    }
    if !manifest.parts.windows(2).all(|pair| pair[0].path < pair[1].path) {
        fail("its parts are not sorted by path, or not unique");
    }
    if manifest.as_of.to_seconds() != manifest.as_of {
        fail("its asOf has a fraction of a second");
    }
    let redaction = &manifest.redaction;
    let redacted = redaction.records > 0 || !redaction.counts.is_empty();
    if redaction.digest.is_none() && (redacted || redaction.name != "none") {
        fail("it tells of redaction without the digest of its rules");
    }
    if let Some(part) = manifest.parts.iter().find(|part| layout::is_envelope(part.path.as_str())) {
        let problem = Problem::new("the manifest lists a file that carries its own signature");
        findings.fail(Check::ManifestForm, problem.of(part.path.as_str()));
    }
    findings.pass(Check::ManifestForm, "RFC 8785, lists sorted");
}

/// Checks the list of sets: each is there once, with a number of records that can be.
pub(crate) fn check_sets(manifest: &ExportManifest) -> Result<(), &'static str> {
    let key = |set: &stella_plan::SetEntry| (set.kind.clone(), set.feed.clone());
    if !manifest.sets.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])) {
        return Err("its sets are not sorted by kind and feed, or not unique");
    }
    if manifest.sets.iter().any(|set| set.count > RECORDS_MAX) {
        return Err("a set has more records than can be counted");
    }
    Ok(())
}

fn check_totals(manifest: &ExportManifest, findings: &mut Findings) {
    let counts = &manifest.counts;
    let sum = |numbers: &mut dyn Iterator<Item = u64>| numbers.fold(0, u64::saturating_add);
    let mut kinds = BTreeMap::new();
    for set in &manifest.sets {
        let count: &mut u64 = kinds.entry(set.kind.clone()).or_default();
        *count = count.saturating_add(set.count);
    }
    let data = manifest.parts.iter().filter(|part| part.path.as_str().starts_with(DATA));
    let uncompressed = sum(&mut data.map(|part| part.uncompressed_size.unwrap_or(0)));
    let totals = [
        ("bytes", counts.bytes, sum(&mut manifest.parts.iter().map(|part| part.size))),
        ("parts", counts.parts, manifest.parts.len() as u64),
        ("records", counts.records, sum(&mut manifest.sets.iter().map(|set| set.count))),
        ("uncompressedBytes", counts.uncompressed_bytes, uncompressed),
    ];
    for (what, told, summed) in totals {
        if told != summed {
            let problem = Problem::new(format!("counts.{what} is not the sum of its entries"));
            findings.fail(Check::Totals, problem.of(layout::EXPORT).expected(summed, told));
        }
    }
    if counts.kinds != kinds {
        let problem = Problem::new("counts.kinds are not the sums of the sets");
        let problem = problem.expected(format!("{kinds:?}"), format!("{:?}", counts.kinds));
        findings.fail(Check::Totals, problem.of(layout::EXPORT));
    }
    let noun = if counts.records == 1 { "record" } else { "records" };
    findings.pass(Check::Totals, format!("{} {noun}", counts.records));
}

fn check_feeds(manifest: &ExportManifest, findings: &mut Findings) {
    let listed: BTreeSet<_> = manifest.feeds.iter().map(|feed| &feed.feed).collect();
    for set in manifest.sets.iter().filter(|set| !listed.contains(&set.feed)) {
        let problem = Problem::new(format!(
            "the set {}/{} is of a feed that is not listed",
            set.kind, set.feed
        ));
        findings.fail(Check::Feeds, problem.of(layout::EXPORT));
    }
    findings.pass(Check::Feeds, format!("{} listed, all sets are of them", listed.len()));
}

fn check_fixed_parts(manifest: &ExportManifest, findings: &mut Findings) {
    let find = |name: &str| manifest.parts.iter().find(|part| part.path.as_str() == name);
    for name in REQUIRED.iter().filter(|name| find(name).is_none()) {
        let problem = Problem::new("the manifest does not list this file, which every bundle has");
        findings.fail(Check::FilesListed, problem.of(*name));
    }
    let mut sums = String::new();
    for part in manifest.parts.iter().filter(|part| part.path.as_str() != layout::SHA256SUMS) {
        sums.push_str(&format!("{}  {}\n", part.digest.sha256, part.path));
    }
    for (check, name, content, what) in [
        (Check::ChecksumsFile, layout::SHA256SUMS, sums.as_bytes(), "the sums of all other parts"),
        (Check::TrustedRoot, layout::TRUSTED_ROOT, TRUSTED_ROOT.as_bytes(), "the constant one"),
    ] {
        // The content is checked with the digests of all parts.
        let expected = Digest::of(content);
        match find(name) {
            Some(part) if part.digest.sha256 != expected => {
                let problem = Problem::new(format!("it is not {what}")).of(name);
                findings.fail(check, problem.expected(expected, part.digest.sha256));
            }
            Some(_) => findings.pass(check, what),
            None => findings.not_checked(check, "the manifest does not list it"),
        }
    }
}

/// Compares the files that are there with those that are listed, by name and size.
pub(crate) fn check_files(
    files: &dyn BundleFiles,
    manifest: &ExportManifest,
    findings: &mut Findings,
) {
    let listed: BTreeSet<&str> = manifest.parts.iter().map(|part| part.path.as_str()).collect();
    for entry in files.files() {
        let name = entry.name.as_str();
        if !listed.contains(name) && !layout::is_envelope(name) {
            let problem = Problem::new(UNLISTED);
            findings.fail(Check::FilesListed, problem.of(name));
        }
    }
    for part in &manifest.parts {
        match files.entry(part.path.as_str()) {
            None => {
                let problem = Problem::new(MISSING);
                findings.fail(Check::FilesListed, problem.of(part.path.as_str()));
            }
            Some(entry) if entry.size != part.size => {
                let problem = Problem::new("the file has another size").of(part.path.as_str());
                let problem = problem.expected(part.size, entry.size);
                findings.fail(Check::PartDigests, problem);
            }
            Some(_) => {}
        }
    }
    let detail = format!("{} of {}, none missing, none extra", listed.len(), listed.len());
    findings.pass(Check::FilesListed, detail);
}

/// Checks what the manifest tells of data parts and indexes, and pairs them.
///
/// The pairs come by set and first id. A part with a problem is left out; its set cannot be
/// recomputed then.
pub(crate) fn data_parts(
    manifest: &ExportManifest,
    limits: &Limits,
    findings: &mut Findings,
) -> Vec<DataPart> {
    let mut pairs = Vec::new();
    let mut paired = BTreeSet::new();
    for (at, part) in manifest.parts.iter().enumerate() {
        check_sizes(part, limits, findings);
        if !part.path.as_str().starts_with(DATA) {
            continue;
        }
        let Some(set) = set_of(part, DATA, PART_MEDIA_TYPE, &part.digest.sha256, findings) else {
            continue;
        };
        let index = layout::index_path(part.path.as_str()).and_then(|path| {
            let at = manifest.parts.binary_search_by(|other| other.path.as_str().cmp(&path));
            at.ok().and_then(|at| Some((at, manifest.parts.get(at)?)))
        });
        let Some(index) = index else {
            let problem = Problem::new("the manifest lists no index for this part");
            findings.fail(Check::Indexes, problem.of(part.path.as_str()));
            continue;
        };
        paired.insert(index.0);
        if set_of(index.1, INDEXES, INDEX_MEDIA_TYPE, &part.digest.sha256, findings).is_none() {
            continue;
        }
        let span = |part: &PartEntry| (part.records, part.first_id.clone(), part.last_id.clone());
        if span(part) != span(index.1) {
            let problem = Problem::new(
                "the manifest tells other records, firstId or lastId than for its part",
            );
            findings.fail(Check::Indexes, problem.of(index.1.path.as_str()));
            continue;
        }
        pairs.push(DataPart { data: at, index: index.0, set, start: 0 });
    }
    for (at, part) in manifest.parts.iter().enumerate() {
        if part.path.as_str().starts_with(INDEXES) && !paired.contains(&at) {
            let problem = Problem::new("the index is of no listed part");
            findings.fail(Check::Indexes, problem.of(part.path.as_str()));
        }
    }
    let first = |pair: &DataPart| manifest.parts[pair.data].first_id.clone();
    pairs.sort_by_cached_key(|pair| (pair.set.clone(), first(pair)));
    number(&mut pairs, manifest, findings);
    pairs
}

/// Tells each part which record of its set it begins with; parts of a set must not overlap.
fn number(pairs: &mut [DataPart], manifest: &ExportManifest, findings: &mut Findings) {
    let mut previous: Option<(SetKey, u64, usize)> = None;
    for pair in pairs {
        let part = &manifest.parts[pair.data];
        let start = match &previous {
            Some((set, end, before)) if *set == pair.set => {
                let before = &manifest.parts[*before];
                if before.last_id >= part.first_id {
                    let problem =
                        Problem::new(format!("its records overlap with those of {}", before.path));
                    findings.fail(Check::RecordOrder, problem.of(part.path.as_str()));
                }
                *end
            }
            _ => 0,
        };
        pair.start = start;
        // Parts cannot hold as many; bounded so that counting on from there does not overflow.
        let end = start.saturating_add(part.records.unwrap_or(0)).min(RECORDS_MAX);
        previous = Some((pair.set.clone(), end, pair.data));
    }
}

fn check_sizes(part: &PartEntry, limits: &Limits, findings: &mut Findings) {
    let mut fail = |message: &str, limit: u64, found: u64| {
        let problem = Problem::new(message).of(part.path.as_str());
        findings.fail(Check::Compression, problem.expected(format!("at most {limit}"), found));
    };
    if part.size >= limits.part_bytes {
        fail("the part is larger than parts may be", limits.part_bytes - 1, part.size);
    }
    let most = part.size.saturating_mul(limits.ratio).max(limits.ratio_free_bytes);
    if let Some(uncompressed) = part.uncompressed_size.filter(|size| *size > most) {
        fail("the part expands to more than its size allows", most, uncompressed);
    }
}

/// The set of a data or index part, if everything that such a part has is there and agrees.
fn set_of(
    part: &PartEntry,
    folder: &str,
    media_type: &str,
    data: &Digest,
    findings: &mut Findings,
) -> Option<SetKey> {
    let path = part.path.as_str();
    let (Some(kind), Some(feed)) = (&part.kind, &part.feed) else {
        findings
            .fail(Check::PartNames, Problem::new("the manifest tells no kind and feed").of(path));
        return None;
    };
    let expected = format!("{folder}{kind}/{feed}/p-{}.jsonl.zst", data.short(24));
    if path != expected {
        let problem = Problem::new("the name does not agree with kind, feed and digest");
        findings.fail(Check::PartNames, problem.of(path).expected(expected, path));
        return None;
    }
    if part.media_type != media_type {
        let problem = Problem::new("the part has another media type").of(path);
        findings.fail(Check::PartNames, problem.expected(media_type, &part.media_type));
    }
    let told = part.records.is_some_and(|records| (1..=RECORDS_MAX).contains(&records))
        && part.uncompressed_size.is_some()
        && part.first_id.is_some()
        && part.first_id <= part.last_id;
    if !told {
        let problem = Problem::new("the manifest does not tell its records, sizes and ids");
        findings.fail(Check::PartCounts, problem.of(path));
        return None;
    }
    Some(SetKey { kind: kind.clone(), feed: feed.clone() })
}
