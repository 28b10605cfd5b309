//! How the words of the domain lie in columns.

use rusqlite::types::{FromSqlError, FromSqlResult, Value, ValueRef};
use stella_model::{Digest, Instant, NameError};
use stella_records::Format;

use crate::SetState;

pub(crate) use crate::stored::integer;

/// A time: whole seconds as a number, others as their text.
pub(crate) fn time(time: Option<Instant>) -> Value {
    match time {
        None => Value::Null,
        Some(time) if time == time.to_seconds() => Value::Integer(time.unix_seconds()),
        Some(time) => Value::Text(time.to_string()),
    }
}

/// The time in a column.
pub(crate) fn to_time(value: ValueRef<'_>) -> FromSqlResult<Option<Instant>> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(seconds) => match Instant::from_unix_seconds(seconds) {
            Some(time) => Ok(Some(time)),
            None => Err(FromSqlError::OutOfRange(seconds)),
        },
        other => Instant::parse(other.as_str()?).map(Some).map_err(FromSqlError::other),
    }
}

/// The digest in a column.
pub(crate) fn to_digest(value: ValueRef<'_>) -> FromSqlResult<Digest> {
    let bytes = value.as_blob()?;
    Digest::from_slice(bytes)
        .ok_or(FromSqlError::InvalidBlobSize { expected_size: 32, blob_size: bytes.len() })
}

/// The state of a set in a column.
pub(crate) fn to_state(value: ValueRef<'_>) -> FromSqlResult<SetState> {
    let bytes = value.as_blob()?;
    let state = bytes.try_into().map(SetState);
    state.map_err(|_| FromSqlError::InvalidBlobSize { expected_size: 16, blob_size: bytes.len() })
}

/// The name in a column, checked again: a file may have been edited.
pub(crate) fn to_name<T: std::str::FromStr<Err = NameError>>(
    value: ValueRef<'_>,
) -> FromSqlResult<T> {
    value.as_str()?.parse().map_err(FromSqlError::other)
}

/// The format in a column.
pub(crate) fn to_format(value: ValueRef<'_>) -> FromSqlResult<Format> {
    Format::parse(value.as_str()?).ok_or(FromSqlError::InvalidType)
}
