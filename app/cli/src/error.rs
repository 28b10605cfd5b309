//! Errors as people and scripts see them: what failed, why, and what to do.

use std::error::Error;
use std::fmt::Write as _;

use serde_json::{Value, json};
use stella_engine::EngineError;
use stella_model::ErrorCode;
use stella_model::screen::Safe;

use crate::output::{API_VERSION, Paint, Tone};

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: ErrorCode,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// A failure with its code and what was attempted on what.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the chain of causes.
    pub(crate) fn because(mut self, cause: &(dyn Error + 'static)) -> Failure {
        self.causes = chain(Some(cause));
        self
    }

    /// Writing a file failed.
    pub(crate) fn io(message: impl Into<String>, cause: &std::io::Error) -> Failure {
        Failure::new(ErrorCode::of_writing(cause.kind()), message).because(cause)
    }

    /// The same failure under another code; what was said becomes the cause.
    pub(crate) fn with_code(mut self, code: ErrorCode, message: &str) -> Failure {
        self.causes.insert(0, std::mem::replace(&mut self.message, message.to_owned()));
        self.code = code;
        self
    }

    /// The code.
    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }

    /// What failed.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What to do: what its code usually asks for, unless it is known better.
    pub(crate) fn next(&self) -> &str {
        self.hint.as_deref().unwrap_or(self.code.next())
    }

    /// The failure for people: `error[CODE]: what failed`, causes, `hint: what to do`.
    pub(crate) fn to_text(&self, paint: Paint) -> String {
        let head = paint.text(Tone::Bad, &format!("error[{}]", self.code));
        let mut text = format!("{head}: {}\n", Safe(&self.message));
        for cause in &self.causes {
            write_lines(&mut text, "cause:", cause);
        }
        write_lines(&mut text, "hint:", self.next());
        text
    }

    /// The failure for scripts, one line.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({
            "code": self.code.as_str(),
            "exitCode": self.code.exit_code(),
            "message": self.message,
            "hint": self.next(),
        });
        if !self.causes.is_empty() {
            error["causes"] = json!(self.causes);
        }
        json!({"apiVersion": API_VERSION, "kind": "Error", "error": error})
    }
}

/// The lines of a text below each other after its label; nothing in it can look like another label.
fn write_lines(text: &mut String, label: &str, lines: &str) {
    let width = label.len();
    for (i, line) in lines.trim_end().lines().enumerate() {
        let label = if i == 0 { label } else { "" };
        let line = format!("  {label:<width$} {}", Safe(line));
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// The messages of an error and its sources. A source that only repeats the end of what was said
/// before is left out.
fn chain(mut next: Option<&(dyn Error + 'static)>) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    while let Some(error) = next {
        let message = error.to_string();
        if !causes.last().is_some_and(|said| said.ends_with(&message)) {
            causes.push(message);
        }
        next = error.source();
    }
    causes
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        let mut failure = Failure::new(error.code(), error.to_string());
        failure.causes = chain(error.source());
        failure.hint = error.next_step().map(str::to_owned);
        failure
    }
}

impl From<stella_keys::KeysError> for Failure {
    fn from(error: stella_keys::KeysError) -> Failure {
        let failure = Failure::new(error.code(), error.to_string());
        let failure = Failure { causes: chain(error.source()), ..failure };
        Failure { hint: error.hint(), ..failure }
    }
}

/// Writing the result failed.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::new(ErrorCode::Io, "cannot write the result to standard output").because(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open a\u{1b}[2Jb")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_text_has_two_parts_the_chain_and_no_escape_of_the_outside() {
        let cause = Outer(std::io::Error::other("disk on fire"));
        let engine = EngineError::new(ErrorCode::Io, "cannot read the ledger")
            .because(cause)
            .hint("check the disk\nthen run it again");
        let failure = Failure::from(engine);
        let expected = "\
error[ERR_EXPORT_IO]: cannot read the ledger
  cause: cannot open a\\u{1b}[2Jb
  cause: disk on fire
  hint: check the disk
        then run it again
";
        assert_eq!(failure.to_text(Paint { on: false }), expected);
        assert!(
            failure
                .to_text(Paint { on: true })
                .starts_with("\u{1b}[1;31merror[ERR_EXPORT_IO]\u{1b}[0m: ")
        );
        let json = failure.to_json();
        assert_eq!(json["error"]["exitCode"], 1);
        assert_eq!(json["error"]["causes"][1], "disk on fire");
    }

    #[test]
    fn causes_of_several_lines_keep_them_and_each_is_escaped() {
        let cause = std::io::Error::other("at line 2\n  |\n2 | a\u{1b}[2J =\n  |     ^\n");
        let failure = Failure::new(ErrorCode::Invalid, "bad").because(&cause);
        let expected = "\
error[ERR_EXPORT_INVALID]: bad
  cause: at line 2
           |
         2 | a\\u{1b}[2J =
           |     ^
  hint: correct what the message names
";
        assert_eq!(failure.to_text(Paint { on: false }), expected);
    }

    #[test]
    fn files_that_are_not_there_or_closed_to_us_have_their_own_codes() {
        use std::io::ErrorKind;
        for (kind, code) in [
            (ErrorKind::NotFound, ErrorCode::NotFound),
            (ErrorKind::PermissionDenied, ErrorCode::NotAllowed),
            (ErrorKind::StorageFull, ErrorCode::Io),
        ] {
            assert_eq!(Failure::io("x", &kind.into()).code(), code);
        }
    }
}
