//! Tables, and how an older file becomes a newer one.

use std::path::Path;

use rusqlite::Connection;

use crate::LedgerError;

use super::storage_error;

/// `Stel` as a number: tells a ledger from any other SQLite file.
const APPLICATION_ID: i64 = 0x5374_656c;

/// Each migration leads from its index to the next schema. They are never edited, only added to.
const MIGRATIONS: &[&str] = &[SCHEMA_1, SCHEMA_2, SCHEMA_3, SCHEMA_4, SCHEMA_5];

/// Schema 1.
///
/// `version` is clustered in export order and holds what a plan needs, so that planning reads
/// nothing else. A row is live at sequence N if `seq <= N` and nothing superseded it up to N; one
/// without content is a tombstone. `content` and `original` are append-only and belong to one
/// version each, except that the records of one report share its `original` (`uses`).
const SCHEMA_1: &str = "
CREATE TABLE ledger(
  id BLOB NOT NULL, epoch INTEGER NOT NULL, head INTEGER NOT NULL, oldest INTEGER NOT NULL
) STRICT;
INSERT INTO ledger VALUES(randomblob(16), 1, 0, 0);

CREATE TABLE feed(
  number INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL,
  publisher TEXT, licence TEXT, attribution TEXT, redistribution INTEGER,
  removed INTEGER NOT NULL DEFAULT 0,
  UNIQUE(tenant, name)
) STRICT;

CREATE TABLE record_set(
  number INTEGER PRIMARY KEY, feed INTEGER NOT NULL, kind TEXT NOT NULL,
  UNIQUE(feed, kind)
) STRICT;

CREATE TABLE version(
  record_set INTEGER NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL,
  superseded_by INTEGER, content_digest BLOB NOT NULL, size INTEGER NOT NULL,
  modified ANY, content INTEGER, gone INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(record_set, id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE content(
  number INTEGER PRIMARY KEY, format TEXT NOT NULL, revision_version TEXT,
  original INTEGER, encoding INTEGER NOT NULL, bytes BLOB NOT NULL
) STRICT;

CREATE TABLE facet(
  content INTEGER PRIMARY KEY, facets_version INTEGER NOT NULL, facets TEXT NOT NULL
) STRICT;

CREATE TABLE original(
  number INTEGER PRIMARY KEY, uses INTEGER NOT NULL, size INTEGER NOT NULL,
  encoding INTEGER NOT NULL, bytes BLOB NOT NULL
) STRICT;

CREATE TABLE quarantine(
  number INTEGER PRIMARY KEY, feed INTEGER NOT NULL, path TEXT NOT NULL, offset INTEGER NOT NULL,
  reason TEXT NOT NULL, detail TEXT NOT NULL, ingest INTEGER NOT NULL,
  UNIQUE(feed, path, offset, reason, detail)
) STRICT;

CREATE TABLE ingest(
  number INTEGER PRIMARY KEY, feed INTEGER NOT NULL, at ANY NOT NULL, mode TEXT NOT NULL,
  accepted TEXT, summary TEXT NOT NULL
) STRICT;
CREATE INDEX ingest_by_feed ON ingest(feed, number);

CREATE TABLE block(
  record_set INTEGER NOT NULL, id TEXT NOT NULL, reason TEXT NOT NULL, at ANY NOT NULL,
  PRIMARY KEY(record_set, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshot_pin(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";

/// Schema 2: what a set holds now, so that nobody has to count it, and since when. `state` is drawn
/// anew with every change ([`SetState`](crate::SetState)).
const SCHEMA_2: &str = "
ALTER TABLE record_set ADD COLUMN live INTEGER NOT NULL DEFAULT 0;
ALTER TABLE record_set ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE record_set ADD COLUMN state BLOB NOT NULL DEFAULT x'';
UPDATE record_set SET
  live = (SELECT count(*) FROM version AS v
          WHERE v.record_set = number AND v.superseded_by IS NULL AND v.gone = 0),
  changed = (SELECT coalesce(max(max(v.seq, coalesce(v.superseded_by, 0))), 0) FROM version AS v
             WHERE v.record_set = number),
  state = randomblob(16);
";

/// Schema 3: the format of a document beside its size, where a plan sees it.
const SCHEMA_3: &str = "
ALTER TABLE version ADD COLUMN format TEXT;
UPDATE version AS v SET format = (SELECT c.format FROM content AS c WHERE c.number = v.content)
  WHERE v.content IS NOT NULL;
ALTER TABLE content DROP COLUMN format;
";

/// Schema 4: of which state of another ledger a feed is ([`Origin`](crate::Origin)).
const SCHEMA_4: &str = "
CREATE TABLE origin(
  feed INTEGER PRIMARY KEY, ledger TEXT NOT NULL, epoch INTEGER NOT NULL, tenant TEXT NOT NULL,
  sequence INTEGER NOT NULL
) STRICT;
";

/// Schema 5: who reads a feed of the library, from which sequence on and up to which. What has ended
/// stays, for the snapshots before its end.
const SCHEMA_5: &str = "
CREATE TABLE subscription(
  tenant TEXT NOT NULL, feed INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER,
  PRIMARY KEY(tenant, feed, since)
) STRICT, WITHOUT ROWID;
";

/// Makes a file a ledger of the newest schema.
pub(super) fn prepare(db: &Connection, path: &Path) -> Result<(), LedgerError> {
    let failed = |error| storage_error(path, "prepare the ledger", error);
    let (mut application, mut version) = identify(db).map_err(failed)?;
    let fresh = application == 0 && version == 0 && is_empty(db).map_err(failed)?;
    if !fresh && application == 0 {
        // Another process may have made it since the first look.
        (application, version) = identify(db).map_err(failed)?;
    }
    let known = MIGRATIONS.len() as i64;
    match (application, version) {
        (APPLICATION_ID, version) if version == known => return Ok(()),
        (APPLICATION_ID, version) if version > known || version < 0 => {
            return Err(LedgerError::NewerSchema {
                place: path.display().to_string(),
                found: version,
                known,
            });
        }
        (APPLICATION_ID, _) => {}
        _ if fresh => create(db).map_err(failed)?,
        _ => {
            let found = "a SQLite file of another program".to_owned();
            return Err(LedgerError::NotALedger { place: path.display().to_string(), found });
        }
    }
    migrate(db).map_err(failed)
}

fn identify(db: &Connection) -> rusqlite::Result<(i64, i64)> {
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get(0));
    Ok((pragma("application_id")?, pragma("user_version")?))
}

fn is_empty(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

/// Page size and log are properties of the file and set before its first table.
fn create(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "page_size", 16_384)?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
}

/// Runs what is missing, under the write lock: two processes may open a new store at once.
fn migrate(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    let run = || -> rusqlite::Result<()> {
        let (_, version) = identify(db)?;
        for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0)) {
            db.execute_batch(migration)?;
        }
        db.pragma_update(None, "application_id", APPLICATION_ID)?;
        db.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
        db.execute_batch("COMMIT")
    };
    let result = run();
    if result.is_err() && !db.is_autocommit() {
        db.execute_batch("ROLLBACK")?;
    }
    result
}
