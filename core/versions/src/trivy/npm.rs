//! The npm comparer, and the versions of three numbers that it shares with the Bitnami comparer.

use std::cmp::Ordering;

use super::part::{Part, compare_pre_releases, has_any, is_null, parse_u64, parts};
use super::scan::{Bound, Operator, Spellings, malformed, terms};
use super::{Alternatives, Comparer, ConstraintError};
use crate::rubygems::dotted;
use crate::semver::{SemVer, identifier};
use crate::{VersionError, number};

/// Three parts, of which those of a bound may be wildcards, and a pre-release or revision.
#[derive(Debug, Clone)]
pub(super) struct Triple {
    pub(super) core: [Part; 3],
    pub(super) pre: Vec<Part>,
}

impl Triple {
    /// Reads an installed version: strict Semantic Versioning with numbers of 64 bits.
    pub(super) fn parse(comparer: Comparer, text: &str) -> Result<Self, VersionError> {
        let malformed = || VersionError::malformed(comparer.name(), text);
        let version = SemVer::parse(text).map_err(|_| malformed())?;
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = core.split('.').map(|digits| parse_u64(digits).map(Part::Number));
        let mut next = || {
            let too_large = || VersionError::number_too_large(comparer.name(), text);
            numbers.next().flatten().ok_or_else(too_large)
        };
        let core = [next()?, next()?, next()?];
        Ok(Self { core, pre: parts(version.pre_release().unwrap_or_default()) })
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        self.compare_core(other).unwrap_or_else(|| compare_pre_releases(&self.pre, &other.pre))
    }

    /// Nothing if all three are equal; a wildcard ends the comparison as equal.
    pub(super) fn compare_core(&self, other: &Self) -> Option<Ordering> {
        self.core.iter().zip(&other.core).find_map(|(a, b)| {
            let order = a.compare(b);
            (order.is_ne() || *a == Part::Any || *b == Part::Any).then_some(order)
        })
    }

    pub(super) fn is_any(&self) -> bool {
        has_any(&self.core)
    }

    fn is_pre_release(&self) -> bool {
        !is_null(&self.pre)
    }

    fn release(&self) -> Self {
        Self { core: self.core.clone(), pre: Vec::new() }
    }

    pub(super) fn matches(&self, operator: Operator, bound: &Self) -> bool {
        if bound.is_pre_release() && bound.is_any() {
            return false;
        }
        operator.holds(self.compare(bound)) && self.is_below_end(operator, bound)
    }

    /// The rule of node-semver: pre-releases only where a bound asks for them.
    pub(super) fn matches_until_0_64(&self, operator: Operator, bound: &Self) -> bool {
        if !self.is_pre_release() {
            return self.matches(operator, bound);
        }
        if !bound.is_pre_release() || bound.is_any() {
            return false;
        }
        let holds = operator.holds(self.compare(bound));
        match operator {
            Operator::Equal => holds,
            Operator::Tilde | Operator::Caret => holds && self.compare(&bound.release()).is_lt(),
            _ => holds && self.release().compare(&bound.release()).is_eq(),
        }
    }

    fn is_below_end(&self, operator: Operator, bound: &Self) -> bool {
        match operator {
            Operator::Tilde => self.compare(&bound.tilde_end()).is_lt(),
            Operator::Caret => self.compare(&bound.caret_end()).is_lt(),
            _ => true,
        }
    }

    fn next(&self, at: usize) -> Self {
        let mut core = [Part::Number(0), Part::Number(0), Part::Number(0)];
        core[..at].clone_from_slice(&self.core[..at]);
        if let Part::Number(number) = self.core[at] {
            core[at] = Part::Number(number.wrapping_add(1));
        }
        Self { core, pre: Vec::new() }
    }

    /// Past everything, where the first part is a wildcard.
    fn past_everything(&self) -> Self {
        let mut past = self.clone();
        past.core[0] = Part::Number(u64::MAX);
        past
    }

    pub(super) fn tilde_end(&self) -> Self {
        match &self.core {
            [Part::Any, ..] => self.past_everything(),
            [_, Part::Any, _] => self.next(0),
            _ => self.next(1),
        }
    }

    pub(super) fn caret_end(&self) -> Self {
        let zero = Part::Number(0);
        match &self.core {
            [Part::Any, ..] => self.past_everything(),
            [major, ..] if *major != zero => self.next(0),
            [_, Part::Any, _] => self.next(0),
            [_, minor, _] if *minor != zero => self.next(1),
            [.., Part::Any] => self.next(1),
            _ => self.next(2),
        }
    }
}

impl Bound for Triple {
    // Of the comparisons, `!=` is for Bitnami alone; see `constraint`.
    const MORE_OPERATORS: Spellings = &[("~", Operator::Tilde), ("^", Operator::Caret)];

    fn matched(text: &str) -> usize {
        pieces(text).map_or(0, |(_, end)| end)
    }

    fn bound(operator: Operator, text: &str) -> Result<Self, VersionError> {
        let malformed = || VersionError::malformed("wildcards", text);
        let (core_end, _) = pieces(text).ok_or_else(malformed)?;
        let mut numbers = text[..core_end].trim_start_matches('v').split('.');
        let mut next = || numbers.next().map_or(Part::Any, Part::new);
        let core = [next(), next(), next()];
        // Trivy would crash on the end of a range that begins with text.
        let ends = matches!(operator, Operator::Tilde | Operator::Caret);
        if ends && core.iter().any(|part| matches!(part, Part::Text(_))) {
            return Err(malformed());
        }
        let pre = text[core_end..].split('+').next().and_then(|pre| pre.strip_prefix('-'));
        Ok(Self { core, pre: parts(pre.unwrap_or_default()) })
    }
}

/// Where the numbers and the whole version end.
fn pieces(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let wild = |byte: u8| byte.is_ascii_digit() || b"xX*|".contains(&byte);
    let start = usize::from(bytes.first() == Some(&b'v'));
    let first = number::run(&bytes[start..], wild);
    if first == 0 {
        return None;
    }
    let mut core_end = start + first;
    for _ in 0..2 {
        if bytes.get(core_end) != Some(&b'.') {
            break;
        }
        let run = number::run(&bytes[core_end + 1..], wild);
        if run == 0 {
            break;
        }
        core_end += 1 + run;
    }
    let pre_end = labels(text, core_end, b'-');
    Some((core_end, labels(text, pre_end, b'+')))
}

/// Moves over a sign and the identifiers behind it, if both are there.
fn labels(text: &str, at: usize, sign: u8) -> usize {
    let bytes = text.as_bytes();
    let label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if bytes.get(at) != Some(&sign) {
        return at;
    }
    let run = number::run(&bytes[at + 1..], label);
    if run == 0 || !identifier(&text[at + 1..at + 1 + run]) {
        return at;
    }
    dotted(bytes, at + 1 + run, label)
}

/// Reads a range for npm or Bitnami; a blank alternative matches everything.
pub(super) fn constraint(
    comparer: Comparer,
    text: &str,
) -> Result<Alternatives<Triple>, ConstraintError> {
    text.split("||")
        .map(|alternative| {
            let mut terms = terms::<Triple>(comparer, alternative)?;
            for (operator, bound) in &mut terms {
                if *operator == Operator::NotEqual && comparer == Comparer::Npm {
                    return Err(malformed(comparer, alternative));
                }
                if comparer == Comparer::Bitnami && bound.pre.is_empty() && bound.is_any() {
                    bound.pre.push(Part::Any);
                }
            }
            Ok(if terms.is_empty() { vec![(Operator::Equal, everything())] } else { terms })
        })
        .collect()
}

fn everything() -> Triple {
    Triple { core: [Part::Any, Part::Any, Part::Any], pre: vec![Part::Any] }
}
