//! Cuts a range into alternatives and comparisons, in one pass and without going back.

use std::cmp::Ordering;

use super::{Alternatives, Comparer, ConstraintError};
use crate::{VersionError, bounded};

/// What a comparison asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `~>`
    Pessimistic,
    /// `~`
    Tilde,
    /// `^`
    Caret,
    /// `~=`
    Compatible,
    /// `===`
    Arbitrary,
}

impl Operator {
    /// Whether a plain comparison holds, given how the version compares with the bound.
    ///
    /// The operators that need more than an order hold for versions not below the bound.
    pub(super) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal | Self::Arbitrary => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual
            | Self::Pessimistic
            | Self::Tilde
            | Self::Caret
            | Self::Compatible => order.is_ge(),
        }
    }
}

/// How operators are written, the longer spellings before those that begin them.
pub(super) type Spellings = &'static [(&'static str, Operator)];

/// What all grammars have that are read here.
const COMPARISONS: Spellings = &[
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

/// A bound of a comparison in the grammar of one comparer.
pub(super) trait Bound: Sized {
    /// Operators besides the [`COMPARISONS`], none of which begins like one of those.
    const MORE_OPERATORS: Spellings = &[];

    /// How many bytes at the start of the text are a version, as the comparer's expression finds
    /// them; 0 if it does not begin with one.
    fn matched(text: &str) -> usize;

    /// Reads a bound of which all bytes were matched.
    fn bound(operator: Operator, text: &str) -> Result<Self, VersionError>;
}

/// Reads alternatives between `||`; a blank one is refused.
pub(super) fn alternatives<B: Bound>(
    comparer: Comparer,
    text: &str,
) -> Result<Alternatives<B>, ConstraintError> {
    text.split("||")
        .map(|alternative| match terms(comparer, alternative) {
            Ok(terms) if terms.is_empty() => Err(malformed(comparer, alternative)),
            terms => terms,
        })
        .collect()
}

/// Reads comparisons divided by spaces, single commas, or nothing. Blank text has none.
pub(super) fn terms<B: Bound>(
    comparer: Comparer,
    alternative: &str,
) -> Result<Vec<(Operator, B)>, ConstraintError> {
    let mut terms = Vec::new();
    let mut rest = spaces(alternative);
    while !rest.is_empty() {
        let (operator, text, after) =
            term::<B>(rest).ok_or_else(|| malformed(comparer, alternative))?;
        let bound = bounded(text).and_then(|text| B::bound(operator, text)).map_err(|source| {
            ConstraintError::Bound { comparer: comparer.name(), text: alternative.into(), source }
        })?;
        terms.push((operator, bound));
        let after = spaces(after);
        rest = spaces(after.strip_prefix(',').unwrap_or(after));
    }
    Ok(terms)
}

fn term<B: Bound>(text: &str) -> Option<(Operator, &str, &str)> {
    let spelt = COMPARISONS
        .iter()
        .chain(B::MORE_OPERATORS)
        .find_map(|(spelling, operator)| Some((*operator, text.strip_prefix(spelling)?)));
    let (operator, rest) = spelt.unwrap_or((Operator::Equal, text));
    let rest = spaces(rest);
    let length = B::matched(rest);
    (length > 0).then(|| (operator, &rest[..length], &rest[length..]))
}

/// Drops the spaces that the expressions of Go know as such.
pub(super) fn spaces(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r', '\x0c'])
}

pub(super) fn malformed(comparer: Comparer, text: &str) -> ConstraintError {
    ConstraintError::Malformed { comparer: comparer.name(), text: text.into() }
}
