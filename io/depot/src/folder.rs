//! The folder of a depot: what keeps others away from it, what is in it, and what is too much.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Timespec, Timestamps, UTIME_NOW, flock, syncfs, utimensat,
};
use rustix::io::Errno;
use stella_model::{Digest, DigestBuilder};
use tempfile::NamedTempFile;

use crate::arriving::remove_unless_held;
use crate::{
    BundleRecord, Depot, DepotError, FRESH, Kept, OutputRecord, PartRecord, StoredFile, failed,
    kept,
};

/// How often somebody who waits for a lock looks again.
const LOOK: Duration = Duration::from_millis(20);

/// A depot that is in use.
#[derive(Debug)]
pub struct Hold {
    /// Open for the locks on them.
    _files: Vec<File>,
}

/// What pruning removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Files removed.
    pub files: u64,
    /// Bytes freed, unless a bundle still links to them.
    pub bytes: u64,
}

impl Depot {
    /// Waits until all that was kept so far survives a power cut. What is in a bucket does already.
    ///
    /// # Errors
    /// [`DepotError`] if the disk does not take it.
    pub fn sync(&self) -> Result<(), DepotError> {
        if self.objects.is_some() {
            return Ok(());
        }
        let folder = File::open(&self.root).map_err(failed("open", &self.root))?;
        syncfs(&folder).map_err(|error| failed("write", &self.root)(error.into()))
    }

    /// Keeps [`prune`](Self::prune) and [`collect`](Self::collect) away from the folder, in this and
    /// every other process, until dropped. Waits while one of them removes something.
    ///
    /// # Errors
    /// [`DepotError`] if the lock cannot be made.
    pub fn hold(&self) -> Result<Hold, DepotError> {
        // Who wants to be alone waits at the gate, so that a busy depot is not held for ever.
        let _gate = self.locked("gate.lock", FlockOperation::LockShared)?;
        Ok(Hold { _files: vec![self.locked("lock", FlockOperation::LockShared)?] })
    }

    /// The folder for this process alone; none if somebody holds it for longer than that.
    pub(crate) fn alone(&self, patience: Duration) -> Result<Option<Hold>, DepotError> {
        let begun = Instant::now();
        let mut files = Vec::new();
        for name in ["gate.lock", "lock"] {
            loop {
                let file = self.lock_file(name)?;
                match flock(&file.1, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => {
                        files.push(file.1);
                        break;
                    }
                    Err(Errno::WOULDBLOCK) if begun.elapsed() < patience => {
                        std::thread::sleep(LOOK);
                    }
                    Err(Errno::WOULDBLOCK) => return Ok(None),
                    Err(error) => return Err(failed("lock", &file.0)(error.into())),
                }
            }
        }
        Ok(Some(Hold { _files: files }))
    }

    fn locked(&self, name: &str, how: FlockOperation) -> Result<File, DepotError> {
        let (path, file) = self.lock_file(name)?;
        flock(&file, how).map_err(|error| failed("lock", &path)(error.into()))?;
        Ok(file)
    }

    fn lock_file(&self, name: &str) -> Result<(PathBuf, File), DepotError> {
        fs::create_dir_all(&self.root).map_err(failed("make", &self.root))?;
        let path = self.root.join(name);
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(failed("open", &path))?;
        Ok((path, file))
    }

    /// Removes the least recently used blobs until all that no bundle names have at most `limit` bytes
    /// together, what is known of parts and outputs that lost theirs, and what a killed process left
    /// behind. Does nothing while a run holds the depot: the next one prunes.
    ///
    /// # Errors
    /// [`DepotError`] if the folders cannot be read.
    pub fn prune(&self, limit: u64) -> Result<Pruned, DepotError> {
        let Some(_alone) = self.alone(Duration::ZERO)? else { return Ok(Pruned::default()) };
        self.remove_stale_incoming()?;
        // Bundles are what a service keeps; it says itself when one need not be kept any more.
        let pinned = self.of_bundles()?;
        let blobs = self.blobs()?.into_iter().filter(|blob| !pinned.contains(&blob.name));
        let pruned = remove_oldest(blobs.collect(), limit, SystemTime::now())?;
        if pruned.files > 0 {
            self.remove_hollow::<PartRecord>()?;
            self.remove_hollow::<OutputRecord>()?;
        }
        Ok(pruned)
    }

    /// Removes the least recently used copies of what is in the bucket, until all have at most `limit`
    /// bytes together. Whoever needs one fetches it again, so nobody is waited for; what was used in
    /// the last hour stays. Without a bucket nothing is a copy, and nothing is removed.
    ///
    /// # Errors
    /// [`DepotError`] if the folders cannot be read.
    pub fn trim(&self, limit: u64) -> Result<Pruned, DepotError> {
        if self.objects.is_none() {
            return Ok(Pruned::default());
        }
        self.remove_stale_incoming()?;
        remove_oldest(self.blobs()?, limit, SystemTime::now() - FRESH)
    }

    /// The names of the blobs of all bundles.
    fn of_bundles(&self) -> Result<BTreeSet<String>, DepotError> {
        let mut names = BTreeSet::new();
        for path in self.records::<BundleRecord>()? {
            let record = fs::read(&path).ok().and_then(|bytes| kept::from_bytes(&bytes));
            let files = record.iter().flat_map(BundleRecord::files);
            names.extend(files.map(|file| file.digest.to_string()));
        }
        Ok(names)
    }

    /// Marks a blob of the folder as used now; `false` if it is gone or has another size.
    pub(crate) fn use_blob(&self, file: &StoredFile) -> bool {
        let path = self.blob_path(&file.digest);
        self.mark_used(&path).is_some_and(|size| size == file.size)
    }

    /// Marks a file as used now; gives its size, if it is there.
    pub(crate) fn mark_used(&self, path: &Path) -> Option<u64> {
        let metadata = fs::metadata(path).ok()?;
        let fresh = |used: SystemTime| used.elapsed().is_ok_and(|age| age < FRESH);
        if !metadata.modified().is_ok_and(fresh) {
            // A time that cannot be set only makes the file look older than it is.
            let _ = utimensat(CWD, path, &NOW, AtFlags::empty());
        }
        Some(metadata.len())
    }

    fn records<K: Kept>(&self) -> Result<Vec<PathBuf>, DepotError> {
        let folders = entries(&self.root.join(K::FOLDER))?;
        let lists = folders.iter().map(|folder| entries(folder));
        Ok(lists.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// Removes the records whose files are gone.
    fn remove_hollow<K: Kept>(&self) -> Result<(), DepotError> {
        for path in self.records::<K>()? {
            let record: Option<K> = fs::read(&path).ok().and_then(|text| kept::from_bytes(&text));
            let is_there =
                |file: &StoredFile| size_of(&self.blob_path(&file.digest)) == Some(file.size);
            if !record.is_some_and(|record| record.files().iter().all(is_there)) {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }

    fn blobs(&self) -> Result<Vec<Blob>, DepotError> {
        let mut blobs = Vec::new();
        for folder in entries(&self.root.join("blobs"))? {
            for path in entries(&folder)? {
                let metadata = fs::metadata(&path).map_err(failed("read", &path))?;
                let used = metadata.modified().map_err(failed("read", &path))?;
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                blobs.push(Blob { name, path, size: metadata.len(), used });
            }
        }
        Ok(blobs)
    }

    /// Puts a file in its place below the folder, whole or not at all.
    pub(crate) fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<(), DepotError> {
        let mut file = self.named_file()?;
        file.write_all(bytes).map_err(failed("write", path))?;
        put_in_place(file, path)
    }

    /// Temporary files and folders older than a day belong to no living process, and what arrived in
    /// part that long ago is fetched again from its start.
    pub(crate) fn remove_stale_incoming(&self) -> Result<(), DepotError> {
        let stale = |folder: &str| {
            let paths = entries(&self.root.join(folder))?.into_iter();
            Ok::<_, DepotError>(paths.filter(|path| is_stale(path)))
        };
        for path in stale("incoming")? {
            let _ = match path.is_dir() {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
        }
        stale("arriving")?.for_each(|path| remove_unless_held(&path));
        Ok(())
    }
}

/// Whether a file was written to last more than a day ago.
fn is_stale(path: &Path) -> bool {
    let age = fs::metadata(path).and_then(|m| m.modified()).map(|m| m.elapsed());
    matches!(age, Ok(Ok(age)) if age.as_secs() > 86_400)
}

const NOW: Timestamps = {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    Timestamps { last_access: now, last_modification: now }
};

struct Blob {
    /// Its digest.
    name: String,
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

/// Removes the least recently used blobs until the rest has at most so many bytes; none that was used
/// since.
fn remove_oldest(
    mut blobs: Vec<Blob>,
    limit: u64,
    since: SystemTime,
) -> Result<Pruned, DepotError> {
    let mut total: u64 = blobs.iter().map(|blob| blob.size).sum();
    blobs.sort_by_key(|blob| blob.used);
    let mut pruned = Pruned::default();
    for blob in blobs {
        if total <= limit || blob.used > since {
            break;
        }
        fs::remove_file(&blob.path).map_err(failed("remove", &blob.path))?;
        total -= blob.size;
        pruned.files += 1;
        pruned.bytes += blob.size;
    }
    Ok(pruned)
}

fn size_of(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.len())
}

/// What is in a folder; nothing if it is not there.
pub(crate) fn entries(dir: &Path) -> Result<Vec<PathBuf>, DepotError> {
    let list = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed("list", dir))?,
    };
    list.map(|entry| entry.map(|entry| entry.path()).map_err(failed("list", dir))).collect()
}

/// Gives a finished file its name, in place of one that is there.
pub(crate) fn put_in_place(file: NamedTempFile, path: &Path) -> Result<(), DepotError> {
    make_ready(file.as_file(), path)?;
    file.persist(path).map_err(|error| failed("write", path)(error.error))?;
    Ok(())
}

/// All that a finished file needs before it is given its name: the folder, and what others may do.
pub(crate) fn make_ready(file: &File, path: &Path) -> Result<(), DepotError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    file.set_permissions(readable()).map_err(failed("write", path))
}

/// Parts become files of bundles, which everyone may read and nobody may write: a bundle links to the
/// files of the depot, and so does the next one, so that whoever edits one of them damages all.
fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(0o444)
}

/// Size and digest of a file, read in one pass.
///
/// # Errors
/// If it cannot be read.
pub fn digest_of_file(path: &Path) -> io::Result<StoredFile> {
    let mut file = File::open(path)?;
    let mut builder = DigestBuilder::new();
    let mut buffer = vec![0; 128 << 10];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            let digest: Digest = builder.finish();
            return Ok(StoredFile { digest, size });
        }
        builder.bytes(&buffer[..read]);
        size += read as u64;
    }
}
