//! Completions, manual pages and help.

mod common;

use std::process::Command;

use common::{Stella, files};

#[test]
fn completion_scripts_parse_in_their_shells() {
    let stella = Stella::new();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = stella.ok(&["completion", shell]);
        assert!(script.contains("stella"), "{shell}");
        let path = stella.file(&format!("complete.{shell}"), script.as_bytes());
        match Command::new(shell).args([check, &path]).output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(output.status.success() && said.is_empty(), "{shell}: {said}");
            }
            Err(_) => println!("note: {shell} is not here, its script was not parsed"),
        }
    }
    assert!(stella.ok(&["completion", "powershell"]).contains("Register-ArgumentCompleter"));
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let stella = Stella::new();
    stella.ok(&["man", "-d", &stella.arg("man")]);
    let pages = files(&stella.path("man"));
    for name in [
        "stella.1",
        "stella-ingest.1",
        "stella-export-run.1",
        "stella-export-verify.1",
        "stella-export-profile-show.1",
        "stella-keys-export-public.1",
    ] {
        assert!(pages.iter().any(|page| page == name), "{name} in {pages:?}");
    }
    for page in &pages {
        let text = std::fs::read_to_string(stella.path("man").join(page)).expect("readable");
        for section in [".SH NAME", ".SH SYNOPSIS", ".SH \"EXIT STATUS\""] {
            assert!(text.contains(section), "{section} in {page}");
        }
        assert!(!text.contains("EXTRA"), "{page}");
    }
    let page =
        |name: &str| std::fs::read_to_string(stella.path("man").join(name)).expect("readable");
    let proof = page("stella-export-verify-proof.1");
    let typed = "stella export verify\\-proof [OPTIONS] \\-\\-manifest <FILE> <PROOF>";
    assert!(proof.contains(typed), "{proof}");
    assert!(proof.contains("\\fB124\\fR"), "{proof}");
    assert!(page("stella-ingest.1").contains(".SH NOTES"));
    // Writing them again replaces them.
    stella.ok(&["man", "-d", &stella.arg("man")]);
}

#[test]
fn help_of_every_command_fits_its_width_and_snapshots() {
    let stella = Stella::new();
    let commands: &[&[&str]] = &[
        &[],
        &["ingest"],
        &["feeds"],
        &["quarantine"],
        &["export"],
        &["export", "plan"],
        &["export", "run"],
        &["export", "verify"],
        &["export", "inspect"],
        &["export", "coverage"],
        &["export", "diff"],
        &["export", "cat"],
        &["export", "prove"],
        &["export", "verify-proof"],
        &["export", "profile"],
        &["keys"],
        &["keys", "generate"],
        &["keys", "import"],
        &["keys", "add"],
        &["keys", "add", "pkcs11"],
        &["keys", "add", "aws-kms"],
        &["keys", "add", "vault"],
        &["trust"],
    ];
    let mut all = String::new();
    for command in commands {
        let args: Vec<&str> = command.iter().copied().chain(["-h"]).collect();
        let help = stella.ok(&args);
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{command:?}: {line}");
        }
        // The global options are the same everywhere.
        let own = help.split("\nGlobal options:").next().unwrap_or_default();
        all += &format!("$ stella {}\n{own}\n", command.join(" "));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn bare_commands_show_help_and_exit_2() {
    let stella = Stella::new();
    let outcome = stella.run(&[]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert!(outcome.stderr.contains("Usage: stella"), "{}", outcome.stderr);
    let outcome = stella.run(&["export"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert!(outcome.stderr.contains("verify-proof"), "{}", outcome.stderr);
}
