//! The formats that are read.

use std::fmt;

use crate::revision::RevisionOrder;

/// Defines the formats with their rows.
macro_rules! formats {
    ($($(#[$doc:meta])* $variant:ident $name:literal $media_type:literal;)*) => {
        /// The format of a record's document.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Format {
            $($(#[$doc])* $variant,)*
        }

        impl Format {
            /// All formats, in the order of the documentation's table.
            pub const ALL: &[Format] = &[$(Format::$variant,)*];

            /// The name for storage and screens, such as `csaf-vex`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Format::$variant => $name,)* }
            }

            /// The media type that a line of a bundle gives for the document.
            ///
            /// CSAF's two formats share one; everything else has its own.
            #[must_use]
            pub const fn media_type(self) -> &'static str {
                match self { $(Format::$variant => $media_type,)* }
            }
        }
    };
}

formats! {
    /// OSV 1.x.
    Osv "osv" "application/vnd.osv+json";
    /// CSAF 2.0, any category but `csaf_vex`.
    CsafAdvisory "csaf-advisory" "application/csaf+json";
    /// CSAF 2.0, category `csaf_vex`.
    CsafVex "csaf-vex" "application/csaf+json";
    /// OpenVEX 0.2 and its forerunners.
    OpenVex "openvex" "application/vnd.openvex+json";
    /// CycloneDX 1.2 to 1.7 in JSON: SBOM, VEX, VDR.
    CycloneDxJson "cyclonedx-json" "application/vnd.cyclonedx+json";
    /// CycloneDX 1.2 to 1.7 in XML.
    CycloneDxXml "cyclonedx-xml" "application/vnd.cyclonedx+xml";
    /// SPDX 2.2 and 2.3 in JSON.
    SpdxJson "spdx-json" "application/spdx+json";
    /// SPDX 2.2 and 2.3 as tag-value text.
    SpdxTagValue "spdx-tag-value" "text/spdx";
    /// SPDX 3.0 in JSON-LD.
    Spdx3 "spdx3" "application/spdx+json;version=3";
    /// One jar of a jar list, with its SHA-1 and its Maven coordinates.
    JarList "jar-list" "application/vnd.stella.jar-list+json";
    /// One finding cut from a Trivy report.
    TrivyFinding "trivy-finding" "application/vnd.stella.trivy-finding+json";
    /// One finding cut from a Grype report.
    GrypeFinding "grype-finding" "application/vnd.stella.grype-finding+json";
}

impl Format {
    /// The format with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Format> {
        Format::ALL.iter().copied().find(|format| format.as_str() == name)
    }

    /// Whether the document is JSON and so carried in canonical form; otherwise it is text that is
    /// carried unchanged.
    #[must_use]
    pub const fn is_json(self) -> bool {
        !matches!(self, Format::CycloneDxXml | Format::SpdxTagValue)
    }

    /// Which of the two parts of a revision decides first (FORMATS "Identity", last column).
    #[must_use]
    pub const fn revision_order(self) -> RevisionOrder {
        match self {
            Format::CycloneDxJson | Format::CycloneDxXml => RevisionOrder::VersionFirst,
            _ => RevisionOrder::TimeFirst,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_do_not_repeat() {
        for (index, &format) in Format::ALL.iter().enumerate() {
            assert_eq!(Format::parse(format.as_str()), Some(format));
            let media = |f: &&Format| f.media_type() == format.media_type();
            let shared = Format::ALL[..index].iter().find(media);
            assert_eq!(shared.is_some(), format == Format::CsafVex, "{format}");
        }
    }
}
