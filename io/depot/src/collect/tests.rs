use stella_model::TenantId;

use super::*;
use crate::{Bucket, Kept as _, PartRecord, StoredFile};

/// Seconds since the beginning.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn entry(name: &str, size: u64, used: u64) -> Entry {
    Entry { name: name.to_owned(), size, used: at(used) }
}

/// Blobs of 100 bytes each, by name and last use.
fn blobs(blobs: &[(&str, u64)]) -> BTreeMap<Digest, Entry> {
    let blob = |(name, used): &(&str, u64)| {
        let digest = Digest::of(name.as_bytes());
        (digest, entry(name, 100, *used))
    };
    blobs.iter().map(blob).collect()
}

fn record(name: &str, used: u64, blobs: &[&str]) -> Record {
    let file = |blob: &&str| StoredFile { digest: Digest::of(blob.as_bytes()), size: 100 };
    let files = Some(blobs.iter().map(file).collect());
    Record { entry: entry(name, 10, used), key: Digest::of(name.as_bytes()), files }
}

/// What goes at 1000, with a grace of 100: records, then blobs.
fn going(survey: &Survey, kept: &[&str], cache_bytes: u64) -> (Vec<String>, Vec<String>) {
    let keys = |names: &[&str]| names.iter().map(|name| Digest::of(name.as_bytes())).collect();
    let roots = Roots { plans: keys(kept), bundles: keys(kept) };
    let rules = CollectionRules { grace: Duration::from_secs(100), cache_bytes };
    let decided = decide(survey, &roots, &rules, at(1000));
    let mut names = [decided.records, decided.blobs]
        .map(|list| list.into_iter().map(|entry| entry.name).collect::<Vec<_>>());
    names.iter_mut().for_each(|names| names.sort());
    let [records, blobs] = names;
    (records, blobs)
}

#[test]
fn plans_and_bundles_go_when_no_root_names_them_and_they_are_old() {
    let plan = |name: &str, used| (Digest::of(name.as_bytes()), entry(name, 10, used));
    let survey = Survey {
        plans: vec![plan("old plan", 1), plan("young plan", 901), plan("live plan", 1)],
        bundles: vec![
            record("old", 900, &["a"]),
            record("young", 901, &["b"]),
            record("kept", 1, &["c"]),
        ],
        made: ["old", "young", "kept", "lost"]
            .map(|name| (entry(&format!("made {name}"), 1, 1), Some(Digest::of(name.as_bytes()))))
            .to_vec(),
        blobs: blobs(&[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 950)]),
        caches: Vec::new(),
    };
    let (records, blobs) = going(&survey, &["kept", "live plan"], 0);
    assert_eq!(records, ["made lost", "made old", "old", "old plan"]);
    // `a` is still named by a record that goes only now, `e` is young.
    assert_eq!(blobs, ["d"]);
}

#[test]
fn of_the_cache_the_least_recently_used_goes_and_what_a_bundle_has_does_not_count() {
    let survey = Survey {
        blobs: blobs(&[("a", 1), ("b", 2), ("c", 3), ("d", 950), ("of a bundle", 1)]),
        bundles: vec![record("kept", 1, &["of a bundle"])],
        caches: vec![
            record("first", 1, &["a", "of a bundle"]),
            record("used again", 500, &["b"]),
            record("third", 3, &["c"]),
            record("young", 1, &["d"]),
            record("hollow", 1, &["gone"]),
            record("young and hollow", 990, &["gone"]),
        ],
        ..Survey::default()
    };
    let gone = |cache_bytes| going(&survey, &["kept"], cache_bytes).0;
    assert_eq!(gone(400), ["hollow"]);
    assert_eq!(gone(300), ["first", "hollow"]);
    assert_eq!(gone(200), ["first", "hollow", "third"]);
    // What a run of these minutes made stays, whatever the limit.
    assert_eq!(gone(0), ["first", "hollow", "third", "used again"]);
    assert!(going(&survey, &["kept"], 0).1.is_empty(), "blobs follow when their records are gone");
}

#[test]
fn a_blob_that_two_parts_share_counts_once_and_is_freed_by_the_second() {
    let survey = Survey {
        blobs: blobs(&[("shared", 1), ("own", 1)]),
        caches: vec![record("one", 1, &["shared"]), record("two", 2, &["shared", "own"])],
        ..Survey::default()
    };
    let gone = |cache_bytes| going(&survey, &[], cache_bytes).0;
    assert_eq!(gone(200), [""; 0]);
    assert_eq!(gone(199), ["one", "two"]);
}

#[test]
fn a_bundle_that_does_not_read_keeps_every_blob() {
    let unreadable = Record { files: None, ..record("kept", 1, &[]) };
    let survey =
        Survey { blobs: blobs(&[("a", 1)]), bundles: vec![unreadable], ..Survey::default() };
    assert!(going(&survey, &["kept"], 0).1.is_empty());
    assert_eq!(going(&survey, &[], 0), (vec!["kept".to_owned()], vec!["a".to_owned()]));
}

#[test]
fn a_clock_that_goes_backwards_removes_nothing() {
    let survey = Survey {
        blobs: blobs(&[("a", 2000)]),
        bundles: vec![record("bundle", 2000, &["a"])],
        ..Survey::default()
    };
    assert_eq!(going(&survey, &[], 0), (Vec::new(), Vec::new()));
}

/// What a collection decides in a bucket hours from now, when nobody counts on anything any more.
fn decided(depot: &Depot) -> Decided {
    let rules = CollectionRules { grace: CollectionRules::SHORTEST_GRACE, cache_bytes: 0 };
    let survey = Survey::of(&shelf(depot)).expect("looks");
    decide(&survey, &Roots::default(), &rules, SystemTime::now() + rules.grace)
}

fn shelf(depot: &Depot) -> Shared<'_> {
    let objects = depot.objects.as_ref().expect("it is in a bucket");
    Shared { depot, objects, copies: Copies::WillDo }
}

#[test]
fn what_a_collection_took_out_is_made_again_beside_the_next_one() {
    let (dir, bucket) = (tempfile::tempdir().expect("a folder"), Bucket::where_hours_pass());
    let machine = |name: &str| {
        Depot::shared(&dir.path().join(name), &TenantId::local(), &bucket.for_another())
    };
    let key = Digest::of(b"key");
    let make = |depot: &Depot| {
        let [data, index] =
            [&b"data"[..], b"index"].map(|bytes| depot.put_blob(bytes).expect("keeps"));
        let record = PartRecord::for_test(data, index);
        depot.keep(&key, &record).expect("keeps");
        record
    };
    let collector = machine("collector");
    let record = make(&collector);
    let found = machine("worker").find::<PartRecord>(&key).expect("looks");
    assert_eq!(found.as_ref(), Some(&record), "it has a copy of the record from now on");
    assert_eq!(machine("worker").reuse(&key).expect("looks"), found, "the bucket has it");
    let first = decided(&collector).carry_out(&shelf(&collector)).expect("collects");
    assert_eq!((first.records, first.blobs), (1, 0));
    // The next one has looked at everything: nothing names the blobs, and they are old.
    let next = decided(&collector);
    assert_eq!((next.records.len(), next.blobs.len()), (0, 2));
    let worker = machine("worker");
    assert_eq!(worker.reuse::<PartRecord>(&key).expect("looks"), None);
    assert!(!worker.record_path::<PartRecord>(&key).exists(), "the copy is gone too");
    assert_eq!(make(&worker), record);
    let second = next.carry_out(&shelf(&collector)).expect("collects");
    assert_eq!((second.records, second.blobs), (0, 0), "the blobs were used meanwhile");
    let other = machine("other");
    assert_eq!(other.reuse(&key).expect("looks"), Some(record.clone()));
    for file in record.files() {
        assert!(other.is_intact(&file).expect("looks"));
    }
}
