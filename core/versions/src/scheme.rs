//! The published schemes behind one type, for callers that learn the ecosystem at run time.

use std::cmp::Ordering;

use crate::VersionError;
use crate::apk::Apk;
use crate::deb::Deb;
use crate::maven::Maven;
use crate::nuget::NuGet;
use crate::pep440::Pep440;
use crate::rpm::Rpm;
use crate::rubygems::RubyGems;
use crate::semver::SemVer;

/// Makes the enum of schemes, that of their versions, and what goes from one to the other.
macro_rules! schemes {
    ($($(#[$doc:meta])* $name:ident = $label:literal by $compare:path,)*) => {
        /// How an ecosystem writes and orders its versions, as it publishes it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Scheme {
            $($(#[$doc])* $name,)*
        }

        /// A version that has been read by a [`Scheme`].
        ///
        /// Versions of one scheme are compared with [`Version::compare`]; those of two have no order. The
        /// types inside are `Ord`, but for [`Maven`], whose order is not total.
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub enum Version {
            $($(#[$doc])* $name($name),)*
        }

        impl Scheme {
            /// All schemes, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name of the scheme in configuration and messages.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }

            /// Reads a version.
            ///
            /// # Errors
            /// If the text is too long or no version of the scheme.
            pub fn parse(self, text: &str) -> Result<Version, VersionError> {
                match self {
                    $(Self::$name => $name::parse(text).map(Version::$name),)*
                }
            }
        }

        impl Version {
            /// The scheme that has read it.
            #[must_use]
            pub fn scheme(&self) -> Scheme {
                match self {
                    $(Self::$name(_) => Scheme::$name,)*
                }
            }

            /// Compares two versions of one scheme; nothing if they are of two.
            #[must_use]
            pub fn compare(&self, other: &Self) -> Option<Ordering> {
                match (self, other) {
                    $((Self::$name(a), Self::$name(b)) => Some($compare(a, b)),)*
                    _ => None,
                }
            }
        }
    };
}

schemes! {
    /// Semantic Versioning 2.0.0.
    SemVer = "semver" by Ord::cmp,
    /// NuGet: up to four numbers, no case.
    NuGet = "nuget" by Ord::cmp,
    /// PEP 440.
    Pep440 = "pep440" by Ord::cmp,
    /// Maven's `ComparableVersion`.
    Maven = "maven" by Maven::compare,
    /// `Gem::Version`.
    RubyGems = "rubygems" by Ord::cmp,
    /// Debian Policy 5.6.12.
    Deb = "deb" by Ord::cmp,
    /// rpmvercmp with epoch, tilde and caret.
    Rpm = "rpm" by Ord::cmp,
    /// apk-tools 3.
    Apk = "apk" by Ord::cmp,
}

impl Scheme {
    /// Compares two texts.
    ///
    /// # Errors
    /// If one of them is no version of the scheme.
    pub fn compare(self, a: &str, b: &str) -> Result<Ordering, VersionError> {
        // Both are of this scheme, so there is an order.
        Ok(self.parse(a)?.compare(&self.parse(b)?).unwrap_or(Ordering::Equal))
    }
}
