//! A blob that arrives from elsewhere, over several connections if need be.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use stella_model::DigestBuilder;

use crate::{Depot, DepotError, StoredFile, failed, make_ready};

/// A blob of which a part is there. What has arrived is kept when the value is dropped, so that the
/// next one goes on there; it is no blob of the depot before all of it is there and has its digest.
#[derive(Debug)]
pub struct ArrivingBlob {
    depot: Depot,
    expected: StoredFile,
    path: PathBuf,
    file: File,
    digest: DigestBuilder,
    size: u64,
    /// Whether it is a blob of the depot already.
    is_there: bool,
}

/// What became of a blob that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is in the depot.
    Kept,
    /// What arrived is something else; it is thrown away.
    Other,
}

impl Depot {
    /// Begins to take in a blob, or goes on where it was left. Waits while somebody else takes in the
    /// same one.
    ///
    /// # Errors
    /// [`DepotError`].
    pub fn arriving(&self, expected: &StoredFile) -> Result<ArrivingBlob, DepotError> {
        let folder = self.root.join("arriving");
        fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
        let path = folder.join(expected.digest.to_string());
        let mut was_denied = false;
        let mut file = loop {
            let file = match File::options().read(true).append(true).create(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !was_denied => {
                    was_denied = true;
                    remove_read_only(&path)?;
                    continue;
                }
                opened => opened.map_err(failed("open", &path))?,
            };
            lock(&file, &path)?;
            // Whoever had it may have made a blob of it meanwhile, and a blob is written to by nobody.
            if is_at(&file, &path).map_err(failed("look at", &path))? {
                break file;
            }
        };
        if self.is_intact_here(expected) {
            // Somebody else took it in.
            fs::remove_file(&path).map_err(failed("remove", &path))?;
            let digest = DigestBuilder::new();
            let (depot, size) = (self.clone(), expected.size);
            return Ok(ArrivingBlob {
                depot,
                expected: *expected,
                path,
                file,
                digest,
                size,
                is_there: true,
            });
        }
        let (mut digest, mut size, mut buffer) = (DigestBuilder::new(), 0, vec![0; 128 << 10]);
        file.seek(SeekFrom::Start(0)).map_err(failed("read", &path))?;
        loop {
            match file.read(&mut buffer).map_err(failed("read", &path))? {
                0 => break,
                read => {
                    digest.bytes(&buffer[..read]);
                    size += read as u64;
                }
            }
        }
        if size > expected.size {
            // Something else was here under this name.
            file.set_len(0).map_err(failed("write", &path))?;
            (digest, size) = (DigestBuilder::new(), 0);
        }
        let (depot, is_there) = (self.clone(), false);
        Ok(ArrivingBlob { depot, expected: *expected, path, file, digest, size, is_there })
    }
}

impl ArrivingBlob {
    /// Bytes that are there: where to go on.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes in the next bytes; of more than are expected none.
    ///
    /// # Errors
    /// [`DepotError`] if they cannot be written.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), DepotError> {
        if self.size + bytes.len() as u64 > self.expected.size {
            let long = io::Error::other("more arrives than was announced");
            return Err(failed("write", &self.path)(long));
        }
        self.file.write_all(bytes).map_err(failed("write", &self.path))?;
        self.digest.bytes(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Makes it a blob of the depot, if it is the one that was expected.
    ///
    /// # Errors
    /// [`DepotError`] if it cannot be kept.
    pub fn finish(self) -> Result<Arrival, DepotError> {
        let ArrivingBlob { depot, expected, path, file, digest, size, is_there } = self;
        if is_there {
            depot.share(&expected)?;
            return Ok(Arrival::Kept);
        }
        if size != expected.size || digest.finish() != expected.digest {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
            return Ok(Arrival::Other);
        }
        let blob = depot.blob_path(&expected.digest);
        make_ready(&file, &blob)?;
        fs::rename(&path, &blob).map_err(failed("write", &blob))?;
        depot.share(&expected)?;
        Ok(Arrival::Kept)
    }
}

/// Removes a file that was made ready for its name and never got it, since whoever did that was killed.
/// Waits for one who is about to name it.
fn remove_read_only(path: &Path) -> Result<(), DepotError> {
    let file = match File::open(path) {
        // It has its name by now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(failed("open", path))?,
    };
    lock(&file, path)?;
    match is_at(&file, path).map_err(failed("look at", path))? {
        true => fs::remove_file(path).map_err(failed("remove", path)),
        false => Ok(()),
    }
}

/// Removes a file that arrived in part, unless somebody has it: then it may yet become whole.
pub(crate) fn remove_unless_held(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    let is_free = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    // Another one may have its name by now. Whoever opened this one and waits for the lock sees that it is
    // gone, and begins anew.
    if is_free && is_at(&file, path).is_ok_and(|is_at| is_at) {
        let _ = fs::remove_file(path);
    }
}

fn lock(file: &File, path: &Path) -> Result<(), DepotError> {
    flock(file, FlockOperation::LockExclusive).map_err(|error| failed("lock", path)(error.into()))
}

/// Whether an open file is the one that has this name.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let of = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match fs::symlink_metadata(path) {
        Ok(there) => Ok(of(there) == of(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stella_model::{Digest, TenantId};

    fn depot() -> (tempfile::TempDir, Depot) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let depot = Depot::at(dir.path(), &TenantId::local());
        (dir, depot)
    }

    #[test]
    fn a_blob_that_was_interrupted_goes_on_at_its_byte() {
        let (_dir, depot) = depot();
        let expected = StoredFile { digest: Digest::of(b"some bytes"), size: 10 };
        let mut first = depot.arriving(&expected).expect("begins");
        first.take(b"some ").expect("takes");
        drop(first);
        assert!(!depot.is_intact(&expected).expect("looks"));
        let mut second = depot.arriving(&expected).expect("goes on");
        assert_eq!(second.size(), 5);
        second.take(b"bytes").expect("takes");
        assert_eq!(second.finish().expect("ends"), Arrival::Kept);
        assert!(depot.is_intact(&expected).expect("looks"));
    }

    #[test]
    fn what_was_made_ready_and_never_named_keeps_nobody_from_fetching_it_again() {
        for left in [&b"some bytes"[..], b"some "] {
            let (_dir, depot) = depot();
            let expected = StoredFile::of(b"some bytes");
            let mut first = depot.arriving(&expected).expect("begins");
            first.take(left).expect("takes");
            make_ready(&first.file, &depot.blob_path(&expected.digest)).expect("is its owner");
            drop(first);
            // Root goes on with it, anybody else begins anew.
            let mut second = depot.arriving(&expected).expect("begins");
            let there = usize::try_from(second.size()).expect("is small");
            assert!([0, left.len()].contains(&there), "{there}");
            second.take(&b"some bytes"[there..]).expect("takes");
            assert_eq!(second.finish().expect("ends"), Arrival::Kept);
            assert!(depot.is_intact(&expected).expect("looks"));
        }
    }

    #[test]
    fn what_is_read_only_is_removed_once_nobody_has_it() {
        let (_dir, depot) = depot();
        let expected = StoredFile::of(b"some bytes");
        let first = depot.arriving(&expected).expect("begins");
        let path = first.path.clone();
        make_ready(&first.file, &depot.blob_path(&expected.digest)).expect("is its owner");
        std::thread::scope(|scope| {
            let second = scope.spawn(|| remove_read_only(&path));
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert!(path.exists(), "somebody has it");
            drop(first);
            second.join().expect("ends").expect("removes");
        });
        assert!(!path.exists());
        remove_read_only(&path).expect("is gone already");
    }

    #[test]
    fn what_nobody_goes_on_with_for_a_day_is_thrown_away() {
        let (_dir, depot) = depot();
        let left = || fs::read_dir(depot.root.join("arriving")).expect("a folder").count();
        let expected = StoredFile::of(b"some bytes");
        let mut first = depot.arriving(&expected).expect("begins");
        first.take(b"some ").expect("takes");
        drop(first);
        depot.prune(u64::MAX).expect("prunes");
        assert_eq!(left(), 1, "somebody may go on with what came today");
        let second = depot.arriving(&expected).expect("goes on");
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(90_000);
        second.file.set_modified(old).expect("sets the time");
        depot.prune(u64::MAX).expect("prunes");
        assert_eq!((left(), second.size()), (1, 5), "somebody has it");
        drop(second);
        depot.prune(u64::MAX).expect("prunes");
        assert_eq!(left(), 0);
    }

    #[test]
    fn two_who_take_in_the_same_blob_come_one_after_the_other() {
        let (_dir, depot) = depot();
        let expected = StoredFile { digest: Digest::of(b"some bytes"), size: 10 };
        let mut first = depot.arriving(&expected).expect("begins");
        std::thread::scope(|scope| {
            let second = scope.spawn(|| depot.arriving(&expected).expect("waits"));
            std::thread::sleep(std::time::Duration::from_millis(50));
            first.take(b"some bytes").expect("takes");
            assert_eq!(first.finish().expect("ends"), Arrival::Kept);
            let second = second.join().expect("ends");
            assert_eq!(second.size(), 10, "nothing is left to fetch");
            assert_eq!(second.finish().expect("ends"), Arrival::Kept);
        });
        assert!(depot.is_intact(&expected).expect("looks"));
        // One that is announced with another size touches no blob.
        let other = StoredFile { size: 3, ..expected };
        assert_eq!(depot.arriving(&other).expect("begins").size(), 0);
        assert!(depot.is_intact(&expected).expect("looks"));
    }

    #[test]
    fn what_is_not_what_was_announced_is_thrown_away() {
        let (_dir, depot) = depot();
        let expected = StoredFile { digest: Digest::of(b"some bytes"), size: 10 };
        let mut other = depot.arriving(&expected).expect("begins");
        other.take(b"some bytez").expect("takes");
        assert!(other.take(b"!").is_err(), "it is too long");
        assert_eq!(other.finish().expect("ends"), Arrival::Other);
        assert!(!depot.is_intact(&expected).expect("looks"));
        assert_eq!(depot.arriving(&expected).expect("begins").size(), 0);
    }
}
