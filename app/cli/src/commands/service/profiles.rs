//! Profiles of a server: those that are built in, and those of the tenant.

use std::path::Path;

use serde_json::{Value, json};
use stella_engine::{ProfileSource, find_profile};
use stella_model::ErrorCode;
use stella_model::screen::Safe;
use stella_remote::Client;

use super::super::report::{number, text};
use super::{items, order, remote, segment};
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Item, Page, Table};

fn item(profile: &Value) -> Item {
    let name = profile["name"].as_str().unwrap_or_default().to_owned();
    Item { id: profile["revision"].to_string(), name, value: profile.clone() }
}

/// `export profile list` of a server.
pub(crate) fn list(client: &Client, context: &Context) -> Result<(), Failure> {
    let listed = client.get("list profiles", "/profiles").map_err(remote)?;
    let profiles = items(&listed);
    let mut table = Table::new([
        Column::new("NAME"),
        Column::new("REVISION").right(),
        Column::new("WRITTEN").time(),
        Column::new("BY").spare().shrinks(),
    ]);
    for profile in profiles {
        let revision = match profile["revision"].as_u64() {
            Some(0) | None => "built in".to_owned(),
            Some(number) => number.to_string(),
        };
        table.row([
            text(profile, "name").into(),
            revision.into(),
            text(profile, "createdAt").into(),
            text(profile, "createdBy").into(),
        ]);
    }
    context.print(&Page::list("ProfileList", profiles.iter().map(item).collect()).table(table))
}

/// `export profile show` of a profile of the tenant.
pub(crate) fn show(client: &Client, name: &str, context: &Context) -> Result<(), Failure> {
    let name = segment("profile", name)?;
    let profile = client.get("read the profile", &format!("/profiles/{name}")).map_err(remote)?;
    let document = profile["document"].as_str().unwrap_or_default().trim_end();
    // Line by line: a terminal gets nothing that drives it.
    let lines: Vec<String> = document.lines().map(|line| Safe(line).to_string()).collect();
    context.print(&Page::one("Profile", item(&profile)).text(lines.join("\n")))
}

/// `export profile apply`: the file becomes the profile of its name, unless it is that already.
pub(crate) fn apply(
    client: &Client,
    file: &Path,
    dry_run: bool,
    context: &Context,
) -> Result<(), Failure> {
    let document = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("cannot read {}", file.display());
        Failure::new(ErrorCode::of_reading(error.kind()), message).because(&error)
    })?;
    // Whether it is a profile at all can be told here; the rest is for the server to judge.
    let name = find_profile(&ProfileSource::Document(document.clone()))?.name;
    let path = format!("/profiles/{}", segment("profile", &name)?);
    let before = match client.get("read the profile", &path) {
        Err(error) if error.code() == ErrorCode::NotFound => Value::Null,
        before => before.map_err(remote)?,
    };
    let seen = number(&before, "revision");
    if before["document"].as_str() == Some(&document) {
        let told = format!("Profile {name} is that already, revision {seen}");
        return context.print(&Page::one("Profile", item(&before)).text(told));
    }
    let query = if dry_run { "?dryRun=true" } else { "" };
    let written = order::change(|key| {
        client.put_revision("write the profile", &format!("{path}{query}"), key, seen, &document)
    })?;
    let told = match dry_run {
        true => format!("Profile {name} would be revision {}. Nothing was written.", seen + 1),
        false => format!("Profile {name} is revision {} now", written["revision"]),
    };
    context.print(&Page::one("Profile", item(&written)).text(told))
}

/// `export profile history`.
pub(crate) fn history(client: &Client, name: &str, context: &Context) -> Result<(), Failure> {
    let path = format!("/profiles/{}/revisions", segment("profile", name)?);
    let listed = client.get("list revisions", &path).map_err(remote)?;
    let revisions = items(&listed);
    let mut table = Table::new([
        Column::new("REVISION").right(),
        Column::new("WRITTEN").time(),
        Column::new("BY").shrinks(),
        Column::new("WHAT"),
    ]);
    for revision in revisions {
        table.row([
            revision["revision"].to_string().into(),
            text(revision, "createdAt").into(),
            text(revision, "createdBy").into(),
            if revision["document"].is_null() { "deleted" } else { "written" }.into(),
        ]);
    }
    context.print(&Page::list("ProfileList", revisions.iter().map(item).collect()).table(table))
}

/// `export profile delete`.
pub(crate) fn delete(client: &Client, name: &str, context: &Context) -> Result<(), Failure> {
    let name = segment("profile", name)?;
    let path = format!("/profiles/{name}");
    let seen = number(&client.get("read the profile", &path).map_err(remote)?, "revision");
    context.confirm(&format!("delete the profile {name}, revision {seen}"))?;
    order::change(|key| client.delete_revision("delete the profile", &path, key, seen))?;
    let told =
        format!("Deleted the profile {name}; `export profile history {name}` has what it was");
    let value = json!({ "name": name, "revision": seen });
    context.print(&Page::one("ProfileDeletion", Item { id: name.clone(), name, value }).text(told))
}
