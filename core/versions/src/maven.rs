//! Versions of Maven, compared as Maven's `ComparableVersion` does.
//!
//! Specification: <https://maven.apache.org/pom.html#version-order-specification>; where it is silent,
//! the reference implementation of Maven 3.8 decides.

use std::cmp::Ordering;

use crate::{VersionError, bounded, number};

/// A version of Maven. Every text is one.
///
/// `1`, `1.0`, `1-ga` and `1.0.0-Final` compare as equal.
#[derive(Debug, Clone)]
pub struct Maven {
    text: Box<str>,
    items: Vec<Item>,
}

/// The known qualifiers in their order; unknown ones are newer than all of them and sort by text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Qualifier {
    Alpha,
    Beta,
    Milestone,
    Candidate,
    Snapshot,
    Release,
    ServicePack,
    Unknown(Box<str>),
}

impl Qualifier {
    fn new(text: &str, before_digit: bool) -> Self {
        match text {
            "alpha" => Self::Alpha,
            "beta" => Self::Beta,
            "milestone" => Self::Milestone,
            "a" if before_digit => Self::Alpha,
            "b" if before_digit => Self::Beta,
            "m" if before_digit => Self::Milestone,
            "rc" | "cr" => Self::Candidate,
            "snapshot" => Self::Snapshot,
            "" | "ga" | "final" | "release" => Self::Release,
            "sp" => Self::ServicePack,
            other => Self::Unknown(other.into()),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// Digits without leading zeros.
    Number(Box<str>),
    Text(Qualifier),
    /// What stands behind a hyphen or where digits and letters meet.
    List(Vec<Item>),
}

impl Maven {
    /// Reads a version.
    ///
    /// # Errors
    /// If the text is too long.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let text = bounded(text)?;
        let lower = text.to_lowercase();
        Ok(Self { text: text.into(), items: read(&lower, Rules::Maven, number::significant) })
    }

    /// The text as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Compares as Maven does.
    ///
    /// The order is the same from both sides. It is not transitive where a text begins with a letter
    /// or has empty pieces: `0` is before `sp`, `sp` before `-alpha`, and `-alpha` before `0`. So there
    /// is no `Ord`: sorting hostile texts by it could panic.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        compare_lists(&self.items, &other.items)
    }
}

impl Item {
    /// Numbers sort after lists and lists after qualifiers.
    fn compare(&self, other: &Self) -> Ordering {
        let kind = |item: &Self| match item {
            Self::Text(_) => 0,
            Self::List(_) => 1,
            Self::Number(_) => 2,
        };
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => number::compare(a, b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) => compare_lists(a, b),
            (a, b) => kind(a).cmp(&kind(b)),
        }
    }

    fn compare_with_nothing(&self) -> Ordering {
        match self {
            Self::Number(digits) => number::compare(digits, ""),
            Self::Text(qualifier) => qualifier.cmp(&Qualifier::Release),
            Self::List(items) => items
                .iter()
                .map(Self::compare_with_nothing)
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal),
        }
    }

    fn is_null(&self) -> bool {
        match self {
            Self::Number(digits) => digits.is_empty(),
            Self::Text(qualifier) => *qualifier == Qualifier::Release,
            Self::List(items) => items.is_empty(),
        }
    }
}

/// Compares item by item; where one list has no more, the other's item decides alone.
pub(crate) fn compare_lists(a: &[Item], b: &[Item]) -> Ordering {
    (0..a.len().max(b.len()))
        .map(|at| match (a.get(at), b.get(at)) {
            (Some(a), Some(b)) => a.compare(b),
            (Some(a), None) => a.compare_with_nothing(),
            (None, Some(b)) => b.compare_with_nothing().reverse(),
            (None, None) => Ordering::Equal,
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Whose reading it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// A list of nothing is dropped, and `.x` is `-x` at the end and before a digit.
    Maven,
    /// A list of nothing stays as a list without items.
    Trivy,
}

/// Cuts a text in lower case into lists; `digits` shortens those of a number.
pub(crate) fn read(text: &str, rules: Rules, digits: fn(&str) -> &str) -> Vec<Item> {
    Reader { closed: Vec::new(), list: Vec::new(), rules, digits }.read(text).close()
}

/// An inner list is the last item of its outer one, so the open lists are a chain.
struct Reader {
    closed: Vec<Vec<Item>>,
    list: Vec<Item>,
    rules: Rules,
    digits: fn(&str) -> &str,
}

impl Reader {
    fn read(mut self, text: &str) -> Self {
        let (mut start, mut in_digits) = (0, false);
        for (at, byte) in text.bytes().enumerate() {
            let changes = byte.is_ascii_digit() != in_digits && at > start;
            match byte {
                b'.' | b'-' => {
                    self.push(&text[start..at], false);
                    start = at + 1;
                    if byte == b'-' {
                        self.nest();
                    }
                    continue;
                }
                _ if changes => {
                    self.part_from_numbers(!in_digits);
                    self.push(&text[start..at], !in_digits);
                    start = at;
                    self.nest();
                }
                _ => {}
            }
            in_digits = byte.is_ascii_digit();
        }
        if text.len() > start {
            self.part_from_numbers(!in_digits);
            self.push(&text[start..], false);
        }
        self
    }

    fn part_from_numbers(&mut self, is_text: bool) {
        if is_text && self.rules == Rules::Maven && !self.list.is_empty() {
            self.nest();
        }
    }

    /// Adds a number or a qualifier; nothing between two separators is zero.
    fn push(&mut self, text: &str, before_digit: bool) {
        self.list.push(if text.bytes().all(|byte| byte.is_ascii_digit()) {
            Item::Number((self.digits)(text).into())
        } else {
            Item::Text(Qualifier::new(text, before_digit))
        });
    }

    fn nest(&mut self) {
        self.closed.push(std::mem::take(&mut self.list));
    }

    fn close(mut self) -> Vec<Item> {
        // A hyphen at the end opens nothing.
        if self.list.is_empty() {
            self.list = self.closed.pop().unwrap_or_default();
        }
        let mut inner = self.list;
        trim(&mut inner);
        for mut list in self.closed.into_iter().rev() {
            trim(&mut list);
            if self.rules == Rules::Trivy || !inner.is_empty() {
                list.push(Item::List(inner));
            }
            inner = list;
        }
        inner
    }
}

/// Drops what counts as nothing from the end.
fn trim(list: &mut Vec<Item>) {
    while list.last().is_some_and(Item::is_null) {
        list.pop();
    }
}
