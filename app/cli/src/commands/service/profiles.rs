//! Profiles of a server: those that are built in, and those of the tenant.

use serde_json::Value;
use stella_remote::Client;

use super::{items, remote, segment, text};
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
    let lines: Vec<String> =
        document.lines().map(|line| stella_model::screen::Safe(line).to_string()).collect();
    context.print(&Page::one("Profile", item(&profile)).text(lines.join("\n")))
}
