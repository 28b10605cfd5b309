//! `trivy:java-db`: the database by which Trivy knows jars, from SBOMs and jar lists.
//!
//! Components with a package URL of Maven and a SHA-1 become rows ([`Collector`], any number side by
//! side), rows are sorted twice, and [`assemble`] hands them to a [`Table`] in the order in which
//! the file has them. The schema is that of
//! [trivy-java-db](https://github.com/aquasecurity/trivy-java-db) version 1;
//! docs/modules/export-center/trivy-java-db.md has the mapping and what it leaves out.

mod assemble;
mod collector;

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use stella_plan::{AdapterSpec, DefaultRedaction};

use crate::Adapter;

pub use assemble::assemble;
pub use collector::Collector;

/// The adapter.
pub const TRIVY_JAVA_DB: Adapter = Adapter {
    spec: AdapterSpec {
        id: "trivy:java-db",
        version: 1,
        about: "the Java index of Trivy, which knows jars by their SHA-1",
        default_redaction: DefaultRedaction::None,
        importable: false,
        kinds: &["sbom"],
    },
    carries_records: false,
    description: "An index that Trivy loads instead of the public one, to tell which Maven artifact a \
        jar is: from the components of SBOMs that have a SHA-1 and a Maven package URL, and from \
        jar lists. As an OCI image layout and for a cache folder.",
};

/// Version of the schema that is written.
pub const SCHEMA: u32 = 1;

/// Where the rows of the database go: each artifact before its jars, in the order of (group,
/// artifact, version, SHA-1), bytewise.
pub trait Table {
    /// Writes an artifact. Ids count from 1.
    ///
    /// # Errors
    /// If it cannot be written.
    fn artifact(&mut self, id: i64, group: &str, artifact: &str) -> io::Result<()>;

    /// Writes a jar of the artifact with this id.
    ///
    /// # Errors
    /// If it cannot be written.
    fn jar(&mut self, artifact: i64, version: &str, sha1: &[u8; 20]) -> io::Result<()>;
}

/// What a database holds, and what it does not although the evidence does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Rows of artifacts.
    pub artifacts: u64,
    /// Rows of jars.
    pub jars: u64,
    /// Components of Maven that have no row, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
}

/// Why a component of Maven has no row of its own. The text of each is a member of `notRepresented`
/// in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No SHA-1 is told, or none that is well-formed.
    NoSha1,
    /// The package URL has no group.
    NoGroup,
    /// The package URL has no version.
    NoVersion,
    /// It is a POM, or an archive for Android, in which Trivy does not look for jars.
    NotAJar,
    /// A name or version has a zero byte in it.
    NoUsableName,
    /// The same jar is known under another name, which has the row.
    DuplicateSha1,
}

impl Reason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Reason; 6] = [
        Reason::NoSha1,
        Reason::NoGroup,
        Reason::NoVersion,
        Reason::NotAJar,
        Reason::NoUsableName,
        Reason::DuplicateSha1,
    ];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::NoSha1 => "no-sha1",
            Reason::NoGroup => "no-group",
            Reason::NoVersion => "no-version",
            Reason::NotAJar => "not-a-jar",
            Reason::NoUsableName => "no-usable-name",
            Reason::DuplicateSha1 => "duplicate-sha1",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
