//! Rows of languages: one for each vulnerability of a package, whoever told of it.
//!
//! Trivy reads all buckets of a language and takes the last that has an id, whole. One row over all
//! of them is the only way in which no source hides another.

use std::collections::BTreeMap;
use std::io;

use stella_versions::trivy::{Comparer, Constraint};

use super::LIMITS;
use super::distinct::Distinct;
use super::ecosystems::LANGUAGES;
use super::json::Object;
use super::row::{DbKey, join, tag};
use crate::rows::Sorter;
use crate::rows::code::{Reader, damaged};

/// What one record says, as it was encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim<'v> {
    source: (&'v str, &'v str, &'v str),
    pub(super) cves: Vec<&'v str>,
    /// Names of the record that are no CVE ids, its own last.
    pub(super) others: Vec<&'v str>,
    vulnerable: Vec<&'v str>,
    patched: Vec<&'v str>,
    os: Vec<&'v str>,
    arch: Vec<&'v str>,
}

impl<'v> Claim<'v> {
    /// The names that are no CVE ids, of a value that may have more after it.
    pub(super) fn others_of(value: &'v [u8]) -> io::Result<Vec<&'v str>> {
        let mut read = Reader::new(value);
        read.byte()?;
        for _ in 0..3 {
            read.text()?;
        }
        read.list()?;
        read.list()
    }

    pub(super) fn read(value: &'v [u8]) -> io::Result<Claim<'v>> {
        let mut read = Reader::new(value);
        if read.byte()? != tag::CLAIM {
            return Err(damaged());
        }
        Ok(Claim {
            source: (read.text()?, read.text()?, read.text()?),
            cves: read.list()?,
            others: read.list()?,
            vulnerable: read.list()?,
            patched: read.list()?,
            os: read.list()?,
            arch: read.list()?,
        })
    }
}

/// The rows of one issue of a package. They come sorted, and what each of them is about is known
/// from its key alone, so that one issue at a time is held.
#[derive(Debug, Default)]
pub(super) struct Issue {
    /// The prefix of the language, the package and the id.
    pub(super) key: DbKey,
    /// What orders rows, and their values, one after the other.
    bytes: Vec<u8>,
    /// Where each row begins, where its value begins, and where it ends.
    rows: Vec<(usize, usize, usize)>,
}

impl Issue {
    /// Whether there is room for a row.
    pub(super) fn has_room(&self, tail: &[u8], value: &[u8]) -> bool {
        let held = self.bytes.len();
        held == 0 || held + tail.len() + value.len() <= LIMITS.row_bytes
    }

    /// Takes a row, the most believed first.
    pub(super) fn take(&mut self, tail: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(tail);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.rows.push((start, middle, self.bytes.len()));
    }

    /// Files the rows under the bucket of the source that is believed most.
    pub(super) fn settle(
        &mut self,
        entries: &mut Sorter<'_>,
        sources: &mut BTreeMap<String, Vec<u8>>,
    ) -> io::Result<()> {
        let outcome = self.file(entries, sources);
        // Rows that are left here would be filed under the next issue.
        self.bytes.clear();
        self.rows.clear();
        outcome
    }

    fn file(
        &mut self,
        entries: &mut Sorter<'_>,
        sources: &mut BTreeMap<String, Vec<u8>>,
    ) -> io::Result<()> {
        let Issue { key, bytes, rows } = self;
        if rows.is_empty() {
            return Ok(());
        }
        let (prefix, package, id) = (key.top(), key.package(), key.id());
        let part = |&(start, middle, end): &(usize, usize, usize)| {
            (&bytes[start..middle], &bytes[middle..end])
        };
        // Rows of one record come in no order.
        rows.sort_unstable_by(|a, b| part(a).cmp(&part(b)));
        rows.dedup_by(|a, b| part(a) == part(b));
        let language = LANGUAGES.iter().find(|known| known.prefix == prefix);
        let language = language.ok_or_else(damaged)?;
        let claims = rows.iter().map(|place| Claim::read(part(place).1));
        let claims: Vec<Claim<'_>> = claims.collect::<io::Result<_>>()?;
        let source = claims[0].source;
        let bucket = format!("{prefix}::{}", source.1);
        let mut value = vec![tag::JSON];
        write(&claims, id, language.comparer, &mut value);
        let mut row = Vec::with_capacity(bucket.len() + package.len() + id.len() + 3);
        join(&mut row, &[&bucket, package, id]);
        entries.push(&row, &value)?;
        sources.entry(bucket).or_insert_with(|| source_row(source));
        Ok(())
    }
}

/// The row that describes a bucket.
pub(super) fn source_row((id, name, url): (&str, &str, &str)) -> Vec<u8> {
    let mut value = vec![tag::JSON];
    let mut object = Object::new(&mut value);
    object.text("ID", id);
    object.text("Name", name);
    object.text("URL", url);
    object.end();
    value
}

/// The value of a row: everything that any record says is vulnerable is.
fn write(claims: &[Claim<'_>], id: &str, comparer: Comparer, out: &mut Vec<u8>) {
    let all = |list: for<'v> fn(&'v Claim<'_>) -> &'v [&'v str]| {
        claims.iter().flat_map(list).copied().collect::<Distinct<&str>>().into_list()
    };
    // A row that one record does not narrow down is not narrowed down.
    let narrowed = |list: for<'v> fn(&'v Claim<'_>) -> &'v [&'v str]| {
        if claims.iter().any(|claim| list(claim).is_empty()) { Vec::new() } else { all(list) }
    };
    let mut names = all(|claim| &claim.others);
    names.retain(|name| *name != id);
    let mut object = Object::new(out);
    object.texts("Arches", &narrowed(|claim| &claim.arch));
    object.texts("OSes", &narrowed(|claim| &claim.os));
    match claims {
        // Whoever wrote both lists means both.
        [one] => object.texts("PatchedVersions", &one.patched),
        _ => object.texts("PatchedVersions", &undisputed(claims, comparer)),
    }
    object.texts("VendorIDs", &names);
    match claims {
        [one] => object.texts("VulnerableVersions", &one.vulnerable),
        _ => object.texts("VulnerableVersions", &all(|claim| &claim.vulnerable)),
    }
    object.end();
}

/// Versions with the fix that no other record calls vulnerable: Trivy clears whatever is listed. One
/// that there was no time to compare is not listed.
fn undisputed<'v>(claims: &[Claim<'v>], comparer: Comparer) -> Vec<&'v str> {
    let ranges: usize = claims.iter().map(|claim| claim.vulnerable.len()).sum();
    if claims.iter().all(|claim| ranges - claim.vulnerable.len() > LIMITS.disputes) {
        return Vec::new();
    }
    let constraints: Vec<Vec<Constraint>> = claims
        .iter()
        .map(|claim| {
            claim.vulnerable.iter().filter_map(|text| comparer.constraint(text).ok()).collect()
        })
        .collect();
    let all: usize = constraints.iter().map(Vec::len).sum();
    let mut left = LIMITS.disputes;
    let mut versions = Distinct::new();
    for (place, claim) in claims.iter().enumerate() {
        let others = all - constraints[place].len();
        for &version in &claim.patched {
            let Some(rest) = left.checked_sub(others) else { return versions.into_list() };
            left = rest;
            let parsed = comparer.version(version);
            let disputed = parsed.is_ok_and(|parsed| {
                let others = constraints.iter().enumerate().filter(|(other, _)| *other != place);
                others
                    .flat_map(|(_, list)| list)
                    .any(|constraint| constraint.matches(&parsed) == Some(true))
            });
            if !disputed {
                versions.push(version);
            }
        }
    }
    versions.into_list()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::memory::Memory;

    #[test]
    fn rows_under_a_prefix_of_no_language_are_damage_and_do_not_reach_the_next_issue() {
        let spool = Memory::default();
        let (mut entries, mut sources) = (Sorter::new(&spool, 1 << 20), BTreeMap::new());
        let mut issue = Issue::default();
        issue.settle(&mut entries, &mut sources).expect("no rows, no issue");
        issue.key.begin(b"nodejs\0lodash\0CVE-1\0").expect("a key");
        issue.take(b"", b"");
        let error = issue.settle(&mut entries, &mut sources).expect_err("no such language");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        issue.key.begin(b"npm\0lodash\0CVE-1\0").expect("a key");
        issue.settle(&mut entries, &mut sources).expect("nothing is left");
        assert!(sources.is_empty());
    }
}
