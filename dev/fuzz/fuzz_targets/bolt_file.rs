//! Any bytes as the pages of a bbolt file: reading never panics and ends, and what a check accepts can
//! be written again and reads the same.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use stella_bolt::{Database, Event, Limits, MAX_DEPTH, PageSize, Writer};

const PAGE: usize = 1024;

fuzz_target!(|bytes: &[u8]| {
    look_at_everything(bytes);
    look_at_everything(&with_metas(bytes));
});

fn look_at_everything(file: &[u8]) {
    let mut limits = Limits::DEFAULT;
    limits.depth = MAX_DEPTH;
    let Ok(database) = Database::open(file, limits) else { return };
    database.get(&[b"a", b"b"], b"c").ok();
    database.get(&[], b"a").ok();
    let content = rewritten(&database);
    if database.check().is_ok() {
        let again = content.expect("a checked file can be gone through");
        let database = Database::open(&again[..], Limits::DEFAULT).expect("a file of ours opens");
        database.check().expect("a file of ours is in order");
        assert_eq!(rewritten(&database).as_ref(), Some(&again), "another content");
    }
}

/// The content in the one form that the writer gives it.
fn rewritten(database: &Database<&[u8]>) -> Option<Vec<u8>> {
    let mut writer = Writer::new(Cursor::new(Vec::new()), PageSize::DEFAULT);
    let mut cursor = database.cursor();
    while let Some(event) = cursor.advance().ok()? {
        match event {
            Event::Enter { key, .. } => writer.enter(key).expect("keys ascend"),
            Event::Pair { key, value } => writer.put(key, value).expect("keys ascend"),
            Event::Leave => writer.leave().expect("a bucket is open"),
        }
    }
    Some(writer.finish().expect("all buckets are left").sink.into_inner())
}

/// The bytes as pages from 2 on, with what no fuzzer guesses: valid meta pages in front, of which the
/// first byte chooses the root, and page numbers in all headers.
fn with_metas(bytes: &[u8]) -> Vec<u8> {
    let (choice, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let pages = 2 + bytes.len().div_ceil(PAGE);
    let mut file = vec![0; 2 * PAGE];
    file.extend_from_slice(bytes);
    file.resize(pages * PAGE, 0);
    for id in 0..pages {
        file[id * PAGE..id * PAGE + 8].copy_from_slice(&(id as u64).to_le_bytes());
    }
    for id in 0..2_usize {
        let page = &mut file[id * PAGE..];
        page[8] = 4;
        let root = 2 + u64::from(*choice) % (pages as u64);
        let fields = [0x2_ED0C_DAED, PAGE as u64, root, 0, u64::MAX, pages as u64, id as u64];
        for (at, field) in (16..).step_by(8).zip(fields) {
            page[at..at + 8].copy_from_slice(&field.to_le_bytes());
        }
        let checksum = page[16..72].iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        page[72..80].copy_from_slice(&checksum.to_le_bytes());
    }
    file
}
