//! Runs: started, listed, looked at, cancelled, repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stella_catalog::{IdempotencyKey, Mutation, NewRun, Run, RunFilter, RunSummary, Started};
use stella_engine::Again;
use stella_model::ErrorCode;
use stella_model::screen::Safe;
use stella_run::{CancelRequest, Failure, Held, Phase, RunKey, Status, Task, TaskProgress};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Body, Idempotency, Params, RunId, page_size};
use super::order::{Order, StoredOrder};
use super::{BASE, Problem, ended, instant, quotas};
use crate::access::Caller;
use crate::service::Service;
use crate::telemetry::events::RunAccepted;
use crate::telemetry::{asked_by, trace};

/// The target that every run has: the service itself, from which bundles are fetched.
const HTTP: &str = "http";

/// Runs on a page unless asked otherwise, and at most.
const PAGE: (u32, u32) = (50, 200);

/// A run as lists have it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunItem {
    /// Its name within the tenant, such as `r-17`.
    id: String,
    /// Name of the profile.
    profile: String,
    /// Its revision; 0 for one that is built in.
    revision: u64,
    /// queued, running, retrying, succeeded, partial, failed or cancelled.
    #[schema(value_type = String)]
    status: Status,
    /// How often something had to be begun, at most; 1 if all went well.
    attempt: u32,
    /// When it was accepted.
    created_at: Option<String>,
    /// Who asked for it.
    created_by: String,
    /// When a worker began.
    started_at: Option<String>,
    /// When it ended.
    finished_at: Option<String>,
    /// The run that this one repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_of: Option<String>,
    /// Identity of its plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_hash: Option<String>,
    /// SHA-256 of `export.json` of its bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    export_digest: Option<String>,
    /// Bytes of all files of its bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle_bytes: Option<u64>,
    /// Since when its bundle need not be kept any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    released_at: Option<String>,
    /// Code of the table of errors, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
}

impl From<RunSummary> for RunItem {
    fn from(run: RunSummary) -> RunItem {
        let text = |time| instant(time).map(|at| at.to_string());
        RunItem {
            id: RunId(run.number).to_string(),
            profile: run.profile,
            revision: run.revision,
            status: run.status,
            attempt: run.attempt,
            created_at: text(run.created),
            created_by: run.by,
            started_at: run.started.and_then(text),
            finished_at: run.finished.and_then(text),
            retry_of: run.retry_of.map(|number| RunId(number).to_string()),
            plan_hash: run.plan_hash.map(|hash| hash.to_string()),
            export_digest: run.bundle.map(|bundle| bundle.export_digest.to_string()),
            bundle_bytes: run.bundle.map(|bundle| bundle.bytes),
            released_at: run.released.and_then(text),
            error_code: run.error_code,
        }
    }
}

/// Why something was not done.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailureView {
    /// A code of the one table.
    code: String,
    /// What failed.
    message: String,
    /// The next step.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl From<Failure> for FailureView {
    fn from(failure: Failure) -> FailureView {
        FailureView { code: failure.code, message: failure.message, hint: failure.hint }
    }
}

/// How far the worker that has a task is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProgressView {
    /// The stage that it is at, such as `pack`.
    stage: String,
    /// Units done.
    done: u64,
    /// Units in all, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// What a unit is, such as `records`.
    unit: String,
    /// Bytes done.
    bytes: u64,
}

impl From<TaskProgress> for ProgressView {
    fn from(progress: TaskProgress) -> ProgressView {
        let TaskProgress { stage, done, total, unit, bytes } = progress;
        ProgressView { stage, done, total, unit, bytes }
    }
}

/// A task of a run.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskView {
    /// waiting, ready, leased, done or givenUp.
    state: &'static str,
    /// How often it was begun.
    attempt: u32,
    /// The worker that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    /// When it is tried again, or the worker has to be seen again.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// How far that worker is; absent before it has been at it for some seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressView>,
    /// Why the last attempt that is over did not do it.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<FailureView>,
}

impl From<Task> for TaskView {
    fn from(task: Task) -> TaskView {
        let text = |time| instant(time).map(|at| at.to_string());
        let trouble = task.trouble.map(FailureView::from);
        let view = |state, until| TaskView {
            state,
            attempt: task.attempt,
            worker: None,
            until,
            progress: None,
            trouble,
        };
        match task.phase {
            Phase::Waiting => view("waiting", None),
            // A task that was never tried waits for nothing.
            Phase::Ready { not_before } => {
                view("ready", Some(not_before).filter(|at| at.0 > 0).and_then(text))
            }
            Phase::Leased { worker, until, progress } => TaskView {
                worker: Some(worker),
                progress: progress.map(ProgressView::from),
                ..view("leased", text(until))
            },
            Phase::Done => view("done", None),
            Phase::GivenUp => view("givenUp", None),
        }
    }
}

/// That somebody wants a run to stop.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CancelView {
    /// Who asked first.
    by: String,
    /// When.
    at: Option<String>,
}

impl From<CancelRequest> for CancelView {
    fn from(cancel: CancelRequest) -> CancelView {
        CancelView { by: cancel.by, at: instant(cancel.at).map(|at| at.to_string()) }
    }
}

/// A run.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunView {
    #[serde(flatten)]
    item: RunItem,
    /// What was asked for.
    request: Value,
    /// Where the bundle is to go.
    targets: BTreeSet<String>,
    /// How often parts and databases were made anew because the depot lost them.
    repairs: u32,
    /// That somebody wants it to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<CancelView>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
    /// Its tasks by name, such as `pack/3`.
    tasks: BTreeMap<String, TaskView>,
}

impl From<Run> for RunView {
    fn from(run: Run) -> RunView {
        let stored: Option<StoredOrder> = serde_json::from_str(&run.request).ok();
        let order = stored.and_then(|stored| serde_json::to_value(stored.order).ok());
        let state = run.state;
        let task = |(id, task): (stella_run::TaskId, Task)| (id.to_string(), task.into());
        RunView {
            item: run.summary.into(),
            request: order.unwrap_or_default(),
            targets: state.targets.iter().map(ToString::to_string).collect(),
            repairs: state.repairs,
            cancel: state.cancel.map(CancelView::from),
            failure: state.failure.map(FailureView::from),
            tasks: state.tasks.into_iter().map(task).collect(),
        }
    }
}

/// Names a run of the caller's tenant.
pub(super) fn key(caller: &Caller, run: RunId) -> RunKey {
    RunKey { tenant: caller.tenant.clone(), number: run.0 }
}

/// A run of the caller's tenant as lists have it.
pub(super) async fn find(
    service: &Service,
    caller: &Caller,
    run: RunId,
) -> Result<RunSummary, Problem> {
    let found = service.catalog.run_summary(&key(caller, run)).await?;
    found.ok_or_else(|| Problem::not_found(&format!("run {run}")))
}

async fn find_whole(service: &Service, caller: &Caller, run: RunId) -> Result<Run, Problem> {
    let found = service.catalog.run(&key(caller, run)).await?;
    found.ok_or_else(|| Problem::not_found(&format!("run {run}")))
}

/// Accepts a run. The status is `queued`: watch `/runs/{id}/events`.
#[utoipa::path(post, path = "/runs", tag = "runs", request_body = Order,
    responses((status = 201, description = "it is accepted", body = RunView),
              (status = 200, description = "the same request came before", body = RunView)))]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    caller: Caller,
    key: Idempotency,
    Body(order): Body<Order>,
) -> Result<Response, Problem> {
    let key = key.of(&asked(&order, None))?;
    // The same request has the same answer, also where its profile is not there any more.
    if let Some(key) = &key
        && let Some(result) = service.catalog.result_of(&caller.tenant, key, service.now()).await?
    {
        let number = result.parse().map_err(Problem::internal)?;
        return answer(&service, &caller, Started { number, is_new: false }).await;
    }
    let (stored, revision) = stored(&service, &caller, order).await?;
    check_feeds(&service, &caller, &stored).await?;
    accept(&service, &caller, key, stored, revision, None).await
}

/// What names a request for a run: not when it came, for it may come twice.
fn asked(order: &Order, retry_of: Option<u64>) -> impl Serialize + '_ {
    ("run.create", order, retry_of)
}

/// The order as it is stored, with the profile of the tenant as it is now; and its revision.
pub(super) async fn stored(
    service: &Service,
    caller: &Caller,
    order: Order,
) -> Result<(StoredOrder, u64), Problem> {
    let at = instant(service.now()).ok_or_else(|| Problem::internal("no time can be told"))?;
    let built_in = stella_engine::adapter_specs().iter().any(|spec| spec.id == order.profile);
    let (mut document, mut revision) = (None, 0);
    if !built_in {
        // What cannot be the name of a profile is not looked for.
        let found = match order.profile.contains('\0') {
            true => None,
            false => service.catalog.profile(&caller.tenant, &order.profile).await?,
        };
        let found = found.ok_or_else(|| {
            Problem::not_found(&format!("profile `{}`", Safe(&order.profile))).hint(
                "there are those that are built in, such as mirror:full, and those of the tenant",
            )
        })?;
        (document, revision) = (found.document, found.revision);
    }
    let stored = StoredOrder { order, at, document, again: None };
    // What can be told at once is not left to a worker.
    stella_engine::check_request(&stored.request()?)?;
    Ok((stored, revision))
}

/// That the feeds of an order are there.
async fn check_feeds(
    service: &Service,
    caller: &Caller,
    stored: &StoredOrder,
) -> Result<(), Problem> {
    let (store, request) = (service.store(&caller.tenant), stored.request()?);
    let checked =
        tokio::task::spawn_blocking(move || stella_engine::check_request_feeds(&store, &request));
    checked.await.map_err(ended)?.map_err(|error| match error.code() {
        ErrorCode::NotFound => {
            let what = error.to_string();
            let problem = Problem::new(ErrorCode::NotFound, what.as_str());
            problem.detail("select.feeds", what).hint("GET /feeds has those of the tenant")
        }
        _ => error.into(),
    })
}

/// The bundle that a retry of a run makes again: of one that made one, or was to make one again.
async fn again(
    service: &Service,
    caller: &Caller,
    run: &Run,
    before: &StoredOrder,
) -> Result<Option<Again>, Problem> {
    let is_good = matches!(run.summary.status, Status::Succeeded | Status::Partial);
    let Some(plan) = run.state.plan.as_ref().filter(|_| is_good) else {
        return Ok(before.again.clone());
    };
    let inputs = service.catalog.inputs(&key(caller, RunId(run.summary.number))).await?;
    // All sets of a run are of one snapshot; a bundle without any is of no evidence.
    Ok(inputs.into_iter().next().map(|input| Again {
        ledger: input.ledger,
        sequence: input.sequence,
        plan_hash: plan.plan_hash,
    }))
}

/// Asks for the same again, as a run of its own: with the profile as it was then. Of a run that succeeded
/// the very bundle is made again, of the evidence that it was made of, or nothing; of one that did not, the
/// evidence is taken as it is now.
#[utoipa::path(post, path = "/runs/{id}/retry", tag = "runs",
    params(("id" = String, Path, description = "the run, such as r-17")),
    responses((status = 201, description = "a new run is accepted", body = RunView),
              (status = 200, description = "the same request came before", body = RunView)))]
pub(crate) async fn retry(
    State(service): State<Arc<Service>>,
    caller: Caller,
    id: RunId,
    key: Idempotency,
) -> Result<Response, Problem> {
    let run = find_whole(&service, &caller, id).await?;
    if !run.summary.status.is_terminal() {
        let message = format!("{id} is {}: it goes on by itself", run.summary.status);
        return Err(Problem::new(ErrorCode::Conflict, message));
    }
    let before = stored_order(&run)?;
    let stored = match again(&service, &caller, &run, &before).await? {
        // Ages in selectors are of the time of the run.
        Some(again) => StoredOrder { again: Some(again), ..before },
        None => {
            let now = instant(service.now());
            let at = now.ok_or_else(|| Problem::internal("no time can be told"))?;
            StoredOrder { at, again: None, ..before }
        }
    };
    let key = key.of(&asked(&stored.order, Some(id.0)))?;
    accept(&service, &caller, key, stored, run.summary.revision, Some(id)).await
}

/// The order that a run was made of.
pub(crate) fn stored_order(run: &Run) -> Result<StoredOrder, Problem> {
    serde_json::from_str(&run.request).map_err(|error| {
        let run = RunId(run.summary.number);
        Problem::new(ErrorCode::Io, format!("the request of {run} does not read: {error}"))
    })
}

async fn accept(
    service: &Service,
    caller: &Caller,
    key: Option<IdempotencyKey>,
    stored: StoredOrder,
    revision: u64,
    retry_of: Option<RunId>,
) -> Result<Response, Problem> {
    let retry_of = retry_of.map(|run| run.0);
    let request = serde_json::to_string(&stored).map_err(Problem::internal)?;
    let target = HTTP.parse().map_err(Problem::internal)?;
    let new = NewRun {
        profile: stored.order.profile.clone(),
        revision,
        request,
        retry_of,
        targets: BTreeSet::from([target]),
        rules: service.rules,
        trace: asked_by(),
    };
    let entry = caller.entry("a new run");
    let mutation = Mutation { entry: &entry, key: key.as_ref(), now: service.now() };
    let started = service.catalog.start_run(&caller.tenant, &new, &mutation).await;
    match started {
        Ok(started) => {
            if started.is_new {
                let run = self::key(caller, RunId(started.number));
                RunAccepted { run: &run, profile: &new.profile, trace: &trace() }.emit();
            }
            answer(service, caller, started).await
        }
        Err(error) if error.code() == ErrorCode::Quota => {
            let entry = caller.denied("a new run", &error.to_string());
            service.catalog.audit(&caller.tenant, &entry, service.now()).await?;
            let mut response = Problem::from(error).into_response();
            for (name, value) in quotas::headers(service, caller).await? {
                super::downloads::set(&mut response, name, &value);
            }
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

/// Tells of a run that was accepted, now or before.
async fn answer(service: &Service, caller: &Caller, started: Started) -> Result<Response, Problem> {
    let Started { number, is_new } = started;
    let id = RunId(number);
    if is_new {
        service.changed(&self::key(caller, id));
    }
    let run = find_whole(service, caller, id).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let place = format!("{BASE}/runs/{id}");
    let mut response =
        (status, [(header::LOCATION, place)], Json(RunView::from(run))).into_response();
    for (name, value) in quotas::headers(service, caller).await? {
        super::downloads::set(&mut response, name, &value);
    }
    Ok(response)
}

/// Which runs are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Words with commas between them, such as `failed,partial`.
    status: Option<String>,
    /// Of this profile.
    profile: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// How many: 50 unless asked otherwise, 200 at most.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A page of runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunList {
    /// The newest first.
    items: Vec<RunItem>,
    /// What `cursor` is for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Runs, the newest first.
#[utoipa::path(get, path = "/runs", tag = "runs", params(ListQuery),
    responses((status = 200, description = "a page", body = RunList)))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Result<Json<RunList>, Problem> {
    let mut statuses = BTreeSet::new();
    for word in query.status.as_deref().unwrap_or("").split(',').filter(|word| !word.is_empty()) {
        let status = Status::of_word(word);
        statuses.insert(status.ok_or_else(|| Problem::usage(format!("status: `{word}` is none")))?);
    }
    let before = query.cursor.as_deref().map(|cursor| {
        RunId::parse(cursor).ok_or_else(|| Problem::usage("cursor: is `next` of a page before"))
    });
    let limit = page_size(query.limit, PAGE)?;
    if query.profile.as_deref().is_some_and(|profile| profile.contains('\0')) {
        return Err(Problem::usage("profile: is the name of one"));
    }
    let before = before.transpose()?.map(|run| run.0);
    let filter = RunFilter { statuses, profile: query.profile, before };
    let page = service.catalog.runs(&caller.tenant, &filter, limit).await?;
    let items = page.runs.into_iter().map(RunItem::from).collect();
    Ok(Json(RunList { items, next: page.next.map(|number| RunId(number).to_string()) }))
}

/// A run, with its tasks.
#[utoipa::path(get, path = "/runs/{id}", tag = "runs",
    params(("id" = String, Path, description = "the run, such as r-17")),
    responses((status = 200, description = "the run", body = RunView)))]
pub(crate) async fn get(
    State(service): State<Arc<Service>>,
    caller: Caller,
    id: RunId,
) -> Result<Json<RunView>, Problem> {
    Ok(Json(RunView::from(find_whole(&service, &caller, id).await?)))
}

/// How a run is cancelled.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CancelQuery {
    /// Ends the run at once, whatever its workers do.
    #[serde(default)]
    force: bool,
}

/// Asks a run to stop: it ends one lease later at most.
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs",
    params(("id" = String, Path, description = "the run, such as r-17"), CancelQuery),
    responses((status = 200, description = "the run as it is now", body = RunView)))]
pub(crate) async fn cancel(
    State(service): State<Arc<Service>>,
    caller: Caller,
    id: RunId,
    Params(query): Params<CancelQuery>,
    key: Idempotency,
) -> Result<Json<RunView>, Problem> {
    let held = if query.force { Held::Abandoned } else { Held::Awaited };
    let key = key.of(&("run.cancel", id.0, query.force))?;
    let run = self::key(&caller, id);
    let entry = caller.entry(id.to_string());
    let mutation = Mutation { entry: &entry, key: key.as_ref(), now: service.now() };
    service.catalog.cancel_run(&run, held, &mutation).await?;
    service.changed(&run);
    Ok(Json(RunView::from(find_whole(&service, &caller, id).await?)))
}

/// A set of the snapshot of a run.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InputView {
    /// The kind, such as `advisory`.
    kind: String,
    /// The feed.
    feed: String,
    /// Number of records.
    records: u64,
    /// Set root before redaction.
    root: String,
    /// The ledger that was read.
    ledger: String,
    /// Up to which sequence.
    sequence: u64,
}

/// What a run reads.
#[derive(Serialize, ToSchema)]
pub(crate) struct InputList {
    /// By kind and feed.
    items: Vec<InputView>,
}

/// What the snapshot of a run holds; nothing before it is planned.
#[utoipa::path(get, path = "/runs/{id}/inputs", tag = "runs",
    params(("id" = String, Path, description = "the run, such as r-17")),
    responses((status = 200, description = "its sets", body = InputList)))]
pub(crate) async fn inputs(
    State(service): State<Arc<Service>>,
    caller: Caller,
    id: RunId,
) -> Result<Json<InputList>, Problem> {
    find(&service, &caller, id).await?;
    let found = service.catalog.inputs(&key(&caller, id)).await?;
    let view = |input: stella_catalog::Input| InputView {
        kind: input.kind.to_string(),
        feed: input.feed.to_string(),
        records: input.records,
        root: input.root.to_string(),
        ledger: input.ledger,
        sequence: input.sequence,
    };
    Ok(Json(InputList { items: found.into_iter().map(view).collect() }))
}

/// A delivery of a bundle.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DistributionView {
    /// Where to.
    target: String,
    /// pending, delivered, verified or failed.
    state: &'static str,
    /// SHA-256 of `export.json` of what is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    export_digest: Option<String>,
    /// Its bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// Code of the table of errors, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
}

/// The deliveries of a run.
#[derive(Serialize, ToSchema)]
pub(crate) struct DistributionList {
    /// By target.
    items: Vec<DistributionView>,
}

/// How far the deliveries of a run are.
#[utoipa::path(get, path = "/runs/{id}/distributions", tag = "runs",
    params(("id" = String, Path, description = "the run, such as r-17")),
    responses((status = 200, description = "its deliveries", body = DistributionList)))]
pub(crate) async fn distributions(
    State(service): State<Arc<Service>>,
    caller: Caller,
    id: RunId,
) -> Result<Json<DistributionList>, Problem> {
    find(&service, &caller, id).await?;
    let found = service.catalog.distributions(&key(&caller, id)).await?;
    let view = |distribution: stella_catalog::Distribution| DistributionView {
        target: distribution.target.to_string(),
        state: distribution.state.as_str(),
        export_digest: distribution.export_digest.map(|digest| digest.to_string()),
        bytes: distribution.bytes,
        error_code: distribution.error_code,
    };
    Ok(Json(DistributionList { items: found.into_iter().map(view).collect() }))
}
