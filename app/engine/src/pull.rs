//! `feeds pull`: what another instance holds, into the ledger here.
//!
//! First the other ledger is asked what it holds, at one sequence. Then what is not here yet comes
//! page by page into a file without a name; each document is read again by the rules of this
//! program, and nothing is stored before all of it is here. Then each feed is one transaction of the
//! ledger, with the sequence that it is of (INV-ATOMIC): whatever happens in between, every feed is
//! as it was before or as the other one has it, and the next pull goes on from there.

mod apply;
mod fetch;
mod plan;
mod spool;

use std::time::Duration;

use serde::Serialize;
use stella_model::{FeedName, Instant, TenantId};
use stella_remote::{Client, RemoteError, RemoteState};

use crate::{Cancel, EngineError, Progress, Store};
use fetch::{Fetch, Stop};

/// How often a pull begins anew whose sequence was compacted away meanwhile.
const BEGINNINGS: u32 = 3;

/// What to pull.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// Only these feeds; all if there is none.
    pub feeds: Vec<FeedName>,
    /// Whether all of each feed comes, not only what changed.
    pub whole: bool,
    /// Whether feeds of this ledger that were not pulled from the other one become its feeds.
    pub take_over: bool,
    /// The most of a feed that may vanish, in percent.
    pub max_drop_percent: f64,
    /// Why a greater drop is accepted.
    pub accept: Option<String>,
    /// Threads that read and compress documents.
    pub threads: usize,
    /// The time.
    pub now: Instant,
    /// How long the server is waited for.
    pub patience: PullPatience,
}

/// How long a server is waited for.
#[derive(Debug, Clone, Copy)]
pub struct PullPatience {
    /// Within which time a page has to be here.
    pub page: Duration,
    /// How often a page is asked for again.
    pub tries: u32,
    /// The wait before it is asked for again, doubled every time.
    pub first_wait: Duration,
}

impl Default for PullPatience {
    fn default() -> PullPatience {
        PullPatience {
            page: Duration::from_secs(120),
            tries: 5,
            first_wait: Duration::from_millis(500),
        }
    }
}

/// How a feed was pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PulledAs {
    /// All of it.
    Whole,
    /// What changed since it was pulled last.
    Changes,
}

/// What became of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PulledFeed {
    /// Its name.
    pub feed: FeedName,
    /// How it came.
    pub pulled: PulledAs,
    /// Records that were not here.
    pub added: u64,
    /// Records of which another version came.
    pub updated: u64,
    /// Records that are gone.
    pub removed: u64,
    /// Records that came and were here as they are.
    pub unchanged: u64,
    /// Records that stay out because their id is blocked here.
    pub blocked: u64,
    /// Records that it holds now.
    pub records: u64,
    /// The sequence of the ledger here since when it is so.
    pub sequence: u64,
}

/// What was pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullReport {
    /// The server.
    pub server: String,
    /// Id of its ledger.
    pub ledger: String,
    /// The epoch of that.
    pub epoch: u64,
    /// The tenant there.
    pub tenant: TenantId,
    /// The sequence there whose state is here now.
    pub sequence: u64,
    /// Feeds by name.
    pub feeds: Vec<PulledFeed>,
    /// Pages that came.
    pub pages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How often a page had to be asked for again.
    pub retries: u64,
}

/// Pulls feeds of a server into the ledger of a store.
///
/// # Errors
/// [`EngineError`]: conflict if a feed here did not come from there, or another pull was at work;
/// drop if more vanishes than may; unreachable if the server does not answer; invalid if what it
/// answers is not what it must be. Feeds that are done by then stay as they are, all others too.
pub fn pull(
    store: &Store,
    client: &Client,
    request: &PullRequest,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<PullReport, EngineError> {
    let ledger = store.new_ledger()?;
    let mut fetch = Fetch::new(client, request, store.dir(), progress, cancel);
    let mut begun = 0;
    let (remote, wanted, spool) = loop {
        begun += 1;
        let came = fetch.look().and_then(|remote| {
            let wanted = plan::wanted(&*ledger, &remote, request)?;
            let spool = fetch.spool(&remote, &wanted)?;
            Ok((remote, wanted, spool))
        });
        match came {
            Ok(all) => break all,
            Err(Stop::Remote(error)) if error.is_out_of_reach() && begun < BEGINNINGS => {
                progress.trouble("the server has forgotten the sequence meanwhile; beginning anew");
            }
            Err(stop) => return Err(stop.into()),
        }
    };
    let feeds = apply::all(&*ledger, &remote, &wanted, &spool, request, progress, cancel)?;
    let RemoteState { ledger, epoch, tenant, until } = remote.state;
    let server = client.address().to_owned();
    let (pages, bytes, retries) = (fetch.pages, fetch.bytes, fetch.retries);
    Ok(PullReport { server, ledger, epoch, tenant, sequence: until, feeds, pages, bytes, retries })
}

impl From<Stop> for EngineError {
    fn from(stop: Stop) -> EngineError {
        match stop {
            Stop::Remote(error) => error.into(),
            Stop::Here(error) => error,
        }
    }
}

impl From<RemoteError> for Stop {
    fn from(error: RemoteError) -> Stop {
        Stop::Remote(error)
    }
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Stop {
        Stop::Here(error)
    }
}
