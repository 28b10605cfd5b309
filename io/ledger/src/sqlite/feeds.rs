//! Feeds: what they hold, what stays out of them, and their removal.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use stella_model::{FeedName, Instant, RecordId, SetKey, TenantId};

use crate::{Block, FeedInfo, Feeds, LedgerError, Origin, QuarantineEntry, QuarantineFilter, Seq};

use super::ingest::{bury, set_number, supersede};
use super::library::{NOW, VISIBLE, live_feed};
use super::{SqliteLedger, advance, head, quarantine, values};

impl Feeds for SqliteLedger {
    fn feeds(&self) -> Result<Vec<FeedInfo>, LedgerError> {
        self.with_reader("list the feeds", |db| self.list_feeds(db, None))
    }

    fn feed(&self, name: &FeedName) -> Result<FeedInfo, LedgerError> {
        let found = self.with_reader("read a feed", |db| self.list_feeds(db, Some(name)))?;
        found.into_iter().next().ok_or_else(|| LedgerError::no_feed(name))
    }

    fn block(
        &self,
        set: &SetKey,
        id: &RecordId,
        reason: &str,
        at: Instant,
    ) -> Result<bool, LedgerError> {
        self.with_writer("block an id", |db| {
            let feed = self.existing_feed(db, &set.feed)?;
            let change = || -> rusqlite::Result<bool> {
                let number = set_number(db, feed, &set.kind)?;
                let sql = "INSERT INTO block(record_set, id, reason, at) VALUES(?1, ?2, ?3, ?4)
                           ON CONFLICT DO UPDATE SET reason = excluded.reason, at = excluded.at";
                db.execute(sql, params![number, id.as_str(), reason, values::time(Some(at))])?;
                tombstone(db, feed, number, id)
            };
            let held = change().map_err(|error| self.error("block an id", error))?;
            let elsewhere = match held {
                true => None,
                false => kind_that_holds(db, feed, id)
                    .map_err(|error| self.error("look for the id", error))?,
            };
            match elsewhere {
                Some(kind) => Err(LedgerError::held_elsewhere(set, id, &kind)),
                None => Ok(held),
            }
        })
    }

    fn unblock(&self, set: &SetKey, id: &RecordId) -> Result<(), LedgerError> {
        self.with_writer("unblock an id", |db| {
            let change = || -> rusqlite::Result<usize> {
                let Some(number) = self.find_set(db, set)? else { return Ok(0) };
                // What its origin held meanwhile is not told again but with all of it.
                let sql = "UPDATE origin SET sequence = 0
                           WHERE feed = (SELECT feed FROM record_set WHERE number = ?1)";
                db.execute(sql, [number])?;
                let sql = "DELETE FROM block WHERE record_set = ?1 AND id = ?2";
                db.execute(sql, params![number, id.as_str()])
            };
            match change().map_err(|error| self.error("unblock an id", error))? {
                0 => Err(LedgerError::not_blocked(set, id)),
                _ => Ok(()),
            }
        })
    }

    fn blocks(&self, feed: &FeedName) -> Result<Vec<Block>, LedgerError> {
        self.with_reader("list the blocked ids", |db| {
            let sql = "SELECT r.kind, b.id, b.reason, b.at FROM block AS b
                       JOIN record_set AS r ON r.number = b.record_set
                       JOIN feed AS f ON f.number = r.feed
                       WHERE f.tenant = ?1 AND f.name = ?2 ORDER BY r.kind, b.id";
            let mut statement = db.prepare_cached(sql)?;
            let rows =
                statement.query_map(params![self.tenant.as_str(), feed.as_str()], |row| {
                    Ok(Block {
                        set: SetKey { kind: values::to_name(row.get_ref(0)?)?, feed: feed.clone() },
                        id: values::to_name(row.get_ref(1)?)?,
                        reason: row.get(2)?,
                        at: values::to_time(row.get_ref(3)?)?
                            .ok_or(rusqlite::types::FromSqlError::InvalidType)?,
                    })
                })?;
            rows.collect()
        })
    }

    fn remove_feed(&self, name: &FeedName) -> Result<u64, LedgerError> {
        self.with_writer("remove a feed", |db| {
            let feed = self.existing_feed(db, name)?;
            let change = || -> rusqlite::Result<u64> {
                let next = Seq(head(db)?.0 + 1);
                let buried = bury(db, feed, next, "")?;
                if buried > 0 {
                    advance(db, feed, next)?;
                }
                db.execute("UPDATE feed SET removed = 1 WHERE number = ?1", [feed])?;
                db.execute("DELETE FROM quarantine WHERE feed = ?1", [feed])?;
                db.execute("DELETE FROM origin WHERE feed = ?1", [feed])?;
                let sql = "DELETE FROM block WHERE record_set IN
                           (SELECT number FROM record_set WHERE feed = ?1)";
                db.execute(sql, [feed])?;
                Ok(buried as u64)
            };
            change().map_err(|error| self.error("remove a feed", error))
        })
    }

    fn quarantine(&self, filter: &QuarantineFilter) -> Result<Vec<QuarantineEntry>, LedgerError> {
        self.with_reader("list the quarantine", |db| quarantine::list(db, &self.tenant, filter))
    }

    fn quarantine_entry(&self, number: u64) -> Result<QuarantineEntry, LedgerError> {
        let found = self.with_reader("read an entry of the quarantine", |db| {
            quarantine::find(db, &self.tenant, number)
        })?;
        found.ok_or_else(|| LedgerError::no_quarantine_entry(number))
    }
}

impl SqliteLedger {
    /// The feeds by name, or the one of that name.
    fn list_feeds(
        &self,
        db: &Connection,
        name: Option<&FeedName>,
    ) -> rusqlite::Result<Vec<FeedInfo>> {
        let sql = format!(
            "{FEED} WHERE number IN ({VISIBLE}) AND (removed = 0 OR tenant <> ?1)
             AND (?3 IS NULL OR name = ?3) ORDER BY name"
        );
        let name = name.map(|name| name.as_str());
        let mut statement = db.prepare_cached(&sql)?;
        let feeds = statement.query_map(params![self.tenant.as_str(), NOW, name], feed_row)?;
        feeds.map(|feed| feed.and_then(|(number, info)| complete(db, number, info))).collect()
    }

    fn existing_feed(&self, db: &Connection, name: &FeedName) -> Result<i64, LedgerError> {
        self.refuse_of_library(db, name)?;
        live_feed(db, &self.tenant, name)
            .map_err(|error| self.error("look for a feed", error))?
            .ok_or_else(|| LedgerError::no_feed(name))
    }
}

/// The feeds of the library with their numbers, as a tenant is told of them.
pub(super) fn of_library(
    db: &Connection,
    tenant: &TenantId,
) -> rusqlite::Result<Vec<(i64, FeedInfo)>> {
    let sql = format!("{FEED} WHERE tenant = ?2 AND removed = 0 ORDER BY name");
    let mut statement = db.prepare_cached(&sql)?;
    let library = TenantId::library();
    let feeds = statement.query_map([tenant.as_str(), library.as_str()], feed_row)?;
    let numbered = |(number, info)| Ok((number, complete(db, number, info)?));
    feeds.map(|feed| feed.and_then(numbered)).collect()
}

/// What is told of feeds to a tenant (`?1`).
const FEED: &str =
    "SELECT number, name, publisher, licence, attribution, redistribution, tenant <> ?1
                    FROM feed";

fn feed_row(row: &Row<'_>) -> rusqlite::Result<(i64, FeedInfo)> {
    let info = FeedInfo {
        name: values::to_name(row.get_ref(1)?)?,
        publisher: row.get(2)?,
        licence: row.get(3)?,
        attribution: row.get(4)?,
        redistribution: row.get(5)?,
        records: BTreeMap::new(),
        kinds: BTreeSet::new(),
        blocked: 0,
        quarantined: 0,
        last_ingest: None,
        origin: None,
        library: row.get(6)?,
    };
    Ok((row.get(0)?, info))
}

fn complete(db: &Connection, feed: i64, mut info: FeedInfo) -> rusqlite::Result<FeedInfo> {
    let sql = "SELECT kind, live FROM record_set WHERE feed = ?1 AND live > 0";
    let mut statement = db.prepare_cached(sql)?;
    let counts = statement.query_map([feed], |row| {
        Ok((values::to_name(row.get_ref(0)?)?, row.get::<_, i64>(1)?.unsigned_abs()))
    })?;
    info.records = counts.collect::<rusqlite::Result<_>>()?;
    let sql = "SELECT kind FROM record_set AS r WHERE feed = ?1
               AND EXISTS(SELECT 1 FROM version AS v WHERE v.record_set = r.number)";
    let mut statement = db.prepare_cached(sql)?;
    let kinds = statement.query_map([feed], |row| Ok(values::to_name(row.get_ref(0)?)?))?;
    info.kinds = kinds.collect::<rusqlite::Result<_>>()?;
    let count = |sql: &str| -> rusqlite::Result<u64> {
        let count: i64 = db.prepare_cached(sql)?.query_row([feed], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    };
    info.blocked = count(
        "SELECT count(*) FROM block WHERE record_set IN (SELECT number FROM record_set WHERE feed = ?1)",
    )?;
    info.quarantined = count("SELECT count(*) FROM quarantine WHERE feed = ?1")?;
    let sql = "SELECT at FROM ingest WHERE feed = ?1 ORDER BY number DESC LIMIT 1";
    let last = db
        .prepare_cached(sql)?
        .query_row([feed], |row| Ok(values::to_time(row.get_ref(0)?)?))
        .optional()?;
    info.last_ingest = last.flatten();
    let sql = "SELECT ledger, epoch, tenant, sequence FROM origin WHERE feed = ?1";
    let origin = |row: &Row<'_>| {
        Ok(Origin {
            ledger: row.get(0)?,
            epoch: row.get::<_, i64>(1)?.unsigned_abs(),
            tenant: values::to_name(row.get_ref(2)?)?,
            sequence: row.get::<_, i64>(3)?.unsigned_abs(),
        })
    };
    info.origin = db.prepare_cached(sql)?.query_row([feed], origin).optional()?;
    Ok(info.told())
}

/// The kind under which a feed holds an id now.
fn kind_that_holds(db: &Connection, feed: i64, id: &RecordId) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT r.kind FROM record_set AS r JOIN version AS v ON v.record_set = r.number
               WHERE r.feed = ?1 AND v.id = ?2 AND v.superseded_by IS NULL AND v.gone = 0";
    db.query_row(sql, params![feed, id.as_str()], |row| row.get(0)).optional()
}

/// Puts a tombstone over a live record.
fn tombstone(db: &Connection, feed: i64, set: i64, id: &RecordId) -> rusqlite::Result<bool> {
    let sql = "SELECT seq FROM version
               WHERE record_set = ?1 AND id = ?2 AND superseded_by IS NULL AND gone = 0";
    let live = db.query_row(sql, params![set, id.as_str()], |row| row.get(0)).optional()?;
    let Some(seq) = live else { return Ok(false) };
    let next = Seq(head(db)?.0 + 1);
    let sql = "INSERT INTO version(record_set, id, seq, content_digest, size, gone)
               SELECT record_set, id, ?4, content_digest, 0, 2 FROM version
               WHERE record_set = ?1 AND id = ?2 AND seq = ?3";
    db.execute(sql, params![set, id.as_str(), seq, values::integer(next.0)])?;
    supersede(db, set, id.as_str(), seq, next)?;
    advance(db, feed, next)?;
    Ok(true)
}
