//! The generic comparer: numbers, a lenient pre-release, build metadata that does not count.

use std::cmp::Ordering;

use super::Comparer;
use super::part::{Part, compare_pre_releases, parse_u64, parts};
use super::scan::{Bound, Operator, Spellings};
use crate::rubygems::dotted;
use crate::{VersionError, number};

/// A lenient semantic version.
#[derive(Debug, Clone)]
pub(super) struct Lenient {
    numbers: Vec<u64>,
    pre: Vec<Part>,
}

/// How far the pieces of a version reach.
struct Extent {
    numbers: std::ops::Range<usize>,
    pre: std::ops::Range<usize>,
    end: usize,
}

impl Lenient {
    pub(super) fn parse(text: &str) -> Result<Self, VersionError> {
        let name = Comparer::Generic.name();
        let extent = extent(text).filter(|extent| extent.end == text.len());
        let extent = extent.ok_or_else(|| VersionError::malformed(name, text))?;
        let numbers: Option<Vec<u64>> = text[extent.numbers].split('.').map(parse_u64).collect();
        let numbers = numbers.ok_or_else(|| VersionError::number_too_large(name, text))?;
        Ok(Self { numbers, pre: parts(&text[extent.pre]) })
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let number = |version: &Self, at: usize| version.numbers.get(at).copied().unwrap_or(0);
        (0..self.numbers.len().max(other.numbers.len()))
            .map(|at| number(self, at).cmp(&number(other, at)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| compare_pre_releases(&self.pre, &other.pre))
    }

    pub(super) fn matches(&self, operator: Operator, bound: &Self) -> bool {
        let below = |end: Self| self.compare(&end).is_lt();
        operator.holds(self.compare(bound))
            && match operator {
                Operator::Pessimistic => below(bound.pessimistic_end()),
                Operator::Tilde => below(bound.tilde_end()),
                Operator::Caret => below(bound.caret_end()),
                _ => true,
            }
    }

    /// The end of `~>`. With a single number the pre-release stays, as it does in Trivy.
    fn pessimistic_end(&self) -> Self {
        let mut numbers = self.numbers.clone();
        match numbers.as_mut_slice() {
            [only] => {
                *only = only.wrapping_add(1);
                return Self { numbers, pre: self.pre.clone() };
            }
            [.., next_to_last, last] => {
                *next_to_last = next_to_last.wrapping_add(1);
                *last = 0;
            }
            [] => {}
        }
        Self { numbers, pre: Vec::new() }
    }

    /// The end of `~`. With two numbers the pre-release stays, as it does in Trivy.
    fn tilde_end(&self) -> Self {
        match self.numbers.as_slice() {
            [major, minor] => {
                Self { numbers: vec![*major, minor.wrapping_add(1)], pre: self.pre.clone() }
            }
            _ => self.pessimistic_end(),
        }
    }

    fn caret_end(&self) -> Self {
        let mut numbers = self.numbers.clone();
        let last = numbers.len().saturating_sub(1);
        let first = numbers.iter().position(|number| *number != 0).unwrap_or(last);
        for (at, number) in numbers.iter_mut().enumerate().skip(first) {
            *number = if at == first { number.wrapping_add(1) } else { 0 };
        }
        Self { numbers, pre: Vec::new() }
    }
}

impl Bound for Lenient {
    const MORE_OPERATORS: Spellings =
        &[("~>", Operator::Pessimistic), ("~", Operator::Tilde), ("^", Operator::Caret)];

    fn matched(text: &str) -> usize {
        extent(text).map_or(0, |extent| extent.end)
    }

    fn bound(_: Operator, text: &str) -> Result<Self, VersionError> {
        Self::parse(text)
    }
}

fn extent(text: &str) -> Option<Extent> {
    let bytes = text.as_bytes();
    let digit = |byte: u8| byte.is_ascii_digit();
    let start = usize::from(bytes.first() == Some(&b'v'));
    let first = number::run(&bytes[start..], digit);
    if first == 0 {
        return None;
    }
    let numbers_end = dotted(bytes, start + first, digit);
    let pre = pre_release(bytes, numbers_end);
    let mut end = pre.end;
    if bytes.get(end) == Some(&b'+') {
        let run = number::run(&bytes[end + 1..], loose);
        if run > 0 {
            end = dotted(bytes, end + 1 + run, loose);
        }
    }
    Some(Extent { numbers: start..numbers_end, pre, end })
}

/// A hyphen and a digit, or an optional hyphen and a letter, hyphen or tilde, begin a pre-release.
fn pre_release(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let hyphen = bytes.get(at) == Some(&b'-');
    let after = at + usize::from(hyphen);
    let begins = bytes.get(after).is_some_and(|byte| loose(*byte));
    let bare = bytes.get(at).is_some_and(|byte| loose(*byte) && !byte.is_ascii_digit());
    let start = match (hyphen, begins, bare) {
        (true, true, _) => after,
        // A hyphen alone is a pre-release of itself.
        (_, _, true) => at,
        _ => return at..at,
    };
    start..dotted(bytes, start + number::run(&bytes[start..], loose), loose)
}

fn loose(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'~'
}
