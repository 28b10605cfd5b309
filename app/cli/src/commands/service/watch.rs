//! What happens to a run of a server, as it happens.

use std::time::{Duration, Instant};

use serde_json::Value;
use stella_model::ErrorCode;
use stella_model::screen::Safe;
use stella_remote::{Client, RemoteError};

use super::super::Exit;
use super::{item, remote, runs, segment};
use crate::args::ProgressMode;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Page, human};

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
    loop {
        match read(client, id, &mut seen, &mut reached, context) {
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
                context.note(&format!("  {}; going on", Safe(&error.to_string())));
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
    context: &Context,
) -> Result<(), RemoteError> {
    let mut events = client.events(id, *seen)?;
    *reached = Instant::now();
    while let Some(event) = events.next_event()? {
        *seen = Some(event.id);
        *reached = Instant::now();
        match context.global.progress {
            ProgressMode::None => {}
            ProgressMode::Json => context.note(&event.data.to_string()),
            _ => {
                if let Some(line) = line(&event.data) {
                    context.note(&line);
                }
            }
        }
    }
    Ok(())
}

/// An event as a line for people; none for those that say what others say.
fn line(event: &Value) -> Option<String> {
    let text = |member: &str| Safe(event[member].as_str().unwrap_or_default()).to_string();
    let failure = |failure: &Value| {
        let said = Safe(failure["message"].as_str().unwrap_or_default()).to_string();
        format!("{said} [{}]", failure["code"].as_str().unwrap_or_default())
    };
    Some(match event["type"].as_str()? {
        "planned" => {
            let sets = event["snapshot"]["sets"].as_array().map(Vec::as_slice).unwrap_or_default();
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
    let told = Failure::new(ErrorCode::RunFailed, format!("{id} failed: {message}"));
    Err(match failure["hint"].as_str() {
        Some(hint) => told.hint(hint),
        None => told,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_told_in_words_and_drive_no_terminal() {
        let planned = json!({ "type": "planned", "planHash": "aa", "snapshot":
            { "sets": [{ "records": 3 }, { "records": 1200 }] } });
        assert_eq!(line(&planned).as_deref(), Some("  plan            2 sets, 1,203 records"));
        let failed = json!({ "type": "failed", "task": "pack/3", "againAt": 5,
            "failure": { "code": "ERR_EXPORT_IO", "message": "a\u{1b}[2J" } });
        let told = line(&failed).expect("is told");
        assert_eq!(told, "  pack/3          failed, is tried again: a\\u{1b}[2J [ERR_EXPORT_IO]");
        assert_eq!(line(&json!({ "type": "begun", "task": "plan" })), None);
        assert_eq!(line(&json!({ "type": "of a newer server" })), None);
    }
}
