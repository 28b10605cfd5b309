//! What the publishers of feeds ask of those who pass them on.

use stella_plan::FeedEntry;

/// Warnings of the feeds that may not be passed on to others. `NOTICE.md` says the same to whoever
/// gets the bundle.
pub(super) fn not_to_be_passed_on(feeds: &[FeedEntry]) -> Vec<String> {
    let told = |feed: &FeedEntry| {
        format!("feed {} may not be redistributed: mind where the bundle goes", feed.feed)
    };
    feeds.iter().filter(|feed| feed.redistribution == Some(false)).map(told).collect()
}
