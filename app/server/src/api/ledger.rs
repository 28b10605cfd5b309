//! The export of the tenant's ledger: how another instance comes to hold the same.
//!
//! A page is made as a whole before its first byte is sent, so that what fails is told as an error and
//! never as a short page. It is bounded by records and bytes, and nothing is kept between two pages:
//! where the next one begins is in its token.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream;
use serde::Deserialize;
use stella_engine::EngineError;
use stella_ledger::{ChangedRecord, Ledger, LedgerError, Seq};
use stella_model::{ErrorCode, FeedName, Kind, RecordId, SetKey, TenantId};
use stella_records::exchange::{self, FeedTold, PageEnd, PageHead, RecordHead, Removed};
use stella_records::line::Content;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use super::downloads::set;
use super::extract::{Name, Params};
use super::{Problem, ended};
use crate::access::Caller;
use crate::access::limits::Place;
use crate::service::Service;

/// Bytes that are handed to a connection at once.
const PIECE: usize = 256 << 10;

/// Version of tokens.
const TOKEN: &str = "1";

/// Which page of which export. Names are those of its addresses since they were agreed on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// The sequence that is there already: only what changed after it is told. 0, or none, for all.
    since_sequence: Option<u64>,
    /// The sequence whose state is told; the newest unless told otherwise.
    until_sequence: Option<u64>,
    /// Only this feed.
    feed: Option<String>,
    /// Records and removals of a page: 2000 unless asked otherwise, 10000 at most.
    #[param(minimum = 1, maximum = 10000)]
    page_size: Option<u32>,
    /// The next page, as the one before has it. It stands alone.
    page_token: Option<String>,
}

impl ExportQuery {
    /// Where the page begins.
    fn position(self, kind: Kind) -> Result<Position, Problem> {
        let ExportQuery { since_sequence, until_sequence, feed, page_size, page_token } = self;
        let (usual, most) = exchange::PAGE_SIZE;
        if let Some(token) = page_token {
            let is_alone = since_sequence.is_none()
                && until_sequence.is_none()
                && feed.is_none()
                && page_size.is_none();
            let position = Position::of_token(&token).filter(|position| {
                is_alone && position.kind == kind && (1..=most).contains(&position.page_size)
            });
            return position.ok_or_else(|| {
                Problem::usage("page_token: is the one that the page before has, and stands alone")
                    .hint("begin again without page_token")
            });
        }
        let feed = feed.map(|feed| feed.parse()).transpose();
        let feed = feed.map_err(|_| Problem::usage("feed: is the name of one"))?;
        let page_size = page_size.unwrap_or(usual);
        if !(1..=most).contains(&page_size) {
            return Err(Problem::usage(format!("page_size: is from 1 to {most}")));
        }
        let since = since_sequence.unwrap_or(0);
        Ok(Position {
            kind,
            since,
            until: until_sequence,
            feed,
            page_size,
            records: 0,
            after: None,
        })
    }
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Position {
    kind: Kind,
    since: u64,
    /// None before the first page: the newest.
    until: Option<u64>,
    /// The only feed.
    feed: Option<FeedName>,
    page_size: u32,
    /// Records and removals on the pages before.
    records: u64,
    /// The last one on the page before.
    after: Option<(FeedName, RecordId)>,
}

impl Position {
    /// The token that leads here.
    fn token(&self) -> String {
        let Position { kind, since, until, feed, page_size, records, after } = self;
        let until = until.unwrap_or(0);
        let feed = feed.as_ref().map_or("", FeedName::as_str);
        let (last, id) = after.as_ref().map_or(("", ""), |(last, id)| (last.as_str(), id.as_str()));
        // The id comes last: it may have any character in it.
        let text = format!(
            "{TOKEN}\n{kind}\n{since}\n{until}\n{feed}\n{page_size}\n{records}\n{last}\n{id}"
        );
        URL_SAFE_NO_PAD.encode(text)
    }

    /// Where a token leads; none if it is none of ours.
    fn of_token(token: &str) -> Option<Position> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let parts: Vec<&str> = text.splitn(9, '\n').collect();
        let [TOKEN, kind, since, until, feed, page_size, records, last, id] = parts[..] else {
            return None;
        };
        let feed = if feed.is_empty() { None } else { Some(feed.parse().ok()?) };
        let position = Position {
            kind: kind.parse().ok()?,
            since: since.parse().ok()?,
            until: Some(until.parse().ok()?),
            feed,
            page_size: page_size.parse().ok()?,
            records: records.parse().ok()?,
            after: Some((last.parse().ok()?, id.parse().ok()?)),
        };
        // One place has one token.
        (position.token() == token).then_some(position)
    }
}

/// Why there is no page.
enum NoPage {
    Ledger(LedgerError),
    Problem(Problem),
}

impl From<LedgerError> for NoPage {
    fn from(error: LedgerError) -> NoPage {
        NoPage::Ledger(error)
    }
}

impl From<NoPage> for Problem {
    fn from(none: NoPage) -> Problem {
        match none {
            NoPage::Problem(problem) => problem,
            NoPage::Ledger(error @ LedgerError::OutOfReach { .. }) => out_of_reach(&error),
            NoPage::Ledger(error) => EngineError::from(error).into(),
        }
    }
}

fn out_of_reach(error: &LedgerError) -> Problem {
    Problem::new(ErrorCode::NotFound, error.to_string())
        .hint("begin again without since_sequence and until_sequence")
        .with_status(StatusCode::GONE)
}

/// What the tenant's ledger holds of a kind, or what changed in it after a sequence, as JSON lines: one
/// page, whose last line says where the next one begins. Feeds of the library are told to their keeper
/// alone. `kind` is `advisories`, `findings`, `sboms` or
/// `vex`.
#[utoipa::path(get, path = "/ledger/export/{kind}", tag = "ledger",
    params(("kind" = String, Path, description = "advisories, findings, sboms or vex"), ExportQuery),
    responses((status = 200, description = "a page", content_type = "application/x-ndjson")))]
pub(crate) async fn export(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Name(word): Name,
    Params(query): Params<ExportQuery>,
) -> Result<Response, Problem> {
    let kind = exchange::kind_of_word(&word);
    let kind = kind.ok_or_else(|| {
        Problem::not_found("such export: there are advisories, findings, sboms and vex")
    })?;
    let position = query.position(kind)?;
    let place = service.limits.enter(Place::Export, &caller.tenant)?;
    let (store, tenant) = (service.store(&caller.tenant), caller.tenant.clone());
    let made = tokio::task::spawn_blocking(move || -> Result<_, Problem> {
        let ledger = store.ledger()?;
        Ok(Page::make(&*ledger, tenant, position)?)
    });
    let page = made.await.map_err(ended)??;
    // Each page: where an export begins is for whoever asks to say.
    caller.fetches(&service, format!("{word} {}", page.told), || None).await?;
    let size = page.bytes.len();
    let mut response = Response::new(pieces(page.bytes.into(), place));
    set(&mut response, header::CONTENT_TYPE, exchange::MEDIA_TYPE);
    set(&mut response, header::CONTENT_LENGTH, &size.to_string());
    // What is evidence today is none of a proxy's tomorrow.
    set(&mut response, header::CACHE_CONTROL, "no-store");
    Ok(response)
}

/// The bytes of a page, piece by piece; its place is taken until the last one is.
fn pieces(bytes: Bytes, place: OwnedSemaphorePermit) -> Body {
    Body::from_stream(stream::unfold((bytes, place), |(mut bytes, place)| async move {
        let piece = bytes.split_to(bytes.len().min(PIECE));
        (!piece.is_empty()).then_some((Ok::<_, std::io::Error>(piece), (bytes, place)))
    }))
}

/// A page.
struct Page {
    bytes: Vec<u8>,
    /// Which part of the ledger the export is of, for the audit log.
    told: String,
}

impl Page {
    fn make(ledger: &dyn Ledger, tenant: TenantId, position: Position) -> Result<Page, NoPage> {
        let (id, epoch) = ledger.identity()?;
        let until = match position.until {
            Some(until) => until,
            None => ledger.head()?.0,
        };
        let Position { kind, since, feed, records, .. } = position.clone();
        if since > until {
            let error = LedgerError::OutOfReach { at: since, from: 0, to: until };
            return Err(error.into());
        }
        let told = match &feed {
            Some(feed) => format!("of {feed}, sequences {since} to {until}"),
            None => format!("sequences {since} to {until}"),
        };
        let mut bytes = Vec::new();
        let version = exchange::VERSION;
        let head =
            PageHead { epoch, feed, kind, ledger: id, records, since, tenant, until, version };
        exchange::write_head(&mut bytes, &head);
        if position.after.is_none() {
            write_feeds(ledger, &head, &mut bytes)?;
        }
        let filling = Filling { head, page_size: position.page_size, bytes, last: None, count: 0 };
        Ok(Page { bytes: filling.fill(ledger, position)?, told })
    }
}

/// Tells of every feed of the tenant's own that holds records of the kind.
fn write_feeds(
    ledger: &dyn Ledger,
    head: &PageHead,
    bytes: &mut Vec<u8>,
) -> Result<(), LedgerError> {
    let known = ledger.feeds()?;
    for live in ledger.sets(Seq(head.until))? {
        let SetKey { kind, feed: name } = live.set;
        if live.library || kind != head.kind || head.feed.as_ref().is_some_and(|only| *only != name)
        {
            continue;
        }
        let info = known.iter().find(|info| info.name == name);
        let text = |member: fn(&stella_ledger::FeedInfo) -> &Option<String>| {
            info.and_then(|info| member(info).clone())
        };
        let told = FeedTold {
            attribution: text(|info| &info.attribution),
            licence: text(|info| &info.licence),
            publisher: text(|info| &info.publisher),
            records: live.records,
            redistribution: info.and_then(|info| info.redistribution),
            name,
        };
        exchange::write_feed(bytes, &told);
    }
    Ok(())
}

/// A page that is being filled.
struct Filling {
    head: PageHead,
    page_size: u32,
    bytes: Vec<u8>,
    /// The last one on it.
    last: Option<(FeedName, RecordId)>,
    count: u32,
}

impl Filling {
    /// Fills it from a place on.
    fn fill(mut self, ledger: &dyn Ledger, position: Position) -> Result<Vec<u8>, NoPage> {
        let (since, until) = (Seq(self.head.since), Seq(self.head.until));
        let begin = position.after.as_ref();
        let mut is_full = false;
        let mut fault = None;
        for set in ledger.changed_sets(since)? {
            let is_before = begin.is_some_and(|(feed, _)| set.feed < *feed);
            let is_other = self.head.feed.as_ref().is_some_and(|only| *only != set.feed);
            if set.kind != self.head.kind || is_before || is_other || is_full {
                continue;
            }
            let after = begin.filter(|(feed, _)| *feed == set.feed).map(|(_, id)| id);
            ledger.changed_records(since, until, &set, after, &mut |changed| {
                // Whatever feeds are told of first: a page goes on by at least one record.
                let is_long = self.bytes.len() as u64 >= exchange::PAGE_BYTES;
                is_full = self.count == self.page_size || (self.count > 0 && is_long);
                if is_full {
                    return ControlFlow::Break(());
                }
                match self.put(&set.feed, changed) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(problem) => {
                        fault = Some(problem);
                        ControlFlow::Break(())
                    }
                }
            })?;
            if let Some(problem) = fault.take() {
                return Err(NoPage::Problem(problem));
            }
        }
        // A number that somebody made up is nobody else's.
        let records = self.head.records.saturating_add(u64::from(self.count));
        let next = is_full.then(|| {
            let until = Some(self.head.until);
            Position { until, records, after: self.last, ..position }.token()
        });
        exchange::write_end(&mut self.bytes, &PageEnd { next, records });
        Ok(self.bytes)
    }

    fn put(&mut self, feed: &FeedName, changed: ChangedRecord<'_>) -> Result<(), Problem> {
        let (feed, kind, tenant) = (feed.clone(), self.head.kind.clone(), self.head.tenant.clone());
        let id = match changed {
            ChangedRecord::Removed { id, seq } => {
                let (id, sequence) = (id.clone(), seq.0);
                let removed = Removed { feed: feed.clone(), id, kind, sequence, tenant };
                exchange::write_removed(&mut self.bytes, &removed);
                removed.id
            }
            ChangedRecord::Held { record, seq } => {
                let head = RecordHead {
                    content_digest: record.content_digest,
                    feed: feed.clone(),
                    format: record.format,
                    id: record.id.clone(),
                    kind,
                    modified: record.modified,
                    sequence: seq.0,
                    tenant,
                };
                let content = match record.format.is_json() {
                    true => Content::Json(&record.content),
                    false => Content::Text(
                        std::str::from_utf8(&record.content).map_err(Problem::internal)?,
                    ),
                };
                exchange::write_record(&mut self.bytes, &head, content);
                head.id
            }
        };
        self.last = Some((feed, id));
        self.count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_and_no_other_text_does() {
        let position = Position {
            kind: Kind::vex(),
            since: 3,
            until: Some(9),
            feed: None,
            page_size: 7,
            records: 21,
            after: Some((
                "npm".parse().expect("a feed"),
                RecordId::new("a\nb\n\u{e9}").expect("an id"),
            )),
        };
        let one = Position { feed: "npm".parse().ok(), ..position.clone() };
        for position in [position.clone(), one] {
            assert_eq!(Position::of_token(&position.token()), Some(position));
        }
        let good = URL_SAFE_NO_PAD.decode(position.token()).expect("is base64");
        let good = String::from_utf8(good).expect("is text");
        for (from, to) in [
            ("1\n", "2\n"),
            ("vex", "Vex"),
            ("\n3\n", "\n03\n"),
            ("\n3\n", "\n-3\n"),
            ("\n9\n", "\n99999999999999999999\n"),
            ("\nnpm\n", "\n../npm\n"),
            ("\n7\n", "\n\n"),
            ("a\nb\n\u{e9}", ""),
        ] {
            assert!(good.contains(from), "{from}");
            let bad = URL_SAFE_NO_PAD.encode(good.replacen(from, to, 1));
            assert_eq!(Position::of_token(&bad), None, "{from:?} -> {to:?}");
        }
        let token = position.token();
        for bad in ["", "=", "AAAA", &token[1..], &format!("{token}="), &format!("{token} ")] {
            assert_eq!(Position::of_token(bad), None, "{bad}");
        }
    }
}
