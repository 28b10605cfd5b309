//! Runs: what the service and the command line both do, with the implementations chosen.
//!
//! One function per operation, each taking a request value and returning a report value. Work that
//! may take long tells a [`Progress`] and stops soon after its [`Cancel`] is set. Nothing here
//! prints.

mod budget;
mod bundle;
mod distribute;
mod error;
mod export;
mod failures;
mod ingest;
mod pack_stage;
mod plan;
mod progress;
mod run_record;
mod seal_stage;
mod store;

pub use error::EngineError;
pub use export::{DEFAULT_CACHE_BYTES, ExportRequest, KeyReport, RunReport, export};
pub use ingest::{IngestReport, IngestRequest, ingest};
pub use plan::{
    Change, PlanReport, PlannedSet, ProfileSource, RunRequest, adapter_specs, plan, read_profile,
};
pub use progress::{Cancel, NoProgress, Progress, Stage, StageUpdate};
pub use run_record::{RunRecord, SetRecord};
pub use seal_stage::Signing;
pub use stella_carrier::Carrier;
pub use store::Store;
