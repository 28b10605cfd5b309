//! Feeds of the library, and which of them a tenant reads when.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, params};
use stella_model::{FeedName, SetKey, TenantId};

use crate::{LedgerError, Library, LibraryFeed, Seq};

use super::{SqliteLedger, feed_number, feeds, head, set_head, values};

/// Numbers of the feeds that a tenant (`?1`) has at a sequence (`?2`): its own, and those of the library to
/// which it is subscribed then.
pub(super) const VISIBLE: &str = "
SELECT number FROM feed WHERE tenant = ?1
UNION ALL SELECT feed FROM subscription
WHERE tenant = ?1 AND since <= ?2 AND (until IS NULL OR until > ?2)";

/// A sequence that is never reached: what is visible at it is visible now.
pub(super) const NOW: i64 = i64::MAX;

impl Library for SqliteLedger {
    fn library(&self) -> Result<Vec<LibraryFeed>, LedgerError> {
        self.with_reader("list the feeds of the library", |db| {
            let sql = "SELECT feed FROM subscription WHERE tenant = ?1 AND until IS NULL";
            let mut statement = db.prepare_cached(sql)?;
            let subscribed = statement.query_map([self.tenant.as_str()], |row| row.get(0))?;
            let subscribed: BTreeSet<i64> = subscribed.collect::<rusqlite::Result<_>>()?;
            let feeds = feeds::of_library(db, &self.tenant)?.into_iter();
            let told =
                |(number, feed)| LibraryFeed { feed, subscribed: subscribed.contains(&number) };
            Ok(feeds.map(told).collect())
        })
    }

    fn subscribe(&self, feed: &FeedName) -> Result<bool, LedgerError> {
        self.with_writer("subscribe to a feed", |db| {
            let failed = |error| self.error("subscribe to a feed", error);
            if is_subscribed(db, &self.tenant, feed).map_err(failed)? {
                return Ok(false);
            }
            let live = |tenant: &TenantId| live_feed(db, tenant, feed).map_err(failed);
            let number = live(&TenantId::library())?;
            let number = number.ok_or_else(|| LedgerError::not_in_library(feed))?;
            if live(&self.tenant)?.is_some() {
                return Err(LedgerError::OwnFeed { feed: feed.to_string() });
            }
            let change = || -> rusqlite::Result<()> {
                let next = Seq(head(db)?.0 + 1);
                let sql = "INSERT INTO subscription(tenant, feed, since) VALUES(?1, ?2, ?3)";
                let since = values::integer(next.0);
                db.execute(sql, params![self.tenant.as_str(), number, since])?;
                set_head(db, next)
            };
            change().map(|()| true).map_err(failed)
        })
    }

    fn unsubscribe(&self, feed: &FeedName) -> Result<bool, LedgerError> {
        self.with_writer("end a subscription", |db| {
            let change = || -> rusqlite::Result<Option<bool>> {
                let library = TenantId::library();
                let Some(number) = feed_number(db, &library, feed.as_str())? else {
                    return Ok(None);
                };
                let next = Seq(head(db)?.0 + 1);
                let sql = "UPDATE subscription SET until = ?3
                           WHERE tenant = ?1 AND feed = ?2 AND until IS NULL";
                let until = values::integer(next.0);
                let ended = db.execute(sql, params![self.tenant.as_str(), number, until])? > 0;
                if ended {
                    set_head(db, next)?;
                }
                Ok(Some(ended))
            };
            let ended = change().map_err(|error| self.error("end a subscription", error))?;
            ended.ok_or_else(|| LedgerError::not_in_library(feed))
        })
    }
}

impl SqliteLedger {
    /// The number of a set that the tenant has at a sequence. Who is subscribed may have had a feed of the
    /// same name before: it is empty since, and comes last.
    pub(super) fn visible_set(
        &self,
        db: &Connection,
        set: &SetKey,
        at: Seq,
    ) -> rusqlite::Result<Option<i64>> {
        let sql = format!(
            "SELECT r.number FROM record_set AS r JOIN feed AS f ON f.number = r.feed
             WHERE f.number IN ({VISIBLE}) AND f.name = ?3 AND r.kind = ?4
             ORDER BY f.tenant = ?1 LIMIT 1"
        );
        let values = params![
            self.tenant.as_str(),
            values::integer(at.0),
            set.feed.as_str(),
            set.kind.as_str()
        ];
        db.prepare_cached(&sql)?.query_row(values, |row| row.get(0)).optional()
    }

    /// Refuses what would change a feed to which the tenant is subscribed.
    pub(super) fn refuse_of_library(
        &self,
        db: &Connection,
        feed: &FeedName,
    ) -> Result<(), LedgerError> {
        match is_subscribed(db, &self.tenant, feed) {
            Ok(false) => Ok(()),
            Ok(true) => Err(LedgerError::of_library(feed)),
            Err(error) => Err(self.error("look for a subscription", error)),
        }
    }
}

fn is_subscribed(db: &Connection, tenant: &TenantId, feed: &FeedName) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS(SELECT 1 FROM subscription AS s JOIN feed AS f ON f.number = s.feed
                 WHERE s.tenant = ?1 AND s.until IS NULL AND f.name = ?2)";
    db.query_row(sql, params![tenant.as_str(), feed.as_str()], |row| row.get(0))
}

/// The number of a feed of a tenant that was not removed.
pub(super) fn live_feed(
    db: &Connection,
    tenant: &TenantId,
    feed: &FeedName,
) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT number FROM feed WHERE tenant = ?1 AND name = ?2 AND removed = 0";
    db.query_row(sql, params![tenant.as_str(), feed.as_str()], |row| row.get(0)).optional()
}
