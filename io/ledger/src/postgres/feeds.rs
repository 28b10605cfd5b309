//! Feeds: what they hold, what stays out of them, what was rejected, and their removal.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Row;
use stella_model::{FeedName, Instant, RecordId, SetKey, TenantId};

use crate::{
    Block, FeedInfo, Feeds, LedgerError, Origin, QuarantineEntry, QuarantineFilter, Quarantined,
};

use super::library::{NOW, VISIBLE, refuse_of_library};
use super::{Outcome, PostgresLedger, Session, Values, values};

impl Feeds for PostgresLedger {
    fn feeds(&self) -> Result<Vec<FeedInfo>, LedgerError> {
        self.reading("list the feeds", |session| self.list(session, None))
    }

    fn feed(&self, name: &FeedName) -> Result<FeedInfo, LedgerError> {
        let found = self.reading("read a feed", |session| self.list(session, Some(name)))?;
        found.into_iter().next().ok_or_else(|| LedgerError::no_feed(name))
    }

    fn block(
        &self,
        set: &SetKey,
        id: &RecordId,
        reason: &str,
        at: Instant,
    ) -> Result<bool, LedgerError> {
        self.changing("block an id", |session| {
            let feed = self.existing_feed(session, &set.feed)?;
            let number = session.set_number(feed, set.kind.as_str())?;
            let key = id.as_str().as_bytes();
            let sql = "INSERT INTO ledger.block(record_set, id, reason, at)
                       VALUES($1, $2, $3, $4) ON CONFLICT(record_set, id)
                       DO UPDATE SET reason = excluded.reason, at = excluded.at";
            session.execute(sql, &[&number, &key, &reason, &values::time(Some(at))])?;
            if tombstone(session, feed, number, key)? {
                return Ok(true);
            }
            let sql = "SELECT r.kind FROM ledger.record_set AS r
                       JOIN ledger.version AS v ON v.record_set = r.number
                       WHERE r.feed = $1 AND v.id = $2 AND v.superseded_by IS NULL
                       AND v.gone = 0 LIMIT 1";
            match session.query_opt(sql, &[&feed, &key])? {
                Some(row) => Err(LedgerError::held_elsewhere(set, id, row.get(0)).into()),
                None => Ok(false),
            }
        })
    }

    fn unblock(&self, set: &SetKey, id: &RecordId) -> Result<(), LedgerError> {
        self.changing("unblock an id", |session| {
            let sql = "DELETE FROM ledger.block WHERE record_set = $1 AND id = $2";
            let removed = match self.find_set(session, set)? {
                Some(number) => {
                    // A pull under way is waited for: it left the id out and says so at its end.
                    self.existing_feed(session, &set.feed)?;
                    // What its origin held meanwhile is not told again but with all of it.
                    let whole = "UPDATE ledger.origin SET sequence = 0 WHERE feed =
                                   (SELECT feed FROM ledger.record_set WHERE number = $1)";
                    session.execute(whole, &[&number])?;
                    session.execute(sql, &[&number, &id.as_str().as_bytes()])?
                }
                None => 0,
            };
            match removed {
                0 => Err(LedgerError::not_blocked(set, id).into()),
                _ => Ok(()),
            }
        })
    }

    fn blocks(&self, feed: &FeedName) -> Result<Vec<Block>, LedgerError> {
        self.reading("list the blocked ids", |session| {
            let sql = "SELECT r.kind, b.id, b.reason, b.at FROM ledger.block AS b
                       JOIN ledger.record_set AS r ON r.number = b.record_set
                       JOIN ledger.feed AS f ON f.number = r.feed
                       WHERE f.tenant = $1 AND f.name = $2 ORDER BY r.kind COLLATE \"C\", b.id";
            let rows = session.query(sql, &[&self.tenant.as_str(), &feed.as_str()])?;
            let block = |row: &Row| {
                Ok(Block {
                    set: SetKey { kind: values::to_name(row, 0)?, feed: feed.clone() },
                    id: values::to_id(row, 1)?,
                    reason: row.get(2),
                    at: values::to_known_time(row, 3)?,
                })
            };
            rows.iter().map(block).collect()
        })
    }

    fn remove_feed(&self, name: &FeedName) -> Result<u64, LedgerError> {
        self.changing("remove a feed", |session| {
            let feed = self.existing_feed(session, name)?;
            let next = session.next()?;
            let buried = session.bury(feed, next, "")?;
            if buried > 0 {
                session.advance(feed, next)?;
            }
            session.execute("UPDATE ledger.feed SET removed = true WHERE number = $1", &[&feed])?;
            session.execute("DELETE FROM ledger.quarantine WHERE feed = $1", &[&feed])?;
            session.execute("DELETE FROM ledger.origin WHERE feed = $1", &[&feed])?;
            let sql = "DELETE FROM ledger.block WHERE record_set IN
                       (SELECT number FROM ledger.record_set WHERE feed = $1)";
            session.execute(sql, &[&feed])?;
            Ok(buried)
        })
    }

    fn quarantine(&self, filter: &QuarantineFilter) -> Result<Vec<QuarantineEntry>, LedgerError> {
        self.reading("list the quarantine", |session| {
            let sql = format!(
                "{ENTRY} AND q.number > $2 AND ($3::text IS NULL OR f.name = $3)
                 AND ($4::text IS NULL OR q.reason = $4) ORDER BY q.number LIMIT $5"
            );
            let feed = filter.feed.as_ref().map(|feed| feed.as_str());
            let (after, limit) = (values::integer(filter.after), filter.limit.map(values::integer));
            let values: [&(dyn postgres::types::ToSql + Sync); 5] =
                [&self.tenant.as_str(), &after, &feed, &filter.reason, &limit];
            session.query(&sql, &values)?.iter().map(entry).collect()
        })
    }

    fn quarantine_entry(&self, number: u64) -> Result<QuarantineEntry, LedgerError> {
        let found = self.reading("read an entry of the quarantine", |session| {
            let sql = format!("{ENTRY} AND q.number = $2");
            let number = values::integer(number);
            let row = session.query_opt(&sql, &[&self.tenant.as_str(), &number])?;
            row.as_ref().map(entry).transpose()
        })?;
        found.ok_or_else(|| LedgerError::no_quarantine_entry(number))
    }
}

const ENTRY: &str = "SELECT q.number, f.name, q.at, q.path, q.reason, q.\"offset\", q.detail
     FROM ledger.quarantine AS q JOIN ledger.feed AS f ON f.number = q.feed WHERE f.tenant = $1";

/// What is told of feeds to a tenant (`$1`): one row a feed and kind; the counts of a feed in each of its
/// rows.
const FEEDS: &str = "
SELECT f.number, f.name, f.publisher, f.licence, f.attribution, f.redistribution,
  (SELECT count(*) FROM ledger.block AS b JOIN ledger.record_set AS s ON s.number = b.record_set
   WHERE s.feed = f.number),
  (SELECT count(*) FROM ledger.quarantine AS q WHERE q.feed = f.number),
  (SELECT i.at FROM ledger.ingest AS i WHERE i.feed = f.number ORDER BY i.number DESC LIMIT 1),
  r.kind, r.live,
  EXISTS(SELECT 1 FROM ledger.version AS v WHERE v.record_set = r.number),
  o.ledger, o.epoch, o.tenant, o.sequence, f.tenant <> $1
FROM ledger.feed AS f LEFT JOIN ledger.record_set AS r ON r.feed = f.number
LEFT JOIN ledger.origin AS o ON o.feed = f.number";

impl PostgresLedger {
    /// The feeds by name, or the one of that name.
    fn list(&self, session: &mut Session, name: Option<&FeedName>) -> Outcome<Vec<FeedInfo>> {
        let condition = format!(
            "f.number IN ({VISIBLE}) AND (NOT f.removed OR f.tenant <> $1)
             AND ($3::text IS NULL OR f.name = $3)"
        );
        let name = name.map(|name| name.as_str());
        let feeds = told(session, &condition, &[&self.tenant.as_str(), &NOW, &name])?;
        Ok(feeds.into_iter().map(|(_, feed)| feed).collect())
    }

    /// The feeds of the library with their numbers, by name.
    pub(super) fn list_of_library(&self, session: &mut Session) -> Outcome<Vec<(i64, FeedInfo)>> {
        let (tenant, library) = (self.tenant.as_str(), TenantId::library());
        told(session, "f.tenant = $2 AND NOT f.removed", &[&tenant, &library.as_str()])
    }

    /// The number of a feed, which no other writer changes until the end of the transaction.
    fn existing_feed(&self, session: &mut Session, name: &FeedName) -> Outcome<i64> {
        refuse_of_library(session, &self.tenant, name)?;
        let sql = "SELECT number FROM ledger.feed WHERE tenant = $1 AND name = $2 AND NOT removed
                   FOR UPDATE";
        let row = session.query_opt(sql, &[&self.tenant.as_str(), &name.as_str()])?;
        row.map(|row| row.get(0)).ok_or_else(|| LedgerError::no_feed(name).into())
    }
}

/// The feeds of which a condition over `f` is true, with their numbers, by name.
fn told(
    session: &mut Session,
    condition: &str,
    values: &Values<'_>,
) -> Outcome<Vec<(i64, FeedInfo)>> {
    let sql = format!("{FEEDS} WHERE {condition} ORDER BY f.name COLLATE \"C\"");
    let mut feeds: Vec<(i64, FeedInfo)> = Vec::new();
    for row in session.query(&sql, values)? {
        let number: i64 = row.get(0);
        if feeds.last().is_none_or(|(last, _)| *last != number) {
            feeds.push((number, info(&row)?));
        }
        if let (Some((_, feed)), Some(_)) = (feeds.last_mut(), row.get::<_, Option<&str>>(9)) {
            let kind: stella_model::Kind = values::to_name(&row, 9)?;
            let live: i64 = row.get(10);
            if live > 0 {
                feed.records.insert(kind.clone(), live.unsigned_abs());
            }
            if row.get(11) {
                feed.kinds.insert(kind);
            }
        }
    }
    Ok(feeds)
}

/// A feed in its first row of [`FEEDS`], without its records.
fn info(row: &Row) -> Outcome<FeedInfo> {
    let info = FeedInfo {
        name: values::to_name(row, 1)?,
        publisher: row.get(2),
        licence: row.get(3),
        attribution: row.get(4),
        redistribution: row.get(5),
        records: BTreeMap::new(),
        kinds: BTreeSet::new(),
        blocked: row.get::<_, i64>(6).unsigned_abs(),
        quarantined: row.get::<_, i64>(7).unsigned_abs(),
        last_ingest: values::to_time(row, 8)?,
        origin: origin(row)?,
        library: row.get(16),
    };
    Ok(info.told())
}

/// The origin of a feed in a row of [`FEEDS`].
fn origin(row: &Row) -> Outcome<Option<Origin>> {
    let Some(ledger) = row.get(12) else { return Ok(None) };
    let number = |at: usize| row.get::<_, i64>(at).unsigned_abs();
    let tenant = values::to_name(row, 14)?;
    Ok(Some(Origin { ledger, epoch: number(13), tenant, sequence: number(15) }))
}

/// Puts a tombstone over a live record.
fn tombstone(session: &mut Session, feed: i64, set: i64, id: &[u8]) -> Outcome<bool> {
    let sql = "SELECT seq FROM ledger.version
               WHERE record_set = $1 AND id = $2 AND superseded_by IS NULL AND gone = 0";
    let Some(live) = session.query_opt(sql, &[&set, &id])? else { return Ok(false) };
    let seq: i64 = live.get(0);
    let next = session.next()?;
    let number = values::integer(next.0);
    let sql = "INSERT INTO ledger.version(record_set, id, seq, content_digest, size, gone)
               SELECT record_set, id, $4, content_digest, 0, 2 FROM ledger.version
               WHERE record_set = $1 AND id = $2 AND seq = $3";
    session.execute(sql, &[&set, &id, &seq, &number])?;
    let sql = "UPDATE ledger.version SET superseded_by = $4
               WHERE record_set = $1 AND id = $2 AND seq = $3";
    session.execute(sql, &[&set, &id, &seq, &number])?;
    session.advance(feed, next)?;
    Ok(true)
}

fn entry(row: &Row) -> Outcome<QuarantineEntry> {
    let offset: Option<i64> = row.get(5);
    Ok(QuarantineEntry {
        number: row.get::<_, i64>(0).unsigned_abs(),
        feed: values::to_name(row, 1)?,
        at: values::to_known_time(row, 2)?,
        document: Quarantined {
            path: values::to_text(row, 3)?,
            reason: row.get(4),
            offset: offset.map(i64::unsigned_abs),
            detail: values::to_text(row, 6)?,
        },
    })
}
