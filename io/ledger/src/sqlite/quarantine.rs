//! Documents that were not taken in.

use rusqlite::{OptionalExtension as _, Row, params};

use crate::{LedgerError, QuarantineEntry, QuarantineFilter, Quarantined};

use super::{SqliteLedger, values};

const ENTRY: &str = "SELECT q.number, f.name, i.at, q.path, q.reason, q.offset, q.detail
                     FROM quarantine AS q JOIN feed AS f ON f.number = q.feed
                     JOIN ingest AS i ON i.number = q.ingest WHERE f.tenant = ?1";

impl SqliteLedger {
    /// The entries that a filter lets through, in the order of their numbers.
    ///
    /// # Errors
    /// [`LedgerError`] if storage fails.
    pub fn quarantine(
        &self,
        filter: &QuarantineFilter,
    ) -> Result<Vec<QuarantineEntry>, LedgerError> {
        self.with_reader("list the quarantine", |db| {
            let sql = format!(
                "{ENTRY} AND q.number > ?2 AND (?3 IS NULL OR f.name = ?3)
                 AND (?4 IS NULL OR q.reason = ?4) ORDER BY q.number LIMIT ?5"
            );
            let mut statement = db.prepare_cached(&sql)?;
            let entries = statement.query_map(
                params![
                    self.tenant.as_str(),
                    values::integer(filter.after),
                    filter.feed.as_ref().map(|feed| feed.as_str()),
                    filter.reason,
                    filter.limit.map_or(-1, values::integer)
                ],
                entry,
            )?;
            entries.collect()
        })
    }

    /// One entry by its number.
    ///
    /// # Errors
    /// [`LedgerError::NotFound`] if there is none; else if storage fails.
    pub fn quarantine_entry(&self, number: u64) -> Result<QuarantineEntry, LedgerError> {
        let found = self.with_reader("read an entry of the quarantine", |db| {
            let sql = format!("{ENTRY} AND q.number = ?2");
            db.query_row(&sql, params![self.tenant.as_str(), values::integer(number)], entry)
                .optional()
        })?;
        found.ok_or_else(|| LedgerError::NotFound { what: format!("quarantine entry {number}") })
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<QuarantineEntry> {
    let at = values::to_time(row.get_ref(2)?)?;
    Ok(QuarantineEntry {
        number: row.get::<_, i64>(0)?.unsigned_abs(),
        feed: values::to_name(row.get_ref(1)?)?,
        at: at.ok_or(rusqlite::types::FromSqlError::InvalidType)?,
        document: Quarantined {
            path: row.get(3)?,
            reason: row.get(4)?,
            offset: u64::try_from(row.get::<_, i64>(5)?).ok(),
            detail: row.get(6)?,
        },
    })
}
