//! The comparers of operating systems' packages: an installed version against a fixed one.

use std::cmp::Ordering;

use super::Comparer;
use crate::apk::{SUFFIXES_AFTER, SUFFIXES_BEFORE};
use crate::{VersionError, deb, number, rpm};

/// A Debian version. Beyond policy, Trivy allows underscores and an empty revision; numbers over 63
/// bits are equal.
#[derive(Debug, Clone)]
pub(super) struct Debian {
    epoch: i64,
    upstream: Box<str>,
    revision: Box<str>,
}

impl Debian {
    pub(super) fn parse(text: &str) -> Result<Self, VersionError> {
        Self::read(text.trim()).ok_or_else(|| VersionError::malformed(Comparer::Deb.name(), text))
    }

    fn read(text: &str) -> Option<Self> {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().ok().filter(|epoch: &i64| *epoch >= 0)?, rest),
            None => (0, text),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        let allowed = |byte: u8, more: &[u8]| byte.is_ascii_alphanumeric() || more.contains(&byte);
        let valid = upstream.starts_with(|c: char| c.is_ascii_digit())
            && upstream.bytes().all(|byte| allowed(byte, b".-+~:_"))
            && revision.bytes().all(|byte| allowed(byte, b"+.~_"));
        valid.then(|| Self { epoch, upstream: upstream.into(), revision: revision.into() })
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let clamp = |digits: &str| {
            if digits.is_empty() { 0 } else { digits.parse::<i64>().unwrap_or(i64::MAX) }
        };
        let numbers = |a: &str, b: &str| clamp(a).cmp(&clamp(b));
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| deb::compare_part(&self.upstream, &other.upstream, numbers))
            .then_with(|| deb::compare_part(&self.revision, &other.revision, numbers))
    }
}

/// An RPM version. Trivy refuses none: an epoch that is no number is 0.
#[derive(Debug, Clone)]
pub(super) struct RedHat {
    epoch: i64,
    version: Box<str>,
    release: Box<str>,
}

impl RedHat {
    pub(super) fn parse(text: &str) -> Result<Self, VersionError> {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch.trim_start().parse().unwrap_or(0), rest),
            None => (0, text),
        };
        let (version, release) = rest.split_once('-').unwrap_or((rest, ""));
        Ok(Self { epoch, version: version.into(), release: release.into() })
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| rpm::compare_part(&self.version, &other.version))
            .then_with(|| rpm::compare_part(&self.release, &other.release))
    }
}

/// An Alpine version by the rules of apk-tools 2: no hashes, and a leading zero counts as less than
/// none for every zero.
#[derive(Debug, Clone)]
pub(super) struct Alpine {
    text: Box<str>,
}

/// What may come next. The order is that of apk-tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Invalid,
    DigitOrZero,
    Digit,
    Letter,
    Suffix,
    SuffixNumber,
    Revision,
    End,
}

impl Alpine {
    pub(super) fn parse(text: &str) -> Result<Self, VersionError> {
        let mut tokens = Tokens { rest: text, kind: Kind::Digit };
        while tokens.kind != Kind::End {
            if tokens.kind == Kind::Invalid {
                return Err(VersionError::malformed(Comparer::Apk.name(), text));
            }
            tokens.value();
        }
        Ok(Self { text: text.into() })
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let mut a = Tokens { rest: &self.text, kind: Kind::Digit };
        let mut b = Tokens { rest: &other.text, kind: Kind::Digit };
        let mut order = Ordering::Equal;
        while order.is_eq() && a.kind == b.kind && a.kind != Kind::End && a.kind != Kind::Invalid {
            order = a.value().cmp(&b.value());
        }
        if order.is_ne() || a.kind == b.kind {
            return order;
        }
        let before = |tokens: &mut Tokens<'_>| tokens.kind == Kind::Suffix && tokens.value() < 0;
        let (kind_a, kind_b) = (a.kind, b.kind);
        if before(&mut a) {
            Ordering::Less
        } else if before(&mut b) {
            Ordering::Greater
        } else {
            kind_b.cmp(&kind_a)
        }
    }
}

struct Tokens<'a> {
    rest: &'a str,
    kind: Kind,
}

impl Tokens<'_> {
    /// Takes the value of the token and moves to the kind of the next.
    fn value(&mut self) -> i64 {
        let value = match self.kind {
            Kind::DigitOrZero if self.rest.starts_with('0') => {
                let zeros = number::run(self.rest.as_bytes(), |byte| byte == b'0');
                self.rest = &self.rest[zeros..];
                self.kind = if self.rest.is_empty() { Kind::End } else { Kind::Digit };
                return -i64::try_from(zeros).unwrap_or(i64::MAX);
            }
            Kind::DigitOrZero | Kind::Digit | Kind::SuffixNumber | Kind::Revision => {
                let (digits, rest) = number::split_digits(self.rest);
                self.rest = rest;
                digits.bytes().fold(0_i64, |value, digit| {
                    value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'))
                })
            }
            Kind::Letter => {
                let letter = self.rest.bytes().next().unwrap_or(0);
                self.rest = self.rest.get(1..).unwrap_or_default();
                i64::from(letter)
            }
            Kind::Suffix => match self.suffix() {
                Some(rank) => rank,
                None => {
                    self.kind = Kind::Invalid;
                    return -1;
                }
            },
            Kind::Invalid | Kind::End => {
                self.kind = Kind::Invalid;
                return -1;
            }
        };
        self.kind = if self.rest.is_empty() { Kind::End } else { self.next_kind() };
        value
    }

    fn suffix(&mut self) -> Option<i64> {
        let ranks = SUFFIXES_BEFORE.iter().zip(-4..0).chain(SUFFIXES_AFTER.iter().zip(0..));
        let (rest, rank) = ranks
            .into_iter()
            .find_map(|(name, rank)| Some((self.rest.strip_prefix(name)?, rank)))?;
        self.rest = rest;
        Some(rank)
    }

    fn next_kind(&mut self) -> Kind {
        let first = self.rest.bytes().next().unwrap_or(0);
        let next = match (self.kind, first) {
            (Kind::Digit | Kind::DigitOrZero, b'a'..=b'z') => Kind::Letter,
            (Kind::Letter, b'0'..=b'9') => Kind::Digit,
            (Kind::Suffix, b'0'..=b'9') => Kind::SuffixNumber,
            (_, b'.') => self.after(1, Kind::DigitOrZero),
            (_, b'_') => self.after(1, Kind::Suffix),
            // Any character stands for the r of a revision.
            (_, b'-') if self.rest.len() > 1 => self.after(2, Kind::Revision),
            _ => Kind::Invalid,
        };
        let back = matches!(
            (next, self.kind),
            (Kind::DigitOrZero, Kind::Digit)
                | (Kind::Suffix, Kind::SuffixNumber)
                | (Kind::Digit, Kind::Letter)
        );
        if next < self.kind && !back { Kind::Invalid } else { next }
    }

    fn after(&mut self, bytes: usize, kind: Kind) -> Kind {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
        kind
    }
}
