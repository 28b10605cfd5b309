//! Lines of a bundle's JSONL parts and of their indexes.
//!
//! A data line holds one record:
//! `{"contentDigest","feed","id","kind","mediaType","modified"?,"raw":<JSON> | "text":"…"}`, members
//! in that (canonical) order, a line feed at the end. The document comes last and is the canonical
//! form byte for byte, so that a reader may hash it in place. An index line tells where the line of
//! a record lies: `{"contentDigest","id","length","offset"}`.

use std::borrow::Cow;

use stella_model::json::{Document, write_string};
use stella_model::{Digest, FeedName, Instant, Kind, Limits, RecordId, SetKey};

/// Version of the line format, part of every part key.
pub const LINE_VERSION: u32 = 1;

/// Media type of a data part.
pub const PART_MEDIA_TYPE: &str = "application/vnd.stella.export.records.v1+jsonl+zstd";

/// Media type of an index part.
pub const INDEX_MEDIA_TYPE: &str = "application/vnd.stella.export.index.v1+jsonl+zstd";

/// The members of a data line before the document.
#[derive(Debug, Clone, Copy)]
pub struct LineHead<'a> {
    /// SHA-256 of the document as carried.
    pub content_digest: Digest,
    /// Kind and feed.
    pub set: &'a SetKey,
    /// Id within the set.
    pub id: &'a RecordId,
    /// Media type of the document.
    pub media_type: &'a str,
    /// Revision time, if the document tells one.
    pub modified: Option<Instant>,
}

/// A document as carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// A JSON document in canonical form.
    Json(&'a [u8]),
    /// Any other document: UTF-8 text, unchanged.
    Text(&'a str),
}

/// What ends a data line after its document.
pub const LINE_END: &[u8] = b"}\n";

/// Appends one data line with its line feed.
pub fn write_line(out: &mut Vec<u8>, head: &LineHead<'_>, content: Content<'_>) {
    match content {
        Content::Json(canonical) => {
            write_json_head(out, head);
            out.extend_from_slice(canonical);
        }
        Content::Text(text) => {
            write_members(out, head);
            out.extend_from_slice(b",\"text\":");
            write_string(out, text);
        }
    }
    out.extend_from_slice(LINE_END);
}

/// Appends what comes before a JSON document: the document in canonical form and [`LINE_END`] make
/// it a line.
pub fn write_json_head(out: &mut Vec<u8>, head: &LineHead<'_>) {
    write_members(out, head);
    out.extend_from_slice(b",\"raw\":");
}

fn write_members(out: &mut Vec<u8>, head: &LineHead<'_>) {
    out.extend_from_slice(b"{\"contentDigest\":\"");
    out.extend_from_slice(&head.content_digest.hex());
    // Feeds and kinds have no character that needs an escape.
    out.extend_from_slice(b"\",\"feed\":\"");
    out.extend_from_slice(head.set.feed.as_str().as_bytes());
    out.extend_from_slice(b"\",\"id\":");
    write_string(out, head.id.as_str());
    out.extend_from_slice(b",\"kind\":\"");
    out.extend_from_slice(head.set.kind.as_str().as_bytes());
    out.extend_from_slice(b"\",\"mediaType\":");
    write_string(out, head.media_type);
    if let Some(modified) = head.modified {
        out.extend_from_slice(b",\"modified\":");
        write_string(out, &modified.to_string());
    }
}

/// A data line as read.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// Digest that the line claims for its document.
    pub content_digest: Digest,
    /// Feed.
    pub feed: FeedName,
    /// Id.
    pub id: RecordId,
    /// Kind.
    pub kind: Kind,
    /// Media type of the document.
    pub media_type: Cow<'a, str>,
    /// Revision time.
    pub modified: Option<Instant>,
    /// The document.
    pub body: Body<'a>,
}

/// The document of a line as read.
#[derive(Debug, Clone)]
pub enum Body<'a> {
    /// The bytes of the member `raw`, not looked at.
    Json(&'a [u8]),
    /// The unescaped text of the member `text`.
    Text(Cow<'a, str>),
}

impl Body<'_> {
    /// The bytes that contentDigest is the SHA-256 of.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::Json(bytes) => bytes,
            Body::Text(text) => text.as_bytes(),
        }
    }
}

/// A line that does not have the form of a data or index line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a line is not in its canonical form: expected {expected} at byte {offset}")]
pub struct LineError {
    /// What had to come next.
    pub expected: &'static str,
    /// Offset within the line.
    pub offset: usize,
}

/// Reads a data line without its line feed.
///
/// The members before the document are taken one by one in their order; the document is what
/// remains up to the closing brace. It is not parsed: its digest tells whether it is what was
/// written, and `verify --deep` canonicalises it again.
///
/// # Errors
/// [`LineError`] if a member is missing, out of order or not in canonical form.
pub fn parse_line(line: &[u8]) -> Result<Line<'_>, LineError> {
    let mut cursor = Cursor::new(line);
    cursor.literal(b"{\"contentDigest\":", "contentDigest")?;
    let content_digest = cursor.parsed("64 hex digits")?;
    cursor.literal(b",\"feed\":", "feed")?;
    let feed = cursor.parsed("a feed name")?;
    cursor.literal(b",\"id\":", "id")?;
    let id = cursor.parsed("a record id")?;
    cursor.literal(b",\"kind\":", "kind")?;
    let kind = cursor.parsed("a kind")?;
    cursor.literal(b",\"mediaType\":", "mediaType")?;
    let media_type = cursor.string("a media type")?;
    let modified = cursor.time_member(b",\"modified\":")?;
    let body = cursor.body()?;
    Ok(Line { content_digest, feed, id, kind, media_type, modified, body })
}

/// Where the line of one record lies in the uncompressed part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// SHA-256 of the document as carried.
    pub content_digest: Digest,
    /// Id within the set.
    pub id: RecordId,
    /// Length of the line in bytes, with its line feed.
    pub length: u64,
    /// Offset of the line in bytes.
    pub offset: u64,
}

/// Appends one index line with its line feed.
pub fn write_index_line(out: &mut Vec<u8>, entry: &IndexEntry) {
    out.extend_from_slice(b"{\"contentDigest\":\"");
    out.extend_from_slice(&entry.content_digest.hex());
    out.extend_from_slice(b"\",\"id\":");
    write_string(out, entry.id.as_str());
    let rest = format!(",\"length\":{},\"offset\":{}}}\n", entry.length, entry.offset);
    out.extend_from_slice(rest.as_bytes());
}

/// Reads an index line without its line feed.
///
/// # Errors
/// [`LineError`] if it is not exactly what [`write_index_line`] writes for some entry.
pub fn parse_index_line(line: &[u8]) -> Result<IndexEntry, LineError> {
    let mut cursor = Cursor::new(line);
    cursor.literal(b"{\"contentDigest\":", "contentDigest")?;
    let content_digest = cursor.parsed("64 hex digits")?;
    cursor.literal(b",\"id\":", "id")?;
    let id = cursor.parsed("a record id")?;
    cursor.literal(b",\"length\":", "length")?;
    let length = cursor.number()?;
    cursor.literal(b",\"offset\":", "offset")?;
    let offset = cursor.number()?;
    cursor.literal(b"}", "the end of the line")?;
    match cursor.at == line.len() {
        true => Ok(IndexEntry { content_digest, id, length, offset }),
        false => Err(cursor.error("the end of the line")),
    }
}

/// Takes the members of a line one by one, each in the one form that the writer has.
pub(crate) struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(line: &'a [u8]) -> Cursor<'a> {
        Cursor { line, at: 0 }
    }

    /// The offset of what comes next.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    fn error(&self, expected: &'static str) -> LineError {
        LineError { expected, offset: self.at }
    }

    fn has(&mut self, literal: &[u8]) -> bool {
        let found = self.line[self.at..].starts_with(literal);
        if found {
            self.at += literal.len();
        }
        found
    }

    pub(crate) fn literal(&mut self, literal: &[u8], what: &'static str) -> Result<(), LineError> {
        if self.has(literal) { Ok(()) } else { Err(self.error(what)) }
    }

    /// The string token at the cursor, which must be in canonical form.
    pub(crate) fn string(&mut self, what: &'static str) -> Result<Cow<'a, str>, LineError> {
        let rest = &self.line[self.at..];
        if rest.first() != Some(&b'"') {
            return Err(self.error(what));
        }
        let mut end = 1;
        loop {
            match memchr::memchr2(b'"', b'\\', &rest[end..]) {
                Some(found) if rest[end + found] == b'"' => break end += found + 1,
                // The escaped character is stepped over, whatever it is.
                Some(found) if end + found + 2 <= rest.len() => end += found + 2,
                _ => return Err(self.error(what)),
            }
        }
        let token = &rest[..end];
        let plain = !token.contains(&b'\\') && token[1..end - 1].iter().all(|b| *b >= 0x20);
        let text = if plain {
            let inner = std::str::from_utf8(&token[1..end - 1]).map_err(|_| self.error(what))?;
            Cow::Borrowed(inner)
        } else {
            Cow::Owned(self.unescaped(token, what)?)
        };
        self.at += end;
        Ok(text)
    }

    fn unescaped(&self, token: &[u8], what: &'static str) -> Result<String, LineError> {
        // The line bounds the token; no document limit applies to its escaped form.
        let limits = Limits { document_bytes: u64::MAX, ..Limits::DEFAULT };
        let document = Document::parse(token, &limits).map_err(|_| self.error(what))?;
        let text = document.root().as_str().ok_or_else(|| self.error(what))?.into_owned();
        let mut again = Vec::with_capacity(token.len());
        write_string(&mut again, &text);
        if again == token { Ok(text) } else { Err(self.error(what)) }
    }

    pub(crate) fn parsed<T: std::str::FromStr>(
        &mut self,
        what: &'static str,
    ) -> Result<T, LineError> {
        let at = self.at;
        let text = self.string(what)?;
        text.parse().map_err(|_| LineError { expected: what, offset: at })
    }

    /// The time of a member that may be absent.
    pub(crate) fn time_member(&mut self, name: &[u8]) -> Result<Option<Instant>, LineError> {
        if !self.has(name) {
            return Ok(None);
        }
        let at = self.at;
        let text = self.string("a time")?;
        // Only the form that the writer has: one instant must not have two spellings.
        let canonical = |time: &Instant| time.to_string() == *text;
        let time = Instant::parse(&text).ok().filter(canonical);
        time.map(Some).ok_or(LineError { expected: "a time in UTC", offset: at })
    }

    /// A number below 2^53 without leading zeros.
    pub(crate) fn number(&mut self) -> Result<u64, LineError> {
        let rest = &self.line[self.at..];
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let text = std::str::from_utf8(&rest[..digits]).unwrap_or_default();
        let canonical = |number: &u64| *number < 1 << 53 && number.to_string() == text;
        let number = text.parse().ok().filter(canonical);
        let number = number.ok_or_else(|| self.error("a number"))?;
        self.at += digits;
        Ok(number)
    }

    /// The document and the closing brace, which end the line.
    pub(crate) fn body(&mut self) -> Result<Body<'a>, LineError> {
        if self.has(b",\"raw\":") {
            let rest = &self.line[self.at..];
            return match rest.split_last() {
                Some((b'}', raw)) if !raw.is_empty() => Ok(Body::Json(raw)),
                _ => Err(self.error("a document and '}'")),
            };
        }
        self.literal(b",\"text\":", "raw or text")?;
        let text = self.string("a text")?;
        self.literal(b"}", "'}'")?;
        match self.at == self.line.len() {
            true => Ok(Body::Text(text)),
            false => Err(self.error("the end of the line")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head<'a>(set: &'a SetKey, id: &'a RecordId) -> LineHead<'a> {
        let modified = Instant::parse("2026-11-01T12:00:00.5Z").ok();
        LineHead {
            content_digest: Digest::of(b"{}"),
            set,
            id,
            media_type: "application/json",
            modified,
        }
    }

    #[test]
    fn a_line_is_rfc_8785_and_reads_back() {
        let set: SetKey = "advisory/npm".parse().expect("a set");
        let id = RecordId::new("quote\" tab\t é").expect("an id");
        for content in [Content::Json(b"{}"), Content::Text("<a>\n\"\\\u{1f}</a>")] {
            let mut line = Vec::new();
            write_line(&mut line, &head(&set, &id), content);
            let value: serde_json::Value = serde_json::from_slice(&line).expect("valid JSON");
            let body = line.strip_suffix(b"\n").expect("a line feed at the end");
            assert_eq!(stella_model::rfc8785::to_vec(&value), body);
            let read = parse_line(body).expect("reads back");
            assert_eq!((read.id, &read.feed, &read.kind), (id.clone(), &set.feed, &set.kind));
            let expected = match content {
                Content::Json(bytes) => bytes,
                Content::Text(text) => text.as_bytes(),
            };
            assert_eq!(read.body.bytes(), expected);
        }
    }

    #[test]
    fn other_spellings_of_a_line_are_refused() {
        let set: SetKey = "vex/a".parse().expect("a set");
        let id = RecordId::new("x").expect("an id");
        let mut line = Vec::new();
        write_line(&mut line, &head(&set, &id), Content::Text("t"));
        let good = String::from_utf8(line).expect("UTF-8");
        let good = good.trim_end_matches('\n');
        assert!(parse_line(good.as_bytes()).is_ok());
        for (from, to) in [
            ("{\"content", "{ \"content"),
            ("\"x\"", "\"\\u0078\""),
            ("\"x\"", "\"\""),
            ("\"vex\"", "\"Vex\""),
            ("12:00:00.5Z", "13:00:00.5+01:00"),
            ("\"text\":\"t\"", "\"text\":\"\\t"),
            ("\"text\":\"t\"}", "\"text\":\"t\"} "),
            ("\"text\":\"t\"", "\"text\":\"t\",\"z\":1"),
            ("\"text\":\"t\"", "\"other\":\"t\""),
            (",\"kind\":\"vex\"", ""),
        ] {
            assert!(good.contains(from), "{from}");
            assert!(parse_line(good.replacen(from, to, 1).as_bytes()).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn an_index_line_is_exactly_one_spelling() {
        let id = RecordId::new("A\"B").expect("an id");
        let entry = IndexEntry { content_digest: Digest::EMPTY, id, length: 10, offset: 0 };
        let mut line = Vec::new();
        write_index_line(&mut line, &entry);
        let body = line.strip_suffix(b"\n").expect("a line feed at the end");
        assert_eq!(parse_index_line(body), Ok(entry));
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        for (from, to) in [
            (":10", ":010"),
            (":10", ":-1"),
            (":10", ":1e1"),
            ("0}", "0} "),
            (":10", ":9007199254740992"),
        ] {
            assert!(parse_index_line(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
    }
}
