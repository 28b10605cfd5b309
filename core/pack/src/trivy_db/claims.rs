//! Rows of languages: one for each vulnerability of a package, whoever told of it.
//!
//! Trivy reads all buckets of a language and takes the last that has an id, whole. One row over all
//! of them is the only way in which no source hides another.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use stella_versions::trivy::{Comparer, Constraint};

use super::code::{Reader, damaged};
use super::ecosystems::LANGUAGES;
use super::json::Object;
use super::mapper::{join, tag};
use crate::rows::Sorter;

/// What one record says, as it was encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim<'v> {
    source: (&'v str, &'v str, &'v str),
    cves: Vec<&'v str>,
    /// Names of the record that are no CVE ids, its own last.
    pub(super) others: Vec<&'v str>,
    vulnerable: Vec<&'v str>,
    patched: Vec<&'v str>,
    os: Vec<&'v str>,
    arch: Vec<&'v str>,
}

impl<'v> Claim<'v> {
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

/// The rows of one package.
#[derive(Debug, Default)]
pub(super) struct Package {
    prefix: String,
    name: String,
    /// Id, what orders rows of one id, value.
    rows: Vec<(String, Vec<u8>, Vec<u8>)>,
}

impl Package {
    pub(super) fn is(&self, prefix: &str, name: &str) -> bool {
        self.prefix == prefix && self.name == name
    }

    pub(super) fn begin(&mut self, prefix: &str, name: &str) {
        (self.prefix, self.name) = (prefix.to_owned(), name.to_owned());
    }

    /// Takes a row. One under a rejected id goes under the record's own, unless the record has
    /// another id that stands.
    pub(super) fn take(
        &mut self,
        id: &str,
        tail: &[u8],
        value: &[u8],
        rejected: &BTreeSet<String>,
    ) -> io::Result<()> {
        let mut id = id;
        if rejected.contains(id) {
            let claim = Claim::read(value)?;
            let others_stand = claim.cves.iter().any(|cve| !rejected.contains(*cve));
            let own = claim.others.last().filter(|own| !rejected.contains(**own));
            match own {
                Some(own) if !others_stand => id = own,
                _ => return Ok(()),
            }
        }
        self.rows.push((id.to_owned(), tail.to_vec(), value.to_vec()));
        Ok(())
    }

    /// Files the rows under the buckets of the sources that are believed most.
    pub(super) fn settle(
        &mut self,
        entries: &mut Sorter<'_>,
        sources: &mut BTreeMap<String, Vec<u8>>,
    ) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        self.rows.sort_unstable();
        self.rows.dedup();
        let Some(language) = LANGUAGES.iter().find(|known| known.prefix == self.prefix) else {
            // Rows that are left here would be filed under the next package.
            self.rows.clear();
            return Err(damaged());
        };
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for rows in self.rows.chunk_by(|a, b| a.0 == b.0) {
            let claims = rows.iter().map(|(_, _, value)| Claim::read(value));
            let claims: Vec<Claim<'_>> = claims.collect::<io::Result<_>>()?;
            let id = rows[0].0.as_str();
            let source = claims[0].source;
            let bucket = format!("{}::{}", self.prefix, source.1);
            value.clear();
            value.push(tag::JSON);
            write(&claims, id, language.comparer, &mut value);
            key.clear();
            join(&mut key, &[&bucket, &self.name, id]);
            entries.push(&key, &value)?;
            sources.entry(bucket).or_insert_with(|| source_row(source));
        }
        self.rows.clear();
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
        let mut texts: Vec<&str> = Vec::new();
        for text in claims.iter().flat_map(list) {
            if !texts.contains(text) {
                texts.push(text);
            }
        }
        texts
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

/// Versions with the fix that no other record calls vulnerable: Trivy clears whatever is listed.
fn undisputed(claims: &[Claim<'_>], comparer: Comparer) -> Vec<String> {
    let constraints: Vec<Vec<Constraint>> = claims
        .iter()
        .map(|claim| {
            claim.vulnerable.iter().filter_map(|text| comparer.constraint(text).ok()).collect()
        })
        .collect();
    let mut versions: Vec<String> = Vec::new();
    for (place, claim) in claims.iter().enumerate() {
        for version in &claim.patched {
            let parsed = comparer.version(version);
            let disputed = parsed.is_ok_and(|parsed| {
                let others = constraints.iter().enumerate().filter(|(other, _)| *other != place);
                others
                    .flat_map(|(_, list)| list)
                    .any(|constraint| constraint.matches(&parsed) == Some(true))
            });
            if !disputed && !versions.iter().any(|held| held == version) {
                versions.push((*version).to_owned());
            }
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::memory::Memory;

    #[test]
    fn rows_under_a_prefix_of_no_language_are_damage_and_do_not_reach_the_next_package() {
        let spool = Memory::default();
        let (mut entries, mut sources) = (Sorter::new(&spool, 1 << 20), BTreeMap::new());
        let mut package = Package::default();
        package.settle(&mut entries, &mut sources).expect("no rows, no package");
        package.begin("nodejs", "lodash");
        package.take("CVE-1", b"", b"", &BTreeSet::new()).expect("a row");
        let error = package.settle(&mut entries, &mut sources).expect_err("no such language");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        package.begin("npm", "lodash");
        package.settle(&mut entries, &mut sources).expect("nothing is left");
        assert!(sources.is_empty());
    }
}
