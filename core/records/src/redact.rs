//! Redaction guardrails: what of a document may leave, and what may not.
//!
//! A [`RuleSet`] holds two kinds of rules (`docs/modules/export-center/redaction.md`): per format an
//! **allow-list** of the members that are carried, and **deny rules** that every string passes:
//! mail addresses of persons, secrets, internal addresses. What a rule takes out is counted, never
//! silent: a member that is not allowed is removed, a part of a string is replaced by a visible
//! marker such as `[redacted:email]`.

mod address;
mod allow;
mod deny;
mod file;
mod glance;
mod home;
mod identity;
mod mail;
mod secret;
mod tables;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use stella_model::json::{Document, JsonError};
use stella_model::{Digest, Limits, rfc8785};

use crate::Format;
use address::Addresses;
use allow::{Allow, PathFault};
use deny::{Deny, Numbered, Tally};
use file::{Extends, RuleFile};
use home::Homes;
use mail::Mail;
use walk::{Check, Writer};

/// Goes into the digest of the rules and rises whenever what they redact changes.
const RULES_VERSION: u32 = 1;

/// The rules of one redaction. Cheap to clone; one set serves any number of threads.
#[derive(Debug, Clone)]
pub struct RuleSet {
    name: String,
    /// `None` redacts nothing.
    rules: Option<Arc<Rules>>,
}

#[derive(Debug)]
struct Rules {
    /// Formats that are missing are not redactable.
    allow: BTreeMap<Format, Allow>,
    deny: Deny,
    digest: Digest,
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
    /// The document is not the canonical JSON that its format says.
    #[error("the document cannot be read")]
    Document(#[source] JsonError),
}

/// Why a text is no rule set.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// Not TOML, or an unknown or missing member.
    #[error("not a rule file: {0}")]
    Syntax(String),
    /// The set has no usable name.
    #[error(
        "`{0}` cannot name a rule set: lower-case letters, digits and hyphens, at most 40; `none` and `standard` are taken"
    )]
    Name(String),
    /// A rule has no usable id.
    #[error("`{0}` cannot be the id of a rule: lower-case letters, digits and hyphens, at most 40")]
    RuleId(String),
    /// A pattern is no regular expression, or too large a one.
    #[error("the pattern of rule `{id}` cannot be compiled")]
    Pattern {
        /// The rule.
        id: String,
        /// Why.
        #[source]
        source: regex::Error,
    },
    /// A pattern matches the empty text and so everywhere.
    #[error("the pattern of rule `{0}` matches the empty text")]
    MatchesNothing(String),
    /// A format is unknown, or has no allow-list that could be extended.
    #[error("`{0}` is no format with an allow-list")]
    Format(String),
    /// A path cannot be allowed.
    #[error("the path `{path}` of {format} cannot be allowed: {why}")]
    Path {
        /// The format.
        format: Format,
        /// The path.
        path: String,
        /// Why.
        why: String,
    },
    /// `allow`, `keep` or `internal-domains` in rules that extend nothing.
    #[error(
        "allow, keep and internal-domains extend the standard rules; with extends = \"none\" there is nothing they could extend"
    )]
    NothingToExtend,
    /// Over a limit.
    #[error("{what} is over the limit of {most}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit, in bytes or entries.
        most: usize,
    },
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
        RuleSet { name: "none".to_owned(), rules: None }
    }

    /// The standard rules.
    #[must_use]
    pub fn standard() -> RuleSet {
        let empty = RuleFile::default();
        let deny = extended_deny(&empty).expect("without an operator's lists nothing can fail");
        RuleSet::new("standard".to_owned(), standard_allow(), deny, &empty)
    }

    /// Reads an operator's rules (`docs/modules/export-center/redaction.md`).
    ///
    /// # Errors
    /// [`RuleError`] says what is wrong with the file.
    pub fn from_toml(text: &str) -> Result<RuleSet, RuleError> {
        let file = RuleFile::read(text)?;
        let patterns = file.patterns()?;
        let (allow, deny) = match file.extends {
            Extends::None => {
                let json = Format::ALL.iter().filter(|format| format.is_json());
                (json.map(|format| (*format, Allow::everything())).collect(), Deny::nothing())
            }
            Extends::Standard => (extended_allow(&file)?, extended_deny(&file)?),
        };
        Ok(RuleSet::new(file.name.clone(), allow, deny.with_own(patterns), &file))
    }

    fn new(name: String, allow: BTreeMap<Format, Allow>, deny: Deny, file: &RuleFile) -> RuleSet {
        let lists: BTreeMap<&str, serde_json::Value> =
            allow.iter().map(|(format, allow)| (format.as_str(), allow.describe())).collect();
        let standard = json!({
            "email": {
                "impersonalDomains": mail::IMPERSONAL_DOMAINS,
                "listLabels": mail::LIST_LABELS,
                "mailArchives": mail::MAIL_ARCHIVES,
                "roleMarks": mail::ROLE_MARKS,
                "roleWords": mail::ROLE_WORDS,
                "roles": mail::ROLES,
            },
            "homePath": {"systemUsers": home::SYSTEM_USERS},
            "internalUrl": {"suffixes": address::PRIVATE_SUFFIXES},
            "patterns": secret::STANDARD,
            "propertyPrefixes": tables::PROPERTY_PREFIXES,
            "version": RULES_VERSION,
        });
        let rules = json!({
            "allow": lists,
            "deny": file.deny,
            "internalDomains": file.internal_domains,
            "keep": file.keep,
            "standard": (file.extends == Extends::Standard).then_some(standard),
            "version": RULES_VERSION,
        });
        let digest = Digest::of(&rfc8785::to_vec(&rules));
        RuleSet { name, rules: Some(Arc::new(Rules { allow, deny, digest })) }
    }

    /// The name that plan and manifest give: `none`, `standard`, or what the file says.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 over the RFC 8785 form of the effective rules, without the name; `None` for
    /// [`RuleSet::none`].
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.rules.as_ref().map(|rules| rules.digest)
    }

    /// Redacts one document, whose content is in canonical form if its format is JSON.
    ///
    /// `out` is appended to only if the result is [`Redacted::Changed`], and then holds the
    /// canonical form of what is left, number tokens kept. The result depends on nothing but rules,
    /// format and content, and redacting it again changes nothing.
    ///
    /// # Errors
    /// [`RedactError`] if the content is not what its format says. Nothing is written or counted.
    pub fn apply(
        &self,
        format: Format,
        content: &[u8],
        limits: &Limits,
        out: &mut Vec<u8>,
        counts: &mut RedactionCounts,
    ) -> Result<Redacted, RedactError> {
        let Some(rules) = &self.rules else { return Ok(Redacted::Unchanged) };
        let Some(allow) = rules.allow.get(&format) else {
            counts.not_redactable += 1;
            return Ok(Redacted::NotRedactable);
        };
        let document = Document::parse(content, limits).map_err(RedactError::Document)?;
        let glance = rules.deny.glance(content);
        let check = Check { allow, deny: &rules.deny, glance: glance.as_ref() };
        if identity::any_text(format, document.root(), &|text| check.denies(text).is_some()) {
            counts.not_redactable += 1;
            return Ok(Redacted::NotRedactable);
        }
        if !check.finds(document.root()) {
            return Ok(Redacted::Unchanged);
        }
        let references = Numbered::new(content);
        out.reserve(content.len());
        let mut writer = Writer { check, references, tally: Tally::new(), out };
        writer.document(document.root());
        counts.records += 1;
        for (rule, count) in writer.tally {
            *counts.rules.entry(rule).or_default() += count;
        }
        Ok(Redacted::Changed)
    }
}

fn standard_allow() -> BTreeMap<Format, Allow> {
    let list = |format: &Format| Some((*format, Allow::standard(*format)?));
    Format::ALL.iter().filter_map(list).collect()
}

fn extended_allow(file: &RuleFile) -> Result<BTreeMap<Format, Allow>, RuleError> {
    let mut lists = standard_allow();
    for (name, paths) in &file.allow {
        let unknown = || RuleError::Format(name.clone());
        let format = Format::parse(name).ok_or_else(unknown)?;
        let list = lists.get_mut(&format).ok_or_else(unknown)?;
        for path in paths {
            let why = |fault| match fault {
                PathFault::Syntax => "it must be written as /member/member".to_owned(),
                PathFault::NoObject(step) => format!("`{step}` is no object of the allow-list"),
                PathFault::AlreadyAllowed => "it is written twice".to_owned(),
            };
            list.add(path).map_err(|fault| RuleError::Path {
                format,
                path: path.clone(),
                why: why(fault),
            })?;
        }
    }
    Ok(lists)
}

fn extended_deny(file: &RuleFile) -> Result<Deny, RuleError> {
    let keep = &file.keep;
    let addresses = Addresses::new(file.internal_domains.clone(), keep.hosts.clone())
        .map_err(|source| RuleError::Pattern { id: "internal-domains".to_owned(), source })?;
    let mail = Mail::new(keep.mailboxes.clone(), keep.mail_domains.clone());
    Ok(Deny::standard(mail, addresses, Homes::new(keep.users.clone())))
}

#[cfg(test)]
mod tests;
