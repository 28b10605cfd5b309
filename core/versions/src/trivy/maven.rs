//! The Maven comparer: its own reading of Maven's order, comparisons, and range brackets.

use std::cmp::Ordering;

use super::scan::{Bound, Operator, Spellings, alternatives, malformed};
use super::{Alternatives, Comparer, ConstraintError};
use crate::maven::Qualifier;
use crate::{VersionError, number};

/// Nested lists of numbers and qualifiers, as Maven 3.8 and older cut versions.
#[derive(Debug, Clone)]
pub(super) struct Items {
    items: Vec<Item>,
}

#[derive(Debug, Clone)]
enum Item {
    /// Larger numbers than 63 bits hold are all equal.
    Number(i64),
    Text(Qualifier),
    /// What stands behind a hyphen or where digits and letters meet.
    List(Vec<Item>),
}

impl Items {
    pub(super) fn parse(text: &str) -> Result<Self, VersionError> {
        Ok(Self { items: Reader::default().read(&text.to_ascii_lowercase()) })
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
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
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) => compare_lists(a, b),
            (a, b) => kind(a).cmp(&kind(b)),
        }
    }

    fn compare_with_nothing(&self) -> Ordering {
        match self {
            Self::Number(number) => number.cmp(&0),
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
            Self::Number(number) => *number == 0,
            Self::Text(qualifier) => *qualifier == Qualifier::Release,
            Self::List(items) => items.is_empty(),
        }
    }
}

fn compare_lists(a: &[Item], b: &[Item]) -> Ordering {
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

/// Cuts a text into lists. An inner list is the last item of its outer one, so the open lists are a
/// chain.
#[derive(Default)]
struct Reader {
    closed: Vec<Vec<Item>>,
    list: Vec<Item>,
}

impl Reader {
    fn read(mut self, text: &str) -> Vec<Item> {
        let (mut start, mut in_digits) = (0, false);
        for (at, byte) in text.bytes().enumerate() {
            let piece = &text[start..at];
            let changes = byte.is_ascii_digit() != in_digits && at > start;
            match byte {
                b'.' | b'-' => {
                    self.list.push(item(piece, false));
                    start = at + 1;
                    if byte == b'-' {
                        self.nest();
                    }
                    continue;
                }
                _ if changes => {
                    self.list.push(item(piece, !in_digits));
                    start = at;
                    self.nest();
                }
                _ => {}
            }
            in_digits = byte.is_ascii_digit();
        }
        if text.len() > start {
            self.list.push(item(&text[start..], false));
        }
        self.close()
    }

    fn nest(&mut self) {
        self.closed.push(std::mem::take(&mut self.list));
    }

    fn close(self) -> Vec<Item> {
        let mut inner = self.list;
        let mut closed = self.closed;
        // A hyphen at the end opens nothing.
        if inner.is_empty() {
            inner = closed.pop().unwrap_or_default();
        }
        trim(&mut inner);
        for mut list in closed.into_iter().rev() {
            // The other way round in Maven: here a list of nothing stays, so 1-0 is newer than 1.x.
            trim(&mut list);
            list.push(Item::List(inner));
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

/// A number or a qualifier; nothing between two separators is zero.
fn item(text: &str, before_digit: bool) -> Item {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Item::Number(if text.is_empty() { 0 } else { text.parse().unwrap_or(i64::MAX) })
    } else {
        Item::Text(Qualifier::new(text, before_digit))
    }
}

impl Bound for Items {
    const OPERATORS: Spellings = &[
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        (">=", Operator::GreaterOrEqual),
        ("=>", Operator::GreaterOrEqual),
        ("<=", Operator::LessOrEqual),
        ("=<", Operator::LessOrEqual),
        ("=", Operator::Equal),
        (">", Operator::Greater),
        ("<", Operator::Less),
    ];

    fn matched(text: &str) -> usize {
        number::run(text.as_bytes(), |byte| {
            byte.is_ascii_alphanumeric() || b"-~._+".contains(&byte)
        })
    }

    fn bound(_: Operator, text: &str) -> Result<Self, VersionError> {
        Self::parse(text)
    }
}

/// Reads comparisons or, where the text is none, whatever brackets stand in it.
pub(super) fn constraint(
    comparer: Comparer,
    text: &str,
) -> Result<Alternatives<Items>, ConstraintError> {
    match alternatives(comparer, text) {
        Err(ConstraintError::Malformed { .. }) => brackets(comparer, text),
        read => read,
    }
}

/// Brackets anywhere in the text, spaces apart; what stands between them does not count.
fn brackets(comparer: Comparer, text: &str) -> Result<Alternatives<Items>, ConstraintError> {
    let text: String = text.split_whitespace().collect();
    let mut ranges = Vec::new();
    let mut rest = text.as_str();
    while let Some(open) = rest.find(['[', '(']) {
        let inside = &rest[open + 1..];
        let length = number::run(inside.as_bytes(), |byte| {
            byte.is_ascii_alphanumeric() || b"-.,".contains(&byte)
        });
        if length == 0 || !inside[length..].starts_with([']', ')']) {
            rest = inside;
            continue;
        }
        let bracket = &rest[open..open + length + 2];
        ranges.push(range(comparer, bracket)?);
        rest = &inside[length + 1..];
    }
    if ranges.is_empty() { Err(malformed(comparer, &text)) } else { Ok(ranges) }
}

/// The bounds where there are none. Version 0, what is before it, and what begins with a letter lie
/// below the lower one.
const LEAST: &str = "-1";
const GREATEST: &str = "99999999999999999999";

/// Reads a bracket without spaces.
fn range(comparer: Comparer, bracket: &str) -> Result<Vec<(Operator, Items)>, ConstraintError> {
    let bound = |text: &str| {
        Items::parse(text).map_err(|source| ConstraintError::Bound {
            comparer: comparer.name(),
            text: bracket.into(),
            source,
        })
    };
    let inside = &bracket[1..bracket.len() - 1];
    let Some((from, to)) = inside.split_once(',') else {
        // Trivy cuts off one character too many, so that [1.2.3] means 1.2.
        let cut = inside.get(..inside.len().saturating_sub(1)).unwrap_or_default();
        return Ok(vec![(Operator::Equal, bound(cut)?)]);
    };
    if to.contains(',') {
        return Err(malformed(comparer, bracket));
    }
    let lower = if bracket.starts_with('(') { Operator::Greater } else { Operator::GreaterOrEqual };
    let upper = if bracket.ends_with(')') { Operator::Less } else { Operator::LessOrEqual };
    let (lower, from) =
        if from.is_empty() { (Operator::GreaterOrEqual, LEAST) } else { (lower, from) };
    let to = if to.is_empty() { GREATEST } else { to };
    Ok(vec![(lower, bound(from)?), (upper, bound(to)?)])
}
