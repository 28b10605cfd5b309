//! What every request and every worker has at hand.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use stella_catalog::Catalog;
use stella_engine::{LocalQueue, Signing, Store};
use stella_model::TenantId;
use stella_run::{Millis, Rules};

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) catalog: Catalog,
    /// The data directory.
    pub(crate) data: PathBuf,
    /// A PostgreSQL database with the ledger; none for files in the data directory.
    pub(crate) ledger: Option<String>,
    /// Who signs.
    pub(crate) signing: Signing,
    pub(crate) queue: Arc<LocalQueue>,
    /// How patient the runs are that are accepted here.
    pub(crate) rules: Rules,
}

impl Service {
    /// The store of a tenant.
    pub(crate) fn store(&self, tenant: &TenantId) -> Store {
        let store = Store::at(&self.data).of_tenant(tenant.clone());
        match &self.ledger {
            Some(url) => store.with_database(url),
            None => store,
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The trace that a request belongs to: the one that it brings (W3C Trace Context), else a new one.
    pub(crate) fn trace(&self, traceparent: Option<&str>) -> String {
        let brought = traceparent.and_then(|text| text.split('-').nth(1));
        let is_id = |id: &&str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        match brought.filter(is_id) {
            Some(id) => id.to_owned(),
            // A trace is no secret: without random bytes it is only not told from others.
            None => {
                let bytes = random::<16>().unwrap_or_default();
                bytes.iter().map(|byte| format!("{byte:02x}")).collect()
            }
        }
    }
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
