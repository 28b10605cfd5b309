//! What the writer accepts, refuses and promises.

use std::io::{self, Cursor, Seek, SeekFrom, Write};

use stella_bolt::{
    Database, EnterError, FinishError, KeyError, LeaveError, Limits, MAX_DEPTH, MAX_VALUE_BYTES,
    OpenError, PageSize, PutError, Writer,
};

use crate::shapes::{self, Bucket, Item, dump, file, listing, one, open, pages, pairs};

fn writer() -> Writer<Cursor<Vec<u8>>> {
    Writer::new(Cursor::new(Vec::new()), PageSize::DEFAULT)
}

#[test]
fn every_shape_is_read_back_and_in_order() {
    for shape in shapes::all() {
        let bytes = file(&shape.root, shape.page_size);
        let database = open(&bytes);
        let report = database.check().unwrap_or_else(|error| panic!("{}: {error:?}", shape.name));
        assert_eq!(report.pages * u64::from(database.page_bytes()), bytes.len() as u64);
        assert_eq!((report.free_pages, report.transaction), (0, 1), "{}", shape.name);
        let same = dump(&database).unwrap() == listing(&shape.root);
        assert!(same, "{}: another content", shape.name);
    }
}

#[test]
fn the_same_entries_give_the_same_bytes() {
    let root = one(pairs(3000, 20, 96));
    assert!(file(&root, PageSize::DEFAULT) == file(&root, PageSize::DEFAULT));
}

#[test]
fn a_bucket_is_inline_up_to_a_quarter_of_a_page() {
    for page_bytes in [1024, 4096, 16_384] {
        let quarter = page_bytes as usize / 4;
        for (more, inline) in [(0, 1), (1, 0)] {
            let bucket = pairs(1, 8, quarter - 16 - 16 - 8 + more);
            let bytes = file(&one(bucket), pages(page_bytes));
            let report = open(&bytes).check().unwrap();
            assert_eq!(report.inline_buckets, inline, "{} bytes", quarter + more);
        }
        // One that holds a bucket never is.
        let bytes = file(&one(one(Bucket::new())), pages(page_bytes));
        assert_eq!(open(&bytes).check().unwrap().inline_buckets, 1);
    }
}

#[test]
fn a_page_is_filled_to_its_last_byte() {
    // 16 for the header and 3 times 16 + 8 + 312 are 1,024 bytes.
    for (value_bytes, file_pages) in [(312, 5), (313, 7)] {
        let bytes = file(&one(pairs(3, 8, value_bytes)), pages(1024));
        assert_eq!(bytes.len() / 1024, file_pages, "{value_bytes}");
    }
}

#[test]
fn keys_that_cannot_stand_there_are_refused_and_change_nothing() {
    let long = vec![b'k'; 32_769];
    let cases: [(&[u8], KeyError); 5] = [
        (b"", KeyError::Empty),
        (&long, KeyError::TooLong { size_bytes: 32_769 }),
        (b"m", KeyError::Duplicate { key: b"m"[..].into() }),
        (b"a", KeyError::NotAscending { key: b"a"[..].into(), last: b"m"[..].into() }),
        (b"lz", KeyError::NotAscending { key: b"lz"[..].into(), last: b"m"[..].into() }),
    ];
    let mut refused = writer();
    let mut plain = writer();
    for writer in [&mut refused, &mut plain] {
        writer.enter(b"bucket").unwrap();
        writer.put(b"m", b"1").unwrap();
    }
    for (key, expected) in cases {
        match refused.put(key, b"") {
            Err(PutError::Key(error)) => assert_eq!(error, expected),
            other => panic!("{expected}: {other:?}"),
        }
        match refused.enter(key) {
            Err(EnterError::Key(error)) => assert_eq!(error, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    let bytes = [refused, plain].map(|mut writer| {
        writer.put(&[b'n'; 32_768], b"2").unwrap();
        writer.leave().unwrap();
        writer.finish().unwrap().sink.into_inner()
    });
    assert!(bytes[0] == bytes[1]);
}

#[test]
fn the_order_holds_across_pages_and_runs_and_buckets() {
    let mut writer = writer();
    writer.enter(b"a").unwrap();
    for key in pairs(500, 8, 100).keys() {
        writer.put(key, &[0; 100]).unwrap();
        assert!(matches!(writer.put(key, b""), Err(PutError::Key(KeyError::Duplicate { .. }))));
    }
    writer.put(b"1", &vec![0; 100_000]).unwrap();
    assert!(matches!(writer.put(b"1", b""), Err(PutError::Key(KeyError::Duplicate { .. }))));
    writer.enter(b"2").unwrap();
    writer.put(b"0", b"a bucket begins anew").unwrap();
    writer.leave().unwrap();
    assert!(matches!(writer.put(b"2", b""), Err(PutError::Key(KeyError::Duplicate { .. }))));
    writer.leave().unwrap();
    assert!(matches!(writer.enter(b"a"), Err(EnterError::Key(KeyError::Duplicate { .. }))));
    open(&writer.finish().unwrap().sink.into_inner()).check().unwrap();
}

#[test]
fn calls_out_of_place_are_refused() {
    let mut writer = writer();
    assert!(matches!(writer.put(b"k", b"v"), Err(PutError::InRoot)));
    assert!(matches!(writer.leave(), Err(LeaveError::NotEntered)));
    for _ in 0..MAX_DEPTH {
        writer.enter(b"k").unwrap();
    }
    assert!(matches!(writer.enter(b"k"), Err(EnterError::TooDeep)));
    // Memory that is never touched.
    let too_long = vec![0; MAX_VALUE_BYTES + 1];
    assert!(matches!(writer.put(b"k", &too_long), Err(PutError::ValueTooLong { .. })));
    for _ in 0..MAX_DEPTH {
        writer.leave().unwrap();
    }
    assert_eq!(writer.depth(), 0);
    open(&writer.finish().unwrap().sink.into_inner()).check().unwrap();

    let mut writer = Writer::new(Cursor::new(Vec::new()), PageSize::DEFAULT);
    writer.enter(b"k").unwrap();
    assert!(matches!(writer.finish(), Err(FinishError::Open { count: 1 })));
}

#[test]
fn page_sizes_are_powers_of_two() {
    for bytes in [0, 1, 512, 1000, 4097, 131_072, u32::MAX] {
        let error = PageSize::new(bytes).unwrap_err();
        assert_eq!(error.size_bytes, bytes);
    }
    for bytes in [1024, 2048, 4096, 65_536] {
        assert_eq!(PageSize::new(bytes).unwrap().bytes(), bytes as usize);
    }
}

#[test]
fn errors_say_what_was_attempted() {
    let key = KeyError::NotAscending { key: b"a\n"[..].into(), last: vec![b'm'; 200].into() };
    let expected = format!("the key \"a\\n\" after \"{}…\": keys must ascend", "m".repeat(80));
    assert_eq!(key.to_string(), expected);
    assert_eq!(PutError::Key(key).to_string(), "cannot add a pair");
}

#[test]
fn a_file_begins_where_the_sink_stands() {
    let mut sink = Cursor::new(b"before".to_vec());
    sink.seek(SeekFrom::End(0)).unwrap();
    let mut writer = Writer::new(sink, PageSize::DEFAULT);
    writer.enter(b"bucket").unwrap();
    writer.leave().unwrap();
    let mut sink = writer.finish().unwrap().sink;
    assert_eq!(sink.position(), sink.get_ref().len() as u64);
    sink.write_all(b"after").unwrap();
    let bytes = sink.into_inner();
    let inner = bytes.strip_prefix(b"before").and_then(|rest| rest.strip_suffix(b"after"));
    assert!(inner.unwrap() == file(&one(Bucket::new()), PageSize::DEFAULT));
}

/// Takes so many bytes, then fails.
struct Full {
    bytes: Cursor<Vec<u8>>,
    room: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.get_ref().len() + bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Full {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

#[test]
fn a_sink_that_fails_fails_the_file() {
    let mut failures = 0;
    for room in (0..2_000_000).step_by(250_000) {
        let mut sink = Full { bytes: Cursor::new(Vec::new()), room };
        let mut writer = Writer::new(&mut sink, PageSize::DEFAULT);
        writer.enter(b"bucket").unwrap();
        for (key, item) in pairs(10_000, 8, 120) {
            let Item::Pair(value) = item else { continue };
            if let Err(error) = writer.put(&key, &value) {
                assert!(matches!(error, PutError::Sink(_)), "{error:?}");
                failures += 1;
                break;
            }
        }
        if writer.leave().is_err() {
            // Whatever a caller tries then, it fails and does no harm.
            writer.enter(b"zz").ok();
            assert!(matches!(writer.put(b"zz", b""), Err(PutError::Sink(_))));
            assert!(matches!(writer.leave(), Err(LeaveError::Sink(_))));
        }
        assert_eq!(writer.finish().is_ok(), room > 1_500_000, "{room}");
        let bytes = sink.bytes.into_inner();
        let opened = Database::open(&bytes[..], Limits::DEFAULT);
        match opened {
            Ok(database) => assert_eq!(database.check().unwrap().pairs, 10_000),
            Err(error) => assert!(matches!(error, OpenError::NoMeta { .. }), "{error:?}"),
        }
    }
    assert!(failures > 3, "{failures}");
}
