//! Forgetting what no snapshot needs.

use crate::{Compacted, LedgerError, Seq, Snapshots as _, Upkeep};

use super::{Outcome, PostgresLedger, Session, values};

impl Upkeep for PostgresLedger {
    fn pin(&self, name: &str, at: Seq) -> Result<(), LedgerError> {
        self.sets(at)?;
        self.changing("pin a snapshot", |session| {
            let sql = "INSERT INTO ledger.snapshot_pin(name, seq) VALUES($1, $2)
                       ON CONFLICT(name) DO UPDATE SET seq = excluded.seq";
            session.execute(sql, &[&name, &values::integer(at.0)]).map(|_| ())
        })
    }

    fn unpin(&self, name: &str) -> Result<(), LedgerError> {
        self.changing("unpin a snapshot", |session| {
            let sql = "DELETE FROM ledger.snapshot_pin WHERE name = $1";
            session.execute(sql, &[&name]).map(|_| ())
        })
    }

    fn compact(&self) -> Result<Compacted, LedgerError> {
        let bytes_before = self.reading("measure the tables", size)?;
        let versions = self.changing("forget old versions", forget)?;
        self.reading("give back space", |session| {
            // One by one: no transaction may hold them.
            for table in ["version", "content", "facet", "original"] {
                session.client.batch_execute(&format!("VACUUM (ANALYZE) ledger.{table}"))?;
            }
            Ok(())
        })?;
        let bytes_after = self.reading("measure the tables", size)?;
        Ok(Compacted { versions, bytes_before, bytes_after })
    }
}

fn size(session: &mut Session) -> Outcome<u64> {
    let sql = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class AS c
               WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'r'";
    Ok(session.query_one(sql, &[])?.get::<_, i64>(0).unsigned_abs())
}

fn forget(session: &mut Session) -> Outcome<u64> {
    let now = values::integer(session.next()?.0 - 1);
    session.client.batch_execute(
        "CREATE TEMP TABLE forgotten ON COMMIT DROP AS
           SELECT v.record_set, v.id, v.seq, v.content, c.original FROM ledger.version AS v
           LEFT JOIN ledger.content AS c ON c.number = v.content
           WHERE v.superseded_by IS NOT NULL AND NOT EXISTS
             (SELECT 1 FROM ledger.snapshot_pin AS p
              WHERE v.seq <= p.seq AND p.seq < v.superseded_by);
         UPDATE ledger.original AS o SET uses = o.uses - u.uses FROM
           (SELECT original, count(*) AS uses FROM forgotten WHERE original IS NOT NULL
            GROUP BY original) AS u WHERE o.number = u.original;
         DELETE FROM ledger.original WHERE uses <= 0;
         DELETE FROM ledger.facet WHERE content IN (SELECT content FROM forgotten);
         DELETE FROM ledger.content WHERE number IN (SELECT content FROM forgotten);",
    )?;
    // Its plan must not outlive the temporary table.
    let versions = session.client.execute(
        "DELETE FROM ledger.version AS v USING forgotten AS f
         WHERE v.record_set = f.record_set AND v.id = f.id AND v.seq = f.seq",
        &[],
    )?;
    if versions > 0 {
        session.execute("UPDATE ledger.ledger SET oldest = $1", &[&now])?;
    }
    Ok(versions)
}
