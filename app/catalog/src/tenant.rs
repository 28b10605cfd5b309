//! A transaction within a tenant.

use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};
use stella_model::TenantId;
use stella_run::Millis;

use crate::CatalogError;
use crate::catalog::Database;
use crate::error::{damaged, doing};

/// A transaction that names its tenant. It is undone unless it is committed.
pub(crate) struct TenantTx {
    pub(crate) tx: Transaction<'static, Any>,
    pub(crate) tenant: TenantId,
    pub(crate) database: Database,
}

/// What the first entry of the audit log has in place of the hash of the one before: 64 zeroes.
const AUDIT_BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A column of `tenants` that counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counter {
    Run,
    Event,
}

impl TenantTx {
    pub(crate) fn new(
        tx: Transaction<'static, Any>,
        tenant: TenantId,
        database: Database,
    ) -> TenantTx {
        TenantTx { tx, tenant, database }
    }

    pub(crate) async fn commit(self) -> Result<(), CatalogError> {
        self.tx.commit().await.map_err(doing("commit to the catalog"))
    }

    /// Adds the row of the tenant; whether there was none.
    pub(crate) async fn add(&mut self, now: Millis) -> Result<bool, CatalogError> {
        let add = "INSERT INTO tenants (tenant, created_ms, audit_head) VALUES ($1, $2, $3) \
                   ON CONFLICT DO NOTHING";
        let query = sqlx::query(add).bind(self.tenant.as_str()).bind(now.0).bind(AUDIT_BEGINNING);
        let added = query.execute(&mut *self.tx).await.map_err(doing("add a tenant"))?;
        Ok(added.rows_affected() == 1)
    }

    /// Takes so many numbers and gives the last one. The row of the tenant is held from here on.
    pub(crate) async fn count(
        &mut self,
        counter: Counter,
        numbers: usize,
    ) -> Result<u64, CatalogError> {
        let count = match counter {
            Counter::Run => {
                "UPDATE tenants SET last_run = last_run + $2 WHERE tenant = $1 RETURNING last_run"
            }
            Counter::Event => {
                "UPDATE tenants SET last_event = last_event + $2 WHERE tenant = $1 RETURNING last_event"
            }
        };
        let numbers = i64::try_from(numbers).unwrap_or(i64::MAX);
        let query = sqlx::query(count).bind(self.tenant.as_str()).bind(numbers);
        let row =
            query.fetch_optional(&mut *self.tx).await.map_err(doing("count in the catalog"))?;
        number(&row.ok_or_else(|| self.unknown())?, 0, "tenants")
    }

    /// That the tenant is not there.
    pub(crate) fn unknown(&self) -> CatalogError {
        CatalogError::NotFound(format!("tenant {}", self.tenant))
    }
}

/// A column that counts from 0.
pub(crate) fn number(
    row: &AnyRow,
    column: usize,
    table: &'static str,
) -> Result<u64, CatalogError> {
    let number: i64 = get(row, column, table)?;
    u64::try_from(number).map_err(|_| damaged(table, format!("{number} where a count is")))
}

/// A column, as it is.
pub(crate) fn get<'r, T>(
    row: &'r AnyRow,
    column: usize,
    table: &'static str,
) -> Result<T, CatalogError>
where
    T: sqlx::Decode<'r, Any> + sqlx::Type<Any>,
{
    row.try_get(column).map_err(|error| damaged(table, error))
}

/// A column of text that is parsed; none for NULL.
pub(crate) fn parsed<T>(
    row: &AnyRow,
    column: usize,
    table: &'static str,
) -> Result<Option<T>, CatalogError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: Option<String> = get(row, column, table)?;
    text.map(|text| text.parse().map_err(|error| damaged(table, error))).transpose()
}

/// A number as the database has it. The greatest that both know is far beyond anything counted.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
