//! What happened, for those who watch: numbered within a tenant, in the order in which it became
//! visible, without gaps.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::any::AnyRow;
use stella_model::TenantId;
use stella_run::Millis;

use crate::error::{damaged, doing};
use crate::tenant::{Counter, TenantTx, get, integer, number, parsed};
use crate::{Catalog, CatalogError};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number; whoever has seen it has seen all before it.
    pub number: u64,
    /// The run that it is about, if any.
    pub run: Option<u64>,
    /// When.
    pub at: Millis,
    /// What, as JSON.
    pub data: String,
}

impl Catalog {
    /// The number of the last event of each tenant, for those who tell others that there are new ones.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn last_events(&self) -> Result<BTreeMap<TenantId, u64>, CatalogError> {
        const LAST: &str = "SELECT tenant, last_event FROM tenants WHERE last_event > 0";
        let mut tx = self.sweep().await?;
        let rows = sqlx::query(LAST).fetch_all(&mut *tx).await.map_err(doing("read events"))?;
        let last = |row: &AnyRow| {
            let tenant = parsed(row, 0, "tenants")?;
            let tenant = tenant.ok_or_else(|| damaged("tenants", "no tenant"))?;
            Ok((tenant, number(row, 1, "tenants")?))
        };
        rows.iter().map(last).collect()
    }

    /// The number of the last event of a tenant.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] if there is no such tenant.
    pub async fn last_event(&self, tenant: &TenantId) -> Result<u64, CatalogError> {
        const LAST: &str = "SELECT last_event FROM tenants WHERE tenant = $1";
        let mut tx = self.read(tenant).await?;
        let query = sqlx::query(LAST).bind(tenant.as_str());
        let row = query.fetch_optional(&mut *tx.tx).await.map_err(doing("read events"))?;
        number(&row.ok_or_else(|| tx.unknown())?, 0, "tenants")
    }

    /// Events after a number, the oldest first: of one run, or of all.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn events(
        &self,
        tenant: &TenantId,
        run: Option<u64>,
        after: u64,
        most: u32,
    ) -> Result<Vec<Event>, CatalogError> {
        const ALL: &str = "SELECT event, run, at_ms, data FROM export_events \
                           WHERE tenant = $1 AND event > $2 ORDER BY event LIMIT $3";
        const OF_RUN: &str = "SELECT event, run, at_ms, data FROM export_events \
                              WHERE tenant = $1 AND event > $2 AND run = $4 ORDER BY event LIMIT $3";
        let mut tx = self.read(tenant).await?;
        let query = sqlx::query(if run.is_some() { OF_RUN } else { ALL });
        let query = query.bind(tenant.as_str()).bind(integer(after)).bind(i64::from(most));
        let query = match run {
            Some(run) => query.bind(integer(run)),
            None => query,
        };
        let rows = query.fetch_all(&mut *tx.tx).await.map_err(doing("read events"))?;
        let event = |row| {
            let run: Option<i64> = get(row, 1, EVENTS)?;
            Ok(Event {
                number: number(row, 0, EVENTS)?,
                run: run.map(i64::cast_unsigned),
                at: Millis(get(row, 2, EVENTS)?),
                data: get(row, 3, EVENTS)?,
            })
        };
        rows.iter().map(event).collect()
    }
}

const EVENTS: &str = "export_events";

impl TenantTx {
    /// Tells of what happens in this transaction.
    pub(crate) async fn tell<E: Serialize>(
        &mut self,
        run: Option<u64>,
        events: &[E],
        now: Millis,
    ) -> Result<(), CatalogError> {
        if events.is_empty() {
            return Ok(());
        }
        let last = self.count(Counter::Event, events.len()).await?;
        let first = last + 1 - events.len() as u64;
        for (number, event) in (first..).zip(events) {
            let data = serde_json::to_string(event).map_err(|error| damaged(EVENTS, error))?;
            let tell = "INSERT INTO export_events (tenant, event, run, at_ms, data) \
                        VALUES ($1, $2, $3, $4, $5)";
            let query = sqlx::query(tell).bind(self.tenant.as_str()).bind(integer(number));
            let query = query.bind(run.map(integer)).bind(now.0).bind(data);
            query.execute(&mut *self.tx).await.map_err(doing("write an event"))?;
        }
        Ok(())
    }
}
