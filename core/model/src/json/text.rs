//! Strings of JSON: escapes, order, and the canonical token.

use std::cmp::Ordering;

/// Number of leading bytes that stand for themselves inside a string: no quote, no backslash, no
/// control character.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    // Sets the high bit of every byte below `n` (n ≤ 128); bits above the lowest hit may be
    // wrong, which is why only the lowest is used.
    let below = |word: u64, n: u8| word.wrapping_sub(ONES * u64::from(n)) & !word & HIGHS;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let hit = quote | backslash | below(word, 0x20);
        if hit != 0 {
            return index * 8 + hit.trailing_zeros() as usize / 8;
        }
    }
    let tail = rest.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20);
    bytes.len() - rest.len() + tail.unwrap_or(rest.len())
}

pub(super) fn is_high_surrogate(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

pub(super) fn is_low_surrogate(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

/// The value of four hex digits.
pub(super) fn code_unit(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |unit, &digit| {
        let value = char::from(digit).to_digit(16)?;
        Some(unit << 4 | value as u16)
    })
}

/// Splits checked string text into runs that stand for themselves and escaped characters.
///
/// `inner` is the text between the quotes of a token that the scan accepted.
fn pieces(inner: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = inner;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if !rest.starts_with('\\') {
            let end = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            rest = after;
            return Some(Piece::Run(run));
        }
        let (c, used) = escaped_char(rest);
        rest = &rest[used..];
        Some(Piece::Char(c))
    })
}

enum Piece<'a> {
    Run(&'a str),
    Char(char),
}

/// The character of the escape that `text` begins with, and the length of the escape.
fn escaped_char(text: &str) -> (char, usize) {
    let bytes = text.as_bytes();
    let unit = |at: usize| code_unit(&bytes[at..at + 4]).unwrap_or(0);
    match bytes[1] {
        b'b' => ('\u{8}', 2),
        b'f' => ('\u{c}', 2),
        b'n' => ('\n', 2),
        b'r' => ('\r', 2),
        b't' => ('\t', 2),
        b'u' if is_high_surrogate(unit(2)) => {
            let pair = [unit(2), unit(8)];
            let c = char::decode_utf16(pair).next().and_then(Result::ok);
            (c.unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        b'u' => (char::from_u32(u32::from(unit(2))).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
        other => (char::from(other), 2),
    }
}

/// The text that a checked token stands for.
pub(super) fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    for piece in pieces(inner) {
        match piece {
            Piece::Run(run) => out.push_str(run),
            Piece::Char(c) => out.push(c),
        }
    }
    out
}

/// Appends the canonical token of a string whose token had escapes.
pub(super) fn write_canonical_token(out: &mut Vec<u8>, inner: &str) {
    out.push(b'"');
    for piece in pieces(inner) {
        match piece {
            Piece::Run(run) => out.extend_from_slice(run.as_bytes()),
            Piece::Char(c) => write_char(out, c),
        }
    }
    out.push(b'"');
}

/// Appends the RFC 8785 token of `text`: the shortest escapes, and only where RFC 8259 needs them.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let (run, after) = rest.split_at(plain_run(rest.as_bytes()));
        out.extend_from_slice(run.as_bytes());
        let mut chars = after.chars();
        match chars.next() {
            Some(c) => write_char(out, c),
            None => break,
        }
        rest = chars.as_str();
    }
    out.push(b'"');
}

fn write_char(out: &mut Vec<u8>, c: char) {
    let short = match c {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{c}' => b'f',
        '\r' => b'r',
        '\0'..='\u{1f}' => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let code = c as usize;
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[DIGITS[code >> 4], DIGITS[code & 15]]);
            return;
        }
        _ => {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// A member name as the scan sees it: the bytes between the quotes, and whether they have escapes.
type Name<'a> = (&'a [u8], bool);

/// Orders two checked member names by UTF-16 code units (RFC 8785 §3.2.3).
pub(super) fn compare_names((left, left_escaped): Name, (right, right_escaped): Name) -> Ordering {
    if !left_escaped && !right_escaped {
        return compare_utf16(left, right);
    }
    let text = |bytes: &[u8], escaped: bool| {
        // The scan has checked the whole text to be UTF-8.
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        if escaped { unescape(text) } else { text.to_owned() }
    };
    let (left, right) = (text(left, left_escaped), text(right, right_escaped));
    compare_utf16(left.as_bytes(), right.as_bytes())
}

/// Orders a checked member name and a plain text by UTF-16 code units.
pub(super) fn compare_with_name(inner: &str, escaped: bool, name: &str) -> Ordering {
    if escaped {
        compare_utf16(unescape(inner).as_bytes(), name.as_bytes())
    } else {
        compare_utf16(inner.as_bytes(), name.as_bytes())
    }
}

/// Orders UTF-8 as UTF-16 code units would: as bytes, but U+E000 to U+FFFF (first byte EE or EF)
/// come after the characters that UTF-16 writes as surrogates (first byte F0 to F4).
fn compare_utf16(left: &[u8], right: &[u8]) -> Ordering {
    let rank = |byte: u8| if byte == 0xee || byte == 0xef { byte + 0x10 } else { byte };
    for (&l, &r) in left.iter().zip(right) {
        if l != r {
            return rank(l).cmp(&rank(r));
        }
    }
    left.len().cmp(&right.len())
}
