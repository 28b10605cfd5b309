//! What `plan` and `run` ask of the engine alike.

use std::path::PathBuf;

use stella_engine::{PolicyRequest, ProfileSource, RunRequest};
use stella_plan::profile::Select;

use crate::args::{ScopeArgs, SelectArgs, Severity};
use crate::clock;
use crate::context::Context;

/// The request of a run.
pub(super) fn request(
    profile: &str,
    scope: ScopeArgs,
    select: SelectArgs,
    context: &Context,
) -> RunRequest {
    RunRequest {
        profile: source(profile),
        select: selection(select),
        as_of: scope.as_of,
        redaction: scope.redaction,
        policy: PolicyRequest {
            version: scope.policy_version,
            inputs_hash: scope.policy_inputs_hash,
        },
        allow_empty: scope.allow_empty,
        accept_drop: scope.reason.filter(|_| scope.accept_drop),
        threads: context.threads(),
        now: clock::now(),
        again: None,
    }
}

/// A profile by its built-in name, else by the path of its file.
pub(super) fn source(profile: &str) -> ProfileSource {
    let is_built_in = stella_engine::adapter_specs().iter().any(|spec| spec.id == profile);
    let is_path = profile.contains(['/', '\\'])
        || profile.ends_with(".toml")
        || PathBuf::from(profile).is_file();
    if is_path && !is_built_in {
        ProfileSource::File(PathBuf::from(profile))
    } else {
        ProfileSource::BuiltIn(profile.to_owned())
    }
}

/// The selectors of a command line.
pub(crate) fn selection(args: SelectArgs) -> Select {
    Select {
        kinds: args.kinds.into_iter().collect(),
        feeds: args.feeds.into_iter().collect(),
        ecosystems: args.ecosystems.into_iter().collect(),
        packages: args.packages.into_iter().collect(),
        ids: args.ids.into_iter().collect(),
        modified_since: args.modified_since,
        severity: args.severity.map(severity),
    }
}

fn severity(severity: Severity) -> stella_records::Severity {
    match severity {
        Severity::None => stella_records::Severity::None,
        Severity::Low => stella_records::Severity::Low,
        Severity::Medium => stella_records::Severity::Medium,
        Severity::High => stella_records::Severity::High,
        Severity::Critical => stella_records::Severity::Critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_in_name_is_never_taken_for_a_file() {
        assert_eq!(source("json:raw"), ProfileSource::BuiltIn("json:raw".into()));
        assert_eq!(source("nightly.toml"), ProfileSource::File("nightly.toml".into()));
        assert_eq!(source("./nightly"), ProfileSource::File("./nightly".into()));
        assert_eq!(source("nightly"), ProfileSource::BuiltIn("nightly".into()));
    }
}
