//! The audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stella_catalog::AuditRecord;
use utoipa::{IntoParams, ToSchema};

use super::extract::{Params, page_size};
use super::{Problem, instant};
use crate::access::Caller;
use crate::service::Service;

/// Entries on a page unless asked otherwise, and at most.
const PAGE: (u32, u32) = (100, 1_000);

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditView {
    /// Its number, from 1.
    number: u64,
    /// When, to the second.
    at: Option<String>,
    /// Who.
    actor: String,
    /// What, as the requests of the interface are called.
    action: String,
    /// To what.
    object: String,
    /// `allowed`, `denied` or `failed`.
    outcome: String,
    /// More.
    details: Value,
    /// The trace of the request.
    trace_id: String,
    /// SHA-256 over this entry and the hash of the one before.
    hash: String,
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> AuditView {
        let AuditRecord { number, at, actor, action, object, outcome, details, trace, hash } =
            record;
        AuditView {
            number,
            at: instant(at).map(|at| at.to_string()),
            actor,
            action,
            object,
            outcome,
            details: serde_json::from_str(&details).unwrap_or(Value::String(details)),
            trace_id: trace,
            hash: hash.to_string(),
        }
    }
}

/// A page of the audit log.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditPage {
    /// Entries, the oldest first.
    items: Vec<AuditView>,
    /// What `after` is for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Entries after this number.
    after: Option<u64>,
    /// How many: 100 unless asked otherwise, 1000 at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// What the tenant's people and programs did, the oldest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "a page", body = AuditPage)))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Params(query): Params<AuditQuery>,
) -> Result<Json<AuditPage>, Problem> {
    let limit = page_size(query.limit, PAGE)?;
    let after = query.after.unwrap_or(0);
    let found = service.catalog.audit_log(&caller.tenant, after, limit).await?;
    let next = found.last().filter(|_| found.len() == limit as usize).map(|last| last.number);
    Ok(Json(AuditPage { items: found.into_iter().map(AuditView::from).collect(), next }))
}

/// Whether the log fits together.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditVerdict {
    /// `pass` or `fail`.
    result: &'static str,
    /// Number of entries that fit together.
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    /// Where it does not fit together.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

/// Holds every entry against the one before it.
#[utoipa::path(get, path = "/audit/verification", tag = "audit",
    responses((status = 200, description = "whether it fits together", body = AuditVerdict)))]
pub(crate) async fn verify(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<AuditVerdict>, Problem> {
    Ok(Json(match service.catalog.verify_audit_log(&caller.tenant).await? {
        Ok(entries) => AuditVerdict { result: "pass", entries: Some(entries), fault: None },
        Err(fault) => {
            AuditVerdict { result: "fail", entries: None, fault: Some(fault.to_string()) }
        }
    }))
}
