//! Who asks, and what they may.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use stella_catalog::AuditEntry;
use stella_model::{ErrorCode, TenantId};

use crate::problem::Problem;
use crate::service::Service;

/// What a token may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Look at runs.
    Read,
    /// Start, cancel and repeat runs.
    Run,
    /// Fetch bundles.
    Download,
    /// Everything.
    Admin,
}

impl Scope {
    /// The word in tokens.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "export:read",
            Scope::Run => "export:run",
            Scope::Download => "export:download",
            Scope::Admin => "export:admin",
        }
    }
}

/// Somebody known.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Whose things they reach.
    pub(crate) tenant: TenantId,
    /// Who they are, for the audit log.
    pub(crate) name: String,
    scopes: Vec<String>,
    trace: String,
}

impl Caller {
    /// Goes on if the caller may do this; that somebody may not is written to the audit log.
    pub(crate) async fn may(
        &self,
        service: &Service,
        scope: Scope,
        action: &'static str,
        object: &str,
    ) -> Result<(), Problem> {
        let has = |wanted: Scope| self.scopes.iter().any(|scope| scope == wanted.as_str());
        if has(scope) || has(Scope::Admin) {
            return Ok(());
        }
        let denied = AuditEntry { outcome: "denied", ..self.entry(action, object) };
        service.catalog.audit(&self.tenant, &denied, service.now()).await?;
        let message = format!("the token does not have the scope {}", scope.as_str());
        Err(Problem::new(ErrorCode::NotAllowed, message)
            .hint("ask an administrator of the tenant for a token with this scope"))
    }

    /// What the audit log tells of something that the caller does.
    pub(crate) fn entry(&self, action: &'static str, object: &str) -> AuditEntry {
        AuditEntry {
            actor: self.name.clone(),
            action,
            object: object.to_owned(),
            outcome: "allowed",
            details: "{}".to_owned(),
            trace: self.trace.clone(),
        }
    }
}

impl FromRequestParts<Arc<Service>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        service: &Arc<Service>,
    ) -> Result<Caller, Problem> {
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(header::AUTHORIZATION.as_str());
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        let bearer = bearer.ok_or_else(|| Problem::unauthenticated("nobody says who they are"))?;
        let known = service.catalog.authenticate(bearer, service.now()).await?;
        let (tenant, token) =
            known.map_err(|fault| Problem::unauthenticated(&fault.to_string()))?;
        if parts.headers.contains_key("x-stella-tenant")
            && text("x-stella-tenant") != Some(tenant.as_str())
        {
            // Which tenants there are is nobody's business.
            return Err(Problem::new(
                ErrorCode::NotAllowed,
                "the token does not belong to the tenant of X-Stella-Tenant",
            ));
        }
        let name = format!("token:{} ({})", token.id, token.name);
        Ok(Caller { tenant, name, scopes: token.scopes, trace: service.trace(text("traceparent")) })
    }
}
