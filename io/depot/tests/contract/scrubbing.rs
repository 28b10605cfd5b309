//! Damage is found, named, and made good.

use stella_depot::{BundleRecord, Damage, Repair, Roots};

use crate::place::{blob, bundle, keep_bundle, on_both};

#[test]
fn every_damage_is_named_with_what_needs_it_and_forgotten() {
    on_both(|place| {
        let one = place.machine("one");
        let record = keep_bundle(&one, &[b"one", b"two", b"three"]);
        let good = keep_bundle(&one, &[b"three", b"four"]);
        let whole = one.scrub(&Roots::default(), Repair::No).expect("scrubs");
        assert_eq!((whole.blobs, whole.bytes, whole.damaged.len()), (4, 15, 0));
        place.damage(&blob(&record.files[0].stored), Some(b"eno"));
        place.damage(&blob(&record.files[1].stored), None);
        place.lose("one");
        let found = one.scrub(&Roots::default(), Repair::No).expect("scrubs");
        let named = |at: usize, damage| {
            let file = &record.files[at].stored;
            let of = found.damaged.iter().find(|one| one.name.contains(&file.digest.to_string()));
            let of = of.unwrap_or_else(|| panic!("{found:?}"));
            assert_eq!((of.damage, of.size), (damage, Some(file.size)));
            assert_eq!(of.needed_by, [bundle(&record.identity())]);
        };
        named(0, Damage::Changed);
        named(1, Damage::Missing);
        assert_eq!(found.damaged.len(), 2);
        assert_eq!(one.scrub(&Roots::default(), Repair::Forget).expect("scrubs"), found);
        assert!(!place.has(&bundle(&record.identity())));
        assert!(one.find::<BundleRecord>(&good.identity()).expect("looks").is_some());
        assert!(one.scrub(&Roots::default(), Repair::No).expect("scrubs").damaged.is_empty());
        // A bundle that is still counted on is missed.
        let roots = Roots { bundles: [record.identity()].into(), ..Roots::default() };
        let missed = one.scrub(&roots, Repair::No).expect("scrubs").damaged;
        assert_eq!((missed.len(), missed[0].damage), (1, Damage::Missing));
        // Made again, it is as it was.
        assert_eq!(keep_bundle(&one, &[b"one", b"two", b"three"]), record);
        assert!(one.scrub(&roots, Repair::No).expect("scrubs").damaged.is_empty());
    });
}

#[test]
fn a_record_that_does_not_read_is_named_and_forgotten() {
    on_both(|place| {
        let one = place.machine("one");
        let record = keep_bundle(&one, &[b"one"]);
        let name = bundle(&record.identity());
        place.damage(&name, Some(b"no record"));
        let found = one.scrub(&Roots::default(), Repair::Forget).expect("scrubs").damaged;
        assert_eq!((found.len(), found[0].damage), (1, Damage::Changed));
        assert!(found[0].name.ends_with(&name), "{found:?}");
        assert!(!place.has(&name));
        assert!(one.scrub(&Roots::default(), Repair::No).expect("scrubs").damaged.is_empty());
    });
}

#[test]
fn a_good_copy_of_a_machine_mends_the_bucket_at_once() {
    crate::place::in_bucket(|place| {
        let one = place.machine("one");
        let record = keep_bundle(&one, &[b"one"]);
        place.damage(&blob(&record.files[0].stored), Some(b"eno"));
        assert_eq!(one.scrub(&Roots::default(), Repair::Forget).expect("scrubs").damaged.len(), 1);
        let two = place.machine("two");
        assert!(two.is_intact(&record.files[0].stored).expect("looks"));
        assert!(two.find::<BundleRecord>(&record.identity()).expect("looks").is_some());
    });
}
