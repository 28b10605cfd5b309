//! SBOMs: what an artifact consists of.

use std::borrow::Cow;
use std::collections::BTreeSet;

use stella_model::Instant;
use stella_model::json::Value;

use super::{Package, Sha1, items, texts};
use crate::formats::cyclonedx_xml::{XmlBom, XmlParts};
use crate::formats::jar_list;
use crate::formats::spdx_tag_value::{TagDocument, TagPackage};
use crate::formats::spdx3::{elements, is_type};

/// An SBOM of any format.
#[derive(Debug, Clone, Copy)]
pub struct SbomView<'t>(Source<'t>);

#[derive(Debug, Clone, Copy)]
enum Source<'t> {
    CycloneDx(Value<'t>),
    Spdx(Value<'t>),
    Spdx3(Value<'t>),
    Jar(Value<'t>),
    Xml(&'t XmlBom),
    Tags(&'t TagDocument<'t>),
}

/// A component; every part may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Component<'t> {
    /// What the document calls it: `bom-ref`, `SPDXID`, `spdxId`.
    pub reference: Option<Cow<'t, str>>,
    /// Group or namespace.
    pub group: Option<Cow<'t, str>>,
    /// Name.
    pub name: Option<Cow<'t, str>>,
    /// Version.
    pub version: Option<Cow<'t, str>>,
    /// Package URL.
    pub purl: Option<Cow<'t, str>>,
    /// SHA-1 of the file that it is; the first that is well-formed.
    pub sha1: Option<Sha1>,
}

impl<'t> Component<'t> {
    /// The component as a package.
    #[must_use]
    pub fn package(self) -> Package<'t> {
        Package { ecosystem: None, name: self.name, purl: self.purl }
    }
}

impl<'t> SbomView<'t> {
    pub(crate) fn cyclonedx(root: Value<'t>) -> SbomView<'t> {
        SbomView(Source::CycloneDx(root))
    }

    pub(crate) fn spdx(root: Value<'t>) -> SbomView<'t> {
        SbomView(Source::Spdx(root))
    }

    pub(crate) fn spdx3(root: Value<'t>) -> SbomView<'t> {
        SbomView(Source::Spdx3(root))
    }

    pub(crate) fn jar(root: Value<'t>) -> SbomView<'t> {
        SbomView(Source::Jar(root))
    }

    pub(crate) fn xml(bom: &'t XmlBom) -> SbomView<'t> {
        SbomView(Source::Xml(bom))
    }

    pub(crate) fn tags(document: &'t TagDocument<'t>) -> SbomView<'t> {
        SbomView(Source::Tags(document))
    }

    /// When it was made, if it says so in one place.
    #[must_use]
    pub fn created(self) -> Option<Instant> {
        let text = match self.0 {
            Source::CycloneDx(root) => root.str_at(&["metadata", "timestamp"]),
            Source::Spdx(root) => root.str_at(&["creationInfo", "created"]),
            Source::Spdx3(_) | Source::Jar(_) => None,
            Source::Xml(bom) => bom.timestamp.as_deref().map(Cow::Borrowed),
            Source::Tags(document) => document.created.map(Cow::Borrowed),
        };
        Instant::parse(&text?).ok()
    }

    /// What the SBOM is about: CycloneDX's main component, the packages that an SPDX document
    /// describes, the root elements of SPDX 3, the jar of a line of a jar list.
    pub fn each_subject(self, found: &mut dyn FnMut(Component<'t>)) {
        match self.0 {
            Source::CycloneDx(root) => {
                if let Some(component) = root.path(&["metadata", "component"]) {
                    found(cyclonedx_component(component));
                }
            }
            Source::Spdx(root) => spdx_subjects(root, found),
            Source::Spdx3(root) => spdx3_subjects(root, found),
            Source::Jar(root) => found(jar_component(root)),
            Source::Xml(bom) => found(xml_component(bom.component.parts())),
            Source::Tags(document) => {
                let subjects = document.describes();
                document.each_package(&mut |package| {
                    if subjects.contains(package.id) {
                        found(tag_component(package));
                    }
                });
            }
        }
    }

    /// Every component, nested ones too, in the order of the document. CycloneDX in XML: the
    /// outermost ones.
    pub fn each_component(self, found: &mut dyn FnMut(Component<'t>)) {
        match self.0 {
            Source::CycloneDx(root) => cyclonedx_components(root, found),
            Source::Spdx(root) => {
                items(root, &["packages"]).map(spdx_component).for_each(found);
            }
            Source::Spdx3(root) => elements(root)
                .filter(|element| is_type(*element, "software_Package"))
                .map(spdx3_component)
                .for_each(found),
            Source::Jar(root) => found(jar_component(root)),
            Source::Xml(bom) => bom.components.iter().map(xml_component).for_each(found),
            Source::Tags(document) => {
                document.each_package(&mut |package| found(tag_component(package)));
            }
        }
    }
}

/// Components within components; the depth is bounded by the limits of the document.
fn cyclonedx_components<'t>(parent: Value<'t>, found: &mut dyn FnMut(Component<'t>)) {
    for component in items(parent, &["components"]) {
        found(cyclonedx_component(component));
        cyclonedx_components(component, found);
    }
}

fn cyclonedx_component(value: Value<'_>) -> Component<'_> {
    Component {
        reference: value.str_at(&["bom-ref"]),
        group: value.str_at(&["group"]),
        name: value.str_at(&["name"]),
        version: value.str_at(&["version"]),
        purl: value.str_at(&["purl"]),
        sha1: sha1(value, "hashes", ["alg", "SHA-1", "content"]),
    }
}

/// The first SHA-1 in a list of digests: `[NAME, WORD, VALUE]` are the member that tells the
/// algorithm, how the format spells it, and the member that holds the digits.
fn sha1(value: Value<'_>, list: &str, [name, word, digits]: [&str; 3]) -> Option<Sha1> {
    items(value, &[list])
        .filter(|digest| digest.str_at(&[name]).as_deref() == Some(word))
        .find_map(|digest| Sha1::parse(&digest.str_at(&[digits])?))
}

fn jar_component(line: Value<'_>) -> Component<'_> {
    Component {
        reference: None,
        group: line.str_at(&["groupID"]),
        name: line.str_at(&["artifactID"]),
        version: line.str_at(&["version"]),
        purl: jar_list::purl(line).map(Cow::Owned),
        sha1: line.str_at(&["sha1"]).and_then(|text| Sha1::parse(&text)),
    }
}

fn spdx_component(package: Value<'_>) -> Component<'_> {
    let purl = items(package, &["externalRefs"])
        .find(|reference| reference.str_at(&["referenceType"]).as_deref() == Some("purl"))
        .and_then(|reference| reference.str_at(&["referenceLocator"]));
    Component {
        reference: package.str_at(&["SPDXID"]),
        group: None,
        name: package.str_at(&["name"]),
        version: package.str_at(&["versionInfo"]),
        purl,
        sha1: sha1(package, "checksums", ["algorithm", "SHA1", "checksumValue"]),
    }
}

fn spdx_subjects<'t>(root: Value<'t>, found: &mut dyn FnMut(Component<'t>)) {
    let mut subjects: BTreeSet<Cow<'t, str>> = texts(root, &["documentDescribes"]).collect();
    if subjects.is_empty() {
        for relationship in items(root, &["relationships"]) {
            let part = |name| relationship.str_at(&[name]);
            match part("relationshipType").as_deref() {
                Some("DESCRIBES") => subjects.extend(part("relatedSpdxElement")),
                Some("DESCRIBED_BY") => subjects.extend(part("spdxElementId")),
                _ => {}
            }
        }
    }
    let mut missing = subjects.len();
    for package in items(root, &["packages"]) {
        if missing == 0 {
            return;
        }
        if package.str_at(&["SPDXID"]).is_some_and(|id| subjects.contains(&id)) {
            missing -= 1;
            found(spdx_component(package));
        }
    }
}

fn spdx3_subjects<'t>(root: Value<'t>, found: &mut dyn FnMut(Component<'t>)) {
    let about: BTreeSet<Cow<'t, str>> = elements(root)
        .filter(|element| is_type(*element, "SpdxDocument") || is_type(*element, "software_Sbom"))
        .flat_map(|element| texts(element, &["rootElement"]))
        .collect();
    elements(root)
        .filter(|element| is_type(*element, "software_Package"))
        .map(spdx3_component)
        .filter(|component| component.reference.as_ref().is_some_and(|id| about.contains(id)))
        .for_each(found);
}

fn spdx3_component(element: Value<'_>) -> Component<'_> {
    let external = || {
        items(element, &["externalIdentifier"])
            .find(|id| id.str_at(&["externalIdentifierType"]).as_deref() == Some("packageUrl"))
            .and_then(|id| id.str_at(&["identifier"]))
    };
    Component {
        reference: element.str_at(&["spdxId"]).or_else(|| element.str_at(&["@id"])),
        group: None,
        name: element.str_at(&["name"]),
        version: element.str_at(&["software_packageVersion"]),
        purl: element.str_at(&["software_packageUrl"]).or_else(external),
        sha1: sha1(element, "verifiedUsing", ["algorithm", "sha1", "hashValue"]),
    }
}

fn filled(text: &str) -> Option<Cow<'_, str>> {
    (!text.is_empty()).then_some(Cow::Borrowed(text))
}

fn xml_component(component: XmlParts<'_>) -> Component<'_> {
    Component {
        reference: filled(component.reference),
        group: filled(component.group),
        name: filled(component.name),
        version: filled(component.version),
        purl: filled(component.purl),
        sha1: Sha1::parse(component.sha1),
    }
}

fn tag_component(package: TagPackage<'_>) -> Component<'_> {
    Component {
        reference: filled(package.id),
        group: None,
        name: filled(package.name),
        version: package.version.map(Cow::Borrowed),
        purl: package.purl.map(Cow::Borrowed),
        sha1: package.sha1,
    }
}
