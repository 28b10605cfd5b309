//! A bundle as the depot has it: its files by name, each stored once whatever else shares it.

use std::fs::File;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use stella_manifest::sort_for_carrier;
use stella_model::{Digest, DigestBuilder, PartName};
use stella_verify::{BundleFiles, CarrierFault, FileEntry};

use crate::{Depot, DepotError, Kept, StoredFile, VirtualTar};

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BundleFile {
    /// Its name within the bundle.
    pub name: PartName,
    /// Its bytes.
    pub stored: StoredFile,
}

/// All files of a sealed bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BundleRecord {
    /// The files, sorted by name.
    pub files: Vec<BundleFile>,
    /// SHA-256 of the bundle as one tar, as [`VirtualTar`] serves it.
    pub tar: Digest,
}

impl BundleRecord {
    /// A bundle of files that are in the depot, sorted by name. Reads every byte of them; `before` each
    /// file it asks whether to go on.
    ///
    /// # Errors
    /// [`DepotError`] if a file cannot be read, is no longer what it was or is too large for a tar, and
    /// what `before` says.
    pub fn read<E: From<DepotError>>(
        depot: &Depot,
        files: Vec<BundleFile>,
        before: impl Fn(&StoredFile) -> Result<(), E>,
    ) -> Result<BundleRecord, E> {
        let mut record = BundleRecord { files, tar: Digest::EMPTY };
        let tar = VirtualTar::new(depot.clone(), &record).map_err(DepotError::too_large)?;
        record.tar = tar.digest(before)?;
        Ok(record)
    }

    /// Names the bundle: equal names and bytes of files give equal identities, others give others. The
    /// bundle is kept under it.
    #[must_use]
    pub fn identity(&self) -> Digest {
        let mut identity = DigestBuilder::new();
        identity.lp(b"stella-bundle-1");
        for file in self.in_carrier_order() {
            identity.lp(file.name.as_str().as_bytes()).digest(&file.stored.digest);
        }
        identity.finish()
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.stored.size).sum()
    }

    /// The files in the order in which carriers have them (FORMATS "Carriers").
    pub(crate) fn in_carrier_order(&self) -> Vec<&BundleFile> {
        let mut sorted: Vec<&BundleFile> = self.files.iter().collect();
        sort_for_carrier(&mut sorted, |file| file.name.as_str());
        sorted
    }
}

impl Kept for BundleRecord {
    const FOLDER: &'static str = "bundles";

    fn files(&self) -> Vec<StoredFile> {
        self.files.iter().map(|file| file.stored).collect()
    }
}

/// Which bundle was made of a plan by a signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MadeBundle {
    /// SHA-256 of its `export.json`.
    pub export_digest: Digest,
    /// Its identity.
    pub bundle: Digest,
}

impl Kept for MadeBundle {
    const FOLDER: &'static str = "made";

    fn files(&self) -> Vec<StoredFile> {
        Vec::new()
    }
}

/// A bundle that is read from the depot as from any carrier.
pub struct KeptBundle {
    depot: Depot,
    record: BundleRecord,
    entries: Vec<FileEntry>,
}

impl KeptBundle {
    /// The bundle of a record.
    #[must_use]
    pub fn new(depot: Depot, record: BundleRecord) -> KeptBundle {
        let entry =
            |file: &BundleFile| FileEntry { name: file.name.clone(), size: file.stored.size };
        let entries = record.files.iter().map(entry).collect();
        KeptBundle { depot, record, entries }
    }

    /// Opens a file for reading from its start to its end.
    ///
    /// # Errors
    /// Any I/O error; also if the file does not have its size any more, and as
    /// [`Depot::open`] has them.
    pub fn read(&self, name: &PartName) -> io::Result<File> {
        self.depot.open(&self.found(name)?).map_err(DepotError::into_io)
    }

    /// A file of it as the depot has it.
    #[must_use]
    pub fn stored(&self, name: &PartName) -> Option<StoredFile> {
        let found = self.record.files.binary_search_by(|file| file.name.cmp(name));
        let file = found.ok().and_then(|at| self.record.files.get(at));
        file.map(|file| file.stored)
    }

    fn found(&self, name: &PartName) -> io::Result<StoredFile> {
        self.stored(name).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// What it consists of.
    #[must_use]
    pub fn record(&self) -> &BundleRecord {
        &self.record
    }
}

impl BundleFiles for KeptBundle {
    fn files(&self) -> &[FileEntry] {
        &self.entries
    }

    /// Nothing comes into the depot but files under part names.
    fn faults(&self) -> &[CarrierFault] {
        &[]
    }

    fn open(&self, name: &PartName) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.read(name)?))
    }
}
