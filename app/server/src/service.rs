//! What every request and every worker has at hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use stella_catalog::Catalog;
use stella_depot::Bucket;
use stella_engine::{LocalQueue, Signing, Store, TaskQueue as _, WorkerEvent};
use stella_model::TenantId;
use stella_run::{Millis, Rules, RunEvent, RunKey};
use tokio::runtime::Handle;

use crate::access::{Limits, Provider};
use crate::remembered::Remembered;
use crate::telemetry::events::{OfWorker, RunEnded};
use crate::telemetry::{Figures, Spans};
use crate::watch::Watchers;

/// The service.
pub(crate) struct Service {
    pub(crate) catalog: Catalog,
    /// The data directory.
    pub(crate) data: PathBuf,
    /// A PostgreSQL database with the ledger; none for files in the data directory.
    pub(crate) ledger: Option<crate::arguments::Address>,
    /// What the depots of all machines share; none if the data directory is all there is.
    pub(crate) bucket: Option<Bucket>,
    /// Who signs.
    pub(crate) signing: Signing,
    pub(crate) queue: Arc<LocalQueue>,
    /// How patient the runs are that are accepted here.
    pub(crate) rules: Rules,
    pub(crate) limits: Limits,
    /// Whose tokens are believed beside those of this service.
    pub(crate) provider: Option<Provider>,
    pub(crate) figures: Figures,
    pub(crate) spans: Spans,
    /// What clients begin addresses with: `http` or `https`.
    pub(crate) scheme: &'static str,
    pub(crate) watchers: Watchers,
    pub(crate) remembered: Remembered,
    /// When it was last found that the data directory can be written.
    pub(crate) writable: tokio::sync::Mutex<Option<Instant>>,
}

/// The store of a tenant as those need it who want its depot alone: without ledger and keys.
pub(crate) fn depot_store(data: &Path, bucket: Option<&Bucket>, tenant: &TenantId) -> Store {
    let store = Store::at(data).of_tenant(tenant.clone());
    match bucket {
        Some(bucket) => store.with_bucket(bucket),
        None => store,
    }
}

impl Service {
    /// The store of a tenant.
    pub(crate) fn store(&self, tenant: &TenantId) -> Store {
        let store = depot_store(&self.data, self.bucket.as_ref(), tenant);
        match &self.ledger {
            Some(url) => store.with_database(url.as_str()),
            None => store,
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> Millis {
        now()
    }

    /// Says that a run may have something to do, and that there is something to see.
    pub(crate) fn changed(&self, run: &RunKey) {
        self.queue.wake(run);
        self.watchers.tell(&run.tenant);
    }

    /// Takes what workers tell of.
    pub(crate) fn hear(&self, event: &WorkerEvent<'_>, runtime: &Handle) {
        OfWorker(event).emit(&self.figures);
        let WorkerEvent::Changed { run, state, events } = event else { return };
        self.watchers.tell(&run.tenant);
        let ended =
            |event: &RunEvent| matches!(event, RunEvent::Status { to, .. } if to.is_terminal());
        if events.iter().any(ended)
            && let Ok(Some(summary)) = runtime.block_on(self.catalog.run_summary(run))
        {
            let took = self.now().0.saturating_sub(summary.created.0);
            let took = Duration::from_millis(u64::try_from(took).unwrap_or(0));
            RunEnded { run, state, profile: &summary.profile, took }.emit(&self.figures);
        }
    }
}

/// The time.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Random bytes.
///
/// # Errors
/// If the system has none: nothing that is secret may be made then.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
