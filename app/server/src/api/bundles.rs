//! What a bundle says of itself: manifest, provenance, signatures, parts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use stella_engine::EngineError;
use stella_model::{ErrorCode, PartName};
use stella_run::{Bundle, Status};
use utoipa::ToSchema;

use super::downloads::{set, whole_file};
use super::extract::RunId;
use super::{Problem, ended, runs};
use crate::access::Caller;
use crate::access::limits::Place;
use crate::opened::Opened;
use crate::service::Service;

const MANIFEST: &str = "export.json";
const PROVENANCE: &str = "provenance.json";

/// The bundle of a run that has one: looked for, and whether every file of it is there.
pub(super) async fn kept(
    service: &Service,
    caller: &Caller,
    id: RunId,
) -> Result<Arc<Opened>, Problem> {
    let bundle = to_fetch(service, caller, id).await?;
    let opened = open(service, caller, bundle).await?;
    service.remembered.bundles.insert(runs::key(caller, id), bundle);
    Ok(opened)
}

/// The bundle of a run that had one a moment ago, if its tar lies in one file: nothing has to be looked
/// for.
pub(super) fn laid_lately(service: &Service, caller: &Caller, id: RunId) -> Option<Arc<Opened>> {
    let bundle = service.remembered.bundles.get(&runs::key(caller, id))?;
    opened(service, caller, &bundle).filter(|opened| opened.is_laid())
}

/// As [`kept`], for one of many requests: what was found a moment ago is believed.
pub(super) async fn kept_lately(
    service: &Service,
    caller: &Caller,
    id: RunId,
) -> Result<Arc<Opened>, Problem> {
    let run = runs::key(caller, id);
    let bundle = match service.remembered.bundles.get(&run) {
        Some(bundle) => bundle,
        None => {
            let bundle = to_fetch(service, caller, id).await?;
            service.remembered.bundles.insert(run, bundle);
            bundle
        }
    };
    match opened(service, caller, &bundle) {
        Some(opened) => Ok(opened),
        None => open(service, caller, bundle).await,
    }
}

/// A bundle of the caller's tenant, if it is open.
fn opened(service: &Service, caller: &Caller, bundle: &Bundle) -> Option<Arc<Opened>> {
    service.remembered.opened.get(&(caller.tenant.clone(), bundle.files))
}

/// Opens a bundle of the caller's tenant, and looks whether every file of it is there.
async fn open(service: &Service, caller: &Caller, bundle: Bundle) -> Result<Arc<Opened>, Problem> {
    let store = service.store(&caller.tenant);
    let found = tokio::task::spawn_blocking(move || {
        let kept = stella_engine::kept_bundle(&store, &bundle).map_err(lost)?;
        Ok::<_, Problem>((store.depot(), kept))
    });
    let (depot, kept) = found.await.map_err(ended)??;
    // Whoever fetches it already has stretches of it open.
    if let Some(opened) = opened(service, caller, &bundle) {
        return Ok(opened);
    }
    let (remembered, name) = (&service.remembered, (caller.tenant.clone(), bundle.files));
    let laid = remembered.laid.get_with(name.clone(), Arc::default);
    let opened = Arc::new(Opened::new(depot, kept, laid, remembered.room.clone())?);
    remembered.opened.insert(name, opened.clone());
    Ok(opened)
}

/// Why a bundle cannot be opened. What the depot lost is no fault of whoever asks for it, and the log tells
/// of it.
fn lost(error: EngineError) -> Problem {
    let is_lost = error.code() == ErrorCode::DigestMismatch;
    let problem = Problem::from(error);
    match is_lost {
        true => problem.with_status(StatusCode::INTERNAL_SERVER_ERROR),
        false => problem,
    }
}

/// Which bundle a run has to be fetched.
async fn to_fetch(service: &Service, caller: &Caller, id: RunId) -> Result<Bundle, Problem> {
    let run = runs::find(service, caller, id).await?;
    // INV-VERIFY: before it was read back and verified, a bundle counts for nothing.
    let is_good = matches!(run.status, Status::Succeeded | Status::Partial);
    let Some(bundle) = run.bundle.filter(|_| is_good) else {
        let message = format!("{id} is {}: it has no bundle to be fetched", run.status);
        return Err(Problem::new(ErrorCode::Conflict, message).hint(
            "the run tells how it goes or why it failed: export status RUN, GET /runs/{id}",
        ));
    };
    if run.released.is_some() {
        let message = format!("the bundle of {id} is not kept any more");
        return Err(Problem::new(ErrorCode::NotFound, message)
            .hint("POST /runs/{id}/retry makes the same bundle again")
            .with_status(StatusCode::GONE));
    }
    Ok(bundle)
}

/// A file of the envelope of a run's bundle, byte for byte.
async fn envelope(
    service: &Arc<Service>,
    caller: &Caller,
    id: RunId,
    name: &'static str,
    kind: &'static str,
) -> Result<Response, Problem> {
    let opened = kept(service, caller, id).await?;
    let stored = PartName::new(name).ok().and_then(|name| opened.bundle().stored(&name));
    let stored = stored.ok_or_else(|| {
        Problem::new(ErrorCode::Internal, format!("the bundle of {id} has no {name}"))
    })?;
    // It may be megabytes: as many are sent at once as of bundles.
    let place = service.limits.enter(Place::Download, &caller.tenant)?;
    let mut response = Response::new(whole_file(service, opened, stored, place));
    set(&mut response, header::CONTENT_TYPE, kind);
    set(&mut response, header::CONTENT_LENGTH, &stored.size.to_string());
    Ok(response)
}

/// `export.json` of the bundle, byte for byte: what is signed.
#[utoipa::path(get, path = "/runs/{id}/manifest", tag = "bundles",
    params(("id" = String, Path, description = "the run, such as r-17")),
    responses((status = 200, description = "the manifest", body = serde_json::Value)))]
pub(crate) async fn manifest(
    State(service): State<Arc<Service>>,
    caller: Caller,
    id: RunId,
) -> Result<Response, Problem> {
    envelope(&service, &caller, id, MANIFEST, "application/json").await
}

/// `provenance.json` of the bundle, byte for byte: an in-toto statement.
#[utoipa::path(get, path = "/runs/{id}/provenance", tag = "bundles",
    params(("id" = String, Path, description = "the run, such as r-17")),
    responses((status = 200, description = "the statement", body = serde_json::Value,
               content_type = "application/vnd.in-toto+json")))]
pub(crate) async fn provenance(
    State(service): State<Arc<Service>>,
    caller: Caller,
    id: RunId,
) -> Result<Response, Problem> {
    envelope(&service, &caller, id, PROVENANCE, "application/vnd.in-toto+json").await
}

/// A file of a bundle.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileView {
    /// Its name within the bundle.
    path: String,
    /// Its bytes.
    size: u64,
    /// Their SHA-256.
    digest: String,
}

/// Files of a bundle.
#[derive(Serialize, ToSchema)]
pub(crate) struct FileList {
    /// By name.
    items: Vec<FileView>,
}

/// The files of a bundle of one sort.
fn files(bundle: &Opened, is_wanted: impl Fn(&str) -> bool) -> FileList {
    let wanted = bundle.record().files.iter().filter(|file| is_wanted(file.name.as_str()));
    let view = |file: &stella_depot::BundleFile| FileView {
        path: file.name.to_string(),
        size: file.stored.size,
        digest: file.stored.digest.to_string(),
    };
    FileList { items: wanted.map(view).collect() }
}

fn is_signature(name: &str) -> bool {
    name.ends_with(".sig") || name.ends_with(".sigstore.json")
}

/// The signatures of the bundle, as files that `/runs/{id}/parts/{path}` has.
#[utoipa::path(get, path = "/runs/{id}/signatures", tag = "bundles",
    params(("id" = String, Path, description = "the run, such as r-17")),
    responses((status = 200, description = "the signatures", body = FileList)))]
pub(crate) async fn signatures(
    State(service): State<Arc<Service>>,
    caller: Caller,
    id: RunId,
) -> Result<Json<FileList>, Problem> {
    let bundle = kept(&service, &caller, id).await?;
    Ok(Json(files(&bundle, is_signature)))
}

/// All files of the bundle, as `/runs/{id}/parts/{path}` has them.
#[utoipa::path(get, path = "/runs/{id}/files", tag = "bundles",
    params(("id" = String, Path, description = "the run, such as r-17")),
    responses((status = 200, description = "the files", body = FileList)))]
pub(crate) async fn all_files(
    State(service): State<Arc<Service>>,
    caller: Caller,
    id: RunId,
) -> Result<Json<FileList>, Problem> {
    let bundle = kept(&service, &caller, id).await?;
    Ok(Json(files(&bundle, |_| true)))
}

/// The files of the bundle that its manifest lists.
#[utoipa::path(get, path = "/runs/{id}/parts", tag = "bundles",
    params(("id" = String, Path, description = "the run, such as r-17")),
    responses((status = 200, description = "the parts", body = FileList)))]
pub(crate) async fn parts(
    State(service): State<Arc<Service>>,
    caller: Caller,
    id: RunId,
) -> Result<Json<FileList>, Problem> {
    let bundle = kept(&service, &caller, id).await?;
    let is_part = |name: &str| !matches!(name, MANIFEST | PROVENANCE) && !is_signature(name);
    Ok(Json(files(&bundle, is_part)))
}
