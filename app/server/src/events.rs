//! What happens to a run, as it happens: server-sent events that go on where a reader left.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use stella_model::ErrorCode;
use stella_run::RunKey;

use crate::caller::{Caller, Scope};
use crate::problem::Problem;
use crate::runs::find;
use crate::service::Service;

/// How long a connection is silent at most.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long it takes until something new is seen, at most.
const LOOK: Duration = Duration::from_millis(250);

/// Events that are read at once.
const PAGE: u32 = 200;

/// `GET /runs/{id}/events`: every event of a run, then each new one. Ends when the run has ended.
pub(crate) async fn of_run(
    State(service): State<Arc<Service>>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    caller.may(&service, Scope::Read, "run.events", &id).await?;
    let run = find(&service, &caller, &id).await?;
    let after = match headers.get("last-event-id") {
        Some(value) => value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
            Problem::new(ErrorCode::Usage, "Last-Event-ID is not the id of an event")
        })?,
        None => 0,
    };
    let key = RunKey { tenant: caller.tenant, number: run.number };
    let watch = Watch { service, key, after, read: VecDeque::new() };
    let events = stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((Ok(event), watch))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// Somebody who watches a run.
struct Watch {
    service: Arc<Service>,
    key: RunKey,
    /// The last event that was read.
    after: u64,
    read: VecDeque<stella_catalog::Event>,
}

impl Watch {
    /// The next event; none when the run is over and all was told, or the catalog does not answer: the
    /// reader comes back with the id of the last event.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Some(Event::default().id(event.number.to_string()).data(event.data));
            }
            // Asked before the events are read: what ends a run is told with its last event.
            let stored = self.service.catalog.load_state(&self.key).await.ok()??;
            let (tenant, number) = (&self.key.tenant, Some(self.key.number));
            let events = self.service.catalog.events(tenant, number, self.after, PAGE);
            self.read = events.await.ok()?.into();
            match self.read.back() {
                Some(last) => self.after = last.number,
                None if stored.state.status.is_terminal() => return None,
                None => tokio::time::sleep(LOOK).await,
            }
        }
    }
}
