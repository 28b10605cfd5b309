//! The error of every operation: a code, what failed, and what to do.

use std::error::Error;
use std::fmt;

use stella_model::ErrorCode;

/// Why an operation failed, ready for a person and for a machine.
#[derive(Debug)]
pub struct EngineError {
    code: ErrorCode,
    message: String,
    hint: Option<String>,
    /// The same for whoever comes over HTTP, where that is another.
    hint_over_http: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl EngineError {
    /// An error with its code and what was attempted on what.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> EngineError {
        EngineError {
            code,
            message: message.into(),
            hint: None,
            hint_over_http: None,
            source: None,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> EngineError {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do next for whoever comes over HTTP, to whom options of commands say nothing.
    #[must_use]
    pub fn hint_over_http(mut self, hint: impl Into<String>) -> EngineError {
        self.hint_over_http = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> EngineError {
        self.source = Some(source.into());
        self
    }

    /// The code, from which exit code and HTTP status follow.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What to do next, if there is something.
    #[must_use]
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The same for whoever comes over HTTP: what was said for them, else what was said, unless that is an
    /// option of a command.
    #[must_use]
    pub fn next_step_over_http(&self) -> Option<&str> {
        let otherwise = || match self.code.is_undone_by_an_option() {
            true => self.code.next_over_http(),
            false => self.next_step(),
        };
        self.hint_over_http.as_deref().or_else(otherwise)
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_option_of_a_command_is_said_otherwise_over_http() {
        let error = |code| EngineError::new(code, "x");
        let table = ErrorCode::Empty.next_over_http();
        assert!(table.is_some());
        for (error, over_http) in [
            (error(ErrorCode::Empty).hint("add --allow-empty"), table),
            (error(ErrorCode::Empty).hint("add --allow-empty").hint_over_http("a"), Some("a")),
            (error(ErrorCode::Io).hint("look at the disk"), Some("look at the disk")),
            (error(ErrorCode::Io), None),
        ] {
            assert_eq!(error.next_step_over_http(), over_http, "{error:?}");
        }
    }
}
