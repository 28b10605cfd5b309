//! `trivy:db`: the vulnerability database of Trivy, from advisories.
//!
//! Records become rows ([`Mapper`], any number side by side), rows are sorted, and [`assemble`]
//! walks them once in the order of the keys of a bbolt file. The schema is that of
//! [trivy-db](https://github.com/aquasecurity/trivy-db) version 2;
//! docs/modules/export-center/trivy-adapter.md has the mapping and what it leaves out.

mod assemble;
mod blobs;
mod claims;
mod coverage;
mod detail;
mod distinct;
mod ecosystems;
mod fixes;
mod json;
mod mapper;
mod names;
mod ranges;
mod redhat;
mod rejected;
mod report;
mod row;
mod said;
mod sources;

use std::collections::BTreeMap;
use std::io;

use stella_model::RowLimits;
use stella_plan::{AdapterSpec, DefaultRedaction};

use crate::Adapter;
use crate::rows::code::damaged;

pub use assemble::assemble;
pub use coverage::{Coverage, coverage};
pub use ecosystems::{DISTRIBUTIONS, Distribution, LANGUAGES, Language, NoTarget, Target, target};
pub use mapper::{Mapper, Spools};
pub use report::Reason;
pub use sources::{Precedence, source_ids};

/// The adapter.
pub const TRIVY_DB: Adapter = Adapter {
    spec: AdapterSpec {
        id: "trivy:db",
        version: 1,
        about: "the vulnerability database of Trivy, with your own advisories in it",
        default_redaction: DefaultRedaction::None,
        importable: false,
        kinds: &["advisory", "vex"],
    },
    carries_records: false,
    description: "A database that Trivy loads instead of the public one: advisories of every \
        language and distribution that it scans, as an OCI image layout and for a cache folder. \
        What could not be said in it is listed with a reason.",
};

/// What one record may be multiplied to.
const LIMITS: RowLimits = RowLimits::DEFAULT;

/// Version of the schema that is written.
pub const SCHEMA: u32 = 2;

/// The bucket of what is known of vulnerabilities whatever the package.
pub const VULNERABILITIES: &str = "vulnerability";

/// The bucket that describes the sources of the others.
pub const DATA_SOURCES: &str = "data-source";

/// The bucket that tells which parts of Red Hat's products a system has.
const RED_HAT_CPE: &str = "Red Hat CPE";

/// What a profile decides about the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Who is believed first where sources differ.
    pub precedence: Precedence,
}

/// Where the keys of the database go: in ascending order, buckets within buckets.
pub trait Tree {
    /// Begins a bucket within the current one.
    ///
    /// # Errors
    /// If it cannot be written.
    fn enter(&mut self, key: &[u8]) -> io::Result<()>;

    /// Writes a key of the current bucket.
    ///
    /// # Errors
    /// If it cannot be written.
    fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()>;

    /// Ends the current bucket.
    ///
    /// # Errors
    /// If it cannot be written.
    fn leave(&mut self) -> io::Result<()>;
}

/// What was counted while mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packages that records have rows for, by ecosystem of a language or bucket of a distribution.
    pub rows: BTreeMap<String, u64>,
    /// Statements about packages that a scanner misses something of, by ecosystem.
    pub gaps: BTreeMap<String, u64>,
}

/// What a database holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// What was counted while mapping.
    pub tally: Tally,
    /// Number of keys by bucket at the top.
    pub keys: BTreeMap<String, u64>,
    /// Lines of the report by reason.
    pub reasons: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn row(&mut self, ecosystem: &str) {
        match self.rows.get_mut(ecosystem) {
            Some(count) => *count += 1,
            None => {
                self.rows.insert(ecosystem.to_owned(), 1);
            }
        }
    }

    fn gap(&mut self, ecosystem: &str, reason: Reason) {
        if reason.is_gap() && !ecosystem.is_empty() {
            *self.gaps.entry(ecosystem.to_owned()).or_default() += 1;
        }
    }

    fn add(&mut self, other: &Tally) {
        for (mine, theirs) in [(&mut self.rows, &other.rows), (&mut self.gaps, &other.gaps)] {
            for (name, count) in theirs {
                *mine.entry(name.clone()).or_default() += count;
            }
        }
    }
}

/// The distribution with this number.
fn distribution(number: u8) -> io::Result<&'static Distribution> {
    DISTRIBUTIONS.get(usize::from(number)).ok_or_else(damaged)
}
