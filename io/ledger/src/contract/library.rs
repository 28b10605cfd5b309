//! What holds of feeds that are for all tenants, and of those who are subscribed to them.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::model::{FEEDS, How, Model, States, record};
use super::*;
use crate::{Changes, LibraryFeed, Origin};

/// One ledger as the library, and as two tenants beside it.
#[derive(Clone, Copy)]
pub(crate) struct Tenants<'l> {
    /// Who keeps the library.
    pub(crate) library: Subject<'l>,
    /// Who is subscribed.
    pub(crate) acme: Subject<'l>,
    /// Who is not.
    pub(crate) other: Subject<'l>,
}

/// A rule by its name.
pub(crate) type Case = (&'static str, fn(Tenants<'_>));

/// All rules.
pub(crate) const CASES: &[Case] = cases! {
    a_feed_is_there_from_one_sequence_up_to_another
    a_feed_of_the_library_can_only_be_read
    a_name_is_one_feed_at_a_time
    a_feed_that_the_library_removed_is_empty
    what_is_told_of_a_feed_is_not_how_it_is_kept
    the_library_is_exported_by_its_keeper_alone
};

fn name(text: &str) -> FeedName {
    FeedName::new(text).expect("a feed")
}

fn head(subject: Subject<'_>) -> Seq {
    subject.0.head().expect("head")
}

/// The feeds of the library, and whether the tenant is subscribed.
fn library(subject: Subject<'_>) -> Vec<(String, bool)> {
    let feeds = subject.0.library().expect("the library").into_iter();
    feeds.map(|LibraryFeed { feed, subscribed }| (feed.name.to_string(), subscribed)).collect()
}

/// A snapshot has what the tenant was subscribed to then, whatever came later.
fn a_feed_is_there_from_one_sequence_up_to_another(tenants: Tenants<'_>) {
    let Tenants { library: keeper, acme, other } = tenants;
    let (f, set) = (name("f"), "advisory/f".parse::<SetKey>().expect("a set"));
    let (a1, a2, b1) = (Rec::new("a", 1, 1), Rec::new("a", 2, 2), Rec::new("b", 1, 1));
    merge(keeper, "f", &[a1.clone(), b1.clone()]);
    merge(acme, "own", std::slice::from_ref(&b1));
    assert_eq!((library(acme), head(acme)), (vec![("f".to_owned(), false)], Seq(2)));
    holds(acme, "f", &[]);

    assert!(acme.0.subscribe(&f).expect("subscribes"));
    assert!(!acme.0.subscribe(&f).expect("is subscribed"), "it is only once");
    assert_eq!((library(acme), head(acme)), (vec![("f".to_owned(), true)], Seq(3)));
    assert_eq!(library(other), [("f".to_owned(), false)]);
    holds(acme, "f", &[&a1, &b1]);
    let found = |seq: u64| {
        let mut sets = acme.0.sets(Seq(seq)).expect("sets").into_iter();
        sets.find(|live| live.set == set).map(|live| (live.records, live.state, live.library))
    };
    let state_of_it = keeper.0.sets(Seq(3)).expect("sets")[0].state;
    assert_eq!((found(2), found(3)), (None, Some((2, state_of_it, true))));

    merge(keeper, "f", std::slice::from_ref(&a2));
    holds(acme, "f", &[&a2, &b1]);
    assert_eq!(found(3), Some((2, None, true)), "it changed since");
    assert!(acme.0.unsubscribe(&f).expect("ends"));
    assert!(!acme.0.unsubscribe(&f).expect("is over"), "it is only once");
    assert_eq!((found(4).map(|found| found.0), found(5), head(acme)), (Some(2), None, Seq(5)));
    holds(acme, "f", &[]);
    for (seq, held) in [(2, 1), (3, 3), (4, 3), (5, 1)] {
        assert_eq!(state(acme.0, Seq(seq)).len(), held, "{seq}");
        assert!(state(other.0, Seq(seq)).is_empty());
    }
    let received = |seq| acme.0.received(Seq(seq), &set, &id("a")).expect("reads");
    let expected = [None, Some(a1.received()), Some(a2.received()), None];
    assert_eq!([received(2), received(3), received(4), received(5)], expected);
    let changes = |from, to| {
        let Changes { added, changed, removed } =
            acme.0.changes(&set, Seq(from), Seq(to)).expect("compares");
        [added, changed, removed]
    };
    assert_eq!([changes(2, 3), changes(3, 4)], [[2, 0, 0], [0, 1, 0]]);
    assert_eq!([changes(4, 5), changes(2, 5)], [[0, 0, 2], [0, 0, 0]]);
}

/// Who is subscribed takes nothing in, keeps nothing out and removes nothing.
fn a_feed_of_the_library_can_only_be_read(tenants: Tenants<'_>) {
    let Tenants { library: keeper, acme, .. } = tenants;
    let (f, set) = (name("f"), "advisory/f".parse::<SetKey>().expect("a set"));
    let record = Rec::new("a", 1, 1);
    merge(keeper, "f", std::slice::from_ref(&record));
    acme.0.subscribe(&f).expect("subscribes");
    let before = head(acme);
    let newer = items(&[Rec::new("a", 2, 2)]);
    let refused = [
        acme.ingest(&feed("f"), IngestMode::Merge, &newer).map(drop),
        acme.ingest(&feed("f"), replace(), &[]).map(drop),
        acme.block(&set, &id("a")).map(drop),
        acme.0.remove_feed(&f).map(drop),
    ];
    for refused in refused {
        let refused = refused.expect_err("is refused");
        assert!(matches!(refused, LedgerError::OfLibrary { .. }), "{refused:?}");
        assert!(refused.to_string().contains("feed f ") && refused.hint().is_some());
    }
    assert!(acme.0.unblock(&set, &id("a")).is_err());
    assert_eq!(head(acme), before);
    holds(acme, "f", &[&record]);
    holds(keeper, "f", &[&record]);
    // Whoever keeps it goes on, and so does the tenant once it is over.
    assert_eq!(merge(keeper, "f", &[Rec::new("b", 1, 1)]).added, 1);
    acme.0.unsubscribe(&f).expect("ends");
    assert_eq!(merge(acme, "f", std::slice::from_ref(&record)).added, 1);
    holds(acme, "f", &[&record]);
}

/// A tenant has one feed of a name: its own, or that of the library.
fn a_name_is_one_feed_at_a_time(tenants: Tenants<'_>) {
    let Tenants { library: keeper, acme, .. } = tenants;
    let (f, set) = (name("f"), "advisory/f".parse::<SetKey>().expect("a set"));
    let (mine, shared) = (Rec::new("a", 1, 1), Rec::new("a", 1, 2));
    let unknown = |outcome: Result<bool, LedgerError>| {
        assert!(matches!(outcome, Err(LedgerError::NotFound { .. })), "{outcome:?}");
    };
    unknown(acme.0.subscribe(&f));
    unknown(acme.0.unsubscribe(&f));
    merge(keeper, "f", &[shared.clone(), Rec::new("c", 1, 1)]);
    merge(acme, "f", &[mine.clone(), Rec::new("b", 1, 1)]);
    for subject in [acme, keeper] {
        let refused = subject.0.subscribe(&f);
        assert!(matches!(refused, Err(LedgerError::OwnFeed { .. })), "{refused:?}");
    }
    assert!(!keeper.0.unsubscribe(&f).expect("nothing to end"));
    assert_eq!(head(acme), Seq(2));
    acme.0.remove_feed(&f).expect("removes");
    acme.0.subscribe(&f).expect("subscribes");
    let held = |seq: u64| state(acme.0, Seq(seq)).into_values().collect::<BTreeSet<Digest>>();
    assert!(held(2).contains(&mine.digest()) && held(4).contains(&shared.digest()));
    assert_eq!((held(2).len(), held(3).len(), held(4).len()), (2, 0, 2));
    // What was the tenant's own is held against what is the library's.
    let changes = acme.0.changes(&set, Seq(2), Seq(4)).expect("compares");
    assert_eq!(changes, Changes { added: 1, changed: 1, removed: 1 });
    assert_eq!(acme.0.feeds().expect("feeds").len(), 1);
}

/// Nobody loses in silence what the library has removed: it is there and empty, until they let it go.
fn a_feed_that_the_library_removed_is_empty(tenants: Tenants<'_>) {
    let Tenants { library: keeper, acme, .. } = tenants;
    let f = name("f");
    let record = Rec::new("a", 1, 1);
    merge(keeper, "f", std::slice::from_ref(&record));
    acme.0.subscribe(&f).expect("subscribes");
    acme.0.pin("run", Seq(2)).expect("pins");
    keeper.0.remove_feed(&f).expect("removes");
    holds(acme, "f", &[]);
    let info = acme.0.feed(&f).expect("is still told of");
    assert_eq!((info.records.len(), info.kinds.len(), info.library), (0, 1, true));
    assert!(library(acme).is_empty());
    acme.0.compact().expect("compacts");
    assert_eq!(state(acme.0, Seq(2)).len(), 1, "it is pinned");
    assert!(state(acme.0, head(acme)).is_empty());
    // Kept anew it is there again, for who has not let it go.
    merge(keeper, "f", std::slice::from_ref(&record));
    holds(acme, "f", &[&record]);
    keeper.0.remove_feed(&f).expect("removes");
    assert!(acme.0.unsubscribe(&f).expect("ends"));
    assert!(acme.0.feeds().expect("feeds").is_empty());
}

/// Licence and records are told; origin, rejections and blocked ids are for the keeper.
fn what_is_told_of_a_feed_is_not_how_it_is_kept(tenants: Tenants<'_>) {
    let Tenants { library: keeper, acme, .. } = tenants;
    let f = name("f");
    let spec =
        FeedSpec { licence: Some("CC0-1.0".into()), redistribution: Some(false), ..feed("f") };
    let mut ingest = keeper.0.ingest(&spec, IngestMode::Merge, now()).expect("begins");
    fill(&mut *ingest, &[Item::Bad("x"), Item::Record(Rec::new("a", 1, 1))]).expect("put");
    let ledger = "0123456789abcdef0123456789abcdef".to_owned();
    let tenant = "somebody".parse().expect("a tenant");
    ingest.set_origin(&Origin { ledger, epoch: 1, tenant, sequence: 5 }).expect("is noted");
    ingest.commit().expect("commits");
    keeper.block(&"advisory/f".parse().expect("a set"), &id("b")).expect("blocks");
    let kept = keeper.0.feed(&f).expect("a feed");
    assert_eq!((kept.blocked, kept.quarantined, kept.library), (1, 1, false));
    assert!(kept.origin.is_some());
    let offered = acme.0.library().expect("the library").remove(0).feed;
    acme.0.subscribe(&f).expect("subscribes");
    assert_eq!(acme.0.feed(&f).expect("a feed"), offered);
    assert_eq!(acme.0.feeds().expect("feeds"), std::slice::from_ref(&offered));
    assert_eq!((offered.blocked, offered.quarantined, &offered.origin), (0, 0, &None));
    assert_eq!(
        (offered.licence.as_deref(), offered.redistribution),
        (Some("CC0-1.0"), Some(false))
    );
    assert!(offered.library && offered.records == kept.records);
    assert!(acme.0.blocks(&f).expect("blocks").is_empty());
    assert!(acme.0.quarantine(&QuarantineFilter::default()).expect("quarantine").is_empty());
}

/// What changed is told of the tenant's own feeds alone.
fn the_library_is_exported_by_its_keeper_alone(tenants: Tenants<'_>) {
    let Tenants { library: keeper, acme, .. } = tenants;
    let record = Rec::new("a", 1, 1);
    merge(keeper, "f", std::slice::from_ref(&record));
    merge(acme, "g", std::slice::from_ref(&record));
    acme.0.subscribe(&name("f")).expect("subscribes");
    let own = follow::follow(acme.0, Seq(0), Seq(3), &State::new());
    assert_eq!(own.keys().map(|(set, _)| set.to_string()).collect::<Vec<_>>(), ["advisory/g"]);
    let set: SetKey = "advisory/f".parse().expect("a set");
    let mut none = |_: ChangedRecord<'_>| panic!("there is no record");
    acme.0.changed_records(Seq(0), Seq(3), &set, None, &mut none).expect("what changed");
    assert_eq!(follow::follow(keeper.0, Seq(0), Seq(3), &State::new()).len(), 1);
}

/// One step of a history. Feeds are those of [`FEEDS`].
#[derive(Debug, Clone)]
enum Step {
    Kept { feed: usize, records: Vec<Rec> },
    Discarded { feed: usize },
    Own { feed: usize, records: Vec<Rec> },
    Removed { feed: usize },
    Subscribe { feed: usize },
    Unsubscribe { feed: usize },
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    let (feed, records) = (0..FEEDS.len(), || prop::collection::vec(record(), 0..5));
    prop_oneof![
        5 => (feed.clone(), records()).prop_map(|(feed, records)| Step::Kept { feed, records }),
        1 => feed.clone().prop_map(|feed| Step::Discarded { feed }),
        2 => (feed.clone(), records()).prop_map(|(feed, records)| Step::Own { feed, records }),
        2 => feed.clone().prop_map(|feed| Step::Removed { feed }),
        5 => feed.clone().prop_map(|feed| Step::Subscribe { feed }),
        2 => feed.prop_map(|feed| Step::Unsubscribe { feed }),
        1 => Just(Step::Compact),
    ]
}

/// What the library and a tenant hold, and what the tenant sees of both at every sequence.
struct Both {
    kept: Model,
    own: Model,
    /// Feeds that the library ever had.
    known: BTreeSet<usize>,
    subscribed: BTreeSet<usize>,
    snapshots: Vec<State>,
    oldest: usize,
}

impl Both {
    fn sequences(&self) -> usize {
        self.kept.snapshots.len() + self.own.snapshots.len()
    }

    /// Notes what is seen after a change that took a sequence.
    fn settle(&mut self) {
        let is_read =
            |set: &SetKey| self.subscribed.iter().any(|feed| FEEDS[*feed] == set.feed.as_str());
        let mut seen = self.kept.shown();
        seen.retain(|(set, _), _| is_read(set));
        seen.extend(self.own.shown());
        self.snapshots.push(seen);
    }

    /// Does a step here and there; both take it alike.
    fn take(&mut self, step: &Step, tenants: Tenants<'_>) {
        let Tenants { library: keeper, acme, .. } = tenants;
        let before = self.sequences();
        let mut takes_sequence = false;
        match step {
            Step::Kept { feed, records } => {
                self.known.insert(*feed);
                self.kept.ingest(*feed, &How::Merge, records);
                merge(keeper, FEEDS[*feed], records);
            }
            Step::Discarded { feed } => {
                let removed = keeper.0.remove_feed(&name(FEEDS[*feed])).is_ok();
                assert_eq!(removed, self.kept.remove(*feed));
            }
            Step::Own { feed, records } => {
                let spec = super::feed(FEEDS[*feed]);
                let taken = acme.ingest(&spec, replace(), &items(records)).is_ok();
                assert_eq!(taken, !self.subscribed.contains(feed));
                if taken {
                    self.own.ingest(*feed, &How::Replace, records);
                }
            }
            Step::Removed { feed } => {
                let removed = acme.0.remove_feed(&name(FEEDS[*feed])).is_ok();
                assert_eq!(removed, self.own.remove(*feed));
            }
            Step::Subscribe { feed } => {
                let is_there = self.subscribed.contains(feed);
                let may = self.kept.feeds.contains(feed) && !self.own.feeds.contains(feed);
                let expected = (is_there || may).then_some(!is_there);
                assert_eq!(acme.0.subscribe(&name(FEEDS[*feed])).ok(), expected);
                takes_sequence = expected == Some(true) && self.subscribed.insert(*feed);
            }
            Step::Unsubscribe { feed } => {
                let is_there = self.subscribed.remove(feed);
                let expected = self.known.contains(feed).then_some(is_there);
                assert_eq!(acme.0.unsubscribe(&name(FEEDS[*feed])).ok(), expected);
                takes_sequence = is_there;
            }
            Step::Compact => self.compact(acme),
        }
        if takes_sequence || self.sequences() > before {
            self.settle();
        }
    }

    /// Every second snapshot is pinned, the others may go.
    fn compact(&mut self, subject: Subject<'_>) {
        for seq in (0..self.snapshots.len()).step_by(2) {
            subject.0.pin(&format!("run-{seq}"), Seq(seq as u64)).ok();
        }
        if subject.0.compact().expect("compact").versions > 0 {
            self.oldest = self.snapshots.len() - 1;
        }
    }
}

/// How a set differs between two snapshots.
fn expected_changes(set: &SetKey, from: &State, to: &State) -> Changes {
    let of = |state: &State| -> BTreeMap<String, Digest> {
        let records = state.iter().filter(|((of, _), _)| of == set);
        records.map(|((_, id), digest)| (id.clone(), *digest)).collect()
    };
    let (from, to) = (of(from), of(to));
    let mut changes = Changes::default();
    for (id, digest) in &to {
        match from.get(id) {
            None => changes.added += 1,
            Some(before) if before != digest => changes.changed += 1,
            Some(_) => {}
        }
    }
    changes.removed = from.keys().filter(|id| !to.contains_key(*id)).count() as u64;
    changes
}

fn check(steps: &[Step], tenants: Tenants<'_>) -> Result<(), TestCaseError> {
    let (kept, own) = (Model::new(), Model::new());
    let (known, subscribed) = (BTreeSet::new(), BTreeSet::new());
    let snapshots = vec![State::new()];
    let mut both = Both { kept, own, known, subscribed, snapshots, oldest: 0 };
    let mut states = States::default();
    let ledger = tenants.acme.0;
    for step in steps {
        both.take(step, tenants);
        let newest = both.snapshots.len() - 1;
        prop_assert_eq!(head(tenants.acme).0 as usize, newest, "{:?}", step);
        for (seq, expected) in both.snapshots.iter().enumerate() {
            match ledger.sets(Seq(seq as u64)) {
                Ok(sets) => {
                    let found = state(ledger, Seq(seq as u64));
                    prop_assert_eq!(&found, expected, "{}", seq);
                    states.see(&sets, &found, seq == newest);
                }
                Err(LedgerError::OutOfReach { .. }) => prop_assert!(seq < both.oldest),
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
    }
    let is_there = |seq: &usize| ledger.sets(Seq(*seq as u64)).is_ok();
    let there: Vec<usize> = (0..both.snapshots.len()).filter(is_there).collect();
    for (from, to) in there.iter().flat_map(|from| there.iter().map(move |to| (*from, *to))) {
        for set in ["advisory/f", "advisory/g", "vex/f"].map(|set| set.parse().expect("a set")) {
            let found = ledger.changes(&set, Seq(from as u64), Seq(to as u64)).expect("compares");
            let expected = expected_changes(&set, &both.snapshots[from], &both.snapshots[to]);
            prop_assert_eq!(found, expected, "{} from {} to {}", set, from, to);
        }
    }
    Ok(())
}

/// Holds random histories of a library and of a tenant against models. `fresh` makes a new, empty ledger
/// and what it needs, `tenants` gives it as each of them.
pub(crate) fn every_snapshot_of_subscribers_is_exact<F>(
    histories: u32,
    fresh: impl Fn() -> F,
    tenants: impl Fn(&F) -> Tenants<'_>,
) {
    let config =
        ProptestConfig { cases: histories, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(step(), 1..14), |steps| {
        let subject = fresh();
        check(&steps, tenants(&subject))
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
