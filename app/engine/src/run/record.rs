//! What the store remembers of the last successful run of each profile revision.
//!
//! A revision includes the selectors, so that runs are only held against runs that select alike; the
//! policy is left out of it here.
//! Cursors, durations and places live here and in no hashed file. A record that is lost
//! only costs the comparison with the last run.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stella_depot::{Kept, StoredFile};
use stella_model::{Digest, DigestBuilder, ErrorCode, Instant};
use stella_plan::ProfileId;
use stella_plan::estimate::Experience;

use crate::{EngineError, Store};

/// The last successful run of a profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// The plan.
    pub plan_hash: Digest,
    /// The manifest.
    pub export_digest: Digest,
    /// Id of the ledger that was read.
    pub ledger: String,
    /// The last sequence number that the snapshot saw.
    pub sequence: u64,
    /// When the run ended.
    pub finished: Instant,
    /// Where the bundle was put.
    pub destination: PathBuf,
    /// Records per set (`KIND/FEED`).
    pub sets: BTreeMap<String, SetRecord>,
    /// How much each output had: by adapter, then by what is counted, such as an ecosystem.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, BTreeMap<String, u64>>,
    /// What was less than in the run before and accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_drop: Option<AcceptedDrop>,
    /// Uncompressed bytes that were packed, not reused.
    pub packed_bytes: u64,
    /// How long packing them took, in milliseconds.
    pub packing_ms: u64,
    /// What was made of records and not reused.
    #[serde(default)]
    pub made: Made,
    /// Uncompressed bytes of all parts.
    pub uncompressed_bytes: u64,
    /// Stored bytes of all parts.
    pub stored_bytes: u64,
}

/// Outputs such as databases that a run made of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// Bytes of the records.
    pub source_bytes: u64,
    /// Stored bytes of the outputs.
    pub stored_bytes: u64,
    /// How long making them took, in milliseconds.
    pub ms: u64,
}

/// Why a run was made although less was there than in the run before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedDrop {
    /// Why that is right.
    pub reason: String,
    /// What there was less of.
    pub drops: Vec<String>,
}

/// One set of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRecord {
    /// Number of records.
    pub count: u64,
    /// Root before redaction.
    pub root: Digest,
}

/// In a depot that machines share the last run is that of all of them.
impl Kept for RunRecord {
    const FOLDER: &'static str = "runs";

    fn files(&self) -> Vec<StoredFile> {
        Vec::new()
    }
}

impl RunRecord {
    /// The last run of a profile in this revision.
    ///
    /// # Errors
    /// [`ErrorCode::Unreachable`] if nobody can tell now: the run must wait then. Else a sentence for
    /// the operator if there is a record that does not read: the run is then not held against it.
    pub fn last(store: &Store, profile: &ProfileId) -> Result<Option<RunRecord>, EngineError> {
        if store.is_shared() {
            return Ok(store.depot().newest(&in_depot(profile))?);
        }
        let path = path(store, profile, "json");
        let problem = |error: &dyn std::fmt::Display| {
            let message = format!(
                "the record of the last run, {}, does not read ({error}); nothing is held against it",
                path.display()
            );
            EngineError::new(ErrorCode::Io, message)
        };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| problem(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(problem(&error)),
        }
    }

    /// Replaces the last run of a profile in this revision, whole or not at all.
    pub(crate) fn save(&self, store: &Store, profile: &ProfileId) -> Result<(), EngineError> {
        if store.is_shared() {
            return Ok(store.depot().keep(&in_depot(profile), self)?);
        }
        let path = path(store, profile, "json");
        put(&path, &stella_model::rfc8785::to_vec(self)).map_err(|source| {
            let message = format!("cannot write the run record {}", path.display());
            EngineError::new(ErrorCode::Io, message).because(source)
        })
    }

    /// What this run showed about speed and compression, with defaults for what it did not.
    #[must_use]
    pub fn experience(&self) -> Experience {
        let ratio = |part: u64, whole: u64, default: f64| {
            if part == 0 || whole == 0 { default } else { part as f64 / whole as f64 }
        };
        let default = Experience::DEFAULT;
        Experience {
            bytes_per_second: ratio(
                self.packed_bytes.saturating_mul(1000),
                self.packing_ms,
                default.bytes_per_second,
            ),
            stored_per_byte: ratio(
                self.stored_bytes,
                self.uncompressed_bytes,
                default.stored_per_byte,
            ),
            made_bytes_per_second: ratio(
                self.made.source_bytes.saturating_mul(1000),
                self.made.ms,
                default.made_bytes_per_second,
            ),
            made_per_byte: ratio(
                self.made.stored_bytes,
                self.made.source_bytes,
                default.made_per_byte,
            ),
        }
    }
}

/// Where something of a profile in this revision is kept.
pub(super) fn path(store: &Store, profile: &ProfileId, extension: &str) -> PathBuf {
    // Names of profiles have no character but ':' that a file system might refuse.
    let name = profile.name.replace(':', "_");
    store.runs_dir().join(format!("{name}.{}.{extension}", profile.revision.short(16)))
}

/// What the last run of a profile in this revision is kept under in a depot.
fn in_depot(profile: &ProfileId) -> Digest {
    let mut key = DigestBuilder::new();
    key.lp(b"stella-last-run-1").lp(profile.name.as_bytes()).digest(&profile.revision);
    key.finish()
}

/// Puts a file in its place, whole or not at all.
pub(super) fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
