//! Records: the values of a row, or of an entry of an index.

use std::cmp::Ordering;
use std::ops::Deref;

use crate::page::Defect;

/// Most values of a record that is read.
const VALUES: usize = 16;

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'r> {
    /// Nothing. The key of a row stands so too where it is a column.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// A text in the encoding of the file; not checked.
    Text(&'r [u8]),
    /// Bytes.
    Blob(&'r [u8]),
}

impl Value<'_> {
    /// The order of SQLite without collations: nothing, numbers, texts, bytes. `None` where numbers
    /// with a fraction meet, whose order is not looked at.
    pub(crate) fn order(&self, other: &Value<'_>) -> Option<Ordering> {
        let rank = |value: &Value<'_>| match value {
            Value::Null => 0,
            Value::Integer(_) | Value::Real(_) => 1,
            Value::Text(_) => 2,
            Value::Blob(_) => 3,
        };
        Some(match (self, other) {
            (Value::Integer(one), Value::Integer(other)) => one.cmp(other),
            (Value::Text(one), Value::Text(other)) | (Value::Blob(one), Value::Blob(other)) => {
                one.cmp(other)
            }
            (one, other) if rank(one) != rank(other) || rank(one) == 0 => {
                rank(one).cmp(&rank(other))
            }
            _ => return None,
        })
    }
}

/// The values of a record, in the order of its columns.
#[derive(Debug, Clone, Copy)]
pub struct Record<'r> {
    values: [Value<'r>; VALUES],
    count: usize,
}

impl<'r> Deref for Record<'r> {
    type Target = [Value<'r>];

    fn deref(&self) -> &[Value<'r>] {
        &self.values[..self.count]
    }
}

impl<'r> Record<'r> {
    /// Reads a record, all bytes of which must belong to it.
    pub(crate) fn parse(bytes: &'r [u8]) -> Result<Record<'r>, Defect> {
        let mut record = Record { values: [Value::Null; VALUES], count: 0 };
        let (size, mut at) = varint(bytes).ok_or(Defect::Record)?;
        let end = usize::try_from(size).ok().filter(|end| (at..=bytes.len()).contains(end));
        let end = end.ok_or(Defect::Record)?;
        let mut body = &bytes[end..];
        while at < end {
            let (kind, length) = varint(&bytes[at..end]).ok_or(Defect::Record)?;
            at += length;
            let place = record.values.get_mut(record.count).ok_or(Defect::ManyValues)?;
            let size = size_of(kind).ok_or(Defect::Record)?;
            let (value, rest) = body.split_at_checked(size).ok_or(Defect::Record)?;
            *place = read(kind, value);
            (body, record.count) = (rest, record.count + 1);
        }
        if body.is_empty() { Ok(record) } else { Err(Defect::Record) }
    }

    /// The order of two entries of an index.
    pub(crate) fn order(&self, other: &Record<'_>) -> Option<Ordering> {
        for (one, other) in self.iter().zip(other.iter()) {
            match one.order(other)? {
                Ordering::Equal => {}
                order => return Some(order),
            }
        }
        Some(self.count.cmp(&other.count))
    }
}

/// Bytes of a value by the number of its type.
fn size_of(kind: u64) -> Option<usize> {
    Some(match kind {
        0 | 8 | 9 => 0,
        1..=4 => usize::try_from(kind).ok()?,
        5 => 6,
        6 | 7 => 8,
        10 | 11 => return None,
        _ => usize::try_from((kind - 12) / 2).ok()?,
    })
}

/// Reads a value; its bytes are as many as its type has.
fn read(kind: u64, bytes: &[u8]) -> Value<'_> {
    let number = || {
        let sign = if bytes.first().is_some_and(|first| *first >= 0x80) { -1_i64 } else { 0 };
        bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte))
    };
    match kind {
        0 => Value::Null,
        1..=6 => Value::Integer(number()),
        7 => Value::Real(f64::from_bits(number().cast_unsigned())),
        8 => Value::Integer(0),
        9 => Value::Integer(1),
        _ if kind.is_multiple_of(2) => Value::Blob(bytes),
        _ => Value::Text(bytes),
    }
}

/// A number of variable length, and how many bytes it takes.
pub(crate) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (place, byte) in bytes.iter().take(9).enumerate() {
        if place == 8 {
            return Some((number << 8 | u64::from(*byte), 9));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, place + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length_are_read() {
        for (bytes, expected) in [
            (&[0][..], Some((0, 1))),
            (&[0x7f, 1], Some((0x7f, 1))),
            (&[0x81, 0], Some((0x80, 2))),
            (&[0xff; 9], Some((u64::MAX, 9))),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(varint(bytes), expected, "{bytes:x?}");
        }
    }

    #[test]
    fn records_are_read_to_their_last_byte() {
        let record = Record::parse(&[5, 0, 1, 17, 16, 0xfe, b'a', b'b', 1, 2]).expect("a record");
        let expected = [Value::Null, Value::Integer(-2), Value::Text(b"ab"), Value::Blob(&[1, 2])];
        assert_eq!(*record, expected);
        for (what, bytes) in [
            ("nothing", &[][..]),
            ("a head beyond the end", &[9, 1, 0]),
            ("a head within itself", &[0]),
            ("a value beyond the end", &[2, 6, 0]),
            ("a byte too many", &[2, 1, 0, 0]),
            ("a type that is none", &[2, 10]),
            ("a type cut off", &[2, 0x80]),
            ("seventeen values", &[18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            assert!(Record::parse(bytes).is_err(), "{what}");
        }
    }

    #[test]
    fn values_have_the_order_of_sqlite() {
        let values = [
            Value::Null,
            Value::Integer(-1),
            Value::Integer(7),
            Value::Text(b"B"),
            Value::Text(b"a"),
            Value::Blob(b"A"),
        ];
        for (place, one) in values.iter().enumerate() {
            for (other_place, other) in values.iter().enumerate() {
                assert_eq!(one.order(other), Some(place.cmp(&other_place)));
            }
        }
        assert_eq!(Value::Real(0.5).order(&Value::Integer(1)), None);
    }
}
