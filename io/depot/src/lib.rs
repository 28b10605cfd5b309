//! The depot: parts and outputs that runs share, addressed by what they are.
//!
//! A local folder per tenant (INV-TENANT). `blobs/` holds files by their SHA-256, `parts/` what was
//! packed for a part key, `outputs/` what was made for an output key, `plans/` what runs were decided
//! to be, `bundles/` the files of what was sealed. It is a cache: every entry can
//! be made again, nothing in it is trusted without being hashed, and a crash leaves at worst a file
//! that is not used. Writes go to a temporary name and are renamed, so that readers see whole files
//! only.

mod arriving;
mod bundle_record;
mod kept;
mod output_record;
mod part_record;
mod space;
mod virtual_tar;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Timespec, Timestamps, UTIME_NOW, flock, syncfs, utimensat,
};

pub use arriving::{Arrival, ArrivingBlob};
pub use bundle_record::{BundleFile, BundleRecord, KeptBundle, MadeBundle};
pub use kept::Kept;
pub use output_record::{OutputFile, OutputRecord};
pub use part_record::{PartRecord, StoredFile, StoredPart};
pub use space::{BlobWriter, SpoolFile};
use stella_model::{Digest, DigestBuilder, ErrorCode, TenantId};
pub use virtual_tar::{Slice, TarReader, VirtualTar};

/// The depot of one tenant.
#[derive(Debug, Clone)]
pub struct Depot {
    root: PathBuf,
}

/// What could not be done in the depot.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {path} in the depot", path = path.display())]
pub struct DepotError {
    attempt: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl DepotError {
    /// The code, from which exit code and HTTP status follow.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match ErrorCode::of_writing(self.source.kind()) {
            ErrorCode::NotAllowed => ErrorCode::NotAllowed,
            // The names are the depot's own: nobody can choose others.
            _ => ErrorCode::Io,
        }
    }
}

fn failed(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DepotError {
    let path = path.to_owned();
    move |source| DepotError { attempt, path, source }
}

/// A depot that is in use.
#[derive(Debug)]
pub struct Hold {
    /// Open for the lock on it.
    _file: File,
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
    /// The depot of a tenant in a folder, which is made when something is first kept.
    #[must_use]
    pub fn at(dir: &Path, tenant: &TenantId) -> Depot {
        Depot { root: dir.join(tenant.as_str()) }
    }

    /// What is remembered under a key, if its files are still there with their sizes.
    ///
    /// The bytes are not looked at: see [`is_intact`](Self::is_intact).
    #[must_use]
    pub fn find<K: Kept>(&self, key: &Digest) -> Option<K> {
        let record = self.record(key)?;
        self.has_files(&record).then_some(record)
    }

    /// As [`find`](Self::find), and marks its blobs as used now, for [`prune`](Self::prune).
    #[must_use]
    pub fn reuse<K: Kept>(&self, key: &Digest) -> Option<K> {
        let record: K = self.record(key)?;
        let all_there = record.files().iter().all(|file| self.mark_used(file));
        all_there.then_some(record)
    }

    fn record<K: Kept>(&self, key: &Digest) -> Option<K> {
        kept::from_bytes(&fs::read(self.record_path::<K>(key)).ok()?)
    }

    /// Remembers a record whose files are kept already: bytes come first, then what makes them
    /// found.
    ///
    /// # Errors
    /// [`DepotError`] if it cannot be written.
    pub fn keep<K: Kept>(&self, key: &Digest, record: &K) -> Result<(), DepotError> {
        self.put(&self.record_path::<K>(key), &kept::to_bytes(record))
    }

    /// Forgets what is remembered under a key if a file of it is missing or damaged, and that file;
    /// whether it was so. Reads the files.
    pub fn forget_damaged<K: Kept>(&self, key: &Digest) -> bool {
        let Some(record) = self.record::<K>(key) else { return false };
        let mut files = record.files();
        files.retain(|file| !self.is_intact(file));
        if files.is_empty() {
            return false;
        }
        // Whatever cannot be removed is found damaged again and made again.
        let _ = fs::remove_file(self.record_path::<K>(key));
        for file in files {
            let _ = fs::remove_file(self.blob_path(&file.digest));
        }
        true
    }

    /// Keeps bytes under their digest; those that are kept already count as used now.
    ///
    /// # Errors
    /// [`DepotError`] if the file cannot be written.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<StoredFile, DepotError> {
        let digest = Digest::of(bytes);
        let stored = StoredFile { digest, size: bytes.len() as u64 };
        if !self.mark_used(&stored) || !self.is_intact(&stored) {
            self.put(&self.blob_path(&digest), bytes)?;
        }
        Ok(stored)
    }

    /// Where the bytes with a digest are kept.
    #[must_use]
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.short(2)).join(digest.to_string())
    }

    /// Whether the stored bytes still have their digest. Reads the whole file.
    #[must_use]
    pub fn is_intact(&self, file: &StoredFile) -> bool {
        digest_of_file(&self.blob_path(&file.digest)).is_ok_and(|found| found == *file)
    }

    /// Waits until all that was kept so far survives a power cut.
    ///
    /// # Errors
    /// [`DepotError`] if the disk does not take it.
    pub fn sync(&self) -> Result<(), DepotError> {
        let folder = File::open(&self.root).map_err(failed("open", &self.root))?;
        syncfs(&folder).map_err(|error| failed("write", &self.root)(error.into()))
    }

    /// Keeps [`prune`](Self::prune) away, in this and every other process, until dropped.
    ///
    /// # Errors
    /// [`DepotError`] if the lock cannot be made.
    pub fn hold(&self) -> Result<Hold, DepotError> {
        let (path, file) = self.lock_file()?;
        flock(&file, FlockOperation::LockShared)
            .map_err(|error| failed("lock", &path)(error.into()))?;
        Ok(Hold { _file: file })
    }

    /// Removes the least recently used blobs until all together have at most `limit` bytes, what
    /// is known of parts and outputs that lost theirs, and what a killed process left behind. Does
    /// nothing while a run holds the depot: the next one prunes.
    ///
    /// # Errors
    /// [`DepotError`] if the folders cannot be read.
    pub fn prune(&self, limit: u64) -> Result<Pruned, DepotError> {
        let (path, file) = self.lock_file()?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Pruned::default()),
            Err(error) => return Err(failed("lock", &path)(error.into())),
        }
        self.remove_stale_incoming()?;
        let mut blobs = self.blobs()?;
        let mut total: u64 = blobs.iter().map(|blob| blob.size).sum();
        blobs.sort_by_key(|blob| blob.used);
        let mut pruned = Pruned::default();
        for blob in blobs {
            if total <= limit {
                break;
            }
            fs::remove_file(&blob.path).map_err(failed("remove", &blob.path))?;
            total -= blob.size;
            pruned.files += 1;
            pruned.bytes += blob.size;
        }
        if pruned.files > 0 {
            self.remove_hollow::<PartRecord>()?;
            self.remove_hollow::<OutputRecord>()?;
            self.remove_hollow::<BundleRecord>()?;
        }
        Ok(pruned)
    }

    /// Marks a blob as used now; `false` if it is gone or has another size. An hour more or less
    /// does not matter, so that a look is all it costs most of the time.
    fn mark_used(&self, file: &StoredFile) -> bool {
        const FRESH: Duration = Duration::from_secs(3600);
        let path = self.blob_path(&file.digest);
        let Ok(metadata) = fs::metadata(&path) else { return false };
        let fresh = |used: SystemTime| used.elapsed().is_ok_and(|age| age < FRESH);
        if !metadata.modified().is_ok_and(fresh) {
            // A time that cannot be set only makes the blob look older than it is.
            let _ = utimensat(CWD, &path, &NOW, AtFlags::empty());
        }
        metadata.len() == file.size
    }

    fn lock_file(&self) -> Result<(PathBuf, File), DepotError> {
        fs::create_dir_all(&self.root).map_err(failed("make", &self.root))?;
        let path = self.root.join("lock");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(failed("open", &path))?;
        Ok((path, file))
    }

    /// Removes the records whose files are gone.
    fn remove_hollow<K: Kept>(&self) -> Result<(), DepotError> {
        for folder in entries(&self.root.join(K::FOLDER))? {
            for path in entries(&folder)? {
                let record: Option<K> =
                    fs::read(&path).ok().and_then(|text| kept::from_bytes(&text));
                if !record.is_some_and(|record| self.has_files(&record)) {
                    fs::remove_file(&path).map_err(failed("remove", &path))?;
                }
            }
        }
        Ok(())
    }

    fn has_files<K: Kept>(&self, record: &K) -> bool {
        record.files().iter().all(|file| {
            fs::metadata(self.blob_path(&file.digest)).is_ok_and(|m| m.len() == file.size)
        })
    }

    fn record_path<K: Kept>(&self, key: &Digest) -> PathBuf {
        self.root.join(K::FOLDER).join(key.short(2)).join(format!("{key}.json"))
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), DepotError> {
        let incoming = self.root.join("incoming");
        for folder in [path.parent().unwrap_or(&self.root), &incoming] {
            fs::create_dir_all(folder).map_err(failed("make", folder))?;
        }
        let mut file =
            tempfile::NamedTempFile::new_in(&incoming).map_err(failed("write to", &incoming))?;
        file.write_all(bytes).map_err(failed("write", path))?;
        file.as_file().set_permissions(readable()).map_err(failed("write", path))?;
        file.persist(path).map_err(|error| failed("write", path)(error.error))?;
        Ok(())
    }

    fn blobs(&self) -> Result<Vec<Blob>, DepotError> {
        let root = self.root.join("blobs");
        let mut blobs = Vec::new();
        for folder in entries(&root)? {
            for path in entries(&folder)? {
                let metadata = fs::metadata(&path).map_err(failed("read", &path))?;
                let used = metadata.modified().map_err(failed("read", &path))?;
                blobs.push(Blob { path, size: metadata.len(), used });
            }
        }
        Ok(blobs)
    }

    /// Temporary files and folders older than a day belong to no living process.
    fn remove_stale_incoming(&self) -> Result<(), DepotError> {
        for path in entries(&self.root.join("incoming"))? {
            let age = fs::metadata(&path).and_then(|m| m.modified()).map(|m| m.elapsed());
            if matches!(age, Ok(Ok(age)) if age.as_secs() > 86_400) {
                let _ = match path.is_dir() {
                    true => fs::remove_dir_all(&path),
                    false => fs::remove_file(&path),
                };
            }
        }
        Ok(())
    }
}

const NOW: Timestamps = {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    Timestamps { last_access: now, last_modification: now }
};

struct Blob {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, DepotError> {
    let list = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed("list", dir))?,
    };
    list.map(|entry| entry.map(|entry| entry.path()).map_err(failed("list", dir))).collect()
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
            return Ok(StoredFile { digest: builder.finish(), size });
        }
        builder.bytes(&buffer[..read]);
        size += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depot() -> (tempfile::TempDir, Depot) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let depot = Depot::at(dir.path(), &TenantId::local());
        (dir, depot)
    }

    fn record(depot: &Depot, data: &[u8]) -> PartRecord {
        let data = depot.put_blob(data).expect("writes");
        let index = depot.put_blob(b"index").expect("writes");
        PartRecord::for_test(data, index)
    }

    #[test]
    fn a_part_is_found_by_its_key_until_its_bytes_are_gone() {
        let (_dir, depot) = depot();
        let key = Digest::of(b"key");
        assert_eq!(depot.find::<PartRecord>(&key), None);
        let record = record(&depot, b"data");
        depot.keep(&key, &record).expect("writes");
        assert_eq!(depot.find(&key), Some(record.clone()));
        assert_eq!(depot.reuse(&key), Some(record.clone()));
        assert_eq!(depot.find::<OutputRecord>(&key), None);
        assert!(!depot.forget_damaged::<PartRecord>(&key), "it is intact");
        fs::write(depot.blob_path(&record.files()[0].digest), b"dat4").expect("writes");
        assert!(depot.find::<PartRecord>(&key).is_some(), "nobody looks at the bytes");
        assert!(depot.forget_damaged::<PartRecord>(&key));
        assert_eq!(depot.find::<PartRecord>(&key), None);
        assert_eq!(depot.reuse::<PartRecord>(&key), None);
    }

    #[test]
    fn what_is_reused_counts_as_used_last() {
        let (_dir, depot) = depot();
        let key = Digest::of(b"key");
        let record = record(&depot, &[1; 1000]);
        depot.keep(&key, &record).expect("writes");
        let other = depot.put_blob(&[2; 1000]).expect("writes");
        for file in record.files().iter().chain([&other]) {
            let path = depot.blob_path(&file.digest);
            let blob = File::options().append(true).open(path).expect("opens");
            let past = SystemTime::now() - Duration::from_secs(7200);
            blob.set_modified(past).expect("sets the time");
        }
        assert!(depot.reuse::<PartRecord>(&key).is_some());
        assert_eq!(depot.prune(1500).expect("prunes"), Pruned { files: 1, bytes: 1000 });
        assert!(depot.reuse::<PartRecord>(&key).is_some() && !depot.is_intact(&other));
    }

    #[test]
    fn what_is_kept_again_counts_as_used_last() {
        let (_dir, depot) = depot();
        let again = depot.put_blob(&[1; 1000]).expect("writes");
        let other = depot.put_blob(&[2; 1000]).expect("writes");
        for (file, hours) in [(&again, 3), (&other, 2)] {
            let path = depot.blob_path(&file.digest);
            let blob = File::options().append(true).open(path).expect("opens");
            let past = SystemTime::now() - Duration::from_secs(hours * 3600);
            blob.set_modified(past).expect("sets the time");
        }
        depot.put_blob(&[1; 1000]).expect("finds it");
        assert_eq!(depot.prune(1500).expect("prunes"), Pruned { files: 1, bytes: 1000 });
        assert!(depot.is_intact(&again) && !depot.is_intact(&other));
    }

    #[test]
    fn damage_is_seen_and_mended_by_writing_again() {
        let (_dir, depot) = depot();
        let file = depot.put_blob(b"some bytes").expect("writes");
        fs::write(depot.blob_path(&file.digest), b"some bytez").expect("writes");
        assert!(!depot.is_intact(&file));
        depot.put_blob(b"some bytes").expect("writes");
        assert!(depot.is_intact(&file));
    }

    #[test]
    fn pruning_keeps_what_was_used_last() {
        let (_dir, depot) = depot();
        let old = depot.put_blob(&[1; 1000]).expect("writes");
        let new = depot.put_blob(&[2; 1000]).expect("writes");
        let past = SystemTime::now() - std::time::Duration::from_secs(3600);
        let file = File::options().append(true).open(depot.blob_path(&old.digest)).expect("opens");
        file.set_modified(past).expect("sets the time");
        assert_eq!(depot.prune(2000).expect("prunes"), Pruned::default());
        assert_eq!(depot.prune(1500).expect("prunes"), Pruned { files: 1, bytes: 1000 });
        assert!(!depot.is_intact(&old) && depot.is_intact(&new));
    }

    #[test]
    fn nothing_is_pruned_while_a_run_holds_the_depot() {
        let (_dir, depot) = depot();
        let key = Digest::of(b"key");
        let record = record(&depot, b"data");
        depot.keep(&key, &record).expect("writes");
        let held = depot.hold().expect("holds");
        assert_eq!(depot.prune(0).expect("prunes"), Pruned::default());
        assert_eq!(depot.find(&key), Some(record));
        drop(held);
        assert_eq!(depot.prune(0).expect("prunes").files, 2);
        assert!(
            !depot.record_path::<PartRecord>(&key).exists(),
            "what is known of it goes with it"
        );
    }

    #[test]
    fn tenants_do_not_see_each_other() {
        let (dir, depot) = depot();
        let other = TenantId::new("other").expect("a tenant");
        let other = Depot::at(dir.path(), &other);
        let file = depot.put_blob(b"bytes").expect("writes");
        assert!(depot.is_intact(&file) && !other.is_intact(&file));
    }
}
