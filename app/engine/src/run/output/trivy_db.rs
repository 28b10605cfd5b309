//! `trivy:db`: the database, as a layer of an image layout and for a cache folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use stella_depot::{Depot, OutputFile, OutputRecord, SpoolFile};
use stella_model::{ErrorCode, Instant};
use stella_pack::trivy_db::{
    Contents, DATA_SOURCES, LANGUAGES, Mapper, Options, Precedence, SCHEMA, Spools, TRIVY_DB,
    VULNERABILITIES, assemble, coverage,
};

use super::bolt_tree::BoltTree;
use super::records::{Reading, Taken, Taker};
use super::trivy::{DATABASE, Form};
use super::{Maker, REPORT_TYPE, Workshop, by_name, file, flushed, not_written, reasons};
use crate::EngineError;
use crate::run::prepare::Prepared;

/// What it is, but for its content.
const FORM: Form = Form {
    schema: SCHEMA,
    file_name: "trivy.db",
    archive: "db.tar.gz",
    layer_type: "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip",
    folder: "db",
    layout_tag: "db-2",
    repository: "trivy-db:2",
    repository_flag: "--db-repository",
    skip_flag: "--skip-db-update",
    fresh_seconds: 86_400,
};

/// `metadata.json` beside the database in a cache folder.
pub(crate) fn cache_metadata(as_of: Instant) -> String {
    FORM.cache_metadata(as_of)
}

/// The adapter as a maker.
pub(super) const MAKER: Maker = Maker {
    spec: &TRIVY_DB.spec,
    make,
    check,
    use_of: |prepared, record| FORM.use_of(prepared.plan.as_of, record),
};

/// Makes the database of a plan.
fn make(shop: &Workshop<'_>) -> Result<OutputRecord, EngineError> {
    let Workshop { prepared, depot, threads, progress, cancel } = *shop;
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
    let mappers = Reading::new(prepared, &TRIVY_DB.spec, progress, cancel).give(mappers)?;
    cancel.check()?;
    let mut database = depot.unnamed_file()?;
    let mut report = BufWriter::new(depot.blob_writer()?);
    let contents = write(mappers, &mut database, &mut report).map_err(not_written(DATABASE))?;
    let report = flushed(report).map_err(not_written(DATABASE))?.finish()?;
    cancel.check()?;
    let mut files = FORM.pack(depot, as_of, &mut database)?;
    let lines = contents.reasons.values().sum();
    let report = file("trivy/db.report.jsonl", REPORT_TYPE, report)?;
    files.push(OutputFile { records: Some(lines), ..report });
    Ok(record(files, contents))
}

fn record(files: Vec<OutputFile>, contents: Contents) -> OutputRecord {
    let coverage = coverage(&contents).into_iter();
    let lost = contents.tally.gaps.keys().filter(|name| contents.is_lost(name));
    OutputRecord {
        files,
        coverage: coverage.map(|(name, state)| (name, state.as_str().to_owned())).collect(),
        sizes: sizes(&contents.keys),
        lost: lost.cloned().collect(),
        floors: contents.tally.rows,
        keys: contents.keys,
        not_represented: by_name(contents.reasons),
    }
}

/// Rows by language as OSV names it, by release of a distribution, and of what is known of
/// vulnerabilities: whichever source the rows of a language lie under.
fn sizes(keys: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut sizes = BTreeMap::new();
    // The descriptions of sources come and go with their rows.
    for (bucket, rows) in keys.iter().filter(|(bucket, _)| *bucket != DATA_SOURCES) {
        let prefix = bucket.split_once("::").map(|(prefix, _)| prefix);
        let language = LANGUAGES.iter().find(|language| Some(language.prefix) == prefix);
        let name = language.map_or(bucket.as_str(), |language| language.osv);
        *sizes.entry(name.to_owned()).or_default() += rows;
    }
    sizes
}

/// INV-EMPTY: a database that knows no vulnerability, an ecosystem with advisories of which none could be
/// said, or fewer than the profile demands, is an error. A floor of 0 accepts the loss of an ecosystem.
fn check(prepared: &Prepared, record: &OutputRecord) -> Result<(), EngineError> {
    let floors = &prepared.profile.trivy.floors;
    let rows = |name: &str| record.floors.get(name).copied().unwrap_or(0);
    let below = floors.iter().filter(|(name, least)| rows(name) < **least);
    let mut broken: Vec<String> = below
        .map(|(name, least)| {
            format!("{name} has {} packages with advisories, its floor is {least}", rows(name))
        })
        .collect();
    let lost = record.lost.iter().filter(|name| floors.get(*name) != Some(&0));
    broken.extend(lost.map(|name| format!("none of the advisories for {name} could be said")));
    if broken.is_empty() {
        return check_any(prepared, record);
    }
    let message = format!("the database would miss what it is for: {}", broken.join("; "));
    let remedy = "look at the feeds of these ecosystems, or accept it by a lower floor in the profile, 0 for none \
                  at all";
    Err(EngineError::new(ErrorCode::Empty, message).hint(remedy).hint_over_http(remedy))
}

/// A database that knows nothing finds nothing, and a scanner calls that success. It is made only if all
/// selected sets are allowed to be empty, or the loss of an ecosystem was accepted.
fn check_any(prepared: &Prepared, record: &OutputRecord) -> Result<(), EngineError> {
    let kinds = TRIVY_DB.spec.kinds;
    let knows_any = record.keys.get(VULNERABILITIES).is_some_and(|known| *known > 0);
    if knows_any || !record.lost.is_empty() || prepared.may_be_nothing(kinds) {
        return Ok(());
    }
    let why = match record.not_represented.is_empty() {
        true => "nothing is selected that it could be made of".to_owned(),
        false => format!("what is selected cannot be said to Trivy: {}", reasons(record)),
    };
    let message = format!("the database would know no vulnerability: {why}");
    Err(prepared.nothing(kinds, message, "select advisories for what Trivy scans"))
}

/// Writes the database and the report.
fn write(
    mappers: Vec<Mapper<'_>>,
    database: &mut File,
    report: &mut dyn Write,
) -> io::Result<Contents> {
    let mut tree = BoltTree::new(database);
    let contents = assemble(mappers, &mut tree, report)?;
    tree.finish()?;
    Ok(contents)
}

impl Taker for Mapper<'_> {
    fn take(&mut self, record: &Taken<'_>) -> io::Result<()> {
        self.record(record.feed, record.publisher, record.id, record.evidence)
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
