//! Outputs that are made of all selected records together, such as a scanner's database.

mod archive;
mod records;
mod trivy;
mod trivy_db;
mod trivy_java_db;
mod trivy_vex;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IntoInnerError, Write};

use stella_depot::{Depot, StoredFile};
use stella_distribute::oci::{self, Artifact};
use stella_manifest::people::{Database, VexRepository};
use stella_manifest::{Coverage, Scanner};
use stella_model::{ErrorCode, PartName};

pub(crate) use trivy_db::cache_metadata;

use super::prepare::Prepared;
use crate::{Cancel, EngineError, Progress};

/// What an adapter made.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// Id of the adapter.
    pub(crate) adapter: &'static str,
    /// Its files.
    pub(crate) files: Vec<OutputFile>,
    /// What goes into the image layout that all outputs share; its layer is among the files.
    pub(crate) artifacts: Vec<Artifact>,
    /// What the bundle's README tells of using it with Trivy.
    pub(crate) database: Option<Database>,
    /// The same of a VEX repository.
    pub(crate) vex: Option<VexRepository>,
    /// What the manifest tells of it.
    pub(crate) facts: OutputFacts,
    /// What a scanner sees with it.
    pub(crate) coverage: Vec<Coverage>,
}

/// What the manifest tells of an output besides its files.
#[derive(Debug, Clone, Default)]
pub(crate) struct OutputFacts {
    pub(crate) keys: BTreeMap<String, u64>,
    pub(crate) not_represented: BTreeMap<String, u64>,
    pub(crate) scanner: Option<Scanner>,
}

/// One file of an output, kept in the depot.
#[derive(Debug, Clone)]
pub(crate) struct OutputFile {
    pub(crate) path: PartName,
    pub(crate) media_type: String,
    pub(crate) stored: StoredFile,
    /// Number of lines, of a file of lines.
    pub(crate) records: Option<u64>,
}

/// Folder of the image layout, with its slash.
const OCI: &str = "trivy/oci/";

/// Makes the outputs of a plan that do not carry the records themselves.
pub(crate) fn build(
    prepared: &Prepared,
    depot: &Depot,
    threads: usize,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Vec<Output>, EngineError> {
    let mut outputs = Vec::new();
    for spec in &prepared.profile.outputs {
        match spec.id {
            id if id == stella_pack::trivy_db::TRIVY_DB.spec.id => {
                outputs.push(trivy_db::build(prepared, depot, threads, progress, cancel)?);
            }
            id if id == stella_pack::trivy_java_db::TRIVY_JAVA_DB.spec.id => {
                outputs.push(trivy_java_db::build(prepared, depot, threads, progress, cancel)?);
            }
            id if id == stella_pack::trivy_vex::TRIVY_VEX.spec.id => {
                outputs.push(trivy_vex::build(prepared, depot, threads, progress, cancel)?);
            }
            _ => {}
        }
    }
    if let Some(layout) = layout(&outputs, depot)? {
        outputs.push(layout);
    }
    Ok(outputs)
}

/// The small files of the image layout over the artifacts of all outputs.
fn layout(outputs: &[Output], depot: &Depot) -> Result<Option<Output>, EngineError> {
    let artifacts: Vec<Artifact> =
        outputs.iter().flat_map(|output| output.artifacts.iter().cloned()).collect();
    if artifacts.is_empty() {
        return Ok(None);
    }
    let files = oci::layout(&artifacts).into_iter().map(|(name, bytes)| {
        let media_type = match name.as_str() {
            "index.json" => oci::INDEX,
            "oci-layout" => "application/vnd.oci.layout.header.v1+json",
            _ if bytes == oci::EMPTY_CONFIG => oci::EMPTY,
            _ => oci::MANIFEST,
        };
        file(&format!("{OCI}{name}"), media_type, depot.put_blob(&bytes)?)
    });
    Ok(Some(Output {
        adapter: "",
        files: files.collect::<Result<_, EngineError>>()?,
        artifacts: Vec::new(),
        database: None,
        vex: None,
        facts: OutputFacts::default(),
        coverage: Vec::new(),
    }))
}

/// What stands behind a buffer, with all bytes written.
fn flushed<W: Write>(writer: BufWriter<W>) -> io::Result<W> {
    writer.into_inner().map_err(IntoInnerError::into_error)
}

fn file(path: &str, media_type: &str, stored: StoredFile) -> Result<OutputFile, EngineError> {
    let path = part_name(path)?;
    Ok(OutputFile { path, media_type: media_type.to_owned(), stored, records: None })
}

fn part_name(text: &str) -> Result<PartName, EngineError> {
    PartName::new(text).map_err(|error| {
        EngineError::new(ErrorCode::Internal, "a file of an output has no usable name")
            .because(error)
    })
}
