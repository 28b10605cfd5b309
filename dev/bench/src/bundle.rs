//! The parts of a bundle, as other programs see them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// One compressed part.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Part {
    path: String,
    size: u64,
    #[serde(default)]
    records: u64,
    #[serde(default)]
    uncompressed_size: u64,
}

/// How much of a bundle lies in data parts that another bundle does not have, as shares of 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dirty {
    /// Of the bytes of the parts.
    pub(crate) stored: f64,
    /// Of the bytes before compression.
    pub(crate) canonical: f64,
    /// Of the records.
    pub(crate) records: f64,
}

impl std::fmt::Display for Dirty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Dirty { stored, canonical, records } = self;
        write!(
            f,
            "{:.2} % of the bytes of parts in new ones ({:.2} % before compression, {:.1} % of the records)",
            stored * 100.0,
            canonical * 100.0,
            records * 100.0
        )
    }
}

#[derive(Deserialize)]
struct Manifest {
    parts: Vec<Part>,
}

/// The data parts and the index parts of a bundle, by path.
pub(crate) struct Parts {
    folder: PathBuf,
    data: BTreeMap<String, Part>,
    indexes: Vec<String>,
}

impl Parts {
    /// Reads the list of a bundle in a folder.
    ///
    /// # Errors
    /// If its manifest cannot be read.
    pub(crate) fn of(bundle: &Path) -> Result<Parts> {
        let bytes = fs::read(bundle.join("export.json")).context("read a manifest")?;
        let manifest: Manifest = serde_json::from_slice(&bytes).context("read a manifest")?;
        let compressed = manifest.parts.into_iter().filter(|part| part.path.ends_with(".zst"));
        let (data, indexes): (Vec<Part>, Vec<Part>) =
            compressed.partition(|part| part.path.starts_with("data/"));
        Ok(Parts {
            folder: bundle.to_owned(),
            data: data.into_iter().map(|part| (part.path.clone(), part)).collect(),
            indexes: indexes.into_iter().map(|part| part.path).collect(),
        })
    }

    /// Number of data parts.
    pub(crate) fn count(&self) -> usize {
        self.data.len()
    }

    /// Paths of all compressed parts.
    pub(crate) fn files(&self) -> Vec<String> {
        let paths = self.data.keys().chain(&self.indexes);
        paths.map(|path| self.folder.join(path).to_string_lossy().into_owned()).collect()
    }

    /// Uncompressed bytes of all data parts.
    pub(crate) fn bytes(&self) -> u64 {
        self.data.values().map(|part| part.uncompressed_size).sum()
    }

    /// Bytes that all files of the bundle take.
    ///
    /// # Errors
    /// If a part is not there.
    pub(crate) fn stored_bytes(&self) -> Result<u64> {
        self.files().iter().map(|path| Ok(fs::metadata(path)?.len())).sum()
    }

    /// What lies in parts that `older` does not have.
    pub(crate) fn dirty(&self, older: &Parts) -> Dirty {
        let share = |of: fn(&Part) -> u64| {
            let new = self.data.values().filter(|part| !older.data.contains_key(&part.path));
            let all: u64 = self.data.values().map(of).sum();
            new.map(of).sum::<u64>() as f64 / all.max(1) as f64
        };
        Dirty {
            stored: share(|part| part.size),
            canonical: share(|part| part.uncompressed_size),
            records: share(|part| part.records),
        }
    }

    /// Writes the canonical lines of all data parts to one file.
    ///
    /// # Errors
    /// If a part cannot be read or the file not written.
    pub(crate) fn decompress(&self, to: &Path) -> Result<()> {
        let mut out = BufWriter::new(File::create(to)?);
        for path in self.data.keys() {
            let part = File::open(self.folder.join(path)).with_context(|| path.clone())?;
            zstd::stream::copy_decode(part, &mut out).with_context(|| path.clone())?;
        }
        out.flush()?;
        Ok(())
    }
}
