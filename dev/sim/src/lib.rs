//! A simulator of the life of runs, from a seed: workers that die after any action or fall asleep
//! with a lease in their hand, clocks that differ, a store that fails before or after it wrote, a
//! queue that loses and repeats, a depot that loses blobs.
//!
//! What is simulated is `stella_run`, the code that the service runs; only what surrounds it is made
//! up. One thread, one seed: a seed that breaks something breaks it again. What must hold is in
//! [`Violation`]; that the simulator would see it is tested with [`Canary`] bugs.

mod chance;
mod depot;
mod store;
mod worker;
mod world;

pub use world::{Canary, Faults, Report, Setup, Violation, simulate};
