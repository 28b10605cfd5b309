//! `export diff`: which records and which outputs made of records differ between two bundles.
//!
//! Indexes are merged, data is not read; sets with equal roots and parts with equal digests are
//! passed over. Outputs such as databases are compared by their files and by what the manifests
//! tell of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use serde::Serialize;
use stella_manifest::{ExportManifest, OutputEntry, PartEntry, layout};
use stella_model::{Digest, ErrorCode, PartName, RecordId, SetKey};
use stella_plan::SetEntry;
use stella_records::line::IndexEntry;

use super::read::{ReadBundle, SetIndex, carries_records};
use crate::{Cancel, EngineError};

/// One record that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordChange {
    /// Kind and feed.
    #[serde(flatten)]
    pub set: SetKey,
    /// Id.
    pub id: RecordId,
    /// What happened to it from the first bundle to the second.
    pub change: ChangeKind,
    /// Digest in the first bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// Digest in the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Digest>,
}

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Only the second bundle has it.
    Added,
    /// Both have it, with different documents.
    Changed,
    /// Only the first bundle has it.
    Removed,
}

/// Numbers of records that differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DiffCounts {
    /// Only in the second bundle.
    pub added: u64,
    /// In both, with different documents.
    pub changed: u64,
    /// Only in the first bundle.
    pub removed: u64,
    /// In both, equal.
    pub same: u64,
}

/// The difference of one set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetDiff {
    /// Kind and feed.
    #[serde(flatten)]
    pub set: SetKey,
    /// Numbers of records.
    #[serde(flatten)]
    pub counts: DiffCounts,
}

/// An output that at least one of two bundles has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputDiff {
    /// Name of the adapter.
    pub adapter: String,
    /// What happened to it; `None` if it is the same.
    pub change: Option<ChangeKind>,
    /// Keys in the first bundle and in the second, of databases.
    pub keys: [Option<u64>; 2],
    /// Statements that it could not make, in the first bundle and in the second.
    pub not_represented: [Option<u64>; 2],
}

/// A file of outputs made of records, such as the layer of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileDiff {
    /// Its path.
    pub path: PartName,
    /// What happened to it.
    pub change: ChangeKind,
}

/// The difference of two bundles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiffReport {
    /// SHA-256 of the first `export.json`.
    pub from: Digest,
    /// SHA-256 of the second.
    pub to: Digest,
    /// Whether all records are equal, and all outputs made of records.
    pub same: bool,
    /// Whether all records are equal.
    pub same_records: bool,
    /// Every output of either bundle that is made of records; those that carry them are compared as
    /// sets.
    pub outputs: Vec<OutputDiff>,
    /// Files of outputs made of records that differ.
    pub files: Vec<FileDiff>,
    /// Every set of either bundle.
    pub sets: Vec<SetDiff>,
    /// Their sums.
    pub total: DiffCounts,
}

impl DiffReport {
    /// Whether all outputs made of records are equal.
    #[must_use]
    pub fn same_outputs(&self) -> bool {
        self.outputs.iter().all(|output| output.change.is_none()) && self.files.is_empty()
    }

    /// The exit code of `stella export diff`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.same { 0 } else { ErrorCode::Differs.exit_code() }
    }
}

/// Compares two bundles; `change` is told every difference in order of kind, feed
/// and id, and may stop. Neither bundle is verified.
///
/// # Errors
/// [`EngineError`] if a bundle or an index does not read, or the operator interrupts.
pub fn diff(
    from: &Path,
    to: &Path,
    change: &mut dyn FnMut(&RecordChange) -> ControlFlow<()>,
    cancel: &Cancel,
) -> Result<DiffReport, EngineError> {
    let (from, to) = (ReadBundle::open(from)?.sound()?, ReadBundle::open(to)?.sound()?);
    let key = |set: &SetEntry| SetKey { kind: set.kind.clone(), feed: set.feed.clone() };
    let keys: BTreeSet<SetKey> =
        from.manifest.sets.iter().chain(&to.manifest.sets).map(key).collect();
    let mut report = DiffReport {
        from: from.export,
        to: to.export,
        same: true,
        same_records: true,
        outputs: outputs(&from.manifest, &to.manifest),
        files: files(&from.manifest, &to.manifest),
        sets: Vec::new(),
        total: DiffCounts::default(),
    };
    for set in keys {
        let mut merge = Merge { set: &set, change, cancel, counts: DiffCounts::default() };
        match (entry(&from, &set), entry(&to, &set)) {
            (Some(a), Some(b)) if a == b => merge.counts.same = a.count,
            _ => merge.run(&from, &to)?,
        }
        let counts = merge.counts;
        let total = &mut report.total;
        total.added += counts.added;
        total.changed += counts.changed;
        total.removed += counts.removed;
        total.same += counts.same;
        report.sets.push(SetDiff { set, counts });
    }
    let DiffCounts { added, changed, removed, .. } = report.total;
    report.same_records = added + changed + removed == 0;
    report.same = report.same_records && report.same_outputs();
    Ok(report)
}

/// What happened to something from the first bundle to the second.
fn change_of<T: PartialEq>(before: Option<T>, after: Option<T>) -> Option<ChangeKind> {
    match (before, after) {
        (Some(before), Some(after)) => (before != after).then_some(ChangeKind::Changed),
        (Some(_), None) => Some(ChangeKind::Removed),
        (None, Some(_)) => Some(ChangeKind::Added),
        (None, None) => None,
    }
}

fn outputs(from: &ExportManifest, to: &ExportManifest) -> Vec<OutputDiff> {
    fn by_adapter(manifest: &ExportManifest) -> BTreeMap<&str, &OutputEntry> {
        let made = manifest.outputs.iter().filter(|output| !carries_records(&output.adapter));
        made.map(|output| (output.adapter.as_str(), output)).collect()
    }
    let (from, to) = (by_adapter(from), by_adapter(to));
    let adapters: BTreeSet<&str> = from.keys().chain(to.keys()).copied().collect();
    let compare = |adapter: &str| {
        let both = [from.get(adapter).copied(), to.get(adapter).copied()];
        OutputDiff {
            adapter: adapter.to_owned(),
            change: change_of(both[0], both[1]),
            keys: both.map(|output| output.map(OutputEntry::key_count)),
            not_represented: both.map(|output| output.map(OutputEntry::not_represented_count)),
        }
    };
    adapters.into_iter().map(compare).collect()
}

/// Compares the files that neither belong to a set nor are written for people.
fn files(from: &ExportManifest, to: &ExportManifest) -> Vec<FileDiff> {
    fn by_path(manifest: &ExportManifest) -> BTreeMap<&PartName, &Digest> {
        let made = |part: &&PartEntry| {
            let beside = [layout::README, layout::NOTICE, layout::SHA256SUMS, layout::TRUSTED_ROOT];
            part.kind.is_none() && !beside.contains(&part.path.as_str())
        };
        let parts = manifest.parts.iter().filter(made);
        parts.map(|part| (&part.path, &part.digest.sha256)).collect()
    }
    let (from, to) = (by_path(from), by_path(to));
    let paths: BTreeSet<&PartName> = from.keys().chain(to.keys()).copied().collect();
    let differs = |path: &PartName| {
        let change = change_of(from.get(path), to.get(path))?;
        Some(FileDiff { path: path.clone(), change })
    };
    paths.into_iter().filter_map(differs).collect()
}

fn entry<'a>(bundle: &'a ReadBundle, set: &SetKey) -> Option<&'a SetEntry> {
    bundle.manifest.sets.iter().find(|entry| entry.kind == set.kind && entry.feed == set.feed)
}

struct Merge<'a> {
    set: &'a SetKey,
    change: &'a mut dyn FnMut(&RecordChange) -> ControlFlow<()>,
    cancel: &'a Cancel,
    counts: DiffCounts,
}

impl Merge<'_> {
    fn run(&mut self, from: &ReadBundle, to: &ReadBundle) -> Result<(), EngineError> {
        let (mut from, mut to) = (SetIndex::new(from, self.set)?, SetIndex::new(to, self.set)?);
        let (mut before, mut after) = (None, None);
        loop {
            if before.is_none() && after.is_none() {
                self.skip_equal_parts(&mut from, &mut to);
            }
            before = match before {
                None => from.next()?,
                some => some,
            };
            after = match after {
                None => to.next()?,
                some => some,
            };
            let stop = match (before.take(), after.take()) {
                (None, None) => return Ok(()),
                (Some(old), Some(new)) if old.id < new.id => {
                    after = Some(new);
                    self.tell(Some(old), None)
                }
                (Some(old), Some(new)) if old.id > new.id => {
                    before = Some(old);
                    self.tell(None, Some(new))
                }
                (old, new) => self.tell(old, new),
            };
            if stop.is_break() || self.cancel.is_set() {
                return Err(EngineError::new(ErrorCode::Interrupted, "the comparison was stopped"));
            }
        }
    }

    fn skip_equal_parts(&mut self, from: &mut SetIndex<'_>, to: &mut SetIndex<'_>) {
        while let (Some(old), Some(new)) = (from.at_part(), to.at_part()) {
            if old.digest != new.digest {
                return;
            }
            self.counts.same += new.records.unwrap_or(0);
            from.skip_part();
            to.skip_part();
        }
    }

    fn tell(&mut self, old: Option<IndexEntry>, new: Option<IndexEntry>) -> ControlFlow<()> {
        let (before, after) =
            (old.as_ref().map(|e| e.content_digest), new.as_ref().map(|e| e.content_digest));
        let change = match (before, after) {
            (Some(old), Some(new)) if old == new => {
                self.counts.same += 1;
                return ControlFlow::Continue(());
            }
            (Some(_), Some(_)) => {
                self.counts.changed += 1;
                ChangeKind::Changed
            }
            (Some(_), None) => {
                self.counts.removed += 1;
                ChangeKind::Removed
            }
            _ => {
                self.counts.added += 1;
                ChangeKind::Added
            }
        };
        let Some(entry) = new.or(old) else { return ControlFlow::Continue(()) };
        (self.change)(&RecordChange { set: self.set.clone(), id: entry.id, change, before, after })
    }
}
