//! Runs: what the service and the command line both do, with the implementations chosen.
//!
//! One function per operation, each taking a request value and returning a report value. Work that
//! may take long tells a [`Progress`] and stops soon after its [`Cancel`] is set. Nothing here
//! prints.

mod error;
mod progress;
mod store;

pub use error::EngineError;
pub use progress::{Cancel, NoProgress, Progress, Stage, StageUpdate};
pub use store::Store;
