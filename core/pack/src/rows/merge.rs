//! Merging sorted rows.

use std::cmp::{Ordering, Reverse};
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};
use std::io;

use super::sort::{self, lengths};
use super::{HEAD, Run, RunWriter, Sorter, Spool};

/// Bytes of all read buffers together, unless two rows alone are larger.
const BUFFERS: usize = 16 << 20;

/// Bytes of one at least.
const LEAST: usize = 16 << 10;

/// A run and where it lies.
type Place<'s> = (&'s dyn Spool, Run);

/// The rows of several sorters in the order of their keys.
pub struct Merged<'s> {
    streams: Vec<Stream<'s>>,
    heads: BinaryHeap<Reverse<Head>>,
    /// Whether the row at the top was handed out.
    given: bool,
}

/// The key of the row that a stream stands at.
#[derive(PartialEq, Eq)]
struct Head {
    key: Vec<u8>,
    stream: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        self.key.cmp(&other.key).then(self.stream.cmp(&other.stream))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

enum Stream<'s> {
    Memory { arena: Vec<u8>, index: Vec<sort::Entry>, next: usize },
    Spooled(Reader<'s>),
}

impl<'s> Merged<'s> {
    pub(super) fn new(sorters: Vec<Sorter<'s>>) -> io::Result<Merged<'s>> {
        Merged::within(BUFFERS, sorters)
    }

    fn within(buffers: usize, sorters: Vec<Sorter<'s>>) -> io::Result<Merged<'s>> {
        let (mut streams, mut runs) = (Vec::new(), VecDeque::new());
        for mut sorter in sorters {
            sort::sort(&sorter.arena, &mut sorter.index);
            let Sorter { spool, arena, index, runs: spilled, .. } = sorter;
            runs.extend(spilled.into_iter().map(|run| (spool, run)));
            streams.push(Stream::Memory { arena, index, next: 0 });
        }
        while let Some(many) = too_many(buffers, &mut runs) {
            runs.push_back(pass(buffers, many)?);
        }
        streams.extend(readers(buffers, runs.into_iter().collect()));
        Merged::of(streams)
    }

    fn of(streams: Vec<Stream<'s>>) -> io::Result<Merged<'s>> {
        let mut merged = Merged { streams, heads: BinaryHeap::new(), given: false };
        for stream in 0..merged.streams.len() {
            let mut key = Vec::new();
            if merged.streams[stream].advance(&mut key)? {
                merged.heads.push(Reverse(Head { key, stream }));
            }
        }
        Ok(merged)
    }

    /// The next row: key and value.
    ///
    /// # Errors
    /// If a spool fails.
    pub fn next_row(&mut self) -> io::Result<Option<(&[u8], &[u8])>> {
        if std::mem::replace(&mut self.given, true)
            && let Some(mut top) = self.heads.peek_mut()
        {
            let head = &mut top.0;
            if !self.streams[head.stream].advance(&mut head.key)? {
                PeekMut::pop(top);
            }
        }
        let Some(Reverse(head)) = self.heads.peek() else { return Ok(None) };
        Ok(Some((&head.key, self.streams[head.stream].value())))
    }
}

/// The buffer that a run is read with needs this much at least.
fn need((_, run): &Place<'_>) -> usize {
    run.largest.max(LEAST)
}

/// As many runs as the buffers are enough for, two at least, if they are not enough for all. They
/// become one, so that an end comes.
fn too_many<'s>(buffers: usize, runs: &mut VecDeque<Place<'s>>) -> Option<Vec<Place<'s>>> {
    let all: usize = runs.iter().map(need).sum();
    if all <= buffers || runs.len() <= 2 {
        return None;
    }
    let mut taken = 0;
    let fit = runs.iter().take_while(|run| {
        taken += need(run);
        taken <= buffers
    });
    let count = fit.count().max(2);
    Some(runs.drain(..count).collect())
}

/// Merges runs into one.
fn pass<'s>(buffers: usize, runs: Vec<Place<'s>>) -> io::Result<Place<'s>> {
    let spool = runs.first().map(|(spool, _)| *spool);
    let spool = spool.ok_or_else(|| io::Error::other("no run is merged"))?;
    let mut rows = Merged::of(readers(buffers, runs).collect())?;
    let mut writer = RunWriter::new(spool);
    let mut row = Vec::new();
    while let Some((key, value)) = rows.next_row()? {
        row.clear();
        row.extend_from_slice(&(key.len() as u32).to_le_bytes());
        row.extend_from_slice(&(value.len() as u32).to_le_bytes());
        row.extend_from_slice(key);
        row.extend_from_slice(value);
        writer.push(&row)?;
    }
    Ok((spool, writer.finish()?))
}

fn readers(buffers: usize, runs: Vec<Place<'_>>) -> impl Iterator<Item = Stream<'_>> {
    let buffer = (buffers / runs.len().max(1)).clamp(LEAST, 1 << 20);
    runs.into_iter().map(move |(spool, run)| Stream::Spooled(Reader::new(spool, run, buffer)))
}

impl Stream<'_> {
    /// Goes to the next row and puts its key in place of what `key` holds; `false` if there is
    /// none.
    fn advance(&mut self, key: &mut Vec<u8>) -> io::Result<bool> {
        key.clear();
        match self {
            Stream::Memory { arena, index, next } => {
                let Some(entry) = index.get(*next) else { return Ok(false) };
                *next += 1;
                let row = sort::row(arena, entry);
                key.extend_from_slice(&row[HEAD..HEAD + lengths(row).0]);
                Ok(true)
            }
            Stream::Spooled(reader) => reader.advance(key),
        }
    }

    /// The value of the row that the stream stands at.
    fn value(&self) -> &[u8] {
        match self {
            Stream::Memory { arena, index, next } => {
                let row = sort::row(arena, &index[*next - 1]);
                &row[HEAD + lengths(row).0..]
            }
            Stream::Spooled(reader) => reader.value(),
        }
    }
}

/// Reads a run with one buffer.
struct Reader<'s> {
    spool: &'s dyn Spool,
    rest: Run,
    buffer: Vec<u8>,
    /// Where the row begins that comes next.
    next: usize,
    /// Where the value of the current row lies.
    value: (usize, usize),
    block: usize,
}

impl<'s> Reader<'s> {
    fn new(spool: &'s dyn Spool, rest: Run, block: usize) -> Reader<'s> {
        Reader { spool, rest, buffer: Vec::new(), next: 0, value: (0, 0), block }
    }

    fn advance(&mut self, key: &mut Vec<u8>) -> io::Result<bool> {
        if !self.fill(HEAD)? {
            return Ok(false);
        }
        let (keys, values) = lengths(&self.buffer[self.next..]);
        if !self.fill(HEAD + keys + values)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let begin = self.next + HEAD;
        key.extend_from_slice(&self.buffer[begin..begin + keys]);
        self.value = (begin + keys, begin + keys + values);
        self.next = self.value.1;
        Ok(true)
    }

    fn value(&self) -> &[u8] {
        &self.buffer[self.value.0..self.value.1]
    }

    /// Makes sure that so many bytes lie in the buffer from `next` on; `false` if the run has ended
    /// there.
    fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        let mut have = self.buffer.len() - self.next;
        if have >= bytes {
            return Ok(true);
        }
        self.buffer.drain(..self.next);
        self.next = 0;
        while have < bytes {
            let Some(extent) = self.rest.extents.front_mut() else {
                return if have == 0 {
                    Ok(false)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            };
            let wanted = bytes.max(self.block) - have;
            let more = usize::try_from(extent.bytes).unwrap_or(usize::MAX).min(wanted);
            self.buffer.resize(have + more, 0);
            self.spool.read_at(extent.offset, &mut self.buffer[have..])?;
            extent.offset += more as u64;
            extent.bytes -= more as u64;
            if extent.bytes == 0 {
                self.rest.extents.pop_front();
            }
            have += more;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;

    #[test]
    fn many_runs_are_merged_in_passes_and_large_rows_with_few_others() {
        for (rows, value, budget, buffers) in [
            (0_u32, 0, 64, 1 << 20),
            (40, 8, 64, 1),
            (3000, 8, 64, 20 * LEAST),
            (3000, 8, 64, BUFFERS),
            (90, 3 * LEAST, 2 * LEAST, 10 * LEAST),
        ] {
            let spools = [Memory::default(), Memory::shared()];
            let mut sorters: Vec<Sorter<'_>> =
                spools.iter().map(|spool| Sorter::new(spool, budget)).collect();
            for number in 0..rows {
                // Neither ascending nor descending.
                let key = (number ^ 0x155).to_be_bytes();
                let value = vec![number as u8; value + (number % 5) as usize];
                sorters[number as usize % 2].push(&key, &value).expect("the spool writes");
            }
            let mut merged = Merged::within(buffers, sorters).expect("the spool reads");
            let spooled = merged.streams.len() - 2;
            assert!(spooled <= (buffers / LEAST.max(value)).max(2), "{spooled} runs at once");
            let mut keys = Vec::new();
            while let Some((key, found)) = merged.next_row().expect("the spool reads") {
                let number = u32::from_be_bytes(*key.first_chunk().expect("a key")) ^ 0x155;
                let expected = vec![number as u8; value + (number % 5) as usize];
                assert_eq!(found, expected);
                keys.push(key.to_vec());
            }
            let mut expected: Vec<_> = (0..rows).map(|n| (n ^ 0x155).to_be_bytes()).collect();
            expected.sort_unstable();
            assert_eq!(keys, expected);
        }
    }
}
