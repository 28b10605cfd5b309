//! Random contents and random damage.

use proptest::prelude::*;
use stella_bolt::{Database, Limits};

use crate::shapes::{Bucket, Item, dump, file, listing, open, pages};

/// Any bucket: keys of few letters, so that they share beginnings; values up to several pages.
pub(crate) fn bucket() -> impl Strategy<Value = Bucket> {
    let key = prop_oneof![
        6 => prop::collection::vec(prop::sample::select(&b"\x00abz\xff"[..]), 1..12),
        2 => prop::collection::vec(any::<u8>(), 1..60),
        1 => prop::collection::vec(any::<u8>(), 300..1500),
    ];
    let length = prop_oneof![8 => 0..80_usize, 3 => 80..1200_usize, 1 => 1200..20_000_usize];
    let value = (any::<u8>(), length).prop_map(|(byte, length)| Item::Pair(vec![byte; length]));
    let pairs = prop::collection::btree_map(key.clone(), value.clone(), 0..40);
    let leaf = prop_oneof![3 => value, 1 => pairs.prop_map(Item::Bucket)];
    let item = leaf.prop_recursive(4, 400, 40, move |inner| {
        prop::collection::btree_map(key.clone(), inner, 0..40).prop_map(Item::Bucket)
    });
    let name = prop::collection::vec(any::<u8>(), 1..30);
    let top = item.prop_map(|item| match item {
        Item::Bucket(bucket) => bucket,
        pair => Bucket::from([(b"key".to_vec(), pair)]),
    });
    prop::collection::btree_map(name, top.prop_map(Item::Bucket), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: stella_testkit::rounds(150, 3000) as u32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_written_is_read_back(
        root in bucket(),
        size in prop::sample::select(vec![1024, 2048, 4096, 16_384]),
    ) {
        let bytes = file(&root, pages(size));
        let database = open(&bytes);
        prop_assert!(database.check().is_ok(), "{:?}", database.check());
        prop_assert!(dump(&database).unwrap() == listing(&root));
        for (name, item) in &root {
            let Item::Bucket(bucket) = item else { continue };
            for (key, item) in bucket {
                let found = database.get(&[name], key).unwrap();
                match item {
                    Item::Pair(value) => prop_assert!(found.as_ref() == Some(value)),
                    Item::Bucket(inner) => {
                        prop_assert!(found.is_none());
                        for (inner_key, item) in inner {
                            let Item::Pair(value) = item else { continue };
                            let found = database.get(&[name, key], inner_key).unwrap();
                            prop_assert!(found.as_ref() == Some(value));
                        }
                    }
                }
            }
        }
        prop_assert!(database.get(&[b"no such bucket, too long for any"], b"k").unwrap().is_none());
    }

    #[test]
    fn damage_never_panics(
        root in bucket(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 3]>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = file(&root, pages(1024));
        for (place, new) in &damage {
            let place = place.index(bytes.len() - new.len());
            bytes[place..place + new.len()].copy_from_slice(new);
        }
        look_at_everything(&bytes);
        look_at_everything(&bytes[..cut.index(bytes.len())]);
    }
}

/// Calls everything that reads; whatever comes of it, it ends.
fn look_at_everything(bytes: &[u8]) {
    let Ok(database) = Database::open(bytes, Limits::DEFAULT) else { return };
    database.check().ok();
    dump(&database).ok();
    for path in [&[][..], &[&b"a"[..]], &[b"a", b"b"]] {
        database.get(path, b"a").ok();
        database.get(path, b"\xff").ok();
    }
}
