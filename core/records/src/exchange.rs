//! Pages of the export of a ledger: how one instance tells another what it holds.
//!
//! A page is JSON lines ([`MEDIA_TYPE`]). Its first line says of which ledger, tenant, kind and
//! sequences it is; on the first page of an export each feed follows with what is told of it; then
//! come records and removals, by feed and id; its last line says how many there were so far, and
//! where to go on. A page without a last line is cut short. The members of a record stand in one
//! order, the document last, as in [a line of a bundle](mod@crate::line). The whole format is in
//! `docs/formats/ledger-export.md`.

use serde::{Deserialize, Serialize};
use stella_model::json::write_string;
use stella_model::{Digest, FeedName, Instant, Kind, Limits, RecordId, TenantId};

use crate::format::Format;
use crate::line::{Body, Content, Cursor, LineError};

/// Version of the format, in the first line of every page.
pub const VERSION: u64 = 1;

/// Media type of a page.
pub const MEDIA_TYPE: &str = "application/x-ndjson";

/// A page ends with the line that takes it over this many bytes, if not before.
pub const PAGE_BYTES: u64 = 8 << 20;

/// Records and removals of a page unless asked otherwise, and at most.
pub const PAGE_SIZE: (u32, u32) = (2_000, 10_000);

/// Bytes of a line that are no document: names, digest, the longest id with every byte escaped.
const BESIDE_DOCUMENT: u64 = 64 << 10;

/// The words that an address has for the kinds, and the kinds.
const WORDS: [(&str, &str); 4] =
    [("advisories", "advisory"), ("findings", "finding"), ("sboms", "sbom"), ("vex", "vex")];

/// The kinds that are exported, bytewise by name.
#[must_use]
pub fn kinds() -> [Kind; 4] {
    [Kind::advisory(), Kind::finding(), Kind::sbom(), Kind::vex()]
}

/// The kind that a word of an address means, such as `advisories`.
#[must_use]
pub fn kind_of_word(word: &str) -> Option<Kind> {
    let (_, name) = WORDS.iter().find(|(known, _)| *known == word)?;
    Kind::new(name).ok()
}

/// The word of an address for a kind; none for a kind that is not exported.
#[must_use]
pub fn word_of_kind(kind: &Kind) -> Option<&'static str> {
    WORDS.iter().find(|(_, name)| *name == kind.as_str()).map(|(word, _)| *word)
}

/// Bytes of the longest line that is read, without its line feed. A text may take twice its length
/// with its escapes; one that takes more is refused.
#[must_use]
pub fn line_bytes(limits: &Limits) -> u64 {
    limits.document_bytes.saturating_mul(2).saturating_add(BESIDE_DOCUMENT)
}

/// The first line of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageHead {
    /// Epoch of the ledger: a restore from a copy raises it.
    pub epoch: u64,
    /// The only feed that was asked for; absent if all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<FeedName>,
    /// The kind of all records.
    pub kind: Kind,
    /// Id of the ledger, 32 hex digits.
    pub ledger: String,
    /// Records and removals on the pages before.
    pub records: u64,
    /// The sequence that the reader has already.
    pub since: u64,
    /// Whose records these are.
    pub tenant: TenantId,
    /// The sequence whose state is told.
    pub until: u64,
    /// [`VERSION`].
    pub version: u64,
}

/// What is told of a feed that holds records of the kind at the sequence told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedTold {
    /// How the publisher wants to be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<String>,
    /// SPDX id of the licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Its name.
    pub name: FeedName,
    /// Who publishes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Records of the kind that it holds.
    pub records: u64,
    /// Whether it may be passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redistribution: Option<bool>,
}

/// A record that is no longer there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Its feed.
    pub feed: FeedName,
    /// Its id.
    pub id: RecordId,
    /// Its kind.
    pub kind: Kind,
    /// The sequence since when it is gone.
    pub sequence: u64,
    /// Whose it was.
    pub tenant: TenantId,
}

/// The last line of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageEnd {
    /// What the next page is asked for with; none if this is the last.
    pub next: Option<String>,
    /// Records and removals up to here, those of the pages before among them.
    pub records: u64,
}

/// The members of a record before its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHead {
    /// SHA-256 of the document as carried.
    pub content_digest: Digest,
    /// Its feed.
    pub feed: FeedName,
    /// The format of the document.
    pub format: Format,
    /// Its id.
    pub id: RecordId,
    /// Its kind.
    pub kind: Kind,
    /// Its revision time, if it tells one.
    pub modified: Option<Instant>,
    /// The sequence since when it is as it is.
    pub sequence: u64,
    /// Whose it is.
    pub tenant: TenantId,
}

/// A line of a page as read.
#[derive(Debug, Clone)]
pub enum PageLine<'a> {
    /// The first line.
    Head(PageHead),
    /// What is told of a feed.
    Feed(FeedTold),
    /// A record with its document.
    Record(RecordHead, Body<'a>),
    /// A record that is gone.
    Removed(Removed),
    /// The last line.
    End(PageEnd),
}

/// The lines that are objects without a document.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Plain<H, F, R, E> {
    Page(H),
    Feed(F),
    Removed(R),
    End(E),
}

type Written<'a> = Plain<&'a PageHead, &'a FeedTold, &'a Removed, &'a PageEnd>;
type Read = Plain<PageHead, FeedTold, Removed, PageEnd>;

fn write_plain(out: &mut Vec<u8>, line: &Written<'_>) {
    // Names, numbers and texts: there is nothing that JSON could not hold, and memory takes all.
    serde_json::to_writer(&mut *out, line).unwrap_or_default();
    out.push(b'\n');
}

/// Appends the first line of a page.
pub fn write_head(out: &mut Vec<u8>, head: &PageHead) {
    write_plain(out, &Plain::Page(head));
}

/// Appends what is told of a feed.
pub fn write_feed(out: &mut Vec<u8>, feed: &FeedTold) {
    write_plain(out, &Plain::Feed(feed));
}

/// Appends that a record is gone.
pub fn write_removed(out: &mut Vec<u8>, removed: &Removed) {
    write_plain(out, &Plain::Removed(removed));
}

/// Appends the last line of a page.
pub fn write_end(out: &mut Vec<u8>, end: &PageEnd) {
    write_plain(out, &Plain::End(end));
}

/// Appends a record with its document: of JSON the canonical form, as it is stored.
pub fn write_record(out: &mut Vec<u8>, head: &RecordHead, content: Content<'_>) {
    out.extend_from_slice(b"{\"record\":{\"contentDigest\":\"");
    out.extend_from_slice(&head.content_digest.hex());
    let text = |out: &mut Vec<u8>, name: &str, text: &str| {
        out.extend_from_slice(name.as_bytes());
        write_string(out, text);
    };
    text(out, "\",\"feed\":", head.feed.as_str());
    text(out, ",\"format\":", head.format.as_str());
    text(out, ",\"id\":", head.id.as_str());
    text(out, ",\"kind\":", head.kind.as_str());
    if let Some(modified) = head.modified {
        text(out, ",\"modified\":", &modified.to_string());
    }
    out.extend_from_slice(format!(",\"sequence\":{}", head.sequence).as_bytes());
    text(out, ",\"tenant\":", head.tenant.as_str());
    match content {
        Content::Json(canonical) => {
            out.extend_from_slice(b",\"raw\":");
            out.extend_from_slice(canonical);
        }
        Content::Text(content) => text(out, ",\"text\":", content),
    }
    out.extend_from_slice(b"}}\n");
}

/// Reads a line of a page without its line feed.
///
/// A record must be written exactly as [`write_record`] writes it; its document is not looked at.
/// Of the other lines members that are not known are passed over: a newer version may tell more.
///
/// # Errors
/// [`LineError`] if it is no line of a page.
pub fn parse(line: &[u8]) -> Result<PageLine<'_>, LineError> {
    const RECORD: &[u8] = b"{\"record\":{";
    if line.starts_with(RECORD) {
        return parse_record(line);
    }
    let plain = serde_json::from_slice(line).map_err(|error| LineError {
        expected: "page, feed, record, removed or end with all of its members",
        offset: error.column().saturating_sub(1),
    })?;
    Ok(match plain {
        Read::Page(head) => PageLine::Head(head),
        Read::Feed(feed) => PageLine::Feed(feed),
        Read::Removed(removed) => PageLine::Removed(removed),
        Read::End(end) => PageLine::End(end),
    })
}

fn parse_record(line: &[u8]) -> Result<PageLine<'_>, LineError> {
    // The document is what remains up to the brace of the record, which ends what the cursor sees.
    let offset = line.len().saturating_sub(1);
    let inside = line.strip_suffix(b"}").ok_or(LineError { expected: "'}}'", offset })?;
    let mut cursor = Cursor::new(inside);
    cursor.literal(b"{\"record\":{\"contentDigest\":", "contentDigest")?;
    let content_digest = cursor.parsed("64 hex digits")?;
    cursor.literal(b",\"feed\":", "feed")?;
    let feed = cursor.parsed("a feed name")?;
    cursor.literal(b",\"format\":", "format")?;
    let at = cursor.at();
    let format = Format::parse(&cursor.string("a format")?);
    let format = format.ok_or(LineError { expected: "a format that is known", offset: at })?;
    cursor.literal(b",\"id\":", "id")?;
    let id = cursor.parsed("a record id")?;
    cursor.literal(b",\"kind\":", "kind")?;
    let kind = cursor.parsed("a kind")?;
    let modified = cursor.time_member(b",\"modified\":")?;
    cursor.literal(b",\"sequence\":", "sequence")?;
    let sequence = cursor.number()?;
    cursor.literal(b",\"tenant\":", "tenant")?;
    let tenant = cursor.parsed("a tenant")?;
    let body = cursor.body()?;
    if matches!(body, Body::Json(_)) != format.is_json() {
        let expected = "raw of a format in JSON, text of any other";
        return Err(LineError { expected, offset: cursor.at() });
    }
    let head = RecordHead { content_digest, feed, format, id, kind, modified, sequence, tenant };
    Ok(PageLine::Record(head, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> RecordHead {
        RecordHead {
            content_digest: Digest::of(b"{}"),
            feed: "npm".parse().expect("a feed"),
            format: Format::Osv,
            id: RecordId::new("quote\" line\n é").expect("an id"),
            kind: Kind::advisory(),
            modified: Instant::parse("2026-11-01T12:00:00.5Z").ok(),
            sequence: 7,
            tenant: TenantId::local(),
        }
    }

    #[test]
    fn a_record_is_json_and_reads_back() {
        let xml = RecordHead { format: Format::CycloneDxXml, modified: None, ..head() };
        for (head, content) in
            [(head(), Content::Json(b"{\"a\":{}}")), (xml, Content::Text("<a>\n\"\\\u{1f}</a>}"))]
        {
            let mut line = Vec::new();
            write_record(&mut line, &head, content);
            serde_json::from_slice::<serde_json::Value>(&line).expect("valid JSON");
            let body = line.strip_suffix(b"\n").expect("a line feed at the end");
            let Ok(PageLine::Record(read, document)) = parse(body) else { panic!("reads back") };
            assert_eq!(read, head);
            let expected = match content {
                Content::Json(bytes) => bytes,
                Content::Text(text) => text.as_bytes(),
            };
            assert_eq!(document.bytes(), expected);
        }
    }

    #[test]
    fn other_spellings_of_a_record_are_refused() {
        let mut line = Vec::new();
        write_record(&mut line, &head(), Content::Json(b"{}"));
        let good = String::from_utf8(line).expect("UTF-8");
        let good = good.trim_end_matches('\n');
        assert!(parse(good.as_bytes()).is_ok());
        for (from, to) in [
            ("{\"record\":{", "{\"record\": {"),
            (":7,", ":07,"),
            (":7,", ":-7,"),
            ("\"osv\"", "\"of-a-newer-version\""),
            ("\"npm\"", "\"NPM\""),
            ("12:00:00.5Z", "13:00:00.5+01:00"),
            (",\"tenant\":\"local\"", ""),
            ("\"raw\":{}", "\"text\":\"{}\""),
            ("\"raw\":{}}}", "\"raw\":}}"),
            ("}}}", "}} "),
        ] {
            assert!(good.contains(from), "{from}");
            assert!(parse(good.replacen(from, to, 1).as_bytes()).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn the_other_lines_read_back_and_may_tell_more_than_is_known() {
        let page = PageHead {
            epoch: 1,
            feed: None,
            kind: Kind::vex(),
            ledger: "0".repeat(32),
            records: 2,
            since: 3,
            tenant: TenantId::local(),
            until: 9,
            version: VERSION,
        };
        let mut out = Vec::new();
        write_head(&mut out, &page);
        let expected = "{\"page\":{\"epoch\":1,\"kind\":\"vex\",\"ledger\":\"00000000000000000000000000000000\",\
                        \"records\":2,\"since\":3,\"tenant\":\"local\",\"until\":9,\"version\":1}}\n";
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
        let more = expected.trim_end().replace("\"epoch\"", "\"colour\":{},\"epoch\"");
        assert!(matches!(parse(more.as_bytes()), Ok(PageLine::Head(read)) if read == page));
        for (line, is_good) in [
            (r#"{"end":{"next":null,"records":3}}"#, true),
            (r#"{"end":{"records":3}}"#, true),
            (r#"{"end":{"next":"t"}}"#, false),
            (r#"{"end":{"next":"t","records":3}"#, false),
            (r#"{"end":{"records":3},"page":{}}"#, false),
            (r#"{"feed":{"name":"npm","records":1}}"#, true),
            (r#"{"feed":{"name":"../npm","records":1}}"#, false),
            (r#"{"removed":{"feed":"a","id":"b","kind":"vex","sequence":1,"tenant":"t"}}"#, true),
            (r#"{"removed":{"feed":"a","id":"","kind":"vex","sequence":1,"tenant":"t"}}"#, false),
            (r#"{"other":{}}"#, false),
            ("", false),
            ("[]", false),
            ("{\"record\":{", false),
        ] {
            assert_eq!(parse(line.as_bytes()).is_ok(), is_good, "{line}");
        }
    }

    #[test]
    fn every_kind_has_one_word() {
        for kind in kinds() {
            let word = word_of_kind(&kind).expect("has a word");
            assert_eq!(kind_of_word(word), Some(kind));
        }
        assert_eq!(kind_of_word("decisions"), None);
        assert!(kinds().is_sorted());
    }
}
