//! Which records of a ledger a run takes.

use std::collections::BTreeSet;

use serde::Serialize;
use stella_model::screen::Safe;
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

/// What selectors ask for and no record has: misspelt values widen nothing, but hide much.
#[derive(Debug, Clone)]
pub struct Unmatched<'a> {
    selectors: &'a Selectors,
    ecosystems: BTreeSet<&'a str>,
    ids: BTreeSet<&'a str>,
    kinds: BTreeSet<&'a Kind>,
    packages: BTreeSet<&'a str>,
    without_severity: u64,
}

impl<'a> Unmatched<'a> {
    /// Nothing has been seen yet.
    #[must_use]
    pub fn new(selectors: &'a Selectors) -> Unmatched<'a> {
        fn all(values: &BTreeSet<String>) -> BTreeSet<&str> {
            values.iter().map(String::as_str).collect()
        }
        Unmatched {
            ecosystems: all(&selectors.ecosystems),
            ids: all(&selectors.ids),
            kinds: selectors.kinds.iter().collect(),
            packages: all(&selectors.packages),
            without_severity: 0,
            selectors,
        }
    }

    /// The kinds are those of an output, not of somebody who may have misspelt them.
    #[must_use]
    pub fn with_given_kinds(mut self) -> Unmatched<'a> {
        self.kinds.clear();
        self
    }

    /// A set of an admitted feed.
    pub fn see_set(&mut self, set: &SetKey) {
        self.kinds.remove(&set.kind);
    }

    /// A record of an admitted set, selected or not.
    pub fn see(&mut self, id: &str, facets: Option<&Facets>) {
        let Some(facets) = facets else { return };
        if !self.ids.is_empty() {
            self.ids.remove(id);
            facets.ids.iter().for_each(|id| {
                self.ids.remove(id.as_str());
            });
        }
        let found = |found: &[String], wanted: &str, same: fn(&str, &str) -> bool| {
            found.iter().any(|found| same(wanted, found))
        };
        self.ecosystems.retain(|wanted| !found(&facets.ecosystems, wanted, is_ecosystem));
        self.packages.retain(|wanted| !found(&facets.packages, wanted, |a, b| a == b));
        let untold = self.selectors.severity.is_some() && facets.severity.is_none();
        self.without_severity += u64::from(untold);
    }

    /// One sentence for each value that nothing matched, and for records left out because they do
    /// not tell what was asked.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let kinds = self.kinds.iter().map(|kind| ("kind", kind.as_str()));
        let ecosystems = self.ecosystems.iter().map(|value| ("ecosystem", *value));
        let ids = self.ids.iter().map(|value| ("id", *value));
        let packages = self.packages.iter().map(|value| ("package", *value));
        let mut warnings: Vec<String> = kinds
            .chain(ecosystems)
            .chain(ids)
            .chain(packages)
            .map(|(what, value)| format!("no record has the {what} `{}`", Safe(value)))
            .collect();
        if self.without_severity > 0 {
            warnings.push(format!(
                "{} records tell no severity and are not selected",
                self.without_severity
            ));
        }
        warnings
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

#[cfg(test)]
mod tests {
    use super::*;

    fn facets() -> Facets {
        Facets {
            ids: vec!["CVE-2021-23337".into(), "GHSA-35jh-r3h4-6jhm".into()],
            ecosystems: vec!["Debian:12".into(), "npm".into()],
            packages: vec!["pkg:npm/lodash".into()],
            severity: Some(Severity::High),
            ..Facets::default()
        }
    }

    fn admits(select: Selectors) -> bool {
        let modified = Instant::parse("2026-01-01T00:00:00Z").ok();
        select.admits("GHSA-35jh-r3h4-6jhm", modified, Some(&facets()))
    }

    fn texts(values: &[&str]) -> BTreeSet<String> {
        values.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_restriction_is_any_of_its_values() {
        let of = Selectors::default;
        let cases = [
            (of(), true),
            (Selectors { ecosystems: texts(&["npm"]), ..of() }, true),
            (Selectors { ecosystems: texts(&["NPM", "Go"]), ..of() }, true),
            (Selectors { ecosystems: texts(&["debian"]), ..of() }, true),
            (Selectors { ecosystems: texts(&["Debian:12"]), ..of() }, true),
            (Selectors { ecosystems: texts(&["Debian:1"]), ..of() }, false),
            (Selectors { ecosystems: texts(&["Deb"]), ..of() }, false),
            (Selectors { ids: texts(&["CVE-2021-23337"]), ..of() }, true),
            (Selectors { ids: texts(&["GHSA-35jh-r3h4-6jhm"]), ..of() }, true),
            (Selectors { ids: texts(&["CVE-2021"]), ..of() }, false),
            (Selectors { packages: texts(&["pkg:npm/lodash"]), ..of() }, true),
            (Selectors { packages: texts(&["pkg:npm/lodash-es"]), ..of() }, false),
            (Selectors { severity: Some(Severity::High), ..of() }, true),
            (Selectors { severity: Some(Severity::Critical), ..of() }, false),
            (
                Selectors { modified_since: Instant::parse("2026-01-01T00:00:00Z").ok(), ..of() },
                true,
            ),
            (
                Selectors { modified_since: Instant::parse("2026-01-01T00:00:01Z").ok(), ..of() },
                false,
            ),
        ];
        for (select, expected) in cases {
            assert_eq!(admits(select.clone()), expected, "{select:?}");
        }
    }

    #[test]
    fn what_nothing_matches_is_told() {
        let select = Selectors {
            ecosystems: texts(&["npm", "npn"]),
            ids: texts(&["CVE-2021-23337", "CVE-1"]),
            kinds: [Kind::advisory(), Kind::vex()].into(),
            severity: Some(Severity::Low),
            ..Selectors::default()
        };
        let mut unmatched = Unmatched::new(&select);
        unmatched.see_set(&"advisory/npm".parse().expect("a set"));
        unmatched.see("GHSA-35jh-r3h4-6jhm", Some(&facets()));
        unmatched.see("X", Some(&Facets::default()));
        assert_eq!(
            unmatched.warnings(),
            [
                "no record has the kind `vex`",
                "no record has the ecosystem `npn`",
                "no record has the id `CVE-1`",
                "1 records tell no severity and are not selected"
            ]
        );
        assert!(Unmatched::new(&Selectors::default()).warnings().is_empty());
    }

    #[test]
    fn restrictions_must_all_hold() {
        let both = Selectors {
            ecosystems: texts(&["npm"]),
            severity: Some(Severity::Critical),
            ..Selectors::default()
        };
        assert!(!admits(both));
    }

    #[test]
    fn a_record_that_does_not_tell_is_not_selected() {
        let since =
            Selectors { modified_since: Instant::from_unix_seconds(0), ..Selectors::default() };
        assert!(!since.admits("X", None, None));
        let severe = Selectors { severity: Some(Severity::None), ..Selectors::default() };
        assert!(!severe.admits("X", None, Some(&Facets::default())));
    }

    #[test]
    fn sets_are_admitted_by_kind_and_feed() {
        let set: SetKey = "vex/acme".parse().expect("a set");
        assert!(Selectors::default().admits_set(&set));
        let kinds = Selectors { kinds: [Kind::advisory()].into(), ..Selectors::default() };
        assert!(!kinds.admits_set(&set));
        let feeds = Selectors { feeds: [set.feed.clone()].into(), ..Selectors::default() };
        assert!(feeds.admits_set(&set) && feeds.take_whole_sets());
    }
}
