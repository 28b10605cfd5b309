//! What the databases of Trivy have in common: their metadata, the layer of an image layout, and the
//! form for a cache folder.

use std::fs::File;
use std::io::BufWriter;

use stella_depot::{Depot, OutputFile, OutputRecord};
use stella_distribute::oci::{Artifact, Layer};
use stella_manifest::Scanner;
use stella_manifest::people::Database;
use stella_model::Instant;

use super::archive::{Member, tar_gz};
use super::{OCI, REPORT_TYPE, Use, file, flushed, not_written, part_name};
use crate::EngineError;

const ARTIFACT_TYPE: &str = "application/vnd.aquasec.trivy.config.v1+json";

/// Oldest version of Trivy that the databases were made for and tried with.
const OLDEST_TRIVY: &str = "0.59.1";

/// What is being written, for errors.
pub(super) const DATABASE: &str = "the database";

/// When a scanner with the database in its cache folder would ask for another one: never in the
/// life of the database.
const NEVER: &str = "2999-12-31T23:59:59Z";

/// A time that was not, as Trivy writes it.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// Everything about a database of Trivy but its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// Version of its schema.
    pub(super) schema: u32,
    /// Its file.
    pub(super) file_name: &'static str,
    /// The archive that it comes in.
    pub(super) archive: &'static str,
    /// Media type of the archive as a layer.
    pub(super) layer_type: &'static str,
    /// Its folder in Trivy's cache.
    pub(super) folder: &'static str,
    /// Its tag in the image layout.
    pub(super) layout_tag: &'static str,
    /// Name and tag of a repository for it, as Trivy looks for it.
    pub(super) repository: &'static str,
    /// Trivy's flag that names the repository.
    pub(super) repository_flag: &'static str,
    /// Trivy's flag that keeps it from asking for a newer one.
    pub(super) skip_flag: &'static str,
    /// How long a scanner that loaded it over a registry takes it for fresh.
    pub(super) fresh_seconds: i64,
}

impl Form {
    /// The scanner that it is for.
    fn scanner(&self) -> Scanner {
        Scanner { name: "trivy".to_owned(), oldest: OLDEST_TRIVY.to_owned(), schema: self.schema }
    }

    /// Packs a database, a function of its bytes and one time: its layer, and the metadata for a
    /// cache folder.
    pub(super) fn pack(
        &self,
        depot: &Depot,
        as_of: Instant,
        database: &mut File,
    ) -> Result<Vec<OutputFile>, EngineError> {
        let layer = self.layer(depot, as_of, database)?;
        let metadata = depot.put_blob(self.cache_metadata(as_of).as_bytes())?;
        let path = format!("trivy/cache/{}/metadata.json", self.folder);
        Ok(vec![file(&path, "application/json", metadata)?, layer])
    }

    /// How a packed database is used.
    pub(super) fn use_of(&self, as_of: Instant, record: &OutputRecord) -> Use {
        let layer = record.files.iter().find(|file| file.media_type == self.layer_type);
        let artifact = |layer: &OutputFile| {
            let layer = Layer {
                media_type: self.layer_type,
                digest: layer.stored.digest,
                size: layer.stored.size,
                title: self.archive,
            };
            Artifact::new(self.layout_tag, ARTIFACT_TYPE, &layer, as_of)
        };
        let is_report = |file: &&OutputFile| file.media_type == REPORT_TYPE;
        let report = record.files.iter().find(is_report).map(|file| file.path.clone());
        let database = |layer: &OutputFile| Database {
            folder: self.folder,
            layout_tag: self.layout_tag,
            repository: self.repository,
            repository_flag: self.repository_flag,
            skip_flag: self.skip_flag,
            layer: layer.path.clone(),
            report,
        };
        Use {
            artifact: layer.map(artifact),
            database: layer.map(database),
            vex: None,
            scanner: Some(self.scanner()),
        }
    }

    /// The layer: the database with the metadata that a registry's clients expect.
    fn layer(
        &self,
        depot: &Depot,
        as_of: Instant,
        database: &mut File,
    ) -> Result<OutputFile, EngineError> {
        let fresh = as_of.unix_seconds().checked_add(self.fresh_seconds);
        let next = fresh.and_then(Instant::from_unix_seconds).unwrap_or(as_of);
        let metadata = self.metadata(as_of, &next.to_string(), NO_TIME);
        let mut members = [
            (part_name("metadata.json")?, Member::Bytes(metadata.as_bytes())),
            (part_name(self.file_name)?, Member::File(database)),
        ];
        let writer = BufWriter::with_capacity(256 << 10, depot.blob_writer()?);
        let writer = tar_gz(writer, &mut members).map_err(not_written(DATABASE))?;
        let stored = flushed(writer).map_err(not_written(DATABASE))?.finish()?;
        file(&format!("{OCI}blobs/sha256/{}", stored.digest), self.layer_type, stored)
    }

    /// `metadata.json` beside a database in a cache folder, as if it had been downloaded then.
    pub(super) fn cache_metadata(&self, as_of: Instant) -> String {
        self.metadata(as_of, NEVER, &as_of.to_string())
    }

    /// `metadata.json` as Trivy reads it.
    fn metadata(&self, as_of: Instant, next_update: &str, downloaded: &str) -> String {
        format!(
            "{{\"Version\":{},\"NextUpdate\":\"{next_update}\",\"UpdatedAt\":\"{as_of}\",\
             \"DownloadedAt\":\"{downloaded}\"}}\n",
            self.schema
        )
    }
}
