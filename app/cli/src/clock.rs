//! The wall clock. It reaches results only as an argument of requests.

use std::time::{SystemTime, UNIX_EPOCH};

use stella_model::Instant;

/// The present second. A clock before 1970 counts as 1970.
pub(crate) fn now() -> Instant {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let instant = i64::try_from(seconds).ok().and_then(Instant::from_unix_seconds);
    instant.expect("a clock shows a year before 9999")
}
