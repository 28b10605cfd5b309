//! Blobs and records: kept by one machine, found by another.

use std::io::Read as _;

use stella_depot::{BundleRecord, Depot, KeptBundle, MadeBundle, StoredFile, VirtualTar};
use stella_model::{Digest, ErrorCode};

use crate::place::{Place, blob, bytes, in_bucket, keep_bundle, on_both};

/// Larger than what is sent and asked for at once.
const LARGE: usize = (17 << 20) + 5;

fn read(depot: &Depot, file: &StoredFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    depot.open(file).expect("opens").read_to_end(&mut bytes).expect("reads");
    bytes
}

#[test]
fn what_one_machine_keeps_another_one_finds() {
    on_both(|place| {
        let (one, other) = (place.machine("one"), place.machine("other"));
        let (small, large) = (bytes(1, 1000), bytes(2, LARGE));
        let record = keep_bundle(&one, &[&small, &large, b""]);
        let key = record.identity();
        let found: Option<BundleRecord> = other.find(&key).expect("looks");
        assert_eq!(found.as_ref(), Some(&record));
        assert_eq!(other.reuse(&key).expect("looks"), found);
        for (file, expected) in record.files.iter().zip([&small[..], &large, b""]) {
            assert!(other.is_intact(&file.stored).expect("looks"));
            assert_eq!(read(&other, &file.stored), expected);
            // Now from the folder of this machine.
            assert_eq!(read(&other, &file.stored), expected);
        }
        assert_eq!(other.find::<MadeBundle>(&key).expect("looks"), None);
        let nothing = Digest::of(b"nothing");
        assert_eq!(other.find::<BundleRecord>(&nothing).expect("looks"), None);
    });
}

#[test]
fn a_blob_that_is_written_in_pieces_or_arrives_is_shared_too() {
    on_both(|place| {
        use std::io::Write as _;
        let (one, other) = (place.machine("one"), place.machine("other"));
        let large = bytes(3, LARGE);
        let mut writer = one.blob_writer().expect("begins");
        large.chunks(1 << 20).for_each(|piece| writer.write_all(piece).expect("writes"));
        let stored = writer.finish().expect("keeps");
        assert_eq!(read(&other, &stored), large);
        let expected = StoredFile::of(b"some bytes");
        let mut arriving = one.arriving(&expected).expect("begins");
        arriving.take(b"some bytes").expect("takes");
        arriving.finish().expect("keeps");
        assert_eq!(read(&other, &expected), b"some bytes");
    });
}

#[test]
fn the_tar_is_served_by_a_machine_that_has_nothing() {
    on_both(|place| {
        let record = keep_bundle(&place.machine("one"), &[&bytes(1, 700), &bytes(2, LARGE)]);
        let tar = |name: &str| VirtualTar::new(place.machine(name), &record).expect("is small");
        let mut whole = Vec::new();
        tar("one").reader(0..u64::MAX).read_to_end(&mut whole).expect("reads");
        let size = whole.len() as u64;
        for range in [0..size, 100..900, 5_000_000..15_000_000, size - 3..size, 8 << 20..9 << 20] {
            let mut part = Vec::new();
            tar("two").reader(range.clone()).read_to_end(&mut part).expect("reads");
            let at = |at: u64| usize::try_from(at).expect("is small");
            assert!(part == whole[at(range.start)..at(range.end)], "{range:?}");
        }
        let three = place.machine("three");
        let bundle = KeptBundle::new(three.clone(), record.clone());
        let stored = bundle.stored(&record.files[1].name).expect("is there");
        let mut part = Vec::new();
        three.reader(&stored, 9..20).read_to_end(&mut part).expect("reads");
        assert_eq!(part, bytes(2, LARGE)[9..20]);
    });
}

#[test]
fn tenants_do_not_see_each_other() {
    on_both(|place| {
        let stored = place.machine("one").put_blob(b"bytes").expect("keeps");
        let other = place.of_tenant("one", "other");
        assert!(!other.is_intact(&stored).expect("looks"));
        assert!(other.open(&stored).is_err());
        let record = keep_bundle(&place.machine("one"), &[b"bytes"]);
        assert_eq!(other.find::<BundleRecord>(&record.identity()).expect("looks"), None);
    });
}

#[test]
fn a_machine_that_lost_its_folder_goes_on() {
    in_bucket(|place| {
        let record = keep_bundle(&place.machine("one"), &[b"one", b"two"]);
        place.lose("one");
        let one = place.machine("one");
        assert!(one.reuse::<BundleRecord>(&record.identity()).expect("looks").is_some());
        assert_eq!(read(&one, &record.files[0].stored), b"one");
        place.lose("one");
        assert_eq!(one.put_blob(b"one").expect("keeps"), record.files[0].stored);
    });
}

#[test]
fn copies_that_were_not_used_lately_are_trimmed_and_fetched_again() {
    in_bucket(|place| {
        let one = place.machine("one");
        let files: Vec<StoredFile> =
            (0..4).map(|seed| one.put_blob(&bytes(seed, 1000)).expect("keeps")).collect();
        assert_eq!(one.trim(0).expect("trims").files, 0, "all of them were just used");
        crate::place::make_older(&place.dir("one"), std::time::Duration::from_secs(7200));
        read(&one, &files[2]);
        assert_eq!(one.trim(1500).expect("trims").files, 3);
        for (seed, file) in (0..).zip(&files) {
            assert_eq!(read(&one, file), bytes(seed, 1000));
        }
    });
}

/// Damages a blob and tells what is read of it by a machine that has no copy.
fn damaged(place: &Place, file: &StoredFile, bytes: Option<&[u8]>) -> ErrorCode {
    place.damage(&blob(file), bytes);
    let fresh = place.machine("fresh");
    place.lose("fresh");
    assert!(!fresh.is_intact(file).expect("looks"));
    fresh.open(file).expect_err("is damaged").code()
}

#[test]
fn a_damaged_object_is_an_error_that_names_it_and_is_never_cached() {
    in_bucket(|place| {
        let one = place.machine("one");
        let file = one.put_blob(b"some bytes").expect("keeps");
        for wrong in [Some(&b"some bytez"[..]), Some(b"some"), Some(b""), None] {
            assert_eq!(damaged(place, &file, wrong), ErrorCode::DigestMismatch, "{wrong:?}");
        }
        place.damage(&blob(&file), Some(b"some bytez"));
        let error = place.machine("fresh").open(&file).expect_err("is damaged");
        assert!(error.to_string().contains(&file.digest.to_string()), "{error}");
        assert!(!place.dir("fresh").join(blob(&file)).exists());
    });
}

#[test]
fn what_is_damaged_is_forgotten_and_kept_again() {
    on_both(|place| {
        let one = place.machine("one");
        let record = keep_bundle(&one, &[b"one", b"two"]);
        let key = record.identity();
        assert!(!one.forget_damaged::<BundleRecord>(&key).expect("looks"));
        place.damage(&blob(&record.files[0].stored), Some(b"eno"));
        assert!(one.forget_damaged::<BundleRecord>(&key).expect("looks"));
        place.lose("two");
        let two = place.machine("two");
        assert_eq!(two.find::<BundleRecord>(&key).expect("looks"), None);
        assert_eq!(keep_bundle(&two, &[b"one", b"two"]).identity(), key);
        for file in &record.files {
            assert!(place.machine("one").is_intact(&file.stored).expect("looks"));
        }
    });
}

#[test]
fn a_record_whose_files_are_lost_is_not_kept() {
    in_bucket(|place| {
        let one = place.machine("one");
        let record = keep_bundle(&one, &[b"one"]);
        place.damage(&blob(&record.files[0].stored), None);
        // The folder still has it: it is sent again.
        one.keep(&record.identity(), &record).expect("keeps");
        assert!(place.has(&blob(&record.files[0].stored)));
        place.damage(&blob(&record.files[0].stored), None);
        place.lose("one");
        let error = one.keep(&record.identity(), &record).expect_err("is lost");
        assert_eq!(error.code(), ErrorCode::DigestMismatch);
    });
}

#[test]
fn what_is_replaced_is_found_as_it_was_kept_last() {
    on_both(|place| {
        let (one, other) = (place.machine("one"), place.machine("other"));
        let key = Digest::of(b"key");
        for text in ["first", "second"] {
            let made = MadeBundle { export_digest: key, bundle: Digest::of(text.as_bytes()) };
            one.keep(&key, &made).expect("keeps");
            assert_eq!(other.newest(&key).expect("looks"), Some(made));
        }
    });
}
