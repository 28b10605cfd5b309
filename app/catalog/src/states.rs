//! States of runs: replaced only by whoever saw the one before, together with all that follows.

use sqlx::any::AnyRow;
use stella_model::TenantId;
use stella_run::{
    Held, Millis, Outcome, Refused, RunEvent, RunKey, RunState, Saved, Status, Stored,
};

use crate::error::{damaged, doing};
use crate::runs::RUNS;
use crate::tenant::{Counter, TenantTx, get, integer, number, parsed};
use crate::{Catalog, CatalogError, Mutation};

/// Milliseconds after which a run is looked at again that had to wait for others of its tenant.
const TURN_MS: i64 = 5_000;

/// Milliseconds by which a run moves back whose state does not read.
const POSTPONED_MS: i64 = 60_000;

/// How often a cancellation is tried that workers overtake.
const TRIES: usize = 100;

/// How much waits for workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Runs that are not over.
    pub active: u64,
    /// Those of them for which there is something to do now.
    pub due: u64,
    /// Milliseconds that the one waits that waits longest.
    pub oldest_ms: i64,
}

impl Catalog {
    /// The state of a run; none if there is no such run.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn load_state(&self, run: &RunKey) -> Result<Option<Stored>, CatalogError> {
        self.read(&run.tenant).await?.load(run.number).await
    }

    /// Replaces the state of a run if its version is still the one that was seen, and tells what
    /// happened; all of it or nothing.
    ///
    /// [`Saved::Later`] if the run would be begun and the tenant has as much as it may: it is due again a
    /// little later.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn save_state(
        &self,
        run: &RunKey,
        seen: u64,
        state: &RunState,
        events: &[RunEvent],
        now: Millis,
    ) -> Result<Saved, CatalogError> {
        let mut tx = self.write(&run.tenant).await?;
        // The row of the tenant first, then that of the run, by everybody: nobody waits in a circle.
        if !events.is_empty() {
            tx.count(Counter::Event, 0).await?;
        }
        let begins = events.iter().any(
            |event| matches!(event, RunEvent::Status { from: Status::Queued, to } if !to.is_terminal()),
        );
        let admitted = if begins { tx.admit_running(now).await } else { Ok(()) };
        if let Err(CatalogError::Quota { .. }) = admitted {
            let later = "UPDATE export_runs SET wakes_ms = $4 \
                         WHERE tenant = $1 AND run = $2 AND version = $3";
            let query = sqlx::query(later).bind(run.tenant.as_str()).bind(integer(run.number));
            let query = query.bind(integer(seen)).bind(now.after(TURN_MS).0);
            query.execute(&mut *tx.tx).await.map_err(doing("let a run wait"))?;
            tx.commit().await?;
            return Ok(Saved::Later);
        }
        admitted?;
        if !tx.replace(run.number, seen, state, events, now).await? {
            return Ok(Saved::Overtaken);
        }
        tx.commit().await?;
        Ok(Saved::Yes)
    }

    /// Runs of all tenants for which there is something to do, the longest waiting first, a few of each
    /// tenant and then a few more.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn due(&self, now: Millis, most: u32) -> Result<Vec<RunKey>, CatalogError> {
        // Of each tenant a few: one that has many waiting does not stand in the way of the others.
        const DUE: &str = "SELECT tenant, run FROM (SELECT tenant, run, wakes_ms, ROW_NUMBER() \
             OVER (PARTITION BY tenant ORDER BY wakes_ms, run) AS turn \
             FROM export_runs WHERE wakes_ms <= $1) AS waiting \
             ORDER BY (turn - 1) / 4, wakes_ms, tenant, run LIMIT $2";
        let mut tx = self.sweep().await?;
        let query = sqlx::query(DUE).bind(now.0).bind(i64::from(most));
        let rows = query.fetch_all(&mut *tx).await.map_err(doing("look for runs that are due"))?;
        rows.iter().map(key).collect()
    }

    /// Runs of all tenants for which there is something to do, in the order of tenants and numbers: those
    /// after one, or from the first on.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn due_after(
        &self,
        after: Option<&RunKey>,
        now: Millis,
        most: u32,
    ) -> Result<Vec<RunKey>, CatalogError> {
        const DUE: &str = "SELECT tenant, run FROM export_runs WHERE wakes_ms <= $1 \
             AND (tenant > $2 OR (tenant = $2 AND run > $3)) ORDER BY tenant, run LIMIT $4";
        // No tenant has an empty name.
        let (tenant, run) = after.map_or(("", 0), |run| (run.tenant.as_str(), run.number));
        let mut tx = self.sweep().await?;
        let query = sqlx::query(DUE).bind(now.0).bind(tenant).bind(integer(run));
        let rows = query.bind(i64::from(most)).fetch_all(&mut *tx).await;
        let rows = rows.map_err(doing("look for runs that are due"))?;
        rows.iter().map(key).collect()
    }

    /// How much waits for workers, of all tenants.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn queue(&self, now: Millis) -> Result<Queue, CatalogError> {
        const COUNT: &str = "SELECT COUNT(*), \
            CAST(COALESCE(SUM(CASE WHEN wakes_ms <= $1 THEN 1 ELSE 0 END), 0) AS BIGINT), \
            CAST(COALESCE(MIN(wakes_ms), $1) AS BIGINT) \
            FROM export_runs WHERE wakes_ms IS NOT NULL";
        let mut tx = self.sweep().await?;
        let query = sqlx::query(COUNT).bind(now.0);
        let row = query.fetch_one(&mut *tx).await.map_err(doing("look for runs that are due"))?;
        let earliest: i64 = get(&row, 2, RUNS)?;
        Ok(Queue {
            active: number(&row, 0, RUNS)?,
            due: number(&row, 1, RUNS)?,
            oldest_ms: now.0.saturating_sub(earliest).max(0),
        })
    }

    /// Lets others go before a run, whatever its state says.
    pub(crate) async fn postpone(&self, run: &RunKey) -> Result<(), CatalogError> {
        const LATER: &str = "UPDATE export_runs SET wakes_ms = wakes_ms + $3 \
                             WHERE tenant = $1 AND run = $2";
        let mut tx = self.write(&run.tenant).await?;
        let query = sqlx::query(LATER).bind(run.tenant.as_str()).bind(integer(run.number));
        query.bind(POSTPONED_MS).execute(&mut *tx.tx).await.map_err(doing("let a run wait"))?;
        tx.commit().await
    }

    /// Asks a run to stop, and writes who did to the audit log; both or neither.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if the run is over, [`CatalogError::NotFound`] if there is none.
    pub async fn cancel_run(
        &self,
        run: &RunKey,
        held: Held,
        mutation: &Mutation<'_>,
    ) -> Result<(), CatalogError> {
        let name = format!("r-{}", run.number);
        for _ in 0..TRIES {
            let mut tx = self.write(&run.tenant).await?;
            if tx.begin(mutation).await?.is_some() {
                return Ok(());
            }
            let stored = tx.load(run.number).await?;
            let Stored { mut state, version } =
                stored.ok_or_else(|| CatalogError::NotFound(format!("run {name}")))?;
            let asked = Outcome::CancelAsked { by: mutation.entry.actor.clone(), held };
            let events = state.apply(asked, mutation.now).map_err(|refused| match refused {
                Refused::Over(status) => CatalogError::Over { run: run.number, status },
                other => CatalogError::Conflict(format!("{name} cannot be cancelled: {other}")),
            })?;
            if tx.replace(run.number, version, &state, &events, mutation.now).await? {
                return tx.end(mutation, &name).await;
            }
        }
        Err(CatalogError::Conflict(format!("{name} is changed by its workers all the time")))
    }
}

impl TenantTx {
    async fn load(&mut self, run: u64) -> Result<Option<Stored>, CatalogError> {
        const READ: &str = "SELECT state, version FROM export_runs WHERE tenant = $1 AND run = $2";
        let query = sqlx::query(READ).bind(self.tenant.as_str()).bind(integer(run));
        let row = query.fetch_optional(&mut *self.tx).await.map_err(doing("read a run"))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Stored { state: state(&row, 0)?, version: number(&row, 1, RUNS)? }))
    }

    /// Replaces a state and keeps what follows from it; whether its version was still the one that was
    /// seen, and nothing is changed if not.
    async fn replace(
        &mut self,
        run: u64,
        seen: u64,
        state: &RunState,
        events: &[RunEvent],
        now: Millis,
    ) -> Result<bool, CatalogError> {
        const WRITE: &str = "UPDATE export_runs SET state = $4, version = version + 1, status = $5, \
            attempt = $6, wakes_ms = $7, started_ms = COALESCE(started_ms, $8), finished_ms = $9, \
            plan_hash = $10, export_digest = $11, bundle = $12, bundle_bytes = $13, error_code = $14 \
            WHERE tenant = $1 AND run = $2 AND version = $3";
        let started = (state.attempt() > 0).then_some(now.0);
        let finished = state.status.is_terminal().then_some(now.0);
        let bundle = state.bundle.as_ref();
        let query = sqlx::query(WRITE).bind(self.tenant.as_str()).bind(integer(run));
        let query = query.bind(integer(seen)).bind(document(state)?).bind(state.status.as_str());
        let query = query.bind(i64::from(state.attempt()));
        let query = query.bind(state.wakes_at().map(|time| time.0)).bind(started).bind(finished);
        let query = query.bind(state.plan.as_ref().map(|plan| plan.plan_hash.to_string()));
        let query = query.bind(bundle.map(|bundle| bundle.export_digest.to_string()));
        let query = query.bind(bundle.map(|bundle| bundle.files.to_string()));
        let query = query.bind(bundle.map(|bundle| integer(bundle.bytes)));
        let query = query.bind(state.failure.as_ref().map(|failure| failure.code.as_str()));
        let changed = query.execute(&mut *self.tx).await.map_err(doing("write a run"))?;
        if changed.rows_affected() != 1 {
            return Ok(false);
        }
        for event in events {
            match event {
                RunEvent::Planned { snapshot, .. } => self.set_inputs(run, snapshot).await?,
                RunEvent::Sealed { bundle } => self.count_bytes(bundle.bytes, now).await?,
                _ => {}
            }
        }
        // How far a task is gives nobody anything to do: whoever watches elsewhere sees it a little later.
        let changes = |event: &RunEvent| !matches!(event, RunEvent::Progress { .. });
        let has_changed = events.iter().any(changes);
        if has_changed {
            self.set_distributions(run, state, now).await?;
        }
        self.tell(Some(run), events, now).await?;
        if has_changed {
            self.call(run).await?;
        }
        Ok(true)
    }
}

/// A row that names a run.
fn key(row: &AnyRow) -> Result<RunKey, CatalogError> {
    let tenant: TenantId = parsed(row, 0, RUNS)?.ok_or_else(|| damaged(RUNS, "no tenant"))?;
    Ok(RunKey { tenant, number: number(row, 1, RUNS)? })
}

/// A column with a state.
pub(crate) fn state(row: &AnyRow, column: usize) -> Result<RunState, CatalogError> {
    let text: String = get(row, column, RUNS)?;
    serde_json::from_str(&text).map_err(|error| damaged(RUNS, error))
}

/// A state as a column has it.
pub(crate) fn document(state: &RunState) -> Result<String, CatalogError> {
    serde_json::to_string(state).map_err(|error| damaged(RUNS, error))
}
