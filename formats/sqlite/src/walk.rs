//! The file, and walks over its trees.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use crate::header::{self, Header, HeaderDefect};
use crate::page::{Cell, Defect, Head, Page, Tree};
use crate::record::Record;
use crate::{Fault, Limits, ReadAt};

/// The root of the table of all tables and indexes.
pub const SCHEMA_ROOT: u32 = 1;

/// How deep trees are at most, as SQLite has it.
const DEPTH: usize = 20;

/// Where locks are taken: the page with this byte holds nothing.
const LOCK_BYTE: u64 = 1 << 30;

/// A file of SQLite.
#[derive(Debug)]
pub struct Database<R> {
    room: R,
    header: Header,
    limits: Limits,
    /// One bit for each page that something led to.
    reached: Vec<u64>,
}

/// What becomes of a row or entry.
type Visit<'v> = &'v mut dyn FnMut(i64, &Record<'_>) -> ControlFlow<()>;

/// A walk over one tree.
struct Walk<'w> {
    tree: Tree,
    visit: Visit<'w>,
    /// The key of the row before.
    rowid: Option<i64>,
    /// The entry before, and whether there was any.
    entry: Vec<u8>,
    begun: bool,
    /// The record at hand.
    record: Vec<u8>,
    /// The depth of the leaves, once one was reached.
    leaves: Option<usize>,
}

impl<R: ReadAt> Database<R> {
    /// Opens a file: reads its header and compares it with the size of the file.
    ///
    /// # Errors
    /// [`Fault`] if it cannot be read, is no database, or has another size than it tells.
    pub fn open(room: R, limits: Limits) -> Result<Database<R>, Fault> {
        let bytes = room.size_bytes().map_err(Fault::Read)?;
        if bytes < header::BYTES as u64 {
            return Err(Fault::Header(HeaderDefect::Short));
        }
        let mut start = [0; header::BYTES];
        room.read_at(0, &mut start).map_err(Fault::Read)?;
        let header = Header::parse(&start).map_err(Fault::Header)?;
        let told = header.pages;
        if told == 0 || u64::from(told) * u64::from(header.page_bytes) != bytes {
            return Err(Fault::Header(HeaderDefect::Pages { told, bytes }));
        }
        if told > limits.pages {
            return Err(Fault::Header(HeaderDefect::TooManyPages(told)));
        }
        let reached = vec![0; told.div_ceil(64) as usize];
        Ok(Database { room, header, limits, reached })
    }

    /// What the header tells.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Goes through the rows of a table in the order of their keys, which must ascend; ends early when
    /// told to break.
    ///
    /// # Errors
    /// [`Fault`] at the first page that is not what it should be.
    pub fn table(
        &mut self,
        root: u32,
        visit: &mut dyn FnMut(i64, &Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        self.walk(root, Tree::Table, visit)
    }

    /// Goes through the entries of an index in their order, in which each must come after the one before
    /// it; ends early when told to break. Texts are compared byte by byte.
    ///
    /// # Errors
    /// [`Fault`] at the first page that is not what it should be.
    pub fn index(
        &mut self,
        root: u32,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        self.walk(root, Tree::Index, &mut |_, record| visit(record))
    }

    /// The first page that none of the walks has reached.
    #[must_use]
    pub fn unreached(&self) -> Option<u32> {
        (1..=self.header.pages).find(|page| !self.is_reached(*page) && *page != self.lock_page())
    }

    fn lock_page(&self) -> u32 {
        // 30 bits, and pages have 512 bytes at least.
        (LOCK_BYTE / u64::from(self.header.page_bytes)) as u32 + 1
    }

    fn is_reached(&self, page: u32) -> bool {
        self.reached[(page - 1) as usize / 64] >> ((page - 1) % 64) & 1 == 1
    }

    fn walk(&mut self, root: u32, tree: Tree, visit: Visit<'_>) -> Result<(), Fault> {
        let mut walk = Walk {
            tree,
            visit,
            rowid: None,
            entry: Vec::new(),
            begun: false,
            record: Vec::new(),
            leaves: None,
        };
        self.descend(root, 0, &mut walk).map(drop)
    }

    /// Reads a page that nothing led to before.
    fn reach(&mut self, page: u32) -> Result<Vec<u8>, Fault> {
        let fault = |defect| Err(Fault::Page { page, defect });
        if page == 0 || page > self.header.pages {
            return fault(Defect::Outside);
        }
        if page == self.lock_page() {
            return fault(Defect::Lock);
        }
        if self.is_reached(page) {
            return fault(Defect::Twice);
        }
        self.reached[(page - 1) as usize / 64] |= 1 << ((page - 1) % 64);
        let page_bytes = self.header.page_bytes;
        let mut bytes = vec![0; (page_bytes - u32::from(self.header.reserved_bytes)) as usize];
        let offset = u64::from(page - 1) * u64::from(page_bytes);
        self.room.read_at(offset, &mut bytes).map_err(Fault::Read)?;
        Ok(bytes)
    }

    fn descend(
        &mut self,
        number: u32,
        depth: usize,
        walk: &mut Walk<'_>,
    ) -> Result<ControlFlow<()>, Fault> {
        let bytes = self.reach(number)?;
        let fault = |defect| Fault::Page { page: number, defect };
        let begin = if number == SCHEMA_ROOT { header::BYTES } else { 0 };
        let page = Page { bytes: &bytes, begin, tree: walk.tree };
        let head = page.head().map_err(fault)?;
        let cells = cells(&page, &head).map_err(fault)?;
        if cells.is_empty() && (depth > 0 || !head.is_leaf) {
            return Err(fault(Defect::Empty));
        }
        if depth >= DEPTH {
            return Err(fault(Defect::Deep));
        }
        if head.is_leaf && *walk.leaves.get_or_insert(depth) != depth {
            return Err(fault(Defect::Uneven));
        }
        for cell in &cells {
            if !head.is_leaf && self.descend(cell.child, depth + 1, walk)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if walk.tree == Tree::Table && !head.is_leaf {
                // The greatest key below, or one between it and the next.
                if walk.rowid.is_none_or(|last| last > cell.rowid) {
                    return Err(fault(Defect::Order));
                }
                walk.rowid = Some(cell.rowid);
                continue;
            }
            self.load(&page, cell, number, walk)?;
            if walk.take(cell.rowid).map_err(fault)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        match head.is_leaf {
            true => Ok(ControlFlow::Continue(())),
            false => self.descend(head.last_child, depth + 1, walk),
        }
    }

    /// Brings the record of a cell together.
    fn load(
        &mut self,
        page: &Page<'_>,
        cell: &Cell,
        number: u32,
        walk: &mut Walk<'_>,
    ) -> Result<(), Fault> {
        if cell.size > self.limits.record_bytes {
            return Err(Fault::Page { page: number, defect: Defect::Large(cell.size) });
        }
        let size = usize::try_from(cell.size).unwrap_or(usize::MAX);
        walk.record.clear();
        walk.record.extend_from_slice(&page.bytes[cell.start..cell.start + cell.local]);
        let mut next = cell.overflow;
        while walk.record.len() < size {
            let bytes = self.reach(next)?;
            let (link, content) = bytes.split_at(4);
            let more = content.len().min(size - walk.record.len());
            walk.record.extend_from_slice(&content[..more]);
            let after = u32::from_be_bytes([link[0], link[1], link[2], link[3]]);
            if (after == 0) != (walk.record.len() == size) {
                return Err(Fault::Page { page: next, defect: Defect::Overflow });
            }
            next = after;
        }
        Ok(())
    }
}

impl Walk<'_> {
    /// Hands out the record at hand, if its key comes after the one before.
    fn take(&mut self, rowid: i64) -> Result<ControlFlow<()>, Defect> {
        let record = Record::parse(&self.record)?;
        let in_order = match self.tree {
            Tree::Table => self.rowid.is_none_or(|last| last < rowid),
            Tree::Index if self.begun => {
                let before = Record::parse(&self.entry)?;
                before.order(&record).ok_or(Defect::RealKey)? == Ordering::Less
            }
            Tree::Index => true,
        };
        if !in_order {
            return Err(Defect::Order);
        }
        let flow = (self.visit)(rowid, &record);
        match self.tree {
            Tree::Table => self.rowid = Some(rowid),
            Tree::Index => {
                std::mem::swap(&mut self.entry, &mut self.record);
                self.begun = true;
            }
        }
        Ok(flow)
    }
}

/// The cells of a page, none of which share bytes.
fn cells(page: &Page<'_>, head: &Head) -> Result<Vec<Cell>, Defect> {
    let cells: Vec<Cell> =
        (0..head.cells).map(|place| page.cell(head, place)).collect::<Result<_, _>>()?;
    let mut extents: Vec<(usize, usize)> = cells.iter().map(|cell| cell.extent).collect();
    extents.sort_unstable();
    match extents.windows(2).all(|pair| pair[0].1 <= pair[1].0) {
        true => Ok(cells),
        false => Err(Defect::CellsOverlap),
    }
}
