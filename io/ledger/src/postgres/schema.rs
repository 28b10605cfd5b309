//! Tables, and how an older database becomes a newer one.

use postgres::Client;

use super::Failure;
use crate::LedgerError;

/// Each migration leads from its index to the next schema. They are never edited, only added to.
const MIGRATIONS: &[&str] = &[SCHEMA_1, SCHEMA_2, SCHEMA_3];

/// Held while the schema is looked at and changed: several processes may start at once.
const LOCK: i64 = 0x5374_656c_4c65_6467;

/// Schema 1: the tables of the embedded ledger. What comes from evidence lies in columns of bytes,
/// which compare as export order wants and hold every character. Documents are compressed already.
const SCHEMA_1: &str = "
CREATE TABLE ledger.ledger(
  id uuid NOT NULL, epoch bigint NOT NULL, head bigint NOT NULL, oldest bigint NOT NULL
);
INSERT INTO ledger.ledger VALUES(gen_random_uuid(), 1, 0, 0);

CREATE TABLE ledger.feed(
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant text NOT NULL, name text NOT NULL,
  publisher text, licence text, attribution text, redistribution boolean,
  removed boolean NOT NULL DEFAULT false,
  UNIQUE(tenant, name)
);

CREATE TABLE ledger.record_set(
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  feed bigint NOT NULL REFERENCES ledger.feed, kind text NOT NULL,
  live bigint NOT NULL DEFAULT 0, changed bigint NOT NULL DEFAULT 0,
  state uuid NOT NULL DEFAULT gen_random_uuid(),
  UNIQUE(feed, kind)
);

CREATE TABLE ledger.version(
  record_set bigint NOT NULL, id bytea NOT NULL, seq bigint NOT NULL, superseded_by bigint,
  content_digest bytea NOT NULL, size bigint NOT NULL, modified text, revision_version bytea,
  format text, content bigint, gone smallint NOT NULL DEFAULT 0,
  PRIMARY KEY(record_set, id, seq)
);

CREATE SEQUENCE ledger.content_number;
CREATE TABLE ledger.content(
  number bigint PRIMARY KEY, original bigint, encoding smallint NOT NULL, bytes bytea NOT NULL
);
ALTER TABLE ledger.content ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE ledger.facet(
  content bigint PRIMARY KEY, facets_version bigint NOT NULL, facets bytea NOT NULL
);

CREATE SEQUENCE ledger.original_number;
CREATE TABLE ledger.original(
  number bigint PRIMARY KEY, uses bigint NOT NULL, size bigint NOT NULL,
  encoding smallint NOT NULL, bytes bytea NOT NULL
);
ALTER TABLE ledger.original ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE SEQUENCE ledger.ingest_number;
CREATE TABLE ledger.ingest(
  number bigint PRIMARY KEY, feed bigint NOT NULL REFERENCES ledger.feed, at text NOT NULL,
  mode text NOT NULL, accepted text, summary text NOT NULL
);
CREATE INDEX ingest_by_feed ON ledger.ingest(feed, number);

CREATE TABLE ledger.quarantine(
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  feed bigint NOT NULL REFERENCES ledger.feed, identity bytea NOT NULL, path bytea NOT NULL,
  \"offset\" bigint, reason text NOT NULL, detail bytea NOT NULL, ingest bigint NOT NULL,
  at text NOT NULL,
  UNIQUE(feed, identity)
);

CREATE TABLE ledger.block(
  record_set bigint NOT NULL REFERENCES ledger.record_set, id bytea NOT NULL,
  reason text NOT NULL, at text NOT NULL,
  PRIMARY KEY(record_set, id)
);

CREATE TABLE ledger.snapshot_pin(name text PRIMARY KEY, seq bigint NOT NULL);
";

/// Schema 2: of which state of another ledger a feed is.
const SCHEMA_2: &str = "
CREATE TABLE ledger.origin(
  feed bigint PRIMARY KEY REFERENCES ledger.feed, ledger text NOT NULL, epoch bigint NOT NULL,
  tenant text NOT NULL, sequence bigint NOT NULL
);
";

/// Schema 3: who reads a feed of the library, from which sequence on and up to which. What has ended
/// stays, for the snapshots before its end.
const SCHEMA_3: &str = "
CREATE TABLE ledger.subscription(
  tenant text NOT NULL, feed bigint NOT NULL REFERENCES ledger.feed, since bigint NOT NULL,
  until bigint, PRIMARY KEY(tenant, feed, since)
);
";

/// Makes a database hold a ledger of the newest schema.
pub(super) fn prepare(client: &mut Client, place: &str) -> Result<(), LedgerError> {
    let failed = |error: postgres::Error| Failure::from(error).of(place, "prepare the ledger");
    let mut change = client.transaction().map_err(failed)?;
    change.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).map_err(failed)?;
    let sql = "SELECT to_regclass('ledger.schema') IS NOT NULL";
    let exists: bool = change.query_one(sql, &[]).map_err(failed)?.get(0);
    if !exists {
        change
            .batch_execute(
                "CREATE SCHEMA IF NOT EXISTS ledger;
                 CREATE TABLE ledger.schema(version bigint NOT NULL);
                 INSERT INTO ledger.schema VALUES(0)",
            )
            .map_err(failed)?;
    }
    let sql = "SELECT version FROM ledger.schema";
    let found: i64 = change.query_one(sql, &[]).map_err(failed)?.get(0);
    let known = MIGRATIONS.len() as i64;
    if found > known || found < 0 {
        return Err(LedgerError::NewerSchema { place: place.to_owned(), found, known });
    }
    if found == known {
        return Ok(());
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        change.batch_execute(migration).map_err(failed)?;
    }
    change.execute("UPDATE ledger.schema SET version = $1", &[&known]).map_err(failed)?;
    change.commit().map_err(failed)
}
