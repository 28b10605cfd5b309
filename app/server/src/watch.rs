//! Tells those who watch a tenant that there may be something new: at once where it happened in this
//! process, and a little later where it happened in another one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stella_catalog::Catalog;
use stella_model::TenantId;
use tokio::sync::watch;

/// How long it takes until what other processes did is seen.
const LOOK: Duration = Duration::from_millis(500);

/// Whoever watches, by tenant. One look at the catalog serves all of them.
#[derive(Default)]
pub(crate) struct Watchers {
    tenants: Mutex<BTreeMap<TenantId, Arc<watch::Sender<u64>>>>,
    /// Whether the process is about to end.
    ended: AtomicBool,
}

impl Watchers {
    /// Watches a tenant from now on.
    pub(crate) fn watch(&self, tenant: &TenantId) -> watch::Receiver<u64> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let sender =
            tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(watch::Sender::new(0)));
        sender.subscribe()
    }

    /// Tells whoever watches a tenant to look.
    pub(crate) fn tell(&self, tenant: &TenantId) {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = tenants.get(tenant) {
            // A change of the number wakes them; what it is does not matter.
            sender.send_modify(|number| *number = number.wrapping_add(1));
        }
    }

    /// Lets everybody go who watches: a stream has no end of its own that a process could wait for, and
    /// its reader goes on elsewhere after the last event.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in tenants.values() {
            sender.send_modify(|number| *number = number.wrapping_add(1));
        }
    }

    /// Whether nobody is to watch any more.
    pub(crate) fn have_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Looks at what other processes did, for as long as it is waited for.
    pub(crate) async fn look_at(&self, catalog: &Catalog) {
        let mut seen = BTreeMap::new();
        loop {
            tokio::time::sleep(LOOK).await;
            if !self.are_there() {
                continue;
            }
            // A catalog that does not answer is asked again.
            let Ok(last) = catalog.last_events().await else { continue };
            for (tenant, number) in &last {
                if seen.get(tenant) != Some(number) {
                    self.tell(tenant);
                }
            }
            seen = last;
        }
    }

    /// Whether anybody watches; forgets tenants that nobody watches any more.
    fn are_there(&self) -> bool {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, sender| sender.receiver_count() > 0);
        !tenants.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_watches_a_tenant_is_told_of_it_alone() {
        let watchers = Watchers::default();
        let (acme, other) = ("acme".parse().expect("a tenant"), "other".parse().expect("one"));
        let mut seen = watchers.watch(&acme);
        assert!(watchers.are_there());
        watchers.tell(&other);
        assert_eq!(seen.has_changed().ok(), Some(false));
        watchers.tell(&acme);
        assert_eq!(seen.has_changed().ok(), Some(true));
        seen.mark_unchanged();
        drop(seen);
        assert!(!watchers.are_there());
    }
}
