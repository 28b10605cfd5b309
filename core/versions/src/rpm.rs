//! Versions of RPM packages: `[epoch:]version[-release]`, compared by rpmvercmp.
//!
//! Specification: rpm-version(7), <https://rpm.org/docs/latest/man/rpm-version.7>.

use std::cmp::Ordering;

use crate::{VersionError, bounded, number};

/// A version of an RPM package.
///
/// Equality is that of the order: separators and leading zeros do not count, so `1.0` and `1_00` are
/// equal. A version without a release is compared as one with an empty release.
#[derive(Debug, Clone)]
pub struct Rpm {
    text: Box<str>,
    version: usize,
    version_end: usize,
}

impl Rpm {
    /// Reads a version.
    ///
    /// # Errors
    /// If the text is too long, the epoch is no number, the version is empty, or a character stands
    /// in it that RPM does not allow.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        Self::read(bounded(text)?).ok_or_else(|| VersionError::malformed("Rpm", text))
    }

    fn read(text: &str) -> Option<Self> {
        let version = text.find(':').map_or(0, |colon| colon + 1);
        if version > 0 && !number::is_number(&text[..version - 1]) {
            return None;
        }
        let version_end = text[version..].rfind('-').map_or(text.len(), |dash| version + dash);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~^".contains(&byte);
        let part = |part: &str| !part.is_empty() && part.bytes().all(allowed);
        let valid =
            part(&text[version..version_end]) && text.get(version_end + 1..).is_none_or(part);
        valid.then(|| Self { text: text.into(), version, version_end })
    }

    /// The text as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn epoch(&self) -> &str {
        self.text.get(..self.version.saturating_sub(1)).unwrap_or_default()
    }

    fn release(&self) -> &str {
        self.text.get(self.version_end + 1..).unwrap_or_default()
    }
}

impl Ord for Rpm {
    fn cmp(&self, other: &Self) -> Ordering {
        let version = |v: &Self| v.version..v.version_end;
        number::compare(self.epoch(), other.epoch())
            .then_with(|| compare_part(&self.text[version(self)], &other.text[version(other)]))
            .then_with(|| compare_part(self.release(), other.release()))
    }
}

impl PartialOrd for Rpm {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rpm {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rpm {}

/// Compares a version or a release as rpmvercmp does.
///
/// A tilde sorts before the end of the text, a caret after it but before anything else; a number is
/// newer than letters; what is longer is newer.
pub(crate) fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    loop {
        (a, b) = (skip(a), skip(b));
        match (a.strip_prefix('~'), b.strip_prefix('~')) {
            (Some(rest_a), Some(rest_b)) => {
                (a, b) = (rest_a, rest_b);
                continue;
            }
            (Some(_), None) => return Ordering::Less,
            (None, Some(_)) => return Ordering::Greater,
            (None, None) => {}
        }
        match (a.strip_prefix('^'), b.strip_prefix('^')) {
            (Some(rest_a), Some(rest_b)) => {
                (a, b) = (rest_a, rest_b);
                continue;
            }
            (Some(_), None) => {
                return if b.is_empty() { Ordering::Greater } else { Ordering::Less };
            }
            (None, Some(_)) => {
                return if a.is_empty() { Ordering::Less } else { Ordering::Greater };
            }
            (None, None) => {}
        }
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let order = match (digits(a), digits(b)) {
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (true, true) => {
                let ((digits_a, rest_a), (digits_b, rest_b)) =
                    (number::split_digits(a), number::split_digits(b));
                (a, b) = (rest_a, rest_b);
                number::compare(digits_a, digits_b)
            }
            (false, false) => {
                let ((letters_a, rest_a), (letters_b, rest_b)) = (letters(a), letters(b));
                (a, b) = (rest_a, rest_b);
                letters_a.cmp(letters_b)
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Drops separators: whatever is no ASCII letter, digit, tilde or caret.
fn skip(text: &str) -> &str {
    text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric() && c != '~' && c != '^')
}

fn letters(text: &str) -> (&str, &str) {
    text.split_at(number::run(text.as_bytes(), |byte| byte.is_ascii_alphabetic()))
}
