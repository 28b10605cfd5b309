//! Which feeds come, and from which sequence on.

use std::collections::{BTreeMap, BTreeSet};

use stella_ledger::{FeedInfo, FeedSpec, Ledger, LedgerError, Origin};
use stella_model::{ErrorCode, FeedName};
use stella_remote::RemoteState;

use super::{PullRequest, PulledAs};
use crate::EngineError;

/// What the other ledger holds.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) state: RemoteState,
    /// What is told of its feeds, and how many records of all kinds they hold.
    pub(super) feeds: BTreeMap<FeedName, (FeedSpec, u64)>,
}

impl Remote {
    /// What a feed here is of once it was pulled.
    pub(super) fn origin(&self) -> Origin {
        let RemoteState { ledger, epoch, tenant, until } = self.state.clone();
        Origin { ledger, epoch, tenant, sequence: until }
    }
}

/// A feed that comes.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) pulled: PulledAs,
    /// The sequence that is here already; 0 for none.
    pub(super) since: u64,
    /// What it was of when that was decided.
    pub(super) origin: Option<Origin>,
}

/// The feeds that come, by name.
pub(super) fn wanted(
    ledger: &dyn Ledger,
    remote: &Remote,
    request: &PullRequest,
) -> Result<BTreeMap<FeedName, Wanted>, EngineError> {
    let here: BTreeMap<FeedName, FeedInfo> =
        ledger.feeds()?.into_iter().map(|feed| (feed.name.clone(), feed)).collect();
    let is_from_there = |feed: &FeedInfo| {
        let from = feed.origin.as_ref().map(|origin| (&origin.ledger, &origin.tenant));
        from == Some((&remote.state.ledger, &remote.state.tenant))
    };
    let vanished = here.values().filter(|feed| is_from_there(feed)).map(|feed| &feed.name);
    let all: BTreeSet<&FeedName> = remote.feeds.keys().chain(vanished).collect();
    let names: BTreeSet<&FeedName> = match request.feeds.is_empty() {
        true => all,
        false => {
            let named: BTreeSet<&FeedName> = request.feeds.iter().collect();
            if let Some(unknown) = named.difference(&all).next() {
                let message = format!("the server holds no feed {unknown}");
                return Err(EngineError::new(ErrorCode::NotFound, message)
                    .hint("without names all feeds that it holds are pulled"));
            }
            named
        }
    };
    let mut wanted = BTreeMap::new();
    let mut foreign = Vec::new();
    for name in names {
        let whole = |origin| Wanted { pulled: PulledAs::Whole, since: 0, origin };
        let one = match here.get(name) {
            None => whole(None),
            Some(feed) if feed.library => {
                return Err(LedgerError::OfLibrary { feed: name.to_string() }.into());
            }
            Some(feed) if is_from_there(feed) => match &feed.origin {
                Some(origin) if may_go_on(origin, remote, request) => {
                    let (since, origin) = (origin.sequence, Some(origin.clone()));
                    Wanted { pulled: PulledAs::Changes, since, origin }
                }
                origin => whole(origin.clone()),
            },
            Some(feed) if feed.records.is_empty() || request.take_over => {
                whole(feed.origin.clone())
            }
            Some(_) => {
                foreign.push(name.as_str());
                continue;
            }
        };
        wanted.insert(name.clone(), one);
    }
    match foreign.first() {
        None => Ok(wanted),
        Some(first) => Err(not_from_there(&foreign, first)),
    }
}

/// Whether what changed since leads from what is here to what is there.
fn may_go_on(origin: &Origin, remote: &Remote, request: &PullRequest) -> bool {
    let RemoteState { epoch, until, .. } = remote.state;
    !request.whole && origin.epoch == epoch && (1..=until).contains(&origin.sequence)
}

fn not_from_there(feeds: &[&str], first: &str) -> EngineError {
    let (what, verb) = if feeds.len() == 1 { ("feed", "was") } else { ("feeds", "were") };
    let message = format!(
        "{what} {} of this ledger {verb} not pulled from that server, or changed here since; \
         nothing was changed",
        feeds.join(", ")
    );
    EngineError::new(ErrorCode::Conflict, message).hint(format!(
        "name the feeds to pull, or keep {first} under another name; --take-over makes it equal to \
         that of the server"
    ))
}
