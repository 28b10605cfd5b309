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
    pub(crate) vulnerabilities: Vec<XmlVulnerability>,
}

/// A component; absent parts are empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct XmlComponent {
    pub(crate) reference: String,
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) purl: String,
}

/// A component as it is looked at; absent parts are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct XmlParts<'t> {
    pub(crate) reference: &'t str,
    pub(crate) group: &'t str,
    pub(crate) name: &'t str,
    pub(crate) version: &'t str,
    pub(crate) purl: &'t str,
}

impl XmlComponent {
    pub(crate) fn parts(&self) -> XmlParts<'_> {
        XmlParts {
            reference: &self.reference,
            group: &self.group,
            name: &self.name,
            version: &self.version,
            purl: &self.purl,
        }
    }
}

/// Components one behind the other: 20 bytes and their text each, for there may be millions
/// (INV-LIMIT).
#[derive(Debug, Clone, Default)]
pub(crate) struct XmlComponents {
    text: String,
    /// Lengths of the five parts of each, in the order of [`XmlParts`].
    lengths: Vec<[u32; 5]>,
}

impl XmlComponents {
    pub(crate) fn iter(&self) -> impl Iterator<Item = XmlParts<'_>> {
        let mut rest = self.text.as_str();
        self.lengths.iter().map(move |lengths| {
            let [reference, group, name, version, purl] = lengths.map(|length| {
                let (part, after) = rest.split_at(length as usize);
                rest = after;
                part
            });
            XmlParts { reference, group, name, version, purl }
        })
    }

    /// Takes the text out of `component`, which is empty afterwards. A part beyond the reach of a
    /// length, which is far above any limit of a document, counts as absent.
    fn push(&mut self, component: &mut XmlComponent) {
        let XmlParts { reference, group, name, version, purl } = component.parts();
        let lengths = [reference, group, name, version, purl].map(|part| {
            let Ok(length) = u32::try_from(part.len()) else { return 0 };
            self.text.push_str(part);
            length
        });
        self.lengths.push(lengths);
        let parts = [&mut component.reference, &mut component.group, &mut component.name];
        parts.into_iter().for_each(String::clear);
        component.version.clear();
        component.purl.clear();
    }
}

/// A vulnerability; absent parts are empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct XmlVulnerability {
    pub(crate) id: String,
    pub(crate) severities: Vec<String>,
    pub(crate) state: String,
    pub(crate) justification: String,
    pub(crate) affects: Vec<String>,
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
        match self.shape(&mut path) {
            ["bom", "components", "component"] => self.bom.has_components = true,
            ["bom", "vulnerabilities", "vulnerability"] => {
                self.bom.has_vulnerabilities = true;
                self.bom.vulnerabilities.push(XmlVulnerability::default());
            }
            _ => {}
        }
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let mut path = [""; DEEPEST_TEXT];
        match (self.shape(&mut path), name) {
            (["bom"], "serialNumber") => self.bom.serial = Some(value.trim().to_owned()),
            (["bom"], "version") => self.bom.version = Some(value.trim().to_owned()),
            (["bom", "metadata", "component"], "bom-ref") => {
                self.bom.component.reference = value.to_owned();
            }
            (["bom", "components", "component"], "bom-ref") => {
                self.component.reference = value.to_owned();
            }
            _ => {}
        }
    }

    fn close(&mut self) {
        let text = self.text.trim().to_owned();
        self.text.clear();
        let mut path = [""; DEEPEST_TEXT];
        match self.shape(&mut path) {
            ["bom", "metadata", "timestamp"] => self.bom.timestamp = Some(text),
            ["bom", "metadata", "component", member] => {
                let member = (*member).to_owned();
                set(&mut self.bom.component, &member, text);
            }
            ["bom", "components", "component", member] => {
                let member = (*member).to_owned();
                set(&mut self.component, &member, text);
            }
            ["bom", "components", "component"] => self.bom.components.push(&mut self.component),
            ["bom", "vulnerabilities", "vulnerability", rest @ ..] => {
                let rest = rest.join("/");
                if let Some(vulnerability) = self.bom.vulnerabilities.last_mut() {
                    set_vulnerability(vulnerability, &rest, text);
                }
            }
            _ => {}
        }
        self.path.pop();
        self.root_closed |= self.path.is_empty();
    }

    /// The path as a slice to match on; the empty path if it is deeper than anything looked at.
    fn shape<'a, 'b>(&'a self, buffer: &'b mut [&'a str; DEEPEST_TEXT]) -> &'b [&'a str] {
        let depth = self.path.len();
        if depth > DEEPEST_TEXT {
            return &[];
        }
        for (slot, step) in buffer.iter_mut().zip(&self.path) {
            *slot = step;
        }
        &buffer[..depth]
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

fn set_vulnerability(vulnerability: &mut XmlVulnerability, member: &str, text: String) {
    match member {
        "id" => vulnerability.id = text,
        "ratings/rating/severity" => vulnerability.severities.push(text),
        "analysis/state" => vulnerability.state = text,
        "analysis/justification" => vulnerability.justification = text,
        "affects/target/ref" => vulnerability.affects.push(text),
        _ => {}
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
