//! From rows to the database, in the order of its keys.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::blobs::{BlobRef, Blobs};
use super::claims::{Claim, Issue};
use super::detail::Detail;
use super::ecosystems::LANGUAGES;
use super::fixes;
use super::mapper::{DetailRow, Mapper};
use super::names::{Answers, Asker, asker};
use super::redhat;
use super::redhat::content_sets::{DEFAULT_CONTENT_SETS, table};
use super::redhat::entries::{self, write_indices, write_text};
use super::rejected::Rejected;
use super::report::{Gap, Reason};
use super::row::{DbKey, join, origin, split_waiting, tag, write_key};
use super::{Contents, DATA_SOURCES, LIMITS, RED_HAT_CPE, Tree, VULNERABILITIES};
use crate::rows::code::damaged;
use crate::rows::{Sorter, Spool, merge};

/// Memory for rows of languages under the records' own ids, in bytes.
const OWN: usize = 6 << 20;

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
    rows.rejected = Rejected::read(std::mem::take(&mut rows.given_back))?;
    rows.resolve()?;
    rows.settle()?;
    rows.constant()?;
    rows.write(tree)?;
    rows.contents.reasons = write_report(rows.report, report)?;
    Ok(rows.contents)
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
    names: Vec<Sorter<'s>>,
    /// Rows of languages that lie under a record's own id. They are apart from those under CVE ids,
    /// which may turn into such.
    own: Vec<Sorter<'s>>,
    given_back: Vec<Sorter<'s>>,
    /// Ids that have no row.
    rejected: Rejected<'s>,
    key: Vec<u8>,
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
        if self.own.is_empty() {
            self.own.push(Sorter::new(mapper.claims.spool(), OWN));
        }
        self.claims.push(mapper.claims);
        self.pending.push(mapper.pending);
        self.report.push(mapper.report);
        self.texts.push(mapper.texts);
        self.names.push(mapper.names);
        self.given_back.push(mapper.rejected);
        self.cpes.append(&mut mapper.cpes);
        self.sources.append(&mut mapper.sources);
    }

    /// Gives the rows that wait their ids: the CVE ids that other records tell for any of their
    /// names, else the record's own.
    fn resolve(&mut self) -> io::Result<()> {
        if self.names.is_empty() {
            return Ok(());
        }
        let names = std::mem::take(&mut self.names);
        let mut answers = Answers::new(names, &mut self.texts, LIMITS)?;
        let mut waiting = merge(std::mem::take(&mut self.pending))?;
        let mut current: Asker = asker(0, 0);
        let (mut ids, mut within) = (BTreeSet::new(), true);
        while let Some((old, value)) = waiting.next_row()? {
            let (asker, old) = old.split_first_chunk().ok_or_else(damaged)?;
            if current != *asker {
                current = *asker;
                within = answers.of(current, &self.texts, &mut ids)?;
                for id in std::mem::take(&mut ids) {
                    if !self.rejected.contains(&id)? {
                        ids.insert(id);
                    }
                }
            }
            let (top, package, tail) = split_waiting(old)?;
            let is_claim = value.first() == Some(&tag::CLAIM);
            let (value, others) = match is_claim {
                true => {
                    let (value, bytes) = value.split_last_chunk().ok_or_else(damaged)?;
                    // What a record says of all packages is repeated under each id, or under none.
                    let bytes = u64::from_le_bytes(*bytes).saturating_mul(ids.len() as u64);
                    within &= bytes <= LIMITS.row_bytes as u64;
                    (value, Claim::others_of(value)?)
                }
                false => (value, DetailRow::read(value)?.1.list()?),
            };
            let key = &mut self.key;
            if !within && is_claim {
                let (feed, id) = origin(tail)?;
                let reason = Reason::TooManyNames;
                let detail = "names that stand for too many CVE ids";
                Gap { feed, id, package, reason, detail }.push(first(&mut self.report)?, key)?;
                self.contents.tally.gap(ecosystem(top), reason);
            }
            if within && !ids.is_empty() {
                let sorters = if is_claim { &mut self.claims } else { &mut self.entries };
                let sorter = first(sorters)?;
                for id in &ids {
                    write_key(key, [top, package, id], tail);
                    sorter.push(key, value)?;
                }
            } else if let Some(id) = others.last() {
                let sorters = if is_claim { &mut self.own } else { &mut self.entries };
                write_key(key, [top, package, id], tail);
                first(sorters)?.push(key, value)?;
            }
        }
        Ok(())
    }

    /// Merges what several records say of one vulnerability of one package: first under CVE ids,
    /// then under the records' own, which stand in for ids that were rejected.
    fn settle(&mut self) -> io::Result<()> {
        self.settle_rows(true)?;
        self.settle_rows(false)
    }

    fn settle_rows(&mut self, under_cves: bool) -> io::Result<()> {
        let sorters = if under_cves { &mut self.claims } else { &mut self.own };
        let mut rows = merge(std::mem::take(sorters))?;
        let mut issue = Issue::default();
        let mut is_rejected = false;
        while let Some((row, value)) = rows.next_row()? {
            let tail = match issue.key.tail_of(row) {
                Some(tail) => tail,
                None => {
                    issue.settle(first(&mut self.entries)?, &mut self.sources)?;
                    let tail = issue.key.begin(row)?;
                    is_rejected = under_cves && self.rejected.contains(issue.key.id())?;
                    tail
                }
            };
            let (prefix, package, id) = (issue.key.top(), issue.key.package(), issue.key.id());
            if is_rejected {
                // Unless the record has another id that stands, and once for all of them.
                let claim = Claim::read(value)?;
                if let Some(own) = claim.others.last()
                    && claim.cves.first() == Some(&id)
                    && self.rejected.contains_all(&claim.cves)?
                {
                    write_key(&mut self.key, [prefix, package, own], tail);
                    first(&mut self.own)?.push(&self.key, value)?;
                }
            } else if !issue.has_room(tail, value) {
                let (feed, record) = origin(tail)?;
                let reason = Reason::TooManyRecords;
                let gap = Gap { feed, id: record, package, reason, detail: id };
                gap.push(first(&mut self.report)?, &mut self.key)?;
                self.contents.tally.gap(ecosystem(prefix), reason);
            } else {
                issue.take(tail, value);
            }
        }
        issue.settle(first(&mut self.entries)?, &mut self.sources)
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

    fn write<T: Tree>(&mut self, tree: &mut T) -> io::Result<()> {
        let Rows { contents, entries, texts, rejected, indices, report, key, .. } = self;
        let spool = first(entries)?.spool();
        let mut rows = merge(std::mem::take(entries))?;
        let keys = &mut contents.keys;
        let mut walk = Walk { tree, keys, top: None, package: None, count: 0 };
        let mut group = Group::new(spool);
        let settled = Settled { indices, texts, rejected };
        while let Some((row_key, row)) = rows.next_row()? {
            let tail = match group.key.tail_of(row_key) {
                Some(tail) => tail,
                None => {
                    group.put(&mut walk, &settled)?;
                    group.begin(row_key)?
                }
            };
            if !group.take(row, rejected)? {
                let (feed, record) = origin(tail)?;
                let (top, package, detail) = (group.key.top(), group.key.package(), group.key.id());
                let reason = Reason::TooManyRecords;
                Gap { feed, id: record, package, reason, detail }.push(first(report)?, key)?;
                contents.tally.gap(if top == redhat::BUCKET { top } else { "" }, reason);
            }
        }
        group.put(&mut walk, &settled)?;
        walk.leave()
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

/// The ecosystem of OSV whose rows lie under a prefix.
fn ecosystem(prefix: &str) -> &'static str {
    LANGUAGES.iter().find(|known| known.prefix == prefix).map_or("", |known| known.osv)
}

/// What is known before the first key is written.
#[derive(Clone, Copy)]
struct Settled<'a, 's> {
    /// All products of Red Hat.
    indices: &'a [String],
    texts: &'a [Blobs<'s>],
    /// Ids that have no row.
    rejected: &'a Rejected<'s>,
}

/// All rows of one key of the database, or of one package of a distribution.
struct Group<'s> {
    key: DbKey,
    /// Empty if there is none.
    json: Vec<u8>,
    fixes: fixes::Package<'s>,
    red_hat: Vec<Vec<u8>>,
    /// Bytes of the above, and of the texts that follow.
    bytes: usize,
    /// Mapper and place of each text.
    details: Vec<(u16, BlobRef)>,
    bucket: bool,
    value: Vec<u8>,
    detail: DetailValue,
}

/// The value that texts about a vulnerability make. Those that an erratum fixes often come one after
/// the other and are in the same errata: the value stays.
#[derive(Default)]
struct DetailValue {
    /// Mapper and place of each text that it is made of.
    of: Vec<(u16, BlobRef)>,
    texts: Vec<u8>,
    value: Vec<u8>,
}

impl DetailValue {
    fn make(&mut self, of: &[(u16, BlobRef)], texts: &[Blobs<'_>]) -> io::Result<&[u8]> {
        if self.of != of {
            // Nothing is kept of a value that could not be made.
            self.of.clear();
            self.texts.clear();
            self.value.clear();
            for (mapper, blob) in of {
                let texts = texts.get(usize::from(*mapper)).ok_or_else(damaged)?;
                texts.append(*blob, &mut self.texts)?;
            }
            Detail::read(&self.texts)?.write(&mut self.value);
            self.of.extend_from_slice(of);
        }
        Ok(&self.value)
    }
}

impl<'s> Group<'s> {
    fn new(spool: &'s dyn Spool) -> Group<'s> {
        Group {
            key: DbKey::default(),
            json: Vec::new(),
            fixes: fixes::Package::new(spool),
            red_hat: Vec::new(),
            bytes: 0,
            details: Vec::new(),
            bucket: false,
            value: Vec::new(),
            detail: DetailValue::default(),
        }
    }

    /// Becomes empty, for the key that a row is about, and gives the row's tail.
    fn begin<'k>(&mut self, row: &'k [u8]) -> io::Result<&'k [u8]> {
        (self.bucket, self.bytes) = (false, 0);
        self.json.clear();
        self.red_hat.clear();
        self.details.clear();
        self.key.begin(row)
    }

    /// Takes the next row, the most believed first; `false` if there is no room for it.
    fn take(&mut self, row: &[u8], rejected: &Rejected<'_>) -> io::Result<bool> {
        match row.first() {
            Some(&tag::JSON) => {
                if self.json.is_empty() {
                    self.json.extend_from_slice(&row[1..]);
                }
            }
            Some(&tag::FIXES) => self.fixes.take(row)?,
            Some(&tag::DETAIL) => {
                let (row, mut rest) = DetailRow::read(row)?;
                if row.spare && !rejected.contains_all(&rest.list()?)? {
                    return Ok(true);
                }
                if !self.has_room(row.blob.bytes as usize) {
                    return Ok(false);
                }
                self.details.push((row.mapper, row.blob));
            }
            Some(&tag::RED_HAT) => {
                // Other feeds may hold the same document.
                if self.red_hat.last().is_none_or(|last| last != row) {
                    // A short row may stand for many cells.
                    let bytes = entries::decoded_bytes(row)?.saturating_add(row.len());
                    if bytes > LIMITS.row_bytes || !self.has_room(bytes) {
                        return Ok(false);
                    }
                    self.red_hat.push(row.to_vec());
                }
            }
            Some(&tag::BUCKET) => self.bucket = true,
            _ => return Err(damaged()),
        }
        Ok(true)
    }

    /// Whether so many bytes more are held; the first are, however many.
    fn has_room(&mut self, bytes: usize) -> bool {
        let before = self.bytes;
        let after = before.saturating_add(bytes);
        let has_room = before == 0 || after <= LIMITS.row_bytes;
        if has_room {
            self.bytes = after;
        }
        has_room
    }

    /// Writes the keys, if there is anything to write.
    fn put<T: Tree>(
        &mut self,
        walk: &mut Walk<'_, T>,
        settled: &Settled<'_, '_>,
    ) -> io::Result<()> {
        let top = self.key.top();
        if self.bucket {
            return walk.enter(top, None);
        }
        let package = Some(self.key.package()).filter(|package| !package.is_empty());
        if !self.fixes.is_empty() {
            let mut entered = false;
            return self.fixes.settle(settled.rejected, &mut |id, value| {
                if !std::mem::replace(&mut entered, true) {
                    walk.enter(top, package)?;
                }
                walk.put(id, value)
            });
        }
        let id = self.key.id();
        if settled.rejected.contains(id)? {
            return Ok(());
        }
        let value = if !self.json.is_empty() {
            &self.json
        } else if !self.details.is_empty() {
            self.detail.make(&self.details, settled.texts)?
        } else {
            self.value.clear();
            entries::write(&self.red_hat, settled.indices, settled.rejected, &mut self.value)?;
            &self.value
        };
        if value.is_empty() {
            return Ok(());
        }
        walk.enter(top, package)?;
        walk.put(id, value)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::code::Writer;
    use crate::rows::memory::Memory;
    use crate::trivy_db::detail::{Told, encode_told};

    #[test]
    fn the_value_of_texts_is_that_of_no_others() {
        let spool = Memory::default();
        let mut texts = [Blobs::new(&spool, 1 << 20)];
        let mut add = |title: &str| {
            let mut value = Writer::default();
            let told = Told { source: "acme".into(), title: title.into(), ..Told::default() };
            encode_told(&mut value, &told);
            (0, texts[0].add(&value.bytes).expect("room"))
        };
        let (one, other) = (add("one"), add("other"));
        let damaged = (7, one.1);
        let mut held = DetailValue::default();
        for of in [&[one][..], &[one], &[one, other], &[other, one], &[damaged], &[one], &[other]] {
            let fresh = DetailValue::default().make(of, &texts).map(<[u8]>::to_vec).ok();
            assert_eq!(held.make(of, &texts).map(<[u8]>::to_vec).ok(), fresh);
            assert_eq!(fresh.is_none(), of == [damaged]);
        }
        let value = held.make(&[other], &texts).expect("a value").to_vec();
        assert!(String::from_utf8(value).expect("UTF-8").starts_with(r#"{"Title":"other""#));
    }
}
