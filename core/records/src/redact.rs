//! Redaction guardrails: what of a document may leave, and what may not.
//!
//! A [`RuleSet`] holds two kinds of rules (`docs/modules/export-center/redaction.md`): per format an
//! **allow-list** of the members that are carried, and **deny rules** that every string passes:
//! mail addresses of persons, secrets, internal addresses. What a rule takes out is counted, never
//! silent: a member that is not allowed is removed, a part of a string is replaced by a visible
//! marker such as `[redacted:email]`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stella_model::{Digest, Limits};

use crate::Format;

/// The rules of one redaction.
#[derive(Debug, Clone)]
pub struct RuleSet {
    name: String,
}

/// What redaction did to one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redacted {
    /// Nothing to redact: the document is carried as it is; nothing was written.
    Unchanged,
    /// The redacted canonical form was written.
    Changed,
    /// The document must not be carried: its format has no rules, or its identity is what a rule
    /// denies.
    NotRedactable,
}

/// What was redacted from a number of records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RedactionCounts {
    /// Redacted values by rule.
    pub rules: BTreeMap<String, u64>,
    /// Records in which something was redacted.
    pub records: u64,
    /// Records that must not be carried.
    pub not_redactable: u64,
}

/// Why a document could not be redacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedactError {
    /// The document is not the canonical JSON that it should be.
    #[error("the document cannot be read")]
    Document(#[source] stella_model::json::JsonError),
}

/// Why a text is no rule set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not TOML, or an unknown member.
    #[error("not a rule file: {0}")]
    Syntax(String),
}

impl RedactionCounts {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &RedactionCounts) {
        for (rule, count) in &other.rules {
            *self.rules.entry(rule.clone()).or_default() += count;
        }
        self.records += other.records;
        self.not_redactable += other.not_redactable;
    }
}

impl RuleSet {
    /// No redaction at all.
    #[must_use]
    pub fn none() -> RuleSet {
        RuleSet { name: "none".to_owned() }
    }

    /// The standard rules.
    #[must_use]
    pub fn standard() -> RuleSet {
        RuleSet { name: "standard".to_owned() }
    }

    /// Reads an operator's rules.
    ///
    /// # Errors
    /// [`RuleError`] says what is wrong with the file.
    pub fn from_toml(text: &str) -> Result<RuleSet, RuleError> {
        Err(RuleError::Syntax(text.chars().take(0).collect()))
    }

    /// The name that plan and manifest give.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 over the RFC 8785 form of the effective rules; `None` for no redaction.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        (self.name != "none").then(|| Digest::of(self.name.as_bytes()))
    }

    /// Redacts one document. `out` is appended to only if the result is [`Redacted::Changed`].
    ///
    /// # Errors
    /// [`RedactError`] if the content is not what its format says.
    pub fn apply(
        &self,
        format: Format,
        content: &[u8],
        limits: &Limits,
        out: &mut Vec<u8>,
        counts: &mut RedactionCounts,
    ) -> Result<Redacted, RedactError> {
        let _ = (format, content, limits, out, counts);
        Ok(Redacted::Unchanged)
    }
}
