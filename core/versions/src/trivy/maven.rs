//! The Maven comparer: its own reading of Maven's order, comparisons, and range brackets.

use std::cmp::Ordering;

use super::scan::{Bound, Operator, alternatives, malformed};
use super::{Alternatives, Comparer, ConstraintError};
use crate::maven::{Item, Rules, compare_lists, read};
use crate::{VersionError, bounded, number};

/// Nested lists of numbers and qualifiers. Unlike Maven, a list of nothing stays, so that `1-0` is
/// newer than `1.x`, and numbers over 63 bits are all equal.
#[derive(Debug, Clone)]
pub(super) struct Items {
    items: Vec<Item>,
}

impl Items {
    pub(super) fn parse(text: &str) -> Result<Self, VersionError> {
        // Lists nest as deep as the text has pieces, so the bound on its length is one on the stack.
        let lower = bounded(text)?.to_ascii_lowercase();
        Ok(Self { items: read(&lower, Rules::Trivy, held) })
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        compare_lists(&self.items, &other.items)
    }
}

/// The digits without leading zeros, or those of the largest number that 63 bits hold.
fn held(digits: &str) -> &str {
    const LARGEST: &str = "9223372036854775807";
    let largest = number::compare(digits, LARGEST).is_gt();
    if largest { LARGEST } else { number::significant(digits) }
}

impl Bound for Items {
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
