//! `kill -9` at random points: the store opens, nothing committed is lost, the next run gives the
//! same bytes, and no partial bundle is ever at its destination (INV-ATOMIC).

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use stella_testkit::{Osv, rounds, temp_dir};
use support::{Entry, Random, Stella, exists, listing, same_files};
use tempfile::TempDir;

/// Seeds of the moments; change them and other moments are tried.
const INGEST_SEED: u64 = 1;
const REPLACE_SEED: u64 = 2;
const EXPORT_SEED: u64 = 3;

/// Documents of the feed that is being ingested when the program dies.
const DOCUMENTS: usize = 4_000;

/// Takes in the second feed.
const SECOND: [&str; 4] = ["ingest", "--feed", "second", "second.jsonl"];

fn documents(prefix: &str, count: usize, modified: &str) -> Vec<u8> {
    let one = |number: usize| {
        let id = format!("{prefix}-{number:05}");
        Osv::new(&id).modified(modified).affects("npm", &id, "1.0.0").padded(2_500).bytes()
    };
    (0..count).map(one).collect::<Vec<_>>().join(&b'\n')
}

/// A store with a key and one ingested feed, and the input of a second feed.
fn prepared() -> Stella {
    let stella = Stella::new();
    stella.file("first.jsonl", documents("FIRST", 300, "2026-01-01T00:00:00Z"));
    stella.file("second.jsonl", documents("SECOND", DOCUMENTS, "2026-01-02T00:00:00Z"));
    stella.run(&["keys", "generate", "crash"]).expect(0);
    stella.run(&["ingest", "--feed", "first", "first.jsonl"]).expect(0);
    stella
}

/// A copy of the store as it is, to begin again with, and the folder that holds it.
fn set_aside(stella: &Stella) -> (TempDir, PathBuf) {
    let kept = temp_dir();
    let before = kept.path().join("store");
    let spare = Stella::new();
    spare.take_store(stella.store());
    fs::rename(spare.store(), &before).expect("the store can be moved");
    (kept, before)
}

fn records(stella: &Stella, feed: &str) -> u64 {
    let list = stella.json(&["feeds", "list"]);
    let feeds = list["items"].as_array().expect("a list").clone();
    let found = feeds.iter().find(|entry| entry["name"] == feed);
    let records = found.and_then(|entry| entry["records"].as_object());
    records.map_or(0, |kinds| kinds.values().filter_map(Value::as_u64).sum())
}

fn export(stella: &Stella, name: &str) -> Vec<Entry> {
    let bundle = stella.path(name);
    stella.run(&run_to(name)).expect(0);
    listing(&bundle)
}

fn run_to(name: &str) -> [&str; 7] {
    ["export", "run", "mirror:full", "-d", name, "--key", "crash"]
}

/// Kills `arguments` at a random moment of up to a little more than its usual time.
fn kill_somewhere(
    stella: &Stella,
    arguments: &[&str],
    usual: Duration,
    random: &mut Random,
) -> bool {
    let micros = u64::try_from(usual.as_micros()).expect("less than an age");
    let after = Duration::from_micros(random.below(micros + micros / 10));
    stella.start(arguments).kill(after)
}

/// What lies beside a destination and is not the destination.
fn beside(folder: &Path, name: &str) -> Vec<String> {
    fs::read_dir(folder)
        .expect("the folder of the test")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|entry| entry.contains(name) && entry != name)
        .collect()
}

#[test]
fn kill_during_ingest_loses_nothing_and_changes_nothing() {
    let stella = prepared();
    let (_kept, before) = set_aside(&stella);

    let usual = stella.run(&SECOND).expect(0).took;
    let expected = export(&stella, "expected");
    let mut random = Random::new(INGEST_SEED);
    let (mut killed, mut whole) = (0, 0);
    for round in 0..rounds(10, 100) {
        stella.take_store(&before);
        killed += u32::from(kill_somewhere(&stella, &SECOND, usual, &mut random));
        assert_eq!(records(&stella, "first"), 300, "round {round}: what was committed");
        let second = records(&stella, "second");
        assert!([0, DOCUMENTS as u64].contains(&second), "round {round}: {second} records");
        whole += u32::from(second != 0);
        stella.run(&SECOND).expect(0);
        let name = format!("bundle-{round}");
        same_files(&export(&stella, &name), &expected, &format!("round {round}"));
        fs::remove_dir_all(stella.path(&name)).expect("the bundle can be removed");
    }
    assert!(killed > 0, "every round was over before its end; {whole} whole");
}

#[test]
fn kill_during_replace_leaves_the_old_or_the_new_feed() {
    let stella = prepared();
    stella.run(&SECOND).expect(0);
    let (_kept, before) = set_aside(&stella);

    // Another revision of half the feed; the other half vanishes.
    stella.file("half.jsonl", documents("SECOND", DOCUMENTS / 2, "2026-01-03T00:00:00Z"));
    let replace = [
        "ingest",
        "--feed",
        "second",
        "--replace",
        "--accept-drop",
        "--reason",
        "test",
        "half.jsonl",
    ];
    let old = export(&stella, "old");
    let usual = stella.run(&replace).expect(0).took;
    let new = export(&stella, "new");
    let mut random = Random::new(REPLACE_SEED);
    for round in 0..rounds(4, 40) {
        stella.take_store(&before);
        kill_somewhere(&stella, &replace, usual, &mut random);
        let name = format!("bundle-{round}");
        match records(&stella, "second") {
            count if count == DOCUMENTS as u64 => {
                same_files(&export(&stella, &name), &old, &format!("round {round}, old"));
            }
            count => {
                assert_eq!(count, DOCUMENTS as u64 / 2, "round {round}");
                same_files(&export(&stella, &name), &new, &format!("round {round}, new"));
            }
        }
        fs::remove_dir_all(stella.path(&name)).expect("the bundle can be removed");
        stella.run(&replace).expect(0);
        assert_eq!(records(&stella, "second"), DOCUMENTS as u64 / 2, "round {round}");
    }
}

#[test]
fn kill_during_export_leaves_no_partial_bundle() {
    let stella = prepared();
    stella.run(&SECOND).expect(0);
    let (_kept, before) = set_aside(&stella);

    let folder = ["export", "run", "mirror:full", "--key", "crash", "-d", "bundle"];
    let tar = [&folder[..6], &["bundle.tar", "--carrier", "tar"]].concat();
    let mut expected = Vec::new();
    for arguments in [&folder[..], &tar[..]] {
        stella.take_store(&before);
        let usual = stella.run(arguments).expect(0).took;
        expected.push((usual, listing(&stella.path(arguments[6]))));
        remove(&stella.path(arguments[6]));
    }
    let mut random = Random::new(EXPORT_SEED);
    let mut killed = 0;
    for round in 0..rounds(6, 60) {
        let (arguments, (usual, files)) =
            if round % 2 == 0 { (&folder[..], &expected[0]) } else { (&tar[..], &expected[1]) };
        let (name, bundle) = (arguments[6], stella.path(arguments[6]));
        // Every third round goes on with the depot that the last one left behind.
        if round % 3 != 2 {
            stella.take_store(&before);
        }
        killed += u32::from(kill_somewhere(&stella, arguments, *usual, &mut random));
        if exists(&bundle) {
            same_files(&listing(&bundle), files, &format!("round {round}: after the kill"));
        }
        assert_eq!(records(&stella, "second"), DOCUMENTS as u64, "round {round}");
        stella.run(arguments).expect(0);
        same_files(&listing(&bundle), files, &format!("round {round}: the next run"));
        let left = beside(&stella.path("."), name);
        let left: Vec<_> = left.iter().filter(|entry| entry.contains("partial")).collect();
        assert!(left.is_empty(), "round {round}: {left:?} lies beside the bundle");
        remove(&bundle);
    }
    assert!(killed > 0, "every round was over before its end");
}

fn remove(bundle: &Path) {
    if bundle.is_dir() {
        fs::remove_dir_all(bundle).expect("the bundle can be removed");
    } else {
        fs::remove_file(bundle).expect("the bundle can be removed");
    }
}
