//! The rules of a page, held against the pages before it.

use std::collections::BTreeMap;
use std::fmt::Display;

use stella_model::{Digest, FeedName, RecordId, TenantId};
use stella_records::exchange::{self, FeedTold, PageEnd, PageHead, PageLine, RecordHead, Removed};
use stella_records::line::Body;

use super::{ExportQuery, PageFault, Told};

/// Where an export stands: what every page has to be, and what came so far.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    pub(super) query: ExportQuery,
    tenant: Option<String>,
    /// The first page's first line.
    pub(super) head: Option<PageHead>,
    /// What the next page is asked for with.
    pub(super) token: Option<String>,
    feeds: BTreeMap<FeedName, Counted>,
    last: Option<(FeedName, RecordId)>,
    records: u64,
}

/// Records of a feed.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    told: u64,
    came: u64,
}

impl Walk {
    pub(super) fn new(query: ExportQuery, tenant: Option<String>) -> Walk {
        let feeds = BTreeMap::new();
        Walk { query, tenant, head: None, token: None, feeds, last: None, records: 0 }
    }

    /// What the next page is asked for with.
    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        if let Some(token) = &self.token {
            return vec![("page_token", token.clone())];
        }
        let ExportQuery { feed, since, of, page_size, .. } = &self.query;
        let mut parameters = Vec::new();
        if *since > 0 {
            parameters.push(("since_sequence", since.to_string()));
        }
        let until = of.as_ref().map(|of| ("until_sequence", of.until.to_string()));
        parameters.extend(until);
        parameters.extend(feed.as_ref().map(|feed| ("feed", feed.to_string())));
        parameters.extend(page_size.map(|size| ("page_size", size.to_string())));
        parameters
    }

    /// The next page, of which nothing was read.
    pub(super) fn page(&self) -> Page {
        let (is_first, before) = (self.head.is_none(), self.records);
        Page { is_first, before, next: self.clone(), begun: false, end: None }
    }

    /// Whether a page is of what was asked for, and of the state of the pages before.
    fn check_head(&self, head: &PageHead) -> Result<(), PageFault> {
        if head.version != exchange::VERSION {
            return Err(PageFault::Version { found: head.version });
        }
        let is_id = |id: &str| {
            id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !is_id(&head.ledger) {
            return Err(foreign("ledger", &head.ledger, "32 hex digits"));
        }
        same("kind", &head.kind, &self.query.kind)?;
        same("since", head.since, self.query.since)?;
        let all = |feed: &Option<FeedName>| {
            feed.as_ref().map_or_else(|| "all feeds".to_owned(), ToString::to_string)
        };
        same("feed", all(&head.feed), all(&self.query.feed))?;
        if let Some(tenant) = &self.tenant {
            same("tenant", head.tenant.as_str(), tenant)?;
        }
        let before = self.head.as_ref().map(super::state_of);
        if let Some(of) = self.query.of.as_ref().or(before.as_ref()) {
            same("ledger", &head.ledger, &of.ledger)?;
            same("epoch", head.epoch, of.epoch)?;
            same("tenant", &head.tenant, &of.tenant)?;
            same("until", head.until, of.until)?;
        }
        if head.until < head.since {
            let (found, since, until) = (head.until, head.since, head.until);
            return Err(PageFault::Sequence { found, since, until });
        }
        match head.records == self.records {
            true => Ok(()),
            false => Err(PageFault::OtherPage { found: head.records, expected: self.records }),
        }
    }

    /// Whether a record or removal may come next.
    fn check_next(&mut self, place: &Place<'_>) -> Result<(), PageFault> {
        let Some(head) = &self.head else { return Err(PageFault::OutOfPlace { what: "a record" }) };
        same("tenant", place.tenant, &head.tenant)?;
        same("kind", place.kind, &head.kind)?;
        if let Some(feed) = &head.feed {
            same("feed", place.feed, feed)?;
        }
        let (found, since, until) = (place.sequence, head.since, head.until);
        if found <= since || found > until {
            return Err(PageFault::Sequence { found, since, until });
        }
        let key = (place.feed.clone(), place.id.clone());
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            return Err(PageFault::Order { feed: key.0, id: key.1 });
        }
        self.last = Some(key);
        self.records += 1;
        Ok(())
    }

    /// Whether all came that feeds hold, once all came.
    fn check_whole(&self) -> Result<(), PageFault> {
        let is_whole = self.query.since == 0;
        for (feed, Counted { told, came }) in &self.feeds {
            if came > told || (is_whole && came < told) {
                let (feed, came, told) = (feed.clone(), *came, *told);
                return Err(PageFault::Incomplete { feed, came, told });
            }
        }
        Ok(())
    }
}

/// What a record or removal says of its place.
struct Place<'a> {
    feed: &'a FeedName,
    id: &'a RecordId,
    kind: &'a stella_model::Kind,
    sequence: u64,
    tenant: &'a TenantId,
}

fn foreign(what: &'static str, found: impl Display, expected: impl Display) -> PageFault {
    PageFault::Foreign { what, found: found.to_string(), expected: expected.to_string() }
}

fn same<T: Display + PartialEq>(
    what: &'static str,
    found: T,
    expected: T,
) -> Result<(), PageFault> {
    if found == expected { Ok(()) } else { Err(foreign(what, found, expected)) }
}

/// A line that was held against the rules.
pub(super) enum Checked<'a> {
    Feed(FeedTold),
    Record(RecordHead, Body<'a>),
    Removed(Removed),
}

impl Checked<'_> {
    pub(super) fn as_told(&self) -> Told<'_> {
        match self {
            Checked::Feed(feed) => Told::Feed(feed),
            Checked::Record(head, body) => Told::Record(head, body.bytes()),
            Checked::Removed(removed) => Told::Removed(removed),
        }
    }
}

/// A page on its way.
pub(super) struct Page {
    is_first: bool,
    /// Records and removals on the pages before.
    before: u64,
    /// Where the export stands if the page is right up to its end.
    next: Walk,
    begun: bool,
    end: Option<PageEnd>,
}

impl Page {
    /// Takes the next line, without its line feed; gives what it tells, if that is more than where
    /// the page begins or ends.
    pub(super) fn line<'a>(&mut self, line: &'a [u8]) -> Result<Option<Checked<'a>>, PageFault> {
        let parsed = exchange::parse(line).map_err(|error| PageFault::NotALine {
            expected: error.expected,
            offset: error.offset,
        })?;
        if self.end.is_some() {
            return Err(PageFault::OutOfPlace { what: "a line after the last one" });
        }
        if self.begun == matches!(parsed, PageLine::Head(_)) {
            let what =
                if self.begun { "a second beginning" } else { "a line before the first one" };
            return Err(PageFault::OutOfPlace { what });
        }
        match parsed {
            PageLine::Head(head) => {
                self.next.check_head(&head)?;
                self.next.head.get_or_insert(head);
                self.begun = true;
                Ok(None)
            }
            PageLine::Feed(feed) => {
                self.take_feed(&feed)?;
                Ok(Some(Checked::Feed(feed)))
            }
            PageLine::Record(head, body) => {
                self.take_record(&head, &body)?;
                Ok(Some(Checked::Record(head, body)))
            }
            PageLine::Removed(removed) => {
                let Removed { feed, id, kind, sequence, tenant } = &removed;
                if self.next.query.since == 0 {
                    return Err(PageFault::OutOfPlace { what: "a removal in the whole" });
                }
                self.next.check_next(&Place { feed, id, kind, sequence: *sequence, tenant })?;
                Ok(Some(Checked::Removed(removed)))
            }
            PageLine::End(end) => {
                self.end = Some(end);
                Ok(None)
            }
        }
    }

    /// Feeds are told on the first page, before all records, by name.
    fn take_feed(&mut self, feed: &FeedTold) -> Result<(), PageFault> {
        let next = &mut self.next;
        let greatest = next.feeds.last_key_value().map(|(name, _)| name);
        let is_next = greatest.is_none_or(|greatest| *greatest < feed.name);
        if !self.is_first || next.last.is_some() || !is_next {
            return Err(PageFault::OutOfPlace { what: "what is told of a feed" });
        }
        if let Some(only) = &next.query.feed {
            same("feed", &feed.name, only)?;
        }
        next.feeds.insert(feed.name.clone(), Counted { told: feed.records, came: 0 });
        Ok(())
    }

    fn take_record(&mut self, head: &RecordHead, body: &Body<'_>) -> Result<(), PageFault> {
        let RecordHead { feed, id, kind, sequence, tenant, .. } = head;
        self.next.check_next(&Place { feed, id, kind, sequence: *sequence, tenant })?;
        match self.next.feeds.get_mut(feed) {
            Some(counted) => counted.came += 1,
            None => {
                return Err(PageFault::OutOfPlace { what: "a record of a feed that was not told" });
            }
        }
        match Digest::of(body.bytes()) == head.content_digest {
            true => Ok(()),
            false => Err(PageFault::Digest { feed: feed.clone(), id: id.clone() }),
        }
    }

    /// Where the export stands after this page, if that is whole.
    pub(super) fn whole(mut self) -> Result<Walk, PageFault> {
        let Some(PageEnd { next, records }) = self.end else { return Err(PageFault::CutShort) };
        if records != self.next.records {
            return Err(PageFault::Count { found: records, expected: self.next.records });
        }
        match &next {
            None => self.next.check_whole()?,
            // It would lead to the same place for ever.
            Some(_) if records == self.before => {
                return Err(PageFault::OutOfPlace { what: "the end of an empty page" });
            }
            Some(token) if !is_token(token) => {
                let expected = "a token of at most 4,096 letters, digits, - and _";
                return Err(PageFault::NotALine { expected, offset: 0 });
            }
            Some(_) => {}
        }
        self.next.token = next;
        Ok(self.next)
    }
}

/// Whether a token can stand in an address as it is.
fn is_token(token: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=4096).contains(&token.len()) && token.bytes().all(is_plain)
}
