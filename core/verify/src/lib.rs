//! Checks a bundle.
//!
//! Shares no code with `pack`, which writes bundles: a verifier that trusts its writer proves
//! nothing.

pub mod files;
pub mod lines;
pub mod report;

pub use files::{BundleFiles, CarrierFault, FileEntry};
