//! `man`: one manual page a command.

use std::path::Path;

use super::Exit;
use crate::context::Context;
use crate::error::Failure;

/// Writes the pages into a folder, which is made if need be.
pub(crate) fn run(dest: &Path, context: &Context) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| {
        Failure::io(format!("cannot write manual pages into {}", dest.display()), &error)
    };
    std::fs::create_dir_all(dest).map_err(failed)?;
    let mut command = super::command_line();
    command.build();
    let pages = pages(&command, "stella").map_err(failed)?;
    for (name, page) in &pages {
        super::files::write(&dest.join(name), page)?;
    }
    context.note(&format!("{} manual pages written", pages.len()));
    Ok(Exit::Done)
}

/// The page of a command and those of its subcommands.
fn pages(command: &clap::Command, name: &str) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone().display_name(name.to_owned())).render(&mut page)?;
    let mut all = vec![(format!("{name}.1"), page)];
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        all.extend(pages(sub, &format!("{name}-{}", sub.get_name()))?);
    }
    Ok(all)
}
