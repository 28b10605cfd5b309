//! RFC 8785 (JSON Canonicalization Scheme) for the files that Export Center authors.
//!
//! Evidence is not written with this: it keeps its number tokens, see [`crate::json`].
//! Source: <https://www.rfc-editor.org/rfc/rfc8785>.

use serde::Serialize;

use crate::Limits;
use crate::json::Document;

/// What is written here was not read from anybody, and has no bounds but these.
const AUTHORED: Limits =
    Limits { document_bytes: u64::MAX, json_values: u64::MAX, depth: 128, ..Limits::DEFAULT };

/// The RFC 8785 bytes of a value: members by UTF-16 code units, ES6 numbers, no white space, no
/// trailing line feed. A float that is no number is written as `null`.
///
/// # Panics
/// If the value holds a map with keys that are no strings, or is nested deeper than 128 levels; the
/// types that are written do neither.
#[must_use]
pub fn to_vec<T: Serialize>(value: &T) -> Vec<u8> {
    let plain = serde_json::to_vec(value).expect("authored types serialize to JSON");
    let document = Document::parse(&plain, &AUTHORED).expect("what serde_json writes is JSON");
    let mut out = Vec::with_capacity(plain.len());
    document.write_with(&mut out, write_number);
    out
}

/// The same as [`to_vec`] as text.
///
/// # Panics
/// As [`to_vec`].
#[must_use]
pub fn to_string<T: Serialize>(value: &T) -> String {
    String::from_utf8(to_vec(value)).expect("canonical form is UTF-8")
}

/// A number as ECMAScript writes it (RFC 8785 §3.2.2.3).
fn write_number(out: &mut Vec<u8>, token: &str) {
    /// Integers of so many digits are exact as floats, and written as they are.
    const EXACT: usize = 15;
    let digits = token.strip_prefix('-').unwrap_or(token);
    let is_exact = digits.len() <= EXACT && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_exact && token != "-0" {
        return out.extend_from_slice(token.as_bytes());
    }
    let number: f64 = token.parse().expect("a JSON number is one of Rust");
    out.extend_from_slice(ryu_js::Buffer::new().format_finite(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// RFC 8785 appendix B: the bits of a number, and how it is written.
    #[test]
    fn numbers_are_those_of_the_rfc() {
        for (bits, expected) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(to_string(&f64::from_bits(bits)), expected, "{bits:x}");
        }
        for (integer, expected) in [
            (999_999_999_999_999_u64, "999999999999999"),
            (9_007_199_254_740_993, "9007199254740992"),
            (u64::MAX, "18446744073709552000"),
        ] {
            assert_eq!(to_string(&integer), expected);
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let members = proptest::collection::hash_map(any::<String>(), inner.clone(), 0..6);
            prop_oneof![
                proptest::collection::vec(inner, 0..6).prop_map(Value::from),
                members.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn bytes_are_those_of_another_implementation(value in value()) {
            let expected = serde_json_canonicalizer::to_string(&value).expect("canonicalizes");
            prop_assert_eq!(to_string(&value), expected);
        }
    }
}
