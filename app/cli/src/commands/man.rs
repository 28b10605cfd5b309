//! `man`: one manual page a command.

use std::path::Path;

use clap_mangen::roff::{Roff, bold, roman};
use stella_model::ErrorCode;

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
    let pages = pages(&command, &["stella"]).map_err(failed)?;
    for (name, page) in &pages {
        super::files::write(&dest.join(name), page)?;
    }
    context.note(&format!("{} manual pages written", pages.len()));
    Ok(Exit::Done)
}

/// The page of a command and those of its subcommands.
fn pages(command: &clap::Command, words: &[&str]) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let name = words.join("-");
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone().display_name(name.clone()));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(command, words).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    notes(command).to_writer(&mut page)?;
    exit_status().to_writer(&mut page)?;
    let mut all = vec![(format!("{name}.1"), page)];
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        all.extend(pages(sub, &[words, &[sub.get_name()]].concat())?);
    }
    Ok(all)
}

/// How the command is typed, with the values that it takes.
fn synopsis(command: &clap::Command, words: &[&str]) -> Roff {
    let usage = command.clone().bin_name(words.join(" ")).render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([roman(usage.trim_start_matches("Usage: ").trim())]);
    roff
}

/// What the help tells after the options: remarks and examples, line by line.
fn notes(command: &clap::Command) -> Roff {
    let mut roff = Roff::new();
    let Some(help) = command.get_after_long_help().or_else(|| command.get_after_help()) else {
        return roff;
    };
    roff.control("SH", ["NOTES"]);
    roff.control("nf", []);
    for line in help.to_string().lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff
}

/// Every exit code with what it means.
fn exit_status() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    roff.control("TP", []);
    roff.text([bold("0")]);
    roff.text([roman("the command did its work")]);
    let mut codes: Vec<ErrorCode> = ErrorCode::ALL.to_vec();
    codes.sort_by_key(|code| code.exit_code());
    for same in codes.chunk_by(|a, b| a.exit_code() == b.exit_code()) {
        let meanings: Vec<&str> = same.iter().map(|code| code.meaning()).collect();
        roff.control("TP", []);
        roff.text([bold(same[0].exit_code().to_string())]);
        roff.text([roman(meanings.join("; "))]);
    }
    roff
}
