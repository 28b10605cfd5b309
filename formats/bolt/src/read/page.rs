//! One page of a tree, every offset checked before it is followed.

use super::Defect;

/// Bytes of a page's header, and of an element of its table.
const HEADER: usize = 16;
const ELEMENT: usize = 16;

/// Longest key that bbolt takes.
const LONGEST_KEY: usize = 32_768;

/// The fields of a page's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u64,
    pub(super) flags: u16,
    pub(super) count: u16,
    pub(super) overflow: u32,
}

/// What kind of page it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Branch,
    Leaf,
}

/// A branch or leaf with all its bytes, those of an overflowing one included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'a> {
    bytes: &'a [u8],
    pub(super) kind: Kind,
    pub(super) count: usize,
}

/// Where something lies among the bytes of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// An element of a leaf.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    pub(super) is_bucket: bool,
    pub(super) key: Span,
    pub(super) value: Span,
}

/// The value of an element that is a bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct BucketValue {
    /// The page on top, 0 for an inline bucket.
    pub(super) root: u64,
    pub(super) sequence: u64,
}

impl Span {
    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn len(self) -> usize {
        self.end - self.start
    }
}

impl Header {
    /// The header at the beginning of `bytes`; zeros where they are too short.
    pub(super) fn of(bytes: &[u8]) -> Header {
        Header {
            id: u64_at(bytes, 0),
            flags: u16::from_le_bytes(array(bytes, 8)),
            count: u16::from_le_bytes(array(bytes, 10)),
            overflow: u32_at(bytes, 12),
        }
    }
}

impl<'a> Page<'a> {
    /// Reads the header of a page with these bytes.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Page<'a>, Defect> {
        let header = Header::of(bytes);
        let kind = match header.flags {
            0x01 => Kind::Branch,
            0x02 => Kind::Leaf,
            flags => return Err(Defect::Kind { flags, wanted: "branch or leaf" }),
        };
        let count = usize::from(header.count);
        if HEADER + count * ELEMENT > bytes.len() {
            return Err(Defect::Table { count: u64::from(header.count) });
        }
        Ok(Page { bytes, kind, count })
    }

    /// An element of a leaf.
    pub(super) fn element(&self, index: usize) -> Result<Element, Defect> {
        let at = HEADER + index * ELEMENT;
        let flags = u32_at(self.bytes, at);
        if flags > 1 {
            return Err(Defect::Flags { index, flags });
        }
        let key = self.span(at, at as u64 + self.number(at + 4), self.number(at + 8), index)?;
        let value = self.span(at, key.end as u64, self.number(at + 12), index)?;
        Ok(Element { is_bucket: flags == 1, key, value })
    }

    /// The page below an element of a branch.
    pub(super) fn child(&self, index: usize) -> u64 {
        u64_at(self.bytes, HEADER + index * ELEMENT + 8)
    }

    /// The key of an element of either kind.
    pub(super) fn key(&self, index: usize) -> Result<Span, Defect> {
        match self.kind {
            Kind::Leaf => self.element(index).map(|element| element.key),
            Kind::Branch => {
                let at = HEADER + index * ELEMENT;
                self.span(at, at as u64 + self.number(at), self.number(at + 4), index)
            }
        }
    }

    /// The bytes of a key that was found valid.
    pub(super) fn key_bytes(&self, index: usize) -> Result<&'a [u8], Defect> {
        self.key(index).map(|span| self.bytes.get(span.start..span.end).unwrap_or_default())
    }

    /// Checks all elements: in place, one after the other without a gap, keys ascending. Gives the
    /// end of the last.
    pub(super) fn validate(&self) -> Result<usize, Defect> {
        let mut end = HEADER + self.count * ELEMENT;
        let mut last: &[u8] = &[];
        for index in 0..self.count {
            let (key, after) = match self.kind {
                Kind::Branch => self.key(index).map(|key| (key, key.end))?,
                Kind::Leaf => self.element(index).map(|e| (e.key, e.value.end))?,
            };
            if key.start != end {
                return Err(Defect::Place { index });
            }
            if !(1..=LONGEST_KEY).contains(&key.len()) {
                return Err(Defect::KeyLength { index, size_bytes: key.len() });
            }
            let bytes = key.of(self.bytes);
            if bytes <= last {
                return Err(Defect::Order { index });
            }
            (last, end) = (bytes, after);
        }
        Ok(end)
    }

    /// The place of a key: where it stands, or else where it would have to.
    pub(super) fn search(&self, key: &[u8]) -> Result<Result<usize, usize>, Defect> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.key_bytes(middle)?.cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(Ok(middle)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(Err(low))
    }

    fn number(&self, at: usize) -> u64 {
        u64::from(u32_at(self.bytes, at))
    }

    /// `length` bytes from `start` on, if they lie behind the element at `at` and within the page.
    fn span(&self, at: usize, start: u64, length: u64, index: usize) -> Result<Span, Defect> {
        let end = start + length;
        if start < (at + ELEMENT) as u64 || end > self.bytes.len() as u64 {
            return Err(Defect::Place { index });
        }
        // Both are at most the length of a slice.
        Ok(Span { start: start as usize, end: end as usize })
    }
}

impl BucketValue {
    /// Bytes before an inline page.
    pub(super) const BYTES: usize = 16;

    /// The header at the beginning of a bucket's value.
    pub(super) fn of(value: &[u8]) -> Option<BucketValue> {
        let valid = value.len() >= BucketValue::BYTES;
        valid.then(|| BucketValue { root: u64_at(value, 0), sequence: u64_at(value, 8) })
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}
