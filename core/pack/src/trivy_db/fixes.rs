//! Rows of distributions: which version of a package fixes a vulnerability.
//!
//! An erratum says the same of a package for all of its vulnerabilities, often dozens. It gives one
//! row a package, which is taken apart when the package is written: that sorts a quarter of the rows.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use stella_versions::Scheme;

use super::ecosystems::Distribution;
use super::json::Object;
use super::mapper::tag;
use crate::rows::code::{Reader, Writer};

/// What a row of a distribution says of versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fix<'t> {
    /// The first version with the fix; `None` if there is none.
    pub(super) fixed: Option<Cow<'t, str>>,
    /// The first vulnerable version; `None` if all before the fix are.
    pub(super) introduced: Option<Cow<'t, str>>,
    /// Trivy's number of the distribution's own severity of the package; 0 if it tells none.
    pub(super) severity: u8,
}

impl<'t> Fix<'t> {
    /// A fix that covers both.
    pub(super) fn widest(self, other: Fix<'t>, scheme: Scheme) -> Fix<'t> {
        // Both were parsed when they were taken.
        let pick = |a: Cow<'t, str>, b: Cow<'t, str>, unless: Ordering| {
            if scheme.compare(&a, &b).is_ok_and(|order| order == unless) { b } else { a }
        };
        let (fixed, introduced) =
            (self.fixed.zip(other.fixed), self.introduced.zip(other.introduced));
        Fix {
            fixed: fixed.map(|(a, b)| pick(a, b, Ordering::Less)),
            introduced: introduced.map(|(a, b)| pick(a, b, Ordering::Greater)),
            severity: self.severity.max(other.severity),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut object = Object::new(out);
        object.text("AffectedVersion", self.introduced.as_deref().unwrap_or_default());
        object.text("FixedVersion", self.fixed.as_deref().unwrap_or_default());
        object.number("Severity", self.severity);
        object.end();
    }
}

/// Encodes what a record says of a package, under these ids, which are sorted.
pub(super) fn encode<S: AsRef<str>>(
    out: &mut Writer,
    distribution: &Distribution,
    fix: &Fix<'_>,
    ids: &[S],
) {
    out.clear().byte(tag::FIXES).byte(distribution.number()).byte(fix.severity);
    out.text(fix.fixed.as_deref().unwrap_or_default());
    out.text(fix.introduced.as_deref().unwrap_or_default());
    out.list(ids);
}

/// The rows of one package.
#[derive(Debug, Default)]
pub(super) struct Package {
    /// Their values, one after the other.
    bytes: Vec<u8>,
    rows: Vec<Range<usize>>,
}

impl Package {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes a row, the most believed first.
    pub(super) fn take(&mut self, value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.rows.push(start..self.bytes.len());
    }

    /// Gives each id with its value, in the order of ids, and forgets the rows.
    pub(super) fn settle(
        &mut self,
        rejected: &BTreeSet<String>,
        put: &mut dyn FnMut(&str, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut fixes = Vec::with_capacity(self.rows.len());
        let mut scheme = None;
        let (mut values, mut ids) = (Vec::new(), Vec::new());
        for (row, range) in self.rows.iter().enumerate() {
            let mut read = Reader::new(&self.bytes[range.clone()]);
            read.byte()?;
            scheme = Some(super::distribution(read.byte()?)?.scheme);
            let severity = read.byte()?;
            let mut version = || -> io::Result<Option<Cow<'_, str>>> {
                let text = read.text()?;
                Ok((!text.is_empty()).then_some(Cow::Borrowed(text)))
            };
            let fix = Fix { fixed: version()?, introduced: version()?, severity };
            let start = values.len();
            fix.write(&mut values);
            fixes.push((fix, start..values.len()));
            read.each_text(&mut |id| ids.push((id, row)))?;
        }
        // Each row has them sorted already, and this sort makes use of it.
        ids.sort();
        let mut merged = Vec::new();
        for rows in ids.chunk_by(|a, b| a.0 == b.0) {
            let (id, first) = rows[0];
            if rejected.contains(id) {
                continue;
            }
            let (Some(scheme), true) = (scheme, rows.len() > 1) else {
                put(id, &values[fixes[first].1.clone()])?;
                continue;
            };
            let all = rows.iter().map(|(_, row)| fixes[*row].0.clone());
            let widest = all.reduce(|a, b| a.widest(b, scheme)).unwrap_or_default();
            merged.clear();
            widest.write(&mut merged);
            put(id, &merged)?;
        }
        self.bytes.clear();
        self.rows.clear();
        Ok(())
    }
}
