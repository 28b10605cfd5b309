//! Documents that were not taken in.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use stella_model::TenantId;

use crate::{QuarantineEntry, QuarantineFilter, Quarantined};

use super::values;

const ENTRY: &str = "SELECT q.number, f.name, i.at, q.path, q.reason, q.offset, q.detail
                     FROM quarantine AS q JOIN feed AS f ON f.number = q.feed
                     JOIN ingest AS i ON i.number = q.ingest WHERE f.tenant = ?1";

/// The entries that a filter lets through, in the order of their numbers.
pub(super) fn list(
    db: &Connection,
    tenant: &TenantId,
    filter: &QuarantineFilter,
) -> rusqlite::Result<Vec<QuarantineEntry>> {
    let sql = format!(
        "{ENTRY} AND q.number > ?2 AND (?3 IS NULL OR f.name = ?3)
         AND (?4 IS NULL OR q.reason = ?4) ORDER BY q.number LIMIT ?5"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let entries = statement.query_map(
        params![
            tenant.as_str(),
            values::integer(filter.after),
            filter.feed.as_ref().map(|feed| feed.as_str()),
            filter.reason,
            filter.limit.map_or(-1, values::integer)
        ],
        entry,
    )?;
    entries.collect()
}

/// One entry by its number.
pub(super) fn find(
    db: &Connection,
    tenant: &TenantId,
    number: u64,
) -> rusqlite::Result<Option<QuarantineEntry>> {
    let sql = format!("{ENTRY} AND q.number = ?2");
    db.query_row(&sql, params![tenant.as_str(), values::integer(number)], entry).optional()
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
