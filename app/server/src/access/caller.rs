//! Who asks.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::header;
use axum::http::request::Parts;
use stella_catalog::{AuditEntry, Known};
use stella_model::{ErrorCode, TenantId};

use super::{Request, Scope};
use crate::api::{BASE, Problem};
use crate::service::Service;
use crate::telemetry::trace;

/// Longest address that is written to the audit log.
const LONGEST_OBJECT: usize = 200;

/// The address that a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Somebody known, who may do what they ask for.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Whose things they reach.
    pub(crate) tenant: TenantId,
    /// Who they are, for the audit log.
    pub(crate) name: String,
    /// What they may.
    pub(crate) scopes: Vec<Scope>,
    /// What they ask for.
    request: &'static Request,
}

impl Caller {
    /// What the audit log tells of the request, done to something.
    pub(crate) fn entry(&self, object: impl Into<String>) -> AuditEntry {
        entry(&self.name, self.request.name, object.into(), "allowed")
    }

    /// Whether they may what a scope allows.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

fn entry(actor: &str, action: &'static str, object: String, outcome: &'static str) -> AuditEntry {
    AuditEntry {
        actor: actor.to_owned(),
        action,
        object,
        outcome,
        details: "{}".to_owned(),
        trace: trace(),
    }
}

impl FromRequestParts<Arc<Service>> for Caller {
    type Rejection = Problem;

    /// Looks up who asks and what for. That somebody known may not is written to the audit log.
    async fn from_request_parts(
        parts: &mut Parts,
        service: &Arc<Service>,
    ) -> Result<Caller, Problem> {
        let path = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
        let path = path.and_then(|path| path.strip_prefix(BASE));
        let request = path.and_then(|path| Request::of(&parts.method, path));
        let request = request.ok_or_else(|| {
            Problem::new(ErrorCode::Internal, "nobody has said who may send this request")
        })?;
        let known = authenticate(parts, service).await?;
        let name = format!("token:{} ({})", known.token.id, known.token.name);
        let now = service.now();
        service.limits.request(&known.tenant)?;
        // As it came: percent-encoded, so that nothing in it drives a terminal or a database.
        let mut object = format!("{} {}", parts.method, parts.uri.path());
        object.truncate(LONGEST_OBJECT);
        let denied = |why: &str| AuditEntry {
            details: serde_json::json!({ "why": why }).to_string(),
            ..entry(&name, request.name, object.clone(), "denied")
        };
        if let Some(fault) = known.fault {
            let entry = denied(&fault.to_string());
            service.catalog.audit(&known.tenant, &entry, now).await?;
            return Err(Problem::unauthenticated(&fault.to_string()));
        }
        let wanted = parts.headers.get("x-stella-tenant");
        if wanted.is_some_and(|wanted| wanted.as_bytes() != known.tenant.as_str().as_bytes()) {
            // Which tenants there are is nobody's business.
            let why = "the token does not belong to the tenant of X-Stella-Tenant";
            service.catalog.audit(&known.tenant, &denied(why), now).await?;
            return Err(Problem::new(ErrorCode::NotAllowed, why));
        }
        let scopes = known.token.scopes.iter().filter_map(|word| Scope::of_word(word)).collect();
        let caller = Caller { tenant: known.tenant, name, scopes, request };
        let Some(scope) = request.scope.filter(|scope| !caller.has(*scope)) else {
            return Ok(caller);
        };
        let why = format!("the token does not have the scope {}", scope.as_str());
        let denied = AuditEntry {
            details: serde_json::json!({ "why": why }).to_string(),
            ..entry(&caller.name, request.name, object, "denied")
        };
        service.catalog.audit(&caller.tenant, &denied, now).await?;
        Err(Problem::new(ErrorCode::NotAllowed, why)
            .hint("ask an administrator of the tenant for a token with this scope"))
    }
}

/// The token of a request.
async fn authenticate(parts: &Parts, service: &Service) -> Result<Known, Problem> {
    let text = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = text.and_then(|value| value.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, bearer) = bearer.ok_or_else(|| Problem::unauthenticated("nobody says who they are"))?;
    if let Some(known) = service.catalog.authenticate(bearer.trim(), service.now()).await? {
        return Ok(known);
    }
    if let Some(Peer(address)) = parts.extensions.get::<Peer>() {
        service.limits.stranger(*address)?;
    }
    Err(Problem::unauthenticated("the token is not known"))
}
