//! SPDX 2.2 and 2.3 in JSON (<https://spdx.github.io/spdx-spec/v2.3/>).

use stella_model::json::Value;
use stella_model::{Kind, Limits, RecordId};

use super::{record_id, required_text};
use crate::draft::Identity;
use crate::format::Format;
use crate::rejection::Rejection;
use crate::revision::{Revision, RevisionOrder};

pub(crate) fn is(root: Value<'_>) -> bool {
    root.str_at(&["spdxVersion"]).is_some_and(|version| version.starts_with("SPDX-"))
}

pub(crate) fn identify(root: Value<'_>, limits: &Limits) -> Result<Identity, Rejection> {
    check_version(&root.str_at(&["spdxVersion"]).unwrap_or_default())?;
    let namespace = required_text(root, &["documentNamespace"])?;
    let created = root.str_at(&["creationInfo", "created"]);
    Ok(identity(record_id(&namespace, limits)?, created.as_deref(), Format::SpdxJson))
}

pub(crate) fn check_version(version: &str) -> Result<(), Rejection> {
    match version {
        "SPDX-2.2" | "SPDX-2.3" => Ok(()),
        other => Err(Rejection::version("SPDX", other, "SPDX-2.2, SPDX-2.3")),
    }
}

pub(crate) fn identity(id: RecordId, created: Option<&str>, format: Format) -> Identity {
    let revision = Revision::new(RevisionOrder::TimeFirst, created, None);
    Identity { kind: Kind::sbom(), id, revision, format }
}
