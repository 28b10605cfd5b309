//! From rows to the repository, in the order of packages.

use std::io;

use stella_model::{Instant, PartName, rfc8785};

use super::body::Body;
use super::document::Document;
use super::mapper::{Gap, Report, Row, STANDING};
use super::purl::Purl;
use super::report::Reason;
use super::{Contents, Mapper, Shelf};
use crate::rows::code::damaged;
use crate::rows::{Sorter, Spool, merge};

/// Memory for the index, in bytes.
const INDEX: usize = 8 << 20;

/// Writes the documents of all mappers and then the index to a shelf, and the lines of the report
/// to `report`. `spool` holds what is larger than memory.
///
/// The bytes depend on the records alone, not on how they were spread over mappers (INV-DET).
///
/// # Errors
/// If a spool, the shelf or the report fails.
pub fn assemble(
    mappers: Vec<Mapper<'_>>,
    as_of: Instant,
    spool: &dyn Spool,
    shelf: &mut dyn Shelf,
    report: &mut dyn io::Write,
) -> io::Result<Contents> {
    let mut contents = Contents::default();
    let (mut rows, mut reports) = (Vec::new(), Vec::new());
    for mapper in mappers {
        rows.push(mapper.rows);
        reports.push(mapper.report);
    }
    let Some(gaps) = reports.first_mut() else {
        return Err(io::Error::other("a repository is made by at least one mapper"));
    };
    let mut press = Press {
        as_of,
        shelf: &mut *shelf,
        gaps,
        index: Sorter::new(spool, INDEX),
        document: Document::new(spool),
        package: None,
        product: String::new(),
        contents: &mut contents,
    };
    press.run(rows)?;
    let index = press.index;
    write_index(index, as_of, spool, shelf)?;
    write_report(reports, report, &mut contents)?;
    Ok(contents)
}

/// Makes documents of sorted rows.
struct Press<'p, 's, 'i> {
    as_of: Instant,
    shelf: &'p mut dyn Shelf,
    gaps: &'p mut Report<'s>,
    index: Sorter<'i>,
    document: Document<'i>,
    /// The package at hand with the location of its document.
    package: Option<(String, PartName)>,
    /// The product whose spellings the index has.
    product: String,
    contents: &'p mut Contents,
}

/// The row that is believed so far of those about one (vulnerability, product, part).
#[derive(Default)]
struct Best {
    key: Vec<u8>,
    /// Length of the part of the key that says what it is about.
    subject: usize,
    value: Vec<u8>,
}

impl Best {
    fn is_about(&self, key: &[u8]) -> bool {
        self.subject > 0 && key.starts_with(&self.key[..self.subject])
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let ends = key.iter().enumerate().filter(|(_, byte)| **byte == 0);
        let (end, _) = ends.take(4).last().ok_or_else(damaged)?;
        self.subject = end + 1;
        for (held, bytes) in [(&mut self.key, key), (&mut self.value, value)] {
            held.clear();
            held.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Whether a row is as new and as much believed as this one.
    fn stands_beside(&self, key: &[u8]) -> bool {
        let range = self.subject..self.subject + STANDING;
        key.get(range.clone()) == self.key.get(range)
    }
}

impl Press<'_, '_, '_> {
    fn run(&mut self, rows: Vec<Sorter<'_>>) -> io::Result<()> {
        let mut rows = merge(rows)?;
        let mut best = Best::default();
        while let Some((key, value)) = rows.next_row()? {
            if !best.is_about(key) {
                self.take(&best)?;
                best.set(key, value)?;
                continue;
            }
            let (held, other) = (Row::read(&best.value)?, Row::read(value)?);
            if (held.feed, held.id) == (other.feed, other.id)
                || held.says.status == other.says.status
            {
                continue;
            }
            // Where nothing tells which to believe, a finding is shown rather than hidden.
            if best.stands_beside(key) && other.says.status < held.says.status {
                self.lose(&best.key, &held)?;
                best.set(key, value)?;
            } else {
                self.lose(key, &other)?;
            }
        }
        self.take(&best)?;
        self.end_document()
    }

    fn lose(&mut self, key: &[u8], row: &Row<'_>) -> io::Result<()> {
        let [_, vulnerability, product, _] = fields(key)?;
        let Row { feed, id, .. } = *row;
        self.gaps.push(&Gap { feed, id, vulnerability, reason: Reason::Superseded, product })
    }

    fn take(&mut self, best: &Best) -> io::Result<()> {
        if best.subject == 0 {
            return Ok(());
        }
        let [package, vulnerability, product, part] = fields(&best.key)?;
        if self.package.as_ref().is_none_or(|(held, _)| held != package) {
            self.end_document()?;
            let location = Purl::parse(package).and_then(|purl| purl.location());
            self.package = Some((package.to_owned(), location.ok_or_else(damaged)?));
        }
        if self.product != product {
            product.clone_into(&mut self.product);
            let (_, location) = self.package.as_ref().ok_or_else(damaged)?;
            for id in Purl::parse(product).ok_or_else(damaged)?.ids() {
                self.index.push(id.as_bytes(), location.as_str().as_bytes())?;
            }
        }
        self.document.add(vulnerability, product, part, &Row::read(&best.value)?)
    }

    fn end_document(&mut self) -> io::Result<()> {
        let Some((_, location)) = self.package.take() else { return Ok(()) };
        self.product.clear();
        self.contents.packages += 1;
        self.contents.statements += self.document.statements;
        self.document.finish(&location, self.as_of, self.shelf)
    }
}

/// What a row is about: package, vulnerability, product, part.
fn fields(key: &[u8]) -> io::Result<[&str; 4]> {
    let mut fields = key.splitn(5, |byte| *byte == 0);
    let mut next = || {
        let field = fields.next().ok_or_else(damaged)?;
        std::str::from_utf8(field).map_err(|_| damaged())
    };
    Ok([next()?, next()?, next()?, next()?])
}

/// `index.json`: which document is about which package.
fn write_index(
    index: Sorter<'_>,
    as_of: Instant,
    spool: &dyn Spool,
    shelf: &mut dyn Shelf,
) -> io::Result<()> {
    #[derive(serde::Serialize)]
    struct Entry<'a> {
        format: &'a str,
        id: &'a str,
        location: &'a str,
    }
    let mut body = Body::new(spool);
    let mut rows = merge(vec![index])?;
    let mut last: Option<Vec<u8>> = None;
    body.push(b"{\"packages\":[")?;
    while let Some((id, location)) = rows.next_row()? {
        if last.as_deref() == Some(id) {
            continue;
        }
        if last.replace(id.to_vec()).is_some() {
            body.push(b",")?;
        }
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| damaged());
        let entry = Entry { format: "openvex", id: text(id)?, location: text(location)? };
        body.push(&rfc8785::to_vec(&entry))?;
    }
    body.push(format!("],\"updated_at\":\"{as_of}\"}}").as_bytes())?;
    let name = PartName::new("index.json").map_err(io::Error::other)?;
    shelf.put(&name, body.size(), &mut body.reader())
}

/// A line of `trivy/vex.report.jsonl`: products of one statement with one problem.
#[derive(serde::Serialize)]
struct ReportLine<'a> {
    feed: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    product: &'a str,
    /// How many products there are; `product` is the first of them.
    products: u64,
    reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    vulnerability: &'a str,
}

fn write_report(
    reports: Vec<Report<'_>>,
    out: &mut dyn io::Write,
    contents: &mut Contents,
) -> io::Result<()> {
    let mut rows = merge(reports.into_iter().map(|report| report.rows).collect())?;
    let mut write = |value: &[u8], products: u64| -> io::Result<()> {
        let gap = Gap::read(value)?;
        *contents.reasons.entry(gap.reason.as_str()).or_default() += 1;
        let mut line = rfc8785::to_vec(&ReportLine {
            feed: gap.feed,
            id: gap.id,
            product: gap.product,
            products,
            reason: gap.reason.as_str(),
            vulnerability: gap.vulnerability,
        });
        line.push(b'\n');
        out.write_all(&line)
    };
    // The first row of a line, the last one, and how many differ.
    let mut held: Option<(Vec<u8>, Vec<u8>, u64)> = None;
    while let Some((_, value)) = rows.next_row()? {
        let gap = Gap::read(value)?;
        if let Some((first, last, products)) = &mut held {
            let begun = Gap::read(first)?;
            if begun.is_of_one_line_with(&gap) {
                if last.as_slice() != value {
                    *products += 1;
                    last.clear();
                    last.extend_from_slice(value);
                }
                continue;
            }
            write(first, *products)?;
        }
        held = Some((value.to_vec(), value.to_vec(), u64::from(!gap.product.is_empty())));
    }
    match &held {
        Some((first, _, products)) => write(first, *products),
        None => Ok(()),
    }
}
