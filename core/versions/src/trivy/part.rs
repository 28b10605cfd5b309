//! Parts of versions as Trivy's libraries share them: numbers, texts and wildcards.

use std::cmp::Ordering;

use crate::number;

/// One part between dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Number(u64),
    /// Also a number that 64 bits cannot hold.
    Text(Box<str>),
    /// `x`, `X`, `*` or nothing: equal to everything.
    Any,
}

impl Part {
    pub(super) fn new(text: &str) -> Self {
        match (text, parse_u64(text)) {
            ("x" | "X" | "*", _) => Self::Any,
            (_, Some(number)) => Self::Number(number),
            (text, None) => Self::Text(text.into()),
        }
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => Ordering::Equal,
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

/// A number without a sign, if 64 bits hold it.
pub(super) fn parse_u64(text: &str) -> Option<u64> {
    number::is_number(text).then(|| text.parse().ok())?
}

/// The parts between the dots of a pre-release; none for an empty text.
pub(super) fn parts(text: &str) -> Vec<Part> {
    if text.is_empty() { Vec::new() } else { text.split('.').map(Part::new).collect() }
}

/// Whether parts count as none: a wildcard anywhere makes them so.
pub(super) fn is_null(parts: &[Part]) -> bool {
    parts.is_empty() || has_any(parts)
}

pub(super) fn has_any(parts: &[Part]) -> bool {
    parts.contains(&Part::Any)
}

/// Compares part by part; what is longer is newer.
pub(super) fn compare_parts(a: &[Part], b: &[Part]) -> Ordering {
    if has_any(b) {
        return Ordering::Equal;
    }
    for (a, b) in a.iter().zip(b) {
        if *a == Part::Any {
            return Ordering::Equal;
        }
        let order = a.compare(b);
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Compares pre-releases: none is newer than one.
pub(super) fn compare_pre_releases(a: &[Part], b: &[Part]) -> Ordering {
    match (is_null(a), is_null(b)) {
        _ if has_any(a) || has_any(b) => Ordering::Equal,
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => compare_parts(a, b),
    }
}
