//! Feeds that are for all tenants, and which of them the tenant reads.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use stella_catalog::Mutation;
use stella_ledger::{Ledger, LedgerError};
use stella_model::{ErrorCode, FeedName};

use super::Problem;
use super::extract::{Idempotency, Name};
use super::feeds::{feed, items, read};
use crate::access::Caller;
use crate::service::Service;

/// The feeds of the library, and to which of them the tenant is subscribed.
#[utoipa::path(get, path = "/library/feeds", tag = "feeds",
    responses((status = 200, description = "all of them, by name", body = Value)))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    items(read(&service, &caller, |ledger| ledger.library()).await)
}

/// Has a feed of the library among those of the tenant from now on, to be read and not to be written. It is
/// no fault if it is there already.
#[utoipa::path(put, path = "/feeds/{name}/subscription", tag = "feeds",
    params(("name" = String, Path, description = "the feed of the library")),
    responses((status = 204, description = "it is among them")))]
pub(crate) async fn subscribe(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Name(name): Name,
    key: Idempotency,
) -> Result<StatusCode, Problem> {
    change(&service, &caller, &name, key, |ledger, feed| ledger.subscribe(feed)).await
}

/// Has a feed of the library no more among those of the tenant. What was planned with it stays as it is. It
/// is no fault if it is not there.
#[utoipa::path(delete, path = "/feeds/{name}/subscription", tag = "feeds",
    params(("name" = String, Path, description = "the feed of the library")),
    responses((status = 204, description = "it is not among them")))]
pub(crate) async fn unsubscribe(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Name(name): Name,
    key: Idempotency,
) -> Result<StatusCode, Problem> {
    change(&service, &caller, &name, key, |ledger, feed| ledger.unsubscribe(feed)).await
}

/// Changes a subscription, once however often the request comes.
async fn change(
    service: &Service,
    caller: &Caller,
    name: &str,
    key: Idempotency,
    change: fn(&dyn Ledger, &FeedName) -> Result<bool, LedgerError>,
) -> Result<StatusCode, Problem> {
    let feed = feed(name)?;
    let mut entry = caller.entry(name);
    let key = key.of(&(entry.action, name))?;
    if let Some(key) = &key
        && service.catalog.result_of(&caller.tenant, key, service.now()).await?.is_some()
    {
        return Ok(StatusCode::NO_CONTENT);
    }
    // Before anything changes: whatever becomes of this process, it is known who wanted it.
    service.catalog.audit(&caller.tenant, &entry, service.now()).await?;
    let changed = match read(service, caller, move |ledger| change(ledger, &feed)).await {
        Ok(changed) => changed,
        Err(problem) => {
            let problem = match problem.code() {
                // Before the first evidence there is no ledger, and so no library.
                ErrorCode::NotFound => Problem::not_found(&format!("feed {name} in the library"))
                    .hint("GET /library/feeds shows what there is"),
                _ => problem,
            };
            return Err(caller.failed(service, name, problem).await);
        }
    };
    entry.details = json!({ "changed": changed }).to_string();
    let mutation = Mutation { entry: &entry, key: key.as_ref(), now: service.now() };
    service.catalog.note(&caller.tenant, &mutation).await?;
    Ok(StatusCode::NO_CONTENT)
}
