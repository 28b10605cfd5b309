//! Who the caller is.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Caller, Role, Scope};

/// Whoever sends a request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Me {
    /// The tenant whose things are reached.
    tenant: String,
    /// The name in the audit log.
    name: String,
    /// All that the token allows.
    scopes: Vec<&'static str>,
    /// Roles whose scopes it has.
    roles: Vec<&'static str>,
}

/// Who the caller is, and what they may.
#[utoipa::path(get, path = "/me", tag = "access",
    responses((status = 200, description = "the caller", body = Me)))]
pub(crate) async fn get(caller: Caller) -> Json<Me> {
    let has_all = |role: &Role| role.scopes().iter().all(|scope| caller.has(*scope));
    Json(Me {
        tenant: caller.tenant.to_string(),
        name: caller.name.clone(),
        scopes: Scope::ALL
            .into_iter()
            .filter(|scope| caller.has(*scope))
            .map(Scope::as_str)
            .collect(),
        roles: Role::ALL.into_iter().filter(has_all).map(Role::as_str).collect(),
    })
}
