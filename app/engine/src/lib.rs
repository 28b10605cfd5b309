//! Runs: what the service and the command line both do, with the implementations chosen.
//!
//! One function per operation, each taking a request value and returning a report value. Work that
//! may take long tells a [`Progress`] and stops soon after its [`Cancel`] is set. Nothing here
//! prints.

mod budget;
mod bundle;
mod download;
mod error;
mod failures;
mod ingest;
mod percent;
mod progress;
mod pull;
mod run;
mod store;
mod threads;
mod workers;

pub use bundle::{
    CanaryRequest, CatForm, CatReport, CatRequest, ChangeKind, ClaimedSignature, CoverageReport,
    CoverageRequest, CoverageState, CoveredSbom, DiffCounts, DiffReport, FileDiff, InspectReport,
    InspectedFile, MissingSet, OutputDiff, ProveRequest, RecordChange, SbomEcosystem, SetDiff,
    VerifyProofRequest, VerifyRequest, cat, coverage, diff, inspect, prove, verify, verify_proof,
};
pub use download::{DownloadReport, DownloadRequest, download, trust};
pub use error::EngineError;
pub use ingest::{IngestReport, IngestRequest, ingest, ingest_stream};
pub use percent::percent;
pub use progress::{Cancel, NoProgress, Progress, Stage, StageUpdate};
pub use pull::{PullPatience, PullReport, PullRequest, PulledAs, PulledFeed, pull};
pub use run::{
    AcceptedDrop, Again, BoltTree, Change, DEFAULT_CACHE_BYTES, DatabaseReport, ExportRequest,
    KeyReport, Made, PlanReport, PlannedOutput, PlannedSet, PolicyRequest, ProfileFault,
    ProfileSource, RunRecord, RunReport, RunRequest, RunTasks, SetRecord, Signing, adapter_specs,
    check_profile, check_request, check_request_feeds, export, find_profile, kept_bundle, plan,
    read_profile, validate_profile,
};
pub use stella_carrier::Carrier;
pub use store::Store;
pub use workers::{
    LocalQueue, Performer, Sweeper, TaskQueue, WakingStore, Watch, Worker, WorkerEvent,
};

/// The limits of this build, the same for every operation.
pub(crate) const LIMITS: stella_model::Limits = stella_model::Limits::DEFAULT;
