//! `doctor`: whether machine and store are fit for work.

use std::path::Path;

use serde_json::json;
use stella_keys::{KeyStore, TrustStore};
use stella_model::ErrorCode;

use super::Exit;
use crate::clock;
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Cell, Column, Item, Page, Table, Tone, human};

/// One line of the examination.
struct Finding {
    check: &'static str,
    state: State,
    detail: String,
    fix: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Pass,
    Warn,
    Fail,
}

/// Examines and prints; fails if something stands in the way of work.
pub(crate) fn run(context: &Context) -> Result<Exit, Failure> {
    let findings = [store(context), clock_state(), ledger(context), keys(context), trust(context)];
    let mut table = Table::new([
        Column::new("CHECK"),
        Column::new("STATE"),
        Column::new("DETAIL").shrinks(),
        Column::new("FIX").whole(),
    ]);
    for finding in &findings {
        let (word, tone) = finding.state.shown();
        table.row([
            finding.check.into(),
            Cell::new(word).tone(tone),
            finding.detail.as_str().into(),
            finding.fix.as_str().into(),
        ]);
    }
    context.print(&Page::list("DoctorReport", findings.iter().map(item).collect()).table(table))?;
    if findings.iter().any(|finding| finding.state == State::Fail) {
        let failure = Failure::new(ErrorCode::Io, "something stands in the way of work");
        return Err(failure.hint("the column FIX says what to do"));
    }
    Ok(Exit::Done)
}

impl State {
    fn shown(self) -> (&'static str, Tone) {
        match self {
            State::Pass => ("pass", Tone::Good),
            State::Warn => ("warn", Tone::Warn),
            State::Fail => ("FAIL", Tone::Bad),
        }
    }
}

fn item(finding: &Finding) -> Item {
    let state = finding.state.shown().0.to_ascii_lowercase();
    Item {
        name: finding.check.to_owned(),
        id: finding.check.to_owned(),
        value: json!({
            "check": finding.check, "state": state, "detail": finding.detail, "fix": finding.fix,
        }),
    }
}

/// The store, or the nearest folder above it that exists, must take files.
fn store(context: &Context) -> Finding {
    let dir = context.store.dir();
    if dir.exists() && !dir.is_dir() {
        return Finding {
            check: "store",
            state: State::Fail,
            detail: format!("{} is a file, not a folder", dir.display()),
            fix: "choose a folder with --store".to_owned(),
        };
    }
    let existing = dir.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let probe = tempfile::Builder::new().prefix(".stella-doctor-").tempfile_in(existing);
    let shown = dir.display().to_string();
    match probe {
        Ok(_) if dir.is_dir() => pass("store", shown),
        Ok(_) => pass("store", format!("{shown} (made at the first ingest)")),
        Err(error) => Finding {
            check: "store",
            state: State::Fail,
            detail: format!("{}: {error}", existing.display()),
            fix: "check owner, mode and space, or choose another folder with --store".to_owned(),
        },
    }
}

/// A clock far in the past makes every age wrong.
fn clock_state() -> Finding {
    /// 2026-01-01T00:00:00Z; this program did not exist before.
    const BORN: i64 = 1_767_225_600;
    let now = clock::now();
    if now.unix_seconds() >= BORN {
        return pass("clock", now.to_string());
    }
    let fix = "set the clock: --max-age and --modified-since reckon with it".to_owned();
    Finding { check: "clock", state: State::Warn, detail: now.to_string(), fix }
}

fn ledger(context: &Context) -> Finding {
    let opened = context.store.ledger().map_err(Failure::from);
    let feeds = opened.and_then(|ledger| ledger.feeds().map_err(super::feeds::engine));
    match feeds {
        Ok(feeds) => {
            let records: u64 = feeds.iter().flat_map(|feed| feed.records.values()).sum();
            let feeds = human::counted(feeds.len() as u64, "feed");
            pass("ledger", format!("{feeds}, {}", human::counted(records, "record")))
        }
        Err(failure) if failure.code() == ErrorCode::NotFound => Finding {
            check: "ledger",
            state: State::Warn,
            detail: "none yet".to_owned(),
            fix: "stella ingest --feed NAME PATH".to_owned(),
        },
        Err(failure) => Finding {
            check: "ledger",
            state: State::Fail,
            detail: failure.message().to_owned(),
            fix: failure.next().to_owned(),
        },
    }
}

fn keys(context: &Context) -> Finding {
    match KeyStore::at(context.store.keys_dir()).list() {
        Ok(keys) if keys.is_empty() => Finding {
            check: "signing keys",
            state: State::Warn,
            detail: "none yet".to_owned(),
            fix: "stella keys generate release".to_owned(),
        },
        Ok(keys) => pass("signing keys", names(keys.iter().map(|key| key.name().as_str()))),
        Err(error) => Finding {
            check: "signing keys",
            state: State::Fail,
            detail: error.to_string(),
            fix: error
                .hint()
                .unwrap_or_else(|| "restore the file, or import the key again".to_owned()),
        },
    }
}

fn trust(context: &Context) -> Finding {
    match TrustStore::at(context.store.trust_dir()).list() {
        Ok(keys) if keys.is_empty() => pass("trusted keys", "none; verify needs --key".to_owned()),
        Ok(keys) => pass("trusted keys", names(keys.iter().map(|key| key.name.as_str()))),
        Err(error) => Finding {
            check: "trusted keys",
            state: State::Fail,
            detail: error.to_string(),
            fix: error
                .hint()
                .unwrap_or_else(|| "remove the file, then add the key again".to_owned()),
        },
    }
}

fn pass(check: &'static str, detail: String) -> Finding {
    Finding { check, state: State::Pass, detail, fix: String::new() }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
