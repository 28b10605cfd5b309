//! Profiles of requests: built in or from a file, with what the request says merged over them.

use std::collections::BTreeSet;
use std::path::Path;

use stella_model::{ErrorCode, Instant};
use stella_pack::ADAPTERS;
use stella_plan::profile::{RedactionChoice, Select};
use stella_plan::{AdapterSpec, Policy, Profile};
use stella_records::redact::RuleSet;

use super::request::{PolicyRequest, ProfileSource, RunRequest};
use crate::EngineError;

/// The specs of all adapters, for reading profiles.
#[must_use]
pub fn adapter_specs() -> Vec<&'static AdapterSpec> {
    ADAPTERS.iter().map(|adapter| &adapter.spec).collect()
}

/// Reads a profile file without running it.
///
/// # Errors
/// [`EngineError`] if it cannot be read or is invalid.
pub fn read_profile(path: &Path) -> Result<Profile, EngineError> {
    let text = std::fs::read_to_string(path).map_err(|source| {
        let code = ErrorCode::of_reading(source.kind());
        EngineError::new(code, format!("cannot read the profile {}", path.display()))
            .because(source)
            .hint("`stella export profile list` shows the built-in profiles, `stella export profile show NAME` prints one to start from")
    })?;
    Profile::from_toml(&text, &adapter_specs()).map_err(|error| {
        let message = format!("the profile {} is invalid", path.display());
        EngineError::new(ErrorCode::Invalid, message).because(explained(error))
    })
}

/// Reads a profile file and everything that a run would need of it: its selectors as they are at
/// `now`, and the file of its redaction rules.
///
/// # Errors
/// [`EngineError`] if one of them cannot be read or is invalid.
pub fn validate_profile(path: &Path, now: Instant) -> Result<Profile, EngineError> {
    let profile = read_profile(path)?;
    profile.select.resolve(now).map_err(|error| {
        let message = format!("the profile {} is invalid", path.display());
        EngineError::new(ErrorCode::Invalid, message).because(error)
    })?;
    rules(&profile, path.parent())?;
    Ok(profile)
}

/// Why the text of a profile is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProfileFault {
    /// The path of the member, such as `select.kinds`; empty if the text does not read.
    pub member: String,
    /// What is wrong with it.
    pub message: String,
}

/// Reads the text of a profile that may name no other file, and all that a run would need of it.
///
/// # Errors
/// [`ProfileFault`] with the member and what it must be.
pub fn check_profile(text: &str, now: Instant) -> Result<Profile, ProfileFault> {
    let profile = parse(text)?;
    profile.select.resolve(now).map_err(fault)?;
    Ok(profile)
}

/// Reads the text of a profile that may name no other file.
fn parse(text: &str) -> Result<Profile, ProfileFault> {
    let profile = Profile::from_toml(text, &adapter_specs()).map_err(fault)?;
    if let RedactionChoice::File(_) = profile.redaction {
        let message = "redaction must be none or standard: a file is nothing that a service reads";
        return Err(ProfileFault { member: "redaction".to_owned(), message: message.to_owned() });
    }
    Ok(profile)
}

fn fault(error: stella_plan::ProfileError) -> ProfileFault {
    match error {
        stella_plan::ProfileError::Member { member, rule } => {
            ProfileFault { message: format!("{member} {rule}"), member }
        }
        other => ProfileFault { member: String::new(), message: explained(other) },
    }
}

/// A profile's error with the place in the file that TOML tells.
fn explained(error: stella_plan::ProfileError) -> String {
    match std::error::Error::source(&error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

pub(super) fn invalid_selection(error: stella_plan::ProfileError) -> EngineError {
    EngineError::new(ErrorCode::Invalid, "what is to be selected is invalid")
        .because(error)
        .hint("it comes from [select] in the profile, or from a flag such as --kind or --package")
}

/// A profile, wherever it comes from.
///
/// # Errors
/// [`EngineError`] if there is none, or it is invalid.
pub fn find_profile(source: &ProfileSource) -> Result<Profile, EngineError> {
    match source {
        ProfileSource::BuiltIn(name) => {
            let adapter = stella_pack::adapter(name).ok_or_else(|| no_such_profile(name))?;
            Ok(Profile::built_in(&adapter.spec))
        }
        ProfileSource::File(path) => read_profile(path),
        ProfileSource::Document(text) => parse(text).map_err(|fault| {
            EngineError::new(ErrorCode::Invalid, "the profile is invalid").because(fault)
        }),
    }
}

/// The profile of a request with its redaction rules.
pub(super) fn resolve(request: &RunRequest) -> Result<(Profile, RuleSet), EngineError> {
    let mut profile = find_profile(&request.profile)?;
    let mut rules_dir = match &request.profile {
        ProfileSource::File(path) => path.parent(),
        ProfileSource::BuiltIn(_) | ProfileSource::Document(_) => None,
    };
    if let Some(text) = &request.redaction {
        profile.redaction = match text.as_str() {
            "none" => RedactionChoice::None,
            "standard" => RedactionChoice::Standard,
            file => RedactionChoice::File(file.to_owned()),
        };
        rules_dir = None;
    }
    merge(&mut profile.select, &request.select);
    profile.allow_empty.extend(request.allow_empty.iter().cloned());
    set_policy(&mut profile, &request.policy)?;
    let rules = rules(&profile, rules_dir)?;
    Ok((profile, rules))
}

/// Takes the policy of a request over that of a profile.
fn set_policy(profile: &mut Profile, request: &PolicyRequest) -> Result<(), EngineError> {
    if let Some(version) = &request.version {
        profile.policy = Some(Policy { inputs_hash: None, policy_version: version.clone() });
    }
    if let Some(hash) = request.inputs_hash {
        let policy = profile.policy.as_mut().ok_or_else(|| {
            EngineError::new(ErrorCode::Usage, "a hash of inputs alone names no policy")
                .hint("name the policy too: --policy-version VERSION")
        })?;
        policy.inputs_hash = Some(hash);
    }
    profile.check_policy().map_err(|error| {
        EngineError::new(ErrorCode::Usage, "the outputs belong to no policy")
            .because(error)
            .hint("leave the policy out, or choose a profile such as trivy:db")
    })
}

/// The redaction rules of a profile; those in a file lie relative to `dir`.
fn rules(profile: &Profile, dir: Option<&Path>) -> Result<RuleSet, EngineError> {
    match &profile.redaction {
        RedactionChoice::None => Ok(RuleSet::none()),
        RedactionChoice::Standard => Ok(RuleSet::standard()),
        RedactionChoice::File(file) => read_rules(&dir.unwrap_or(Path::new("")).join(file)),
    }
}

fn no_such_profile(name: &str) -> EngineError {
    let known: Vec<&str> = ADAPTERS.iter().map(|adapter| adapter.spec.id).collect();
    EngineError::new(ErrorCode::NotFound, format!("there is no profile `{name}`"))
        .hint(format!("built in are {}; or give the path of a .toml file", known.join(" and ")))
}

fn read_rules(path: &Path) -> Result<RuleSet, EngineError> {
    let text = std::fs::read_to_string(path).map_err(|source| {
        EngineError::new(
            ErrorCode::of_reading(source.kind()),
            format!("cannot read the redaction rules {}", path.display()),
        )
        .because(source)
        .hint("--redaction takes none, standard, or the path of a file with rules")
    })?;
    RuleSet::from_toml(&text).map_err(|error| {
        EngineError::new(
            ErrorCode::Invalid,
            format!("the redaction rules {} are invalid", path.display()),
        )
        .because(error)
    })
}

fn merge(select: &mut Select, request: &Select) {
    fn replace<T: Clone + Ord>(into: &mut BTreeSet<T>, from: &BTreeSet<T>) {
        if !from.is_empty() {
            into.clone_from(from);
        }
    }
    replace(&mut select.kinds, &request.kinds);
    replace(&mut select.feeds, &request.feeds);
    replace(&mut select.ecosystems, &request.ecosystems);
    replace(&mut select.packages, &request.packages);
    replace(&mut select.ids, &request.ids);
    if request.modified_since.is_some() {
        select.modified_since.clone_from(&request.modified_since);
    }
    if request.severity.is_some() {
        select.severity = request.severity;
    }
}
