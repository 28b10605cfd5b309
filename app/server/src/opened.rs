//! A bundle that is open, for any number of requests.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use stella_depot::{BlobReader, BundleRecord, Depot, KeptBundle, Slice, StoredFile, VirtualTar};
use stella_model::Digest;

use crate::api::Problem;
use crate::listener::direct::{LARGEST, Outbox, is_in_memory, read_from_memory};

/// Files of a bundle that stay open at most.
const FILES: usize = 32;

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

    /// A file of it, if this machine has it whole. That it is there was looked at a moment ago, so that
    /// opening it waits for no disk. Large ones stay open: of small ones nobody asks for ranges.
    fn open(&self, stored: &StoredFile) -> Option<Arc<File>> {
        if stored.size < LARGE {
            return self.depot.open_here(stored).ok().map(Arc::new);
        }
        let found = {
            let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            files.iter().find(|(digest, _)| *digest == stored.digest).map(|(_, file)| file.clone())
        };
        if found.is_some() {
            return found;
        }
        let file = Arc::new(self.depot.open_here(stored).ok()?);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        // Two may have looked for it at once.
        files.retain(|(digest, _)| *digest != stored.digest);
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
    /// What sends large files as they are, where the connection has it.
    outbox: Option<Outbox>,
}

/// A file that is read.
struct Reading {
    stored: StoredFile,
    /// What is left of it.
    range: Range<u64>,
    /// The file, if this machine has it.
    file: Option<Arc<File>>,
    reader: Option<BlobReader>,
}

impl Rest {
    /// A range of a bundle; what lies beyond the end is left out.
    pub(crate) fn new(
        opened: Arc<Opened>,
        of: Of,
        range: Range<u64>,
        outbox: Option<Outbox>,
    ) -> Rest {
        Rest { opened, of, range, file: None, outbox }
    }

    /// Whether nothing is left.
    pub(crate) fn is_over(&self) -> bool {
        self.file.is_none() && self.range.is_empty()
    }

    /// What comes next and is in memory, a piece of it at most; waits for no disk. Nothing if what comes
    /// next is not, and at the end.
    pub(crate) fn ready(&mut self) -> Bytes {
        let mut bytes = Vec::new();
        loop {
            self.compute(&mut bytes);
            let left = PIECE.saturating_sub(bytes.len());
            let Some(reading) = self.file.as_mut().filter(|_| left > 0) else { break };
            if let Some(outbox) = self.outbox.as_ref().filter(|_| reading.is_large()) {
                if !bytes.is_empty() {
                    break;
                }
                let piece = reading.put_into(outbox);
                self.close_if_read();
                return piece.unwrap_or_default();
            }
            if reading.read_from_memory(left, &mut bytes) == 0 {
                break;
            }
            self.close_if_read();
        }
        Bytes::from(bytes)
    }

    /// Reads what comes next, a piece of it at most, from wherever it is. Nothing is read at the end
    /// alone.
    ///
    /// # Errors
    /// Also if a file is gone or shorter than it was.
    pub(crate) fn read(&mut self) -> io::Result<Bytes> {
        let mut bytes = Vec::new();
        self.compute(&mut bytes);
        let Some(reading) = &mut self.file else { return Ok(Bytes::from(bytes)) };
        let depot = &self.opened.depot;
        let reader = reading
            .reader
            .get_or_insert_with(|| depot.reader(&reading.stored, reading.range.clone()));
        let most = reading.range.end - reading.range.start;
        let most = most.min(PIECE.saturating_sub(bytes.len()) as u64);
        let read = reader.take(most).read_to_end(&mut bytes)?;
        reading.range.start += read as u64;
        self.close_if_read();
        Ok(Bytes::from(bytes))
    }

    /// Adds the bytes up to the next file, which are in no file, and goes on to that.
    fn compute(&mut self, into: &mut Vec<u8>) {
        while self.file.is_none() && into.len() < PIECE {
            match self.next() {
                Some(Slice::Bytes(bytes)) => into.extend(bytes),
                Some(Slice::File { stored, range }) => {
                    let file = self.opened.open(&stored);
                    self.file = Some(Reading { stored, range, file, reader: None });
                }
                None => return,
            }
        }
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

    fn close_if_read(&mut self) {
        if self.file.as_ref().is_some_and(|reading| reading.range.is_empty()) {
            self.file = None;
        }
    }
}

impl Reading {
    fn is_large(&self) -> bool {
        self.range.end - self.range.start >= LARGE
    }

    /// Has as much of it sent as can be at once; gives what stands for that. None if it is not in
    /// memory.
    fn put_into(&mut self, outbox: &Outbox) -> Option<Bytes> {
        let file = self.file.as_ref()?;
        let end = self.range.end.min(self.range.start + LARGEST as u64);
        let range = self.range.start..end;
        if !is_in_memory(file, &range) {
            return None;
        }
        self.pass(end);
        let file = self.file.clone()?;
        Some(outbox.put(file, range))
    }

    /// Reads what of it is in memory, so many bytes at most; gives how many.
    fn read_from_memory(&mut self, most: usize, into: &mut Vec<u8>) -> usize {
        let Some(file) = &self.file else { return 0 };
        let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let read = read_from_memory(file, self.range.start, most.min(left), into);
        self.pass(self.range.start + read as u64);
        read
    }

    /// Goes on at a byte: what was read by another way is not read again.
    fn pass(&mut self, at: u64) {
        if at > self.range.start {
            self.reader = None;
            self.range.start = at;
        }
    }
}
