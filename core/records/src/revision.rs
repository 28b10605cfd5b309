//! Which of two versions of one identity is the newer.

use std::cmp::Ordering;

use stella_model::Instant;

/// Longest version text that is compared; a longer one counts as unparsable.
const VERSION_BYTES: usize = 256;

/// The revision of a record. The greater one is the newer.
///
/// Times compare as instants, versions by their dot-separated numbers; an absent or unparsable
/// part is the oldest (FORMATS "Two versions of one identity"). Equal revisions are told apart by
/// the caller with the greater `contentDigest`, so the order here is total and independent of the
/// order in which documents arrive.
#[derive(Debug, Clone, Default)]
pub struct Revision {
    /// The time that the publisher gives, as an instant.
    pub time: Option<Instant>,
    /// The version that the publisher gives; only if it is dot-separated numbers.
    pub version: Option<String>,
    /// Which of the two decides first.
    pub order: RevisionOrder,
}

/// Which part of a [`Revision`] decides first.
///
/// One feed has one format for an id in practice. Should two formats with different orders share
/// an id, the order itself decides, so that there always is one winner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RevisionOrder {
    /// The time, then the version: every format but CycloneDX.
    #[default]
    TimeFirst,
    /// The version, then the time: CycloneDX.
    VersionFirst,
}

impl Revision {
    /// A revision from what a document says. A text that is no time, or no version, is absent.
    #[must_use]
    pub fn new(order: RevisionOrder, time: Option<&str>, version: Option<&str>) -> Revision {
        Revision {
            time: time.and_then(|text| Instant::parse(text).ok()),
            version: version
                .filter(|text| text.len() <= VERSION_BYTES && numbers(text).is_some())
                .map(str::to_owned),
            order,
        }
    }

    /// The time as RFC 3339 in UTC, for `modified` in lines and the ledger.
    #[must_use]
    pub fn time_text(&self) -> Option<String> {
        self.time.map(|time| time.to_string())
    }

    fn compare_versions(&self, other: &Revision) -> Ordering {
        let numbers =
            |revision: &Revision| -> Option<Vec<Number>> { numbers(revision.version.as_deref()?) };
        numbers(self).cmp(&numbers(other))
    }
}

impl Ord for Revision {
    fn cmp(&self, other: &Revision) -> Ordering {
        let times = || self.time.cmp(&other.time);
        let versions = || self.compare_versions(other);
        self.order.cmp(&other.order).then_with(|| match self.order {
            RevisionOrder::TimeFirst => times().then_with(versions),
            RevisionOrder::VersionFirst => versions().then_with(times),
        })
    }
}

impl PartialOrd for Revision {
    fn partial_cmp(&self, other: &Revision) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Revision {
    fn eq(&self, other: &Revision) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Revision {}

/// A decimal number of any length: its digits without leading zeros, ordered by value.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    length: usize,
    digits: String,
}

/// The numbers of a version, without trailing zeros so that `1.0` equals `1`; `None` if the text
/// is anything but dot-separated decimal numbers.
fn numbers(text: &str) -> Option<Vec<Number>> {
    let mut numbers = Vec::new();
    for part in text.split('.') {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = part.trim_start_matches('0');
        numbers.push(Number { length: digits.len(), digits: digits.to_owned() });
    }
    while numbers.last().is_some_and(|number| number.length == 0) {
        numbers.pop();
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_time(time: &str, version: &str) -> Revision {
        Revision::new(RevisionOrder::TimeFirst, Some(time), Some(version))
    }

    fn by_version(version: &str, time: &str) -> Revision {
        Revision::new(RevisionOrder::VersionFirst, Some(time), Some(version))
    }

    #[test]
    fn newer_is_greater() {
        let cases = [
            (by_time("2026-01-01T00:00:00Z", "9"), by_time("2026-01-01T00:00:01Z", "1")),
            // The same instant, or later although the text is smaller.
            (by_time("2026-01-01T01:00:00+02:00", "1"), by_time("2026-01-01T00:00:00Z", "1")),
            (by_time("2026-01-01T00:00:00.9Z", "1"), by_time("2026-01-01T00:00:00.91Z", "1")),
            (by_time("2026-01-01", "1.2"), by_time("2026-01-01", "1.10")),
            (by_time("2026-01-01", "9"), by_time("2026-01-01", "10")),
            (by_time("2026-01-01", "1"), by_time("2026-01-01", "1.0.1")),
            (
                by_time("2026-01-01", "99999999999999999998"),
                by_time("2026-01-01", "99999999999999999999"),
            ),
            // Absent and unparsable are oldest, both in time and in version.
            (by_time("soon", "9"), by_time("1970-01-01", "1")),
            (by_time("2026-01-01", "final"), by_time("2026-01-01", "0")),
            (by_time("2026-01-01", "2.0.0-rc1"), by_time("2026-01-01", "0.1")),
            (by_version("1", "2026-06-01"), by_version("2", "2026-01-01")),
            (by_version("2", "2026-01-01"), by_version("2", "2026-06-01")),
            (by_version("", "2026-06-01"), by_version("0", "2020-01-01")),
        ];
        for (older, newer) in &cases {
            assert!(older < newer, "{older:?} < {newer:?}");
            assert!(newer > older, "{newer:?} > {older:?}");
        }
    }

    #[test]
    fn equal_values_in_other_words_are_equal() {
        let cases = [
            (by_time("2026-01-01T02:00:00+02:00", "1"), by_time("2026-01-01T00:00:00Z", "1")),
            (by_time("2026-01-01", "1"), by_time("2026-01-01", "01.0.0")),
            (by_time("", ""), by_time("never", "1..2")),
            (by_version("1", ""), by_version("1.0", "")),
        ];
        for (left, right) in &cases {
            assert_eq!(left, right);
        }
    }

    #[test]
    fn unparsable_versions_are_absent() {
        for text in ["", ".", "1.", ".1", "1..2", "v1", "1-1", "１", "+1", " 1", &"1".repeat(257)]
        {
            assert_eq!(by_time("2026-01-01", text).version, None, "{text:?}");
        }
        let revision = by_time("2026-01-01T02:00:00.50+02:00", "1.2");
        assert_eq!(revision.time_text().as_deref(), Some("2026-01-01T00:00:00.5Z"));
        assert_eq!(revision.version.as_deref(), Some("1.2"));
    }
}
