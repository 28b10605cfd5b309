//! The export of a ledger of another instance, page by page.
//!
//! A page counts when all of it was read and held against the rules of its format and the pages
//! before: until then its lines are only shown. Whatever was wrong with it, the same page can be
//! asked for again.

mod fault;
mod page;

use std::io::{BufRead as _, BufReader, Read as _};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, blocking::Response};
use stella_model::{FeedName, Kind, Limits, TenantId};
use stella_records::exchange::{self, FeedTold, PageHead, RecordHead, Removed};

pub use fault::PageFault;
use page::Walk;

use crate::{Client, RemoteError};

/// Bytes of a page before its last line but one: those of records, and of what is told of feeds.
const LONGEST_PAGE: u64 = exchange::PAGE_BYTES + (16 << 20);

/// The state of a ledger as a tenant of it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteState {
    /// Id of the ledger.
    pub ledger: String,
    /// Its epoch.
    pub epoch: u64,
    /// The tenant.
    pub tenant: TenantId,
    /// The sequence.
    pub until: u64,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportQuery {
    /// The kind.
    pub kind: Kind,
    /// Only this feed.
    pub feed: Option<FeedName>,
    /// The sequence that is here already; 0 for none.
    pub since: u64,
    /// The state that is asked for: another is a fault. None takes the newest.
    pub of: Option<RemoteState>,
    /// Records and removals of a page.
    pub page_size: Option<u32>,
}

/// What a line of a page tells.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// A feed that holds records of the kind.
    Feed(&'a FeedTold),
    /// A record with its content, whose digest is the one that is told.
    Record(&'a RecordHead, &'a [u8]),
    /// A record that is gone.
    Removed(&'a Removed),
}

/// An export under way.
#[derive(Debug)]
pub struct LedgerExport<'c> {
    client: &'c Client,
    walk: Walk,
    limits: Limits,
    deadline: Duration,
}

impl Client {
    /// Begins an export of the server's ledger. Each of its pages has to come within `deadline`.
    #[must_use]
    pub fn ledger_export(
        &self,
        query: ExportQuery,
        limits: Limits,
        deadline: Duration,
    ) -> LedgerExport<'_> {
        let walk = Walk::new(query, self.tenant().map(str::to_owned));
        LedgerExport { client: self, walk, limits, deadline }
    }
}

impl LedgerExport<'_> {
    /// Reads the next page; `false` if it was the last. Lines are given to `take` in their order.
    /// When this fails, what was given since it was called is to be forgotten; the next call asks for
    /// the same page again.
    ///
    /// # Errors
    /// [`RemoteError`] as `E`, or the error of `take`.
    pub fn next_page<E: From<RemoteError>>(
        &mut self,
        take: &mut dyn FnMut(Told<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let word = exchange::word_of_kind(&self.walk.query.kind).unwrap_or_default();
        let attempt = format!("read {word} of the ledger");
        let response = self.ask(&attempt, word)?;
        let mut lines = BufReader::with_capacity(256 << 10, response);
        let longest = exchange::line_bytes(&self.limits);
        let mut page = self.walk.page();
        let (mut line, mut number, mut bytes) = (Vec::new(), 0, 0);
        // Bytes before the last line: the record that fills a page may be as long as a record may be.
        let mut before_last = 0;
        let wrong = |number: u64, fault: PageFault| -> E {
            RemoteError::Page { attempt: attempt.clone(), line: number, fault }.into()
        };
        loop {
            line.clear();
            let read = lines.by_ref().take(longest + 1).read_until(b'\n', &mut line);
            read.map_err(|source| RemoteError::BrokenOff { attempt: attempt.clone(), source })?;
            if line.is_empty() {
                break;
            }
            number += 1;
            if line.pop() != Some(b'\n') {
                return Err(wrong(
                    number,
                    match line.len() as u64 >= longest {
                        true => PageFault::LineTooLong { limit: longest },
                        false => PageFault::CutShort,
                    },
                ));
            }
            if before_last > LONGEST_PAGE {
                return Err(wrong(number, PageFault::PageTooLong { limit: LONGEST_PAGE }));
            }
            before_last = bytes;
            bytes += line.len() as u64;
            let checked = page.line(&line).map_err(|fault| wrong(number, fault))?;
            if let Some(told) = &checked {
                take(told.as_told())?;
            }
        }
        let next = page.whole().map_err(|fault| wrong(number, fault))?;
        self.walk = next;
        Ok(self.walk.token.is_some())
    }

    /// The state that is told; none before the first page.
    #[must_use]
    pub fn state(&self) -> Option<RemoteState> {
        self.walk.head.as_ref().map(state_of)
    }

    fn ask(&self, attempt: &str, word: &str) -> Result<Response, RemoteError> {
        // Numbers, names and tokens: there is nothing in them that an address gives a meaning.
        let pairs =
            self.walk.parameters().into_iter().map(|(name, value)| format!("{name}={value}"));
        let pairs = pairs.collect::<Vec<_>>().join("&");
        let path = format!("/ledger/export/{word}?{pairs}");
        let request = self.client.request_at(Method::GET, &path);
        let request = request.header(ACCEPT, exchange::MEDIA_TYPE).timeout(self.deadline);
        let response = self.client.send(attempt, request)?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        match kind.is_some_and(|kind| kind.starts_with(exchange::MEDIA_TYPE)) {
            true => Ok(response),
            false => {
                let what = "it is no page of a ledger".to_owned();
                Err(RemoteError::Strange { attempt: attempt.to_owned(), what })
            }
        }
    }
}

/// The state that a page tells of.
fn state_of(head: &PageHead) -> RemoteState {
    RemoteState {
        ledger: head.ledger.clone(),
        epoch: head.epoch,
        tenant: head.tenant.clone(),
        until: head.until,
    }
}

#[cfg(test)]
mod tests;
