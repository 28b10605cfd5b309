//! Documents that stand one to a line.

use std::io::{BufRead, Read};

use crate::source::Source;
use crate::{Document, Event, Halt, Place, Reason, Walk, Walker, failed};

/// What the beginning of a stream tells about its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One document to a line.
    Lines,
    /// One document in all.
    Whole,
    /// Too little was seen.
    Unknown,
}

/// Whether a name says that documents stand one to a line: `.jsonl` or `.ndjson`, also within the
/// name, as in `feed.jsonl.part1`.
pub(crate) fn by_name(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.split('.').skip(1).any(|extension| {
        extension.eq_ignore_ascii_case("jsonl") || extension.eq_ignore_ascii_case("ndjson")
    })
}

/// What a beginning tells: a first line that is a whole object and an object behind it are JSON
/// lines. A document written over several lines has no whole object in the first one, and one
/// written in a single line has nothing behind it.
pub(crate) fn by_content(head: &[u8]) -> Shape {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let Some(begin) = head.iter().position(|b| !b.is_ascii_whitespace()) else {
        return Shape::Unknown;
    };
    let head = &head[begin..];
    if head[0] != b'{' {
        return Shape::Whole;
    }
    let Some(end) = memchr::memchr(b'\n', head) else { return Shape::Unknown };
    let (line, rest) = head.split_at(end);
    match rest.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') if is_whole_object(line) => Shape::Lines,
        Some(_) => Shape::Whole,
        None => Shape::Unknown,
    }
}

impl Walker<'_> {
    /// Hands out every line that is not blank.
    pub(crate) fn lines(&mut self, source: &mut Source<'_>, place: Place<'_>) -> Walk {
        let limit = self.options.limits.document_bytes;
        for number in 1_u64.. {
            let offset = source.taken();
            let mut line = Vec::new();
            let read = Read::take(&mut *source, limit + 1).read_until(b'\n', &mut line);
            read.map_err(|error| failed(place, Some(source.taken()), &error))?;
            if line.is_empty() {
                break;
            }
            let whole = line.last() == Some(&b'\n');
            if whole {
                line.pop();
            }
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            let path = format!("{}:{number}", place.path);
            if line.len() as u64 > limit {
                let here = Place { path: &path, name: place.name };
                let detail = format!("the line is longer than {limit} bytes");
                self.reject(here, Reason::TooLarge, Some(offset), detail)?;
                if !whole {
                    drop(line);
                    skip_line(source, place)?;
                }
            } else if !line.iter().all(u8::is_ascii_whitespace) {
                line.shrink_to_fit();
                self.emit(Event::Document(Document { path, bytes: line, offset: Some(offset) }))?;
            }
        }
        Ok(())
    }
}

fn skip_line(source: &mut Source<'_>, place: Place<'_>) -> Result<(), Halt> {
    source.skip_until(b'\n').map_err(|error| failed(place, Some(source.taken()), &error))?;
    Ok(())
}

/// Whether the line is one object by its brackets and strings.
fn is_whole_object(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let (mut depth, mut at) = (0_u64, 0);
    while at < line.len() {
        match line[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1 == line.len();
                }
            }
            b'"' => match string_end(&line[at + 1..]) {
                Some(length) => at += length,
                None => return false,
            },
            _ => {}
        }
        at += 1;
    }
    false
}

/// Bytes up to and with the closing quote.
fn string_end(inner: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', inner.get(at..)?)?;
        if inner[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_json_lines() {
        for name in ["a.jsonl", "dir.x/a.NDJSON", "feed.jsonl.part1", "a.osv.jsonl"] {
            assert!(by_name(name), "{name}");
        }
        for name in ["a.json", "jsonl", "ndjson/a.json", "x.jsonl/a.json", ""] {
            assert!(!by_name(name), "{name}");
        }
    }

    #[test]
    fn content_tells_lines_from_documents() {
        for (head, expected) in [
            ("{\"a\":1}\n{\"a\":2}\n", Shape::Lines),
            ("\u{feff}{\"a\":1}\r\n\r\n {", Shape::Lines),
            ("{\"a\":\"}\\\"{\"}\n{", Shape::Lines),
            ("{\n  \"a\": 1\n}\n", Shape::Whole),
            ("{\"a\": {},\n\"b\": 1}\n", Shape::Whole),
            ("{\"a\": [{},\n{}]}", Shape::Whole),
            ("{\"a\": \"}\n{", Shape::Whole),
            ("{}}\n{", Shape::Whole),
            ("{\"a\":1} x\n{", Shape::Whole),
            ("{\"a\":1}\nrest", Shape::Whole),
            ("[1]\n[2]\n", Shape::Whole),
            ("<xml/>\n", Shape::Whole),
            ("{\"a\":1}\n", Shape::Unknown),
            ("{\"a\":1}", Shape::Unknown),
            (" \n", Shape::Unknown),
            ("", Shape::Unknown),
        ] {
            assert_eq!(by_content(head.as_bytes()), expected, "{head:?}");
        }
    }
}
