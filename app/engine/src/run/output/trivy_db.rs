//! `trivy:db`: the database, as a layer of an image layout and for a cache folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use stella_bolt::{PageSize, Writer};
use stella_depot::{Depot, SpoolFile};
use stella_distribute::oci::{Artifact, Layer};
use stella_ledger::{IdRange, Ledger, Seq};
use stella_manifest::people::Database;
use stella_manifest::{Coverage, Scanner};
use stella_model::{ErrorCode, FeedName, Instant, PartName, SetKey};
use stella_pack::trivy_db::{
    Contents, Mapper, Options, Precedence, SCHEMA, Spools, TRIVY_DB, Tree, assemble, coverage,
};
use stella_plan::PartPlan;
use stella_records::view::Evidence;

use super::archive::{Member, tar_gz};
use super::{OCI, Output, OutputFacts, OutputFile, file};
use crate::run::prepare::{Prepared, with_facets};
use crate::{Cancel, EngineError, LIMITS, Progress, Stage, StageUpdate};

const ARTIFACT_TYPE: &str = "application/vnd.aquasec.trivy.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip";

/// The tag under which the image layout lists the database; in a registry it is `2`.
const TAG: &str = "db-2";

/// Oldest version of Trivy that the database was made for and tried with.
const OLDEST_TRIVY: &str = "0.59.1";

/// Until when a scanner that loaded the database over a registry takes it for fresh.
const FRESH_SECONDS: i64 = 86_400;

/// When a scanner with the database in its cache folder would ask for another one: never in the
/// life of the database.
const NEVER: &str = "2999-12-31T23:59:59Z";

/// A time that was not, as Trivy writes it.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// Makes the database of a plan.
pub(super) fn build(
    prepared: &Prepared,
    depot: &Depot,
    threads: usize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Output, EngineError> {
    let options =
        Options { precedence: Precedence { first: prepared.profile.trivy.precedence.clone() } };
    let threads = threads.max(1);
    let spools: Vec<Room> =
        (0..threads).map(|_| Room::new(depot)).collect::<Result<_, EngineError>>()?;
    let as_of = prepared.plan.as_of;
    let mappers = (0_u16..)
        .zip(&spools)
        .map(|(number, room)| Mapper::new(&options, as_of, number, room.spools()))
        .collect();
    let mappers = Shop::new(prepared, progress, cancel).map(mappers)?;
    cancel.check()?;
    let mut database = depot.unnamed_file()?;
    let mut report = BufWriter::new(depot.blob_writer()?);
    let contents = write(mappers, &mut database, &mut report).map_err(not_written)?;
    let report = report.into_inner().map_err(|error| not_written(error.into_error()))?.finish()?;
    cancel.check()?;
    check_floors(prepared, &contents)?;
    let layer = pack(depot, as_of, &mut database)?;
    let metadata = depot.put_blob(metadata(as_of, NEVER, &as_of.to_string()).as_bytes())?;
    let artifact = Artifact::new(
        TAG,
        ARTIFACT_TYPE,
        &Layer {
            media_type: LAYER_TYPE,
            digest: layer.stored.digest,
            size: layer.stored.size,
            title: "db.tar.gz",
        },
        as_of,
    );
    let lines = contents.tally.reasons.values().sum();
    let report = file("trivy/db.report.jsonl", "application/x-ndjson", report)?;
    Ok(Output {
        adapter: TRIVY_DB.spec.id,
        database: Some(Database {
            folder: "db",
            layout_tag: TAG,
            repository: "trivy-db:2",
            repository_flag: "--db-repository",
            skip_flag: "--skip-db-update",
            layer: layer.path.clone(),
        }),
        files: vec![
            OutputFile { records: Some(lines), ..report },
            file("trivy/cache/db/metadata.json", "application/json", metadata)?,
            layer,
        ],
        artifacts: vec![artifact],
        coverage: coverage(&contents)
            .into_iter()
            .map(|(ecosystem, state)| Coverage { ecosystem, state: state.as_str().to_owned() })
            .collect(),
        facts: facts(contents),
    })
}

fn facts(contents: Contents) -> OutputFacts {
    let reasons = contents.tally.reasons.into_iter();
    OutputFacts {
        keys: contents.keys,
        not_represented: reasons.map(|(reason, count)| (reason.to_owned(), count)).collect(),
        scanner: Some(Scanner {
            name: "trivy".to_owned(),
            oldest: OLDEST_TRIVY.to_owned(),
            schema: SCHEMA,
        }),
    }
}

/// INV-EMPTY: an ecosystem with advisories of which none could be said, or fewer than the profile
/// demands, is an error. A floor of 0 accepts the loss.
fn check_floors(prepared: &Prepared, contents: &Contents) -> Result<(), EngineError> {
    let rows = |name: &str| contents.tally.rows.get(name).copied().unwrap_or(0);
    let below = prepared.profile.trivy.floors.iter().filter(|(name, least)| rows(name) < **least);
    let mut broken: Vec<String> = below
        .map(|(name, least)| {
            format!("{name} has {} packages with advisories, its floor is {least}", rows(name))
        })
        .collect();
    let accepted = |name: &String| prepared.profile.trivy.floors.get(name) == Some(&0);
    let gaps = contents.tally.gaps.keys();
    let lost = gaps.filter(|name| contents.is_lost(name) && !accepted(name));
    broken.extend(lost.map(|name| format!("none of the advisories for {name} could be said")));
    if broken.is_empty() {
        return Ok(());
    }
    let message = format!("the database would miss what it is for: {}", broken.join("; "));
    Err(EngineError::new(ErrorCode::Empty, message)
        .hint("look at the feeds of these ecosystems, or accept it by a lower floor in the profile, 0 for none at all"))
}

/// Writes the database and the report.
fn write(
    mappers: Vec<Mapper<'_>>,
    database: &mut File,
    report: &mut dyn Write,
) -> io::Result<Contents> {
    let mut tree = BoltTree(Writer::new(database, PageSize::DEFAULT));
    let contents = assemble(mappers, &mut tree, report)?;
    tree.0.finish().map_err(io::Error::other)?;
    Ok(contents)
}

/// The layer: the database with the metadata that a registry's clients expect.
fn pack(depot: &Depot, as_of: Instant, database: &mut File) -> Result<OutputFile, EngineError> {
    let fresh = as_of.unix_seconds().checked_add(FRESH_SECONDS);
    let next = fresh.and_then(Instant::from_unix_seconds).unwrap_or(as_of);
    let metadata = metadata(as_of, &next.to_string(), NO_TIME);
    let name = |text: &str| {
        PartName::new(text).map_err(|error| {
            EngineError::new(ErrorCode::Internal, "a file of the database has no usable name")
                .because(error)
        })
    };
    let mut members = [
        (name("metadata.json")?, Member::Bytes(metadata.as_bytes())),
        (name("trivy.db")?, Member::File(database)),
    ];
    let writer = BufWriter::with_capacity(256 << 10, depot.blob_writer()?);
    let writer = tar_gz(writer, &mut members).map_err(not_written)?;
    let writer = writer.into_inner().map_err(|error| not_written(error.into_error()))?;
    let stored = writer.finish()?;
    file(&format!("{OCI}blobs/sha256/{}", stored.digest), LAYER_TYPE, stored)
}

/// `metadata.json` as Trivy reads it.
fn metadata(as_of: Instant, next_update: &str, downloaded: &str) -> String {
    format!(
        "{{\"Version\":{SCHEMA},\"NextUpdate\":\"{next_update}\",\"UpdatedAt\":\"{as_of}\",\
         \"DownloadedAt\":\"{downloaded}\"}}\n"
    )
}

fn not_written(source: io::Error) -> EngineError {
    EngineError::new(ErrorCode::Io, "cannot write the database").because(source)
}

/// The file as a tree of buckets.
struct BoltTree<'f>(Writer<&'f mut File>);

impl Tree for BoltTree<'_> {
    fn enter(&mut self, key: &[u8]) -> io::Result<()> {
        self.0.enter(key).map_err(io::Error::other)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.0.put(key, value).map_err(io::Error::other)
    }

    fn leave(&mut self) -> io::Result<()> {
        self.0.leave().map_err(io::Error::other)
    }
}

/// Temporary files of one mapper.
struct Room {
    files: [SpoolFile; 5],
}

impl Room {
    fn new(depot: &Depot) -> Result<Room, EngineError> {
        let spool = || depot.spool();
        Ok(Room { files: [spool()?, spool()?, spool()?, spool()?, spool()?] })
    }

    fn spools(&self) -> Spools<'_> {
        let [entries, claims, pending, report, texts] = &self.files;
        Spools { entries, claims, pending, report, texts }
    }
}

/// What all mapping threads share.
struct Shop<'a> {
    prepared: &'a Prepared,
    progress: &'a dyn Progress,
    cancel: &'a Cancel,
    tasks: Vec<(&'a SetKey, &'a PartPlan)>,
    publishers: BTreeMap<&'a FeedName, &'a str>,
    next: AtomicUsize,
    records: AtomicU64,
}

impl<'a> Shop<'a> {
    fn new(prepared: &'a Prepared, progress: &'a dyn Progress, cancel: &'a Cancel) -> Shop<'a> {
        let wanted = |set: &SetKey| TRIVY_DB.spec.kinds.contains(&set.kind.as_str());
        let sets = prepared.sets.iter().filter(|set| wanted(&set.set));
        let tasks = sets.flat_map(|set| set.parts.iter().map(move |part| (&set.set, part)));
        let feeds = prepared.plan.feeds.iter();
        Shop {
            prepared,
            progress,
            cancel,
            tasks: tasks.collect(),
            publishers: feeds
                .filter_map(|feed| Some((&feed.feed, feed.publisher.as_deref()?)))
                .collect(),
            next: AtomicUsize::new(0),
            records: AtomicU64::new(0),
        }
    }

    /// Maps all records, each mapper on a thread of its own.
    fn map<'s>(&self, mappers: Vec<Mapper<'s>>) -> Result<Vec<Mapper<'s>>, EngineError> {
        let done = Mutex::new(Vec::new());
        let failure = Mutex::new(None);
        std::thread::scope(|scope| {
            for mut mapper in mappers {
                let (done, failure) = (&done, &failure);
                scope.spawn(move || match self.work(&mut mapper) {
                    Ok(()) => done.lock().unwrap_or_else(PoisonError::into_inner).push(mapper),
                    Err(error) => {
                        // Other threads stop at their next task.
                        self.next.store(self.tasks.len(), Ordering::Relaxed);
                        let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                        failure.get_or_insert(error);
                    }
                });
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut mappers = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        // References to texts go by number.
        mappers.sort_by_key(Mapper::number);
        Ok(mappers)
    }

    fn work(&self, mapper: &mut Mapper<'_>) -> Result<(), EngineError> {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((set, part)) = self.tasks.get(index) else { return Ok(()) };
            if self.cancel.is_set() {
                return Ok(());
            }
            self.map_part(set, part, mapper)?;
            let done = self.records.fetch_add(part.records, Ordering::Relaxed) + part.records;
            self.progress.update(&StageUpdate {
                stage: Stage::Pack,
                done,
                total: Some(self.tasks.iter().map(|(_, part)| part.records).sum()),
                bytes: 0,
                unit: "records",
                finished: None,
            });
        }
    }

    fn map_part(
        &self,
        set: &SetKey,
        part: &PartPlan,
        mapper: &mut Mapper<'_>,
    ) -> Result<(), EngineError> {
        let prepared = self.prepared;
        let range =
            IdRange { first: Some(part.first_id.clone()), last: Some(part.last_id.clone()) };
        let sequence = Seq(prepared.sequence);
        let selectors = &prepared.selectors;
        let mut wanted = None;
        if !selectors.take_whole_sets() {
            let ids = wanted.insert(std::collections::BTreeSet::new());
            let facets = with_facets(selectors);
            prepared.ledger.scan(sequence, set, &range, facets, &mut |row| {
                if selectors.admits(row.id.as_str(), row.modified, row.facets.as_ref()) {
                    ids.insert(row.id);
                }
                ControlFlow::Continue(())
            })?;
        }
        let publisher = self.publishers.get(&set.feed).copied();
        let mut failure = None;
        prepared.ledger.read(sequence, set, &range, &mut |record| {
            if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&record.id)) {
                return ControlFlow::Continue(());
            }
            let mapped = match Evidence::open(record.format, &record.content, &LIMITS) {
                Ok(evidence) => {
                    mapper.record(&set.feed, publisher, &record.id, &evidence).map_err(not_written)
                }
                Err(rejection) => Err(EngineError::new(
                    ErrorCode::RunFailed,
                    format!("record {} of {set} cannot be read: {rejection}", record.id),
                )),
            };
            match mapped {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failure.map_or(Ok(()), Err)
    }
}
