//! The archives of the real data, one document at a time.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Hands over every member of a tar, or every line of a JSON lines file, with its name.
pub(crate) fn each_document(archive: &Path, document: &mut dyn FnMut(&str, &[u8])) {
    let file = std::fs::File::open(archive).expect("an archive of the data");
    let mut decoder = zstd::stream::Decoder::new(file).expect("a zstd frame");
    decoder.window_log_max(27).expect("a window the library knows");
    let name = archive.to_string_lossy();
    if name.contains(".jsonl.") {
        for (index, line) in BufReader::new(decoder).split(b'\n').enumerate() {
            let line = line.expect("a readable line");
            document(&format!("{name}:{}", index + 1), &line);
        }
        return;
    }
    let mut members = tar::Archive::new(decoder);
    let mut bytes = Vec::new();
    for member in members.entries().expect("a tar archive") {
        let mut member = member.expect("a readable member");
        if member.header().entry_type().is_file() {
            bytes.clear();
            member.read_to_end(&mut bytes).expect("a readable member");
            let path = member.path().expect("a path").to_string_lossy().into_owned();
            document(&path, &bytes);
        }
    }
}
