//! Members of reports as JSON: of the engine as it gives them, and of servers as they answer.

use serde_json::Value;
use stella_model::screen::Safe;

/// A text, made safe for a terminal; empty if it is not told.
pub(super) fn text(report: &Value, member: &str) -> String {
    Safe(report[member].as_str().unwrap_or_default()).to_string()
}

/// A number; 0 if it is not told.
pub(super) fn number(report: &Value, member: &str) -> u64 {
    report[member].as_u64().unwrap_or(0)
}

/// A list; empty if it is not told.
pub(super) fn list<'a>(report: &'a Value, member: &str) -> &'a [Value] {
    report[member].as_array().map(Vec::as_slice).unwrap_or_default()
}
