//! The ledger on PostgreSQL, for workers on several machines.
//!
//! The tables are those of the embedded ledger, in the schema `ledger`. An ingest is one
//! transaction (INV-ATOMIC): documents go to their tables as they come, rows of the index to
//! temporary tables, and its end puts them in place under the next sequence. Ingests into one feed
//! wait for each other, those into several feeds only at their ends. Readers wait for nobody.

mod feeds;
mod ingest;
mod library;
mod read;
mod schema;
mod tls;
mod upkeep;
mod values;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{Client, Config, Statement};
use stella_model::{Instant, TenantId};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::stored::Damage;
use crate::{FeedSpec, Ingest, IngestMode, Ledger, LedgerError, Seq};

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(10);

/// What the planner shall leave out: every query that matters has an index in its order, and the
/// statistics of a table that was just filled say otherwise. To it, what is left out costs so much that
/// it would compile each statement.
const SETTINGS: &str = "SET enable_seqscan = off; SET enable_bitmapscan = off;
                        SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off";

/// A ledger in a PostgreSQL database, bound to one tenant.
pub struct PostgresLedger {
    shared: Arc<Shared>,
    tenant: TenantId,
    busy: Duration,
}

/// Connections, and what is said of where they lead.
struct Shared {
    config: Config,
    tls: MakeRustlsConnect,
    place: String,
    idle: Mutex<Vec<Session>>,
}

/// A connection with the statements that it has prepared.
struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
}

/// Why a statement did not give what it should.
enum Failure {
    Sql(postgres::Error),
    Damage(String),
    /// What was asked for cannot be: an answer, not a fault.
    Refused(LedgerError),
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Failure {
        Failure::Sql(error)
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Failure {
        Failure::Refused(error)
    }
}

impl From<Damage> for Failure {
    fn from(damage: Damage) -> Failure {
        Failure::Damage(damage.0)
    }
}

impl Failure {
    /// What it means for whoever attempted `action`.
    fn of(self, place: &str, action: &'static str) -> LedgerError {
        let place = place.to_owned();
        let error = match self {
            Failure::Damage(detail) => return LedgerError::Damaged { place, detail },
            Failure::Refused(error) => return error,
            Failure::Sql(error) => error,
        };
        let code = error.code().cloned();
        let is = |codes: &[SqlState]| code.as_ref().is_some_and(|code| codes.contains(code));
        if is_away(&error) {
            LedgerError::Unreachable { place, source: error.into() }
        } else if let Some(reason) = tls::reason(&error) {
            LedgerError::Tls { place, reason }
        } else if is(&[SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED]) {
            LedgerError::Busy { place }
        } else if is(&[SqlState::INSUFFICIENT_PRIVILEGE, SqlState::READ_ONLY_SQL_TRANSACTION]) {
            LedgerError::ReadOnly { place, reason: error.to_string() }
        } else if is(&[SqlState::DISK_FULL]) {
            LedgerError::Full { place }
        } else if is(&[SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED]) {
            LedgerError::Damaged { place, detail: error.to_string() }
        } else {
            LedgerError::Storage { action, place, source: error.into() }
        }
    }
}

/// Whether the server is not there, or goes or comes at this moment.
fn is_away(error: &postgres::Error) -> bool {
    use std::io::ErrorKind;
    let Some(code) = error.code() else {
        let cause = std::error::Error::source(error);
        let cause = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>());
        // What cannot be written as a message, or read as one, is no matter of the connection.
        let is_of_bytes = |kind| matches!(kind, ErrorKind::InvalidInput | ErrorKind::InvalidData);
        return error.is_closed() || cause.is_some_and(|cause| !is_of_bytes(cause.kind()));
    };
    // Connections that broke, and an operator who stops the server or has just started it.
    code.code().starts_with("08") || code.code().starts_with("57P")
}

type Outcome<T> = Result<T, Failure>;

impl Session {
    /// The statement, prepared once.
    fn statement(&mut self, sql: &str) -> Outcome<Statement> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(sql)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn query(&mut self, sql: &str, values: &Values<'_>) -> Outcome<Vec<postgres::Row>> {
        let statement = self.statement(sql)?;
        Ok(self.client.query(&statement, values)?)
    }

    fn query_opt(&mut self, sql: &str, values: &Values<'_>) -> Outcome<Option<postgres::Row>> {
        let statement = self.statement(sql)?;
        Ok(self.client.query_opt(&statement, values)?)
    }

    fn query_one(&mut self, sql: &str, values: &Values<'_>) -> Outcome<postgres::Row> {
        let statement = self.statement(sql)?;
        Ok(self.client.query_one(&statement, values)?)
    }

    fn execute(&mut self, sql: &str, values: &Values<'_>) -> Outcome<u64> {
        let statement = self.statement(sql)?;
        Ok(self.client.execute(&statement, values)?)
    }

    /// The newest sequence.
    fn head(&mut self) -> Outcome<Seq> {
        let head: i64 = self.query_one("SELECT head FROM ledger.ledger", &[])?.get(0);
        Ok(Seq(head.unsigned_abs()))
    }

    /// The sequence that a change gets. Every other change waits from here on for the end of this one.
    fn next(&mut self) -> Outcome<Seq> {
        let head: i64 = self.query_one("SELECT head FROM ledger.ledger FOR UPDATE", &[])?.get(0);
        Ok(Seq(head.unsigned_abs() + 1))
    }

    /// Takes the sequence that [`next`](Session::next) gave.
    fn set_head(&mut self, next: Seq) -> Outcome<()> {
        let next = values::integer(next.0);
        self.execute("UPDATE ledger.ledger SET head = $1", &[&next]).map(drop)
    }

    /// Ends a change of the records of a feed: a new sequence, and what its sets hold since.
    fn advance(&mut self, feed: i64, next: Seq) -> Outcome<()> {
        self.set_head(next)?;
        let next = values::integer(next.0);
        let sql = "UPDATE ledger.record_set AS r SET changed = $2, state = gen_random_uuid(),
                     live = (SELECT count(*) FROM ledger.version AS v
                             WHERE v.record_set = r.number AND v.superseded_by IS NULL AND v.gone = 0)
                   WHERE r.feed = $1 AND EXISTS(SELECT 1 FROM ledger.version AS v
                     WHERE v.record_set = r.number AND (v.seq = $2 OR v.superseded_by = $2))";
        self.execute(sql, &[&feed, &next])?;
        Ok(())
    }

    /// The number of a set, which is made if it is new.
    fn set_number(&mut self, feed: i64, kind: &str) -> Outcome<i64> {
        let find = "SELECT number FROM ledger.record_set WHERE feed = $1 AND kind = $2";
        if let Some(row) = self.query_opt(find, &[&feed, &kind])? {
            return Ok(row.get(0));
        }
        let make = "INSERT INTO ledger.record_set(feed, kind) VALUES($1, $2) RETURNING number";
        Ok(self.query_one(make, &[&feed, &kind])?.get(0))
    }

    /// Puts tombstones over the live records of a feed that `condition` is true of.
    fn bury(&mut self, feed: i64, next: Seq, condition: &str) -> Outcome<u64> {
        let next = values::integer(next.0);
        let insert = format!(
            "INSERT INTO ledger.version(record_set, id, seq, content_digest, size, gone)
             SELECT record_set, id, $2, content_digest, 0, 1 FROM ledger.version AS v
             WHERE record_set IN (SELECT number FROM ledger.record_set WHERE feed = $1)
             AND superseded_by IS NULL AND gone = 0 AND seq < $2 {condition}"
        );
        let buried = self.execute(&insert, &[&feed, &next])?;
        let update = "UPDATE ledger.version AS v SET superseded_by = $2 FROM ledger.version AS t
                      WHERE v.record_set IN (SELECT number FROM ledger.record_set WHERE feed = $1)
                      AND v.superseded_by IS NULL AND v.gone = 0 AND v.seq < $2
                      AND t.record_set = v.record_set AND t.id = v.id AND t.seq = $2 AND t.gone = 1";
        self.execute(update, &[&feed, &next])?;
        Ok(buried)
    }
}

/// Values of a statement.
type Values<'v> = [&'v (dyn postgres::types::ToSql + Sync)];

impl PostgresLedger {
    /// The ledger in a database, whose tables are made if they are missing. `url` is a connection
    /// string or URL as libpq has it; `sslmode` and `sslrootcert` of a URL say how it is reached over TLS.
    ///
    /// # Errors
    /// [`LedgerError`] if the database cannot be reached, or not as the URL says, or holds a newer
    /// schema.
    pub fn open(url: &str, tenant: TenantId) -> Result<PostgresLedger, LedgerError> {
        let (config, tls) = tls::read(url)?;
        let place = place(&config);
        let shared = Arc::new(Shared { config, tls, place, idle: Mutex::default() });
        let mut session =
            shared.session().map_err(|failure| failure.of(&shared.place, "reach the ledger"))?;
        schema::prepare(&mut session.client, &shared.place)?;
        shared.put_back(session);
        Ok(PostgresLedger { shared, tenant, busy: BUSY })
    }

    /// The same ledger, waiting at most this long for another writer instead of 10 seconds.
    #[must_use]
    pub fn with_busy_timeout(mut self, timeout: Duration) -> PostgresLedger {
        self.busy = timeout;
        self
    }

    /// Runs reading statements.
    fn reading<T>(
        &self,
        action: &'static str,
        read: impl FnOnce(&mut Session) -> Outcome<T>,
    ) -> Result<T, LedgerError> {
        let outcome = self.shared.session().and_then(|mut session| {
            let outcome = read(&mut session);
            self.shared.put_back(session);
            outcome
        });
        outcome.map_err(|failure| failure.of(&self.shared.place, action))
    }

    /// Runs a small change in a transaction of its own.
    fn changing<T>(
        &self,
        action: &'static str,
        change: impl FnOnce(&mut Session) -> Outcome<T>,
    ) -> Result<T, LedgerError> {
        let failed = |failure: Failure| failure.of(&self.shared.place, action);
        // One that is not committed is taken back with its connection.
        let mut session = self.begin().map_err(failed)?;
        let result = change(&mut session).map_err(failed)?;
        session.client.batch_execute("COMMIT").map_err(|error| failed(error.into()))?;
        self.shared.put_back(session);
        Ok(result)
    }

    /// A connection that has begun to write.
    fn begin(&self) -> Outcome<Session> {
        let mut session = self.shared.session()?;
        let wait = self.busy.as_millis().max(1);
        session.client.batch_execute(&format!("BEGIN; SET LOCAL lock_timeout = {wait}"))?;
        Ok(session)
    }
}

impl Shared {
    /// A connection that nobody uses, or a new one.
    fn session(&self) -> Outcome<Session> {
        match self.take_idle() {
            Some(session) => Ok(session),
            None => {
                let client = self.config.connect(self.tls.clone())?;
                let mut session = Session { client, statements: HashMap::new() };
                session.client.batch_execute(SETTINGS)?;
                Ok(session)
            }
        }
    }

    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // A server that was restarted has forgotten its connections.
        idle.retain(|session| !session.client.is_closed());
        idle.pop()
    }

    fn put_back(&self, session: Session) {
        if !session.client.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
    }
}

impl Ledger for PostgresLedger {
    fn identity(&self) -> Result<(String, u64), LedgerError> {
        self.reading("read the ledger's identity", |session| {
            let sql = "SELECT replace(id::text, '-', ''), epoch FROM ledger.ledger";
            let row = session.query_one(sql, &[])?;
            Ok((row.get(0), row.get::<_, i64>(1).unsigned_abs()))
        })
    }

    fn ingest(
        &self,
        feed: &FeedSpec,
        mode: IngestMode,
        at: Instant,
    ) -> Result<Box<dyn Ingest>, LedgerError> {
        Ok(Box::new(self.begin_ingest(feed, mode, at)?))
    }
}

/// What messages call the database of a connection string; none for what is no connection string.
#[must_use]
pub fn place_of(url: &str) -> Option<String> {
    let (config, _) = tls::read(url).ok()?;
    Some(place(&config))
}

/// Host and name of a database, without user or password.
fn place(config: &Config) -> String {
    use postgres::config::Host;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().map_or(String::new(), |port| format!(":{port}"));
    let name = config.get_dbname().or(config.get_user()).unwrap_or("postgres");
    format!("the PostgreSQL database {name} at {host}{port}")
}

#[cfg(test)]
mod tests;
