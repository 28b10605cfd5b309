//! `export diff`: what two bundles differ in; records are told as they are found.

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::ops::ControlFlow;

use serde_json::{Value, json};
use stella_engine::{ChangeKind, DiffReport, RecordChange};
use stella_model::ErrorCode;
use stella_model::screen::Safe;

use super::super::{Exit, value};
use crate::args::{DiffArgs, Format};
use crate::context::Context;
use crate::error::Failure;
use crate::output::{API_VERSION, Column, Table, human, one_line, yaml_item};

/// Compares and prints; exit 10 if there is any difference.
pub(crate) fn run(args: &DiffArgs, context: &Context) -> Result<Exit, Failure> {
    super::is_bundle(&args.from)?;
    super::is_bundle(&args.to)?;
    let mut screen = Screen::new(context.out.format);
    let outcome = context.work(|_, cancel| {
        stella_engine::diff(&args.from, &args.to, &mut |change| screen.change(change), cancel)
    });
    // The comparison was stopped from here; its own error tells nothing of the reason.
    match screen.failure.take() {
        // A reader that has gone away saw a difference, and has what it wanted.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(Exit::With(ErrorCode::Differs));
        }
        Some(error) => return Err(error.into()),
        None => {}
    }
    let report = outcome?;
    screen.end(&report, context)?;
    match report.same {
        true => Ok(Exit::Done),
        false => Ok(Exit::With(ErrorCode::Differs)),
    }
}

/// Standard output, written while the bundles are read: memory does not grow with the differences.
struct Screen {
    format: Format,
    out: BufWriter<io::Stdout>,
    changes: u64,
    escape: bool,
    failure: Option<io::Error>,
}

impl Screen {
    fn new(format: Format) -> Screen {
        let out = BufWriter::new(io::stdout());
        Screen { format, out, changes: 0, escape: io::stdout().is_terminal(), failure: None }
    }

    fn change(&mut self, change: &RecordChange) -> ControlFlow<()> {
        match self.write_change(change) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn write_change(&mut self, change: &RecordChange) -> io::Result<()> {
        let first = self.changes == 0;
        self.changes += 1;
        let json = || serde_json::to_value(change).unwrap_or_default();
        match self.format {
            Format::Table => writeln!(self.out, "{}", line(change)),
            Format::Wide => {
                let digest = |digest: Option<stella_model::Digest>| {
                    digest.map_or_else(|| "-".to_owned(), |digest| digest.to_string())
                };
                let (before, after) = (digest(change.before), digest(change.after));
                writeln!(self.out, "{}  {before}  {after}", line(change))
            }
            Format::Jsonl => writeln!(self.out, "{}", json()),
            Format::Json => {
                let lead = if first { self.json_head() } else { ",".to_owned() };
                write!(self.out, "{lead}\n{}", json())
            }
            Format::Yaml => {
                let lead = if first { "changes:\n" } else { "" };
                write!(self.out, "{lead}{}", yaml_item(&json()))
            }
            Format::Name | Format::Id => {
                writeln!(self.out, "{}", one_line(change.id.as_str(), self.escape))
            }
        }
    }

    fn json_head(&self) -> String {
        format!("{{\"apiVersion\":\"{API_VERSION}\",\"kind\":\"Diff\",\"changes\":[")
    }

    fn end(mut self, report: &DiffReport, context: &Context) -> Result<(), Failure> {
        let summary = value(report)?;
        let first = self.changes == 0;
        let text = match self.format {
            Format::Table | Format::Wide => people(report, context, first),
            Format::Json => json_end(&summary, first.then(|| self.json_head())),
            Format::Yaml => {
                let head = if first { "changes: []\n" } else { "" };
                let mut summary = summary;
                summary["apiVersion"] = json!(API_VERSION);
                summary["kind"] = json!("Diff");
                format!("{head}{}", crate::output::yaml(&summary))
            }
            Format::Jsonl => made_lines(report)?,
            // Of records alone: outputs have no ids.
            Format::Name | Format::Id => String::new(),
        };
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// A line for each output made of records that differs, and for each file of one.
fn made_lines(report: &DiffReport) -> Result<String, Failure> {
    let mut text = String::new();
    for output in report.outputs.iter().filter(|output| output.change.is_some()) {
        let _ = writeln!(text, "{}", value(output)?);
    }
    for file in &report.files {
        let _ = writeln!(text, "{}", value(file)?);
    }
    Ok(text)
}

/// The members of the summary after the list of changes.
fn json_end(summary: &Value, head: Option<String>) -> String {
    let members = summary.as_object().into_iter().flatten();
    let members: String = members.map(|(name, value)| format!(",\n\"{name}\":{value}")).collect();
    format!("{}]{members}}}\n", head.unwrap_or_else(|| "\n".to_owned()))
}

fn word(change: ChangeKind) -> &'static str {
    match change {
        ChangeKind::Added => "added",
        ChangeKind::Changed => "changed",
        ChangeKind::Removed => "removed",
    }
}

fn line(change: &RecordChange) -> String {
    let word = word(change.change);
    let (kind, feed) = (change.set.kind.as_str(), change.set.feed.as_str());
    format!("{word:<8} {kind:<9} {feed:<12} {}", Safe(change.id.as_str()))
}

fn people(report: &DiffReport, context: &Context, no_changes: bool) -> String {
    let mut table = Table::new([
        Column::new("KIND"),
        Column::new("FEED"),
        Column::new("ADDED").right(),
        Column::new("CHANGED").right(),
        Column::new("REMOVED").right(),
        Column::new("SAME").right(),
    ]);
    for set in &report.sets {
        let counts = &set.counts;
        table.row([
            set.set.kind.as_str().into(),
            set.set.feed.as_str().into(),
            human::count(counts.added).into(),
            human::count(counts.changed).into(),
            human::count(counts.removed).into(),
            human::count(counts.same).into(),
        ]);
    }
    let mut text = if no_changes { String::new() } else { "\n".to_owned() };
    if !report.sets.is_empty() {
        context.out.table(&table, &mut text);
        text.push('\n');
    }
    if !report.outputs.is_empty() {
        context.out.table(&outputs(report), &mut text);
        text.push('\n');
    }
    for file in &report.files {
        let _ = writeln!(text, "{:<8} {}", word(file.change), file.path);
    }
    if !report.files.is_empty() {
        text.push('\n');
    }
    text += &verdict(report);
    text
}

fn outputs(report: &DiffReport) -> Table {
    let mut table = Table::new([
        Column::new("OUTPUT"),
        Column::new("CHANGE"),
        Column::new("KEYS").right(),
        Column::new("NOW").right(),
        Column::new("NOT SAID").right(),
        Column::new("NOW").right(),
    ]);
    let number = |number: Option<u64>| number.map(human::count).unwrap_or_default();
    for output in &report.outputs {
        let [keys, not_said] = [output.keys, output.not_represented].map(|both| both.map(number));
        table.row([
            output.adapter.as_str().into(),
            output.change.map_or("same", word).into(),
            keys[0].as_str().into(),
            keys[1].as_str().into(),
            not_said[0].as_str().into(),
            not_said[1].as_str().into(),
        ]);
    }
    table
}

fn verdict(report: &DiffReport) -> String {
    let total = &report.total;
    let records = match report.same_records {
        true if report.sets.is_empty() => "No records in either".to_owned(),
        true => format!("The same {}", human::counted(total.same, "record")),
        false => format!(
            "{} added, {} changed, {} removed, {} the same",
            human::count(total.added),
            human::count(total.changed),
            human::count(total.removed),
            human::count(total.same)
        ),
    };
    let outputs = if report.same_outputs() { "" } else { "; the outputs differ" };
    format!("{records}{outputs}.\n")
}
