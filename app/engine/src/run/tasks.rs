//! The tasks of a run of the service, each done by whoever has it: what one worker leaves in the
//! depot, another one goes on with.
//!
//! Together they do what [`super::export()`] does, with the same functions and the same bytes.

use std::collections::BTreeMap;

use stella_depot::{BundleFile, BundleRecord, Depot, KeptBundle, MadeBundle};
use stella_keys::StoreSigner;
use stella_manifest::{ExportManifest, layout};
use stella_model::{Digest, DigestBuilder, ErrorCode, PartName};
use stella_plan::SetEntry;
use stella_run::{Bundle, Failure, Plan, Remedy, RunState, TaskId, TaskResult};
use stella_verify::lines;

use super::assemble::{Bytes, Files, assemble};
use super::distribute::verify_envelope;
use super::export::{forget_damage, record_of};
use super::kept_sets::KeptSets;
use super::output;
use super::pack::{self, pack};
use super::prepare::{Prepared, prepare};
use super::request::RunRequest;
use super::seal::{Sealed, Signing, seal};
use crate::{Cancel, EngineError, LIMITS, Progress, Stage, StageUpdate, Store};

/// The tasks of one run.
#[derive(Debug, Clone, Copy)]
pub struct RunTasks<'a> {
    /// Whose run it is, and where everything lies.
    pub store: &'a Store,
    /// What was asked for; the same for every task.
    pub request: &'a RunRequest,
    /// Who signs.
    pub signing: &'a Signing,
}

impl RunTasks<'_> {
    /// Does a task of a run that stands like this.
    ///
    /// # Errors
    /// Why it was not done and what can be done about it; none if `cancel` was set meanwhile.
    pub fn perform(
        &self,
        task: &TaskId,
        run: &RunState,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<TaskResult, Option<Failure>> {
        self.attempt(task, run, progress, cancel).map_err(|error| {
            let is_stopped = error.code() == ErrorCode::Interrupted || cancel.is_set();
            (!is_stopped).then(|| self.failure(&error, run))
        })
    }

    fn attempt(
        &self,
        task: &TaskId,
        run: &RunState,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<TaskResult, EngineError> {
        let depot = self.store.depot();
        // Nothing is pruned by a command on the same store while a task needs it.
        let _held = depot.hold()?;
        // Told before anything is read: a stage is as long as what is done for it.
        progress.update(&StageUpdate::begun(first_stage(task)));
        if *task == TaskId::Plan {
            return self.plan(&depot, progress, cancel);
        }
        let prepared = self.recall(run)?;
        match task {
            TaskId::Plan => Err(EngineError::new(ErrorCode::Internal, "a run is planned once")),
            TaskId::Make(place) => output::build_one(&prepared, *place, &depot, progress, cancel)
                .map(|()| TaskResult::Stored),
            TaskId::Pack(shard) => pack::pack_shard(&prepared, *shard, &depot, progress, cancel)
                .map(|()| TaskResult::Stored),
            TaskId::Seal => self.seal(&prepared, &depot, progress, cancel),
            // The service itself is the target: the bundle lies where it is served from.
            TaskId::Distribute(_) => self.kept(run).map(|_| TaskResult::Delivered),
            TaskId::Verify(_) => self.verify(run, progress, cancel).map(|()| TaskResult::Verified),
        }
    }

    fn plan(
        &self,
        depot: &Depot,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<TaskResult, EngineError> {
        let key = self.signing.key(self.store)?;
        let prepared = prepare(self.store, self.request, progress, cancel)?;
        prepared.check_floors()?;
        let plan_hash = prepared.plan.hash();
        let decided = prepared.keep_decided(depot)?;
        // A run is decided once: what others execute must not be lost. What they pack may be, it is
        // packed again.
        depot.sync()?;
        let made = depot.find::<MadeBundle>(&by_plan(&plan_hash, key.as_ref()))?;
        let same_as = match made {
            None => None,
            Some(made) => self.same_as(&prepared, &plan_hash, depot, &made)?,
        };
        let (shards, outputs) = (pack::shard_count(&prepared), output::count(&prepared));
        let snapshot = prepared.snapshot();
        // What is kept of sets only spares the next plan some reading: a warning would help nobody.
        let _ = prepared.kept.as_ref().and_then(KeptSets::save);
        let plan = Plan { plan_hash, decided, shards, outputs, same_as };
        Ok(TaskResult::Planned { plan, snapshot })
    }

    /// The bundle that the plan made before, if it is still there and passes for one of this run. INV-EMPTY:
    /// floors are no part of a plan, so it is held against those of now.
    fn same_as(
        &self,
        prepared: &Prepared,
        plan_hash: &Digest,
        depot: &Depot,
        made: &MadeBundle,
    ) -> Result<Option<Bundle>, EngineError> {
        // The next run is held against the last one, which sealing remembers: nothing may have come between.
        let is_last = prepared.last.as_ref().is_some_and(|last| last.plan_hash == *plan_hash);
        if !is_last && self.request.again.is_none() {
            return Ok(None);
        }
        // Its files count as used now: nobody prunes them while this run is under way.
        let Some(kept) = depot.reuse::<BundleRecord>(&made.bundle)? else { return Ok(None) };
        let bundle = bundle_of(made.export_digest, &kept);
        if !output::judge_kept(prepared, depot)? {
            return Ok(None);
        }
        // Without redaction all that was selected is carried, and that was judged.
        if prepared.carries_records() && prepared.plan.redaction.digest.is_some() {
            let Some(sets) = carried(&KeptBundle::new(depot.clone(), kept)) else {
                return Ok(None);
            };
            prepared.check_carried(&sets)?;
        }
        Ok(Some(bundle))
    }

    fn recall(&self, run: &RunState) -> Result<Prepared, EngineError> {
        let unplanned = || EngineError::new(ErrorCode::Internal, "the run has no plan yet");
        let plan = run.plan.as_ref().ok_or_else(unplanned)?;
        Prepared::recall(self.store, self.request, plan)
    }

    fn seal(
        &self,
        prepared: &Prepared,
        depot: &Depot,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<TaskResult, EngineError> {
        let key = self.signing.key(self.store)?;
        // Everything is in the depot; what was lost since is made here.
        let packed = pack(prepared, depot, 1, progress, cancel)?;
        let outputs = output::build(prepared, depot, 1, progress, cancel)?;
        progress.update(&StageUpdate::begun(Stage::Seal));
        let files = assemble(prepared, &packed, &outputs, depot)?;
        prepared.check_carried(&files.manifest.sets)?;
        let sealed = seal(&files, key.as_ref())?;
        let kept = keep(&files, sealed, depot, cancel)?;
        let bundle = bundle_of(Digest::of(&files.export), &kept);
        depot.keep(&bundle.files, &kept)?;
        let made = MadeBundle { export_digest: bundle.export_digest, bundle: bundle.files };
        depot.keep(&by_plan(&files.manifest.plan_hash, key.as_ref()), &made)?;
        // From here on the run says that there is a bundle.
        depot.sync()?;
        let record = record_of(prepared, &packed, &files, &outputs, &BTreeMap::new());
        // The next run is held against the newest evidence, not against what was made again.
        if self.request.again.is_none() {
            record.save(self.store, &prepared.kin())?;
        }
        Ok(TaskResult::Sealed(bundle))
    }

    /// The sealed bundle in the depot.
    fn kept(&self, run: &RunState) -> Result<KeptBundle, EngineError> {
        let unsealed = || EngineError::new(ErrorCode::Internal, "the run has no bundle yet");
        let bundle = run.bundle.as_ref().ok_or_else(unsealed)?;
        kept_bundle(self.store, bundle)
    }

    /// INV-VERIFY: every file is read back.
    fn verify(
        &self,
        run: &RunState,
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<(), EngineError> {
        let (depot, kept) = (self.store.depot(), self.kept(run)?);
        let files = &kept.record().files;
        let mut update = StageUpdate {
            total: Some(files.len() as u64),
            unit: "files",
            ..StageUpdate::begun(Stage::Verify)
        };
        for file in files {
            cancel.check()?;
            progress.update(&update);
            update.done += 1;
            update.bytes += file.stored.size;
            if !depot.is_intact(&file.stored)? {
                return Err(lost(&format!("{} is no longer what was sealed", file.name)));
            }
        }
        let key = self.signing.key(self.store)?;
        let public = key.as_ref().map(|key| key.entry().public_key());
        verify_envelope(&kept, public, self.request.now)
            .map_err(|problem| EngineError::new(ErrorCode::BadBundle, problem))
    }

    /// What a person and the run are told of an error.
    fn failure(&self, error: &EngineError, run: &RunState) -> Failure {
        let mut message = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        // Whoever looks at runs need not know where the service keeps its files.
        let message = self.store.without_places(&message);
        let mut failure = Failure::new(error.code(), message);
        failure.hint = error.next_step_over_http().map(|hint| self.store.without_places(hint));
        // Only what reads the depot can have found something damaged there.
        let of_depot = matches!(
            error.code(),
            ErrorCode::Io | ErrorCode::DigestMismatch | ErrorCode::BadBundle
        );
        if of_depot {
            match self.forget(run) {
                Ok(0) => {}
                Ok(_) => failure.remedy = Remedy::Rebuild,
                // Nobody can tell now whether something is damaged: later somebody can.
                Err(_) => failure.remedy = Remedy::Again,
            }
        }
        failure
    }

    /// Forgets what is damaged of all that the run needs, so that it is made anew; gives how much.
    fn forget(&self, run: &RunState) -> Result<usize, EngineError> {
        let depot = self.store.depot();
        let prepared = match self.recall(run) {
            Ok(prepared) => prepared,
            Err(error) if error.code() == ErrorCode::Unreachable => return Err(error),
            Err(_) => return Ok(0),
        };
        let is_bad = match &run.bundle {
            None => false,
            Some(bundle) => {
                depot.forget_damaged::<BundleRecord>(&bundle.files)?
                    || depot.find::<BundleRecord>(&bundle.files)?.is_none()
            }
        };
        // What is not packed yet is no damage, and what is missing later is made when sealing.
        Ok(forget_damage(&prepared, &depot)?.damaged + usize::from(is_bad))
    }
}

/// The sets that a bundle carries; none if its manifest does not read.
fn carried(kept: &KeptBundle) -> Option<Vec<SetEntry>> {
    let name = PartName::new(layout::EXPORT).ok()?;
    let bytes = lines::read_small(kept, &name, LIMITS.manifest_bytes).ok()?;
    ExportManifest::from_bytes(&bytes).ok().map(|manifest| manifest.sets)
}

/// The stage that a task begins with.
fn first_stage(task: &TaskId) -> Stage {
    match task {
        TaskId::Plan => Stage::Plan,
        // Before it is sealed, what the depot lost is made again.
        TaskId::Make(_) | TaskId::Pack(_) | TaskId::Seal => Stage::Pack,
        TaskId::Distribute(_) => Stage::Distribute,
        TaskId::Verify(_) => Stage::Verify,
    }
}

/// A sealed bundle in the depot. Its files count as used now.
///
/// # Errors
/// [`EngineError`] with [`ErrorCode::DigestMismatch`] if not all of it is there, and with
/// [`ErrorCode::Unreachable`] if the bucket does not answer.
pub fn kept_bundle(store: &Store, bundle: &Bundle) -> Result<KeptBundle, EngineError> {
    let depot = store.depot();
    match depot.reuse::<BundleRecord>(&bundle.files)? {
        Some(record) => Ok(KeptBundle::new(depot, record)),
        None => Err(lost("a file of the bundle is missing in the depot")),
    }
}

fn lost(what: &str) -> EngineError {
    EngineError::new(ErrorCode::DigestMismatch, what).hint("the same run makes it again")
}

/// What the bundle of a plan is remembered under: another key makes other signatures.
fn by_plan(plan_hash: &Digest, key: Option<&StoreSigner>) -> Digest {
    let signer = key.map(|key| *key.entry().public_key().fingerprint());
    let mut name = DigestBuilder::new();
    name.lp(b"stella-bundle-1").digest(plan_hash).digest(&signer.unwrap_or(Digest::EMPTY));
    name.finish()
}

fn bundle_of(export_digest: Digest, kept: &BundleRecord) -> Bundle {
    Bundle { export_digest, files: kept.identity(), bytes: kept.bytes() }
}

/// Keeps what is not in the depot yet, and gives all files of the bundle, each read back.
fn keep(
    files: &Files,
    sealed: Sealed,
    depot: &Depot,
    cancel: &Cancel,
) -> Result<BundleRecord, EngineError> {
    let mut kept = Vec::new();
    for (name, bytes) in &sealed.files {
        kept.push(BundleFile { name: name.clone(), stored: depot.put_blob(bytes)? });
    }
    for (name, bytes) in &files.parts {
        let stored = match bytes {
            Bytes::Depot(stored) => *stored,
            Bytes::Memory(bytes) => depot.put_blob(bytes)?,
        };
        kept.push(BundleFile { name: name.clone(), stored });
    }
    kept.sort_by(|a, b| a.name.cmp(&b.name));
    BundleRecord::read(depot, kept, |_| cancel.check())
}
