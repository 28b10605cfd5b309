//! CSAF 2.0 (<https://docs.oasis-open.org/csaf/csaf/v2.0/csaf-v2.0.html>).

use stella_model::json::Value;
use stella_model::{Kind, Limits};

use super::{record_id, required_text, version_text};
use crate::draft::Identity;
use crate::format::Format;
use crate::rejection::Rejection;
use crate::revision::{Revision, RevisionOrder};

pub(crate) fn is(root: Value<'_>) -> bool {
    root.path(&["document", "csaf_version"]).is_some()
}

pub(crate) fn identify(root: Value<'_>, limits: &Limits) -> Result<Identity, Rejection> {
    let version = root.str_at(&["document", "csaf_version"]).unwrap_or_default();
    if version != "2.0" {
        return Err(Rejection::version("CSAF", &version, "2.0"));
    }
    let namespace = required_text(root, &["document", "publisher", "namespace"])?;
    let tracking_id = required_text(root, &["document", "tracking", "id"])?;
    let category = root.str_at(&["document", "category"]);
    let (kind, format) = match category.as_deref() {
        Some("csaf_vex") => (Kind::vex(), Format::CsafVex),
        _ => (Kind::advisory(), Format::CsafAdvisory),
    };
    let released = root.str_at(&["document", "tracking", "current_release_date"]);
    let revised = version_text(root.path(&["document", "tracking", "version"]));
    Ok(Identity {
        kind,
        id: record_id(&format!("{namespace}#{tracking_id}"), limits)?,
        revision: Revision::new(RevisionOrder::TimeFirst, released.as_deref(), revised.as_deref()),
        format,
    })
}
