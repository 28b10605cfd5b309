//! Errors as clients see them: one row of the table of codes, and the request they belong to.

use std::error::Error;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use stella_catalog::CatalogError;
use stella_engine::EngineError;
use stella_model::ErrorCode;
use stella_plan::ProfileError;
use stella_run::Failure;
use utoipa::ToSchema;

use crate::telemetry::{trace, without_places};

/// An error on its way to a client, as RFC 9457 has it.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: ErrorCode,
    message: String,
    hint: Option<String>,
    details: Vec<Detail>,
    retry_after: Option<u64>,
    causes: Vec<String>,
}

/// An error: `application/problem+json`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProblemBody<'a> {
    /// What the code means; of 401, which has the code of 403, that nobody known asks.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// A code of the one table, such as `ERR_EXPORT_NOT_FOUND`.
    code: &'a str,
    /// What was attempted on what, and why it was not done.
    message: &'a str,
    /// The next step.
    hint: &'a str,
    /// Which members of the request are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
    /// The request, for those who look for its traces and logs.
    trace_id: String,
}

/// A member of a request that is wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Detail {
    /// Its path, such as `select.kinds`; empty for the whole.
    pub(crate) path: String,
    /// What it must be.
    pub(crate) message: String,
}

impl Problem {
    /// An error with its code and what was attempted on what.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Problem {
        let status = StatusCode::from_u16(code.http_status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let message = message.into();
        Problem {
            status,
            code,
            message,
            hint: None,
            details: Vec::new(),
            retry_after: None,
            causes: Vec::new(),
        }
    }

    /// What it says.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether it says that nobody known asks.
    pub(crate) fn is_unauthenticated(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// Its row of the table.
    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }

    /// Adds what to do next, where that is more than the table has.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a member of the request that is wrong.
    pub(crate) fn detail(mut self, path: impl Into<String>, message: impl Into<String>) -> Problem {
        self.details.push(Detail { path: path.into(), message: message.into() });
        self
    }

    /// Adds the causes, which are for the log alone.
    fn because(mut self, error: &(dyn Error + 'static)) -> Problem {
        self.causes = anyhow::Chain::new(error).skip(1).map(ToString::to_string).collect();
        self
    }

    /// Adds after how many seconds it is worth asking again.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Problem {
        self.retry_after = Some(seconds);
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

    /// That the request is not understood.
    pub(crate) fn usage(message: impl Into<String>) -> Problem {
        Problem::new(ErrorCode::Usage, message)
    }

    /// That a member of the request is understood, and is not what it must be.
    pub(crate) fn invalid(path: &str, what: impl AsRef<str>) -> Problem {
        let what = what.as_ref();
        Problem::new(ErrorCode::Invalid, format!("{path}: {what}")).detail(path, what)
    }

    /// That something went wrong that no request should make go wrong.
    pub(crate) fn internal(error: impl ToString) -> Problem {
        Problem::new(ErrorCode::Internal, error.to_string())
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Problem {
        // What a database says may name hosts and tables: it is for the log.
        let problem = Problem::new(error.code(), error.to_string()).because(&error);
        match error {
            CatalogError::Quota { .. } => problem.retry_after(30),
            CatalogError::Over { run, .. } => {
                problem.hint(format!("GET /runs/r-{run} tells how it ended"))
            }
            CatalogError::Database { .. } => problem.retry_after(2),
            // It is no defect of the request nor of the program, and passes once somebody makes room.
            CatalogError::Full(_) | CatalogError::ReadOnly(_) => {
                problem.with_status(StatusCode::SERVICE_UNAVAILABLE).retry_after(30)
            }
            _ => problem,
        }
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Problem {
        let member = error.source().and_then(|cause| cause.downcast_ref::<ProfileError>());
        let problem = match member {
            // Which member of what is asked for is wrong, and how.
            Some(ProfileError::Member { member, rule }) => {
                Problem::new(error.code(), format!("{member} {rule}")).detail(member, rule)
            }
            _ => Problem::new(error.code(), error.to_string()),
        };
        let problem = match error.code() {
            ErrorCode::Unreachable => problem.retry_after(2),
            _ => problem,
        };
        let problem = match error.next_step_over_http().filter(|_| member.is_none()) {
            Some(hint) => problem.hint(hint),
            None => problem,
        };
        problem.because(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            let Problem { code, message, causes, .. } = &self;
            let causes = causes.join(": ");
            tracing::error!(%code, message, causes, trace = trace(), "a request failed");
        }
        let message = without_places(&self.message);
        let usual = self.code.next_over_http().unwrap_or(self.code.next());
        let hint = without_places(self.hint.as_deref().unwrap_or(usual));
        let body = ProblemBody {
            title: match self.is_unauthenticated() {
                true => "nobody known asks",
                false => self.code.meaning(),
            },
            status: self.status.as_u16(),
            code: self.code.as_str(),
            message: &message,
            hint: &hint,
            details: self.details,
            trace_id: trace(),
        };
        let mut response = (self.status, Json(body)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"export-center\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
