//! The original bbolt as the judge of our files, and its files as input.

use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use stella_bolt::{Database, Limits};
use stella_peers::bolt_judge;

use crate::random;
use crate::shapes::{self, Shape, dump, file, listing, open, pages};

/// Runs the judge and gives what it prints.
fn judge(program: &Path, words: &[&str], path: &Path) -> String {
    let (command, rest) = words.split_first().expect("a command");
    let output = Command::new(program).arg(command).arg(path).args(rest).output();
    let output = output.expect("the judge starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
    String::from_utf8(output.stdout).expect("a listing")
}

/// bbolt checks a file, lists what we wrote, edits it, and we read what it made of it.
fn judge_file(program: &Path, path: &Path, shape: &Shape, rounds: usize) {
    let name = &shape.name;
    fs::write(path, file(&shape.root, shape.page_size)).expect("a temporary file");
    judge(program, &["check"], path);
    assert!(judge(program, &["dump"], path) == listing(&shape.root), "{name}: another content");
    for seed in 0..stella_testkit::rounds(1, 5) {
        judge(program, &["edit", &seed.to_string(), &rounds.to_string()], path);
        same_as_the_judge(program, path, name);
    }
}

fn same_as_the_judge(program: &Path, path: &Path, name: &str) {
    let bytes = fs::read(path).expect("a temporary file");
    let database = open(&bytes);
    let report = database.check().unwrap_or_else(|error| panic!("{name}: {error:?}"));
    assert_eq!(report.valid_metas, [true, true], "{name}");
    assert!(report.transaction > 1 || name.starts_with("fresh"), "{name}: nothing was edited");
    let same = dump(&database).expect("it was checked") == judge(program, &["dump"], path);
    assert!(same, "{name}: read differently");
}

#[test]
fn peer_bbolt_checks_lists_and_edits_every_shape() {
    let Some(program) = bolt_judge() else { return };
    let folder = stella_testkit::temp_dir();
    let path = folder.path().join("shape.db");
    for shape in shapes::all() {
        judge_file(&program, &path, &shape, 20);
    }
}

#[test]
fn peer_bbolt_checks_lists_and_edits_random_files() {
    let Some(program) = bolt_judge() else { return };
    let folder = stella_testkit::temp_dir();
    let path = folder.path().join("random.db");
    let mut runner = TestRunner::deterministic();
    for number in 0..stella_testkit::rounds(40, 1000) {
        let root = random::bucket().new_tree(&mut runner).expect("a content").current();
        let size = [1024, 2048, 4096, 16_384][number % 4];
        let name = format!("random content {number}");
        judge_file(&program, &path, &Shape { name, page_size: pages(size), root }, 20);
    }
}

#[test]
fn peer_bbolt_opens_a_file_with_one_bad_meta_page() {
    let Some(program) = bolt_judge() else { return };
    let folder = stella_testkit::temp_dir();
    let path = folder.path().join("meta.db");
    let root = shapes::one(shapes::pairs(100, 20, 96));
    for bad in [0, 1] {
        let mut bytes = file(&root, pages(4096));
        bytes[bad * 4096 + 30] ^= 1;
        fs::write(&path, bytes).unwrap();
        judge(&program, &["check"], &path);
        assert!(judge(&program, &["dump"], &path) == listing(&root));
    }
}

#[test]
fn peer_files_of_bbolt_are_read() {
    let Some(program) = bolt_judge() else { return };
    let folder = stella_testkit::temp_dir();
    for size in [1024_usize, 2048, 4096, 16_384, 65_536] {
        for kind in ["fresh", "edited", "nofreelist"] {
            let name = format!("{kind} with pages of {size}");
            let path = folder.path().join(format!("{kind}-{size}.db"));
            judge(&program, &["make", kind, &size.to_string()], &path);
            same_as_the_judge(&program, &path, &name);
            let bytes = fs::read(&path).unwrap();
            let report = open(&bytes).check().unwrap();
            assert_eq!(report.free_pages > 0, kind != "fresh", "{name}: {report:?}");

            // Of two valid meta pages the later counts; without it, the one before.
            let newest = report.transaction;
            let mut older = bytes.clone();
            older[(newest % 2) as usize * size + 40] ^= 1;
            fs::write(&path, &older).unwrap();
            let database = Database::open(&older[..], Limits::DEFAULT).unwrap();
            assert_eq!(database.check().unwrap().transaction, newest - 1, "{name}");
            assert!(dump(&database).unwrap() == judge(&program, &["dump"], &path), "{name}");
        }
    }
}
