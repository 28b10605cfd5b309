//! What the server has to tell, page by page, asked for again where it did not come whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use stella_ledger::FeedSpec;
use stella_model::screen::Safe;
use stella_model::{ErrorCode, FeedName};
use stella_records::exchange::{self, FeedTold, RecordHead};
use stella_records::reread;
use stella_remote::{Client, ExportQuery, LedgerExport, RemoteError, Told};

use super::PullRequest;
use super::plan::{Remote, Wanted};
use super::spool::{Spool, SpoolPage};
use crate::{Cancel, EngineError, LIMITS, Progress, Stage, StageUpdate};

/// Why nothing more came.
#[derive(Debug)]
pub(super) enum Stop {
    /// The server, or what is on the way to it.
    Remote(RemoteError),
    /// This machine, or what a document turned out to be here.
    Here(EngineError),
}

/// Asks a server.
pub(super) struct Fetch<'a> {
    client: &'a Client,
    request: &'a PullRequest,
    dir: &'a Path,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
    records: u64,
    pub(super) pages: u64,
    pub(super) bytes: u64,
    pub(super) retries: u64,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(
        client: &'a Client,
        request: &'a PullRequest,
        dir: &'a Path,
        progress: &'a dyn Progress,
        cancel: &'a Cancel,
    ) -> Fetch<'a> {
        let (records, pages, bytes, retries) = (0, 0, 0, 0);
        Fetch { client, request, dir, progress, cancel, records, pages, bytes, retries }
    }

    /// What the other ledger holds, at one sequence.
    pub(super) fn look(&mut self) -> Result<Remote, Stop> {
        let mut feeds: BTreeMap<FeedName, (FeedSpec, u64)> = BTreeMap::new();
        let mut state = None;
        for kind in exchange::kinds() {
            // Feeds are told before the first record, of which no more than one is wanted.
            let (feed, page_size) = (None, Some(1));
            let query = ExportQuery { kind, feed, since: 0, of: state.take(), page_size };
            let mut export = self.export(query);
            let mut told: Vec<FeedTold> = Vec::new();
            self.page(&mut export, &mut told)?;
            for feed in told {
                let spec = FeedSpec {
                    name: feed.name.clone(),
                    publisher: feed.publisher,
                    licence: feed.licence,
                    attribution: feed.attribution,
                    redistribution: feed.redistribution,
                };
                feeds.entry(feed.name).or_insert((spec, 0)).1 += feed.records;
            }
            state = export.state();
        }
        match state {
            Some(state) => Ok(Remote { state, feeds }),
            None => Err(EngineError::new(ErrorCode::Internal, "no page was read").into()),
        }
    }

    /// All lines of the feeds that come, held against what they claim.
    pub(super) fn spool(
        &mut self,
        remote: &Remote,
        wanted: &BTreeMap<FeedName, Wanted>,
    ) -> Result<Spool, Stop> {
        let mut spool = Spool::in_folder(self.dir)?;
        let mut groups: BTreeMap<u64, BTreeSet<&FeedName>> = BTreeMap::new();
        for (feed, one) in wanted.iter().filter(|(_, one)| one.since < remote.state.until) {
            groups.entry(one.since).or_default().insert(feed);
        }
        for (since, feeds) in groups {
            // One export for all of them, if they are all that there are.
            let is_all = self.request.feeds.is_empty()
                && remote.feeds.keys().all(|feed| feeds.contains(feed));
            let exports: Vec<Option<&FeedName>> = match is_all {
                true => vec![None],
                false => feeds.iter().map(|feed| Some(*feed)).collect(),
            };
            for feed in exports {
                for kind in exchange::kinds() {
                    let (feed, of) = (feed.cloned(), Some(remote.state.clone()));
                    let query = ExportQuery { kind, feed, since, of, page_size: None };
                    self.fill(&mut spool, query, &feeds)?;
                }
            }
        }
        Ok(spool)
    }

    fn fill(
        &mut self,
        spool: &mut Spool,
        query: ExportQuery,
        feeds: &BTreeSet<&FeedName>,
    ) -> Result<(), Stop> {
        let mut export = self.export(query);
        let page = SpoolPage::default();
        let mut coming = Coming { page, records: 0, feeds, cancel: self.cancel };
        loop {
            let more = self.page(&mut export, &mut coming)?;
            spool.keep(&coming.page)?;
            self.bytes += coming.page.len();
            self.records += coming.records;
            self.progress.update(&StageUpdate {
                stage: Stage::Collect,
                done: self.records,
                total: None,
                bytes: self.bytes,
                unit: "records",
                finished: None,
            });
            if !more {
                return Ok(());
            }
        }
    }

    fn export(&self, query: ExportQuery) -> LedgerExport<'a> {
        self.client.ledger_export(query, LIMITS, self.request.patience.page)
    }

    /// Reads the next page, as often as it takes; whether another one comes.
    fn page(&mut self, export: &mut LedgerExport<'_>, taker: &mut dyn Taker) -> Result<bool, Stop> {
        let patience = self.request.patience;
        let mut tries = 0;
        loop {
            self.cancel.check()?;
            taker.clear();
            match export.next_page::<Stop>(&mut |told| taker.take(told)) {
                Ok(more) => {
                    self.pages += 1;
                    return Ok(more);
                }
                Err(Stop::Remote(error)) if error.may_pass() && tries < patience.tries => {
                    self.progress.trouble(&format!("{}; asking again", Safe(&error.to_string())));
                    let wait = patience.first_wait * 2u32.pow(tries);
                    self.cancel.wait(wait.max(error.wait().unwrap_or_default()))?;
                    tries += 1;
                    self.retries += 1;
                }
                Err(stop) => return Err(stop),
            }
        }
    }
}

/// Takes the lines of a page that may have to come again.
trait Taker {
    /// Forgets the lines of a page.
    fn clear(&mut self);

    /// Takes a line.
    fn take(&mut self, told: Told<'_>) -> Result<(), Stop>;
}

impl Taker for Vec<FeedTold> {
    fn clear(&mut self) {
        Vec::clear(self);
    }

    fn take(&mut self, told: Told<'_>) -> Result<(), Stop> {
        if let Told::Feed(feed) = told {
            self.push(feed.clone());
        }
        Ok(())
    }
}

/// A page whose lines are kept.
struct Coming<'a> {
    page: SpoolPage,
    records: u64,
    /// The feeds that are wanted: of all others nothing is kept.
    feeds: &'a BTreeSet<&'a FeedName>,
    cancel: &'a Cancel,
}

impl Taker for Coming<'_> {
    fn clear(&mut self) {
        self.page.clear();
        self.records = 0;
    }

    fn take(&mut self, told: Told<'_>) -> Result<(), Stop> {
        let feed = match told {
            Told::Feed(_) => return Ok(()),
            Told::Record(head, _) => &head.feed,
            Told::Removed(removed) => &removed.feed,
        };
        if !self.feeds.contains(feed) {
            return Ok(());
        }
        if let Told::Record(head, content) = told {
            self.cancel.check()?;
            check(head, content)?;
        }
        self.records += 1;
        Ok(self.page.take(told)?)
    }
}

/// Whether a document is what is told of it.
fn check(head: &RecordHead, content: &[u8]) -> Result<(), EngineError> {
    let refused = |what: String| {
        let RecordHead { kind, feed, id, .. } = head;
        let message = format!("the server tells of {kind} {id} of feed {feed}, but {what}");
        EngineError::new(ErrorCode::Invalid, Safe(&message).to_string()).hint(
            "nothing was taken; the versions here and there may read documents differently: use the \
             same one, or ask who looks after the server",
        )
    };
    let draft = reread(head.format, &head.id, content, &LIMITS)
        .map_err(|rejection| refused(format!("its document is refused: {rejection}")))?;
    if (&draft.kind, &draft.id) != (&head.kind, &head.id) {
        return Err(refused(format!("its document is {} {}", draft.kind, draft.id)));
    }
    if draft.content_digest != head.content_digest || draft.revision.time != head.modified {
        return Err(refused("its document is another version".to_owned()));
    }
    Ok(())
}
