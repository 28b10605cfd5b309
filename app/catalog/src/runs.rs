//! Runs: what was asked for, and where it stands.

use std::collections::BTreeSet;

use serde::Serialize;
use sqlx::any::AnyRow;
use stella_model::{Digest, FeedName, Kind, Target, TenantId};
use stella_run::{Millis, Rules, RunEvent, RunKey, RunState, Saved, Status, Stored};

use crate::error::{damaged, doing};
use crate::idempotency::Seen;
use crate::tenant::{Counter, TenantTx, get, integer, number, parsed};
use crate::{AuditEntry, Catalog, CatalogError, IdempotencyKey};

const RUNS: &str = "export_runs";
const INPUTS: &str = "export_inputs";
const DISTRIBUTIONS: &str = "export_distributions";

/// A query for runs, with the columns in the order that [`read_run`] has them.
macro_rules! select_runs {
    ($which:literal) => {
        concat!(
            "SELECT run, profile, revision, request, retry_of, created_ms, created_by, \
             started_ms, finished_ms, state, version FROM export_runs ",
            $which
        )
    };
}

/// Milliseconds after which a run is looked at again that had to wait for others of its tenant.
const TURN_MS: i64 = 1_000;

/// A run to be made.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Name of the profile.
    pub profile: String,
    /// Its revision; 0 for one that is built in.
    pub revision: u64,
    /// What is asked for, as JSON.
    pub request: String,
    /// The run that this one repeats, if any.
    pub retry_of: Option<u64>,
    /// Where the bundle is to go.
    pub targets: BTreeSet<Target>,
    /// How patient the run is.
    pub rules: Rules,
}

/// A run that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// Its number.
    pub number: u64,
    /// Whether it was made now; else the same request came before.
    pub is_new: bool,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its number within the tenant.
    pub number: u64,
    /// Name of the profile.
    pub profile: String,
    /// Its revision; 0 for one that is built in.
    pub revision: u64,
    /// What was asked for, as JSON.
    pub request: String,
    /// The run that this one repeats, if any.
    pub retry_of: Option<u64>,
    /// When it was accepted.
    pub created: Millis,
    /// Who asked for it.
    pub by: String,
    /// When a worker began.
    pub started: Option<Millis>,
    /// When it ended.
    pub finished: Option<Millis>,
    /// Where it stands.
    pub state: RunState,
    /// How often that changed.
    pub version: u64,
}

/// Which runs of a tenant are asked for.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Any of these; all if empty.
    pub statuses: BTreeSet<Status>,
    /// Of this profile; of all if none.
    pub profile: Option<String>,
    /// Older than the run of this number.
    pub before: Option<u64>,
}

/// Some runs, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsPage {
    /// The runs.
    pub runs: Vec<Run>,
    /// What [`RunFilter::before`] is for the next page; none if there is none.
    pub next: Option<u64>,
}

/// A set of the snapshot of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The kind.
    pub kind: Kind,
    /// The feed.
    pub feed: FeedName,
    /// Number of records.
    pub records: u64,
    /// Set root before redaction.
    pub root: Digest,
    /// The ledger that was read.
    pub ledger: String,
    /// Up to which sequence.
    pub sequence: u64,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistributionState {
    /// It is not there yet.
    Pending,
    /// It is there, and was not read back yet.
    Delivered,
    /// It was read back and is what it should be.
    Verified,
    /// It failed.
    Failed,
}

impl DistributionState {
    const ALL: [(DistributionState, &'static str); 4] = [
        (DistributionState::Pending, "pending"),
        (DistributionState::Delivered, "delivered"),
        (DistributionState::Verified, "verified"),
        (DistributionState::Failed, "failed"),
    ];

    /// The word for people and machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        DistributionState::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, word)| word)
    }

    fn of_word(word: &str) -> Option<DistributionState> {
        let found = DistributionState::ALL.iter().find(|(_, known)| *known == word);
        found.map(|(state, _)| *state)
    }
}

/// A delivery of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Where to.
    pub target: Target,
    /// How far it is.
    pub state: DistributionState,
    /// SHA-256 of `export.json` of what is there.
    pub export_digest: Option<Digest>,
    /// Its bytes.
    pub bytes: Option<u64>,
    /// Code of the table of errors, if it failed.
    pub error_code: Option<String>,
}

/// What is told when a run is accepted.
#[derive(Serialize)]
#[serde(tag = "type", rename = "accepted")]
struct Accepted<'a> {
    profile: &'a str,
    by: &'a str,
}

impl Catalog {
    /// Accepts a run, unless the same request came before.
    ///
    /// # Errors
    /// [`CatalogError::Quota`] if the tenant has as many as it may, [`CatalogError::Conflict`] if the
    /// key came with another request, [`CatalogError::NotFound`] if there is no such tenant.
    pub async fn start_run(
        &self,
        tenant: &TenantId,
        new: &NewRun,
        key: Option<&IdempotencyKey>,
        entry: &AuditEntry,
        now: Millis,
    ) -> Result<Started, CatalogError> {
        let mut tx = self.write(tenant).await?;
        // From here on the row of the tenant is held: keys, quotas and numbers are looked at by one
        // request after the other.
        let run = tx.count(Counter::Run, 1).await?;
        if let Some(key) = key
            && let Seen::Before(result) = tx.seen(key, now).await?
        {
            let number = result.parse().map_err(|error| damaged("idempotency_keys", error))?;
            return Ok(Started { number, is_new: false });
        }
        tx.admit_run(now).await?;
        tx.insert(run, new, &entry.actor, now).await?;
        if let Some(key) = key {
            tx.remember(key, &run.to_string(), now).await?;
        }
        let object = format!("r-{run}");
        tx.audit(&AuditEntry { object, ..entry.clone() }, now).await?;
        let accepted = Accepted { profile: &new.profile, by: &entry.actor };
        tx.tell(Some(run), &[accepted], now).await?;
        tx.commit().await?;
        Ok(Started { number: run, is_new: true })
    }

    /// A run; none if there is none of this number.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn run(&self, run: &RunKey) -> Result<Option<Run>, CatalogError> {
        const ONE: &str = select_runs!("WHERE tenant = $1 AND run = $2");
        let mut tx = self.read(&run.tenant).await?;
        let query = sqlx::query(ONE).bind(run.tenant.as_str()).bind(integer(run.number));
        let row = query.fetch_optional(&mut *tx.tx).await.map_err(doing("read a run"))?;
        row.as_ref().map(read_run).transpose()
    }

    /// Runs of a tenant, the newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn runs(
        &self,
        tenant: &TenantId,
        filter: &RunFilter,
        most: u32,
    ) -> Result<RunsPage, CatalogError> {
        const SOME: &str = select_runs!(
            "WHERE tenant = $1 AND run < $2 AND ($3 = '' OR profile = $3) \
             AND ($4 = '' OR $4 LIKE '%,' || status || ',%') ORDER BY run DESC LIMIT $5"
        );
        let mut tx = self.read(tenant).await?;
        let statuses: Vec<&str> = filter.statuses.iter().map(|status| status.as_str()).collect();
        let statuses = match statuses[..] {
            [] => String::new(),
            _ => format!(",{},", statuses.join(",")),
        };
        let query = sqlx::query(SOME).bind(tenant.as_str());
        let query = query.bind(filter.before.map_or(i64::MAX, integer));
        let query = query.bind(filter.profile.as_deref().unwrap_or("")).bind(statuses);
        // One more than asked for tells whether there are more.
        let query = query.bind(i64::from(most) + 1);
        let rows = query.fetch_all(&mut *tx.tx).await.map_err(doing("read runs"))?;
        let mut runs: Vec<Run> = rows.iter().map(read_run).collect::<Result<_, _>>()?;
        let more = runs.len() > most as usize;
        runs.truncate(most as usize);
        let next = runs.last().filter(|_| more).map(|run| run.number);
        Ok(RunsPage { runs, next })
    }

    /// The newest run that made a bundle of a plan.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn made_by_plan(
        &self,
        tenant: &TenantId,
        plan_hash: &Digest,
    ) -> Result<Option<Digest>, CatalogError> {
        const MADE: &str = "SELECT export_digest FROM export_runs WHERE tenant = $1 AND plan_hash = $2 \
                            AND export_digest IS NOT NULL ORDER BY run DESC LIMIT 1";
        let mut tx = self.read(tenant).await?;
        let query = sqlx::query(MADE).bind(tenant.as_str()).bind(plan_hash.to_string());
        let row = query.fetch_optional(&mut *tx.tx).await.map_err(doing("look for a bundle"))?;
        row.map_or(Ok(None), |row| parsed(&row, 0, RUNS))
    }

    /// Keeps what the snapshot of a run held; the same again changes nothing.
    ///
    /// # Errors
    /// [`CatalogError::Database`], also if there is no such run.
    pub async fn set_inputs(&self, run: &RunKey, inputs: &[Input]) -> Result<(), CatalogError> {
        const WRITE: &str = "INSERT INTO export_inputs \
            (tenant, run, kind, feed, records, root, ledger, sequence) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
        let mut tx = self.write(&run.tenant).await?;
        for input in inputs {
            let query = sqlx::query(WRITE).bind(run.tenant.as_str()).bind(integer(run.number));
            let query = query.bind(input.kind.as_str()).bind(input.feed.as_str());
            let query = query.bind(integer(input.records)).bind(input.root.to_string());
            let query = query.bind(input.ledger.as_str()).bind(integer(input.sequence));
            query.execute(&mut *tx.tx).await.map_err(doing("write the inputs of a run"))?;
        }
        tx.commit().await
    }

    /// What the snapshot of a run held, by kind and feed.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn inputs(&self, run: &RunKey) -> Result<Vec<Input>, CatalogError> {
        const READ: &str = "SELECT kind, feed, records, root, ledger, sequence FROM export_inputs \
                            WHERE tenant = $1 AND run = $2 ORDER BY kind, feed";
        let mut tx = self.read(&run.tenant).await?;
        let query = sqlx::query(READ).bind(run.tenant.as_str()).bind(integer(run.number));
        let rows = query.fetch_all(&mut *tx.tx).await.map_err(doing("read the inputs of a run"))?;
        let input = |row| {
            let missing = || damaged(INPUTS, "a name or a root is missing");
            Ok(Input {
                kind: parsed(row, 0, INPUTS)?.ok_or_else(missing)?,
                feed: parsed(row, 1, INPUTS)?.ok_or_else(missing)?,
                records: number(row, 2, INPUTS)?,
                root: parsed(row, 3, INPUTS)?.ok_or_else(missing)?,
                ledger: get(row, 4, INPUTS)?,
                sequence: number(row, 5, INPUTS)?,
            })
        };
        rows.iter().map(input).collect()
    }

    /// Keeps how far a delivery is.
    ///
    /// # Errors
    /// [`CatalogError::Database`], also if there is no such run.
    pub async fn set_distribution(
        &self,
        run: &RunKey,
        distribution: &Distribution,
        now: Millis,
    ) -> Result<(), CatalogError> {
        const WRITE: &str = "INSERT INTO export_distributions \
            (tenant, run, target, state, export_digest, bytes, changed_ms, error_code) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
            ON CONFLICT (tenant, run, target) DO UPDATE SET state = $4, export_digest = $5, \
            bytes = $6, changed_ms = $7, error_code = $8";
        let mut tx = self.write(&run.tenant).await?;
        let query = sqlx::query(WRITE).bind(run.tenant.as_str()).bind(integer(run.number));
        let query = query.bind(distribution.target.as_str()).bind(distribution.state.as_str());
        let query = query.bind(distribution.export_digest.map(|digest| digest.to_string()));
        let query = query.bind(distribution.bytes.map(integer)).bind(now.0);
        let query = query.bind(distribution.error_code.as_deref());
        query.execute(&mut *tx.tx).await.map_err(doing("write a distribution"))?;
        tx.commit().await
    }

    /// The deliveries of a run, by target.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn distributions(&self, run: &RunKey) -> Result<Vec<Distribution>, CatalogError> {
        const READ: &str = "SELECT target, state, export_digest, bytes, error_code \
            FROM export_distributions WHERE tenant = $1 AND run = $2 ORDER BY target";
        let mut tx = self.read(&run.tenant).await?;
        let query = sqlx::query(READ).bind(run.tenant.as_str()).bind(integer(run.number));
        let rows = query.fetch_all(&mut *tx.tx).await.map_err(doing("read distributions"))?;
        let distribution = |row| {
            let missing = || damaged(DISTRIBUTIONS, "a target or a state is missing");
            let state: String = get(row, 1, DISTRIBUTIONS)?;
            let bytes: Option<i64> = get(row, 3, DISTRIBUTIONS)?;
            Ok(Distribution {
                target: parsed(row, 0, DISTRIBUTIONS)?.ok_or_else(missing)?,
                state: DistributionState::of_word(&state).ok_or_else(missing)?,
                export_digest: parsed(row, 2, DISTRIBUTIONS)?,
                bytes: bytes.map(i64::cast_unsigned),
                error_code: get(row, 4, DISTRIBUTIONS)?,
            })
        };
        rows.iter().map(distribution).collect()
    }

    /// The state of a run; none if there is no such run.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn load_state(&self, run: &RunKey) -> Result<Option<Stored>, CatalogError> {
        const READ: &str = "SELECT state, version FROM export_runs WHERE tenant = $1 AND run = $2";
        let mut tx = self.read(&run.tenant).await?;
        let query = sqlx::query(READ).bind(run.tenant.as_str()).bind(integer(run.number));
        let row = query.fetch_optional(&mut *tx.tx).await.map_err(doing("read a run"))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Stored { state: state(&row, 0)?, version: number(&row, 1, RUNS)? }))
    }

    /// Replaces the state of a run if its version is still the one that was seen, and tells what
    /// happened; all of it or nothing.
    ///
    /// # Errors
    /// [`CatalogError::Quota`] if the run would be begun and the tenant has as many under way as it
    /// may: it is due again a little later.
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
        if let Err(full @ CatalogError::Quota { .. }) = admitted {
            let later = "UPDATE export_runs SET wakes_ms = $4 \
                         WHERE tenant = $1 AND run = $2 AND version = $3";
            let query = sqlx::query(later).bind(run.tenant.as_str()).bind(integer(run.number));
            let query = query.bind(integer(seen)).bind(now.after(TURN_MS).0);
            query.execute(&mut *tx.tx).await.map_err(doing("let a run wait"))?;
            tx.commit().await?;
            return Err(full);
        }
        admitted?;
        if !tx.replace(run.number, seen, state, now).await? {
            return Ok(Saved::Overtaken);
        }
        tx.tell(Some(run.number), events, now).await?;
        tx.commit().await?;
        Ok(Saved::Yes)
    }

    /// Runs of all tenants for which there is something to do, the longest waiting first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn due(&self, now: Millis, most: u32) -> Result<Vec<RunKey>, CatalogError> {
        const DUE: &str = "SELECT tenant, run FROM export_runs WHERE wakes_ms <= $1 \
                           ORDER BY wakes_ms, tenant, run LIMIT $2";
        let mut tx = self.sweep().await?;
        let query = sqlx::query(DUE).bind(now.0).bind(i64::from(most));
        let rows = query.fetch_all(&mut *tx).await.map_err(doing("look for runs that are due"))?;
        let key = |row: &AnyRow| {
            let tenant = parsed(row, 0, RUNS)?.ok_or_else(|| damaged(RUNS, "no tenant"))?;
            Ok(RunKey { tenant, number: number(row, 1, RUNS)? })
        };
        rows.iter().map(key).collect()
    }
}

impl TenantTx {
    async fn insert(
        &mut self,
        run: u64,
        new: &NewRun,
        by: &str,
        now: Millis,
    ) -> Result<(), CatalogError> {
        const WRITE: &str = "INSERT INTO export_runs (tenant, run, profile, revision, request, \
            retry_of, created_ms, created_by, state, version, status, attempt, wakes_ms) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, 0, $7)";
        let state = RunState::new(new.targets.clone(), new.rules);
        let query = sqlx::query(WRITE).bind(self.tenant.as_str()).bind(integer(run));
        let query = query.bind(new.profile.as_str()).bind(integer(new.revision));
        let query = query.bind(new.request.as_str()).bind(new.retry_of.map(integer));
        let query = query.bind(now.0).bind(by).bind(document(&state)?).bind(state.status.as_str());
        query.execute(&mut *self.tx).await.map(drop).map_err(doing("accept a run"))
    }

    /// Replaces a state; whether its version was still the one that was seen.
    async fn replace(
        &mut self,
        run: u64,
        seen: u64,
        state: &RunState,
        now: Millis,
    ) -> Result<bool, CatalogError> {
        const WRITE: &str = "UPDATE export_runs SET state = $4, version = version + 1, status = $5, \
            attempt = $6, wakes_ms = $7, started_ms = COALESCE(started_ms, $8), finished_ms = $9, \
            plan_hash = $10, export_digest = $11, error_code = $12 \
            WHERE tenant = $1 AND run = $2 AND version = $3";
        let started = (state.attempt() > 0).then_some(now.0);
        let finished = state.status.is_terminal().then_some(now.0);
        let query = sqlx::query(WRITE).bind(self.tenant.as_str()).bind(integer(run));
        let query = query.bind(integer(seen)).bind(document(state)?).bind(state.status.as_str());
        let query = query.bind(i64::from(state.attempt()));
        let query = query.bind(state.wakes_at().map(|time| time.0)).bind(started).bind(finished);
        let query = query.bind(state.plan.as_ref().map(|plan| plan.plan_hash.to_string()));
        let query = query.bind(state.export_digest.map(|digest| digest.to_string()));
        let query = query.bind(state.failure.as_ref().map(|failure| failure.code.as_str()));
        let changed = query.execute(&mut *self.tx).await.map_err(doing("write a run"))?;
        Ok(changed.rows_affected() == 1)
    }
}

fn read_run(row: &AnyRow) -> Result<Run, CatalogError> {
    let retry_of: Option<i64> = get(row, 4, RUNS)?;
    let (started, finished): (Option<i64>, Option<i64>) = (get(row, 7, RUNS)?, get(row, 8, RUNS)?);
    Ok(Run {
        number: number(row, 0, RUNS)?,
        profile: get(row, 1, RUNS)?,
        revision: number(row, 2, RUNS)?,
        request: get(row, 3, RUNS)?,
        retry_of: retry_of.map(i64::cast_unsigned),
        created: Millis(get(row, 5, RUNS)?),
        by: get(row, 6, RUNS)?,
        started: started.map(Millis),
        finished: finished.map(Millis),
        state: state(row, 9)?,
        version: number(row, 10, RUNS)?,
    })
}

fn state(row: &AnyRow, column: usize) -> Result<RunState, CatalogError> {
    let text: String = get(row, column, RUNS)?;
    serde_json::from_str(&text).map_err(|error| damaged(RUNS, error))
}

fn document(state: &RunState) -> Result<String, CatalogError> {
    serde_json::to_string(state).map_err(|error| damaged(RUNS, error))
}
