//! What happens to a run of a server, as it happens.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use stella_engine::{Progress as _, Stage, StageUpdate};
use stella_model::ErrorCode;
use stella_model::screen::Safe;
use stella_remote::{Client, RemoteError};

use super::super::{Exit, report};
use super::{item, remote, runs, segment};
use crate::args::ProgressMode;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Page, human};
use crate::progress::Reporter;

/// How long a server may be away before its run is not watched any more.
const PATIENCE: Duration = Duration::from_secs(600);

/// The wait before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// `export watch`.
pub(crate) fn run(name: &str, context: &Context) -> Result<Exit, Failure> {
    let client = super::needed(context)?;
    let id = segment("run", name)?;
    let exit = until_over(&client, &id, context)?;
    conclude(&client, &id, exit, context)
}

/// Tells what happens until the run is over; how it ended.
pub(super) fn until_over(client: &Client, id: &str, context: &Context) -> Result<Exit, Failure> {
    context
        .hint(&format!("Run {id}   Ctrl-C leaves it going; stella export watch {id} comes back"));
    let (mut seen, mut reached) = (None, Instant::now());
    let mut shown = Shown::new(context);
    loop {
        match read(client, id, &mut seen, &mut reached, &mut shown) {
            Ok(()) => {
                reached = Instant::now();
                let run = client.get("look at the run", &format!("/runs/{id}"));
                match run.map(|run| exit(&run)) {
                    Ok(Some(exit)) => return Ok(exit),
                    Ok(None) => {}
                    Err(error) if error.may_pass() => {}
                    Err(error) => return Err(remote(error)),
                }
            }
            Err(error) if error.may_pass() && reached.elapsed() < PATIENCE => {
                shown.reporter.trouble(&format!("{}; going on", Safe(&error.to_string())));
            }
            Err(error) => return Err(remote(error)),
        }
        std::thread::sleep(PAUSE);
    }
}

/// Tells of events until the stream ends.
fn read(
    client: &Client,
    id: &str,
    seen: &mut Option<u64>,
    reached: &mut Instant,
    shown: &mut Shown<'_>,
) -> Result<(), RemoteError> {
    let mut events = client.events(id, *seen)?;
    *reached = Instant::now();
    while let Some(event) = events.next_event()? {
        *seen = Some(event.id);
        *reached = Instant::now();
        shown.take(&event.data);
    }
    Ok(())
}

/// What a person or a program sees of a run that is watched.
struct Shown<'a> {
    context: &'a Context,
    reporter: Reporter,
    tasks: Tasks,
}

impl Shown<'_> {
    fn new(context: &Context) -> Shown<'_> {
        Shown { context, reporter: context.reporter(), tasks: Tasks::default() }
    }

    fn tell(&self, line: String) {
        match self.context.global.progress {
            ProgressMode::Json => self.context.note(&line),
            _ if self.context.global.quiet => {}
            _ => self.reporter.tell(line),
        }
    }

    fn take(&mut self, event: &Value) {
        match self.context.global.progress {
            ProgressMode::None => {}
            // Programs have the events as they are.
            ProgressMode::Json => self.context.note(&event.to_string()),
            _ => {
                if let Some(update) = self.tasks.take(event) {
                    self.reporter.update(&update);
                }
                if let Some(line) = line(event) {
                    self.tell(line);
                }
            }
        }
    }
}

/// The tasks of a run that take long enough to be told of, by name.
#[derive(Default)]
struct Tasks(BTreeMap<String, StageUpdate>);

impl Tasks {
    /// What an event says of a stage: of all tasks together that are at it.
    fn take(&mut self, event: &Value) -> Option<StageUpdate> {
        let task = event["task"].as_str()?;
        match event["type"].as_str()? {
            "progress" => {
                let update = update(event)?;
                let stage = update.stage;
                self.0.insert(task.to_owned(), update);
                Some(self.sum(stage))
            }
            "done" | "failed" => {
                let stage = self.0.remove(task)?.stage;
                let is_left = self.0.values().any(|update| update.stage == stage);
                Some(if is_left { self.sum(stage) } else { StageUpdate::over(stage) })
            }
            _ => None,
        }
    }

    fn sum(&self, stage: Stage) -> StageUpdate {
        let mut sum = StageUpdate { total: Some(0), ..StageUpdate::begun(stage) };
        for update in self.0.values().filter(|update| update.stage == stage) {
            sum.done = sum.done.saturating_add(update.done);
            sum.bytes = sum.bytes.saturating_add(update.bytes);
            sum.total = sum.total.zip(update.total).map(|(a, b)| a.saturating_add(b));
            sum.unit = update.unit;
        }
        sum
    }
}

/// How far a task is; none for a stage that only a newer server knows.
fn update(event: &Value) -> Option<StageUpdate> {
    const UNITS: [&str; 5] = ["records", "files", "parts", "documents", "bytes"];
    let unit =
        event["unit"].as_str().and_then(|unit| UNITS.into_iter().find(|known| *known == unit));
    let begun = StageUpdate::begun(Stage::of_word(event["stage"].as_str()?)?);
    Some(StageUpdate {
        done: event["done"].as_u64()?,
        total: event["total"].as_u64(),
        bytes: event["bytes"].as_u64().unwrap_or(0),
        unit: unit.unwrap_or_default(),
        ..begun
    })
}

/// An event as a line for people; none for those that say what others say.
fn line(event: &Value) -> Option<String> {
    let text = |member: &str| report::text(event, member);
    let failure = |failure: &Value| {
        format!("{} [{}]", report::text(failure, "message"), report::text(failure, "code"))
    };
    Some(match event["type"].as_str()? {
        "planned" => {
            let sets = report::list(&event["snapshot"], "sets");
            let records = sets.iter().filter_map(|set| set["records"].as_u64()).sum();
            let sets = human::counted(sets.len() as u64, "set");
            format!("  plan            {sets}, {}", human::counted(records, "record"))
        }
        "sealed" => {
            let bytes = event["bundle"]["bytes"].as_u64().unwrap_or(0);
            format!("  seal            {}", human::bytes(bytes))
        }
        // Of these two the events before say more.
        "done" if matches!(event["task"].as_str(), Some("plan" | "seal")) => return None,
        "done" => format!("  {:<15} done", text("task")),
        "failed" => {
            let again = if event["againAt"].is_null() { "given up" } else { "is tried again" };
            format!("  {:<15} failed, {again}: {}", text("task"), failure(&event["failure"]))
        }
        "repairing" => "  the depot lost something: it is made anew".to_owned(),
        "cancelAsked" => format!("  {} wants it to stop", text("by")),
        "status" => format!("  {}", text("to")),
        _ => return None,
    })
}

/// How a run ended; none if it is not over.
fn exit(run: &Value) -> Option<Exit> {
    match run["status"].as_str()? {
        "succeeded" => Some(Exit::Done),
        "partial" => Some(Exit::With(ErrorCode::Partial)),
        "failed" | "cancelled" => Some(Exit::With(ErrorCode::RunFailed)),
        _ => None,
    }
}

/// Prints the run as it ended; a run that failed is an error that says why.
pub(super) fn conclude(
    client: &Client,
    id: &str,
    exit: Exit,
    context: &Context,
) -> Result<Exit, Failure> {
    let run = client.get("look at the run", &format!("/runs/{id}")).map_err(remote)?;
    context.print(&Page::one("Run", item(&run)).text(runs::summary(&run)))?;
    if exit == Exit::Done {
        context.hint(&format!("Next:  stella export download {id} -d ./{id}"));
        return Ok(exit);
    }
    let failure = &run["failure"];
    let Some(message) = failure["message"].as_str() else { return Ok(exit) };
    // What a run that failed ends with has one exit code, whatever the failure is called.
    let code = failure["code"].as_str().and_then(ErrorCode::of_name);
    let code = code.filter(|code| code.exit_code() == ErrorCode::RunFailed.exit_code());
    let code = code.unwrap_or(ErrorCode::RunFailed);
    let told = Failure::new(code, format!("{id} failed: {message}"));
    Err(match runs::next_step(failure) {
        Some(hint) => told.hint(hint),
        None => told,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tasks_at_the_same_stage_are_drawn_as_one() {
        let mut tasks = Tasks::default();
        let progress = |task: &str, stage: &str, done: u64, total: Option<u64>| {
            json!({ "type": "progress", "task": task, "attempt": 1, "stage": stage, "done": done,
                    "total": total, "unit": "records", "bytes": 10 * done })
        };
        let drawn = |tasks: &mut Tasks, event: Value| {
            tasks
                .take(&event)
                .map(|it| (it.stage, it.done, it.total, it.bytes, it.finished.is_some()))
        };
        let pack = Stage::Pack;
        let mut take = |event| drawn(&mut tasks, event);
        assert_eq!(
            take(progress("plan", "plan", 7, None)),
            Some((Stage::Plan, 7, None, 70, false))
        );
        assert_eq!(
            take(json!({ "type": "done", "task": "plan" })),
            Some((Stage::Plan, 0, None, 0, true))
        );
        assert_eq!(
            take(progress("pack/0", "pack", 3, Some(9))),
            Some((pack, 3, Some(9), 30, false))
        );
        assert_eq!(
            take(progress("pack/1", "pack", 1, Some(4))),
            Some((pack, 4, Some(13), 40, false))
        );
        assert_eq!(
            take(progress("pack/0", "pack", 5, Some(9))),
            Some((pack, 6, Some(13), 60, false))
        );
        assert_eq!(
            take(json!({ "type": "failed", "task": "pack/0" })),
            Some((pack, 1, Some(4), 10, false))
        );
        assert_eq!(
            take(json!({ "type": "done", "task": "pack/1" })),
            Some((pack, 0, None, 0, true))
        );
        // Nothing was told of it before, or nobody knows what it is.
        assert_eq!(take(json!({ "type": "done", "task": "seal" })), None);
        assert_eq!(take(progress("seal", "of a newer server", 1, None)), None);
        assert_eq!(take(json!({ "type": "status", "to": "succeeded" })), None);
    }

    #[test]
    fn events_are_told_in_words_and_drive_no_terminal() {
        let planned = json!({ "type": "planned", "planHash": "aa", "snapshot":
            { "sets": [{ "records": 3 }, { "records": 1200 }] } });
        assert_eq!(line(&planned).as_deref(), Some("  plan            2 sets, 1,203 records"));
        let failed = json!({ "type": "failed", "task": "pack/3", "againAt": 5,
            "failure": { "code": "ERR_EXPORT_IO\u{1b}c", "message": "a\u{1b}[2J" } });
        let told = line(&failed).expect("is told");
        assert_eq!(
            told,
            "  pack/3          failed, is tried again: a\\u{1b}[2J [ERR_EXPORT_IO\\u{1b}c]"
        );
        assert_eq!(line(&json!({ "type": "begun", "task": "plan" })), None);
        assert_eq!(line(&json!({ "type": "of a newer server" })), None);
    }
}
