//! Feeds of the tenant's ledger: what they hold, what was rejected, and evidence that comes in.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stella_catalog::AuditEntry;
use stella_engine::{Cancel, EngineError, IngestReport, IngestRequest, NoProgress, Store};
use stella_ledger::{FeedSpec, IngestMode, Ledger, LedgerError, QuarantineFilter};
use stella_model::{ErrorCode, FeedName, NameError};
use utoipa::IntoParams;

use super::extract::{Name, Params};
use super::{Problem, ended, instant};
use crate::access::Caller;
use crate::access::limits::Place;
use crate::service::Service;

/// How long whoever sends evidence may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// Largest body with evidence, in bytes.
const LARGEST: u64 = 16 << 30;

/// Entries of the quarantine on a page.
const PAGE: u64 = 200;

/// The most that may vanish with a replacement unless told otherwise, in percent.
const MAX_DROP: f64 = 2.0;

/// Reads the ledger of the caller's tenant.
pub(super) async fn read<T: Send + 'static>(
    service: &Service,
    caller: &Caller,
    read: impl FnOnce(&dyn Ledger) -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, Problem> {
    let store: Store = service.store(&caller.tenant);
    let found = tokio::task::spawn_blocking(move || {
        let ledger = store.ledger()?;
        read(&*ledger).map_err(EngineError::from)
    });
    Ok(found.await.map_err(ended)??)
}

pub(super) fn feed(name: &str) -> Result<FeedName, Problem> {
    name.parse().map_err(|_| Problem::not_found("such feed"))
}

/// A list that is read from a ledger: nothing before the first evidence, when there is none.
pub(super) fn items<T: Serialize>(listed: Result<Vec<T>, Problem>) -> Result<Json<Value>, Problem> {
    match listed {
        Ok(items) => Ok(Json(json!({ "items": items }))),
        Err(problem) if problem.code() == ErrorCode::NotFound => Ok(Json(json!({ "items": [] }))),
        Err(problem) => Err(problem),
    }
}

/// The feeds of the tenant, those of the library to which it is subscribed among them, with what they hold.
#[utoipa::path(get, path = "/feeds", tag = "feeds",
    responses((status = 200, description = "all of them, by name", body = Value)))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    items(read(&service, &caller, |ledger| ledger.feeds()).await)
}

/// A feed of the tenant.
#[utoipa::path(get, path = "/feeds/{name}", tag = "feeds",
    params(("name" = String, Path, description = "its name")),
    responses((status = 200, description = "what is told of it and what it holds", body = Value)))]
pub(crate) async fn get(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<Value>, Problem> {
    let feed = feed(&name)?;
    let found = read(&service, &caller, move |ledger| ledger.feed(&feed)).await?;
    Ok(Json(serde_json::to_value(&found).map_err(Problem::internal)?))
}

/// Which entries of the quarantine.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct QuarantineQuery {
    /// Entries after this number.
    after: Option<u64>,
    /// Only with this reason, such as `unknown-format`.
    reason: Option<String>,
}

/// Documents of a feed that were rejected, with the reason.
#[utoipa::path(get, path = "/feeds/{name}/quarantine", tag = "feeds",
    params(("name" = String, Path, description = "its name"), QuarantineQuery),
    responses((status = 200, description = "a page", body = Value)))]
pub(crate) async fn quarantine(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Name(name): Name,
    Params(query): Params<QuarantineQuery>,
) -> Result<Json<Value>, Problem> {
    if query.reason.as_deref().is_some_and(|reason| reason.contains('\0')) {
        return Err(Problem::usage("reason: is the code of one"));
    }
    let name = feed(&name)?;
    let filter = QuarantineFilter {
        feed: Some(name.clone()),
        reason: query.reason,
        after: query.after.unwrap_or(0).min(i64::MAX.unsigned_abs()),
        limit: Some(PAGE),
    };
    let listed = read(&service, &caller, move |ledger| {
        // That nothing was rejected is said of a feed that is there.
        ledger.feed(&name)?;
        ledger.quarantine(&filter)
    });
    let entries = listed.await?;
    let next = entries.last().filter(|_| entries.len() as u64 == PAGE).map(|entry| entry.number);
    Ok(Json(json!({ "items": entries, "next": next })))
}

/// How evidence is taken in.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct IngestQuery {
    /// Makes the feed equal to the input: records that are not in it vanish.
    #[serde(default)]
    replace: bool,
    /// With `replace`: changes nothing if more than this share of the feed would vanish, in percent; 2
    /// unless told otherwise.
    max_drop: Option<f64>,
    /// With `replace`: why it is right that more vanishes.
    accept_drop: Option<String>,
    /// Reads and judges everything, stores nothing.
    #[serde(default)]
    dry_run: bool,
    /// What the input is called, such as the path of its file: documents that are rejected are listed
    /// with it; `-` unless told.
    source: Option<String>,
    /// Licence of the feed as SPDX expression.
    licence: Option<String>,
    /// Who publishes the feed.
    publisher: Option<String>,
    /// Who must be named when the feed is passed on.
    attribution: Option<String>,
    /// Whether the feed may be passed on to others.
    redistribution: Option<bool>,
}

impl IngestQuery {
    fn request(self, feed: FeedName, service: &Service) -> Result<IngestRequest, Problem> {
        let Self { accept_drop, licence, publisher, attribution, source, .. } = &self;
        let texts = [accept_drop, licence, publisher, attribution, source];
        let is_text = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        if !texts.into_iter().flatten().all(|text| is_text(text)) {
            return Err(Problem::usage("a text is empty or has control characters"));
        }
        let max_drop_percent = self.max_drop.unwrap_or(MAX_DROP);
        if !(0.0..=100.0).contains(&max_drop_percent) {
            return Err(Problem::usage("maxDrop: is from 0 to 100 percent"));
        }
        let mode = match self.replace {
            true => IngestMode::Replace { max_drop_percent, accept: self.accept_drop },
            false => IngestMode::Merge,
        };
        Ok(IngestRequest {
            feed: FeedSpec {
                name: feed,
                publisher: self.publisher,
                licence: self.licence,
                attribution: self.attribution,
                redistribution: self.redistribution,
            },
            paths: Vec::new(),
            mode,
            threads: 1,
            dry_run: self.dry_run,
            now: instant(service.now()).ok_or_else(|| Problem::internal("no time can be told"))?,
        })
    }
}

/// Takes evidence into a feed once all of it has come, in one transaction: all of it or nothing. The body is
/// what a file of `stella ingest` may be: JSON, JSON lines, XML, an archive, each also compressed.
#[utoipa::path(post, path = "/feeds/{name}/records", tag = "feeds",
    params(("name" = String, Path, description = "the feed, which is made if it is not there"),
           IngestQuery),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 200, description = "what came of it", body = Value)))]
pub(crate) async fn ingest(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Name(name): Name,
    Params(query): Params<IngestQuery>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let source = query.source.clone().unwrap_or_else(|| "-".to_owned());
    // It need not be there yet: what is wrong with a name is how it is written.
    let feed = name.parse().map_err(|error: NameError| {
        let problem = Problem::invalid("name", error.to_string());
        problem.hint("choose another name for the feed")
    })?;
    let request = query.request(feed, &service)?;
    let place = service.limits.enter(Place::Ingest, &caller.tenant)?;
    let evidence = spooled(&service, body).await?;
    let is_dry = request.dry_run;
    if !is_dry {
        // Before anything changes: whatever becomes of this process, it is known who wanted it.
        service.catalog.audit(&caller.tenant, &caller.entry(&name), service.now()).await?;
    }
    let store = service.store(&caller.tenant);
    let taken = tokio::task::spawn_blocking(move || {
        let _place = place;
        let reader = Box::new(evidence);
        stella_engine::ingest_stream(&store, &request, &source, reader, &NoProgress, &Cancel::new())
    });
    let taken = taken.await.map_err(ended).and_then(|taken| taken.map_err(Problem::from));
    let taken = taken.and_then(|report| match report.all_rejected() {
        true => Err(Problem::new(ErrorCode::Rejected, "every document was rejected")),
        false => Ok(report),
    });
    let report = match taken {
        Err(problem) if !is_dry => return Err(caller.failed(&service, name, problem).await),
        taken => taken?,
    };
    if !is_dry {
        let IngestReport { summary, .. } = &report;
        let change = json!({ "added": summary.added, "updated": summary.updated,
                             "vanished": summary.vanished });
        let entry = AuditEntry { details: change.to_string(), ..caller.entry(name) };
        service.catalog.audit(&caller.tenant, &entry, service.now()).await?;
    }
    Ok(Json(serde_json::to_value(&report).map_err(Problem::internal)?))
}

/// Keeps a body in a file without a name until all of it is there: while somebody sends, nobody's ledger
/// waits. A connection that breaks, or is silent for long, leaves nothing.
async fn spooled(service: &Service, body: Body) -> Result<File, Problem> {
    let failed = |error: io::Error| {
        Problem::new(ErrorCode::Io, format!("the evidence cannot be kept: {error}"))
    };
    let data = service.data.clone();
    let file = tokio::task::spawn_blocking(move || tempfile::tempfile_in(data));
    let mut file = file.await.map_err(ended)?.map_err(failed)?;
    let (mut pieces, mut size) = (body.into_data_stream(), 0);
    loop {
        let piece = tokio::time::timeout(SILENCE, pieces.next()).await.map_err(|_| {
            Problem::usage("the evidence did not come: nothing was sent for a minute")
                .with_status(StatusCode::REQUEST_TIMEOUT)
        })?;
        let Some(piece) = piece else { break };
        let piece: Bytes = piece.map_err(|error| {
            Problem::usage(format!("the evidence broke off, nothing was taken: {error}"))
        })?;
        size += piece.len() as u64;
        if size > LARGEST {
            let message = format!("evidence comes in bodies of at most {LARGEST} bytes");
            return Err(Problem::usage(message)
                .hint("send it in several requests")
                .with_status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let written = tokio::task::spawn_blocking(move || file.write_all(&piece).map(|()| file));
        file = written.await.map_err(ended)?.map_err(failed)?;
    }
    let rewound = tokio::task::spawn_blocking(move || file.rewind().map(|()| file));
    rewound.await.map_err(ended)?.map_err(failed)
}
