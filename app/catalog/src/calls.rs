//! Calls: on PostgreSQL every process hears at once that a run has changed, in whichever process.
//!
//! A call is part of the transaction that changes the run, and is heard when that is committed
//! (`NOTIFY`). It only wakes: what is to be done is in the stored state. One that is lost, as while a
//! connection is away, costs the time until the next sweep.

use std::time::Duration;

use sqlx::postgres::PgListener;
use stella_run::RunKey;

use crate::catalog::{Database, address};
use crate::error::doing;
use crate::tenant::TenantTx;
use crate::{Catalog, CatalogError};

/// What calls go through. There is one catalog in a database.
const CHANNEL: &str = "export_center_runs";

/// How long it takes until a lost connection is made again.
const AGAIN: Duration = Duration::from_secs(1);

impl TenantTx {
    /// Tells every process that a run has changed, once this is committed.
    pub(crate) async fn call(&mut self, run: u64) -> Result<(), CatalogError> {
        if self.database == Database::Sqlite {
            return Ok(());
        }
        let call = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL);
        let call = call.bind(format!("{}/{run}", self.tenant));
        call.execute(&mut *self.tx).await.map(drop).map_err(doing("tell of a run"))
    }
}

impl Catalog {
    /// Hears of every run that changes, for as long as it is waited for: ids alone. Nothing on SQLite,
    /// where one process is all there is.
    pub async fn hear(&self, url: &str, mut heard: impl FnMut(&RunKey)) {
        if self.database == Database::Sqlite {
            return std::future::pending().await;
        }
        loop {
            // Without a connection the sweeps do it.
            if let Ok(mut listener) = PgListener::connect(&address(url)).await
                && listener.listen(CHANNEL).await.is_ok()
            {
                // None tells that the connection was lost and made again.
                while let Ok(call) = listener.try_recv().await {
                    if let Some(run) = call.and_then(|call| run(call.payload())) {
                        heard(&run);
                    }
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// The run that a call names. Whoever may connect to the database may call anything.
fn run(text: &str) -> Option<RunKey> {
    let (tenant, number) = text.split_once('/')?;
    Some(RunKey { tenant: tenant.parse().ok()?, number: number.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_a_run_or_nothing() {
        let named = run("acme/17").expect("a run");
        assert_eq!((named.tenant.as_str(), named.number), ("acme", 17));
        for bad in ["", "acme", "acme/", "/1", "A b/1", "acme/-1", "acme/1/2"] {
            assert_eq!(run(bad), None, "{bad}");
        }
    }
}
