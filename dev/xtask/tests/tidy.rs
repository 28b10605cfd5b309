//! STYLE as tests: every rule of the repository that a program can check.

use stella_model::ErrorCode;
use stella_model::error::Retry;
use stella_records::RejectReason;
use stella_verify::Check;
use xtask::{Workspace, tidy, workspace};

/// The page that holds the table of error codes.
const CODES_PAGE: &str = "docs/modules/export-center/cli.md";

#[test]
fn the_repository_is_tidy() {
    let complaints = tidy::check(&repository());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn no_dependency_switches_on_what_changes_bytes() {
    let metadata = workspace::metadata(&workspace::root()).expect("cargo metadata");
    assert_eq!(tidy::resolved_features(&metadata), Vec::<String>::new());
}

#[test]
fn every_error_code_is_documented() {
    let codes: Vec<[String; 4]> = ErrorCode::ALL
        .iter()
        .map(|code| {
            let retry = match code.retry() {
                Retry::Never => "never",
                Retry::Later => "later",
            };
            [
                code.as_str().to_owned(),
                code.exit_code().to_string(),
                code.http_status().to_string(),
                retry.to_owned(),
            ]
        })
        .collect();
    let complaints = tidy::documented_codes(&repository(), CODES_PAGE, &codes);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_quarantine_reason_is_documented() {
    let mut reasons: Vec<&str> = RejectReason::ALL.iter().map(|reason| reason.as_str()).collect();
    for reason in stella_sources::Reason::ALL.iter().map(|reason| reason.as_str()) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let complaints =
        tidy::documented_words(&repository(), CODES_PAGE, "### Quarantine reasons", &reasons);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_check_of_verify_is_documented() {
    let page = "docs/modules/export-center/provenance-and-signing.md";
    let checks: Vec<&str> = Check::ALL.iter().map(|check| check.code()).collect();
    let complaints = tidy::documented_words(&repository(), page, "### Checks", &checks);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_test_of_the_hard_cases_is_there() {
    let files = repository();
    let page = files.file("docs/modules/export-center/trivy-judges.md").expect("the page");
    let (_, table) = page.text.split_once("## The hard cases").expect("the table");
    let mut cases = 0;
    for row in table.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let (_, tests) = row.trim_end_matches([' ', '|']).rsplit_once('|').expect("tests");
        cases += 1;
        for test in tests.split('`').skip(1).step_by(2) {
            let named = format!("    fn {test}()");
            let is_there = files.files().iter().any(|file| {
                file.text.contains(&named)
                    || file.text.contains(&format!("\n{}", named.trim_start()))
            });
            assert!(is_there, "{test}");
        }
    }
    assert_eq!(cases, 19);
}

#[test]
fn core_repeats_the_bans_of_the_root() {
    let root = "disallowed-methods = [{ path = \"a::b\", reason = \"x\" }, \"c::d\"]\nmax = 3";
    let cases = [
        (root, true),
        ("max = 3\ndisallowed-methods = [\"a::b\", \"c::d\", \"e::f\"]", true),
        ("max = 3\ndisallowed-methods = [\"a::b\"]", false),
        ("max = 4\ndisallowed-methods = [\"a::b\", \"c::d\"]", false),
        ("disallowed-methods = [\"a::b\", \"c::d\"]", false),
        ("not toml", false),
    ];
    for (core, tidy) in cases {
        let files = Workspace::of(&[("clippy.toml", root), ("core/clippy.toml", core)]);
        assert_eq!(tidy::ban_lists(&files).is_empty(), tidy, "{core}");
    }
}

#[test]
fn crates_inherit_from_the_workspace() {
    let root = ("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"forbid\"");
    let keys = "version.workspace = true\nedition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true";
    let good = format!("[package]\n{keys}\n[lints]\nworkspace = true");
    let cases = [
        (good.clone(), true),
        (good.replace("[lints]\nworkspace = true", ""), false),
        (good.replace("edition.workspace = true", "edition = \"2024\""), false),
    ];
    for (manifest, tidy) in cases {
        let files = Workspace::of(&[root, ("core/a/Cargo.toml", &manifest)]);
        assert_eq!(tidy::crate_manifests(&files).is_empty(), tidy, "{manifest}");
    }
    let lax = Workspace::of(&[("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"warn\"")]);
    assert_eq!(tidy::crate_manifests(&lax).len(), 1);
}

#[test]
fn zstd_is_pinned_exactly() {
    let lock = "[[package]]\nname = \"zstd-sys\"\nversion = \"2.1.3+zstd.1.5.7\"";
    let cases = [
        ("zstd-sys = \"=2.1.3\"", true),
        ("zstd-sys = { version = \"=2.1.3\", default-features = false }", true),
        ("zstd-sys = \"2.1.3\"", false),
        ("zstd-sys = \"=2.1.4\"", false),
        ("zstd = \"=2.1.3\"", false),
    ];
    for (dependency, tidy) in cases {
        let root = format!("[workspace.dependencies]\n{dependency}");
        let files = Workspace::of(&[("Cargo.toml", &root), ("Cargo.lock", lock)]);
        assert_eq!(tidy::pins(&files).is_empty(), tidy, "{dependency}");
    }
}

#[test]
fn source_rules_bite() {
    type Rule = fn(&Workspace) -> Vec<String>;
    let long = "\n".repeat(801);
    let unfinished =
        [concat!("// TO", "DO: later"), concat!("unimple", "mented!()"), concat!("#[ign", "ore]")];
    let places = [
        concat!("see ghcr", ".io/x"),
        concat!("cp /wo", "rk/x ."),
        concat!("\"/ro", "ot/x\""),
        concat!("(/Us", "ers/x)"),
    ];
    let mut cases: Vec<(Rule, &str, &str, bool)> = vec![
        (tidy::length, "core/a/src/lib.rs", &long, false),
        (tidy::length, "core/a/src/lib.rs", "fn a() {}", true),
        (tidy::module_docs, "core/a/src/b.rs", "//! What b is for.\n", true),
        (tidy::module_docs, "core/a/src/b.rs", "use a;\n", false),
        (tidy::module_docs, "core/a/tests/b.rs", "use a;\n", true),
        (tidy::headers, "io/a/src/b.rs", "// Copyright 2026 Somebody\n", false),
        (tidy::headers, "io/a/src/b.rs", "//! About copyright notices in NOTICE.md? No.\n", false),
        (tidy::headers, "io/a/src/b.rs", "//! Parts of a bundle.\n", true),
        (tidy::unfinished, "a.rs", "let todos = 1; // mastodon\n", true),
        (tidy::places, "a.md", "a framework/work/x path and crates.io\n", true),
    ];
    cases.extend(unfinished.map(|text| (tidy::unfinished as Rule, "a.rs", text, false)));
    cases.extend(places.map(|text| (tidy::places as Rule, "a.md", text, false)));
    for (rule, path, text, tidy) in cases {
        let complaints = rule(&Workspace::of(&[(path, text)]));
        assert_eq!(complaints.is_empty(), tidy, "{path}: {text:.60}: {complaints:?}");
    }
}

#[test]
fn links_lead_somewhere() {
    let cases = [
        ("see [b](b.md)", true),
        ("see [b](./b.md#part-one-a)", true),
        ("see [top](#top)", true),
        ("see [out](../c/d.rs)", true),
        ("see [folder](../c)", true),
        ("see [web](https://example.org/x)", true),
        ("see `[code](nowhere.md)`", true),
        ("```\n[code](nowhere.md)\n```", true),
        ("see [b](missing.md)", false),
        ("see [b](b.md#part-two)", false),
        ("see [b](#part-two)", false),
        ("see [b](../../../b.md)", false),
        ("[a](b.md) and [c](gone.md)", false),
    ];
    for (line, tidy) in cases {
        let page = format!("# Top\n\n{line}\n");
        let files = Workspace::of(&[
            ("docs/a.md", page.as_str()),
            ("docs/b.md", "## Part one: `a`\n"),
            ("c/d.rs", ""),
        ]);
        let complaints = tidy::links(&files);
        assert_eq!(complaints.is_empty(), tidy, "{line}: {complaints:?}");
    }
}

#[test]
fn the_changelog_says_whether_bundle_bytes_changed() {
    let cases = [
        ("# Changelog\n\n## 0.1.0\n\n**Bundle bytes:** new.\n", true),
        ("# Changelog\n\n## 0.2.0\n\nMore.\n\n## 0.1.0\n\n**Bundle bytes:** new.\n", false),
        ("# Changelog\n", false),
    ];
    for (text, tidy) in cases {
        let files = Workspace::of(&[("CHANGELOG.md", text)]);
        assert_eq!(tidy::changelog(&files).is_empty(), tidy, "{text}");
    }
    assert!(!tidy::changelog(&Workspace::of(&[])).is_empty());
}

#[test]
fn the_table_of_codes_is_compared_cell_by_cell() {
    let code = [["ERR_A", "2", "400", "never"].map(String::from)];
    let cases = [
        ("| `ERR_A` | 2 | 400 | never | Wrong use. |\n", true),
        ("| `ERR_A` | 3 | 400 | never | Wrong use. |\n", false),
        ("| `ERR_A` | 2 | 400 | never | x |\n| `ERR_B` | 2 | 400 | never | x |\n", false),
        ("ERR_A\n", false),
    ];
    for (text, tidy) in cases {
        let files = Workspace::of(&[("cli.md", text)]);
        let complaints = tidy::documented_codes(&files, "cli.md", &code);
        assert_eq!(complaints.is_empty(), tidy, "{text}: {complaints:?}");
    }
}

fn repository() -> Workspace {
    Workspace::read(&workspace::root()).expect("the repository is readable")
}
