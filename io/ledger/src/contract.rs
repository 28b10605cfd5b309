//! What every ledger must do, as tests that each implementation runs: [`CASES`], each on a new,
//! empty ledger, [`library::CASES`], on one of several tenants, and the histories of [`model`] and
//! [`library`].

/// Rules with their names.
macro_rules! cases {
    ($($case:ident)*) => { &[$((stringify!($case), $case)),*] };
}

pub(crate) mod follow;
pub(crate) mod library;
pub(crate) mod model;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use stella_model::{Digest, FeedName, Instant, Kind, RecordId, SetKey};
use stella_records::{Draft, Facets, Format, Revision, RevisionOrder};

use follow::{
    an_input_that_follows_changes_what_it_names, an_origin_stays_until_a_feed_is_another,
    what_changed_leads_from_one_snapshot_to_another,
};

use crate::{
    ChangedRecord, FeedInfo, FeedSpec, IdRange, Ingest, IngestMode, IngestSummary, Ledger,
    LedgerError, LiveSet, PreparedDocument, QuarantineFilter, Quarantined, Seq, SetState,
    WithFacets, prepare,
};

/// A ledger under test.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'l>(pub(crate) &'l dyn Ledger);

impl Subject<'_> {
    /// Runs one ingest.
    ///
    /// # Errors
    /// Of the ledger.
    pub(crate) fn ingest(
        self,
        feed: &FeedSpec,
        mode: IngestMode,
        input: &[Item],
    ) -> Result<IngestSummary, LedgerError> {
        let mut ingest = self.0.ingest(feed, mode, now())?;
        fill(&mut *ingest, input)?;
        ingest.commit()
    }

    /// Blocks an id.
    ///
    /// # Errors
    /// Of the ledger.
    pub(crate) fn block(self, set: &SetKey, id: &RecordId) -> Result<bool, LedgerError> {
        self.0.block(set, id, "a test", now())
    }

    /// Paths and reasons in quarantine, sorted.
    fn quarantine(self, feed: &FeedName) -> Result<Vec<(String, String)>, LedgerError> {
        let filter = QuarantineFilter { feed: Some(feed.clone()), ..QuarantineFilter::default() };
        let entries = self.0.quarantine(&filter)?.into_iter();
        let mut entries: Vec<_> = entries.map(|e| (e.document.path, e.document.reason)).collect();
        entries.sort();
        Ok(entries)
    }
}

/// Gives an ingest its input.
///
/// # Errors
/// Of the ledger.
pub(crate) fn fill(ingest: &mut dyn Ingest, input: &[Item]) -> Result<(), LedgerError> {
    for (number, item) in input.iter().enumerate() {
        match (item, rejection(item)) {
            (Item::Record(record), _) => ingest.put(&record.document(&format!("in:{number}")))?,
            (Item::Unreadable(_), Some(document)) => ingest.read_error(&document)?,
            (_, Some(document)) => ingest.quarantine(&document)?,
            (_, None) => {}
        }
    }
    Ok(())
}

/// Something an input has.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// A document with one record.
    Record(Rec),
    /// A document that is rejected.
    Bad(&'static str),
    /// A container that could not be read.
    Unreadable(&'static str),
}

/// A record of a test: id, revision and what tells one content from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rec {
    /// Kind, such as `advisory`.
    pub(crate) kind: &'static str,
    /// Id.
    pub(crate) id: String,
    /// Day of the revision time; `None` for no time.
    pub(crate) day: Option<u8>,
    /// Dotted version.
    pub(crate) version: Option<&'static str>,
    /// Tells contents of one revision apart.
    pub(crate) body: u8,
}

impl Rec {
    /// An advisory.
    #[must_use]
    pub(crate) fn new(id: &str, day: u8, body: u8) -> Rec {
        Rec { kind: "advisory", id: id.to_owned(), day: Some(day), version: None, body }
    }

    /// The canonical content.
    #[must_use]
    pub(crate) fn content(&self) -> Vec<u8> {
        let padding = "evidence ".repeat(usize::from(self.body) * 40);
        let Rec { id, day, version, body, .. } = self;
        format!(
            r#"{{"body":"{body}{padding}","day":"{day:?}","id":"{id}","version":"{version:?}"}}"#
        )
        .into_bytes()
    }

    /// Its digest.
    #[must_use]
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.content())
    }

    /// Its revision.
    #[must_use]
    pub(crate) fn revision(&self) -> Revision {
        let time = self.day.map(|day| format!("2026-01-{day:02}T00:00:00.5Z"));
        Revision::new(RevisionOrder::TimeFirst, time.as_deref(), self.version)
    }

    /// Kind and feed.
    #[must_use]
    pub(crate) fn set(&self, feed: &FeedName) -> SetKey {
        SetKey { kind: Kind::new(self.kind).expect("a kind"), feed: feed.clone() }
    }

    /// The document as received: not canonical, so that the ledger has to keep it.
    #[must_use]
    pub(crate) fn received(&self) -> Vec<u8> {
        [b" ", &*self.content(), b"\n"].concat()
    }

    /// The document as the writing side takes it.
    #[must_use]
    pub(crate) fn document(&self, path: &str) -> PreparedDocument {
        let content = self.content();
        let draft = Draft {
            kind: Kind::new(self.kind).expect("a kind"),
            id: RecordId::new(&self.id).expect("an id"),
            revision: self.revision(),
            format: Format::Osv,
            content_digest: Digest::of(&content),
            content,
            verbatim: false,
            facets: Facets { ids: vec![self.id.clone()], ..Facets::default() },
        };
        prepare(path.to_owned(), &self.received(), vec![draft])
    }
}

/// What a snapshot holds.
pub(crate) type State = BTreeMap<(SetKey, String), Digest>;

/// Reads a whole snapshot in every way there is, and checks that all ways agree.
#[must_use]
pub(crate) fn state(ledger: &dyn Ledger, at: Seq) -> State {
    let mut state = State::new();
    let sets = ledger.sets(at).expect("sets");
    assert!(sets.is_sorted_by(|a, b| a.set < b.set), "sets come in export order");
    for LiveSet { set, records, .. } in sets {
        let mut rows = Vec::new();
        ledger
            .scan(at, &set, &IdRange::ALL, WithFacets::Yes, &mut |row| {
                rows.push(row);
                ControlFlow::Continue(())
            })
            .expect("scan");
        assert_eq!(rows.len() as u64, records, "{set}");
        assert!(rows.windows(2).all(|pair| pair[0].id < pair[1].id), "{set} is not in order");
        let mut index = rows.iter();
        ledger
            .read(at, &set, &IdRange::ALL, &mut |record| {
                let row = index.next().expect("as many contents as rows");
                assert_eq!((&record.id, record.content_digest), (&row.id, row.content_digest));
                assert_eq!(Digest::of(&record.content), record.content_digest);
                assert_eq!(
                    (record.content.len() as u64, record.modified),
                    (row.size, row.modified)
                );
                let facets = row.facets.as_ref().expect("facets were asked for");
                assert_eq!(facets.ids, [record.id.as_str()]);
                ControlFlow::Continue(())
            })
            .expect("read");
        assert!(index.next().is_none());
        state.extend(rows.into_iter().map(|r| ((set.clone(), r.id.to_string()), r.content_digest)));
    }
    state
}

/// A replacement that lets everything vanish.
#[must_use]
pub(crate) fn replace() -> IngestMode {
    IngestMode::Replace { max_drop_percent: 100.0, accept: None }
}

/// A feed of that name.
pub(crate) fn feed(name: &str) -> FeedSpec {
    FeedSpec::named(FeedName::new(name).expect("a feed"))
}

/// Documents with one record each.
pub(crate) fn items(records: &[Rec]) -> Vec<Item> {
    records.iter().cloned().map(Item::Record).collect()
}

fn merge(subject: Subject<'_>, name: &str, records: &[Rec]) -> IngestSummary {
    subject.ingest(&feed(name), IngestMode::Merge, &items(records)).expect("ingest")
}

fn holds(subject: Subject<'_>, name: &str, records: &[&Rec]) {
    let name = FeedName::new(name).expect("a feed");
    let expected: State =
        records.iter().map(|r| ((r.set(&name), r.id.clone()), r.digest())).collect();
    let head = subject.0.head().expect("head");
    let mut found = state(subject.0, head);
    found.retain(|(set, _), _| set.feed == name);
    assert_eq!(found, expected);
}

fn id(text: &str) -> RecordId {
    RecordId::new(text).expect("an id")
}

/// Counts of a summary in one line: added, updated, unchanged, older, vanished, blocked, repeated.
fn counts(summary: &IngestSummary) -> [u64; 7] {
    let s = summary;
    [s.added, s.updated, s.unchanged, s.older, s.vanished, s.blocked, s.repeated]
}

/// A new ledger has nothing, and says so without failing.
pub(crate) fn an_empty_ledger_reads_as_empty(subject: Subject<'_>) {
    let ledger = subject.0;
    assert_eq!(ledger.head().expect("head"), Seq(0));
    assert!(state(ledger, Seq(0)).is_empty());
    assert!(ledger.feeds().expect("feeds").is_empty());
    let set: SetKey = "advisory/none".parse().expect("a set");
    let mut none = |_| panic!("there is no record");
    ledger.scan(Seq(0), &set, &IdRange::ALL, WithFacets::No, &mut none).expect("scan");
    assert!(matches!(ledger.sets(Seq(1)), Err(LedgerError::OutOfReach { at: 1, .. })));
}

/// What a set holds is told apart from what it held, and only from that.
pub(crate) fn a_set_has_one_state_until_it_changes(subject: Subject<'_>) {
    let states = |at: u64| -> BTreeMap<String, Option<SetState>> {
        let sets = subject.0.sets(Seq(at)).expect("sets").into_iter();
        sets.map(|live| (live.set.to_string(), live.state)).collect()
    };
    let (old, new) = (Rec::new("id-1", 1, 1), Rec::new("id-1", 2, 2));
    let vex = Rec { kind: "vex", ..Rec::new("id-1", 1, 1) };
    merge(subject, "f", &[old, vex]);
    merge(subject, "g", &[Rec::new("id-1", 1, 1)]);
    let first = states(2);
    assert!(first.values().all(Option::is_some), "nothing changed since");
    let mut distinct: Vec<_> = first.values().collect();
    distinct.dedup();
    assert_eq!(distinct.len(), 3, "equal records of two sets are two states");

    merge(subject, "f", std::slice::from_ref(&new));
    merge(subject, "f", &[new]);
    let second = states(3);
    assert_ne!(second["advisory/f"], first["advisory/f"]);
    assert!(second["advisory/f"].is_some());
    for same in ["advisory/g", "vex/f"] {
        assert_eq!(second[same], first[same], "{same} did not change");
    }
    assert_eq!(states(2)["advisory/f"], None, "it changed since");
    assert_eq!(states(2)["vex/f"], first["vex/f"]);

    let set: SetKey = "advisory/f".parse().expect("a set");
    subject.block(&set, &id("id-1")).expect("blocks");
    assert!(!states(4).contains_key("advisory/f"), "it holds nothing");
    assert_eq!(states(3)["advisory/f"], None);
    subject.0.remove_feed(&FeedName::new("g").expect("a feed")).expect("removes");
    merge(subject, "g", &[Rec::new("id-1", 1, 1)]);
    assert_ne!(states(6)["advisory/g"], first["advisory/g"], "drawn anew with every change");
}

/// Re-ingesting the same input takes no sequence and changes nothing.
pub(crate) fn the_same_input_again_changes_nothing(subject: Subject<'_>) {
    let records: Vec<Rec> = (0..50).map(|n| Rec::new(&format!("id-{n}"), 1, n)).collect();
    let first = merge(subject, "npm", &records);
    assert_eq!((first.seq_from, first.seq_to), (Seq(0), Seq(1)));
    assert_eq!(counts(&first), [50, 0, 0, 0, 0, 0, 0]);
    for mode in [IngestMode::Merge, replace()] {
        let mut shuffled = records.clone();
        shuffled.reverse();
        let again = subject.ingest(&feed("npm"), mode, &items(&shuffled)).expect("ingest");
        assert!(!again.changed());
        assert_eq!(counts(&again), [0, 0, 50, 0, 0, 0, 0]);
        assert_eq!(again.records.values().sum::<u64>(), 50);
    }
    assert_eq!(subject.0.head().expect("head"), Seq(1));
    holds(subject, "npm", &records.iter().collect::<Vec<_>>());
}

/// Across ingests the newer revision wins; an older one is ignored and counted.
pub(crate) fn the_newer_revision_wins_across_ingests(subject: Subject<'_>) {
    let old = Rec::new("a", 1, 1);
    let new = Rec::new("a", 2, 2);
    assert_eq!(counts(&merge(subject, "f", std::slice::from_ref(&old))), [1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(counts(&merge(subject, "f", std::slice::from_ref(&new))), [0, 1, 0, 0, 0, 0, 0]);
    let ignored = merge(subject, "f", std::slice::from_ref(&old));
    assert_eq!(counts(&ignored), [0, 0, 0, 1, 0, 0, 0]);
    assert!(!ignored.changed());
    holds(subject, "f", &[&new]);
    let undated = Rec { day: None, ..new.clone() };
    assert_eq!(merge(subject, "f", &[undated]).older, 1, "no time is the oldest");
    let versioned = Rec { version: Some("1.10"), ..new.clone() };
    let later = Rec { version: Some("1.9"), ..new };
    assert_eq!(merge(subject, "f", std::slice::from_ref(&versioned)).updated, 1);
    assert_eq!(merge(subject, "f", &[later]).older, 1, "1.9 is before 1.10");
    holds(subject, "f", &[&versioned]);
}

/// Equal revisions are decided by the greater digest, in either order.
pub(crate) fn equal_revisions_are_decided_by_digest(subject: Subject<'_>) {
    let pair = [Rec::new("a", 1, 1), Rec::new("a", 1, 2)];
    let winner = pair.iter().max_by_key(|r| r.digest()).expect("two");
    let loser = pair.iter().min_by_key(|r| r.digest()).expect("two");
    for (name, order) in [("up", [loser, winner]), ("down", [winner, loser])] {
        for record in order {
            merge(subject, name, std::slice::from_ref(record));
        }
        holds(subject, name, &[winner]);
    }
}

/// Of several versions in one ingest one wins whatever their order; the others go to quarantine.
pub(crate) fn rivals_in_one_ingest_do_not_depend_on_order(subject: Subject<'_>) {
    let versions = [Rec::new("a", 1, 1), Rec::new("a", 3, 2), Rec::new("a", 2, 3)];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (number, order) in orders.into_iter().enumerate() {
        for (mode, held) in [
            (IngestMode::Merge, None),
            (IngestMode::Merge, Some(Rec::new("a", 1, 9))),
            (IngestMode::Merge, Some(versions[1].clone())),
            (IngestMode::Merge, Some(versions[0].clone())),
            (IngestMode::Merge, Some(Rec::new("a", 9, 9))),
            (replace(), Some(Rec::new("a", 9, 9))),
            (replace(), Some(versions[0].clone())),
        ] {
            let name = format!("f{number}");
            let name = FeedName::new(&name).expect("a feed");
            subject.ingest(&FeedSpec::named(name.clone()), replace(), &[]).expect("emptied");
            if let Some(held) = &held {
                merge(subject, name.as_str(), std::slice::from_ref(held));
            }
            let input: Vec<Item> =
                order.iter().map(|&i| Item::Record(versions[i].clone())).collect();
            let spec = FeedSpec::named(name.clone());
            let summary = subject.ingest(&spec, mode.clone(), &input).expect("ingest");
            assert_eq!(summary.quarantined.get("duplicate-identity"), Some(&2), "{order:?}");
            assert_eq!(summary.records.values().sum::<u64>(), 1);
            let newest = match &held {
                Some(held) if mode == IngestMode::Merge && held.day > Some(3) => held,
                _ => &versions[1],
            };
            holds(subject, name.as_str(), &[newest]);
            let expected = match &held {
                None => [1, 0, 0, 0, 0, 0, 0],
                Some(held) if *held == versions[1] => [0, 0, 1, 0, 0, 0, 0],
                Some(held) if held == newest => [0, 0, 0, 1, 0, 0, 0],
                Some(_) => [0, 1, 0, 0, 0, 0, 0],
            };
            assert_eq!(counts(&summary), expected, "{order:?} {held:?}");
        }
    }
}

/// The same document twice in one input is counted, not quarantined.
pub(crate) fn equal_documents_are_only_counted(subject: Subject<'_>) {
    let record = Rec::new("a", 1, 1);
    let summary = merge(subject, "f", &[record.clone(), record.clone(), record.clone()]);
    assert_eq!(counts(&summary), [1, 0, 0, 0, 0, 0, 2]);
    assert!(summary.quarantined.is_empty());
    holds(subject, "f", &[&record]);
    // Counts do not depend on the order, also where the equal ones lose.
    let (old, new) = (Rec::new("a", 1, 1), Rec::new("a", 2, 2));
    for (name, order) in [
        ("g", [&old, &old, &new, &new]),
        ("h", [&old, &new, &old, &new]),
        ("i", [&new, &old, &old, &new]),
        ("j", [&new, &new, &old, &old]),
    ] {
        let summary = merge(subject, name, &order.map(Rec::clone));
        assert_eq!(counts(&summary), [1, 0, 0, 0, 0, 0, 2], "{name}");
        assert_eq!(summary.quarantined.get("duplicate-identity"), Some(&1), "{name}");
        holds(subject, name, &[&new]);
    }
}

/// A replacement makes the feed equal to its input: rollbacks and vanished records included.
pub(crate) fn a_replacement_makes_the_feed_equal_to_the_input(subject: Subject<'_>) {
    let (a2, b1, c1) = (Rec::new("a", 2, 1), Rec::new("b", 1, 1), Rec::new("c", 1, 1));
    let vex = Rec { kind: "vex", ..Rec::new("v", 1, 1) };
    merge(subject, "f", &[a2.clone(), b1.clone(), c1.clone(), vex.clone()]);
    merge(subject, "other", std::slice::from_ref(&b1));
    let a1 = Rec::new("a", 1, 7);
    let input = items(&[a1.clone(), c1.clone()]);
    let summary = subject.ingest(&feed("f"), replace(), &input).expect("ingest");
    assert_eq!(counts(&summary), [0, 1, 1, 0, 2, 0, 0]);
    holds(subject, "f", &[&a1, &c1]);
    holds(subject, "other", &[&b1]);
    // What vanished may come back, in whatever revision.
    let b0 = Rec { day: None, ..b1 };
    assert_eq!(merge(subject, "f", std::slice::from_ref(&b0)).added, 1);
    holds(subject, "f", &[&a1, &b0, &c1]);
    let before = subject.0.head().expect("head");
    let emptied = subject.ingest(&feed("f"), replace(), &[]).expect("ingest");
    assert_eq!((emptied.vanished, emptied.seq_from), (3, before));
    holds(subject, "f", &[]);
    assert!(!subject.ingest(&feed("f"), replace(), &[]).expect("ingest").changed());
}

/// Too great a drop, or an input that was not read whole, changes nothing unless accepted.
pub(crate) fn a_replacement_that_drops_too_much_changes_nothing(subject: Subject<'_>) {
    let records: Vec<Rec> = (0..100).map(|n| Rec::new(&format!("r{n:03}"), 1, 1)).collect();
    merge(subject, "f", &records);
    let head = subject.0.head().expect("head");
    let two = |accept: Option<&str>| IngestMode::Replace {
        max_drop_percent: 2.0,
        accept: accept.map(str::to_owned),
    };
    let mut three_less = items(&records[3..]);
    three_less.push(Item::Record(Rec::new("new", 1, 1)));
    let refused = subject.ingest(&feed("f"), two(None), &three_less).expect_err("3 % vanish");
    assert!(matches!(refused, LedgerError::MaxDrop { vanished: 3, held: 100, .. }), "{refused:?}");
    let mut unread = items(&records);
    unread.push(Item::Unreadable("part.tar"));
    let refused = subject.ingest(&feed("f"), two(None), &unread).expect_err("a read error");
    assert!(matches!(refused, LedgerError::ReadErrors { count: 1, .. }), "{refused:?}");
    // A document in quarantine leaves its old record vanished.
    let mut rejected = items(&records[2..]);
    rejected.extend([Item::Bad("r000.json"), Item::Bad("r001.json")]);
    assert_eq!(subject.0.head().expect("head"), head);
    holds(subject, "f", &records.iter().collect::<Vec<_>>());
    let summary = subject.ingest(&feed("f"), two(None), &rejected).expect("2 % may vanish");
    assert_eq!((summary.vanished, summary.quarantined["invalid-json"]), (2, 2));
    let accepted = subject.ingest(&feed("f"), two(Some("cut down")), &items(&records[90..]));
    assert_eq!(accepted.expect("accepted").vanished, 88);
    let mut unread = items(&records[90..]);
    unread.push(Item::Unreadable("part.tar"));
    assert!(!subject.ingest(&feed("f"), two(Some("known")), &unread).expect("accepted").changed());
}

/// A read error of a merge is only noted.
pub(crate) fn a_merge_goes_on_after_read_errors(subject: Subject<'_>) {
    let record = Rec::new("a", 1, 1);
    let input = [Item::Unreadable("x.tar"), Item::Record(record.clone()), Item::Bad("b.json")];
    let summary = subject.ingest(&feed("f"), IngestMode::Merge, &input).expect("ingest");
    assert_eq!(summary.quarantined.values().sum::<u64>(), 2);
    holds(subject, "f", &[&record]);
    let expected = [("b.json", "invalid-json"), ("x.tar", "bad-container")]
        .map(|(path, reason)| (path.to_owned(), reason.to_owned()));
    let name = FeedName::new("f").expect("a feed");
    assert_eq!(subject.quarantine(&name).expect("quarantine"), expected);
    // The same input again: no second entry.
    subject.ingest(&feed("f"), IngestMode::Merge, &input).expect("ingest");
    assert_eq!(subject.quarantine(&name).expect("quarantine"), expected);
    // A document that reads now is no longer there; a replacement keeps only its own.
    let mended =
        subject.ingest(&feed("f"), replace(), &[Item::Record(record), Item::Bad("c.json")]);
    mended.expect("ingest");
    let expected = [("c.json".to_owned(), "invalid-json".to_owned())];
    assert_eq!(subject.quarantine(&name).expect("quarantine"), expected);
}

/// A blocked id stays out whatever a feed brings, until it is unblocked.
pub(crate) fn a_blocked_id_stays_out(subject: Subject<'_>) {
    let (a, b) = (Rec::new("a", 1, 1), Rec::new("b", 1, 1));
    let set: SetKey = "advisory/f".parse().expect("a set");
    assert!(matches!(subject.block(&set, &id("a")), Err(LedgerError::NotFound { .. })));
    merge(subject, "f", &[a.clone(), b.clone()]);
    let before = subject.0.head().expect("head");
    assert!(subject.block(&set, &id("a")).expect("block"));
    assert_eq!(subject.0.head().expect("head").0, before.0 + 1);
    holds(subject, "f", &[&b]);
    assert_eq!(state(subject.0, before).len(), 2, "the snapshot before still has it");
    let newer = Rec::new("a", 9, 9);
    for mode in [IngestMode::Merge, replace()] {
        let input = items(&[newer.clone(), a.clone(), b.clone()]);
        let summary = subject.ingest(&feed("f"), mode, &input).expect("ingest");
        assert_eq!(counts(&summary), [0, 0, 1, 0, 0, 1, 0]);
        assert!(!summary.changed() && summary.quarantined.is_empty());
    }
    // An id may be blocked before it ever comes.
    assert!(!subject.block(&set, &id("c")).expect("block"));
    assert_eq!(merge(subject, "f", &[Rec::new("c", 1, 1)]).blocked, 1);
    let blocked = subject.0.blocks(&set.feed).expect("blocks");
    assert_eq!(blocked.iter().map(|b| b.id.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    subject.0.unblock(&set, &id("a")).expect("unblock");
    assert!(matches!(subject.0.unblock(&set, &id("a")), Err(LedgerError::NotFound { .. })));
    holds(subject, "f", &[&b]);
    assert_eq!(merge(subject, "f", std::slice::from_ref(&a)).added, 1);
    holds(subject, "f", &[&a, &b]);
}

/// A removed feed is gone from now on, not from the past, and can begin anew.
pub(crate) fn a_removed_feed_is_gone_but_not_from_the_past(subject: Subject<'_>) {
    let (a, b) = (Rec::new("a", 1, 1), Rec::new("b", 1, 1));
    merge(subject, "f", &[a.clone(), b.clone()]);
    merge(subject, "g", std::slice::from_ref(&a));
    let name = FeedName::new("f").expect("a feed");
    let before = subject.0.head().expect("head");
    assert_eq!(subject.0.remove_feed(&name).expect("remove"), 2);
    assert!(matches!(subject.0.remove_feed(&name), Err(LedgerError::NotFound { .. })));
    holds(subject, "f", &[]);
    holds(subject, "g", &[&a]);
    assert_eq!(state(subject.0, before).len(), 3);
    let feeds = |subject: Subject<'_>| -> Vec<FeedInfo> { subject.0.feeds().expect("feeds") };
    assert_eq!(feeds(subject).len(), 1);
    assert_eq!(merge(subject, "f", std::slice::from_ref(&b)).added, 1);
    holds(subject, "f", &[&b]);
    assert_eq!(feeds(subject).len(), 2);
}

/// What is said of a feed stays until something else is said.
pub(crate) fn feeds_tell_what_was_said_of_them(subject: Subject<'_>) {
    let spec = FeedSpec {
        publisher: Some("Acme".into()),
        licence: Some("CC-BY-4.0".into()),
        attribution: Some("(c) Acme".into()),
        redistribution: Some(true),
        ..feed("f")
    };
    let vex = Rec { kind: "vex", ..Rec::new("v", 1, 1) };
    let input = items(&[Rec::new("a", 1, 1), Rec::new("b", 1, 1), vex]);
    subject.ingest(&spec, IngestMode::Merge, &input).expect("ingest");
    let spec = FeedSpec { licence: Some("MIT".into()), ..feed("f") };
    subject.ingest(&spec, IngestMode::Merge, &[Item::Bad("x")]).expect("ingest");
    let info = subject.0.feeds().expect("feeds").remove(0);
    assert_eq!(info.publisher.as_deref(), Some("Acme"));
    assert_eq!(info.licence.as_deref(), Some("MIT"));
    assert_eq!(info.redistribution, Some(true));
    let records: Vec<_> = info.records.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
    assert_eq!((records, info.quarantined), (vec![("advisory", 2), ("vex", 1)], 1));
    assert!(info.last_ingest.is_some());
}

/// Ranges include both ends and compare bytes; reading stops when told to.
pub(crate) fn ranges_include_their_ends(subject: Subject<'_>) {
    let names = ["A", "a", "a\0", "a\u{1}", "aa", "b", "\u{e9}", "\u{ffff}", "\u{1f980}"];
    let records: Vec<Rec> = names.iter().map(|name| Rec::new(name, 1, 1)).collect();
    merge(subject, "f", &records);
    let set: SetKey = "advisory/f".parse().expect("a set");
    let read = |first: Option<&str>, last: Option<&str>, stop: usize| {
        let range = IdRange { first: first.map(id), last: last.map(id) };
        let (mut scanned, mut contents) = (Vec::new(), Vec::new());
        let flow = |count: usize| match count < stop {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let ledger = subject.0;
        let scan = ledger.scan(Seq(1), &set, &range, WithFacets::No, &mut |row| {
            assert_eq!(row.facets, None);
            scanned.push(row.id.to_string());
            flow(scanned.len())
        });
        scan.expect("scan");
        let read = ledger.read(Seq(1), &set, &range, &mut |record| {
            contents.push(record.id.to_string());
            flow(contents.len())
        });
        read.expect("read");
        assert_eq!(scanned, contents);
        scanned
    };
    assert_eq!(read(None, None, 99), names);
    assert_eq!(read(Some("a"), Some("b"), 99), names[1..6]);
    assert_eq!(read(Some("a\0"), None, 99), names[2..]);
    assert_eq!(read(None, Some("a"), 99), names[..2]);
    assert_eq!(read(Some("aaa"), Some("az"), 99), [""; 0]);
    assert_eq!(read(Some("b"), Some("a"), 99), [""; 0]);
    assert_eq!(read(None, None, 3), names[..3]);
}

/// A snapshot of more records than a page stays exact while later ingests change every record.
pub(crate) fn a_snapshot_stands_still_while_ingests_go_on(subject: Subject<'_>) {
    let records = |day: u8| -> Vec<Rec> {
        (0..5000).map(|n| Rec::new(&format!("{n:05}"), day, day)).collect()
    };
    merge(subject, "f", &records(1));
    let set: SetKey = "advisory/f".parse().expect("a set");
    let mut seen = 0;
    let scan = subject.0.scan(Seq(1), &set, &IdRange::ALL, WithFacets::No, &mut |row| {
        if seen == 10 {
            merge(subject, "f", &records(2));
            subject.ingest(&feed("f"), replace(), &[]).expect("ingest");
        }
        assert_eq!(row.content_digest, Rec::new(row.id.as_str(), 1, 1).digest());
        seen += 1;
        ControlFlow::Continue(())
    });
    scan.expect("scan");
    assert_eq!(seen, 5000);
    let counts = |at| state(subject.0, Seq(at)).len();
    assert_eq!([counts(0), counts(1), counts(2), counts(3)], [0, 5000, 5000, 0]);
}

/// The entry of the quarantine that stands for an item.
#[must_use]
pub(crate) fn rejection(item: &Item) -> Option<Quarantined> {
    let (path, reason) = match item {
        Item::Record(_) => return None,
        Item::Bad(path) => (path, "invalid-json"),
        Item::Unreadable(path) => (path, "bad-container"),
    };
    let (path, reason) = ((*path).to_owned(), reason.to_owned());
    Some(Quarantined { path, reason, offset: Some(0), detail: "a test".into() })
}

/// The time that tests give.
#[must_use]
pub(crate) fn now() -> Instant {
    Instant::from_unix_seconds(1_800_000_000).expect("a time")
}

/// A tenant sees and changes nothing of what another one, `subject`, holds in the same place.
pub(crate) fn another_tenant_sees_nothing(subject: Subject<'_>, other: &dyn Ledger) {
    let input = [Item::Bad("x"), Item::Record(Rec::new("id-00000", 1, 1))];
    subject.ingest(&feed("f"), IngestMode::Merge, &input).expect("ingest");
    let (name, id) = (FeedName::new("f").expect("a feed"), id("id-00000"));
    let set: SetKey = "advisory/f".parse().expect("a set");
    assert!(state(other, Seq(1)).is_empty());
    assert!(other.feeds().expect("feeds").is_empty());
    assert!(other.quarantine(&QuarantineFilter::default()).expect("quarantine").is_empty());
    assert!(other.quarantine_entry(1).is_err() && subject.0.quarantine_entry(1).is_ok());
    assert!(other.library().expect("the library").is_empty() && other.subscribe(&name).is_err());
    assert!(other.block(&set, &id, "", now()).is_err() && other.remove_feed(&name).is_err());
    assert_eq!(other.received(Seq(1), &set, &id).expect("read"), None);
    let mut none = |_| panic!("there is no record");
    other.scan(Seq(1), &set, &IdRange::ALL, WithFacets::No, &mut none).expect("scan");
    assert!(follow::follow(other, Seq(0), Seq(1), &State::new()).is_empty());
    let mut none = |_: ChangedRecord<'_>| panic!("there is no record");
    other.changed_records(Seq(0), Seq(1), &set, None, &mut none).expect("what changed");
    assert_eq!(state(subject.0, Seq(1)).len(), 1);
}

/// A rule by its name.
pub(crate) type Case = (&'static str, fn(Subject<'_>));

/// All rules.
pub(crate) const CASES: &[Case] = cases! {
    an_empty_ledger_reads_as_empty
    a_set_has_one_state_until_it_changes
    the_same_input_again_changes_nothing
    the_newer_revision_wins_across_ingests
    equal_revisions_are_decided_by_digest
    rivals_in_one_ingest_do_not_depend_on_order
    equal_documents_are_only_counted
    a_replacement_makes_the_feed_equal_to_the_input
    a_replacement_that_drops_too_much_changes_nothing
    a_merge_goes_on_after_read_errors
    a_blocked_id_stays_out
    a_removed_feed_is_gone_but_not_from_the_past
    feeds_tell_what_was_said_of_them
    ranges_include_their_ends
    a_snapshot_stands_still_while_ingests_go_on
    what_changed_leads_from_one_snapshot_to_another
    an_input_that_follows_changes_what_it_names
    an_origin_stays_until_a_feed_is_another
};
