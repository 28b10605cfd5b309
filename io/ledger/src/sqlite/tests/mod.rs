//! The contract suite over SQLite, the rules against a model, and what only a file can suffer.

mod file;
mod model;

use std::time::Duration;

use stella_model::{FeedName, RecordId, SetKey};

use super::*;
use crate::contract::{Item, Subject, now, rejection};
use crate::{
    Block, FeedSpec, IngestMode, IngestSummary, Ledger, LiveSet, QuarantineFilter, SetState,
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

fn fill(ingest: &mut Ingest, input: &[Item]) -> Result<(), LedgerError> {
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

impl Subject for Fresh {
    fn ledger(&self) -> &dyn Ledger {
        &self.ledger
    }

    fn ingest(
        &self,
        feed: &FeedSpec,
        mode: IngestMode,
        input: &[Item],
    ) -> Result<IngestSummary, LedgerError> {
        let mut ingest = self.ledger.ingest(feed, mode, now())?;
        fill(&mut ingest, input)?;
        ingest.commit()
    }

    fn block(&self, set: &SetKey, id: &RecordId) -> Result<bool, LedgerError> {
        self.ledger.block(set, id, "a test", now())
    }

    fn unblock(&self, set: &SetKey, id: &RecordId) -> Result<(), LedgerError> {
        self.ledger.unblock(set, id)
    }

    fn blocks(&self, feed: &FeedName) -> Result<Vec<Block>, LedgerError> {
        self.ledger.blocks(feed)
    }

    fn remove(&self, feed: &FeedName) -> Result<u64, LedgerError> {
        self.ledger.remove_feed(feed)
    }

    fn quarantine(&self, feed: &FeedName) -> Result<Vec<(String, String)>, LedgerError> {
        let filter = QuarantineFilter { feed: Some(feed.clone()), ..QuarantineFilter::default() };
        let entries = self.ledger.quarantine(&filter)?.into_iter();
        let mut entries: Vec<_> = entries.map(|e| (e.document.path, e.document.reason)).collect();
        entries.sort();
        Ok(entries)
    }
}

mod contract_suite {
    use super::fresh;
    crate::contract_tests!(fresh);
}
