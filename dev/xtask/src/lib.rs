//! The checks that keep the repository what ARCHITECTURE and STYLE say it is.
//!
//! [`arrows`] looks at who depends on whom, [`tidy`] at the files. Both are functions from what was
//! read to a list of complaints; the tests of this crate run them over the workspace, and over
//! small wrong examples to show that each rule bites. The commands of `cargo xtask` are in the
//! binary.

pub mod arrows;
pub mod tidy;
pub mod workspace;

pub use workspace::Workspace;
