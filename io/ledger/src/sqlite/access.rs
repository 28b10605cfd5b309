//! How the file of a ledger is opened: where it can be written, as a writer's; else for reading.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::SqliteLedger;
use crate::LedgerError;

/// What may be done with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Everything.
    Write,
    /// Reading, beside others who may write: their log is read too.
    Read,
    /// Reading a file that nobody can change, such as one on a medium that is only read: without
    /// the files that a log needs.
    Still,
}

impl Access {
    pub(super) fn connect(self, path: &Path) -> rusqlite::Result<Connection> {
        let read = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match self {
            Access::Write => Connection::open_with_flags(
                path,
                OpenFlags::SQLITE_OPEN_READ_WRITE
                    | OpenFlags::SQLITE_OPEN_CREATE
                    | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            ),
            Access::Read => Connection::open_with_flags(path, read),
            Access::Still => {
                let flags = read | OpenFlags::SQLITE_OPEN_URI;
                Connection::open_with_flags(format!("file:{}?immutable=1", escaped(path)), flags)
            }
        }
    }
}

impl SqliteLedger {
    /// Opens a file that is there, for writing if that can be, else for reading.
    pub(super) fn open_as_can_be(mut self) -> Result<SqliteLedger, LedgerError> {
        let refused = match self.prepare_file() {
            Ok(()) => return Ok(self),
            Err(error @ LedgerError::ReadOnly { .. }) => error,
            Err(error) => return Err(error),
        };
        for access in [Access::Read, Access::Still] {
            // What is in a log would be missed, or the pages be those of two states.
            if access == Access::Still && has_log(&self.path) {
                break;
            }
            self.access = access;
            match self.prepare_file() {
                Ok(()) => return Ok(self),
                Err(LedgerError::ReadOnly { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }
}

/// Whether a writer is at work, or died at work, on the file.
fn has_log(path: &Path) -> bool {
    let mut log = OsString::from(path);
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > 0)
}

/// A path as part of a URI.
fn escaped(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes().iter();
    bytes
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                char::from(*byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
