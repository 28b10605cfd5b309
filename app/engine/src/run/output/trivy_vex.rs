//! `trivy:vex`: a VEX repository, as one archive for a web server and for a cache folder.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Write};

use stella_depot::{OutputFile, OutputRecord, SpoolFile};
use stella_manifest::people::VexRepository;
use stella_model::{ErrorCode, PartName};
use stella_pack::trivy_db::Precedence;
use stella_pack::trivy_vex::{
    Mapper, Options, Origin, SPEC_VERSION, Shelf, Spools, TRIVY_VEX, assemble, manifest,
};

use super::archive::Archive;
use super::records::{Reading, Taken, Taker};
use super::{Maker, REPORT_TYPE, Use, Workshop, by_name, file, flushed, not_written, reasons};
use crate::EngineError;
use crate::run::prepare::Prepared;

/// The repository's name in Trivy's configuration and its folder in Trivy's cache.
const NAME: &str = "export-center";

/// The archive's name under the address of the repository.
const ARCHIVE: &str = "vex-repository.tar.gz";

/// The address when the profile gives none: one that can never answer.
const NO_ADDRESS: &str = "https://vex.invalid";

/// What is being written, for errors.
const REPOSITORY: &str = "the VEX repository";

const ARCHIVE_TYPE: &str = "application/gzip";

/// The adapter as a maker.
pub(super) const MAKER: Maker = Maker { spec: &TRIVY_VEX.spec, make, check, use_of };

/// Makes the repository of a plan.
fn make(shop: &Workshop<'_>) -> Result<OutputRecord, EngineError> {
    let Workshop { prepared, depot, threads, progress, cancel } = *shop;
    let trivy = &prepared.profile.trivy;
    let options = Options { precedence: Precedence { first: trivy.precedence.clone() } };
    let rooms: Vec<(SpoolFile, SpoolFile)> = (0..threads.max(1))
        .map(|_| Ok((depot.spool()?, depot.spool()?)))
        .collect::<Result<_, EngineError>>()?;
    let mappers =
        rooms.iter().map(|(rows, report)| Mapper::new(&options, Spools { rows, report })).collect();
    let mappers = Reading::new(prepared, &TRIVY_VEX.spec, progress, cancel).give(mappers)?;
    cancel.check()?;
    let address = trivy.vex_url.as_deref().unwrap_or(NO_ADDRESS).trim_end_matches('/');
    let manifest = manifest(NAME, &format!("{address}/{ARCHIVE}//{NAME}/{SPEC_VERSION}"));
    let mut report = BufWriter::new(depot.blob_writer()?);
    let mut folder =
        Folder { archive: Archive::new(BufWriter::with_capacity(256 << 10, depot.blob_writer()?)) };
    // Without its manifest Trivy takes the folder for broken, and deletes it.
    folder
        .file("vex-repository.json", manifest.len() as u64, &mut &manifest[..])
        .map_err(not_written(REPOSITORY))?;
    let (as_of, spool) = (prepared.plan.as_of, depot.spool()?);
    let contents = assemble(mappers, as_of, &spool, &mut folder, &mut report)
        .map_err(not_written(REPOSITORY))?;
    let archive =
        folder.archive.finish().and_then(flushed).map_err(not_written(REPOSITORY))?.finish()?;
    let report = flushed(report).map_err(not_written(REPOSITORY))?.finish()?;
    let lines = contents.reasons.values().sum();
    let report = file("trivy/vex.report.jsonl", REPORT_TYPE, report)?;
    let settings = depot.put_blob(settings(address).as_bytes())?;
    let manifest = depot.put_blob(&manifest)?;
    let keys = BTreeMap::from([(PACKAGES.to_owned(), contents.packages)]);
    let mut sizes = keys.clone();
    sizes.insert("statements".to_owned(), contents.statements);
    Ok(OutputRecord {
        files: vec![
            OutputFile { records: Some(lines), ..report },
            file("trivy/vex/repository.yaml", "application/yaml", settings)?,
            file("trivy/vex/vex-repository.json", "application/json", manifest)?,
            file(&format!("trivy/vex/{ARCHIVE}"), ARCHIVE_TYPE, archive)?,
        ],
        keys,
        sizes,
        not_represented: by_name(contents.reasons),
        ..OutputRecord::default()
    })
}

fn use_of(prepared: &Prepared, _record: &OutputRecord) -> Use {
    let has_address = prepared.profile.trivy.vex_url.is_some();
    Use { vex: Some(VexRepository { has_address }), ..Use::default() }
}

/// What the manifest counts the packages under.
const PACKAGES: &str = "packages";

impl Taker for Mapper<'_> {
    fn take(&mut self, record: &Taken<'_>) -> io::Result<()> {
        let Taken { feed, publisher, id, modified, evidence } = *record;
        self.record(Origin { feed, publisher, id, modified }, evidence)
    }
}

/// INV-EMPTY: statements of which none could be said are an error.
fn check(prepared: &Prepared, record: &OutputRecord) -> Result<(), EngineError> {
    let is_read = prepared.sets_of(TRIVY_VEX.spec.kinds).next().is_some();
    if !is_read || record.keys.get(PACKAGES).is_some_and(|packages| *packages > 0) {
        return Ok(());
    }
    let message =
        format!("none of the selected statements could be said to Trivy: {}", reasons(record));
    let remedy = "Trivy knows products by package URLs alone: look at the feeds that are selected";
    Err(EngineError::new(ErrorCode::Empty, message).hint(remedy).hint_over_http(remedy))
}

/// `repository.yaml`, Trivy's list of repositories.
fn settings(address: &str) -> String {
    format!("repositories:\n  - name: {NAME}\n    url: {address}\n    enabled: true\n")
}

/// The archive as the folder of the repository.
struct Folder<W: Write> {
    archive: Archive<W>,
}

impl<W: Write> Folder<W> {
    fn file(&mut self, name: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let name = PartName::new(&format!("{NAME}/{name}")).map_err(io::Error::other)?;
        self.archive.member(&name, size, content)
    }
}

impl<W: Write> Shelf for Folder<W> {
    fn put(&mut self, name: &PartName, size: u64, content: &mut dyn Read) -> io::Result<()> {
        self.file(&format!("{SPEC_VERSION}/{name}"), size, content)
    }
}
