//! Profiles of the tenant: a revision never changes, and a profile is its newest revision.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stella_catalog::{Mutation, ProfileRevision};
use stella_model::ErrorCode;
use utoipa::{IntoParams, ToSchema};

use super::extract::{Idempotency, Name, Params, Raw};
use super::{Problem, instant};
use crate::access::Caller;
use crate::service::Service;

/// Largest profile, in bytes.
const LARGEST: usize = 64 << 10;

/// The most revisions that are listed.
const REVISIONS: u32 = 100;

/// A revision of a profile.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProfileView {
    /// Its name.
    name: String,
    /// The number of the revision, from 1; 0 for a profile that is built in.
    revision: u64,
    /// When the revision was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    /// The profile as TOML; absent in a revision that says that it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<String>,
    /// The same as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Value>,
}

impl From<ProfileRevision> for ProfileView {
    fn from(revision: ProfileRevision) -> ProfileView {
        let table = revision.document.as_deref().and_then(|text| toml::from_str(text).ok());
        ProfileView {
            name: revision.name,
            revision: revision.revision,
            created_at: instant(revision.created).map(|at| at.to_string()),
            created_by: Some(revision.by),
            document: revision.document,
            profile: table,
        }
    }
}

/// Profiles.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProfileList {
    /// By name; those that are built in come first.
    items: Vec<ProfileView>,
}

/// A profile that is built in.
fn built_in(name: &str) -> ProfileView {
    ProfileView {
        name: name.to_owned(),
        revision: 0,
        created_at: None,
        created_by: None,
        document: None,
        profile: None,
    }
}

fn is_built_in(name: &str) -> bool {
    stella_engine::adapter_specs().iter().any(|spec| spec.id == name)
}

/// The tag of a revision.
fn etag(revision: u64) -> String {
    format!("\"{revision}\"")
}

fn with_tag(status: StatusCode, revision: ProfileRevision) -> Response {
    let tag = etag(revision.revision);
    (status, [(header::ETAG, tag)], Json(ProfileView::from(revision))).into_response()
}

/// The profiles of the tenant, and those that are built in.
#[utoipa::path(get, path = "/profiles", tag = "profiles",
    responses((status = 200, description = "all of them", body = ProfileList)))]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    caller: Caller,
) -> Result<Json<ProfileList>, Problem> {
    let built_in = stella_engine::adapter_specs().into_iter().map(|spec| built_in(spec.id));
    let own = service.catalog.profiles(&caller.tenant).await?;
    let items = built_in.chain(own.into_iter().map(ProfileView::from)).collect();
    Ok(Json(ProfileList { items }))
}

/// A profile of the tenant, or one that is built in. `ETag` is the revision, for `If-Match`; those that are
/// built in have none.
#[utoipa::path(get, path = "/profiles/{name}", tag = "profiles",
    params(("name" = String, Path, description = "its name")),
    responses((status = 200, description = "the newest revision", body = ProfileView,
               headers(("ETag" = String, description = "the revision")))))]
pub(crate) async fn get(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Name(name): Name,
) -> Result<Response, Problem> {
    if is_built_in(&name) {
        return Ok(Json(built_in(&name)).into_response());
    }
    let found = service.catalog.profile(&caller.tenant, &name).await?;
    let found = found.ok_or_else(|| Problem::not_found(&format!("profile {name}")))?;
    Ok(with_tag(StatusCode::OK, found))
}

/// The newest 100 revisions of a profile of the tenant, the newest first, also of one that was deleted.
#[utoipa::path(get, path = "/profiles/{name}/revisions", tag = "profiles",
    params(("name" = String, Path, description = "its name")),
    responses((status = 200, description = "all of them", body = ProfileList)))]
pub(crate) async fn history(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Name(name): Name,
) -> Result<Json<ProfileList>, Problem> {
    let found = service.catalog.profile_history(&caller.tenant, &name, REVISIONS).await?;
    if found.is_empty() {
        return Err(Problem::not_found(&format!("profile {name}")));
    }
    Ok(Json(ProfileList { items: found.into_iter().map(ProfileView::from).collect() }))
}

/// How a profile is written.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PutQuery {
    /// Looks whether the profile is valid and could be written, and writes nothing.
    #[serde(default)]
    dry_run: bool,
}

/// The revision that a writer has seen: 0 for a profile that is not there.
fn seen(headers: &HeaderMap) -> Result<u64, Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("").trim());
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (Some(tag), None) => {
            let number = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            let number = number.and_then(|number| number.parse().ok());
            number.filter(|number| *number > 0).ok_or_else(|| {
                Problem::usage("If-Match: is the ETag of the revision that is to be replaced")
            })
        }
        (None, Some("*")) => Ok(0),
        _ => Err(Problem::usage(
            "say what is to be replaced: If-Match: \"REVISION\", or If-None-Match: * for a new one",
        )
        .with_status(StatusCode::PRECONDITION_REQUIRED)),
    }
}

/// A problem that another revision is there, as HTTP tells it.
fn not_as_seen(error: stella_catalog::CatalogError) -> Problem {
    let is_conflict = error.code() == ErrorCode::Conflict;
    let problem = Problem::from(error);
    match is_conflict {
        true => problem
            .hint("read the profile again, and send what you want of it with its ETag")
            .with_status(StatusCode::PRECONDITION_FAILED),
        false => problem,
    }
}

/// That a member of a profile is wrong, or all of it.
fn invalid(path: &str, what: &str) -> Problem {
    Problem::new(ErrorCode::Invalid, format!("the profile is invalid: {what}"))
        .detail(path, what)
        .hint("correct what details name; dryRun=true judges a profile and writes nothing")
}

/// The profile of a body as TOML.
fn document(headers: &HeaderMap, body: &Bytes) -> Result<String, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or("").split(';').next().unwrap_or("").trim();
    if body.len() > LARGEST {
        return Err(invalid("", &format!("it is larger than {LARGEST} bytes"))
            .with_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    let text = std::str::from_utf8(body).map_err(|_| invalid("", "it is not UTF-8"))?;
    match kind {
        "application/toml" => Ok(text.to_owned()),
        "application/json" => {
            let table: toml::Table =
                serde_json::from_str(text).map_err(|error| invalid("", &error.to_string()))?;
            toml::to_string(&table).map_err(|error| invalid("", &error.to_string()))
        }
        _ => Err(Problem::usage("a profile is application/toml or application/json")
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
    }
}

/// Checks the text of a profile that is to have this name.
fn check(service: &Service, name: &str, text: &str) -> Result<(), Problem> {
    let now = instant(service.now()).ok_or_else(|| Problem::internal("no time can be told"))?;
    let profile = stella_engine::check_profile(text, now)
        .map_err(|fault| invalid(&fault.member, &fault.message))?;
    if profile.name != name {
        return Err(invalid("name", &format!("name is not `{name}`, as the address has it")));
    }
    if is_built_in(name) {
        return Err(invalid(
            "name",
            &format!("`{name}` is the name of a profile that is built in"),
        ));
    }
    Ok(())
}

/// Writes a revision of a profile. `If-Match` names the revision that it follows, `If-None-Match: *`
/// says that there is none.
#[utoipa::path(put, path = "/profiles/{name}", tag = "profiles",
    request_body(content((Value = "application/json"), (String = "application/toml"))),
    params(("name" = String, Path, description = "its name"), PutQuery,
           ("If-Match" = Option<String>, Header, description = "the revision that this one follows"),
           ("If-None-Match" = Option<String>, Header, description = "`*`: there is none yet")),
    responses((status = 200, description = "it is written, or would be", body = ProfileView),
              (status = 201, description = "it is the first revision", body = ProfileView),
              (status = 428, description = "the request does not say what it replaces",
               content_type = "application/problem+json")))]
pub(crate) async fn put(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Name(name): Name,
    Params(query): Params<PutQuery>,
    key: Idempotency,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, Problem> {
    let seen = seen(&headers)?;
    let text = document(&headers, &body)?;
    check(&service, &name, &text)?;
    if query.dry_run {
        let found = service.catalog.profile(&caller.tenant, &name).await?;
        let found = found.map_or(0, |found| found.revision);
        if found != seen {
            let message = format!("profile {name} is at revision {found}, not at {seen}");
            return Err(Problem::new(ErrorCode::Conflict, message)
                .with_status(StatusCode::PRECONDITION_FAILED));
        }
        let (document, by, created) = (Some(text), caller.name.clone(), service.now());
        let would_be = ProfileRevision { name, revision: seen + 1, document, by, created };
        return Ok(Json(ProfileView::from(would_be)).into_response());
    }
    let key = key.of(&("profile.put", &name, seen, &text))?;
    let entry = caller.entry(&name);
    let mutation = Mutation { entry: &entry, key: key.as_ref(), now: service.now() };
    let written =
        service.catalog.put_profile(&caller.tenant, &name, Some(&text), seen, &mutation).await;
    let written = written.map_err(not_as_seen)?;
    let status = if written.revision == 1 { StatusCode::CREATED } else { StatusCode::OK };
    Ok(with_tag(status, written))
}

/// Deletes a profile. Its revisions stay, for the runs that were made of them.
#[utoipa::path(delete, path = "/profiles/{name}", tag = "profiles",
    params(("name" = String, Path, description = "its name"),
           ("If-Match" = Option<String>, Header, description = "the newest revision")),
    responses((status = 204, description = "it is deleted"),
              (status = 428, description = "the request does not say what it deletes",
               content_type = "application/problem+json")))]
pub(crate) async fn delete(
    State(service): State<Arc<Service>>,
    caller: Caller,
    Name(name): Name,
    key: Idempotency,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let found = service.catalog.profile(&caller.tenant, &name).await?;
    let seen = seen(&headers)?;
    let key = key.of(&("profile.delete", &name, seen))?;
    if found.is_none() && key.is_none() || seen == 0 {
        return Err(Problem::not_found(&format!("profile {name}")));
    }
    let entry = caller.entry(&name);
    let mutation = Mutation { entry: &entry, key: key.as_ref(), now: service.now() };
    let deleted = service.catalog.put_profile(&caller.tenant, &name, None, seen, &mutation).await;
    deleted.map_err(not_as_seen)?;
    Ok(StatusCode::NO_CONTENT)
}
