//! `export download`: the bundle of a run of a service, to its place on this machine.
//!
//! Files arrive in the depot, by their digests: what is there already is not fetched again, whatever
//! bundle it came with, and what broke off goes on at its byte. The envelope comes first: no part is
//! fetched that is not in the manifest somebody trusted signed, with its size (INV-LIMIT). The bundle
//! gets its name when it was read back and verified as `export verify` verifies it (INV-VERIFY).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;
use stella_carrier::{Bundle, Carrier, CarrierError, Existing, FileSpec, Outcome, Source, place};
use stella_depot::{Arrival, BundleFile, BundleRecord, Depot, KeptBundle, StoredFile};
use stella_manifest::{layout, sort_for_carrier};
use stella_model::screen::Safe;
use stella_model::{Digest, ErrorCode, Instant, PartName};
use stella_remote::{Client, RemoteError, RemoteFile};
use stella_verify::{Depth, Policy, Report, TrustedKey, Unsigned, Verification};

use crate::bundle::{trusted_keys, verify_carrier};
use crate::{Cancel, EngineError, LIMITS, Progress, Stage, StageUpdate, Store, threads};

/// Bytes that are taken in at once.
const PIECE: usize = 256 << 10;

/// How often a file is asked for again that broke off without a byte more than before.
const TRIES: u32 = 5;

/// The wait before it is asked for again, doubled every time.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Most files of a bundle.
const MOST_FILES: usize = 1_000_000;

/// What to fetch, and where to.
#[derive(Debug, Clone)]
pub struct DownloadRequest<'a> {
    /// The run, such as `r-17`.
    pub run: String,
    /// The bundle itself: a folder, or a file for [`Carrier::Tar`].
    pub dest: PathBuf,
    /// What carries it here.
    pub carrier: Carrier,
    /// Whether another bundle at the destination is replaced.
    pub replace: bool,
    /// Files with trusted public keys. If there are any, only these count.
    pub keys: Vec<PathBuf>,
    /// Where files arrive, and whose trusted keys count otherwise.
    pub store: &'a Store,
    /// Whether a bundle that nobody signed is accepted.
    pub allow_unsigned: bool,
    /// Files that are fetched at once, and threads to verify with.
    pub threads: usize,
    /// The time.
    pub now: Instant,
}

/// What was fetched.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DownloadReport {
    /// The run.
    pub run: String,
    /// Where the bundle is.
    pub destination: PathBuf,
    /// SHA-256 of `export.json`.
    pub export_digest: Digest,
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that came over the network now.
    pub fetched_bytes: u64,
    /// Whether the same bundle was at the destination already.
    pub already_there: bool,
    /// The trusted key that signed it; none if nobody did.
    pub signed_by: Option<String>,
}

/// How a key comes to be trusted by whoever fetches bundles.
const TRUSTING: &str = "stella trust add NAME KEY.pub, or --trusted-key KEY.pub";

/// The keys by which a bundle that is fetched is believed: those in files, or those that the store
/// trusts. Worth asking before a run is started whose bundle is to be fetched.
///
/// # Errors
/// [`EngineError`] if a key does not read, or nobody is trusted and bundles must be signed.
pub fn trust(
    files: &[PathBuf],
    store: &Store,
    allow_unsigned: bool,
) -> Result<Vec<TrustedKey>, EngineError> {
    let keys = trusted_keys(files, Some(store))?;
    if keys.is_empty() && !allow_unsigned {
        let what = "no key is trusted, so that no bundle of a server can be believed";
        return Err(EngineError::new(ErrorCode::NoKey, what).hint(format!(
            "get the public key of the signer by another way than the bundle, then: {TRUSTING}"
        )));
    }
    Ok(keys)
}

/// Fetches a bundle.
///
/// # Errors
/// [`EngineError`] as the server tells it; unreachable if it does not answer: the same again goes on
/// where this one ended; as `verify` has it if what came does not verify. Nothing is at the
/// destination then that was not there before.
pub fn download(
    client: &Client,
    request: &DownloadRequest<'_>,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<DownloadReport, EngineError> {
    let policy = Policy {
        keys: trust(&request.keys, request.store, request.allow_unsigned)?,
        max_age_seconds: None,
        now: request.now,
        depth: Depth::Digests,
        unsigned: match request.allow_unsigned {
            true => Unsigned::AcceptForTesting,
            false => Unsigned::Refuse,
        },
        limits: LIMITS,
    };
    let files = listed(&client.files(&request.run)?)?;
    let export = files.iter().find(|file| file.name.as_str() == layout::EXPORT);
    let export_digest = export.ok_or_else(|| strange("there is no export.json"))?.stored.digest;
    let depot = request.store.depot();
    let _held = depot.hold()?;
    let fetch = Fetch {
        client,
        run: &request.run,
        depot: &depot,
        total: files.len() as u64,
        done: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        fetched: AtomicU64::new(0),
        progress,
        cancel,
    };
    let (envelope, others) = files.split_at(files.partition_point(Listed::comes_first));
    fetch.all(envelope, request.threads)?;
    check_envelope(&files, &depot, &policy)?;
    fetch.all(others, request.threads)?;
    let fetched_bytes = fetch.fetched.into_inner();
    progress.update(&StageUpdate::over(Stage::Distribute));
    let (report, already_there) = put(request, &files, &depot, &policy, progress, cancel)?;
    let signer = report.signers.iter().find(|signer| signer.state == stella_verify::State::Pass);
    Ok(DownloadReport {
        run: request.run.clone(),
        destination: request.dest.clone(),
        export_digest,
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.stored.size).sum(),
        fetched_bytes,
        already_there,
        signed_by: signer.and_then(|signer| signer.key.clone()),
    })
}

/// A file that the server lists.
#[derive(Debug)]
struct Listed {
    name: PartName,
    stored: StoredFile,
    remote: RemoteFile,
}

impl Listed {
    /// Whether it tells what the others must be. Further signatures do not: anybody may add one.
    fn comes_first(&self) -> bool {
        layout::ENVELOPE.contains(&self.name.as_str())
    }
}

fn strange(what: &str) -> EngineError {
    let message = format!("the server lists what cannot be a bundle: {what}");
    EngineError::new(ErrorCode::BadBundle, message)
        .hint("check the address of the server; nothing was changed")
}

/// What the server lists, as files that a bundle may have: those first that come first, none larger than
/// such files may be, and further signatures not even together.
fn listed(files: &[RemoteFile]) -> Result<Vec<Listed>, EngineError> {
    if files.len() > MOST_FILES {
        return Err(strange("it has too many files"));
    }
    let (mut names, mut signatures) = (BTreeSet::new(), 0_u64);
    let mut listed = Vec::with_capacity(files.len());
    for file in files {
        let name = PartName::new(&file.path).map_err(|error| strange(&error.to_string()))?;
        if !names.insert(name.clone()) {
            return Err(strange(&format!("{name} is there twice")));
        }
        let mut bytes = file.size;
        if name.as_str().starts_with(layout::SIGNATURES) {
            signatures = signatures.saturating_add(file.size);
            bytes = signatures;
        }
        let is_too_large = match layout::is_envelope(name.as_str()) {
            true => bytes > LIMITS.manifest_bytes,
            false => bytes >= LIMITS.part_bytes,
        };
        if is_too_large {
            return Err(strange(&format!("{name} is larger than such files may be")));
        }
        let digest = file.digest.parse().map_err(|_| strange("a digest is none"))?;
        let stored = StoredFile { digest, size: file.size };
        listed.push(Listed { name, stored, remote: file.clone() });
    }
    listed.sort_by_key(|file| !file.comes_first());
    Ok(listed)
}

/// Checks the envelope that has come, and that the files which are listed are those of the manifest, with
/// their sizes. Else a server could have this machine write as much as it likes before anything is found.
fn check_envelope(files: &[Listed], depot: &Depot, policy: &Policy) -> Result<(), EngineError> {
    let is_signed = |file: &&Listed| !file.name.as_str().starts_with(layout::SIGNATURES);
    let file = |file: &Listed| BundleFile { name: file.name.clone(), stored: file.stored };
    let mut files: Vec<BundleFile> = files.iter().filter(is_signed).map(file).collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    // Nobody asks for it as a tar.
    let record = BundleRecord { files, tar: Digest::EMPTY };
    let bundle = KeptBundle::new(depot.clone(), record);
    // What is told of parts is not checked yet, and that is no failure.
    let report = Verification::begin(&bundle, policy).finish(Vec::new());
    match report.failed().next() {
        None => Ok(()),
        Some(_) => Err(not_verified(&report)),
    }
}

/// Files on their way.
struct Fetch<'a> {
    client: &'a Client,
    run: &'a str,
    depot: &'a Depot,
    /// Files of the bundle.
    total: u64,
    done: AtomicU64,
    bytes: AtomicU64,
    fetched: AtomicU64,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
}

impl Fetch<'_> {
    fn all(&self, files: &[Listed], threads: usize) -> Result<(), EngineError> {
        let next = AtomicUsize::new(0);
        threads::share(threads.min(16), files.len(), || self.work(files, &next))
    }

    fn work(&self, files: &[Listed], next: &AtomicUsize) -> Result<(), EngineError> {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let fetched = self.cancel.check().and_then(|()| self.file(file));
            if fetched.is_err() {
                // The others end too: what they have is kept.
                next.store(files.len(), Ordering::Relaxed);
                return fetched;
            }
            self.done.fetch_add(1, Ordering::Relaxed);
            self.tell(0);
        }
        Ok(())
    }

    fn tell(&self, more: u64) {
        let bytes = self.bytes.fetch_add(more, Ordering::Relaxed) + more;
        self.progress.update(&StageUpdate {
            stage: Stage::Distribute,
            done: self.done.load(Ordering::Relaxed),
            total: Some(self.total),
            bytes,
            unit: "files",
            finished: None,
        });
    }

    /// Fetches a file unless it is there, and goes on as often as it gets further.
    fn file(&self, file: &Listed) -> Result<(), EngineError> {
        if self.depot.is_intact(&file.stored)? {
            self.depot.bring(&file.stored)?;
            self.tell(file.stored.size);
            return Ok(());
        }
        let mut blob = self.depot.arriving(&file.stored)?;
        self.tell(blob.size());
        let (mut reached, mut tries) = (blob.size(), 0);
        while blob.size() < file.stored.size {
            let outcome = self.piece_by_piece(file, &mut blob);
            let Err(error) = outcome else { continue };
            tries = if blob.size() > reached { 0 } else { tries + 1 };
            reached = blob.size();
            match error {
                Broken::Connection(error) if error.may_pass() && tries < TRIES => {
                    self.cancel.wait(FIRST_WAIT * 2u32.pow(tries))?;
                }
                Broken::Connection(error) => return Err(broken_off(error)),
                Broken::Here(error) => return Err(error),
            }
        }
        match blob.finish()? {
            Arrival::Kept => Ok(()),
            Arrival::Other => Err(EngineError::new(
                ErrorCode::DigestMismatch,
                format!("what came for {} does not have the digest that was listed", file.name),
            )
            .hint(
                "run the same command again; if it stays so, the server or a proxy changes files",
            )),
        }
    }

    fn piece_by_piece(
        &self,
        file: &Listed,
        blob: &mut stella_depot::ArrivingBlob,
    ) -> Result<(), Broken> {
        let opened = self.client.open(self.run, &file.remote, blob.size());
        let mut content = opened.map_err(Broken::Connection)?;
        let mut piece = vec![0; PIECE];
        while blob.size() < file.stored.size {
            self.cancel.check().map_err(Broken::Here)?;
            let read = content.read(&mut piece).and_then(|read| match read {
                0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => Ok(read),
            });
            let read = read.map_err(|source| {
                let attempt = format!("fetch {}", file.name);
                Broken::Connection(RemoteError::BrokenOff { attempt, source })
            })?;
            blob.take(&piece[..read]).map_err(|error| Broken::Here(error.into()))?;
            self.fetched.fetch_add(read as u64, Ordering::Relaxed);
            self.tell(read as u64);
        }
        Ok(())
    }
}

/// The error that a server does not go on: what has come is kept.
fn broken_off(error: RemoteError) -> EngineError {
    let may_pass = error.may_pass();
    let error = EngineError::from(error);
    if !may_pass {
        return error;
    }
    let next = error.next_step().map_or_else(String::new, |next| format!("{next}; "));
    error.hint(format!("{next}the same command goes on where this one stopped"))
}

/// Why a file did not arrive.
enum Broken {
    /// On its way.
    Connection(RemoteError),
    /// On this machine.
    Here(EngineError),
}

/// Puts the bundle at its destination once it is verified; whether it was there already.
fn put(
    request: &DownloadRequest<'_>,
    files: &[Listed],
    depot: &Depot,
    policy: &Policy,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(Report, bool), EngineError> {
    let spec = |file: &Listed| FileSpec {
        name: file.name.clone(),
        size: file.stored.size,
        digest: file.stored.digest,
        source: Source::File(depot.blob_path(&file.stored.digest)),
    };
    let mut specs: Vec<FileSpec<'_>> = files.iter().map(spec).collect();
    sort_for_carrier(&mut specs, |file| file.name.as_str());
    let existing = if request.replace { Existing::Replace } else { Existing::Refuse };
    let mut watch = |_| match cancel.is_set() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let verdict = RefCell::new(None);
    let verify = |written: &Bundle| {
        let checked = verify_carrier(written, policy, request.threads, progress, cancel);
        let is_good = checked.as_ref().is_ok_and(|report| report.verified);
        verdict.replace(Some(checked));
        if is_good { Ok(()) } else { Err("it does not verify".to_owned()) }
    };
    let placed = place(request.carrier, &request.dest, &specs, existing, &mut watch, &verify);
    let verdict = verdict.into_inner();
    match (placed, verdict) {
        (Ok(placed), Some(report)) => Ok((report?, placed.outcome == Outcome::Unchanged)),
        // The same files were there: they are verified all the same.
        (Ok(_), None) => {
            let there = Bundle::open(&request.dest)?;
            let report = verify_carrier(&there, policy, request.threads, progress, cancel)?;
            if report.verified { Ok((report, true)) } else { Err(not_verified(&report)) }
        }
        (Err(CarrierError::NotVerified { .. }), Some(report)) => Err(not_verified(&report?)),
        (Err(error), _) => Err(error.into()),
    }
}

fn not_verified(report: &Report) -> EngineError {
    let code = report.error_code().unwrap_or(ErrorCode::BadBundle);
    let failed = report.failed().next().or_else(|| {
        let is_open = |state| state == stella_verify::State::NotChecked;
        report.checks.iter().find(|check| is_open(check.state))
    });
    let what = failed.map(|check| format!("{}: {}", check.check.title(), Safe(&check.detail)));
    let what = what.unwrap_or_default();
    let error = EngineError::new(code, format!("the bundle of the run is not verified: {what}"));
    let nothing = "nothing was put at the destination";
    if code == ErrorCode::Signature {
        // Where bundles are verified by hand, keys are given by another name.
        return error
            .hint(format!("{nothing}; make sure of the signer's public key, then: {TRUSTING}"));
    }
    error.hint(failed.and_then(|check| check.next).unwrap_or(nothing))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(files: &[(&str, u64)]) -> Result<Vec<Listed>, EngineError> {
        let file = |(path, size): &(&str, u64)| RemoteFile {
            path: (*path).to_owned(),
            size: *size,
            digest: Digest::of(path.as_bytes()).to_string(),
        };
        listed(&files.iter().map(file).collect::<Vec<_>>())
    }

    const PART: u64 = LIMITS.part_bytes - 1;
    const ENVELOPE: u64 = LIMITS.manifest_bytes;
    const LARGEST: [(&str, u64); 6] = [
        ("data/raw/advisory/npm/p-0.jsonl.zst", PART),
        ("README.md", PART),
        ("export.json", ENVELOPE),
        ("export.json.sigstore.json", ENVELOPE),
        ("provenance.json", ENVELOPE),
        ("signatures/one.json", ENVELOPE),
    ];

    #[test]
    fn what_a_bundle_cannot_hold_is_refused_before_it_is_fetched() {
        announced(&LARGEST).expect("all of them may be");
        let too_large = LARGEST.map(|(path, size)| vec![(path, size + 1)]);
        let together = vec![("signatures/one.json", ENVELOPE), ("signatures/two.json", 1)];
        let endless = vec![("README.md", 1 << 60), ("NOTICE.md", u64::MAX)];
        for files in too_large.into_iter().chain([together, endless]) {
            let error = announced(&files).expect_err("is refused");
            assert_eq!(error.code(), ErrorCode::BadBundle, "{files:?}");
            assert!(error.to_string().contains("larger than"), "{error}");
        }
    }

    #[test]
    fn what_tells_of_the_others_comes_first() {
        let listed = announced(&LARGEST).expect("may be");
        let names: Vec<&str> = listed.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names[..3], ["export.json", "export.json.sigstore.json", "provenance.json"]);
        assert_eq!(listed.partition_point(Listed::comes_first), 3);
    }
}
