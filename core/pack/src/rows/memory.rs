//! A spool in memory, for tests.

use std::io;
use std::sync::Mutex;

use super::Spool;

/// Fails once it would hold more bytes than its limit.
pub(crate) struct Memory {
    bytes: Mutex<Vec<u8>>,
    limit: usize,
    /// Bytes that somebody else writes after each append.
    between: usize,
}

impl Memory {
    pub(crate) fn with_limit(limit: usize) -> Memory {
        Memory { bytes: Mutex::default(), limit, between: 0 }
    }

    /// One that others write to at the same time.
    pub(crate) fn shared() -> Memory {
        Memory { between: 1, ..Memory::default() }
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::with_limit(usize::MAX)
    }
}

impl Spool for Memory {
    fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let mut held = self.bytes.lock().expect("no thread panicked");
        if held.len() + bytes.len() > self.limit {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let at = held.len() as u64;
        held.extend_from_slice(bytes);
        let end = held.len() + self.between;
        held.resize(end, 0xff);
        Ok(at)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let held = self.bytes.lock().expect("no thread panicked");
        let at = offset as usize;
        out.copy_from_slice(&held[at..at + out.len()]);
        Ok(())
    }
}
