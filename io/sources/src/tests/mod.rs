//! What a walk makes of honest and of hostile input.

mod archives;
mod bombs;
mod folders;
mod lines;
mod robust;

use std::io::{Cursor, Read, Write};
use std::ops::ControlFlow;

use stella_model::Limits;

use super::*;

/// Class by name as the tests have it: signatures accompany, read-me files and `.git` do not count.
pub(crate) fn class(name: &str) -> Class {
    let file = name.rsplit('/').next().unwrap_or(name);
    if name.split('/').rev().skip(1).any(|folder| folder == ".git") || file == "README.md" {
        Class::Ignored
    } else if file.ends_with(".asc") {
        Class::Companion
    } else {
        Class::Document
    }
}

/// Walks inputs; one line for each event: `path = content`, `path ~ Class`, `path ! reason`, and a
/// last one `error path@offset kind` if there was an error.
pub(crate) fn listing(inputs: Vec<Input>, limits: Limits) -> Vec<String> {
    let mut events = Vec::new();
    let options = Options { limits, by_name: &class, spool_dir: None };
    let outcome = walk(inputs, &options, &mut |event| {
        events.push(match event {
            Event::Document(document) => {
                let shown = match document.bytes.len() {
                    0..=40 => String::from_utf8_lossy(&document.bytes).into_owned(),
                    length => format!("{length} bytes"),
                };
                format!("{} = {shown}", document.path)
            }
            Event::Skipped { path, class } => format!("{path} ~ {class:?}"),
            Event::Rejected(rejected) => format!("{} ! {}", rejected.path, rejected.reason),
        });
        ControlFlow::Continue(())
    });
    if let Err(error) = outcome {
        let offset = error.offset.map(|offset| offset.to_string()).unwrap_or_default();
        events.push(format!("error {}@{offset} {:?}: {}", error.path, error.kind, error.problem));
    }
    events
}

pub(crate) fn stream(name: &str, bytes: impl Into<Vec<u8>>) -> Input {
    reader(name, Cursor::new(bytes.into()))
}

pub(crate) fn reader(name: &str, reader: impl Read + Send + 'static) -> Input {
    Input::Stream { name: name.to_owned(), reader: Box::new(reader) }
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 3).expect("in memory")
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// A tar archive of plain members with any names.
pub(crate) fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in members {
        archive.extend(tar_member(name, tar::EntryType::Regular, content));
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// A member as it lies in an archive; the name is written as it is, up to 100 bytes.
pub(crate) fn tar_member(name: &str, kind: tar::EntryType, content: &[u8]) -> Vec<u8> {
    let mut member = tar_header(name, kind, content.len() as u64);
    member.extend_from_slice(content);
    member.resize(member.len().next_multiple_of(512), 0);
    member
}

pub(crate) fn tar_header(name: &str, kind: tar::EntryType, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// A zip archive, deflated.
pub(crate) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        let options = ::zip::write::SimpleFileOptions::default();
        writer.start_file(*name, options).expect("in memory");
        writer.write_all(content).expect("in memory");
    }
    writer.finish().expect("in memory").into_inner()
}

/// The most memory that this process ever held, in bytes, where the system tells and each test is
/// a process of its own.
pub(crate) fn peak_memory() -> Option<u64> {
    std::env::var_os("NEXTEST")?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

pub(crate) fn assert_bounded_memory(most: u64) {
    if let Some(peak) = peak_memory() {
        assert!(peak < most, "{} MiB", peak >> 20);
    }
}

#[test]
fn a_walk_stops_when_the_sink_says_so() {
    let options = Options { limits: Limits::DEFAULT, by_name: &class, spool_dir: None };
    let mut count = 0;
    let inputs = vec![stream("a.jsonl", "1\n2\n3\n"), stream("b.jsonl", "4\n")];
    let flow = walk(inputs, &options, &mut |_| {
        count += 1;
        if count == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((flow, count), (Ok(ControlFlow::Break(())), 2));
}

#[test]
fn codes_are_kebab_case_and_distinct() {
    let mut codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert!(codes.iter().all(|code| code.bytes().all(|b| b == b'-' || b.is_ascii_lowercase())));
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Reason::ALL.len());
}
