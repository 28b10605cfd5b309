//! Merging sorted rows.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;

use super::sort::{self, lengths};
use super::{HEAD, Run, Sorter, Spool};

/// Bytes of all read buffers together.
const BUFFERS: usize = 16 << 20;

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
        let runs: usize = sorters.iter().map(|sorter| sorter.runs.len()).sum();
        let buffer = (BUFFERS / runs.max(1)).clamp(16 << 10, 1 << 20);
        let mut streams = Vec::new();
        for mut sorter in sorters {
            sort::sort(&sorter.arena, &mut sorter.index);
            for run in &sorter.runs {
                streams.push(Stream::Spooled(Reader::new(sorter.spool, *run, buffer)));
            }
            let Sorter { arena, index, .. } = sorter;
            streams.push(Stream::Memory { arena, index, next: 0 });
        }
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
        let have = self.buffer.len() - self.next;
        if have >= bytes {
            return Ok(true);
        }
        if have == 0 && self.rest.bytes == 0 {
            return Ok(false);
        }
        self.buffer.drain(..self.next);
        self.next = 0;
        let wanted = bytes.max(self.block) - have;
        let more = usize::try_from(self.rest.bytes).unwrap_or(usize::MAX).min(wanted);
        if have + more < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.resize(have + more, 0);
        self.spool.read_at(self.rest.offset, &mut self.buffer[have..])?;
        self.rest.offset += more as u64;
        self.rest.bytes -= more as u64;
        Ok(true)
    }
}
