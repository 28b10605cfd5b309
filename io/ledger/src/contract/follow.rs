//! What a ledger that follows another needs: what changed, inputs that say so, and where it came from.

use super::*;
use crate::Origin;

/// What a follower has at `until` that has `from` of `since`.
#[must_use]
pub(crate) fn follow(ledger: &dyn Ledger, since: Seq, until: Seq, from: &State) -> State {
    let mut state = if since == Seq(0) { State::new() } else { from.clone() };
    let sets = ledger.changed_sets(since).expect("sets");
    assert!(sets.is_sorted(), "sets come in export order");
    for set in sets {
        let mut last: Option<RecordId> = None;
        let mut each = |changed: ChangedRecord<'_>| {
            let (id, seq) = match changed {
                ChangedRecord::Held { record, seq } => {
                    assert_eq!(Digest::of(&record.content), record.content_digest);
                    state.insert((set.clone(), record.id.to_string()), record.content_digest);
                    (&record.id, seq)
                }
                ChangedRecord::Removed { id, seq } => {
                    assert_ne!(since, Seq(0), "there was nothing to remove");
                    state.remove(&(set.clone(), id.to_string()));
                    (id, seq)
                }
            };
            assert!(since < seq && seq <= until, "{set} {id}");
            assert!(last.as_ref() < Some(id), "{set} {id} is not in order");
            last = Some(id.clone());
            ControlFlow::Continue(())
        };
        ledger.changed_records(since, until, &set, None, &mut each).expect("what changed");
    }
    state
}

/// What changed is told page by page, goes on after any id, and is nothing where nothing changed.
pub(crate) fn what_changed_leads_from_one_snapshot_to_another(subject: Subject<'_>) {
    let ledger = subject.0;
    let records = |day: u8, ids: std::ops::Range<usize>| -> Vec<Rec> {
        ids.map(|n| Rec::new(&format!("{n:05}"), day, day)).collect()
    };
    merge(subject, "f", &records(1, 0..1500));
    merge(subject, "g", &records(1, 0..3));
    merge(subject, "f", &records(2, 700..1400));
    subject.ingest(&feed("f"), replace(), &items(&records(2, 700..1400))).expect("ingest");
    merge(subject, "f", &records(3, 0..10));
    let snapshots: Vec<State> = (0..=5).map(|at| state(ledger, Seq(at))).collect();
    for until in 0..=5 {
        for since in 0..=until {
            let found = follow(ledger, Seq(since), Seq(until), &snapshots[since as usize]);
            assert_eq!(found, snapshots[until as usize], "{since} to {until}");
        }
    }
    let set: SetKey = "advisory/f".parse().expect("a set");
    let told = |since: u64, until: u64, after: &str, most: usize| -> Vec<String> {
        let mut told = Vec::new();
        let mut each = |changed: ChangedRecord<'_>| {
            told.push(match changed {
                ChangedRecord::Held { record, seq } => format!("{seq} {}", record.id),
                ChangedRecord::Removed { id, seq } => format!("{seq} -{id}"),
            });
            if told.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let after = Some(id(after));
        ledger
            .changed_records(Seq(since), Seq(until), &set, after.as_ref(), &mut each)
            .expect("what changed");
        told
    };
    assert_eq!(told(2, 5, "00008", 3), ["5 00009", "4 -00010", "4 -00011"]);
    assert_eq!(told(2, 4, "00698", 3), ["4 -00699", "3 00700", "3 00701"]);
    assert_eq!(told(0, 1, "01498", 3), ["1 01499"]);
    assert_eq!(told(3, 3, "0", 3), [""; 0]);
    assert_eq!(ledger.changed_sets(Seq(2)).expect("sets"), std::slice::from_ref(&set));
    assert!(ledger.changed_sets(Seq(5)).expect("sets").is_empty());
    for (since, until) in [(2, 1), (0, 6), (6, 6)] {
        let mut none = |_: ChangedRecord<'_>| panic!("there is none");
        let refused = ledger.changed_records(Seq(since), Seq(until), &set, None, &mut none);
        assert!(matches!(refused, Err(LedgerError::OutOfReach { .. })), "{since} {until}");
    }
    // What was there before may be forgotten: it is not asked for.
    ledger.compact().expect("compacts");
    assert_eq!(follow(ledger, Seq(1), Seq(5), &snapshots[1]), snapshots[5]);
    assert_eq!(follow(ledger, Seq(4), Seq(5), &snapshots[4]), snapshots[5]);
}

/// An ingest that follows another ledger, with what is gone there.
fn followed(
    subject: Subject<'_>,
    max_drop_percent: f64,
    records: &[Rec],
    removed: &[&str],
) -> Result<IngestSummary, LedgerError> {
    let mode = IngestMode::Follow { max_drop_percent, accept: None };
    let mut ingest = subject.0.ingest(&feed("f"), mode, now())?;
    for gone in removed {
        ingest.remove(&Kind::advisory(), &id(gone))?;
    }
    fill(&mut *ingest, &items(records))?;
    ingest.commit()
}

/// What an input that follows has wins, what it removes goes, and everything else stays.
pub(crate) fn an_input_that_follows_changes_what_it_names(subject: Subject<'_>) {
    let (a2, b2, c1) = (Rec::new("a", 2, 1), Rec::new("b", 2, 1), Rec::new("c", 1, 1));
    merge(subject, "f", &[a2.clone(), b2.clone(), c1.clone()]);
    merge(subject, "g", std::slice::from_ref(&b2));
    let (a1, d1) = (Rec::new("a", 1, 7), Rec::new("d", 1, 1));
    let input = [a1.clone(), d1.clone()];
    // What the input has is there whatever else it says.
    let summary = followed(subject, 50.0, &input, &["b", "d", "never"]).expect("ingest");
    assert_eq!(counts(&summary), [1, 1, 0, 0, 1, 0, 0]);
    assert_eq!((summary.seq_from, summary.seq_to), (Seq(2), Seq(3)));
    holds(subject, "f", &[&a1, &c1, &d1]);
    holds(subject, "g", &[&b2]);
    let again = followed(subject, 0.0, &input, &["b", "never"]).expect("ingest");
    assert_eq!(counts(&again), [0, 0, 2, 0, 0, 0, 0]);
    assert!(!again.changed());
    let refused =
        followed(subject, 60.0, std::slice::from_ref(&b2), &["a", "c"]).expect_err("two of three");
    assert!(matches!(refused, LedgerError::MaxDrop { vanished: 2, held: 3, .. }), "{refused:?}");
    holds(subject, "f", &[&a1, &c1, &d1]);
    let set: SetKey = "advisory/f".parse().expect("a set");
    subject.block(&set, &id("c")).expect("blocks");
    let summary = followed(subject, 0.0, &[c1], &["c"]).expect("ingest");
    assert_eq!(counts(&summary), [0, 0, 0, 0, 0, 1, 0]);
    holds(subject, "f", &[&a1, &d1]);
    assert_eq!(followed(subject, 100.0, &[], &["a", "d"]).expect("ingest").vanished, 2);
    holds(subject, "f", &[]);
    assert_eq!(followed(subject, 0.0, std::slice::from_ref(&a2), &[]).expect("ingest").added, 1);
    holds(subject, "f", &[&a2]);
}

/// A feed tells of which state of another ledger it is, as long as it is.
pub(crate) fn an_origin_stays_until_a_feed_is_another(subject: Subject<'_>) {
    let name = FeedName::new("f").expect("a feed");
    let origin = |sequence: u64| Origin {
        ledger: "0123456789abcdef0123456789abcdef".to_owned(),
        epoch: 2,
        tenant: "acme".parse().expect("a tenant"),
        sequence,
    };
    let told = || subject.0.feed(&name).ok().and_then(|feed| feed.origin);
    let pull = |sequence: u64, input: &[Rec]| {
        let mode = IngestMode::Follow { max_drop_percent: 2.0, accept: None };
        let mut ingest = subject.0.ingest(&feed("f"), mode, now()).expect("begins");
        fill(&mut *ingest, &items(input)).expect("put");
        ingest.set_origin(&origin(sequence)).expect("is noted");
        ingest
    };
    let (a, b) = (Rec::new("a", 1, 1), Rec::new("b", 1, 1));
    drop(pull(5, std::slice::from_ref(&a)));
    assert_eq!(told(), None);
    pull(5, std::slice::from_ref(&a)).commit().expect("commits");
    assert_eq!(told(), Some(origin(5)));
    assert!(!pull(9, &[]).commit().expect("commits").changed());
    assert_eq!(told(), Some(origin(9)));
    assert_eq!(subject.0.feeds().expect("feeds")[0].origin, Some(origin(9)));
    // What changes nothing leaves it, and so does a block; after it, all has to come again.
    merge(subject, "f", std::slice::from_ref(&a));
    let set: SetKey = "advisory/f".parse().expect("a set");
    subject.block(&set, &id("a")).expect("blocks");
    assert_eq!(told(), Some(origin(9)));
    subject.0.unblock(&set, &id("a")).expect("unblocks");
    assert_eq!(told(), Some(origin(0)));
    pull(9, std::slice::from_ref(&a)).commit().expect("commits");
    merge(subject, "f", std::slice::from_ref(&b));
    assert_eq!(told(), None);
    pull(9, &[]).commit().expect("commits");
    subject.0.remove_feed(&name).expect("removes");
    merge(subject, "f", &[]);
    assert_eq!(told(), None);
}
