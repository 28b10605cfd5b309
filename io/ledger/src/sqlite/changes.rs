//! What became of a set between two snapshots.

use std::ops::ControlFlow;

use rusqlite::{Connection, Row, params};
use stella_model::{RecordId, SetKey, TenantId};

use super::read::{PAGE_CONTENTS, broken};
use super::values;
use crate::{ChangedRecord, Changes, Seq, StoredRecord, stored};

/// Compares what is visible of a set at two sequences, each with the number of the set there, if there is
/// one: a feed of the library may have taken the place of one of the tenant's own.
pub(super) fn between(
    db: &Connection,
    (was, from): (Option<i64>, Seq),
    (now, to): (Option<i64>, Seq),
) -> rusqlite::Result<Changes> {
    // Of one set the rows come in the order of their ids, and need no sorting.
    let sets = if was == now { "= ?1" } else { "IN (?1, ?3)" };
    let sql = CHANGES.replace("{sets}", sets);
    let (from, to) = (values::integer(from.0), values::integer(to.0));
    db.prepare_cached(&sql)?.query_row(params![was, from, now, to], |row| {
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
    max(content_digest)
      FILTER (WHERE record_set = ?1 AND seq <= ?2 AND ifnull(superseded_by > ?2, 1)) AS was,
    max(content_digest)
      FILTER (WHERE record_set = ?3 AND seq <= ?4 AND ifnull(superseded_by > ?4, 1)) AS now
  FROM version WHERE record_set {sets} AND gone = 0 GROUP BY id
)";

/// The sets of a tenant that changed after a sequence.
pub(super) fn sets(
    db: &Connection,
    tenant: &TenantId,
    since: Seq,
) -> rusqlite::Result<Vec<SetKey>> {
    let sql = "SELECT r.kind, f.name FROM record_set AS r JOIN feed AS f ON f.number = r.feed
               WHERE f.tenant = ?1 AND r.changed > ?2 ORDER BY r.kind, f.name";
    let mut statement = db.prepare_cached(sql)?;
    let since = values::integer(since.0);
    let sets = statement.query_map(params![tenant.as_str(), since], |row| {
        let kind = values::to_name(row.get_ref(0)?)?;
        Ok(SetKey { kind, feed: values::to_name(row.get_ref(1)?)? })
    })?;
    sets.collect()
}

/// One row a record that changed: what is live at the end, unless it was before.
const RECORDS: &str = "
SELECT v.id, v.seq, v.gone, v.content_digest, v.size, v.modified, v.format, c.encoding, c.bytes
FROM version AS v LEFT JOIN content AS c ON c.number = v.content
WHERE v.record_set = ?1 AND v.id > ?2 AND v.seq > ?3 AND v.seq <= ?4
AND (v.superseded_by IS NULL OR v.superseded_by > ?4) AND (v.gone = 0 OR ?3 > 0)
ORDER BY v.id LIMIT ?5";

/// Gives what changed in a set by its number, page by page.
pub(super) fn records(
    db: &Connection,
    set: i64,
    since: Seq,
    until: Seq,
    after: Option<&RecordId>,
    each: &mut dyn FnMut(ChangedRecord<'_>) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let (since, until) = (values::integer(since.0), values::integer(until.0));
    let limit = values::integer(PAGE_CONTENTS as u64);
    // No id is empty.
    let mut after = after.map_or(String::new(), |id| id.as_str().to_owned());
    let mut content = Vec::new();
    loop {
        let mut statement = db.prepare_cached(RECORDS)?;
        let mut rows = statement.query(params![set, after, since, until, limit])?;
        let mut count = 0;
        let mut last = None;
        while let Some(row) = rows.next()? {
            count += 1;
            let id: RecordId = values::to_name(row.get_ref(0)?)?;
            if count == PAGE_CONTENTS {
                last = Some(id.as_str().to_owned());
            }
            let flow;
            (flow, content) = give(row, id, content, each)?;
            if flow.is_break() {
                return Ok(());
            }
        }
        match last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

/// Gives one row, with its content in the room of the one before.
fn give(
    row: &Row<'_>,
    id: RecordId,
    mut content: Vec<u8>,
    each: &mut dyn FnMut(ChangedRecord<'_>) -> ControlFlow<()>,
) -> rusqlite::Result<(ControlFlow<()>, Vec<u8>)> {
    let seq = Seq(row.get::<_, i64>(1)?.unsigned_abs());
    if row.get::<_, i64>(2)? != 0 {
        return Ok((each(ChangedRecord::Removed { id: &id, seq }), content));
    }
    let content_digest = values::to_digest(row.get_ref(3)?)?;
    let size = row.get::<_, i64>(4)?.unsigned_abs();
    let bytes = row.get_ref(8)?.as_blob()?;
    stored::content_into(row.get(7)?, size, bytes, &content_digest, &mut content)
        .map_err(broken)?;
    let modified = values::to_time(row.get_ref(5)?)?;
    let format = values::to_format(row.get_ref(6)?)?;
    let record = StoredRecord { id, content_digest, modified, format, content };
    let flow = each(ChangedRecord::Held { record: &record, seq });
    Ok((flow, record.content))
}
