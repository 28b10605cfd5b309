//! The contract over SQLite, and what only a file can suffer.

mod file;

use std::time::Duration;

use stella_model::{FeedName, RecordId, SetKey};

use super::*;
use crate::contract::{CASES, Item, Subject, fill, library, model, now};
use crate::{
    Changes, FeedSpec, Feeds as _, IngestMode, IngestSummary, LiveSet, Snapshots as _, Upkeep as _,
};

/// A ledger in a folder that is removed with it.
struct Fresh {
    ledger: SqliteLedger,
    dir: tempfile::TempDir,
}

fn fresh() -> Fresh {
    let dir = stella_testkit::temp_dir();
    let ledger = SqliteLedger::open(dir.path(), TenantId::local()).expect("a new ledger");
    Fresh { ledger: ledger.with_busy_timeout(Duration::from_millis(50)), dir }
}

fn spec(name: &str) -> FeedSpec {
    FeedSpec::named(FeedName::new(name).expect("a feed"))
}

impl Fresh {
    fn ingest(
        &self,
        feed: &FeedSpec,
        mode: IngestMode,
        input: &[Item],
    ) -> Result<IngestSummary, LedgerError> {
        Subject(&self.ledger).ingest(feed, mode, input)
    }
}

#[test]
fn every_rule_of_the_contract_holds() {
    for (name, rule) in CASES {
        println!("{name}");
        rule(Subject(&fresh().ledger));
    }
}

#[test]
fn random_histories_are_exact() {
    let histories = u32::try_from(stella_testkit::rounds(24, 2_000)).unwrap_or(24);
    model::every_snapshot_of_a_random_history_is_exact(
        histories,
        fresh,
        |fresh| &fresh.ledger,
        |fresh| file::assert_sound(&fresh.ledger),
    );
}

/// One file as the library, and as two tenants.
struct Shared {
    ledgers: [SqliteLedger; 3],
    _dir: tempfile::TempDir,
}

impl Shared {
    fn fresh() -> Shared {
        let dir = stella_testkit::temp_dir();
        let ledgers = ["library", "acme", "other"].map(|tenant| {
            let tenant = TenantId::new(tenant).expect("a tenant");
            SqliteLedger::open(dir.path(), tenant).expect("opens")
        });
        Shared { ledgers, _dir: dir }
    }

    fn tenants(&self) -> library::Tenants<'_> {
        let [library, acme, other] = &self.ledgers;
        let (library, acme, other) = (Subject(library), Subject(acme), Subject(other));
        library::Tenants { library, acme, other }
    }
}

#[test]
fn every_rule_of_subscriptions_holds() {
    for (name, rule) in library::CASES {
        println!("{name}");
        let shared = Shared::fresh();
        rule(shared.tenants());
        file::assert_sound(&shared.ledgers[0]);
    }
}

#[test]
fn random_histories_of_subscribers_are_exact() {
    let histories = u32::try_from(stella_testkit::rounds(24, 2_000)).unwrap_or(24);
    library::every_snapshot_of_subscribers_is_exact(histories, Shared::fresh, Shared::tenants);
}
