//! OpenVEX 0.2 and the forerunners that share its shape (<https://github.com/openvex/spec>).

use std::borrow::Cow;
use std::collections::BTreeSet;

use stella_model::json::{Shape, Value};
use stella_model::{DigestBuilder, Kind, Limits};

use super::{identity_text, record_id, required_text, shape_name, version_text};
use crate::draft::Identity;
use crate::format::Format;
use crate::rejection::Rejection;
use crate::revision::{Revision, RevisionOrder};

const CONTEXT: &str = "https://openvex.dev/ns";

pub(crate) fn is(root: Value<'_>) -> bool {
    root.str_at(&["@context"]).is_some_and(|context| context.starts_with(CONTEXT))
}

pub(crate) fn identify(root: Value<'_>, limits: &Limits) -> Result<Identity, Rejection> {
    let context = root.str_at(&["@context"]).unwrap_or_default();
    match context.strip_prefix(CONTEXT) {
        Some("" | "/") => {}
        Some(version) if version.starts_with("/v0.") => {}
        _ => return Err(Rejection::version("OpenVEX", &context, "0.2 and before")),
    }
    let id = required_text(root, &["@id"])?;
    let products = products_digest(root)?;
    let time = root.str_at(&["last_updated"]).or_else(|| root.str_at(&["timestamp"]));
    let version = version_text(root.get("version"));
    Ok(Identity {
        kind: Kind::vex(),
        id: record_id(&format!("{id}#{products}"), limits)?,
        revision: Revision::new(RevisionOrder::TimeFirst, time.as_deref(), version.as_deref()),
        format: Format::OpenVex,
    })
}

/// 16 hex digits of SHA-256 over LP(p) of each distinct product in byte order: documents of one
/// publisher share their `@id`, and differ in the products that they are about.
fn products_digest(root: Value<'_>) -> Result<String, Rejection> {
    let mut products = BTreeSet::new();
    for statement in root.get("statements").into_iter().flat_map(Value::items) {
        for product in statement.get("products").into_iter().flat_map(Value::items) {
            products.insert(product_name(product)?);
        }
    }
    let mut input = DigestBuilder::new();
    for product in &products {
        input.lp(product.as_bytes());
    }
    Ok(input.finish().short(16))
}

/// The `@id` of a product, else its purl identifier, else the product itself if it is text.
fn product_name<'t>(product: Value<'t>) -> Result<Cow<'t, str>, Rejection> {
    if let Some(text) = product.as_str() {
        return Ok(text);
    }
    if product.shape() != Shape::Object {
        let shape = shape_name(product.shape());
        return Err(Rejection::no_identity(format!("a product is {shape}, not text or an object")));
    }
    if let Some(id) = identity_text(product, &["@id"])? {
        return Ok(id);
    }
    identity_text(product, &["identifiers", "purl"])?
        .ok_or_else(|| Rejection::no_identity("a product has neither @id nor identifiers.purl"))
}
