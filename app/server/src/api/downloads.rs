//! Bundles to be fetched: the tar and single files, any range of them.
//!
//! A piece is made when the client has taken the one before, so that a slow one holds memory for one
//! piece and no thread.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use futures_util::stream;
use stella_depot::StoredFile;
use stella_model::{Digest, PartName};
use tokio::sync::OwnedSemaphorePermit;

use super::extract::RunId;
use super::range::{Asked, asked};
use super::{Problem, bundles};
use crate::access::Caller;
use crate::access::limits::Place;
use crate::listener::direct::Outbox;
use crate::opened::{Of, Opened, Rest};
use crate::service::Service;

/// Something of a bundle that can be read from any place on.
struct Content {
    kind: &'static str,
    size: u64,
    /// Names its bytes: others have another tag.
    etag: String,
    /// Their SHA-256 (RFC 9530).
    sha256: Digest,
    opened: Arc<Opened>,
    of: Of,
}

/// The bundle as one tar, any range of it: the same bytes as `stella export run --carrier tar` writes.
#[utoipa::path(get, path = "/runs/{id}/bundle.tar", tag = "bundles",
    params(("id" = String, Path, description = "the run, such as r-17")),
    responses((status = 200, description = "all of it", content_type = "application/x-tar")))]
pub(crate) async fn tar(
    State(service): State<Arc<Service>>,
    caller: Caller,
    id: RunId,
    outbox: Option<Extension<Outbox>>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let opened = match bundles::laid_lately(&service, &caller, id) {
        Some(opened) => opened,
        None => opened(&service, &caller, id, &headers).await?,
    };
    let content = Content {
        kind: "application/x-tar",
        size: opened.tar().size(),
        etag: format!("\"{}\"", opened.tar().identity()),
        sha256: opened.record().tar,
        opened,
        of: Of::Tar,
    };
    Fetch { service, caller, run: id, what: None, outbox }.answer(content, &method, &headers).await
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
    outbox: Option<Extension<Outbox>>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = RunId::parse(&id).ok_or_else(|| Problem::not_found("such run"))?;
    let opened = opened(&service, &caller, id, &headers).await?;
    let missing = || Problem::not_found(&format!("such file in the bundle of {id}"));
    let name = PartName::new(&path).map_err(|_| missing())?;
    let stored = opened.bundle().stored(&name).ok_or_else(missing)?;
    let content = Content {
        kind: "application/octet-stream",
        size: stored.size,
        etag: format!("\"{}\"", stored.digest),
        sha256: stored.digest,
        opened,
        of: Of::File(stored),
    };
    let fetch = Fetch { service, caller, run: id, what: Some(path), outbox };
    fetch.answer(content, &method, &headers).await
}

/// The bundle of a run. A range is one of many: they do not each look for every file.
async fn opened(
    service: &Service,
    caller: &Caller,
    id: RunId,
    headers: &HeaderMap,
) -> Result<Arc<Opened>, Problem> {
    match headers.contains_key(header::RANGE) {
        true => bundles::kept_lately(service, caller, id).await,
        false => bundles::kept(service, caller, id).await,
    }
}

/// Somebody fetches something.
struct Fetch {
    service: Arc<Service>,
    caller: Caller,
    run: RunId,
    /// The file, if it is one.
    what: Option<String>,
    /// What sends files, where the connection has it.
    outbox: Option<Extension<Outbox>>,
}

impl Fetch {
    /// Answers with what the headers ask for.
    async fn answer(
        &self,
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
            Asked::All => self.body(StatusCode::OK, content, 0..size, method)?,
            Asked::Part(range) => {
                let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                let mut response =
                    self.body(StatusCode::PARTIAL_CONTENT, content, range, method)?;
                set(&mut response, header::CONTENT_RANGE, &told);
                response
            }
        };
        set(&mut response, header::ETAG, &etag);
        set(&mut response, header::ACCEPT_RANGES, "bytes");
        if response.status() != StatusCode::RANGE_NOT_SATISFIABLE {
            // Of the whole, also beside a range of it.
            let digest = base64::engine::general_purpose::STANDARD.encode(sha256.as_bytes());
            let name = HeaderName::from_static("repr-digest");
            set(&mut response, name, &format!("sha-256=:{digest}:"));
        }
        if method == Method::GET && response.status().is_success() {
            let first = || Some(serde_json::json!({ "first": self.what.as_ref()? }).to_string());
            self.caller.fetches(&self.service, self.run.to_string(), first).await?;
        }
        Ok(response)
    }

    /// An answer with a range of something.
    fn body(
        &self,
        status: StatusCode,
        content: Content,
        range: Range<u64>,
        method: &Method,
    ) -> Result<Response, Problem> {
        let (size, kind) = (range.end - range.start, content.kind);
        let body = match method == Method::HEAD {
            true => Body::empty(),
            false => {
                let place = self.service.limits.enter(Place::Download, &self.caller.tenant)?;
                let outbox = self.outbox.as_ref().map(|Extension(outbox)| outbox.clone());
                let rest = Rest::new(content.opened, content.of, range, outbox);
                pieces(Sending { service: self.service.clone(), rest, _place: place })
            }
        };
        let mut response = (status, body).into_response();
        set(&mut response, header::CONTENT_TYPE, kind);
        set(&mut response, header::CONTENT_LENGTH, &size.to_string());
        Ok(response)
    }
}

/// Sets a header whose value is known to be one.
pub(super) fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The body of an answer with a whole file of a bundle.
pub(super) fn whole_file(
    service: &Arc<Service>,
    opened: Arc<Opened>,
    file: StoredFile,
    place: OwnedSemaphorePermit,
) -> Body {
    let rest = Rest::new(opened, Of::File(file), 0..file.size, None);
    pieces(Sending { service: service.clone(), rest, _place: place })
}

/// A body that is on its way.
struct Sending {
    service: Arc<Service>,
    rest: Rest,
    _place: OwnedSemaphorePermit,
}

impl Sending {
    /// The next piece: what is in memory at once, else what is read on a thread that may wait for the
    /// disk.
    async fn piece(mut self) -> io::Result<Option<(Bytes, Sending)>> {
        if self.rest.is_over() {
            return Ok(None);
        }
        let mut piece = self.rest.ready();
        if piece.is_empty() {
            let read = tokio::task::spawn_blocking(move || {
                let piece = self.rest.read()?;
                Ok::<_, io::Error>((piece, self))
            });
            (piece, self) = read.await.map_err(io::Error::other)??;
        }
        self.service.figures.download_bytes.inc_by(piece.len() as u64);
        if let Some(opened) = self.rest.sent(piece.len() as u64) {
            tokio::task::spawn_blocking(move || opened.lay());
        }
        Ok((!piece.is_empty()).then_some((piece, self)))
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
