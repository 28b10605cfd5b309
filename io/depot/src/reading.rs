//! Reading blobs, wherever they are.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::Path;

use crate::objects::{Objects, WINDOW};
use crate::{Depot, DepotError, StoredFile, blob_name, failed, put_in_place};

impl Depot {
    /// Opens a blob for reading from its start. One that is in the bucket alone is fetched first.
    ///
    /// # Errors
    /// [`DepotError`] if it is not there, has another size, or is fetched and does not have its
    /// digest; and if the bucket does not answer.
    pub fn open(&self, blob: &StoredFile) -> Result<File, DepotError> {
        let path = self.blob_path(&blob.digest);
        match (open_of_size(&path, blob.size), &self.objects) {
            (Ok(file), _) => {
                self.mark_used(&path);
                Ok(file)
            }
            (Err(error), None) => Err(failed("read", &path)(error)),
            (Err(_), Some(objects)) => {
                self.fetch(objects, blob)?;
                open_of_size(&path, blob.size).map_err(failed("read", &path))
            }
        }
    }

    /// Opens a blob for reading from its start, if the folder of this machine has it.
    ///
    /// # Errors
    /// Any I/O error; also if it does not have its size any more.
    pub fn open_here(&self, blob: &StoredFile) -> io::Result<File> {
        open_of_size(&self.blob_path(&blob.digest), blob.size)
    }

    /// Sees to it that a blob which is in the depot is in the folder, at [`blob_path`](Self::blob_path).
    ///
    /// # Errors
    /// As [`open`](Self::open) has them.
    pub fn bring(&self, blob: &StoredFile) -> Result<(), DepotError> {
        match self.objects {
            Some(_) => self.open(blob).map(drop),
            None => Ok(()),
        }
    }

    /// Brings a blob from the bucket into the folder, and looks at every byte of it.
    fn fetch(&self, objects: &Objects, blob: &StoredFile) -> Result<(), DepotError> {
        let (name, path) = (blob_name(&blob.digest), self.blob_path(&blob.digest));
        let mut file = self.named_file()?;
        if objects.read(&name, blob.size, &mut file)? != *blob {
            return Err(DepotError::other_bytes("read", objects.what(&name)));
        }
        file.flush().map_err(failed("write", &path))?;
        put_in_place(file, &path)
    }

    /// Reads a range of a blob. Nothing is opened or asked for before the first byte is read.
    ///
    /// From a bucket small blobs are fetched into the folder and hashed. Of large ones only the range is
    /// asked for, a few megabytes at once, and nobody looks at their digest: who gets the bytes does.
    #[must_use]
    pub fn reader(&self, blob: &StoredFile, range: Range<u64>) -> BlobReader {
        BlobReader { depot: self.clone(), blob: *blob, range, source: Source::Unopened }
    }
}

fn open_of_size(path: &Path, size: u64) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.len() != size {
        return Err(io::Error::other("the file has another size than it was stored with"));
    }
    Ok(file)
}

/// Reads a range of a blob.
#[derive(Debug)]
pub struct BlobReader {
    depot: Depot,
    blob: StoredFile,
    /// What is still to be read.
    range: Range<u64>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Unopened,
    /// At the beginning of the range.
    File(File),
    /// What was asked for of an object, and not read yet.
    Windows(io::Cursor<Vec<u8>>),
}

impl BlobReader {
    fn opened(&self) -> io::Result<Source> {
        let path = self.depot.blob_path(&self.blob.digest);
        let file = match &self.depot.objects {
            // What is shorter than it was is found when its end is missed.
            None => File::open(&path)?,
            Some(_) => match open_of_size(&path, self.blob.size) {
                Ok(file) => file,
                Err(_) if self.blob.size > WINDOW => {
                    return Ok(Source::Windows(io::Cursor::default()));
                }
                Err(_) => self.depot.open(&self.blob).map_err(DepotError::into_io)?,
            },
        };
        let mut file = file;
        file.seek(SeekFrom::Start(self.range.start))?;
        Ok(Source::File(file))
    }

    fn next_window(&self) -> io::Result<Vec<u8>> {
        let end = self.range.end.min(self.range.start + WINDOW);
        let objects = self.depot.objects.as_ref();
        let objects = objects.ok_or_else(|| io::Error::other("there is no bucket"))?;
        let name = blob_name(&self.blob.digest);
        objects.range(&name, self.range.start..end).map_err(DepotError::into_io)
    }
}

impl Read for BlobReader {
    /// # Errors
    /// Also if the blob is gone or shorter than it was.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.range.end.saturating_sub(self.range.start);
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if let Source::Unopened = self.source {
            self.source = self.opened()?;
        }
        if let Source::Windows(window) = &self.source
            && window.position() == window.get_ref().len() as u64
        {
            self.source = Source::Windows(io::Cursor::new(self.next_window()?));
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = match &mut self.source {
            Source::Unopened => 0,
            Source::File(file) => file.read(&mut buffer[..most])?,
            Source::Windows(window) => window.read(&mut buffer[..most])?,
        };
        if read == 0 {
            let short = "a stored file is shorter than it was";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, short));
        }
        self.range.start += read as u64;
        Ok(read)
    }
}
