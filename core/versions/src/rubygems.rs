//! Versions of gems, compared as `Gem::Version` does.
//!
//! Specification: <https://docs.ruby-lang.org/en/master/Gem/Version.html>.

use std::cmp::Ordering;

use crate::{VersionError, bounded, number};

/// A version of a gem; the empty text is version 0, a hyphen stands for `.pre.`.
///
/// Equality is that of the order: `1`, `1.0` and `1.0.0` are equal, and so are `1.a` and `1.0.a`.
#[derive(Debug, Clone)]
pub struct RubyGems {
    text: Box<str>,
    /// Numbers and words without the zeros that do not count.
    segments: Vec<Box<str>>,
}

impl RubyGems {
    /// Reads a version.
    ///
    /// # Errors
    /// If the text is too long or malformed.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let trimmed = bounded(text)?.trim();
        if !trimmed.is_empty() && matched(trimmed) != trimmed.len() {
            return Err(VersionError::malformed("RubyGems", text));
        }
        let (numbers, words) = split_segments(&trimmed.replace('-', ".pre."));
        let segments = without_zeros(numbers).into_iter().chain(without_zeros(words)).collect();
        Ok(Self { text: text.into(), segments })
    }

    /// The text as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn segment(&self, at: usize) -> &str {
        self.segments.get(at).map_or("", AsRef::as_ref)
    }
}

/// How many bytes at the start of the text follow the grammar of versions; 0 if it does not begin
/// with one.
pub(crate) fn matched(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = number::run(bytes, |byte| byte.is_ascii_digit());
    if at == 0 {
        return 0;
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric();
    let after_hyphen = |byte: u8| word(byte) || byte == b'-';
    at = dotted(bytes, at, word);
    if bytes.get(at) == Some(&b'-') {
        let first = number::run(&bytes[at + 1..], after_hyphen);
        if first > 0 {
            at = dotted(bytes, at + 1 + first, after_hyphen);
        }
    }
    at
}

/// Moves over `.run` as often as it follows.
pub(crate) fn dotted(bytes: &[u8], mut at: usize, wanted: impl Fn(u8) -> bool) -> usize {
    while bytes.get(at) == Some(&b'.') {
        let run = number::run(&bytes[at + 1..], &wanted);
        if run == 0 {
            break;
        }
        at += 1 + run;
    }
    at
}

/// Cuts into numbers and words: those before the first word, and from it on.
pub(crate) fn split_segments(text: &str) -> (Vec<Box<str>>, Vec<Box<str>>) {
    let (mut numbers, mut words) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let wanted = |byte: u8| match first {
            b'0'..=b'9' => byte.is_ascii_digit(),
            _ => byte.is_ascii_alphabetic(),
        };
        let length = number::run(rest.as_bytes(), wanted);
        if length == 0 {
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        let (segment, next) = rest.split_at(length);
        let list =
            if words.is_empty() && first.is_ascii_digit() { &mut numbers } else { &mut words };
        list.push(segment.into());
        rest = next;
    }
    (numbers, words)
}

fn without_zeros(mut segments: Vec<Box<str>>) -> Vec<Box<str>> {
    while segments.last().is_some_and(|last| number::is_number(last) && number::is_zero(last)) {
        segments.pop();
    }
    segments
}

impl Ord for RubyGems {
    fn cmp(&self, other: &Self) -> Ordering {
        (0..self.segments.len().max(other.segments.len()))
            .map(|at| compare_segments(self.segment(at), other.segment(at)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

/// Words sort before numbers; an empty segment is zero.
fn compare_segments(a: &str, b: &str) -> Ordering {
    let number = |segment: &str| segment.is_empty() || number::is_number(segment);
    match (number(a), number(b)) {
        (true, true) => number::compare(a, b),
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.cmp(b),
    }
}

impl PartialOrd for RubyGems {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for RubyGems {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for RubyGems {}
