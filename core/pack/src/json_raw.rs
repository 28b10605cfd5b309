//! `json:raw`: the selected records for people and programs that analyse them.

use stella_plan::{AdapterSpec, DefaultRedaction};

use crate::Adapter;

/// The adapter.
pub const JSON_RAW: Adapter = Adapter {
    spec: AdapterSpec {
        id: "json:raw",
        version: 1,
        about: "selected records as JSON lines, with redaction guardrails",
        default_redaction: DefaultRedaction::Standard,
        importable: false,
        kinds: &[],
    },
    carries_records: true,
    description: "Selected records for analysts: one JSON object a line, redacted by the standard \
        rules unless the profile says otherwise. Not importable: a site cannot tell a redacted \
        record from the original.",
};
