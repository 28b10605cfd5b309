//! CycloneDX 1.2 to 1.7 in XML, read as a stream of events.
//!
//! Only UTF-8 is read. No document type declaration is accepted, so no entity is ever expanded
//! but the five predefined ones; depth and the number of elements and attributes are bounded by
//! the same limits as JSON (INV-LIMIT).

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, XmlVersion};
use stella_model::{Digest, Limits};

use super::cyclonedx::{IdParts, check_version, kind};
use crate::draft::Identity;
use crate::format::Format;
use crate::rejection::{RejectReason, Rejection, excerpt};
use crate::revision::{Revision, RevisionOrder};
use crate::severity::Severity;
use crate::view::Sha1;

/// Most attributes of one element: looking for duplicates takes the square of their number.
const ATTRIBUTES: usize = 256;

const NAMESPACE: &str = "http://cyclonedx.org/schema/bom/";

/// What is read from a BOM.
#[derive(Debug, Clone, Default)]
pub(crate) struct XmlBom {
    spec_version: String,
    pub(crate) serial: Option<String>,
    version: Option<String>,
    pub(crate) timestamp: Option<String>,
    pub(crate) component: XmlComponent,
    has_components: bool,
    has_vulnerabilities: bool,
    pub(crate) components: XmlComponents,
    pub(crate) vulnerabilities: XmlVulnerabilities,
    /// The worst severity of any rating.
    pub(crate) severity: Option<Severity>,
}

/// A component; absent parts are empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct XmlComponent {
    pub(crate) reference: String,
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) purl: String,
    pub(crate) sha1: String,
}

/// A component as it is looked at; absent parts are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct XmlParts<'t> {
    pub(crate) reference: &'t str,
    pub(crate) group: &'t str,
    pub(crate) name: &'t str,
    pub(crate) version: &'t str,
    pub(crate) purl: &'t str,
    pub(crate) sha1: &'t str,
}

impl XmlComponent {
    pub(crate) fn parts(&self) -> XmlParts<'_> {
        XmlParts {
            reference: &self.reference,
            group: &self.group,
            name: &self.name,
            version: &self.version,
            purl: &self.purl,
            sha1: &self.sha1,
        }
    }
}

/// Components one behind the other: 24 bytes and their text each, for there may be millions
/// (INV-LIMIT).
#[derive(Debug, Clone, Default)]
pub(crate) struct XmlComponents {
    text: String,
    /// Lengths of the six parts of each, in the order of [`XmlParts`].
    lengths: Vec<[u32; 6]>,
}

impl XmlComponents {
    pub(crate) fn iter(&self) -> impl Iterator<Item = XmlParts<'_>> {
        let mut rest = self.text.as_str();
        self.lengths.iter().map(move |lengths| {
            let [reference, group, name, version, purl, sha1] = lengths.map(|length| {
                let (part, after) = rest.split_at(length as usize);
                rest = after;
                part
            });
            XmlParts { reference, group, name, version, purl, sha1 }
        })
    }

    /// Takes the text out of `component`, which is empty afterwards.
    fn push(&mut self, component: &mut XmlComponent) {
        let XmlParts { reference, group, name, version, purl, sha1 } = component.parts();
        let parts = [reference, group, name, version, purl, sha1];
        let lengths = parts.map(|part| append(&mut self.text, part));
        self.lengths.push(lengths);
        let parts = [&mut component.reference, &mut component.group, &mut component.name];
        parts.into_iter().for_each(String::clear);
        let parts = [&mut component.version, &mut component.purl, &mut component.sha1];
        parts.into_iter().for_each(String::clear);
    }
}

/// A vulnerability as it is looked at; absent parts are empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct XmlVulnerability<'t> {
    pub(crate) id: &'t str,
    pub(crate) state: &'t str,
    pub(crate) justification: &'t str,
    affects: XmlTexts<'t>,
}

impl<'t> XmlVulnerability<'t> {
    /// References of the components that it affects.
    pub(crate) fn affects(self) -> impl Iterator<Item = &'t str> {
        self.affects.iter()
    }
}

/// Texts one behind the other, with the length of each.
#[derive(Debug, Clone, Copy)]
struct XmlTexts<'t> {
    text: &'t str,
    lengths: &'t [u32],
}

impl<'t> XmlTexts<'t> {
    fn iter(self) -> impl Iterator<Item = &'t str> {
        let mut rest = self.text;
        self.lengths.iter().map(move |length| {
            let (text, after) = rest.split_at(*length as usize);
            rest = after;
            text
        })
    }
}

/// Vulnerabilities one behind the other: 20 bytes and their text each, and four bytes for each
/// component that one affects, for there may be millions of either (INV-LIMIT).
#[derive(Debug, Clone, Default)]
pub(crate) struct XmlVulnerabilities {
    text: String,
    /// Of each the lengths of id, state and justification, then the number of affected references
    /// and the length of all their text.
    heads: Vec<[u32; 5]>,
    /// The text and the lengths of all references, in the order of the vulnerabilities.
    affected: String,
    affected_lengths: Vec<u32>,
    /// The vulnerability that is being read, but for its references, which are behind those of
    /// all others.
    open: OpenVulnerability,
}

/// What is read of a vulnerability before its end; absent parts are empty.
#[derive(Debug, Clone, Default)]
struct OpenVulnerability {
    id: String,
    state: String,
    justification: String,
    /// Its references and the bytes of their text.
    affects: [u32; 2],
}

impl XmlVulnerabilities {
    pub(crate) fn iter(&self) -> impl Iterator<Item = XmlVulnerability<'_>> {
        let (mut text, mut affected) = (self.text.as_str(), self.affected.as_str());
        let mut lengths = self.affected_lengths.as_slice();
        self.heads.iter().map(move |&[id, state, justification, references, bytes]| {
            let [id, state, justification] = [id, state, justification].map(|length| {
                let (part, after) = text.split_at(length as usize);
                text = after;
                part
            });
            let (own_lengths, other_lengths) = lengths.split_at(references as usize);
            let (own_text, other_text) = affected.split_at(bytes as usize);
            (lengths, affected) = (other_lengths, other_text);
            let affects = XmlTexts { text: own_text, lengths: own_lengths };
            XmlVulnerability { id, state, justification, affects }
        })
    }

    /// Takes note of one member of the vulnerability that is being read.
    fn set(&mut self, member: &[&str], text: &str) {
        match member {
            ["id"] => text.clone_into(&mut self.open.id),
            ["analysis", "state"] => text.clone_into(&mut self.open.state),
            ["analysis", "justification"] => text.clone_into(&mut self.open.justification),
            ["affects", "target", "ref"] => {
                let length = append(&mut self.affected, text);
                self.affected_lengths.push(length);
                let [references, bytes] = &mut self.open.affects;
                *references += 1;
                *bytes += length;
            }
            _ => {}
        }
    }

    /// The vulnerability that was being read is whole.
    fn push(&mut self) {
        let OpenVulnerability { id, state, justification, affects } = &mut self.open;
        let [id, state, justification] = [id, state, justification].map(|part| {
            let length = append(&mut self.text, part);
            part.clear();
            length
        });
        let [references, bytes] = std::mem::take(affects);
        self.heads.push([id, state, justification, references, bytes]);
    }
}

/// Adds a text behind others and gives its length. One beyond the reach of a length, alone or with
/// what is there, which is far above any limit of a document, counts as absent.
fn append(texts: &mut String, text: &str) -> u32 {
    let Ok(end) = u32::try_from(texts.len() + text.len()) else { return 0 };
    let begin = u32::try_from(texts.len()).unwrap_or(end);
    texts.push_str(text);
    end - begin
}

/// Whether bytes that may not be UTF-8 name CycloneDX all the same, for a better reason than
/// `unknown-format`.
pub(crate) fn mentions(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(4096)];
    let ascii: Vec<u8> = head.iter().copied().filter(|&b| b != 0).collect();
    memchr::memmem::find(&ascii, NAMESPACE.as_bytes()).is_some()
}

pub(crate) fn identify(
    bom: &XmlBom,
    content: &Digest,
    limits: &Limits,
) -> Result<Identity, Rejection> {
    let filled = |text: &'_ str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let parts = IdParts {
        serial: bom.serial.clone().filter(|text| !text.is_empty()),
        purl: filled(&bom.component.purl),
        group: filled(&bom.component.group),
        name: filled(&bom.component.name),
        version: filled(&bom.component.version),
    };
    let (time, version) = (bom.timestamp.as_deref(), bom.version.as_deref());
    Ok(Identity {
        kind: kind(bom.has_vulnerabilities, bom.has_components),
        id: parts.id(content, limits)?,
        revision: Revision::new(RevisionOrder::VersionFirst, time, version),
        format: Format::CycloneDxXml,
    })
}

impl XmlBom {
    /// Reads a whole document.
    ///
    /// # Errors
    /// `unknown-format` if the root is no CycloneDX BOM, `unsupported-version`, `invalid-xml`,
    /// `invalid-encoding` if it declares another encoding and has more than ASCII, `too-large`.
    pub(crate) fn read(text: &str, limits: &Limits) -> Result<XmlBom, Rejection> {
        let mut walk = Walk {
            bom: XmlBom::default(),
            component: XmlComponent::default(),
            path: Vec::new(),
            text: String::new(),
            is_sha1: false,
            values: 0,
            root_closed: false,
            limits,
        };
        let mut reader = NsReader::from_str(text);
        reader.config_mut().check_comments = true;
        loop {
            let at = reader.buffer_position();
            let known_root = !walk.path.is_empty() || walk.root_closed;
            let broken = |error: String| match known_root {
                true => Rejection::new(RejectReason::InvalidXml, error).at(at),
                false => Rejection::unknown(format!("XML that cannot be read: {error}")).at(at),
            };
            let (namespace, event) =
                reader.read_resolved_event().map_err(|error| broken(error.to_string()))?;
            let namespace = match namespace {
                ResolveResult::Bound(namespace) => namespace.0,
                _ => "",
            };
            if matches!(event, Event::Eof) {
                break;
            }
            walk.event(namespace, &event, text).map_err(|rejection| match rejection.offset {
                Some(_) => rejection,
                None => rejection.at(at),
            })?;
        }
        walk.finish(text.len() as u64)
    }
}

/// An element from the root to the current one: its local name if it is CycloneDX's own, else
/// empty.
type Step = String;

struct Walk<'l> {
    bom: XmlBom,
    /// The component that is being read.
    component: XmlComponent,
    path: Vec<Step>,
    /// Text of the innermost element so far.
    text: String,
    /// Whether the innermost element is a SHA-1.
    is_sha1: bool,
    values: u64,
    root_closed: bool,
    limits: &'l Limits,
}

fn invalid(detail: impl Into<String>) -> Rejection {
    Rejection::new(RejectReason::InvalidXml, detail)
}

impl Walk<'_> {
    fn event(&mut self, namespace: &str, event: &Event<'_>, all: &str) -> Result<(), Rejection> {
        match event {
            Event::Start(start) => self.open(namespace, start),
            Event::Empty(start) => {
                self.open(namespace, start)?;
                self.close();
                Ok(())
            }
            Event::End(_) => {
                self.close();
                Ok(())
            }
            Event::Text(text) => self.characters(&text.xml10_content()),
            Event::CData(text) => match self.path.is_empty() {
                true => Err(invalid("character data outside the root element")),
                false => self.characters(&text.xml10_content()),
            },
            Event::GeneralRef(reference) => {
                let c = match reference.resolve_char_ref() {
                    Ok(Some(c)) => c.to_string(),
                    Ok(None) => predefined(&reference.xml10_content())?.to_owned(),
                    Err(error) => return Err(invalid(error.to_string())),
                };
                self.characters(&c)
            }
            Event::DocType(name) => Err(doctype(&name.xml10_content(), self.path.is_empty())),
            Event::Decl(declaration) => match declaration.encoding() {
                Some(Ok(encoding)) => check_encoding(&encoding, all),
                Some(Err(error)) => Err(invalid(error.to_string())),
                None => Ok(()),
            },
            Event::Comment(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn open(&mut self, namespace: &str, start: &BytesStart<'_>) -> Result<(), Rejection> {
        if self.path.is_empty() {
            if self.root_closed {
                return Err(invalid("a second root element"));
            }
            self.root(namespace, start)?;
        }
        if self.path.len() as u64 >= u64::from(self.limits.depth) {
            let detail = format!("nested deeper than {} levels", self.limits.depth);
            return Err(Rejection::new(RejectReason::TooLarge, detail));
        }
        self.count()?;
        let own = namespace.strip_prefix(NAMESPACE) == Some(&self.bom.spec_version);
        let name = if own { start.local_name().into_inner() } else { "" };
        self.path.push(name.to_owned());
        self.text.clear();
        self.is_sha1 = false;
        self.begin();
        for (index, attribute) in start.attributes().enumerate() {
            if index >= ATTRIBUTES {
                let detail = format!("an element with more than {ATTRIBUTES} attributes");
                return Err(Rejection::new(RejectReason::TooLarge, detail));
            }
            let attribute = attribute.map_err(|error| invalid(error.to_string()))?;
            self.count()?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| invalid(error.to_string()))?;
            self.attribute(attribute.key.0, &value);
        }
        Ok(())
    }

    fn root(&mut self, namespace: &str, start: &BytesStart<'_>) -> Result<(), Rejection> {
        let name = start.local_name().into_inner();
        let version = namespace.strip_prefix(NAMESPACE).filter(|_| name == "bom");
        let Some(version) = version else {
            let detail = format!("XML with the root element {}", excerpt(name));
            return Err(Rejection::unknown(detail));
        };
        check_version(version)?;
        self.bom.spec_version = version.to_owned();
        Ok(())
    }

    /// Counts an element or attribute against the same limit as JSON values.
    fn count(&mut self) -> Result<(), Rejection> {
        self.values += 1;
        if self.values <= self.limits.json_values {
            return Ok(());
        }
        let detail = format!("more than {} elements and attributes", self.limits.json_values);
        Err(Rejection::new(RejectReason::TooLarge, detail))
    }

    fn characters(&mut self, text: &str) -> Result<(), Rejection> {
        if self.path.is_empty() {
            let blank = text.trim_start_matches('\u{feff}').trim().is_empty();
            return if blank { Ok(()) } else { Err(invalid("text outside the root element")) };
        }
        if self.path.len() <= DEEPEST_TEXT {
            self.text.push_str(text);
        }
        Ok(())
    }

    /// Takes note of the element that was just opened.
    fn begin(&mut self) {
        let mut path = [""; DEEPEST_TEXT];
        match shape(&self.path, &mut path) {
            ["bom", "components", "component"] => self.bom.has_components = true,
            ["bom", "vulnerabilities", "vulnerability"] => {
                self.bom.has_vulnerabilities = true;
            }
            _ => {}
        }
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let mut path = [""; DEEPEST_TEXT];
        match (shape(&self.path, &mut path), name) {
            (["bom"], "serialNumber") => self.bom.serial = Some(value.trim().to_owned()),
            (["bom"], "version") => self.bom.version = Some(value.trim().to_owned()),
            (["bom", "metadata", "component"], "bom-ref") => {
                self.bom.component.reference = value.to_owned();
            }
            (["bom", "components", "component"], "bom-ref") => {
                self.component.reference = value.to_owned();
            }
            ([.., "hashes", "hash"], "alg") => self.is_sha1 = value == "SHA-1",
            _ => {}
        }
    }

    fn close(&mut self) {
        let text = self.text.trim().to_owned();
        self.text.clear();
        let mut path = [""; DEEPEST_TEXT];
        match shape(&self.path, &mut path) {
            ["bom", "metadata", "timestamp"] => self.bom.timestamp = Some(text),
            ["bom", "metadata", "component", member] => {
                set(&mut self.bom.component, member, text);
            }
            ["bom", "components", "component", member] => {
                set(&mut self.component, member, text);
            }
            ["bom", "metadata", "component", "hashes", "hash"] if self.is_sha1 => {
                set_sha1(&mut self.bom.component, text);
            }
            ["bom", "components", "component", "hashes", "hash"] if self.is_sha1 => {
                set_sha1(&mut self.component, text);
            }
            ["bom", "components", "component"] => self.bom.components.push(&mut self.component),
            ["bom", "vulnerabilities", "vulnerability"] => self.bom.vulnerabilities.push(),
            ["bom", "vulnerabilities", "vulnerability", "ratings", "rating", "severity"] => {
                self.bom.severity = self.bom.severity.max(Severity::from_label(&text));
            }
            ["bom", "vulnerabilities", "vulnerability", member @ ..] => {
                self.bom.vulnerabilities.set(member, &text);
            }
            _ => {}
        }
        self.is_sha1 = false;
        self.path.pop();
        self.root_closed |= self.path.is_empty();
    }

    fn finish(self, end: u64) -> Result<XmlBom, Rejection> {
        if !self.path.is_empty() {
            return Err(invalid("the document ends inside an element").at(end));
        }
        if !self.root_closed {
            return Err(Rejection::unknown("XML without a root element"));
        }
        Ok(self.bom)
    }
}

/// The path as a slice to match on; the empty path if it is deeper than anything looked at.
fn shape<'p, 'b>(path: &'p [Step], buffer: &'b mut [&'p str; DEEPEST_TEXT]) -> &'b [&'p str] {
    if path.len() > DEEPEST_TEXT {
        return &[];
    }
    for (slot, step) in buffer.iter_mut().zip(path) {
        *slot = step;
    }
    &buffer[..path.len()]
}

/// Depth of the deepest element whose text is looked at:
/// `bom/vulnerabilities/vulnerability/affects/target/ref`.
const DEEPEST_TEXT: usize = 6;

fn set(component: &mut XmlComponent, member: &str, text: String) {
    match member {
        "group" => component.group = text,
        "name" => component.name = text,
        "version" => component.version = text,
        "purl" => component.purl = text,
        _ => {}
    }
}

/// The first SHA-1 that is well-formed counts.
fn set_sha1(component: &mut XmlComponent, text: String) {
    if component.sha1.is_empty() && Sha1::parse(&text).is_some() {
        component.sha1 = text;
    }
}

/// The character of a predefined entity; all others would need a document type declaration.
fn predefined(name: &str) -> Result<&'static str, Rejection> {
    match name {
        "amp" => Ok("&"),
        "lt" => Ok("<"),
        "gt" => Ok(">"),
        "apos" => Ok("'"),
        "quot" => Ok("\""),
        other => Err(invalid(format!("undefined entity {}", excerpt(other)))),
    }
}

/// A declaration for a `bom` is refused as such; any other document is none of ours.
fn doctype(declaration: &str, before_root: bool) -> Rejection {
    let name = declaration.trim_start().split(|c: char| c.is_whitespace() || c == '[').next();
    let name = name.unwrap_or_default();
    if before_root && name.rsplit(':').next() != Some("bom") {
        return Rejection::unknown(format!("XML with the document type {}", excerpt(name)));
    }
    invalid("document type declarations are refused")
}

fn check_encoding(encoding: &str, text: &str) -> Result<(), Rejection> {
    let utf8 = encoding.eq_ignore_ascii_case("utf-8") || encoding.eq_ignore_ascii_case("utf8");
    if utf8 || text.is_ascii() {
        return Ok(());
    }
    let detail = format!("declared as {}, only UTF-8 is read", excerpt(encoding));
    Err(Rejection::new(RejectReason::InvalidEncoding, detail))
}
