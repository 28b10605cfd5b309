//! The life of a run as a pure state machine.
//!
//! A run is a set of [`Task`]s. [`RunState::next`] tells what can be done at a time,
//! [`RunState::apply`] what follows from something that happened. Neither reads a clock nor a
//! database: whoever drives a run loads its state, applies one [`Outcome`], and stores it again only
//! if nobody else did meanwhile.
//!
//! A worker *claims* a task and holds it by a lease that it renews. The number of the attempt is the
//! fencing token: what a worker reports counts only while the attempt it was given is the newest, so
//! a worker that was thought dead and comes back changes nothing.
//!
//! What a task makes lies in the depot under the digest of its content, and a task that is done twice
//! makes the same bytes (INV-DET). That is why losing a worker costs time only.

mod drive;
mod state;
mod status;
mod step;
mod task;
#[cfg(test)]
mod tests;
mod trace;

pub use drive::{DriveError, Driver, Ending, Lease, RunKey, RunStore, Saved, Stored};
pub use state::{Bundle, CancelRequest, Plan, Rules, RunState, Snapshot, SnapshotSet};
pub use status::Status;
pub use step::{Action, Held, Outcome, Refused, RunEvent};
pub use task::{Failure, Millis, Phase, Remedy, Task, TaskId, TaskProgress, TaskResult};
pub use trace::{Origin, TraceParent, TraceParentError};
