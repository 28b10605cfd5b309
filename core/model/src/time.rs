//! Instants as evidence writes them: RFC 3339, kept as text, compared as points in time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A point in time with nanoseconds, read from RFC 3339 text.
///
/// Orders as time does, whatever the offsets in the texts were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(jiff::Timestamp);

/// A text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no RFC 3339 time such as 2026-11-23T15:00:00Z")]
pub struct TimeError(pub String);

impl Instant {
    /// Reads an RFC 3339 time, with any offset and 0 to 9 fractional digits. A lone date counts as
    /// its midnight in UTC, and a time without offset as UTC: evidence has both.
    ///
    /// # Errors
    /// [`TimeError`] if the text is neither.
    pub fn parse(text: &str) -> Result<Instant, TimeError> {
        let error = || TimeError(text.chars().take(60).collect());
        if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
            return Ok(Instant(timestamp));
        }
        let civil: jiff::civil::DateTime = text.parse().map_err(|_| error())?;
        let timestamp = jiff::tz::TimeZone::UTC.to_timestamp(civil).map_err(|_| error())?;
        Ok(Instant(timestamp))
    }

    /// The instant `seconds` after 1970-01-01T00:00:00Z, if it lies in the years -9999 to 9999.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Option<Instant> {
        jiff::Timestamp::from_second(seconds).ok().map(Instant)
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.as_nanosecond().div_euclid(1_000_000_000) as i64
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_nanoseconds(self) -> i128 {
        self.0.as_nanosecond()
    }

    /// The same instant with the fraction of a second cut off.
    #[must_use]
    pub fn to_seconds(self) -> Instant {
        Instant::from_unix_seconds(self.unix_seconds()).unwrap_or(self)
    }
}

impl fmt::Display for Instant {
    /// Writes `YYYY-MM-DDTHH:MM:SSZ`, with a fraction only if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Instant::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_fractions_compare_as_time() {
        let at = |text: &str| Instant::parse(text).expect(text);
        assert_eq!(at("2026-01-01T01:00:00+01:00"), at("2026-01-01T00:00:00Z"));
        assert_eq!(at("2026-01-01"), at("2026-01-01T00:00:00.000Z"));
        assert_eq!(at("2026-01-01T00:00:00"), at("2026-01-01T00:00:00Z"));
        assert!(at("2026-01-01T00:00:00.1Z") < at("2026-01-01T00:00:00.12Z"));
        assert_eq!(at("2026-01-01T00:00:00.999Z").to_seconds().to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(at("1969-12-31T23:59:59.5Z").to_seconds().to_string(), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn other_texts_are_no_time() {
        for bad in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01T25:00:00Z", "12"] {
            assert!(Instant::parse(bad).is_err(), "{bad}");
        }
    }
}
