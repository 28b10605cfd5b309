//! Reading snapshots.

use std::ops::ControlFlow;

use postgres::Row;
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::ToSql;
use stella_model::{RecordId, SetKey};
use stella_records::{FACETS_VERSION, Facets};

use crate::stored;
use crate::{
    ChangedRecord, Changes, IdRange, IndexRow, LedgerError, LiveSet, Seq, Snapshots, StoredRecord,
    WithFacets,
};

use super::library::VISIBLE;
use super::{Outcome, PostgresLedger, Session, values};

/// Rows of one statement, after which another begins.
const PAGE_ROWS: usize = 4096;

/// Contents of one statement.
const PAGE_CONTENTS: usize = 512;

/// Changed contents of one statement: whoever asks for them stops soon, and what a statement gives
/// comes whole.
const PAGE_CHANGED: usize = 32;

impl Snapshots for PostgresLedger {
    fn head(&self) -> Result<Seq, LedgerError> {
        self.reading("read the newest sequence", Session::head)
    }

    fn sets(&self, at: Seq) -> Result<Vec<LiveSet>, LedgerError> {
        self.check_reach(at)?;
        self.reading("list the sets", |session| {
            let sql = format!(
                "SELECT r.kind, f.name, r.number, r.live, r.changed, uuid_send(r.state),
                   f.tenant <> $1
                 FROM ledger.record_set AS r JOIN ledger.feed AS f ON f.number = r.feed
                 WHERE f.number IN ({VISIBLE})
                 ORDER BY r.kind COLLATE \"C\", f.name COLLATE \"C\""
            );
            let seq = values::integer(at.0);
            let mut live = Vec::new();
            for row in session.query(&sql, &[&self.tenant.as_str(), &seq])? {
                let set =
                    SetKey { kind: values::to_name(&row, 0)?, feed: values::to_name(&row, 1)? };
                let changed: i64 = row.get(4);
                let (records, state) = if changed <= seq {
                    (row.get(3), Some(values::to_state(&row, 5)?))
                } else {
                    (count_at(session, row.get(2), seq)?, None)
                };
                let records = records.unsigned_abs();
                live.push(LiveSet { set, records, state, library: row.get(6) });
            }
            live.retain(|set| set.records > 0);
            Ok(live)
        })
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
                "LEFT JOIN ledger.facet AS f ON f.content = v.content",
            ),
        };
        let query = Query::new(range, PAGE_ROWS, columns, join);
        self.pages(at, set, query, &mut |found| {
            let index = index_row(found)?;
            let facets = match facets {
                WithFacets::No => None,
                WithFacets::Yes => match known_facets(found) {
                    Some(facets) => Some(facets),
                    None => Some(self.derive_facets(&index, found.get(7))?),
                },
            };
            Ok(row(IndexRow { facets, ..index }))
        })
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
        let join = "JOIN ledger.content AS c ON c.number = v.content";
        let query = Query::new(range, PAGE_CONTENTS, columns, join);
        let mut content = Vec::new();
        self.pages(at, set, query, &mut |row| {
            let IndexRow { id, content_digest, modified, format, size, .. } = index_row(row)?;
            let encoding = i64::from(row.get::<_, i16>(5));
            stored::content_into(encoding, size, row.get(6), &content_digest, &mut content)?;
            let buffer = std::mem::take(&mut content);
            let stored = StoredRecord { id, content_digest, modified, format, content: buffer };
            let flow = record(&stored);
            content = stored.content;
            Ok(flow)
        })
    }

    fn received(
        &self,
        at: Seq,
        set: &SetKey,
        id: &RecordId,
    ) -> Result<Option<Vec<u8>>, LedgerError> {
        self.check_reach(at)?;
        self.reading("read a received document", |session| {
            let Some(number) = self.visible_set(session, set, at)? else { return Ok(None) };
            let sql = "SELECT coalesce(o.size, v.size), coalesce(o.encoding, c.encoding),
                         coalesce(o.bytes, c.bytes)
                       FROM ledger.version AS v JOIN ledger.content AS c ON c.number = v.content
                       LEFT JOIN ledger.original AS o ON o.number = c.original
                       WHERE v.record_set = $1 AND v.id = $2 AND v.seq <= $3
                       AND (v.superseded_by IS NULL OR v.superseded_by > $3)";
            let seq = values::integer(at.0);
            let found = session.query_opt(sql, &[&number, &id.as_str().as_bytes(), &seq])?;
            let Some(row) = found else { return Ok(None) };
            let size: i64 = row.get(0);
            let encoding = i64::from(row.get::<_, i16>(1));
            Ok(Some(stored::decode(encoding, size.unsigned_abs(), row.get(2))?))
        })
    }

    fn changes(&self, set: &SetKey, from: Seq, to: Seq) -> Result<Changes, LedgerError> {
        self.check_reach(from)?;
        self.check_reach(to)?;
        self.reading("compare two snapshots", |session| {
            let (was, now) =
                (self.visible_set(session, set, from)?, self.visible_set(session, set, to)?);
            // Of one set the rows come in the order of their ids, and need no sorting.
            let sets = if was == now { "= $1" } else { "IN ($1, $3)" };
            let sql = CHANGES.replace("{sets}", sets);
            let (from, to) = (values::integer(from.0), values::integer(to.0));
            let row = session.query_one(&sql, &[&was, &from, &now, &to])?;
            let count = |at: usize| row.get::<_, i64>(at).unsigned_abs();
            Ok(Changes { added: count(0), changed: count(1), removed: count(2) })
        })
    }

    fn changed_sets(&self, since: Seq) -> Result<Vec<SetKey>, LedgerError> {
        self.reading("list the sets that changed", |session| {
            let sql = "SELECT r.kind, f.name FROM ledger.record_set AS r
                       JOIN ledger.feed AS f ON f.number = r.feed
                       WHERE f.tenant = $1 AND r.changed > $2
                       ORDER BY r.kind COLLATE \"C\", f.name COLLATE \"C\"";
            let rows = session.query(sql, &[&self.tenant.as_str(), &values::integer(since.0)])?;
            let set = |row: &Row| {
                Ok(SetKey { kind: values::to_name(row, 0)?, feed: values::to_name(row, 1)? })
            };
            rows.iter().map(set).collect()
        })
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
        let Some(set) = self.reading("look for a set", |db| self.find_set(db, set))? else {
            return Ok(());
        };
        // No id is empty.
        let after = after.map_or(Vec::new(), |id| id.as_str().as_bytes().to_vec());
        let mut changed = ChangedRows { set, since, until, after, content: Vec::new() };
        while self.reading("read what changed in a set", |session| changed.page(session, each))? {}
        Ok(())
    }
}

/// The records of a set that changed, and where reading stands.
struct ChangedRows {
    set: i64,
    since: Seq,
    until: Seq,
    after: Vec<u8>,
    content: Vec<u8>,
}

impl ChangedRows {
    /// Gives the next page; `false` once there is none.
    fn page(
        &mut self,
        session: &mut Session,
        each: &mut dyn FnMut(ChangedRecord<'_>) -> ControlFlow<()>,
    ) -> Outcome<bool> {
        // The page is cut before anything is joined, and its length is known to the planner.
        let sql = format!(
            "SELECT v.id, v.seq, v.gone, v.content_digest, v.size, v.modified, v.format,
               c.encoding, c.bytes FROM (
               SELECT id, seq, gone, content_digest, size, modified, format, content
               FROM ledger.version WHERE record_set = $1 AND id > $2 AND seq > $3 AND seq <= $4
               AND (superseded_by IS NULL OR superseded_by > $4) AND (gone = 0 OR $3 > 0)
               ORDER BY id LIMIT {PAGE_CHANGED}
             ) AS v LEFT JOIN ledger.content AS c ON c.number = v.content ORDER BY v.id"
        );
        let statement = session.statement(&sql)?;
        let (since, until) = (values::integer(self.since.0), values::integer(self.until.0));
        let parameters: [&(dyn ToSql + Sync); 4] = [&self.set, &self.after, &since, &until];
        let mut rows = session.client.query_raw(&statement, parameters)?;
        let mut count = 0;
        let mut next = None;
        while let Some(row) = rows.next()? {
            count += 1;
            if count == PAGE_CHANGED {
                next = Some(row.get::<_, &[u8]>(0).to_vec());
            }
            if self.give(&row, each)?.is_break() {
                return Ok(false);
            }
        }
        drop(rows);
        let more = next.is_some();
        self.after = next.unwrap_or_default();
        Ok(more)
    }

    /// Gives one row, with its content in the room of the one before.
    fn give(
        &mut self,
        row: &Row,
        each: &mut dyn FnMut(ChangedRecord<'_>) -> ControlFlow<()>,
    ) -> Outcome<ControlFlow<()>> {
        let id: RecordId = values::to_id(row, 0)?;
        let seq = Seq(row.get::<_, i64>(1).unsigned_abs());
        if row.get::<_, i16>(2) != 0 {
            return Ok(each(ChangedRecord::Removed { id: &id, seq }));
        }
        let content_digest = values::to_digest(row, 3)?;
        let size = row.get::<_, i64>(4).unsigned_abs();
        let encoding = i64::from(row.get::<_, i16>(7));
        stored::content_into(encoding, size, row.get(8), &content_digest, &mut self.content)?;
        let (modified, format) = (values::to_time(row, 5)?, values::to_format(row, 6)?);
        let content = std::mem::take(&mut self.content);
        let record = StoredRecord { id, content_digest, modified, format, content };
        let flow = each(ChangedRecord::Held { record: &record, seq });
        self.content = record.content;
        Ok(flow)
    }
}

/// One row a record: its digest in each of the two snapshots, if it was there. Each has the number of the
/// set there, if there is one: a feed of the library may have taken the place of one of the tenant's own.
const CHANGES: &str = "
SELECT count(*) FILTER (WHERE was IS NULL AND now IS NOT NULL),
       count(*) FILTER (WHERE was <> now),
       count(*) FILTER (WHERE was IS NOT NULL AND now IS NULL)
FROM (
  SELECT
    max(encode(content_digest, 'hex')) FILTER (WHERE record_set = $1 AND seq <= $2
      AND (superseded_by IS NULL OR superseded_by > $2)) AS was,
    max(encode(content_digest, 'hex')) FILTER (WHERE record_set = $3 AND seq <= $4
      AND (superseded_by IS NULL OR superseded_by > $4)) AS now
  FROM ledger.version WHERE record_set {sets} AND gone = 0 GROUP BY id
) AS compared";

impl PostgresLedger {
    /// Refuses a snapshot that is not there, or not there any more.
    pub(super) fn check_reach(&self, at: Seq) -> Result<(), LedgerError> {
        let (to, from, pinned) = self.reading("look for the snapshot", |session| {
            let sql = "SELECT head, oldest,
                         EXISTS(SELECT 1 FROM ledger.snapshot_pin WHERE seq = $1)
                       FROM ledger.ledger";
            let row = session.query_one(sql, &[&values::integer(at.0)])?;
            let number = |at: usize| row.get::<_, i64>(at).unsigned_abs();
            Ok((number(0), number(1), row.get::<_, bool>(2)))
        })?;
        LedgerError::unless_in_reach(at, from, to, pinned)
    }

    /// The number of a set of the tenant's own.
    pub(super) fn find_set(&self, session: &mut Session, set: &SetKey) -> Outcome<Option<i64>> {
        let sql = "SELECT r.number FROM ledger.record_set AS r
                   JOIN ledger.feed AS f ON f.number = r.feed
                   WHERE f.tenant = $1 AND f.name = $2 AND r.kind = $3";
        let names: [&(dyn ToSql + Sync); 3] =
            [&self.tenant.as_str(), &set.feed.as_str(), &set.kind.as_str()];
        Ok(session.query_opt(sql, &names)?.map(|row| row.get(0)))
    }

    /// Runs a query page by page.
    fn pages(
        &self,
        at: Seq,
        set: &SetKey,
        mut query: Query,
        each: &mut EachRow<'_>,
    ) -> Result<(), LedgerError> {
        let found = self.reading("look for a set", |db| self.visible_set(db, set, at))?;
        let Some(number) = found else { return Ok(()) };
        while self.reading("read a set", |session| query.page(session, number, at, each))? {}
        Ok(())
    }

    /// The facets of a row whose content another version of the product, which saw them otherwise,
    /// has stored.
    fn derive_facets(&self, index: &IndexRow, content: i64) -> Outcome<Facets> {
        let mut session = self.shared.session()?;
        let sql = "SELECT encoding, bytes FROM ledger.content WHERE number = $1";
        let row = session.query_one(sql, &[&content]);
        self.shared.put_back(session);
        let row = row?;
        let bytes = stored::decode(i64::from(row.get::<_, i16>(0)), index.size, row.get(1))?;
        Ok(stored::derive_facets(index.format, &index.id, &bytes)?)
    }
}

/// The facets of a row, if this version of the product has stored them.
fn known_facets(row: &Row) -> Option<Facets> {
    let version: Option<i64> = row.get(5);
    let facets: Option<&[u8]> = row.get(6);
    if version? != i64::from(FACETS_VERSION) {
        return None;
    }
    serde_json::from_slice(facets?).ok()
}

/// How many records a set held at a snapshot.
fn count_at(session: &mut Session, set: i64, at: i64) -> Outcome<i64> {
    let sql = "SELECT count(*) FROM ledger.version WHERE record_set = $1 AND seq <= $2
               AND (superseded_by IS NULL OR superseded_by > $2) AND gone = 0";
    Ok(session.query_one(sql, &[&set, &at])?.get(0))
}

/// A statement over the records of a set in the order of their ids, and where it stands.
struct Query {
    sql: String,
    rows: usize,
    first: Vec<u8>,
    last: Option<Vec<u8>>,
}

impl Query {
    fn new(range: &IdRange, rows: usize, columns: &str, join: &str) -> Query {
        let bytes = |id: &Option<RecordId>| id.as_ref().map(|id| id.as_str().as_bytes().to_vec());
        let last = bytes(&range.last);
        let bound = if last.is_some() { "AND id <= $4" } else { "AND $4::bytea IS NULL" };
        // The page is cut before anything is joined, and its length is known to the planner.
        let sql = format!(
            "SELECT v.id, v.content_digest, v.size, v.modified, v.format{columns} FROM (
               SELECT id, content_digest, size, modified, format, content FROM ledger.version
               WHERE record_set = $1 AND id >= $2 AND seq <= $3
               AND (superseded_by IS NULL OR superseded_by > $3) AND gone = 0 {bound}
               ORDER BY id LIMIT {rows}
             ) AS v {join} ORDER BY v.id"
        );
        Query { sql, rows, first: bytes(&range.first).unwrap_or_default(), last }
    }

    /// Runs the next page; `false` once there is none. Rows are taken as they come.
    fn page(
        &mut self,
        session: &mut Session,
        set: i64,
        at: Seq,
        each: &mut EachRow<'_>,
    ) -> Outcome<bool> {
        let statement = session.statement(&self.sql)?;
        let seq = values::integer(at.0);
        let parameters: [&(dyn ToSql + Sync); 4] = [&set, &self.first, &seq, &self.last];
        let mut rows = session.client.query_raw(&statement, parameters)?;
        let (mut count, mut next) = (0, None);
        while let Some(row) = rows.next()? {
            count += 1;
            if count == self.rows {
                // The least id that is greater than the last of the page.
                let mut id = row.get::<_, &[u8]>(0).to_vec();
                id.push(0);
                next = Some(id);
            }
            if each(&row)?.is_break() {
                return Ok(false);
            }
        }
        drop(rows);
        Ok(match next {
            Some(id) => {
                self.first = id;
                true
            }
            None => false,
        })
    }
}

/// Takes one row; tells whether to go on.
type EachRow<'e> = dyn FnMut(&Row) -> Outcome<ControlFlow<()>> + 'e;

fn index_row(row: &Row) -> Outcome<IndexRow> {
    Ok(IndexRow {
        id: values::to_id(row, 0)?,
        content_digest: values::to_digest(row, 1)?,
        size: row.get::<_, i64>(2).unsigned_abs(),
        modified: values::to_time(row, 3)?,
        format: values::to_format(row, 4)?,
        facets: None,
    })
}
