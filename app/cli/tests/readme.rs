//! The session that README.md shows is true: each command prints what stands below it.

mod support;

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use stella_testkit::{samples, workspace_root};
use support::{Stella, copy};

/// A command of the session and what it prints.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    prints: String,
}

#[test]
fn the_session_of_the_readme_prints_what_it_shows() {
    let stella = Stella::new();
    copy(&samples(), &stella.path("samples"));
    let shown = session();
    assert!(shown.len() >= 7, "{} commands", shown.len());
    let (mut key_shown, mut key) = (None, None);
    for step in shown {
        let said = run(&stella, &step.command);
        key_shown = key_shown.or_else(|| key_digest(&step.prints));
        key = key.or_else(|| key_digest(&said));
        let expected = told(&step.prints, key_shown.as_deref());
        assert_eq!(told(&said, key.as_deref()), expected, "$ {}", step.command);
    }
    assert!(key_shown.is_some(), "the session makes a key");
}

#[test]
fn the_profile_that_the_documentation_shows_is_one() {
    let page = workspace_root().join("docs/modules/export-center/profiles.md");
    let page = std::fs::read_to_string(page).expect("profiles.md");
    let (_, rest) = page.split_once("```toml\n").expect("an example");
    let (shown, _) = rest.split_once("```").expect("its end");
    let stella = Stella::new();
    // What it says of a policy holds where there is an output for Trivy.
    let scanner = shown.replace("# [policy]", "[policy]").replace("\n# ", "\n");
    let scanner = scanner.replace("outputs = [", "outputs = [\"trivy:db\", ");
    for (name, text) in [("shown.toml", shown), ("scanner.toml", scanner.as_str())] {
        let file = stella.path(name);
        std::fs::write(&file, text).expect("writes");
        let file = file.to_str().expect("UTF-8");
        assert_eq!(
            stella.run(&["export", "profile", "validate", "-f", file]).code,
            Some(0),
            "{text}"
        );
    }
}

/// The commands between the marks.
fn session() -> Vec<Step> {
    let readme = std::fs::read_to_string(workspace_root().join("README.md")).expect("README.md");
    let (_, rest) = readme.split_once("<!-- session: begin -->\n```\n").expect("its begin");
    let (session, _) = rest.split_once("```\n<!-- session: end -->").expect("its end");
    let steps = session.strip_prefix("$ ").expect("a command comes first").split("\n$ ");
    let step = |step: &str| {
        let (command, prints) = step.split_once('\n').unwrap_or((step, ""));
        Step { command: command.to_owned(), prints: prints.trim_end().to_owned() }
    };
    steps.map(step).collect()
}

/// Runs a command in a shell that finds the program, with its data where it has it by itself; what
/// it prints. The progress of a command, on the other stream, is gone when it ends.
fn run(stella: &Stella, command: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_stella"));
    let mut folders: Vec<OsString> = vec![program.parent().expect("a folder").into()];
    folders.extend(std::env::var_os("PATH"));
    let mut shell = Command::new("sh");
    shell.args(["-euc", command]).current_dir(stella.path("."));
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("STELLA_") || told.starts_with("XDG_") {
            shell.env_remove(name);
        }
    }
    shell.env("HOME", stella.path("home")).env("STELLA_KEY_PASSWORD", "only for tests");
    shell.env("PATH", folders.join(&OsString::from(":")));
    let output = shell.output().expect("sh starts");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "$ {command}: {}\n{said}{complaints}", output.status);
    said.replace(&stella.path("home").display().to_string(), "~")
}

/// The digest of the key that an output tells of.
fn key_digest(output: &str) -> Option<String> {
    let (_, rest) = output.split_once("SHA-256 of its public key ")?;
    rest.get(..64).map(str::to_owned)
}

/// An output without what every session has its own of: the key, whole and in its two short forms,
/// and the age of the evidence. Everything else is the same whenever and wherever it is run.
fn told(output: &str, key: Option<&str>) -> String {
    let mut output = output.trim_end().to_owned();
    if let Some(key) = key {
        for (form, name) in [(key, "KEY"), (&key[..16], "KEY-16"), (&key[..8], "KEY-8")] {
            output = output.replace(form, name);
        }
    }
    let age = output.find(" d old").map(|end| {
        let begin = output[..end].rfind(' ').map_or(0, |space| space + 1);
        assert!(output[begin..end].parse::<u32>().is_ok(), "{output}");
        begin..end
    });
    if let Some(age) = age {
        output.replace_range(age, "N");
    }
    output
}
