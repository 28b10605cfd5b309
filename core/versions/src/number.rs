//! Decimal numbers of any length, compared as text: no number overflows and none is rounded.

use std::cmp::Ordering;

/// Compares two texts of decimal digits by value; an empty text is zero.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (significant(a), significant(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Whether all digits are zero.
pub(crate) fn is_zero(digits: &str) -> bool {
    significant(digits).is_empty()
}

/// The digits without leading zeros.
pub(crate) fn significant(digits: &str) -> &str {
    digits.trim_start_matches('0')
}

/// Whether the text is one or more ASCII digits.
pub(crate) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// How many bytes at the start of `bytes` satisfy `wanted`.
pub(crate) fn run(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !wanted(*byte)).unwrap_or(bytes.len())
}

/// Splits off the ASCII digits at the start.
pub(crate) fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(run(text.as_bytes(), |byte| byte.is_ascii_digit()))
}

/// The digits between the dots of a text that holds nothing else.
pub(crate) fn dotted(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let (digits, after) = split_digits(rest?);
        rest = after.get(1..);
        Some(digits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value_whatever_their_length() {
        let long = "9".repeat(400);
        let cases = [
            ("1", "2", Ordering::Less),
            ("10", "9", Ordering::Greater),
            ("007", "7", Ordering::Equal),
            ("", "0", Ordering::Equal),
            ("18446744073709551616", "18446744073709551615", Ordering::Greater),
            (long.as_str(), "1", Ordering::Greater),
        ];
        for (a, b, expected) in cases {
            assert_eq!(compare(a, b), expected, "{a} {b}");
            assert_eq!(compare(b, a), expected.reverse(), "{b} {a}");
        }
    }
}
