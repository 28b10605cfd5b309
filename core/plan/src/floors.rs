//! INV-EMPTY: a selected feed that yields nothing, or far less than last time, is an error.

use std::collections::{BTreeMap, BTreeSet};

use stella_model::{FeedName, SetKey};

use crate::Selectors;

/// What planning holds a snapshot against. Floors are not hashed: they decide whether a run
/// happens, never what is in it.
#[derive(Debug, Clone, Default)]
pub struct Floors {
    /// Least number of records of a set.
    pub least: BTreeMap<SetKey, u64>,
    /// Sets that may be empty or shrink.
    pub allow_empty: BTreeSet<SetKey>,
    /// Counts of the last successful run of the profile.
    pub last: BTreeMap<SetKey, u64>,
    /// Most records of a set that may be gone since the last run, in percent; of an output likewise.
    pub max_drop_percent: u8,
    /// How much each output had in the last successful run of the profile: by adapter, then by what
    /// is counted.
    pub last_outputs: BTreeMap<String, BTreeMap<String, u64>>,
}

/// A floor that a snapshot breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FloorBroken {
    /// Nothing at all was selected.
    #[error("the selection is empty: no record matches")]
    NothingSelected,
    /// A feed yields no record.
    #[error("feed {feed} yields no record")]
    FeedEmpty {
        /// The feed.
        feed: FeedName,
        /// The sets to name in `--allow-empty`.
        sets: Vec<SetKey>,
    },
    /// A set has fewer records than its floor.
    #[error("{set} has {count} records, its floor is {least}")]
    BelowFloor {
        /// The set.
        set: SetKey,
        /// Its records.
        count: u64,
        /// Its floor.
        least: u64,
    },
    /// Redaction left no record of a set over.
    #[error("{set} yields no record: none of its {selected} selected records can be redacted")]
    NothingCarried {
        /// The set.
        set: SetKey,
        /// Its selected records.
        selected: u64,
    },
    /// A set lost too many records since the last run.
    #[error(
        "{set} has {count} records, the last run had {last}: more than {max_drop_percent} % are gone"
    )]
    Dropped {
        /// The set.
        set: SetKey,
        /// Its records.
        count: u64,
        /// Its records in the last run.
        last: u64,
        /// The drop that is allowed.
        max_drop_percent: u8,
    },
    /// An output lost too much since the last run.
    #[error(
        "{adapter} has {count} rows of {name}, the last run had {last}: more than {max_drop_percent} % are gone"
    )]
    OutputDropped {
        /// The adapter.
        adapter: String,
        /// What is counted, such as an ecosystem.
        name: String,
        /// How much there is.
        count: u64,
        /// How much there was.
        last: u64,
        /// The drop that is allowed.
        max_drop_percent: u8,
    },
}

impl FloorBroken {
    /// Whether less is there than in the last run, and nothing else is wrong: what somebody who
    /// knows why can accept.
    #[must_use]
    pub const fn is_drop(&self) -> bool {
        matches!(self, FloorBroken::Dropped { .. } | FloorBroken::OutputDropped { .. })
    }
}

impl Floors {
    /// Every floor that the selected counts break, in the order of sets.
    ///
    /// `ledger_feeds` are all feeds that the ledger knows with the sets that they ever held records
    /// of; `live` are the sets that hold some now; `selected` holds the counts after selection.
    #[must_use]
    pub fn check(
        &self,
        selectors: &Selectors,
        ledger_feeds: &BTreeMap<FeedName, Vec<SetKey>>,
        live: &BTreeSet<SetKey>,
        selected: &BTreeMap<SetKey, u64>,
    ) -> Vec<FloorBroken> {
        let nothing = selected.values().all(|count| *count == 0);
        if nothing && !self.all_may_be_empty(selectors, live) {
            return vec![FloorBroken::NothingSelected];
        }
        let mut broken = self.empty_feeds(selectors, ledger_feeds, live, selected);
        let sets: BTreeSet<&SetKey> = self.least.keys().chain(self.last.keys()).collect();
        for set in sets {
            let count = selected.get(set).copied().unwrap_or(0);
            let least = self.least.get(set).copied().unwrap_or(0);
            let last = self.last.get(set).copied().unwrap_or(0);
            if self.allow_empty.contains(set) {
                continue;
            }
            if count < least {
                broken.push(FloorBroken::BelowFloor { set: set.clone(), count, least });
            } else if self.is_drop(count, last) {
                broken.push(FloorBroken::Dropped {
                    set: set.clone(),
                    count,
                    last,
                    max_drop_percent: self.max_drop_percent,
                });
            }
        }
        broken
    }

    /// Every floor that the carried counts break, in the order of sets: redaction may leave out
    /// what selection took.
    #[must_use]
    pub fn check_carried(
        &self,
        selected: &BTreeMap<SetKey, u64>,
        carried: &BTreeMap<SetKey, u64>,
    ) -> Vec<FloorBroken> {
        let mut broken = Vec::new();
        for (set, selected) in selected {
            let count = carried.get(set).copied().unwrap_or(0);
            let least = self.least.get(set).copied().unwrap_or(0);
            if self.allow_empty.contains(set) {
                continue;
            }
            if count == 0 && *selected > 0 {
                let selected = *selected;
                broken.push(FloorBroken::NothingCarried { set: set.clone(), selected });
            } else if count < least {
                broken.push(FloorBroken::BelowFloor { set: set.clone(), count, least });
            }
        }
        broken
    }

    /// Every drop of an output against the last run, in the order of what is counted. `sizes` tells
    /// how much the output has now; what is not in it is gone.
    #[must_use]
    pub fn check_output(&self, adapter: &str, sizes: &BTreeMap<String, u64>) -> Vec<FloorBroken> {
        let last = self.last_outputs.get(adapter).into_iter().flatten();
        let count = |name: &String| sizes.get(name).copied().unwrap_or(0);
        last.filter(|(name, last)| self.is_drop(count(name), **last))
            .map(|(name, last)| FloorBroken::OutputDropped {
                adapter: adapter.to_owned(),
                name: name.clone(),
                count: count(name),
                last: *last,
                max_drop_percent: self.max_drop_percent,
            })
            .collect()
    }

    fn is_drop(&self, count: u64, last: u64) -> bool {
        let kept = u128::from(last) * u128::from(100 - self.max_drop_percent.min(100));
        u128::from(count) * 100 < kept
    }

    /// Whether an empty selection is what was allowed: every set that could yield something.
    fn all_may_be_empty(&self, selectors: &Selectors, live: &BTreeSet<SetKey>) -> bool {
        let mut candidates = live.iter().filter(|set| selectors.admits_set(set)).peekable();
        candidates.peek().is_some() && candidates.all(|set| self.allow_empty.contains(set))
    }

    fn empty_feeds(
        &self,
        selectors: &Selectors,
        ledger_feeds: &BTreeMap<FeedName, Vec<SetKey>>,
        live: &BTreeSet<SetKey>,
        selected: &BTreeMap<SetKey, u64>,
    ) -> Vec<FloorBroken> {
        let yields = |feed: &FeedName| selected.iter().any(|(set, n)| set.feed == *feed && *n > 0);
        let allowed = |feed: &FeedName| self.allow_empty.iter().any(|set| set.feed == *feed);
        let named = selectors.feeds.iter();
        // A feed that lost every record it held: a run that would have taken some must not pass over
        // it in silence. One that never held any was refused when it was taken in.
        let emptied = |sets: &[SetKey]| !sets.iter().any(|set| live.contains(set));
        let wanted = |sets: &[SetKey]| sets.iter().any(|set| selectors.admits_set(set));
        let hollow = ledger_feeds
            .iter()
            .filter(|(_, sets)| emptied(sets) && wanted(sets))
            .map(|(feed, _)| feed);
        let suspects: BTreeSet<&FeedName> = named.chain(hollow).collect();
        suspects
            .into_iter()
            .filter(|feed| !yields(feed) && !allowed(feed))
            .map(|feed| FloorBroken::FeedEmpty {
                feed: feed.clone(),
                sets: ledger_feeds.get(feed).cloned().unwrap_or_default(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> SetKey {
        text.parse().expect("a set")
    }

    fn check(floors: &Floors, feeds: &[&str], counts: &[(&str, u64)]) -> Vec<String> {
        let selectors = Selectors {
            feeds: feeds.iter().map(|feed| feed.parse().expect("a feed")).collect(),
            ..Selectors::default()
        };
        let selected: BTreeMap<_, _> = counts.iter().map(|(name, n)| (set(name), *n)).collect();
        let mut known: BTreeMap<FeedName, Vec<SetKey>> = BTreeMap::new();
        let live: BTreeSet<SetKey> = selected.keys().cloned().collect();
        for key in live.iter().cloned().chain([set("vex/hollow")]) {
            known.entry(key.feed.clone()).or_default().push(key);
        }
        known.insert("never-filled".parse().expect("a feed"), Vec::new());
        let broken = floors.check(&selectors, &known, &live, &selected);
        broken.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_empty_selection_is_an_error() {
        let floors = Floors::default();
        assert_eq!(check(&floors, &["a"], &[]), ["the selection is empty: no record matches"]);
    }

    #[test]
    fn a_named_or_hollow_feed_that_yields_nothing_is_an_error() {
        let mut floors = Floors { max_drop_percent: 50, ..Floors::default() };
        let counts = [("advisory/a", 5), ("advisory/b", 0)];
        assert_eq!(check(&floors, &["a", "b"], &counts), ["feed b yields no record"]);
        assert_eq!(check(&floors, &[], &counts), ["feed hollow yields no record"]);
        floors.allow_empty.extend([set("advisory/b"), set("vex/hollow")]);
        assert!(check(&floors, &["a", "b"], &counts).is_empty());
        assert!(check(&floors, &[], &counts).is_empty());
    }

    #[test]
    fn a_feed_that_lost_records_of_another_kind_is_not_missed() {
        let counts = BTreeMap::from([(set("advisory/a"), 5)]);
        let known = BTreeMap::from(
            ["advisory/a", "vex/hollow"].map(|name| (set(name).feed, vec![set(name)])),
        );
        let live = BTreeSet::from([set("advisory/a")]);
        for (kind, missed) in [("advisory", 0), ("vex", 1)] {
            let kinds = BTreeSet::from([kind.parse().expect("a kind")]);
            let selectors = Selectors { kinds, ..Selectors::default() };
            let broken = Floors::default().check(&selectors, &known, &live, &counts);
            assert_eq!(broken.len(), missed, "{kind}: {broken:?}");
        }
    }

    #[test]
    fn an_empty_selection_is_allowed_only_set_by_set() {
        let mut floors = Floors::default();
        floors.allow_empty.insert(set("advisory/a"));
        let both = [("advisory/a", 0), ("vex/b", 0)];
        assert_eq!(
            check(&floors, &["a", "b"], &both),
            ["the selection is empty: no record matches"]
        );
        floors.allow_empty.insert(set("vex/b"));
        assert!(check(&floors, &["a", "b"], &both).is_empty());
    }

    #[test]
    fn a_set_that_redaction_empties_is_an_error() {
        let counts = |pairs: &[(&str, u64)]| -> BTreeMap<SetKey, u64> {
            pairs.iter().map(|(name, count)| (set(name), *count)).collect()
        };
        let mut floors = Floors::default();
        floors.least.insert(set("advisory/a"), 3);
        let selected = counts(&[("advisory/a", 5), ("sbom/b", 1)]);
        let broken = floors.check_carried(&selected, &counts(&[("advisory/a", 2)]));
        let broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
        assert_eq!(
            broken,
            [
                "advisory/a has 2 records, its floor is 3",
                "sbom/b yields no record: none of its 1 selected records can be redacted"
            ]
        );
        floors.allow_empty.insert(set("sbom/b"));
        assert!(floors.check_carried(&selected, &counts(&[("advisory/a", 3)])).is_empty());
    }

    #[test]
    fn an_output_far_below_the_last_run_is_an_error() {
        let sizes = |pairs: &[(&str, u64)]| -> BTreeMap<String, u64> {
            pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        let mut floors = Floors { max_drop_percent: 50, ..Floors::default() };
        let last = sizes(&[("PyPI", 10), ("npm", 100)]);
        floors.last_outputs.insert("trivy:db".to_owned(), last);
        let check = |adapter: &str, now: &[(&str, u64)]| -> Vec<String> {
            let broken = floors.check_output(adapter, &sizes(now));
            assert!(broken.iter().all(FloorBroken::is_drop));
            broken.iter().map(ToString::to_string).collect()
        };
        assert!(check("trivy:db", &[("PyPI", 5), ("npm", 50), ("Go", 0)]).is_empty());
        assert!(check("trivy:vex", &[]).is_empty());
        assert_eq!(
            check("trivy:db", &[("npm", 49)]),
            [
                "trivy:db has 0 rows of PyPI, the last run had 10: more than 50 % are gone",
                "trivy:db has 49 rows of npm, the last run had 100: more than 50 % are gone"
            ]
        );
    }

    #[test]
    fn a_set_below_its_floor_or_far_below_the_last_run_is_an_error() {
        let mut floors = Floors { max_drop_percent: 50, ..Floors::default() };
        floors.least.insert(set("advisory/a"), 6);
        floors.last.insert(set("vex/a"), 100);
        let counts = |advisories, vex| [("advisory/a", advisories), ("vex/a", vex)];
        assert!(check(&floors, &["a"], &counts(6, 50)).is_empty());
        assert_eq!(
            check(&floors, &["a"], &counts(5, 49)),
            [
                "advisory/a has 5 records, its floor is 6",
                "vex/a has 49 records, the last run had 100: more than 50 % are gone"
            ]
        );
        floors.allow_empty.extend([set("advisory/a"), set("vex/a")]);
        assert!(check(&floors, &["a"], &counts(5, 0)).is_empty());
    }
}
