//! The interface of the service, as its OpenAPI document has it: `/api/export/v1`, and the export of
//! the ledger, whose address others agreed on.

mod audit;
mod bundles;
mod document;
mod downloads;
mod events;
mod extract;
mod feeds;
mod ledger;
mod library;
mod me;
mod order;
mod parameters;
mod plans;
mod problem;
mod profiles;
mod quotas;
mod range;
mod runs;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use stella_model::{ErrorCode, Instant, TenantId};
use stella_run::Millis;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use document::document;
pub(crate) use problem::Problem;
pub(crate) use runs::stored_order;

use crate::service::{Service, depot_store};
use crate::telemetry::traced;

/// Where the interface begins.
pub(crate) const BASE: &str = "/api/export/v1";

/// How long it is believed that the data directory can be written.
const MOMENT: Duration = Duration::from_secs(1);

/// Largest body of a request, in bytes: orders and profiles are small.
const LARGEST_BODY: usize = 1 << 20;

/// A time to the second.
pub(crate) fn instant(time: Millis) -> Option<Instant> {
    Instant::from_unix_seconds(time.0.div_euclid(1000))
}

/// Every request with its documentation.
fn routes() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new()
        .routes(routes!(me::get))
        .routes(routes!(profiles::list))
        .routes(routes!(profiles::get, profiles::put, profiles::delete))
        .routes(routes!(profiles::history))
        .routes(routes!(plans::create))
        .routes(routes!(runs::list, runs::create))
        .routes(routes!(runs::get))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::retry))
        .routes(routes!(runs::inputs))
        .routes(routes!(runs::distributions))
        .routes(routes!(events::of_run))
        .routes(routes!(events::list))
        .routes(routes!(bundles::manifest))
        .routes(routes!(bundles::provenance))
        .routes(routes!(bundles::signatures))
        .routes(routes!(bundles::all_files))
        .routes(routes!(bundles::parts))
        .routes(routes!(downloads::part))
        .routes(routes!(downloads::tar))
        .routes(routes!(feeds::list))
        .routes(routes!(feeds::get))
        .routes(routes!(feeds::quarantine))
        .routes(routes!(feeds::ingest))
        .routes(routes!(library::subscribe, library::unsubscribe))
        .routes(routes!(library::list))
        .routes(routes!(quotas::get))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(openapi))
}

/// Every request at its whole address.
fn addresses() -> OpenApiRouter<Arc<Service>> {
    OpenApiRouter::new().nest(BASE, routes()).routes(routes!(ledger::export))
}

/// What is served.
pub(crate) fn router(service: Arc<Service>) -> Router {
    let (api, _) = addresses().split_for_parts();
    let nowhere =
        async || Problem::not_found("such address; the interface begins at /api/export/v1");
    let nohow = async || {
        Problem::usage("the address does not know this method")
            .with_status(StatusCode::METHOD_NOT_ALLOWED)
    };
    api.fallback(nowhere)
        .method_not_allowed_fallback(nohow)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn(parameters::refuse_stray))
        .layer(from_fn_with_state(service.clone(), traced))
        .with_state(service)
}

/// What is served to the operator of the service, apart from its clients.
pub(crate) fn operations(service: Arc<Service>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .with_state(service)
}

/// Whether the process runs.
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "service",
    responses((status = 200, description = "it runs", body = String, content_type = "text/plain")))]
async fn health() -> &'static str {
    "ok\n"
}

/// Whether requests can be answered: whether the catalog answers and the data directory can be written.
#[utoipa::path(get, path = "/ready", operation_id = "ready", tag = "service",
    responses((status = 200, description = "it answers", body = String, content_type = "text/plain")))]
async fn ready(State(service): State<Arc<Service>>) -> Result<&'static str, Problem> {
    service.catalog.ping().await?;
    // Anybody may ask: whoever asks often has the same answer for a moment, as long as it is a good one.
    let mut tried = service.writable.lock().await;
    if tried.is_some_and(|at| at.elapsed() < MOMENT) {
        return Ok("ok\n");
    }
    let data = service.data.clone();
    let written = tokio::task::spawn_blocking(move || {
        can_write(&data)?;
        // It may be a disk of its own.
        let depot = depot_store(&data, None, &TenantId::local()).depot_dir();
        if depot.exists() { can_write(&depot) } else { Ok(()) }
    });
    let written = written.await.map_err(ended)?;
    *tried = written.is_ok().then(std::time::Instant::now);
    drop(tried);
    written.map_err(|error| {
        let message = format!("the data directory cannot be written: {error}");
        let problem = Problem::new(ErrorCode::Io, message).retry_after(30);
        problem.with_status(StatusCode::SERVICE_UNAVAILABLE)
    })?;
    Ok("ok\n")
}

/// Writes what takes room in a folder, and lets it go again.
fn can_write(folder: &std::path::Path) -> std::io::Result<()> {
    use std::io::Write as _;
    tempfile::tempfile_in(folder)?.write_all(&[0; 4096])
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "service",
    responses((status = 200, description = "the document", content_type = "application/json")))]
async fn openapi() -> Result<axum::Json<utoipa::openapi::OpenApi>, Problem> {
    Ok(axum::Json(document()))
}

/// The figures of the service.
async fn metrics(State(service): State<Arc<Service>>) -> Result<axum::response::Response, Problem> {
    use axum::response::IntoResponse as _;
    let queue = service.catalog.queue(service.now()).await?;
    let figure = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    service.figures.active_runs.set(figure(queue.active));
    service.figures.queue_depth.set(figure(queue.due));
    service.figures.queue_age.set(queue.oldest_ms / 1000);
    let text = service.figures.text().map_err(Problem::internal)?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(axum::http::header::CONTENT_TYPE, kind)], text).into_response())
}

/// The task that reads something from a disk ended in a defect.
fn ended(error: tokio::task::JoinError) -> Problem {
    Problem::new(ErrorCode::Internal, format!("a task of the service ended: {error}"))
}
