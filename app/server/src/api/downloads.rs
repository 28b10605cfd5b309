//! Bundles to be fetched: the tar and single files, any range of them.
//!
//! A piece is read when the client has taken the one before, so that a slow one holds memory for one
//! piece and no thread.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use stella_depot::VirtualTar;
use stella_model::{ErrorCode, PartName};
use tokio::sync::OwnedSemaphorePermit;

use super::extract::RunId;
use super::range::{Asked, asked};
use super::{Problem, bundles};
use crate::access::Caller;
use crate::access::limits::Place;
use crate::service::Service;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// Bytes in their order.
type Bytestream = Box<dyn Read + Send>;

/// Something of a bundle that can be read from any place on.
struct Content {
    kind: &'static str,
    size: u64,
    /// Names its bytes: others have another tag.
    etag: String,
    /// Their SHA-256, where that is known (RFC 9530).
    sha256: Option<[u8; 32]>,
    open: Box<dyn FnOnce(Range<u64>) -> io::Result<Bytestream> + Send>,
}

/// The bundle as one tar, any range of it: the same bytes as `stella export run --carrier tar` writes.
#[utoipa::path(get, path = "/runs/{id}/bundle.tar", tag = "bundles",
    params(("id" = String, Path, description = "the run, such as r-17")),
    responses((status = 200, description = "all of it", content_type = "application/x-tar")))]
pub(crate) async fn tar(
    State(service): State<Arc<Service>>,
    caller: Caller,
    id: RunId,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let bundle = bundles::kept(&service, &caller, id).await?;
    let depot = service.store(&caller.tenant).depot();
    let tar = VirtualTar::new(depot, bundle.record()).map_err(Problem::internal)?;
    let content = Content {
        kind: "application/x-tar",
        size: tar.size(),
        etag: format!("\"{}\"", tar.identity()),
        sha256: None,
        open: Box::new(move |range| Ok(Box::new(tar.reader(range)))),
    };
    send(&service, &caller, id.to_string(), content, &method, &headers).await
}

/// A file of the bundle, any range of it.
#[utoipa::path(get, path = "/runs/{id}/parts/{*path}", tag = "bundles",
    params(("id" = String, Path, description = "the run, such as r-17"),
           ("path" = String, Path, description = "the name of the file, with its slashes")),
    responses((status = 200, description = "all of it", content_type = "application/octet-stream")))]
pub(crate) async fn part(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Path((id, path)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = RunId::parse(&id).ok_or_else(|| Problem::not_found("such run"))?;
    let bundle = bundles::kept(&service, &caller, id).await?;
    let missing = || Problem::not_found(&format!("such file in the bundle of {id}"));
    let name = PartName::new(&path).map_err(|_| missing())?;
    let stored = bundle.record().files.iter().find(|file| file.name == name);
    let stored = stored.ok_or_else(missing)?.stored;
    let content = Content {
        kind: "application/octet-stream",
        size: stored.size,
        etag: format!("\"{}\"", stored.digest),
        sha256: Some(*stored.digest.as_bytes()),
        open: Box::new(move |range| Ok(Box::new(bundle.range(&name, range)?))),
    };
    send(&service, &caller, format!("{id} {path}"), content, &method, &headers).await
}

/// Answers with what the headers ask for.
async fn send(
    service: &Arc<Service>,
    caller: &Caller,
    object: String,
    content: Content,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let (size, etag, sha256) = (content.size, content.etag.clone(), content.sha256);
    // A range is of a GET alone (RFC 9110, section 14.2).
    let asked = match asked(headers, &etag, size) {
        Asked::Part(_) | Asked::Beyond if method == Method::HEAD => Asked::All,
        asked => asked,
    };
    let mut response = match asked {
        Asked::Unchanged => StatusCode::NOT_MODIFIED.into_response(),
        Asked::Beyond => {
            let message = format!("the range is not within the {size} bytes");
            let beyond = Problem::usage(message).with_status(StatusCode::RANGE_NOT_SATISFIABLE);
            let mut response = beyond.into_response();
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
            response
        }
        Asked::All => body(service, caller, StatusCode::OK, content, 0..size, method)?,
        Asked::Part(range) => {
            let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            let partial = StatusCode::PARTIAL_CONTENT;
            let mut response = body(service, caller, partial, content, range, method)?;
            set(&mut response, header::CONTENT_RANGE, &told);
            response
        }
    };
    set(&mut response, header::ETAG, &etag);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    if let Some(sha256) = sha256 {
        // Of the whole, also beside a range of it.
        use base64::Engine as _;
        let digest = base64::engine::general_purpose::STANDARD.encode(sha256);
        let name = HeaderName::from_static("repr-digest");
        set(&mut response, name, &format!("sha-256=:{digest}:"));
    }
    if method == Method::GET && response.status().is_success() {
        service.catalog.audit(&caller.tenant, &caller.entry(object), service.now()).await?;
    }
    Ok(response)
}

/// Sets a header whose value is known to be one.
pub(super) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// An answer with a range of something.
fn body(
    service: &Arc<Service>,
    caller: &Caller,
    status: StatusCode,
    content: Content,
    range: Range<u64>,
    method: &Method,
) -> Result<Response, Problem> {
    let size = range.end - range.start;
    let kind = content.kind;
    let body = match method == Method::HEAD {
        true => Body::empty(),
        false => {
            let place = service.limits.enter(Place::Download, &caller.tenant)?;
            let reader = (content.open)(range).map_err(|error| {
                Problem::new(ErrorCode::Io, format!("cannot read the bundle in the depot: {error}"))
            })?;
            pieces(Sending { service: service.clone(), reader, left: size, _place: place })
        }
    };
    let mut response = (status, body).into_response();
    set(&mut response, header::CONTENT_TYPE, kind);
    set(&mut response, header::CONTENT_LENGTH, &size.to_string());
    Ok(response)
}

/// A body that is on its way.
struct Sending {
    service: Arc<Service>,
    reader: Bytestream,
    left: u64,
    _place: OwnedSemaphorePermit,
}

impl Sending {
    /// Reads the next piece on a thread that may wait for the disk.
    async fn piece(mut self) -> io::Result<Option<(Bytes, Sending)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || {
            let most = self.left.min(PIECE as u64);
            let mut piece = Vec::with_capacity(usize::try_from(most).unwrap_or(PIECE));
            self.reader.by_ref().take(most).read_to_end(&mut piece)?;
            if piece.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            self.left -= piece.len() as u64;
            Ok((Bytes::from(piece), self))
        });
        let (piece, sending) = read.await.map_err(io::Error::other)??;
        sending.service.figures.download_bytes.inc_by(piece.len() as u64);
        Ok(Some((piece, sending)))
    }
}

fn pieces(sending: Sending) -> Body {
    let next = |sending: Option<Sending>| async move {
        match sending?.piece().await {
            Ok(Some((piece, sending))) => Some((Ok(piece), Some(sending))),
            Ok(None) => None,
            // The connection is cut: a short body never looks like a whole one.
            Err(error) => {
                tracing::error!(%error, "a bundle could not be read while it was sent");
                Some((Err(error), None))
            }
        }
    };
    Body::from_stream(stream::unfold(Some(sending), next))
}
