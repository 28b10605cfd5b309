//! RFC 8785 (JSON Canonicalization Scheme) for the files that Export Center authors.
//!
//! Evidence is not written with this: it keeps its number tokens, see [`crate::json`].
//! Source: <https://www.rfc-editor.org/rfc/rfc8785>.

use serde::Serialize;

/// The RFC 8785 bytes of a value: members by UTF-16 code units, ES6 numbers, no white space, no
/// trailing line feed.
///
/// # Panics
/// If the value holds a map with keys that are no strings, or a NaN; the types that are written
/// have neither.
#[must_use]
pub fn to_vec<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).expect("authored types serialize to JSON")
}

/// The same as [`to_vec`] as text.
///
/// # Panics
/// As [`to_vec`].
#[must_use]
pub fn to_string<T: Serialize>(value: &T) -> String {
    serde_json_canonicalizer::to_string(value).expect("authored types serialize to JSON")
}
