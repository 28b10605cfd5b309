//! Any bytes at all, and the real archives.

use super::*;

/// A small deterministic generator of numbers.
fn numbers(mut state: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 11).unwrap_or(0) % below
    }
}

#[test]
fn hostile_bytes_never_panic() {
    let members: [(&str, &[u8]); 3] =
        [("a/b.json", b"{\"a\":1}"), ("c.jsonl", b"{}\n{}\n"), ("d.json.gz", &gzip(b"{}"))];
    let seeds = [
        tar(&members),
        zip(&members),
        gzip(&tar(&members)),
        zstd(&zip(&members)),
        tar(&[("i.zip", &zip(&members))]),
        b"{\"a\":1}\n{\"b\":2}\n".to_vec(),
    ];
    let limits = Limits { document_bytes: 1 << 16, container_bytes: 1 << 20, ..Limits::DEFAULT };
    let mut number = numbers(0x2545_f491_4f6c_dd1d);
    for round in 0..stella_testkit::rounds(3_000, 100_000) {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=number(6) {
            let at = number(bytes.len());
            match number(4) {
                0 => bytes[at] ^= 1 << number(8),
                1 => bytes[at] = [0, 0xff, 0x7f, b'/', b'.'][number(5)],
                2 => bytes.truncate(at.max(1)),
                _ => {
                    let piece = bytes[at..bytes.len().min(at + number(64))].to_vec();
                    let to = number(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
        }
        listing(vec![stream("x", bytes)], limits);
    }
}

#[test]
fn the_corpus_counts_agree_with_its_readme() {
    for (name, expected) in [
        ("advisories/go.osv.jsonl.zst", 3673),
        ("csaf/csaf-validator-cases.tar.zst", 53),
        ("sbom/cyclonedx-spec-cases.tar.zst", 827),
        ("vex/openvex-vexctl.tar.zst", 17),
    ] {
        let Some(path) = stella_testkit::data_archive(name) else { return };
        let lines = listing(vec![Input::Path(path)], Limits::DEFAULT);
        let other: Vec<&String> =
            lines.iter().filter(|l| l.contains(" ! ") || l.starts_with("error")).collect();
        assert!(other.is_empty(), "{name}: {other:?}");
        assert_eq!(lines.len(), expected, "{name}");
    }
}
