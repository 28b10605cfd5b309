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
    /// Digits without leading zeros.
    pub(crate) epoch: Box<str>,
    /// Digits of the release without leading zeros; at least one number.
    pub(crate) release: Vec<Box<str>>,
    pub(crate) pre: Option<(PreRelease, Box<str>)>,
    pub(crate) post: Option<Box<str>>,
    pub(crate) dev: Option<Box<str>>,
    /// In lower case, with the separators as read.
    pub(crate) local: Option<Box<str>>,
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
        let lower = bounded(text)?.trim().to_ascii_lowercase();
        let mut cursor = Cursor { rest: &lower };
        let version = cursor.version().filter(|_| cursor.rest.is_empty());
        version.ok_or_else(|| VersionError::malformed("Pep440", text))
    }

    /// The version without its local part.
    pub(crate) fn public(&self) -> Self {
        Self { local: None, ..self.clone() }
    }

    /// Whether the release is equal: epoch and numbers, trailing zeros apart.
    pub(crate) fn same_release(&self, other: &Self) -> bool {
        self.epoch == other.epoch && compare_releases(&self.release, &other.release).is_eq()
    }

    /// Whether it is a pre-release or a development release.
    pub(crate) fn is_pre_release(&self) -> bool {
        self.pre.is_some() || self.dev.is_some()
    }

    /// Compares everything but the local part.
    pub(crate) fn compare_public(&self, other: &Self) -> Ordering {
        number::compare(&self.epoch, &other.epoch)
            .then_with(|| compare_releases(&self.release, &other.release))
            .then_with(|| self.stage().cmp(&other.stage()))
            .then_with(|| compare_numbers(self.pre.as_ref(), other.pre.as_ref()))
            .then_with(|| compare_optional(self.post.as_deref(), other.post.as_deref()))
            .then_with(|| match (&self.dev, &other.dev) {
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (a, b) => compare_optional(a.as_deref(), b.as_deref()),
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

fn compare_numbers(
    a: Option<&(PreRelease, Box<str>)>,
    b: Option<&(PreRelease, Box<str>)>,
) -> Ordering {
    compare_optional(a.map(|(_, n)| n.as_ref()), b.map(|(_, n)| n.as_ref()))
}

/// Nothing sorts before zero.
fn compare_optional(a: Option<&str>, b: Option<&str>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => number::compare(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

fn compare_releases(a: &[Box<str>], b: &[Box<str>]) -> Ordering {
    let at = |release: &'_ [Box<str>], at: usize| release.get(at).map_or(0, |n| n.len());
    (0..a.len().max(b.len()))
        .map(|i| match (a.get(i), b.get(i)) {
            (Some(a), Some(b)) => number::compare(a, b),
            _ => at(a, i).cmp(&at(b, i)),
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
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
        self.compare_public(other).then_with(|| {
            compare_locals(self.local.as_deref(), other.local.as_deref(), &['.', '-', '_'])
        })
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
        let number =
            |digits: &'_ str| if digits.is_empty() { "0".to_owned() } else { digits.to_owned() };
        if !self.epoch.is_empty() {
            write!(f, "{}!", self.epoch)?;
        }
        for (at, digits) in self.release.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { "." }, number(digits))?;
        }
        if let Some((stage, digits)) = &self.pre {
            let letter = match stage {
                PreRelease::Alpha => "a",
                PreRelease::Beta => "b",
                PreRelease::Candidate => "rc",
            };
            write!(f, "{letter}{}", number(digits))?;
        }
        if let Some(digits) = &self.post {
            write!(f, ".post{}", number(digits))?;
        }
        if let Some(digits) = &self.dev {
            write!(f, ".dev{}", number(digits))?;
        }
        if let Some(local) = &self.local {
            write!(f, "+{local}")?;
        }
        Ok(())
    }
}

/// Reads the parts of a version in lower case from the start of a text.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn version(&mut self) -> Option<Pep440> {
        self.take("v");
        let mut first = self.digits()?;
        let mut epoch = "";
        if self.take("!") {
            epoch = first;
            first = self.digits()?;
        }
        let mut release = vec![first.into()];
        while let Some(after) = self.rest.strip_prefix('.')
            && after.starts_with(|c: char| c.is_ascii_digit())
        {
            self.rest = after;
            release.push(self.digits()?.into());
        }
        let pre = STAGES.iter().find_map(|(name, stage)| Some((*stage, self.labelled(&[name])?)));
        let post = self.implicit_post().or_else(|| self.labelled(&["post", "rev", "r"]));
        let dev = self.labelled(&["dev"]);
        Some(Pep440 { epoch: epoch.into(), release, pre, post, dev, local: self.local() })
    }

    fn take(&mut self, wanted: &str) -> bool {
        let after = self.rest.strip_prefix(wanted);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// Digits without leading zeros.
    fn digits(&mut self) -> Option<&'a str> {
        let (digits, rest) = number::split_digits(self.rest);
        self.rest = rest;
        (!digits.is_empty()).then(|| number::significant(digits))
    }

    /// A label between optional separators, with an optional number.
    fn labelled(&mut self, labels: &[&str]) -> Option<Box<str>> {
        let separators = ['-', '_', '.'];
        let start = self.rest.strip_prefix(separators).unwrap_or(self.rest);
        let after = labels.iter().find_map(|label| start.strip_prefix(label))?;
        self.rest = after.strip_prefix(separators).unwrap_or(after);
        Some(self.digits().unwrap_or_default().into())
    }

    /// `-N` is a post-release.
    fn implicit_post(&mut self) -> Option<Box<str>> {
        let after = self.rest.strip_prefix('-')?;
        if !after.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.rest = after;
        self.digits().map(Into::into)
    }

    fn local(&mut self) -> Option<Box<str>> {
        let after = self.rest.strip_prefix('+')?;
        let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
        if !after.split(['-', '_', '.']).all(part) {
            return None;
        }
        self.rest = "";
        Some(after.into())
    }
}
