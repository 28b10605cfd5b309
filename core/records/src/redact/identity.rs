//! The texts from which a record's id is made, and which therefore cannot be changed.

use std::borrow::Cow;

use stella_model::json::Value;

use crate::Format;

/// Whether a text from which the id is made satisfies `denied`. The id stands in lines and indexes
/// unredacted; such a record must not be carried at all.
pub(super) fn any_text(format: Format, root: Value<'_>, denied: &dyn Fn(&str) -> bool) -> bool {
    let at = |path: &[&str]| root.str_at(path).is_some_and(|text| denied(&text));
    match format {
        Format::Osv => at(&["id"]),
        Format::CsafAdvisory | Format::CsafVex => {
            at(&["document", "publisher", "namespace"]) || at(&["document", "tracking", "id"])
        }
        Format::OpenVex => at(&["@id"]),
        Format::SpdxJson => at(&["documentNamespace"]),
        Format::Spdx3 => documents(root).any(|id| denied(&id)),
        Format::CycloneDxJson => cyclonedx(root).iter().any(|text| denied(text)),
        Format::JarList => at(&["groupID"]) || at(&["artifactID"]) || at(&["version"]),
        Format::TrivyFinding => TRIVY.iter().any(|path| at(path)),
        Format::GrypeFinding => {
            GRYPE.iter().any(|path| at(path))
                || root
                    .path(&["match", "artifact", "locations"])
                    .into_iter()
                    .flat_map(Value::items)
                    .filter_map(|place| place.str_at(&["path"]))
                    .any(|path| denied(&path))
        }
        Format::CycloneDxXml | Format::SpdxTagValue => false,
    }
}

const TRIVY: &[&[&str]] = &[
    &["report", "ArtifactName"],
    &["result", "class"],
    &["result", "target"],
    &["match", "PkgID"],
    &["match", "PkgName"],
    &["match", "PkgPath"],
    &["match", "FilePath"],
    &["match", "VulnerabilityID"],
    &["match", "ID"],
    &["match", "AVDID"],
    &["match", "RuleID"],
    &["match", "Name"],
];

const GRYPE: &[&[&str]] = &[
    &["report", "source", "target"],
    &["report", "source", "target", "userInput"],
    &["match", "artifact", "id"],
    &["match", "artifact", "purl"],
    &["match", "artifact", "name"],
    &["match", "artifact", "version"],
    &["match", "vulnerability", "id"],
];

/// The first of serial number, purl, and group, name and version that a BOM has.
fn cyclonedx(root: Value<'_>) -> Vec<Cow<'_, str>> {
    let filled = |path: &[&str]| root.str_at(path).filter(|text| !text.is_empty());
    let component = |name| filled(&["metadata", "component", name]);
    match filled(&["serialNumber"]).or_else(|| component("purl")) {
        Some(text) => vec![text],
        None => ["group", "name", "version"].into_iter().filter_map(component).collect(),
    }
}

/// Ids of the SpdxDocuments of an SPDX 3 graph.
fn documents<'t>(root: Value<'t>) -> impl Iterator<Item = Cow<'t, str>> {
    let graph = root.get("@graph").into_iter().flat_map(Value::items);
    let is_document = |element: &Value<'t>| {
        let types = element.get("type").or_else(|| element.get("@type"));
        let named = |text: &str| text.rsplit('/').next() == Some("SpdxDocument");
        types.is_some_and(|types| {
            types.as_str().is_some_and(|text| named(&text))
                || types.items().filter_map(Value::as_str).any(|text| named(&text))
        })
    };
    let id = |element: Value<'t>| element.str_at(&["spdxId"]).or_else(|| element.str_at(&["@id"]));
    graph.chain(std::iter::once(root)).filter(is_document).filter_map(id)
}
