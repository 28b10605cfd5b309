//! Runs: plan, pack, assemble, seal, distribute.

mod assemble;
mod decided;
mod distribute;
mod export;
mod kept_sets;
mod notices;
mod output;
mod pack;
mod plan;
mod prepare;
mod profile;
mod record;
mod request;
mod scan;
mod seal;
mod tasks;

pub(crate) use output::cache_metadata;

pub use output::{BoltTree, PlannedOutput};

pub use export::{DatabaseReport, RunReport, export};
pub use plan::{Change, PlanReport, PlannedSet, plan};
pub use prepare::{check_request, check_request_feeds};
pub use profile::{
    ProfileFault, adapter_specs, check_profile, find_profile, read_profile, validate_profile,
};
pub use record::{AcceptedDrop, Made, RunRecord, SetRecord};
pub use request::{
    Again, DEFAULT_CACHE_BYTES, ExportRequest, PolicyRequest, ProfileSource, RunRequest,
};
pub use seal::{KeyReport, Signing};
pub use tasks::{RunTasks, kept_bundle};
