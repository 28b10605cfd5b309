//! One ingest: one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use stella_model::{Digest, Instant, Kind, RecordId, TenantId};
use stella_records::{FACETS_VERSION, Format, RejectReason, Revision};

use crate::account::{Account, Fate};
use crate::prepare::{Blob, Prepared, PreparedDocument};
use crate::{FeedSpec, Ingest, IngestMode, IngestSummary, LedgerError, Origin, Quarantined, Seq};

use super::{SqliteLedger, advance, feed_number, head, storage_error, values};

/// What this ingest has met, so that it knows what it has not. Lives in SQLite's temporary file, so
/// that memory does not grow with the records.
const SEEN: &str = "
PRAGMA temp.cache_size = -8192;
CREATE TEMP TABLE seen(
  record_set INTEGER NOT NULL, id TEXT NOT NULL, content_digest BLOB NOT NULL, modified ANY,
  revision_version TEXT, format TEXT NOT NULL, path TEXT NOT NULL,
  PRIMARY KEY(record_set, id)
) STRICT, WITHOUT ROWID;
CREATE TEMP TABLE loser(
  record_set INTEGER NOT NULL, id TEXT NOT NULL, content_digest BLOB NOT NULL,
  PRIMARY KEY(record_set, id, content_digest)
) STRICT, WITHOUT ROWID;
CREATE TEMP TABLE removed(
  record_set INTEGER NOT NULL, id TEXT NOT NULL, PRIMARY KEY(record_set, id)
) STRICT, WITHOUT ROWID;
";

/// What vanishes with a replacement: what the input did not have.
const UNSEEN: &str = "AND NOT EXISTS (SELECT 1 FROM temp.seen AS s
                        WHERE s.record_set = v.record_set AND s.id = v.id)";

/// What vanishes otherwise: what the input said is gone.
const REMOVED: &str = "AND EXISTS (SELECT 1 FROM temp.removed AS r
                         WHERE r.record_set = v.record_set AND r.id = v.id)
                       AND NOT EXISTS (SELECT 1 FROM temp.seen AS s
                         WHERE s.record_set = v.record_set AND s.id = v.id)";

/// An ingest under way: a transaction that is taken back unless it is committed.
pub(super) struct Running {
    db: Connection,
    file: Arc<Path>,
    feed: i64,
    at: Instant,
    /// The sequence that this ingest gets if it changes anything.
    next: Seq,
    number: i64,
    sets: BTreeMap<Kind, Set>,
    original: Original,
    had_quarantine: bool,
    account: Account,
}

/// What an ingest knows of a set from its beginning.
struct Set {
    number: i64,
    /// It never held anything, so there is nothing to look up.
    fresh: bool,
    blocked: BTreeSet<String>,
}

/// Numbers of received documents.
struct Original {
    last: i64,
    /// Records that use the document at hand; 0 if it is not stored.
    uses: i64,
}

/// The newest row of an identity.
struct Held {
    seq: i64,
    digest: Digest,
    modified: Option<Instant>,
    /// `None` for a tombstone.
    content: Option<Content>,
}

/// What the newest row of an identity has that is no tombstone.
struct Content {
    number: i64,
    format: Format,
}

/// The version of an identity that this ingest goes with so far.
struct Candidate {
    digest: Digest,
    revision: Revision,
    path: String,
}

impl SqliteLedger {
    /// Begins an ingest.
    pub(super) fn begin_ingest(
        &self,
        feed: &FeedSpec,
        mode: IngestMode,
        at: Instant,
    ) -> Result<Running, LedgerError> {
        let db = self.writer()?;
        self.refuse_of_library(&db, &feed.name)?;
        let begin = |db: &Connection| -> rusqlite::Result<_> {
            db.execute_batch(SEEN)?;
            let before = head(db)?;
            let number = put_feed(db, &self.tenant, feed)?;
            let maximum = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
            let ingest = maximum("SELECT coalesce(max(number), 0) + 1 FROM ingest")?;
            let last = maximum("SELECT coalesce(max(number), 0) FROM original")?;
            let held = "SELECT EXISTS(SELECT 1 FROM quarantine WHERE feed = ?1)";
            let had_quarantine = db.query_row(held, [number], |row| row.get(0))?;
            Ok((before, number, ingest, last, had_quarantine))
        };
        let (before, feed_number, number, last, had_quarantine) =
            begin(&db).map_err(|error| self.error("begin an ingest", error))?;
        Ok(Running {
            db,
            file: Arc::clone(&self.path),
            feed: feed_number,
            at,
            next: Seq(before.0 + 1),
            number,
            sets: BTreeMap::new(),
            original: Original { last, uses: 0 },
            had_quarantine,
            account: Account::new(feed.name.clone(), mode, before),
        })
    }
}

impl Ingest for Running {
    fn put(&mut self, document: &PreparedDocument) -> Result<(), LedgerError> {
        self.put_document(document).map_err(|error| self.error("store a document", error))
    }

    fn remove(&mut self, kind: &Kind, id: &RecordId) -> Result<(), LedgerError> {
        self.put_removed(kind, id).map_err(|error| self.error("note a removal", error))
    }

    fn set_origin(&mut self, origin: &Origin) -> Result<(), LedgerError> {
        self.account.has_origin = true;
        self.put_origin(origin).map_err(|error| self.error("note an origin", error))
    }

    fn quarantine(&mut self, document: &Quarantined) -> Result<(), LedgerError> {
        self.put_quarantine(document).map_err(|error| self.error("note a rejection", error))
    }

    fn read_error(&mut self, document: &Quarantined) -> Result<(), LedgerError> {
        self.account.count_read_error(document);
        self.quarantine(document)
    }

    fn count_companion(&mut self) {
        self.account.summary.companions += 1;
    }

    fn count_ignored(&mut self) {
        self.account.summary.ignored += 1;
    }

    fn commit(mut self: Box<Self>) -> Result<IngestSummary, LedgerError> {
        self.finish()?;
        self.db.execute_batch("COMMIT").map_err(|error| self.error("commit an ingest", error))?;
        // The log of a large ingest is as large as the ingest: written back and cut off now. A
        // reader at work may keep that from happening; the next commit then does it.
        let checkpoint = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        checkpoint.ok();
        Ok(self.account.summary)
    }

    fn preview(mut self: Box<Self>) -> Result<IngestSummary, LedgerError> {
        self.finish()?;
        Ok(self.account.summary)
    }
}

impl Running {
    fn error(&self, action: &'static str, error: rusqlite::Error) -> LedgerError {
        storage_error(&self.file, action, error)
    }

    fn put_document(&mut self, document: &PreparedDocument) -> rusqlite::Result<()> {
        self.account.count_document(document);
        if self.had_quarantine {
            // Mended since: an entry of an earlier ingest is no longer true.
            let sql = "DELETE FROM quarantine WHERE feed = ?1 AND path = ?2 AND ingest < ?3";
            let mut statement = self.db.prepare_cached(sql)?;
            statement.execute(params![self.feed, document.path, self.number])?;
        }
        self.original.uses = 0;
        for record in &document.records {
            self.put_record(&document.path, record)?;
        }
        if let (Some(blob), 1..) = (&document.original, self.original.uses) {
            let sql = "INSERT INTO original(number, uses, size, encoding, bytes) VALUES(?1, ?2, ?3, ?4, ?5)";
            self.db.prepare_cached(sql)?.execute(params![
                self.original.last,
                self.original.uses,
                values::integer(blob.size),
                blob.encoding.number(),
                &*blob.bytes
            ])?;
        }
        Ok(())
    }

    fn put_removed(&mut self, kind: &Kind, id: &RecordId) -> rusqlite::Result<()> {
        self.open_set(kind)?;
        self.account.removes = true;
        let sql = "INSERT INTO temp.removed VALUES(?1, ?2) ON CONFLICT DO NOTHING";
        let number = self.sets[kind].number;
        self.db.prepare_cached(sql)?.execute(params![number, id.as_str()])?;
        Ok(())
    }

    fn put_origin(&self, origin: &Origin) -> rusqlite::Result<()> {
        let Origin { ledger, epoch, tenant, sequence } = origin;
        let (epoch, sequence) = (values::integer(*epoch), values::integer(*sequence));
        let sql = "INSERT OR REPLACE INTO origin(feed, ledger, epoch, tenant, sequence)
                   VALUES(?1, ?2, ?3, ?4, ?5)";
        self.db.execute(sql, params![self.feed, ledger, epoch, tenant.as_str(), sequence])?;
        Ok(())
    }

    fn put_record(&mut self, path: &str, record: &Prepared) -> rusqlite::Result<()> {
        self.open_set(&record.kind)?;
        let set = &self.sets[&record.kind];
        let (set_number, blocked) = (set.number, set.blocked.contains(record.id.as_str()));
        let sql = "INSERT INTO temp.seen VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
        let first = self.db.prepare_cached(sql)?.execute(params![
            set_number,
            record.id.as_str(),
            &record.content_digest.as_bytes()[..],
            values::time(record.revision.time),
            record.revision.version,
            record.format.as_str(),
            path
        ])? == 1;
        if blocked {
            self.account.summary.blocked += u64::from(first);
            return Ok(());
        }
        if first {
            let fate = self.store(record)?;
            self.account.count_first(&record.kind, fate);
            return Ok(());
        }
        self.put_rival(path, record, set_number)
    }

    /// Decides between two documents of this ingest that claim one identity.
    fn put_rival(&mut self, path: &str, record: &Prepared, set: i64) -> rusqlite::Result<()> {
        let candidate = self.candidate(set, record.id.as_str())?;
        if candidate.digest == record.content_digest {
            self.account.summary.repeated += 1;
            return Ok(());
        }
        let wins =
            (&record.revision, record.content_digest) > (&candidate.revision, candidate.digest);
        let (loser, digest) = match wins {
            true => (candidate.path.as_str(), candidate.digest),
            false => (path, record.content_digest),
        };
        let sql = "INSERT INTO temp.loser VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING";
        let key = params![set, record.id.as_str(), &digest.as_bytes()[..]];
        if self.db.prepare_cached(sql)?.execute(key)? == 0 {
            self.account.summary.repeated += 1;
            return Ok(());
        }
        self.put_quarantine(&Quarantined {
            path: loser.to_owned(),
            reason: RejectReason::DuplicateIdentity.as_str().to_owned(),
            offset: None,
            detail: format!("another version of {} {} won", record.kind, record.id),
        })?;
        if wins { self.replace_candidate(path, record, set, &candidate) } else { Ok(()) }
    }

    fn replace_candidate(
        &mut self,
        path: &str,
        record: &Prepared,
        set: i64,
        candidate: &Candidate,
    ) -> rusqlite::Result<()> {
        let fate = self.undo(set, record.id.as_str(), candidate)?;
        *self.account.counter(fate) -= 1;
        let sql = "UPDATE temp.seen SET content_digest = ?3, modified = ?4, revision_version = ?5,
                   format = ?6, path = ?7 WHERE record_set = ?1 AND id = ?2";
        self.db.prepare_cached(sql)?.execute(params![
            set,
            record.id.as_str(),
            &record.content_digest.as_bytes()[..],
            values::time(record.revision.time),
            record.revision.version,
            record.format.as_str(),
            path
        ])?;
        let fate = self.store(record)?;
        *self.account.counter(fate) += 1;
        Ok(())
    }

    /// Stores a record if it wins against what the feed holds.
    fn store(&mut self, record: &Prepared) -> rusqlite::Result<Fate> {
        let set = &self.sets[&record.kind];
        let (number, fresh) = (set.number, set.fresh);
        let held = if fresh { None } else { held(&self.db, number, record.id.as_str())? };
        let there = held.as_ref().and_then(|held| Some((held, held.content.as_ref()?)));
        let fate = match there {
            None => Fate::Added,
            Some((held, content)) => {
                let revision = || revision(&self.db, content, held.modified);
                self.account.fate(record, Some(held.digest), revision)?
            }
        };
        if !fate.is_stored() {
            return Ok(fate);
        }
        if let Some(held) = held {
            supersede(&self.db, number, record.id.as_str(), held.seq, self.next)?;
        }
        let content = self.insert_content(record)?;
        let sql =
            "INSERT INTO version(record_set, id, seq, content_digest, size, modified, format, content)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        self.db.prepare_cached(sql)?.execute(params![
            number,
            record.id.as_str(),
            values::integer(self.next.0),
            &record.content_digest.as_bytes()[..],
            values::integer(record.content.size),
            values::time(record.revision.time),
            record.format.as_str(),
            content
        ])?;
        Ok(fate)
    }

    fn insert_content(&mut self, record: &Prepared) -> rusqlite::Result<i64> {
        let original = (!record.verbatim).then(|| {
            if self.original.uses == 0 {
                self.original.last += 1;
            }
            self.original.uses += 1;
            self.original.last
        });
        let Blob { encoding, bytes, .. } = &record.content;
        let sql = "INSERT INTO content(revision_version, original, encoding, bytes)
                   VALUES(?1, ?2, ?3, ?4)";
        let number = self.db.prepare_cached(sql)?.insert(params![
            record.revision.version,
            original,
            encoding.number(),
            &**bytes
        ])?;
        let sql = "INSERT INTO facet(content, facets_version, facets) VALUES(?1, ?2, ?3)";
        self.db.prepare_cached(sql)?.execute(params![number, FACETS_VERSION, record.facets])?;
        Ok(number)
    }

    /// Takes back what this ingest did with an identity, and tells what that was.
    fn undo(&mut self, set: i64, id: &str, candidate: &Candidate) -> rusqlite::Result<Fate> {
        let next = values::integer(self.next.0);
        let sql =
            "DELETE FROM version WHERE record_set = ?1 AND id = ?2 AND seq = ?3 RETURNING content";
        let content: Option<i64> = self
            .db
            .prepare_cached(sql)?
            .query_row(params![set, id, next], |row| row.get(0))
            .optional()?;
        let Some(content) = content else {
            let held = held(&self.db, set, id)?;
            let same = held.is_some_and(|held| held.digest == candidate.digest);
            return Ok(if same { Fate::Unchanged } else { Fate::Older });
        };
        let sql = "DELETE FROM content WHERE number = ?1 RETURNING original";
        let mut statement = self.db.prepare_cached(sql)?;
        let original: Option<i64> = statement.query_row([content], |row| row.get(0))?;
        drop(statement);
        self.db.prepare_cached("DELETE FROM facet WHERE content = ?1")?.execute([content])?;
        match original {
            // Still at hand: it is stored once its records are known.
            Some(number) if number == self.original.last && self.original.uses > 0 => {
                self.original.uses -= 1;
            }
            Some(number) => release_original(&self.db, number)?,
            None => {}
        }
        let sql = "UPDATE version SET superseded_by = NULL
                   WHERE record_set = ?1 AND id = ?2 AND superseded_by = ?3 RETURNING gone";
        let mut statement = self.db.prepare_cached(sql)?;
        let gone: Option<i64> =
            statement.query_row(params![set, id, next], |row| row.get(0)).optional()?;
        Ok(if gone == Some(0) { Fate::Updated } else { Fate::Added })
    }

    fn candidate(&self, set: i64, id: &str) -> rusqlite::Result<Candidate> {
        let sql = "SELECT content_digest, modified, revision_version, format, path FROM temp.seen
                   WHERE record_set = ?1 AND id = ?2";
        self.db.prepare_cached(sql)?.query_row(params![set, id], |row| {
            Ok(Candidate {
                digest: values::to_digest(row.get_ref(0)?)?,
                revision: Revision {
                    time: values::to_time(row.get_ref(1)?)?,
                    version: row.get(2)?,
                    order: values::to_format(row.get_ref(3)?)?.revision_order(),
                },
                path: row.get(4)?,
            })
        })
    }

    /// Looks a set up when its first record comes.
    fn open_set(&mut self, kind: &Kind) -> rusqlite::Result<()> {
        if self.sets.contains_key(kind) {
            return Ok(());
        }
        let number = set_number(&self.db, self.feed, kind)?;
        let held = "SELECT NOT EXISTS(SELECT 1 FROM version WHERE record_set = ?1)";
        let fresh = self.db.query_row(held, [number], |row| row.get(0))?;
        let mut statement = self.db.prepare("SELECT id FROM block WHERE record_set = ?1")?;
        let blocked = statement.query_map([number], |row| row.get(0))?;
        let blocked = blocked.collect::<rusqlite::Result<_>>()?;
        self.sets.insert(kind.clone(), Set { number, fresh, blocked });
        Ok(())
    }

    fn put_quarantine(&mut self, document: &Quarantined) -> rusqlite::Result<()> {
        let sql = "INSERT INTO quarantine(feed, path, offset, reason, detail, ingest)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT(feed, path, offset, reason, detail) DO UPDATE SET ingest = excluded.ingest";
        self.db.prepare_cached(sql)?.execute(params![
            self.feed,
            document.path,
            document.offset.map_or(-1, values::integer),
            document.reason,
            document.detail,
            self.number
        ])?;
        self.account.count_rejection(document);
        Ok(())
    }

    /// Everything of a commit but the commit.
    fn finish(&mut self) -> Result<(), LedgerError> {
        self.account.check_whole()?;
        if self.account.may_drop() {
            let (held, vanished) =
                self.count_vanished().map_err(|error| self.error("count what vanishes", error))?;
            self.account.count_vanished(held, vanished)?;
        }
        self.write_end().map_err(|error| self.error("end an ingest", error))
    }

    /// Which live records of the feed vanish, as a condition over `v`.
    fn vanishing(&self) -> &'static str {
        if self.account.replaces() { UNSEEN } else { REMOVED }
    }

    /// Records that the feed held before, and how many of them vanish.
    fn count_vanished(&self) -> rusqlite::Result<(u64, u64)> {
        let next = values::integer(self.next.0);
        let held = "SELECT count(*) FROM version WHERE record_set IN
                      (SELECT number FROM record_set WHERE feed = ?1)
                    AND seq < ?2 AND gone = 0 AND (superseded_by IS NULL OR superseded_by = ?2)";
        let held: i64 = self.db.query_row(held, params![self.feed, next], |row| row.get(0))?;
        let vanished = format!(
            "SELECT count(*) FROM version AS v WHERE record_set IN
               (SELECT number FROM record_set WHERE feed = ?1)
             AND superseded_by IS NULL AND gone = 0 {}",
            self.vanishing()
        );
        let vanished: i64 = self.db.query_row(&vanished, [self.feed], |row| row.get(0))?;
        Ok((held.unsigned_abs(), vanished.unsigned_abs()))
    }

    fn write_end(&mut self) -> rusqlite::Result<()> {
        if self.account.replaces() {
            // The input is the whole feed, so what it did not reject is no longer in quarantine.
            let sql = "DELETE FROM quarantine WHERE feed = ?1 AND ingest < ?2";
            self.db.execute(sql, params![self.feed, self.number])?;
        }
        if self.account.summary.vanished > 0 {
            bury(&self.db, self.feed, self.next, self.vanishing())?;
        }
        if self.account.changes() {
            if !self.account.has_origin {
                self.db.execute("DELETE FROM origin WHERE feed = ?1", [self.feed])?;
            }
            advance(&self.db, self.feed, self.next)?;
            self.account.summary.seq_to = self.next;
        }
        let (mode, accepted) = (self.account.mode_name(), self.account.accepted());
        let summary = serde_json::to_string(&self.account.summary)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let sql = "INSERT INTO ingest(number, feed, at, mode, accepted, summary)
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
        let at = values::time(Some(self.at));
        self.db.execute(sql, params![self.number, self.feed, at, mode, accepted, summary])?;
        Ok(())
    }
}

#[cfg(test)]
impl Running {
    /// What was done so far.
    pub(super) fn summary(&self) -> &IngestSummary {
        &self.account.summary
    }

    /// Makes every page go to the file at once.
    pub(super) fn shrink_cache(&self) {
        self.db.pragma_update(None, "cache_size", 4).expect("a pragma");
        self.db.pragma_update(None, "cache_spill", 1).expect("a pragma");
    }

    /// Makes the disk full at a length of the file.
    pub(super) fn limit_pages(&self, pages: i64) {
        let limited = self.db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()));
        limited.expect("a pragma");
    }
}

/// Turns the live records of a feed for which `condition` holds (over `v`) into tombstones.
pub(super) fn bury(
    db: &Connection,
    feed: i64,
    next: Seq,
    condition: &str,
) -> rusqlite::Result<usize> {
    let next = values::integer(next.0);
    let sets: Vec<i64> = db
        .prepare("SELECT number FROM record_set WHERE feed = ?1")?
        .query_map([feed], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let insert = format!(
        "INSERT INTO version(record_set, id, seq, content_digest, size, gone)
         SELECT record_set, id, ?2, content_digest, 0, 1 FROM version AS v
         WHERE record_set = ?1 AND superseded_by IS NULL AND gone = 0 AND seq < ?2 {condition}"
    );
    let update = "UPDATE version AS v SET superseded_by = ?2
                  WHERE record_set = ?1 AND superseded_by IS NULL AND gone = 0 AND seq < ?2
                  AND EXISTS (SELECT 1 FROM version AS t WHERE t.record_set = v.record_set
                    AND t.id = v.id AND t.seq = ?2 AND t.gone = 1)";
    let mut buried = 0;
    for set in sets {
        let count = db.prepare(&insert)?.execute(params![set, next])?;
        if count > 0 {
            db.prepare(update)?.execute(params![set, next])?;
        }
        buried += count;
    }
    Ok(buried)
}

/// The number of a set, which is made if it is new.
pub(super) fn set_number(db: &Connection, feed: i64, kind: &Kind) -> rusqlite::Result<i64> {
    let find = "SELECT number FROM record_set WHERE feed = ?1 AND kind = ?2";
    let found = db.query_row(find, params![feed, kind.as_str()], |row| row.get(0)).optional()?;
    match found {
        Some(number) => Ok(number),
        None => {
            let sql = "INSERT INTO record_set(feed, kind, state) VALUES(?1, ?2, randomblob(16))";
            db.prepare(sql)?.insert(params![feed, kind.as_str()])
        }
    }
}

/// One record less uses a received document; the last one takes it along.
pub(super) fn release_original(db: &Connection, number: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE original SET uses = uses - 1 WHERE number = ?1")?
        .execute([number])?;
    db.prepare_cached("DELETE FROM original WHERE number = ?1 AND uses <= 0")?.execute([number])?;
    Ok(())
}

pub(super) fn supersede(
    db: &Connection,
    set: i64,
    id: &str,
    seq: i64,
    next: Seq,
) -> rusqlite::Result<()> {
    let sql =
        "UPDATE version SET superseded_by = ?4 WHERE record_set = ?1 AND id = ?2 AND seq = ?3";
    db.prepare_cached(sql)?.execute(params![set, id, seq, values::integer(next.0)])?;
    Ok(())
}

fn put_feed(db: &Connection, tenant: &TenantId, feed: &FeedSpec) -> rusqlite::Result<i64> {
    let number = match feed_number(db, tenant, feed.name.as_str())? {
        Some(number) => number,
        None => db
            .prepare("INSERT INTO feed(tenant, name) VALUES(?1, ?2)")?
            .insert(params![tenant.as_str(), feed.name.as_str()])?,
    };
    let sql = "UPDATE feed SET removed = 0, publisher = coalesce(?2, publisher),
               licence = coalesce(?3, licence), attribution = coalesce(?4, attribution),
               redistribution = coalesce(?5, redistribution) WHERE number = ?1";
    db.execute(
        sql,
        params![number, feed.publisher, feed.licence, feed.attribution, feed.redistribution],
    )?;
    Ok(number)
}

fn held(db: &Connection, set: i64, id: &str) -> rusqlite::Result<Option<Held>> {
    let sql = "SELECT seq, content_digest, modified, content, format FROM version
               WHERE record_set = ?1 AND id = ?2 ORDER BY seq DESC LIMIT 1";
    let read = |row: &Row<'_>| {
        let content = match row.get(3)? {
            Some(number) => Some(Content { number, format: values::to_format(row.get_ref(4)?)? }),
            None => None,
        };
        Ok(Held {
            seq: row.get(0)?,
            digest: values::to_digest(row.get_ref(1)?)?,
            modified: values::to_time(row.get_ref(2)?)?,
            content,
        })
    };
    db.prepare_cached(sql)?.query_row(params![set, id], read).optional()
}

/// The revision of a content that is held.
fn revision(
    db: &Connection,
    content: &Content,
    time: Option<Instant>,
) -> rusqlite::Result<Revision> {
    let sql = "SELECT revision_version FROM content WHERE number = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let version = statement.query_row([content.number], |row| row.get(0))?;
    Ok(Revision { time, version, order: content.format.revision_order() })
}
