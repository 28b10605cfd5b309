//! Feeds of the library, and which of them a tenant reads when.

use std::collections::BTreeSet;

use postgres::types::ToSql;
use stella_model::{FeedName, SetKey, TenantId};

use crate::{LedgerError, Library, LibraryFeed, Seq};

use super::{Outcome, PostgresLedger, Session, values};

/// Numbers of the feeds that a tenant (`$1`) has at a sequence (`$2`): its own, and those of the library to
/// which it is subscribed then.
pub(super) const VISIBLE: &str = "
SELECT number FROM ledger.feed WHERE tenant = $1
UNION ALL SELECT feed FROM ledger.subscription
WHERE tenant = $1 AND since <= $2 AND (until IS NULL OR until > $2)";

/// A sequence that is never reached: what is visible at it is visible now.
pub(super) const NOW: i64 = i64::MAX;

impl Library for PostgresLedger {
    fn library(&self) -> Result<Vec<LibraryFeed>, LedgerError> {
        self.reading("list the feeds of the library", |session| {
            let sql = "SELECT feed FROM ledger.subscription WHERE tenant = $1 AND until IS NULL";
            let subscribed = session.query(sql, &[&self.tenant.as_str()])?;
            let subscribed: BTreeSet<i64> = subscribed.iter().map(|row| row.get(0)).collect();
            let feeds = self.list_of_library(session)?.into_iter();
            let told =
                |(number, feed)| LibraryFeed { feed, subscribed: subscribed.contains(&number) };
            Ok(feeds.map(told).collect())
        })
    }

    fn subscribe(&self, feed: &FeedName) -> Result<bool, LedgerError> {
        self.changing("subscribe to a feed", |session| {
            let number = live_feed(session, &TenantId::library(), feed)?;
            let is_own = self.keep_name(session, feed)?;
            if is_subscribed(session, &self.tenant, feed)? {
                return Ok(false);
            }
            let number = number.ok_or_else(|| LedgerError::not_in_library(feed))?;
            if is_own {
                return Err(LedgerError::OwnFeed { feed: feed.to_string() }.into());
            }
            let next = session.next()?;
            let sql = "INSERT INTO ledger.subscription(tenant, feed, since) VALUES($1, $2, $3)";
            let since = values::integer(next.0);
            session.execute(sql, &[&self.tenant.as_str(), &number, &since])?;
            session.set_head(next)?;
            Ok(true)
        })
    }

    fn unsubscribe(&self, feed: &FeedName) -> Result<bool, LedgerError> {
        self.changing("end a subscription", |session| {
            let library = TenantId::library();
            let sql = "SELECT number FROM ledger.feed WHERE tenant = $1 AND name = $2";
            let found = session.query_opt(sql, &[&library.as_str(), &feed.as_str()])?;
            let number = found.ok_or_else(|| LedgerError::not_in_library(feed))?;
            let number: i64 = number.get(0);
            let next = session.next()?;
            let sql = "UPDATE ledger.subscription SET until = $3
                       WHERE tenant = $1 AND feed = $2 AND until IS NULL";
            let until = values::integer(next.0);
            let ended = session.execute(sql, &[&self.tenant.as_str(), &number, &until])? > 0;
            if ended {
                session.set_head(next)?;
            }
            Ok(ended)
        })
    }
}

impl PostgresLedger {
    /// The number of a set that the tenant has at a sequence. Who is subscribed may have had a feed of the
    /// same name before: it is empty since, and comes last.
    pub(super) fn visible_set(
        &self,
        session: &mut Session,
        set: &SetKey,
        at: Seq,
    ) -> Outcome<Option<i64>> {
        let sql = format!(
            "SELECT r.number FROM ledger.record_set AS r JOIN ledger.feed AS f ON f.number = r.feed
             WHERE f.number IN ({VISIBLE}) AND f.name = $3 AND r.kind = $4
             ORDER BY f.tenant = $1 LIMIT 1"
        );
        let at = values::integer(at.0);
        let values: [&(dyn ToSql + Sync); 4] =
            [&self.tenant.as_str(), &at, &set.feed.as_str(), &set.kind.as_str()];
        Ok(session.query_opt(&sql, &values)?.map(|row| row.get(0)))
    }

    /// Keeps ingests into a feed of the tenant's own away until the end of the transaction, also into
    /// one that is not there; gives whether it is.
    fn keep_name(&self, session: &mut Session, feed: &FeedName) -> Outcome<bool> {
        let names: [&(dyn ToSql + Sync); 2] = [&self.tenant.as_str(), &feed.as_str()];
        let make = "INSERT INTO ledger.feed(tenant, name, removed) VALUES($1, $2, true)
                    ON CONFLICT DO NOTHING";
        session.execute(make, &names)?;
        let find = "SELECT removed FROM ledger.feed WHERE tenant = $1 AND name = $2 FOR UPDATE";
        Ok(!session.query_one(find, &names)?.get::<_, bool>(0))
    }
}

/// Refuses what would change a feed to which the tenant is subscribed.
pub(super) fn refuse_of_library(
    session: &mut Session,
    tenant: &TenantId,
    feed: &FeedName,
) -> Outcome<()> {
    match is_subscribed(session, tenant, feed)? {
        true => Err(LedgerError::of_library(feed).into()),
        false => Ok(()),
    }
}

fn is_subscribed(session: &mut Session, tenant: &TenantId, feed: &FeedName) -> Outcome<bool> {
    let sql = "SELECT EXISTS(SELECT 1 FROM ledger.subscription AS s
                 JOIN ledger.feed AS f ON f.number = s.feed
                 WHERE s.tenant = $1 AND s.until IS NULL AND f.name = $2)";
    Ok(session.query_one(sql, &[&tenant.as_str(), &feed.as_str()])?.get(0))
}

/// The number of a feed of a tenant that was not removed.
fn live_feed(session: &mut Session, tenant: &TenantId, feed: &FeedName) -> Outcome<Option<i64>> {
    let sql = "SELECT number FROM ledger.feed WHERE tenant = $1 AND name = $2 AND NOT removed";
    let found = session.query_opt(sql, &[&tenant.as_str(), &feed.as_str()])?;
    Ok(found.map(|row| row.get(0)))
}
