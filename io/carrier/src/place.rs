//! Placing a finished bundle at its destination.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use stella_manifest::carrier_order;
use stella_manifest::layout::{ENVELOPE, EXPORT, SIGNATURES};
use stella_manifest::tar::{END, header, padding};
use stella_model::screen::Safe;
use stella_model::{Digest, DigestBuilder, PartName};
use stella_verify::{BundleFiles, FileEntry};

use crate::partial::{Destination, Partial, Shape, remove_dead};
use crate::{Bundle, CarrierError, begins_as_tar};

/// How a bundle is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A directory.
    Dir,
    /// One deterministic, uncompressed tar.
    Tar,
}

/// What to do with another bundle that is already at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail with [`CarrierError::Conflict`].
    Refuse,
    /// Put the new one in its place, then remove it. Only a bundle, or what was one, is ever
    /// replaced.
    Replace,
}

/// One file of the bundle to be placed.
#[derive(Debug, Clone)]
pub struct FileSpec<'a> {
    /// Name within the bundle.
    pub name: PartName,
    /// Size in bytes.
    pub size: u64,
    /// Digest of the content; compared with what is already at the destination.
    pub digest: Digest,
    /// Where the content is.
    pub source: Source<'a>,
}

/// Where the content of a file is.
#[derive(Debug, Clone)]
pub enum Source<'a> {
    /// In memory.
    Bytes(&'a [u8]),
    /// In a file that never changes again, such as a blob of the depot. A directory carrier links
    /// it where the file system can, else copies it.
    File(PathBuf),
}

impl<'a> FileSpec<'a> {
    /// A file from memory.
    #[must_use]
    pub fn bytes(name: PartName, bytes: &'a [u8]) -> FileSpec<'a> {
        let size = bytes.len() as u64;
        FileSpec { name, size, digest: Digest::of(bytes), source: Source::Bytes(bytes) }
    }
}

/// What became of the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The bundle was written.
    Written,
    /// The same bundle was there: every file was read and compared, nothing was written.
    Unchanged,
    /// The bundle was written in the place of another one.
    Replaced,
}

/// A bundle at its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// What became of the destination.
    pub outcome: Outcome,
    /// Number of files.
    pub files: u64,
    /// Their bytes, without what the carrier adds.
    pub bytes: u64,
    /// Number of files that were linked instead of copied.
    pub linked: u64,
}

/// Places a bundle at `dest`, atomically.
///
/// What was written is read back and compared with the digests before it gets its name, and then
/// `verify` looks at it as a bundle that is carried (INV-VERIFY). Bytes are hashed once: `verify`
/// need not hash them again.
///
/// `files` come in the order of [`carrier_order`], each name once. `watch` is told the bytes of
/// every file written and may stop. The same bundle at the destination (further signatures aside)
/// is left alone after its files were read and compared; an empty folder counts as nothing. What
/// dead runs left beside the destination is removed.
///
/// # Errors
/// [`CarrierError::Conflict`] if something else is at the destination and `existing` says to refuse
/// or it is no bundle; [`CarrierError::ReadBack`] if a source or the disk is damaged;
/// [`CarrierError::NotVerified`] if `verify` says what is wrong;
/// [`CarrierError::Stopped`]; else what failed. Nothing is at the destination
/// then that was not there before.
pub fn place(
    carrier: Carrier,
    dest: &Path,
    files: &[FileSpec<'_>],
    existing: Existing,
    watch: &mut dyn FnMut(u64) -> ControlFlow<()>,
    verify: &dyn Fn(&Bundle) -> Result<(), String>,
) -> Result<Placed, CarrierError> {
    check_order(files)?;
    let to = Destination::new(dest)?;
    remove_dead(&to);
    let bytes = files.iter().map(|file| file.size).sum();
    let mut placed =
        Placed { outcome: Outcome::Written, files: files.len() as u64, bytes, linked: 0 };
    if !is_free(carrier, &to.path)? {
        match difference(carrier, &to.path, files)? {
            None => return Ok(Placed { outcome: Outcome::Unchanged, ..placed }),
            Some(difference) => {
                let replaceable = looks_like_bundle(&to.path);
                if existing == Existing::Refuse || !replaceable {
                    return Err(CarrierError::Conflict { path: to.path, difference, replaceable });
                }
                placed.outcome = Outcome::Replaced;
            }
        }
    }
    let partial = match carrier {
        Carrier::Dir => write_dir(&to, files, watch, &mut placed)?,
        Carrier::Tar => write_tar(&to, files, watch)?,
    };
    read_back(carrier, partial.path(), &to, files, verify)?;
    match placed.outcome {
        Outcome::Replaced => partial.rename_over(&to)?,
        _ => partial.rename_new(&to)?,
    }
    let parent = File::open(&to.parent).and_then(|parent| parent.sync_all());
    parent.map_err(|source| CarrierError::io("make durable", &to.parent, source))?;
    Ok(placed)
}

/// How what is at `dest` differs from a bundle of these files, or `None` if it is the same: every
/// file is read. Further signatures do not count, they are no part of what a run makes.
///
/// # Errors
/// [`CarrierError::NotFound`] if nothing is there, [`CarrierError::Io`] if it cannot be read.
pub fn difference(
    carrier: Carrier,
    dest: &Path,
    files: &[FileSpec<'_>],
) -> Result<Option<String>, CarrierError> {
    match Bundle::open(dest) {
        Ok(there) => difference_in(&there, carrier, dest, files),
        Err(CarrierError::NotABundle { .. }) => Ok(Some("it is no bundle".to_owned())),
        Err(error) => Err(error),
    }
}

/// Compares what was written with what it should be, then has it verified.
fn read_back(
    carrier: Carrier,
    written: &Path,
    to: &Destination,
    files: &[FileSpec<'_>],
    verify: &dyn Fn(&Bundle) -> Result<(), String>,
) -> Result<(), CarrierError> {
    let path = || to.path.clone();
    let differs = |difference| CarrierError::ReadBack { path: path(), difference };
    let there = match Bundle::open(written) {
        Ok(there) => there,
        Err(CarrierError::NotABundle { .. }) => return Err(differs("it is no bundle".to_owned())),
        Err(error) => return Err(error),
    };
    if let Some(difference) = difference_in(&there, carrier, written, files)? {
        return Err(differs(difference));
    }
    verify(&there).map_err(|problem| CarrierError::NotVerified { path: path(), problem })
}

fn difference_in(
    there: &Bundle,
    carrier: Carrier,
    dest: &Path,
    files: &[FileSpec<'_>],
) -> Result<Option<String>, CarrierError> {
    if matches!(there, Bundle::Dir(_)) != (carrier == Carrier::Dir) {
        return Ok(Some("it is another carrier".to_owned()));
    }
    if let Some(fault) = there.faults().first() {
        return Ok(Some(format!("{}: {}", Safe(&fault.at), fault.problem)));
    }
    let names: BTreeSet<&PartName> = files.iter().map(|file| &file.name).collect();
    let ours = |entry: &&FileEntry| names.contains(&entry.name);
    let further = |entry: &&FileEntry| entry.name.as_str().starts_with(SIGNATURES);
    if there.files().iter().filter(ours).count() < files.len() {
        return Ok(Some("it lacks files of this bundle".to_owned()));
    }
    if let Some(extra) = there.files().iter().find(|entry| !ours(entry) && !further(entry)) {
        return Ok(Some(format!("{} is not in this bundle", extra.name)));
    }
    let mut buffer = vec![0; 256 << 10];
    for file in files {
        let same_size = there.entry(file.name.as_str()).is_some_and(|e| e.size == file.size);
        let same = same_size
            && digest_of(there, &file.name, &mut buffer).map_err(|source| {
                CarrierError::io("read", &dest.join(file.name.as_str()), source)
            })? == file.digest;
        if !same {
            return Ok(Some(format!("{} differs", file.name)));
        }
    }
    Ok(None)
}

fn check_order(files: &[FileSpec<'_>]) -> Result<(), CarrierError> {
    let key = |file: &FileSpec<'_>| {
        let (rank, name) = carrier_order(file.name.as_str());
        (rank, name.to_owned())
    };
    match files.windows(2).find(|pair| key(&pair[0]) >= key(&pair[1])) {
        None => Ok(()),
        Some(pair) => Err(CarrierError::Order { name: pair[1].name.clone() }),
    }
}

/// Whether nothing is at the path, or an empty folder where a folder is to be.
fn is_free(carrier: Carrier, path: &Path) -> Result<bool, CarrierError> {
    let failed = |source: io::Error| CarrierError::io("look at", path, source);
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(failed(error)),
        Ok(metadata) if metadata.is_symlink() => Err(CarrierError::Conflict {
            path: path.to_owned(),
            difference: "it is a symbolic link".to_owned(),
            replaceable: false,
        }),
        Ok(metadata) if metadata.is_dir() && carrier == Carrier::Dir => {
            Ok(std::fs::read_dir(path).map_err(failed)?.next().is_none())
        }
        Ok(_) => Ok(false),
    }
}

/// Whether a replacement may remove what is at the path: a whole or damaged bundle, never a folder
/// with other things in it.
fn looks_like_bundle(path: &Path) -> bool {
    const TOP: [&str; 10] = [
        "README.md",
        "NOTICE.md",
        "SHA256SUMS",
        "trusted_root.json",
        "data",
        "indexes",
        "signatures",
        "delta",
        "trivy",
        "distribution.json",
    ];
    let known = |name: &str| ENVELOPE.contains(&name) || TOP.contains(&name);
    if path.is_dir() {
        let Ok(entries) = std::fs::read_dir(path) else { return false };
        let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        return names.iter().any(|name| name == EXPORT)
            && names.iter().all(|name| name.to_str().is_some_and(known));
    }
    begins_as_tar(path).is_ok_and(|begins| begins)
}

fn digest_of(bundle: &Bundle, name: &PartName, buffer: &mut [u8]) -> io::Result<Digest> {
    let mut digest = DigestBuilder::new();
    let mut content = bundle.open(name)?;
    loop {
        match content.read(buffer)? {
            0 => return Ok(digest.finish()),
            read => digest.bytes(&buffer[..read]),
        };
    }
}

fn tell(watch: &mut dyn FnMut(u64) -> ControlFlow<()>, bytes: u64) -> Result<(), CarrierError> {
    match watch(bytes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(CarrierError::Stopped),
    }
}

fn write_dir(
    to: &Destination,
    files: &[FileSpec<'_>],
    watch: &mut dyn FnMut(u64) -> ControlFlow<()>,
    placed: &mut Placed,
) -> Result<Partial, CarrierError> {
    let partial = Partial::create(to, Shape::Folder)?;
    let mut folder = PathBuf::new();
    for file in files {
        let path = partial.path().join(file.name.as_str());
        let above = path.parent().unwrap_or(partial.path());
        if above != folder {
            std::fs::create_dir_all(above)
                .map_err(|source| CarrierError::io("make the folder", above, source))?;
            folder = above.to_owned();
        }
        match &file.source {
            Source::Bytes(bytes) => {
                std::fs::write(&path, bytes)
                    .map_err(|source| CarrierError::io("write", &path, source))?;
            }
            Source::File(source) => placed.linked += u64::from(link(source, &path, file.size)?),
        }
        tell(watch, file.size)?;
    }
    make_durable(&partial)?;
    Ok(partial)
}

/// Links a file, or copies it where that cannot be; whether it was linked.
fn link(source: &Path, path: &Path, size: u64) -> Result<bool, CarrierError> {
    let linked = std::fs::hard_link(source, path).is_ok();
    let found = if linked {
        std::fs::symlink_metadata(path)
            .map_err(|error| CarrierError::io("look at", source, error))?
            .len()
    } else {
        // The system clones the blocks where the file system can.
        let copy = || io::copy(&mut File::open(source)?, &mut File::create_new(path)?);
        copy().map_err(|error| CarrierError::io("copy into the bundle", source, error))?
    };
    check_size(source, size, found)?;
    Ok(linked)
}

fn check_size(source: &Path, expected: u64, found: u64) -> Result<(), CarrierError> {
    if expected == found {
        return Ok(());
    }
    Err(CarrierError::SourceSize { path: source.to_owned(), expected, found })
}

fn write_tar(
    to: &Destination,
    files: &[FileSpec<'_>],
    watch: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Partial, CarrierError> {
    let partial = Partial::create(to, Shape::File)?;
    let failed = |source: io::Error| CarrierError::io("write", partial.path(), source);
    let mut out = io::BufWriter::with_capacity(64 << 10, partial.handle());
    for file in files {
        out.write_all(&header(&file.name, file.size)?).map_err(failed)?;
        match &file.source {
            Source::Bytes(bytes) => out.write_all(bytes).map_err(failed)?,
            Source::File(path) => {
                let mut copy = || io::copy(&mut File::open(path)?, &mut out);
                let found = copy().map_err(|e| CarrierError::io("copy into the tar", path, e))?;
                check_size(path, file.size, found)?;
            }
        }
        out.write_all(&END[..padding(file.size)]).map_err(failed)?;
        tell(watch, file.size)?;
    }
    out.write_all(&END).map_err(failed)?;
    out.flush().map_err(failed)?;
    drop(out);
    make_durable(&partial)?;
    Ok(partial)
}

/// Everything in the partial is on the disk when this returns.
fn make_durable(partial: &Partial) -> Result<(), CarrierError> {
    let synced = if partial.handle().metadata().is_ok_and(|metadata| metadata.is_file()) {
        partial.handle().sync_all()
    } else {
        sync_tree(partial)
    };
    synced.map_err(|source| CarrierError::io("make durable", partial.path(), source))
}

/// One request for the whole file system instead of one a file.
#[cfg(target_os = "linux")]
fn sync_tree(partial: &Partial) -> io::Result<()> {
    Ok(rustix::fs::syncfs(partial.handle())?)
}

#[cfg(not(target_os = "linux"))]
fn sync_tree(partial: &Partial) -> io::Result<()> {
    let mut folders = vec![partial.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                File::open(entry.path())?.sync_all()?;
            }
        }
        File::open(&folder)?.sync_all()?;
    }
    Ok(())
}
