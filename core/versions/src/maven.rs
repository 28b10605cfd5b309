//! Versions of Maven, compared as Maven's `ComparableVersion` does.
//!
//! Specification: <https://maven.apache.org/pom.html#version-order-specification>; where it is silent,
//! the reference implementation of Maven 3.9 decides: `X1` and `X-1` are one item for a qualifier X.

use std::cmp::Ordering;

use crate::{VersionError, bounded, number};

/// A version of Maven. Every text is one.
///
/// Equality is that of the order: `1`, `1.0`, `1-ga` and `1.0.0.Final` are equal.
#[derive(Debug, Clone)]
pub struct Maven {
    text: Box<str>,
    items: Vec<Item>,
}

#[derive(Debug, Clone)]
enum Item {
    /// Digits without leading zeros.
    Number(Box<str>),
    Text(Qualifier),
    /// A qualifier with the number that follows it.
    Combined(Qualifier, Box<str>),
    /// What stands behind a hyphen or a change between digits and letters.
    List(Vec<Item>),
}

/// The known qualifiers in their order; unknown ones are newer than all of them and sort by text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Qualifier {
    Alpha,
    Beta,
    Milestone,
    Candidate,
    Snapshot,
    Release,
    ServicePack,
    Unknown(Box<str>),
}

impl Qualifier {
    pub(crate) fn new(text: &str, before_digit: bool) -> Self {
        match text {
            "alpha" => Self::Alpha,
            "beta" => Self::Beta,
            "milestone" => Self::Milestone,
            "a" if before_digit => Self::Alpha,
            "b" if before_digit => Self::Beta,
            "m" if before_digit => Self::Milestone,
            "rc" | "cr" => Self::Candidate,
            "snapshot" => Self::Snapshot,
            "" | "ga" | "final" | "release" => Self::Release,
            "sp" => Self::ServicePack,
            other => Self::Unknown(other.into()),
        }
    }
}

impl Maven {
    /// Reads a version.
    ///
    /// # Errors
    /// If the text is too long.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let text = bounded(text)?;
        Ok(Self { text: text.into(), items: Reader::new(&text.to_lowercase()).read() })
    }

    /// The text as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Cuts a text into nested lists.
struct Reader<'a> {
    text: &'a str,
    start: usize,
    in_digits: bool,
    combined: bool,
    /// The open lists, the innermost last. A list holds its inner list as its last item, so an outer
    /// one grows no more once an inner one is open.
    open: Vec<Vec<Item>>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, start: 0, in_digits: false, combined: false, open: vec![Vec::new()] }
    }

    fn read(mut self) -> Vec<Item> {
        let bytes = self.text.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'.' => self.separator(at),
                b'-' => {
                    let digit_follows = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
                    if at > self.start && !self.in_digits && digit_follows {
                        self.combined = true;
                    } else {
                        self.separator(at);
                        self.nest();
                    }
                }
                b'0'..=b'9' => {
                    if !self.in_digits && at > self.start {
                        self.combined = true;
                        self.nest();
                    }
                    self.in_digits = true;
                }
                _ => {
                    if self.in_digits && at > self.start {
                        self.push(at);
                        self.start = at;
                        self.nest();
                    }
                    self.in_digits = false;
                }
            }
        }
        if self.text.len() > self.start {
            if !self.in_digits {
                self.nest();
            }
            self.push(self.text.len());
        }
        self.close()
    }

    fn separator(&mut self, at: usize) {
        if at == self.start {
            self.list().push(Item::Number("".into()));
        } else {
            self.push(at);
        }
        self.start = at + 1;
        // A letter after a separator begins a text of its own.
        self.in_digits = false;
    }

    /// Adds what stands between the start and `end`.
    fn push(&mut self, end: usize) {
        let text = &self.text[self.start..end];
        let item = if self.combined {
            let digits = text
                .rfind(|c: char| !c.is_ascii_digit())
                .map_or(0, |last| last + text[last..].chars().next().map_or(1, char::len_utf8));
            let name = text[..digits].trim_end_matches('-');
            Item::Combined(Qualifier::new(name, true), number::significant(&text[digits..]).into())
        } else if number::is_number(text) {
            Item::Number(number::significant(text).into())
        } else {
            Item::Text(Qualifier::new(text, false))
        };
        self.combined = false;
        self.list().push(item);
    }

    fn list(&mut self) -> &mut Vec<Item> {
        if self.open.is_empty() {
            self.open.push(Vec::new());
        }
        let last = self.open.len() - 1;
        &mut self.open[last]
    }

    fn nest(&mut self) {
        if !self.list().is_empty() {
            self.open.push(Vec::new());
        }
    }

    fn close(mut self) -> Vec<Item> {
        let mut inner = Vec::new();
        while let Some(mut list) = self.open.pop() {
            if !inner.is_empty() {
                list.push(Item::List(inner));
            }
            trim(&mut list);
            inner = list;
        }
        inner
    }
}

/// Drops what counts as nothing at the end and before qualifiers.
fn trim(list: &mut Vec<Item>) {
    for at in (0..list.len()).rev() {
        let null = match &list[at] {
            Item::Number(digits) => digits.is_empty(),
            Item::Text(_) | Item::Combined(..) => false,
            Item::List(items) => items.is_empty(),
        };
        let droppable = match list.get(at + 1) {
            None | Some(Item::Text(_)) => true,
            Some(Item::List(items)) => {
                matches!(items.first(), Some(Item::Text(_) | Item::Combined(..)))
            }
            Some(_) => false,
        };
        if null && droppable {
            list.remove(at);
        }
    }
}

fn compare_lists(a: &[Item], b: &[Item]) -> Ordering {
    (0..a.len().max(b.len()))
        .map(|at| match (a.get(at), b.get(at)) {
            (Some(a), Some(b)) => compare_items(a, b),
            (Some(a), None) => compare_with_nothing(a),
            (None, Some(b)) => compare_with_nothing(b).reverse(),
            (None, None) => Ordering::Equal,
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn compare_with_nothing(item: &Item) -> Ordering {
    match item {
        Item::Number(digits) => number::compare(digits, ""),
        Item::Text(qualifier) | Item::Combined(qualifier, _) => qualifier.cmp(&Qualifier::Release),
        Item::List(items) => items
            .iter()
            .map(compare_with_nothing)
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal),
    }
}

/// Qualifiers sort before lists and lists before numbers.
fn compare_items(a: &Item, b: &Item) -> Ordering {
    let kind = |item: &Item| match item {
        Item::Text(_) | Item::Combined(..) => 0,
        Item::List(_) => 1,
        Item::Number(_) => 2,
    };
    match (a, b) {
        (Item::Number(a), Item::Number(b)) => number::compare(a, b),
        (Item::List(a), Item::List(b)) => compare_lists(a, b),
        (Item::Text(a), Item::Text(b)) => a.cmp(b),
        (Item::Combined(a, m), Item::Combined(b, n)) => {
            a.cmp(b).then_with(|| number::compare(m, n))
        }
        (Item::Text(a), Item::Combined(b, _)) => a.cmp(b).then(Ordering::Less),
        (Item::Combined(a, _), Item::Text(b)) => a.cmp(b).then(Ordering::Greater),
        _ => kind(a).cmp(&kind(b)),
    }
}

impl Ord for Maven {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_lists(&self.items, &other.items)
    }
}

impl PartialOrd for Maven {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Maven {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Maven {}
