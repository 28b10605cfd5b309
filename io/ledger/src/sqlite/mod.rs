//! The embedded ledger: one SQLite file, `ledger.sqlite`.
//!
//! Write-ahead log, 16 KiB pages, synchronous at commit. One transaction is one ingest, so a process
//! that is killed leaves the state before it (INV-ATOMIC). Readers never wait for the writer.

mod access;
mod changes;
mod compact;
mod feeds;
mod ingest;
mod library;
mod quarantine;
mod read;
mod schema;
mod values;

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode as Sqlite, OptionalExtension as _, params};
use stella_model::TenantId;

use crate::{FeedSpec, Ingest, IngestMode, Ledger, LedgerError, Seq};

/// Name of the file in the store's folder.
const FILE_NAME: &str = "ledger.sqlite";

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(10);

/// Page cache of the writer, in KiB.
const WRITER_CACHE_KIB: i64 = 12 << 10;

/// Page cache of each reader, in KiB.
const READER_CACHE_KIB: i64 = 4 << 10;

/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 48;

/// A ledger in one SQLite file, bound to one tenant.
pub struct SqliteLedger {
    path: Arc<Path>,
    tenant: TenantId,
    busy: Duration,
    access: access::Access,
    idle: Mutex<Vec<Connection>>,
}

impl SqliteLedger {
    /// Opens the ledger in the folder of a store; makes both if they are missing.
    ///
    /// # Errors
    /// [`LedgerError`] if the file is no ledger, has a newer schema, or cannot be opened or written.
    pub fn open(dir: &Path, tenant: TenantId) -> Result<SqliteLedger, LedgerError> {
        let ledger = SqliteLedger::at(dir, tenant);
        // Evidence of a company's weak spots is for its owner's eyes only.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| ledger.io_error("make the folder", error))?;
        ledger.prepare_file()?;
        Ok(ledger)
    }

    /// Opens the ledger in the folder of a store; for reading alone where it cannot be written, so
    /// that a store on a medium that is only read, or of somebody else, can be looked at.
    ///
    /// # Errors
    /// [`LedgerError::Missing`] if there is none; else as [`open`](SqliteLedger::open).
    pub fn open_existing(dir: &Path, tenant: TenantId) -> Result<SqliteLedger, LedgerError> {
        let ledger = SqliteLedger::at(dir, tenant);
        match fs::File::open(&ledger.path) {
            Ok(_) => ledger.open_as_can_be(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(LedgerError::Missing { place: ledger.place() })
            }
            Err(error) => {
                let place = ledger.place();
                Err(LedgerError::Unreadable { place, reason: error.to_string() })
            }
        }
    }

    /// The same ledger, waiting at most this long for another writer instead of 10 seconds.
    #[must_use]
    pub fn with_busy_timeout(mut self, timeout: Duration) -> SqliteLedger {
        self.busy = timeout;
        self
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn at(dir: &Path, tenant: TenantId) -> SqliteLedger {
        let path: PathBuf = dir.join(FILE_NAME);
        SqliteLedger {
            path: path.into(),
            tenant,
            busy: BUSY,
            access: access::Access::Write,
            idle: Mutex::default(),
        }
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn prepare_file(&self) -> Result<(), LedgerError> {
        const PAUSE: Duration = Duration::from_millis(5);
        let begin = Instant::now();
        let db = self.connect()?;
        loop {
            match schema::prepare(&db, &self.path) {
                // Where several make a new file at once, SQLite does not wait by itself.
                Err(LedgerError::Busy { .. }) if begin.elapsed() < self.busy => {
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        self.put_back(db);
        Ok(())
    }

    /// A new connection. Pages are cached here and nowhere else: a memory map would count as
    /// memory of the process.
    fn connect(&self) -> Result<Connection, LedgerError> {
        let open = || -> rusqlite::Result<Connection> {
            let db = self.access.connect(&self.path)?;
            db.busy_timeout(self.busy)?;
            db.set_prepared_statement_cache_capacity(STATEMENTS);
            // Values that are bound never make SQLite plan a statement anew.
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            db.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
            db.pragma_update(None, "mmap_size", 0)?;
            db.pragma_update(None, "foreign_keys", false)?;
            db.pragma_update(None, "synchronous", "FULL")?;
            Ok(db)
        };
        open().map_err(|error| self.error("open the ledger", error))
    }

    /// A connection that has begun to write.
    fn writer(&self) -> Result<Connection, LedgerError> {
        let db = self.connect()?;
        let begin = || -> rusqlite::Result<()> {
            db.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
            db.execute_batch("BEGIN IMMEDIATE")
        };
        begin().map_err(|error| self.error("begin to write", error))?;
        Ok(db)
    }

    /// Runs a small change in a transaction of its own.
    fn with_writer<T>(
        &self,
        action: &'static str,
        change: impl FnOnce(&Connection) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let db = self.writer()?;
        let result = change(&db)?;
        db.execute_batch("COMMIT").map_err(|error| self.error(action, error))?;
        Ok(result)
    }

    fn with_reader<T>(
        &self,
        action: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        let db = self.reader()?;
        let result = read(&db).map_err(|error| self.error(action, error));
        self.put_back(db);
        result
    }

    fn reader(&self) -> Result<Connection, LedgerError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(db) => Ok(db),
            None => self.connect(),
        }
    }

    fn put_back(&self, db: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(db);
    }

    /// What a failure of SQLite means.
    fn error(&self, action: &'static str, error: rusqlite::Error) -> LedgerError {
        storage_error(&self.path, action, error)
    }

    fn io_error(&self, action: &'static str, error: std::io::Error) -> LedgerError {
        let place = self.place();
        match error.kind() {
            std::io::ErrorKind::PermissionDenied
            | std::io::ErrorKind::ReadOnlyFilesystem
            | std::io::ErrorKind::NotADirectory => {
                LedgerError::ReadOnly { place, reason: error.to_string() }
            }
            std::io::ErrorKind::StorageFull => LedgerError::Full { place },
            _ => LedgerError::Storage { action, place, source: error.into() },
        }
    }
}

impl Ledger for SqliteLedger {
    fn identity(&self) -> Result<(String, u64), LedgerError> {
        self.with_reader("read the ledger's identity", |db| {
            db.query_row("SELECT lower(hex(id)), epoch FROM ledger", [], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
            })
        })
    }

    fn ingest(
        &self,
        feed: &FeedSpec,
        mode: IngestMode,
        at: stella_model::Instant,
    ) -> Result<Box<dyn Ingest>, LedgerError> {
        Ok(Box::new(self.begin_ingest(feed, mode, at)?))
    }
}

fn storage_error(path: &Path, action: &'static str, error: rusqlite::Error) -> LedgerError {
    let place = path.display().to_string();
    match error.sqlite_error_code() {
        Some(Sqlite::DatabaseBusy | Sqlite::DatabaseLocked) => LedgerError::Busy { place },
        Some(Sqlite::ReadOnly | Sqlite::CannotOpen | Sqlite::PermissionDenied) => {
            LedgerError::ReadOnly { place, reason: error.to_string() }
        }
        Some(Sqlite::DiskFull) => LedgerError::Full { place },
        Some(Sqlite::NotADatabase) => {
            LedgerError::NotALedger { place, found: "no SQLite file".into() }
        }
        Some(Sqlite::DatabaseCorrupt) => LedgerError::Damaged { place, detail: error.to_string() },
        _ => LedgerError::Storage { action, place, source: error.into() },
    }
}

/// The newest sequence.
fn head(db: &Connection) -> rusqlite::Result<Seq> {
    let head: i64 =
        db.prepare_cached("SELECT head FROM ledger")?.query_row([], |row| row.get(0))?;
    Ok(Seq(head.unsigned_abs()))
}

/// Takes the next sequence.
fn set_head(db: &Connection, next: Seq) -> rusqlite::Result<()> {
    db.execute("UPDATE ledger SET head = ?1", [values::integer(next.0)]).map(drop)
}

/// Ends a change of the records of a feed: a new sequence, and what its sets hold since.
fn advance(db: &Connection, feed: i64, next: Seq) -> rusqlite::Result<()> {
    set_head(db, next)?;
    let next = values::integer(next.0);
    let sql = "UPDATE record_set SET changed = ?2, state = randomblob(16),
                 live = (SELECT count(*) FROM version AS v
                         WHERE v.record_set = number AND v.superseded_by IS NULL AND v.gone = 0)
               WHERE feed = ?1 AND EXISTS(SELECT 1 FROM version AS v
                 WHERE v.record_set = number AND (v.seq = ?2 OR v.superseded_by = ?2))";
    db.execute(sql, params![feed, next])?;
    Ok(())
}

/// The number of a feed of the tenant.
fn feed_number(db: &Connection, tenant: &TenantId, feed: &str) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT number FROM feed WHERE tenant = ?1 AND name = ?2")?
        .query_row(params![tenant.as_str(), feed], |row| row.get(0))
        .optional()
}

#[cfg(test)]
mod tests;
