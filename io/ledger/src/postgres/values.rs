//! How the words of the domain lie in columns.

use postgres::Row;
use stella_model::{Digest, Instant, NameError};
use stella_records::Format;

use super::{Failure, Outcome};
use crate::SetState;

pub(super) use crate::stored::integer;

/// A time as text.
pub(super) fn time(time: Option<Instant>) -> Option<String> {
    time.map(|time| time.to_string())
}

fn damaged(what: &str) -> Failure {
    Failure::Damage(format!("a column does not hold {what}"))
}

/// The time in a column.
pub(super) fn to_time(row: &Row, at: usize) -> Outcome<Option<Instant>> {
    let text: Option<&str> = row.get(at);
    text.map(Instant::parse).transpose().map_err(|_| damaged("a time"))
}

/// The time in a column that always has one.
pub(super) fn to_known_time(row: &Row, at: usize) -> Outcome<Instant> {
    to_time(row, at)?.ok_or_else(|| damaged("a time"))
}

/// The state of a set in a column.
pub(super) fn to_state(row: &Row, at: usize) -> Outcome<SetState> {
    let bytes: &[u8] = row.get(at);
    bytes.try_into().map(SetState).map_err(|_| damaged("the state of a set"))
}

/// The digest in a column.
pub(super) fn to_digest(row: &Row, at: usize) -> Outcome<Digest> {
    Digest::from_slice(row.get(at)).ok_or_else(|| damaged("a digest"))
}

/// The text in a column of bytes.
pub(super) fn to_text(row: &Row, at: usize) -> Outcome<String> {
    let bytes: &[u8] = row.get(at);
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| damaged("UTF-8"))
}

/// The name in a column of bytes, checked again: a table may have been edited.
pub(super) fn to_id<T: std::str::FromStr<Err = NameError>>(row: &Row, at: usize) -> Outcome<T> {
    to_text(row, at)?.parse().map_err(|_| damaged("an id"))
}

/// The name in a column of text.
pub(super) fn to_name<T: std::str::FromStr<Err = NameError>>(row: &Row, at: usize) -> Outcome<T> {
    row.get::<_, &str>(at).parse().map_err(|_| damaged("a name"))
}

/// The format in a column.
pub(super) fn to_format(row: &Row, at: usize) -> Outcome<Format> {
    row.get::<_, Option<&str>>(at).and_then(Format::parse).ok_or_else(|| damaged("a format"))
}
