//! Tokens of the tenant.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use stella_catalog::{Made, Mutation, NewToken, Token};
use utoipa::ToSchema;

use super::extract::{Body, Idempotency, Name};
use super::{Problem, instant};
use crate::access::{Caller, Role, Scope};
use crate::service::{Service, random};

/// Days that a token lasts unless told otherwise, and at most.
const DAYS: (u32, u32) = (90, 366);

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Longest name, in bytes.
const LONGEST_NAME: usize = 100;

/// A token to be made.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TokenOrder {
    /// What it is for, for people.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// A role whose scopes it has: viewer, operator, admin or auditor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// Scopes that it has besides.
    #[serde(default)]
    scopes: Vec<String>,
    /// How many days it lasts: 90 unless told otherwise, 366 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 366)]
    expires_in_days: Option<u32>,
}

/// A token as it is kept.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenView {
    /// What it is called in requests and in the audit log.
    id: String,
    /// What it is for.
    name: String,
    /// What it allows.
    scopes: Vec<String>,
    /// When it was made.
    created_at: Option<String>,
    /// By whom.
    created_by: String,
    /// When it ends.
    expires_at: Option<String>,
    /// When it was revoked, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    /// When it was used last, to a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    used_at: Option<String>,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> TokenView {
        let text = |time| instant(time).map(|at| at.to_string());
        TokenView {
            id: token.id,
            name: token.name,
            scopes: token.scopes,
            created_at: text(token.created),
            created_by: token.by,
            expires_at: text(token.expires),
            revoked_at: token.revoked.and_then(text),
            used_at: token.used.and_then(text),
        }
    }
}

/// The tokens of a tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenList {
    /// The newest first.
    items: Vec<TokenView>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenMade {
    /// What it is called.
    id: String,
    /// The token itself, shown this once. Absent where the same request came before.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// The tokens of the tenant. Of none the secret is kept.
#[utoipa::path(get, path = "/tokens", tag = "access",
    responses((status = 200, description = "all of them", body = TokenList)))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<TokenList>, Problem> {
    let tokens = service.catalog.tokens(&caller.tenant).await?;
    Ok(Json(TokenList { items: tokens.into_iter().map(TokenView::from).collect() }))
}

/// The scopes of an order, each once.
fn scopes(order: &TokenOrder) -> Result<Vec<Scope>, Problem> {
    let mut scopes = Vec::new();
    if let Some(word) = &order.role {
        let role = Role::ALL.into_iter().find(|role| role.as_str() == word);
        let role =
            role.ok_or_else(|| Problem::invalid("role", "is viewer, operator, admin or auditor"))?;
        scopes.extend(role.scopes());
    }
    for word in &order.scopes {
        let scope = Scope::of_word(word).ok_or_else(|| {
            let known: Vec<&str> = Scope::ALL.into_iter().map(Scope::as_str).collect();
            Problem::invalid("scopes", format!("are of {}", known.join(", ")))
        })?;
        scopes.push(scope);
    }
    scopes.sort();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(Problem::invalid("scopes", "are none: a token without any opens nothing"));
    }
    Ok(scopes)
}

/// Makes a token; the answer shows it once.
#[utoipa::path(post, path = "/tokens", tag = "access", request_body = TokenOrder,
    responses((status = 201, description = "it is made", body = TokenMade),
              (status = 200, description = "the same request came before", body = TokenMade)))]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    caller: Caller,
    key: Idempotency,
    Body(order): Body<TokenOrder>,
) -> Result<Response, Problem> {
    let scopes = scopes(&order)?;
    if order.name.is_empty()
        || order.name.len() > LONGEST_NAME
        || order.name.chars().any(char::is_control)
    {
        return Err(Problem::invalid("name", "is 1 to 100 bytes without control characters"));
    }
    let days = order.expires_in_days.unwrap_or(DAYS.0);
    if !(1..=DAYS.1).contains(&days) {
        return Err(Problem::invalid("expiresInDays", "is from 1 to 366"));
    }
    let now = service.now();
    let token = NewToken {
        name: order.name.clone(),
        scopes: scopes.into_iter().map(|scope| scope.as_str().to_owned()).collect(),
        expires: now.after(i64::from(days) * DAY_MS),
        id: random().map_err(Problem::internal)?,
        secret: random().map_err(Problem::internal)?,
    };
    let key = key.of(&("token.create", &order))?;
    let mut entry = caller.entry(token.id_text());
    entry.details = serde_json::to_string(&order).map_err(Problem::internal)?;
    let mutation = Mutation { entry: &entry, key: key.as_ref(), now };
    Ok(match service.catalog.add_token(&caller.tenant, &token, &mutation).await? {
        Made::Now(text) => {
            let made = TokenMade { id: token.id_text(), token: Some(text) };
            (StatusCode::CREATED, Json(made)).into_response()
        }
        Made::Before(id) => Json(TokenMade { id, token: None }).into_response(),
    })
}

/// Revokes a token, from now on and for ever.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "access",
    params(("id" = String, Path, description = "what it is called")),
    responses((status = 204, description = "it opens nothing any more")))]
pub(crate) async fn revoke(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Name(id): Name,
    key: Idempotency,
) -> Result<StatusCode, Problem> {
    let key = key.of(&("token.revoke", &id))?;
    let entry = caller.entry(&id);
    let mutation = Mutation { entry: &entry, key: key.as_ref(), now: service.now() };
    service.catalog.revoke_token(&caller.tenant, &id, &mutation).await?;
    // Other processes see it within a second.
    service.remembered.callers.invalidate_all();
    Ok(StatusCode::NO_CONTENT)
}
