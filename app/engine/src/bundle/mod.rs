//! Bundles that are there: verified, looked into, compared, printed, and proven record by record.

mod canary;
mod cat;
mod coverage;
mod diff;
mod inspect;
mod prove;
mod read;
mod verify;

pub(crate) use read::ReadBundle;
pub(crate) use verify::{trusted_keys, verify_carrier};

pub use canary::CanaryRequest;
pub use cat::{CatForm, CatReport, CatRequest, cat};
pub use coverage::{
    CoverageReport, CoverageRequest, CoverageState, CoveredSbom, SbomEcosystem, coverage,
};
pub use diff::{
    ChangeKind, DiffCounts, DiffReport, FileDiff, OutputDiff, RecordChange, SetDiff, diff,
};
pub use inspect::{ClaimedSignature, InspectReport, InspectedFile, inspect};
pub use prove::{MissingSet, ProveRequest, VerifyProofRequest, prove, verify_proof};
pub use verify::{VerifyRequest, verify};
