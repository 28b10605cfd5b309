//! Any bytes as the pages of a SQLite file: reading never panics and ends, and no page is read twice.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use stella_sqlite::{Database, Limits, SCHEMA_ROOT};

const PAGE: usize = 512;

fuzz_target!(|bytes: &[u8]| {
    look_at_everything(bytes);
    look_at_everything(&with_header(bytes));
});

fn look_at_everything(file: &[u8]) {
    let limits = Limits { record_bytes: 64 << 10, pages: 1 << 12 };
    let Ok(mut database) = Database::open(file, limits) else { return };
    let (pages, page_bytes) = (database.header().pages, database.header().page_bytes as usize);
    let mut rows = 0;
    for root in SCHEMA_ROOT..=pages.min(64) {
        let kind = file.get((root as usize - 1) * page_bytes);
        // What is neither is refused as a table.
        if matches!(kind, Some(2 | 10)) {
            database.index(root, &mut |_| count(&mut rows)).ok();
        } else {
            database.table(root, &mut |_, _| count(&mut rows)).ok();
        }
    }
    // A cell takes four bytes at least, and no page is reached twice.
    assert!(rows <= file.len(), "more rows than bytes");
    assert!(database.unreached().is_none_or(|page| page <= pages));
}

fn count(rows: &mut usize) -> ControlFlow<()> {
    *rows += 1;
    ControlFlow::Continue(())
}

/// The bytes as the pages of a file with a header that is in order.
fn with_header(bytes: &[u8]) -> Vec<u8> {
    let mut file = b"SQLite format 3\0".to_vec();
    file.extend_from_slice(&[2, 0, 1, 1, 0, 64, 32, 32]);
    file.resize(100, 0);
    file.extend_from_slice(bytes);
    let pages = file.len().div_ceil(PAGE);
    file.resize(pages * PAGE, 0);
    file[28..32].copy_from_slice(&(pages as u32).to_be_bytes());
    file
}
