//! What the database does not say although the evidence does, and why.

use std::fmt;
use std::io;

use stella_model::rfc8785;

use super::row::join;
use crate::rows::Sorter;

/// Why a statement of a record has no row, or a row without all of it. The text of each is the
/// member `reason` of a line of `trivy/db.report.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Trivy does not scan the ecosystem.
    EcosystemNotScanned,
    /// Trivy scans the distribution, and no rows are made for it.
    DistributionNotMapped,
    /// The release of the distribution is missing or in no known form.
    ReleaseUnknown,
    /// The record was withdrawn before the bundle's `asOf`.
    Withdrawn,
    /// A record of the same vulnerability says that its id was rejected.
    Rejected,
    /// The record names no id under which the distribution's rows lie.
    NoVulnerabilityId,
    /// No name of a package, or one that cannot be a key.
    NoPackage,
    /// Only commits are named.
    GitOnly,
    /// Neither ranges nor versions.
    NoVersions,
    /// The distribution's rows cannot say that nothing is fixed.
    UnfixedNotExpressible,
    /// The distribution's rows cannot say since when.
    IntroducedNotExpressible,
    /// The distribution's rows cannot name a last vulnerable version.
    LastAffectedNotExpressible,
    /// A version or range that Trivy would not understand was left out of the row; or it stands in
    /// the row, and Trivy reads one of its ends otherwise than it is meant.
    VersionNotUnderstood,
    /// The oldest Trivy that is supported cannot read a range, and ignores the row for it.
    LostOnOldest,
    /// A range that ends before it begins was left out of the row.
    RangeWithoutBeginning,
    /// The module stream of a modular package is not told: the row lies under the plain name,
    /// where a scanner of modular systems does not look.
    ModuleStreamUnknown,
    /// A component of a product of Red Hat is no RPM package, but an image or a library: Red Hat's
    /// rows are about RPM packages alone.
    NotAnRpm,
    /// The package URL of an RPM package has an escape that is none.
    PurlNotValid,
    /// Nothing tells the product of Red Hat that a package lies in.
    ProductWithoutCpe,
    /// The content sets of a product of Red Hat are not known: its rows are there, and a scanner
    /// does not find them.
    ContentSetUnknown,
    /// Nothing but a source package is said to be vulnerable, and a scanner looks up binary ones: the
    /// row lies under its name, and binary packages of other names are missed.
    BinariesUnknown,
    /// The record has more names than rows are made for.
    TooManyNames,
    /// So much is said of one thing that what is believed least is left out of its row.
    TooManyRecords,
    /// The record says so much that cannot be said that it is not told one by one.
    TooManyGaps,
    /// The format has no rows of its own in the database.
    FormatNotMapped,
}

impl Reason {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::EcosystemNotScanned => "ecosystem-not-scanned",
            Reason::DistributionNotMapped => "distribution-not-mapped",
            Reason::ReleaseUnknown => "release-unknown",
            Reason::Withdrawn => "withdrawn",
            Reason::Rejected => "rejected",
            Reason::NoVulnerabilityId => "no-vulnerability-id",
            Reason::NoPackage => "no-package",
            Reason::GitOnly => "git-only",
            Reason::NoVersions => "no-versions",
            Reason::UnfixedNotExpressible => "unfixed-not-expressible",
            Reason::IntroducedNotExpressible => "introduced-not-expressible",
            Reason::LastAffectedNotExpressible => "last-affected-not-expressible",
            Reason::VersionNotUnderstood => "version-not-understood",
            Reason::LostOnOldest => "lost-on-oldest-trivy",
            Reason::RangeWithoutBeginning => "range-without-beginning",
            Reason::ModuleStreamUnknown => "module-stream-unknown",
            Reason::NotAnRpm => "not-an-rpm",
            Reason::PurlNotValid => "purl-not-valid",
            Reason::ProductWithoutCpe => "product-without-cpe",
            Reason::ContentSetUnknown => "content-set-unknown",
            Reason::BinariesUnknown => "binaries-unknown",
            Reason::TooManyNames => "too-many-names",
            Reason::TooManyRecords => "too-many-records",
            Reason::TooManyGaps => "too-many-gaps",
            Reason::FormatNotMapped => "format-not-mapped",
        }
    }

    /// All reasons, in the order of their declaration.
    pub const ALL: &[Reason] = &[
        Reason::EcosystemNotScanned,
        Reason::DistributionNotMapped,
        Reason::ReleaseUnknown,
        Reason::Withdrawn,
        Reason::Rejected,
        Reason::NoVulnerabilityId,
        Reason::NoPackage,
        Reason::GitOnly,
        Reason::NoVersions,
        Reason::UnfixedNotExpressible,
        Reason::IntroducedNotExpressible,
        Reason::LastAffectedNotExpressible,
        Reason::VersionNotUnderstood,
        Reason::LostOnOldest,
        Reason::RangeWithoutBeginning,
        Reason::ModuleStreamUnknown,
        Reason::NotAnRpm,
        Reason::PurlNotValid,
        Reason::ProductWithoutCpe,
        Reason::ContentSetUnknown,
        Reason::BinariesUnknown,
        Reason::TooManyNames,
        Reason::TooManyRecords,
        Reason::TooManyGaps,
        Reason::FormatNotMapped,
    ];

    /// The reason of a line of the report, whose last member it is.
    pub(super) fn of_line(line: &[u8]) -> Option<Reason> {
        let word = line.strip_suffix(b"\"}\n")?.rsplit(|byte| *byte == b'"').next()?;
        Reason::ALL.iter().copied().find(|reason| reason.as_str().as_bytes() == word)
    }

    /// Whether a scanner misses something because of it: what is withdrawn, rejected, or of no
    /// concern to any scanner is not missed.
    #[must_use]
    pub const fn is_gap(self) -> bool {
        !matches!(
            self,
            Reason::Withdrawn | Reason::Rejected | Reason::EcosystemNotScanned | Reason::NotAnRpm
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that the database does not say: of which feed and record, of which package, and what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap<'a> {
    pub(super) feed: &'a str,
    pub(super) id: &'a str,
    pub(super) package: &'a str,
    pub(super) reason: Reason,
    pub(super) detail: &'a str,
}

/// A line of `trivy/db.report.jsonl`.
#[derive(serde::Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
    feed: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    package: &'a str,
    reason: &'a str,
}

impl Gap<'_> {
    /// Adds a line to the report. Lines are sorted by record, and distinct by what they say.
    pub(super) fn push(&self, report: &mut Sorter<'_>, key: &mut Vec<u8>) -> io::Result<()> {
        let Gap { feed, id, package, reason, detail } = *self;
        let reason = reason.as_str();
        let mut line = rfc8785::to_vec(&Line { detail, feed, id, package, reason });
        line.push(b'\n');
        key.clear();
        join(key, &[feed, id, package, reason, detail]);
        report.push(key, &line)
    }
}
