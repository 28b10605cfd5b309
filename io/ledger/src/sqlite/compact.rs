//! Forgetting what no snapshot needs.

use rusqlite::{Connection, params};

use crate::{Compacted, LedgerError, Seq, Snapshots as _, Upkeep};

use super::ingest::release_original;
use super::{SqliteLedger, head, values};

impl Upkeep for SqliteLedger {
    fn pin(&self, name: &str, at: Seq) -> Result<(), LedgerError> {
        self.sets(at)?;
        self.with_writer("pin a snapshot", |db| {
            let sql = "INSERT INTO snapshot_pin(name, seq) VALUES(?1, ?2)
                       ON CONFLICT DO UPDATE SET seq = excluded.seq";
            let result = db.execute(sql, params![name, values::integer(at.0)]);
            result.map(|_| ()).map_err(|error| self.error("pin a snapshot", error))
        })
    }

    fn unpin(&self, name: &str) -> Result<(), LedgerError> {
        self.with_writer("unpin a snapshot", |db| {
            let result = db.execute("DELETE FROM snapshot_pin WHERE name = ?1", [name]);
            result.map(|_| ()).map_err(|error| self.error("unpin a snapshot", error))
        })
    }

    fn compact(&self) -> Result<Compacted, LedgerError> {
        let length = || std::fs::metadata(&*self.path).map_or(0, |metadata| metadata.len());
        let bytes_before = length();
        let versions = self.with_writer("compact", |db| {
            forget(db).map_err(|error| self.error("forget old versions", error))
        })?;
        let db = self.connect()?;
        let shrink = || -> rusqlite::Result<()> {
            db.execute_batch("VACUUM")?;
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        };
        shrink().map_err(|error| self.error("shrink the file", error))?;
        Ok(Compacted { versions, bytes_before, bytes_after: length() })
    }
}

fn forget(db: &Connection) -> rusqlite::Result<u64> {
    let now = head(db)?;
    db.execute_batch(
        "CREATE TEMP TABLE forgotten AS SELECT record_set, id, seq, content FROM version AS v
         WHERE superseded_by IS NOT NULL AND NOT EXISTS
           (SELECT 1 FROM snapshot_pin AS p WHERE v.seq <= p.seq AND p.seq < v.superseded_by)",
    )?;
    let mut statement = db.prepare(
        "SELECT c.original FROM temp.forgotten AS g JOIN content AS c ON c.number = g.content
         WHERE c.original IS NOT NULL",
    )?;
    let originals = statement.query_map([], |row| row.get::<_, i64>(0))?;
    for original in originals {
        release_original(db, original?)?;
    }
    drop(statement);
    db.execute_batch(
        "DELETE FROM facet WHERE content IN (SELECT content FROM temp.forgotten);
         DELETE FROM content WHERE number IN (SELECT content FROM temp.forgotten);",
    )?;
    let versions = db.execute(
        "DELETE FROM version WHERE (record_set, id, seq) IN
           (SELECT record_set, id, seq FROM temp.forgotten)",
        [],
    )?;
    db.execute_batch("DROP TABLE temp.forgotten")?;
    if versions > 0 {
        db.execute("UPDATE ledger SET oldest = ?1", params![values::integer(now.0)])?;
    }
    Ok(versions as u64)
}
