//! Whole bundles, made by a writer of these tests alone: what verifies, what does not, and why.

mod changed;
mod maker;
mod mutations;
mod proofs;
mod signed;
