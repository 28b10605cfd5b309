//! Hostile input through the program: a clear end, a reason in quarantine, bounded memory, nothing
//! written outside the store (INV-LIMIT).

mod support;

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use stella_testkit::{Osv, full};
use support::archive::{Tar, Zip, fill, gzip, gzip_zeros, tar_header, zstandard, zstd_zeros};
use support::{Outcome, Stella, exists};

/// Most memory that any hostile input may take.
const PEAK_BYTES: u64 = 400 << 20;

/// Most memory that one document may take, whatever it is full of.
const DOCUMENT_PEAK_BYTES: u64 = 200 << 20;

/// The container itself is refused, and nothing of it is taken in.
const REFUSED: Expected = Expected { code: 2, records: 0, quarantined: &[] };

/// How an ingest should end.
#[derive(Clone, Copy)]
struct Expected {
    code: i32,
    records: u64,
    quarantined: Reasons,
}

/// Documents in quarantine by reason, sorted.
type Reasons = &'static [(&'static str, u64)];

/// Some records, some documents in quarantine by reason; exit 2 only if nothing was taken.
const fn taken(records: u64, quarantined: Reasons) -> Expected {
    Expected { code: if records == 0 { 2 } else { 0 }, records, quarantined }
}

/// Ingests one file and checks how that ends; the most memory it took.
fn check(name: &str, file: &str, bytes: &[u8], expected: Expected) -> u64 {
    let stella = Stella::new();
    stella.file(file, bytes);
    let outcome = stella.run(&["-o", "json", "ingest", "--feed", "hostile", file]);
    judge(name, &stella, &outcome, expected);
    let left: Vec<_> = fs::read_dir(stella.path("."))
        .expect("the folder of the test")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|entry| entry != file && entry != "store")
        .collect();
    assert!(left.is_empty(), "{name}: wrote {left:?}");
    outcome.peak_bytes
}

fn judge(name: &str, stella: &Stella, outcome: &Outcome, expected: Expected) {
    assert_eq!(outcome.code, Some(expected.code), "{name}: {outcome:#?}");
    assert!(outcome.peak_bytes < PEAK_BYTES, "{name}: {} MiB", outcome.peak_bytes >> 20);
    if expected.quarantined.is_empty() && expected.code != 0 {
        assert!(outcome.stderr.contains("ERR_EXPORT_REJECTED"), "{name}: {outcome:#?}");
        assert!(outcome.stderr.contains("hint"), "{name}: {outcome:#?}");
    } else {
        let report = outcome.json();
        let reasons = report["quarantined"].as_object().cloned().unwrap_or_default();
        let reasons: Vec<(&str, u64)> = reasons
            .iter()
            .map(|(reason, count)| (reason.as_str(), count.as_u64().unwrap_or(0)))
            .collect();
        assert_eq!(reasons, expected.quarantined, "{name}: {report:#}");
        let listed = quarantine(stella);
        let total: u64 = expected.quarantined.iter().map(|(_, count)| count).sum();
        assert_eq!(listed.len() as u64, total, "{name}: the list is whole");
        for entry in &listed {
            let says = |member: &str| entry[member].as_str().is_some_and(|text| !text.is_empty());
            assert!(says("path") && says("reason") && says("detail"), "{name}: {entry:#}");
        }
    }
    assert_eq!(held(stella), expected.records, "{name}: records in the store");
}

/// The quarantine as values.
fn quarantine(stella: &Stella) -> Vec<Value> {
    let list = stella.json(&["quarantine", "list"]);
    list["items"].as_array().expect("a list").clone()
}

/// All records that the store holds.
fn held(stella: &Stella) -> u64 {
    let list = stella.json(&["feeds", "list"]);
    let feeds = list["items"].as_array().expect("a list").clone();
    let counts = feeds.iter().filter_map(|feed| feed["records"].as_object()).flatten();
    counts.filter_map(|(_, count)| count.as_u64()).sum()
}

fn good(id: &str) -> Vec<u8> {
    Osv::new(id).affects("npm", "left-pad", "1.3.0").bytes()
}

#[test]
fn hostile_tar_members_are_rejected_and_the_rest_is_taken() {
    let tar = || Tar::new().file("good.json", good("GOOD-1"));
    let bad = good("BAD-1");
    let cases: Vec<(&str, Vec<u8>, Expected)> = vec![
        (
            "names that lead out",
            tar()
                .file("../escape.json", &bad)
                .file("a/../../escape.json", &bad)
                .file("..\\escape.json", &bad)
                .file("a/..", &bad)
                .end(),
            taken(1, &[("unsafe-name", 4)]),
        ),
        (
            "absolute names",
            tar()
                .file("/tmp/stella-escape.json", &bad)
                .file("C:\\escape.json", &bad)
                .file("\\\\host\\share\\escape.json", &bad)
                .end(),
            taken(1, &[("unsafe-name", 3)]),
        ),
        (
            "a long name that leads out",
            tar()
                .long(
                    &[b"x/".repeat(80), b"../".repeat(90), b"escape.json".to_vec()].concat(),
                    &bad,
                )
                .end(),
            taken(1, &[("unsafe-name", 1)]),
        ),
        (
            "links",
            tar()
                .member(b'2', "passwd.json", b"/etc/passwd", b"")
                .member(b'1', "hard.json", b"good.json", b"")
                .end(),
            taken(1, &[("link", 2)]),
        ),
        (
            "devices",
            tar()
                .member(b'3', "null.json", b"", b"")
                .member(b'4', "disk.json", b"", b"")
                .member(b'6', "pipe.json", b"", b"")
                .end(),
            taken(1, &[("device", 3)]),
        ),
        (
            "one name twice, in two spellings",
            tar().file("./good.json", &bad).file("x//b.json", &bad).file("x/./b.json", &bad).end(),
            taken(2, &[("duplicate-member", 2)]),
        ),
        (
            "a type that nobody knows",
            tar().member(b'Z', "odd.json", b"", &bad).end(),
            taken(1, &[("unknown-format", 1)]),
        ),
        (
            "data behind the end",
            [tar().end(), tar().file("hidden.json", &bad).end()].concat(),
            taken(1, &[("bad-container", 1)]),
        ),
        ("cut within a member", tar().end()[..700].to_vec(), REFUSED),
        ("cut before the end mark", tar().end()[..512].to_vec(), REFUSED),
        (
            "a member that claims to be larger than the world",
            [tar().end()[..1024].to_vec(), tar_header(b'0', b"huge", b"", 1 << 62).to_vec()]
                .concat(),
            REFUSED,
        ),
        (
            "a name that claims 4 GiB",
            [tar().end()[..1024].to_vec(), tar_header(b'L', b"n", b"", 4 << 30).to_vec()].concat(),
            REFUSED,
        ),
    ];
    for (name, bytes, expected) in cases {
        check(name, "hostile.tar", &bytes, expected);
        check(&format!("{name}, compressed"), "hostile.tar.zst", &zstandard(&bytes), expected);
    }
}

#[test]
fn hostile_zip_members_are_rejected_and_the_rest_is_taken() {
    let zip = || Zip::new().file("good.json", good("GOOD-1"));
    let bad = good("BAD-1");
    let cases: Vec<(&str, Vec<u8>, Expected)> = vec![
        (
            "names that lead out",
            zip()
                .file("../escape.json", &bad)
                .file("a/../../escape.json", &bad)
                .file("/tmp/stella-escape.json", &bad)
                .file("C:/escape.json", &bad)
                .file("a\0b.json", &bad)
                .end(),
            taken(1, &[("unsafe-name", 5)]),
        ),
        (
            "links and devices",
            zip()
                .entry("passwd.json", "/etc/passwd", 0o120_777, 0)
                .entry("null.json", "", 0o020_666, 0)
                .entry("disk.json", "", 0o060_666, 0)
                .entry("pipe.json", "", 0o010_666, 0)
                .end(),
            taken(1, &[("device", 3), ("link", 1)]),
        ),
        (
            "one name twice",
            zip().file("good.json", &bad).end(),
            taken(1, &[("duplicate-member", 1)]),
        ),
        (
            "an encrypted member",
            zip().entry("secret.json", &bad, 0o100_644, 1).end(),
            taken(1, &[("encrypted", 1)]),
        ),
        (
            "a wrong checksum",
            zip().raw(b"bent.json", &[3, 0], 0, 1, 0o100_644, 0).end(),
            taken(1, &[("bad-container", 1)]),
        ),
        (
            "broken deflate",
            zip().raw(b"bent.json", &[0xff; 64], 640, 1, 0o100_644, 0).end(),
            taken(1, &[("bad-container", 1)]),
        ),
        ("cut at the end", zip().end()[..120].to_vec(), REFUSED),
        ("something behind the end", [zip().end(), b"more".to_vec()].concat(), REFUSED),
    ];
    for (name, bytes, expected) in cases {
        check(name, "hostile.zip", &bytes, expected);
    }
}

#[test]
fn hostile_bombs_are_stopped_early() {
    // Enough to fill the memory many times over; compressed it is small.
    let many: u64 = if full() { 64 << 30 } else { 4 << 30 };
    let deflated: u64 = if full() { 8 << 30 } else { 1 << 30 };
    check("zstd", "bomb.json.zst", &zstd_zeros(b"", many), taken(0, &[("too-large", 1)]));
    let begin = b"{\"id\":\"BOMB-1\",\"modified\":\"2026-01-01T00:00:00Z\",\"details\":\"";
    check("zstd text", "bomb.json.zst", &zstd_zeros(begin, many), taken(0, &[("too-large", 1)]));
    check("gzip", "bomb.json.gz", &gzip_zeros(begin, deflated), taken(0, &[("too-large", 1)]));
    check("zstd lines", "bomb.jsonl.zst", &zstd_zeros(b"", many), REFUSED);

    let packed = gzip_zeros(b"", deflated);
    // A gzip stream is a header of 10 bytes, deflate, and a trailer of 8.
    let inner = &packed[10..packed.len() - 8];
    let crc = u32::from_le_bytes(packed[packed.len() - 8..][..4].try_into().expect("4 bytes"));
    let size = u32::try_from(deflated).unwrap_or(0);
    let zip = Zip::new().file("good.json", good("GOOD-1"));
    let zip = zip.raw(b"bomb.json", inner, size, crc, 0o100_644, 0).end();
    let reason = if full() { "bad-container" } else { "too-large" };
    let expected: Expected = match reason {
        // Its true size does not fit into the field: the archive lies about it.
        "bad-container" => taken(1, &[("bad-container", 1)]),
        _ => taken(1, &[("too-large", 1)]),
    };
    check("zip", "bomb.zip", &zip, expected);
}

#[test]
fn hostile_nesting_of_containers_is_bounded() {
    let document = good("GOOD-1");
    let wrap = |times: usize, wrap: &dyn Fn(&[u8]) -> Vec<u8>| {
        (0..times).fold(document.clone(), |bytes, _| wrap(&bytes))
    };
    let in_zip = |bytes: &[u8]| Zip::new().file("inner", bytes).end();
    let in_tar = |bytes: &[u8]| Tar::new().file("inner", bytes).end();
    for depth in [3, 4, 40] {
        let (many, expected) = match depth {
            3 => (taken(1, &[]), taken(1, &[])),
            _ => (REFUSED, taken(0, &[("bad-container", 1)])),
        };
        check(&format!("{depth} x zstd"), "n.zst", &wrap(depth, &zstandard), many);
        check(&format!("{depth} x gzip"), "n.gz", &wrap(depth, &gzip), many);
        check(&format!("{depth} x zip"), "n.zip", &wrap(depth, &in_zip), expected);
        check(&format!("{depth} x tar"), "n.tar", &wrap(depth, &in_tar), expected);
    }
    let zeros = zstd_zeros(b"", 4 << 30);
    let nested = zstandard(&zstandard(&zeros));
    check("a bomb within", "n.json.zst", &nested, taken(0, &[("too-large", 1)]));
}

#[test]
fn hostile_documents_are_rejected_with_their_reason() {
    let osv = |more: &str| {
        format!("{{\"id\":\"BAD-1\",\"modified\":\"2026-01-01T00:00:00Z\",{more}}}").into_bytes()
    };
    let nested = |depth: usize| format!("\"x\":{}{}", "[".repeat(depth), "]".repeat(depth));
    let overlong = [&b"{\"id\":\"BAD-1\",\"x\":\""[..], b"\xc0\xaf", b"\"}"].concat();
    let cases: Vec<(&str, Vec<u8>, Reasons)> = vec![
        ("100 deep", osv(&nested(100)), &[("too-large", 1)]),
        ("10 million deep", osv(&nested(10_000_000)), &[("too-large", 1)]),
        ("never closed", b"[".repeat(10_000_000), &[("too-large", 1)]),
        (
            "10 million elements",
            osv(&format!("\"x\":[0{}]", ",0".repeat(10_000_000))),
            &[("too-large", 1)],
        ),
        (
            "10 million members",
            osv(&format!("\"x\":[{{}}{}]", ",{}".repeat(10_000_000))),
            &[("too-large", 1)],
        ),
        ("a member twice", osv("\"x\":1,\"\\u0078\":2"), &[("invalid-json", 1)]),
        ("a lone surrogate", osv("\"x\":\"\\ud800\""), &[("invalid-json", 1)]),
        ("a number with a zero before it", osv("\"x\":01"), &[("invalid-json", 1)]),
        ("no number", osv("\"x\":NaN"), &[("invalid-json", 1)]),
        ("something behind", [osv("\"x\":1"), b"{}".to_vec()].concat(), &[("invalid-json", 1)]),
        ("cut", osv("\"x\":1")[..40].to_vec(), &[("invalid-json", 1)]),
        ("overlong UTF-8", overlong, &[("invalid-encoding", 1)]),
        ("an id that is too long", good(&"x".repeat(1025)), &[("no-identity", 1)]),
        ("an empty id", good(""), &[("no-identity", 1)]),
        (
            "a billion laughs",
            b"<?xml version=\"1.0\"?><!DOCTYPE bom [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]>\
              <bom xmlns=\"http://cyclonedx.org/schema/bom/1.5\">&b;</bom>"
                .to_vec(),
            &[("invalid-xml", 1)],
        ),
    ];
    for (name, bytes, quarantined) in cases {
        check(name, "bad.json", &bytes, Expected { code: 2, records: 0, quarantined });
    }
}

#[test]
fn hostile_names_are_taken_but_never_shown_raw() {
    let names: [&[u8]; 9] = [
        "nfc-\u{e9}.json".as_bytes(),
        "nfd-e\u{301}.json".as_bytes(),
        "bidi-\u{202e}nosj.exe.json".as_bytes(),
        "isolate-\u{2066}x.json".as_bytes(),
        b"escape-\x1b[2J\x1b]0;title\x07.json",
        b"line\nbreak\r.json",
        // An overlong "../" that a careless decoder would follow.
        b"\xc0\xae\xc0\xae/over.json",
        b"latin-\xe9.json",
        "zero-\u{200b}width\u{feff}.json".as_bytes(),
    ];
    // As a tar, as a zip, and as files of a folder.
    let tar = names.iter().fold(Tar::new(), |tar, name| tar.file(name, b"{\"no\":\"format\"}"));
    let zip = names.iter().fold(Zip::new(), |zip, name| zip.file(name, b"{\"no\":\"format\"}"));
    let stella = Stella::new();
    stella.file("names.tar", tar.end());
    stella.file("names.zip", zip.end());
    for name in names {
        let name = Path::new(OsStr::from_bytes(name));
        let path = stella.path("names").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, b"{\"no\":\"format\"}").expect("a file with an odd name");
    }
    for source in ["names.tar", "names.zip", "names"] {
        let feed = source.replace('.', "-");
        let outcome = stella.run(&["ingest", "--feed", &feed, source]).expect(2);
        plain(source, &outcome);
        let list = stella.run(&["quarantine", "list", "--feed", &feed]).expect(0);
        plain(source, &list);
        assert!(list.stdout.lines().count() >= names.len(), "{source}: {}", list.stdout);
        let one = stella.run(&["-o", "name", "quarantine", "list", "--feed", &feed]).expect(0);
        assert_eq!(one.stdout.lines().count(), names.len(), "{source}: {}", one.stdout);
        let values = stella.json(&["quarantine", "list", "--feed", &feed]);
        let items = values["items"].as_array().expect("a list");
        assert_eq!(items.len(), names.len(), "{source}");
    }
}

/// Fails if a text for people has characters that a terminal acts upon.
fn plain(what: &str, outcome: &Outcome) {
    for text in [&outcome.stdout, &outcome.stderr] {
        let acts = |c: char| {
            (c.is_control() && c != '\n')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}')
        };
        let found = text.chars().find(|c| acts(*c));
        assert_eq!(found, None, "{what}: {text:?}");
    }
}

#[test]
fn hostile_ids_with_odd_characters_are_two_records_and_shown_escaped() {
    let stella = Stella::new();
    let lines = [
        good("caf\u{e9}"),
        good("cafe\u{301}"),
        good("\u{202e}DIB"),
        good("\\u001b[2J"),
        good("a/../../b"),
        good("--help"),
    ];
    stella.file("ids.jsonl", lines.join(&b'\n'));
    stella.run(&["ingest", "--feed", "odd", "ids.jsonl"]).expect(0);
    assert_eq!(held(&stella), 6);
    let run = ["export", "run", "mirror:full", "-d", "bundle", "--unsigned-for-testing"];
    plain("export", &stella.run(&run).expect(0));
    for entry in support::listing(&stella.path("bundle")) {
        assert!(entry.path.is_ascii(), "{entry:?}");
    }
    let verify = ["export", "verify", "bundle", "--allow-unsigned-for-testing"];
    plain("verify", &stella.run(&verify).expect(0));
}

#[test]
fn hostile_folders_are_walked_without_following_or_blocking() {
    let stella = Stella::new();
    stella.file("folder/good.json", good("GOOD-1"));
    stella.file("outside/secret.json", good("SECRET-1"));
    let link = |target: &str, name: &str| {
        let path = stella.path("folder").join(name);
        std::os::unix::fs::symlink(target, path).expect("a link");
    };
    link("../outside/secret.json", "file.json");
    link("../outside", "folder-link");
    link("..", "loop");
    link("nowhere", "broken.json");
    let pipe = stella.path("folder/pipe.json");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success() && exists(&pipe));
    let outcome = stella.run(&["-o", "json", "ingest", "--feed", "hostile", "folder"]);
    judge("folder", &stella, &outcome, taken(1, &[("device", 1), ("link", 4)]));
}

#[test]
fn hostile_size_of_one_document_does_not_fill_the_memory() {
    const GIB: u64 = 1 << 30;
    let begin = b"{\"id\":\"HUGE-1\",\"modified\":\"2026-01-01T00:00:00Z\",\"details\":\"";

    let stella = Stella::new();
    let arguments = ["-o", "json", "ingest", "--feed", "hostile", "-"];
    let outcome = stella.start(&arguments).feed(move |stdin| {
        stdin.write_all(begin)?;
        fill(stdin, b'a', 2 * GIB)?;
        stdin.write_all(b"\"}")
    });
    judge("2 GiB by a pipe", &stella, &outcome.wait(), taken(0, &[("too-large", 1)]));

    let stella = Stella::new();
    let outcome = stella.start(&arguments).feed(move |stdin| {
        stdin.write_all(
            &[good("GOOD-1"), b"\n".to_vec(), good("GOOD-2"), b"\n".to_vec()].concat(),
        )?;
        stdin.write_all(begin)?;
        fill(stdin, b'a', 2 * GIB)?;
        stdin.write_all(b"\"}\n")?;
        stdin.write_all(&good("GOOD-3"))
    });
    judge("a line of 2 GiB", &stella, &outcome.wait(), taken(3, &[("too-large", 1)]));

    let stella = Stella::new();
    let sparse = fs::File::create(stella.path("sparse.json")).expect("a file");
    sparse.set_len(2 * GIB).expect("a file of holes");
    let outcome = stella.run(&["-o", "json", "ingest", "--feed", "hostile", "sparse.json"]);
    judge("a sparse file", &stella, &outcome, taken(0, &[("too-large", 1)]));

    // A tar member of the same size, in a stream that is never stored.
    let stella = Stella::new();
    let outcome = stella.start(&arguments).feed(move |stdin| {
        stdin.write_all(&Tar::new().file("good.json", good("GOOD-1")).end()[..1024])?;
        stdin.write_all(&tar_header(b'0', b"huge.json", b"", 2 * GIB))?;
        fill(stdin, b' ', 2 * GIB)?;
        stdin.write_all(&Tar::new().file("last.json", good("GOOD-2")).end())
    });
    judge("a member of 2 GiB", &stella, &outcome.wait(), taken(2, &[("too-large", 1)]));
}

#[test]
fn hostile_numbers_of_parts_do_not_fill_the_memory() {
    let namespace = "http://cyclonedx.org/schema/bom/1.5";
    let tags = |count| {
        let head = "SPDXVersion: SPDX-2.3\nDocumentNamespace: https://example.org/d\n";
        format!("{head}{}", "PackageName:\n".repeat(count)).into_bytes()
    };
    let components = |count| {
        let all = "<component/>".repeat(count);
        let serial = "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79";
        format!(
            "<bom xmlns='{namespace}' serialNumber='{serial}'><components>{all}</components></bom>"
        )
        .into_bytes()
    };
    let vulnerabilities = |one: &str, count| {
        let all = one.repeat(count);
        format!("<bom xmlns='{namespace}'><vulnerabilities>{all}</vulnerabilities></bom>")
            .into_bytes()
    };
    // Each kind takes nearly all bytes or all elements that a document may have.
    let wide = format!("<vulnerability{}/>", " ".repeat(19));
    let named = format!("<vulnerability><id>{}</id></vulnerability>", "x".repeat(28));
    let affecting =
        "<vulnerability><affects><target><ref>a</ref></target></affects></vulnerability>";
    let too_large = taken(0, &[("too-large", 1)]);
    let cases = [
        ("1.9 M vulnerabilities", "a.cdx.xml", vulnerabilities(&wide, 1_900_000), taken(1, &[])),
        ("named vulnerabilities", "a.cdx.xml", vulnerabilities(&named, 950_000), taken(1, &[])),
        ("affected components", "a.cdx.xml", vulnerabilities(affecting, 470_000), taken(1, &[])),
        ("1.9 M packages", "a.spdx", tags(1_900_000), taken(1, &[])),
        ("5 M packages", "a.spdx", tags(5_000_000), too_large),
        ("1.9 M components", "a.cdx.xml", components(1_900_000), taken(1, &[])),
        ("5 M components", "a.cdx.xml", components(5_000_000), too_large),
    ];
    for (name, file, bytes, expected) in cases {
        let peak = check(name, file, &bytes, expected);
        assert!(peak <= DOCUMENT_PEAK_BYTES, "{name}: {} MiB", peak >> 20);
    }
}
