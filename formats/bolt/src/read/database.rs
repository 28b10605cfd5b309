//! Opening a file, and reading single pages and keys of it.

use std::borrow::Cow;

use super::check::{self, Report};
use super::cursor::{Cursor, Seen};
use super::page::{BucketValue, Header, Kind, Page, u32_at, u64_at};
use super::{Defect, Limits, MetaDefect, OpenError, ReadAt, ReadError};

const META_FLAGS: u16 = 0x04;
/// Bytes of a meta page that mean something, with its page header.
const META_BYTES: usize = 80;
const NOT_PERSISTED: u64 = u64::MAX;
const PAGE_BYTES: std::ops::RangeInclusive<u32> = 512..=65_536;

/// A bbolt file, read from bytes in memory or from any source that is [`ReadAt`].
///
/// Nothing is trusted: every reference is checked before it is followed, and the [`Limits`] bound
/// memory and work. What was not looked at is not vouched for: [`Database::check`] looks at
/// everything.
#[derive(Debug)]
pub struct Database<R> {
    source: R,
    pub(super) limits: Limits,
    pub(super) meta: Meta,
    /// Which of the two meta pages are valid.
    pub(super) valid_metas: [bool; 2],
}

/// The fields of a valid meta page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta {
    pub(super) page_bytes: u32,
    pub(super) root: u64,
    /// The first page of the list of free pages, if there is one.
    pub(super) freelist: Option<u64>,
    /// Number of pages that are in use or were.
    pub(super) pages: u64,
    pub(super) transaction: u64,
}

impl<R: ReadAt> Database<R> {
    /// Opens a file: the valid one of its two meta pages, of two the later.
    ///
    /// # Errors
    /// If no meta page is valid, the file is cut off or too long, or the source fails.
    pub fn open(source: R, limits: Limits) -> Result<Database<R>, OpenError> {
        let size_bytes = source.size_bytes().map_err(OpenError::Source)?;
        if size_bytes > limits.file_bytes {
            return Err(OpenError::TooLong { size_bytes, limit_bytes: limits.file_bytes });
        }
        let first = meta_at(&source, size_bytes, 0)?;
        let second = second_meta(&source, size_bytes, first.ok())?;
        let valid_metas = [first.is_ok(), second.is_ok()];
        let meta = match (first, second) {
            (Ok(first), Ok(second)) if first.transaction > second.transaction => first,
            (_, Ok(second)) => second,
            (Ok(first), Err(_)) => first,
            (Err(first), Err(second)) => return Err(OpenError::NoMeta { first, second }),
        };
        let needed = meta.pages.checked_mul(u64::from(meta.page_bytes));
        if needed.is_none_or(|needed| needed > size_bytes) {
            let Meta { pages, page_bytes, .. } = meta;
            return Err(OpenError::CutOff { pages, page_bytes, size_bytes });
        }
        Ok(Database { source, limits, meta, valid_metas })
    }

    /// The size of a page in bytes.
    pub fn page_bytes(&self) -> u32 {
        self.meta.page_bytes
    }

    /// Goes through all buckets and pairs in the order of their keys.
    pub fn cursor(&self) -> Cursor<'_, R> {
        Cursor::new(self, Seen::at_most(self.meta.pages))
    }

    /// Looks at every page: all of what bbolt relies on holds, and each page is used once or free.
    ///
    /// # Errors
    /// The first thing that is wrong, by page and [`Defect`]; going over a limit; or an error of the
    /// source.
    pub fn check(&self) -> Result<Report, ReadError> {
        check::check(self)
    }

    /// The value of a key in the bucket to which `path` leads from the root.
    ///
    /// `None` if a bucket of the path or the key does not exist, or the key is that of a bucket.
    ///
    /// # Errors
    /// If a page on the way is defective or over a limit, or the source fails.
    pub fn get(&self, path: &[&[u8]], key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let mut bucket = Found { page: self.meta.root, value: None };
        for name in path {
            match self.find(&bucket, name)? {
                Some((inner, true)) => bucket = inner,
                _ => return Ok(None),
            }
        }
        match self.find(&bucket, key)? {
            Some((Found { value, .. }, false)) => Ok(value),
            _ => Ok(None),
        }
    }

    /// Searches a bucket for a key: what it holds, and whether that is a bucket.
    fn find(&self, bucket: &Found, key: &[u8]) -> Result<Option<(Found, bool)>, ReadError> {
        let mut page_id = bucket.page;
        if let Some(value) = &bucket.value {
            let header = BucketValue::of(value);
            let header =
                header.ok_or(Defect::Bucket { index: 0 }).map_err(ReadError::defect(page_id))?;
            if header.root == 0 {
                let inline = value.get(BucketValue::BYTES..).unwrap_or_default();
                return leaf(inline, key, page_id).map_err(ReadError::defect(page_id));
            }
            page_id = header.root;
        }
        for _ in 0..self.limits.height {
            let (bytes, _) = self.run(page_id, 0)?;
            let defect = ReadError::defect(page_id);
            let page = Page::of(&bytes).map_err(&defect)?;
            if page.kind == Kind::Leaf {
                return leaf(&bytes, key, page_id).map_err(defect);
            }
            if page.count == 0 {
                return Err(defect(Defect::Empty));
            }
            let index = match page.search(key).map_err(defect)? {
                Ok(index) => index,
                Err(index) => index.saturating_sub(1),
            };
            page_id = page.child(index);
        }
        Err(ReadError::Limit { page: page_id, limit: "height" })
    }

    /// All bytes of the run of pages that begins with a page, and how many pages follow the first.
    ///
    /// `held` bytes of other pages are in memory already.
    pub(super) fn run(&self, id: u64, held: u64) -> Result<(Cow<'_, [u8]>, u32), ReadError> {
        let defect = ReadError::defect(id);
        let pages = self.meta.pages;
        if !(2..pages).contains(&id) {
            return Err(defect(Defect::Outside { pages }));
        }
        let page_bytes = u64::from(self.meta.page_bytes);
        let offset = id * page_bytes;
        let read = |length: u64| {
            let length = usize::try_from(length)
                .map_err(|_| ReadError::Limit { page: id, limit: "held_bytes" })?;
            let bytes = self.source.read_at(offset, length);
            let bytes = bytes.and_then(|bytes| match bytes.len() == length {
                true => Ok(bytes),
                false => Err(std::io::ErrorKind::UnexpectedEof.into()),
            });
            bytes.map_err(|source| ReadError::Source { page: id, source })
        };
        if held + page_bytes > self.limits.held_bytes {
            return Err(ReadError::Limit { page: id, limit: "held_bytes" });
        }
        let first = read(page_bytes)?;
        let header = Header::of(&first);
        if header.id != id {
            return Err(defect(Defect::Number { found: header.id }));
        }
        let overflow = header.overflow;
        if overflow == 0 {
            return Ok((first, 0));
        }
        let count = 1 + u64::from(overflow);
        if count > pages - id {
            return Err(defect(Defect::Overflow { overflow }));
        }
        if held + count * page_bytes > self.limits.held_bytes {
            return Err(ReadError::Limit { page: id, limit: "held_bytes" });
        }
        Ok((read(count * page_bytes)?, overflow))
    }

    /// Whether the header of a meta page is in order.
    pub(super) fn check_meta_header(&self, id: u64) -> Result<(), ReadError> {
        let offset = id * u64::from(self.meta.page_bytes);
        let bytes = self.source.read_at(offset, META_BYTES);
        let bytes = bytes.map_err(|source| ReadError::Source { page: id, source })?;
        let header = Header::of(&bytes);
        let defect = match header {
            Header { id: found, .. } if found != id => Defect::Number { found },
            Header { flags, .. } if flags != META_FLAGS => Defect::Kind { flags, wanted: "meta" },
            _ => return Ok(()),
        };
        Err(ReadError::Page { page: id, defect })
    }
}

/// What a key holds: the value, and the page it was read from.
struct Found {
    page: u64,
    /// `None` for the root bucket, which is no value of any page.
    value: Option<Vec<u8>>,
}

/// Searches a leaf.
fn leaf(bytes: &[u8], key: &[u8], page_id: u64) -> Result<Option<(Found, bool)>, Defect> {
    let page = Page::of(bytes)?;
    let Kind::Leaf = page.kind else {
        return Err(Defect::Kind { flags: Header::of(bytes).flags, wanted: "leaf" });
    };
    let Ok(index) = page.search(key)? else { return Ok(None) };
    let element = page.element(index)?;
    let value = Some(element.value.of(bytes).to_vec());
    Ok(Some((Found { page: page_id, value }, element.is_bucket)))
}

type MetaResult = Result<Meta, MetaDefect>;

/// The second meta page, which lies one page into the file: where the first one is no help, at one
/// of the sizes that a page can have.
fn second_meta<R: ReadAt>(
    source: &R,
    size_bytes: u64,
    first: Option<Meta>,
) -> Result<MetaResult, OpenError> {
    if let Some(first) = first {
        return meta_at(source, size_bytes, first.page_bytes);
    }
    let mut place = *PAGE_BYTES.start();
    let mut defect = MetaDefect::Missing;
    while PAGE_BYTES.contains(&place) {
        match meta_at(source, size_bytes, place)? {
            Ok(meta) => return Ok(Ok(meta)),
            Err(MetaDefect::Missing | MetaDefect::Magic) => {}
            Err(other) => defect = other,
        }
        place *= 2;
    }
    Ok(Err(defect))
}

/// Reads the meta page at an offset; but for the first, the offset is the size of its pages.
fn meta_at<R: ReadAt>(source: &R, size_bytes: u64, offset: u32) -> Result<MetaResult, OpenError> {
    if u64::from(offset) + META_BYTES as u64 > size_bytes {
        return Ok(Err(MetaDefect::Missing));
    }
    let bytes = source.read_at(offset.into(), META_BYTES).map_err(OpenError::Source)?;
    Ok(meta_of(&bytes[..], offset))
}

fn meta_of(bytes: &[u8], offset: u32) -> MetaResult {
    if u32_at(bytes, 16) != 0xED0C_DAED {
        return Err(MetaDefect::Magic);
    }
    let version = u32_at(bytes, 20);
    if version != 2 {
        return Err(MetaDefect::Version(version));
    }
    let fields = bytes.get(16..72).unwrap_or_default();
    let checksum = fields.iter().fold(14_695_981_039_346_656_037_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211)
    });
    if checksum != u64_at(bytes, 72) {
        return Err(MetaDefect::Checksum);
    }
    let page_bytes = u32_at(bytes, 24);
    let possible = page_bytes.is_power_of_two() && PAGE_BYTES.contains(&page_bytes);
    if !possible || (offset != 0 && page_bytes != offset) {
        return Err(MetaDefect::PageSize(page_bytes));
    }
    let freelist = u64_at(bytes, 48);
    Ok(Meta {
        page_bytes,
        root: u64_at(bytes, 32),
        freelist: (freelist != NOT_PERSISTED).then_some(freelist),
        pages: u64_at(bytes, 56),
        transaction: u64_at(bytes, 64),
    })
}
