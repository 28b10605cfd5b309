//! What progress looks like as text. Pure: state in, line out.

use std::time::Duration;

use serde_json::json;
use stella_engine::{Stage, StageUpdate};
use stella_model::Instant;

use crate::output::human;

/// A stage that is running.
#[derive(Debug, Clone)]
pub(super) struct Running {
    /// What was last told.
    pub(super) update: StageUpdate,
    /// How long the stage has been running.
    pub(super) elapsed: Duration,
}

const BAR_WIDTH: u64 = 20;

/// The live line of a terminal:
/// `  collect     48,211 / 72,987   66 %  ▕█████████████▏      ▏  9,120/s  2.7 s left`.
pub(super) fn live(running: &Running) -> String {
    let update = &running.update;
    let stage = update.stage.as_str();
    let rate = rate(running);
    let Some(total) = update.total.filter(|total| *total > 0) else {
        if update.done == 0 {
            return format!("  {stage:<11} {}", human::duration(running.elapsed));
        }
        let bytes = if update.bytes > 0 {
            format!("  {}", human::bytes(update.bytes))
        } else {
            String::new()
        };
        let rate = rate.map_or(String::new(), |rate| format!("  {}/s", human::count(rate)));
        let elapsed = human::duration(running.elapsed);
        return format!(
            "  {stage:<11} {} {}{bytes}{rate}  {elapsed}",
            human::count(update.done),
            update.unit
        );
    };
    let percent = human::percent(update.done, total);
    let full = usize::try_from(percent * BAR_WIDTH / 100).unwrap_or(0);
    let bar: String = "█".repeat(full) + &" ".repeat(BAR_WIDTH as usize - full);
    let done = format!("{} / {}", human::count(update.done), human::count(total));
    let mut line = format!("  {stage:<11} {done}  {percent:>3} %  ▕{bar}▏");
    if let Some(rate) = rate.filter(|rate| *rate > 0) {
        let left = Duration::from_secs_f64(total.saturating_sub(update.done) as f64 / rate as f64);
        line += &format!("  {}/s  {} left", human::count(rate), human::duration(left));
    }
    line
}

/// Units a second, once there is something to reckon with.
fn rate(running: &Running) -> Option<u64> {
    let seconds = running.elapsed.as_secs_f64();
    (seconds >= 0.2 && running.update.done > 0)
        .then(|| (running.update.done as f64 / seconds) as u64)
}

/// The line of a finished stage on a terminal: `  collect     done   0.3 s   1,840 records`.
pub(super) fn done(running: &Running) -> String {
    let stage = running.update.stage.as_str();
    let elapsed = human::duration(running.elapsed);
    format!("  {stage:<11} done   {elapsed}{}", outcome(&running.update, "   "))
}

/// A line without a terminal: `2026-11-23T15:00:02Z collect 48211/72987 66%`.
pub(super) fn plain(now: Instant, running: &Running) -> String {
    let update = &running.update;
    let stage = update.stage.as_str();
    if update.finished.is_some() {
        let elapsed = human::duration(running.elapsed);
        return format!("{now} {stage} done {elapsed}{}", outcome(update, " "));
    }
    match update.total.filter(|total| *total > 0) {
        Some(total) => {
            let percent = human::percent(update.done, total);
            format!("{now} {stage} {}/{total} {} {percent}%", update.done, update.unit)
        }
        None if update.done > 0 => format!("{now} {stage} {} {}", update.done, update.unit),
        None => format!("{now} {stage} started"),
    }
}

/// A JSON line; numbers bare, members always there.
pub(super) fn json(now: Instant, running: &Running) -> String {
    let update = &running.update;
    let state = if update.finished.is_some() { "done" } else { "running" };
    json!({
        "type": "progress",
        "time": now.to_string(),
        "stage": update.stage.as_str(),
        "state": state,
        "done": update.done,
        "total": update.total,
        "unit": update.unit,
        "bytes": update.bytes,
        "elapsedMs": running.elapsed.as_millis() as u64,
        "message": update.finished.as_deref().filter(|text| !text.is_empty()),
    })
    .to_string()
}

/// Something that is tried again, as a line of JSON.
pub(super) fn trouble_json(now: Instant, what: &str) -> String {
    json!({ "type": "trouble", "time": now.to_string(), "message": what }).to_string()
}

/// The one line that SIGUSR1 asks for.
pub(super) fn status(now: Instant, running: Option<&Running>) -> String {
    match running {
        Some(running) => plain(now, running),
        None => format!("{now} no stage is running"),
    }
}

/// What a finished stage said, else how much it did.
fn outcome(update: &StageUpdate, gap: &str) -> String {
    match update.finished.as_deref() {
        Some(text) if !text.is_empty() => format!("{gap}{text}"),
        _ if update.done > 0 && !update.unit.is_empty() => {
            format!("{gap}{} {}", human::count(update.done), update.unit)
        }
        _ => String::new(),
    }
}

/// The rank of a stage, for a steady order of live lines.
pub(super) fn rank(stage: Stage) -> usize {
    Stage::ALL.iter().position(|other| *other == stage).unwrap_or(Stage::ALL.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(done: u64, total: Option<u64>, finished: Option<&str>, ms: u64) -> Running {
        let finished = finished.map(str::to_owned);
        let update =
            StageUpdate { stage: Stage::Collect, done, total, bytes: 0, unit: "records", finished };
        Running { update, elapsed: Duration::from_millis(ms) }
    }

    #[test]
    fn every_mode_tells_stage_count_and_share() {
        let now = Instant::parse("2026-11-23T15:00:02Z").expect("a time");
        let half = running(48_211, Some(72_987), None, 5_286);
        assert_eq!(
            live(&half),
            "  collect     48,211 / 72,987   66 %  ▕█████████████       ▏  9,120/s  2.7 s left"
        );
        assert_eq!(plain(now, &half), "2026-11-23T15:00:02Z collect 48211/72987 records 66%");
        let open = running(7, None, None, 2_000);
        assert_eq!(live(&open), "  collect     7 records  3/s  2.0 s");
        assert_eq!(plain(now, &open), "2026-11-23T15:00:02Z collect 7 records");
        assert_eq!(plain(now, &running(0, None, None, 0)), "2026-11-23T15:00:02Z collect started");
        assert_eq!(live(&running(0, None, None, 400)), "  collect     0.4 s");
        let over = running(1_840, Some(1_840), Some(""), 300);
        assert_eq!(done(&over), "  collect     done   0.3 s   1,840 records");
        assert_eq!(
            plain(now, &running(0, None, Some("5 parts"), 300)),
            "2026-11-23T15:00:02Z collect done 0.3 s 5 parts"
        );
        assert_eq!(status(now, None), "2026-11-23T15:00:02Z no stage is running");
        let value: serde_json::Value = serde_json::from_str(&json(now, &half)).expect("JSON");
        assert_eq!(
            (value["done"].as_u64(), value["state"].as_str()),
            (Some(48_211), Some("running"))
        );
    }

    #[test]
    fn a_live_line_fits_80_columns() {
        let big = running(99_999_999, Some(100_000_000), None, 3_000_000);
        assert!(unicode_width::UnicodeWidthStr::width(live(&big).as_str()) <= 100);
        let usual = running(399_999, Some(400_000), None, 30_000);
        assert!(unicode_width::UnicodeWidthStr::width(live(&usual).as_str()) <= 86);
    }
}
