//! Which bytes a client asks for (RFC 9110, sections 13 and 14).

use std::ops::Range;

use axum::http::{HeaderMap, header};

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It has it already.
    Unchanged,
    /// All of it.
    All,
    /// A part.
    Part(Range<u64>),
    /// Nothing that is there.
    Beyond,
}

/// What the headers of a request ask for, of something with this tag and size.
pub(crate) fn asked(headers: &HeaderMap, etag: &str, size: u64) -> Asked {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // Weakly compared (RFC 9110, section 13.1.2).
    let strong = |tag: &'_ str| tag.trim().trim_start_matches("W/").to_owned();
    let has = |tags: &str| tags.split(',').any(|tag| tag.trim() == "*" || strong(tag) == etag);
    if text(header::IF_NONE_MATCH).is_some_and(has) {
        return Asked::Unchanged;
    }
    // Parts of two different things must never be put together.
    if text(header::IF_RANGE).is_some_and(|tag| tag.trim() != etag) {
        return Asked::All;
    }
    // What is not understood, and more ranges than one, may be answered with everything.
    let range = text(header::RANGE).and_then(|value| value.strip_prefix("bytes="));
    match range.and_then(|range| range.split_once('-')) {
        Some((first, last)) => part(first.trim(), last.trim(), size).unwrap_or(Asked::All),
        None => Asked::All,
    }
}

/// The range from a first to a last byte; none if it is not understood.
fn part(first: &str, last: &str, size: u64) -> Option<Asked> {
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // A number that is too large lies beyond everything.
        is_number.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let range = match (number(first), number(last)) {
        (Some(first), _) if last.is_empty() => first..size,
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (None, Some(suffix)) if first.is_empty() => size.saturating_sub(suffix)..size,
        _ => return None,
    };
    Some(if range.is_empty() { Asked::Beyond } else { Asked::Part(range) })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn check(headers: &[(HeaderName, &str)], expected: Asked) {
        let of =
            |(name, value): &(HeaderName, &str)| (name.clone(), value.parse().expect("a value"));
        let map: HeaderMap = headers.iter().map(of).collect();
        assert_eq!(asked(&map, "\"t\"", 1000), expected, "{headers:?}");
    }

    #[test]
    fn ranges_are_read_as_the_rfc_has_them() {
        let cases = [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=0-", Asked::Part(0..1000)),
            ("bytes=999-", Asked::Part(999..1000)),
            ("bytes=10-19", Asked::Part(10..20)),
            ("bytes=10-5000", Asked::Part(10..1000)),
            ("bytes=10-99999999999999999999999", Asked::Part(10..1000)),
            ("bytes=-1", Asked::Part(999..1000)),
            ("bytes=-5000", Asked::Part(0..1000)),
            ("bytes=1000-", Asked::Beyond),
            ("bytes=1000-2000", Asked::Beyond),
            ("bytes=99999999999999999999999-", Asked::Beyond),
            ("bytes=-0", Asked::Beyond),
            // Not understood, or too much: everything.
            ("bytes=20-10", Asked::All),
            ("bytes=-", Asked::All),
            ("bytes=a-b", Asked::All),
            ("bytes=+1-2", Asked::All),
            ("bytes=0-1,5-6", Asked::All),
            ("items=0-1", Asked::All),
            ("", Asked::All),
        ];
        for (range, expected) in cases {
            check(&[(header::RANGE, range)], expected);
        }
    }

    #[test]
    fn what_changed_is_sent_whole() {
        let range = (header::RANGE, "bytes=0-0");
        check(&[range.clone(), (header::IF_RANGE, "\"t\"")], Asked::Part(0..1));
        for other in ["\"u\"", "W/\"t\"", "Thu, 26 Nov 2026 00:00:00 GMT"] {
            check(&[range.clone(), (header::IF_RANGE, other)], Asked::All);
        }
        for same in ["\"t\"", "*", "\"a\", \"t\"", "W/\"t\""] {
            check(&[(header::IF_NONE_MATCH, same)], Asked::Unchanged);
        }
        check(&[(header::IF_NONE_MATCH, "\"a\"")], Asked::All);
    }
}
