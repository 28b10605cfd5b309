//! `trivy:vex`: a VEX repository of Trivy, from statements of any format.
//!
//! Statements become rows ([`Mapper`], any number side by side), rows are sorted by package, and
//! [`assemble`] walks them once and writes one OpenVEX document a package. The layout is that of
//! the [VEX repository specification](https://github.com/aquasecurity/vex-repo-spec) 0.1;
//! docs/modules/export-center/trivy-vex.md has what is merged how, and what is left out.

mod assemble;
mod body;
mod document;
mod mapper;
mod purl;
mod report;

use std::collections::BTreeMap;
use std::io;

use stella_model::{Instant, PartName};
use stella_plan::{AdapterSpec, DefaultRedaction};

use crate::Adapter;
use crate::trivy_db::Precedence;

pub use assemble::assemble;
pub use mapper::{Mapper, Origin, Spools};
pub use report::Reason;

/// The adapter.
pub const TRIVY_VEX: Adapter = Adapter {
    spec: AdapterSpec {
        id: "trivy:vex",
        version: 1,
        about: "a VEX repository of Trivy, with your own statements in it",
        default_redaction: DefaultRedaction::None,
        importable: false,
        kinds: &["vex"],
    },
    carries_records: false,
    description: "A repository from which Trivy learns what is not affected: statements of \
        OpenVEX, CSAF and CycloneDX, merged into one OpenVEX document a package, for a cache \
        folder and for a web server. What could not be said in it is listed with a reason.",
};

/// The version of the specification that is written, as its manifest has it. Trivy takes no other.
pub const SPEC_VERSION: &str = "0.1";

/// Longest location of a document within the repository, in bytes: what is left of a tar name
/// after the folders of the repository.
pub const LOCATION_BYTES: usize = 80;

/// What a profile decides about the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Which feed is believed where statements of one time differ.
    pub precedence: Precedence,
}

/// Where the files of the repository go, each once.
pub trait Shelf {
    /// Takes a file of so many bytes.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn put(&mut self, name: &PartName, size: u64, content: &mut dyn io::Read) -> io::Result<()>;
}

/// What was counted while mapping and merging.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Packages with a document.
    pub packages: u64,
    /// Statements in the documents.
    pub statements: u64,
    /// Lines of the report by reason.
    pub reasons: BTreeMap<&'static str, u64>,
}

/// `vex-repository.json`: where Trivy finds the repository. `location` is the address of the
/// archive, with the folder in it after `//`.
#[must_use]
pub fn manifest(name: &str, location: &str) -> Vec<u8> {
    stella_model::rfc8785::to_vec(&shapes::Manifest {
        description: "VEX statements of an evidence bundle",
        name,
        versions: [shapes::Version {
            locations: [shapes::Location { url: location }],
            spec_version: SPEC_VERSION,
            update_interval: "24h",
        }],
    })
}

/// The shapes of the manifest.
mod shapes {
    use serde::Serialize;

    #[derive(Serialize)]
    pub(super) struct Manifest<'a> {
        pub(super) description: &'a str,
        pub(super) name: &'a str,
        pub(super) versions: [Version<'a>; 1],
    }

    #[derive(Serialize)]
    pub(super) struct Version<'a> {
        pub(super) locations: [Location<'a>; 1],
        pub(super) spec_version: &'a str,
        pub(super) update_interval: &'a str,
    }

    #[derive(Serialize)]
    pub(super) struct Location<'a> {
        pub(super) url: &'a str,
    }
}

/// Where a statement stands that tells no time: before all others.
fn no_time() -> Option<Instant> {
    Instant::from_unix_seconds(0)
}

#[cfg(test)]
mod tests;
