//! What is remembered for a while, so that many requests for one thing look for it once.
//!
//! A bundle is fetched in hundreds of ranges. For each of them the catalog would be asked who comes,
//! which bundle the run has and whether that is still kept, and the depot whether every file is there.
//! What another process may change is remembered for a second and no longer.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use stella_model::{Digest, TenantId};
use stella_run::{Bundle, RunKey};
use tokio::sync::OnceCell;

use crate::access::Known;
use crate::opened::{Laid, Opened, Room};

/// How long what another process may change is believed: that a token was not revoked, and that a
/// bundle was not released.
const MOMENT: Duration = Duration::from_secs(1);

/// How long a bundle stays open. What it consists of never changes, but it may be mended.
const OPEN: Duration = Duration::from_secs(60);

/// How long the tar of a bundle lies in one file that nobody opened anew.
const LAID: Duration = Duration::from_secs(120);

/// How long it does at most: nobody looks at its bytes again.
const LAID_AT_MOST: Duration = Duration::from_secs(3600);

/// How long somebody who fetches a bundle still fetches it, for the audit log.
const FETCHING: Duration = Duration::from_secs(3600);

/// Things of a moment at most.
const MANY: u64 = 10_000;

/// Bundles that are open at most. One of ten thousand files takes some megabytes.
const BUNDLES: u64 = 32;

/// Somebody who fetches something, in however many requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Fetching {
    /// Of whom.
    pub(crate) tenant: TenantId,
    /// What.
    pub(crate) object: String,
    /// Who.
    pub(crate) name: String,
    /// By which request.
    pub(crate) request: &'static str,
}

/// What is remembered.
pub(crate) struct Remembered {
    /// Who comes, by the digest of what they say; only who is let in.
    pub(crate) callers: Cache<Digest, Known>,
    /// The bundles of runs, of those that can be fetched.
    pub(crate) bundles: Cache<RunKey, Bundle>,
    /// Bundles by the digest of all their files.
    pub(crate) opened: Cache<(TenantId, Digest), Arc<Opened>>,
    /// The same bundles as one file each, held against their digests when they were laid.
    pub(crate) laid: Cache<(TenantId, Digest), Arc<Laid>>,
    /// What they may keep.
    pub(crate) room: Arc<Room>,
    /// Who fetches what, and its number in the audit log, once that has it.
    pub(crate) fetching: Cache<Fetching, Arc<OnceCell<u64>>>,
}

fn cache<K, V>(most: u64, lasts: Duration) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(most).time_to_live(lasts).build()
}

impl Default for Remembered {
    fn default() -> Remembered {
        Remembered {
            callers: cache(MANY, MOMENT),
            bundles: cache(MANY, MOMENT),
            opened: Cache::builder()
                .max_capacity(BUNDLES)
                .time_to_live(OPEN)
                .eviction_listener(|_, opened: Arc<Opened>, _| opened.leave())
                .build(),
            laid: Cache::builder()
                .max_capacity(BUNDLES)
                .time_to_idle(LAID)
                .time_to_live(LAID_AT_MOST)
                .build(),
            room: Arc::default(),
            fetching: cache(MANY, FETCHING),
        }
    }
}

impl Remembered {
    /// Lets go of what is too old to be used, also where nobody asks for anything: bundles have files
    /// open.
    pub(crate) fn forget_old(&self) {
        self.callers.run_pending_tasks();
        self.bundles.run_pending_tasks();
        self.opened.run_pending_tasks();
        self.laid.run_pending_tasks();
        self.fetching.run_pending_tasks();
    }
}
