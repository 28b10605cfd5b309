//! Which records of a ledger a run takes.

use std::collections::BTreeSet;

use serde::Serialize;
use stella_model::{FeedName, Instant, Kind, SetKey};
use stella_records::{Facets, Severity};

/// Restrictions on the records of a run; an empty one restricts nothing.
///
/// Different restrictions must all hold; within one, any value may. A record that a restriction
/// asks about and that does not tell (an SBOM has no severity) is not selected. Relative times are
/// resolved before a selector exists, so that a plan means the same tomorrow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Selectors {
    /// Ecosystems as OSV names them; `Debian` also selects `Debian:12`. Case is ignored.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub ecosystems: BTreeSet<String>,
    /// Feeds.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub feeds: BTreeSet<FeedName>,
    /// Record ids or aliases, such as a CVE id.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub ids: BTreeSet<String>,
    /// Kinds.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub kinds: BTreeSet<Kind>,
    /// Only records whose revision time is this or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified_since: Option<Instant>,
    /// Package URLs without version, such as `pkg:npm/lodash`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub packages: BTreeSet<String>,
    /// Only records of this severity or worse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

impl Selectors {
    /// Whether records of this kind and feed can be selected at all.
    #[must_use]
    pub fn admits_set(&self, set: &SetKey) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&set.kind)) && self.admits_feed(&set.feed)
    }

    /// Whether records of this feed can be selected at all.
    #[must_use]
    pub fn admits_feed(&self, feed: &FeedName) -> bool {
        self.feeds.is_empty() || self.feeds.contains(feed)
    }

    /// Whether [`admits`](Self::admits) looks at facets, which cost more to read.
    #[must_use]
    pub fn need_facets(&self) -> bool {
        !self.ecosystems.is_empty()
            || !self.ids.is_empty()
            || !self.packages.is_empty()
            || self.severity.is_some()
    }

    /// Whether every record of an admitted set is selected.
    #[must_use]
    pub fn take_whole_sets(&self) -> bool {
        !self.need_facets() && self.modified_since.is_none()
    }

    /// Whether one record of an admitted set is selected.
    #[must_use]
    pub fn admits(&self, id: &str, modified: Option<Instant>, facets: Option<&Facets>) -> bool {
        let since = self.modified_since.is_none_or(|since| modified.is_some_and(|m| m >= since));
        since
            && (!self.need_facets() || facets.is_some_and(|facets| self.admits_facets(id, facets)))
    }

    fn admits_facets(&self, id: &str, facets: &Facets) -> bool {
        let any = |wanted: &BTreeSet<String>, found: &[String], same: fn(&str, &str) -> bool| {
            wanted.is_empty() || found.iter().any(|f| wanted.iter().any(|w| same(w, f)))
        };
        let ids = self.ids.is_empty()
            || self.ids.contains(id)
            || facets.ids.iter().any(|alias| self.ids.contains(alias));
        ids && any(&self.ecosystems, &facets.ecosystems, is_ecosystem)
            && any(&self.packages, &facets.packages, |wanted, found| wanted == found)
            && self.severity.is_none_or(|least| facets.severity.is_some_and(|s| s >= least))
    }
}

/// Whether an ecosystem is the wanted one or a release of it (`Debian` for `Debian:12`).
fn is_ecosystem(wanted: &str, found: &str) -> bool {
    let (head, rest) = match found.split_at_checked(wanted.len()) {
        Some(split) => split,
        None => return false,
    };
    head.eq_ignore_ascii_case(wanted) && (rest.is_empty() || rest.starts_with(':'))
}
