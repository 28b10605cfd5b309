//! The tables of the allow-lists, one text for each format.
//!
//! A line is an object type with its members, `Type: member member=Target …`, the type of the
//! document first; an indented line continues the one before. A member without a target holds
//! scalars. `<any>` stands for the names of a map.

use std::borrow::Cow;

use crate::Format;

/// The lines of the allow-list of a format. `None` for formats that are text: nothing in them can
/// be told apart soundly.
pub(super) fn of(format: Format) -> Option<Vec<Cow<'static, str>>> {
    let text = match format {
        Format::Osv => include_str!("tables/osv.txt"),
        Format::CsafAdvisory | Format::CsafVex => include_str!("tables/csaf.txt"),
        Format::OpenVex => include_str!("tables/openvex.txt"),
        Format::CycloneDxJson => include_str!("tables/cyclonedx.txt"),
        Format::SpdxJson => include_str!("tables/spdx.txt"),
        Format::Spdx3 => include_str!("tables/spdx3.txt"),
        Format::JarList => include_str!("tables/jar_list.txt"),
        Format::TrivyFinding => include_str!("tables/trivy.txt"),
        Format::GrypeFinding => include_str!("tables/grype.txt"),
        Format::CycloneDxXml | Format::SpdxTagValue => return None,
    };
    Some(unfold(text))
}

/// Name spaces of CycloneDX properties that are carried: those registered in the property taxonomy
/// (<https://github.com/CycloneDX/cyclonedx-property-taxonomy>) except `internal`, and those of the
/// tools and vendors that make most public documents.
pub(super) const PROPERTY_PREFIXES: &[&str] = &[
    "aboutcode:",
    "amazon:",
    "anchore:",
    "aquasecurity:",
    "cdx:",
    "codenotary:",
    "dependency-track:",
    "docker:",
    "fortify:",
    "gitlab:",
    "grype:",
    "hoppr:",
    "ibm:",
    "jfrog:",
    "maven.",
    "ort:",
    "package:",
    "redhat:",
    "sbomer:",
    "snyk:",
    "sonatype:",
    "soos:",
    "syft:",
    "urn:",
    "veracode:",
];

fn unfold(text: &'static str) -> Vec<Cow<'static, str>> {
    let mut lines: Vec<Cow<'static, str>> = Vec::new();
    for line in text.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with(' ') => last.to_mut().push_str(line),
            _ => lines.push(Cow::Borrowed(line)),
        }
    }
    lines
}
