//! The PEP 440 comparer.

use std::cmp::Ordering;

use super::part::parse_u64;
use super::scan::{Operator, Spellings, malformed, spaces};
use super::{Alternatives, Comparer, ConstraintError};
use crate::pep440::{Pep440, compare_locals};
use crate::rubygems::dotted;
use crate::{VersionError, number};

const OPERATORS: Spellings = &[
    ("===", Operator::Arbitrary),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("~=", Operator::Compatible),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
];

/// A version whose numbers 64 bits hold.
#[derive(Debug, Clone)]
pub(super) struct Python {
    version: Pep440,
}

/// A bound as written, and as read where that is needed.
#[derive(Debug, Clone)]
pub(super) struct Specifier {
    text: Box<str>,
    wildcard: bool,
    bound: Option<Python>,
}

impl Python {
    pub(super) fn parse(text: &str) -> Result<Self, VersionError> {
        let name = Comparer::Pep440.name();
        let version = Pep440::parse(text).map_err(|_| VersionError::malformed(name, text))?;
        if !is_held(&version) {
            return Err(VersionError::number_too_large(name, text));
        }
        Ok(Self { version })
    }

    /// The normalised spelling without the local part.
    fn public(&self) -> String {
        self.version.public().to_string()
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        self.version.compare_public(&other.version).then_with(|| {
            // Trivy cuts local parts at dots alone.
            compare_locals(self.version.local(), other.version.local(), &['.'])
        })
    }

    /// Compares without the own local part.
    fn compare_public(&self, other: &Self) -> Ordering {
        let none_against = other.version.local().is_some();
        self.version.compare_public(&other.version).then(if none_against {
            Ordering::Less
        } else {
            Ordering::Equal
        })
    }

    pub(super) fn matches(&self, operator: Operator, specifier: &Specifier) -> bool {
        if operator == Operator::Arbitrary {
            return self.version.to_string().eq_ignore_ascii_case(&specifier.text);
        }
        let Some(bound) = &specifier.bound else { return false };
        let order = self.compare_public(bound);
        match operator {
            Operator::Equal => self.equals(specifier, bound),
            Operator::NotEqual => !self.equals(specifier, bound),
            Operator::Less => order.is_lt() && !self.is_pre_release_of(bound),
            Operator::Greater => order.is_gt() && !self.is_post_release_of(bound),
            Operator::Compatible => order.is_ge() && self.begins(&compatible_prefix(bound)),
            _ => operator.holds(order),
        }
    }

    fn equals(&self, specifier: &Specifier, bound: &Self) -> bool {
        if specifier.wildcard {
            self.begins(specifier.text.trim_end_matches(".*"))
        } else if bound.version.local().is_none() {
            self.compare_public(bound).is_eq()
        } else {
            self.compare(bound).is_eq()
        }
    }

    /// Trivy lets pre-releases in, but forgets it for versions with a local part.
    fn is_pre_release_of(&self, bound: &Self) -> bool {
        self.version.local().is_some()
            && self.version.is_pre_release()
            && !bound.version.is_pre_release()
            && self.version.same_release(&bound.version)
    }

    fn is_post_release_of(&self, bound: &Self) -> bool {
        self.version.post().is_some()
            && bound.version.post().is_none()
            && self.version.same_release(&bound.version)
    }

    /// Whether the pieces of a prefix are those at the start of this version, by the letter of
    /// Trivy's library: it pads too little and compares only pieces that are numbers.
    fn begins(&self, prefix: &str) -> bool {
        let prefix = pieces(prefix);
        let public = self.public();
        let mut own = pieces(&public);
        own.truncate(prefix.len());
        let numbers = |pieces: &[&'_ str]| -> Vec<String> {
            let number = |piece: &&&str| piece.parse::<i64>().is_ok();
            pieces.iter().filter(number).map(|piece| (*piece).to_owned()).collect()
        };
        let (mut left, mut right) = (numbers(&prefix), numbers(&own));
        let rests = (&prefix[left.len()..], prefix.get(right.len()..).unwrap_or_default());
        let missing = |long: usize, short: usize| long.saturating_sub(short).div_ceil(2);
        let (more_right, more_left) =
            (missing(left.len(), right.len()), missing(right.len(), left.len()));
        right.extend(std::iter::repeat_n("0".to_owned(), more_right));
        left.extend(std::iter::repeat_n("0".to_owned(), more_left));
        left.extend(rests.0.iter().map(|piece| (*piece).to_owned()));
        right.extend(rests.1.iter().map(|piece| (*piece).to_owned()));
        left == right
    }
}

/// Whether 64 bits hold every number.
fn is_held(version: &Pep440) -> bool {
    // Whatever has so few digits.
    const FEW: usize = 19;
    version.numbers().all(|digits| digits.len() <= FEW || parse_u64(digits).is_some())
}

/// Cuts at dots, and before a stage that follows a number.
fn pieces(version: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    for piece in version.split('.') {
        let (digits, stage) = number::split_digits(piece);
        let staged = ["a", "b", "c", "rc"]
            .iter()
            .any(|label| stage.strip_prefix(label).is_some_and(number::is_number));
        if staged && !digits.is_empty() {
            pieces.extend([digits, stage]);
        } else {
            pieces.push(piece);
        }
    }
    pieces
}

/// What a compatible release begins with: all but the last piece before `post` and `dev`.
fn compatible_prefix(bound: &Python) -> String {
    let public = bound.public();
    let mut pieces = pieces(&public);
    let special = |piece: &&str| piece.starts_with("post") || piece.starts_with("dev");
    pieces.truncate(pieces.iter().position(special).unwrap_or(pieces.len()));
    pieces.pop();
    pieces.join(".")
}

impl Specifier {
    fn new(operator: Operator, text: &str) -> Result<Self, VersionError> {
        let wildcard = text.ends_with(".*");
        let specifier = |bound| Self { text: text.into(), wildcard, bound };
        if operator == Operator::Arbitrary {
            return Ok(specifier(None));
        }
        let bound = Python::parse(text.strip_suffix(".*").unwrap_or(text))?;
        let version = &bound.version;
        let refused = match operator {
            Operator::Equal | Operator::NotEqual => {
                wildcard && (version.dev().is_some() || version.local().is_some())
            }
            Operator::Compatible => {
                wildcard || version.release().count() < 2 || version.local().is_some()
            }
            _ => wildcard || version.local().is_some(),
        };
        if refused {
            return Err(VersionError::malformed(Comparer::Pep440.name(), text));
        }
        Ok(specifier(Some(bound)))
    }
}

/// Reads a range. Trivy validates it as a whole and then looks for the comparisons in it, which finds
/// other ones where a stage is spelt out: `<1.0alpha2` is `<1.0a` and `=2`.
pub(super) fn constraint(text: &str) -> Result<Alternatives<Specifier>, ConstraintError> {
    text.split("||")
        .map(|alternative| {
            let alternative = if alternative.trim() == "*" { ">=0.0.0" } else { alternative };
            if !is_valid(alternative) {
                return Err(malformed(Comparer::Pep440, alternative));
            }
            find_all(alternative).map_err(|source| ConstraintError::Bound {
                comparer: Comparer::Pep440.name(),
                text: alternative.into(),
                source,
            })
        })
        .collect()
}

fn is_valid(alternative: &str) -> bool {
    let mut rest = spaces(alternative);
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let (_, text) = operator(rest);
        let length = extent(text, Reading::Whole);
        if length == 0 {
            return false;
        }
        let after = spaces(&text[length..]);
        rest = spaces(after.strip_prefix(',').unwrap_or(after));
    }
    true
}

fn find_all(alternative: &str) -> Result<Vec<(Operator, Specifier)>, VersionError> {
    let mut found = Vec::new();
    let mut rest = alternative;
    while !rest.is_empty() {
        let (spelt, text) = operator(rest);
        match extent(text, Reading::FirstFit) {
            0 => rest = rest.get(1..).unwrap_or_default(),
            length => {
                found.push((spelt, Specifier::new(spelt, &text[..length])?));
                rest = &text[length..];
            }
        }
    }
    Ok(found)
}

fn operator(text: &str) -> (Operator, &str) {
    let spelt = OPERATORS
        .iter()
        .find_map(|(spelling, operator)| Some((*operator, spaces(text.strip_prefix(spelling)?))));
    spelt.unwrap_or((Operator::Equal, spaces(text)))
}

/// How Trivy's expression is applied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// To a text that must be matched to its end, so the fitting spelling is found.
    Whole,
    /// To a text that may go on, so the first spelling that fits is taken.
    FirstFit,
}

/// How many bytes at the start of the text are a version, with `.*` behind it; 0 if it begins with
/// none. Capital letters are refused as in Trivy.
fn extent(text: &str, reading: Reading) -> usize {
    let bytes = text.as_bytes();
    let digit = |byte: u8| byte.is_ascii_digit();
    let digits = |at: usize| number::run(&bytes[at.min(bytes.len())..], digit);
    let mut at = usize::from(bytes.first() == Some(&b'v'));
    let first = digits(at);
    if first == 0 {
        return 0;
    }
    at += first;
    if bytes.get(at) == Some(&b'!') && digits(at + 1) > 0 {
        at += 1 + digits(at + 1);
    }
    at = dotted(bytes, at, digit);
    let stages: &[&str] = match reading {
        Reading::Whole => &["alpha", "beta", "preview", "pre", "rc", "a", "b", "c"],
        Reading::FirstFit => &["a", "b", "c", "rc", "pre"],
    };
    at = labelled(text, at, stages, reading);
    at = match bytes.get(at) {
        Some(b'-') if digits(at + 1) > 0 => at + 1 + digits(at + 1),
        _ => labelled(text, at, &["post", "rev", "r"], reading),
    };
    at = labelled(text, at, &["dev"], reading);
    at = local(bytes, at);
    at + if text[at..].starts_with(".*") { 2 } else { 0 }
}

fn labelled(text: &str, at: usize, labels: &[&str], reading: Reading) -> usize {
    let separators = ['-', '_', '.'];
    let start = text[at..].strip_prefix(separators).unwrap_or(&text[at..]);
    let Some(after) = labels.iter().find_map(|label| start.strip_prefix(label)) else { return at };
    let rest = match after.strip_prefix(separators) {
        Some(rest) if reading == Reading::Whole && rest.starts_with('*') => after,
        Some(rest) => rest,
        None => after,
    };
    text.len() - number::split_digits(rest).1.len()
}

fn local(bytes: &[u8], at: usize) -> usize {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if bytes.get(at) != Some(&b'+') {
        return at;
    }
    let first = number::run(&bytes[at + 1..], word);
    if first == 0 {
        return at;
    }
    let mut at = at + 1 + first;
    while bytes.get(at).is_some_and(|byte| b"-_.".contains(byte)) {
        let run = number::run(&bytes[at + 1..], word);
        if run == 0 {
            break;
        }
        at += 1 + run;
    }
    at
}
