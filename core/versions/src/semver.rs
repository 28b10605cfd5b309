//! Semantic Versioning 2.0.0, as published: three numbers, pre-release identifiers, build metadata.
//!
//! Specification: <https://semver.org/spec/v2.0.0.html>. npm, Cargo, Hex, Pub, Swift and Julia use
//! these versions, and Go does with a `v` before them. Go's pseudo-versions are ordinary pre-releases
//! and its `+incompatible` is build metadata, so neither needs a rule.

use std::cmp::Ordering;

use crate::{VersionError, bounded, number};

/// A version of Semantic Versioning 2.0.0.
///
/// Order and equality are those of precedence (section 11): build metadata does not count, so
/// `1.0.0+a == 1.0.0+b`.
#[derive(Debug, Clone)]
pub struct SemVer {
    text: Box<str>,
    /// Where the three numbers end.
    core_end: usize,
    /// Where the pre-release ends; equal to `core_end` if there is none.
    pre_end: usize,
}

impl SemVer {
    /// Reads a version by the grammar of the specification.
    ///
    /// # Errors
    /// If the text is too long or malformed: a `v` before it, leading zeros, fewer than three numbers.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        Self::read(bounded(text)?).ok_or_else(|| VersionError::malformed("SemVer", text))
    }

    fn read(text: &str) -> Option<Self> {
        let core_end = text.find(['-', '+']).unwrap_or(text.len());
        let mut numbers = text[..core_end].split('.');
        let three = numbers.by_ref().take(3).filter(|n| number::is_number(n) && plain(n)).count();
        if three != 3 || numbers.next().is_some() {
            return None;
        }
        let pre_end = text[core_end..].find('+').map_or(text.len(), |plus| core_end + plus);
        if let Some(pre) = text[core_end..pre_end].strip_prefix('-')
            && !pre.split('.').all(|id| identifier(id) && (!number::is_number(id) || plain(id)))
        {
            return None;
        }
        if let Some(build) = text[pre_end..].strip_prefix('+')
            && !build.split('.').all(identifier)
        {
            return None;
        }
        Some(Self { text: text.into(), core_end, pre_end })
    }

    /// The text as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text after the first hyphen and before any plus sign.
    #[must_use]
    pub fn pre_release(&self) -> Option<&str> {
        self.text[self.core_end..self.pre_end].strip_prefix('-')
    }

    fn core(&self) -> impl Iterator<Item = &str> {
        self.text[..self.core_end].split('.')
    }
}

/// Compares the identifiers of two pre-releases; a version without one is newer than one with.
pub(crate) fn compare_pre_releases(
    a: Option<&str>,
    b: Option<&str>,
    texts: impl Fn(&str, &str) -> Ordering,
) -> Ordering {
    let (a, b) = match (a, b) {
        (None, None) => return Ordering::Equal,
        (None, Some(_)) => return Ordering::Greater,
        (Some(_), None) => return Ordering::Less,
        (Some(a), Some(b)) => (a, b),
    };
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (number::is_number(a), number::is_number(b)) {
                (true, true) => number::compare(a, b),
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) => texts(a, b),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Whether the text is an identifier of a pre-release or of build metadata.
pub(crate) fn identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether a number has no leading zeros.
fn plain(digits: &str) -> bool {
    digits.len() == 1 || !digits.starts_with('0')
}

impl Ord for SemVer {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = self.core().zip(other.core()).map(|(a, b)| number::compare(a, b));
        let core = numbers.fold(Ordering::Equal, Ordering::then);
        core.then_with(|| {
            compare_pre_releases(self.pre_release(), other.pre_release(), |a, b| a.cmp(b))
        })
    }
}

impl PartialOrd for SemVer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SemVer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for SemVer {}
