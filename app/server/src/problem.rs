//! Errors as clients see them: one row of the table of codes, and the request they belong to.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use stella_catalog::CatalogError;
use stella_engine::EngineError;
use stella_model::ErrorCode;
use stella_run::Failure;

/// An error on its way to a client, as RFC 9457 has it.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: ErrorCode,
    message: String,
    hint: Option<String>,
}

/// What of it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    title: &'a str,
    status: u16,
    code: &'a str,
    message: &'a str,
    hint: &'a str,
}

impl Problem {
    /// An error with its code and what was attempted on what.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Problem {
        let status = StatusCode::from_u16(code.http_status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Problem { status, code, message: message.into(), hint: None }
    }

    /// Adds what to do next, where that is more than the table has.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// The same as the end of a task.
    pub(crate) fn failure(&self) -> Failure {
        Failure { hint: self.hint.clone(), ..Failure::new(self.code, self.message.clone()) }
    }

    /// The same under another status, where HTTP has one of its own.
    pub(crate) fn with_status(self, status: StatusCode) -> Problem {
        Problem { status, ..self }
    }

    /// That nobody known asks.
    pub(crate) fn unauthenticated(message: &str) -> Problem {
        let problem = Problem::new(ErrorCode::NotAllowed, message);
        let hint = "send `Authorization: Bearer TOKEN` with a token of this service";
        problem.hint(hint).with_status(StatusCode::UNAUTHORIZED)
    }

    /// That there is no such thing, or that it is not the caller's: nobody can tell which.
    pub(crate) fn not_found(what: &str) -> Problem {
        Problem::new(ErrorCode::NotFound, format!("there is no {what}"))
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Problem {
        Problem::new(error.code(), error.to_string())
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Problem {
        let problem = Problem::new(error.code(), error.to_string());
        match error.next_step() {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            title: self.code.meaning(),
            status: self.status.as_u16(),
            code: self.code.as_str(),
            message: &self.message,
            hint: self.hint.as_deref().unwrap_or(self.code.next()),
        };
        let mut response = (self.status, Json(body)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"export-center\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
