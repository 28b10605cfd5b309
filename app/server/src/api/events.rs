//! What happens, as it happens: server-sent events that go on where a reader left.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use stella_model::TenantId;
use stella_run::RunEvent;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::extract::{Params, RunId};
use super::{Problem, runs};
use crate::access::Caller;
use crate::access::limits::Place;
use crate::service::Service;

/// How long a connection is silent at most.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a stream lasts at most: a token that was revoked meanwhile opens no other one. Readers go on
/// after the last event by themselves.
const LONGEST: Duration = Duration::from_secs(300);

/// Events that are read at once.
const PAGE: u32 = 200;

/// Proxies must not keep events back.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An event of a stream.
#[derive(Serialize, ToSchema)]
struct Told {
    /// Its number among all events of the tenant.
    id: String,
    /// What happened, as JSON.
    data: String,
}

/// The last event that a reader has seen.
fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| Problem::usage("Last-Event-ID: is the id of an event"))
}

/// Every event of a run, then each new one; ends with the run. A reader that has seen all of a run
/// that is over is told so with `204`, and does not come back.
#[utoipa::path(get, path = "/runs/{id}/events", tag = "events",
    params(("id" = String, Path, description = "the run, such as r-17"),
           ("Last-Event-ID" = Option<u64>, Header, description = "goes on after this event")),
    responses((status = 200, description = "the events", body = Told,
               content_type = "text/event-stream"),
              (status = 204, description = "all of them were seen, and the run is over")))]
pub(crate) async fn of_run(
    State(service): State<Arc<Service>>,
    caller: Caller,
    id: RunId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run = runs::find(&service, &caller, id).await?;
    let after = last_seen(&headers)?;
    let place = service.limits.enter(Place::Watch, &caller.tenant)?;
    let mut watch = Watch::new(service, &caller.tenant, Some(id), after.unwrap_or(0), place);
    // If it ends from here on, an event tells so.
    watch.is_over = run.status.is_terminal();
    if after.is_some() && watch.is_over && !watch.read().await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(watch.response())
}

/// From where on events are told.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Events after this number; those from now on unless told. `Last-Event-ID` comes before it.
    after: Option<u64>,
}

/// Every event of the tenant from now on, one stream for all of its runs. The data names the run.
#[utoipa::path(get, path = "/events", tag = "events",
    params(EventsQuery,
           ("Last-Event-ID" = Option<u64>, Header, description = "goes on after this event")),
    responses((status = 200, description = "the events", body = Told,
               content_type = "text/event-stream")))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Params(query): Params<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = service.limits.enter(Place::Watch, &caller.tenant)?;
    let after = match last_seen(&headers)?.or(query.after) {
        Some(after) => after,
        None => service.catalog.last_event(&caller.tenant).await?,
    };
    Ok(Watch::new(service, &caller.tenant, None, after, place).response())
}

/// Somebody who watches a run, or all of a tenant.
struct Watch {
    service: Arc<Service>,
    tenant: TenantId,
    run: Option<RunId>,
    /// Whether it is over: there will be no events but those that are there.
    is_over: bool,
    /// The last event that was read.
    after: u64,
    read: VecDeque<stella_catalog::Event>,
    news: watch::Receiver<u64>,
    /// When the reader has to come again, and to show that they still may.
    ends: Instant,
    _place: OwnedSemaphorePermit,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.service.figures.watchers.dec();
    }
}

impl Watch {
    fn new(
        service: Arc<Service>,
        tenant: &TenantId,
        run: Option<RunId>,
        after: u64,
        place: OwnedSemaphorePermit,
    ) -> Watch {
        service.figures.watchers.inc();
        // From here on nothing is missed: what happens before the first read is read then.
        let news = service.watchers.watch(tenant);
        let (tenant, read) = (tenant.clone(), VecDeque::new());
        let ends = Instant::now() + LONGEST;
        Watch { service, tenant, run, is_over: false, after, read, news, ends, _place: place }
    }

    fn response(self) -> Response {
        let events = stream::unfold(self, |mut watch| async move {
            let event = watch.next().await?;
            Some((Ok::<_, Infallible>(event), watch))
        });
        let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
        ([(UNBUFFERED, "no"), (header::CACHE_CONTROL, "no-store")], stream).into_response()
    }

    /// Reads what is new; whether there was anything.
    async fn read(&mut self) -> Result<bool, Problem> {
        let number = self.run.map(|run| run.0);
        let events = self.service.catalog.events(&self.tenant, number, self.after, PAGE).await?;
        if let Some(last) = events.last() {
            self.after = last.number;
        }
        self.is_over |= self.run.is_some() && events.iter().any(ends);
        self.read.extend(events);
        Ok(!self.read.is_empty())
    }

    /// The next event; none when the run is over and all was told, or the catalog does not answer: the
    /// reader comes back with the id of the last event.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Some(self.told(event));
            }
            // Asked for before the events are read: what comes meanwhile is news.
            self.news.mark_unchanged();
            if Instant::now() >= self.ends || self.service.watchers.have_ended() {
                return None;
            }
            if !self.read().await.ok()? {
                if self.is_over {
                    return None;
                }
                let changed = self.news.changed();
                tokio::time::timeout_at(self.ends, changed).await.ok()?.ok()?;
            }
        }
    }

    fn told(&self, event: stella_catalog::Event) -> Event {
        let told = Event::default().id(event.number.to_string());
        match (self.run, event.run) {
            // Of all runs, the data names the one.
            (None, Some(run)) => {
                let name = RunId(run);
                told.data(format!(r#"{{"run":"{name}","event":{}}}"#, event.data))
            }
            _ => told.data(event.data),
        }
    }
}

/// Whether an event is the last one of its run.
fn ends(event: &stella_catalog::Event) -> bool {
    let told = serde_json::from_str(&event.data);
    matches!(told, Ok(RunEvent::Status { to, .. }) if to.is_terminal())
}
