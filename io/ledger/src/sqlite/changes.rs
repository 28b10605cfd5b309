//! What became of a set between two snapshots.

use rusqlite::{Connection, params};

use super::values;
use crate::{Changes, Seq};

/// Compares a set by its number.
pub(super) fn between(db: &Connection, set: i64, from: Seq, to: Seq) -> rusqlite::Result<Changes> {
    let (from, to) = (values::integer(from.0), values::integer(to.0));
    db.prepare_cached(CHANGES)?.query_row(params![set, from, to], |row| {
        let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
        Ok(Changes { added: count(0)?, changed: count(1)?, removed: count(2)? })
    })
}

/// One row a record: its digest in each of the two snapshots, if it was there.
const CHANGES: &str = "
SELECT count(*) FILTER (WHERE was IS NULL AND now IS NOT NULL),
       count(*) FILTER (WHERE was <> now),
       count(*) FILTER (WHERE was IS NOT NULL AND now IS NULL)
FROM (
  SELECT
    max(content_digest) FILTER (WHERE seq <= ?2 AND ifnull(superseded_by > ?2, 1)) AS was,
    max(content_digest) FILTER (WHERE seq <= ?3 AND ifnull(superseded_by > ?3, 1)) AS now
  FROM version WHERE record_set = ?1 AND gone = 0 GROUP BY id
)";
