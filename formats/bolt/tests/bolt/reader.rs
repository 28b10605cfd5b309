//! What the reader finds in good files.

use std::fs::File;
use std::io::Write as _;

use stella_bolt::{Database, Event, Limits};

use crate::shapes::{Bucket, Item, dump, file, listing, one, open, pages, pairs};

#[test]
fn events_come_in_the_order_of_keys() {
    let inner = Bucket::from([(b"b".to_vec(), Item::Pair(b"2".to_vec()))]);
    let bucket = Bucket::from([
        (b"a".to_vec(), Item::Bucket(inner)),
        (b"c".to_vec(), Item::Pair(b"3".to_vec())),
    ]);
    let bytes = file(&one(bucket), pages(4096));
    let database = open(&bytes);
    let mut cursor = database.cursor();
    let expected = [
        Event::Enter { key: b"bucket", sequence: 0 },
        Event::Enter { key: b"a", sequence: 0 },
        Event::Pair { key: b"b", value: b"2" },
        Event::Leave,
        Event::Pair { key: b"c", value: b"3" },
        Event::Leave,
    ];
    for event in expected {
        assert_eq!(cursor.advance().unwrap(), Some(event));
    }
    for _ in 0..2 {
        assert_eq!(cursor.advance().unwrap(), None);
    }
}

#[test]
fn a_file_on_disk_is_read_like_one_in_memory() {
    let root = one(pairs(5000, 20, 96));
    let bytes = file(&root, pages(4096));
    let mut disk = tempfile::tempfile().unwrap();
    disk.write_all(&bytes).unwrap();
    let database: Database<File> = Database::open(disk, Limits::DEFAULT).unwrap();
    assert_eq!(database.check().unwrap(), open(&bytes).check().unwrap());
    assert!(dump(&database).unwrap() == listing(&root));
    let (key, item) = root.first_key_value().unwrap();
    let Item::Bucket(bucket) = item else { panic!("a bucket") };
    for (name, item) in bucket {
        let Item::Pair(value) = item else { panic!("a pair") };
        assert_eq!(database.get(&[key], name).unwrap().as_ref(), Some(value));
    }
    for missing in [&b""[..], b"0", b"00000000", b"zzz"] {
        assert_eq!(database.get(&[key], missing).unwrap(), None);
    }
    assert_eq!(database.get(&[], key).unwrap(), None, "a bucket is no pair");
    assert_eq!(database.get(&[key, b"00000000kkkkkkkkkkkk"], b"x").unwrap(), None);
}

#[test]
fn one_bad_meta_page_is_tolerated() {
    for size in [1024_u32, 4096, 65_536] {
        let root = one(pairs(100, 20, 96));
        let good = file(&root, pages(size));
        for bad in [0, 1] {
            let mut bytes = good.clone();
            bytes[bad * size as usize + 30] ^= 1;
            let database = open(&bytes);
            let report = database.check().unwrap();
            assert_eq!(report.valid_metas, [bad != 0, bad != 1]);
            assert_eq!(report.transaction, 1 - bad as u64);
            assert!(dump(&database).unwrap() == listing(&root));
        }
    }
}

#[test]
fn a_longer_file_than_needed_is_read() {
    let root = one(pairs(100, 20, 96));
    let mut bytes = file(&root, pages(4096));
    bytes.resize(bytes.len() + 100_000, 0xA5);
    open(&bytes).check().unwrap();
}

#[test]
fn limits_stop_by_name() {
    let deep = (0..9).fold(pairs(1, 8, 8), |bucket, _| one(bucket));
    let wide = one(pairs(3000, 8, 500));
    let long = one(pairs(2, 8, 100_000));
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::DEFAULT;
        change(&mut limits);
        limits
    };
    let cases = [
        (&deep, with(|limits| limits.depth = 8), "depth"),
        (&wide, with(|limits| limits.height = 1), "height"),
        (&long, with(|limits| limits.held_bytes = 100_000), "held_bytes"),
        (&wide, with(|limits| limits.held_bytes = 8000), "held_bytes"),
    ];
    for (root, limits, name) in cases {
        let bytes = file(root, pages(4096));
        let database = Database::open(&bytes[..], limits).unwrap();
        let error = database.check().unwrap_err().to_string();
        assert!(error.ends_with(&format!("limit of {name}")), "{name}: {error}");
        assert!(dump(&database).is_err(), "{name}");
        let path: Vec<&[u8]> = vec![b"bucket"; if name == "depth" { 10 } else { 1 }];
        database.get(&path, b"00000001").ok();
    }
    let error = Database::open(&[0_u8; 5000][..], with(|limits| limits.file_bytes = 4999));
    assert!(error.unwrap_err().to_string().starts_with("a file of 5000 bytes"));
}
