//! How much the tenant may have, and how much it has.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderName;
use serde::Serialize;
use stella_catalog::{Quota, Usage};
use utoipa::ToSchema;

use super::Problem;
use crate::access::Caller;
use crate::service::Service;

/// What a tenant may have; what is absent is not limited.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Limits {
    /// Runs that workers are at.
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrent_runs: Option<u64>,
    /// Runs that are accepted and not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    queued_runs: Option<u64>,
    /// Bytes of new bundles in a day (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_day: Option<u64>,
    /// Bytes that all bundles which are kept have.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored_bytes: Option<u64>,
}

/// What a tenant has.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Used {
    /// Runs that workers are at.
    concurrent_runs: u64,
    /// Runs that are accepted and not over.
    queued_runs: u64,
    /// Bytes of new bundles today (UTC).
    bytes_today: u64,
    /// Bytes that all bundles which are kept have; what several share counts for each.
    stored_bytes: u64,
}

/// Limits and what is used of them.
#[derive(Serialize, ToSchema)]
pub(crate) struct Quotas {
    limits: Limits,
    used: Used,
}

impl From<Quota> for Limits {
    fn from(quota: Quota) -> Limits {
        let Quota { concurrent_runs, queued_runs, bytes_per_day, stored_bytes } = quota;
        Limits { concurrent_runs, queued_runs, bytes_per_day, stored_bytes }
    }
}

impl From<Usage> for Used {
    fn from(usage: Usage) -> Used {
        let Usage { running, live, bytes_today, stored_bytes } = usage;
        Used { concurrent_runs: running, queued_runs: live, bytes_today, stored_bytes }
    }
}

/// The headers that tell of quotas, beside answers to requests for runs.
pub(crate) async fn headers(
    service: &Service,
    caller: &Caller,
) -> Result<Vec<(HeaderName, String)>, Problem> {
    let quota = service.catalog.quota(&caller.tenant).await?;
    let usage = service.catalog.usage(&caller.tenant, service.now()).await?;
    let told = [
        ("x-quota-queued-runs", quota.queued_runs, usage.live),
        ("x-quota-bytes-per-day", quota.bytes_per_day, usage.bytes_today),
        ("x-quota-stored-bytes", quota.stored_bytes, usage.stored_bytes),
    ];
    let header = |(name, limit, used): (&'static str, Option<u64>, u64)| {
        let limit = limit?;
        let left = limit.saturating_sub(used);
        Some((HeaderName::from_static(name), format!("limit={limit}, remaining={left}")))
    };
    Ok(told.into_iter().filter_map(header).collect())
}

/// Limits that the operator of the service has set for the tenant, and what is used of them.
#[utoipa::path(get, path = "/quotas", tag = "access",
    responses((status = 200, description = "limits and use", body = Quotas)))]
pub(crate) async fn get(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<Quotas>, Problem> {
    let limits = service.catalog.quota(&caller.tenant).await?.into();
    let used = service.catalog.usage(&caller.tenant, service.now()).await?.into();
    Ok(Json(Quotas { limits, used }))
}
