//! The RubyGems comparer.

use std::cmp::Ordering;

use super::Comparer;
use super::part::parse_u64;
use super::scan::{Bound, Operator, Spellings};
use crate::VersionError;
use crate::rubygems::{matched, split_segments};

/// Numbers and words of a gem's version, as written: the zeros that do not count are left out when
/// comparing.
#[derive(Debug, Clone)]
pub(super) struct Segments {
    numbers: Vec<u64>,
    words: Vec<Word>,
}

/// What stands from the first word on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Number(u64),
    /// Also a number that 64 bits cannot hold.
    Text(Box<str>),
}

/// A number or word, borrowed while comparing.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Number(u64),
    Text(&'a str),
}

impl Segments {
    pub(super) fn parse(text: &str) -> Result<Self, VersionError> {
        let trimmed = text.trim();
        if !trimmed.is_empty() && matched(trimmed) != trimmed.len() {
            return Err(VersionError::malformed(Comparer::RubyGems.name(), text));
        }
        let text = if trimmed.is_empty() { "0" } else { trimmed };
        let (numbers, words) = split_segments(&text.replace('-', ".pre."));
        let mut segments = Self { numbers: Vec::new(), words: Vec::new() };
        for segment in numbers.into_iter().chain(words) {
            match parse_u64(&segment) {
                Some(number) if segments.words.is_empty() => segments.numbers.push(number),
                Some(number) => segments.words.push(Word::Number(number)),
                None => segments.words.push(Word::Text(segment)),
            }
        }
        Ok(segments)
    }

    fn canonical(&self) -> impl Iterator<Item = Piece<'_>> {
        let numbers = &self.numbers[..last(&self.numbers, |number| *number == 0)];
        let words = &self.words[..last(&self.words, |word| *word == Word::Number(0))];
        let pieces = words.iter().map(|word| match word {
            Word::Number(number) => Piece::Number(*number),
            Word::Text(text) => Piece::Text(text),
        });
        numbers.iter().map(|number| Piece::Number(*number)).chain(pieces)
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = (self.canonical(), other.canonical());
        loop {
            let (a, b) = match (a.next(), b.next()) {
                (None, None) => return Ordering::Equal,
                (a, b) => (a.unwrap_or(Piece::Number(0)), b.unwrap_or(Piece::Number(0))),
            };
            let order = match (a, b) {
                (Piece::Number(a), Piece::Number(b)) => a.cmp(&b),
                (Piece::Text(a), Piece::Text(b)) => a.cmp(b),
                (Piece::Number(_), Piece::Text(_)) => Ordering::Greater,
                (Piece::Text(_), Piece::Number(_)) => Ordering::Less,
            };
            if order.is_ne() {
                return order;
            }
        }
    }

    pub(super) fn matches(&self, operator: Operator, bound: &Self) -> bool {
        operator.holds(self.compare(bound))
            && (operator != Operator::Pessimistic
                || self.release().compare(&bound.next_release()).is_lt())
    }

    fn release(&self) -> Self {
        Self { numbers: self.numbers.clone(), words: Vec::new() }
    }

    /// The last number dropped, unless it is the only one, and the one before it counted up.
    fn next_release(&self) -> Self {
        let mut numbers = self.numbers.clone();
        numbers.truncate(numbers.len().saturating_sub(1).max(1));
        if let Some(last) = numbers.last_mut() {
            *last = last.wrapping_add(1);
        }
        Self { numbers, words: Vec::new() }
    }
}

/// The length without the items at the end that count as nothing.
fn last<T>(items: &[T], null: impl Fn(&T) -> bool) -> usize {
    items.iter().rposition(|item| !null(item)).map_or(0, |at| at + 1)
}

impl Bound for Segments {
    const MORE_OPERATORS: Spellings = &[("~>", Operator::Pessimistic)];

    fn matched(text: &str) -> usize {
        matched(text)
    }

    fn bound(operator: Operator, text: &str) -> Result<Self, VersionError> {
        let segments = Self::parse(text)?;
        // Trivy would crash on the end of a range that begins with no number it can hold.
        if operator == Operator::Pessimistic && segments.numbers.is_empty() {
            return Err(VersionError::number_too_large(Comparer::RubyGems.name(), text));
        }
        Ok(segments)
    }
}
