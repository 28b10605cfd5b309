//! Rows: key and value bytes that are sorted however many there are.
//!
//! Adapters that make one file of all records turn each record into rows, on any number of threads,
//! and read them back in the order of their keys. What does not fit in memory goes to a [`Spool`]
//! as sorted runs, which are merged, in several passes if there are many: memory does not grow with
//! the number of rows (INV-LIMIT), but for some 100 bytes for each time that a sorter was full. A pass
//! writes what it merges to the spool once more.
//!
//! Keys should be distinct; rows with equal keys come in an order that depends on the threads.

pub(crate) mod code;
#[cfg(test)]
pub(crate) mod memory;
mod merge;
mod sort;

use std::collections::VecDeque;
use std::io;

pub use merge::Merged;

/// Where bytes go that do not fit in memory. Offsets are those of the spool alone.
pub trait Spool: Send + Sync {
    /// Keeps bytes and says where.
    ///
    /// # Errors
    /// If they cannot be kept.
    fn append(&self, bytes: &[u8]) -> io::Result<u64>;

    /// Reads bytes that were kept.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
}

/// Most bytes of one key or one value.
pub const MAX_BYTES: usize = 1 << 30;

/// Bytes before each row in memory and in a run: lengths of key and value, u32 little-endian.
const HEAD: usize = 8;

/// Takes rows in any order.
pub struct Sorter<'s> {
    spool: &'s dyn Spool,
    budget: usize,
    arena: Vec<u8>,
    index: Vec<sort::Entry>,
    runs: Vec<Run>,
}

/// A sorted run in a spool.
#[derive(Debug, Default)]
struct Run {
    /// Where its bytes are: one extent, but for what others wrote to the spool in between. A row lies
    /// in one extent.
    extents: VecDeque<Extent>,
    /// Bytes of its largest row, lengths included.
    largest: usize,
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    offset: u64,
    bytes: u64,
}

impl<'s> Sorter<'s> {
    /// A sorter that holds about `budget` bytes in memory.
    #[must_use]
    pub fn new(spool: &'s dyn Spool, budget: usize) -> Sorter<'s> {
        // Offsets into the arena are u32.
        let budget = budget.min(1 << 30);
        Sorter { spool, budget, arena: Vec::new(), index: Vec::new(), runs: Vec::new() }
    }

    /// Takes a row.
    ///
    /// # Errors
    /// If the spool fails, or the row is over [`MAX_BYTES`].
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let bytes = HEAD + key.len() + value.len();
        if key.len() > MAX_BYTES || value.len() > MAX_BYTES {
            return Err(io::Error::other("a row is larger than 1 GiB"));
        }
        if !self.index.is_empty() && self.held() + bytes > self.budget {
            self.spill()?;
        }
        let at = self.arena.len() as u32;
        self.index.push(sort::Entry::new(at));
        self.arena.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.arena.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.arena.extend_from_slice(key);
        self.arena.extend_from_slice(value);
        Ok(())
    }

    /// Where rows go that do not fit.
    pub(crate) fn spool(&self) -> &'s dyn Spool {
        self.spool
    }

    fn held(&self) -> usize {
        self.arena.len() + self.index.len() * size_of::<sort::Entry>()
    }

    /// Writes what is in memory as a sorted run.
    fn spill(&mut self) -> io::Result<()> {
        sort::sort(&self.arena, &mut self.index);
        let mut writer = RunWriter::new(self.spool);
        for entry in &self.index {
            writer.push(sort::row(&self.arena, entry))?;
        }
        self.runs.push(writer.finish()?);
        self.arena.clear();
        self.index.clear();
        Ok(())
    }
}

/// Writes rows that are sorted.
struct RunWriter<'s> {
    spool: &'s dyn Spool,
    block: Vec<u8>,
    run: Run,
}

impl<'s> RunWriter<'s> {
    /// Bytes written at once.
    const BLOCK: usize = 1 << 20;

    fn new(spool: &'s dyn Spool) -> RunWriter<'s> {
        let block = Vec::with_capacity(RunWriter::BLOCK + (RunWriter::BLOCK >> 2));
        RunWriter { spool, block, run: Run::default() }
    }

    /// Takes a row with its lengths.
    fn push(&mut self, row: &[u8]) -> io::Result<()> {
        self.block.extend_from_slice(row);
        self.run.largest = self.run.largest.max(row.len());
        if self.block.len() >= RunWriter::BLOCK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let offset = self.spool.append(&self.block)?;
        let bytes = self.block.len() as u64;
        match self.run.extents.back_mut() {
            Some(last) if last.offset + last.bytes == offset => last.bytes += bytes,
            _ => self.run.extents.push_back(Extent { offset, bytes }),
        }
        self.block.clear();
        Ok(())
    }

    /// What was written.
    fn finish(mut self) -> io::Result<Run> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        Ok(self.run)
    }
}

/// The rows of all sorters in the order of their keys.
///
/// # Errors
/// If a spool fails.
pub fn merge(sorters: Vec<Sorter<'_>>) -> io::Result<Merged<'_>> {
    Merged::new(sorters)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::memory::Memory;
    use super::*;

    fn read(mut merged: Merged<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows = Vec::new();
        while let Some((key, value)) = merged.next_row().expect("the spool reads") {
            rows.push((key.to_vec(), value.to_vec()));
        }
        rows
    }

    proptest! {
        #[test]
        fn rows_come_back_sorted_whatever_the_sorters_and_the_memory(
            rows in proptest::collection::btree_map(
                proptest::collection::vec(0_u8..4, 0..40),
                proptest::collection::vec(any::<u8>(), 0..20),
                0..200,
            ),
            shuffle in any::<u64>(),
            sorters in 1_usize..4,
            budget in 1_usize..4000,
        ) {
            let spool = Memory::default();
            let mut all: Vec<Sorter<'_>> =
                (0..sorters).map(|_| Sorter::new(&spool, budget)).collect();
            let mut order: Vec<_> = rows.iter().collect();
            order.sort_by_key(|(key, _)| {
                stella_model::Digest::of(&[&shuffle.to_be_bytes()[..], key].concat())
            });
            for (place, (key, value)) in order.into_iter().enumerate() {
                all[place % sorters].push(key, value).expect("the spool writes");
            }
            let back = read(merge(all).expect("the spool reads"));
            prop_assert_eq!(back, rows.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_spool_that_fails_is_an_error_and_no_row_is_lost_in_silence() {
        let spool = Memory::with_limit(100);
        let mut sorter = Sorter::new(&spool, 64);
        let mut failed = false;
        for number in 0_u32..100 {
            failed |= sorter.push(&number.to_be_bytes(), &[0; 30]).is_err();
        }
        assert!(failed);
    }

    #[test]
    fn memory_is_bounded() {
        let spool = Memory::default();
        let mut sorter = Sorter::new(&spool, 10_000);
        for number in 0_u32..10_000 {
            sorter.push(&number.to_be_bytes(), &[0; 16]).expect("the spool writes");
            assert!(sorter.held() <= 10_000);
        }
        assert!(sorter.runs.len() > 10);
        assert_eq!(read(merge(vec![sorter]).expect("reads")).len(), 10_000);
    }
}
