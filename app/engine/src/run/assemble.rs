//! From packed parts to the files of a bundle: manifest, provenance, and what people read.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use stella_depot::{Depot, OutputFile, StoredFile, StoredPart};
use stella_manifest::people::{self, Database, Facts};
use stella_manifest::{
    Counts, Coverage, ExportManifest, FORMAT_VERSION, OutputEntry, PartEntry, RedactionReport,
    Statement, layout,
};
use stella_model::{Digest, ErrorCode, PartName};
use stella_plan::{SetEntry, SetSummary};
use stella_records::line::{INDEX_MEDIA_TYPE, PART_MEDIA_TYPE, parse_index_line};
use stella_records::setroot::{SetRoot, leaf};
use stella_seal::TRUSTED_ROOT;

use super::output::Output;
use super::pack::Packed;
use super::prepare::Prepared;
use crate::EngineError;

/// The unsigned files of a bundle.
pub(crate) struct Files {
    pub(crate) manifest: ExportManifest,
    /// Bytes of `export.json`.
    pub(crate) export: Vec<u8>,
    /// Bytes of `provenance.json`.
    pub(crate) provenance: Vec<u8>,
    /// Every listed part with where its bytes are, sorted by path.
    pub(crate) parts: Vec<(PartName, Bytes)>,
}

/// Where the bytes of a part are.
pub(crate) enum Bytes {
    Depot(StoredFile),
    Memory(Vec<u8>),
}

/// Reason under which the manifest counts records that no redaction rule reads.
const NOT_REDACTABLE: &str = "not-redactable";

/// Makes manifest, provenance and the files for people.
pub(crate) fn assemble(
    prepared: &Prepared,
    packed: &Packed,
    outputs: &[Output],
    depot: &Depot,
) -> Result<Files, EngineError> {
    let mut listing = Listing::default();
    for file in outputs.iter().flat_map(|output| &output.record.files) {
        listing.output_file(file);
    }
    for part in &packed.parts {
        if let Some(stored) = &part.record.stored {
            listing.stored_part(&prepared.sets[part.set], stored)?;
        }
    }
    let sets = carried_sets(prepared, packed, depot)?;
    let redaction = redaction_report(prepared, packed);
    let left_out = packed.parts.iter().map(|part| part.record.not_redactable).sum();
    let plan = &prepared.plan;
    let databases: Vec<Database> =
        outputs.iter().filter_map(|output| output.use_of.database.clone()).collect();
    let facts = Facts {
        as_of: plan.as_of,
        profile: &plan.profile,
        outputs: &plan.outputs,
        sets: &sets,
        feeds: &plan.feeds,
        policy: plan.policy.as_ref(),
        redaction: &plan.redaction,
        redacted_values: redaction.counts.values().sum(),
        left_out,
        carries_records: prepared.carries_records(),
        databases: &databases,
        vex: outputs.iter().find_map(|output| output.use_of.vex),
    };
    listing.text(layout::README, "text/markdown", people::readme(&facts))?;
    listing.text(layout::NOTICE, "text/markdown", people::notice(&facts))?;
    listing.text(layout::TRUSTED_ROOT, TRUSTED_ROOT_TYPE, TRUSTED_ROOT.to_owned())?;
    listing.sort();
    listing.text(layout::SHA256SUMS, "text/plain", people::sha256sums(&listing.entries))?;
    listing.sort();
    let manifest = ExportManifest {
        as_of: plan.as_of,
        counts: counts(&sets, &listing.entries, packed, left_out),
        coverage: coverage(outputs),
        feeds: plan.feeds.clone(),
        format_version: FORMAT_VERSION,
        handling: plan.handling.clone(),
        inputs_hash: plan.policy.as_ref().and_then(|policy| policy.inputs_hash),
        outputs: output_entries(prepared, outputs),
        parts: listing.entries,
        plan_hash: plan.hash(),
        policy_version: plan.policy.as_ref().map(|policy| policy.policy_version.clone()),
        profile: plan.profile.clone(),
        redaction,
        requires: Vec::new(),
        sets,
        tenant: plan.tenant.clone(),
    };
    let export = manifest.to_bytes();
    let provenance = Statement::new(plan, Digest::of(&export)).to_bytes();
    Ok(Files { manifest, export, provenance, parts: listing.parts.into_iter().collect() })
}

const TRUSTED_ROOT_TYPE: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";

/// The listed parts, as the manifest tells of them and as files.
#[derive(Default)]
struct Listing {
    entries: Vec<PartEntry>,
    parts: BTreeMap<PartName, Bytes>,
}

impl Listing {
    fn stored_part(&mut self, set: &SetSummary, stored: &StoredPart) -> Result<(), EngineError> {
        let data = layout::data_part(&set.set, &stored.data.digest).map_err(bad_name)?;
        let index = layout::index_part(&set.set, &stored.data.digest).map_err(bad_name)?;
        let entry =
            |path: &PartName, media_type: &str, file: &StoredFile, uncompressed| PartEntry {
                digest: file.digest.into(),
                feed: Some(set.set.feed.clone()),
                first_id: Some(stored.first_id.clone()),
                kind: Some(set.set.kind.clone()),
                last_id: Some(stored.last_id.clone()),
                media_type: media_type.to_owned(),
                path: path.clone(),
                records: Some(stored.records),
                size: file.size,
                uncompressed_size: Some(uncompressed),
            };
        self.entries.push(entry(&data, PART_MEDIA_TYPE, &stored.data, stored.data_uncompressed));
        self.entries.push(entry(
            &index,
            INDEX_MEDIA_TYPE,
            &stored.index,
            stored.index_uncompressed,
        ));
        self.parts.insert(data, Bytes::Depot(stored.data));
        self.parts.insert(index, Bytes::Depot(stored.index));
        Ok(())
    }

    fn output_file(&mut self, file: &OutputFile) {
        self.entries.push(PartEntry {
            digest: file.stored.digest.into(),
            feed: None,
            first_id: None,
            kind: None,
            last_id: None,
            media_type: file.media_type.clone(),
            path: file.path.clone(),
            records: file.records,
            size: file.stored.size,
            uncompressed_size: None,
        });
        self.parts.insert(file.path.clone(), Bytes::Depot(file.stored));
    }

    fn text(&mut self, name: &str, media_type: &str, text: String) -> Result<(), EngineError> {
        let path = PartName::new(name).map_err(bad_name)?;
        let bytes = text.into_bytes();
        self.entries.push(PartEntry {
            digest: Digest::of(&bytes).into(),
            feed: None,
            first_id: None,
            kind: None,
            last_id: None,
            media_type: media_type.to_owned(),
            path: path.clone(),
            records: None,
            size: bytes.len() as u64,
            uncompressed_size: None,
        });
        self.parts.insert(path, Bytes::Memory(bytes));
        Ok(())
    }

    fn sort(&mut self) {
        self.entries.sort_by(|a, b| a.path.cmp(&b.path));
    }
}

fn bad_name(error: stella_model::NameError) -> EngineError {
    EngineError::new(ErrorCode::Internal, "a part has no usable name").because(error)
}

/// The sets as carried: those of the plan, unless redaction changed or left out records.
fn carried_sets(
    prepared: &Prepared,
    packed: &Packed,
    depot: &Depot,
) -> Result<Vec<SetEntry>, EngineError> {
    if !prepared.carries_records() {
        return Ok(Vec::new());
    }
    if prepared.plan.redaction.digest.is_none() {
        return Ok(prepared.plan.sets.clone());
    }
    let mut roots: Vec<SetRoot> = prepared.sets.iter().map(|_| SetRoot::new()).collect();
    for part in &packed.parts {
        if let Some(stored) = &part.record.stored {
            push_leaves(&mut roots[part.set], &prepared.sets[part.set], stored, depot)?;
        }
    }
    let carried = prepared.sets.iter().zip(&roots).filter(|(_, root)| root.count() > 0);
    Ok(carried
        .map(|(set, root)| SetEntry { count: root.count(), root: root.finish(), ..set.entry() })
        .collect())
}

/// Adds the leaves of a part from its index.
fn push_leaves(
    root: &mut SetRoot,
    set: &SetSummary,
    stored: &StoredPart,
    depot: &Depot,
) -> Result<(), EngineError> {
    let opened = depot.open(&stored.index)?;
    let path = depot.blob_path(&stored.index.digest);
    let unreadable = |source: std::io::Error| {
        EngineError::new(ErrorCode::Io, format!("cannot read the index {}", path.display()))
            .because(source)
    };
    let decoder = zstd::Decoder::new(opened).map_err(unreadable)?;
    let mut lines = BufReader::new(decoder.take(stored.index_uncompressed));
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            return Ok(());
        }
        let entry = parse_index_line(line.trim_ascii_end()).map_err(|error| {
            EngineError::new(ErrorCode::Internal, "an index in the depot does not read")
                .because(error)
        })?;
        root.push(leaf(&set.set, entry.id.as_str(), &entry.content_digest));
    }
}

fn redaction_report(prepared: &Prepared, packed: &Packed) -> RedactionReport {
    let mut counts = BTreeMap::new();
    for (rule, count) in packed.parts.iter().flat_map(|part| &part.record.redacted_values) {
        *counts.entry(rule.clone()).or_insert(0) += count;
    }
    RedactionReport {
        counts,
        digest: prepared.plan.redaction.digest,
        name: prepared.plan.redaction.name.clone(),
        records: packed.parts.iter().map(|part| part.record.redacted_records).sum(),
    }
}

fn counts(sets: &[SetEntry], entries: &[PartEntry], packed: &Packed, left_out: u64) -> Counts {
    let mut kinds = BTreeMap::new();
    for set in sets {
        *kinds.entry(set.kind.clone()).or_insert(0) += set.count;
    }
    let data = packed.parts.iter().filter_map(|part| part.record.stored.as_ref());
    let not_carried = match left_out {
        0 => BTreeMap::new(),
        count => BTreeMap::from([(NOT_REDACTABLE.to_owned(), count)]),
    };
    Counts {
        bytes: entries.iter().map(|entry| entry.size).sum(),
        kinds,
        not_carried,
        parts: entries.len() as u64,
        records: sets.iter().map(|set| set.count).sum(),
        uncompressed_bytes: data.map(|stored| stored.data_uncompressed).sum(),
    }
}

fn coverage(outputs: &[Output]) -> Vec<Coverage> {
    let told = outputs.iter().flat_map(|output| &output.record.coverage);
    let entry = |(ecosystem, state): (&String, &String)| Coverage {
        ecosystem: ecosystem.clone(),
        state: state.clone(),
    };
    told.map(entry).collect()
}

/// An output is importable only if it carries whole sets as they are: a site that imports part of
/// a set would take the rest for vanished.
fn output_entries(prepared: &Prepared, made: &[Output]) -> Vec<OutputEntry> {
    let whole = prepared.plan.redaction.digest.is_none() && prepared.selectors.take_whole_sets();
    let output = |spec: &&'static stella_plan::AdapterSpec| {
        let made = made.iter().find(|output| output.origin.adapter() == Some(spec.id));
        let record = made.map(|output| output.record.clone()).unwrap_or_default();
        OutputEntry {
            adapter: spec.id.to_owned(),
            adapter_version: spec.version,
            importable: spec.importable && whole,
            keys: record.keys,
            not_represented: record.not_represented,
            scanner: made.and_then(|output| output.use_of.scanner.clone()),
        }
    };
    prepared.profile.outputs.iter().map(output).collect()
}
