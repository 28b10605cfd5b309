//! OSV 1.x (<https://ossf.github.io/osv-schema/>).

use stella_model::json::{Shape, Value};
use stella_model::{Kind, Limits};

use super::{record_id, required_text};
use crate::draft::Identity;
use crate::format::Format;
use crate::rejection::Rejection;
use crate::revision::{Revision, RevisionOrder};

/// Members of which at least one belongs to an OSV document that has no `schema_version`.
const TELLING: [&str; 7] =
    ["affected", "summary", "details", "aliases", "withdrawn", "references", "severity"];

/// An object with `modified` or `schema_version`, and with what an advisory says.
pub(crate) fn is(root: Value<'_>) -> bool {
    let text = |name| root.get(name).is_some_and(|value| value.shape() == Shape::String);
    let affected = root.get("affected").is_some_and(|value| value.shape() == Shape::Array);
    if text("schema_version") {
        return affected || root.get("modified").is_some() || root.get("id").is_some();
    }
    text("modified")
        && root.get("id").is_some()
        && TELLING.iter().any(|name| root.get(name).is_some())
}

pub(crate) fn identify(root: Value<'_>, limits: &Limits) -> Result<Identity, Rejection> {
    if let Some(version) = root.str_at(&["schema_version"])
        && !version.starts_with("1.")
        && version != "1"
    {
        return Err(Rejection::version("OSV", &version, "1.x"));
    }
    let id = required_text(root, &["id"])?;
    let modified = root.str_at(&["modified"]);
    Ok(Identity {
        kind: Kind::advisory(),
        id: record_id(&id, limits)?,
        revision: Revision::new(RevisionOrder::TimeFirst, modified.as_deref(), None),
        format: Format::Osv,
    })
}
