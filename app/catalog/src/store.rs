//! The catalog for those who may wait: worker threads that drive runs.

use stella_run::{Millis, RunEvent, RunKey, RunState, RunStore, Saved, Stored};
use tokio::runtime::Handle;

use crate::{Catalog, CatalogError};

/// A catalog whose calls wait for their answers. Not to be used on a thread of the runtime.
#[derive(Debug, Clone)]
pub struct BlockingStore {
    catalog: Catalog,
    runtime: Handle,
}

impl BlockingStore {
    /// Waits on this runtime.
    #[must_use]
    pub fn new(catalog: Catalog, runtime: Handle) -> BlockingStore {
        BlockingStore { catalog, runtime }
    }
}

impl RunStore for BlockingStore {
    type Error = CatalogError;

    fn load(&self, run: &RunKey) -> Result<Option<Stored>, CatalogError> {
        self.runtime.block_on(async {
            let loaded = self.catalog.load_state(run).await;
            // What does not read must not stand in the way of all others for ever.
            if let Err(CatalogError::Damaged { .. }) = loaded {
                self.catalog.postpone(run).await?;
            }
            loaded
        })
    }

    fn save(
        &self,
        run: &RunKey,
        seen: u64,
        state: &RunState,
        events: &[RunEvent],
        now: Millis,
    ) -> Result<Saved, CatalogError> {
        self.runtime.block_on(self.catalog.save_state(run, seen, state, events, now))
    }

    fn due(&self, now: Millis, most: usize) -> Result<Vec<RunKey>, CatalogError> {
        self.runtime.block_on(self.catalog.due(now, u32::try_from(most).unwrap_or(u32::MAX)))
    }

    fn due_after(
        &self,
        after: Option<&RunKey>,
        now: Millis,
        most: usize,
    ) -> Result<Vec<RunKey>, CatalogError> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        self.runtime.block_on(self.catalog.due_after(after, now, most))
    }
}
