//! ARCHITECTURE, "Arrows": the crates depend on each other in one direction.

use xtask::arrows::{self, CORE_MAY_USE, Crate, Use};
use xtask::workspace;

#[test]
fn the_workspace_keeps_its_arrows() {
    let metadata = workspace::metadata(&workspace::root()).expect("cargo metadata");
    let crates = arrows::crates(&metadata);
    assert!(crates.len() > 10, "{crates:?}");
    let complaints = arrows::check(&crates);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_allow_list_of_core_holds_nothing_unused_twice_or_unsorted() {
    assert!(CORE_MAY_USE.is_sorted());
    let metadata = workspace::metadata(&workspace::root()).expect("cargo metadata");
    let used: Vec<String> = arrows::crates(&metadata)
        .into_iter()
        .filter(|c| c.folder.starts_with("core/"))
        .flat_map(|c| c.dependencies.into_iter().map(|(name, _)| name))
        .collect();
    for name in CORE_MAY_USE {
        assert!(used.iter().any(|u| u == name), "{name} is on the list and used nowhere in core");
    }
}

#[test]
fn wrong_arrows_are_named() {
    let cases: &[(&str, &str, Use, bool)] = &[
        ("core/plan", "core/model", Use::Product, true),
        ("core/model", "core/plan", Use::Product, false),
        ("core/model", "core/plan", Use::Tests, false),
        ("core/verify", "core/manifest", Use::Product, true),
        ("core/verify", "core/pack", Use::Product, false),
        ("core/verify", "core/pack", Use::Tests, true),
        ("core/pack", "core/manifest", Use::Product, false),
        ("core/pack", "io/depot", Use::Product, false),
        ("core/pack", "app/engine", Use::Product, false),
        ("core/pack", "dev/testkit", Use::Product, false),
        ("core/pack", "dev/testkit", Use::Tests, true),
        ("core/pack", "formats/bolt", Use::Product, true),
        ("formats/bolt", "core/model", Use::Product, false),
        ("io/ledger", "core/records", Use::Product, true),
        ("io/ledger", "io/depot", Use::Product, false),
        ("io/ledger", "io/depot", Use::Tests, false),
        ("io/ledger", "app/engine", Use::Product, false),
        ("app/cli", "app/engine", Use::Product, true),
        ("app/engine", "io/ledger", Use::Product, true),
        ("app/engine", "dev/bench", Use::Product, false),
        ("dev/bench", "app/engine", Use::Product, true),
    ];
    for (from, to, used, allowed) in cases {
        let crates = [make(from, &[(&name(to), *used)]), make(to, &[])];
        assert_eq!(arrows::check(&crates).is_empty(), *allowed, "{from} -> {to} in {used:?}");
    }
}

#[test]
fn wrong_names_and_foreign_crates_are_named() {
    let foreign = |folder, dependency| vec![make(folder, &[(dependency, Use::Product)])];
    let cases: &[(Vec<Crate>, bool)] = &[
        (foreign("core/model", "aws-lc-rs"), true),
        (foreign("core/model", "rand"), false),
        (foreign("core/model", "tokio"), false),
        (foreign("io/ledger", "rusqlite"), true),
        (vec![make("core/common", &[])], false),
        (vec![make("io/utils", &[])], false),
        (vec![make("app/shared", &[])], false),
        (vec![make("core/novelty", &[])], false),
        (vec![make("misc/thing", &[])], false),
        (vec![Crate { name: "other".into(), ..make("io/ledger", &[]) }], false),
        (vec![Crate { name: "xtask".into(), ..make("dev/xtask", &[]) }], true),
    ];
    for (crates, allowed) in cases {
        let complaints = arrows::check(crates);
        assert_eq!(complaints.is_empty(), *allowed, "{crates:?}: {complaints:?}");
    }
}

fn make(folder: &str, dependencies: &[(&str, Use)]) -> Crate {
    let dependencies = dependencies.iter().map(|(n, used)| ((*n).to_owned(), *used)).collect();
    Crate { folder: folder.to_owned(), name: name(folder), dependencies }
}

fn name(folder: &str) -> String {
    format!("stella-{}", folder.rsplit('/').next().expect("a last segment"))
}
