//! Text whose size is known only at its end: kept in memory while it is small, else in a spool.

use std::io::{self, Read};

use crate::rows::Spool;

/// Bytes that are kept in memory.
const MEMORY: usize = 1 << 20;

/// Text in the making.
pub(super) struct Body<'s> {
    spool: &'s dyn Spool,
    memory: Vec<u8>,
    /// Where earlier bytes lie: offset and length.
    spooled: Vec<(u64, usize)>,
    size: u64,
}

impl<'s> Body<'s> {
    pub(super) fn new(spool: &'s dyn Spool) -> Body<'s> {
        Body { spool, memory: Vec::new(), spooled: Vec::new(), size: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.memory.extend_from_slice(bytes);
        self.size += bytes.len() as u64;
        if self.memory.len() >= MEMORY {
            self.spooled.push((self.spool.append(&self.memory)?, self.memory.len()));
            self.memory.clear();
        }
        Ok(())
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The text from its beginning.
    pub(super) fn reader(&self) -> BodyReader<'_, 's> {
        BodyReader { body: self, next: 0, block: Vec::new(), at: 0, in_memory: 0 }
    }

    /// Begins another text.
    pub(super) fn clear(&mut self) {
        self.memory.clear();
        self.spooled.clear();
        self.size = 0;
    }
}

/// Reads a text.
pub(super) struct BodyReader<'b, 's> {
    body: &'b Body<'s>,
    next: usize,
    block: Vec<u8>,
    at: usize,
    in_memory: usize,
}

impl Read for BodyReader<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            let Some((offset, length)) = self.body.spooled.get(self.next) else {
                let rest = &self.body.memory[self.in_memory..];
                let count = rest.len().min(out.len());
                out[..count].copy_from_slice(&rest[..count]);
                self.in_memory += count;
                return Ok(count);
            };
            self.block.resize(*length, 0);
            self.body.spool.read_at(*offset, &mut self.block)?;
            (self.next, self.at) = (self.next + 1, 0);
        }
        let count = (self.block.len() - self.at).min(out.len());
        out[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
