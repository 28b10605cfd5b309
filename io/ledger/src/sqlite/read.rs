//! Reading snapshots.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use stella_model::{Kind, RecordId, SetKey};
use stella_records::{FACETS_VERSION, Facets};

use crate::stored::{self, Damage};
use crate::{
    ChangedRecord, Changes, IdRange, IndexRow, LedgerError, LiveSet, Seq, Snapshots, StoredRecord,
    WithFacets,
};

use super::library::VISIBLE;
use super::{SqliteLedger, changes, feed_number, head, values};

/// Rows of one statement, after which the read transaction ends and another begins.
const PAGE_ROWS: usize = 4096;

/// Contents of one statement.
pub(super) const PAGE_CONTENTS: usize = 512;

impl Snapshots for SqliteLedger {
    fn head(&self) -> Result<Seq, LedgerError> {
        self.with_reader("read the newest sequence", head)
    }

    fn sets(&self, at: Seq) -> Result<Vec<LiveSet>, LedgerError> {
        self.check_reach(at)?;
        self.with_reader("list the sets", |db| self.list_sets(db, at))
    }

    fn scan(
        &self,
        at: Seq,
        set: &SetKey,
        range: &IdRange,
        facets: WithFacets,
        row: &mut dyn FnMut(IndexRow) -> ControlFlow<()>,
    ) -> Result<(), LedgerError> {
        self.check_reach(at)?;
        let (columns, join) = match facets {
            WithFacets::No => ("", ""),
            WithFacets::Yes => (
                ", f.facets_version, f.facets, v.content",
                "LEFT JOIN facet AS f ON f.content = v.content",
            ),
        };
        let query = Query::new(range, PAGE_ROWS, columns, join);
        let db = self.reader()?;
        let result = self.pages(&db, at, set, query, &mut |found| {
            let facets = match facets {
                WithFacets::No => None,
                WithFacets::Yes => Some(self.facets(&db, found)?),
            };
            Ok(row(IndexRow { facets, ..index_row(found)? }))
        });
        self.put_back(db);
        result
    }

    fn read(
        &self,
        at: Seq,
        set: &SetKey,
        range: &IdRange,
        record: &mut dyn FnMut(&StoredRecord) -> ControlFlow<()>,
    ) -> Result<(), LedgerError> {
        self.check_reach(at)?;
        let columns = ", c.encoding, c.bytes";
        let join = "CROSS JOIN content AS c ON c.number = v.content";
        let query = Query::new(range, PAGE_CONTENTS, columns, join);
        let db = self.reader()?;
        let mut content = Vec::new();
        let result = self.pages(&db, at, set, query, &mut |row| {
            let index = index_row(row)?;
            let bytes = row.get_ref(6)?.as_blob()?;
            let encoding: i64 = row.get(5)?;
            stored::content_into(encoding, index.size, bytes, &index.content_digest, &mut content)
                .map_err(broken)?;
            let IndexRow { id, content_digest, modified, format, .. } = index;
            let buffer = std::mem::take(&mut content);
            let stored = StoredRecord { id, content_digest, modified, format, content: buffer };
            let flow = record(&stored);
            content = stored.content;
            Ok(flow)
        });
        self.put_back(db);
        result
    }

    fn received(
        &self,
        at: Seq,
        set: &SetKey,
        id: &RecordId,
    ) -> Result<Option<Vec<u8>>, LedgerError> {
        self.check_reach(at)?;
        self.with_reader("read a received document", |db| {
            let Some(number) = self.visible_set(db, set, at)? else { return Ok(None) };
            let sql = "SELECT coalesce(o.size, v.size), coalesce(o.encoding, c.encoding), coalesce(o.bytes, c.bytes)
                       FROM version AS v CROSS JOIN content AS c ON c.number = v.content
                       LEFT JOIN original AS o ON o.number = c.original
                       WHERE v.record_set = ?1 AND v.id = ?2 AND v.seq <= ?3
                       AND (v.superseded_by IS NULL OR v.superseded_by > ?3)";
            db.query_row(sql, params![number, id.as_str(), values::integer(at.0)], |row| {
                let size: i64 = row.get(0)?;
                stored::decode(row.get(1)?, size.unsigned_abs(), row.get_ref(2)?.as_blob()?)
                    .map_err(broken)
            })
            .optional()
        })
    }

    fn changes(&self, set: &SetKey, from: Seq, to: Seq) -> Result<Changes, LedgerError> {
        self.check_reach(from)?;
        self.check_reach(to)?;
        self.with_reader("compare two snapshots", |db| {
            let number = |at| self.visible_set(db, set, at);
            changes::between(db, (number(from)?, from), (number(to)?, to))
        })
    }

    fn changed_sets(&self, since: Seq) -> Result<Vec<SetKey>, LedgerError> {
        self.with_reader("list the sets that changed", |db| changes::sets(db, &self.tenant, since))
    }

    fn changed_records(
        &self,
        since: Seq,
        until: Seq,
        set: &SetKey,
        after: Option<&RecordId>,
        each: &mut dyn FnMut(ChangedRecord<'_>) -> ControlFlow<()>,
    ) -> Result<(), LedgerError> {
        self.check_reach(until)?;
        LedgerError::unless_in_reach(since, 0, until.0, false)?;
        let db = self.reader()?;
        let mut read = || match self.find_set(&db, set)? {
            Some(number) => changes::records(&db, number, since, until, after, each),
            None => Ok(()),
        };
        let result = read().map_err(|error| self.error("read what changed in a set", error));
        self.put_back(db);
        result
    }
}

impl SqliteLedger {
    /// Refuses a snapshot that is not there, or not there any more.
    fn check_reach(&self, at: Seq) -> Result<(), LedgerError> {
        let reach = self.with_reader("look for the snapshot", |db| {
            let sql = "SELECT head, oldest, EXISTS(SELECT 1 FROM snapshot_pin WHERE seq = ?1) FROM ledger";
            let mut statement = db.prepare_cached(sql)?;
            statement.query_row([values::integer(at.0)], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?))
            })
        })?;
        let (to, from, pinned) = (reach.0.unsigned_abs(), reach.1.unsigned_abs(), reach.2);
        LedgerError::unless_in_reach(at, from, to, pinned)
    }

    /// The number of a set of the tenant's own.
    pub(super) fn find_set(&self, db: &Connection, set: &SetKey) -> rusqlite::Result<Option<i64>> {
        let Some(feed) = feed_number(db, &self.tenant, set.feed.as_str())? else { return Ok(None) };
        db.prepare_cached("SELECT number FROM record_set WHERE feed = ?1 AND kind = ?2")?
            .query_row(params![feed, set.kind.as_str()], |row| row.get(0))
            .optional()
    }

    fn list_sets(&self, db: &Connection, at: Seq) -> rusqlite::Result<Vec<LiveSet>> {
        let at = values::integer(at.0);
        let sql = format!(
            "SELECT r.kind, f.name, r.number, r.live, r.changed, r.state, f.tenant <> ?1
             FROM record_set AS r JOIN feed AS f ON f.number = r.feed
             WHERE f.number IN ({VISIBLE}) ORDER BY r.kind, f.name"
        );
        let mut statement = db.prepare_cached(&sql)?;
        let sets = statement.query_map(params![self.tenant.as_str(), at], |row| {
            let kind: Kind = values::to_name(row.get_ref(0)?)?;
            let set = SetKey { kind, feed: values::to_name(row.get_ref(1)?)? };
            let changed: i64 = row.get(4)?;
            let (records, state): (i64, _) = if changed <= at {
                (row.get(3)?, Some(values::to_state(row.get_ref(5)?)?))
            } else {
                (count_at(db, row.get(2)?, at)?, None)
            };
            Ok(LiveSet { set, records: records.unsigned_abs(), state, library: row.get(6)? })
        })?;
        let mut live: Vec<LiveSet> = sets.collect::<rusqlite::Result<_>>()?;
        live.retain(|set| set.records > 0);
        Ok(live)
    }

    /// Runs a query page by page.
    fn pages(
        &self,
        db: &Connection,
        at: Seq,
        set: &SetKey,
        mut query: Query,
        each: &mut EachRow<'_>,
    ) -> Result<(), LedgerError> {
        let mut run = || -> rusqlite::Result<()> {
            let Some(number) = self.visible_set(db, set, at)? else { return Ok(()) };
            while query.page(db, number, at, each)? {}
            Ok(())
        };
        run().map_err(|error| self.error("read a set", error))
    }

    /// The facets of a row, derived from the content where another version of the product, which
    /// saw them otherwise, has stored them.
    fn facets(&self, db: &Connection, row: &Row<'_>) -> rusqlite::Result<Facets> {
        let version: Option<u32> = row.get(5)?;
        if version == Some(FACETS_VERSION)
            && let Ok(facets) = serde_json::from_str(row.get_ref(6)?.as_str()?)
        {
            return Ok(facets);
        }
        let index = index_row(row)?;
        let sql = "SELECT encoding, bytes FROM content WHERE number = ?1";
        db.prepare_cached(sql)?.query_row([row.get::<_, i64>(7)?], |content| {
            let bytes = stored::decode(content.get(0)?, index.size, content.get_ref(1)?.as_blob()?)
                .map_err(broken)?;
            stored::derive_facets(index.format, &index.id, &bytes).map_err(broken)
        })
    }
}

/// How many records a set held at a snapshot.
fn count_at(db: &Connection, set: i64, at: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT count(*) FROM version WHERE record_set = ?1 AND seq <= ?2
               AND (superseded_by IS NULL OR superseded_by > ?2) AND gone = 0";
    db.prepare_cached(sql)?.query_row(params![set, at], |row| row.get(0))
}

/// A statement over the records of a set in the order of their ids, and where it stands.
struct Query {
    sql: String,
    rows: usize,
    first: String,
    last: Option<String>,
}

impl Query {
    fn new(range: &IdRange, rows: usize, columns: &str, join: &str) -> Query {
        let text = |id: &Option<RecordId>| id.as_ref().map(|id| id.as_str().to_owned());
        let last = text(&range.last);
        let bound = if last.is_some() { "AND v.id <= ?5" } else { "AND ?5 IS NULL" };
        let sql = format!(
            "SELECT v.id, v.content_digest, v.size, v.modified, v.format{columns} FROM version AS v {join}
             WHERE v.record_set = ?1 AND v.id >= ?2 AND v.seq <= ?3
             AND (v.superseded_by IS NULL OR v.superseded_by > ?3) AND v.gone = 0 {bound}
             ORDER BY v.id LIMIT ?4"
        );
        Query { sql, rows, first: text(&range.first).unwrap_or_default(), last }
    }

    /// Runs the next page; `false` once there is none.
    fn page(
        &mut self,
        db: &Connection,
        set: i64,
        at: Seq,
        each: &mut EachRow<'_>,
    ) -> rusqlite::Result<bool> {
        let mut statement = db.prepare_cached(&self.sql)?;
        let limit = values::integer(self.rows as u64);
        let mut rows =
            statement.query(params![set, self.first, values::integer(at.0), limit, self.last])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            if count == self.rows {
                // The least text that is greater than the last of the page.
                self.first = format!("{}\0", row.get_ref(0)?.as_str()?);
            }
            if each(row)?.is_break() {
                return Ok(false);
            }
        }
        Ok(count == self.rows)
    }
}

/// Takes one row; tells whether to go on.
type EachRow<'e> = dyn FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<()>> + 'e;

fn index_row(row: &Row<'_>) -> rusqlite::Result<IndexRow> {
    Ok(IndexRow {
        id: values::to_name(row.get_ref(0)?)?,
        content_digest: values::to_digest(row.get_ref(1)?)?,
        size: row.get::<_, i64>(2)?.unsigned_abs(),
        modified: values::to_time(row.get_ref(3)?)?,
        format: values::to_format(row.get_ref(4)?)?,
        facets: None,
    })
}

pub(super) fn broken(damage: Damage) -> rusqlite::Error {
    damaged(&damage.0)
}

fn damaged(problem: &str) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    rusqlite::Error::SqliteFailure(code, Some(problem.to_owned()))
}
