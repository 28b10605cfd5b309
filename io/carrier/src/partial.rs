//! What is being written beside its destination: `.NAME.partial-*`.
//!
//! A partial is locked (`flock`) by the run that writes it for as long as that run lives. One that
//! nobody holds is what a dead run left behind, whatever process ids say, and is removed.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, openat, renameat_with};
use rustix::io::Errno;

use crate::CarrierError;

/// Where a bundle is to be placed: a folder that exists and a name in it.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) parent: PathBuf,
    pub(crate) path: PathBuf,
    name: OsString,
}

impl Destination {
    /// Takes a path apart and makes the folders above it.
    pub(crate) fn new(path: &Path) -> Result<Destination, CarrierError> {
        let name = path.file_name();
        let name = name.ok_or_else(|| CarrierError::Destination { path: path.to_owned() })?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        std::fs::create_dir_all(&parent)
            .map_err(|source| CarrierError::io("make the folder", &parent, source))?;
        Ok(Destination { path: parent.join(name), parent, name: name.to_owned() })
    }

    fn partial_prefix(&self) -> OsString {
        let mut prefix = OsString::from(".");
        prefix.push(&self.name);
        prefix.push(".partial-");
        prefix
    }
}

/// What a partial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Folder,
    File,
}

/// A partial that this run holds; removed when dropped, unless it was renamed.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    /// Open for writing if a file. Holds the lock.
    handle: File,
}

impl Partial {
    /// Makes an empty partial for a destination.
    pub(crate) fn create(to: &Destination, shape: Shape) -> Result<Partial, CarrierError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let mut name = to.partial_prefix();
            name.push(format!("{}-{number}", std::process::id()));
            let path = to.parent.join(name);
            let failed = |source: io::Error| CarrierError::io("make", &path, source);
            let handle = match make(&path, shape) {
                Ok(handle) => handle,
                // Of a run on another machine or in another container that shares the folder.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(failed(error)),
            };
            // File systems without locks let everyone have them; what is left behind there stays.
            let locked = flock(&handle, FlockOperation::NonBlockingLockExclusive);
            let contended = matches!(locked, Err(Errno::WOULDBLOCK));
            // Between its making and its locking, another run may have taken it for a dead one's.
            if !contended && is_same(&handle, &path) {
                return Ok(Partial { path, handle });
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn handle(&self) -> &File {
        &self.handle
    }

    /// Gives the partial its destination's name, which nothing has yet (or an empty folder).
    pub(crate) fn rename_new(self, to: &Destination) -> Result<(), CarrierError> {
        let fresh = renameat_with(CWD, &self.path, CWD, &to.path, RenameFlags::NOREPLACE);
        let renamed = match fresh {
            // An empty folder may be replaced, and some file systems know no flags; a folder that
            // is not empty still makes the plain rename fail.
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS)
                if self.is_folder() || !to.path.exists() =>
            {
                std::fs::rename(&self.path, &to.path)
            }
            other => other.map_err(io::Error::from),
        };
        renamed.map_err(|source| {
            CarrierError::io("rename the finished bundle to", &to.path, source)
        })?;
        self.forget();
        Ok(())
    }

    /// Puts the partial in the place of what is at the destination, and removes that.
    pub(crate) fn rename_over(self, to: &Destination) -> Result<(), CarrierError> {
        let failed = |source: io::Error| CarrierError::io("replace", &to.path, source);
        match renameat_with(CWD, &self.path, CWD, &to.path, RenameFlags::EXCHANGE) {
            Ok(()) => {
                // The partial's name now holds the old bundle; losing it is no harm.
                remove(&self.path).ok();
                self.forget();
                return Ok(());
            }
            Err(Errno::INVAL | Errno::NOSYS) => {}
            Err(error) => return Err(failed(error.into())),
        }
        // Without an exchange there is an instant with nothing at the destination.
        let mut aside = self.path.clone().into_os_string();
        aside.push("-old");
        std::fs::rename(&to.path, &aside).map_err(failed)?;
        if let Err(error) = std::fs::rename(&self.path, &to.path) {
            std::fs::rename(&aside, &to.path).ok();
            return Err(failed(error));
        }
        remove(Path::new(&aside)).ok();
        self.forget();
        Ok(())
    }

    fn is_folder(&self) -> bool {
        self.handle.metadata().is_ok_and(|metadata| metadata.is_dir())
    }

    /// Keeps `drop` from removing what has another name now.
    fn forget(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            remove(&self.path).ok();
        }
    }
}

/// Removes the partials of dead runs beside a destination, as far as that is possible.
pub(crate) fn remove_dead(to: &Destination) {
    let prefix = to.partial_prefix();
    let Ok(entries) = std::fs::read_dir(&to.parent) else { return };
    for entry in entries.flatten() {
        if !starts_with(&entry.file_name(), &prefix) {
            continue;
        }
        let path = entry.path();
        let kind = std::fs::symlink_metadata(&path).map(|metadata| metadata.file_type());
        if !kind.is_ok_and(|kind| kind.is_dir() || kind.is_file()) {
            continue;
        }
        // What is there may be another thing by now: neither follow a link nor wait for a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(handle) = openat(CWD, &path, flags, Mode::empty()).map(File::from) else { continue };
        let free = flock(&handle, FlockOperation::NonBlockingLockExclusive).is_ok();
        if free && is_same(&handle, &path) {
            remove(&path).ok();
        }
    }
}

fn starts_with(name: &OsStr, prefix: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes())
}

fn make(path: &Path, shape: Shape) -> io::Result<File> {
    match shape {
        Shape::File => OpenOptions::new().write(true).create_new(true).open(path),
        Shape::Folder => {
            std::fs::create_dir(path)?;
            File::open(path)
        }
    }
}

fn is_same(handle: &File, path: &Path) -> bool {
    match (handle.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => ours.dev() == there.dev() && ours.ino() == there.ino(),
        _ => false,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if std::fs::symlink_metadata(path)?.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    }
}
