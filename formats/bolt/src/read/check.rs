//! The check of a whole file.

use super::cursor::{Cursor, Event, Pages, Seen};
use super::page::{Header, u64_at};
use super::{Database, Defect, ReadAt, ReadError};

const FREELIST_FLAGS: u16 = 0x10;
/// A count of the header that says that the true one is the first entry.
const COUNT_FOLLOWS: u16 = 0xFFFF;
const HEADER_BYTES: usize = 16;
const ENTRY_BYTES: u64 = 8;

/// What a check has found in a file that is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Pages, up to the last that was ever used.
    pub pages: u64,
    /// Pages of them that are free.
    pub free_pages: u64,
    /// Buckets, the root not counted.
    pub buckets: u64,
    /// Buckets of them that lie within a page of their parent.
    pub inline_buckets: u64,
    /// Pairs.
    pub pairs: u64,
    /// Which of the two meta pages are valid: one is enough.
    pub valid_metas: [bool; 2],
    /// Number of the last transaction.
    pub transaction: u64,
}

pub(super) fn check<R: ReadAt>(database: &Database<R>) -> Result<Report, ReadError> {
    let meta = database.meta;
    for (page, _) in (0..).zip(database.valid_metas).filter(|(_, valid)| *valid) {
        database.check_meta_header(page)?;
    }
    let (mut used, mut free) = (Pages::of(meta.pages), Pages::of(meta.pages));
    used.insert(0);
    used.insert(1);
    let mut free_pages = match meta.freelist {
        Some(page) => freelist(database, page, &mut used, &mut free)?,
        None => 0,
    };
    let mut cursor = Cursor::new(database, Seen::Exactly(used));
    let (mut buckets, mut pairs) = (0, 0);
    while let Some(event) = cursor.advance()? {
        match event {
            Event::Enter { .. } => buckets += 1,
            Event::Pair { .. } => pairs += 1,
            Event::Leave => {}
        }
    }
    let inline_buckets = cursor.inline_buckets;
    let used = match cursor.seen {
        Seen::Exactly(used) => used,
        Seen::AtMost(_) => Pages::default(),
    };
    for page in 0..meta.pages {
        let defect = match (used.contains(page), free.contains(page)) {
            (true, false) | (false, true) => continue,
            (true, true) => Defect::UsedAndFree,
            // Where the list is not kept, what nobody leads to is free.
            (false, false) if meta.freelist.is_none() => {
                free_pages += 1;
                continue;
            }
            (false, false) => Defect::Unreached,
        };
        return Err(ReadError::Page { page, defect });
    }
    Ok(Report {
        pages: meta.pages,
        free_pages,
        buckets,
        inline_buckets,
        pairs,
        valid_metas: database.valid_metas,
        transaction: meta.transaction,
    })
}

/// Reads the list of free pages; how many there are.
fn freelist<R: ReadAt>(
    database: &Database<R>,
    page: u64,
    used: &mut Pages,
    free: &mut Pages,
) -> Result<u64, ReadError> {
    let (bytes, overflow) = database.run(page, 0)?;
    let defect = ReadError::defect(page);
    let header = Header::of(&bytes);
    if header.flags != FREELIST_FLAGS {
        return Err(defect(Defect::Kind { flags: header.flags, wanted: "list of free pages" }));
    }
    for page in page..=page + u64::from(overflow) {
        used.insert(page);
    }
    let (count, skipped) = match header.count {
        COUNT_FOLLOWS => (u64_at(&bytes, HEADER_BYTES), ENTRY_BYTES),
        count => (u64::from(count), 0),
    };
    let room = (bytes.len() - HEADER_BYTES) as u64 - skipped;
    if count > room / ENTRY_BYTES {
        return Err(defect(Defect::Table { count }));
    }
    let mut last = 1;
    for index in 0..count {
        // At most the length of the page.
        let at = HEADER_BYTES + (skipped + index * ENTRY_BYTES) as usize;
        let id = u64_at(&bytes, at);
        if id <= last || id >= database.meta.pages {
            return Err(defect(Defect::Freelist { index, free: id }));
        }
        free.insert(id);
        last = id;
    }
    Ok(count)
}
