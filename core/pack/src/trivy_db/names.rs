//! Names of vulnerabilities: which CVE ids another name stands for, as any record tells.
//!
//! Records that know CVE ids teach their other names; records that know none ask for theirs. Both
//! are rows, sorted by name, so that neither memory nor the spool holds a product of names: a row
//! refers to the list of ids, which lies among the texts once.

use std::collections::BTreeSet;
use std::io;

use stella_model::RowLimits;

use super::blobs::{BlobRef, Blobs};
use crate::rows::code::{Reader, Writer, damaged};
use crate::rows::{Merged, Sorter, merge};

/// Which record asks: mapper and count.
pub(super) type Asker = [u8; 10];

pub(super) fn asker(mapper: u16, count: u64) -> Asker {
    let mut asker = [0; 10];
    asker[..2].copy_from_slice(&mapper.to_be_bytes());
    asker[2..].copy_from_slice(&count.to_be_bytes());
    asker
}

/// What a row does: those that teach come before those that ask.
const TEACHES: u8 = 0;
const ASKS: u8 = 1;

/// Memory for answers, in bytes.
const ANSWERS: usize = 4 << 20;

/// A list of ids: the mapper that holds it among its texts, and its place there. None if there are
/// more ids than [`RowLimits`] allows.
type Ids = Option<(u16, BlobRef)>;

/// Bytes of [`Ids`].
const IDS: usize = 15;

fn write_ids(ids: Ids) -> [u8; IDS] {
    let mut bytes = [0; IDS];
    if let Some((mapper, BlobRef { block, at, bytes: length })) = ids {
        bytes[0] = 1;
        bytes[1..3].copy_from_slice(&mapper.to_be_bytes());
        for (place, number) in [block, at, length].into_iter().enumerate() {
            bytes[3 + place * 4..][..4].copy_from_slice(&number.to_be_bytes());
        }
    }
    bytes
}

fn read_ids(bytes: &[u8]) -> io::Result<Ids> {
    let bytes: &[u8; IDS] = bytes.first_chunk().ok_or_else(damaged)?;
    let number =
        |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let blob = BlobRef { block: number(3), at: number(7), bytes: number(11) };
    Ok((bytes[0] == 1).then_some((u16::from_be_bytes([bytes[1], bytes[2]]), blob)))
}

/// Notes that these names stand for the ids of a list.
pub(super) fn teach<S: AsRef<str>>(
    rows: &mut Sorter<'_>,
    key: &mut Vec<u8>,
    names: &[S],
    mapper: u16,
    blob: BlobRef,
) -> io::Result<()> {
    let ids = write_ids(Some((mapper, blob)));
    push(rows, key, names, TEACHES, &ids)
}

/// Notes that a record wants to know the ids that its names stand for.
pub(super) fn ask<S: AsRef<str>>(
    rows: &mut Sorter<'_>,
    key: &mut Vec<u8>,
    names: &[S],
    asker: Asker,
) -> io::Result<()> {
    push(rows, key, names, ASKS, &asker)
}

fn push<S: AsRef<str>>(
    rows: &mut Sorter<'_>,
    key: &mut Vec<u8>,
    names: &[S],
    does: u8,
    what: &[u8],
) -> io::Result<()> {
    for name in names {
        let name = name.as_ref().as_bytes();
        if name.contains(&0) {
            continue;
        }
        key.clear();
        key.extend_from_slice(name);
        key.extend_from_slice(&[0, does]);
        key.extend_from_slice(what);
        rows.push(key, &[])?;
    }
    Ok(())
}

/// The name at hand.
#[derive(Default)]
struct Name {
    name: Vec<u8>,
    /// The only list so far.
    single: Ids,
    /// The ids of all lists, if there are several; one more than allowed at most.
    all: BTreeSet<String>,
    /// The answer, once it was asked for.
    answer: Option<Ids>,
}

/// Answers all questions: rows of askers, each with a list of ids.
fn answer<'s>(
    sorters: Vec<Sorter<'s>>,
    texts: &mut [Blobs<'s>],
    limits: RowLimits,
) -> io::Result<Sorter<'s>> {
    let first = sorters.first().ok_or_else(|| io::Error::other("there is no mapper"))?;
    let mut answers = Sorter::new(first.spool(), ANSWERS);
    let mut rows = merge(sorters)?;
    let (mut name, mut key) = (Name::default(), Vec::new());
    let mut lists = Lists { texts, limits, buffer: Vec::new() };
    while let Some((row, _)) = rows.next_row()? {
        let end = row.iter().position(|byte| *byte == 0).ok_or_else(damaged)?;
        let (does, what) = row[end + 1..].split_first().ok_or_else(damaged)?;
        if name.name != row[..end] {
            name.name.clear();
            name.name.extend_from_slice(&row[..end]);
            (name.single, name.answer) = (None, None);
            name.all.clear();
        }
        if *does == TEACHES {
            lists.learn(&mut name, read_ids(what)?)?;
            continue;
        }
        if name.single.is_none() {
            continue;
        }
        let ids = match name.answer {
            Some(ids) => ids,
            None => lists.answer(&mut name)?,
        };
        key.clear();
        key.extend_from_slice(what);
        key.extend_from_slice(&write_ids(ids));
        answers.push(&key, &[])?;
    }
    Ok(answers)
}

/// The lists of ids that names stand for.
struct Lists<'t, 's> {
    /// Of all mappers; those that are put together from several lists are added to the first.
    texts: &'t mut [Blobs<'s>],
    limits: RowLimits,
    buffer: Vec<u8>,
}

impl Lists<'_, '_> {
    /// Notes that a name stands for the ids of one more list.
    fn learn(&mut self, name: &mut Name, ids: Ids) -> io::Result<()> {
        let Some(single) = name.single else {
            name.single = ids;
            return Ok(());
        };
        if name.all.is_empty() {
            self.add(&mut name.all, Some(single))?;
        }
        self.add(&mut name.all, ids)
    }

    fn add(&mut self, all: &mut BTreeSet<String>, ids: Ids) -> io::Result<()> {
        let most = self.limits.ids;
        let Some(ids) = ids.filter(|_| all.len() <= most) else { return Ok(()) };
        read_list(ids, self.texts, &mut self.buffer)?;
        Reader::new(&self.buffer).each_text(&mut |id| {
            if all.len() <= most && !all.contains(id) {
                all.insert(id.to_owned());
            }
        })
    }

    fn answer(&mut self, name: &mut Name) -> io::Result<Ids> {
        let ids = if name.all.len() > self.limits.ids {
            None
        } else if name.all.is_empty() {
            name.single
        } else {
            let all: Vec<&str> = name.all.iter().map(String::as_str).collect();
            let mut list = Writer { bytes: std::mem::take(&mut self.buffer) };
            let first = self.texts.first_mut().ok_or_else(damaged)?;
            let blob = first.add(&list.clear().list(&all).bytes)?;
            self.buffer = list.bytes;
            Some((0, blob))
        };
        name.answer = Some(ids);
        Ok(ids)
    }
}

fn read_list(
    (mapper, blob): (u16, BlobRef),
    texts: &[Blobs<'_>],
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    buffer.clear();
    texts.get(usize::from(mapper)).ok_or_else(damaged)?.append(blob, buffer)
}

/// The CVE ids of one asker after the other.
pub(super) struct Answers<'s> {
    rows: Merged<'s>,
    /// The row that was read ahead.
    ahead: Option<(Asker, Ids)>,
    limits: RowLimits,
    buffer: Vec<u8>,
}

impl<'s> Answers<'s> {
    /// Answers the questions of all mappers. Lists that are put together from several go to the
    /// texts.
    pub(super) fn new(
        sorters: Vec<Sorter<'s>>,
        texts: &mut [Blobs<'s>],
        limits: RowLimits,
    ) -> io::Result<Answers<'s>> {
        let rows = merge(vec![answer(sorters, texts, limits)?])?;
        let mut answers = Answers { rows, ahead: None, limits, buffer: Vec::new() };
        answers.advance()?;
        Ok(answers)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.ahead = match self.rows.next_row()? {
            None => None,
            Some((row, _)) => {
                let (asker, ids) = row.split_first_chunk().ok_or_else(damaged)?;
                Some((*asker, read_ids(ids)?))
            }
        };
        Ok(())
    }

    /// The ids that the names of a record stand for, sorted; askers are to come in order. `false` if
    /// there are more than [`RowLimits`] allows.
    pub(super) fn of(
        &mut self,
        asker: Asker,
        texts: &[Blobs<'_>],
        found: &mut BTreeSet<String>,
    ) -> io::Result<bool> {
        let limits = self.limits;
        found.clear();
        let (mut within, mut pairs) = (true, 0_usize);
        while let Some((row, ids)) = self.ahead.filter(|(row, _)| *row <= asker) {
            if row == asker && within {
                within = match ids {
                    None => false,
                    Some(ids) => {
                        read_list(ids, texts, &mut self.buffer)?;
                        Reader::new(&self.buffer).each_text(&mut |id| {
                            pairs += 1;
                            if pairs <= limits.name_pairs && !found.contains(id) {
                                found.insert(id.to_owned());
                            }
                        })?;
                        pairs <= limits.name_pairs && found.len() <= limits.ids
                    }
                };
            }
            self.advance()?;
        }
        Ok(within)
    }
}
