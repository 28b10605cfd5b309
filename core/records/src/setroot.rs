//! Merkle roots of record sets and proofs that one record is, or is not, in a set.
//!
//! The tree is that of RFC 6962 §2.1 (<https://www.rfc-editor.org/rfc/rfc6962#section-2.1>): a node
//! over n leaves splits at the largest power of two below n. A leaf is
//! `H(0x00 ‖ LP(kind) ‖ LP(feed) ‖ LP(id) ‖ contentDigest)`, a node `H(0x01 ‖ left ‖ right)`, and
//! the empty tree `H("")`. Leaves are fed in the order of ids, one at a time; memory is the height
//! of the tree.

use std::ops::Range;

use stella_model::{Digest, DigestBuilder, SetKey};

/// Hash of one record as a leaf.
#[must_use]
pub fn leaf(set: &SetKey, id: &str, content: &Digest) -> Digest {
    let mut input = DigestBuilder::new();
    input
        .bytes(&[0])
        .lp(set.kind.as_str().as_bytes())
        .lp(set.feed.as_str().as_bytes())
        .lp(id.as_bytes())
        .digest(content);
    input.finish()
}

fn node(left: &Digest, right: &Digest) -> Digest {
    let mut input = DigestBuilder::new();
    input.bytes(&[1]).digest(left).digest(right);
    input.finish()
}

/// A set root in the making.
#[derive(Debug, Clone, Default)]
pub struct SetRoot {
    /// Roots of complete subtrees, largest first; their sizes are the set bits of `count`.
    subtrees: Vec<Digest>,
    count: u64,
}

impl SetRoot {
    /// The root of no records.
    #[must_use]
    pub fn new() -> SetRoot {
        SetRoot::default()
    }

    /// Appends the next leaf.
    pub fn push(&mut self, leaf: Digest) {
        let mut subtree = leaf;
        // Each trailing one bit of the count is a complete subtree that the new leaf completes
        // into one of twice the size.
        for _ in 0..self.count.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                subtree = node(&left, &subtree);
            }
        }
        self.subtrees.push(subtree);
        self.count += 1;
    }

    /// Number of leaves so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The root over the leaves so far.
    #[must_use]
    pub fn finish(&self) -> Digest {
        let mut subtrees = self.subtrees.iter().rev();
        let Some(last) = subtrees.next() else { return Digest::EMPTY };
        subtrees.fold(*last, |right, left| node(left, &right))
    }
}

/// The tree over consecutive leaves of a set, as far as it can be told without the others.
///
/// Lets the leaves of a set be hashed in several places at once: each makes the range of its own
/// leaves, and the ranges joined from the first leaf on give the root. A range holds the roots of
/// the largest complete subtrees that it covers, at most two of each height.
#[derive(Debug, Clone, Default)]
pub struct CompactRange {
    start: u64,
    end: u64,
    /// Height and root of each subtree, in the order of leaves.
    subtrees: Vec<(u32, Digest)>,
}

impl CompactRange {
    /// The range of no leaves that begins before leaf `start`.
    #[must_use]
    pub fn starting_at(start: u64) -> CompactRange {
        CompactRange { start, end: start, subtrees: Vec::new() }
    }

    /// Appends the next leaf.
    pub fn push(&mut self, leaf: Digest) {
        self.push_subtree(0, leaf);
    }

    /// Appends the leaves of another range.
    ///
    /// Returns `None`, and is unusable then, unless `next` begins where this one ends.
    #[must_use]
    pub fn join(mut self, next: &CompactRange) -> Option<CompactRange> {
        if next.start != self.end {
            return None;
        }
        for (height, root) in &next.subtrees {
            self.push_subtree(*height, *root);
        }
        Some(self)
    }

    /// Number of leaves.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.end - self.start
    }

    /// The root over all leaves, or `None` for a range that does not begin at the first leaf.
    #[must_use]
    pub fn root(&self) -> Option<Digest> {
        if self.start != 0 {
            return None;
        }
        let mut subtrees = self.subtrees.iter().rev().map(|(_, root)| *root);
        let Some(last) = subtrees.next() else { return Some(Digest::EMPTY) };
        Some(subtrees.fold(last, |right, left| node(&left, &right)))
    }

    fn push_subtree(&mut self, height: u32, root: Digest) {
        let (mut height, mut root) = (height, root);
        self.end += 1 << height;
        // Two neighbours of one height are one subtree if the left one begins where a tree of
        // twice the size does.
        while let Some((left_height, left)) = self.subtrees.last() {
            let begin = self.end - (2 << height);
            if *left_height != height || !begin.is_multiple_of(2 << height) {
                break;
            }
            root = node(left, &root);
            height += 1;
            self.subtrees.pop();
        }
        self.subtrees.push((height, root));
    }
}

/// Collects the audit path of one leaf while all leaves of a set stream by.
#[derive(Debug, Clone)]
pub struct PathBuilder {
    /// The sibling subtrees from the leaf up to the root, and what of each was seen.
    siblings: Vec<(Range<u64>, SetRoot)>,
    next: u64,
}

impl PathBuilder {
    /// A path for leaf `index` of `count`.
    ///
    /// Returns `None` unless `index < count`.
    #[must_use]
    pub fn new(index: u64, count: u64) -> Option<PathBuilder> {
        let siblings = sibling_ranges(index, count)?;
        let siblings = siblings.into_iter().map(|range| (range, SetRoot::new())).collect();
        Some(PathBuilder { siblings, next: 0 })
    }

    /// Shows the next leaf of the set.
    pub fn push(&mut self, leaf: Digest) {
        for (range, root) in &mut self.siblings {
            if range.contains(&self.next) {
                root.push(leaf);
            }
        }
        self.next += 1;
    }

    /// The path, from the leaf's sibling up.
    #[must_use]
    pub fn finish(self) -> Vec<Digest> {
        self.siblings.iter().map(|(_, root)| root.finish()).collect()
    }
}

/// The root that a leaf, its index and its path lead to, or `None` if the path has another length
/// than a tree of `count` leaves demands.
#[must_use]
pub fn root_of_path(leaf: Digest, index: u64, count: u64, path: &[Digest]) -> Option<Digest> {
    let siblings = sibling_ranges(index, count)?;
    if siblings.len() != path.len() {
        return None;
    }
    let climb = |below: Digest, (range, sibling): (&Range<u64>, &Digest)| {
        if range.start > index { node(&below, sibling) } else { node(sibling, &below) }
    };
    Some(siblings.iter().zip(path).fold(leaf, climb))
}

/// The leaves under each sibling on the way from leaf `index` up to the root.
fn sibling_ranges(index: u64, count: u64) -> Option<Vec<Range<u64>>> {
    if index >= count {
        return None;
    }
    let mut siblings = Vec::new();
    let mut within = 0..count;
    while within.end - within.start > 1 {
        let size = within.end - within.start;
        // The largest power of two below the size.
        let split = within.start + (1 << (63 - (size - 1).leading_zeros()));
        if index < split {
            siblings.push(split..within.end);
            within.end = split;
        } else {
            siblings.push(within.start..split);
            within.start = split;
        }
    }
    siblings.reverse();
    Some(siblings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> SetKey {
        "advisory/npm".parse().expect("a set")
    }

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count)
            .map(|n| leaf(&set(), &format!("X-{n:04}"), &Digest::of(&n.to_be_bytes())))
            .collect()
    }

    /// RFC 6962 §2.1 as written there, over all leaves at once.
    fn by_definition(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::EMPTY,
            [one] => *one,
            _ => {
                let mut split = 1;
                while split * 2 < leaves.len() {
                    split *= 2;
                }
                node(&by_definition(&leaves[..split]), &by_definition(&leaves[split..]))
            }
        }
    }

    fn streamed(leaves: &[Digest]) -> Digest {
        let mut root = SetRoot::new();
        leaves.iter().for_each(|leaf| root.push(*leaf));
        root.finish()
    }

    #[test]
    fn streaming_gives_the_tree_of_the_definition() {
        for count in 0..70 {
            let leaves = leaves(count);
            assert_eq!(streamed(&leaves), by_definition(&leaves), "{count}");
        }
    }

    #[test]
    fn known_answers_computed_apart_from_this_code() {
        // python3: sha256(b'\0' + LP('advisory') + LP('npm') + LP('A') + sha256(b'1').digest())
        let one = leaf(&set(), "A", &Digest::of(b"1"));
        let two = leaf(&set(), "B", &Digest::of(b"2"));
        let three = leaf(&set(), "C", &Digest::of(b"3"));
        assert_eq!(
            one.to_string(),
            "c1ba7327a085eeb0169f8bc9773a8b6aad5462a531a8c818fb0b43792d0347c1"
        );
        assert_eq!(
            streamed(&[one, two, three]).to_string(),
            "1e0ce5f9739e56aac3c639066e7363fc99ad53cd99f0cf84bbfb453ff3468114"
        );
    }

    fn range(leaves: &[Digest], part: Range<usize>) -> CompactRange {
        let mut range = CompactRange::starting_at(part.start as u64);
        leaves[part].iter().for_each(|leaf| range.push(*leaf));
        range
    }

    #[test]
    fn ranges_joined_anywhere_give_the_tree_of_the_definition() {
        for count in 0..34 {
            let leaves = leaves(count as u64);
            let expected = by_definition(&leaves);
            for one in 0..=count {
                for two in one..=count {
                    let joined = range(&leaves, 0..one)
                        .join(&range(&leaves, one..two))
                        .and_then(|joined| joined.join(&range(&leaves, two..count)))
                        .expect("the ranges are neighbours");
                    assert_eq!(joined.root(), Some(expected), "{count} {one} {two}");
                    assert_eq!(joined.count(), count as u64);
                }
            }
        }
    }

    #[test]
    fn ranges_that_are_no_neighbours_do_not_join() {
        let leaves = leaves(9);
        assert!(range(&leaves, 0..3).join(&range(&leaves, 4..9)).is_none());
        assert!(range(&leaves, 0..3).join(&range(&leaves, 2..9)).is_none());
        assert_eq!(range(&leaves, 3..9).root(), None);
    }

    #[test]
    fn every_path_leads_to_the_root_and_a_changed_one_does_not() {
        for count in 1..40 {
            let leaves = leaves(count);
            let root = streamed(&leaves);
            for index in 0..count {
                let mut path = PathBuilder::new(index, count).expect("index is in range");
                leaves.iter().for_each(|leaf| path.push(*leaf));
                let mut path = path.finish();
                let leaf = leaves[index as usize];
                assert_eq!(root_of_path(leaf, index, count, &path), Some(root));
                assert_ne!(root_of_path(Digest::EMPTY, index, count, &path), Some(root));
                if let Some(first) = path.first_mut() {
                    *first = Digest::EMPTY;
                    assert_ne!(root_of_path(leaf, index, count, &path), Some(root));
                }
                path.push(Digest::EMPTY);
                assert_eq!(root_of_path(leaf, index, count, &path), None);
            }
            assert!(PathBuilder::new(count, count).is_none());
        }
    }
}
