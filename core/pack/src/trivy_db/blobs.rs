//! Texts of records, kept once however many rows point to them.

use std::io;

use crate::rows::Spool;
use crate::rows::code::damaged;

/// Blocks are this long before they are closed.
const BLOCK: usize = 1 << 20;

/// Where a text lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlobRef {
    pub(super) block: u32,
    pub(super) at: u32,
    pub(super) bytes: u32,
}

/// Bytes by reference: in memory as far as the budget goes, then in a spool.
pub(super) struct Blobs<'s> {
    spool: &'s dyn Spool,
    /// Blocks that may be in memory.
    budget: usize,
    closed: Vec<Block>,
    open: Vec<u8>,
}

enum Block {
    Memory(Vec<u8>),
    Spooled(u64),
}

impl<'s> Blobs<'s> {
    pub(super) fn new(spool: &'s dyn Spool, budget_bytes: usize) -> Blobs<'s> {
        Blobs { spool, budget: budget_bytes / BLOCK, closed: Vec::new(), open: Vec::new() }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) -> io::Result<BlobRef> {
        if self.open.len() >= BLOCK {
            let full = std::mem::replace(&mut self.open, Vec::with_capacity(BLOCK + (BLOCK >> 3)));
            self.closed.push(if self.closed.len() < self.budget {
                Block::Memory(full)
            } else {
                Block::Spooled(self.spool.append(&full)?)
            });
        }
        let numbers = (
            u32::try_from(self.closed.len()),
            u32::try_from(self.open.len()),
            u32::try_from(bytes.len()),
        );
        let (Ok(block), Ok(at), Ok(length)) = numbers else {
            return Err(io::Error::other("a text is larger than 4 GiB"));
        };
        self.open.extend_from_slice(bytes);
        Ok(BlobRef { block, at, bytes: length })
    }

    /// Appends a text.
    pub(super) fn append(&self, blob: BlobRef, out: &mut Vec<u8>) -> io::Result<()> {
        let (at, bytes) = (blob.at as usize, blob.bytes as usize);
        let memory = match self.closed.get(blob.block as usize) {
            Some(Block::Spooled(offset)) => {
                let start = out.len();
                out.resize(start + bytes, 0);
                return self.spool.read_at(offset + u64::from(blob.at), &mut out[start..]);
            }
            Some(Block::Memory(block)) => block,
            None => &self.open,
        };
        let found = memory.get(at..at + bytes).ok_or_else(damaged)?;
        out.extend_from_slice(found);
        Ok(())
    }
}
