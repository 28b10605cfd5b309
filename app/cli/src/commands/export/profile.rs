//! `export profile`: what can be exported.

use serde_json::json;
use stella_engine::{adapter_specs, find_profile, validate_profile};
use stella_model::screen::Safe;
use stella_plan::profile::RedactionChoice;
use stella_plan::{AdapterSpec, DefaultRedaction, Profile};

use super::super::{Exit, service};
use super::request::source;
use crate::args::ProfileCommand;
use crate::clock;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table};

fn is_built_in(name: &str) -> bool {
    adapter_specs().iter().any(|spec| spec.id == name)
}

/// Runs a verb of `export profile`.
pub(crate) fn run(command: ProfileCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        ProfileCommand::List => match service::server(context)? {
            Some(client) => service::profiles::list(&client, context)?,
            None => context.print(&list())?,
        },
        ProfileCommand::Show { profile } => {
            let own = service::server(context)?;
            if let Some(client) = own.filter(|_| !is_built_in(&profile)) {
                service::profiles::show(&client, &profile, context)?;
                return Ok(Exit::Done);
            }
            context.print(&show(&find_profile(&source(&profile))?))?;
        }
        ProfileCommand::Validate { file } => {
            let profile = validate_profile(&file, clock::now())?;
            let text =
                format!("{} is a valid profile: {}", Safe(&file.to_string_lossy()), profile.name);
            context.print(&Page::one("Profile", item(&profile)).text(text))?;
        }
        ProfileCommand::Apply { file, dry_run } => {
            service::profiles::apply(&service::needed(context)?, &file, dry_run, context)?;
        }
        ProfileCommand::History { profile } => {
            service::profiles::history(&service::needed(context)?, &profile, context)?;
        }
        ProfileCommand::Delete { profile } => {
            service::profiles::delete(&service::needed(context)?, &profile, context)?;
        }
    }
    Ok(Exit::Done)
}

fn list() -> Page {
    let columns = [
        Column::new("NAME"),
        Column::new("REDACTION"),
        Column::new("IMPORTABLE"),
        Column::new("ABOUT").shrinks(),
    ];
    let mut table = Table::new(columns);
    let mut items = Vec::new();
    for spec in adapter_specs() {
        table.row([
            spec.id.into(),
            default_redaction(spec).into(),
            (if spec.importable { "yes" } else { "no" }).into(),
            spec.about.into(),
        ]);
        items.push(Item {
            name: spec.id.to_owned(),
            id: spec.id.to_owned(),
            value: json!({
                "name": spec.id,
                "adapterVersion": spec.version,
                "redaction": default_redaction(spec),
                "importable": spec.importable,
                "about": spec.about,
            }),
        });
    }
    Page::list("ProfileList", items).table(table)
}

fn default_redaction(spec: &AdapterSpec) -> &'static str {
    match spec.default_redaction {
        DefaultRedaction::None => "none",
        DefaultRedaction::Standard => "standard",
    }
}

fn show(profile: &Profile) -> Page {
    Page::one("Profile", item(profile)).text(toml(profile).trim_end())
}

fn item(profile: &Profile) -> Item {
    let revision = profile.revision().to_string();
    let sets = |set: &stella_model::SetKey| set.to_string();
    let floors: serde_json::Map<_, _> =
        profile.floors.iter().map(|(set, least)| (set.to_string(), json!(least))).collect();
    Item {
        name: profile.name.clone(),
        value: json!({
            "name": profile.name,
            "outputs": profile.outputs.iter().map(|spec| spec.id).collect::<Vec<_>>(),
            "select": profile.select,
            "redaction": redaction(profile),
            "partition": profile.partition,
            "level": profile.level,
            "handling": profile.handling,
            "policy": profile.policy,
            "trivy": profile.trivy,
            "floors": floors,
            "allowEmpty": profile.allow_empty.iter().map(sets).collect::<Vec<_>>(),
            "maxDropPercent": profile.max_drop_percent,
            "revision": revision,
        }),
        id: revision,
    }
}

fn redaction(profile: &Profile) -> &str {
    match &profile.redaction {
        RedactionChoice::None => "none",
        RedactionChoice::Standard => "standard",
        RedactionChoice::File(file) => file,
    }
}

/// The profile as the file that would make it: a start for a profile of one's own.
fn toml(profile: &Profile) -> String {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Written<'a> {
        name: &'a str,
        outputs: Vec<&'a str>,
        redaction: &'a str,
        max_drop: u8,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        allow_empty: Vec<String>,
        #[serde(skip_serializing_if = "toml::Table::is_empty")]
        select: toml::Table,
        #[serde(skip_serializing_if = "toml::Table::is_empty")]
        floors: toml::Table,
        partition: toml::Table,
        codec: toml::Table,
        #[serde(skip_serializing_if = "Option::is_none")]
        handling: &'a Option<stella_plan::Handling>,
        #[serde(skip_serializing_if = "toml::Table::is_empty")]
        trivy: toml::Table,
        #[serde(skip_serializing_if = "toml::Table::is_empty")]
        policy: toml::Table,
    }
    let mut select = toml::Table::try_from(&profile.select).unwrap_or_default();
    select.retain(|_, value| value.as_array().is_none_or(|items| !items.is_empty()));
    let mut partition = toml::Table::try_from(profile.partition).unwrap_or_default();
    // The algorithm is the format's, not the profile's.
    partition.remove("algorithm");
    let told = profile.policy.iter().flat_map(|policy| {
        let inputs = policy.inputs_hash.map(|hash| ("inputs-hash", format!("sha256:{hash}")));
        [("version", policy.policy_version.to_string())].into_iter().chain(inputs)
    });
    let policy = told.map(|(name, text)| (name.to_owned(), toml::Value::from(text))).collect();
    let floor = |least: u64| toml::Value::from(i64::try_from(least).unwrap_or(i64::MAX));
    let written = Written {
        name: &profile.name,
        outputs: profile.outputs.iter().map(|spec| spec.id).collect(),
        redaction: redaction(profile),
        max_drop: profile.max_drop_percent,
        allow_empty: profile.allow_empty.iter().map(ToString::to_string).collect(),
        select,
        floors: profile
            .floors
            .iter()
            .map(|(set, least)| (set.to_string(), floor(*least)))
            .collect(),
        partition,
        codec: [("level".to_owned(), toml::Value::from(profile.level))].into_iter().collect(),
        handling: &profile.handling,
        trivy: toml::Table::try_from(&profile.trivy).unwrap_or_default(),
        policy,
    };
    toml::to_string(&written).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_profile_makes_the_same_profile() {
        let specs = adapter_specs();
        let text = "name='mine'\noutputs=['mirror:full']\nallow-empty=['vex/a']\nmax-drop=7\n[select]\nkinds=['vex']\nseverity='high'\nmodified-since='30d'\n[floors]\n'vex/b'=3\n[codec]\nlevel=9\n";
        let own = Profile::from_toml(text, &specs).expect("valid");
        let text = "name='db'\noutputs=['trivy:db','trivy:vex']\n[trivy]\nprecedence=['a']\nvex-url='https://a'\n[trivy.floors]\nnpm=3\n[policy]\nversion='7'\ninputs-hash='e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'\n";
        let scanner = Profile::from_toml(text, &specs).expect("valid");
        let built_in = specs.iter().map(|spec| Profile::built_in(spec));
        for profile in built_in.chain([own, scanner]) {
            let again = Profile::from_toml(&toml(&profile), &specs).expect("valid");
            assert_eq!(again, profile);
        }
    }
}
