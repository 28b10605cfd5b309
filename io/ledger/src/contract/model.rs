//! Random histories against a model that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::follow::follow;
use super::*;

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Ingest { feed: usize, replace: bool, records: Vec<Rec> },
    Follow { feed: usize, records: Vec<Rec>, removed: Vec<usize> },
    Block { feed: usize, id: usize },
    Unblock { feed: usize, id: usize },
    Remove { feed: usize },
    Compact,
}

pub(super) const FEEDS: [&str; 2] = ["f", "g"];
const IDS: [&str; 5] = ["a", "a\0", "b", "B", "\u{e9}"];
const VERSIONS: [Option<&str>; 3] = [None, Some("1.9"), Some("1.10")];

pub(super) fn record() -> impl Strategy<Value = Rec> {
    let day = prop_oneof![1 => Just(None), 4 => (1..4_u8).prop_map(Some)];
    (prop::bool::weighted(0.2), 0..IDS.len(), day, 0..VERSIONS.len(), 0..3_u8).prop_map(
        |(vex, id, day, version, body)| Rec {
            kind: if vex { "vex" } else { "advisory" },
            id: IDS[id].to_owned(),
            day,
            version: VERSIONS[version],
            body,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let (feed, id) = (0..FEEDS.len(), 0..IDS.len());
    prop_oneof![
        8 => (feed.clone(), any::<bool>(), prop::collection::vec(record(), 0..8))
            .prop_map(|(feed, replace, records)| Step::Ingest { feed, replace, records }),
        3 => (feed.clone(), prop::collection::vec(record(), 0..4), prop::collection::vec(id.clone(), 0..4))
            .prop_map(|(feed, records, removed)| Step::Follow { feed, records, removed }),
        2 => (feed.clone(), id.clone()).prop_map(|(feed, id)| Step::Block { feed, id }),
        1 => (feed.clone(), id).prop_map(|(feed, id)| Step::Unblock { feed, id }),
        1 => feed.prop_map(|feed| Step::Remove { feed }),
        1 => Just(Step::Compact),
    ]
}

type Key = (SetKey, String);

/// What a ledger has to hold: the live records, and the snapshot of every sequence.
#[derive(Default)]
pub(super) struct Model {
    live: BTreeMap<Key, (Revision, Digest)>,
    pub(super) feeds: BTreeSet<usize>,
    blocked: BTreeSet<Key>,
    pub(super) snapshots: Vec<State>,
    oldest: usize,
}

impl Model {
    pub(super) fn new() -> Model {
        Model { snapshots: vec![State::new()], ..Model::default() }
    }

    pub(super) fn shown(&self) -> State {
        self.live.iter().map(|(key, (_, digest))| (key.clone(), *digest)).collect()
    }

    /// A change that changed nothing has no snapshot of its own.
    fn settle(&mut self, changed: bool) {
        if changed {
            self.snapshots.push(self.shown());
        }
    }

    pub(super) fn ingest(&mut self, feed: usize, how: &How, records: &[Rec]) {
        self.feeds.insert(feed);
        let name = FeedName::new(FEEDS[feed]).expect("a feed");
        let replace = *how == How::Replace;
        let mut winners = BTreeMap::<Key, (Revision, Digest)>::new();
        for record in records {
            let key = (record.set(&name), record.id.clone());
            let version = (record.revision(), record.digest());
            let best = winners.entry(key).or_insert_with(|| version.clone());
            if version > *best {
                *best = version;
            }
        }
        let before = self.live.clone();
        if replace {
            self.live.retain(|(set, id), _| {
                set.feed != name || winners.contains_key(&(set.clone(), id.clone()))
            });
        }
        if let How::Follow(removed) = how {
            let removed: Vec<Key> = removed.iter().map(|id| key(feed, *id)).collect();
            self.live.retain(|key, _| !removed.contains(key) || winners.contains_key(key));
        }
        for (key, version) in winners {
            let older =
                self.live.get(&key).is_some_and(|held| *how == How::Merge && version <= *held);
            if !older && !self.blocked.contains(&key) {
                self.live.insert(key, version);
            }
        }
        let contents = |live: &BTreeMap<Key, (Revision, Digest)>| -> State {
            live.iter().map(|(key, (_, digest))| (key.clone(), *digest)).collect()
        };
        self.settle(contents(&before) != contents(&self.live));
    }

    fn block(&mut self, feed: usize, id: usize) -> Option<bool> {
        if !self.feeds.contains(&feed) {
            return None;
        }
        let key = key(feed, id);
        let elsewhere = |(set, id): &Key| set.feed == key.0.feed && *id == key.1 && *set != key.0;
        if !self.live.contains_key(&key) && self.live.keys().any(elsewhere) {
            return None;
        }
        self.blocked.insert(key.clone());
        let held = self.live.remove(&key).is_some();
        self.settle(held);
        Some(held)
    }

    pub(super) fn remove(&mut self, feed: usize) -> bool {
        let existed = self.feeds.remove(&feed);
        let count = self.live.len();
        if existed {
            self.live.retain(|(set, _), _| set.feed.as_str() != FEEDS[feed]);
            self.blocked.retain(|(set, _)| set.feed.as_str() != FEEDS[feed]);
        }
        self.settle(self.live.len() != count);
        existed
    }
}

/// How an input relates to its feed.
#[derive(PartialEq)]
pub(super) enum How {
    Merge,
    Replace,
    Follow(Vec<usize>),
}

/// What was held in each state that a set was ever in.
#[derive(Default)]
pub(super) struct States(Vec<(SetState, State)>);

impl States {
    /// Equal states, equal records, whenever and in whatever snapshot they are seen.
    pub(super) fn see(&mut self, sets: &[LiveSet], found: &State, newest: bool) {
        for LiveSet { set, state, .. } in sets {
            assert!(!newest || state.is_some(), "{set} is as it is");
            let Some(state) = state else { continue };
            let held: State = found
                .iter()
                .filter(|((of, _), _)| of == set)
                .map(|(key, digest)| (key.clone(), *digest))
                .collect();
            match self.0.iter().find(|(known, _)| known == state) {
                Some((_, then)) => assert_eq!(&held, then, "{set}"),
                None => self.0.push((*state, held)),
            }
        }
    }
}

fn key(feed: usize, id: usize) -> Key {
    let set = format!("advisory/{}", FEEDS[feed]).parse().expect("a set");
    (set, IDS[id].to_owned())
}

fn run(step: &Step, model: &mut Model, ledger: &dyn Ledger) {
    let subject = Subject(ledger);
    match step {
        Step::Ingest { feed, replace: whole, records } => {
            let how = if *whole { How::Replace } else { How::Merge };
            model.ingest(*feed, &how, records);
            let mode = if *whole { replace() } else { IngestMode::Merge };
            let input: Vec<Item> = records.iter().cloned().map(Item::Record).collect();
            subject.ingest(&super::feed(FEEDS[*feed]), mode, &input).expect("ingest");
        }
        Step::Follow { feed, records, removed } => {
            model.ingest(*feed, &How::Follow(removed.clone()), records);
            let mode = IngestMode::Follow { max_drop_percent: 100.0, accept: None };
            let begun = ledger.ingest(&super::feed(FEEDS[*feed]), mode, now());
            let mut ingest = begun.expect("begins");
            let input: Vec<Item> = records.iter().cloned().map(Item::Record).collect();
            fill(&mut *ingest, &input).expect("put");
            for id in removed {
                let id = RecordId::new(IDS[*id]).expect("an id");
                ingest.remove(&Kind::advisory(), &id).expect("is noted");
            }
            ingest.commit().expect("commits");
        }
        Step::Block { feed, id } => {
            let (set, id) = key(*feed, *id);
            let id = RecordId::new(&id).expect("an id");
            let expected =
                model.block(*feed, IDS.iter().position(|i| *i == id.as_str()).expect("known"));
            assert_eq!(subject.block(&set, &id).ok(), expected);
        }
        Step::Unblock { feed, id } => {
            let (set, id) = key(*feed, *id);
            let expected = model.blocked.remove(&(set.clone(), id.clone()));
            let id = RecordId::new(&id).expect("an id");
            assert_eq!(subject.0.unblock(&set, &id).is_ok(), expected);
        }
        Step::Remove { feed } => {
            let name = FeedName::new(FEEDS[*feed]).expect("a feed");
            let expected = model.remove(*feed);
            assert_eq!(subject.0.remove_feed(&name).is_ok(), expected);
        }
        Step::Compact => {
            // Every second snapshot is pinned, the others may go.
            for (seq, _) in model.snapshots.iter().enumerate().step_by(2) {
                ledger.pin(&format!("run-{seq}"), Seq(seq as u64)).ok();
            }
            if ledger.compact().expect("compact").versions > 0 {
                model.oldest = model.snapshots.len() - 1;
            }
        }
    }
}

/// Holds random histories against the model. `fresh` makes a new, empty ledger and what it needs,
/// `ledger` takes it out of that, `sound` looks at it in the end.
pub(crate) fn every_snapshot_of_a_random_history_is_exact<F>(
    histories: u32,
    fresh: impl Fn() -> F,
    ledger: impl Fn(&F) -> &dyn Ledger,
    sound: impl Fn(&F),
) {
    let config =
        ProptestConfig { cases: histories, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(step(), 1..14), |steps| {
        let subject = fresh();
        check(&steps, ledger(&subject))?;
        sound(&subject);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

fn check(steps: &[Step], ledger: &dyn Ledger) -> Result<(), TestCaseError> {
    let mut model = Model::new();
    let mut states = States::default();
    for step in steps {
        run(step, &mut model, ledger);
        let head = ledger.head().expect("head");
        prop_assert_eq!(head.0 as usize, model.snapshots.len() - 1);
        for (seq, expected) in model.snapshots.iter().enumerate() {
            match ledger.sets(Seq(seq as u64)) {
                Ok(sets) => {
                    let found = state(ledger, Seq(seq as u64));
                    prop_assert_eq!(&found, expected);
                    states.see(&sets, &found, Seq(seq as u64) == head);
                }
                Err(LedgerError::OutOfReach { .. }) => prop_assert!(seq < model.oldest),
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
    }
    for (until, expected) in model.snapshots.iter().enumerate() {
        if ledger.sets(Seq(until as u64)).is_err() {
            continue;
        }
        for (since, from) in model.snapshots.iter().enumerate().take(until + 1) {
            let found = follow(ledger, Seq(since as u64), Seq(until as u64), from);
            prop_assert_eq!(&found, expected, "{} to {}", since, until);
        }
    }
    Ok(())
}
