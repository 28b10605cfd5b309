//! `export verify`: a bundle against trusted keys, on several threads.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stella_carrier::Bundle;
use stella_keys::TrustStore;
use stella_model::{ErrorCode, Instant, Limits};
use stella_verify::{
    Canary, CanaryOutcome, Depth, PartVerdict, Policy, Report, Scratch, TrustedKey, Unsigned,
    Verification,
};

use super::canary::{CanaryRequest, Scanner};
use super::read::open_carrier;
use crate::{Cancel, EngineError, Progress, Stage, StageUpdate, Store, threads};

/// A bundle and what is demanded of it.
#[derive(Debug, Clone)]
pub struct VerifyRequest<'a> {
    /// The bundle: a folder or a tar.
    pub path: PathBuf,
    /// Files with trusted public keys. If there are any, only these count.
    pub keys: Vec<PathBuf>,
    /// The store whose trusted keys count otherwise.
    pub store: Option<&'a Store>,
    /// Oldest evidence that is accepted.
    pub max_age: Option<Duration>,
    /// The time.
    pub now: Instant,
    /// Whether documents are brought to canonical form again.
    pub deep: bool,
    /// Whether a bundle that nobody signed is accepted.
    pub allow_unsigned: bool,
    /// Threads to use; at least one is.
    pub threads: usize,
    /// A scanner to try with the database of the bundle.
    pub scanner: Option<CanaryRequest>,
}

/// Verifies a bundle. A report of failures is no error: its exit code tells.
///
/// # Errors
/// [`EngineError`] if there is nothing to verify, a key cannot be read or lies inside the bundle,
/// or the operator interrupts.
pub fn verify(
    request: &VerifyRequest<'_>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Report, EngineError> {
    let bundle = open_carrier(&request.path)?;
    if let Bundle::Dir(_) = bundle {
        request.keys.iter().try_for_each(|key| refuse_inside(key, &request.path))?;
    }
    let policy = Policy {
        keys: trusted_keys(&request.keys, request.store)?,
        max_age_seconds: request.max_age.map(|age| age.as_secs()),
        now: request.now,
        depth: if request.deep { Depth::Documents } else { Depth::Digests },
        unsigned: match request.allow_unsigned {
            true => Unsigned::AcceptForTesting,
            false => Unsigned::Refuse,
        },
        limits: Limits::DEFAULT,
    };
    let scanner = request.scanner.as_ref().map(Scanner::find).transpose()?;
    let (report, tried) = check(&bundle, &policy, request.threads, progress, cancel)?;
    let Tried { has_database, canary, mut room } = tried;
    match scanner.filter(|_| has_database) {
        None => Ok(report),
        Some(_) if !report.verified => Ok(report.with_canary(CanaryOutcome::NotTried)),
        Some(scanner) => {
            let outcome = scanner.look_for(&canary, room.as_mut(), request.now, cancel)?;
            Ok(report.with_canary(outcome))
        }
    }
}

/// Verifies a bundle that is carried, without any scanner.
pub(crate) fn verify_carrier(
    bundle: &Bundle,
    policy: &Policy,
    threads: usize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Report, EngineError> {
    check(bundle, policy, threads, progress, cancel).map(|(report, _)| report)
}

/// What a scanner could be tried with.
struct Tried {
    has_database: bool,
    canary: Canary,
    room: Option<File>,
}

fn check(
    bundle: &Bundle,
    policy: &Policy,
    threads: usize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(Report, Tried), EngineError> {
    let mut verification = Verification::begin(bundle, policy);
    let verdicts = check_parts(&verification, threads, progress, cancel)?;
    let mut room = None;
    let mut canary = Canary::default();
    if verification.has_scanner_output() {
        // The parts are done, and what is for a scanner takes its own time.
        progress.update(&StageUpdate::over(Stage::Verify));
        progress.update(&StageUpdate::begun(Stage::Verify));
        let (database, java_index) = (room.insert(temporary()?), temporary()?);
        let verdict = verification.check_scanner(&*database, &java_index, &|| cancel.is_set());
        canary = verdict.map(|verdict| verdict.canary().clone()).unwrap_or_default();
        cancel.check()?;
    }
    let has_database = verification.has_database();
    Ok((verification.finish(verdicts), Tried { has_database, canary, room }))
}

/// Room for a database: a file without a name, which is gone when it is closed.
fn temporary() -> Result<File, EngineError> {
    tempfile::tempfile().map_err(|error| {
        EngineError::new(ErrorCode::Io, "cannot make a temporary file for the database")
            .because(error)
            .hint("TMPDIR names the folder for temporary files; a database may need some GiB there")
    })
}

/// The keys in files, or those that a store trusts if no file is given.
pub(crate) fn trusted_keys(
    files: &[PathBuf],
    store: Option<&Store>,
) -> Result<Vec<TrustedKey>, EngineError> {
    if !files.is_empty() {
        return files.iter().map(|file| read_key(file)).collect();
    }
    let Some(store) = store else { return Ok(Vec::new()) };
    let trusted = TrustStore::at(store.trust_dir()).list()?;
    let named = |known: stella_keys::TrustedKey| TrustedKey {
        name: known.name.to_string(),
        key: known.key,
    };
    Ok(trusted.into_iter().map(named).collect())
}

fn read_key(file: &Path) -> Result<TrustedKey, EngineError> {
    let key = stella_keys::read_public_key(file)?;
    let name = file.file_stem().unwrap_or(file.as_os_str());
    Ok(TrustedKey { name: name.to_string_lossy().into_owned(), key })
}

/// A key that came with the bundle proves nothing.
pub(crate) fn refuse_inside(key: &Path, bundle: &Path) -> Result<(), EngineError> {
    let (Ok(key_path), Ok(bundle)) = (key.canonicalize(), bundle.canonicalize()) else {
        return Ok(());
    };
    if !key_path.starts_with(bundle) {
        return Ok(());
    }
    let what = format!("the key {} lies inside the bundle", key.display());
    Err(EngineError::new(ErrorCode::Usage, what).hint(
        "a key that comes with a bundle proves nothing: get it from its publisher some other way",
    ))
}

/// Checks all parts; the verdicts come in the order of the tasks, whatever the threads do.
fn check_parts(
    verification: &Verification<'_>,
    threads: usize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<PartVerdict>, EngineError> {
    let tasks = verification.tasks();
    let state = Checking {
        verification,
        next: AtomicUsize::new(0),
        done: Mutex::new(Done { verdicts: vec![None; tasks.len()], parts: 0, bytes: 0 }),
        progress,
        cancel,
    };
    let failed = |error: std::io::Error| {
        EngineError::new(ErrorCode::Internal, "cannot make a decompression context").because(error)
    };
    threads::share(threads, tasks.len(), || state.work()).map_err(failed)?;
    if cancel.is_set() {
        return Err(EngineError::new(ErrorCode::Interrupted, "the verification was interrupted"));
    }
    let done = state.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(done.verdicts.into_iter().flatten().collect())
}

struct Checking<'a> {
    verification: &'a Verification<'a>,
    next: AtomicUsize,
    done: Mutex<Done>,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

struct Done {
    verdicts: Vec<Option<PartVerdict>>,
    parts: u64,
    bytes: u64,
}

impl Checking<'_> {
    fn work(&self) -> std::io::Result<()> {
        let mut scratch = Scratch::new(&Limits::DEFAULT)?;
        let tasks = self.verification.tasks();
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(at).filter(|_| !self.cancel.is_set()) else { return Ok(()) };
            let verdict = self.verification.check_part(task, &mut scratch);
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            done.verdicts[at] = Some(verdict);
            done.parts += 1;
            done.bytes += task.bytes();
            let (parts, bytes) = (done.parts, done.bytes);
            drop(done);
            self.progress.update(&StageUpdate {
                stage: Stage::Verify,
                done: parts,
                total: Some(tasks.len() as u64),
                bytes,
                unit: "parts",
                finished: None,
            });
        }
    }
}
