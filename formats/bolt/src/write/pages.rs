//! Numbered pages on their way to the sink.

use std::io::{self, Seek, SeekFrom, Write};

/// Bytes that are gathered before the sink sees them: few calls, and still little memory.
const BUFFER_BYTES: usize = 256 << 10;

/// Length of a page's header, and of every element of a page.
pub(super) const HEADER_BYTES: usize = 16;
/// Pages that are written last: two metas and the list of free pages.
const HEAD_PAGES: u64 = 3;

const META: u16 = 0x04;
const FREELIST: u16 = 0x10;
const FREELIST_PAGE: u64 = 2;
const META_BODY_BYTES: usize = 64;
const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;

/// What a page of a tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Kind {
    Branch = 0x01,
    Leaf = 0x02,
}

/// Hands out page numbers in ascending order and writes each page where it belongs.
#[derive(Debug)]
pub(super) struct Pages<W> {
    sink: W,
    buffer: Vec<u8>,
    page_bytes: usize,
    next: u64,
    /// The sink has failed: what it holds is unknown, so nothing more can be added.
    failed: bool,
}

impl<W: Write + Seek> Pages<W> {
    pub(super) fn new(sink: W, page_bytes: usize) -> Pages<W> {
        let mut buffer = Vec::with_capacity(BUFFER_BYTES + page_bytes);
        buffer.resize(HEAD_PAGES as usize * page_bytes, 0);
        Pages { sink, buffer, page_bytes, next: HEAD_PAGES, failed: false }
    }

    pub(super) fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    /// How many pages there are, the first three included.
    pub(super) fn count(&self) -> u64 {
        self.next
    }

    /// Writes one page, or a run of pages if the body needs it, and gives its number.
    ///
    /// `fill` appends the body, `body_bytes` of it.
    pub(super) fn add(
        &mut self,
        kind: Kind,
        count: usize,
        body_bytes: usize,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<u64> {
        let (id, run_bytes) = self.number(HEADER_BYTES + body_bytes);
        let start = self.buffer.len();
        let overflow = run_bytes / self.page_bytes - 1;
        self.buffer.extend_from_slice(&header(id, kind as u16, count, overflow));
        fill(&mut self.buffer);
        let used = self.buffer.len() - start;
        assert_eq!(used, HEADER_BYTES + body_bytes, "a body is as long as it was said to be");
        self.buffer.resize(start + run_bytes, 0);
        self.flush_if_full()?;
        Ok(id)
    }

    /// Writes a leaf of one element that needs a run of pages; a long value goes straight through.
    pub(super) fn add_run(
        &mut self,
        element: [u8; HEADER_BYTES],
        key: &[u8],
        value: &[u8],
    ) -> io::Result<u64> {
        let used = 2 * HEADER_BYTES + key.len() + value.len();
        let (id, run_bytes) = self.number(used);
        let overflow = run_bytes / self.page_bytes - 1;
        self.buffer.extend_from_slice(&header(id, Kind::Leaf as u16, 1, overflow));
        self.buffer.extend_from_slice(&element);
        self.buffer.extend_from_slice(key);
        if value.len() < BUFFER_BYTES {
            self.buffer.extend_from_slice(value);
        } else {
            self.flush()?;
            self.write(value)?;
        }
        self.buffer.resize(self.buffer.len() + run_bytes - used, 0);
        self.flush_if_full()?;
        Ok(id)
    }

    /// Writes what is gathered, then the first three pages, and leaves the sink at the end.
    pub(super) fn finish(mut self, root: u64) -> io::Result<W> {
        self.flush()?;
        let length = i64::try_from(self.next * self.page_bytes as u64)
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "the file is too long"))?;
        let mut head = vec![0; HEAD_PAGES as usize * self.page_bytes];
        let mut pages = head.chunks_exact_mut(self.page_bytes);
        for (id, page) in (0..).zip(pages.by_ref().take(2)) {
            page[..HEADER_BYTES].copy_from_slice(&header(id, META, 0, 0));
            let meta = self.meta(root, id);
            page[HEADER_BYTES..HEADER_BYTES + META_BODY_BYTES].copy_from_slice(&meta);
        }
        let freelist = &mut head[FREELIST_PAGE as usize * self.page_bytes..];
        freelist[..HEADER_BYTES].copy_from_slice(&header(FREELIST_PAGE, FREELIST, 0, 0));
        self.sink.seek(SeekFrom::Current(-length))?;
        self.sink.write_all(&head)?;
        self.sink.seek(SeekFrom::Current(length - head.len() as i64))?;
        self.sink.flush()?;
        Ok(self.sink)
    }

    /// The body of the meta page of a transaction.
    fn meta(&self, root: u64, transaction: u64) -> [u8; META_BODY_BYTES] {
        let mut body = [0; META_BODY_BYTES];
        body[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        body[4..8].copy_from_slice(&VERSION.to_le_bytes());
        body[8..12].copy_from_slice(&(self.page_bytes as u32).to_le_bytes());
        // 12..16 flags and 24..32 sequence stay 0.
        body[16..24].copy_from_slice(&root.to_le_bytes());
        body[32..40].copy_from_slice(&FREELIST_PAGE.to_le_bytes());
        body[40..48].copy_from_slice(&self.next.to_le_bytes());
        body[48..56].copy_from_slice(&transaction.to_le_bytes());
        let checksum = fnv1a(&body[..56]);
        body[56..64].copy_from_slice(&checksum.to_le_bytes());
        body
    }

    /// Takes as many numbers as `used` bytes need pages: the first, and the bytes of all.
    fn number(&mut self, used: usize) -> (u64, usize) {
        let count = used.div_ceil(self.page_bytes);
        let id = self.next;
        self.next += count as u64;
        (id, count * self.page_bytes)
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.write(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        written
    }

    /// An error if the sink has failed: what is held back here is then of no use any more.
    pub(super) fn usable(&self) -> io::Result<()> {
        if self.failed { Err(io::Error::other("an earlier write has failed")) } else { Ok(()) }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.sink.write_all(bytes);
        self.failed = written.is_err();
        written
    }
}

/// The header of a page.
pub(super) fn header(id: u64, flags: u16, count: usize, overflow: usize) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[0..8].copy_from_slice(&id.to_le_bytes());
    bytes[8..10].copy_from_slice(&flags.to_le_bytes());
    // A page of 64 KiB has room for fewer than 2^12 elements, an overflowing one holds a few.
    bytes[10..12].copy_from_slice(&(count as u16).to_le_bytes());
    bytes[12..16].copy_from_slice(&(overflow as u32).to_le_bytes());
    bytes
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
