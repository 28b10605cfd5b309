//! Runs of a server: listed, looked at, cancelled, repeated.

use serde_json::Value;
use stella_model::ErrorCode;
use stella_model::screen::Safe;

use super::super::Exit;
use super::super::report::{number, text};
use super::{item, items, needed, order, remote, segment, watch};
use crate::args::{CancelArgs, RetryArgs, StatusArgs};
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Column, Page, Table, human};

/// `export status`.
pub(crate) fn status(args: StatusArgs, context: &Context) -> Result<Exit, Failure> {
    let client = needed(context)?;
    if let Some(run) = &args.run {
        let id = segment("run", run)?;
        let run = client.get("look at the run", &format!("/runs/{id}")).map_err(remote)?;
        context.print(&Page::one("Run", item(&run)).text(summary(&run)))?;
        return Ok(Exit::Done);
    }
    let mut query = format!("/runs?limit={}", args.limit.clamp(1, 200));
    let words: Vec<String> =
        args.status.iter().map(|word| segment("status", word)).collect::<Result<_, _>>()?;
    if !words.is_empty() {
        query.push_str(&format!("&status={}", words.join(",")));
    }
    if let Some(profile) = &args.profile {
        query.push_str(&format!("&profile={}", segment("profile", profile)?));
    }
    let listed = client.get("list runs", &query).map_err(remote)?;
    let runs = items(&listed);
    let mut table = Table::new([
        Column::new("RUN"),
        Column::new("PROFILE").shrinks(),
        Column::new("STATUS"),
        Column::new("CREATED").time(),
        Column::new("BUNDLE").right(),
        Column::new("BY").spare().shrinks(),
        Column::new("ERROR").wide(),
    ]);
    for run in runs {
        let bytes = run["bundleBytes"].as_u64().map(human::bytes).unwrap_or_default();
        table.row([
            text(run, "id").into(),
            text(run, "profile").into(),
            text(run, "status").into(),
            text(run, "createdAt").into(),
            bytes.into(),
            text(run, "createdBy").into(),
            text(run, "errorCode").into(),
        ]);
    }
    context.print(&Page::list("RunList", runs.iter().map(item).collect()).table(table))?;
    Ok(Exit::Done)
}

/// `export cancel`.
pub(crate) fn cancel(args: &CancelArgs, context: &Context) -> Result<Exit, Failure> {
    let client = needed(context)?;
    let id = segment("run", &args.run)?;
    let force = if args.force { "?force=true" } else { "" };
    let path = format!("/runs/{id}/cancel{force}");
    let run = order::post(&client, "cancel the run", &path, None)?;
    context.print(&Page::one("Run", item(&run)).text(summary(&run)))?;
    Ok(Exit::Done)
}

/// `export retry`.
pub(crate) fn retry(args: &RetryArgs, context: &Context) -> Result<Exit, Failure> {
    let client = needed(context)?;
    let id = segment("run", &args.run)?;
    let run = order::post(&client, "repeat the run", &format!("/runs/{id}/retry"), None)?;
    let new = segment("run", run["id"].as_str().unwrap_or_default())?;
    if args.watch {
        let exit = watch::until_over(&client, &new, context)?;
        return watch::conclude(&client, &new, exit, context);
    }
    let told = format!("Run {new}  {}  accepted, repeats {id}", text(&run, "profile"));
    context.print(&Page::one("Run", item(&run)).text(told))?;
    context.hint(&format!("Next:  stella export watch {new}"));
    Ok(Exit::Done)
}

/// A run for people.
pub(super) fn summary(run: &Value) -> String {
    let mut lines =
        vec![format!("Run {}  {}  {}", text(run, "id"), text(run, "profile"), text(run, "status"))];
    let mut line = |label: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("  {label:<9} {value}"));
        }
    };
    line("created", format!("{} by {}", text(run, "createdAt"), text(run, "createdBy")));
    line("ended", text(run, "finishedAt"));
    line("repeats", text(run, "retryOf"));
    line("plan", text(run, "planHash"));
    line(
        "digest",
        match text(run, "exportDigest") {
            digest if digest.is_empty() => digest,
            digest => format!("sha256:{digest}"),
        },
    );
    line("size", run["bundleBytes"].as_u64().map(human::bytes).unwrap_or_default());
    if let Some(message) = run["failure"]["message"].as_str() {
        line("failed", Safe(message).to_string());
        line("next", next_step(&run["failure"]).unwrap_or_default());
    }
    if run["cancel"].is_object() && run["finishedAt"].is_null() {
        let cancel = &run["cancel"];
        let asked = format!("asked for by {} at {}", text(cancel, "by"), text(cancel, "at"));
        line("cancel", format!("{asked}; it ends when its workers let go"));
    }
    let tasks = run["tasks"].as_object();
    line("tasks", by_state(tasks.into_iter().flatten().map(|(_, task)| task)));
    for (task, it) in tasks.into_iter().flatten() {
        let (task, progress) = (Safe(task), &it["progress"]);
        if let Some(done) = progress["done"].as_u64() {
            let total =
                progress["total"].as_u64().map(|total| format!(" / {}", human::count(total)));
            let (stage, unit) = (text(progress, "stage"), text(progress, "unit"));
            let done = format!("{}{} {unit}", human::count(done), total.unwrap_or_default());
            line("at", format!("{task}  {stage} {}", done.trim_end()));
        }
        if it["trouble"].is_object() && it["state"] != "done" {
            let attempt = number(it, "attempt");
            let trouble = text(&it["trouble"], "message");
            line("trouble", format!("{task}  attempt {attempt}: {trouble}"));
        }
    }
    lines.join("\n")
}

/// What to do about a failure. What the table says to clients of the API of options is told in the words of
/// commands; of the service itself it says the same to both.
pub(super) fn next_step(failure: &Value) -> Option<String> {
    let code = failure["code"].as_str().and_then(ErrorCode::of_name);
    let hint = failure["hint"].as_str();
    let is_of_table = |code: &ErrorCode| hint == code.next_over_http();
    match code.filter(|code| code.is_undone_by_an_option() && is_of_table(code)) {
        Some(code) => Some(code.next().to_owned()),
        None => hint.map(|hint| Safe(hint).to_string()),
    }
}

/// How many tasks are in which state, such as `2 done, 1 leased`.
fn by_state<'a>(tasks: impl Iterator<Item = &'a Value>) -> String {
    let mut states: Vec<(String, u64)> = Vec::new();
    for state in tasks.map(|task| text(task, "state")) {
        match states.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += 1,
            None => states.push((state, 1)),
        }
    }
    let told = states.iter().map(|(state, count)| format!("{} {state}", human::count(*count)));
    told.collect::<Vec<_>>().join(", ")
}
