//! Checks and what they found, for `verify` and `verify-proof`.

use std::fmt::Write as _;

use stella_model::ErrorCode;
use stella_verify::{CheckResult, Problem, Report, State};

use crate::error::Failure;
use crate::output::{Cell, Column, Paint, Table, Tone, human};

/// Problems of one check that a screen shows; `-o json` has more.
const PROBLEMS_SHOWN: usize = 10;

/// The checks as a table.
pub(super) fn table(report: &Report) -> Table {
    let columns = [Column::new("CHECK"), Column::new("RESULT"), Column::new("DETAIL").shrinks()];
    let mut table = Table::new(columns);
    for result in &report.checks {
        let cell = Cell::new(result.state.as_str()).tone(tone(result.state));
        // The report has escaped its texts.
        table.row([result.check.title().into(), cell, Cell::escaped(result.detail.as_str())]);
    }
    table
}

fn tone(state: State) -> Tone {
    match state {
        State::Pass => Tone::Good,
        State::Fail => Tone::Bad,
        State::NotUsed => Tone::Dim,
        State::NotChecked => Tone::Warn,
    }
}

/// What is wrong, check by check, with what to do; empty if nothing is.
pub(super) fn problems(report: &Report, paint: Paint) -> String {
    let mut text = String::new();
    for result in report.failed() {
        let head = paint.text(Tone::Bad, &format!("FAIL {}", result.check.title()));
        let _ = writeln!(text, "\n{head}");
        for problem in result.problems.iter().take(PROBLEMS_SHOWN) {
            write_problem(&mut text, problem);
        }
        let shown = result.problems.len().min(PROBLEMS_SHOWN) as u64;
        let more = result.problem_count.saturating_sub(shown);
        if more > 0 {
            let _ = writeln!(text, "  and {} more", human::count(more));
        }
        if let Some(next) = next(result) {
            let _ = writeln!(text, "  next  {next}");
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn write_problem(text: &mut String, problem: &Problem) {
    let file = problem.file.as_ref().map(|file| format!("{file}: ")).unwrap_or_default();
    let _ = writeln!(text, "  {file}{}", problem.message);
    if let Some(expected) = &problem.expected {
        let _ = writeln!(text, "    expected  {expected}");
    }
    if let Some(found) = &problem.found {
        let _ = writeln!(text, "    found     {found}");
    }
}

fn next(result: &CheckResult) -> Option<&'static str> {
    result.next.filter(|next| !next.is_empty())
}

/// The numbers: `24 checks pass, 2 not used`.
pub(super) fn numbers(report: &Report) -> String {
    let summary = &report.summary;
    let verb = if summary.pass == 1 { "passes" } else { "pass" };
    let mut text = format!("{} {verb}", human::counted(summary.pass, "check"));
    for (count, word) in [
        (summary.fail, "FAIL"),
        (summary.not_used, "not used"),
        (summary.not_checked, "not checked"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {} {word}", human::count(count));
        }
    }
    text
}

/// Why `what` is not verified, or `None` if it is.
pub(super) fn failure(report: &Report, what: &str) -> Option<Failure> {
    let code = report.error_code()?;
    let decisive = |result: &&CheckResult| match report.summary.fail {
        0 => result.state == State::NotChecked,
        _ => result.state == State::Fail,
    };
    let decisive: Vec<&CheckResult> = report.checks.iter().filter(decisive).collect();
    let mut titles: Vec<&str> = decisive.iter().map(|result| result.check.title()).collect();
    if titles.len() > 3 {
        titles.truncate(3);
        titles.push("…");
    }
    let verb = if report.summary.fail > 0 { "failed" } else { "could not be checked" };
    let message = match code {
        ErrorCode::TooOld => {
            let why = decisive.first().and_then(|result| result.problems.first());
            let why = why.map_or("it is older than --max-age allows", |problem| &problem.message);
            format!("{what}: {why}")
        }
        _ => format!("{what} is not verified: {} {verb}", titles.join(", ")),
    };
    let failure = Failure::new(code, message);
    Some(match decisive.first().and_then(|result| next(result)) {
        Some(next) => failure.hint(next),
        None => failure,
    })
}
