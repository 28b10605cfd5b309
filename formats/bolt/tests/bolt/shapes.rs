//! Contents of files as values, and the files that every judge gets to see.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Cursor;

use stella_bolt::{Database, Event, Limits, PageSize, ReadAt, ReadError, Writer};

/// What a bucket holds.
pub(crate) type Bucket = BTreeMap<Vec<u8>, Item>;

/// A pair or a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Pair(Vec<u8>),
    Bucket(Bucket),
}

/// The content of a file with a name that says what it is about.
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) page_size: PageSize,
    pub(crate) root: Bucket,
}

/// The file of a content.
pub(crate) fn file(root: &Bucket, page_size: PageSize) -> Vec<u8> {
    let mut writer = Writer::new(Cursor::new(Vec::new()), page_size);
    write(&mut writer, root);
    let finished = writer.finish().expect("memory does not fail");
    let bytes = finished.sink.into_inner();
    assert_eq!(bytes.len() as u64, finished.size_bytes);
    bytes
}

fn write(writer: &mut Writer<Cursor<Vec<u8>>>, bucket: &Bucket) {
    for (key, item) in bucket {
        match item {
            Item::Pair(value) => writer.put(key, value).expect("keys of a map ascend"),
            Item::Bucket(inner) => {
                writer.enter(key).expect("keys of a map ascend");
                write(writer, inner);
                writer.leave().expect("memory does not fail");
            }
        }
    }
}

/// The listing of a content, as the judge prints it.
pub(crate) fn listing(root: &Bucket) -> String {
    let mut text = String::new();
    list(&mut text, root);
    text
}

fn list(text: &mut String, bucket: &Bucket) {
    for (key, item) in bucket {
        hex(text, key);
        match item {
            Item::Pair(value) => {
                text.push('=');
                hex(text, value);
                text.push('\n');
            }
            Item::Bucket(inner) => {
                text.push_str("{\n");
                list(text, inner);
                text.push_str("}\n");
            }
        }
    }
}

/// The listing of a file, as the judge prints it.
pub(crate) fn dump<R: ReadAt>(database: &Database<R>) -> Result<String, ReadError> {
    let mut text = String::new();
    let mut cursor = database.cursor();
    while let Some(event) = cursor.advance()? {
        match event {
            Event::Enter { key, sequence } => {
                hex(&mut text, key);
                if sequence != 0 {
                    write!(text, "#{sequence}").expect("a text grows");
                }
                text.push_str("{\n");
            }
            Event::Pair { key, value } => {
                hex(&mut text, key);
                text.push('=');
                hex(&mut text, value);
                text.push('\n');
            }
            Event::Leave => text.push_str("}\n"),
        }
    }
    Ok(text)
}

pub(crate) fn open(file: &[u8]) -> Database<&[u8]> {
    Database::open(file, Limits::DEFAULT).expect("a file of ours opens")
}

fn hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

pub(crate) fn pages(bytes: u32) -> PageSize {
    PageSize::new(bytes).expect("a size that pages can have")
}

/// A root with one bucket.
pub(crate) fn one(bucket: Bucket) -> Bucket {
    Bucket::from([(b"bucket".to_vec(), Item::Bucket(bucket))])
}

/// `count` pairs with keys and values of a length.
pub(crate) fn pairs(count: usize, key_bytes: usize, value_bytes: usize) -> Bucket {
    let pair = |number: usize| {
        let mut key = format!("{number:08}").into_bytes();
        key.resize(key_bytes.max(8), b'k');
        (key, Item::Pair(vec![number as u8; value_bytes]))
    };
    (0..count).map(pair).collect()
}

/// Every shape in every size of pages that matters to it.
pub(crate) fn all() -> Vec<Shape> {
    let mut shapes = Vec::new();
    let mut add = |name: String, bytes: u32, root: Bucket| {
        let name = format!("{name}, pages of {bytes}");
        shapes.push(Shape { name, page_size: pages(bytes), root });
    };
    for bytes in [1024, 4096, 16_384, 65_536] {
        add("empty".into(), bytes, Bucket::new());
        add("a bucket without keys".into(), bytes, one(Bucket::new()));
        for (name, root) in boundaries(bytes as usize) {
            add(name, bytes, root);
        }
    }
    for bytes in [1024, 4096, 16_384] {
        for (name, root) in long_items() {
            add(name, bytes, root);
        }
        add("nested".into(), bytes, nested());
        add("300 deep".into(), bytes, deep(300));
    }
    for count in [20, 21, 22, 23, 42, 43, 44, 63, 64, 441, 442, 443, 463] {
        add(format!("{count} leaves, 21 to a branch"), 1024, one(pairs(count, 32, 900)));
    }
    for count in 1..10 {
        add(format!("{count} keys longer than a page"), 1024, one(pairs(count, 1100, 1)));
        add(format!("{count} keys of most of a page"), 1024, one(pairs(count, 950, 1)));
    }
    add("200,000 keys".into(), 4096, one(pairs(200_000, 8, 0)));
    add("4,000 values of up to 3 KB".into(), 4096, one(uneven(4000)));
    shapes
}

/// Buckets around the length up to which they are inline, and pages around being full.
fn boundaries(page_bytes: usize) -> Vec<(String, Bucket)> {
    // A page header, and two elements with keys of 8 bytes.
    let two = 16 + 2 * (16 + 8);
    let mut shapes = Vec::new();
    for (name, bytes) in [("inline", page_bytes / 4), ("full", page_bytes)] {
        for more in [0, 1] {
            let mut bucket = pairs(2, 8, (bytes - two) / 2);
            let last = bucket.values_mut().next_back().expect("two pairs");
            *last = Item::Pair(vec![7; bytes - two - (bytes - two) / 2 + more]);
            shapes.push((format!("{name} and {more} bytes"), one(bucket)));
        }
    }
    let full = pairs(page_bytes / 64 * 3, 16, 32);
    shapes.push(("pages full to the byte but for their headers".into(), one(full)));
    shapes
}

fn long_items() -> Vec<(String, Bucket)> {
    let long = |numbers: &[usize], value_bytes: usize| {
        let mut bucket = pairs(9, 8, 20);
        for (key, item) in bucket.iter_mut().enumerate().map(|(at, (_, item))| (at, item)) {
            if numbers.contains(&key) {
                *item = Item::Pair(vec![9; value_bytes]);
            }
        }
        one(bucket)
    };
    let mut keys = pairs(5, 32_768, 3);
    keys.insert(vec![b'z'; 32_768], Item::Bucket(pairs(2, 8, 8)));
    keys.insert([vec![b'z'; 32_767], vec![b'{']].concat(), Item::Bucket(pairs(900, 8, 8)));
    vec![
        ("a single long value".into(), one(pairs(1, 8, 145_000))),
        ("a long value first".into(), long(&[0], 145_000)),
        ("a long value last".into(), long(&[8], 70_000)),
        ("long values within".into(), long(&[3, 4, 6], 65_537)),
        ("values longer than the writer's buffer".into(), long(&[1, 7], 300_000)),
        ("keys of 32,768 bytes".into(), one(keys)),
    ]
}

/// 300 buckets within one, of 0 to 299 keys, some of which hold buckets again.
fn nested() -> Bucket {
    let inner = |number: usize| {
        let mut bucket = pairs(number, 8, number);
        if number.is_multiple_of(7) {
            bucket.insert(b"deeper".to_vec(), Item::Bucket(pairs(number % 11, 9, 30)));
            bucket.insert(b"empty".to_vec(), Item::Bucket(Bucket::new()));
        }
        (format!("{number:03}").into_bytes(), Item::Bucket(bucket))
    };
    one((0..300).map(inner).collect())
}

/// Buckets within buckets, each with a pair on either side.
fn deep(depth: usize) -> Bucket {
    let mut bucket = pairs(3, 8, 8);
    for _ in 1..depth {
        let around = [
            (b"a".to_vec(), Item::Pair(b"before".to_vec())),
            (b"b".to_vec(), Item::Bucket(bucket)),
            (b"c".to_vec(), Item::Pair(b"after".to_vec())),
        ];
        bucket = Bucket::from(around);
    }
    one(bucket)
}

fn uneven(count: usize) -> Bucket {
    let mut bucket = pairs(count, 12, 0);
    for (number, item) in bucket.values_mut().enumerate() {
        *item = Item::Pair(vec![number as u8; number * 7919 % 3072]);
    }
    bucket
}
