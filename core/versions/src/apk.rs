//! Versions of Alpine packages, as apk-tools 3 compares them.
//!
//! Specification: apk-package(5) of apk-tools,
//! <https://gitlab.alpinelinux.org/alpine/apk-tools/-/blob/master/doc/apk-package.5.scd>:
//! `number{.number}[letter]{_suffix[number]}[~hash][-rN]`.

use std::cmp::Ordering;

use crate::{VersionError, bounded, number};

/// A version of an Alpine package.
///
/// Equality is that of the order.
#[derive(Debug, Clone)]
pub struct Apk {
    text: Box<str>,
}

/// The suffixes in their order; those before `Plain` are of versions before the plain one.
pub(crate) const SUFFIXES_BEFORE: [&str; 4] = ["alpha", "beta", "pre", "rc"];
pub(crate) const SUFFIXES_AFTER: [&str; 5] = ["cvs", "svn", "git", "hg", "p"];

/// One piece of a version. The order of the variants is that in which pieces may follow each other,
/// and of two versions that differ in the kind of a piece the later kind is older.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    First(&'a str),
    Number(&'a str),
    Letter(u8),
    /// Rank among the suffixes: negative before the plain version.
    Suffix(i8),
    SuffixNumber(&'a str),
    Hash(&'a str),
    Revision(&'a str),
    End,
}

impl Token<'_> {
    fn kind(self) -> u8 {
        match self {
            Token::First(_) => 0,
            Token::Number(_) => 1,
            Token::Letter(_) => 2,
            Token::Suffix(_) => 3,
            Token::SuffixNumber(_) => 4,
            Token::Hash(_) => 5,
            Token::Revision(_) => 6,
            Token::End => 7,
        }
    }

    fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            // A number with a leading zero is a fraction: 1.01 < 1.1.
            (Token::Number(a), Token::Number(b)) if a.starts_with('0') || b.starts_with('0') => {
                a.cmp(b)
            }
            (Token::First(a), Token::First(b))
            | (Token::Number(a), Token::Number(b))
            | (Token::SuffixNumber(a), Token::SuffixNumber(b))
            | (Token::Revision(a), Token::Revision(b)) => number::compare(a, b),
            (Token::Letter(a), Token::Letter(b)) => a.cmp(&b),
            (Token::Suffix(a), Token::Suffix(b)) => a.cmp(&b),
            (Token::Hash(a), Token::Hash(b)) => a.cmp(b),
            (Token::Suffix(rank), _) if rank < 0 => Ordering::Less,
            (_, Token::Suffix(rank)) if rank < 0 => Ordering::Greater,
            _ => other.kind().cmp(&self.kind()),
        }
    }
}

impl Apk {
    /// Reads a version.
    ///
    /// # Errors
    /// If the text is too long or malformed.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let mut tokens = Tokens { rest: bounded(text)?, last: None };
        loop {
            match tokens.next_token() {
                Some(Token::End) => return Ok(Self { text: text.into() }),
                Some(_) => {}
                None => return Err(VersionError::malformed("Apk", text)),
            }
        }
    }

    /// The text as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Ord for Apk {
    fn cmp(&self, other: &Self) -> Ordering {
        let mut a = Tokens { rest: &self.text, last: None };
        let mut b = Tokens { rest: &other.text, last: None };
        loop {
            let (a, b) =
                (a.next_token().unwrap_or(Token::End), b.next_token().unwrap_or(Token::End));
            let order = a.compare(b);
            if order.is_ne() || a == Token::End {
                return order;
            }
        }
    }
}

impl PartialOrd for Apk {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Apk {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Apk {}

struct Tokens<'a> {
    rest: &'a str,
    last: Option<Token<'a>>,
}

impl<'a> Tokens<'a> {
    /// The next piece, or nothing where the text is malformed.
    fn next_token(&mut self) -> Option<Token<'a>> {
        let token = self.read()?;
        self.last = Some(token);
        Some(token)
    }

    fn read(&mut self) -> Option<Token<'a>> {
        let Some(last) = self.last else { return self.digits().map(Token::First) };
        let Some(first) = self.rest.bytes().next() else { return Some(Token::End) };
        let up_to = |kind: u8| last.kind() <= kind;
        match first {
            b'0'..=b'9' if matches!(last, Token::Suffix(_)) => {
                self.digits().map(Token::SuffixNumber)
            }
            b'a'..=b'z' if up_to(1) => {
                self.rest = &self.rest[1..];
                Some(Token::Letter(first))
            }
            b'.' if up_to(1) => {
                self.rest = &self.rest[1..];
                self.digits().map(Token::Number)
            }
            b'_' if up_to(4) => {
                self.rest = &self.rest[1..];
                self.suffix()
            }
            b'~' if up_to(4) => {
                let (hash, rest) = self.rest[1..].split_at(number::run(
                    &self.rest.as_bytes()[1..],
                    |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                ));
                self.rest = rest;
                (!hash.is_empty()).then_some(Token::Hash(hash))
            }
            b'-' if up_to(5) => {
                self.rest = self.rest.strip_prefix("-r")?;
                self.digits().map(Token::Revision)
            }
            _ => None,
        }
    }

    fn digits(&mut self) -> Option<&'a str> {
        let (digits, rest) = number::split_digits(self.rest);
        self.rest = rest;
        (!digits.is_empty()).then_some(digits)
    }

    fn suffix(&mut self) -> Option<Token<'a>> {
        let length = number::run(self.rest.as_bytes(), |byte| byte.is_ascii_lowercase());
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        let ranks = SUFFIXES_BEFORE.iter().zip(-4..0).chain(SUFFIXES_AFTER.iter().zip(1..));
        ranks.into_iter().find(|(suffix, _)| **suffix == name).map(|(_, rank)| Token::Suffix(rank))
    }
}
