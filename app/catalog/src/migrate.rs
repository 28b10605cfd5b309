//! Bringing the tables of a catalog to the form of this version: forward only, as often as one likes,
//! and by several processes at once.

use std::borrow::Cow;
use std::fs::File;
use std::path::PathBuf;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _};

use crate::catalog::{Database, pool};
use crate::error::doing;
use crate::{Catalog, CatalogError};

/// Every form that the tables ever had, one step after the other. A step never changes once it was
/// released.
const STEPS: &[Step] = &[
    Step {
        version: 1,
        name: "tables",
        only: None,
        sql: include_str!("../../../migrations/catalog/0001_tables.sql"),
    },
    Step {
        version: 2,
        name: "row security",
        only: Some(Database::Postgres),
        sql: include_str!("../../../migrations/catalog/0002_row_security.postgres.sql"),
    },
];

/// A step from one form of the tables to the next.
struct Step {
    version: i64,
    name: &'static str,
    /// The only database that needs it.
    only: Option<Database>,
    sql: &'static str,
}

/// What keeps other processes away while one migrates a server: "stella" in ASCII.
const LOCK: &str = "SELECT pg_advisory_lock(126943972912225)";

impl Catalog {
    /// Makes the tables, or brings them to the form of this version.
    ///
    /// On PostgreSQL whoever does this owns the tables and must be allowed to make roles, unless
    /// `export_center_tenant` and `export_center_sweeper` are there. The application may be another
    /// user that has been granted both.
    ///
    /// # Errors
    /// [`CatalogError::Migration`] if a step fails or a newer version was here; each step is done
    /// whole or not at all.
    pub async fn migrate(url: &str) -> Result<(), CatalogError> {
        let database = Database::of(url)?;
        let (_alone, url) = match database {
            Database::Sqlite => (Some(lock(url).await?), with_creation(url)),
            Database::Postgres => (None, url.to_owned()),
        };
        // One connection: what it locks is locked until it is closed.
        let pool = pool(&url, database, 1).await?;
        if database == Database::Postgres {
            for words in [LOCK, "CREATE SCHEMA IF NOT EXISTS catalog"] {
                pool.execute(words).await.map_err(doing("prepare the catalog"))?;
            }
        }
        let migrated = migrator(database).run(&pool).await;
        pool.close().await;
        migrated.map_err(CatalogError::Migration)
    }
}

/// The steps that a database needs.
fn migrator(database: Database) -> Migrator {
    let steps = STEPS.iter().filter(|step| step.only.is_none_or(|only| only == database));
    let migrations = steps.map(|step| {
        let sql = AssertSqlSafe(step.sql).into_sql_str();
        let name = Cow::Borrowed(step.name);
        Migration::new(step.version, name, MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// The file of a catalog on SQLite, without what follows a question mark.
fn file(url: &str) -> PathBuf {
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    PathBuf::from(path.split('?').next().unwrap_or(path))
}

/// The address, such that a file that is not there is made.
fn with_creation(url: &str) -> String {
    if url.contains('?') { url.to_owned() } else { format!("{url}?mode=rwc") }
}

/// Keeps other processes away from a file, as long as the lock lives.
async fn lock(url: &str) -> Result<File, CatalogError> {
    let path = file(url).with_extension("lock");
    // Waits for as long as somebody else migrates, so it must not hold up the runtime.
    let locked = tokio::task::spawn_blocking(move || {
        let named = |error: std::io::Error| {
            std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        };
        let file = File::create(&path).map_err(named)?;
        file.lock().map_err(named)?;
        Ok(file)
    });
    let locked = locked.await.unwrap_or_else(|ended| Err(std::io::Error::other(ended)));
    locked.map_err(|error| doing("lock the catalog")(sqlx::Error::Io(error)))
}
