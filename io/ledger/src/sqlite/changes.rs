//! What became of a set between two snapshots.

use rusqlite::params;
use serde::Serialize;
use stella_model::SetKey;

use super::{SqliteLedger, values};
use crate::{LedgerError, Seq};

/// Records by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Not there before.
    pub added: u64,
    /// There before and after with another content.
    pub changed: u64,
    /// No longer there.
    pub removed: u64,
}

impl SqliteLedger {
    /// How a set at `to` differs from what it was at `from`. Reads the index of the set once.
    ///
    /// # Errors
    /// [`LedgerError::OutOfReach`] if one of the two can no longer be read, or if storage fails.
    pub fn changes(&self, set: &SetKey, from: Seq, to: Seq) -> Result<Changes, LedgerError> {
        self.check_reach(from)?;
        self.check_reach(to)?;
        self.with_reader("compare two snapshots", |db| {
            let Some(number) = self.find_set(db, set)? else { return Ok(Changes::default()) };
            let (from, to) = (values::integer(from.0), values::integer(to.0));
            let mut statement = db.prepare_cached(CHANGES)?;
            statement.query_row(params![number, from, to], |row| {
                let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
                Ok(Changes { added: count(0)?, changed: count(1)?, removed: count(2)? })
            })
        })
    }
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
