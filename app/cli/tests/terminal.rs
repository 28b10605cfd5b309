//! A terminal of 80 columns.

mod common;

use std::io::Write as _;
use std::process::Command;

use common::{Outcome, Stella};
use unicode_width::UnicodeWidthStr as _;

/// What a terminal of 80 columns is sent, without colour; `None` where there is no `script`.
fn on_terminal(stella: &Stella, line: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_stella");
    let line = format!("stty cols 80 rows 24; {program} {line}");
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]).env("TERM", "xterm");
    command.env("STELLA_STORE", stella.path("store")).env("STELLA_KEY_PASSWORD", common::PASSWORD);
    for variable in ["CI", "NO_COLOR", "CLICOLOR_FORCE", "STELLA_OUTPUT"] {
        command.env_remove(variable);
    }
    command.current_dir(stella.path("."));
    let Ok(output) = command.output() else {
        // Not a peer that CI installs: without it these two tests show nothing.
        std::io::stderr().write_all(b"skipped: script is not here\n").ok();
        return None;
    };
    let outcome = Outcome::of(output);
    assert_eq!(outcome.code, 0, "{line}: {}", outcome.stdout);
    assert!(outcome.stdout.contains('\u{1b}'), "colour or a live line: {line}");
    let escapes = regex::Regex::new("\u{1b}\\[[0-9;?]*[A-Za-z]").expect("a pattern");
    Some(escapes.replace_all(&outcome.stdout, "").into_owned())
}

#[test]
fn tables_fit_80_columns_and_end_shortened_cells_with_an_ellipsis() {
    let stella = Stella::with_samples();
    stella.bundle("json:raw", "bundle");
    let key = stella.public_key();
    for line in ["doctor".to_owned(), format!("export verify bundle -q --key {key}")] {
        let Some(shown) = on_terminal(&stella, &line) else { return };
        for row in shown.lines() {
            assert!(row.trim_end().width() <= 80, "{line}: {row:?}");
        }
        if line.contains("verify") {
            assert!(shown.contains('…') && shown.contains("Verified."), "{shown}");
        }
    }
}

#[test]
fn stages_leave_one_line_each_behind() {
    let stella = Stella::with_samples();
    let Some(shown) = on_terminal(&stella, "export run json:raw -d bundle") else { return };
    for stage in ["plan", "pack", "seal", "distribute"] {
        let done = shown.lines().filter(|line| {
            let last = line.trim_end().rsplit('\r').next().unwrap_or_default();
            last.starts_with(&format!("  {stage}")) && last.contains(" done ")
        });
        assert_eq!(done.count(), 1, "{stage}: {shown:?}");
    }
}
