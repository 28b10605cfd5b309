//! The first hundred bytes.

use std::fmt;

/// Bytes of the header.
pub(crate) const BYTES: usize = 100;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What the header tells, as it tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of a page: a power of two from 512 to 65,536.
    pub page_bytes: u32,
    /// How the file is written: 1 with a rollback journal, 2 with a write-ahead log.
    pub write_version: u8,
    /// How the file is read, by the same numbers.
    pub read_version: u8,
    /// Bytes at the end of each page that hold nothing.
    pub reserved_bytes: u8,
    /// How often the file was changed.
    pub changes: u32,
    /// Number of pages.
    pub pages: u32,
    /// Number of pages without content.
    pub free_pages: u32,
    /// The form of records, 1 to 4.
    pub schema_format: u32,
    /// The largest root page if the file vacuums itself, else 0.
    pub largest_root: u32,
    /// 1 for UTF-8, 2 and 3 for UTF-16.
    pub encoding: u32,
    /// What an application makes of it.
    pub user_version: u32,
    /// Whether it vacuums itself bit by bit.
    pub incremental_vacuum: u32,
    /// Whose file it is.
    pub application_id: u32,
    /// Whether all bytes that mean nothing are zero.
    pub expansion_is_zero: bool,
    /// The number of changes for which the number of pages holds.
    pub valid_for: u32,
    /// The version of SQLite that wrote it last, as 3,051,003 for 3.51.3.
    pub library_version: u32,
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderDefect {
    /// There are fewer bytes than a header has.
    Short,
    /// It begins with something else.
    Magic,
    /// No page has so many bytes.
    PageBytes(u32),
    /// Less of a page can be used than the smallest record takes.
    Reserved(u8),
    /// A number that is always the same is another.
    Fractions,
    /// The file has another size than so many pages take.
    Pages {
        /// What the header tells.
        told: u32,
        /// Bytes of the file.
        bytes: u64,
    },
    /// There are more pages than are read.
    TooManyPages(u32),
}

impl fmt::Display for HeaderDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderDefect::Short => f.write_str("is cut off"),
            HeaderDefect::Magic => f.write_str("is not that of SQLite"),
            HeaderDefect::PageBytes(bytes) => write!(f, "tells pages of {bytes} bytes"),
            HeaderDefect::Reserved(bytes) => write!(f, "reserves {bytes} bytes of each page"),
            HeaderDefect::Fractions => f.write_str("tells other payload fractions than 64, 32, 32"),
            HeaderDefect::Pages { told, bytes } => {
                write!(f, "tells {told} pages of a file of {bytes} bytes")
            }
            HeaderDefect::TooManyPages(pages) => write!(f, "tells {pages} pages, too many to read"),
        }
    }
}

impl Header {
    /// Reads a header.
    pub(crate) fn parse(bytes: &[u8; BYTES]) -> Result<Header, HeaderDefect> {
        let number = |at: usize| {
            u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if &bytes[..16] != MAGIC {
            return Err(HeaderDefect::Magic);
        }
        let page_bytes = match u32::from(u16::from_be_bytes([bytes[16], bytes[17]])) {
            1 => 65_536,
            told => told,
        };
        if !(512..=65_536).contains(&page_bytes) || !page_bytes.is_power_of_two() {
            return Err(HeaderDefect::PageBytes(page_bytes));
        }
        if page_bytes - u32::from(bytes[20]) < 480 {
            return Err(HeaderDefect::Reserved(bytes[20]));
        }
        if bytes[21..24] != [64, 32, 32] {
            return Err(HeaderDefect::Fractions);
        }
        Ok(Header {
            page_bytes,
            write_version: bytes[18],
            read_version: bytes[19],
            reserved_bytes: bytes[20],
            changes: number(24),
            pages: number(28),
            free_pages: number(36),
            schema_format: number(44),
            largest_root: number(52),
            encoding: number(56),
            user_version: number(60),
            incremental_vacuum: number(64),
            application_id: number(68),
            expansion_is_zero: bytes[72..92].iter().all(|byte| *byte == 0),
            valid_for: number(92),
            library_version: number(96),
        })
    }
}
