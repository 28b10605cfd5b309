//! Checks a bundle.
//!
//! [`Verification`] checks everything that FORMATS.md says of a bundle, and answers with a
//! [`Report`]: one result for every [`Check`], in four states, each failure naming the file, what
//! was expected and what is there. The caller brings the files ([`BundleFiles`]), the trusted keys
//! and the time ([`Policy`]), and runs the tasks on as many threads as it likes; INV-PURE holds
//! here too.
//!
//! Shares no code with `pack`, which writes bundles: a verifier that trusts its writer proves
//! nothing. Reading is hostile: sizes are bounded before anything is read, and memory by the
//! largest document (INV-LIMIT).

pub mod files;
pub mod lines;
mod listing;
mod parts;
pub mod proof;
mod provenance;
pub mod report;
mod scanner;
mod signatures;
mod verification;

pub use files::{BundleFiles, CarrierFault, FileEntry};
pub use lines::{Buffers, Lines, UnpackError};
pub use parts::{PartVerdict, Scratch, Task};
pub use proof::{Proof, ProofError, ProofFiles, ProofLeaf, ProofReport, Proven, verify_proof};
pub use report::{
    Check, CheckResult, OTHER_HEADER, Problem, Report, SignerReport, State, Subject, Summary,
};
pub use scanner::{
    Canary, CanaryError, CanaryOutcome, CanaryScan, ScannerVerdict, SkipReason, Skipped,
    TrivyVersion, bucket_of_release, language_of_purl,
};
pub use signatures::TrustedKey;
pub use verification::{Depth, Policy, Unsigned, Verification};
