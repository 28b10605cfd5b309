//! The file in which an operator writes rules.

use std::collections::{BTreeMap, BTreeSet};

use regex::RegexBuilder;
use serde::{Deserialize, Serialize};

use super::RuleError;
use super::secret::Pattern;

/// Longest rule file in bytes.
const FILE_BYTES: usize = 1 << 20;
/// Longest pattern in bytes.
const PATTERN_BYTES: usize = 1024;
/// Most patterns in a file.
const PATTERNS: usize = 256;
/// Most bytes that a compiled pattern takes, which bounds both memory and time.
const COMPILED_BYTES: usize = 1 << 20;

/// What an operator wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RuleFile {
    /// The name that plan and manifest give.
    pub(super) name: String,
    /// On what the rules build.
    #[serde(default)]
    pub(super) extends: Extends,
    /// Domains that are internal though nothing about their names says so.
    #[serde(default)]
    pub(super) internal_domains: BTreeSet<String>,
    /// What the standard rules would take out and is kept.
    #[serde(default)]
    pub(super) keep: Keep,
    /// More members that are carried, by format.
    #[serde(default)]
    pub(super) allow: BTreeMap<String, BTreeSet<String>>,
    /// More patterns, applied in this order before the standard rules.
    #[serde(default)]
    pub(super) deny: Vec<DenyRule>,
}

/// On what rules build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Extends {
    /// The standard allow-lists and deny rules.
    #[default]
    Standard,
    /// Nothing: every member is allowed, and only the file's own patterns apply.
    None,
}

/// Exceptions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Keep {
    /// Mail addresses that belong to no person.
    #[serde(default)]
    pub(super) mailboxes: BTreeSet<String>,
    /// Domains of which every address is kept.
    #[serde(default)]
    pub(super) mail_domains: BTreeSet<String>,
    /// Hosts, or domains with all hosts below them, to which URLs may lead.
    #[serde(default)]
    pub(super) hosts: BTreeSet<String>,
    /// Names of home folders that belong to no person.
    #[serde(default)]
    pub(super) users: BTreeSet<String>,
}

/// A pattern of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DenyRule {
    /// The rule id, as the marker and the counts give it.
    pub(super) id: String,
    /// What is redacted: the first group, or else the whole match.
    pub(super) pattern: String,
}

impl RuleFile {
    /// Reads a file. Lists of names are compared in lower case.
    pub(super) fn read(text: &str) -> Result<RuleFile, RuleError> {
        if text.len() > FILE_BYTES {
            return Err(RuleError::TooLarge { what: "the file", most: FILE_BYTES });
        }
        let mut file: RuleFile =
            toml::from_str(text).map_err(|error| RuleError::Syntax(error.to_string()))?;
        if !is_name(&file.name) || matches!(file.name.as_str(), "none" | "standard") {
            return Err(RuleError::Name(file.name));
        }
        let standard_only = file.keep != Keep::default()
            || !file.internal_domains.is_empty()
            || !file.allow.is_empty();
        if file.extends == Extends::None && standard_only {
            return Err(RuleError::NothingToExtend);
        }
        for list in [
            &mut file.internal_domains,
            &mut file.keep.mailboxes,
            &mut file.keep.mail_domains,
            &mut file.keep.hosts,
            &mut file.keep.users,
        ] {
            let lower = |text: String| text.trim_start_matches('.').to_lowercase();
            *list = std::mem::take(list).into_iter().map(lower).collect();
            if list.contains("") {
                return Err(RuleError::Syntax("an entry of a list is empty".to_owned()));
            }
        }
        Ok(file)
    }

    /// The patterns, compiled within bounds.
    pub(super) fn patterns(&self) -> Result<Vec<Pattern>, RuleError> {
        if self.deny.len() > PATTERNS {
            return Err(RuleError::TooLarge { what: "the list of patterns", most: PATTERNS });
        }
        self.deny.iter().map(pattern).collect()
    }
}

fn pattern(rule: &DenyRule) -> Result<Pattern, RuleError> {
    if !is_name(&rule.id) {
        return Err(RuleError::RuleId(rule.id.clone()));
    }
    if rule.pattern.len() > PATTERN_BYTES {
        return Err(RuleError::TooLarge { what: "a pattern", most: PATTERN_BYTES });
    }
    let regex = RegexBuilder::new(&rule.pattern)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .nest_limit(64)
        .build()
        .map_err(|source| RuleError::Pattern { id: rule.id.clone(), source })?;
    if regex.is_match("") {
        return Err(RuleError::MatchesNothing(rule.id.clone()));
    }
    Ok(Pattern::own(rule.id.clone(), regex))
}

/// Names of rule sets and rules: `[a-z0-9]` and hyphens, at most 40.
fn is_name(text: &str) -> bool {
    let part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.len() <= 40 && text.bytes().all(part) && !text.starts_with('-')
}
