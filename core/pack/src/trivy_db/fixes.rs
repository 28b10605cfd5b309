//! Rows of distributions: which version of a package fixes a vulnerability.
//!
//! An erratum says the same of a package for all of its vulnerabilities, often dozens. It gives one
//! row a package, which is taken apart when the package is written: that sorts a quarter of the rows.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io;
use std::ops::Range;

use stella_versions::Scheme;

use super::ecosystems::Distribution;
use super::json::Object;
use super::rejected::Rejected;
use super::row::{join, tag};
use crate::rows::code::{Reader, Writer, damaged};
use crate::rows::{Sorter, Spool, merge};

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

    /// What [`encode`] wrote of it.
    fn read(read: &mut Reader<'t>) -> io::Result<Fix<'t>> {
        let severity = read.byte()?;
        let mut version = || -> io::Result<Option<Cow<'t, str>>> {
            let text = read.text()?;
            Ok((!text.is_empty()).then_some(Cow::Borrowed(text)))
        };
        Ok(Fix { fixed: version()?, introduced: version()?, severity })
    }

    fn into_owned(self) -> Fix<'static> {
        let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        Fix { fixed: own(self.fixed), introduced: own(self.introduced), severity: self.severity }
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
pub(super) struct Package<'s> {
    spool: &'s dyn Spool,
    /// Their values, one after the other.
    bytes: Vec<u8>,
    rows: Vec<Range<usize>>,
    /// What they say id by id, once they are more than memory is meant to hold.
    spilled: Option<Sorter<'s>>,
    /// Rows that were spilled.
    count: u64,
    last: Outcome,
}

/// What the rows of a package came to. Packages that are built from one source come one after the
/// other and have the same rows.
#[derive(Default)]
struct Outcome {
    /// The rows, one after the other.
    of: Vec<u8>,
    ids: String,
    values: Vec<u8>,
    /// Where each id and its value are.
    places: Vec<(Range<usize>, Range<usize>)>,
}

impl Outcome {
    fn clear(&mut self) {
        self.of.clear();
        self.ids.clear();
        self.values.clear();
        self.places.clear();
    }

    /// Gives each id, without those that were rejected, with its value.
    fn give(&self, put: &mut Put<'_>) -> io::Result<()> {
        self.places
            .iter()
            .try_for_each(|(id, value)| put(&self.ids[id.clone()], &self.values[value.clone()]))
    }
}

/// Takes an id with its value.
type Put<'p> = dyn FnMut(&str, &[u8]) -> io::Result<()> + 'p;

/// Bytes of rows of one package in memory. The kernel of a distribution has a tenth of it.
const MEMORY: usize = 4 << 20;

impl<'s> Package<'s> {
    pub(super) fn new(spool: &'s dyn Spool) -> Package<'s> {
        Package {
            spool,
            bytes: Vec::new(),
            rows: Vec::new(),
            spilled: None,
            count: 0,
            last: Outcome::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.spilled.is_none()
    }

    /// Takes a row, the most believed first.
    pub(super) fn take(&mut self, value: &[u8]) -> io::Result<()> {
        self.take_within(MEMORY, value)
    }

    fn take_within(&mut self, memory: usize, value: &[u8]) -> io::Result<()> {
        if !self.rows.is_empty() && self.bytes.len() + value.len() > memory {
            self.spill(memory)?;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.rows.push(start..self.bytes.len());
        Ok(())
    }

    /// Sorts what is held by id, outside memory.
    fn spill(&mut self, memory: usize) -> io::Result<()> {
        let (mut key, mut value) = (Vec::new(), Writer::default());
        let spool = self.spool;
        let spilled = self.spilled.get_or_insert_with(|| Sorter::new(spool, memory));
        for range in self.rows.drain(..) {
            let row = Row::read(&self.bytes[range])?;
            self.count += 1;
            value.clear().byte(row.distribution).byte(row.fix.severity);
            value.text(row.fix.fixed.as_deref().unwrap_or_default());
            value.text(row.fix.introduced.as_deref().unwrap_or_default());
            let mut pushed = Ok(());
            row.ids.clone().each_text(&mut |id| {
                key.clear();
                join(&mut key, &[id]);
                key.extend_from_slice(&self.count.to_be_bytes());
                if pushed.is_ok() {
                    pushed = spilled.push(&key, &value.bytes);
                }
            })?;
            pushed?;
        }
        self.bytes.clear();
        Ok(())
    }

    /// Gives each id with its value, in the order of ids, and forgets the rows.
    pub(super) fn settle(&mut self, rejected: &Rejected<'_>, put: &mut Put<'_>) -> io::Result<()> {
        self.settle_within(MEMORY, rejected, put)
    }

    fn settle_within(
        &mut self,
        memory: usize,
        rejected: &Rejected<'_>,
        put: &mut Put<'_>,
    ) -> io::Result<()> {
        if self.spilled.is_some() {
            self.spill(MEMORY)?;
            return self.settle_spilled(rejected, put);
        }
        if self.last.of != self.bytes {
            self.last.clear();
            if self.work_out(memory, rejected, put)? {
                std::mem::swap(&mut self.last.of, &mut self.bytes);
            }
        }
        self.bytes.clear();
        self.rows.clear();
        self.last.give(put)
    }

    /// Finds out what the rows come to. `false` if it is more than memory is meant to hold: what
    /// comes first is given, and only the rest is held.
    fn work_out(
        &mut self,
        memory: usize,
        rejected: &Rejected<'_>,
        put: &mut Put<'_>,
    ) -> io::Result<bool> {
        let Package { bytes, rows, last, .. } = self;
        let mut fixes = Vec::with_capacity(rows.len());
        let mut scheme = None;
        let mut ids = Vec::new();
        for (number, range) in rows.iter().enumerate() {
            let mut row = Row::read(&bytes[range.clone()])?;
            scheme = Some(super::distribution(row.distribution)?.scheme);
            let start = last.values.len();
            row.fix.write(&mut last.values);
            fixes.push((row.fix, start..last.values.len()));
            row.ids.each_text(&mut |id| ids.push((id, number)))?;
        }
        let (of_rows, mut whole) = (last.values.len(), true);
        // Each row has them sorted already, and this sort makes use of it.
        ids.sort();
        for rows in ids.chunk_by(|a, b| a.0 == b.0) {
            let (id, first) = rows[0];
            if rejected.contains(id)? {
                continue;
            }
            let start = last.ids.len();
            last.ids.push_str(id);
            let id = start..last.ids.len();
            let (Some(scheme), true) = (scheme, rows.len() > 1) else {
                last.places.push((id, fixes[first].1.clone()));
                continue;
            };
            let all = rows.iter().map(|(_, row)| fixes[*row].0.clone());
            let widest = all.reduce(|a, b| a.widest(b, scheme)).unwrap_or_default();
            let start = last.values.len();
            widest.write(&mut last.values);
            last.places.push((id, start..last.values.len()));
            if last.values.len() - of_rows > memory {
                last.give(put)?;
                last.ids.clear();
                last.values.truncate(of_rows);
                last.places.clear();
                whole = false;
            }
        }
        Ok(whole)
    }

    fn settle_spilled(&mut self, rejected: &Rejected<'_>, put: &mut Put<'_>) -> io::Result<()> {
        let mut rows = merge(self.spilled.take().into_iter().collect())?;
        let mut held: Option<(String, Fix<'static>)> = None;
        let mut value = Vec::new();
        let mut end = |held: Option<(String, Fix<'static>)>| {
            let Some((id, fix)) = held else { return Ok(()) };
            if rejected.contains(&id)? {
                return Ok(());
            }
            value.clear();
            fix.write(&mut value);
            put(&id, &value)
        };
        while let Some((key, value)) = rows.next_row()? {
            let id = key.split(|byte| *byte == 0).next().ok_or_else(damaged)?;
            let id = std::str::from_utf8(id).map_err(|_| damaged())?;
            let mut read = Reader::new(value);
            let scheme = super::distribution(read.byte()?)?.scheme;
            let fix = Fix::read(&mut read)?.into_owned();
            held = match held.take() {
                Some((held, before)) if held == id => Some((held, before.widest(fix, scheme))),
                before => {
                    end(before)?;
                    Some((id.to_owned(), fix))
                }
            };
        }
        end(held)
    }
}

/// What [`encode`] wrote.
struct Row<'v> {
    distribution: u8,
    fix: Fix<'v>,
    /// The list of ids.
    ids: Reader<'v>,
}

impl<'v> Row<'v> {
    fn read(value: &'v [u8]) -> io::Result<Row<'v>> {
        let mut read = Reader::new(value);
        read.byte()?;
        Ok(Row { distribution: read.byte()?, fix: Fix::read(&mut read)?, ids: read })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ecosystems::DISTRIBUTIONS;
    use super::super::rejected::tests::of;
    use super::*;
    use crate::rows::memory::Memory;

    #[test]
    fn rows_of_one_package_are_merged_alike_in_memory_and_outside() {
        let debian = DISTRIBUTIONS.iter().find(|known| known.osv == "Debian").expect("known");
        let spool = Memory::default();
        let settled = |memory: usize| {
            let mut package = Package::new(&spool);
            let mut value = Writer::default();
            for number in 0..60_u32 {
                let fix = Fix {
                    fixed: (number % 7 != 3).then(|| format!("1.{}", number % 11).into()),
                    introduced: (number % 5 == 1).then(|| "0.9".into()),
                    severity: (number % 4) as u8,
                };
                let ids = [number % 13, 13 + number % 3, 20 + number];
                let ids: Vec<String> = ids.iter().map(|id| format!("CVE-{id:02}")).collect();
                encode(&mut value, debian, &fix, &ids);
                package.take_within(memory, &value.bytes).expect("the spool writes");
            }
            let mut rows = Vec::new();
            let mut put = |id: &str, value: &[u8]| {
                rows.push((id.to_owned(), String::from_utf8(value.to_vec()).expect("UTF-8")));
                Ok(())
            };
            package.settle(&of(&["CVE-03", "CVE-77"]), &mut put).expect("the spool reads");
            assert!(package.is_empty());
            rows
        };
        let expected = settled(usize::MAX);
        assert_eq!(expected.len(), 13 + 3 + 60 - 2);
        for memory in [0, 100, 1000, 3000] {
            assert_eq!(settled(memory), expected, "{memory}");
        }
    }

    #[test]
    fn what_neighbours_share_is_what_each_would_come_to_alone() {
        let debian = DISTRIBUTIONS.iter().find(|known| known.osv == "Debian").expect("known");
        let spool = Memory::default();
        let rows = |fixes: &[(&str, &[&str])]| {
            let row = |(fixed, ids): &(&str, &[&str])| {
                let fix = Fix { fixed: Some((*fixed).to_owned().into()), ..Fix::default() };
                let mut value = Writer::default();
                encode(&mut value, debian, &fix, ids);
                value.bytes
            };
            fixes.iter().map(row).collect::<Vec<_>>()
        };
        let one = rows(&[("1.0", &["CVE-1", "CVE-2"]), ("1.1", &["CVE-1", "CVE-3", "CVE-4"])]);
        let other = rows(&[("1.0", &["CVE-1", "CVE-2"]), ("1.2", &["CVE-1", "CVE-3", "CVE-4"])]);
        let rejected = of(&["CVE-3"]);
        // With no memory for merged values they are given as they come, and nothing is held.
        for memory in [MEMORY, 0] {
            let settle = |package: &mut Package<'_>, rows: &[Vec<u8>]| {
                rows.iter().for_each(|row| package.take(row).expect("takes"));
                let mut said = Vec::new();
                let mut put = |id: &str, value: &[u8]| {
                    said.push((id.to_owned(), String::from_utf8(value.to_vec()).expect("UTF-8")));
                    Ok(())
                };
                package.settle_within(memory, &rejected, &mut put).expect("settles");
                said
            };
            let mut shared = Package::new(&spool);
            for rows in [&one, &one, &other, &one, &one[..1].to_vec(), &one] {
                let alone = settle(&mut Package::new(&spool), rows);
                assert_eq!(settle(&mut shared, rows), alone);
                assert_eq!(shared.last.of.is_empty(), memory == 0 && rows.len() > 1);
            }
            let last: Vec<_> = settle(&mut shared, &one).into_iter().map(|(id, _)| id).collect();
            assert_eq!(last, ["CVE-1", "CVE-2", "CVE-4"]);
        }
    }
}
