//! Room for files that are too large for memory while they are made.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use stella_model::{Digest, DigestBuilder};
use stella_pack::rows::Spool;
use tempfile::{NamedTempFile, TempDir};

use crate::{Depot, DepotError, StoredFile, failed, put_in_place};

/// A file without a name: it is gone when it is dropped, whatever happens to the process.
#[derive(Debug)]
pub struct SpoolFile {
    file: File,
    end: AtomicU64,
}

impl Spool for SpoolFile {
    fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let at = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_all_at(bytes, at)?;
        Ok(at)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }
}

/// A blob in the making: hashed as it is written, kept when it is finished.
#[derive(Debug)]
pub struct BlobWriter {
    depot: Depot,
    file: NamedTempFile,
    digest: DigestBuilder,
    size: u64,
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.bytes(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl BlobWriter {
    /// Keeps the blob under its digest.
    ///
    /// # Errors
    /// [`DepotError`] if the file cannot be renamed, or the bucket does not take it.
    pub fn finish(self) -> Result<StoredFile, DepotError> {
        let digest: Digest = self.digest.finish();
        let path = self.depot.blob_path(&digest);
        put_in_place(self.file, &path)?;
        let stored = StoredFile { digest, size: self.size };
        self.depot.share(&stored)?;
        Ok(stored)
    }
}

impl Depot {
    /// Room for bytes of this process alone.
    ///
    /// # Errors
    /// [`DepotError`] if there is none.
    pub fn spool(&self) -> Result<SpoolFile, DepotError> {
        Ok(SpoolFile { file: self.unnamed_file()?, end: AtomicU64::new(0) })
    }

    /// A file without a name, for reading and writing.
    ///
    /// # Errors
    /// [`DepotError`] if it cannot be made.
    pub fn unnamed_file(&self) -> Result<File, DepotError> {
        let incoming = self.incoming()?;
        tempfile::tempfile_in(&incoming).map_err(failed("write to", &incoming))
    }

    /// A folder of this process alone, for files that need names while they are made. It is gone when
    /// the value is dropped.
    ///
    /// # Errors
    /// [`DepotError`] if it cannot be made.
    pub fn work_folder(&self) -> Result<TempDir, DepotError> {
        let incoming = self.incoming()?;
        TempDir::new_in(&incoming).map_err(failed("write to", &incoming))
    }

    /// Begins a blob whose digest is known only at its end.
    ///
    /// # Errors
    /// [`DepotError`] if the file cannot be made.
    pub fn blob_writer(&self) -> Result<BlobWriter, DepotError> {
        let (file, digest) = (self.named_file()?, DigestBuilder::new());
        Ok(BlobWriter { depot: self.clone(), file, digest, size: 0 })
    }

    /// A file that is given its name when it is whole, and is gone if it never is.
    pub(crate) fn named_file(&self) -> Result<NamedTempFile, DepotError> {
        let incoming = self.incoming()?;
        NamedTempFile::new_in(&incoming).map_err(failed("write to", &incoming))
    }

    pub(crate) fn incoming(&self) -> Result<PathBuf, DepotError> {
        let incoming = self.root.join("incoming");
        std::fs::create_dir_all(&incoming).map_err(failed("make", &incoming))?;
        Ok(incoming)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stella_model::TenantId;

    #[test]
    fn what_is_written_in_pieces_is_kept_under_its_digest() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let depot = Depot::at(dir.path(), &TenantId::local());
        let mut writer = depot.blob_writer().expect("a file");
        for piece in [&b"some "[..], b"bytes"] {
            writer.write_all(piece).expect("writes");
        }
        let stored = writer.finish().expect("keeps");
        assert_eq!(stored, StoredFile { digest: Digest::of(b"some bytes"), size: 10 });
        assert!(depot.is_intact(&stored).expect("looks"));
    }

    #[test]
    fn a_work_folder_is_gone_with_its_files_and_a_stale_one_is_pruned() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let depot = Depot::at(dir.path(), &TenantId::local());
        let left = || std::fs::read_dir(depot.root.join("incoming")).expect("a folder").count();
        let folder = depot.work_folder().expect("a folder");
        std::fs::write(folder.path().join("file"), b"bytes").expect("writes");
        assert_eq!(left(), 1);
        drop(folder);
        assert_eq!(left(), 0);
        // As a killed process leaves it.
        let stale = depot.work_folder().expect("a folder").keep();
        std::fs::write(stale.join("file"), b"bytes").expect("writes");
        depot.prune(u64::MAX).expect("prunes");
        assert_eq!(left(), 1, "a folder of today may be in use");
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(90_000);
        File::open(&stale).and_then(|file| file.set_modified(old)).expect("sets the time");
        depot.prune(u64::MAX).expect("prunes");
        assert_eq!(left(), 0);
    }

    #[test]
    fn a_spool_gives_back_what_it_took_and_leaves_no_file() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let depot = Depot::at(dir.path(), &TenantId::local());
        let spool = depot.spool().expect("a file");
        let places: Vec<u64> = [&b"one"[..], b"three"]
            .iter()
            .map(|bytes| spool.append(bytes).expect("takes"))
            .collect();
        let mut out = [0; 5];
        spool.read_at(places[1], &mut out).expect("reads");
        assert_eq!(&out, b"three");
        assert!(spool.read_at(5, &mut [0; 9]).is_err());
        let left = std::fs::read_dir(depot.root.join("incoming")).expect("a folder").count();
        assert_eq!(left, 0);
    }
}
