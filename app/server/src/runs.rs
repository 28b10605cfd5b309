//! Runs: started, listed, looked at, cancelled, repeated.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use stella_catalog::{BlockingStore, IdempotencyKey, NewRun, Run, RunFilter, Started};
use stella_engine::TaskQueue as _;
use stella_model::{Digest, ErrorCode, Instant, Target};
use stella_run::{
    CancelRequest, DriveError, Driver, Failure, Held, Millis, Refused, RunKey, RunState, Status,
};
use tokio::runtime::Handle;

use crate::caller::{Caller, Scope};
use crate::order::{Order, StoredOrder};
use crate::problem::Problem;
use crate::service::Service;

/// The target that every run has: the service itself, from which bundles are fetched.
const HTTP: &str = "http";

/// Runs on a page unless asked otherwise, and at most.
const PAGE: (u32, u32) = (50, 200);

/// Longest `Idempotency-Key`.
const LONGEST_KEY: usize = 255;

/// A run as clients see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunView {
    id: String,
    profile: String,
    revision: u64,
    status: Status,
    /// How often something had to be begun, at most; 1 if all went well.
    attempt: u32,
    targets: BTreeSet<Target>,
    created_at: Option<Instant>,
    created_by: String,
    started_at: Option<Instant>,
    finished_at: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_hash: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    export_digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<CancelRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    tasks: std::collections::BTreeMap<stella_run::TaskId, stella_run::Task>,
}

impl From<Run> for RunView {
    fn from(run: Run) -> RunView {
        let RunState { status, tasks, targets, plan, export_digest, cancel, failure, .. } =
            run.state.clone();
        RunView {
            id: format!("r-{}", run.number),
            profile: run.profile,
            revision: run.revision,
            status,
            attempt: run.state.attempt(),
            targets,
            created_at: instant(run.created),
            created_by: run.by,
            started_at: run.started.and_then(instant),
            finished_at: run.finished.and_then(instant),
            retry_of: run.retry_of.map(|number| format!("r-{number}")),
            plan_hash: plan.map(|plan| plan.plan_hash),
            export_digest,
            cancel,
            failure,
            tasks,
        }
    }
}

/// A time to the second.
pub(crate) fn instant(time: Millis) -> Option<Instant> {
    Instant::from_unix_seconds(time.0.div_euclid(1000))
}

/// The run that a path names.
pub(crate) fn key(caller: &Caller, id: &str) -> Result<RunKey, Problem> {
    let number = id.strip_prefix("r-").and_then(|digits| digits.parse().ok());
    let number = number.filter(|number| format!("r-{number}") == id);
    let number = number.ok_or_else(|| Problem::not_found(&format!("run {id}")))?;
    Ok(RunKey { tenant: caller.tenant.clone(), number })
}

/// The run that a path names, if it is there.
pub(crate) async fn find(service: &Service, caller: &Caller, id: &str) -> Result<Run, Problem> {
    let run = service.catalog.run(&key(caller, id)?).await?;
    run.ok_or_else(|| Problem::not_found(&format!("run {id}")))
}

/// `POST /runs`: accepts a run.
pub(crate) async fn start(
    State(service): State<Arc<Service>>,
    caller: Caller,
    headers: HeaderMap,
    order: Result<Json<Order>, axum::extract::rejection::JsonRejection>,
) -> Result<Response, Problem> {
    caller.may(&service, Scope::Run, "run.create", "a new run").await?;
    let Json(order) =
        order.map_err(|rejection| Problem::new(ErrorCode::Invalid, rejection.body_text()))?;
    accept(&service, &caller, &headers, order, None).await
}

/// `POST /runs/{id}/retry`: asks for the same again, as a run of its own.
pub(crate) async fn retry(
    State(service): State<Arc<Service>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(&service, Scope::Run, "run.retry", &id).await?;
    let run = find(&service, &caller, &id).await?;
    if !run.state.status.is_terminal() {
        let message = format!("{id} is {}: it goes on by itself", run.state.status);
        return Err(Problem::new(ErrorCode::Conflict, message));
    }
    let stored = stored_order(&run)?;
    accept(&service, &caller, &headers, stored.order, Some(run.number)).await
}

/// The order that a run was made of.
pub(crate) fn stored_order(run: &Run) -> Result<StoredOrder, Problem> {
    serde_json::from_str(&run.request).map_err(|error| {
        Problem::new(
            ErrorCode::Io,
            format!("the request of r-{} does not read: {error}", run.number),
        )
    })
}

async fn accept(
    service: &Service,
    caller: &Caller,
    headers: &HeaderMap,
    order: Order,
    retry_of: Option<u64>,
) -> Result<Response, Problem> {
    let now = service.now();
    let at = instant(now).ok_or_else(|| {
        Problem::new(ErrorCode::Internal, "the clock has no time that can be told")
    })?;
    let key = idempotency_key(headers, &order, retry_of)?;
    let stored = StoredOrder { order, at };
    // What can be told at once is not left to a worker.
    stella_engine::check_request(&stored.request()?)?;
    let request = serde_json::to_string(&stored)
        .map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?;
    let target = HTTP.parse().map_err(|_| Problem::new(ErrorCode::Internal, "no target"))?;
    let new = NewRun {
        profile: stored.order.profile.clone(),
        revision: 0,
        request,
        retry_of,
        targets: BTreeSet::from([target]),
        rules: service.rules,
    };
    let action = if retry_of.is_some() { "run.retry" } else { "run.create" };
    let entry = caller.entry(action, "a new run");
    let started =
        service.catalog.start_run(&caller.tenant, &new, key.as_ref(), &entry, now).await?;
    let Started { number, is_new } = started;
    let run = RunKey { tenant: caller.tenant.clone(), number };
    if is_new {
        service.queue.wake(&run);
    }
    let run = service.catalog.run(&run).await?;
    let run = run.ok_or_else(|| Problem::not_found(&format!("run r-{number}")))?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let place = format!("{}/runs/r-{number}", crate::BASE);
    Ok((status, [(header::LOCATION, place)], Json(RunView::from(run))).into_response())
}

/// The key that a request may come with, and what the request is.
fn idempotency_key(
    headers: &HeaderMap,
    order: &Order,
    retry_of: Option<u64>,
) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=LONGEST_KEY).contains(&key.len()));
    let key = key.ok_or_else(|| {
        let rule = format!("an Idempotency-Key is 1 to {LONGEST_KEY} visible ASCII characters");
        Problem::new(ErrorCode::Usage, rule)
    })?;
    let request = serde_json::to_vec(&(order, retry_of))
        .map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?;
    Ok(Some(IdempotencyKey { key: key.to_owned(), request: Digest::of(&request) }))
}

/// Which runs are listed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Words with commas between them.
    status: Option<String>,
    profile: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// A page of runs.
#[derive(Serialize)]
pub(crate) struct RunList {
    items: Vec<RunView>,
    /// What `cursor` is for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /runs`: runs, the newest first.
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    caller: Caller,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<RunList>, Problem> {
    caller.may(&service, Scope::Read, "run.list", "runs").await?;
    let invalid = |message: String| Problem::new(ErrorCode::Usage, message);
    let Query(query) = query.map_err(|rejection| invalid(rejection.body_text()))?;
    let mut statuses = BTreeSet::new();
    for word in query.status.as_deref().unwrap_or("").split(',').filter(|word| !word.is_empty()) {
        let status = Status::of_word(word);
        statuses.insert(status.ok_or_else(|| invalid(format!("status: `{word}` is none")))?);
    }
    let before = match &query.cursor {
        Some(cursor) => Some(key(&caller, cursor).map_err(|_| invalid("cursor: is none".into()))?),
        None => None,
    };
    let limit = query.limit.unwrap_or(PAGE.0);
    if !(1..=PAGE.1).contains(&limit) {
        return Err(invalid(format!("limit: is from 1 to {}", PAGE.1)));
    }
    let before = before.map(|key| key.number);
    let filter = RunFilter { statuses, profile: query.profile, before };
    let page = service.catalog.runs(&caller.tenant, &filter, limit).await?;
    let items = page.runs.into_iter().map(RunView::from).collect();
    Ok(Json(RunList { items, next: page.next.map(|number| format!("r-{number}")) }))
}

/// `GET /runs/{id}`: a run.
pub(crate) async fn get(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<RunView>, Problem> {
    caller.may(&service, Scope::Read, "run.get", &id).await?;
    Ok(Json(RunView::from(find(&service, &caller, &id).await?)))
}

/// How a run is cancelled.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelQuery {
    /// Ends the run at once, whatever its workers do.
    #[serde(default)]
    force: bool,
}

/// `POST /runs/{id}/cancel`: asks a run to stop.
pub(crate) async fn cancel(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
    query: Result<Query<CancelQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<RunView>, Problem> {
    caller.may(&service, Scope::Run, "run.cancel", &id).await?;
    let Query(query) =
        query.map_err(|rejection| Problem::new(ErrorCode::Usage, rejection.body_text()))?;
    let key = key(&caller, &id)?;
    find(&service, &caller, &id).await?;
    let held = if query.force { Held::Abandoned } else { Held::Awaited };
    let (by, now) = (caller.name.clone(), service.now());
    let states = BlockingStore::new(service.catalog.clone(), Handle::current());
    let asked = move || Driver::new(&states).cancel(&key, &by, held, now);
    let asked = tokio::task::spawn_blocking(asked).await;
    match asked.map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))? {
        Ok(()) => {}
        Err(DriveError::Refused { refused: Refused::Over(status), .. }) => {
            let message = format!("{id} is {status}: there is nothing to cancel");
            return Err(Problem::new(ErrorCode::Conflict, message));
        }
        Err(DriveError::NoRun(_)) => return Err(Problem::not_found(&format!("run {id}"))),
        Err(DriveError::Store(error)) => return Err(error.into()),
        Err(other) => return Err(Problem::new(ErrorCode::Conflict, other.to_string())),
    }
    let entry = caller.entry("run.cancel", &id);
    service.catalog.audit(&caller.tenant, &entry, now).await?;
    Ok(Json(RunView::from(find(&service, &caller, &id).await?)))
}
