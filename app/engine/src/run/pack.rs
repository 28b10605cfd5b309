//! Stage pack: every planned part, from the depot or built anew, on several threads.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use stella_depot::{Depot, PartRecord, StoredPart};
use stella_model::ErrorCode;
use stella_pack::{Length, PackError, PartBuilder, SourceRecord, Tools};
use stella_plan::{PartPlan, SetSummary};

use super::prepare::Prepared;
use crate::budget::Budget;
use crate::{Cancel, EngineError, LIMITS, Progress, Stage, StageUpdate, threads};

/// Uncompressed bytes of parts that are built at once.
///
/// A part takes about twice its size while it is built; two parts of the largest usual size fit.
const BYTES_IN_FLIGHT: u64 = 40 << 20;

/// How many times its size a part weighs when it is redacted: a document is taken apart for that,
/// and written again.
const REDACTION_WEIGHT: u64 = 2;

/// The parts of a run, in the order of the plan.
pub(crate) struct Packed {
    pub(crate) parts: Vec<PackedPart>,
    pub(crate) reused: u64,
    pub(crate) packed_bytes: u64,
}

/// One part: the set it belongs to, and what packing it gave.
pub(crate) struct PackedPart {
    /// Index into the sets of the plan.
    pub(crate) set: usize,
    pub(crate) record: PartRecord,
}

/// Packs all parts. Which thread packs what has no influence on any byte (INV-DET).
pub(crate) fn pack(
    prepared: &Prepared,
    depot: &Depot,
    threads: usize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Packed, EngineError> {
    pack_tasks(prepared, &tasks(prepared), depot, threads, progress, cancel)
}

/// Packs the parts of one shard, so that they are in the depot.
pub(crate) fn pack_shard(
    prepared: &Prepared,
    shard: u32,
    depot: &Depot,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(), EngineError> {
    let tasks = tasks(prepared);
    let range = shards(&tasks).into_iter().nth(shard as usize).ok_or_else(|| {
        EngineError::new(ErrorCode::Internal, format!("the plan has no shard {shard}"))
    })?;
    pack_tasks(prepared, &tasks[range], depot, 1, progress, cancel).map(drop)
}

/// Number of shards that the parts of a run are packed in.
pub(crate) fn shard_count(prepared: &Prepared) -> u32 {
    u32::try_from(shards(&tasks(prepared)).len()).unwrap_or(u32::MAX)
}

/// Bytes of records in a shard: about a tenth of a second of packing.
const SHARD_BYTES: u64 = 64 << 20;

/// Shards at most: each is a line in the state of the run.
const MOST_SHARDS: u64 = 1024;

/// Ranges of parts, in the order of the plan.
fn shards(tasks: &[Task<'_>]) -> Vec<Range<usize>> {
    let all: u64 = tasks.iter().map(|task| task.part.bytes).sum();
    let target = SHARD_BYTES.max(all.div_ceil(MOST_SHARDS));
    let (mut shards, mut first, mut bytes) = (Vec::new(), 0, 0);
    for (index, task) in tasks.iter().enumerate() {
        bytes += task.part.bytes;
        if bytes >= target {
            shards.push(first..index + 1);
            (first, bytes) = (index + 1, 0);
        }
    }
    if first < tasks.len() {
        shards.push(first..tasks.len());
    }
    shards
}

/// The parts of all sets that are carried, in the order of the plan.
fn tasks(prepared: &Prepared) -> Vec<Task<'_>> {
    let sets = if prepared.carries_records() { &prepared.sets[..] } else { &[] };
    sets.iter()
        .enumerate()
        .flat_map(|(set, summary)| {
            summary.parts.iter().map(move |part| Task { set, summary, part })
        })
        .collect()
}

fn pack_tasks(
    prepared: &Prepared,
    tasks: &[Task<'_>],
    depot: &Depot,
    threads: usize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Packed, EngineError> {
    // The largest first: they keep no thread busy while the others are done, and memory that is taken
    // for them is enough for all that follow.
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(tasks[*index].part.bytes));
    let shop = Shop {
        prepared,
        depot,
        cancel,
        progress,
        tasks,
        order: &order,
        total: tasks.iter().map(|task| task.part.records).sum(),
        next: AtomicUsize::new(0),
        budget: Budget::new(BYTES_IN_FLIGHT),
        done: tasks.iter().map(|_| Mutex::new(None)).collect(),
        records: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        reused: AtomicU64::new(0),
        packed_bytes: AtomicU64::new(0),
    };
    threads::share(threads, tasks.len(), || {
        // Other threads stop at their next task.
        shop.work().inspect_err(|_| shop.next.store(tasks.len(), Ordering::Relaxed))
    })?;
    cancel.check()?;
    shop.finish()
}

struct Task<'a> {
    set: usize,
    summary: &'a SetSummary,
    part: &'a PartPlan,
}

/// What all packing threads share.
struct Shop<'a> {
    prepared: &'a Prepared,
    depot: &'a Depot,
    cancel: &'a Cancel,
    progress: &'a dyn Progress,
    tasks: &'a [Task<'a>],
    /// The order in which they are done.
    order: &'a [usize],
    /// Records of all of them.
    total: u64,
    next: AtomicUsize,
    budget: Budget,
    done: Vec<Mutex<Option<PartRecord>>>,
    records: AtomicU64,
    bytes: AtomicU64,
    reused: AtomicU64,
    packed_bytes: AtomicU64,
}

impl Shop<'_> {
    fn work(&self) -> Result<(), EngineError> {
        let mut tools = None;
        loop {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(&index) = self.order.get(place) else { return Ok(()) };
            let task = &self.tasks[index];
            if self.cancel.is_set() {
                return Ok(());
            }
            let record = match self.reuse(task.part)? {
                Some(record) => record,
                None => self.build(task, &mut tools)?,
            };
            self.tell(task.part);
            *self.done[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(record);
        }
    }

    /// The part as the depot has it. Its bytes are hashed once, when the bundle is read back.
    fn reuse(&self, part: &PartPlan) -> Result<Option<PartRecord>, EngineError> {
        let record = self.depot.reuse(&part.key)?;
        self.reused.fetch_add(u64::from(record.is_some()), Ordering::Relaxed);
        Ok(record)
    }

    fn build(&self, task: &Task<'_>, tools: &mut Option<Tools>) -> Result<PartRecord, EngineError> {
        let weight = self.prepared.plan.redaction.digest.map_or(1, |_| REDACTION_WEIGHT);
        let _admission = self.budget.admit(task.part.bytes.saturating_mul(weight));
        let tools = match tools {
            Some(tools) => tools,
            None => tools.insert(Tools::new(self.prepared.profile.level).map_err(|source| {
                EngineError::new(ErrorCode::Io, "cannot set up zstd").because(source)
            })?),
        };
        let (part, counts) = self.fill(task, tools)?.finish().map_err(pack_failed)?;
        let stored = match part {
            None => None,
            Some(part) => Some(StoredPart {
                data: self.depot.put_blob(&part.data)?,
                data_uncompressed: part.data_uncompressed,
                index: self.depot.put_blob(&part.index)?,
                index_uncompressed: part.index_uncompressed,
                records: part.records,
                first_id: part.ids.0,
                last_id: part.ids.1,
            }),
        };
        let record = PartRecord {
            stored,
            redacted_values: counts.rules,
            redacted_records: counts.records,
            not_redactable: counts.not_redactable,
        };
        self.depot.keep(&task.part.key, &record)?;
        self.packed_bytes.fetch_add(task.part.bytes, Ordering::Relaxed);
        Ok(record)
    }

    /// Reads the records of a planned part.
    fn fill<'s>(
        &'s self,
        task: &Task<'_>,
        tools: &'s mut Tools,
    ) -> Result<PartBuilder<'s>, EngineError> {
        let set = &self.prepared.sets[task.set].set;
        let rules = &self.prepared.rules;
        let length = match task.part.line_bytes {
            Some(bytes) => Length::Exactly(bytes),
            None => Length::Unknown(task.part.bytes),
        };
        let mut builder =
            PartBuilder::new(set, rules, &LIMITS, length, tools).map_err(pack_failed)?;
        self.prepared.read_part(task.summary, task.part, &mut |record| {
            let source = SourceRecord {
                id: &record.id,
                content_digest: record.content_digest,
                modified: record.modified,
                format: record.format,
                content: &record.content,
            };
            builder.push(&source).map_err(pack_failed)
        })?;
        Ok(builder)
    }

    fn tell(&self, part: &PartPlan) {
        let records = self.records.fetch_add(part.records, Ordering::Relaxed) + part.records;
        let bytes = self.bytes.fetch_add(part.bytes, Ordering::Relaxed) + part.bytes;
        self.progress.update(&StageUpdate {
            stage: Stage::Pack,
            done: records,
            total: Some(self.total),
            bytes,
            unit: "records",
            finished: None,
        });
    }

    fn finish(self) -> Result<Packed, EngineError> {
        let records = self.done.into_iter().map(|slot| {
            let record = slot.into_inner().unwrap_or_else(PoisonError::into_inner);
            record.ok_or_else(|| EngineError::new(ErrorCode::Internal, "a part was not packed"))
        });
        let parts = records
            .zip(self.tasks)
            .map(|(record, task)| Ok(PackedPart { set: task.set, record: record? }));
        Ok(Packed {
            parts: parts.collect::<Result<_, EngineError>>()?,
            reused: self.reused.into_inner(),
            packed_bytes: self.packed_bytes.into_inner(),
        })
    }
}

fn pack_failed(error: PackError) -> EngineError {
    EngineError::new(ErrorCode::RunFailed, "packing failed").because(error)
}
