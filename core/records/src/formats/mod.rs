//! Identity and revision, format by format (FORMATS "Kinds, feeds, records").
//!
//! Each module says how a document of its format is told from others and what its identity is.
//! Recognition is lenient in what a document carries and strict in its identity: a member that
//! belongs to the id must be text, and an id has 1 to 1,024 bytes.

pub(crate) mod csaf;
pub(crate) mod cyclonedx;
pub(crate) mod cyclonedx_xml;
pub(crate) mod findings;
pub(crate) mod jar_list;
pub(crate) mod openvex;
pub(crate) mod osv;
pub(crate) mod spdx;
pub(crate) mod spdx3;
pub(crate) mod spdx_tag_value;

use std::borrow::Cow;

use stella_model::json::{Shape, Value};
use stella_model::{Limits, RecordId};

use crate::rejection::{Rejection, excerpt};

/// A text that belongs to the identity. Absent, `null` and empty are the same: `None`.
///
/// # Errors
/// `no-identity` if the member has another shape than text: guessing what a number or a list was
/// meant to be would give one document two identities.
pub(crate) fn identity_text<'t>(
    root: Value<'t>,
    path: &[&str],
) -> Result<Option<Cow<'t, str>>, Rejection> {
    let Some(value) = root.path(path) else { return Ok(None) };
    match value.shape() {
        Shape::Null => Ok(None),
        Shape::String => Ok(value.as_str().filter(|text| !text.is_empty())),
        shape => Err(Rejection::no_identity(format!(
            "{} is {}, not text",
            path.join("."),
            shape_name(shape)
        ))),
    }
}

/// The same as [`identity_text`] for a member that must be there.
pub(crate) fn required_text<'t>(root: Value<'t>, path: &[&str]) -> Result<Cow<'t, str>, Rejection> {
    identity_text(root, path)?
        .ok_or_else(|| Rejection::no_identity(format!("{} is missing or empty", path.join("."))))
}

/// A checked id.
pub(crate) fn record_id(text: &str, limits: &Limits) -> Result<RecordId, Rejection> {
    if text.len() > limits.id_bytes {
        return Err(Rejection::no_identity(format!(
            "the id has {} bytes, more than {}: {}",
            text.len(),
            limits.id_bytes,
            excerpt(text)
        )));
    }
    RecordId::new(text).map_err(|error| Rejection::no_identity(error.rule))
}

/// The text of a version that some documents write as a number and some as text.
pub(crate) fn version_text(value: Option<Value<'_>>) -> Option<Cow<'_, str>> {
    let value = value?;
    value.as_number().map(Cow::Borrowed).or_else(|| value.as_str())
}

pub(crate) fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Null => "null",
        Shape::Bool => "a boolean",
        Shape::Number => "a number",
        Shape::String => "text",
        Shape::Array => "an array",
        Shape::Object => "an object",
    }
}
