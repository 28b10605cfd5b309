//! The tar of a bundle as one file, for whoever comes after the first.
//!
//! A bundle consists of hundreds of files, and sending each takes a call of its own. Once more bytes were
//! sent than it has, the next ones are sent from one file without a name.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, bail};
use rustix::fs::fstatvfs;
use stella_model::DigestBuilder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Opened, PIECE};

/// Bytes of all these files together at most, in units of [`UNIT`].
pub(super) const MOST: usize = 2048;

/// What their sizes are counted in.
const UNIT: u64 = 1 << 20;

/// Such a file takes this part of what is free on its disk at most, so that none is filled by it.
const PART_OF_FREE: u64 = 10;

/// Where the tar of a bundle may lie as one file.
#[derive(Default)]
pub(crate) struct Laid {
    /// Bytes of the tar that were sent since it was last tried.
    sent: AtomicU64,
    file: OnceLock<(Arc<File>, OwnedSemaphorePermit)>,
}

impl Laid {
    /// The file, once it is there.
    pub(super) fn file(&self) -> Option<Arc<File>> {
        self.file.get().map(|(file, _)| file.clone())
    }

    /// Counts bytes that are sent of a tar of a size; whether the file is to be made now, which is said
    /// once.
    pub(super) fn is_due(&self, sent: u64, size: u64) -> bool {
        let before = self.sent.fetch_add(sent, Ordering::Relaxed);
        before <= size && before.saturating_add(sent) > size
    }

    /// That it was tried. Without a file it is tried again when as much was sent once more.
    pub(super) fn was_tried(&self) {
        if self.file.get().is_none() {
            self.sent.store(0, Ordering::Relaxed);
        }
    }

    /// Makes the file of a bundle, if there is room for it.
    ///
    /// # Errors
    /// If it cannot be written, and if files of the bundle are not what they were.
    pub(super) fn make(&self, opened: &Opened, room: &Arc<Semaphore>) -> anyhow::Result<()> {
        let size = opened.tar.size();
        let units = u32::try_from(size.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let Ok(room) = room.clone().try_acquire_many_owned(units) else { return Ok(()) };
        let mut file = opened.depot.unnamed_file()?;
        let disk = fstatvfs(&file).context("cannot tell what is free on the disk")?;
        if size > disk.f_bavail.saturating_mul(disk.f_frsize) / PART_OF_FREE {
            return Ok(());
        }
        let mut tar = opened.tar.reader(0..size);
        let mut digest = DigestBuilder::new();
        let mut buffer = vec![0; PIECE as usize];
        loop {
            let read = tar.read(&mut buffer).context("cannot read the bundle")?;
            if read == 0 {
                break;
            }
            digest.bytes(&buffer[..read]);
            file.write_all(&buffer[..read]).context("cannot write the file")?;
        }
        if digest.finish() != opened.record().tar {
            bail!(
                "the bundle is no longer what was sealed; export-center scrub says what is damaged"
            );
        }
        // There is none yet: who makes one is alone.
        let _ = self.file.set((Arc::new(file), room));
        Ok(())
    }
}
