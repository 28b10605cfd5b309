//! Writing OpenVEX: one document a package, in the form of RFC 8785, a statement at a time.

use std::collections::BTreeSet;
use std::io::{self, Read};

use stella_model::json::write_string;
use stella_model::{DigestBuilder, Instant, PartName};

use super::body::Body;
use super::mapper::{STATUS, Says};
use super::{Shelf, mapper};
use crate::rows::Spool;

/// The version of OpenVEX that is written.
const CONTEXT: &str = "https://openvex.dev/ns/v0.2.0";

/// A document in the making.
pub(super) struct Document<'s> {
    body: Body<'s>,
    digest: DigestBuilder,
    authors: BTreeSet<String>,
    pub(super) statements: u64,
    open: Option<Open>,
    line: Vec<u8>,
}

/// The statement that products are added to.
struct Open {
    vulnerability: String,
    says: Says<'static>,
    product: String,
    /// Whether the product that was added last is about parts.
    parts: bool,
}

impl<'s> Document<'s> {
    pub(super) fn new(spool: &'s dyn Spool) -> Document<'s> {
        Document {
            body: Body::new(spool),
            digest: DigestBuilder::new(),
            authors: BTreeSet::new(),
            statements: 0,
            open: None,
            line: Vec::new(),
        }
    }

    /// Adds what is said of a product, or of a part of one. What is said alike of products that
    /// follow each other is one statement.
    pub(super) fn add(
        &mut self,
        vulnerability: &str,
        product: &str,
        part: &str,
        row: &mapper::Row<'_>,
    ) -> io::Result<()> {
        if !self.authors.contains(row.author) {
            self.authors.insert(row.author.to_owned());
        }
        self.line.clear();
        let same = |open: &&mut Open| open.vulnerability == vulnerability && open.says == row.says;
        match self.open.as_mut().filter(same) {
            Some(open) if open.product == product && open.parts && !part.is_empty() => {
                self.line.push(b',');
                write_part(&mut self.line, part);
            }
            Some(open) => {
                self.line.extend_from_slice(if open.parts { b"]}," } else { b"}," });
                write_product(&mut self.line, product, part);
                product.clone_into(&mut open.product);
                open.parts = !part.is_empty();
            }
            None => {
                self.close();
                if self.statements > 0 {
                    self.line.push(b',');
                }
                self.statements += 1;
                write_head(&mut self.line, &row.says);
                write_product(&mut self.line, product, part);
                self.open = Some(Open {
                    vulnerability: vulnerability.to_owned(),
                    says: row.says.to_owned(),
                    product: product.to_owned(),
                    parts: !part.is_empty(),
                });
            }
        }
        self.flush()
    }

    /// Ends the statement that is open.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.line.extend_from_slice(if open.parts { b"]}]" } else { b"}]" });
        write_foot(&mut self.line, &open.says, &open.vulnerability);
    }

    fn flush(&mut self) -> io::Result<()> {
        self.digest.bytes(&self.line);
        self.body.push(&self.line)
    }

    /// Puts the document on the shelf and begins another. The id digests statements, author and
    /// time: documents that say the same are one document.
    pub(super) fn finish(
        &mut self,
        name: &PartName,
        as_of: Instant,
        shelf: &mut dyn Shelf,
    ) -> io::Result<()> {
        self.line.clear();
        self.close();
        self.flush()?;
        let mut author = Vec::new();
        let authors: Vec<&str> = self.authors.iter().map(String::as_str).collect();
        write_string(&mut author, &authors.join(", "));
        let mut foot = b"],\"timestamp\":".to_vec();
        write_string(&mut foot, &as_of.to_string());
        foot.extend_from_slice(b",\"version\":1}");
        let mut digest = std::mem::take(&mut self.digest);
        digest.bytes(&author).bytes(&foot);
        let digest = digest.finish();
        let mut head = b"{\"@context\":".to_vec();
        write_string(&mut head, CONTEXT);
        head.extend_from_slice(
            format!(",\"@id\":\"urn:stella:openvex:sha256:{digest}\"").as_bytes(),
        );
        head.extend_from_slice(b",\"author\":");
        head.extend_from_slice(&author);
        head.extend_from_slice(b",\"statements\":[");
        let size = head.len() as u64 + self.body.size() + foot.len() as u64;
        shelf.put(name, size, &mut head.chain(self.body.reader()).chain(&foot[..]))?;
        self.body.clear();
        self.authors.clear();
        self.statements = 0;
        Ok(())
    }
}

/// The members before `products`.
fn write_head(out: &mut Vec<u8>, says: &Says<'_>) {
    out.push(b'{');
    for (name, text) in [
        ("action_statement", &says.action),
        ("impact_statement", &says.impact),
        ("justification", &says.justification),
    ] {
        if !text.is_empty() {
            write_member(out, name, text);
            out.push(b',');
        }
    }
    out.extend_from_slice(b"\"products\":[");
}

/// The members after `products`.
fn write_foot(out: &mut Vec<u8>, says: &Says<'_>, vulnerability: &str) {
    out.push(b',');
    write_member(out, "status", STATUS[usize::from(says.status)]);
    out.push(b',');
    if !says.notes.is_empty() {
        write_member(out, "status_notes", &says.notes);
        out.push(b',');
    }
    write_member(out, "timestamp", &says.time);
    out.extend_from_slice(b",\"vulnerability\":{");
    write_member(out, "name", vulnerability);
    out.extend_from_slice(b"}}");
}

/// A product, open at its end.
fn write_product(out: &mut Vec<u8>, product: &str, part: &str) {
    out.push(b'{');
    write_member(out, "@id", product);
    if !part.is_empty() {
        out.extend_from_slice(b",\"subcomponents\":[");
        write_part(out, part);
    }
}

fn write_part(out: &mut Vec<u8>, part: &str) {
    out.push(b'{');
    write_member(out, "@id", part);
    out.push(b'}');
}

fn write_member(out: &mut Vec<u8>, name: &str, text: &str) {
    write_string(out, name);
    out.push(b':');
    write_string(out, text);
}
