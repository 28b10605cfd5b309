//! Stage distribute: the bundle at its destination, read back before it is there.

use std::ops::ControlFlow;

use stella_carrier::{
    Bundle, CarrierError, Existing, FileSpec, Outcome, Source, carrier_order, place,
};
use stella_depot::Depot;
use stella_manifest::ExportManifest;
use stella_model::Instant;
use stella_seal::PublicKey;
use stella_verify::{Depth, Policy, Problem, Report, TrustedKey, Unsigned, Verification};

use super::assemble::{Bytes, Files};
use super::request::ExportRequest;
use super::seal::Sealed;
use crate::{Cancel, Progress, Stage, StageUpdate};

/// Places the bundle; whether the same one was already there.
///
/// Every file is read back and compared with its digest before the bundle gets its name, and the
/// envelope is verified from the bytes that were read back (INV-VERIFY).
pub(crate) fn distribute(
    request: &ExportRequest,
    files: &Files,
    sealed: &Sealed,
    depot: &Depot,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<bool, CarrierError> {
    let mut specs: Vec<FileSpec<'_>> =
        sealed.files.iter().map(|(name, bytes)| FileSpec::bytes(name.clone(), bytes)).collect();
    specs.extend(files.parts.iter().map(|(name, bytes)| match bytes {
        Bytes::Memory(bytes) => FileSpec::bytes(name.clone(), bytes),
        Bytes::Depot(file) => FileSpec {
            name: name.clone(),
            size: file.size,
            digest: file.digest,
            source: Source::File(depot.blob_path(&file.digest)),
        },
    }));
    specs.sort_by(|a, b| carrier_order(a.name.as_str()).cmp(&carrier_order(b.name.as_str())));
    let existing = if request.replace { Existing::Replace } else { Existing::Refuse };
    let mut update = StageUpdate {
        stage: Stage::Distribute,
        done: 0,
        total: Some(specs.len() as u64),
        bytes: 0,
        unit: "files",
        finished: None,
    };
    let mut watch = |bytes| {
        update.done += 1;
        update.bytes += bytes;
        progress.update(&update);
        if cancel.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let verify = |written: &Bundle| {
        listed_digests(&files.manifest, &specs)?;
        verify_envelope(written, sealed.public_key.as_ref(), request.run.now)
    };
    let placed = place(request.carrier, &request.dest, &specs, existing, &mut watch, &verify)?;
    Ok(placed.outcome == Outcome::Unchanged)
}

/// Whether the manifest lists the digests that the files were compared with, so that nothing has to
/// be hashed a second time.
fn listed_digests(manifest: &ExportManifest, specs: &[FileSpec<'_>]) -> Result<(), String> {
    let mut given = specs.iter().map(|spec| (&spec.name, spec.size, spec.digest));
    // Both are in the order of paths; what the manifest does not list is passed over.
    for part in &manifest.parts {
        let listed = (&part.path, part.size, part.digest.sha256);
        if !given.any(|file| file == listed) {
            return Err(format!("the manifest lists other bytes for {}", part.path));
        }
    }
    Ok(())
}

/// Everything that `verify` checks of a bundle but the content of its parts: carrier, manifest,
/// signatures, provenance, plan and the list of files. Parts are compressed records that were
/// checked when they were made; their bytes have just been compared with their digests.
fn verify_envelope(written: &Bundle, key: Option<&PublicKey>, now: Instant) -> Result<(), String> {
    let name = "the signing key".to_owned();
    let policy = Policy {
        keys: key.map(|key| TrustedKey { name, key: key.clone() }).into_iter().collect(),
        max_age_seconds: None,
        now,
        depth: Depth::Digests,
        unsigned: match key {
            Some(_) => Unsigned::Refuse,
            None => Unsigned::AcceptForTesting,
        },
        limits: crate::LIMITS,
    };
    let report = Verification::begin(written, &policy).finish(Vec::new());
    match first_problem(&report) {
        None => Ok(()),
        Some(problem) => Err(problem),
    }
}

fn first_problem(report: &Report) -> Option<String> {
    let failed = report.failed().next()?;
    let told = |problem: &Problem| match &problem.file {
        Some(file) => format!("{file}: {}", problem.message),
        None => problem.message.clone(),
    };
    let problem = failed.problems.first().map(told).unwrap_or_default();
    Some(format!("{}: {problem}", failed.check.title()))
}
