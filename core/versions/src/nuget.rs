//! Versions of NuGet: semantic versions with one to four numbers and pre-releases without case.
//!
//! Specification: <https://learn.microsoft.com/en-us/nuget/concepts/package-versioning>.

use std::cmp::Ordering;

use crate::semver::{compare_pre_releases, identifier};
use crate::{VersionError, bounded, number};

/// A version of NuGet.
///
/// Order and equality are those of packages: missing numbers are zero, leading zeros and the case of
/// pre-releases do not count, and neither does metadata after a plus sign.
#[derive(Debug, Clone)]
pub struct NuGet {
    text: Box<str>,
    core_end: usize,
    pre_end: usize,
}

impl NuGet {
    /// Reads a version.
    ///
    /// # Errors
    /// If the text is too long, has more than four numbers, or is otherwise malformed.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        Self::read(bounded(text)?).ok_or_else(|| VersionError::malformed("NuGet", text))
    }

    fn read(text: &str) -> Option<Self> {
        let core_end = text.find(['-', '+']).unwrap_or(text.len());
        let core = &text[..core_end];
        if core.split('.').count() > 4 || !core.split('.').all(number::is_number) {
            return None;
        }
        let pre_end = text[core_end..].find('+').map_or(text.len(), |plus| core_end + plus);
        let labels = |part: &str| part.split('.').all(identifier);
        let pre = text[core_end..pre_end].strip_prefix('-').is_none_or(labels);
        let build = text[pre_end..].strip_prefix('+').is_none_or(labels);
        (pre && build).then(|| Self { text: text.into(), core_end, pre_end })
    }

    /// The text as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn pre_release(&self) -> Option<&str> {
        self.text[self.core_end..self.pre_end].strip_prefix('-')
    }

    fn core(&self) -> impl Iterator<Item = &str> {
        self.text[..self.core_end].split('.').chain(std::iter::repeat("")).take(4)
    }
}

/// Compares without the case of ASCII letters.
fn without_case(a: &str, b: &str) -> Ordering {
    let lower = |byte: u8| byte.to_ascii_lowercase();
    a.bytes().map(lower).cmp(b.bytes().map(lower))
}

impl Ord for NuGet {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = self.core().zip(other.core()).map(|(a, b)| number::compare(a, b));
        let core = numbers.fold(Ordering::Equal, Ordering::then);
        core.then_with(|| {
            compare_pre_releases(self.pre_release(), other.pre_release(), without_case)
        })
    }
}

impl PartialOrd for NuGet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for NuGet {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for NuGet {}
