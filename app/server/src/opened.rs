//! A bundle that is open, for any number of requests.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use stella_depot::{BlobReader, BundleRecord, Depot, KeptBundle, Slice, StoredFile, VirtualTar};
use stella_model::Digest;

use crate::api::Problem;
use crate::listener::direct::LARGEST;

/// Files of a bundle that stay open at most.
const FILES: usize = 64;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// Least bytes of a file that are worth being sent on their own.
const LARGE: u64 = 32 << 10;

/// A bundle in the depot, with the tar that it is and the files that were opened last.
pub(crate) struct Opened {
    depot: Depot,
    bundle: KeptBundle,
    tar: VirtualTar,
    files: Mutex<VecDeque<(Digest, Arc<File>)>>,
}

impl Opened {
    /// A bundle of a depot.
    pub(crate) fn new(depot: Depot, bundle: KeptBundle) -> Result<Opened, Problem> {
        let tar = VirtualTar::new(depot.clone(), bundle.record()).map_err(Problem::internal)?;
        Ok(Opened { depot, bundle, tar, files: Mutex::default() })
    }

    /// Its files by name.
    pub(crate) fn bundle(&self) -> &KeptBundle {
        &self.bundle
    }

    /// What it consists of.
    pub(crate) fn record(&self) -> &BundleRecord {
        self.bundle.record()
    }

    /// All of it as one tar.
    pub(crate) fn tar(&self) -> &VirtualTar {
        &self.tar
    }

    /// A file of it that is open already.
    pub(crate) fn file(&self, stored: &StoredFile) -> Option<Arc<File>> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let found = files.iter().find(|(digest, _)| *digest == stored.digest);
        found.map(|(_, file)| file.clone())
    }

    /// Opens a file of it, if this machine has it whole; may wait for a disk.
    pub(crate) fn open(&self, stored: &StoredFile) -> Option<Arc<File>> {
        let file = Arc::new(self.depot.open_here(stored).ok()?);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= FILES {
            files.pop_front();
        }
        files.push_back((stored.digest, file.clone()));
        Some(file)
    }
}

/// What of a bundle is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    /// All of it, as one tar.
    Tar,
    /// A file of it.
    File(StoredFile),
}

/// What is left of a range of a bundle.
pub(crate) struct Rest {
    opened: Arc<Opened>,
    of: Of,
    /// What comes after the file that is read.
    range: Range<u64>,
    file: Option<Reading>,
}

/// A file that is read.
struct Reading {
    stored: StoredFile,
    /// What is left of it.
    range: Range<u64>,
    reader: Option<BlobReader>,
}

impl Rest {
    /// A range of a bundle; what lies beyond the end is left out.
    pub(crate) fn new(opened: Arc<Opened>, of: Of, range: Range<u64>) -> Rest {
        Rest { opened, of, range, file: None }
    }

    /// What comes after the file that is read.
    fn next(&mut self) -> Option<Slice> {
        let slice = match self.of {
            Of::Tar => self.opened.tar.slices(self.range.clone()).next()?,
            Of::File(_) if self.range.is_empty() => return None,
            Of::File(stored) => Slice::File { stored, range: self.range.clone() },
        };
        self.range.start += slice.size();
        Some(slice)
    }

    /// The bytes up to the next file, which are in no file.
    pub(crate) fn computed(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.compute(&mut bytes);
        bytes
    }

    fn compute(&mut self, into: &mut Vec<u8>) {
        while self.file.is_none() && into.len() < PIECE {
            match self.next() {
                Some(Slice::Bytes(bytes)) => into.extend(bytes),
                Some(Slice::File { stored, range }) => {
                    self.file = Some(Reading { stored, range, reader: None });
                }
                None => return,
            }
        }
    }

    /// The range of a file that comes next, as much of it as can be sent at once, if it is a large one.
    pub(crate) fn large(&self) -> Option<(&Arc<Opened>, StoredFile, Range<u64>)> {
        let file = self.file.as_ref().filter(|file| file.is_large())?;
        let end = file.range.end.min(file.range.start + LARGEST as u64);
        Some((&self.opened, file.stored, file.range.start..end))
    }

    /// Passes over bytes of the file that comes next, which somebody else sends.
    pub(crate) fn pass(&mut self, bytes: u64) {
        if let Some(file) = &mut self.file {
            file.reader = None;
            file.range.start += bytes;
        }
        self.close_if_read();
    }

    /// Reads what comes next, a piece of it at most; with `ends_at_large` no more than what comes
    /// before a large file. Nothing is read at the end alone.
    ///
    /// # Errors
    /// Also if a file is gone or shorter than it was.
    pub(crate) fn read(&mut self, into: &mut Vec<u8>, ends_at_large: bool) -> io::Result<()> {
        loop {
            self.compute(into);
            let Some(file) = &mut self.file else { return Ok(()) };
            let left = PIECE.saturating_sub(into.len());
            if left == 0 || (ends_at_large && !into.is_empty() && file.is_large()) {
                return Ok(());
            }
            let (depot, stored, range) = (&self.opened.depot, &file.stored, file.range.clone());
            let reader = file.reader.get_or_insert_with(|| depot.reader(stored, range));
            into.reserve(left.min(usize::try_from(stored.size).unwrap_or(left)));
            let read = reader.take(left as u64).read_to_end(into)?;
            file.range.start += read as u64;
            self.close_if_read();
        }
    }

    fn close_if_read(&mut self) {
        if self.file.as_ref().is_some_and(|file| file.range.is_empty()) {
            self.file = None;
        }
    }
}

impl Reading {
    fn is_large(&self) -> bool {
        self.range.end - self.range.start >= LARGE
    }
}
