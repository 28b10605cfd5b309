//! One look over a whole document, so that most of its texts need not be searched one by one.

use std::cell::Cell;

use memchr::{memchr, memchr_iter, memmem};
use regex::bytes::Regex;

/// Most places kept of one sort. With more, every text is searched, which costs time but no memory.
const MOST_PLACES: usize = 1 << 20;

/// Which sorts of rules can find something in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sorts {
    /// There is a sign that mail addresses have.
    pub(super) mail: bool,
    /// There is `://`.
    pub(super) urls: bool,
    /// A trigger of the patterns matches.
    pub(super) rare: bool,
}

impl Sorts {
    pub(super) const NONE: Sorts = Sorts { mail: false, urls: false, rare: false };

    /// What a text by itself gives reason to look for.
    pub(super) fn of(text: &str, triggers: &Regex) -> Sorts {
        let bytes = text.as_bytes();
        let has = |what: &str| memmem::find(bytes, what.as_bytes()).is_some();
        Sorts {
            mail: memchr(b'@', bytes).is_some() || has("%40"),
            urls: has("://"),
            rare: triggers.is_match(bytes),
        }
    }
}

/// Where in a document there is anything that a rule may find.
pub(super) struct Glance<'c> {
    content: &'c [u8],
    triggers: &'c Regex,
    mail: Places,
    escaped_mail: Places,
    urls: Places,
    rare: Places,
}

impl<'c> Glance<'c> {
    /// Looks over a document. JSON escapes hide nothing of what is looked for.
    pub(super) fn new(content: &'c [u8], triggers: &'c Regex) -> Glance<'c> {
        let mut from = 0;
        let triggered = std::iter::from_fn(|| {
            let end = triggers.shortest_match_at(content, from)?;
            from = end;
            Some(end - 1)
        });
        Glance {
            content,
            triggers,
            mail: Places::new(memchr_iter(b'@', content)),
            escaped_mail: Places::new(memmem::find_iter(content, b"%40")),
            urls: Places::new(memmem::find_iter(content, b"://")),
            rare: Places::new(triggered),
        }
    }

    /// Which sorts of rules can find something in a text of the document.
    pub(super) fn sorts(&self, text: &str) -> Sorts {
        // A text without escapes is a part of the document; any other lies somewhere else.
        let start = (text.as_ptr() as usize).wrapping_sub(self.content.as_ptr() as usize);
        let end = start.saturating_add(text.len());
        if end > self.content.len() {
            return Sorts::of(text, self.triggers);
        }
        Sorts {
            mail: self.mail.any_in(start, end) || self.escaped_mail.any_in(start, end),
            urls: self.urls.any_in(start, end),
            rare: self.rare.any_in(start, end),
        }
    }
}

/// Offsets in ascending order.
struct Places {
    /// `None` if there are too many to be kept.
    at: Option<Vec<u32>>,
    /// Where the last question led: texts are asked for in the order of the document.
    cursor: Cell<usize>,
}

impl Places {
    fn new(places: impl Iterator<Item = usize>) -> Places {
        let at: Vec<u32> =
            places.take(MOST_PLACES + 1).map(|at| u32::try_from(at).unwrap_or(u32::MAX)).collect();
        Places { at: (at.len() <= MOST_PLACES).then_some(at), cursor: Cell::new(0) }
    }

    fn any_in(&self, start: usize, end: usize) -> bool {
        let Some(at) = &self.at else { return true };
        let before = |place: &u32| (*place as usize) < start;
        let mut next = self.cursor.get();
        if next > 0 && !before(&at[next - 1]) {
            next = at.partition_point(before);
        } else {
            next += at[next..].iter().take_while(|place| before(place)).count();
        }
        self.cursor.set(next);
        at.get(next).is_some_and(|place| (*place as usize) < end)
    }
}
