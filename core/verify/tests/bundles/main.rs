//! Whole bundles, made by a writer of these tests alone: what verifies, what does not, and why.

mod changed;
mod database;
mod java_index;
mod maker;
mod mutations;
mod proofs;
mod scanner;
mod signed;
mod vex;
