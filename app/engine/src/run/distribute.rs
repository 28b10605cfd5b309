//! Stage distribute: the bundle at its destination, read back before it is there.

use std::ops::ControlFlow;

use stella_carrier::{Bundle, CarrierError, Existing, FileSpec, Outcome, Source, place};
use stella_depot::Depot;
use stella_manifest::{ExportManifest, layout, sort_for_carrier};
use stella_model::{Digest, Instant};
use stella_seal::PublicKey;
use stella_verify::{
    BundleFiles, Depth, Policy, Problem, Report, TrustedKey, Unsigned, Verification,
};

use super::assemble::{Bytes, Files};
use super::request::ExportRequest;
use super::seal::Sealed;
use crate::bundle::ReadBundle;
use crate::{Cancel, Progress, Stage, StageUpdate};

/// Refuses a folder at the destination in which something else is, before hours of work; what this
/// does not see, [`distribute`] does.
pub(super) fn refuse_another(
    request: &ExportRequest,
    plan_hash: &Digest,
) -> Result<(), CarrierError> {
    let dest = &request.dest;
    let conflict = |difference: &str, replaceable| {
        let (path, difference) = (dest.clone(), difference.to_owned());
        Err(CarrierError::Conflict { path, difference, replaceable })
    };
    let holds_something = std::fs::read_dir(dest).is_ok_and(|mut entries| entries.next().is_some());
    if !holds_something {
        return Ok(());
    }
    if !dest.join(layout::EXPORT).exists() {
        return conflict("it is no bundle", false);
    }
    match ReadBundle::open(dest).map(|there| there.manifest) {
        Ok(there) if there.plan_hash != *plan_hash && !request.replace => {
            conflict("it was made by another plan", true)
        }
        _ => Ok(()),
    }
}

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
    sort_for_carrier(&mut specs, |file| file.name.as_str());
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
pub(super) fn verify_envelope(
    written: &dyn BundleFiles,
    key: Option<&PublicKey>,
    now: Instant,
) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use stella_ledger::{FeedSpec, IngestMode};
    use stella_model::Digest;
    use stella_plan::profile::Select;
    use stella_seal::{Algorithm, SecretKey};

    use super::*;
    use crate::{
        IngestRequest, NoProgress, PolicyRequest, ProfileSource, RunRequest, Signing, Store,
    };

    fn now() -> Instant {
        Instant::parse("2026-11-23T12:00:00Z").expect("a time")
    }

    /// A bundle of a few samples that nobody signed.
    fn unsigned(folder: &std::path::Path) -> std::path::PathBuf {
        let store = Store::at(folder.join("store"));
        let ingest = IngestRequest {
            feed: FeedSpec::named("npm".parse().expect("a feed")),
            paths: vec![stella_testkit::samples().join("advisories/npm")],
            mode: IngestMode::Merge,
            threads: 1,
            dry_run: false,
            now: now(),
        };
        crate::ingest(&store, &ingest, &NoProgress, &Cancel::new()).expect("ingests");
        let request = ExportRequest {
            run: RunRequest {
                profile: ProfileSource::BuiltIn("mirror:full".to_owned()),
                select: Select::default(),
                as_of: None,
                redaction: None,
                policy: PolicyRequest::default(),
                accept_drop: None,
                allow_empty: Vec::new(),
                threads: 1,
                now: now(),
                again: None,
            },
            dest: folder.join("bundle"),
            carrier: stella_carrier::Carrier::Dir,
            replace: false,
            signing: Signing::UnsignedForTesting,
            cache_bytes: None,
        };
        crate::export(&store, &request, &NoProgress, &Cancel::new()).expect("runs").destination
    }

    #[test]
    fn an_envelope_that_is_not_what_it_should_be_is_found_on_the_disk() {
        let folder = stella_testkit::temp_dir();
        let path = unsigned(folder.path());
        let verify = |key: Option<&PublicKey>| {
            verify_envelope(&Bundle::open(&path).expect("opens"), key, now())
        };
        assert_eq!(verify(None), Ok(()));
        let secret = SecretKey::generate(Algorithm::Ed25519, &[7; 32]).expect("a key");
        let fault = verify(Some(secret.public())).expect_err("nobody signed it");
        assert!(fault.starts_with("manifest signature: "), "{fault}");
        let provenance = path.join("provenance.json");
        let text = std::fs::read_to_string(&provenance).expect("reads");
        let digit = |text: &str| text.replacen("\"sha256\":\"", "\"sha256\":\"0", 1);
        std::fs::write(&provenance, digit(&text)).expect("writes");
        let fault = verify(None).expect_err("the statement is broken");
        assert!(fault.starts_with("provenance: "), "{fault}");
        std::fs::write(&provenance, text).expect("writes");
        std::fs::write(path.join("stray"), "").expect("writes");
        let fault = verify(None).expect_err("a file is not listed");
        assert!(fault.starts_with("files listed: "), "{fault}");
    }

    #[test]
    fn a_file_is_compared_with_the_digest_that_the_manifest_lists() {
        let folder = stella_testkit::temp_dir();
        let path = unsigned(folder.path());
        let bytes = std::fs::read(path.join("export.json")).expect("reads");
        let manifest = ExportManifest::from_bytes(&bytes).expect("a manifest");
        let spec = |part: &stella_manifest::PartEntry| FileSpec {
            name: part.path.clone(),
            size: part.size,
            digest: part.digest.sha256,
            source: Source::Bytes(&[]),
        };
        let mut specs: Vec<FileSpec<'_>> = manifest.parts.iter().map(spec).collect();
        assert_eq!(listed_digests(&manifest, &specs), Ok(()));
        specs[1].digest = Digest::EMPTY;
        let fault = listed_digests(&manifest, &specs).expect_err("another digest");
        assert_eq!(fault, format!("the manifest lists other bytes for {}", specs[1].name));
    }
}
