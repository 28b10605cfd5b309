//! Versions of Debian packages: `[epoch:]upstream[-revision]`.
//!
//! Specification: Debian Policy, section 5.6.12,
//! <https://www.debian.org/doc/debian-policy/ch-controlfields.html#version>, and deb-version(7).

use std::cmp::Ordering;

use crate::{VersionError, bounded, number};

/// A version of a Debian package.
///
/// Equality is that of the order: `1.0` and `0:1.0-0` are equal.
#[derive(Debug, Clone)]
pub struct Deb {
    text: Box<str>,
    /// Where the upstream version begins, after the epoch and its colon.
    upstream: usize,
    /// Where the upstream version ends.
    upstream_end: usize,
}

impl Deb {
    /// Reads a version; spaces around it do not count, as for dpkg.
    ///
    /// # Errors
    /// If the text is too long, the epoch is no number, the upstream version does not begin with a
    /// digit, or a character stands where policy allows none.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        Self::read(bounded(text)?).ok_or_else(|| VersionError::malformed("Deb", text))
    }

    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let upstream = text.find(':').map_or(0, |colon| colon + 1);
        let epoch = &text[..upstream.saturating_sub(1)];
        // dpkg keeps the epoch in 31 bits and refuses a larger one.
        if upstream > 0 && (!number::is_number(epoch) || epoch.parse::<i32>().is_err()) {
            return None;
        }
        let upstream_end = text[upstream..].rfind('-').map_or(text.len(), |dash| upstream + dash);
        let (version, revision) = (&text[upstream..upstream_end], text.get(upstream_end + 1..));
        let allowed = |byte: u8, more: &[u8]| byte.is_ascii_alphanumeric() || more.contains(&byte);
        let valid = version.starts_with(|c: char| c.is_ascii_digit())
            && version.bytes().all(|byte| allowed(byte, b".+-:~"))
            && revision.is_none_or(|revision| {
                !revision.is_empty() && revision.bytes().all(|byte| allowed(byte, b".+~"))
            });
        valid.then(|| Self { text: text.into(), upstream, upstream_end })
    }

    /// The text as it was read, without spaces around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn epoch(&self) -> &str {
        self.text.get(..self.upstream.saturating_sub(1)).unwrap_or_default()
    }

    fn revision(&self) -> &str {
        self.text.get(self.upstream_end + 1..).unwrap_or_default()
    }
}

impl Ord for Deb {
    fn cmp(&self, other: &Self) -> Ordering {
        let upstream = |v: &Self| v.upstream..v.upstream_end;
        number::compare(self.epoch(), other.epoch())
            .then_with(|| {
                compare_part(
                    &self.text[upstream(self)],
                    &other.text[upstream(other)],
                    number::compare,
                )
            })
            .then_with(|| compare_part(self.revision(), other.revision(), number::compare))
    }
}

impl PartialOrd for Deb {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Deb {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Deb {}

/// Compares an upstream version or a revision: non-digits by their weight and digits by value, by
/// turns.
pub(crate) fn compare_part(
    mut a: &str,
    mut b: &str,
    numbers: impl Fn(&str, &str) -> Ordering,
) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split_text(a);
        let (text_b, rest_b) = split_text(b);
        let (digits_a, next_a) = number::split_digits(rest_a);
        let (digits_b, next_b) = number::split_digits(rest_b);
        let order = compare_text(text_a, text_b).then_with(|| numbers(digits_a, digits_b));
        if order.is_ne() {
            return order;
        }
        (a, b) = (next_a, next_b);
    }
    Ordering::Equal
}

fn split_text(part: &str) -> (&str, &str) {
    part.split_at(number::run(part.as_bytes(), |byte| !byte.is_ascii_digit()))
}

fn compare_text(a: &str, b: &str) -> Ordering {
    (0..a.len().max(b.len()))
        .map(|at| weight(a.as_bytes().get(at)).cmp(&weight(b.as_bytes().get(at))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// A tilde sorts before the end, the end before letters, letters before everything else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}
