//! Archives, honest and hostile.

use tar::EntryType;

use super::*;

fn events(name: &str, bytes: Vec<u8>) -> Vec<String> {
    listing(vec![stream(name, bytes)], Limits::DEFAULT)
}

#[test]
fn every_container_gives_the_same_documents() {
    let members: [(&str, &[u8]); 3] =
        [("d/a.json", b"{}"), ("d/b.jsonl", b"1\n2\n"), ("README.md", b"-")];
    let expected =
        ["x!d/a.json = {}", "x!d/b.jsonl:1 = 1", "x!d/b.jsonl:2 = 2", "x!README.md ~ Ignored"];
    for archive in [tar(&members), zip(&members)] {
        for packed in [
            archive.clone(),
            zstd(&archive),
            gzip(&archive),
            gzip(&zstd(&archive)),
            [zstd(&archive[..300]), zstd(&archive[300..])].concat(),
            [gzip(&archive[..300]), gzip(&archive[300..])].concat(),
        ] {
            assert_eq!(events("x", packed), expected);
        }
    }
    for archive in [tar(&[("i.zip", &zip(&members))]), zip(&[("i.tar.gz", &gzip(&tar(&members)))])]
    {
        let inner = events("x", archive);
        let shorter: Vec<String> = inner
            .iter()
            .map(|l| l.replace("x!i.zip!", "x!").replace("x!i.tar.gz!", "x!"))
            .collect();
        assert_eq!(shorter, expected);
    }
}

#[test]
fn tar_members_that_attack_are_rejected_one_by_one() {
    let good = |name: &str| tar_member(name, EntryType::Regular, b"ok");
    let mut pax = Vec::new();
    pax.extend(tar_member("pax", EntryType::XHeader, b"19 path=../../evil\n"));
    pax.extend(good("harmless"));
    let mut long = tar_member("././@LongLink", EntryType::GNULongName, b"/etc/passwd\0");
    long.extend(good("short"));
    let mut sparse = tar_member("pax", EntryType::XHeader, b"22 GNU.sparse.major=1\n");
    sparse.extend(good("sparse.json"));
    for (member, expected) in [
        (good("../up.json"), "x!../up.json ! unsafe-name"),
        (good("a/../../up.json"), "x!a/../../up.json ! unsafe-name"),
        (good("/abs.json"), "x!/abs.json ! unsafe-name"),
        (good("C:\\abs.json"), "x!C:\\abs.json ! unsafe-name"),
        (good("..\\up.json"), "x!..\\up.json ! unsafe-name"),
        (good(""), "x! ! unsafe-name"),
        (pax, "x!../../evil ! unsafe-name"),
        (long, "x!/etc/passwd ! unsafe-name"),
        (sparse, "x!sparse.json ! unknown-format"),
        (tar_member("l.json", EntryType::Symlink, b""), "x!l.json ! link"),
        (tar_member("l.json", EntryType::Link, b""), "x!l.json ! link"),
        (tar_member("l.json", EntryType::Link, b"data of a link"), "x!l.json ! link"),
        (tar_member("dev", EntryType::Char, b""), "x!dev ! device"),
        (tar_member("dev", EntryType::Block, b""), "x!dev ! device"),
        (tar_member("dev", EntryType::Fifo, b""), "x!dev ! device"),
        (tar_member("gnu", EntryType::GNUSparse, b""), "x!gnu ! unknown-format"),
        (tar_member("new", EntryType::new(b'Z'), b"?"), "x!new ! unknown-format"),
        (good("first.json"), "x!first.json ! duplicate-member"),
        (good("./first.json"), "x!first.json ! duplicate-member"),
        (good("x.tar.gz"), "x!x.tar.gz = ok"),
        (tar_member("bad.gz", EntryType::Regular, b"\x1f\x8b junk"), "x!bad.gz ! bad-container"),
        (tar_member("bad.zip", EntryType::Regular, b"PK\x03\x04"), "x!bad.zip ! bad-container"),
        (tar_member("b.xz", EntryType::Regular, b"\xfd7zXZ\0"), "x!b.xz ! unknown-format"),
    ] {
        let archive = [good("first.json"), member, good("last.json"), vec![0; 1024]].concat();
        let expected = ["x!first.json = ok", expected, "x!last.json = ok"];
        assert_eq!(events("x", archive), expected);
    }
}

#[test]
fn directories_of_an_archive_are_no_documents() {
    let archive = [
        tar_member("d/", EntryType::Directory, b""),
        tar_member("old/", EntryType::Regular, b""),
        tar_member("pax", EntryType::XGlobalHeader, b"17 comment=hello\n"),
        vec![0; 1024],
    ]
    .concat();
    assert_eq!(events("x", archive), [""; 0]);
    assert_eq!(events("x", zip(&[("d/", b"")])), [""; 0]);
}

#[test]
fn names_in_odd_unicode_are_carried_as_they_are() {
    let names = [
        "caf\u{e9}.json",
        "cafe\u{301}.json",
        "\u{202e}nosj.exe",
        "\u{1b}[31mred.json",
        "\u{feff}bom.json",
        "\u{d7ff}\u{e000}\u{10ffff}.json",
        "zero\u{200b}width.json",
        "CON.json",
        "a\nb.json",
        " .json",
    ];
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, &b"u"[..])).collect();
    let expected: Vec<String> = names.iter().map(|name| format!("x!{name} = u")).collect();
    assert_eq!(events("x", tar(&members)), expected);
    assert_eq!(events("x", zip(&members)), expected);
    let mut broken = tar(&[("bad-??.json", b"u")]);
    broken[4..6].copy_from_slice(b"\xff\xfe");
    let mut header = tar::Header::from_byte_slice(&broken[..512]).clone();
    header.set_cksum();
    broken[..512].copy_from_slice(header.as_bytes());
    assert_eq!(events("x", broken), ["x!bad-\u{fffd}\u{fffd}.json = u"]);
}

#[test]
fn a_tar_that_cannot_be_trusted_is_refused() {
    let first = tar_member("a.json", EntryType::Regular, b"a");
    let refused = |rest: &[u8], problem: &str| {
        let lines = events("x", [&first, rest].concat());
        assert_eq!(lines[0], "x!a.json = a");
        let last = lines.last().expect("an error");
        assert!(last.starts_with("error x@") && last.contains(problem), "{last}, not {problem}");
    };
    let mut corrupt = tar_member("b.json", EntryType::Regular, b"b");
    corrupt[0] ^= 1;
    refused(&corrupt, "checksum");
    refused(&tar_header("b.json", EntryType::Regular, 5), "ends before it is complete");
    refused(
        &tar_header("b.json", EntryType::Regular, u64::from(u32::MAX)),
        "ends before it is complete",
    );
    refused(&[], "ends before it is complete");
    refused(&[0; 100], "ends before it is complete");
    refused(&tar_header("n", EntryType::GNULongName, 1 << 30), "a long name or extended header");
    refused(&tar_header("n", EntryType::XHeader, 1 << 30), "a long name or extended header");
    refused(&tar_member("n", EntryType::XHeader, b"99 path=a\n"), "malformed");
    refused(&tar_member("n", EntryType::XHeader, b"0 \n"), "malformed");
    refused(&tar_member("n", EntryType::XHeader, b"12 size=abc\n"), "no number");
    refused(&tar_member("n", EntryType::XGlobalHeader, b"11 path=ab\n"), "global header");
    let sized = tar_member("n", EntryType::XHeader, b"9 size=9\n");
    refused(&[sized, tar_member("b", EntryType::Regular, b"b")].concat(), "different sizes");
}

#[test]
fn what_lies_behind_the_end_of_a_tar_is_told() {
    let mut archive = tar(&[("a.json", b"a")]);
    archive.resize(10_240, 0);
    assert_eq!(events("x", archive.clone()), ["x!a.json = a"]);
    archive.extend(tar(&[("hidden.json", b"h")]));
    assert_eq!(events("x", archive), ["x!a.json = a", "x ! bad-container"]);
}

#[test]
fn truncation_anywhere_is_an_error_that_names_file_and_offset() {
    let members: [(&str, &[u8]); 2] = [("a.json", b"{}"), ("b.json", &[b'b'; 3000])];
    for (whole, least) in [
        (tar(&members)[..4 * 512 + 3072].to_vec(), 512),
        (zstd(&tar(&members)), 4),
        (gzip(&tar(&members)), 2),
        (zip(&members), 4),
    ] {
        for length in (least..whole.len()).step_by(7) {
            let lines = events("x", whole[..length].to_vec());
            let last = lines.last().expect("an error");
            assert!(last.starts_with("error x@"), "{length} of {}: {lines:?}", whole.len());
            assert!(!last.starts_with("error x@ "), "an offset: {last}");
        }
    }
}

/// Offset of the only central directory entry's field.
fn central(zip: &[u8], field: usize) -> usize {
    zip.windows(4).position(|w| w == b"PK\x01\x02").expect("an entry") + field
}

#[test]
fn zip_members_that_attack_are_rejected_one_by_one() {
    let with_mode = |mode: u32| {
        let mut bytes = zip(&[("first.json", b"ok"), ("evil.json", b"evil"), ("last.json", b"ok")]);
        let entries: Vec<usize> =
            (0..bytes.len() - 4).filter(|&i| &bytes[i..i + 4] == b"PK\x01\x02").collect();
        bytes[entries[1] + 5] = 3;
        bytes[entries[1] + 38..entries[1] + 42].copy_from_slice(&(mode << 16).to_le_bytes());
        bytes
    };
    let named = |name: &str| zip(&[("first.json", b"ok"), (name, b"evil"), ("last.json", b"ok")]);
    let mut twice = named("Q234567890");
    for at in 0..twice.len() - 10 {
        if &twice[at..at + 10] == b"Q234567890" {
            twice[at..at + 10].copy_from_slice(b"first.json");
        }
    }
    let patched = |field: usize, value: u8| {
        let mut bytes = named("evil.json");
        let entries: Vec<usize> =
            (0..bytes.len() - 4).filter(|&i| &bytes[i..i + 4] == b"PK\x01\x02").collect();
        bytes[entries[1] + field] = value;
        bytes
    };
    for (archive, expected) in [
        (named("../up.json"), "x!../up.json ! unsafe-name"),
        (named("/abs.json"), "x!/abs.json ! unsafe-name"),
        (named("a\\..\\b"), "x!a\\..\\b ! unsafe-name"),
        (with_mode(0o120_777), "x!evil.json ! link"),
        (with_mode(0o020_666), "x!evil.json ! device"),
        (with_mode(0o010_666), "x!evil.json ! device"),
        (with_mode(0o140_666), "x!evil.json ! device"),
        (twice, "x!first.json ! duplicate-member"),
        (patched(8, 1), "x!evil.json ! encrypted"),
        (patched(10, 12), "x!evil.json ! unknown-format"),
        (patched(10, 0), "x!evil.json ! bad-container"),
        (patched(16, 0xaa), "x!evil.json ! bad-container"),
        (patched(24, 3), "x!evil.json ! bad-container"),
        (patched(24, 9), "x!evil.json ! bad-container"),
        (patched(46, b'E'), "x!Evil.json ! bad-container"),
    ] {
        assert_eq!(events("x", archive), ["x!first.json = ok", expected, "x!last.json = ok"]);
    }
}

#[test]
fn a_zip_that_cannot_be_trusted_is_refused() {
    let whole = zip(&[("a.json", b"a")]);
    let end = whole.len() - 22;
    let refused = |bytes: Vec<u8>, problem: &str| {
        let lines = events("x", bytes);
        let last = lines.last().expect("an error");
        assert!(last.starts_with("error x@") && last.contains(problem), "{last}, not {problem}");
    };
    let patched = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        bytes
    };
    refused([&whole[..], b"appended"].concat(), "ends before it is complete");
    refused(patched(end + 4, 1), "split over several files");
    refused(patched(end + 10, 0), "more entries than it says");
    refused(patched(end + 10, 2), "malformed");
    refused(patched(end + 12, 0), "not where it says");
    refused(patched(end + 16, 0), "not where it says");
    refused(patched(central(&whole, 0), 0), "malformed");
    // Twenty entries that share one member's bytes.
    let entry = whole[central(&whole, 0)..end].to_vec();
    let mut shared = whole[..central(&whole, 0)].to_vec();
    for _ in 0..20 {
        shared.extend_from_slice(&entry);
    }
    let mut record = whole[end..].to_vec();
    record[10] = 20;
    record[12..16].copy_from_slice(&u32::try_from(20 * entry.len()).expect("small").to_le_bytes());
    refused([shared, record].concat(), "overlap");
}

#[test]
fn a_zip_of_the_64_bit_form_reads() {
    let mut writer = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..70_000 {
        let options = ::zip::write::SimpleFileOptions::default().large_file(number % 2 == 0);
        let options = options.compression_method(::zip::CompressionMethod::Stored);
        writer.start_file(format!("{number}.json"), options).expect("in memory");
        writer.write_all(b"{}").expect("in memory");
    }
    let bytes = writer.finish().expect("in memory").into_inner();
    let lines = events("x", bytes);
    assert_eq!(lines.len(), 70_000);
    assert_eq!(lines[69_999], "x!69999.json = {}");
}
