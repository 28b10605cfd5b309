//! Going through a whole file in the order of its keys.

use std::borrow::Cow;

use super::page::{BucketValue, Header, Kind, Page, Span};
use super::{Database, Defect, ReadAt, ReadError};

/// Goes through all buckets and pairs of a file in the order of their keys.
///
/// Each page is checked before anything of it is given out: what comes is what a check would accept,
/// but for pages that nobody leads to and branches with a single child. A file that leads into
/// circles is an error, not an endless walk.
#[derive(Debug)]
pub struct Cursor<'a, R> {
    database: &'a Database<R>,
    pub(super) seen: Seen,
    state: State,
    /// The pages in memory, from the root down.
    pages: Vec<Held<'a>>,
    /// The pages, of trees and inline, that the cursor is in, from the root down.
    frames: Vec<Frame>,
    held_bytes: u64,
    depth: usize,
    pub(super) inline_buckets: u64,
}

/// What a cursor comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A bucket begins in the bucket that the cursor is in.
    Enter {
        /// Its key.
        key: &'a [u8],
        /// The number that programs may count up in a bucket.
        sequence: u64,
    },
    /// A pair.
    Pair {
        /// Its key.
        key: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// The bucket that was entered last ends.
    Leave,
}

/// Which pages were reached.
#[derive(Debug)]
pub(super) enum Seen {
    /// How many more there can be, if none is reached twice.
    AtMost(u64),
    /// Exactly which, for a check.
    Exactly(Pages),
}

/// A set of pages.
#[derive(Debug, Default)]
pub(super) struct Pages(Vec<u64>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Walking,
}

#[derive(Debug)]
struct Held<'a> {
    id: u64,
    bytes: Cow<'a, [u8]>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    /// Which of the pages in memory it lies in, and where.
    page: usize,
    span: Span,
    kind: Kind,
    count: usize,
    next: usize,
    /// How many pages above it belong to the same bucket.
    height: usize,
    inline: bool,
    /// The key that all keys below must stay under.
    high: Option<Bound>,
}

/// A key in a branch, by frame and element.
#[derive(Debug, Clone, Copy)]
struct Bound {
    frame: usize,
    index: usize,
}

/// An event by the places of its parts in a page in memory.
enum Step {
    Enter { page: usize, key: Span, sequence: u64 },
    Pair { page: usize, key: Span, value: Span },
    Leave,
}

impl<'a, R: ReadAt> Cursor<'a, R> {
    pub(super) fn new(database: &'a Database<R>, seen: Seen) -> Cursor<'a, R> {
        Cursor {
            database,
            seen,
            state: State::Fresh,
            pages: Vec::new(),
            frames: Vec::new(),
            held_bytes: 0,
            depth: 0,
            inline_buckets: 0,
        }
    }

    /// The next event; `None` at the end, and after an error.
    ///
    /// # Errors
    /// If a page is defective, used twice or over a limit, or the source fails.
    pub fn advance(&mut self) -> Result<Option<Event<'_>>, ReadError> {
        let step = self.step().inspect_err(|_| self.frames.clear())?;
        let bytes = |page: usize| &self.pages[page].bytes[..];
        Ok(step.map(|step| match step {
            Step::Enter { page, key, sequence } => {
                Event::Enter { key: key.of(bytes(page)), sequence }
            }
            Step::Pair { page, key, value } => {
                Event::Pair { key: key.of(bytes(page)), value: value.of(bytes(page)) }
            }
            Step::Leave => Event::Leave,
        }))
    }

    fn step(&mut self) -> Result<Option<Step>, ReadError> {
        if self.state == State::Fresh {
            self.state = State::Walking;
            self.open(self.database.meta.root, 0, None, None)?;
        }
        loop {
            let top = self.frames.len().wrapping_sub(1);
            let Some(frame) = self.frames.last_mut() else { return Ok(None) };
            if frame.next == frame.count {
                let frame = *frame;
                self.close(frame);
                if frame.height == 0 && self.depth > 0 {
                    self.depth -= 1;
                    return Ok(Some(Step::Leave));
                }
                continue;
            }
            let index = frame.next;
            frame.next += 1;
            let frame = *frame;
            if frame.kind == Kind::Leaf {
                return self.element(frame, index).map(Some);
            }
            let child = self.page(frame)?.child(index);
            let low = Some(Bound { frame: top, index });
            let next = Bound { frame: top, index: index + 1 };
            let high = if next.index < frame.count { Some(next) } else { frame.high };
            self.open(child, frame.height + 1, low, high)?;
        }
    }

    /// Gives a pair, or goes into a bucket.
    fn element(&mut self, frame: Frame, index: usize) -> Result<Step, ReadError> {
        let page_id = self.pages[frame.page].id;
        let defect = ReadError::defect(page_id);
        let element = self.page(frame)?.element(index).map_err(&defect)?;
        let shift = |span: Span| Span {
            start: span.start + frame.span.start,
            end: span.end + frame.span.start,
        };
        let (key, value, page) = (shift(element.key), shift(element.value), frame.page);
        if !element.is_bucket {
            if self.depth == 0 {
                return Err(defect(Defect::PairInRoot { index }));
            }
            return Ok(Step::Pair { page, key, value });
        }
        if frame.inline {
            return Err(defect(Defect::BucketInInline { index }));
        }
        let bytes = value.of(&self.pages[page].bytes);
        let header = BucketValue::of(bytes).ok_or(Defect::Bucket { index }).map_err(&defect)?;
        if self.depth == self.database.limits.depth {
            return Err(ReadError::Limit { page: page_id, limit: "depth" });
        }
        self.depth += 1;
        if header.root == 0 {
            self.open_inline(page, Span { start: value.start + BucketValue::BYTES, ..value })?;
        } else {
            // Its value is a header alone.
            if value.len() != BucketValue::BYTES {
                return Err(defect(Defect::Bucket { index }));
            }
            self.open(header.root, 0, None, None)?;
        }
        Ok(Step::Enter { page, key, sequence: header.sequence })
    }

    fn page(&self, frame: Frame) -> Result<Page<'_>, ReadError> {
        let held = &self.pages[frame.page];
        Page::of(frame.span.of(&held.bytes)).map_err(ReadError::defect(held.id))
    }

    /// Reads and checks a page of a tree and stands before its first element.
    fn open(
        &mut self,
        id: u64,
        height: usize,
        low: Option<Bound>,
        high: Option<Bound>,
    ) -> Result<(), ReadError> {
        if height == self.database.limits.height {
            return Err(ReadError::Limit { page: id, limit: "height" });
        }
        let (bytes, overflow) = self.database.run(id, self.held_bytes)?;
        let defect = ReadError::defect(id);
        self.seen.reach(id, overflow)?;
        let page = Page::of(&bytes).map_err(&defect)?;
        page.validate().map_err(&defect)?;
        if page.count == 0 && (page.kind == Kind::Branch || height > 0) {
            return Err(defect(Defect::Empty));
        }
        if page.kind == Kind::Branch && page.count < 2 && matches!(self.seen, Seen::Exactly(_)) {
            return Err(defect(Defect::LoneChild));
        }
        if page.count > 0 {
            let key = |index| page.key_bytes(index).map_err(&defect);
            let last = page.count - 1;
            if let Some(low) = low
                && key(0)? < self.bound(low)?
            {
                return Err(defect(Defect::Bounds { index: 0 }));
            }
            if let Some(high) = high
                && key(last)? >= self.bound(high)?
            {
                return Err(defect(Defect::Bounds { index: last }));
            }
        }
        let (kind, count) = (page.kind, page.count);
        let span = Span { start: 0, end: bytes.len() };
        self.held_bytes += bytes.len() as u64;
        self.pages.push(Held { id, bytes });
        let page = self.pages.len() - 1;
        let inline = false;
        self.frames.push(Frame { page, span, kind, count, next: 0, height, inline, high });
        Ok(())
    }

    /// Checks a page within a value and stands before its first element.
    fn open_inline(&mut self, page: usize, span: Span) -> Result<(), ReadError> {
        let held = &self.pages[page];
        let defect = ReadError::defect(held.id);
        let bytes = span.of(&held.bytes);
        let header = Header::of(bytes);
        let inline = Page::of(bytes).map_err(&defect)?;
        if header.overflow != 0 || inline.kind != Kind::Leaf {
            return Err(defect(Defect::Kind { flags: header.flags, wanted: "inline leaf" }));
        }
        if header.id != 0 {
            return Err(defect(Defect::Number { found: header.id }));
        }
        if inline.validate().map_err(&defect)? != bytes.len() {
            return Err(defect(Defect::InlineLength));
        }
        let (kind, count) = (Kind::Leaf, inline.count);
        let frame = Frame { page, span, kind, count, next: 0, height: 0, inline: true, high: None };
        self.frames.push(frame);
        self.inline_buckets += 1;
        Ok(())
    }

    fn close(&mut self, frame: Frame) {
        self.frames.pop();
        if !frame.inline
            && let Some(held) = self.pages.pop()
        {
            self.held_bytes -= held.bytes.len() as u64;
        }
    }

    fn bound(&self, bound: Bound) -> Result<&[u8], ReadError> {
        let frame = self.frames[bound.frame];
        let page = self.page(frame)?;
        page.key_bytes(bound.index).map_err(ReadError::defect(self.pages[frame.page].id))
    }
}

impl Seen {
    pub(super) fn at_most(pages: u64) -> Seen {
        Seen::AtMost(pages)
    }

    /// Takes note of a run of pages.
    fn reach(&mut self, id: u64, overflow: u32) -> Result<(), ReadError> {
        match self {
            Seen::AtMost(left) => {
                *left = left
                    .checked_sub(1 + u64::from(overflow))
                    .ok_or(ReadError::Page { page: id, defect: Defect::UsedTwice })?;
                Ok(())
            }
            Seen::Exactly(pages) => {
                for page in id..=id + u64::from(overflow) {
                    if !pages.insert(page) {
                        return Err(ReadError::Page { page, defect: Defect::UsedTwice });
                    }
                }
                Ok(())
            }
        }
    }
}

impl Pages {
    /// A set with room for so many pages.
    pub(super) fn of(pages: u64) -> Pages {
        // One bit for each page of a file that exists: a hundred-thousandth of its length.
        Pages(vec![0; (pages / 64 + 1) as usize])
    }

    /// Adds a page; false if it was in the set.
    pub(super) fn insert(&mut self, page: u64) -> bool {
        let (word, bit) = ((page / 64) as usize, 1 << (page % 64));
        let Some(word) = self.0.get_mut(word) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    pub(super) fn contains(&self, page: u64) -> bool {
        self.0.get((page / 64) as usize).is_some_and(|word| word & (1 << (page % 64)) != 0)
    }
}
