//! Files of SQLite itself are read whole, and what is wrong with one is told by its page.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rusqlite::Connection;
use stella_sqlite::{Database, Fault, Limits, SCHEMA_ROOT, Value};

const PAGE: usize = 4096;

/// A file with a table `t` of so many rows, an index on its texts, and rows that overflow.
fn file(rows: i64, page_bytes: usize) -> Vec<u8> {
    let dir = stella_testkit::temp_dir();
    let path = dir.path().join("a.db");
    let database = Connection::open(&path).expect("opens");
    database
        .execute_batch(&format!(
            "PRAGMA page_size = {page_bytes}; BEGIN;
             CREATE TABLE t(n INTEGER, s TEXT, b BLOB); CREATE INDEX i ON t(s);"
        ))
        .expect("makes tables");
    for row in 0..rows {
        let text = format!("{:05}{}", row * 7919 % 100_003, "x".repeat(row as usize % 40));
        let length = if row % 97 == 5 { row as usize * 3 } else { 20 };
        let insert = "INSERT INTO t VALUES (?1, ?2, ?3)";
        let values = rusqlite::params![(row - 5) << (row % 40), text, vec![row as u8; length]];
        database.execute(insert, values).expect("inserts");
    }
    database.execute_batch("COMMIT").expect("writes");
    drop(database);
    std::fs::read(path).expect("reads")
}

/// Rows of the table and entries of the index, with the page that nothing leads to.
type Content = (Vec<String>, Vec<String>, Option<u32>);

fn read(file: &[u8]) -> Result<Content, Fault> {
    let mut database = Database::open(file, Limits::DEFAULT)?;
    let mut roots = BTreeMap::new();
    database.table(SCHEMA_ROOT, &mut |_, record| {
        if let (Value::Text(name), Value::Integer(root)) = (record[1], record[3]) {
            roots.insert(String::from_utf8_lossy(name).into_owned(), root as u32);
        }
        ControlFlow::Continue(())
    })?;
    let (mut rows, mut entries) = (Vec::new(), Vec::new());
    database.table(roots.get("t").copied().unwrap_or_default(), &mut |rowid, record| {
        rows.push(format!("{rowid} {:?}", &record[..]));
        ControlFlow::Continue(())
    })?;
    database.index(roots.get("i").copied().unwrap_or_default(), &mut |record| {
        entries.push(format!("{:?}", &record[..]));
        ControlFlow::Continue(())
    })?;
    Ok((rows, entries, database.unreached()))
}

#[test]
fn files_of_sqlite_are_read_whole() {
    for (rows, page_bytes) in [(0, PAGE), (1, PAGE), (5000, PAGE), (5000, 512), (5000, 65_536)] {
        let (found, entries, unreached) = read(&file(rows, page_bytes)).expect("reads");
        assert_eq!((found.len(), entries.len()), (rows as usize, rows as usize));
        assert_eq!(unreached, None, "{rows} {page_bytes}");
        for (at, row) in found.iter().enumerate() {
            let number = (at as i64 - 5) << (at % 40);
            assert!(row.starts_with(&format!("{} [Integer({number}),", at + 1)), "{row}");
        }
    }
}

#[test]
fn a_walk_ends_when_it_is_told() {
    let file = file(5000, PAGE);
    let mut database = Database::open(&file[..], Limits::DEFAULT).expect("opens");
    let mut seen = 0;
    let outcome = database.table(2, &mut |_, _| {
        seen += 1;
        if seen == 300 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    outcome.expect("reads");
    assert_eq!(seen, 300);
    assert!(database.unreached().is_some());
}

#[test]
fn what_is_wrong_is_told() {
    type Spoil = fn(&mut Vec<u8>);
    let table: &[(&str, &str, Spoil)] = &[
        ("nothing", "cut off", Vec::clear),
        ("another beginning", "not that of SQLite", |f| f[3] ^= 1),
        ("pages of 1000 bytes", "pages of 1000 bytes", |f| f[16..18].copy_from_slice(&[3, 232])),
        ("pages that are reserved", "reserves", |f| {
            f[16..18].copy_from_slice(&[2, 0]);
            f[20] = 64;
        }),
        ("other fractions", "payload fractions", |f| f[21] = 63),
        ("a page too few", "of a file of", |f| f.truncate(f.len() - PAGE)),
        ("a byte too many", "of a file of", |f| f.push(0)),
        ("no number of pages", "tells 0 pages", |f| f[28..32].fill(0)),
        ("a page of another kind", "of the kind 14", |f| f[PAGE] = 14),
        ("an index in the place of a table", "of the kind 10", |f| f[PAGE] = 10),
        ("more cells than fit", "more cells than fit", |f| f[PAGE + 3] = 0xff),
        ("a cell outside", "outside", |f| f[PAGE + 12..PAGE + 14].fill(0xff)),
        ("a cell among the places", "outside", |f| f[PAGE + 12..PAGE + 14].fill(0)),
        ("a cell twice", "overlap", |f| f.copy_within(PAGE + 12..PAGE + 14, PAGE + 14)),
        ("a child that is not there", "not there", |f| f[PAGE + 8..PAGE + 12].fill(0xff)),
        ("a child that is the root", "reached twice", |f| {
            f[PAGE + 8..PAGE + 12].copy_from_slice(&[0, 0, 0, 2]);
        }),
        ("no cells in a page below", "no cells", |f| f[PAGE + 3..PAGE + 5].fill(0)),
    ];
    let good = file(5000, PAGE);
    for (what, says, spoil) in table {
        let mut bad = good.clone();
        spoil(&mut bad);
        let error = read(&bad).expect_err(what).to_string();
        assert!(error.contains(says), "{what}: {error}");
    }
    let limits = Limits { record_bytes: 1000, ..Limits::DEFAULT };
    let mut database = Database::open(&good[..], limits).expect("opens");
    let error = database.table(2, &mut |_, _| ControlFlow::Continue(())).expect_err("is larger");
    assert!(error.to_string().contains("too many to read"), "{error}");
    let few = Database::open(&good[..], Limits { pages: 3, ..Limits::DEFAULT });
    assert!(few.expect_err("has more").to_string().contains("too many"));
}

#[test]
fn flipped_bits_never_panic_and_never_add_rows() {
    let good = file(800, 512);
    let mut state: u64 = 0x5DEE_CE66;
    for _ in 0..4000 {
        let mut bad = good.clone();
        for _ in 0..2 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (state >> 33) as usize % bad.len();
            bad[at] ^= 1 << ((state >> 20) % 8);
        }
        if let Ok((rows, entries, _)) = read(&bad) {
            assert!(rows.len() <= 800 * 2 && entries.len() <= 800 * 2);
        }
    }
}
