//! Inputs that are far larger than they look.

use super::lines::Chunks;
use super::*;

const GIB: u64 = 1 << 30;

/// `length` bytes of a JSON string, never stored.
fn huge(length: u64) -> impl Read + Send + 'static {
    let chunk = vec![b'a'; 1 << 20];
    let chunks = std::iter::repeat_n(chunk, usize::try_from(length >> 20).expect("small enough"));
    Cursor::new(b"{\"a\":\"").chain(Chunks::new(chunks)).chain(Cursor::new(b"\"}"))
}

#[test]
fn a_hostile_document_of_2_gb_is_too_large_and_costs_only_the_limit() {
    let limits = Limits::DEFAULT;
    assert_eq!(listing(vec![reader("a.json", huge(2 * GIB))], limits), ["a.json ! too-large"]);
    assert_eq!(listing(vec![reader("a.jsonl", huge(2 * GIB))], limits), ["a.jsonl:1 ! too-large"]);
    assert_bounded_memory(200 << 20);
}

#[test]
fn a_hostile_member_of_2_gb_is_too_large_and_the_next_one_is_read() {
    let size = 2 * GIB + 8;
    let header = tar_header("big.json", tar::EntryType::Regular, size);
    let padding = vec![0; usize::try_from(size.next_multiple_of(512) - size).expect("small")];
    let archive = Cursor::new(header)
        .chain(huge(2 * GIB))
        .chain(Cursor::new(padding))
        .chain(Cursor::new(tar(&[("small.json", b"{}")])));
    assert_eq!(
        listing(vec![reader("x.tar", archive)], Limits::DEFAULT),
        ["x.tar!big.json ! too-large", "x.tar!small.json = {}"]
    );
    assert_bounded_memory(200 << 20);
}

/// Gigabytes of zeros in a few bytes.
fn zeros_in_zstd(length: u64) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
    let chunk = vec![0; 1 << 20];
    for _ in 0..length >> 20 {
        encoder.write_all(&chunk).expect("in memory");
    }
    encoder.finish().expect("in memory")
}

#[test]
fn hostile_compression_is_stopped() {
    let limits = Limits { document_bytes: 1 << 20, ratio_free_bytes: 4 << 20, ..Limits::DEFAULT };
    // One document is over its own limit first.
    let bomb = zeros_in_zstd(GIB / 4);
    assert!(bomb.len() < 100_000);
    assert_eq!(listing(vec![stream("a.json", bomb.clone())], limits), ["a.json ! too-large"]);
    assert_eq!(
        listing(vec![stream("a.json", gzip(&[0; 2 << 20]))], limits),
        ["a.json ! too-large"]
    );
    // Lines and archives go on until the ratio stops them.
    let lines = listing(vec![stream("a.jsonl", bomb.clone())], limits);
    assert_eq!(lines[0], "a.jsonl:1 ! too-large");
    assert!(lines[1].contains("expands to more than 2000 times"), "{lines:?}");
    let mut archive = tar_header("big.json", tar::EntryType::Regular, GIB / 4);
    archive.extend(vec![0; usize::try_from(GIB / 4).expect("small")]);
    archive.extend(tar(&[("never.json", b"{}")]));
    let lines = listing(vec![stream("x", zstd(&archive))], limits);
    assert_eq!(lines[0], "x!big.json ! too-large");
    assert!(lines[1].starts_with("error x@") && lines[1].contains("2000 times"), "{lines:?}");
    // Within an archive it is the member that is refused.
    let outer = tar(&[("bomb.jsonl.zst", &bomb), ("good.json", b"{}")]);
    assert_eq!(
        listing(vec![stream("x", outer)], limits),
        ["x!bomb.jsonl.zst:1 ! too-large", "x!bomb.jsonl.zst ! bad-container", "x!good.json = {}"]
    );
    let outer = zip(&[("bomb.json", &vec![0; 3 << 20]), ("good.json", b"{}")]);
    assert_eq!(
        listing(vec![stream("x", outer)], limits),
        ["x!bomb.json ! too-large", "x!good.json = {}"]
    );
}

#[test]
fn hostile_windows_nesting_and_counts_are_stopped() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.window_log(28).expect("a window");
    encoder.write_all(&[b'x'; 1000]).expect("in memory");
    let lines =
        listing(vec![stream("a.json", encoder.finish().expect("in memory"))], Limits::DEFAULT);
    assert!(lines[0].starts_with("error a.json@"), "{lines:?}");
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.window_log(27).expect("a window");
    encoder.write_all(b"{}").expect("in memory");
    let lines =
        listing(vec![stream("a.json", encoder.finish().expect("in memory"))], Limits::DEFAULT);
    assert_eq!(lines, ["a.json = {}"]);

    let mut nested = b"{}".to_vec();
    for _ in 0..3 {
        nested = gzip(&nested);
    }
    assert_eq!(listing(vec![stream("a", nested.clone())], Limits::DEFAULT), ["a = {}"]);
    let lines = listing(vec![stream("a", gzip(&nested))], Limits::DEFAULT);
    assert!(lines[0].contains("nested more than 3 deep"), "{lines:?}");
    let mut nested = b"{}".to_vec();
    for _ in 0..4 {
        nested = tar(&[("t", &nested)]);
    }
    assert_eq!(listing(vec![stream("a", nested)], Limits::DEFAULT), ["a!t!t!t ! bad-container"]);

    let limits = Limits { members: 2, ..Limits::DEFAULT };
    let members: [(&str, &[u8]); 3] = [("a", b"1"), ("b", b"2"), ("c", b"3")];
    for archive in [tar(&members), zip(&members)] {
        let lines = listing(vec![stream("x", archive)], limits);
        assert!(lines.last().expect("an error").contains("more than 2 members"), "{lines:?}");
    }
    let limits = Limits { container_bytes: 5000, ..Limits::DEFAULT };
    for bytes in [
        zstd(&[b'\n'; 6000]),
        gzip(&[b'\n'; 6000]),
        tar(&[("a", &[b'x'; 6000])]),
        zip(&[("a", &[b'x'; 6000])]),
    ] {
        let lines = listing(vec![stream("x.jsonl", bytes)], limits);
        assert!(lines.last().expect("an error").contains("5000 bytes"), "{lines:?}");
    }
}
