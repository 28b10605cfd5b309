//! What requests carry, parsed: whatever does not parse is a problem with a status of its own.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Error;
use stella_catalog::IdempotencyKey;
use stella_model::{Digest, ErrorCode};

use super::Problem;

/// How long a small body may take.
const SILENCE: Duration = Duration::from_secs(60);

/// Longest `Idempotency-Key`.
const LONGEST_KEY: usize = 255;

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Body<T>, Problem> {
        let read = Json::from_request(request, state);
        let read: Result<Json<T>, JsonRejection> = in_time(read).await?;
        let rejection = match read {
            Ok(Json(body)) => return Ok(Body(body)),
            Err(rejection) => rejection,
        };
        let (status, text) = (rejection.status(), rejection.body_text());
        Err(match status {
            // JSON, and not what it should be.
            StatusCode::UNPROCESSABLE_ENTITY => match wrong_member(&rejection) {
                Some((path, what)) if path == "." => {
                    Problem::new(ErrorCode::Invalid, what.as_str()).detail("", what)
                }
                Some((path, what)) => Problem::invalid(&path, what),
                None => Problem::new(ErrorCode::Invalid, text),
            },
            // Not JSON; none, or too much of it.
            _ => Problem::usage(text).with_status(status),
        })
    }
}

/// A small body of any kind.
pub(crate) struct Raw(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Raw, Problem> {
        let read: Result<Bytes, BytesRejection> =
            in_time(Bytes::from_request(request, state)).await?;
        read.map(Raw).map_err(|rejection| {
            Problem::usage(rejection.body_text()).with_status(rejection.status())
        })
    }
}

/// What comes of reading a small body, unless whoever sends it is silent for too long.
async fn in_time<T>(read: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(SILENCE, read).await.map_err(|_| {
        Problem::usage("the request did not come: not all of it was sent within a minute")
            .with_status(StatusCode::REQUEST_TIMEOUT)
    })
}

/// Which member of a body is wrong, `.` for the whole, and how.
fn wrong_member(rejection: &JsonRejection) -> Option<(String, String)> {
    let mut causes = anyhow::Chain::new(rejection);
    let found = causes.find_map(|cause| cause.downcast_ref::<Error<serde_json::Error>>())?;
    let what = found.inner().to_string();
    // Where in the text it is says less than the path, and `details` are for members.
    let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what).to_owned();
    Some((found.path().to_string(), what))
}

/// What follows the question mark of an address.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Params<T>, Problem> {
        let read: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        match read {
            Ok(Query(query)) => Ok(Params(query)),
            Err(rejection) => Err(Problem::usage(rejection.body_text())),
        }
    }
}

/// How many things a page has: what is asked for, within the most there may be.
pub(crate) fn page_size(asked: Option<u32>, (usual, most): (u32, u32)) -> Result<u32, Problem> {
    let size = asked.unwrap_or(usual);
    match (1..=most).contains(&size) {
        true => Ok(size),
        false => Err(Problem::usage(format!("limit: is from 1 to {most}"))),
    }
}

/// The one thing that varies in a path.
async fn segment<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Problem> {
    let read: Result<Path<String>, PathRejection> =
        <Path<String> as FromRequestParts<S>>::from_request_parts(parts, state).await;
    match read {
        Ok(Path(text)) => Ok(text),
        // Bytes that are no text name nothing.
        Err(_) => Err(Problem::not_found("such address")),
    }
}

/// The number of a run, written `r-17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunId(pub(crate) u64);

impl RunId {
    /// The run that a text names, in the one way in which it is written.
    pub(crate) fn parse(text: &str) -> Option<RunId> {
        let run = RunId(text.strip_prefix("r-")?.parse().ok()?);
        (run.to_string() == text).then_some(run)
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "r-{}", self.0)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RunId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<RunId, Problem> {
        let text = segment(parts, state).await?;
        RunId::parse(&text).ok_or_else(|| Problem::not_found("such run: they are named r-1, r-2"))
    }
}

/// The name of a profile or a token: short, and of characters that are safe everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Name, Problem> {
        let text = segment(parts, state).await?;
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        match (1..=64).contains(&text.len()) && text.bytes().all(is_safe) {
            true => Ok(Name(text)),
            false => Err(Problem::not_found("such name")),
        }
    }
}

/// The key with which a request may come twice and is done once, if it has one.
pub(crate) struct Idempotency(Option<String>);

impl Idempotency {
    /// The key, of a request that is this one: all that it asks for, and nothing that differs when it
    /// comes again.
    pub(crate) fn of(self, request: &impl Serialize) -> Result<Option<IdempotencyKey>, Problem> {
        let Some(key) = self.0 else { return Ok(None) };
        let request = serde_json::to_vec(request).map_err(Problem::internal)?;
        Ok(Some(IdempotencyKey { key, request: Digest::of(&request) }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Idempotency, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(Idempotency(None));
        };
        let key = value.to_str().ok().filter(|key| (1..=LONGEST_KEY).contains(&key.len()));
        let key = key.ok_or_else(|| {
            let rule = format!("an Idempotency-Key is 1 to {LONGEST_KEY} visible ASCII characters");
            Problem::usage(rule)
        })?;
        Ok(Idempotency(Some(key.to_owned())))
    }
}
