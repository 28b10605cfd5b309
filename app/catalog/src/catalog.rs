//! Opening a catalog, and the transactions that everything goes through.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Transaction};
use stella_model::TenantId;
use stella_run::Millis;

use crate::CatalogError;
use crate::error::doing;
use crate::tenant::TenantTx;

/// Connections to a server at most. A transaction is a few statements, so that few are enough.
const CONNECTIONS: u32 = 16;

/// How long a request waits for a connection: a server that is away for longer is told of, so that whoever
/// asked can decide what to do.
const CONNECTING: Duration = Duration::from_secs(5);

/// The databases that a catalog can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    /// The database that an address leads to.
    pub(crate) fn of(url: &str) -> Result<Database, CatalogError> {
        match url.split_once(':') {
            Some(("sqlite", _)) => Ok(Database::Sqlite),
            Some(("postgres" | "postgresql", _)) => Ok(Database::Postgres),
            // The address may have a password in it.
            other => {
                Err(CatalogError::Address(format!("`{}:`", other.map_or("", |(scheme, _)| scheme))))
            }
        }
    }

    /// What is said first on a new connection.
    fn greeting(self) -> &'static [&'static str] {
        match self {
            // Readers do not wait for the writer; what was committed survives a power cut.
            Database::Sqlite => &[
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = ON",
                "PRAGMA busy_timeout = 30000",
            ],
            // The schema is that of `migrate`.
            Database::Postgres => &["SET search_path = catalog"],
        }
    }
}

/// A catalog.
#[derive(Clone)]
pub struct Catalog {
    pub(crate) pool: AnyPool,
    pub(crate) database: Database,
}

impl fmt::Debug for Catalog {
    /// Without the address, which may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").field("database", &self.database).finish_non_exhaustive()
    }
}

impl Catalog {
    /// Opens the catalog at an address such as `sqlite:///var/lib/export-center/catalog.db` or
    /// `postgres://user:password@host/database`. Its tables are there already, see
    /// [`Catalog::migrate`].
    ///
    /// # Errors
    /// [`CatalogError::Address`] and [`CatalogError::Database`].
    pub async fn open(url: &str) -> Result<Catalog, CatalogError> {
        let database = Database::of(url)?;
        let pool = pool(url, database, CONNECTIONS).await?;
        Ok(Catalog { pool, database })
    }

    /// Closes all connections, once what goes on is over.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`CatalogError::Database`] if it does not.
    pub async fn ping(&self) -> Result<(), CatalogError> {
        let asked = sqlx::query("SELECT 1").execute(&self.pool).await;
        asked.map(drop).map_err(doing("reach the catalog"))
    }

    /// Begins a transaction that reads what a tenant has.
    pub(crate) async fn read(&self, tenant: &TenantId) -> Result<TenantTx, CatalogError> {
        let tx = self.pool.begin().await.map_err(doing("begin to read the catalog"))?;
        self.enter(tx, tenant).await
    }

    /// Begins a transaction that changes what a tenant has.
    pub(crate) async fn write(&self, tenant: &TenantId) -> Result<TenantTx, CatalogError> {
        let begun = match self.database {
            // SQLite has one writer: whoever will write says so first, and waits for the turn.
            Database::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await,
            Database::Postgres => self.pool.begin().await,
        };
        self.enter(begun.map_err(doing("begin to write the catalog"))?, tenant).await
    }

    async fn enter(
        &self,
        mut tx: Transaction<'static, Any>,
        tenant: &TenantId,
    ) -> Result<TenantTx, CatalogError> {
        if self.database == Database::Postgres {
            // Both end with the transaction.
            let enter = "SELECT set_config('role', 'export_center_tenant', true), \
                         set_config('export_center.tenant', $1, true)";
            let entered = sqlx::query(enter).bind(tenant.as_str()).execute(&mut *tx).await;
            entered.map_err(doing("enter a tenant of the catalog"))?;
        }
        Ok(TenantTx::new(tx, tenant.clone(), self.database))
    }

    /// Begins a transaction that sees which runs of all tenants are due, and nothing else.
    pub(crate) async fn sweep(&self) -> Result<Transaction<'static, Any>, CatalogError> {
        let mut tx = self.pool.begin().await.map_err(doing("begin to sweep the catalog"))?;
        if self.database == Database::Postgres {
            let enter = "SELECT set_config('role', 'export_center_sweeper', true)";
            let entered = sqlx::query(enter).execute(&mut *tx).await;
            entered.map_err(doing("enter the catalog as its sweeper"))?;
        }
        Ok(tx)
    }

    /// Whether there is a tenant of this name.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn has_tenant(&self, tenant: &TenantId) -> Result<bool, CatalogError> {
        let mut tx = self.read(tenant).await?;
        let query = sqlx::query("SELECT 1 FROM tenants WHERE tenant = $1").bind(tenant.as_str());
        let found = query.fetch_optional(&mut *tx.tx).await;
        Ok(found.map_err(doing("look for a tenant"))?.is_some())
    }

    /// Makes a tenant; whether there was none of this name.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn add_tenant(&self, tenant: &TenantId, now: Millis) -> Result<bool, CatalogError> {
        let mut tx = self.write(tenant).await?;
        let is_new = tx.add(now).await?;
        tx.commit().await?;
        Ok(is_new)
    }
}

/// Connections to a database, at most so many.
pub(crate) async fn pool(
    url: &str,
    database: Database,
    most: u32,
) -> Result<AnyPool, CatalogError> {
    install_default_drivers();
    let options = AnyPoolOptions::new().max_connections(most);
    let options = match database {
        // Whoever waits for the one writer is not to be told that the database is away.
        Database::Sqlite => options,
        Database::Postgres => options.acquire_timeout(CONNECTING),
    };
    // Where there was no room for the end of a transaction, SQLite has ended it by itself, and the
    // connection takes it for one that still goes on: nothing could be begun on it any more.
    let options = options.before_acquire(|connection: &mut AnyConnection, _| {
        let is_usable = !connection.is_in_transaction();
        Box::pin(async move { Ok(is_usable) })
    });
    let options = options.after_connect(move |connection: &mut AnyConnection, _| {
        Box::pin(async move {
            for words in database.greeting() {
                connection.execute(*words).await?;
            }
            Ok(())
        })
    });
    options.connect(&address(url)).await.map_err(doing("open the catalog"))
}

/// The address as the driver has to be told it. To libpq `require` with authorities means that they are
/// asked; the driver would believe any certificate.
pub(crate) fn address(url: &str) -> Cow<'_, str> {
    let Some((before, query)) = url.split_once('?') else { return Cow::Borrowed(url) };
    let mut said: Vec<&str> = query.split('&').collect();
    if !said.iter().any(|part| part.starts_with("sslrootcert=")) {
        return Cow::Borrowed(url);
    }
    for part in said.iter_mut().filter(|part| **part == "sslmode=require") {
        *part = "sslmode=verify-ca";
    }
    Cow::Owned(format!("{before}?{}", said.join("&")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_that_are_named_are_asked() {
        for (url, told) in [
            ("postgres://h/d?sslmode=require", "postgres://h/d?sslmode=require"),
            (
                "postgres://h/d?sslrootcert=/a&sslmode=require&x=y",
                "postgres://h/d?sslrootcert=/a&sslmode=verify-ca&x=y",
            ),
            (
                "postgres://h/d?sslmode=verify-full&sslrootcert=/a",
                "postgres://h/d?sslmode=verify-full&sslrootcert=/a",
            ),
            ("sqlite:///a/b?mode=rwc", "sqlite:///a/b?mode=rwc"),
        ] {
            assert_eq!(address(url), told);
        }
    }
}
