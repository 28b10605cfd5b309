//! Deny rules: what is taken out of every text, and how a text is searched for it quickly.

use std::collections::BTreeMap;
use std::ops::Range;

use regex::bytes;

use super::address::Addresses;
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
    triggers: Option<bytes::Regex>,
}

/// Which rules can have anything to do in a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Glance {
    mail: bool,
    urls: bool,
    rare: bool,
    /// An operator's rules look at every text.
    own: bool,
}

impl Glance {
    /// Whether no rule can find anything.
    pub(super) fn is_clean(self) -> bool {
        !self.mail && !self.urls && !self.rare && !self.own
    }
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
        let triggers = bytes::Regex::new(secret::TRIGGERS).ok();
        let patterns = secret::standard();
        let standard = Standard { mail, addresses, homes, patterns, triggers };
        Deny { own: Vec::new(), standard: Some(standard) }
    }

    /// Adds an operator's patterns, which are applied first.
    pub(super) fn with_own(self, own: Vec<Pattern>) -> Deny {
        Deny { own, ..self }
    }

    /// Looks over a whole document at once. JSON escapes hide nothing of what is looked for.
    pub(super) fn glance(&self, content: &[u8]) -> Glance {
        let own = !self.own.is_empty();
        let Some(standard) = &self.standard else {
            return Glance { mail: false, urls: false, rare: false, own };
        };
        let has = |text: &str| memchr::memmem::find(content, text.as_bytes()).is_some();
        Glance {
            mail: memchr::memchr(b'@', content).is_some() || has("%40"),
            urls: has("://"),
            rare: standard.is_triggered(content),
            own: own || standard.addresses.has_domains(),
        }
    }

    /// The rule that finds something in the text, if one does.
    pub(super) fn first_rule(&self, text: &str, glance: Glance) -> Option<&str> {
        self.finders(text, glance)
            .into_iter()
            .find(|finder| pieces(text).any(|piece| finder.find(piece, 0).is_some()))
            .map(|finder| finder.id())
    }

    /// The text without what the rules deny, or `None` if it may stay as it is. Redacting the
    /// result again changes nothing.
    pub(super) fn redact(
        &self,
        text: &str,
        glance: Glance,
        marks: &mut dyn Marks,
        tally: &mut Tally,
    ) -> Option<String> {
        let mut redacted: Option<String> = None;
        for _ in 0..MOST_ROUNDS {
            let before = redacted.as_deref().unwrap_or(text);
            let Some(after) = self.round(before, glance, marks, tally) else { return redacted };
            redacted = Some(after);
        }
        let last = redacted.as_deref().unwrap_or(text);
        let Some(rule) = self.first_rule(last, glance) else { return redacted };
        let mut whole = String::new();
        marks.mark(rule, text, &mut whole);
        Some(whole)
    }

    /// Applies every rule once, in order.
    fn round(
        &self,
        text: &str,
        glance: Glance,
        marks: &mut dyn Marks,
        tally: &mut Tally,
    ) -> Option<String> {
        let mut redacted: Option<String> = None;
        for finder in self.finders(text, glance) {
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
    fn finders<'d>(&'d self, text: &str, glance: Glance) -> Vec<Finder<'d>> {
        let mut finders: Vec<Finder<'d>> = self.own.iter().map(Finder::Own).collect();
        let Some(standard) = &self.standard else { return finders };
        let bytes = text.as_bytes();
        let addresses = &standard.addresses;
        let rare = glance.rare && standard.is_triggered(bytes);
        let urls = glance.urls && memchr::memmem::find(bytes, b"://").is_some();
        let (keys, others) = standard.patterns.split_at(usize::from(rare));
        if rare {
            finders.extend(keys.iter().map(Finder::Pattern));
        }
        if urls {
            finders.push(Finder::Url(addresses));
        }
        if rare {
            finders.push(Finder::EncodedUrl(addresses));
            finders.extend(others.iter().map(Finder::Pattern));
        }
        if urls {
            finders.push(Finder::Credentials(addresses));
        }
        if glance.mail && memchr::memchr2(b'@', b'%', bytes).is_some() {
            finders.push(Finder::Mail(&standard.mail));
        }
        if addresses.has_domains() {
            finders.push(Finder::Host(addresses));
        }
        if rare {
            finders.push(Finder::Home(&standard.homes));
        }
        finders
    }
}

impl Standard {
    fn is_triggered(&self, bytes: &[u8]) -> bool {
        self.triggers.as_ref().is_none_or(|triggers| triggers.is_match(bytes))
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
