//! Who asks.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::header;
use axum::http::request::Parts;
use stella_catalog::{AuditEntry, Token};
use stella_model::{Digest, DigestBuilder, ErrorCode, TenantId};

use super::{Provider, Request, Scope};
use crate::api::{BASE, Problem};
use crate::remembered::Fetching;
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
        AuditEntry {
            actor: self.name.clone(),
            action: self.request.name,
            object: object.into(),
            outcome: "allowed",
            details: "{}".to_owned(),
            trace: trace(),
        }
    }

    /// What the audit log tells of the request, not done to something.
    pub(crate) fn denied(&self, object: impl Into<String>, why: &str) -> AuditEntry {
        AuditEntry {
            outcome: "denied",
            details: serde_json::json!({ "why": why }).to_string(),
            ..self.entry(object)
        }
    }

    /// Tells the audit log that what was allowed was not done, and gives back why.
    pub(crate) async fn failed(
        &self,
        service: &Service,
        object: impl Into<String>,
        problem: Problem,
    ) -> Problem {
        let entry = AuditEntry {
            outcome: "failed",
            details: serde_json::json!({ "code": problem.code().as_str() }).to_string(),
            ..self.entry(object)
        };
        // Whoever asked wants to know what went wrong first.
        if let Err(error) = service.catalog.audit(&self.tenant, &entry, service.now()).await {
            tracing::error!(%error, "a request that failed is not in the audit log");
        }
        problem
    }

    /// Tells the audit log that they fetch something: once an hour, in however many requests they do.
    pub(crate) async fn fetches(
        &self,
        service: &Service,
        object: String,
        details: impl FnOnce() -> Option<String>,
    ) -> Result<(), Problem> {
        let fetching = Fetching {
            tenant: self.tenant.clone(),
            object: object.clone(),
            name: self.name.clone(),
            request: self.request.name,
        };
        // Whoever comes at the same time waits for the first: nothing is fetched before it is told.
        let told = service.remembered.fetching.get_with(fetching, Arc::default);
        let tell = async || {
            let mut entry = self.entry(object);
            if let Some(details) = details() {
                entry.details = details;
            }
            service.catalog.audit(&self.tenant, &entry, service.now()).await
        };
        Ok(told.get_or_try_init(tell).await.map(drop)?)
    }

    /// Whether they may what a scope allows.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
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
        let path = path.map(|path| path.strip_prefix(BASE).unwrap_or(path));
        let request = path.and_then(|path| Request::of(&parts.method, path));
        let request = request.ok_or_else(|| {
            Problem::new(ErrorCode::Internal, "nobody has said who may send this request")
        })?;
        let (Known { tenant, name, scopes }, fault) = authenticate(parts, service, request).await?;
        let caller = Caller { tenant, name, scopes, request };
        let deny = async |why: &str| {
            let entry = caller.denied(object(parts), why);
            service.catalog.audit(&caller.tenant, &entry, service.now()).await
        };
        if let Some(problem) = fault {
            // Who holds what is no token any more fills neither the log nor the tenant's rate.
            if service.limits.may_log_fault(&caller.name) {
                deny(problem.message()).await?;
            }
            return Err(problem);
        }
        service.limits.request(&caller.tenant)?;
        let Some(scope) = request.scope.filter(|scope| !caller.has(*scope)) else {
            return Ok(caller);
        };
        let why = format!("the token does not have the scope {}", scope.as_str());
        deny(&why).await?;
        Err(Problem::new(ErrorCode::NotAllowed, why)
            .hint("ask an administrator of the tenant for a token with this scope"))
    }
}

/// What a request is for, as it came and with nothing in it that drives a terminal or a database: what
/// is no plain character is percent-encoded, if it did not come so.
fn object(parts: &Parts) -> String {
    let mut object = format!("{} ", parts.method);
    for byte in parts.uri.path().bytes().take(LONGEST_OBJECT) {
        match byte.is_ascii_graphic() {
            true => object.push(char::from(byte)),
            false => object.push_str(&format!("%{byte:02X}")),
        }
    }
    object
}

/// Somebody known.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    tenant: TenantId,
    name: String,
    scopes: Vec<Scope>,
}

/// Somebody known, and why they get nothing all the same.
type Found = (Known, Option<Problem>);

/// Whose token a request has.
async fn authenticate(
    parts: &Parts,
    service: &Arc<Service>,
    request: &'static Request,
) -> Result<Found, Problem> {
    let text = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = text.and_then(|value| value.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, bearer) = bearer.ok_or_else(|| Problem::unauthenticated("nobody says who they are"))?;
    let wanted = parts.headers.get("x-stella-tenant");
    // What is no text is the name of no tenant.
    let wanted = wanted.map(|wanted| wanted.to_str().unwrap_or(""));
    let said = said(bearer, wanted);
    if let Some(known) = service.remembered.callers.get(&said) {
        return Ok((known, None));
    }
    let found = match &service.provider {
        Some(provider) if !Token::is_local(bearer) => {
            let told = Asked { request, object: object(parts) };
            person(provider, bearer, wanted, service, told).await
        }
        _ => local(bearer.trim(), wanted, service).await,
    };
    match &found {
        Ok((known, None)) => service.remembered.callers.insert(said, known.clone()),
        // Also who is known to the provider and to no tenant.
        Err(problem) if problem.is_unauthenticated() || problem.code() == ErrorCode::NotAllowed => {
            if let Some(Peer(address)) = parts.extensions.get::<Peer>() {
                service.limits.stranger(*address)?;
            }
        }
        _ => {}
    }
    found
}

/// What somebody says of themselves, so that it can be remembered without being kept.
fn said(bearer: &str, wanted: Option<&str>) -> Digest {
    let mut said = DigestBuilder::new();
    said.lp(bearer.as_bytes());
    if let Some(wanted) = wanted {
        said.lp(wanted.as_bytes());
    }
    said.finish()
}

/// Whose a token of this service is.
async fn local(text: &str, wanted: Option<&str>, service: &Service) -> Result<Found, Problem> {
    let found = service.catalog.authenticate(text, service.now()).await?;
    let found = found.ok_or_else(|| Problem::unauthenticated("the token is not known"))?;
    let is_foreign = wanted.is_some_and(|wanted| wanted != found.tenant.as_str());
    let fault = match found.fault {
        Some(fault) => Some(Problem::unauthenticated(&fault.to_string())),
        // Which tenants there are is nobody's business.
        None if is_foreign => Some(Problem::new(
            ErrorCode::NotAllowed,
            "the token does not belong to the tenant of X-Stella-Tenant",
        )),
        None => None,
    };
    let known = Known {
        name: format!("token:{} ({})", found.token.id, found.token.name),
        tenant: found.tenant,
        scopes: found.token.scopes.iter().filter_map(|word| Scope::of_word(word)).collect(),
    };
    Ok((known, fault))
}

/// What somebody asked for, for the audit log.
struct Asked {
    request: &'static Request,
    object: String,
}

/// Whose a token of the identity provider is.
async fn person(
    provider: &Provider,
    token: &str,
    wanted: Option<&str>,
    service: &Arc<Service>,
    asked: Asked,
) -> Result<Found, Problem> {
    let person = provider.person(token.trim()).await?;
    let tenant = person.tenant(wanted).inspect_err(|problem| {
        if let Some(tenant) = wanted.and_then(|wanted| wanted.parse().ok()) {
            tell_of_outsider(service, tenant, &person.name, asked, problem);
        }
    })?;
    // Which tenants there are is for this service to say.
    if !service.catalog.has_tenant(&tenant).await? {
        return Err(Problem::new(ErrorCode::NotAllowed, "the token belongs to no tenant"));
    }
    let scopes = person.tenants.get(&tenant).cloned().unwrap_or_default();
    Ok((Known { tenant, name: person.name, scopes }, None))
}

/// Tells a tenant, if there is one of this name, that somebody known from elsewhere wanted in: once a
/// minute of each. Nobody waits for it, so that no answer takes longer where there is such a tenant.
fn tell_of_outsider(
    service: &Arc<Service>,
    tenant: TenantId,
    name: &str,
    asked: Asked,
    problem: &Problem,
) {
    if !service.limits.may_log_fault(&format!("{name} {tenant}")) {
        return;
    }
    let Asked { request, object } = asked;
    let caller = Caller { tenant, name: name.to_owned(), scopes: Vec::new(), request };
    let entry = caller.denied(object, problem.message());
    let (service, now) = (service.clone(), service.now());
    tokio::spawn(async move {
        let told = match service.catalog.has_tenant(&caller.tenant).await {
            Ok(true) => service.catalog.audit(&caller.tenant, &entry, now).await.map(drop),
            other => other.map(drop),
        };
        if let Err(error) = told {
            tracing::error!(%error, "a denied request is not in the audit log");
        }
    });
}
