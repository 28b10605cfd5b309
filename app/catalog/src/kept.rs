//! Bundles that are kept, and what else the depot must not lose.

use std::collections::BTreeSet;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection as _, Row as _};
use stella_model::{Digest, TenantId};
use stella_run::Millis;

use crate::catalog::Database;
use crate::error::doing;
use crate::runs::RUNS;
use crate::states::state;
use crate::tenant::{get, parsed};
use crate::{Catalog, CatalogError};

/// What runs of a tenant still count on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// What runs that are not over were decided to be.
    pub plans: BTreeSet<Digest>,
    /// Bundles that were not released, and those of runs that are not over.
    pub bundles: BTreeSet<Digest>,
    /// When the tenant was made: no other catalog has one of this name and time.
    pub since: Millis,
}

/// The turn of one process to collect what nobody needs; over when it is dropped.
#[derive(Debug)]
pub struct Turn {
    /// Holds the lock as long as it is open.
    connection: Option<AnyConnection>,
}

/// What keeps other processes from collecting at the same time: "collect" in ASCII.
const LOCK: &str = "SELECT pg_try_advisory_lock(27987185254032244)";

const UNLOCK: &str = "SELECT pg_advisory_unlock(27987185254032244)";

impl Catalog {
    /// Every tenant.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn tenants(&self) -> Result<BTreeSet<TenantId>, CatalogError> {
        let mut tx = self.sweep().await?;
        let rows = sqlx::query("SELECT tenant FROM tenants").fetch_all(&mut *tx).await;
        let rows = rows.map_err(doing("list tenants"))?;
        let named = rows.iter().map(|row| parsed(row, 0, "tenants"));
        Ok(named.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// What runs of a tenant still count on. A run that begins later counts on nothing that was not
    /// used after it began.
    ///
    /// # Errors
    /// [`CatalogError::Database`]; [`CatalogError::NotFound`]; [`CatalogError::Damaged`] if the state of a run that is not over does
    /// not read: nobody can tell then what it needs.
    pub async fn needed(&self, tenant: &TenantId) -> Result<Needed, CatalogError> {
        const KEPT: &str = "SELECT DISTINCT bundle FROM export_runs \
                            WHERE tenant = $1 AND bundle IS NOT NULL AND released_ms IS NULL";
        const LIVE: &str = "SELECT state FROM export_runs \
                            WHERE tenant = $1 AND finished_ms IS NULL";
        let mut tx = self.read(tenant).await?;
        let query = sqlx::query("SELECT created_ms FROM tenants WHERE tenant = $1");
        let row = query.bind(tenant.as_str()).fetch_optional(&mut *tx.tx).await;
        let row = row.map_err(doing("read a tenant"))?.ok_or_else(|| tx.unknown())?;
        let since = Millis(get(&row, 0, "tenants")?);
        let mut needed = Needed { plans: BTreeSet::new(), bundles: BTreeSet::new(), since };
        // Live ones first: one that ends meanwhile is among the kept ones.
        let live = sqlx::query(LIVE).bind(tenant.as_str()).fetch_all(&mut *tx.tx).await;
        for row in live.map_err(doing("read runs that are not over"))? {
            let state = state(&row, 0)?;
            needed.bundles.extend(state.bundle.map(|bundle| bundle.files));
            if let Some(plan) = state.plan {
                needed.plans.insert(plan.decided);
                needed.bundles.extend(plan.same_as.map(|bundle| bundle.files));
            }
        }
        let kept = sqlx::query(KEPT).bind(tenant.as_str()).fetch_all(&mut *tx.tx).await;
        let kept = kept.map_err(doing("read which bundles are kept"))?;
        let digest = |row: &AnyRow| parsed::<Digest>(row, 0, RUNS);
        for row in &kept {
            needed.bundles.extend(digest(row)?);
        }
        Ok(needed)
    }

    /// Releases the bundles of all runs of a tenant that ended before a time: they need not be kept
    /// any more. One that a younger run has too is kept for that one. Gives the number of runs.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn release(
        &self,
        tenant: &TenantId,
        before: Millis,
        now: Millis,
    ) -> Result<u64, CatalogError> {
        const RELEASE: &str = "UPDATE export_runs SET released_ms = $3 WHERE tenant = $1 \
            AND bundle IS NOT NULL AND released_ms IS NULL AND finished_ms < $2";
        let mut tx = self.write(tenant).await?;
        let query = sqlx::query(RELEASE).bind(tenant.as_str()).bind(before.0).bind(now.0);
        let done = query.execute(&mut *tx.tx).await.map_err(doing("release bundles"))?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// The turn to collect, unless another process on the same server has it. Two at once would do no
    /// harm, only work twice; on SQLite nobody is kept away.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn turn_to_collect(&self) -> Result<Option<Turn>, CatalogError> {
        if self.database == Database::Sqlite {
            return Ok(Some(Turn { connection: None }));
        }
        let attempt = doing("take the turn to collect");
        // A connection of its own: what locks is the session.
        let mut connection = self.pool.acquire().await.map_err(&attempt)?.detach();
        let row = sqlx::query(LOCK).fetch_one(&mut connection).await.map_err(&attempt)?;
        let is_ours: bool = row.try_get(0).map_err(&attempt)?;
        if is_ours {
            return Ok(Some(Turn { connection: Some(connection) }));
        }
        connection.close().await.map_err(&attempt)?;
        Ok(None)
    }
}

impl Turn {
    /// Lets others have their turn.
    ///
    /// # Errors
    /// [`CatalogError::Database`]; the turn is over all the same.
    pub async fn end(self) -> Result<(), CatalogError> {
        let Some(mut open) = self.connection else { return Ok(()) };
        // Said first: that the connection is closed the server learns a little later.
        sqlx::query(UNLOCK).execute(&mut open).await.map_err(doing("end the turn to collect"))?;
        open.close().await.map_err(doing("end the turn to collect"))
    }
}
