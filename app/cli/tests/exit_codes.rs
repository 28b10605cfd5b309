//! Every exit code that this version can give, from the table in FORMATS "Exit codes".

mod common;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Outcome, Stella};

fn code(stella: &Stella, args: &[&str]) -> i32 {
    stella.run(args).code
}

#[test]
fn usage_and_invalid_documents_are_2() {
    let stella = Stella::with_samples();
    let bad_profile = stella.file("bad.toml", b"name='x'\noutputs=['json:best']\n");
    let profile = |name: &str, more: &str| {
        let text = format!("name='x'\noutputs=['json:raw']\n{more}\n");
        stella.file(name, text.as_bytes())
    };
    let bad_kind = profile("kind.toml", "[select]\nkinds=['advisry']");
    let bad_source = b"name='x'\noutputs=['trivy:db']\n[trivy]\nprecedence=['acme','nobody']\n";
    let bad_source = stella.file("source.toml", bad_source);
    let bad_age = profile("age.toml", "[select]\nmodified-since='yesterday'");
    let bad_rules = profile("rules.toml", "redaction='bad-rules.toml'");
    stella.file("bad-rules.toml", b"no-such-member = 1\n");
    let not_a_key = stella.file("not-a-key.pub", b"hello\n");
    let junk = stella.file("junk.json", b"{\"a\":");
    let dest = stella.arg("out");
    let bundle = stella.bundle("json:raw", "bundle");
    let before = common::files(&bundle);
    let (in_bundle, manifest) = (stella.arg("bundle/new/x.tar"), stella.arg("bundle/export.json"));
    let (in_store, key) = (stella.arg("store/out"), stella.public_key());
    stella.file("empty/notes.md", b"no evidence");
    let empty = stella.arg("empty");
    let cases: &[&[&str]] = &[
        &["--nope"],
        &["export", "run", "json:raw"],
        &["ingest", "--feed", "NOT A FEED", "x"],
        &["ingest", "--feed", "acme", "--max-drop", "200%", "x"],
        &["ingest", "--feed", "acme", "--licence", "do as you like", "x"],
        &["ingest", "--feed", "acme", "--accept-drop", "x"],
        &["export", "verify", &dest, "--max-age", "7"],
        &["export", "run", "json:raw", "-d", &dest, "--cache-size", "lots"],
        &["export", "run", "json:raw", "-d", &dest, "--severity", "awful"],
        &["export", "run", &bad_profile, "-d", &dest],
        &["export", "profile", "validate", "-f", &bad_profile],
        &["export", "profile", "validate", "-f", &bad_age],
        &["export", "profile", "validate", "-f", &bad_rules],
        &["trust", "add", "bob", &not_a_key],
        &["ingest", "--feed", "other", &junk],
        &["feeds", "remove", "acme"],
        &["export", "plan", "json:raw", "--threads", "0"],
        &["ingest", "--feed", "acme", &empty],
        &["export", "run", "json:raw", "-d", &in_store],
        &["export", "run", "json:raw", "-d", &in_bundle, "--carrier", "tar"],
        &["export", "verify", &manifest, "--allow-unsigned-for-testing"],
        &["ingest", "--feed", "mirror", bundle.to_str().expect("UTF-8")],
        &["export", "plan", "json:raw", "--kind", "advisry"],
        &["export", "profile", "validate", "-f", &bad_kind],
        &["export", "plan", &bad_source],
        &["trust", "add", "bob"],
        &["trust", "add", "bob", &key, "-f", &key],
    ];
    for args in cases {
        let outcome = stella.run(args);
        assert_eq!(outcome.code, 2, "{args:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("error[ERR_EXPORT_"), "{args:?}: {}", outcome.stderr);
        assert!(!outcome.stdout.contains("error"), "{args:?}");
    }
    assert!(!stella.path("out").exists());
    assert_eq!(common::files(&bundle), before);
}

#[test]
fn a_licence_that_spdx_does_not_know_is_told_how_to_be_named() {
    let stella = Stella::new();
    let outcome = stella.run(&["ingest", "--feed", "acme", "--licence", "Acme-1.0", "x"]);
    insta::assert_snapshot!(outcome.screen(&stella));
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_1() {
    let stella = Stella::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let output = stella.command(&["explain"]).stdout(full).output().expect("starts");
    let outcome = Outcome::of(output);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("ERR_EXPORT_IO"), "{}", outcome.stderr);
}

#[test]
fn no_key_yet_is_2_and_names_the_command() {
    let stella = Stella::new();
    let samples = stella_testkit::samples();
    stella.ok(&["ingest", "--feed", "acme", samples.to_str().expect("UTF-8")]);
    let outcome = stella.run(&["export", "run", "json:raw", "-d", &stella.arg("out")]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("ERR_EXPORT_NO_KEY"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("stella keys generate"), "{}", outcome.stderr);
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let stella = Stella::with_samples();
    let removal = stella.run(&["feeds", "remove", "acme"]);
    assert!(removal.code == 2 && removal.stderr.contains("--yes"), "{}", removal.stderr);
    let mut command = stella.command(&["keys", "generate", "second"]);
    let key = Outcome::of(command.env_remove("STELLA_KEY_PASSWORD").output().expect("starts"));
    assert!(key.code == 2 && key.stderr.contains("--password-file"), "{}", key.stderr);
}

#[test]
fn what_is_not_there_is_3() {
    let stella = Stella::with_samples();
    let dest = stella.arg("out");
    let nothing = stella.arg("nothing");
    stella.bundle("json:raw", "bundle");
    let bundle = stella.arg("bundle");
    let no_rules = b"name='x'\noutputs=['json:raw']\nredaction='nope.toml'\n";
    let no_rules = stella.file("profile.toml", no_rules);
    let cases: &[&[&str]] = &[
        &["export", "profile", "validate", "-f", &no_rules],
        &["feeds", "show", "nope"],
        &["quarantine", "show", "99"],
        &["explain", "E42"],
        &["export", "run", "json:best", "-d", &dest],
        &["export", "run", "nope.toml", "-d", &dest],
        &["export", "run", "json:raw", "-d", &dest, "--feed", "nope"],
        &["export", "run", "json:raw", "-d", &dest, "--key", "nope"],
        &["ingest", "--feed", "acme", &nothing],
        &["keys", "import", "x", &nothing],
        &["trust", "remove", "nope", "--yes"],
        &["quarantine", "list", "--reason", "no-such-reason"],
        &["export", "cat", &bundle, "--kind", "decision"],
        &["export", "cat", &bundle, "--kind", "advisory", "--feed", "nope"],
        &["export", "verify", &nothing, "--key", &stella.public_key()],
    ];
    for args in cases {
        let outcome = stella.run(args);
        assert_eq!(outcome.code, 3, "{args:?}: {}", outcome.stderr);
    }
}

#[test]
fn a_password_file_that_is_not_there_is_told_even_where_no_password_is_needed() {
    let stella = Stella::with_samples();
    stella.bundle("json:raw", "bundle");
    let (dest, nothing) = (stella.arg("bundle"), stella.arg("nothing"));
    let args = ["export", "run", "json:raw", "-d", &dest, "--password-file", &nothing];
    assert_eq!(code(&stella, &args), 3);
}

#[test]
fn a_store_in_a_place_that_cannot_be_is_4() {
    let stella = Stella::with_samples();
    let store = stella.file("file", b"no folder") + "/store";
    let key = stella.public_key();
    for args in [
        &["keys", "generate"][..],
        &["trust", "add", "bob", &key],
        &["ingest", "--feed", "acme", &key],
    ] {
        let outcome = stella.run(&[&["--store", &store], args].concat());
        assert_eq!(outcome.code, 4, "{args:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("--store"), "{args:?}: {}", outcome.stderr);
    }
}

#[test]
fn a_wrong_password_is_4() {
    let stella = Stella::with_samples();
    let wrong = stella.file("wrong", b"guess\n");
    let dest = stella.arg("out");
    let args = ["export", "run", "json:raw", "-d", &dest, "--password-file", &wrong];
    assert_eq!(code(&stella, &args), 4);
    assert!(!stella.path("out").exists());
}

#[test]
fn an_empty_selection_and_a_great_drop_are_6() {
    let stella = Stella::with_samples();
    let dest = stella.arg("out");
    let args = ["export", "run", "json:raw", "-d", &dest, "--ecosystem", "no-such"];
    let outcome = stella.run(&args);
    assert_eq!(outcome.code, 6, "{}", outcome.stderr);
    let one = b"{\"id\":\"OSV-1\",\"modified\":\"2026-01-01T00:00:00Z\",\"affected\":[]}";
    let one = stella.file("one.json", one);
    let replace = ["ingest", "--feed", "acme", "--replace", &one];
    let outcome = stella.run(&replace);
    assert_eq!(outcome.code, 6, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("--accept-drop --reason"), "{}", outcome.stderr);
    let accepted =
        ["ingest", "--feed", "acme", "--replace", "--accept-drop", "--reason", "new", &one];
    assert_eq!(code(&stella, &accepted), 0);
}

#[test]
fn another_thing_at_the_destination_is_9() {
    let stella = Stella::with_samples();
    stella.file("out/precious.txt", b"mine");
    let dest = stella.arg("out");
    assert_eq!(code(&stella, &["export", "run", "json:raw", "-d", &dest]), 9);
    assert_eq!(code(&stella, &["export", "run", "json:raw", "-d", &dest, "--replace"]), 9);
    assert_eq!(code(&stella, &["keys", "generate"]), 9);
    assert_eq!(std::fs::read(stella.path("out/precious.txt")).expect("still there"), b"mine");
}

#[cfg(unix)]
#[test]
fn a_store_that_cannot_be_written_is_shown_and_changing_it_is_4() {
    let stella = Stella::with_samples();
    // Stands for a medium that is only read: even the superuser cannot make this file.
    let log = stella.path("store/ledger.sqlite-shm");
    std::os::unix::fs::symlink("nowhere/at/all", log).expect("a link");
    for args in [
        &["feeds", "list"][..],
        &["feeds", "show", "acme"],
        &["quarantine", "list"],
        &["keys", "list"],
        &["trust", "list"],
        &["export", "plan", "json:raw"],
    ] {
        let outcome = stella.run(args);
        assert_eq!(outcome.code, 0, "{args:?}: {}", outcome.stderr);
    }
    let document = stella
        .file("a.json", b"{\"id\":\"A\",\"modified\":\"2026-01-01T00:00:00Z\",\"affected\":[]}");
    for args in [
        &["ingest", "--feed", "acme", &document][..],
        &["feeds", "block", "acme", "vex", "x", "--reason", "y"],
        &["feeds", "remove", "acme", "--yes"],
    ] {
        let outcome = stella.run(args);
        assert_eq!(outcome.code, 4, "{args:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("cannot be written"), "{args:?}: {}", outcome.stderr);
    }
}

#[test]
fn strict_ingest_is_2_if_anything_was_rejected_and_0_without() {
    let stella = Stella::new();
    stella.file(
        "in/good.json",
        b"{\"id\":\"OSV-1\",\"modified\":\"2026-01-01T00:00:00Z\",\"affected\":[]}",
    );
    stella.file("in/bad.json", b"{\"a\":");
    let folder = stella.arg("in");
    let lenient = stella.run(&["ingest", "--feed", "acme", &folder]);
    assert_eq!(lenient.code, 0);
    assert!(lenient.stderr.contains("1 document rejected: 1 invalid-json"), "{}", lenient.stderr);
    assert_eq!(code(&stella, &["ingest", "--feed", "acme", "--strict", &folder]), 2);
}

#[test]
fn a_time_limit_that_passed_is_124() {
    let stella = Stella::with_samples();
    let dest = stella.arg("out");
    let outcome = stella.run(&["export", "run", "json:raw", "-d", &dest, "--timeout", "0s"]);
    assert_eq!(outcome.code, 124, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("ERR_EXPORT_TIMEOUT"), "{}", outcome.stderr);
    assert!(!stella.path("out").exists());
}

#[test]
fn an_empty_selection_names_what_may_be_misspelt() {
    let stella = Stella::with_samples();
    let dest = stella.arg("out");
    let run = ["export", "run", "mirror:full", "--unsigned-for-testing", "-d", &dest];
    let misspelt = stella.run(&[&run[..], &["--ecosystem", "npmm"]].concat());
    assert_eq!(misspelt.code, 6, "{}", misspelt.stderr);
    let hint = "hint: look at the selectors: no record has the ecosystem `npmm`";
    assert!(misspelt.stderr.contains(hint), "{}", misspelt.stderr);
    let later = stella.run(&[&run[..], &["--modified-since", "2999-01-01"]].concat());
    assert_eq!(later.code, 6, "{}", later.stderr);
    assert!(later.stderr.contains("hint: look at the selectors, and at"), "{}", later.stderr);
}

#[cfg(unix)]
#[test]
fn an_interrupted_ingest_is_130_and_changes_nothing() {
    let stella = Stella::with_samples();
    let before = stella.ok(&["feeds", "list", "-o", "json"]);
    let mut command = stella.command(&["ingest", "--feed", "acme", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let mut input = child.stdin.take().expect("piped");
    let line = |n: u32| {
        format!("{{\"id\":\"NEW-{n}\",\"modified\":\"2026-01-01T00:00:00Z\",\"affected\":[]}}\n")
    };
    input.write_all(line(1).as_bytes()).expect("it reads");
    // The handler is in place once the process has opened its ledger; a second of room is plenty.
    std::thread::sleep(Duration::from_secs(1));
    signal("INT", child.id());
    let began = Instant::now();
    // As much as is looked at before anything is made of it.
    let lines: String = (2..6_000).map(line).collect();
    while child.try_wait().expect("a child").is_none() && began.elapsed() < Duration::from_secs(20)
    {
        input.write_all(lines.as_bytes()).ok();
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(input);
    let outcome = Outcome::of(child.wait_with_output().expect("ends"));
    assert_eq!(outcome.code, 130, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("stopping cleanly"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("run the same command again"), "{}", outcome.stderr);
    assert_eq!(stella.ok(&["feeds", "list", "-o", "json"]), before);
}

#[cfg(unix)]
#[test]
fn an_ingest_that_waits_for_input_is_stopped_and_keeps_nobody_away() {
    let stella = Stella::with_samples();
    let mut command = stella.command(&["ingest", "--feed", "acme", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let input = child.stdin.take().expect("piped");
    std::thread::sleep(Duration::from_secs(1));
    let record = b"{\"id\":\"NEW-1\",\"modified\":\"2026-01-01T00:00:00Z\",\"affected\":[]}\n";
    let meanwhile = stella.file("new.json", record);
    stella.ok(&["ingest", "--feed", "acme", &meanwhile]);
    signal("INT", child.id());
    let outcome = Outcome::of(child.wait_with_output().expect("ends"));
    assert_eq!(outcome.code, 130, "{}", outcome.stderr);
    drop(input);
}

#[cfg(unix)]
#[test]
fn sigusr1_prints_one_status_line_and_the_work_goes_on() {
    let stella = Stella::new();
    let mut command = stella.command(&["ingest", "--feed", "acme", "-", "-q"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let mut input = child.stdin.take().expect("piped");
    let record = b"{\"id\":\"NEW-1\",\"modified\":\"2026-01-01T00:00:00Z\",\"affected\":[]}\n";
    input.write_all(record).expect("it reads");
    std::thread::sleep(Duration::from_secs(1));
    signal("USR1", child.id());
    std::thread::sleep(Duration::from_millis(500));
    drop(input);
    let outcome = Outcome::of(child.wait_with_output().expect("ends"));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
}

#[cfg(unix)]
fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.expect("kill is there").success());
}
