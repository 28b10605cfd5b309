//! What the repository does not say although the evidence does, and why.

use std::fmt;

/// Why a statement of a record is not in the repository. The text of each is the member `reason`
/// of a line of `trivy/vex.report.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The statement names no vulnerability, or by an id that cannot be one.
    NoVulnerabilityId,
    /// The status is none that VEX knows.
    StatusUnknown,
    /// The statement names no product.
    NoProduct,
    /// Trivy knows products by their package URLs alone, and this one has none.
    ProductWithoutPurl,
    /// The product counts as a part of another alone, and that one has no package URL.
    WholeWithoutPurl,
    /// The statement is about parts of the product, and this one has no package URL.
    SubcomponentWithoutPurl,
    /// The package URL is no valid one.
    PurlNotValid,
    /// The statement is about a subpath of the package, which Trivy does not compare.
    PurlWithSubpath,
    /// The statement is about ranges of versions, which OpenVEX has no words for.
    VersionsNotExpressible,
    /// Another record says otherwise, and is newer or believed more.
    Superseded,
    /// The record holds no statements.
    FormatNotMapped,
}

impl Reason {
    /// All of them, by number.
    pub const ALL: [Reason; 11] = [
        Reason::NoVulnerabilityId,
        Reason::StatusUnknown,
        Reason::NoProduct,
        Reason::ProductWithoutPurl,
        Reason::WholeWithoutPurl,
        Reason::SubcomponentWithoutPurl,
        Reason::PurlNotValid,
        Reason::PurlWithSubpath,
        Reason::VersionsNotExpressible,
        Reason::Superseded,
        Reason::FormatNotMapped,
    ];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::NoVulnerabilityId => "no-vulnerability-id",
            Reason::StatusUnknown => "status-unknown",
            Reason::NoProduct => "no-product",
            Reason::ProductWithoutPurl => "product-without-purl",
            Reason::WholeWithoutPurl => "whole-without-purl",
            Reason::SubcomponentWithoutPurl => "subcomponent-without-purl",
            Reason::PurlNotValid => "purl-not-valid",
            Reason::PurlWithSubpath => "purl-with-subpath",
            Reason::VersionsNotExpressible => "versions-not-expressible",
            Reason::Superseded => "superseded",
            Reason::FormatNotMapped => "format-not-mapped",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
