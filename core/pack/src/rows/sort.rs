//! Sorting rows by key, eight bytes at a time.
//!
//! Keys of one bucket share long beginnings. Comparing them whole costs two reads of far-away
//! memory each time; here eight bytes of every key are copied beside its place, those are sorted,
//! and only keys that agree in them are looked at again, eight bytes further on.

use super::HEAD;

/// A row in the arena.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Eight bytes of the key, big-endian, zeros after its end.
    word: u64,
    at: u32,
}

impl Entry {
    pub(super) fn new(at: u32) -> Entry {
        Entry { word: 0, at }
    }
}

/// A row as it lies in the arena, lengths first.
pub(super) fn row<'a>(arena: &'a [u8], entry: &Entry) -> &'a [u8] {
    let row = &arena[entry.at as usize..];
    let (key, value) = lengths(row);
    &row[..HEAD + key + value]
}

/// Lengths of key and value of the row at the beginning of the bytes.
#[inline]
pub(super) fn lengths(row: &[u8]) -> (usize, usize) {
    let head = row.first_chunk().copied().map_or(0, u64::from_le_bytes);
    (head as u32 as usize, (head >> 32) as usize)
}

pub(super) fn sort(arena: &[u8], entries: &mut [Entry]) {
    sort_from(arena, entries, 0);
}

fn key<'a>(arena: &'a [u8], entry: &Entry) -> &'a [u8] {
    let row = &arena[entry.at as usize..];
    &row[HEAD..HEAD + lengths(row).0]
}

/// Sorts entries whose keys agree in the first `depth` bytes.
fn sort_from(arena: &[u8], entries: &mut [Entry], depth: usize) {
    /// So few are compared whole.
    const FEW: usize = 4;
    /// Recursion ends here, whatever keys there are.
    const DEEPEST: usize = 256;
    if entries.len() <= FEW || depth >= DEEPEST {
        entries.sort_unstable_by(|a, b| key(arena, a).cmp(key(arena, b)));
        return;
    }
    for entry in entries.iter_mut() {
        entry.word = word(key(arena, entry), depth);
    }
    entries.sort_unstable_by_key(|entry| entry.word);
    let mut rest = entries;
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|entry| entry.word == first.word).count();
        let (group, after) = rest.split_at_mut(same);
        if group.len() > 1 {
            // A key that ends within these bytes looks like one that goes on with zeros.
            if group.iter().any(|entry| key(arena, entry).len() < depth + 8) {
                group.sort_unstable_by(|a, b| key(arena, a).cmp(key(arena, b)));
            } else {
                sort_from(arena, group, depth + 8);
            }
        }
        rest = after;
    }
}

fn word(key: &[u8], depth: usize) -> u64 {
    let rest = &key[depth.min(key.len())..];
    match rest.first_chunk::<8>() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..rest.len()].copy_from_slice(rest);
            u64::from_be_bytes(bytes)
        }
    }
}
