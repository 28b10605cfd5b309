//! Results on standard output and nothing else there; forms, colour, names from outside, pipes.

mod common;

use std::process::Stdio;

use common::{Outcome, Stella};
use serde_json::Value;

/// Commands whose result is a page, each with what it needs.
const PAGES: &[&[&str]] = &[
    &["version"],
    &["explain"],
    &["explain", "NO_KEY"],
    &["doctor"],
    &["feeds", "list"],
    &["feeds", "show", "acme"],
    &["quarantine", "list"],
    &["keys", "list"],
    &["keys", "export-public"],
    &["trust", "list"],
    &["export", "profile", "list"],
    &["export", "profile", "show", "json:raw"],
    &["export", "plan", "json:raw"],
];

#[test]
fn every_page_has_every_form() {
    let stella = Stella::with_samples();
    for page in PAGES {
        let form = |format: &str| {
            let args: Vec<&str> = page.iter().copied().chain(["-o", format]).collect();
            stella.ok(&args)
        };
        let json: Value = serde_json::from_str(&form("json")).expect("JSON");
        assert_eq!(json["apiVersion"], "stella.export/v1", "{page:?}");
        assert!(json["kind"].is_string(), "{page:?}");
        for line in form("jsonl").lines() {
            serde_json::from_str::<Value>(line).expect("JSON lines");
        }
        let yaml = form("yaml");
        assert!(yaml.contains("apiVersion: stella.export/v1"), "{page:?}: {yaml}");
        assert!(!form("table").contains('\u{1b}') && !form("wide").contains('\u{1b}'), "{page:?}");
        for format in ["name", "id"] {
            let lines = form(format);
            let many = json["items"].as_array().map_or(1, Vec::len);
            assert_eq!(lines.lines().count(), many, "{page:?} -o {format}");
        }
    }
}

#[test]
fn the_environment_chooses_the_form_and_the_flag_wins() {
    let stella = Stella::new();
    let run = |args: &[&str]| {
        let mut command = stella.command(args);
        Outcome::of(command.env("STELLA_OUTPUT", "json").output().expect("starts")).stdout
    };
    assert!(run(&["version"]).starts_with('{'));
    assert!(run(&["version", "-o", "table"]).starts_with("stella "));
}

#[test]
fn yaml_says_what_json_says() {
    let stella = Stella::with_samples();
    let yaml = stella.ok(&["feeds", "list", "-o", "yaml"]);
    let expected = "\
apiVersion: stella.export/v1
items:
  -
    blocked: 0
    kinds:
      - advisory
      - finding
      - sbom
      - vex
    lastIngest: \"[time]\"
    licence: CC0-1.0
    name: acme
    quarantined: 0
    records:
      advisory: 69
      finding: 4
      sbom: 3
      vex: 4
kind: FeedList";
    assert_eq!(stella.normalise(&yaml), expected);
}

#[test]
fn headers_can_be_left_out() {
    let stella = Stella::with_samples();
    let with = stella.ok(&["feeds", "list"]);
    let without = stella.ok(&["feeds", "list", "--no-headers"]);
    assert!(with.starts_with("FEED "));
    assert_eq!(with.lines().count(), without.lines().count() + 1);
}

#[test]
fn progress_and_hints_are_on_standard_error_only() {
    let stella = Stella::new();
    let samples = stella_testkit::samples();
    let samples = samples.to_str().expect("UTF-8");
    let ingest = stella.run(&["ingest", "--feed", "acme", samples, "-o", "json"]);
    serde_json::from_str::<Value>(&ingest.stdout).expect("nothing but JSON");
    assert!(ingest.stderr.contains("ingest done"), "{}", ingest.stderr);
    stella.ok(&["keys", "generate"]);
    let dest = stella.arg("bundle");
    let run = stella.run(&["export", "run", "json:raw", "-d", &dest]);
    assert!(!run.stdout.contains("Next:") && run.stderr.contains("Next:  stella export verify"));
    for stage in ["plan", "pack", "seal", "distribute"] {
        assert!(run.stderr.contains(&format!("Z {stage} done")), "{}", run.stderr);
    }
    let quiet = stella.run(&["-q", "export", "run", "json:raw", "-d", &dest]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
}

#[test]
fn progress_comes_as_json_lines_on_request() {
    let stella = Stella::new();
    let samples = stella_testkit::samples();
    let samples = samples.to_str().expect("UTF-8");
    let run = stella.run(&["ingest", "--feed", "acme", samples, "--progress", "json"]);
    let lines: Vec<Value> =
        run.stderr.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let last = lines.last().expect("at least one");
    assert_eq!(
        (&last["type"], &last["stage"], &last["state"]),
        (&"progress".into(), &"ingest".into(), &"done".into())
    );
    assert_eq!(last["done"], 78);
    let none = stella.run(&["ingest", "--feed", "acme", samples, "--progress", "none"]);
    assert_eq!(none.stderr, "");
}

#[test]
fn errors_have_two_parts_and_a_json_form() {
    let stella = Stella::new();
    let text = stella.run(&["feeds", "list"]);
    insta::assert_snapshot!(text.screen(&stella), @r"
    exit 3
    --- stderr
    error[ERR_EXPORT_NOT_FOUND]: there is no ledger at [dir]/store/ledger.sqlite
      hint: bring evidence in first: stella ingest --feed NAME PATH
    ");
    for args in [&["feeds", "list", "-o", "json"][..], &["-o", "json", "feeds", "--nope"]] {
        let json = stella.run(args);
        assert_eq!(json.stdout, "");
        let error: Value = serde_json::from_str(&json.stderr).expect("one JSON document");
        assert_eq!(error["kind"], "Error");
        assert_eq!(error["error"]["exitCode"], json.code);
        assert!(error["error"]["hint"].is_string(), "{error}");
    }
}

#[test]
fn colour_follows_flag_and_environment() {
    let stella = Stella::new();
    let coloured = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = stella.command(args);
        command.envs(variables.iter().copied());
        let outcome = Outcome::of(command.output().expect("starts"));
        (outcome.stdout.contains('\u{1b}'), outcome.stderr.contains('\u{1b}'))
    };
    assert_eq!(coloured(&["doctor"], &[]), (false, false));
    assert_eq!(coloured(&["doctor", "--color", "always"], &[]), (true, false));
    assert_eq!(coloured(&["doctor"], &[("CLICOLOR_FORCE", "1")]), (true, false));
    assert_eq!(
        coloured(&["doctor"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]),
        (false, false)
    );
    assert_eq!(coloured(&["feeds", "list", "--color=always"], &[]), (false, true));
    assert_eq!(coloured(&["feeds", "list", "--color=always"], &[("NO_COLOR", "1")]), (false, true));
    assert_eq!(coloured(&["--nope", "--color", "always"], &[("TERM", "dumb")]), (false, true));
    assert_eq!(coloured(&["--nope"], &[("TERM", "dumb")]), (false, false));
}

#[test]
fn names_from_outside_drive_no_terminal_and_stay_whole_in_json() {
    let stella = Stella::new();
    let id = "EVIL-\u{1b}[2J\u{202e}gpj.exe\u{7}";
    let id_json = serde_json::to_string(id).expect("a text");
    let record = format!(
        "{{\"id\":{id_json},\"modified\":\"2026-01-01T00:00:00Z\",\"affected\":[{{\"package\":{{\"ecosystem\":\"npm\",\"name\":\"x\"}}}}]}}"
    );
    stella.file("in/ok.json", record.as_bytes());
    stella.file("in/b\u{1b}[31mad\u{202e}.json", b"{\"x\":");
    let publisher = "Acme\u{1b}]0;owned\u{7}";
    let outcome =
        stella.run(&["ingest", "--feed", "acme", "--publisher", publisher, &stella.arg("in")]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    stella.ok(&["feeds", "block", "acme", "advisory", id, "--reason", "a\u{1b}[2Jb"]);
    let screens = [
        outcome.stdout + &outcome.stderr,
        stella.ok(&["quarantine", "list", "-o", "wide"]),
        stella.ok(&["quarantine", "show", "1"]),
        stella.ok(&["feeds", "list", "-o", "wide"]),
        stella.ok(&["feeds", "show", "acme"]),
        stella.run(&["feeds", "unblock", "acme", "advisory", "no\u{1b}[2J"]).stderr,
    ];
    for screen in &screens {
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!screen.contains(bad), "{screen:?}");
    }
    assert!(screens[1].contains("\\u{1b}[31m"), "{}", screens[1]);
    let json: Value =
        serde_json::from_str(&stella.ok(&["feeds", "show", "acme", "-o", "json"])).expect("JSON");
    assert_eq!(json["blocks"][0]["id"], id);
    assert_eq!(json["publisher"], publisher);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let stella = Stella::new();
    let mut command = stella.command(&["explain", "-o", "json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    drop(child.stdout.take());
    let outcome = Outcome::of(child.wait_with_output().expect("ends"));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
}

#[test]
fn evidence_comes_from_standard_input() {
    let stella = Stella::new();
    let lines: String = (1..=3)
        .map(|n| {
            format!(
                "{{\"id\":\"OSV-{n}\",\"modified\":\"2026-01-0{n}T00:00:00Z\",\"affected\":[]}}\n"
            )
        })
        .collect();
    let outcome =
        stella.run_with_input(&["ingest", "--feed", "acme", "-", "-o", "json"], lines.as_bytes());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let json: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!((&json["added"], &json["records"]["advisory"]), (&3.into(), &3.into()));
}

#[test]
fn a_comparison_whose_reader_goes_away_ends_quietly() {
    let stella = Stella::with_samples();
    stella.bundle("json:raw", "all");
    // More than a pipe holds, so that the reader is missed while the comparison runs.
    let record = |n: u32| {
        format!(
            "{{\"id\":\"NEW-{n:0>200}\",\"modified\":\"2026-01-01T00:00:00Z\",\"affected\":[]}}\n"
        )
    };
    let many: String = (0..2_000).map(record).collect();
    let many = stella.file("many.jsonl", many.as_bytes());
    stella.ok(&["ingest", "--feed", "other", &many]);
    stella.bundle("json:raw", "more");
    let mut command = stella.command(&["export", "diff", "all", "more", "-q"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("stella starts");
    drop(child.stdout.take());
    let outcome = Outcome::of(child.wait_with_output().expect("stella ends"));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (10, ""));
}

#[test]
fn what_may_be_a_slip_is_warned_of() {
    let stella = Stella::with_samples();
    let empty = stella.file("empty", b"");
    let password = stella.file("password", b"secret\n");
    let tar = stella.arg("b.tar");
    let cases: &[(&[&str], &str)] = &[
        (&["keys", "generate", "open", "--password-file", &empty], "the password is empty"),
        (&["keys", "generate", "shut", "--password-file", &password], ""),
        (
            &["export", "plan", "json:raw", "--ecosystem", "npn,npm"],
            "no record has the ecosystem `npn`",
        ),
        (&["export", "run", "json:raw", "-d", &tar, "--key", "release"], "add --carrier tar"),
    ];
    for (args, warning) in cases {
        let mut command = stella.command(args);
        let outcome = Outcome::of(command.args(["-q"]).output().expect("stella starts"));
        assert_eq!(outcome.code, 0, "{args:?}: {}", outcome.stderr);
        match warning.is_empty() {
            true => assert_eq!(outcome.stderr, ""),
            false => assert!(outcome.stderr.contains(warning), "{args:?}: {}", outcome.stderr),
        }
    }
}

#[test]
fn a_key_is_taken_in_from_a_file_named_either_way_and_help_is_a_word_too() {
    let stella = Stella::with_samples();
    let (public, secret) = (stella.public_key(), stella.arg("store/keys/release.key"));
    stella.ok(&["trust", "add", "one", &public]);
    stella.ok(&["trust", "remove", "one", "--yes"]);
    stella.ok(&["trust", "add", "one", "-f", &public]);
    stella.ok(&["keys", "import", "two", "--file", &secret]);
    assert_eq!(stella.ok(&["help", "keys", "import"]), stella.ok(&["keys", "import", "--help"]));
    assert_eq!(stella.ok(&["help"]), stella.ok(&["--help"]));
}

#[test]
fn feeds_that_never_held_a_record_are_told_in_one_line() {
    let stella = Stella::with_samples();
    let junk = stella.file("junk.json", b"{\"a\":");
    for feed in ["a", "b", "c", "d", "e", "f", "g"] {
        assert_eq!(stella.run(&["ingest", "--feed", feed, &junk]).code, 2);
    }
    let plan = stella.run(&["export", "plan", "json:raw", "-q"]);
    assert_eq!(plan.stderr.lines().count(), 1, "{}", plan.stderr);
    assert!(plan.stderr.contains(": a, b, c, d, e and 2 more;"), "{}", plan.stderr);
    let of_a_kind = stella.run(&["export", "plan", "json:raw", "-q", "--kind", "vex"]);
    assert_eq!(of_a_kind.stderr, "");
}
