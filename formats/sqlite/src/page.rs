//! One page: its head and its cells.

use std::fmt;

use crate::record::varint;

/// What is wrong with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Its number is none of the file's.
    Outside,
    /// Something leads to it that led to it before.
    Twice,
    /// It is the one that locks are taken on, which holds nothing.
    Lock,
    /// It is of another kind than what leads to it.
    Kind(u8),
    /// It has more cells than fit.
    Cells,
    /// A cell begins or ends outside of the page.
    CellOutside,
    /// Two cells share bytes.
    CellsOverlap,
    /// It has no cells, and is no root.
    Empty,
    /// It lies deeper than pages do.
    Deep,
    /// Leaves lie at more than one depth.
    Uneven,
    /// A key does not come after the one before it.
    Order,
    /// A record is larger than is read.
    Large(u64),
    /// A record continues on pages that end too early or too late.
    Overflow,
    /// A record is none.
    Record,
    /// A record has more values than are read.
    ManyValues,
    /// Numbers with a fraction are keys, whose order is not looked at.
    RealKey,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Defect::Outside => f.write_str("is referred to and not there"),
            Defect::Twice => f.write_str("is reached twice"),
            Defect::Lock => f.write_str("is the one for locks, and is referred to"),
            Defect::Kind(kind) => write!(f, "is of the kind {kind}, which does not belong there"),
            Defect::Cells => f.write_str("has more cells than fit"),
            Defect::CellOutside => f.write_str("has a cell that lies outside of it"),
            Defect::CellsOverlap => f.write_str("has cells that overlap"),
            Defect::Empty => f.write_str("has no cells"),
            Defect::Deep => f.write_str("lies too deep"),
            Defect::Uneven => f.write_str("is a leaf at another depth than the others"),
            Defect::Order => f.write_str("has a key that does not come after the one before it"),
            Defect::Large(bytes) => write!(f, "has a record of {bytes} bytes, too many to read"),
            Defect::Overflow => f.write_str("continues a record that ends elsewhere"),
            Defect::Record => f.write_str("has a record that does not read"),
            Defect::ManyValues => f.write_str("has a record with too many values"),
            Defect::RealKey => f.write_str("has a number with a fraction as a key"),
        }
    }
}

/// The kind of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    Table,
    Index,
}

/// The kinds of pages by their first byte.
const INDEX_INTERIOR: u8 = 2;
const TABLE_INTERIOR: u8 = 5;
const INDEX_LEAF: u8 = 10;
const TABLE_LEAF: u8 = 13;

/// The head of a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) is_leaf: bool,
    /// The last child, of a page that is no leaf.
    pub(crate) last_child: u32,
    pub(crate) cells: usize,
    /// Where the places of the cells begin.
    places: usize,
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The child before it, of a page that is no leaf.
    pub(crate) child: u32,
    /// The key of a row.
    pub(crate) rowid: i64,
    /// Bytes of its record, wherever they lie.
    pub(crate) size: u64,
    /// Where in the page its record begins, and how many bytes of it are there.
    pub(crate) start: usize,
    pub(crate) local: usize,
    /// The page on which the record continues; 0 for none.
    pub(crate) overflow: u32,
    /// Where the cell begins and ends.
    pub(crate) extent: (usize, usize),
}

/// A page and what of it can be used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page<'p> {
    /// Without what is reserved at the end.
    pub(crate) bytes: &'p [u8],
    /// Where its head begins: behind the header of the file on the first page.
    pub(crate) begin: usize,
    pub(crate) tree: Tree,
}

impl Page<'_> {
    pub(crate) fn head(&self) -> Result<Head, Defect> {
        let head = &self.bytes[self.begin..];
        let is_leaf = match (self.tree, head[0]) {
            (Tree::Table, TABLE_LEAF) | (Tree::Index, INDEX_LEAF) => true,
            (Tree::Table, TABLE_INTERIOR) | (Tree::Index, INDEX_INTERIOR) => false,
            (_, kind) => return Err(Defect::Kind(kind)),
        };
        let cells = usize::from(u16::from_be_bytes([head[3], head[4]]));
        let places = self.begin + if is_leaf { 8 } else { 12 };
        if places + 2 * cells > self.bytes.len() {
            return Err(Defect::Cells);
        }
        let last_child = match is_leaf {
            true => 0,
            false => u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        };
        Ok(Head { is_leaf, last_child, cells, places })
    }

    pub(crate) fn cell(&self, head: &Head, place: usize) -> Result<Cell, Defect> {
        let at = head.places + 2 * place;
        let begin = usize::from(u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]));
        // Cells lie behind the places of the cells.
        if begin < head.places + 2 * head.cells {
            return Err(Defect::CellOutside);
        }
        let mut at = begin;
        let mut cell = Cell {
            child: 0,
            rowid: 0,
            size: 0,
            start: 0,
            local: 0,
            overflow: 0,
            extent: (begin, begin),
        };
        if !head.is_leaf {
            cell.child = self.number(at)?;
            at += 4;
        }
        if head.is_leaf || self.tree == Tree::Index {
            let size;
            (size, at) = self.varint(at)?;
            cell.size = size;
        }
        if self.tree == Tree::Table {
            let rowid;
            (rowid, at) = self.varint(at)?;
            cell.rowid = rowid.cast_signed();
        }
        cell.start = at;
        cell.local = self.local(cell.size);
        at += cell.local;
        if cell.size > cell.local as u64 {
            cell.overflow = self.number(at)?;
            at += 4;
        }
        if at > self.bytes.len() {
            return Err(Defect::CellOutside);
        }
        // SQLite gives a cell four bytes at least.
        cell.extent.1 = at.max(begin + 4);
        Ok(cell)
    }

    /// How many bytes of a record lie in the page itself.
    fn local(&self, size: u64) -> usize {
        let usable = self.bytes.len();
        let least = (usable - 12) * 32 / 255 - 23;
        let most = match self.tree {
            Tree::Table => usable - 35,
            Tree::Index => (usable - 12) * 64 / 255 - 23,
        };
        match usize::try_from(size) {
            Ok(size) if size <= most => size,
            _ => {
                let rest = size.saturating_sub(least as u64) % (usable as u64 - 4);
                // Less than a page.
                let fitting = least + usize::try_from(rest).unwrap_or(0);
                if fitting <= most { fitting } else { least }
            }
        }
    }

    fn number(&self, at: usize) -> Result<u32, Defect> {
        let bytes = self.bytes.get(at..at + 4).ok_or(Defect::CellOutside)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A number of variable length, and where it ends.
    fn varint(&self, at: usize) -> Result<(u64, usize), Defect> {
        let bytes = self.bytes.get(at..).ok_or(Defect::CellOutside)?;
        let (number, length) = varint(bytes).ok_or(Defect::CellOutside)?;
        Ok((number, at + length))
    }
}
