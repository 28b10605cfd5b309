//! Files of SQLite, read by someone who trusts nothing: a walk over tables and indexes that checks
//! every page and every key on its way.
//!
//! It knows the [file format](https://www.sqlite.org/fileformat2.html) and no SQL: what a table is
//! called and what its columns mean is the caller's business. Nothing is written, nothing is executed, no
//! file beside the database is looked for. Every offset is checked before it is followed, pages are
//! counted so that each is reached once, and memory does not grow with the file but for one bit a
//! page. What of the byte layout is read is described in `docs/formats/sqlite.md` of the repository.
//!
//! # Examples
//! ```no_run
//! use std::fs::File;
//! use std::ops::ControlFlow;
//! use stella_sqlite::{Database, Limits, SCHEMA_ROOT};
//!
//! let mut database = Database::open(File::open("some.db")?, Limits::DEFAULT)?;
//! database.table(SCHEMA_ROOT, &mut |rowid, record| {
//!     println!("{rowid}: {record:?}");
//!     ControlFlow::Continue(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod header;
mod page;
mod record;
mod walk;

use std::fs::File;
use std::io;

pub use header::{Header, HeaderDefect};
pub use page::Defect;
pub use record::{Record, Value};
pub use walk::{Database, SCHEMA_ROOT};

/// A source of bytes that can be read at any place.
pub trait ReadAt {
    /// How many bytes there are.
    ///
    /// # Errors
    /// If that cannot be told.
    fn size_bytes(&self) -> io::Result<u64>;

    /// Fills a buffer from `offset` on.
    ///
    /// # Errors
    /// If the bytes cannot be read, or there are fewer.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for &[u8] {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let bytes = rest.and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for File {
    fn size_bytes(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, out, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            let count = std::os::windows::fs::FileExt::seek_read(self, out, offset)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            out = &mut out[count..];
            offset += count as u64;
        }
        Ok(())
    }
}

/// What reading may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest record in bytes. Stops rows that fill the memory.
    pub record_bytes: u64,
    /// Most pages. Stops files whose bitmap of pages fills the memory.
    pub pages: u32,
}

impl Limits {
    /// Records of 1 MiB, 64 GiB at pages of 4 KiB.
    pub const DEFAULT: Limits = Limits { record_bytes: 1 << 20, pages: 1 << 24 };
}

/// Why a file does not read.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Its bytes cannot be had.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// Its first hundred bytes are not those of a database.
    #[error("its header {0}")]
    Header(HeaderDefect),
    /// A page is not what it should be.
    #[error("page {page} {defect}")]
    Page {
        /// The number of the page, the first is 1.
        page: u32,
        /// What is wrong with it.
        defect: Defect,
    },
}
