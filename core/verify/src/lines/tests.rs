use std::io::Write as _;

use super::*;

fn frame(content: &[u8], size: bool, checksum: bool) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("level 3 exists");
    encoder.include_checksum(checksum).expect("a parameter");
    encoder.include_contentsize(size).expect("a parameter");
    encoder.set_pledged_src_size(Some(content.len() as u64)).expect("a parameter");
    encoder.write_all(content).expect("into memory");
    encoder.finish().expect("into memory")
}

fn entry(stored: &[u8], uncompressed: usize) -> PartEntry {
    PartEntry {
        digest: Digest::of(stored).into(),
        feed: None,
        first_id: None,
        kind: None,
        last_id: None,
        media_type: String::new(),
        path: PartName::new("a").expect("a part name"),
        records: None,
        size: stored.len() as u64,
        uncompressed_size: Some(uncompressed as u64),
    }
}

/// All lines with their offsets, or the error as text; then the digest is checked.
fn lines(stored: &[u8], entry: &PartEntry, limits: &Limits) -> Result<Vec<(u64, Vec<u8>)>, String> {
    let mut buffers = Buffers::new(limits).expect("a context");
    // Twice with the same buffers: nothing may stay from the first time.
    let mut read = || {
        let mut lines = Lines::new(entry, Box::new(stored), &mut buffers, limits);
        let mut all = Vec::new();
        let outcome = loop {
            let offset = lines.offset();
            match lines.next_line() {
                Ok(Some(line)) => all.push((offset, line.to_vec())),
                Ok(None) => break Ok(all),
                Err(error) => break Err(error.to_string()),
            }
        };
        let (size, digest) = lines.finish().expect("memory can be read");
        let whole = &stored[..stored.len().min(entry.size as usize + 1)];
        assert_eq!((size, digest), (whole.len() as u64, Digest::of(whole)));
        outcome
    };
    let first = read();
    assert_eq!(first, read());
    first
}

#[test]
fn lines_of_any_length_come_with_their_offsets() {
    for lengths in [
        vec![],
        vec![0],
        vec![1, 0, 2],
        vec![100; 20_000],
        vec![OUTPUT_BYTES - 1, 1, OUTPUT_BYTES, OUTPUT_BYTES + 1, 7],
        vec![5, 3 << 20, 5, 1 << 20],
    ] {
        let mut content = Vec::new();
        let mut expected = Vec::new();
        for (number, length) in lengths.iter().enumerate() {
            let line: Vec<u8> =
                (0..*length).map(|at| b'a' + ((at * 7 + number) % 26) as u8).collect();
            expected.push((content.len() as u64, line.clone()));
            content.extend(line);
            content.push(b'\n');
        }
        let stored = frame(&content, true, true);
        let found = lines(&stored, &entry(&stored, content.len()), &Limits::DEFAULT);
        assert!(found == Ok(expected), "{lengths:?}");
    }
}

#[test]
fn skipping_leads_to_the_same_line() {
    let content: Vec<u8> = (0..60_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let stored = frame(&content, true, true);
    let entry = entry(&stored, content.len());
    let mut buffers = Buffers::new(&Limits::DEFAULT).expect("a context");
    let offset = content.windows(11).position(|w| w == b"line 54321\n").expect("is there") as u64;
    let mut lines = Lines::new(&entry, Box::new(&stored[..]), &mut buffers, &Limits::DEFAULT);
    lines.skip_to(offset).expect("within the part");
    assert_eq!(lines.next_line().expect("reads"), Some(&b"line 54321"[..]));
    assert_eq!(lines.next_line().expect("reads"), Some(&b"line 54322"[..]));
    assert!(matches!(lines.skip_to(content.len() as u64 + 1), Err(UnpackError::Truncated)));
}

#[test]
fn frames_of_any_other_form_are_refused() {
    let content = b"one\ntwo\n".repeat(1000);
    let good = frame(&content, true, true);
    let two = [&good[..], &good[..]].concat();
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], &good[..]].concat();
    let after = [&good[..], &skippable[..8]].concat();
    let mut damaged = good.clone();
    let end = damaged.len();
    damaged[end - 1] ^= 1;
    let unterminated = frame(b"one\ntwo", true, true);
    let small = Limits { document_bytes: 1 << 10, ..Limits::DEFAULT };
    let long = frame(&vec![b'a'; 2 << 20], true, true);
    let cases: [(&str, &[u8], usize, &Limits, &str); 13] = [
        ("no size", &frame(&content, false, true), 8000, &Limits::DEFAULT, "tells no content size"),
        ("no checksum", &frame(&content, true, false), 8000, &Limits::DEFAULT, "no checksum"),
        ("two frames", &two, 8000, &Limits::DEFAULT, "something follows"),
        ("skippable frame first", &skippable, 8000, &Limits::DEFAULT, "magic number"),
        ("skippable frame after", &after, 8000, &Limits::DEFAULT, "something follows"),
        ("checksum", &damaged, 8000, &Limits::DEFAULT, "damaged"),
        ("cut short", &good[..end - 1], 8000, &Limits::DEFAULT, "ends before"),
        ("cut in the header", &good[..6], 8000, &Limits::DEFAULT, "ends before"),
        ("empty", b"", 8000, &Limits::DEFAULT, "ends before"),
        ("manifest tells less", &good, 7999, &Limits::DEFAULT, "tells 8000"),
        ("manifest tells more", &good, 8001, &Limits::DEFAULT, "tells 8000"),
        ("no line feed", &unterminated, 7, &Limits::DEFAULT, "line feed"),
        ("long line", &long, 2 << 20, &small, "longer than"),
    ];
    for (what, stored, uncompressed, limits, expected) in cases {
        let error = lines(stored, &entry(stored, uncompressed), limits).expect_err(what);
        assert!(error.contains(expected), "{what}: {error}");
    }
}

#[test]
fn no_more_is_read_than_the_manifest_tells() {
    let content = b"one\n".repeat(100);
    let stored = frame(&content, true, true);
    let entry = entry(&stored, content.len());
    let endless = [&stored[..], &vec![0; 1 << 20]].concat();
    assert!(lines(&endless, &entry, &Limits::DEFAULT).is_err());
}

#[test]
fn a_window_over_the_limit_is_refused() {
    let content: Vec<u8> = (0..400_000_u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("level 1 exists");
    encoder.include_checksum(true).expect("a parameter");
    encoder.window_log(21).expect("a parameter");
    encoder.set_pledged_src_size(Some(content.len() as u64)).expect("a parameter");
    encoder.write_all(&content).expect("into memory");
    let stored = encoder.finish().expect("into memory");
    let entry = entry(&stored, content.len());
    assert!(lines(&stored, &entry, &Limits::DEFAULT).is_ok());
    let narrow = Limits { zstd_window_log: 20, ..Limits::DEFAULT };
    assert!(lines(&stored, &entry, &narrow).is_err());
}
