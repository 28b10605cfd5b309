//! Versions of Python packages: PEP 440.
//!
//! Specification: <https://packaging.python.org/en/latest/specifications/version-specifiers/>.

use std::cmp::Ordering;
use std::fmt;

use crate::{VersionError, bounded, number};

/// A version of PEP 440, in any of the spellings that its appendix allows.
///
/// Equality is that of the order: `1.0`, `v1.0.0` and ` 1.0 ` are equal. [`fmt::Display`] writes the
/// normalised spelling.
#[derive(Debug, Clone)]
pub struct Pep440 {
    /// In lower case, without spaces around it; the spans lie in it.
    text: Box<str>,
    /// Digits, or nothing.
    epoch: Span,
    /// Digits between dots; at least one number.
    release: Span,
    /// Digits after the stage, or nothing; so are those that follow.
    pre: Option<(PreRelease, Span)>,
    post: Option<Span>,
    dev: Option<Span>,
    /// With the separators as read.
    local: Option<Span>,
}

/// A piece of the text of a version. Reading hundreds of versions of a package costs one allocation
/// each this way.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u16,
    end: u16,
}

/// Stage before a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PreRelease {
    Alpha,
    Beta,
    Candidate,
}

/// The spellings of stages, those before their own beginnings.
const STAGES: [(&str, PreRelease); 8] = [
    ("alpha", PreRelease::Alpha),
    ("beta", PreRelease::Beta),
    ("preview", PreRelease::Candidate),
    ("pre", PreRelease::Candidate),
    ("rc", PreRelease::Candidate),
    ("a", PreRelease::Alpha),
    ("b", PreRelease::Beta),
    ("c", PreRelease::Candidate),
];

impl Pep440 {
    /// Reads a version; case and spaces around it do not count.
    ///
    /// # Errors
    /// If the text is too long or malformed.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let text = bounded(text)?;
        let cursor = Cursor { text: text.trim().to_ascii_lowercase().into(), at: 0 };
        cursor.version().ok_or_else(|| VersionError::malformed("Pep440", text))
    }

    fn piece(&self, span: Span) -> &str {
        &self.text[usize::from(span.start)..usize::from(span.end)]
    }

    /// Numbers of the release.
    pub(crate) fn release(&self) -> impl Iterator<Item = &str> {
        number::dotted(self.piece(self.release))
    }

    /// Digits of the post-release, empty for none: `1.post` is `1.post0`.
    pub(crate) fn post(&self) -> Option<&str> {
        self.post.map(|span| self.piece(span))
    }

    /// Digits of the development release.
    pub(crate) fn dev(&self) -> Option<&str> {
        self.dev.map(|span| self.piece(span))
    }

    /// The local part, with the separators as read.
    pub(crate) fn local(&self) -> Option<&str> {
        self.local.map(|span| self.piece(span))
    }

    fn pre(&self) -> Option<&str> {
        self.pre.map(|(_, span)| self.piece(span))
    }

    /// All numbers as digits.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = &str> {
        let optional = [self.pre(), self.post(), self.dev()].into_iter().flatten();
        std::iter::once(self.piece(self.epoch)).chain(self.release()).chain(optional)
    }

    /// The version without its local part.
    pub(crate) fn public(&self) -> Self {
        Self { local: None, ..self.clone() }
    }

    /// Whether the release is equal: epoch and numbers, trailing zeros apart.
    pub(crate) fn same_release(&self, other: &Self) -> bool {
        self.compare_releases(other).is_eq()
    }

    fn compare_releases(&self, other: &Self) -> Ordering {
        let order = number::compare(self.piece(self.epoch), other.piece(other.epoch));
        if order.is_ne() {
            return order;
        }
        let (mut a, mut b) = (self.release(), other.release());
        loop {
            let order = match (a.next(), b.next()) {
                (None, None) => return Ordering::Equal,
                (a, b) => number::compare(a.unwrap_or_default(), b.unwrap_or_default()),
            };
            if order.is_ne() {
                return order;
            }
        }
    }

    /// Whether it is a pre-release or a development release.
    pub(crate) fn is_pre_release(&self) -> bool {
        self.pre.is_some() || self.dev.is_some()
    }

    /// Compares everything but the local part.
    pub(crate) fn compare_public(&self, other: &Self) -> Ordering {
        self.compare_releases(other)
            .then_with(|| self.stage().cmp(&other.stage()))
            .then_with(|| compare_optional(self.pre(), other.pre()))
            .then_with(|| compare_optional(self.post(), other.post()))
            .then_with(|| match (self.dev(), other.dev()) {
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (a, b) => compare_optional(a, b),
            })
    }

    /// A development release of nothing else sorts before all pre-releases, what is no pre-release
    /// after them.
    fn stage(&self) -> u8 {
        match &self.pre {
            None if self.post.is_none() && self.dev.is_some() => 0,
            Some((PreRelease::Alpha, _)) => 1,
            Some((PreRelease::Beta, _)) => 2,
            Some((PreRelease::Candidate, _)) => 3,
            None => 4,
        }
    }
}

/// Nothing sorts before zero.
fn compare_optional(a: Option<&str>, b: Option<&str>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => number::compare(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// Compares local parts, which are cut at these characters. Words sort before numbers, and what is
/// longer after what it begins with.
pub(crate) fn compare_locals(a: Option<&str>, b: Option<&str>, cuts: &[char]) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else { return a.is_some().cmp(&b.is_some()) };
    let (mut a, mut b) = (a.split(cuts), b.split(cuts));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (Some(_), None) => return Ordering::Greater,
            (None, Some(_)) => return Ordering::Less,
            (Some(a), Some(b)) => compare_local_parts(a, b),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Compares two parts of a local version.
fn compare_local_parts(a: &str, b: &str) -> Ordering {
    match (number::is_number(a), number::is_number(b)) {
        (true, true) => number::compare(a, b),
        (false, false) => a.cmp(b),
        (a, b) => a.cmp(&b),
    }
}

impl Ord for Pep440 {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare_public(other)
            .then_with(|| compare_locals(self.local(), other.local(), &['.', '-', '_']))
    }
}

impl PartialOrd for Pep440 {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pep440 {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Pep440 {}

impl fmt::Display for Pep440 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |digits| match number::significant(digits) {
            "" => "0",
            digits => digits,
        };
        let epoch = number::significant(self.piece(self.epoch));
        if !epoch.is_empty() {
            write!(f, "{epoch}!")?;
        }
        for (at, digits) in self.release().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { "." }, number(digits))?;
        }
        if let Some((stage, digits)) = self.pre {
            let letter = match stage {
                PreRelease::Alpha => "a",
                PreRelease::Beta => "b",
                PreRelease::Candidate => "rc",
            };
            write!(f, "{letter}{}", number(self.piece(digits)))?;
        }
        if let Some(digits) = self.post() {
            write!(f, ".post{}", number(digits))?;
        }
        if let Some(digits) = self.dev() {
            write!(f, ".dev{}", number(digits))?;
        }
        if let Some(local) = self.local() {
            write!(f, "+{local}")?;
        }
        Ok(())
    }
}

/// Reads the parts of a version in lower case from the start of a text.
struct Cursor {
    text: Box<str>,
    at: usize,
}

impl Cursor {
    fn version(mut self) -> Option<Pep440> {
        self.take("v");
        let mut first = self.digits()?;
        let mut epoch = Span { start: 0, end: 0 };
        if self.take("!") {
            epoch = first;
            first = self.digits()?;
        }
        let mut release = first;
        while let Some(after) = self.rest().strip_prefix('.')
            && begins_with_digit(after)
        {
            self.at += 1;
            release.end = self.digits()?.end;
        }
        let (mut pre, mut post, mut dev, mut local) = (None, None, None, None);
        // Nearly all are numbers alone.
        if !self.is_at_end() {
            pre = STAGES.iter().find_map(|(name, stage)| Some((*stage, self.labelled(&[name])?)));
            post = self.implicit_post().or_else(|| self.labelled(&["post", "rev", "r"]));
            dev = self.labelled(&["dev"]);
            local = self.local();
        }
        let is_whole = self.is_at_end();
        let Cursor { text, .. } = self;
        is_whole.then_some(Pep440 { text, epoch, release, pre, post, dev, local })
    }

    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = self.rest().starts_with(wanted);
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    /// The next bytes; a text is shorter than what 16 bits count.
    fn span(&mut self, bytes: usize) -> Span {
        let start = self.at;
        self.at += bytes;
        Span { start: start as u16, end: self.at as u16 }
    }

    fn digits(&mut self) -> Option<Span> {
        let count = number::split_digits(self.rest()).0.len();
        (count > 0).then(|| self.span(count))
    }

    /// A label between optional separators, with an optional number.
    fn labelled(&mut self, labels: &[&str]) -> Option<Span> {
        let separators = ['-', '_', '.'];
        let rest = self.rest();
        let start = rest.strip_prefix(separators).unwrap_or(rest);
        let after = labels.iter().find_map(|label| start.strip_prefix(label))?;
        let after = after.strip_prefix(separators).unwrap_or(after);
        self.at = self.text.len() - after.len();
        Some(self.digits().unwrap_or_else(|| self.span(0)))
    }

    /// `-N` is a post-release.
    fn implicit_post(&mut self) -> Option<Span> {
        if !begins_with_digit(self.rest().strip_prefix('-')?) {
            return None;
        }
        self.at += 1;
        self.digits()
    }

    fn local(&mut self) -> Option<Span> {
        let after = self.rest().strip_prefix('+')?;
        let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
        if !after.split(['-', '_', '.']).all(part) {
            return None;
        }
        let bytes = after.len();
        self.at += 1;
        Some(self.span(bytes))
    }
}

fn begins_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}
