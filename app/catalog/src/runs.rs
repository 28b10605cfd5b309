//! Runs: what was asked for, and what of them is asked for again.

use std::collections::BTreeSet;

use serde::Serialize;
use sqlx::any::AnyRow;
use stella_model::{Digest, Target, TenantId};
use stella_run::{Bundle, Millis, Origin, Rules, RunKey, RunState, Status, TraceParent};

use crate::error::{damaged, doing};
use crate::idempotency::Seen;
use crate::states::{document, state};
use crate::tenant::{Counter, TenantTx, get, integer, number, parsed};
use crate::{AuditEntry, Catalog, CatalogError, Mutation};

pub(crate) const RUNS: &str = "export_runs";

/// A query for runs, with the columns in the order that [`summary`] has them.
macro_rules! select_runs {
    ($more:literal, $which:literal) => {
        concat!(
            "SELECT run, profile, revision, retry_of, created_ms, created_by, started_ms, \
             finished_ms, status, attempt, plan_hash, export_digest, bundle, bundle_bytes, \
             released_ms, error_code",
            $more,
            " FROM export_runs ",
            $which
        )
    };
}

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
    /// The span of the request that asks for it.
    pub trace: Option<TraceParent>,
}

/// A run that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// Its number.
    pub number: u64,
    /// Whether it was made now; else the same request came before.
    pub is_new: bool,
}

/// A run as lists have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Its number within the tenant.
    pub number: u64,
    /// Name of the profile.
    pub profile: String,
    /// Its revision; 0 for one that is built in.
    pub revision: u64,
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
    pub status: Status,
    /// How often something had to be begun, at most.
    pub attempt: u32,
    /// Identity of its plan, once it has one.
    pub plan_hash: Option<Digest>,
    /// Its bundle, once that is sealed.
    pub bundle: Option<Bundle>,
    /// When the bundle was released from being kept, if it was.
    pub released: Option<Millis>,
    /// Code of the table of errors, if it failed.
    pub error_code: Option<String>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What lists have of it.
    pub summary: RunSummary,
    /// What was asked for, as JSON.
    pub request: String,
    /// Where it stands, task by task.
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
    pub runs: Vec<RunSummary>,
    /// What [`RunFilter::before`] is for the next page; none if there is none.
    pub next: Option<u64>,
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
        mutation: &Mutation<'_>,
    ) -> Result<Started, CatalogError> {
        let Mutation { entry, key, now } = *mutation;
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
        tx.call(run).await?;
        tx.commit().await?;
        Ok(Started { number: run, is_new: true })
    }

    /// A run; none if there is none of this number.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn run(&self, run: &RunKey) -> Result<Option<Run>, CatalogError> {
        const ONE: &str =
            select_runs!(", request, state, version", "WHERE tenant = $1 AND run = $2");
        let mut tx = self.read(&run.tenant).await?;
        let query = sqlx::query(ONE).bind(run.tenant.as_str()).bind(integer(run.number));
        let row = query.fetch_optional(&mut *tx.tx).await.map_err(doing("read a run"))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Run {
            summary: summary(&row)?,
            request: get(&row, 16, RUNS)?,
            state: state(&row, 17)?,
            version: number(&row, 18, RUNS)?,
        }))
    }

    /// A run as lists have it; none if there is none of this number.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn run_summary(&self, run: &RunKey) -> Result<Option<RunSummary>, CatalogError> {
        const ONE: &str = select_runs!("", "WHERE tenant = $1 AND run = $2");
        let mut tx = self.read(&run.tenant).await?;
        let query = sqlx::query(ONE).bind(run.tenant.as_str()).bind(integer(run.number));
        let row = query.fetch_optional(&mut *tx.tx).await.map_err(doing("read a run"))?;
        row.as_ref().map(summary).transpose()
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
            "",
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
        let mut runs: Vec<RunSummary> = rows.iter().map(summary).collect::<Result<_, _>>()?;
        let more = runs.len() > most as usize;
        runs.truncate(most as usize);
        let next = runs.last().filter(|_| more).map(|run| run.number);
        Ok(RunsPage { runs, next })
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
        let mut state = RunState::new(new.targets.clone(), new.rules);
        state.origin = new.trace.map(|trace| Origin { trace, at: now });
        let query = sqlx::query(WRITE).bind(self.tenant.as_str()).bind(integer(run));
        let query = query.bind(new.profile.as_str()).bind(integer(new.revision));
        let query = query.bind(new.request.as_str()).bind(new.retry_of.map(integer));
        let query = query.bind(now.0).bind(by).bind(document(&state)?).bind(state.status.as_str());
        query.execute(&mut *self.tx).await.map(drop).map_err(doing("accept a run"))
    }
}

fn summary(row: &AnyRow) -> Result<RunSummary, CatalogError> {
    let counted = |column| get::<Option<i64>>(row, column, RUNS);
    let word: String = get(row, 8, RUNS)?;
    let status = Status::of_word(&word).ok_or_else(|| damaged(RUNS, "no status"))?;
    let attempt = u32::try_from(number(row, 9, RUNS)?);
    let (export_digest, files, bytes) =
        (parsed(row, 11, RUNS)?, parsed(row, 12, RUNS)?, counted(13)?);
    let bundle = |export_digest| {
        let missing = || damaged(RUNS, "a bundle without files");
        let bytes = bytes.map(i64::cast_unsigned).ok_or_else(missing)?;
        Ok::<_, CatalogError>(Bundle { export_digest, files: files.ok_or_else(missing)?, bytes })
    };
    Ok(RunSummary {
        number: number(row, 0, RUNS)?,
        profile: get(row, 1, RUNS)?,
        revision: number(row, 2, RUNS)?,
        retry_of: counted(3)?.map(i64::cast_unsigned),
        created: Millis(get(row, 4, RUNS)?),
        by: get(row, 5, RUNS)?,
        started: counted(6)?.map(Millis),
        finished: counted(7)?.map(Millis),
        status,
        attempt: attempt.map_err(|error| damaged(RUNS, error))?,
        plan_hash: parsed(row, 10, RUNS)?,
        bundle: export_digest.map(bundle).transpose()?,
        released: counted(14)?.map(Millis),
        error_code: get(row, 15, RUNS)?,
    })
}
