//! A bundle that is open, for any number of requests.
//!
//! Its tar is laid out once, in stretches: each large file is one and goes out as it is; what lies
//! between two of them, headers and small files, is put together in pieces that are kept for a while.
//! One that is fetched again and again is laid into one file.

mod laid;
mod rest;

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use stella_depot::{BundleRecord, Depot, KeptBundle, Slice, StoredFile, VirtualTar};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::Problem;
use crate::descriptors;
use crate::listener::direct::{LARGEST, is_in_memory, read_from_memory};

pub(crate) use self::laid::Laid;
pub(crate) use self::rest::{Of, Rest};

/// Bytes that are read at once, or put together.
const PIECE: u64 = 256 << 10;

/// Least bytes of a file that are worth being sent on their own.
const LARGE: u64 = 32 << 10;

/// Files of all bundles that are kept open at most, besides those that are being sent.
const FILES: u64 = 1024;

/// Bytes of all bundles that are kept put together at most.
const BYTES: usize = 32 << 20;

/// How long a file that was in memory is believed to be.
const MOMENT: Duration = Duration::from_secs(1);

/// What bundles that are open may keep, all of them together.
pub(crate) struct Room {
    files: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    laid: Arc<Semaphore>,
    /// Bundles are laid into files one at a time: it keeps a disk busy.
    laying: Semaphore,
}

impl Default for Room {
    fn default() -> Room {
        let files = usize::try_from(descriptors::quarter().min(FILES)).unwrap_or(0);
        let room = |most| Arc::new(Semaphore::new(most));
        let (files, bytes, laid) = (room(files), room(BYTES), room(laid::MOST));
        Room { files, bytes, laid, laying: Semaphore::new(1) }
    }
}

/// A bundle in the depot, with the tar that it is.
pub(crate) struct Opened {
    depot: Depot,
    bundle: KeptBundle,
    tar: VirtualTar,
    layout: Vec<Stretch>,
    /// What is kept of each stretch.
    kept: Vec<Mutex<Option<Kept>>>,
    /// All of it, if it was worth being laid into one file.
    laid: Arc<Laid>,
    room: Arc<Room>,
    /// Whether another one is open in its place, so that it keeps nothing.
    is_left: AtomicBool,
}

/// What is kept of a stretch, and the room that it takes.
struct Kept {
    what: What,
    _room: OwnedSemaphorePermit,
}

enum What {
    /// The file that it is, and when all of it was last in memory.
    File(Arc<File>, Option<Instant>),
    /// Its bytes.
    Bytes(Bytes),
}

/// Bytes of a tar that are read in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    /// Where they begin in the tar.
    at: u64,
    size: u64,
    /// The file that they are; without one they are put together.
    file: Option<StoredFile>,
}

/// The stretches of a tar, in order and without gaps.
fn layout(tar: &VirtualTar) -> Vec<Stretch> {
    let mut layout = Vec::new();
    // Where the bytes begin that are in no stretch yet, and where the slice begins.
    let (mut begin, mut at) = (0, 0);
    let put_together = |layout: &mut Vec<Stretch>, range: Range<u64>| {
        layout.extend(range.clone().step_by(PIECE as usize).map(|at| {
            let size = PIECE.min(range.end - at);
            Stretch { at, size, file: None }
        }));
    };
    for slice in tar.slices(0..tar.size()) {
        let size = slice.size();
        if let Slice::File { stored, .. } = slice
            && size >= LARGE
        {
            put_together(&mut layout, begin..at);
            layout.push(Stretch { at, size, file: Some(stored) });
            begin = at + size;
        }
        at += size;
    }
    put_together(&mut layout, begin..at);
    layout
}

impl Opened {
    /// A bundle of a depot, of which some may be open already.
    pub(crate) fn new(
        depot: Depot,
        bundle: KeptBundle,
        laid: Arc<Laid>,
        room: Arc<Room>,
    ) -> Result<Opened, Problem> {
        let tar = VirtualTar::new(depot.clone(), bundle.record()).map_err(Problem::internal)?;
        let layout = layout(&tar);
        let kept = layout.iter().map(|_| Mutex::default()).collect();
        let is_left = AtomicBool::new(false);
        Ok(Opened { depot, bundle, tar, layout, kept, laid, room, is_left })
    }

    /// Whether the tar lies in one file, so that nothing of it has to be looked for in the depot.
    pub(crate) fn is_laid(&self) -> bool {
        self.laid.file().is_some()
    }

    /// Lays the tar into one file, which whoever fetches it goes on with. Nothing depends on it.
    pub(crate) fn lay(&self) {
        if let Ok(_alone) = self.room.laying.try_acquire()
            && let Err(error) = self.laid.make(self, &self.room.laid)
        {
            let (bundle, error) = (self.tar.identity(), format!("{error:#}"));
            tracing::error!(%bundle, error, "a bundle could not be laid into one file");
        }
        self.laid.was_tried();
    }

    /// Lets go of what it keeps, for good. Whoever still fetches it does without.
    pub(crate) fn leave(&self) {
        self.is_left.store(true, Ordering::SeqCst);
        for at in 0..self.kept.len() {
            *self.kept(at) = None;
        }
    }

    /// What is kept of a stretch.
    fn kept(&self, at: usize) -> MutexGuard<'_, Option<Kept>> {
        self.kept[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps something of a stretch, if there is room for it.
    fn keep(&self, number: usize, what: What) {
        let (room, takes) = match &what {
            What::File(..) => (&self.room.files, 1),
            What::Bytes(bytes) => (&self.room.bytes, bytes.len()),
        };
        let takes = u32::try_from(takes).unwrap_or(u32::MAX);
        if let Ok(room) = room.clone().try_acquire_many_owned(takes) {
            let mut kept = self.kept(number);
            // Looked at under the lock: nothing is kept once it was left.
            if !self.is_left.load(Ordering::SeqCst) {
                *kept = Some(Kept { what, _room: room });
            }
        }
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

    /// The number of the stretch that has a byte of the tar, and the stretch.
    fn stretch(&self, at: u64) -> Option<(usize, &Stretch)> {
        let after = self.layout.partition_point(|stretch| stretch.at <= at);
        let number = after.checked_sub(1)?;
        Some((number, self.layout.get(number)?))
    }

    /// The file that a stretch is, if this machine has it whole. That it is there was looked at a moment
    /// ago, so that opening it waits for no disk.
    fn file(&self, number: usize, stored: &StoredFile) -> Option<Arc<File>> {
        if let Some(Kept { what: What::File(file, _), .. }) = &*self.kept(number) {
            return Some(file.clone());
        }
        let file = Arc::new(self.depot.open_here(stored).ok()?);
        self.keep(number, What::File(file.clone(), None));
        Some(file)
    }

    /// The bytes of a stretch that are put together. With [`Wait::No`] none, if a file in it is not in
    /// memory.
    fn put_together(&self, number: usize, wait: Wait) -> io::Result<Option<Bytes>> {
        if let Some(Kept { what: What::Bytes(bytes), .. }) = &*self.kept(number) {
            return Ok(Some(bytes.clone()));
        }
        let stretch = self.layout[number];
        let range = stretch.at..stretch.at + stretch.size;
        let mut bytes = Vec::with_capacity(PIECE as usize);
        match wait {
            Wait::ForDisks => {
                self.tar.reader(range).read_to_end(&mut bytes)?;
            }
            Wait::No => {
                let mut slices = self.tar.slices(range);
                if !slices.all(|slice| self.add_from_memory(slice, &mut bytes)) {
                    return Ok(None);
                }
            }
        }
        bytes.shrink_to_fit();
        let bytes = Bytes::from(bytes);
        self.keep(number, What::Bytes(bytes.clone()));
        Ok(Some(bytes))
    }

    /// Whether a range of the file that a stretch is lies in memory, or all of the file did a moment ago.
    fn is_in_memory(&self, number: usize, file: &File, range: &Range<u64>) -> bool {
        let size = self.layout[number].size;
        let mut kept = self.kept(number);
        let Some(Kept { what: What::File(_, seen), .. }) = &mut *kept else {
            return is_in_memory(file, range);
        };
        if size > LARGEST as u64 {
            return is_in_memory(file, range);
        }
        if seen.is_none_or(|at| at.elapsed() >= MOMENT) {
            *seen = is_in_memory(file, &(0..size)).then(Instant::now);
        }
        seen.is_some()
    }

    /// Adds a slice of the tar; gives whether all of it was in memory.
    fn add_from_memory(&self, slice: Slice, into: &mut Vec<u8>) -> bool {
        match slice {
            Slice::Bytes(computed) => into.extend(computed),
            Slice::File { stored, range } => {
                let Ok(file) = self.depot.open_here(&stored) else { return false };
                let size = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                return read_from_memory(&file, range.start, size, into) == size;
            }
        }
        true
    }
}

/// Whether bytes that are not in memory are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    No,
    ForDisks,
}

#[cfg(test)]
mod tests {
    use stella_depot::{BundleFile, DepotError};
    use stella_model::TenantId;

    use super::*;

    const SIZES: [usize; 8] = [700, 40_000, 0, 100, 33_000, (2 << 20) + 9, 1, LARGE as usize];

    /// A bundle with files of these sizes and so many small ones, open, and its tar.
    fn bundle(dir: &std::path::Path, small: usize) -> (Arc<Opened>, Vec<u8>) {
        let depot = Depot::at(dir, &TenantId::local());
        let sizes = SIZES.into_iter().chain((0..small).map(|at| 9_000 + at));
        let files = sizes.enumerate().map(|(number, size)| {
            let bytes: Vec<u8> = (0..size).map(|at| ((at + number) % 251) as u8).collect();
            let name = format!("file-{number:03}").parse().expect("a name");
            BundleFile { name, stored: depot.put_blob(&bytes).expect("keeps") }
        });
        let record = BundleRecord::read(&depot, files.collect(), |_| Ok::<_, DepotError>(()));
        let record = record.expect("is whole");
        let bundle = KeptBundle::new(depot.clone(), record);
        let opened = Opened::new(depot, bundle, Arc::default(), Arc::default()).expect("is small");
        let mut all = Vec::new();
        opened.tar.reader(0..u64::MAX).read_to_end(&mut all).expect("reads");
        (Arc::new(opened), all)
    }

    /// All of a range: what is in memory at once, everything else by waiting; or all by waiting.
    fn read(opened: &Arc<Opened>, range: Range<u64>, wait: Wait) -> Vec<u8> {
        let mut rest = Rest::new(opened.clone(), Of::Tar, range, None);
        let mut all = Vec::new();
        while !rest.is_over() {
            let ready = if wait == Wait::No { rest.ready() } else { Bytes::new() };
            let piece = if ready.is_empty() { rest.read().expect("reads") } else { ready };
            assert!(!piece.is_empty() && piece.len() as u64 <= PIECE, "{}", piece.len());
            all.extend(piece);
        }
        all
    }

    #[test]
    fn stretches_lie_one_after_the_other_and_large_files_are_alone() {
        let dir = stella_testkit::temp_dir();
        let (opened, all) = bundle(dir.path(), 90);
        let mut at = 0;
        for stretch in &opened.layout {
            assert_eq!((stretch.at, stretch.size > 0), (at, true), "{stretch:?}");
            match stretch.file {
                Some(stored) => assert!(stored.size == stretch.size && stored.size >= LARGE),
                None => assert!(stretch.size <= PIECE),
            }
            at += stretch.size;
        }
        assert_eq!(at, all.len() as u64);
        let files = opened.layout.iter().filter(|stretch| stretch.file.is_some()).count();
        assert_eq!(files, SIZES.iter().filter(|size| **size as u64 >= LARGE).count());
    }

    #[test]
    fn any_range_is_that_of_the_whole() {
        let dir = stella_testkit::temp_dir();
        let (opened, all) = bundle(dir.path(), 90);
        let end = all.len() as u64;
        let mut ends: Vec<u64> = opened.layout.iter().map(|stretch| stretch.at).collect();
        ends.extend([0, 1, 511, 512, 513, end - 1024, end - 1, end]);
        for wait in [Wait::ForDisks, Wait::No] {
            assert!(read(&opened, 0..u64::MAX, wait) == all);
            for (number, first) in ends.iter().enumerate() {
                for last in [first + 1, first + 700, ends[number * 7 % ends.len()], end] {
                    let last = last.min(end);
                    if *first < last {
                        let expected = &all[*first as usize..last as usize];
                        assert!(read(&opened, *first..last, wait) == expected, "{first}..{last}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_fetched_lately_is_not_looked_for_again() {
        let dir = stella_testkit::temp_dir();
        let (opened, all) = bundle(dir.path(), 3);
        assert!(read(&opened, 0..u64::MAX, Wait::No) == all);
        std::fs::remove_dir_all(dir.path()).expect("is there");
        let again = |range| {
            let mut rest = Rest::new(opened.clone(), Of::Tar, range, None);
            let mut bytes = Vec::new();
            while !rest.is_over() {
                let ready = rest.ready();
                // Some file systems cannot tell what is in memory: then nothing can be had.
                if ready.is_empty() {
                    return None;
                }
                bytes.extend(ready);
            }
            Some(bytes)
        };
        assert!(again(0..u64::MAX).is_none_or(|bytes| bytes == all));
        let end = opened.layout[0].size;
        assert_eq!(again(0..end).expect("is kept"), all[..end as usize]);
    }

    #[test]
    fn what_is_fetched_again_comes_from_one_file() {
        let dir = stella_testkit::temp_dir();
        let (opened, all) = bundle(dir.path(), 90);
        let size = all.len() as u64;
        let is_due = |sent: [u64; 5]| sent.map(|bytes| opened.laid.is_due(bytes, size));
        let once = [false, false, true, false, false];
        assert_eq!(is_due([size - 1, 1, 1, size, size]), once);
        // Nothing came of it: it is tried again after as much.
        opened.laid.was_tried();
        assert_eq!(is_due([1, size - 1, 1, 1, size]), once);
        // Whoever is in the middle of it goes on with the file.
        let mut rest = Rest::new(opened.clone(), Of::Tar, 0..u64::MAX, None);
        let first = rest.read().expect("reads");
        opened.lay();
        std::fs::remove_dir_all(dir.path()).expect("is there");
        let mut bytes = first.to_vec();
        while !rest.is_over() {
            bytes.extend(rest.read().expect("reads"));
        }
        assert!(bytes == all);
        for wait in [Wait::ForDisks, Wait::No] {
            for range in [0..u64::MAX, 1..size - 1, size / 2..size / 2 + 9, size - 1..size] {
                let expected = &all[range.start as usize..range.end.min(size) as usize];
                assert!(read(&opened, range.clone(), wait) == expected, "{range:?}");
            }
        }
    }

    #[test]
    fn only_what_was_sealed_is_laid_and_only_where_there_is_room() {
        let dir = stella_testkit::temp_dir();
        let (opened, _) = bundle(dir.path(), 0);
        let none = Arc::new(Semaphore::new(0));
        opened.laid.make(&opened, &none).expect("goes without");
        let busy = opened.room.laying.try_acquire().expect("nobody is at it");
        opened.lay();
        drop(busy);
        assert!(opened.laid.file().is_none());
        let stored = opened.record().files[1].stored;
        let path = opened.depot.blob_path(&stored.digest);
        stella_testkit::overwrite(&path, vec![7; stored.size as usize]);
        opened.laid.make(&opened, &opened.room.laid).expect_err("is another");
        assert!(opened.laid.file().is_none());
        assert_eq!(opened.room.laid.available_permits(), laid::MOST);
    }

    #[test]
    fn a_file_that_is_gone_or_shorter_is_an_error_where_it_would_be_read() {
        for (number, is_gone) in [(1, true), (1, false), (3, true), (3, false)] {
            let dir = stella_testkit::temp_dir();
            let (opened, all) = bundle(dir.path(), 0);
            let path = opened.depot.blob_path(&opened.record().files[number].stored.digest);
            if is_gone {
                std::fs::remove_file(&path).expect("is there");
            } else {
                stella_testkit::overwrite(&path, b"short");
            }
            let mut rest = Rest::new(opened.clone(), Of::Tar, 0..u64::MAX, None);
            let mut bytes = Vec::new();
            let error = loop {
                let ready = rest.ready();
                let piece = if ready.is_empty() { rest.read() } else { Ok(ready) };
                match piece {
                    Ok(piece) => bytes.extend(piece),
                    Err(error) => break error,
                }
                assert!(bytes.len() < all.len());
            };
            let kind = if is_gone { io::ErrorKind::NotFound } else { io::ErrorKind::UnexpectedEof };
            assert_eq!(error.kind(), kind, "{error}");
            assert!(all.starts_with(&bytes));
        }
    }
}
