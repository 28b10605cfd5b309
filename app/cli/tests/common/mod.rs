//! One `stella` with a store of its own, away from the surroundings of whoever runs the tests.
#![allow(dead_code, reason = "every test binary uses a part of this")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A store and the binary on it. Removed when dropped.
pub(crate) struct Stella {
    dir: TempDir,
}

/// What a command gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The password of all keys in tests.
pub(crate) const PASSWORD: &str = "correct horse";

impl Stella {
    /// An empty store.
    pub(crate) fn new() -> Stella {
        Stella { dir: stella_testkit::temp_dir() }
    }

    /// A store with the sample evidence in the feed `acme` and the key `release`.
    pub(crate) fn with_samples() -> Stella {
        let stella = Stella::new();
        let samples = stella_testkit::samples();
        let samples = samples.to_str().expect("UTF-8");
        stella.ok(&["ingest", "--feed", "acme", "--licence", "CC0-1.0", samples]);
        stella.ok(&["keys", "generate"]);
        stella
    }

    /// A path in the folder of the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as text.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    /// Writes a file into the folder of the test; its path.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("has a folder")).expect("writable");
        std::fs::write(&path, content).expect("writable");
        self.arg(name)
    }

    /// The command, not yet started, with surroundings of its own.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stella"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let ours = ["STELLA_", "COSIGN_", "XDG_"].iter().any(|mark| name.starts_with(mark));
            let looks = ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI", "COLUMNS", "TERM"];
            if ours || looks.contains(&name.as_str()) {
                command.env_remove(name);
            }
        }
        command.env("STELLA_STORE", self.path("store"));
        command.env("STELLA_KEY_PASSWORD", PASSWORD);
        command.env("HOME", self.path("home"));
        command.current_dir(self.dir.path());
        command.stdin(Stdio::null());
        command.args(args);
        command
    }

    /// Runs a command.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        Outcome::of(self.command(args).output().expect("stella starts"))
    }

    /// Runs a command with standard input.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Outcome {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("stella starts");
        // A command that fails early does not read its input.
        child.stdin.take().expect("piped").write_all(input).ok();
        Outcome::of(child.wait_with_output().expect("stella ends"))
    }

    /// Runs a command that must succeed; its standard output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let outcome = self.run(args);
        assert_eq!(outcome.code, 0, "{args:?}\n{}{}", outcome.stdout, outcome.stderr);
        outcome.stdout
    }

    /// A bundle of the samples, as JSON, in the folder of the test.
    pub(crate) fn bundle(&self, profile: &str, name: &str) -> PathBuf {
        self.ok(&["export", "run", profile, "-d", &self.arg(name)]);
        self.path(name)
    }

    /// The public half of the key `release`.
    pub(crate) fn public_key(&self) -> String {
        self.arg("store/keys/release.pub")
    }

    /// A text with everything that differs from run to run replaced by words in brackets.
    pub(crate) fn normalise(&self, text: &str) -> String {
        let dir = self.dir.path().to_str().expect("UTF-8");
        let mut text = text.replace(dir, "[dir]");
        for (pattern, word) in [
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]"),
            (r"\b[0-9a-f]{64}\b", "[digest]"),
            (r"(key release, )(sha256:)?[0-9a-f]{8,16}\b", "${1}[hint]"),
            (r"\bby [0-9a-f]{8}\b", "by [hint]"),
            (r"\b\d+(\.\d)? s\b", "[duration]"),
            (r"\b\d+(\.\d)? (B|KiB|MiB)\b", "[size]"),
            (r"\d+ d old|\d+ d \d+ h", "[age]"),
        ] {
            let pattern = regex::Regex::new(pattern).expect("a pattern");
            text = pattern.replace_all(&text, word).into_owned();
        }
        // Columns that held sizes have other widths elsewhere.
        let spaces = regex::Regex::new(" {2,}").expect("a pattern");
        let lines = text.lines().map(|line| {
            let indent: String = line.chars().take_while(|c| *c == ' ').collect();
            indent.clone() + &spaces.replace_all(&line[indent.len()..], "  ")
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Outcome {
    pub(crate) fn of(output: Output) -> Outcome {
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Both streams under their names, for snapshots.
    pub(crate) fn screen(&self, stella: &Stella) -> String {
        let mut text = format!("exit {}\n", self.code);
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !stream.is_empty() {
                text += &format!("--- {name}\n{}\n", stella.normalise(stream));
            }
        }
        text
    }
}

/// The files of a folder, sorted, relative.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(&current).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("inside");
                found.push(name.to_str().expect("UTF-8").to_owned());
            }
        }
    }
    found.sort();
    found
}
