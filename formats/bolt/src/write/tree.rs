//! The tree of one open bucket: a leaf that fills, and above it the branches that fill from it.

use std::io::{self, Seek, Write};

use super::pages::{HEADER_BYTES, Kind, Pages, header};

/// Length of an element in the table of a page.
const ELEMENT_BYTES: usize = 16;
/// Length of a bucket's value before an inline page.
const BUCKET_BYTES: usize = 16;
/// Flag of an element that is a bucket.
const BUCKET: u32 = 1;
/// A branch with fewer children makes bbolt panic when it edits the file later.
const LEAST_CHILDREN: usize = 2;

/// What an element of a leaf holds.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// The value of a pair.
    Bytes(&'a [u8]),
    /// A bucket with pages of its own, the first of which is this.
    Bucket(u64),
    /// A small bucket within the page of its parent.
    Inline(&'a Leaf),
}

/// One bucket on its way into pages. Its buffers are kept for the next bucket at the same depth.
#[derive(Debug, Default)]
pub(super) struct Tree {
    key: Vec<u8>,
    holds_buckets: bool,
    leaf: Leaf,
    /// The key of the run that was written last, if no key has come after it.
    run_key: Vec<u8>,
    /// Levels of branches from the bottom up; those from `height` on are kept for their buffers.
    branches: Vec<Branch>,
    height: usize,
}

/// The elements of a leaf page that is not written yet.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    elements: Vec<LeafElement>,
    data: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct LeafElement {
    flags: u32,
    /// Where its key begins in the data.
    at: u32,
    key_bytes: u32,
    value_bytes: u32,
}

/// One level of branches.
#[derive(Debug, Default)]
struct Branch {
    /// The last full group, until the open one has enough children without it.
    held: Group,
    open: Group,
    /// Whether a group of this level has been written.
    written: bool,
}

/// The elements of a branch page that is not written yet.
#[derive(Debug, Default)]
struct Group {
    elements: Vec<GroupElement>,
    keys: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct GroupElement {
    /// Where its key begins among the keys.
    at: usize,
    child: u64,
}

impl Tree {
    /// Makes it the tree of a new bucket.
    pub(super) fn begin(&mut self, key: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(key);
        self.holds_buckets = false;
        self.leaf.clear();
        self.run_key.clear();
        for branch in &mut self.branches[..self.height] {
            branch.open.clear();
            branch.held.clear();
            branch.written = false;
        }
        self.height = 0;
    }

    /// The key of the bucket.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    pub(super) fn hold_buckets(&mut self) {
        self.holds_buckets = true;
    }

    pub(super) fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The key that was added last.
    pub(super) fn last_key(&self) -> Option<&[u8]> {
        match self.leaf.elements.last() {
            Some(last) => Some(&self.leaf.data[last.at as usize..][..last.key_bytes as usize]),
            None => Some(&self.run_key[..]).filter(|key| !key.is_empty()),
        }
    }

    /// Whether bbolt would keep the bucket in the page of its parent.
    pub(super) fn fits_inline(&self, page_bytes: usize) -> bool {
        !self.holds_buckets && self.height == 0 && self.leaf.page_bytes() <= page_bytes / 4
    }

    /// Adds an element whose key comes after all others.
    pub(super) fn add<W: Write + Seek>(
        &mut self,
        key: &[u8],
        value: Value<'_>,
        out: &mut Pages<W>,
    ) -> io::Result<()> {
        let element_bytes = ELEMENT_BYTES + key.len() + value.len();
        if self.leaf.page_bytes() + element_bytes > out.page_bytes() {
            self.close_leaf(out)?;
            if HEADER_BYTES + element_bytes > out.page_bytes() {
                return self.add_run(key, value, out);
            }
        }
        self.leaf.push(key, value);
        Ok(())
    }

    /// Writes all that is not written, and gives the page on top.
    pub(super) fn close<W: Write + Seek>(&mut self, out: &mut Pages<W>) -> io::Result<u64> {
        if self.height == 0 {
            return self.leaf.write(out);
        }
        self.close_leaf(out)?;
        let mut level = 0;
        loop {
            // Taken out and not put back: a tree that is closed gets new buffers, if it is large.
            let Branch { mut held, mut open, written } = std::mem::take(&mut self.branches[level]);
            if let ([only], true, false) = (&open.elements[..], held.is_empty(), written) {
                return Ok(only.child);
            }
            balance(&mut held, &mut open);
            let alone = !written && (held.is_empty() || open.is_empty());
            for group in [held, open].iter().filter(|group| !group.is_empty()) {
                let page = group.write(out)?;
                if alone {
                    return Ok(page);
                }
                self.add_child(level + 1, group.first_key(), page, out)?;
            }
            level += 1;
        }
    }

    /// An element that is larger than a page gets pages of its own.
    fn add_run<W: Write + Seek>(
        &mut self,
        key: &[u8],
        value: Value<'_>,
        out: &mut Pages<W>,
    ) -> io::Result<()> {
        let element = LeafElement {
            flags: value.flags(),
            at: 0,
            key_bytes: key.len() as u32,
            value_bytes: value.len() as u32,
        };
        let element = element.bytes(ELEMENT_BYTES);
        let page = if let Value::Bytes(bytes) = value {
            out.add_run(element, key, bytes)?
        } else {
            let mut bytes = Vec::with_capacity(value.len());
            value.append_to(&mut bytes);
            out.add_run(element, key, &bytes)?
        };
        self.run_key.clear();
        self.run_key.extend_from_slice(key);
        self.add_child(0, key, page, out)
    }

    fn close_leaf<W: Write + Seek>(&mut self, out: &mut Pages<W>) -> io::Result<()> {
        if self.leaf.elements.is_empty() {
            return Ok(());
        }
        let page = self.leaf.write(out)?;
        let leaf = std::mem::take(&mut self.leaf);
        let added = self.add_child(0, leaf.first_key(), page, out);
        self.leaf = leaf;
        self.leaf.clear();
        added
    }

    /// Adds a page to a level of branches. A full group is written when the next one has enough
    /// children to stand alone: until then, children may have to move.
    fn add_child<W: Write + Seek>(
        &mut self,
        level: usize,
        first_key: &[u8],
        child: u64,
        out: &mut Pages<W>,
    ) -> io::Result<()> {
        if level == self.branches.len() {
            self.branches.push(Branch::default());
        }
        self.height = self.height.max(level + 1);
        let branch = &mut self.branches[level];
        let page_bytes = branch.open.page_bytes() + ELEMENT_BYTES + first_key.len();
        if branch.open.elements.len() >= LEAST_CHILDREN && page_bytes > out.page_bytes() {
            // The held group was written when this one got its second child.
            std::mem::swap(&mut branch.held, &mut branch.open);
        }
        branch.open.push(first_key, child);
        if branch.held.is_empty() || branch.open.elements.len() < LEAST_CHILDREN {
            return Ok(());
        }
        branch.written = true;
        let mut held = std::mem::take(&mut branch.held);
        let page = held.write(out)?;
        self.add_child(level + 1, held.first_key(), page, out)?;
        held.clear();
        self.branches[level].held = held;
        Ok(())
    }
}

/// Gives the last group of a level enough children, from the one before it.
fn balance(held: &mut Group, open: &mut Group) {
    if held.is_empty() || open.elements.len() >= LEAST_CHILDREN {
        return;
    }
    if held.elements.len() > LEAST_CHILDREN {
        let last = held.pop();
        let mut moved = Group::default();
        moved.push(&last.0, last.1);
        moved.append(open);
        *open = moved;
    } else {
        held.append(open);
        open.clear();
    }
}

impl Leaf {
    fn page_bytes(&self) -> usize {
        HEADER_BYTES + self.elements.len() * ELEMENT_BYTES + self.data.len()
    }

    fn first_key(&self) -> &[u8] {
        &self.data[..self.elements.first().map_or(0, |first| first.key_bytes as usize)]
    }

    fn clear(&mut self) {
        self.elements.clear();
        self.data.clear();
    }

    fn push(&mut self, key: &[u8], value: Value<'_>) {
        self.elements.push(LeafElement {
            flags: value.flags(),
            at: self.data.len() as u32,
            key_bytes: key.len() as u32,
            value_bytes: value.len() as u32,
        });
        self.data.extend_from_slice(key);
        value.append_to(&mut self.data);
    }

    fn write<W: Write + Seek>(&self, out: &mut Pages<W>) -> io::Result<u64> {
        let body_bytes = self.page_bytes() - HEADER_BYTES;
        out.add(Kind::Leaf, self.elements.len(), body_bytes, |body| {
            body.reserve(body_bytes);
            self.table().for_each(|element| body.extend_from_slice(&element));
            body.extend_from_slice(&self.data);
        })
    }

    /// The elements as they stand in a page.
    fn table(&self) -> impl Iterator<Item = [u8; ELEMENT_BYTES]> {
        let table_bytes = self.elements.len() * ELEMENT_BYTES;
        self.elements.iter().enumerate().map(move |(index, element)| {
            element.bytes(table_bytes - index * ELEMENT_BYTES + element.at as usize)
        })
    }
}

impl LeafElement {
    /// As it stands in a page, `distance` from its key.
    fn bytes(self, distance: usize) -> [u8; ELEMENT_BYTES] {
        let mut bytes = [0; ELEMENT_BYTES];
        bytes[0..4].copy_from_slice(&self.flags.to_le_bytes());
        bytes[4..8].copy_from_slice(&(distance as u32).to_le_bytes());
        bytes[8..12].copy_from_slice(&self.key_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.value_bytes.to_le_bytes());
        bytes
    }
}

impl Value<'_> {
    fn flags(self) -> u32 {
        match self {
            Value::Bytes(_) => 0,
            Value::Bucket(_) | Value::Inline(_) => BUCKET,
        }
    }

    fn len(self) -> usize {
        match self {
            Value::Bytes(bytes) => bytes.len(),
            Value::Bucket(_) => BUCKET_BYTES,
            Value::Inline(leaf) => BUCKET_BYTES + leaf.page_bytes(),
        }
    }

    fn append_to(self, data: &mut Vec<u8>) {
        match self {
            Value::Bytes(bytes) => data.extend_from_slice(bytes),
            Value::Bucket(page) => {
                data.extend_from_slice(&page.to_le_bytes());
                data.extend_from_slice(&[0; 8]);
            }
            Value::Inline(leaf) => {
                data.extend_from_slice(&[0; BUCKET_BYTES]);
                data.extend_from_slice(&header(0, Kind::Leaf as u16, leaf.elements.len(), 0));
                for element in leaf.table() {
                    data.extend_from_slice(&element);
                }
                data.extend_from_slice(&leaf.data);
            }
        }
    }
}

impl Group {
    fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    fn page_bytes(&self) -> usize {
        HEADER_BYTES + self.elements.len() * ELEMENT_BYTES + self.keys.len()
    }

    fn first_key(&self) -> &[u8] {
        self.key(0)
    }

    fn key(&self, index: usize) -> &[u8] {
        let at = |index: usize| self.elements.get(index).map_or(self.keys.len(), |e| e.at);
        &self.keys[at(index)..at(index + 1)]
    }

    fn clear(&mut self) {
        self.elements.clear();
        self.keys.clear();
    }

    fn push(&mut self, key: &[u8], child: u64) {
        self.elements.push(GroupElement { at: self.keys.len(), child });
        self.keys.extend_from_slice(key);
    }

    /// Takes the last child out: its key and its page.
    fn pop(&mut self) -> (Vec<u8>, u64) {
        let last = self.elements.len() - 1;
        let (key, child) = (self.key(last).to_vec(), self.elements[last].child);
        self.keys.truncate(self.elements[last].at);
        self.elements.truncate(last);
        (key, child)
    }

    fn append(&mut self, other: &Group) {
        for (index, element) in other.elements.iter().enumerate() {
            self.push(other.key(index), element.child);
        }
    }

    fn write<W: Write + Seek>(&self, out: &mut Pages<W>) -> io::Result<u64> {
        let table_bytes = self.elements.len() * ELEMENT_BYTES;
        out.add(Kind::Branch, self.elements.len(), table_bytes + self.keys.len(), |body| {
            for (index, element) in self.elements.iter().enumerate() {
                let distance = table_bytes - index * ELEMENT_BYTES + element.at;
                body.extend_from_slice(&(distance as u32).to_le_bytes());
                body.extend_from_slice(&(self.key(index).len() as u32).to_le_bytes());
                body.extend_from_slice(&element.child.to_le_bytes());
            }
            body.extend_from_slice(&self.keys);
        })
    }
}
