//! SPDX 3.0 in JSON-LD (<https://spdx.github.io/spdx-spec/v3.0.1/>).

use std::borrow::Cow;

use stella_model::Limits;
use stella_model::json::{Shape, Value};

use super::{identity_text, record_id};
use crate::draft::Identity;
use crate::format::Format;
use crate::formats::spdx;
use crate::rejection::Rejection;

const CONTEXT: &str = "https://spdx.org/rdf/3.";

pub(crate) fn is(root: Value<'_>) -> bool {
    context(root).is_some()
}

pub(crate) fn identify(root: Value<'_>, limits: &Limits) -> Result<Identity, Rejection> {
    let context = context(root).unwrap_or_default();
    if !context.starts_with("https://spdx.org/rdf/3.0") {
        return Err(Rejection::version("SPDX", &context, "3.0"));
    }
    let mut documents = elements(root).filter(|element| is_type(*element, "SpdxDocument"));
    let document =
        documents.next().ok_or_else(|| Rejection::no_identity("there is no SpdxDocument"))?;
    if documents.next().is_some() {
        return Err(Rejection::no_identity("there are several SpdxDocuments"));
    }
    let id = element_id(document)?
        .filter(|id| !id.starts_with("_:"))
        .ok_or_else(|| Rejection::no_identity("the SpdxDocument has no id of its own"))?;
    let created = creation_info(root, document).and_then(|info| info.str_at(&["created"]));
    Ok(spdx::identity(record_id(&id, limits)?, created.as_deref(), Format::Spdx3))
}

/// The elements of a document: those of its graph, or the document itself if it is one element.
pub(crate) fn elements<'t>(root: Value<'t>) -> impl Iterator<Item = Value<'t>> {
    let graph = root.get("@graph");
    let single = graph.is_none().then_some(root);
    graph.into_iter().flat_map(Value::items).chain(single)
}

/// Whether an element has this type of the Core profile, written short or as its full IRI.
pub(crate) fn is_type(element: Value<'_>, name: &str) -> bool {
    let matches = |text: &str| text == name || text.rsplit('/').next() == Some(name);
    let types = element.get("type").or_else(|| element.get("@type"));
    types.is_some_and(|types| match types.as_str() {
        Some(text) => matches(&text),
        None => types.items().filter_map(Value::as_str).any(|text| matches(&text)),
    })
}

/// The id of an element.
pub(crate) fn element_id<'t>(element: Value<'t>) -> Result<Option<Cow<'t, str>>, Rejection> {
    match identity_text(element, &["spdxId"])? {
        Some(id) => Ok(Some(id)),
        None => identity_text(element, &["@id"]),
    }
}

/// Creation information stands in the element or is referred to by its id.
fn creation_info<'t>(root: Value<'t>, document: Value<'t>) -> Option<Value<'t>> {
    let info = document.get("creationInfo")?;
    if info.shape() == Shape::Object && info.get("created").is_some() {
        return Some(info);
    }
    let reference = info.as_str().or_else(|| info.str_at(&["@id"]))?;
    let id = |element: &Value<'t>| element.str_at(&["@id"]).or_else(|| element.str_at(&["spdxId"]));
    elements(root).find(|element| id(element).as_ref() == Some(&reference))
}

fn context(root: Value<'_>) -> Option<Cow<'_, str>> {
    let context = root.get("@context")?;
    let ours = |value: Value<'_>| value.as_str().is_some_and(|text| text.starts_with(CONTEXT));
    if ours(context) {
        return context.as_str();
    }
    context.items().find(|item| ours(*item)).and_then(Value::as_str)
}
