//! The reader: files of anybody, checked as they are read.

mod check;
mod cursor;
mod database;
mod page;
mod source;

use std::io;

pub use check::Report;
pub use cursor::{Cursor, Event};
pub use database::Database;
pub use source::ReadAt;

/// Bounds on what a file may make the reader do. Each stops an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest file in bytes. Stops a sparse file of terabytes: a check remembers two bits for each
    /// page, and may have to look at every one.
    pub file_bytes: u64,
    /// Most bytes of pages in memory at once. Stops a page that claims to go on to the end of the
    /// file, so that all of it would be read in one piece. A value must fit.
    pub held_bytes: u64,
    /// Most buckets inside one another. Stops a bucket that contains itself.
    pub depth: usize,
    /// Most pages from the top of a bucket down to a pair. Stops a branch that is its own child.
    pub height: usize,
}

impl Limits {
    /// 64 GiB of file, 256 MiB of pages, 1,024 buckets deep, 64 pages high: more than any file needs
    /// that bbolt or this crate has written.
    pub const DEFAULT: Limits =
        Limits { file_bytes: 64 << 30, held_bytes: 256 << 20, depth: 1024, height: 64 };
}

/// Why a file is not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The source failed.
    #[error("cannot read the first pages")]
    Source(#[source] io::Error),
    /// Longer than [`Limits::file_bytes`].
    #[error("a file of {size_bytes} bytes, over the {limit_bytes} that are allowed")]
    TooLong {
        /// Its length.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// Neither meta page is valid.
    #[error("no bbolt file: meta page 0 has {first}, meta page 1 has {second}")]
    NoMeta {
        /// What is wrong with the first.
        first: MetaDefect,
        /// What is wrong with the second.
        second: MetaDefect,
    },
    /// Shorter than its meta page says.
    #[error("cut off: {pages} pages of {page_bytes} bytes in a file of {size_bytes} bytes")]
    CutOff {
        /// Number of pages.
        pages: u64,
        /// Size of a page.
        page_bytes: u32,
        /// Length of the file.
        size_bytes: u64,
    },
}

/// What is wrong with a meta page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetaDefect {
    /// The file ends before it, or its place is unknown.
    #[error("no place")]
    Missing,
    /// Not the number that every bbolt file begins with.
    #[error("a wrong magic number")]
    Magic,
    /// Not version 2.
    #[error("version {0}")]
    Version(u32),
    /// The checksum is not that of its fields.
    #[error("a wrong checksum")]
    Checksum,
    /// A page size that no file has, or not the one of the place where it was found.
    #[error("pages of {0} bytes")]
    PageSize(u32),
}

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The source failed.
    #[error("cannot read page {page}")]
    Source {
        /// The page.
        page: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not what bbolt writes.
    #[error("page {page} is defective")]
    Page {
        /// The page, for an inline bucket the one it lies in.
        page: u64,
        /// What is wrong.
        #[source]
        defect: Defect,
    },
    /// Reading on would go over one of the [`Limits`].
    #[error("page {page} goes over the limit of {limit}")]
    Limit {
        /// The page.
        page: u64,
        /// The name of the limit.
        limit: &'static str,
    },
}

/// What is wrong with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Defect {
    /// A reference leads to a page that does not exist or is a meta page.
    #[error("it is outside the {pages} pages of the file")]
    Outside {
        /// Number of pages.
        pages: u64,
    },
    /// Its header names another page.
    #[error("its header says page {found}")]
    Number {
        /// The number in the header.
        found: u64,
    },
    /// Its flags are not those of the kind that belongs there.
    #[error("its flags {flags:#06x} are not those of a {wanted}")]
    Kind {
        /// The flags in the header.
        flags: u16,
        /// What belongs there.
        wanted: &'static str,
    },
    /// It goes on past the end of the file.
    #[error("its {overflow} further pages reach past the end")]
    Overflow {
        /// The count in the header.
        overflow: u32,
    },
    /// The table of its elements goes on past its end.
    #[error("its {count} elements do not fit")]
    Table {
        /// The count in the header.
        count: u64,
    },
    /// The key or value of an element is not where the one before it ends, or goes on past the end of
    /// the page.
    #[error("element {index} has its data in a wrong place")]
    Place {
        /// The element.
        index: usize,
    },
    /// An element is neither a pair nor a bucket.
    #[error("element {index} has the flags {flags:#x}")]
    Flags {
        /// The element.
        index: usize,
        /// Its flags.
        flags: u32,
    },
    /// A key is empty or longer than any key.
    #[error("element {index} has a key of {size_bytes} bytes")]
    KeyLength {
        /// The element.
        index: usize,
        /// The length of its key.
        size_bytes: usize,
    },
    /// A key does not come after the one before it.
    #[error("the key of element {index} does not come after the one before it")]
    Order {
        /// The element.
        index: usize,
    },
    /// A key lies outside the keys between which its parent announces the page.
    #[error("the key of element {index} is outside the bounds that the branch above sets")]
    Bounds {
        /// The element.
        index: usize,
    },
    /// A branch, or a page below one, has no elements.
    #[error("it has no elements")]
    Empty,
    /// A branch has one child: bbolt panics when it edits such a file.
    #[error("it is a branch with a single child")]
    LoneChild,
    /// It is reached a second time.
    #[error("it is used twice")]
    UsedTwice,
    /// It is neither used nor free.
    #[error("it is neither used nor free")]
    Unreached,
    /// It is used although it is on the list of free pages.
    #[error("it is used and free")]
    UsedAndFree,
    /// The list of free pages holds a number twice, out of order, or of no page.
    #[error("entry {index} of the list of free pages is page {free}")]
    Freelist {
        /// The entry.
        index: u64,
        /// The number it holds.
        free: u64,
    },
    /// A pair in the root, which holds buckets only.
    #[error("element {index} is a pair in the root")]
    PairInRoot {
        /// The element.
        index: usize,
    },
    /// A bucket's value is too short for its header, or has no valid page inline.
    #[error("element {index} is no valid bucket")]
    Bucket {
        /// The element.
        index: usize,
    },
    /// A bucket inside an inline bucket: bbolt never keeps one there.
    #[error("element {index} is a bucket inside an inline bucket")]
    BucketInInline {
        /// The element.
        index: usize,
    },
    /// An inline bucket does not fill its value exactly.
    #[error("the inline bucket does not fill its value")]
    InlineLength,
}

impl ReadError {
    fn defect(page: u64) -> impl Fn(Defect) -> ReadError {
        move |defect| ReadError::Page { page, defect }
    }
}
