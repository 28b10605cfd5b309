//! Runs: what the service and the command line both do, with the implementations chosen.
//!
//! One function per operation, each taking a request value and returning a report value. Work that
//! may take long tells a [`Progress`] and stops soon after its [`Cancel`] is set. Nothing here
//! prints.

mod budget;
mod bundle;
mod cat;
mod diff;
mod distribute;
mod error;
mod export;
mod failures;
mod ingest;
mod inspect;
mod pack_stage;
mod plan;
mod progress;
mod prove;
mod read_bundle;
mod run_record;
mod seal_stage;
mod store;
mod verify;

pub use cat::{CatForm, CatReport, CatRequest, cat};
pub use diff::{ChangeKind, DiffCounts, DiffReport, RecordChange, SetDiff, diff};
pub use error::EngineError;
pub use export::{DEFAULT_CACHE_BYTES, ExportRequest, KeyReport, RunReport, export};
pub use ingest::{IngestReport, IngestRequest, ingest};
pub use inspect::{ClaimedSignature, InspectReport, InspectedFile, inspect};
pub use plan::{
    Change, PlanReport, PlannedSet, ProfileSource, RunRequest, adapter_specs, plan, read_profile,
};
pub use progress::{Cancel, NoProgress, Progress, Stage, StageUpdate};
pub use prove::{ProveRequest, VerifyProofRequest, prove, verify_proof};
pub use run_record::{RunRecord, SetRecord};
pub use seal_stage::Signing;
pub use stella_carrier::Carrier;
pub use store::Store;
pub use verify::{VerifyRequest, cosign_commands, verify};
