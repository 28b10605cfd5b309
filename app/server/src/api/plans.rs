//! Plans: what a run would do, without doing it.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use stella_engine::{Cancel, NoProgress};

use super::extract::Body;
use super::order::Order;
use super::{Problem, ended, runs};
use crate::access::Caller;
use crate::access::limits::Place;
use crate::service::Service;

/// Stops the work of a request that nobody waits for any more.
struct StopAtEnd(Cancel);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Plans a run and writes nothing: records, bytes, parts, changes, an estimate, broken floors.
#[utoipa::path(post, path = "/plans", tag = "runs", request_body = Order,
    responses((status = 200, description = "the plan, as `stella export plan -o json` prints it",
               body = Value)))]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Body(order): Body<Order>,
) -> Result<Json<Value>, Problem> {
    let place = service.limits.enter(Place::Plan, &caller.tenant)?;
    let (stored, _) = runs::stored(&service, &caller, order).await?;
    let request = stored.request()?;
    let store = service.store(&caller.tenant);
    let cancel = Cancel::new();
    let _stop = StopAtEnd(cancel.clone());
    let planned = tokio::task::spawn_blocking(move || {
        let _place = place;
        let mut report = stella_engine::plan(&store, &request, &NoProgress, &cancel)?;
        if let Some(last) = &mut report.last_run {
            // Where somebody on this machine put a bundle is nobody else's business.
            last.destination = PathBuf::new();
        }
        Ok::<_, stella_engine::EngineError>(report)
    });
    let report = planned.await.map_err(ended)??;
    Ok(Json(serde_json::to_value(&report).map_err(Problem::internal)?))
}
