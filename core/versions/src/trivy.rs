//! What Trivy makes of versions and ranges: exactly its decisions, deviations included.
//!
//! A row of an advisory in Trivy's database holds ranges as text. Trivy joins them with `||`, and one
//! that it cannot read disables the whole row with no more than a warning. So a range is read here
//! first, by the grammar of the [`Comparer`] that the ecosystem has; the decisions were measured on
//! the real program and are kept as vectors beside the tests.
//!
//! Grammar and order are those of Trivy 0.76. Of what 0.59 decides otherwise,
//! [`Constraint::matches_until_0_64`] tells the pre-releases of npm and [`Constraint::is_read_by_0_59`]
//! the ranges of Maven; some local versions of Python and carets of RPM differ too. Where Trivy would crash, and for texts that are not ASCII,
//! reading fails.

mod bitnami;
mod generic;
mod maven;
mod npm;
mod packages;
mod part;
mod pip;
mod plain;
mod rubygems;
mod scan;

use std::cmp::Ordering;

use crate::{VersionError, bounded};
pub use plain::Plain;

/// Longest range text in bytes. A range of an advisory has two bounds; enumerations of thousands of
/// versions are thousands of ranges.
pub const MAX_CONSTRAINT_BYTES: usize = 16 * 1024;

/// One of the comparers of Trivy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Comparer {
    /// Lenient semantic versions of any number of parts: Go, Cargo, Composer, NuGet, Erlang, Pub,
    /// Swift, Conan, Kubernetes, Julia.
    ///
    /// Deviates from Semantic Versioning: one number is enough, missing ones are zero, leading zeros
    /// and a `v` are allowed, letters may follow a number without a hyphen (`1.2a`), and a pre-release
    /// that holds a lone `x` is none. Deviates from NuGet: pre-releases are compared with their case.
    Generic,
    /// npm: semantic versions of three numbers, ranges with wildcards.
    ///
    /// Deviates from node-semver: pre-releases are plainly ordered since Trivy 0.65, hyphen ranges are
    /// refused, and so is `!=`.
    Npm,
    /// Python: PEP 440, as `packaging` matches it.
    Pep440,
    /// Maven and Gradle: comparisons, or the range brackets of Maven.
    Maven,
    /// RubyGems and CocoaPods.
    RubyGems,
    /// Bitnami: three numbers and a revision, which is newer than none.
    Bitnami,
    /// Packages of Debian and Ubuntu.
    Deb,
    /// Packages of Red Hat, SUSE, Amazon and the rest that use RPM.
    Rpm,
    /// Packages of Alpine, Wolfi and Chainguard, as apk-tools 2 compares them.
    Apk,
}

/// The comparers of the ecosystems whose bucket names begin with the given text.
const ECOSYSTEMS: [(&str, Comparer); 16] = [
    ("bitnami", Comparer::Bitnami),
    ("cargo", Comparer::Generic),
    ("cocoapods", Comparer::RubyGems),
    ("composer", Comparer::Generic),
    ("conan", Comparer::Generic),
    ("erlang", Comparer::Generic),
    ("go", Comparer::Generic),
    ("julia", Comparer::Generic),
    ("k8s", Comparer::Generic),
    ("maven", Comparer::Maven),
    ("npm", Comparer::Npm),
    ("nuget", Comparer::Generic),
    ("pip", Comparer::Pep440),
    ("pub", Comparer::Generic),
    ("rubygems", Comparer::RubyGems),
    ("swift", Comparer::Generic),
];

/// A version that a [`Comparer`] has read.
///
/// There is no `Ord`: the order of Trivy for Maven is not transitive, and versions of two comparers
/// have none.
#[derive(Debug, Clone)]
pub struct Version {
    parsed: Parsed,
}

#[derive(Debug, Clone)]
enum Parsed {
    Generic(generic::Lenient),
    Npm(npm::Triple),
    Pep440(pip::Python),
    Maven(maven::Items),
    RubyGems(rubygems::Segments),
    Bitnami(npm::Triple),
    Deb(packages::Debian),
    Rpm(packages::RedHat),
    Apk(packages::Alpine),
}

/// A range that Trivy can read.
#[derive(Debug, Clone)]
pub struct Constraint {
    text: Box<str>,
    ranges: Ranges,
}

#[derive(Debug, Clone)]
enum Ranges {
    Generic(Alternatives<generic::Lenient>),
    Npm(Alternatives<npm::Triple>),
    Pep440(Alternatives<pip::Specifier>),
    Maven(Alternatives<maven::Items>),
    RubyGems(Alternatives<rubygems::Segments>),
    Bitnami(Alternatives<npm::Triple>),
}

/// Alternatives of comparisons that must all hold.
type Alternatives<V> = Vec<Vec<(scan::Operator, V)>>;

/// Why Trivy cannot use a text as a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// The text is longer than [`MAX_CONSTRAINT_BYTES`].
    #[error("a range of {bytes} bytes; at most {MAX_CONSTRAINT_BYTES} are read")]
    TooLong {
        /// Length of the text.
        bytes: usize,
    },
    /// The text does not follow the grammar of the comparer.
    #[error("not a range for {comparer}: {text:?}")]
    Malformed {
        /// Name of the comparer.
        comparer: &'static str,
        /// The alternative that is not one, as given.
        text: Box<str>,
    },
    /// A bound is one that the comparer cannot read, although the grammar allows it.
    #[error("a bound that {comparer} cannot read in {text:?}")]
    Bound {
        /// Name of the comparer.
        comparer: &'static str,
        /// The alternative with the bound, as given.
        text: Box<str>,
        /// Why.
        #[source]
        source: VersionError,
    },
    /// Advisories of operating systems hold a fixed version, not ranges.
    #[error("{comparer} has no ranges")]
    NoRanges {
        /// Name of the comparer.
        comparer: &'static str,
    },
    /// The empty text, which Trivy takes for "always vulnerable" before any comparer sees it.
    #[error("an empty range, which would match every version")]
    Empty,
}

impl Comparer {
    /// All comparers, in the order of their declaration.
    pub const ALL: &[Self] = &[
        Self::Generic,
        Self::Npm,
        Self::Pep440,
        Self::Maven,
        Self::RubyGems,
        Self::Bitnami,
        Self::Deb,
        Self::Rpm,
        Self::Apk,
    ];

    /// The comparer of an ecosystem by the text before `::` in the names of Trivy's buckets, such as
    /// `npm` or `pip`.
    #[must_use]
    pub fn of_ecosystem(prefix: &str) -> Option<Self> {
        ECOSYSTEMS.iter().find(|(name, _)| *name == prefix).map(|(_, comparer)| *comparer)
    }

    /// The name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Generic => "Trivy's generic comparer",
            Self::Npm => "Trivy's npm comparer",
            Self::Pep440 => "Trivy's PEP 440 comparer",
            Self::Maven => "Trivy's Maven comparer",
            Self::RubyGems => "Trivy's RubyGems comparer",
            Self::Bitnami => "Trivy's Bitnami comparer",
            Self::Deb => "Trivy's deb comparer",
            Self::Rpm => "Trivy's rpm comparer",
            Self::Apk => "Trivy's apk comparer",
        }
    }

    /// Reads a version as Trivy reads that of an installed package.
    ///
    /// # Errors
    /// If the text is too long or Trivy cannot read it; no advisory ever matches such a package.
    pub fn version(self, text: &str) -> Result<Version, VersionError> {
        let bounded = bounded(text)?;
        if !bounded.is_ascii() {
            return Err(VersionError::malformed(self.name(), text));
        }
        let parsed = match self {
            Self::Generic => generic::Lenient::parse(bounded).map(Parsed::Generic),
            Self::Npm => npm::Triple::parse(self, bounded).map(Parsed::Npm),
            Self::Pep440 => pip::Python::parse(bounded).map(Parsed::Pep440),
            Self::Maven => maven::Items::parse(bounded).map(Parsed::Maven),
            Self::RubyGems => rubygems::Segments::parse(bounded).map(Parsed::RubyGems),
            Self::Bitnami => npm::Triple::parse(self, bounded).map(Parsed::Bitnami),
            Self::Deb => packages::Debian::parse(bounded).map(Parsed::Deb),
            Self::Rpm => packages::RedHat::parse(bounded).map(Parsed::Rpm),
            Self::Apk => packages::Alpine::parse(bounded).map(Parsed::Apk),
        }?;
        Ok(Version { parsed })
    }

    /// Reads a range.
    ///
    /// # Errors
    /// If Trivy could not use it: the whole advisory would be lost.
    pub fn constraint(self, text: &str) -> Result<Constraint, ConstraintError> {
        if text.len() > MAX_CONSTRAINT_BYTES {
            return Err(ConstraintError::TooLong { bytes: text.len() });
        }
        if text.is_empty() {
            return Err(ConstraintError::Empty);
        }
        let ranges = match self {
            Self::Generic => scan::alternatives(self, text).map(Ranges::Generic),
            Self::Npm => npm::constraint(self, text).map(Ranges::Npm),
            Self::Pep440 => pip::constraint(text).map(Ranges::Pep440),
            Self::Maven => maven::constraint(self, text).map(Ranges::Maven),
            Self::RubyGems => scan::alternatives(self, text).map(Ranges::RubyGems),
            Self::Bitnami => npm::constraint(self, text).map(Ranges::Bitnami),
            Self::Deb | Self::Rpm | Self::Apk => {
                Err(ConstraintError::NoRanges { comparer: self.name() })
            }
        }?;
        Ok(Constraint { text: text.into(), ranges })
    }

    /// Compares two version texts.
    ///
    /// # Errors
    /// If Trivy cannot read one of them.
    pub fn compare(self, a: &str, b: &str) -> Result<Ordering, VersionError> {
        if let (Some(a), Some(b)) = (Plain::read(self, a), Plain::read(self, b)) {
            return Ok(a.cmp(&b));
        }
        // Both are of this comparer, so there is an order.
        Ok(self.version(a)?.compare(&self.version(b)?).unwrap_or(Ordering::Equal))
    }
}

impl Version {
    /// The comparer that has read it.
    #[must_use]
    pub fn comparer(&self) -> Comparer {
        match self.parsed {
            Parsed::Generic(_) => Comparer::Generic,
            Parsed::Npm(_) => Comparer::Npm,
            Parsed::Pep440(_) => Comparer::Pep440,
            Parsed::Maven(_) => Comparer::Maven,
            Parsed::RubyGems(_) => Comparer::RubyGems,
            Parsed::Bitnami(_) => Comparer::Bitnami,
            Parsed::Deb(_) => Comparer::Deb,
            Parsed::Rpm(_) => Comparer::Rpm,
            Parsed::Apk(_) => Comparer::Apk,
        }
    }

    /// Compares as Trivy does; nothing if the other version is of another comparer.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(match (&self.parsed, &other.parsed) {
            (Parsed::Generic(a), Parsed::Generic(b)) => a.compare(b),
            (Parsed::Npm(a), Parsed::Npm(b)) => a.compare(b),
            (Parsed::Pep440(a), Parsed::Pep440(b)) => a.compare(b),
            (Parsed::Maven(a), Parsed::Maven(b)) => a.compare(b),
            (Parsed::RubyGems(a), Parsed::RubyGems(b)) => a.compare(b),
            (Parsed::Bitnami(a), Parsed::Bitnami(b)) => bitnami::compare(a, b),
            (Parsed::Deb(a), Parsed::Deb(b)) => a.compare(b),
            (Parsed::Rpm(a), Parsed::Rpm(b)) => a.compare(b),
            (Parsed::Apk(a), Parsed::Apk(b)) => a.compare(b),
            _ => return None,
        })
    }
}

impl Constraint {
    /// The text as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The comparer that has read it.
    #[must_use]
    pub fn comparer(&self) -> Comparer {
        match self.ranges {
            Ranges::Generic(_) => Comparer::Generic,
            Ranges::Npm(_) => Comparer::Npm,
            Ranges::Pep440(_) => Comparer::Pep440,
            Ranges::Maven(_) => Comparer::Maven,
            Ranges::RubyGems(_) => Comparer::RubyGems,
            Ranges::Bitnami(_) => Comparer::Bitnami,
        }
    }

    /// Whether Trivy finds the version inside; nothing if it is of another comparer.
    #[must_use]
    pub fn matches(&self, version: &Version) -> Option<bool> {
        Some(match (&self.ranges, &version.parsed) {
            (Ranges::Generic(ranges), Parsed::Generic(v)) => {
                any_of_all(ranges, |operator, bound| v.matches(operator, bound))
            }
            (Ranges::Npm(ranges), Parsed::Npm(v)) => {
                any_of_all(ranges, |operator, bound| v.matches(operator, bound))
            }
            (Ranges::Pep440(ranges), Parsed::Pep440(v)) => {
                any_of_all(ranges, |operator, bound| v.matches(operator, bound))
            }
            (Ranges::Maven(ranges), Parsed::Maven(v)) => {
                any_of_all(ranges, |operator, bound| operator.holds(v.compare(bound)))
            }
            (Ranges::RubyGems(ranges), Parsed::RubyGems(v)) => {
                any_of_all(ranges, |operator, bound| v.matches(operator, bound))
            }
            (Ranges::Bitnami(ranges), Parsed::Bitnami(v)) => {
                any_of_all(ranges, |operator, bound| bitnami::matches(v, operator, bound))
            }
            _ => return None,
        })
    }

    /// Whether Trivy 0.59 can read the range too: for Maven it knows no `+` and no `_`.
    #[must_use]
    pub fn is_read_by_0_59(&self) -> bool {
        self.comparer() != Comparer::Maven || !self.text.contains(['+', '_'])
    }

    /// Whether Trivy before 0.65 finds the version inside.
    ///
    /// It differs for npm alone: a pre-release is inside only by a bound that is a pre-release too, and
    /// of the same three numbers.
    #[must_use]
    pub fn matches_until_0_64(&self, version: &Version) -> Option<bool> {
        match (&self.ranges, &version.parsed) {
            (Ranges::Npm(ranges), Parsed::Npm(v)) => {
                Some(any_of_all(ranges, |operator, bound| v.matches_until_0_64(operator, bound)))
            }
            _ => self.matches(version),
        }
    }
}

fn any_of_all<V>(ranges: &Alternatives<V>, holds: impl Fn(scan::Operator, &V) -> bool) -> bool {
    ranges.iter().any(|all| all.iter().all(|(operator, bound)| holds(*operator, bound)))
}
