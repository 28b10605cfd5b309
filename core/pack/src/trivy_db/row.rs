//! Rows: in their keys the three names of a key of the database, each ended by a zero byte, then a
//! tail, which orders what different records say of it; in the first byte of their values what they
//! are.

use std::borrow::Cow;
use std::io;

use stella_model::Instant;

use super::names::Asker;
use crate::rows::code::damaged;

/// What the kinds of rows are, in the first byte of their values.
pub(super) mod tag {
    /// Final JSON.
    pub(crate) const JSON: u8 = 0;
    /// A fix of a distribution, with the ids that it is for.
    pub(crate) const FIXES: u8 = 1;
    /// A reference to what is known of a vulnerability.
    pub(crate) const DETAIL: u8 = 2;
    /// Nothing: the bucket is to be there.
    pub(crate) const BUCKET: u8 = 3;
    /// A row of a language.
    pub(crate) const CLAIM: u8 = 4;
    /// Entries of Red Hat.
    pub(crate) const RED_HAT: u8 = 5;
}

/// A text without what would end a key early.
pub(super) fn usable_key(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    /// bbolt's limit is 32,768; no package and no id is longer than this.
    const LONGEST: usize = 4096;
    (!text.is_empty() && text.len() <= LONGEST && !text.contains('\0')).then_some(text)
}

/// Appends the names of a key, each ended by a zero byte.
pub(super) fn join(key: &mut Vec<u8>, names: &[&str]) {
    for name in names {
        key.extend_from_slice(name.as_bytes());
        key.push(0);
    }
}

pub(super) fn write_key(key: &mut Vec<u8>, names: [&str; 3], tail: &[u8]) {
    key.clear();
    join(key, &names);
    key.extend_from_slice(tail);
}

/// The key of a row whose id is not final.
pub(super) fn write_waiting(
    key: &mut Vec<u8>,
    asker: Asker,
    top: &str,
    package: &str,
    tail: &[u8],
) {
    key.clear();
    key.extend_from_slice(&asker);
    join(key, &[top, package]);
    key.extend_from_slice(tail);
}

/// The two names of the key of a row that waits, without its asker, and the tail.
pub(super) fn split_waiting(key: &[u8]) -> io::Result<(&str, &str, &[u8])> {
    let (top, rest) = name(key)?;
    let (package, tail) = name(rest)?;
    Ok((top, package, tail))
}

/// Bytes of a tail before its names.
const TAIL_HEAD: usize = 10;

/// The most believed come first, then the newest; feed and record tell the others apart.
pub(super) fn write_tail(
    tail: &mut Vec<u8>,
    rank: u16,
    modified: Option<Instant>,
    feed: &str,
    record: &str,
) {
    let newest = modified.map_or(i64::MIN, Instant::unix_seconds);
    // Turned round, and so that negative times sort right.
    let age = !((newest as u64) ^ (1 << 63));
    tail.clear();
    tail.extend_from_slice(&rank.to_be_bytes());
    tail.extend_from_slice(&age.to_be_bytes());
    join(tail, &[feed, record]);
}

/// The feed and the record that a tail names.
pub(super) fn origin(tail: &[u8]) -> io::Result<(&str, &str)> {
    let (feed, rest) = name(tail.get(TAIL_HEAD..).ok_or_else(damaged)?)?;
    Ok((feed, name(rest)?.0))
}

/// The name at the beginning, and what follows its zero byte.
fn name(bytes: &[u8]) -> io::Result<(&str, &[u8])> {
    let end = memchr::memchr(0, bytes).ok_or_else(damaged)?;
    let name = std::str::from_utf8(&bytes[..end]).map_err(|_| damaged())?;
    Ok((name, &bytes[end + 1..]))
}

/// The key of the database that the rows at hand are about; none before the first row.
#[derive(Debug, Default)]
pub(super) struct DbKey {
    /// The names as they begin the rows.
    names: String,
    /// Where the first two of them end.
    top: usize,
    package: usize,
}

impl DbKey {
    /// The tail of a row about this key.
    pub(super) fn tail_of<'k>(&self, row: &'k [u8]) -> Option<&'k [u8]> {
        if self.names.is_empty() { None } else { row.strip_prefix(self.names.as_bytes()) }
    }

    /// Becomes the key that a row is about, and gives the tail.
    pub(super) fn begin<'k>(&mut self, row: &'k [u8]) -> io::Result<&'k [u8]> {
        let mut zeros = memchr::memchr_iter(0, row);
        let mut next = || zeros.next().ok_or_else(damaged);
        (self.top, self.package) = (next()?, next()?);
        let (names, tail) = row.split_at(next()? + 1);
        self.names.clear();
        self.names.push_str(std::str::from_utf8(names).map_err(|_| damaged())?);
        Ok(tail)
    }

    /// The bucket at the top.
    pub(super) fn top(&self) -> &str {
        &self.names[..self.top]
    }

    /// The bucket below it; empty if there is none.
    pub(super) fn package(&self) -> &str {
        self.names.get(self.top + 1..self.package).unwrap_or_default()
    }

    /// The key itself.
    pub(super) fn id(&self) -> &str {
        let end = self.names.len().saturating_sub(1);
        self.names.get(self.package + 1..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_apart_as_they_were_put_together() {
        let mut tail = Vec::new();
        write_tail(&mut tail, 3, None, "own", "A-1");
        assert_eq!(origin(&tail).expect("a tail"), ("own", "A-1"));
        let (mut key, mut held) = (Vec::new(), DbKey::default());
        assert_eq!(held.tail_of(b"whatever"), None);
        assert_eq!((held.top(), held.package(), held.id()), ("", "", ""));
        for names in [["top", "package", "id"], ["top", "", ""], ["top", "", "id"], ["", "", ""]] {
            write_key(&mut key, names, &tail);
            assert_eq!(held.begin(&key).expect("a key"), tail);
            assert_eq!([held.top(), held.package(), held.id()], names);
            assert_eq!(held.tail_of(&key), Some(&tail[..]));
            write_key(&mut key, ["top", "package", "id2"], &tail);
            assert_eq!(held.tail_of(&key), None);
        }
        write_waiting(&mut key, [7; 10], "top", "package", &tail);
        assert_eq!(split_waiting(&key[10..]).expect("a key"), ("top", "package", &tail[..]));
    }

    #[test]
    fn newer_records_and_more_believed_ones_sort_first() {
        let tail = |rank, time: Option<&str>| {
            let time = time.map(|time| Instant::parse(time).expect("a time"));
            let mut tail = Vec::new();
            write_tail(&mut tail, rank, time, "feed", "id");
            tail
        };
        let sorted = [
            tail(0, None),
            tail(1, Some("2026-01-01T00:00:00Z")),
            tail(1, Some("2025-01-01T00:00:00Z")),
            tail(1, Some("1969-01-01T00:00:00Z")),
            tail(1, None),
        ];
        assert!(sorted.is_sorted());
    }

    #[test]
    fn half_a_key_is_damage() {
        for half in [&b""[..], b"top", b"top\0package\0", b"top\0package\0id", b"\xff\0a\0b\0"] {
            assert!(DbKey::default().begin(half).is_err());
        }
        assert!(origin(b"short").is_err());
        assert!(split_waiting(b"top\0package").is_err());
    }
}
