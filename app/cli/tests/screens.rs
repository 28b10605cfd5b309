//! The main screens as people see them, with times, digests and sizes replaced.

mod common;

use common::Stella;

#[test]
fn from_nothing_to_a_bundle() {
    let stella = Stella::new();
    let samples = stella_testkit::samples();
    let samples = samples.to_str().expect("UTF-8").to_owned();
    let dest = stella.arg("bundle");
    let tar = stella.arg("bundle.tar");
    let steps: &[&[&str]] = &[
        &["ingest", "--feed", "acme", "--licence", "CC0-1.0", &samples],
        &["ingest", "--feed", "acme", "--dry-run", &samples],
        &["feeds", "list"],
        &["feeds", "show", "acme"],
        &["quarantine", "list"],
        &["export", "profile", "list"],
        &["export", "plan", "json:raw"],
        &["export", "run", "json:raw", "-d", &dest],
        &["keys", "list"],
        &["keys", "generate"],
        &["export", "run", "json:raw", "-d", &dest],
        &["export", "plan", "json:raw"],
        &["export", "run", "json:raw", "-d", &dest],
        &["export", "run", "mirror:full", "--carrier", "tar", "-d", &tar],
        &["export", "run", "json:raw", "-d", &dest, "--id", "CVE-2021-44228"],
        &["feeds", "remove", "acme", "--yes"],
    ];
    let mut screens = String::new();
    for args in steps {
        let shown = stella.normalise(&args.join(" ").replace(&samples, "samples"));
        let outcome = stella.run(&[*args, &["--progress", "none"]].concat());
        screens += &format!("$ stella {shown}\n{}\n", outcome.screen(&stella));
    }
    insta::assert_snapshot!(screens);
}
