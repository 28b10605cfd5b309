//! The database of Trivy from the records of a ledger and nothing else: no plan, no archive, no
//! bundle. This is what can be compared with a builder of databases.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context as _, Result};
use stella_depot::{Depot, SpoolFile};
use stella_engine::BoltTree;
use stella_ledger::{Feeds as _, IdRange, LiveSet, Snapshots as _, SqliteLedger};
use stella_model::json::Tape;
use stella_model::{Instant, Limits, TenantId};
use stella_pack::trivy_db::{Mapper, Options, Spools, TRIVY_DB, assemble};
use stella_records::view::Evidence;

/// Writes the database of all records of a store.
///
/// # Errors
/// If the store cannot be read or the file cannot be written.
pub(crate) fn build(store: &Path, file: &Path, as_of: &str) -> Result<()> {
    let tenant = TenantId::local();
    let ledger = SqliteLedger::open_existing(store, tenant.clone())?;
    let room = file.with_extension("room");
    let depot = Depot::at(&room, &tenant);
    let spool = || depot.spool();
    let spools: [SpoolFile; 5] = [spool()?, spool()?, spool()?, spool()?, spool()?];
    let [entries, claims, pending, report, texts] = &spools;
    let spools = Spools { entries, claims, pending, report, texts };
    let options = Options::default();
    let as_of = Instant::parse(as_of).context("the time of the database")?;
    let mut mapper = Mapper::new(&options, as_of, 0, spools);
    read(&ledger, &mut mapper)?;
    let mut file = File::create(file).with_context(|| format!("create {}", file.display()))?;
    let mut tree = BoltTree::new(&mut file);
    assemble(vec![mapper], &mut tree, &mut io::sink())?;
    tree.finish()?;
    crate::stella::remove(&room)
}

/// Gives every record that the adapter is made from to a mapper.
fn read(ledger: &SqliteLedger, mapper: &mut Mapper<'_>) -> Result<()> {
    let feeds = ledger.feeds()?;
    let at = ledger.head()?;
    for LiveSet { set, .. } in ledger.sets(at)? {
        if !TRIVY_DB.spec.kinds.contains(&set.kind.as_str()) {
            continue;
        }
        let feed = feeds.iter().find(|feed| feed.name == set.feed);
        let publisher = feed.and_then(|feed| feed.publisher.as_deref());
        let (mut failure, mut tape) = (None, Tape::default());
        ledger.read(at, &set, &IdRange::default(), &mut |record| {
            let room = std::mem::take(&mut tape);
            let evidence =
                Evidence::open_in(room, record.format, &record.content, &Limits::DEFAULT);
            let taken = evidence.map_err(anyhow::Error::from).and_then(|evidence| {
                mapper.record(&set.feed, publisher, &record.id, &evidence)?;
                Ok(evidence.into_tape())
            });
            match taken {
                Ok(room) => {
                    tape = room;
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failure.map_or(Ok(()), Err)?;
    }
    Ok(())
}
