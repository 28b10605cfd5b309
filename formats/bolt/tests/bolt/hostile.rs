//! Files that are wrong, each in one way, and what the reader calls it.

use stella_bolt::{Database, Defect, Limits, OpenError, ReadError};

use crate::shapes::{Bucket, Item, dump, file, listing, one, open, pages, pairs};

const PAGE: usize = 1024;

/// A file of small pages with everything in it. Page 3 is the first leaf of `bucket`.
fn everything() -> Bucket {
    let mut bucket = pairs(60, 10, 90);
    bucket.insert(b"1-inline".to_vec(), Item::Bucket(pairs(3, 8, 10)));
    bucket.insert(b"2-long".to_vec(), Item::Pair(vec![5; 5000]));
    bucket.insert(b"3-nested".to_vec(), Item::Bucket(pairs(40, 8, 60)));
    one(bucket)
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The last page, which is the root: a leaf with the one element `bucket`.
fn root(file: &[u8]) -> usize {
    file.len() - PAGE
}

/// The page on top of `bucket`, a branch.
fn branch(file: &[u8]) -> usize {
    let value = root(file) + 16 + 16 + 6;
    u64::from_le_bytes(file[value..value + 8].try_into().expect("8 bytes")) as usize * PAGE
}

type Damage = fn(&mut [u8]);
type IsExpected = fn(&Defect) -> bool;

#[test]
fn every_defect_has_its_name() {
    let leaf = 3 * PAGE;
    let pages_of = |file: &[u8]| (file.len() / PAGE) as u64;
    let good = file(&everything(), pages(1024));
    let all = pages_of(&good);
    let cases: [(&str, Damage, Defect); 22] = [
        ("number", |f| f[3 * PAGE] = 9, Defect::Number { found: 9 }),
        ("two kinds", |f| f[3 * PAGE + 8] = 3, kind(3)),
        ("no kind", |f| f[3 * PAGE + 8] = 0, kind(0)),
        ("a meta page in a tree", |f| f[3 * PAGE + 8] = 4, kind(4)),
        ("count", |f| f[3 * PAGE + 11] = 1, Defect::Table { count: 264 }),
        ("one element less", |f| f[3 * PAGE + 10] = 7, Defect::Place { index: 0 }),
        ("past the end", |f| f[3 * PAGE + 14] = 1, Defect::Overflow { overflow: 65_536 }),
        ("over its neighbour", |f| f[3 * PAGE + 12] = 1, Defect::UsedTwice),
        ("flags", |f| f[3 * PAGE + 16] = 2, Defect::Flags { index: 0, flags: 2 }),
        ("place of a key", |f| f[3 * PAGE + 20] += 1, Defect::Place { index: 0 }),
        ("far place", |f| put(f, 3 * PAGE + 20, &[255; 4]), Defect::Place { index: 0 }),
        ("long key", |f| put(f, 3 * PAGE + 24, &[255; 4]), Defect::Place { index: 0 }),
        ("long value", |f| put(f, 3 * PAGE + 28, &[255; 4]), Defect::Place { index: 0 }),
        ("key of nothing", |f| key_of_nothing(f), Defect::KeyLength { index: 0, size_bytes: 0 }),
        ("order", |f| f[3 * PAGE + 16 + 8 * 16] = b'9', Defect::Order { index: 1 }),
        ("below its branch", |f| raise_second_key(f), Defect::Bounds { index: 7 }),
        ("no children", |f| put(f, branch(f) + 10, &[0]), Defect::Empty),
        ("circle", |f| point_to(f, branch(f) as u64 / 1024), Defect::UsedTwice),
        ("outside", |f| point_to(f, u64::MAX), Defect::Outside { pages: 0 }),
        ("meta as a child", |f| point_to(f, 1), Defect::Outside { pages: 0 }),
        ("pair in the root", |f| f[root(f) + 16] = 0, Defect::PairInRoot { index: 0 }),
        ("bucket inside itself", |f| itself(f), Defect::UsedTwice),
    ];
    assert_eq!(good[leaf + 10], 8, "the cases count on a first leaf of 8 elements");
    for (name, damage, expected) in cases {
        let mut bytes = good.clone();
        damage(&mut bytes);
        let expected = match expected {
            Defect::Outside { .. } => Defect::Outside { pages: all },
            other => other,
        };
        let database = open(&bytes);
        match database.check() {
            Err(ReadError::Page { defect, .. }) => assert_eq!(defect, expected, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        // The cursor ends too. It remembers no pages: that a page is longer than it needs to be, and
        // covers another, changes nothing of what it gives.
        assert_eq!(dump(&database).is_ok(), name == "over its neighbour", "{name}");
    }
}

fn kind(flags: u16) -> Defect {
    Defect::Kind { flags, wanted: "branch or leaf" }
}

/// Makes the first key of the first leaf empty and its value longer.
fn key_of_nothing(file: &mut [u8]) {
    let element = 3 * PAGE + 16;
    let key_bytes = file[element + 8];
    file[element + 8] = 0;
    file[element + 12] += key_bytes;
}

/// Changes the key of the second child of the branch to one that comes before the end of the first.
fn raise_second_key(file: &mut [u8]) {
    let element = branch(file) + 32;
    let at = element + usize::from(file[element]) + 256 * usize::from(file[element + 1]);
    assert_eq!(&file[at..at + 8], b"00000008");
    file[at + 7] = b'7';
}

/// Changes the first child of the branch.
fn point_to(file: &mut [u8], page: u64) {
    put(file, branch(file) + 16 + 8, &page.to_le_bytes());
}

/// Makes the bucket in the root its own root.
fn itself(file: &mut [u8]) {
    let root = root(file);
    put(file, root + 16 + 16 + 6, &(root as u64 / 1024).to_le_bytes());
}

#[test]
fn a_check_sees_what_a_cursor_does_not() {
    let good = file(&everything(), pages(1024));
    // A branch with one child, and the pages of its others that nobody leads to.
    let mut lone = good.clone();
    let branch_at = branch(&lone);
    let table = u32::from_le_bytes(lone[branch_at + 16..branch_at + 20].try_into().unwrap());
    lone[branch_at + 10] = 1;
    lone[branch_at + 16] = 16;
    lone[branch_at + 17] = 0;
    let key = lone[branch_at + 16 + table as usize..][..10].to_vec();
    put(&mut lone, branch_at + 32, &key);
    assert!(dump(&open(&lone)).is_ok());
    let error = open(&lone).check().unwrap_err();
    assert!(matches!(error, ReadError::Page { defect: Defect::LoneChild, .. }), "{error:?}");

    // An empty root in place of the real one.
    let mut unreached = good.clone();
    let root_at = root(&unreached);
    unreached[root_at + 10] = 0;
    let error = open(&unreached).check().unwrap_err();
    assert!(matches!(error, ReadError::Page { page: 3, defect: Defect::Unreached }), "{error:?}");

    // Lists of free pages: of a used page, twice the same, of a meta page, of no page, too long.
    let list: [(&[u64], IsExpected); 5] = [
        (&[3], |defect| matches!(defect, Defect::UsedAndFree)),
        (&[3, 3], |defect| matches!(defect, Defect::Freelist { index: 1, free: 3 })),
        (&[1], |defect| matches!(defect, Defect::Freelist { index: 0, free: 1 })),
        (&[9999], |defect| matches!(defect, Defect::Freelist { index: 0, free: 9999 })),
        (&[3; 127], |defect| matches!(defect, Defect::Table { count: 127 })),
    ];
    for (ids, is_expected) in list {
        let mut bytes = good.clone();
        bytes[2 * PAGE + 10] = ids.len() as u8;
        for (index, id) in ids.iter().take(126).enumerate() {
            put(&mut bytes, 2 * PAGE + 16 + index * 8, &id.to_le_bytes());
        }
        match open(&bytes).check() {
            Err(ReadError::Page { defect, .. }) => assert!(is_expected(&defect), "{defect:?}"),
            other => panic!("{ids:?}: {other:?}"),
        }
    }
}

#[test]
fn inline_buckets_are_checked_too() {
    let good = file(&one(one(Bucket::new())), pages(1024));
    // Page 3 is the leaf of `bucket`: an element, its key of 6 bytes, its value.
    let value = 3 * PAGE + 16 + 16 + 6;
    let cases: [(&str, Damage, IsExpected); 6] = [
        ("kind", |f| f[VALUE + 24] = 1, |defect| matches!(defect, Defect::Kind { .. })),
        ("number", |f| f[VALUE + 16] = 1, |defect| matches!(defect, Defect::Number { found: 1 })),
        ("overflow", |f| f[VALUE + 28] = 1, |defect| matches!(defect, Defect::Kind { .. })),
        ("count", |f| f[VALUE + 26] = 1, |defect| matches!(defect, Defect::Table { .. })),
        ("longer", |f| f[VALUE - 10] += 1, |defect| matches!(defect, Defect::InlineLength)),
        ("short", |f| f[VALUE - 10] = 15, |defect| matches!(defect, Defect::Bucket { .. })),
    ];
    const VALUE: usize = 3 * PAGE + 16 + 16 + 6;
    assert_eq!(value, VALUE);
    for (name, damage, is_expected) in cases {
        let mut bytes = good.clone();
        damage(&mut bytes);
        match open(&bytes).check() {
            Err(ReadError::Page { page: 3, defect }) => {
                assert!(is_expected(&defect), "{name}: {defect:?}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let good = file(&everything(), pages(1024));
    let no_meta = |bytes: &[u8]| match Database::open(bytes, Limits::DEFAULT) {
        Err(OpenError::NoMeta { first, second }) => format!("{first}; {second}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(no_meta(b""), "no place; no place");
    assert_eq!(no_meta(&[0; 100_000]), "a wrong magic number; no place");
    let both = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes[PAGE + at] = byte;
        bytes
    };
    assert_eq!(no_meta(&both(16, 0)), "a wrong magic number; no place");
    assert_eq!(no_meta(&both(20, 3)), "version 3; version 3");
    assert_eq!(no_meta(&both(32, 9)), "a wrong checksum; a wrong checksum");
    for length in [0, 79, 80, 1103, 1104, 4096, good.len() - 1] {
        assert!(Database::open(&good[..length], Limits::DEFAULT).is_err(), "{length}");
    }
}

/// Which bits of a file are structure that a flip cannot change unseen: meta fields, page headers,
/// elements but for the lengths of the last one (what follows it may be its own) and for the flag
/// that makes a value a bucket.
fn structure(file: &[u8]) -> Vec<bool> {
    let mut is_structure = vec![false; file.len()];
    is_structure[..80].fill(true);
    is_structure[PAGE..PAGE + 80].fill(true);
    let mut page = 2 * PAGE;
    while page < file.len() {
        let (kind, count) = (file[page + 8], usize::from(file[page + 10]));
        is_structure[page..page + 16].fill(true);
        for index in 0..if kind == 0x10 { 0 } else { count } {
            let element = page + 16 + index * 16;
            is_structure[element..element + 16].fill(true);
            match (kind, index + 1 == count) {
                (1, true) => is_structure[element + 4..element + 8].fill(false),
                (2, true) => is_structure[element + 8..element + 16].fill(false),
                _ => {}
            }
            if kind == 2 {
                is_structure[element] = false;
            }
        }
        page += (1 + usize::from(file[page + 12])) * PAGE;
    }
    is_structure
}

#[test]
fn a_flipped_bit_of_the_structure_is_seen_or_changes_nothing() {
    let root = everything();
    let good = file(&root, pages(1024));
    let (expected, is_structure) = (listing(&root), structure(&good));
    let mut bytes = good.clone();
    let mut seen = 0;
    for at in 0..bytes.len() {
        // Elsewhere one bit of each byte: there it must only not panic.
        let bits = if is_structure[at] { 0..8 } else { at % 8..at % 8 + 1 };
        for bit in bits {
            bytes[at] ^= 1 << bit;
            let opened = Database::open(&bytes[..], Limits::DEFAULT);
            let checked = opened.as_ref().map(|database| database.check().is_ok());
            if checked.unwrap_or(false) {
                let content = opened.map(|database| dump(&database).expect("it was checked"));
                let same = content.expect("it was opened") == expected;
                assert!(same || !is_structure[at], "bit {bit} of byte {at:#x}");
            } else {
                seen += 1;
            }
            bytes[at] ^= 1 << bit;
        }
    }
    assert!(seen > 5000, "{seen}");
    assert!(bytes == good);
}
