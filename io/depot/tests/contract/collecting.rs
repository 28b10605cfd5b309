//! What nobody needs goes, what somebody needs stays.

use std::collections::BTreeSet;
use std::time::Duration;

use stella_depot::{BundleRecord, CollectionRules, Depot, MadeBundle, Roots};
use stella_model::Digest;

use crate::place::{Place, blob, bundle, bytes, keep_bundle, make_older, on_both};

/// Everything that is there is older than this.
const NOW: CollectionRules = CollectionRules { grace: Duration::ZERO, cache_bytes: 0 };

fn roots(bundles: &[&BundleRecord]) -> Roots {
    let bundles = bundles.iter().map(|bundle| bundle.identity()).collect();
    Roots { plans: BTreeSet::new(), bundles }
}

/// Lets time pass until nothing is younger than nothing.
fn wait(place: &Place) {
    make_older(&place.dir("one"), Duration::from_secs(1));
    if place.weed().is_some() {
        std::thread::sleep(Duration::from_millis(1100));
    }
}

fn is_whole(depot: &Depot, record: &BundleRecord) -> bool {
    depot.find::<BundleRecord>(&record.identity()).expect("looks").is_some()
        && record.files.iter().all(|file| depot.is_intact(&file.stored).expect("looks"))
}

#[test]
fn a_kept_bundle_stays_and_another_one_goes() {
    on_both(|place| {
        let one = place.machine("one");
        let (shared, own) = (bytes(1, 1000), bytes(2, 1000));
        let kept = keep_bundle(&one, &[&shared, b"kept"]);
        let released = keep_bundle(&one, &[&shared, &own]);
        let made = |bundle: &BundleRecord| MadeBundle {
            export_digest: Digest::of(b"export"),
            bundle: bundle.identity(),
        };
        for bundle in [&kept, &released] {
            one.keep(&Digest::of(bundle.identity().as_bytes()), &made(bundle)).expect("keeps");
        }
        let loose = one.put_blob(b"nobody names it").expect("keeps");
        wait(place);
        let first = one.collect(&roots(&[&kept]), &NOW).expect("collects");
        assert_eq!((first.records, first.blobs, first.unreadable), (2, 1, 0), "{first:?}");
        assert!(is_whole(&one, &kept));
        assert!(!place.has(&bundle(&released.identity())) && !place.has(&blob(&loose)));
        // What it named goes one collection later.
        let second = one.collect(&roots(&[&kept]), &NOW).expect("collects");
        assert_eq!((second.records, second.blobs, second.bytes), (0, 1, 1000), "{second:?}");
        assert!(is_whole(&place.machine("two"), &kept));
        assert_eq!(one.collect(&roots(&[&kept]), &NOW).expect("collects"), Default::default());
    });
}

#[test]
fn a_depot_is_collected_by_one_owner() {
    on_both(|place| {
        let [ours, theirs] = [b"ours", b"them"].map(|name| Digest::of(name));
        assert!(place.machine("one").claim(&ours).expect("asks"));
        assert!(!place.machine("two").claim(&theirs).expect("asks"));
        assert!(place.machine("two").claim(&ours).expect("asks"));
        assert!(place.of_tenant("one", "other").claim(&theirs).expect("asks"));
    });
}

#[test]
fn what_is_younger_than_the_grace_stays() {
    on_both(|place| {
        let one = place.machine("one");
        let record = keep_bundle(&one, &[b"young"]);
        let loose = one.put_blob(b"nobody names it yet").expect("keeps");
        let rules = CollectionRules { grace: Duration::from_secs(7200), cache_bytes: 0 };
        let collected = one.collect(&Roots::default(), &rules).expect("collects");
        assert_eq!(collected, Default::default());
        assert!(is_whole(&one, &record) && place.has(&blob(&loose)));
    });
}

#[test]
fn a_bundle_that_does_not_read_keeps_every_blob_until_it_is_forgotten() {
    on_both(|place| {
        let one = place.machine("one");
        let record = keep_bundle(&one, &[b"one"]);
        place.damage(&bundle(&record.identity()), Some(b"no record"));
        place.lose("one");
        wait(place);
        let collected = one.collect(&roots(&[&record]), &NOW).expect("collects");
        assert_eq!((collected.blobs, collected.unreadable), (0, 1), "{collected:?}");
        assert!(place.has(&blob(&record.files[0].stored)));
    });
}

#[test]
fn tenants_are_collected_one_by_one() {
    on_both(|place| {
        let (one, other) = (place.machine("one"), place.of_tenant("one", "other"));
        let record = keep_bundle(&other, &[b"of another tenant"]);
        wait(place);
        one.collect(&Roots::default(), &NOW).expect("collects");
        assert!(is_whole(&other, &record));
    });
}

#[test]
fn the_folder_is_collected_between_tasks_and_not_beside_them() {
    let dir = stella_testkit::temp_dir();
    let depot = Depot::at(dir.path(), &"acme".parse().expect("a tenant"));
    let loose = depot.put_blob(b"loose").expect("keeps");
    let path = depot.blob_path(&loose.digest);
    make_older(dir.path(), Duration::from_secs(1));
    let held = depot.hold().expect("holds");
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        assert!(path.exists(), "it is held");
        drop(held);
    });
    let collected = depot.collect(&Roots::default(), &NOW).expect("collects");
    release.join().expect("was held");
    assert_eq!((collected.blobs, collected.is_busy), (1, false));
}

#[test]
fn pruning_leaves_bundles_alone() {
    let dir = stella_testkit::temp_dir();
    let depot = Depot::at(dir.path(), &"acme".parse().expect("a tenant"));
    let record = keep_bundle(&depot, &[b"of a bundle"]);
    let loose = depot.put_blob(b"loose").expect("keeps");
    assert_eq!(depot.prune(0).expect("prunes").files, 1);
    assert!(is_whole(&depot, &record) && !depot.is_intact(&loose).expect("looks"));
}

#[test]
fn collections_beside_machines_that_keep_and_reuse_never_cost_a_bundle() {
    on_both(|place| {
        let rounds = stella_testkit::rounds(6, 60);
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let collector = place.machine("collector");
            let rules = CollectionRules { grace: Duration::from_secs(7200), cache_bytes: 0 };
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    collector.collect(&Roots::default(), &rules).expect("collects");
                }
            });
            let workers: Vec<_> = ["one", "two"]
                .into_iter()
                .map(|name| {
                    let depot = place.machine(name);
                    scope.spawn(move || {
                        for round in 0..rounds {
                            let seed = u8::try_from(round).expect("is small");
                            let _held = depot.hold().expect("holds");
                            let record = keep_bundle(&depot, &[&bytes(seed, 500), b"shared"]);
                            assert!(is_whole(&depot, &record), "round {round}");
                        }
                    })
                })
                .collect();
            let ended: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
            assert!(ended.iter().all(Result::is_ok), "they lose nothing");
        });
    });
}
