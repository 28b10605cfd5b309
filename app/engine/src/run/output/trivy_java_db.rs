//! `trivy:java-db`: the database of jars, as a layer of an image layout and for a cache folder.

use std::collections::BTreeMap;
use std::io;

use stella_depot::{OutputRecord, SpoolFile};
use stella_javadb::Writer;
use stella_pack::trivy_java_db::{Collector, SCHEMA, TRIVY_JAVA_DB, assemble};

use super::records::{Reading, Taken, Taker};
use super::trivy::Form;
use super::{Maker, Workshop, by_name, not_written, reasons};
use crate::EngineError;
use crate::run::prepare::Prepared;

/// What it is, but for its content.
const FORM: Form = Form {
    schema: SCHEMA,
    file_name: stella_javadb::FILE_NAME,
    archive: "javadb.tar.gz",
    layer_type: "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip",
    folder: "java-db",
    layout_tag: "java-db-1",
    repository: "trivy-java-db:1",
    repository_flag: "--java-db-repository",
    skip_flag: "--skip-java-db-update",
    fresh_seconds: 3 * 86_400,
};

/// The adapter as a maker.
pub(super) const MAKER: Maker = Maker {
    spec: &TRIVY_JAVA_DB.spec,
    make,
    check,
    use_of: |prepared, record| FORM.use_of(prepared.plan.as_of, record),
};

/// What is being written, for errors.
const DATABASE: &str = "the database of jars";

/// The table of jars.
const JARS: &str = "indices";

/// Makes the database of a plan.
fn make(shop: &Workshop<'_>) -> Result<OutputRecord, EngineError> {
    let Workshop { prepared, depot, threads, progress, cancel } = *shop;
    let spools = (0..threads.max(1)).map(|_| Ok(depot.spool()?));
    let spools: Vec<SpoolFile> = spools.collect::<Result<_, EngineError>>()?;
    let collectors = spools.iter().map(|spool| Collector::new(spool)).collect();
    let collectors =
        Reading::new(prepared, &TRIVY_JAVA_DB.spec, progress, cancel).give(collectors)?;
    cancel.check()?;
    let folder = depot.work_folder()?;
    let mut writer = Writer::create(folder.path()).map_err(not_written(DATABASE))?;
    let contents =
        assemble(collectors, &depot.spool()?, &mut writer).map_err(not_written(DATABASE))?;
    let mut database = writer.finish().map_err(not_written(DATABASE))?;
    cancel.check()?;
    let files = FORM.pack(depot, prepared.plan.as_of, &mut database)?;
    let keys = BTreeMap::from([("artifacts", contents.artifacts), (JARS, contents.jars)]);
    let keys = by_name(keys);
    Ok(OutputRecord {
        files,
        sizes: keys.clone(),
        keys,
        not_represented: by_name(contents.reasons),
        // Which packages a scanner knows advisories for, `trivy:db` tells; this one finds packages.
        ..OutputRecord::default()
    })
}

impl Taker for Collector<'_> {
    fn take(&mut self, record: &Taken<'_>) -> io::Result<()> {
        self.record(record.evidence)
    }
}

/// INV-EMPTY: a database that knows no jar lets every jar pass unseen. It is made only if all
/// selected SBOMs are allowed to be missing.
fn check(prepared: &Prepared, record: &OutputRecord) -> Result<(), EngineError> {
    let kinds = TRIVY_JAVA_DB.spec.kinds;
    let has_jars = record.keys.get(JARS).is_some_and(|jars| *jars > 0);
    if has_jars || prepared.may_be_nothing(kinds) {
        return Ok(());
    }
    let told = match record.not_represented.is_empty() {
        true => "no component has a package URL of Maven".to_owned(),
        false => format!("components of Maven that cannot be used: {}", reasons(record)),
    };
    let message = format!("the database of jars would be empty: {told}");
    let remedy = "select SBOMs whose components have SHA-1 hashes, or ingest jar lists";
    Err(prepared.nothing(kinds, message, remedy))
}
