//! From a profile, selectors and a snapshot to the immutable plan of a run.
//!
//! INV-PLAN: everything is decided here; executing a [`RunPlan`] makes no choices. Planning streams
//! over the ledger's index once: [`SetPlan`] takes the rows of one set in order and holds only the
//! parts that they make, never the rows.

pub mod adapter;
pub mod estimate;
pub mod floors;
pub mod partition;
pub mod policy;
pub mod profile;
pub mod run_plan;
pub mod selectors;
pub mod set_plan;

pub use adapter::{AdapterSpec, DefaultRedaction};
pub use partition::Partition;
pub use policy::{Policy, PolicyVersion};
pub use profile::{Profile, ProfileError, Trivy};
pub use run_plan::{
    Codec, FeedEntry, Handling, OutputPlan, ProfileId, RedactionId, RunPlan, SetEntry,
};
pub use selectors::{Selectors, Unmatched};
pub use set_plan::{KeptSummary, PartPlan, PlannedRecord, SetPlan, SetSummary};
