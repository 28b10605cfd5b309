//! What the tests of the engine share: taking evidence in, running a profile, looking at a bundle.
#![allow(dead_code, reason = "every test binary uses a part of this")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stella_engine::{
    Cancel, Carrier, EngineError, ExportRequest, IngestReport, IngestRequest, NoProgress,
    PolicyRequest, ProfileSource, RunReport, RunRequest, Signing, Store, VerifyRequest, export,
    ingest, verify,
};
use stella_ledger::{FeedSpec, IngestMode};
use stella_model::{Digest, Instant};
use stella_plan::profile::Select;

/// The time of all tests.
pub(crate) fn now() -> Instant {
    Instant::parse("2026-11-23T12:00:00Z").expect("a time")
}

/// Takes files into a feed.
pub(crate) fn ingest_into(
    store: &Store,
    feed: &str,
    paths: Vec<PathBuf>,
    mode: IngestMode,
) -> IngestReport {
    let request = IngestRequest {
        feed: FeedSpec::named(feed.parse().expect("a feed")),
        paths,
        mode,
        threads: 2,
        dry_run: false,
        now: now(),
    };
    ingest(store, &request, &NoProgress, &Cancel::new()).expect("ingests")
}

/// A request for a profile of the program.
pub(crate) fn request(profile: &str) -> RunRequest {
    RunRequest {
        profile: ProfileSource::BuiltIn(profile.to_owned()),
        select: Select::default(),
        as_of: None,
        redaction: None,
        policy: PolicyRequest::default(),
        accept_drop: None,
        allow_empty: Vec::new(),
        threads: 2,
        now: now(),
        again: None,
    }
}

/// Runs a profile, unsigned.
pub(crate) fn run(
    store: &Store,
    run: RunRequest,
    dest: &Path,
    carrier: Carrier,
) -> Result<RunReport, EngineError> {
    let request = ExportRequest {
        run,
        dest: dest.to_owned(),
        carrier,
        replace: false,
        signing: Signing::UnsignedForTesting,
        cache_bytes: None,
    };
    export(store, &request, &NoProgress, &Cancel::new())
}

/// Every file of a folder with its digest.
pub(crate) fn tree(dir: &Path) -> BTreeMap<String, Digest> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("lists") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below").display().to_string();
                files.insert(name, Digest::of(&std::fs::read(&path).expect("reads")));
            }
        }
    }
    files
}

/// Demands that an unsigned bundle verifies.
#[track_caller]
pub(crate) fn check_bundle(bundle: &Path) {
    let request = VerifyRequest {
        scanner: None,
        path: bundle.to_owned(),
        keys: Vec::new(),
        store: None,
        max_age: None,
        now: now(),
        deep: true,
        allow_unsigned: true,
        threads: 2,
    };
    let report = verify(&request, &NoProgress, &Cancel::new()).expect("a report");
    let failed: Vec<_> = report.failed().collect();
    assert!(report.verified, "{failed:?}");
}
