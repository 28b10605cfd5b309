//! How much a tenant may have, and how much it has.

use serde::{Deserialize, Serialize};
use stella_model::TenantId;
use stella_run::Millis;

use crate::error::doing;
use crate::tenant::{Counter, TenantTx, get, integer, number};
use crate::{Catalog, CatalogError, Mutation};

const QUOTAS: &str = "quotas";

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What a tenant may have; what is absent is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quota {
    /// Runs that workers are at.
    pub concurrent_runs: Option<u64>,
    /// Runs that are accepted and not over.
    pub queued_runs: Option<u64>,
    /// Bytes of new bundles in a day (UTC).
    pub bytes_per_day: Option<u64>,
    /// Bytes that all bundles which are kept have.
    pub stored_bytes: Option<u64>,
}

/// What a tenant has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Runs that somebody has begun and that are not over.
    pub running: u64,
    /// Runs that are not over.
    pub live: u64,
    /// Bytes of new bundles today (UTC).
    pub bytes_today: u64,
    /// Bytes of all bundles that are kept; what several share counts for each.
    pub stored_bytes: u64,
}

impl Catalog {
    /// The quota of a tenant.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn quota(&self, tenant: &TenantId) -> Result<Quota, CatalogError> {
        self.read(tenant).await?.quota().await
    }

    /// Sets the quota of a tenant.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn set_quota(
        &self,
        tenant: &TenantId,
        quota: &Quota,
        mutation: &Mutation<'_>,
    ) -> Result<(), CatalogError> {
        let mut tx = self.write(tenant).await?;
        if tx.begin(mutation).await?.is_some() {
            return Ok(());
        }
        let write = "INSERT INTO quotas \
            (tenant, concurrent_runs, queued_runs, bytes_per_day, stored_bytes) \
            VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (tenant) DO UPDATE SET concurrent_runs = $2, queued_runs = $3, \
            bytes_per_day = $4, stored_bytes = $5";
        let query = sqlx::query(write).bind(tenant.as_str());
        let query = query.bind(quota.concurrent_runs.map(integer));
        let query = query.bind(quota.queued_runs.map(integer));
        let query = query.bind(quota.bytes_per_day.map(integer));
        let query = query.bind(quota.stored_bytes.map(integer));
        query.execute(&mut *tx.tx).await.map_err(doing("set a quota"))?;
        tx.end(mutation, "").await
    }

    /// What a tenant has at this time.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn usage(&self, tenant: &TenantId, now: Millis) -> Result<Usage, CatalogError> {
        self.read(tenant).await?.usage(now).await
    }
}

impl TenantTx {
    /// Counts bytes of a new bundle.
    pub(crate) async fn count_bytes(
        &mut self,
        bytes: u64,
        now: Millis,
    ) -> Result<(), CatalogError> {
        let count = "INSERT INTO usage_days (tenant, day, bytes) VALUES ($1, $2, $3) \
                     ON CONFLICT (tenant, day) DO UPDATE SET bytes = usage_days.bytes + $3";
        let query = sqlx::query(count).bind(self.tenant.as_str()).bind(day(now));
        let query = query.bind(integer(bytes));
        query.execute(&mut *self.tx).await.map(drop).map_err(doing("count bytes"))
    }

    /// Refuses one more run if the tenant has as many as it may.
    pub(crate) async fn admit_run(&mut self, now: Millis) -> Result<(), CatalogError> {
        let (quota, usage) = (self.quota().await?, self.usage(now).await?);
        check("queued runs", quota.queued_runs, usage.live)?;
        check("bytes of today", quota.bytes_per_day, usage.bytes_today)?;
        check("stored bytes", quota.stored_bytes, usage.stored_bytes)
    }

    /// Refuses to begin one more run if the tenant has as many under way as it may. Whoever asks holds
    /// the row of the tenant from here on, so that two do not take the same place.
    pub(crate) async fn admit_running(&mut self, now: Millis) -> Result<(), CatalogError> {
        self.count(Counter::Event, 0).await?;
        let (quota, usage) = (self.quota().await?, self.usage(now).await?);
        check("concurrent runs", quota.concurrent_runs, usage.running)?;
        // Of many that were accepted together, the first ones use up what there is.
        check("bytes of today", quota.bytes_per_day, usage.bytes_today)?;
        check("stored bytes", quota.stored_bytes, usage.stored_bytes)
    }

    async fn quota(&mut self) -> Result<Quota, CatalogError> {
        let read = "SELECT concurrent_runs, queued_runs, bytes_per_day, stored_bytes FROM quotas \
                    WHERE tenant = $1";
        let query = sqlx::query(read).bind(self.tenant.as_str());
        let row = query.fetch_optional(&mut *self.tx).await.map_err(doing("read a quota"))?;
        let Some(row) = row else { return Ok(Quota::default()) };
        let limit = |column| {
            let limit: Option<i64> = get(&row, column, QUOTAS)?;
            Ok::<_, CatalogError>(limit.map(i64::cast_unsigned))
        };
        Ok(Quota {
            concurrent_runs: limit(0)?,
            queued_runs: limit(1)?,
            bytes_per_day: limit(2)?,
            stored_bytes: limit(3)?,
        })
    }

    async fn usage(&mut self, now: Millis) -> Result<Usage, CatalogError> {
        let read = "SELECT \
            (SELECT COUNT(*) FROM export_runs \
             WHERE tenant = $1 AND finished_ms IS NULL AND started_ms IS NOT NULL), \
            (SELECT COUNT(*) FROM export_runs WHERE tenant = $1 AND finished_ms IS NULL), \
            COALESCE((SELECT bytes FROM usage_days WHERE tenant = $1 AND day = $2), 0), \
            CAST(COALESCE((SELECT SUM(bytes) FROM (SELECT DISTINCT bundle, bundle_bytes AS bytes \
             FROM export_runs WHERE tenant = $1 AND bundle IS NOT NULL AND released_ms IS NULL) \
             AS kept), 0) AS BIGINT)";
        let query = sqlx::query(read).bind(self.tenant.as_str()).bind(day(now));
        let row = query.fetch_one(&mut *self.tx).await.map_err(doing("read what is used"))?;
        Ok(Usage {
            running: number(&row, 0, "export_runs")?,
            live: number(&row, 1, "export_runs")?,
            bytes_today: number(&row, 2, "usage_days")?,
            stored_bytes: number(&row, 3, "export_runs")?,
        })
    }
}

fn day(now: Millis) -> i64 {
    now.0.div_euclid(DAY_MS)
}

/// Refuses more of something of which there is as much as there may be.
fn check(what: &'static str, limit: Option<u64>, used: u64) -> Result<(), CatalogError> {
    match limit {
        Some(limit) if used >= limit => Err(CatalogError::Quota { what, limit, used }),
        _ => Ok(()),
    }
}
