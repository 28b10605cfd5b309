//! Why a server did not do what it was asked.

use std::time::Duration;

use serde::Deserialize;
use stella_model::ErrorCode;

use crate::PageFault;

/// Why a server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address is none of a server.
    #[error("{address} is no address of a server: {rule}")]
    Address {
        /// The address as it was given.
        address: String,
        /// What it must be.
        rule: &'static str,
    },
    /// The server cannot be reached, or the connection broke.
    #[error("cannot {attempt}")]
    Unreachable {
        /// What was attempted.
        attempt: String,
        /// What the connection says.
        #[source]
        source: reqwest::Error,
    },
    /// The connection broke while an answer was read.
    #[error("the answer to {attempt} broke off")]
    BrokenOff {
        /// What was attempted.
        attempt: String,
        /// What the connection says.
        #[source]
        source: std::io::Error,
    },
    /// The server says no.
    #[error("{message}")]
    Refused {
        /// The row of the table of errors.
        code: ErrorCode,
        /// The HTTP status.
        status: u16,
        /// What the server says.
        message: String,
        /// What to do, as the server says.
        hint: Option<String>,
        /// The request, for whoever looks after the server.
        trace: Option<String>,
        /// How long not to ask again, as the server says.
        wait: Option<Duration>,
    },
    /// A page of a ledger is not what it must be.
    #[error("the answer to {attempt} is wrong in line {line}: {fault}")]
    Page {
        /// What was attempted.
        attempt: String,
        /// Which line of it, from 1.
        line: u64,
        /// What is wrong.
        fault: PageFault,
    },
    /// What answered is no Export Center, or another version of it.
    #[error("the answer to {attempt} is not what an Export Center says: {what}")]
    Strange {
        /// What was attempted.
        attempt: String,
        /// What is strange.
        what: String,
    },
}

impl RemoteError {
    /// The row of the one table of errors.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            RemoteError::Address { .. } => ErrorCode::Usage,
            RemoteError::Unreachable { .. } | RemoteError::BrokenOff { .. } => {
                ErrorCode::Unreachable
            }
            RemoteError::Refused { code, .. } => *code,
            RemoteError::Page { fault, .. } => fault.code(),
            RemoteError::Strange { .. } => ErrorCode::Unreachable,
        }
    }

    /// What to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            RemoteError::Refused { code, status, hint, trace, .. } => {
                // What its table says to clients of the API is told in the words of commands, but for what is
                // to be done where the server runs.
                let is_there = matches!(
                    code,
                    ErrorCode::Internal | ErrorCode::Io | ErrorCode::NoKey | ErrorCode::NeedsNewer
                );
                let is_of_table = !is_there && hint.as_deref() == code.next_over_http();
                let told = match status {
                    401 => Some("stella auth login --server URL, with a token of the server".into()),
                    _ if is_of_table => Some(code.next().into()),
                    _ => hint.clone(),
                };
                match (told, trace) {
                    (Some(told), Some(trace)) => Some(format!("{told} (request {trace})")),
                    (told, _) => told,
                }
            }
            RemoteError::Page { .. } => Some(
                "nothing of it was taken; if it stays so, the server or a proxy before it changes pages"
                    .into(),
            ),
            RemoteError::Unreachable { source, .. } if says_certificate(source) => Some(
                "SSL_CERT_FILE names the file (PEM) with the certificate of its authority, if that is \
                 one of your own"
                    .into(),
            ),
            RemoteError::Unreachable { source, .. } if source.is_connect() => Some(
                "check the address and that `export-center serve` runs there, then the network".into(),
            ),
            RemoteError::Strange { .. } => {
                Some("check the address: --server names where `export-center serve` listens".into())
            }
            _ => None,
        }
    }

    /// Whether the same may go well when it is asked again, without anybody changing anything.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            RemoteError::Unreachable { .. } | RemoteError::BrokenOff { .. } => true,
            RemoteError::Refused { status, .. } => passes(*status),
            RemoteError::Page { fault, .. } => fault.may_pass(),
            RemoteError::Address { .. } | RemoteError::Strange { .. } => false,
        }
    }

    /// How long not to ask again, as the server says; five minutes at most.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            RemoteError::Refused { wait, .. } => wait.map(|wait| wait.min(LONGEST_WAIT)),
            _ => None,
        }
    }

    /// Whether the server cannot tell what changed after the sequence asked for, or not up to it any
    /// more: what is asked for has to be asked for anew.
    #[must_use]
    pub fn is_out_of_reach(&self) -> bool {
        matches!(self, RemoteError::Refused { status: 410, .. })
    }
}

/// Whether it is the certificate of a server that is not believed.
fn says_certificate(error: &dyn std::error::Error) -> bool {
    let mut causes = std::iter::successors(Some(error), |cause| (*cause).source());
    causes.any(|cause| cause.to_string().contains("certificate"))
}

/// The longest that a server is believed to need.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Whether a status is one of too many requests, or of a server that is away behind a proxy.
fn passes(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// What a server says of an error (RFC 9457).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    code: String,
    message: String,
    hint: Option<String>,
    trace_id: Option<String>,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    path: String,
    message: String,
}

/// The error that an answer tells of; `wait` is its `Retry-After`.
pub(crate) fn refused(
    attempt: &str,
    status: u16,
    wait: Option<Duration>,
    body: &[u8],
) -> RemoteError {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        let what = format!("status {status} without an explanation");
        if !passes(status) {
            return RemoteError::Strange { attempt: attempt.to_owned(), what };
        }
        // A proxy whose server is away knows nothing of our errors.
        let (code, message) = (ErrorCode::Unreachable, format!("{attempt}: {what}"));
        return RemoteError::Refused { code, status, message, hint: None, trace: None, wait };
    };
    let known = ErrorCode::ALL.iter().find(|code| code.as_str() == problem.code);
    // A newer server may have codes of its own.
    let code = known.copied().unwrap_or(match status {
        400..=499 => ErrorCode::Usage,
        _ => ErrorCode::Unreachable,
    });
    let mut message = problem.message;
    for Detail { path, message: rule } in problem.details {
        if !message.contains(&rule) {
            message = format!("{message}; {path}: {rule}");
        }
    }
    let Problem { hint, trace_id: trace, .. } = problem;
    RemoteError::Refused { code, status, message, hint, trace, wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_told_as_it_is() {
        let body = br#"{"code":"ERR_EXPORT_INVALID","message":"no","hint":"mend it","traceId":"0a",
                        "details":[{"path":"select.kinds","message":"is none"}]}"#;
        let error = refused("start a run", 422, None, body);
        assert_eq!(error.code(), ErrorCode::Invalid);
        assert_eq!(error.to_string(), "no; select.kinds: is none");
        assert_eq!(error.hint().as_deref(), Some("mend it (request 0a)"));
        assert!(!error.may_pass());
    }

    #[test]
    fn what_is_no_export_center_is_told() {
        let error = refused("list runs", 404, None, b"<html>Not here</html>");
        assert!(matches!(&error, RemoteError::Strange { .. }), "{error}");
        assert!(!error.may_pass());
    }

    #[test]
    fn a_server_that_is_away_behind_a_proxy_may_come_back() {
        let (wait, body) = (Some(Duration::from_secs(86_400)), b"<html>Bad gateway</html>");
        let error = refused("list runs", 502, wait, body);
        assert_eq!((error.code(), error.may_pass()), (ErrorCode::Unreachable, true));
        assert_eq!(error.to_string(), "list runs: status 502 without an explanation");
        assert_eq!(error.wait(), Some(Duration::from_secs(300)));
    }
}
