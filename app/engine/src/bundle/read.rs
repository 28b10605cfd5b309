//! A bundle opened for reading: its manifest, its parts, its indexes.
//!
//! Nothing here trusts the bundle, and nothing here verifies it: sizes are bounded, lines must have
//! their form and parts the digest of the manifest, whoever signed that.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use stella_carrier::{Bundle, begins_as_tar};
use stella_manifest::{ExportManifest, ManifestError, OutputEntry, PartEntry, layout};
use stella_model::screen::Safe;
use stella_model::{Digest, ErrorCode, Limits, PartName, SetKey};
use stella_records::line::{INDEX_MEDIA_TYPE, IndexEntry, PART_MEDIA_TYPE, parse_index_line};
use stella_verify::BundleFiles as _;
use stella_verify::lines::{self, Buffers, UnpackError};

use crate::EngineError;

/// Opens the carrier at a path, if it can be one of a bundle at all: a folder that is something
/// else may be a whole disk, which is not walked.
///
/// # Errors
/// [`EngineError`] if nothing is there, it cannot be read, or it is no bundle.
pub(super) fn open_carrier(path: &Path) -> Result<Bundle, EngineError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            let manifest = path.join(layout::EXPORT);
            if let Err(error) = manifest.symlink_metadata()
                && error.kind() == io::ErrorKind::NotFound
            {
                return Err(no_bundle(path, "there is no export.json in it")
                    .hint("name the folder or tar that `stella export run -d` made"));
            }
        }
        Ok(metadata) if metadata.is_file() => {
            // One that begins as a bundle and goes on otherwise is a damaged one.
            let begins = begins_as_tar(path).map_err(|error| unreadable(path, error))?;
            if !begins {
                return Err(other_file(path)?);
            }
        }
        // What is neither, or not there, the carrier tells.
        _ => {}
    }
    Ok(Bundle::open(path)?)
}

/// Bytes that tell what a file is: the first header of a tar.
const HEAD_BYTES: u64 = 512;

/// What a file is that does not begin as the tar of a bundle does.
fn other_file(path: &Path) -> Result<EngineError, EngineError> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    read.map_err(|error| unreadable(path, error))?;
    let begins = |magic: &[u8]| head.starts_with(magic);
    let compressed = begins(&[0x1f, 0x8b])
        || begins(&[0x28, 0xb5, 0x2f, 0xfd])
        || begins(&[0xfd, b'7', b'z', b'X', b'Z'])
        || begins(b"PK\x03\x04");
    let is_tar = head.get(257..262) == Some(b"ustar");
    Ok(match (head.is_empty(), compressed, is_tar) {
        (true, ..) => no_bundle(path, "the file is empty")
            .hint("get the bundle again from its publisher: nothing arrived"),
        (_, true, _) => no_bundle(path, "the file is compressed")
            .hint("unpack it first; bundles are folders or uncompressed tar files"),
        (_, _, true) => no_bundle(path, "the tar does not begin with export.json").hint(
            "if another program packed a bundle into it: unpack it into a folder, and name that",
        ),
        _ => no_bundle(path, "it is neither a folder nor a tar file")
            .hint("name the folder or tar that `stella export run -d` made"),
    })
}

fn unreadable(path: &Path, error: io::Error) -> EngineError {
    let code = ErrorCode::of_reading(error.kind());
    EngineError::new(code, format!("cannot read {}", path.display())).because(error)
}

fn no_bundle(path: &Path, why: &str) -> EngineError {
    EngineError::new(ErrorCode::BadBundle, format!("{} is no bundle: {why}", path.display()))
}

/// A bundle with its manifest.
pub(crate) struct ReadBundle {
    pub(crate) carrier: Bundle,
    pub(crate) manifest: ExportManifest,
    /// SHA-256 of `export.json`.
    pub(crate) export: Digest,
    pub(crate) limits: Limits,
}

/// Largest index, uncompressed, that is held in memory: parts of the usual size have some MB.
const INDEX_BYTES: u64 = 256 << 20;

impl ReadBundle {
    /// Opens the bundle at a path and reads its manifest.
    pub(crate) fn open(path: &Path) -> Result<ReadBundle, EngineError> {
        let carrier = open_carrier(path)?;
        let limits = Limits::DEFAULT;
        let name = part_name(layout::EXPORT)?;
        if carrier.entry(name.as_str()).is_none() {
            return Err(no_bundle(path, "its export.json is no file that can be read")
                .hint("stella export verify tells everything that is wrong with it"));
        }
        let bytes = lines::read_small(&carrier, &name, limits.manifest_bytes).map_err(|error| {
            EngineError::new(ErrorCode::Io, "cannot read export.json").because(error)
        })?;
        let manifest = ExportManifest::from_bytes(&bytes).map_err(bad_manifest)?;
        Ok(ReadBundle { carrier, manifest, export: Digest::of(&bytes), limits })
    }

    /// Refuses a carrier that holds what no bundle holds.
    pub(crate) fn sound(self) -> Result<ReadBundle, EngineError> {
        match self.carrier.faults().first() {
            None => Ok(self),
            Some(fault) => {
                let what =
                    format!("the bundle is damaged: {}: {}", Safe(&fault.at), Safe(&fault.problem));
                Err(EngineError::new(ErrorCode::BadBundle, what)
                    .hint("stella export verify tells everything that is wrong with it"))
            }
        }
    }

    /// The data parts of a set with their indexes, in the order of ids.
    pub(crate) fn parts_of(
        &self,
        set: &SetKey,
    ) -> Result<Vec<(&PartEntry, &PartEntry)>, EngineError> {
        let parts = &self.manifest.parts;
        let is_data = |part: &&PartEntry| {
            part.media_type == PART_MEDIA_TYPE
                && part.kind.as_ref() == Some(&set.kind)
                && part.feed.as_ref() == Some(&set.feed)
        };
        let mut found = Vec::new();
        for data in parts.iter().filter(is_data) {
            let index = layout::index_path(data.path.as_str()).and_then(|path| {
                let at = parts.binary_search_by(|part| part.path.as_str().cmp(&path)).ok()?;
                parts.get(at)
            });
            let index = index.filter(|part| part.media_type == INDEX_MEDIA_TYPE);
            let index = index.ok_or_else(|| bad_part(data, "it has no index"))?;
            found.push((data, index));
        }
        found.sort_by(|a, b| a.0.first_id.cmp(&b.0.first_id));
        Ok(found)
    }

    /// Refuses a bundle of nothing but outputs made of records, such as a database: it says nothing
    /// of records one by one.
    pub(crate) fn with_records(self) -> Result<ReadBundle, EngineError> {
        let made = |output: &OutputEntry| !carries_records(&output.adapter);
        let outputs = &self.manifest.outputs;
        if !self.manifest.sets.is_empty() || outputs.is_empty() || !outputs.iter().all(made) {
            return Ok(self);
        }
        let outputs: Vec<String> =
            outputs.iter().map(|output| Safe(&output.adapter).to_string()).collect();
        let what = format!("the bundle carries no records, only {}", outputs.join(" and "));
        Err(EngineError::new(ErrorCode::NotFound, what)
            .hint("records are in bundles of profiles such as mirror:full and json:raw"))
    }

    /// All entries of an index, in order. The index has the digest that the manifest tells.
    pub(crate) fn index(
        &self,
        entry: &PartEntry,
        buffers: &mut Buffers,
    ) -> Result<Vec<IndexEntry>, EngineError> {
        if entry.uncompressed_size.is_none_or(|size| size > INDEX_BYTES) {
            return Err(bad_part(entry, "the index is larger than indexes are"));
        }
        let opened = lines::open(&self.carrier, entry, buffers, &self.limits);
        let mut lines =
            opened.map_err(|error| bad_part(entry, "it cannot be read").because(error))?;
        let mut entries: Vec<IndexEntry> = Vec::new();
        while let Some(line) = lines.next_line().map_err(|error| unpack_failed(entry, error))? {
            let next = parse_index_line(line)
                .map_err(|error| bad_part(entry, "a line does not read").because(error))?;
            if entries.last().is_some_and(|last| last.id >= next.id) {
                return Err(bad_part(entry, "its lines are out of order"));
            }
            entries.push(next);
        }
        let (_, digest) = lines.finish().map_err(|error| unpack_failed(entry, error))?;
        if digest != entry.digest.sha256 {
            return Err(bad_part(entry, "it has another SHA-256 than the manifest tells"));
        }
        Ok(entries)
    }

    /// Buffers for reading parts.
    pub(crate) fn buffers(&self) -> Result<Buffers, EngineError> {
        Buffers::new(&self.limits).map_err(|error| {
            EngineError::new(ErrorCode::Internal, "cannot make a decompression context")
                .because(error)
        })
    }
}

/// The index entries of one set, part after part.
pub(crate) struct SetIndex<'a> {
    bundle: &'a ReadBundle,
    parts: std::vec::IntoIter<(&'a PartEntry, &'a PartEntry)>,
    next_part: Option<(&'a PartEntry, &'a PartEntry)>,
    current: std::vec::IntoIter<IndexEntry>,
    buffers: Buffers,
}

impl<'a> SetIndex<'a> {
    pub(crate) fn new(bundle: &'a ReadBundle, set: &SetKey) -> Result<SetIndex<'a>, EngineError> {
        let mut parts = bundle.parts_of(set)?.into_iter();
        let next_part = parts.next();
        Ok(SetIndex {
            bundle,
            parts,
            next_part,
            current: Vec::new().into_iter(),
            buffers: bundle.buffers()?,
        })
    }

    /// The part whose entries come next, if none of it was taken yet.
    pub(crate) fn at_part(&self) -> Option<&'a PartEntry> {
        if self.current.len() > 0 { None } else { self.next_part.map(|(data, _)| data) }
    }

    /// Leaves out the part that comes next.
    pub(crate) fn skip_part(&mut self) {
        self.next_part = self.parts.next();
    }

    pub(crate) fn next(&mut self) -> Result<Option<IndexEntry>, EngineError> {
        loop {
            if let Some(entry) = self.current.next() {
                return Ok(Some(entry));
            }
            let Some((_, index)) = self.next_part else { return Ok(None) };
            self.current = self.bundle.index(index, &mut self.buffers)?.into_iter();
            self.next_part = self.parts.next();
        }
    }
}

/// Whether an output carries the records themselves; one that is not known here may.
pub(super) fn carries_records(adapter: &str) -> bool {
    stella_pack::adapter(adapter).is_none_or(|found| found.carries_records)
}

/// A part that is not what it should be.
pub(crate) fn bad_part(entry: &PartEntry, what: &str) -> EngineError {
    EngineError::new(ErrorCode::BadBundle, format!("{} is damaged: {what}", entry.path))
        .hint("stella export verify tells everything that is wrong with the bundle")
}

pub(crate) fn unpack_failed(entry: &PartEntry, error: UnpackError) -> EngineError {
    bad_part(entry, "it does not unpack").because(error)
}

pub(crate) fn part_name(name: &str) -> Result<PartName, EngineError> {
    PartName::new(name).map_err(|error| {
        EngineError::new(ErrorCode::Internal, "a fixed name is no part name").because(error)
    })
}

fn bad_manifest(error: ManifestError) -> EngineError {
    match error {
        ManifestError::Version(_) | ManifestError::Requires(_) => {
            EngineError::new(ErrorCode::NeedsNewer, error.to_string())
                .hint("use a newer version of stella")
        }
        ManifestError::Syntax(_) | ManifestError::NotCanonical => {
            EngineError::new(ErrorCode::BadBundle, Safe(&error.to_string()).to_string())
                .hint("get the bundle again from its publisher")
        }
    }
}
