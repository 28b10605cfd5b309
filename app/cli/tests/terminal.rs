//! A terminal of 80 columns.

mod common;

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Outcome, Stella};
use unicode_width::UnicodeWidthStr as _;

/// What a terminal of 80 columns is sent, without colour; `None` where there is no `script`.
fn on_terminal(stella: &Stella, line: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_stella");
    let mut command = script(stella, &format!("{program} {line}"));
    let Ok(output) = command.env("STELLA_KEY_PASSWORD", common::PASSWORD).output() else {
        skipped();
        return None;
    };
    let outcome = Outcome::of(output);
    assert_eq!(outcome.code, 0, "{line}: {}", outcome.stdout);
    Some(without_escapes(&outcome.stdout))
}

/// `script` with a terminal of 80 columns for one line of a shell; colours and live lines are on.
fn script(stella: &Stella, line: &str) -> Command {
    let line = format!("stty cols 80 rows 24; {line}");
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]).env("TERM", "xterm");
    command.env("STELLA_STORE", stella.path("store")).current_dir(stella.path("."));
    let hide = ["CI", "NO_COLOR", "CLICOLOR_FORCE", "STELLA_OUTPUT"];
    for variable in hide.into_iter().chain(["STELLA_KEY_PASSWORD", "COSIGN_PASSWORD"]) {
        command.env_remove(variable);
    }
    command
}

/// `script` is not a peer that CI installs: without it these tests show nothing.
fn skipped() {
    std::io::stderr().write_all(b"skipped: script is not here\n").ok();
}

fn without_escapes(text: &str) -> String {
    let escapes = regex::Regex::new("\u{1b}\\[[0-9;?]*[A-Za-z]").expect("a pattern");
    escapes.replace_all(text, "").into_owned()
}

#[test]
fn nothing_is_drawn_while_a_password_is_asked_for() {
    let stella = Stella::with_samples();
    let program = env!("CARGO_BIN_EXE_stella");
    let mut command = script(&stella, &format!("{program} export run json:raw -d bundle"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return skipped() };
    let mut input = child.stdin.take().expect("piped");
    let mut output = child.stdout.take().expect("piped");
    let (told, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = output.read(&mut buffer) {
            told.send(buffer[..read].to_vec()).ok();
        }
    });
    let question = "Password of the key release: ";
    let mut shown = Vec::new();
    let asked = |shown: &[u8]| String::from_utf8_lossy(shown).contains(question);
    while !asked(&shown) {
        let next = lines.recv_timeout(Duration::from_secs(20));
        shown.extend(next.expect("the password is asked for"));
    }
    // Several times what passes between two looks of the drawing thread.
    std::thread::sleep(Duration::from_millis(700));
    shown.extend(lines.try_iter().flatten());
    let text = without_escapes(&String::from_utf8_lossy(&shown));
    assert!(text.ends_with(question), "{text:?}");
    assert!(!text.contains("pack"), "who has to answer does not wait for the work: {text:?}");
    input.write_all(format!("{}\n", common::PASSWORD).as_bytes()).expect("it reads");
    let status = child.wait().expect("it ends");
    let rest: Vec<u8> = lines.iter().flatten().collect();
    assert!(status.success(), "{}", String::from_utf8_lossy(&rest));
    assert!(stella.path("bundle/export.json.sig").is_file());
}

#[test]
fn ids_do_not_drive_a_terminal_and_reach_pipes_as_they_are() {
    let stella = Stella::new();
    let document = r#"{"id":"A\u001b[2J\u202eB","modified":"2026-01-01T00:00:00Z","affected":[]}"#;
    let document = stella.file("one.json", document.as_bytes());
    let other = r#"{"id":"C","modified":"2026-01-01T00:00:00Z","affected":[]}"#;
    let other = stella.file("other.json", other.as_bytes());
    stella.ok(&["keys", "generate"]);
    stella.ok(&["ingest", "--feed", "acme", &other]);
    stella.bundle("json:raw", "before");
    stella.ok(&["ingest", "--feed", "acme", &document]);
    stella.bundle("json:raw", "after");
    let escaped = "A\\u{1b}[2J\\u{202e}B";
    let raw = "A\u{1b}[2J\u{202e}B";
    assert!(stella.ok(&["export", "cat", "after", "-o", "id"]).contains(raw));
    let Some(shown) = on_terminal(&stella, "export cat after -o id -q") else { return };
    assert!(shown.contains(escaped), "{shown:?}");
    let program = env!("CARGO_BIN_EXE_stella");
    for form in ["id", "name"] {
        let line = format!("{program} export diff before after -o {form} -q || true");
        let output = script(&stella, &line).output().expect("script was there before");
        let shown = Outcome::of(output).stdout;
        assert!(shown.contains(escaped) && !shown.contains("[2J\u{202e}"), "{shown:?}");
    }
}

#[test]
fn tables_fit_80_columns_and_end_shortened_cells_with_an_ellipsis() {
    let stella = Stella::with_samples();
    stella.bundle("json:raw", "bundle");
    let key = stella.public_key();
    let broken = "{\"a\":".as_bytes();
    let place = "in/a/folder/with/a/long/name/that/takes/much/room/broken.json";
    let broken = stella.file(place, broken);
    stella.run(&["ingest", "--feed", "a-feed-with-a-name-of-nearly-40-letters", &broken]);
    for line in [
        "doctor".to_owned(),
        "feeds list".to_owned(),
        "feeds list -o wide".to_owned(),
        "keys list -o wide".to_owned(),
        "quarantine list".to_owned(),
        "export plan json:raw -q".to_owned(),
        "explain".to_owned(),
        format!("export verify bundle -q --key {key}"),
    ] {
        let Some(shown) = on_terminal(&stella, &line) else { return };
        // Prose may wrap, rows may not.
        for row in shown.lines().filter(|row| !row.starts_with("warning:")) {
            assert!(row.trim_end().width() <= 80, "{line}: {row:?}");
        }
        if line.contains("verify") {
            assert!(shown.contains('…') && shown.contains("Verified."), "{shown}");
        }
        if line.starts_with("quarantine") {
            assert!(shown.contains("broken.json"), "the end of the place: {shown}");
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
