//! Deny rules: what is taken out of every text, and how a text is searched for it quickly.

use std::collections::BTreeMap;
use std::ops::Range;

use regex::bytes;

use super::address::Addresses;
use super::glance::{Glance, Sorts};
use super::home::Homes;
use super::mail::Mail;
use super::secret::{self, Pattern};

/// What the markers begin with. Nothing within a marker is ever searched.
const MARKER: &str = "[redacted:";

/// Rounds after which a text in which redaction keeps uncovering more is redacted whole.
const MOST_ROUNDS: usize = 8;

/// Bytes that the matches of one operator's pattern in one text may cost to find.
const PATTERN_WORK: usize = 1 << 28;

/// The deny rules of a rule set.
#[derive(Debug, Clone)]
pub(super) struct Deny {
    own: Vec<Pattern>,
    standard: Option<Standard>,
}

#[derive(Debug, Clone)]
struct Standard {
    mail: Mail,
    addresses: Addresses,
    homes: Homes,
    patterns: Vec<Pattern>,
    /// Matches wherever a pattern, an encoded URL or a home folder can.
    triggers: bytes::Regex,
}

/// How many values were redacted, by rule.
pub(super) type Tally = BTreeMap<String, u64>;

/// Gives the marker for a redacted text.
pub(super) trait Marks {
    /// Appends the marker that stands for `text`, which `rule` took out.
    fn mark(&mut self, rule: &str, text: &str, out: &mut String);
}

/// The same marker for everything that a rule takes out.
pub(super) struct Plain;

impl Marks for Plain {
    fn mark(&mut self, rule: &str, _: &str, out: &mut String) {
        out.push_str(MARKER);
        out.push_str(rule);
        out.push(']');
    }
}

/// A marker with a number for each different text, so that references stay apart.
#[derive(Debug)]
pub(super) struct Numbered {
    next: u64,
    numbers: BTreeMap<(String, String), u64>,
}

impl Numbered {
    /// Numbers that do not occur in markers that `content` already has.
    pub(super) fn new(content: &[u8]) -> Numbered {
        let used = memchr::memmem::find_iter(content, MARKER).filter_map(|place| {
            let marker = content[place..].split(|b| *b == b']').next()?;
            let number = marker.get(..64.min(marker.len()))?.split(|b| *b == b'#').nth(1)?;
            std::str::from_utf8(number).ok()?.parse::<u64>().ok()
        });
        Numbered { next: used.max().unwrap_or(0).saturating_add(1), numbers: BTreeMap::new() }
    }
}

impl Marks for Numbered {
    fn mark(&mut self, rule: &str, text: &str, out: &mut String) {
        let next = &mut self.next;
        let number = *self.numbers.entry((rule.to_owned(), text.to_owned())).or_insert_with(|| {
            *next = next.saturating_add(1);
            *next - 1
        });
        out.push_str(MARKER);
        out.push_str(rule);
        out.push_str(&format!("#{number}]"));
    }
}

impl Deny {
    /// No rules yet.
    pub(super) fn nothing() -> Deny {
        Deny { own: Vec::new(), standard: None }
    }

    /// The standard rules with an operator's exceptions.
    pub(super) fn standard(mail: Mail, addresses: Addresses, homes: Homes) -> Deny {
        let triggers = secret::triggers();
        let patterns = secret::standard();
        let standard = Standard { mail, addresses, homes, patterns, triggers };
        Deny { own: Vec::new(), standard: Some(standard) }
    }

    /// Adds an operator's patterns, which are applied first.
    pub(super) fn with_own(self, own: Vec<Pattern>) -> Deny {
        Deny { own, ..self }
    }

    /// Looks over a whole document at once.
    pub(super) fn glance<'c>(&'c self, content: &'c [u8]) -> Option<Glance<'c>> {
        let standard = self.standard.as_ref()?;
        Some(Glance::new(content, &standard.triggers))
    }

    /// Which sorts of rules have to be asked about a text of the document.
    pub(super) fn sorts(&self, text: &str, glance: Option<&Glance<'_>>) -> Option<Sorts> {
        let sorts = glance.map_or(Sorts::NONE, |glance| glance.sorts(text));
        let every = !self.own.is_empty()
            || self.standard.as_ref().is_some_and(|standard| standard.addresses.has_domains());
        (every || sorts != Sorts::NONE).then_some(sorts)
    }

    /// The rule that finds something in the text, if one does.
    pub(super) fn first_rule(&self, text: &str, sorts: Sorts) -> Option<&str> {
        self.finders(text, sorts)
            .find(|finder| pieces(text).any(|piece| finder.find(piece, 0).is_some()))
            .map(|finder| finder.id())
    }

    /// The text without what the rules deny, or `None` if it may stay as it is. Redacting the
    /// result again changes nothing.
    pub(super) fn redact(
        &self,
        text: &str,
        sorts: Sorts,
        marks: &mut dyn Marks,
        tally: &mut Tally,
    ) -> Option<String> {
        let mut redacted: Option<String> = None;
        for _ in 0..MOST_ROUNDS {
            let before = redacted.as_deref().unwrap_or(text);
            let Some(after) = self.round(before, sorts, marks, tally) else { return redacted };
            redacted = Some(after);
        }
        let last = redacted.as_deref().unwrap_or(text);
        let Some(rule) = self.first_rule(last, sorts) else { return redacted };
        let mut whole = String::new();
        marks.mark(rule, text, &mut whole);
        Some(whole)
    }

    /// Applies every rule once, in order.
    fn round(
        &self,
        text: &str,
        sorts: Sorts,
        marks: &mut dyn Marks,
        tally: &mut Tally,
    ) -> Option<String> {
        let mut redacted: Option<String> = None;
        for finder in self.finders(text, sorts) {
            let before = redacted.as_deref().unwrap_or(text);
            if let Some((after, count)) = replace(&finder, before, marks) {
                *tally.entry(finder.id().to_owned()).or_default() += count;
                redacted = Some(after);
            }
        }
        redacted
    }

    /// The rules that can find something in the text, in the order they are applied: what takes
    /// out most comes before what would take a piece of it.
    fn finders<'d>(&'d self, text: &str, sorts: Sorts) -> impl Iterator<Item = Finder<'d>> {
        let standard = self.standard.as_ref();
        let rare = standard.filter(|_| sorts.rare && !text.is_empty());
        let urls = standard.filter(|_| sorts.urls);
        let sign = sorts.mail && memchr::memchr2(b'@', b'%', text.as_bytes()).is_some();
        let mail = standard.filter(|_| sign);
        let (keys, others) = match rare {
            Some(standard) => standard.patterns.split_at(1.min(standard.patterns.len())),
            None => Default::default(),
        };
        let domains = standard.filter(|standard| standard.addresses.has_domains());
        let own = self.own.iter().map(Finder::Own);
        own.chain(keys.iter().map(Finder::Pattern))
            .chain(urls.map(|standard| Finder::Url(&standard.addresses)))
            .chain(rare.map(|standard| Finder::EncodedUrl(&standard.addresses)))
            .chain(others.iter().map(Finder::Pattern))
            .chain(urls.filter(|_| sign).map(|standard| Finder::Credentials(&standard.addresses)))
            .chain(mail.map(|standard| Finder::Mail(&standard.mail)))
            .chain(domains.map(|standard| Finder::Host(&standard.addresses)))
            .chain(rare.map(|standard| Finder::Home(&standard.homes)))
    }
}

/// One rule that looks for something.
enum Finder<'d> {
    Own(&'d Pattern),
    Pattern(&'d Pattern),
    Url(&'d Addresses),
    EncodedUrl(&'d Addresses),
    Host(&'d Addresses),
    Credentials(&'d Addresses),
    Mail(&'d Mail),
    Home(&'d Homes),
}

impl<'d> Finder<'d> {
    fn id(&self) -> &'d str {
        match self {
            Finder::Own(pattern) | Finder::Pattern(pattern) => &pattern.id,
            Finder::Url(_) | Finder::EncodedUrl(_) | Finder::Host(_) => "internal-url",
            Finder::Credentials(_) => "url-credentials",
            Finder::Mail(_) => "email",
            Finder::Home(_) => "home-path",
        }
    }

    fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        match self {
            Finder::Own(pattern) | Finder::Pattern(pattern) => pattern.find(text, from),
            Finder::Url(addresses) => addresses.find_internal(text, from),
            Finder::EncodedUrl(addresses) => addresses.find_encoded(text, from),
            Finder::Host(addresses) => addresses.find_host(text, from),
            Finder::Credentials(addresses) => addresses.find_credentials(text, from),
            Finder::Mail(mail) => mail.find(text, from),
            Finder::Home(homes) => homes.find(text, from),
        }
    }

    /// How many matches in a text of this length are searched for one by one.
    fn most(&self, length: usize) -> usize {
        match self {
            // A pattern of which nothing is known may need all of the text for each match.
            Finder::Own(_) => (PATTERN_WORK / length.max(1)).max(64),
            _ => usize::MAX,
        }
    }
}

/// Replaces everything that a rule finds outside of markers, and counts it.
fn replace(finder: &Finder<'_>, text: &str, marks: &mut dyn Marks) -> Option<(String, u64)> {
    let most = finder.most(text.len());
    let mut out = String::new();
    let (mut done, mut count) = (0, 0);
    for piece in pieces(text) {
        let offset = piece.as_ptr() as usize - text.as_ptr() as usize;
        let mut from = 0;
        while let Some(span) = finder.find(piece, from) {
            let end = if (count as usize) < most { span.end } else { piece.len() };
            out.push_str(&text[done..offset + span.start]);
            marks.mark(finder.id(), &piece[span.start..end], &mut out);
            done = offset + end;
            count += 1;
            from = end;
        }
    }
    out.push_str(&text[done..]);
    (count > 0).then_some((out, count))
}

/// The parts of a text between markers.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut from = 0;
        loop {
            let Some(found) = memchr::memmem::find(&text.as_bytes()[from..], MARKER.as_bytes())
            else {
                rest = None;
                return Some(text);
            };
            let start = from + found;
            match marker_length(&text[start..]) {
                Some(length) => {
                    rest = Some(&text[start + length..]);
                    return Some(&text[..start]);
                }
                None => from = start + MARKER.len(),
            }
        }
    })
}

/// Length of the marker that the text begins with: `[redacted:rule]` or `[redacted:rule#7]`.
fn marker_length(text: &str) -> Option<usize> {
    let inside = text.strip_prefix(MARKER)?;
    let end = inside.bytes().take(64).position(|b| b == b']')?;
    let (rule, number) = match inside[..end].split_once('#') {
        Some((rule, number)) => (rule, Some(number)),
        None => (&inside[..end], None),
    };
    let name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_rule = !rule.is_empty() && rule.bytes().all(name);
    let is_number = number
        .is_none_or(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    (is_rule && is_number).then_some(MARKER.len() + end + 1)
}
