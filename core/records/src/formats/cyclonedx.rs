//! CycloneDX 1.2 to 1.7 in JSON (<https://cyclonedx.org/specification/overview/>).

use stella_model::json::Value;
use stella_model::{Digest, Kind, Limits, RecordId};

use super::{identity_text, record_id, version_text};
use crate::draft::Identity;
use crate::format::Format;
use crate::rejection::Rejection;
use crate::revision::{Revision, RevisionOrder};

pub(crate) fn is(root: Value<'_>) -> bool {
    root.str_at(&["bomFormat"]).as_deref() == Some("CycloneDX")
}

/// `content` is the digest of the canonical form: the last resort of the identity.
pub(crate) fn identify(
    root: Value<'_>,
    content: &Digest,
    limits: &Limits,
) -> Result<Identity, Rejection> {
    check_version(&root.str_at(&["specVersion"]).unwrap_or_default())?;
    let component = |name| identity_text(root, &["metadata", "component", name]);
    let parts = IdParts {
        serial: identity_text(root, &["serialNumber"])?,
        purl: component("purl")?,
        group: component("group")?,
        name: component("name")?,
        version: component("version")?,
    };
    let filled = |name| root.get(name).is_some_and(|value| !value.is_empty());
    let timestamp = root.str_at(&["metadata", "timestamp"]);
    let version = version_text(root.get("version"));
    let order = RevisionOrder::VersionFirst;
    Ok(Identity {
        kind: kind(filled("vulnerabilities"), filled("components")),
        id: parts.id(content, limits)?,
        revision: Revision::new(order, timestamp.as_deref(), version.as_deref()),
        format: Format::CycloneDxJson,
    })
}

/// A document about vulnerabilities of things that it does not list is a VEX.
pub(crate) fn kind(has_vulnerabilities: bool, has_components: bool) -> Kind {
    if has_vulnerabilities && !has_components { Kind::vex() } else { Kind::sbom() }
}

pub(crate) fn check_version(version: &str) -> Result<(), Rejection> {
    match version {
        "1.2" | "1.3" | "1.4" | "1.5" | "1.6" | "1.7" => Ok(()),
        other => Err(Rejection::version("CycloneDX", other, "1.2 to 1.7")),
    }
}

/// What the id is made of, the empty text being absent.
pub(crate) struct IdParts<T> {
    pub(crate) serial: Option<T>,
    pub(crate) purl: Option<T>,
    pub(crate) group: Option<T>,
    pub(crate) name: Option<T>,
    pub(crate) version: Option<T>,
}

impl<T: AsRef<str>> IdParts<T> {
    /// The serial number, else the purl of the main component, else its `group/name@version`
    /// (without the separator of a part that is absent), else the digest of the content.
    pub(crate) fn id(&self, content: &Digest, limits: &Limits) -> Result<RecordId, Rejection> {
        if let Some(text) = self.serial.as_ref().or(self.purl.as_ref()) {
            return record_id(text.as_ref(), limits);
        }
        let Some(name) = &self.name else {
            return record_id(&format!("sha256:{content}"), limits);
        };
        let mut id = String::new();
        if let Some(group) = &self.group {
            id.push_str(group.as_ref());
            id.push('/');
        }
        id.push_str(name.as_ref());
        if let Some(version) = &self.version {
            id.push('@');
            id.push_str(version.as_ref());
        }
        record_id(&id, limits)
    }
}
