//! Why a custodian did not do what was asked.

use std::fmt;

use stella_model::ErrorCode;

use crate::KeyName;

/// An operation that failed at the place where a key lives.
///
/// `Display` says what was attempted with which key where; the source says why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} the key {name} ({place})")]
pub struct CustodianError {
    pub(crate) name: KeyName,
    pub(crate) place: String,
    pub(crate) attempt: Attempt,
    #[source]
    pub(crate) fault: Fault,
}

/// What was asked of a custodian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The public half, when the key is added.
    Find,
    /// A signature.
    Sign,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Attempt::Find => "find",
            Attempt::Sign => "sign with",
        })
    }
}

/// What a custodian said, with its code and the next step. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    code: ErrorCode,
    said: String,
    hint: Option<String>,
}

impl Fault {
    pub(crate) fn new(code: ErrorCode, said: impl Into<String>) -> Fault {
        Fault { code, said: said.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }
}

impl CustodianError {
    /// The code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.fault.code
    }

    /// What to do, if there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.fault.hint.clone()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for Fault {}
