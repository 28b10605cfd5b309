//! The bulk writer: sorted entries in, pages out, one pass.

mod pages;
mod tree;

use std::io::{self, Seek, Write};

use pages::Pages;
use tree::{Tree, Value};

/// Longest key. bbolt itself takes no longer one.
pub const MAX_KEY_BYTES: usize = 32_768;

/// Longest value. bbolt itself takes no longer one.
pub const MAX_VALUE_BYTES: usize = (1 << 31) - 2;

/// How many buckets may be open at once, one inside the other.
///
/// bbolt has no such bound, but goes down into buckets by calling itself.
pub const MAX_DEPTH: usize = 512;

/// The size of a page in bytes: a power of two from 1,024 to 65,536.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(usize);

/// A size that pages cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("pages of {size_bytes} bytes: a page has a power of two from 1024 to 65536")]
pub struct PageSizeError {
    /// The size that was asked for.
    pub size_bytes: u32,
}

/// Writes a bbolt file from entries that arrive in order.
///
/// A writer stands in a bucket, at first in the root. [`enter`](Writer::enter) begins a bucket in
/// it and goes in, [`put`](Writer::put) adds a pair, [`leave`](Writer::leave) ends the bucket and
/// goes back. The keys of a bucket, those of its pairs and those of its buckets together, ascend
/// strictly by their bytes. The root holds buckets only.
///
/// # Guarantees
/// - **Determinism**: the same calls write the same bytes, whatever the sink and the machine.
/// - **Memory**: a few pages for each open bucket and 256 KiB; it does not grow with the file, nor
///   with the length of a value.
/// - **Atomicity**: the first three pages are zero until [`finish`](Writer::finish) has written
///   everything else, so a file that was not finished is refused by every reader. Making it durable
///   is the business of who owns the sink.
/// - A call that is refused for its arguments changes nothing. After an error of the sink every
///   further `put`, `leave` and `finish` fails.
///
/// The layout is that of `docs/formats/bolt.md`.
#[derive(Debug)]
pub struct Writer<W> {
    out: Pages<W>,
    /// The open buckets, the root first; those from `depth + 1` on are kept for their buffers.
    trees: Vec<Tree>,
    depth: usize,
}

/// What [`Writer::finish`] gives back.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finished<W> {
    /// The sink, at the end of the file and flushed.
    pub sink: W,
    /// Number of pages.
    pub pages: u64,
    /// Length of the file in bytes.
    pub size_bytes: u64,
}

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A key has at least one byte.
    #[error("an empty key")]
    Empty,
    /// Longer than [`MAX_KEY_BYTES`].
    #[error("a key of {size_bytes} bytes, over the {MAX_KEY_BYTES} that a key may have")]
    TooLong {
        /// Its length.
        size_bytes: usize,
    },
    /// Equal to the key before it in the same bucket.
    #[error("the key {} for the second time", shown(key))]
    Duplicate {
        /// The key.
        key: Box<[u8]>,
    },
    /// Smaller than the key before it in the same bucket.
    #[error("the key {} after {}: keys must ascend", shown(key), shown(last))]
    NotAscending {
        /// The key.
        key: Box<[u8]>,
        /// The one before.
        last: Box<[u8]>,
    },
}

/// Why a pair was not added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// Its key cannot stand there.
    #[error("cannot add a pair")]
    Key(#[source] KeyError),
    /// Its value is longer than [`MAX_VALUE_BYTES`].
    #[error("a value of {size_bytes} bytes, over the {MAX_VALUE_BYTES} that a value may have")]
    ValueTooLong {
        /// Its length.
        size_bytes: usize,
    },
    /// The writer stands in the root, which holds buckets only.
    #[error("a pair outside any bucket: the root holds buckets only")]
    InRoot,
    /// The sink failed.
    #[error("cannot write pages")]
    Sink(#[source] io::Error),
}

/// Why a bucket was not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnterError {
    /// Its key cannot stand there.
    #[error("cannot begin a bucket")]
    Key(#[source] KeyError),
    /// [`MAX_DEPTH`] buckets are open.
    #[error("a bucket inside {MAX_DEPTH} others")]
    TooDeep,
}

/// Why a bucket was not ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveError {
    /// The writer stands in the root.
    #[error("no bucket is open")]
    NotEntered,
    /// The sink failed.
    #[error("cannot write pages")]
    Sink(#[source] io::Error),
}

/// Why the file was not finished.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinishError {
    /// Buckets were begun and not ended.
    #[error("{count} buckets are still open")]
    Open {
        /// How many.
        count: usize,
    },
    /// The sink failed.
    #[error("cannot write the last pages")]
    Sink(#[source] io::Error),
}

impl PageSize {
    /// 4,096 bytes, the only size that every bbolt opens on every machine.
    pub const DEFAULT: PageSize = PageSize(4096);

    /// Checks a size.
    ///
    /// # Errors
    /// If it is no power of two from 1,024 to 65,536.
    pub fn new(size_bytes: u32) -> Result<PageSize, PageSizeError> {
        if size_bytes.is_power_of_two() && (1024..=65_536).contains(&size_bytes) {
            Ok(PageSize(size_bytes as usize))
        } else {
            Err(PageSizeError { size_bytes })
        }
    }

    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.0
    }
}

impl<W: Write + Seek> Writer<W> {
    /// A writer of an empty file that begins where the sink stands.
    #[must_use]
    pub fn new(sink: W, page_size: PageSize) -> Writer<W> {
        Writer { out: Pages::new(sink, page_size.bytes()), trees: vec![Tree::default()], depth: 0 }
    }

    /// How many buckets are open.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Adds a pair to the open bucket.
    ///
    /// # Errors
    /// If the pair cannot stand there or the sink fails.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), PutError> {
        self.out.usable().map_err(PutError::Sink)?;
        if self.depth == 0 {
            return Err(PutError::InRoot);
        }
        if value.len() > MAX_VALUE_BYTES {
            return Err(PutError::ValueTooLong { size_bytes: value.len() });
        }
        let tree = &mut self.trees[self.depth];
        check_key(key, tree).map_err(PutError::Key)?;
        tree.add(key, Value::Bytes(value), &mut self.out).map_err(PutError::Sink)
    }

    /// Begins a bucket in the open one and goes in.
    ///
    /// # Errors
    /// If its key cannot stand there or too many buckets are open.
    pub fn enter(&mut self, key: &[u8]) -> Result<(), EnterError> {
        if self.depth == MAX_DEPTH {
            return Err(EnterError::TooDeep);
        }
        check_key(key, &self.trees[self.depth]).map_err(EnterError::Key)?;
        self.trees[self.depth].hold_buckets();
        self.depth += 1;
        if self.trees.len() == self.depth {
            self.trees.push(Tree::default());
        }
        self.trees[self.depth].begin(key);
        Ok(())
    }

    /// Ends the open bucket and goes back to the one around it.
    ///
    /// # Errors
    /// If none is open or the sink fails.
    pub fn leave(&mut self) -> Result<(), LeaveError> {
        self.out.usable().map_err(LeaveError::Sink)?;
        let Some(around) = self.depth.checked_sub(1) else {
            return Err(LeaveError::NotEntered);
        };
        let (outer, inner) = self.trees.split_at_mut(self.depth);
        let (parent, tree) = (&mut outer[around], &mut inner[0]);
        let value = if tree.fits_inline(self.out.page_bytes()) {
            Value::Inline(tree.leaf())
        } else {
            Value::Bucket(tree.close(&mut self.out).map_err(LeaveError::Sink)?)
        };
        parent.add(tree.key(), value, &mut self.out).map_err(LeaveError::Sink)?;
        self.depth = around;
        Ok(())
    }

    /// Writes what is held back and, last, the pages that make it a file.
    ///
    /// # Errors
    /// If a bucket is open or the sink fails.
    pub fn finish(mut self) -> Result<Finished<W>, FinishError> {
        self.out.usable().map_err(FinishError::Sink)?;
        if self.depth > 0 {
            return Err(FinishError::Open { count: self.depth });
        }
        let root = self.trees[0].close(&mut self.out).map_err(FinishError::Sink)?;
        let (pages, page_bytes) = (self.out.count(), self.out.page_bytes());
        let sink = self.out.finish(root).map_err(FinishError::Sink)?;
        Ok(Finished { sink, pages, size_bytes: pages * page_bytes as u64 })
    }
}

fn check_key(key: &[u8], tree: &Tree) -> Result<(), KeyError> {
    if key.is_empty() {
        return Err(KeyError::Empty);
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(KeyError::TooLong { size_bytes: key.len() });
    }
    match tree.last_key() {
        Some(last) if key == last => Err(KeyError::Duplicate { key: key.into() }),
        Some(last) if key < last => {
            Err(KeyError::NotAscending { key: key.into(), last: last.into() })
        }
        _ => Ok(()),
    }
}

/// The beginning of a key as people read it.
fn shown(key: &[u8]) -> String {
    const SHOWN_BYTES: usize = 80;
    let cut = &key[..key.len().min(SHOWN_BYTES)];
    let dots = if cut.len() < key.len() { "…" } else { "" };
    format!("\"{}{dots}\"", cut.escape_ascii())
}
