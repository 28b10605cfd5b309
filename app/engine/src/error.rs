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
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl EngineError {
    /// An error with its code and what was attempted on what.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> EngineError {
        EngineError { code, message: message.into(), hint: None, source: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> EngineError {
        self.hint = Some(hint.into());
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

    /// The same for whoever comes over HTTP: the words of the table where ours are for the command line.
    #[must_use]
    pub fn next_step_over_http(&self) -> Option<&str> {
        let is_for_commands = |hint: &str| hint.contains("--") || hint.contains("stella ");
        match self.next_step() {
            Some(hint) if is_for_commands(hint) => self.code.next_over_http(),
            other => other,
        }
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
