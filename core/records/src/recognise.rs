//! Recognises a document by its content and makes records of it.

use stella_model::Limits;
use stella_model::json::{Document, Shape, Value};

use crate::by_name::{NameClass, by_name};
use crate::draft::{Content, Draft, Identity};
use crate::facets::Facets;
use crate::format::Format;
use crate::formats::cyclonedx_xml::{self, XmlBom};
use crate::formats::spdx_tag_value::{self, TagDocument};
use crate::formats::{csaf, cyclonedx, findings, jar_list, openvex, osv, spdx, spdx3};
use crate::rejection::{RejectReason, Rejection};
use crate::view::{Evidence, Parsed};

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognised {
    /// Its records: one, or one for each finding of a scanner's report, in the report's order. A
    /// report without findings has none.
    Records(Vec<Draft>),
    /// Belongs to documents without being one: a signature, a checksum, the index of a feed.
    Companion,
    /// No evidence by any reading.
    Ignored,
}

/// Recognises a document by its content and makes records of it. `path` serves only to set aside
/// companions and ignored files ([`by_name`]).
///
/// The result depends on nothing but the arguments.
///
/// # Errors
/// A [`Rejection`] with reason, offset and detail for everything that is no record, companion or
/// ignored file.
pub fn recognise(path: &str, bytes: &[u8], limits: &Limits) -> Result<Recognised, Rejection> {
    match by_name(path) {
        NameClass::Document => {}
        NameClass::Companion => return Ok(Recognised::Companion),
        NameClass::Ignored => return Ok(Recognised::Ignored),
    }
    if bytes.len() as u64 > limits.document_bytes {
        let detail = format!("longer than {} bytes", limits.document_bytes);
        return Err(Rejection::new(RejectReason::TooLarge, detail).at(limits.document_bytes));
    }
    match Syntax::of(bytes) {
        Syntax::Json => recognise_json(bytes, limits),
        Syntax::Xml => recognise_xml(bytes, limits),
        Syntax::Text => recognise_text(bytes, limits),
        Syntax::Wide => Err(wide(bytes)),
    }
}

/// Whether a document begins with the UTF-8 byte order mark, which is dropped from JSON and
/// counted.
#[must_use]
pub fn has_byte_order_mark(bytes: &[u8]) -> bool {
    bytes.starts_with(BOM)
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What the first bytes look like.
enum Syntax {
    Json,
    Xml,
    Text,
    /// UTF-16 or UTF-32, which is not read.
    Wide,
}

impl Syntax {
    fn of(bytes: &[u8]) -> Syntax {
        if let [0xff, 0xfe, ..]
        | [0xfe, 0xff, ..]
        | [0, 0, ..]
        | [0, b'<' | b'{' | b'[', ..]
        | [b'<' | b'{' | b'[', 0, ..] = bytes
        {
            return Syntax::Wide;
        }
        let body = bytes.strip_prefix(BOM).unwrap_or(bytes).trim_ascii_start();
        match body.first() {
            Some(b'[') if is_toml_table(body) => Syntax::Text,
            Some(b'{' | b'[') => Syntax::Json,
            Some(b'<') => Syntax::Xml,
            _ => Syntax::Text,
        }
    }
}

/// Whether brackets open a TOML table (`[package]`, `[[bin]]`) and not a JSON array: a word
/// follows that is no JSON literal.
fn is_toml_table(body: &[u8]) -> bool {
    let inside = match body {
        [b'[', b'[', inside @ ..] | [b'[', inside @ ..] => inside,
        _ => return false,
    };
    let literal = [&b"true"[..], b"false", b"null"].iter().any(|word| inside.starts_with(word));
    inside.first().is_some_and(u8::is_ascii_alphabetic) && !literal
}

fn wide(bytes: &[u8]) -> Rejection {
    let ascii = bytes.iter().copied().filter(|&b| !matches!(b, 0 | 0xfe | 0xff)).take(64);
    let text: Vec<u8> = ascii.skip_while(u8::is_ascii_whitespace).take(1).collect();
    if matches!(text[..], [b'{' | b'[' | b'<']) {
        return Rejection::new(RejectReason::InvalidEncoding, "UTF-16 or UTF-32").at(0);
    }
    Rejection::unknown("binary data")
}

fn recognise_json(bytes: &[u8], limits: &Limits) -> Result<Recognised, Rejection> {
    let document = Document::parse(bytes, limits)?;
    let root = document.root();
    let format = match sniff(root)? {
        Sniffed::One(format) => format,
        Sniffed::Trivy => return findings::trivy(root, limits).map(Recognised::Records),
        Sniffed::Grype => return findings::grype(root, limits).map(Recognised::Records),
        Sniffed::Companion => return Ok(Recognised::Companion),
    };
    // Cheap to refuse before the canonical form is written; CycloneDX may need its digest.
    let early = match format {
        Format::CycloneDxJson => None,
        other => Some(identify(other, root, limits)?),
    };
    let content = Content::canonical(&document, bytes.len());
    let identity = match early {
        Some(identity) => identity,
        None => cyclonedx::identify(root, &content.digest, limits)?,
    };
    let verbatim = content.bytes == bytes;
    let evidence = Evidence::new(identity.format, Parsed::Json(document));
    let facets = Facets::of(&identity.id, &evidence);
    Ok(Recognised::Records(vec![Draft::new(identity, content, verbatim, facets)]))
}

/// What a JSON document is.
enum Sniffed {
    /// One record.
    One(Format),
    /// A report that is cut into findings.
    Trivy,
    Grype,
    Companion,
}

fn sniff(root: Value<'_>) -> Result<Sniffed, Rejection> {
    let one = |format| Ok(Sniffed::One(format));
    if root.shape() == Shape::Array {
        if findings::is_old_trivy(root) {
            return Err(Rejection::version("Trivy report, schema", "1", "2"));
        }
        return Err(Rejection::unknown("a JSON array"));
    }
    match root {
        // The smallest and by far the most numerous documents come first.
        _ if osv::is(root) => one(Format::Osv),
        _ if cyclonedx::is(root) => one(Format::CycloneDxJson),
        _ if spdx::is(root) => one(Format::SpdxJson),
        _ if csaf::is(root) => one(Format::CsafAdvisory),
        _ if openvex::is(root) => one(Format::OpenVex),
        _ if spdx3::is(root) => one(Format::Spdx3),
        _ if jar_list::is(root) => one(Format::JarList),
        _ if findings::is_trivy(root) => Ok(Sniffed::Trivy),
        _ if findings::is_grype(root) => Ok(Sniffed::Grype),
        _ if is_companion(root) => Ok(Sniffed::Companion),
        _ => Err(Rejection::unknown(describe(root))),
    }
}

fn identify(format: Format, root: Value<'_>, limits: &Limits) -> Result<Identity, Rejection> {
    match format {
        Format::Osv => osv::identify(root, limits),
        Format::CsafAdvisory | Format::CsafVex => csaf::identify(root, limits),
        Format::OpenVex => openvex::identify(root, limits),
        Format::SpdxJson => spdx::identify(root, limits),
        Format::Spdx3 => spdx3::identify(root, limits),
        Format::JarList => jar_list::identify(root, limits),
        _ => Err(Rejection::unknown(describe(root))),
    }
}

/// Files that lead to documents: ROLIE feeds and services, CSAF provider metadata and aggregators,
/// and the three index files of a VEX repository.
fn is_companion(root: Value<'_>) -> bool {
    let has = |name| root.get(name).is_some();
    let first_has = |list: &str, names: [&str; 2]| {
        let items = root.get(list).into_iter().flat_map(Value::items);
        items.take(1).any(|item| names.iter().all(|name| item.get(name).is_some()))
    };
    root.path(&["feed", "entry"]).is_some()
        || root.path(&["service", "workspace"]).is_some()
        || (has("metadata_version") && has("publisher") && has("canonical_url"))
        || has("aggregator_version")
        || first_has("packages", ["id", "location"])
        || first_has("versions", ["spec_version", "locations"])
        || (has("ID") && first_has("Sources", ["Path", "URL"]))
}

/// The first member names, for whoever looks at the quarantine.
fn describe(root: Value<'_>) -> String {
    let names: Vec<String> =
        root.members().take(6).map(|(name, _)| name.chars().take(24).collect()).collect();
    format!("JSON with the members {}", names.join(", "))
}

fn recognise_xml(bytes: &[u8], limits: &Limits) -> Result<Recognised, Rejection> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        if cyclonedx_xml::mentions(bytes) {
            return not_utf8(error);
        }
        Rejection::unknown("XML or HTML that is not UTF-8")
    })?;
    let bom = XmlBom::read(text, limits)?;
    let content = Content::new(bytes.to_vec());
    let identity = cyclonedx_xml::identify(&bom, &content.digest, limits)?;
    Ok(text_record(identity, content, Parsed::Xml(Box::new(bom))))
}

fn recognise_text(bytes: &[u8], limits: &Limits) -> Result<Recognised, Rejection> {
    // A head that is cut inside a character is still text.
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
    let head = head.trim_start_matches('\u{feff}');
    if head.trim().is_empty() {
        return Err(Rejection::unknown("an empty document"));
    }
    if !spdx_tag_value::is(head) {
        return Err(Rejection::unknown("neither JSON, XML nor SPDX tag-value"));
    }
    let text = std::str::from_utf8(bytes).map_err(not_utf8)?;
    let document = TagDocument::read(text, limits)?;
    let identity = spdx_tag_value::identify(&document, limits)?;
    let content = Content::new(bytes.to_vec());
    Ok(text_record(identity, content, Parsed::Tags(document)))
}

fn not_utf8(error: std::str::Utf8Error) -> Rejection {
    Rejection::new(RejectReason::InvalidEncoding, "not valid UTF-8").at(error.valid_up_to() as u64)
}

fn text_record(identity: Identity, content: Content, parsed: Parsed<'_>) -> Recognised {
    let evidence = Evidence::new(identity.format, parsed);
    let facets = Facets::of(&identity.id, &evidence);
    Recognised::Records(vec![Draft::new(identity, content, true, facets)])
}
