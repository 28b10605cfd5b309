//! Entries of Red Hat's rows: what is fixed or not, in which products, for which architectures.
//!
//! Records are taken apart into cells, one for each vulnerability, product and architecture, and
//! put together again. So it does not matter which document said what, and how often.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::super::json::{Object, string};
use super::super::rejected::Rejected;
use super::super::row::tag;
use crate::rows::code::{Reader, Writer, damaged};

/// The smallest thing that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Cell<'a> {
    /// The version with the fix; empty if there is none.
    pub(super) fixed: &'a str,
    /// Trivy's number of a status; 0 where there is a fix.
    pub(super) status: u8,
    /// The vulnerability; empty in a row that lies under its id.
    pub(super) cve: &'a str,
    /// The product.
    pub(super) cpe: &'a str,
    /// The architecture; empty for all.
    pub(super) arch: &'a str,
    /// Trivy's number of a severity.
    pub(super) severity: u8,
}

/// Cells that differ in nothing but their vulnerabilities, for several products and architectures.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    fixed: &'a str,
    status: u8,
    /// None for all architectures.
    arches: Vec<&'a str>,
    cpes: Vec<&'a str>,
    cves: Vec<(&'a str, u8)>,
}

/// The entries of cells, in an order that the cells alone decide.
fn entries<'a>(cells: &[Cell<'a>]) -> Vec<Entry<'a>> {
    type Place<'a> = (&'a str, u8, &'a str, &'a str);
    let mut places: BTreeMap<Place<'a>, (BTreeSet<&'a str>, u8)> = BTreeMap::new();
    for cell in cells {
        let place = (cell.fixed, cell.status, cell.cve, cell.cpe);
        let (arches, severity) = places.entry(place).or_default();
        arches.insert(cell.arch);
        *severity = cell.severity.max(*severity);
    }
    let mut products: BTreeMap<_, Vec<&'a str>> = BTreeMap::new();
    for ((fixed, status, cve, cpe), (arches, severity)) in places {
        // What holds for all architectures needs no list of some.
        let all = arches.contains("");
        let arches: Vec<&str> = if all { Vec::new() } else { arches.into_iter().collect() };
        products.entry((fixed, status, arches, cve, severity)).or_default().push(cpe);
    }
    let mut entries: BTreeMap<_, Vec<(&'a str, u8)>> = BTreeMap::new();
    for ((fixed, status, arches, cve, severity), cpes) in products {
        entries.entry((fixed, status, arches, cpes)).or_default().push((cve, severity));
    }
    let entry = |((fixed, status, arches, cpes), cves)| Entry { fixed, status, arches, cpes, cves };
    entries.into_iter().map(entry).collect()
}

/// Writes cells as the value of a row before it is merged with others of its key.
pub(super) fn encode(cells: &[Cell<'_>], out: &mut Writer) {
    let entries = entries(cells);
    out.clear().byte(tag::RED_HAT).number(cells.len() as u64).number(entries.len() as u64);
    for entry in &entries {
        out.text(entry.fixed).byte(entry.status).list(&entry.arches).list(&entry.cpes);
        out.number(entry.cves.len() as u64);
        for (cve, severity) in &entry.cves {
            out.text(cve).byte(*severity);
        }
    }
}

/// Bytes that the cells which [`encode`] wrote take in memory.
pub(in super::super) fn decoded_bytes(value: &[u8]) -> io::Result<usize> {
    let count = usize::try_from(begin(value)?.0).unwrap_or(usize::MAX);
    Ok(count.saturating_mul(size_of::<Cell<'_>>()))
}

/// The number of cells that [`encode`] wrote, and what follows it.
fn begin(value: &[u8]) -> io::Result<(u64, Reader<'_>)> {
    let mut read = Reader::new(value);
    if read.byte()? != tag::RED_HAT {
        return Err(damaged());
    }
    Ok((read.number()?, read))
}

/// Appends the cells that [`encode`] wrote.
fn decode<'v>(value: &'v [u8], cells: &mut Vec<Cell<'v>>) -> io::Result<()> {
    let (_, mut read) = begin(value)?;
    for _ in 0..read.number()? {
        let (fixed, status) = (read.text()?, read.byte()?);
        let (mut arches, cpes) = (read.list()?, read.list()?);
        if arches.is_empty() {
            arches.push("");
        }
        for _ in 0..read.number()? {
            let (cve, severity) = (read.text()?, read.byte()?);
            for &cpe in &cpes {
                let cell = |&arch: &&'v str| Cell { fixed, status, cve, cpe, arch, severity };
                cells.extend(arches.iter().map(cell));
            }
        }
    }
    Ok(())
}

/// Writes the value of a key from all rows of it; `cpes` are all products of the database, sorted.
/// Nothing is written if all vulnerabilities were rejected.
pub(in super::super) fn write(
    rows: &[Vec<u8>],
    cpes: &[String],
    rejected: &Rejected<'_>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let mut cells = Vec::new();
    for row in rows {
        decode(row, &mut cells)?;
    }
    let mut failed = Ok(());
    cells.retain(|cell| match rejected.contains(cell.cve) {
        Ok(is_rejected) => !is_rejected,
        Err(error) => {
            failed = Err(error);
            false
        }
    });
    failed?;
    let entries = entries(&cells);
    if entries.is_empty() {
        return Ok(());
    }
    let mut object = Object::new(out);
    let list = object.member("Entries");
    list.push(b'[');
    for (place, entry) in entries.iter().enumerate() {
        if place > 0 {
            list.push(b',');
        }
        write_entry(entry, cpes, list)?;
    }
    list.push(b']');
    object.end();
    Ok(())
}

fn write_entry(entry: &Entry<'_>, cpes: &[String], out: &mut Vec<u8>) -> io::Result<()> {
    let mut affected = Vec::with_capacity(entry.cpes.len());
    for cpe in &entry.cpes {
        let found = cpes.binary_search_by(|known| known.as_str().cmp(cpe));
        affected.push(found.map_err(|_| damaged())?);
    }
    let mut object = Object::new(out);
    write_indices(&affected, object.member("Affected"));
    object.texts("Arches", &entry.arches);
    let list = object.member("Cves");
    list.push(b'[');
    for (place, (cve, severity)) in entry.cves.iter().enumerate() {
        if place > 0 {
            list.push(b',');
        }
        let mut one = Object::new(list);
        one.text("ID", cve);
        one.number("Severity", *severity);
        one.end();
    }
    list.push(b']');
    object.text("FixedVersion", entry.fixed);
    object.number("Status", entry.status);
    object.end();
    Ok(())
}

/// A list of numbers.
pub(in super::super) fn write_indices(indices: &[usize], out: &mut Vec<u8>) {
    let texts: Vec<String> = indices.iter().map(usize::to_string).collect();
    out.push(b'[');
    out.extend_from_slice(texts.join(",").as_bytes());
    out.push(b']');
}

/// A JSON string.
pub(in super::super) fn write_text(text: &str, out: &mut Vec<u8>) {
    string(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASEOS: &str = "cpe:/o:redhat:enterprise_linux:9::baseos";
    const CRB: &str = "cpe:/a:redhat:enterprise_linux:9::crb";

    fn cell<'a>(fixed: &'a str, cve: &'a str, cpe: &'a str, arch: &'a str) -> Cell<'a> {
        Cell { fixed, status: 0, cve, cpe, arch, severity: 2 }
    }

    /// The row that documents give, each with its cells.
    fn row(documents: &[&[Cell<'_>]], rejected: &[&str]) -> String {
        let rows: Vec<Vec<u8>> = documents
            .iter()
            .map(|cells| {
                let mut value = Writer::default();
                encode(cells, &mut value);
                value.bytes
            })
            .collect();
        let cpes = [CRB.to_owned(), BASEOS.to_owned()];
        let rejected = crate::trivy_db::rejected::tests::of(rejected);
        let mut out = Vec::new();
        write(&rows, &cpes, &rejected, &mut out).expect("the rows are whole");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn what_differs_in_the_vulnerability_alone_is_one_entry() {
        let one = [cell("1-1", "CVE-1", BASEOS, "x86_64"), cell("1-1", "CVE-1", CRB, "x86_64")];
        let two = [cell("1-1", "CVE-2", BASEOS, "x86_64"), cell("1-1", "CVE-2", CRB, "x86_64")];
        let expected = r#"{"Entries":[{"Affected":[0,1],"Arches":["x86_64"],"Cves":[{"ID":"CVE-1","Severity":2},{"ID":"CVE-2","Severity":2}],"FixedVersion":"1-1"}]}"#;
        let both: Vec<Cell<'_>> = one.iter().chain(&two).copied().collect();
        for documents in [&[&one[..], &two[..]][..], &[&two, &one], &[&both], &[&both, &one]] {
            assert_eq!(row(documents, &[]), expected);
        }
    }

    #[test]
    fn products_and_architectures_are_not_multiplied() {
        let cells = [cell("1-1", "CVE-1", BASEOS, "x86_64"), cell("1-1", "CVE-1", CRB, "s390x")];
        let expected = r#"{"Entries":[{"Affected":[0],"Arches":["s390x"],"Cves":[{"ID":"CVE-1","Severity":2}],"FixedVersion":"1-1"},{"Affected":[1],"Arches":["x86_64"],"Cves":[{"ID":"CVE-1","Severity":2}],"FixedVersion":"1-1"}]}"#;
        assert_eq!(row(&[&cells], &[]), expected);
    }

    #[test]
    fn the_worst_severity_and_the_widest_architecture_of_several_documents_hold() {
        let low = Cell { severity: 1, ..cell("1-1", "CVE-1", CRB, "x86_64") };
        let high = Cell { severity: 3, ..cell("1-1", "CVE-1", CRB, "") };
        let expected = r#"{"Entries":[{"Affected":[0],"Cves":[{"ID":"CVE-1","Severity":3}],"FixedVersion":"1-1"}]}"#;
        assert_eq!(row(&[&[low], &[high]], &[]), expected);
    }

    #[test]
    fn rejected_vulnerabilities_leave_the_row_and_the_last_takes_it_along() {
        let cells = [cell("1-1", "CVE-1", CRB, ""), cell("1-1", "CVE-2", CRB, "")];
        let expected = r#"{"Entries":[{"Affected":[0],"Cves":[{"ID":"CVE-2","Severity":2}],"FixedVersion":"1-1"}]}"#;
        assert_eq!(row(&[&cells], &["CVE-1"]), expected);
        assert_eq!(row(&[&cells], &["CVE-1", "CVE-2"]), "");
    }

    #[test]
    fn an_unfixed_row_has_its_severity_and_status_and_no_id() {
        let cell = Cell { status: 5, ..cell("", "", BASEOS, "") };
        let expected = r#"{"Entries":[{"Affected":[1],"Cves":[{"Severity":2}],"Status":5}]}"#;
        assert_eq!(row(&[&[cell]], &[]), expected);
    }
}
