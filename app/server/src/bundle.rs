//! Bundles to be fetched: the tar, any range of it, and the manifest.

use std::io::Read as _;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use stella_depot::{KeptBundle, VirtualTar};
use stella_model::{ErrorCode, PartName};
use stella_run::Status;
use tokio::sync::mpsc;

use crate::caller::{Caller, Scope};
use crate::problem::Problem;
use crate::range::{Asked, asked};
use crate::runs::find;
use crate::service::Service;

/// Bytes that are read at once, and how many such pieces wait for a slow reader.
const PIECE: usize = 256 << 10;
const WAITING: usize = 2;

/// The bundle of a run that has one.
async fn kept(service: &Arc<Service>, caller: &Caller, id: &str) -> Result<KeptBundle, Problem> {
    let run = find(service, caller, id).await?;
    let status = run.state.status;
    // INV-VERIFY: before it was read back and verified, a bundle counts for nothing.
    let digest =
        run.state.export_digest.filter(|_| matches!(status, Status::Succeeded | Status::Partial));
    let Some(digest) = digest else {
        let message = format!("{id} is {status}: it has no bundle to be fetched");
        return Err(Problem::new(ErrorCode::Conflict, message));
    };
    let store = service.store(&caller.tenant);
    let opened = tokio::task::spawn_blocking(move || stella_engine::kept_bundle(&store, &digest));
    Ok(opened
        .await
        .map_err(|_| Problem::new(ErrorCode::Internal, "reading the depot failed"))??)
}

/// `GET` and `HEAD /runs/{id}/bundle.tar`.
pub(crate) async fn tar(
    State(service): State<Arc<Service>>,
    caller: Caller,
    method: Method,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(&service, Scope::Download, "bundle.download", &id).await?;
    let bundle = kept(&service, &caller, &id).await?;
    let depot = service.store(&caller.tenant).depot();
    let tar = VirtualTar::new(depot, bundle.record())
        .map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?;
    let etag = format!("\"{}\"", tar.identity());
    let asked = asked(&headers, &etag, tar.size());
    let mut response = match asked {
        Asked::Unchanged => StatusCode::NOT_MODIFIED.into_response(),
        Asked::Beyond => {
            let message = format!("the range is not within the {} bytes of the tar", tar.size());
            let beyond = Problem::new(ErrorCode::Usage, message);
            let beyond = beyond.with_status(StatusCode::RANGE_NOT_SATISFIABLE);
            let mut response = beyond.into_response();
            let size = format!("bytes */{}", tar.size());
            set(&mut response, header::CONTENT_RANGE, &size);
            response
        }
        Asked::All => {
            let whole = 0..tar.size();
            content(StatusCode::OK, tar, whole, &method)
        }
        Asked::Part(range) => {
            let told = format!("bytes {}-{}/{}", range.start, range.end - 1, tar.size());
            let mut response = content(StatusCode::PARTIAL_CONTENT, tar, range, &method);
            set(&mut response, header::CONTENT_RANGE, &told);
            response
        }
    };
    set(&mut response, header::ETAG, &etag);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    if method == Method::GET && response.status().is_success() {
        let entry = caller.entry("bundle.download", &id);
        service.catalog.audit(&caller.tenant, &entry, service.now()).await?;
    }
    Ok(response)
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// A range of a tar.
fn content(status: StatusCode, tar: VirtualTar, range: Range<u64>, method: &Method) -> Response {
    let size = range.end - range.start;
    let body = if method == Method::HEAD { Body::empty() } else { read(tar, range) };
    let mut response = (status, body).into_response();
    set(&mut response, header::CONTENT_TYPE, "application/x-tar");
    set(&mut response, header::CONTENT_LENGTH, &size.to_string());
    response
}

/// Reads a range on a thread that may wait for the disk, no further ahead than a few pieces.
fn read(tar: VirtualTar, range: Range<u64>) -> Body {
    let (give, take) = mpsc::channel::<std::io::Result<Vec<u8>>>(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut reader = tar.reader(range);
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let read = reader.by_ref().take(PIECE as u64).read_to_end(&mut piece);
            let is_last = !matches!(read, Ok(read) if read > 0);
            if is_last && read.is_ok() {
                return;
            }
            // A reader that went away is no error.
            if give.blocking_send(read.map(|_| piece)).is_err() || is_last {
                return;
            }
        }
    });
    Body::from_stream(stream::unfold(take, |mut take| async move {
        let piece = take.recv().await?;
        Some((piece, take))
    }))
}

/// `GET /runs/{id}/manifest`: `export.json`, byte for byte.
pub(crate) async fn manifest(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.may(&service, Scope::Read, "bundle.manifest", &id).await?;
    let bundle = kept(&service, &caller, &id).await?;
    let read = tokio::task::spawn_blocking(move || {
        let name = PartName::new("export.json").map_err(std::io::Error::other)?;
        let mut bytes = Vec::new();
        bundle.read(&name)?.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    });
    let failed =
        |what: String| Problem::new(ErrorCode::Io, format!("cannot read export.json: {what}"));
    let bytes = read.await.map_err(|error| failed(error.to_string()))?;
    let bytes = bytes.map_err(|error| failed(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}
