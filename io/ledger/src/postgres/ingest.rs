//! One ingest: one transaction.
//!
//! Records are taken in batches: a batch costs a handful of statements however many records it has.
//! Only where two documents of one ingest claim one identity are they decided one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use postgres::Row;
use stella_model::{Digest, DigestBuilder, Instant, Kind, RecordId, TenantId};
use stella_records::{FACETS_VERSION, Format, RejectReason, Revision};

use crate::account::{Account, Fate};
use crate::prepare::{Prepared, PreparedDocument};
use crate::{FeedSpec, Ingest, IngestMode, IngestSummary, LedgerError, Origin, Quarantined, Seq};

use super::library::refuse_of_library;
use super::{Failure, Outcome, PostgresLedger, Session, Shared, values};

/// What this ingest has met and what becomes of it, so that memory does not grow with the records.
/// `held` is the sequence of the newest row that was there before.
const SEEN: &str = "
CREATE TEMP TABLE seen(
  record_set bigint NOT NULL, id bytea NOT NULL, content_digest bytea NOT NULL, modified text,
  revision_version bytea, format text NOT NULL, path bytea NOT NULL, size bigint NOT NULL,
  fate smallint NOT NULL, held bigint, content bigint, place bigint NOT NULL,
  PRIMARY KEY(record_set, id)
) ON COMMIT DROP;
CREATE TEMP TABLE loser(
  record_set bigint NOT NULL, id bytea NOT NULL, content_digest bytea NOT NULL,
  PRIMARY KEY(record_set, id, content_digest)
) ON COMMIT DROP;
CREATE TEMP TABLE removed(
  record_set bigint NOT NULL, id bytea NOT NULL, PRIMARY KEY(record_set, id)
) ON COMMIT DROP;
";

/// What vanishes with a replacement: what the input did not have.
const UNSEEN: &str = "NOT EXISTS (SELECT 1 FROM pg_temp.seen AS s
                        WHERE s.record_set = v.record_set AND s.id = v.id)";

/// What vanishes otherwise: what the input said is gone.
const REMOVED: &str = "EXISTS (SELECT 1 FROM pg_temp.removed AS r
                         WHERE r.record_set = v.record_set AND r.id = v.id)
                       AND NOT EXISTS (SELECT 1 FROM pg_temp.seen AS s
                         WHERE s.record_set = v.record_set AND s.id = v.id)";

/// Records and bytes of a batch.
const BATCH_RECORDS: usize = 1024;
const BATCH_BYTES: usize = 4 << 20;

/// An ingest under way: a transaction that is taken back with its connection unless it is committed.
pub(super) struct Running {
    session: Option<Session>,
    shared: Arc<Shared>,
    feed: i64,
    at: Instant,
    number: i64,
    sets: BTreeMap<Kind, Set>,
    had_quarantine: bool,
    batch: Vec<PreparedDocument>,
    batch_records: usize,
    batch_bytes: usize,
    account: Account,
}

/// What an ingest knows of a set from its beginning.
struct Set {
    number: i64,
    /// It never held anything, so there is nothing to look up.
    fresh: bool,
    blocked: BTreeSet<Vec<u8>>,
}

/// The newest row of an identity.
struct Held {
    seq: i64,
    digest: Digest,
    /// `None` for a tombstone.
    revision: Option<Revision>,
}

/// A record of a batch on its way.
struct Entry<'b> {
    document: usize,
    path: &'b str,
    record: &'b Prepared,
    set: i64,
    fate: Fate,
    held: Option<i64>,
    /// The number of its content, if it is stored.
    content: Option<i64>,
}

/// The received bytes of each document of a batch, where records need them.
struct Originals<'b> {
    documents: &'b [PreparedDocument],
    numbers: Vec<Option<i64>>,
}

impl PostgresLedger {
    /// Begins an ingest.
    pub(super) fn begin_ingest(
        &self,
        feed: &FeedSpec,
        mode: IngestMode,
        at: Instant,
    ) -> Result<Running, LedgerError> {
        let begin = || -> Outcome<_> {
            let mut session = self.begin()?;
            let before = session.head()?;
            let name = &feed.name;
            let feed = put_feed(&mut session, &self.tenant, feed)?;
            // Whoever subscribes waits for that row too: it stays as it is seen here.
            refuse_of_library(&mut session, &self.tenant, name)?;
            session.client.batch_execute(SEEN)?;
            let number = session.query_one("SELECT nextval('ledger.ingest_number')", &[])?.get(0);
            let held = "SELECT EXISTS(SELECT 1 FROM ledger.quarantine WHERE feed = $1)";
            let had_quarantine = session.query_one(held, &[&feed])?.get(0);
            Ok((session, before, feed, number, had_quarantine))
        };
        let (session, before, number_of_feed, number, had_quarantine) =
            begin().map_err(|failure| failure.of(&self.shared.place, "begin an ingest"))?;
        Ok(Running {
            session: Some(session),
            shared: Arc::clone(&self.shared),
            feed: number_of_feed,
            at,
            number,
            sets: BTreeMap::new(),
            had_quarantine,
            batch: Vec::new(),
            batch_records: 0,
            batch_bytes: 0,
            account: Account::new(feed.name.clone(), mode, before),
        })
    }
}

impl Ingest for Running {
    fn put(&mut self, document: &PreparedDocument) -> Result<(), LedgerError> {
        self.account.count_document(document);
        self.batch_records += document.records.len() + 1;
        self.batch_bytes += document.weight();
        self.batch.push(document.clone());
        if self.batch_records >= BATCH_RECORDS || self.batch_bytes >= BATCH_BYTES {
            return self.flush();
        }
        Ok(())
    }

    fn remove(&mut self, kind: &Kind, id: &RecordId) -> Result<(), LedgerError> {
        self.account.removes = true;
        self.with("note a removal", |running, session| {
            running.open_set(session, kind)?;
            let sql = "INSERT INTO pg_temp.removed VALUES($1, $2) ON CONFLICT DO NOTHING";
            let number = running.sets[kind].number;
            session.execute(sql, &[&number, &id.as_str().as_bytes()]).map(|_| ())
        })
    }

    fn set_origin(&mut self, origin: &Origin) -> Result<(), LedgerError> {
        self.account.has_origin = true;
        self.with("note an origin", |running, session| {
            let Origin { ledger, epoch, tenant, sequence } = origin;
            let (epoch, sequence) = (values::integer(*epoch), values::integer(*sequence));
            let sql = "INSERT INTO ledger.origin(feed, ledger, epoch, tenant, sequence)
                       VALUES($1, $2, $3, $4, $5) ON CONFLICT(feed) DO UPDATE SET
                         ledger = excluded.ledger, epoch = excluded.epoch,
                         tenant = excluded.tenant, sequence = excluded.sequence";
            let tenant = tenant.as_str();
            session.execute(sql, &[&running.feed, &ledger, &epoch, &tenant, &sequence]).map(|_| ())
        })
    }

    fn quarantine(&mut self, document: &Quarantined) -> Result<(), LedgerError> {
        self.with("note a rejection", |running, session| running.put_quarantine(session, document))
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
        self.with("commit an ingest", |_, session| Ok(session.client.batch_execute("COMMIT")?))?;
        if let Some(session) = self.session.take() {
            self.shared.put_back(session);
        }
        Ok(self.account.summary)
    }

    fn preview(mut self: Box<Self>) -> Result<IngestSummary, LedgerError> {
        self.finish()?;
        Ok(self.account.summary)
    }
}

impl Running {
    /// Runs statements of the transaction. After a failure there is none any more.
    fn with<T>(
        &mut self,
        action: &'static str,
        run: impl FnOnce(&mut Running, &mut Session) -> Outcome<T>,
    ) -> Result<T, LedgerError> {
        let Some(mut session) = self.session.take() else {
            let (place, source) =
                (self.shared.place.clone(), "the ingest has failed before".into());
            return Err(LedgerError::Storage { action, place, source });
        };
        let outcome = run(self, &mut session);
        if outcome.is_ok() {
            self.session = Some(session);
        }
        outcome.map_err(|failure| failure.of(&self.shared.place, action))
    }

    fn flush(&mut self) -> Result<(), LedgerError> {
        let batch = std::mem::take(&mut self.batch);
        (self.batch_records, self.batch_bytes) = (0, 0);
        if batch.is_empty() {
            return Ok(());
        }
        self.with("store documents", |running, session| running.put_batch(session, &batch))
    }

    fn put_batch(&mut self, session: &mut Session, batch: &[PreparedDocument]) -> Outcome<()> {
        if self.had_quarantine {
            // Mended since: an entry of an earlier ingest is no longer true.
            let paths: Vec<&[u8]> = batch.iter().map(|document| document.path.as_bytes()).collect();
            let sql = "DELETE FROM ledger.quarantine
                       WHERE feed = $1 AND path = ANY($2) AND ingest < $3";
            session.execute(sql, &[&self.feed, &paths, &self.number])?;
        }
        let mut entries = Vec::new();
        for (document, from) in batch.iter().enumerate() {
            for record in &from.records {
                self.open_set(session, &record.kind)?;
                let set = self.sets[&record.kind].number;
                let (path, fate) = (from.path.as_str(), Fate::Added);
                let (held, content) = (None, None);
                entries.push(Entry { document, path, record, set, fate, held, content });
            }
        }
        self.decide(session, &mut entries)?;
        let firsts = see(session, &entries)?;
        let mut originals = Originals { documents: batch, numbers: vec![None; batch.len()] };
        let (mut stored, mut rivals) = (Vec::new(), Vec::new());
        for (place, entry) in entries.iter().enumerate() {
            if !firsts.contains(&place) {
                rivals.push(entry);
                continue;
            }
            self.account.count_first(&entry.record.kind, entry.fate);
            if entry.fate.is_stored() {
                stored.push(entry);
            }
        }
        originals.store(session, &stored)?;
        store_contents(session, &stored, &originals)?;
        self.put_rivals(session, &rivals, &mut originals)
    }

    /// What becomes of records, held against what the feed holds.
    fn decide(&self, session: &mut Session, entries: &mut [Entry<'_>]) -> Outcome<()> {
        let places: Vec<usize> = (0..entries.len())
            .filter(|place| !self.sets[&entries[*place].record.kind].fresh)
            .collect();
        let (sets, ids): (Vec<i64>, Vec<&[u8]>) =
            places.iter().map(|place| identity(&entries[*place])).unzip();
        let mut held: BTreeMap<usize, Held> = BTreeMap::new();
        if !places.is_empty() {
            for row in session.query(HELD, &[&sets, &ids])? {
                let at = usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or(usize::MAX);
                if let Some(place) = places.get(at) {
                    held.insert(*place, to_held(&row, 1)?);
                }
            }
        }
        let mut stored = 0;
        for (place, entry) in entries.iter_mut().enumerate() {
            let set = &self.sets[&entry.record.kind];
            let held = held.get(&place);
            entry.held = held.map(|held| held.seq);
            entry.fate = match set.blocked.contains(entry.record.id.as_str().as_bytes()) {
                true => Fate::Blocked,
                false => {
                    let held = held.and_then(|held| Some((held.digest, held.revision.as_ref()?)));
                    let revision =
                        || held.map(|(_, revision)| revision.clone()).ok_or_else(damaged);
                    self.account.fate(entry.record, held.map(|(digest, _)| digest), revision)?
                }
            };
            stored += i64::from(entry.fate.is_stored());
        }
        let mut numbers = content_numbers(session, stored)?.into_iter();
        for entry in entries.iter_mut().filter(|entry| entry.fate.is_stored()) {
            entry.content = numbers.next();
        }
        Ok(())
    }

    /// Records whose identity this ingest has met before.
    fn put_rivals(
        &mut self,
        session: &mut Session,
        rivals: &[&Entry<'_>],
        originals: &mut Originals<'_>,
    ) -> Outcome<()> {
        let open: Vec<&&Entry<'_>> =
            rivals.iter().filter(|entry| entry.fate != Fate::Blocked).collect();
        if open.is_empty() {
            return Ok(());
        }
        let (sets, ids): (Vec<i64>, Vec<&[u8]>) = open.iter().map(|entry| identity(entry)).unzip();
        let sql = "SELECT k.place, s.content_digest
                   FROM unnest($1::bigint[], $2::bytea[]) WITH ORDINALITY AS k(record_set, id, place)
                   JOIN pg_temp.seen AS s ON s.record_set = k.record_set AND s.id = k.id
                   ORDER BY k.place";
        let known = session.query(sql, &[&sets, &ids])?;
        for (row, entry) in known.iter().zip(open) {
            // Most documents that come twice are equal.
            if values::to_digest(row, 1)? == entry.record.content_digest {
                self.account.summary.repeated += 1;
            } else {
                self.put_rival(session, entry, originals)?;
            }
        }
        Ok(())
    }

    /// Decides between two documents of this ingest that claim one identity.
    fn put_rival(
        &mut self,
        session: &mut Session,
        entry: &Entry<'_>,
        originals: &mut Originals<'_>,
    ) -> Outcome<()> {
        let Entry { path, record, set, .. } = *entry;
        let id = record.id.as_str().as_bytes();
        let sql = "SELECT content_digest, modified, revision_version, format, path, fate, content
                   FROM pg_temp.seen WHERE record_set = $1 AND id = $2";
        let row = session.query_one(sql, &[&set, &id])?;
        let digest = values::to_digest(&row, 0)?;
        if digest == record.content_digest {
            self.account.summary.repeated += 1;
            return Ok(());
        }
        let revision = to_revision(&row, 1)?;
        let wins = (&record.revision, record.content_digest) > (&revision, digest);
        let (loser, lost) = match wins {
            true => (values::to_text(&row, 4)?, digest),
            false => (path.to_owned(), record.content_digest),
        };
        let sql = "INSERT INTO pg_temp.loser VALUES($1, $2, $3) ON CONFLICT DO NOTHING";
        if session.execute(sql, &[&set, &id, &&lost.as_bytes()[..]])? == 0 {
            self.account.summary.repeated += 1;
            return Ok(());
        }
        self.put_quarantine(
            session,
            &Quarantined {
                path: loser,
                reason: RejectReason::DuplicateIdentity.as_str().to_owned(),
                offset: None,
                detail: format!("another version of {} {} won", record.kind, record.id),
            },
        )?;
        if wins {
            let fate = Fate::of_number(row.get(5)).ok_or_else(damaged)?;
            *self.account.counter(fate) -= 1;
            if let Some(content) = row.get::<_, Option<i64>>(6) {
                forget_content(session, content)?;
            }
            self.take_place(session, entry, originals)?;
        }
        Ok(())
    }

    /// Puts a record in the place of the one that this ingest went with so far.
    fn take_place(
        &mut self,
        session: &mut Session,
        entry: &Entry<'_>,
        originals: &mut Originals<'_>,
    ) -> Outcome<()> {
        let Entry { path, record, set, fate, content, .. } = *entry;
        *self.account.counter(fate) += 1;
        let sql = "UPDATE pg_temp.seen SET content_digest = $3, modified = $4,
                     revision_version = $5, format = $6, path = $7, size = $8, fate = $9,
                     content = $10 WHERE record_set = $1 AND id = $2";
        session.execute(
            sql,
            &[
                &set,
                &record.id.as_str().as_bytes(),
                &&record.content_digest.as_bytes()[..],
                &values::time(record.revision.time),
                &record.revision.version.as_ref().map(|version| version.as_bytes()),
                &record.format.as_str(),
                &path.as_bytes(),
                &values::integer(record.content.size),
                &fate.number(),
                &content,
            ],
        )?;
        if fate.is_stored() {
            originals.store(session, &[entry])?;
            store_contents(session, &[entry], originals)?;
        }
        Ok(())
    }

    /// Looks a set up when its first record comes.
    fn open_set(&mut self, session: &mut Session, kind: &Kind) -> Outcome<()> {
        if self.sets.contains_key(kind) {
            return Ok(());
        }
        let number = session.set_number(self.feed, kind.as_str())?;
        let held = "SELECT NOT EXISTS(SELECT 1 FROM ledger.version WHERE record_set = $1)";
        let fresh = session.query_one(held, &[&number])?.get(0);
        let sql = "SELECT id FROM ledger.block WHERE record_set = $1";
        let blocked = session.query(sql, &[&number])?.iter().map(|row| row.get(0)).collect();
        self.sets.insert(kind.clone(), Set { number, fresh, blocked });
        Ok(())
    }

    fn put_quarantine(&mut self, session: &mut Session, document: &Quarantined) -> Outcome<()> {
        let offset = document.offset.map(values::integer);
        let mut identity = DigestBuilder::new();
        identity
            .lp(document.path.as_bytes())
            .lp(document.reason.as_bytes())
            .lp(document.detail.as_bytes())
            .lp(&offset.unwrap_or(-1).to_be_bytes());
        let sql = "INSERT INTO ledger.quarantine
                     (feed, identity, path, \"offset\", reason, detail, ingest, at)
                   VALUES($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT(feed, identity)
                   DO UPDATE SET ingest = excluded.ingest, at = excluded.at";
        session.execute(
            sql,
            &[
                &self.feed,
                &&identity.finish().as_bytes()[..],
                &document.path.as_bytes(),
                &offset,
                &document.reason,
                &document.detail.as_bytes(),
                &self.number,
                &values::time(Some(self.at)),
            ],
        )?;
        self.account.count_rejection(document);
        Ok(())
    }

    /// Everything of a commit but the commit.
    fn finish(&mut self) -> Result<(), LedgerError> {
        self.flush()?;
        self.account.check_whole()?;
        if self.account.may_drop() {
            let (held, vanished) =
                self.with("count what vanishes", |running, session| running.vanished(session))?;
            self.account.count_vanished(held, vanished)?;
        }
        self.with("end an ingest", Running::write_end)
    }

    /// Which live records of the feed vanish, as a condition over `v`.
    fn vanishing(&self) -> &'static str {
        if self.account.replaces() { UNSEEN } else { REMOVED }
    }

    /// Records that the feed holds, and how many of them vanish.
    fn vanished(&self, session: &mut Session) -> Outcome<(u64, u64)> {
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE {})
             FROM ledger.version AS v WHERE superseded_by IS NULL AND gone = 0
             AND record_set IN (SELECT number FROM ledger.record_set WHERE feed = $1)",
            self.vanishing()
        );
        let row = session.query_one(&sql, &[&self.feed])?;
        let count = |at: usize| row.get::<_, i64>(at).unsigned_abs();
        Ok((count(0), count(1)))
    }

    fn write_end(&mut self, session: &mut Session) -> Outcome<()> {
        let feed = self.feed;
        if self.account.replaces() {
            // The input is the whole feed, so what it did not reject is no longer in quarantine.
            let sql = "DELETE FROM ledger.quarantine WHERE feed = $1 AND ingest < $2";
            session.execute(sql, &[&feed, &self.number])?;
        }
        let (before, after) = if self.account.changes() {
            // From here on others wait.
            let next = session.next()?;
            if !self.account.has_origin {
                session.execute("DELETE FROM ledger.origin WHERE feed = $1", &[&feed])?;
            }
            self.put_in_place(session, next)?;
            session.advance(feed, next)?;
            (Seq(next.0 - 1), next)
        } else {
            let head = session.head()?;
            (head, head)
        };
        let summary = &mut self.account.summary;
        (summary.seq_from, summary.seq_to) = (before, after);
        // A summary is names and numbers.
        let summary = serde_json::to_string(summary).unwrap_or_default();
        let sql = "INSERT INTO ledger.ingest(number, feed, at, mode, accepted, summary)
                   VALUES($1, $2, $3, $4, $5, $6)";
        let (at, account) = (values::time(Some(self.at)), &self.account);
        let (mode, accepted) = (account.mode_name(), account.accepted());
        session.execute(sql, &[&self.number, &feed, &at, &mode, &accepted, &summary])?;
        Ok(())
    }

    /// Makes what was seen the newest rows.
    fn put_in_place(&self, session: &mut Session, next: Seq) -> Outcome<()> {
        let seq = values::integer(next.0);
        session.client.batch_execute("ANALYZE pg_temp.seen")?;
        let sql = "INSERT INTO ledger.version(record_set, id, seq, content_digest, size, modified,
                     revision_version, format, content)
                   SELECT record_set, id, $1, content_digest, size, modified, revision_version,
                     format, content FROM pg_temp.seen WHERE content IS NOT NULL";
        session.execute(sql, &[&seq])?;
        let sql = "UPDATE ledger.version AS v SET superseded_by = $1 FROM pg_temp.seen AS s
                   WHERE s.content IS NOT NULL AND s.held IS NOT NULL
                   AND v.record_set = s.record_set AND v.id = s.id AND v.seq = s.held";
        session.execute(sql, &[&seq])?;
        if self.account.summary.vanished > 0 {
            session.bury(self.feed, next, &format!("AND {}", self.vanishing()))?;
        }
        Ok(())
    }
}

/// The newest row of each identity that has one.
const HELD: &str = "
SELECT k.place, v.seq, v.content_digest, v.modified, v.revision_version, v.format
FROM unnest($1::bigint[], $2::bytea[]) WITH ORDINALITY AS k(record_set, id, place)
CROSS JOIN LATERAL (
  SELECT seq, content_digest, modified, revision_version, format FROM ledger.version
  WHERE record_set = k.record_set AND id = k.id ORDER BY seq DESC LIMIT 1
) AS v";

fn identity<'b>(entry: &Entry<'b>) -> (i64, &'b [u8]) {
    (entry.set, entry.record.id.as_str().as_bytes())
}

fn to_held(row: &Row, at: usize) -> Outcome<Held> {
    let has_content = row.get::<_, Option<&str>>(at + 4).is_some();
    Ok(Held {
        seq: row.get(at),
        digest: values::to_digest(row, at + 1)?,
        revision: if has_content { Some(to_revision(row, at + 2)?) } else { None },
    })
}

/// The revision in three columns: time, version, and the format that orders them.
fn to_revision(row: &Row, at: usize) -> Outcome<Revision> {
    let has_version = row.get::<_, Option<&[u8]>>(at + 1).is_some();
    let format: Format = values::to_format(row, at + 2)?;
    Ok(Revision {
        time: values::to_time(row, at)?,
        version: if has_version { Some(values::to_text(row, at + 1)?) } else { None },
        order: format.revision_order(),
    })
}

/// Notes what was met; gives the places of those that this ingest had not met before.
fn see(session: &mut Session, entries: &[Entry<'_>]) -> Outcome<BTreeSet<usize>> {
    let sql = "INSERT INTO pg_temp.seen
               SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::text[], $5::bytea[],
                 $6::text[], $7::bytea[], $8::bigint[], $9::smallint[], $10::bigint[],
                 $11::bigint[]) WITH ORDINALITY
               ON CONFLICT DO NOTHING RETURNING place";
    let column = |value: fn(&Entry<'_>) -> i64| entries.iter().map(value).collect::<Vec<i64>>();
    let (sets, ids): (Vec<i64>, Vec<&[u8]>) = entries.iter().map(identity).unzip();
    let digests: Vec<&[u8]> =
        entries.iter().map(|entry| &entry.record.content_digest.as_bytes()[..]).collect();
    let times: Vec<Option<String>> =
        entries.iter().map(|entry| values::time(entry.record.revision.time)).collect();
    let versions: Vec<Option<&[u8]>> = entries
        .iter()
        .map(|entry| entry.record.revision.version.as_ref().map(|version| version.as_bytes()))
        .collect();
    let formats: Vec<&str> = entries.iter().map(|entry| entry.record.format.as_str()).collect();
    let paths: Vec<&[u8]> = entries.iter().map(|entry| entry.path.as_bytes()).collect();
    let sizes = column(|entry| values::integer(entry.record.content.size));
    let fates: Vec<i16> = entries.iter().map(|entry| entry.fate.number()).collect();
    let held: Vec<Option<i64>> = entries.iter().map(|entry| entry.held).collect();
    let contents: Vec<Option<i64>> = entries.iter().map(|entry| entry.content).collect();
    let rows = session.query(
        sql,
        &[
            &sets, &ids, &digests, &times, &versions, &formats, &paths, &sizes, &fates, &held,
            &contents,
        ],
    )?;
    let place = |row: &Row| usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or(usize::MAX);
    Ok(rows.iter().map(place).collect())
}

fn content_numbers(session: &mut Session, count: i64) -> Outcome<Vec<i64>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let sql = "SELECT nextval('ledger.content_number') FROM generate_series(1, $1::bigint)";
    Ok(session.query(sql, &[&count])?.iter().map(|row| row.get(0)).collect())
}

fn store_contents(
    session: &mut Session,
    entries: &[&Entry<'_>],
    originals: &Originals<'_>,
) -> Outcome<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let numbers: Vec<Option<i64>> = entries.iter().map(|entry| entry.content).collect();
    let original = |entry: &&Entry<'_>| match entry.record.verbatim {
        true => None,
        false => originals.numbers.get(entry.document).copied().flatten(),
    };
    let received: Vec<Option<i64>> = entries.iter().map(original).collect();
    let encoding = |entry: &&Entry<'_>| encoding(&entry.record.content);
    let encodings: Vec<i16> = entries.iter().map(encoding).collect();
    let bytes: Vec<&[u8]> = entries.iter().map(|entry| &*entry.record.content.bytes).collect();
    let sql = "INSERT INTO ledger.content(number, original, encoding, bytes)
               SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::bytea[])";
    session.execute(sql, &[&numbers, &received, &encodings, &bytes])?;
    let facets: Vec<&[u8]> = entries.iter().map(|entry| entry.record.facets.as_bytes()).collect();
    let sql = "INSERT INTO ledger.facet(content, facets_version, facets)
               SELECT content, $1, facets
               FROM unnest($2::bigint[], $3::bytea[]) AS f(content, facets)";
    session.execute(sql, &[&i64::from(FACETS_VERSION), &numbers, &facets])?;
    Ok(())
}

fn encoding(blob: &crate::prepare::Blob) -> i16 {
    i16::try_from(blob.encoding.number()).unwrap_or(i16::MAX)
}

/// Takes back a content of this ingest.
fn forget_content(session: &mut Session, content: i64) -> Outcome<()> {
    let sql = "DELETE FROM ledger.content WHERE number = $1 RETURNING original";
    let original: Option<i64> = session.query_one(sql, &[&content])?.get(0);
    session.execute("DELETE FROM ledger.facet WHERE content = $1", &[&content])?;
    if let Some(number) = original {
        session
            .execute("UPDATE ledger.original SET uses = uses - 1 WHERE number = $1", &[&number])?;
        let sql = "DELETE FROM ledger.original WHERE number = $1 AND uses <= 0";
        session.execute(sql, &[&number])?;
    }
    Ok(())
}

impl Originals<'_> {
    /// Stores the received bytes that records need, or notes that more records need them.
    fn store(&mut self, session: &mut Session, entries: &[&Entry<'_>]) -> Outcome<()> {
        let mut uses: BTreeMap<usize, i64> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| !entry.record.verbatim) {
            *uses.entry(entry.document).or_default() += 1;
        }
        let (mut numbers, mut counts, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut encodings, mut bytes) = (Vec::<i16>::new(), Vec::<&[u8]>::new());
        for (document, count) in uses {
            let Some(blob) = &self.documents[document].original else { continue };
            let number = match self.numbers[document] {
                Some(number) => number,
                None => {
                    let sql = "SELECT nextval('ledger.original_number')";
                    let number = session.query_one(sql, &[])?.get(0);
                    *self.numbers[document].insert(number)
                }
            };
            numbers.push(number);
            counts.push(count);
            sizes.push(values::integer(blob.size));
            encodings.push(encoding(blob));
            bytes.push(&blob.bytes);
        }
        if numbers.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO ledger.original(number, uses, size, encoding, bytes)
                   SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[],
                     $5::bytea[])
                   ON CONFLICT(number) DO UPDATE SET uses = original.uses + excluded.uses";
        session.execute(sql, &[&numbers, &counts, &sizes, &encodings, &bytes])?;
        Ok(())
    }
}

fn damaged() -> Failure {
    Failure::Damage("what an ingest has met is not what it noted".to_owned())
}

/// The number of a feed, which is made if it is new. No other writer changes it until the end of the
/// transaction.
fn put_feed(session: &mut Session, tenant: &TenantId, feed: &FeedSpec) -> Outcome<i64> {
    let names: [&(dyn postgres::types::ToSql + Sync); 2] = [&tenant.as_str(), &feed.name.as_str()];
    let make = "INSERT INTO ledger.feed(tenant, name) VALUES($1, $2) ON CONFLICT DO NOTHING";
    session.execute(make, &names)?;
    let find = "SELECT number FROM ledger.feed WHERE tenant = $1 AND name = $2 FOR UPDATE";
    let number: i64 = session.query_one(find, &names)?.get(0);
    let sql = "UPDATE ledger.feed SET removed = false, publisher = coalesce($2, publisher),
                 licence = coalesce($3, licence), attribution = coalesce($4, attribution),
                 redistribution = coalesce($5, redistribution) WHERE number = $1";
    session.execute(
        sql,
        &[&number, &feed.publisher, &feed.licence, &feed.attribution, &feed.redistribution],
    )?;
    Ok(number)
}
