//! From rows to the database, in the order of its keys.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::blobs::{BlobRef, Blobs};
use super::claims::{Claim, Package};
use super::detail::Detail;
use super::fixes;
use super::mapper::{DetailRow, Mapper, NameKey, join, tag};
use super::redhat::content_sets::{DEFAULT_CONTENT_SETS, table};
use super::redhat::entries::{self, write_indices, write_text};
use super::report::Reason;
use super::{Contents, DATA_SOURCES, RED_HAT_CPE, Tree, VULNERABILITIES};
use crate::rows::code::damaged;
use crate::rows::{Sorter, merge};

/// Writes the rows of all mappers to a tree, and the lines of the report to `report`.
///
/// The bytes depend on the records alone, not on how they were spread over mappers (INV-DET).
///
/// # Errors
/// If a spool, the tree or the report fails.
pub fn assemble<T: Tree>(
    mappers: Vec<Mapper<'_>>,
    tree: &mut T,
    report: &mut dyn io::Write,
) -> io::Result<Contents> {
    let mut rows = Rows::default();
    for mapper in mappers {
        rows.add(mapper);
    }
    rows.contents.reasons = write_report(std::mem::take(&mut rows.report), report)?;
    rows.names.sort_unstable();
    rows.names.dedup();
    rows.resolve()?;
    rows.settle()?;
    rows.constant()?;
    rows.write(tree)
}

/// Writes the lines in order, each once; their number by reason.
fn write_report(
    sorters: Vec<Sorter<'_>>,
    out: &mut dyn io::Write,
) -> io::Result<BTreeMap<&'static str, u64>> {
    let mut lines = merge(sorters)?;
    let mut counts = BTreeMap::new();
    let mut last = Vec::new();
    while let Some((_, line)) = lines.next_row()? {
        // A record may name a package twice with one problem.
        if line != last {
            let reason = Reason::of_line(line).ok_or_else(damaged)?;
            *counts.entry(reason.as_str()).or_default() += 1;
            out.write_all(line)?;
            last.clear();
            last.extend_from_slice(line);
        }
    }
    Ok(counts)
}

/// What the mappers leave, kind by kind.
#[derive(Default)]
struct Rows<'s> {
    contents: Contents,
    entries: Vec<Sorter<'s>>,
    claims: Vec<Sorter<'s>>,
    pending: Vec<Sorter<'s>>,
    report: Vec<Sorter<'s>>,
    texts: Vec<Blobs<'s>>,
    names: Vec<(NameKey, Box<str>)>,
    rejected: BTreeSet<String>,
    /// Products of Red Hat that rows name.
    cpes: BTreeSet<String>,
    /// All products of Red Hat in the order of their indices.
    indices: Vec<String>,
    /// Descriptions of buckets.
    sources: BTreeMap<String, Vec<u8>>,
}

impl<'s> Rows<'s> {
    fn add(&mut self, mut mapper: Mapper<'s>) {
        self.contents.tally.add(&mapper.tally);
        self.entries.push(mapper.entries);
        self.claims.push(mapper.claims);
        self.pending.push(mapper.pending);
        self.report.push(mapper.report);
        self.texts.push(mapper.texts);
        self.names.append(&mut mapper.names);
        self.rejected.append(&mut mapper.rejected);
        self.cpes.append(&mut mapper.cpes);
        self.sources.append(&mut mapper.sources);
    }

    /// Gives the rows that wait their ids: the CVE ids that other records tell for any of their
    /// names, else the record's own.
    fn resolve(&mut self) -> io::Result<()> {
        let mut waiting = merge(std::mem::take(&mut self.pending))?;
        let mut key = Vec::new();
        while let Some((old, value)) = waiting.next_row()? {
            let (top, package, _, tail) = split(old)?;
            let (sorters, others) = match value.first() {
                Some(&tag::CLAIM) => (&mut self.claims, Claim::read(value)?.others),
                _ => (&mut self.entries, DetailRow::read(value)?.1.list()?),
            };
            let mut ids: Vec<&str> =
                others.iter().flat_map(|name| cves_of(&self.names, name)).collect();
            ids.sort_unstable();
            ids.dedup();
            if ids.is_empty() {
                ids.extend(others.last());
            }
            for id in ids {
                key.clear();
                join(&mut key, &[top, package, id]);
                key.extend_from_slice(tail);
                first(sorters)?.push(&key, value)?;
            }
        }
        self.names = Vec::new();
        Ok(())
    }

    /// Merges what several records say of one vulnerability of one package.
    fn settle(&mut self) -> io::Result<()> {
        let mut rows = merge(std::mem::take(&mut self.claims))?;
        let entries = first(&mut self.entries)?;
        let mut package = Package::default();
        while let Some((key, value)) = rows.next_row()? {
            let (prefix, name, id, tail) = split(key)?;
            if !package.is(prefix, name) {
                package.settle(entries, &mut self.sources)?;
                package.begin(prefix, name);
            }
            package.take(id, tail, value, &self.rejected)?;
        }
        package.settle(entries, &mut self.sources)
    }

    /// Rows that are in every database, and those that describe the buckets.
    fn constant(&mut self) -> io::Result<()> {
        let entries = first(&mut self.entries)?;
        let mut key = Vec::new();
        let mut push = |parts: [&str; 3], value: &[u8]| {
            key.clear();
            join(&mut key, &parts);
            entries.push(&key, value)
        };
        // Without this bucket Trivy crashes at the first finding.
        push([VULNERABILITIES, "", ""], &[tag::BUCKET])?;
        push([DATA_SOURCES, "", ""], &[tag::BUCKET])?;
        if self.cpes.is_empty() {
            // No row is about Red Hat: any index will do.
            for (content_set, _) in DEFAULT_CONTENT_SETS {
                push([RED_HAT_CPE, "repository", content_set], b"\0[0]")?;
            }
        }
        let (cpes, content_sets) = match self.cpes.is_empty() {
            true => (Vec::new(), BTreeMap::new()),
            false => table(std::mem::take(&mut self.cpes)),
        };
        for (index, cpe) in cpes.iter().enumerate() {
            push([RED_HAT_CPE, "cpe", &index.to_string()], &json(|out| write_text(cpe, out)))?;
        }
        for (content_set, indices) in &content_sets {
            let value = json(|out| write_indices(indices, out));
            push([RED_HAT_CPE, "repository", content_set], &value)?;
        }
        self.indices = cpes;
        for (bucket, value) in &self.sources {
            push([DATA_SOURCES, "", bucket], value)?;
        }
        Ok(())
    }

    fn write<T: Tree>(self, tree: &mut T) -> io::Result<Contents> {
        let Rows { mut contents, entries, texts, rejected, indices, .. } = self;
        let mut rows = merge(entries)?;
        let keys = &mut contents.keys;
        let mut walk = Walk { tree, keys, top: None, package: None, count: 0 };
        let mut group = Group::default();
        let settled = Settled { indices: &indices, texts: &texts, rejected: &rejected };
        while let Some((key, row)) = rows.next_row()? {
            let (top, package, id, _) = split(key)?;
            if !group.is(top, package, id) {
                group.put(&mut walk, &settled)?;
                group.begin(top, package, id);
            }
            group.take(row, &rejected)?;
        }
        group.put(&mut walk, &settled)?;
        walk.leave()?;
        Ok(contents)
    }
}

/// The value of a row that is final.
fn json(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut value = vec![tag::JSON];
    write(&mut value);
    value
}

/// The sorter that takes rows made after mapping. There is always one mapper.
fn first<'v, 's>(sorters: &'v mut [Sorter<'s>]) -> io::Result<&'v mut Sorter<'s>> {
    sorters.first_mut().ok_or_else(|| io::Error::other("a database is made by at least one mapper"))
}

/// CVE ids for another name of a vulnerability.
fn cves_of<'n>(names: &'n [(NameKey, Box<str>)], name: &str) -> impl Iterator<Item = &'n str> {
    let key = super::mapper::name_key(name);
    let begin = names.partition_point(|(known, _)| *known < key);
    names[begin..].iter().take_while(move |(known, _)| *known == key).map(|(_, cve)| &**cve)
}

/// The three names of a key, and what orders rows of one name.
fn split(key: &[u8]) -> io::Result<(&str, &str, &str, &[u8])> {
    let mut parts = key.splitn(4, |byte| *byte == 0);
    let mut next = || parts.next().ok_or_else(damaged);
    let (top, package, id, tail) = (next()?, next()?, next()?, next()?);
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| damaged());
    Ok((text(top)?, text(package)?, text(id)?, tail))
}

/// What is known before the first key is written.
#[derive(Clone, Copy)]
struct Settled<'a, 's> {
    /// All products of Red Hat.
    indices: &'a [String],
    texts: &'a [Blobs<'s>],
    /// Ids that have no row.
    rejected: &'a BTreeSet<String>,
}

/// All rows of one key of the database, or of one package of a distribution.
#[derive(Default)]
struct Group {
    top: String,
    package: String,
    id: String,
    json: Option<Vec<u8>>,
    fixes: fixes::Package,
    red_hat: Vec<Vec<u8>>,
    /// Mapper and place of each text.
    details: Vec<(u16, BlobRef)>,
    bucket: bool,
    /// The texts, and the value that is made of them.
    blob: Vec<u8>,
    value: Vec<u8>,
}

impl Group {
    fn is(&self, top: &str, package: &str, id: &str) -> bool {
        self.id == id && self.package == package && self.top == top
    }

    fn begin(&mut self, top: &str, package: &str, id: &str) {
        for (held, name) in [(&mut self.top, top), (&mut self.package, package), (&mut self.id, id)]
        {
            if held != name {
                held.clear();
                held.push_str(name);
            }
        }
        (self.json, self.bucket) = (None, false);
        self.red_hat.clear();
        self.details.clear();
    }

    /// Takes the next row, the most believed first.
    fn take(&mut self, row: &[u8], rejected: &BTreeSet<String>) -> io::Result<()> {
        match row.first() {
            Some(&tag::JSON) => {
                self.json.get_or_insert_with(|| row[1..].to_vec());
            }
            Some(&tag::FIXES) => self.fixes.take(row),
            Some(&tag::DETAIL) => {
                let (row, mut rest) = DetailRow::read(row)?;
                let spare = row.spare && !rest.list()?.iter().all(|cve| rejected.contains(*cve));
                if !spare {
                    self.details.push((row.mapper, row.blob));
                }
            }
            Some(&tag::RED_HAT) => {
                // Other feeds may hold the same document.
                if self.red_hat.last().is_none_or(|last| last != row) {
                    self.red_hat.push(row.to_vec());
                }
            }
            Some(&tag::BUCKET) => self.bucket = true,
            _ => return Err(damaged()),
        }
        Ok(())
    }

    /// Writes the keys, if there is anything to write.
    fn put<T: Tree>(
        &mut self,
        walk: &mut Walk<'_, T>,
        settled: &Settled<'_, '_>,
    ) -> io::Result<()> {
        if self.bucket {
            return walk.enter(&self.top, None);
        }
        let package = (!self.package.is_empty()).then_some(self.package.as_str());
        if !self.fixes.is_empty() {
            let top = &self.top;
            return self.fixes.settle(settled.rejected, &mut |id, value| {
                walk.enter(top, package)?;
                walk.put(id, value)
            });
        }
        if settled.rejected.contains(&self.id) {
            return Ok(());
        }
        self.value.clear();
        if let Some(json) = &self.json {
            self.value.extend_from_slice(json);
        } else if !self.details.is_empty() {
            self.blob.clear();
            for (mapper, blob) in &self.details {
                let texts = settled.texts.get(usize::from(*mapper)).ok_or_else(damaged)?;
                texts.append(*blob, &mut self.blob)?;
            }
            Detail::read(&self.blob)?.write(&mut self.value);
        } else {
            entries::write(&self.red_hat, settled.indices, settled.rejected, &mut self.value)?;
        }
        if self.value.is_empty() {
            return Ok(());
        }
        walk.enter(&self.top, package)?;
        walk.put(&self.id, &self.value)
    }
}

/// Where in the tree the next key goes.
struct Walk<'w, T> {
    tree: &'w mut T,
    keys: &'w mut BTreeMap<String, u64>,
    top: Option<String>,
    package: Option<String>,
    /// Keys of the bucket at the top so far.
    count: u64,
}

impl<T: Tree> Walk<'_, T> {
    fn enter(&mut self, top: &str, package: Option<&str>) -> io::Result<()> {
        if self.top.as_deref() != Some(top) {
            self.leave()?;
            self.tree.enter(top.as_bytes())?;
            self.top = Some(top.to_owned());
        }
        if self.package.as_deref() != package {
            if self.package.take().is_some() {
                self.tree.leave()?;
            }
            if let Some(package) = package {
                self.tree.enter(package.as_bytes())?;
                self.package = Some(package.to_owned());
            }
        }
        Ok(())
    }

    fn put(&mut self, id: &str, value: &[u8]) -> io::Result<()> {
        self.count += 1;
        self.tree.put(id.as_bytes(), value)
    }

    fn leave(&mut self) -> io::Result<()> {
        if self.package.take().is_some() {
            self.tree.leave()?;
        }
        if let Some(top) = self.top.take() {
            self.tree.leave()?;
            *self.keys.entry(top).or_default() += std::mem::take(&mut self.count);
        }
        Ok(())
    }
}
