//! A bundle as a directory, read without following a single link.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
#[cfg(target_os = "linux")]
use rustix::fs::{ResolveFlags, openat2};
#[cfg(target_os = "linux")]
use rustix::io::Errno;
use stella_model::PartName;
use stella_verify::{BundleFiles, CarrierFault, FileEntry};

use crate::{CarrierError, MAX_FILES};

/// A bundle in a directory.
#[derive(Debug)]
pub struct DirBundle {
    root: OwnedFd,
    files: Vec<FileEntry>,
    faults: Vec<CarrierFault>,
}

/// Faults kept of one directory: a tree that is no bundle at all need not be listed whole.
const MAX_FAULTS: usize = 1000;

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

// NONBLOCK: a pipe that takes the place of a file must not hold the reader up.
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

impl DirBundle {
    /// Walks the directory. The path itself may lead through links; nothing inside may.
    ///
    /// # Errors
    /// [`CarrierError::Io`] if a directory cannot be read.
    pub fn open(path: &Path) -> Result<DirBundle, CarrierError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|source| CarrierError::io("open", path, source))?;
        let mut walk = Walk { files: Vec::new(), faults: Vec::new() };
        let walked = Dir::read_from(&root).map_err(io::Error::from);
        walked
            .and_then(|top| walk.folder(top, ""))
            .map_err(|source| CarrierError::io("list", path, source))?;
        let Walk { mut files, faults } = walk;
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(DirBundle { root, files, faults })
    }
}

impl BundleFiles for DirBundle {
    fn files(&self) -> &[FileEntry] {
        &self.files
    }

    fn faults(&self) -> &[CarrierFault] {
        &self.faults
    }

    fn open(&self, name: &PartName) -> io::Result<Box<dyn Read + Send + '_>> {
        let entry = self.entry(name.as_str()).ok_or(io::ErrorKind::NotFound)?;
        let file = open_without_links(&self.root, name.as_str())?;
        let now = file.metadata()?;
        if !now.is_file() || now.len() != entry.size {
            return Err(io::Error::other("the file changed while the bundle was read"));
        }
        Ok(Box::new(file))
    }
}

/// Opens a file below a folder; a link anywhere on the way is an error.
#[cfg(target_os = "linux")]
fn open_without_links(root: &OwnedFd, name: &str) -> io::Result<File> {
    // One request for the whole path; kernels before 5.6 and some sandboxes do not know it.
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    match openat2(root, name, FILE, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => open_step_by_step(root, name),
        opened => Ok(opened?.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_without_links(root: &OwnedFd, name: &str) -> io::Result<File> {
    open_step_by_step(root, name)
}

/// The same, one folder after the other.
fn open_step_by_step(root: &OwnedFd, name: &str) -> io::Result<File> {
    let mut segments = name.split('/');
    let file_name = segments.next_back().unwrap_or_default();
    let mut folder: Option<OwnedFd> = None;
    for segment in segments {
        let within = folder.as_ref().map_or(root.as_fd(), AsFd::as_fd);
        folder = Some(openat(within, segment, FOLDER, Mode::empty())?);
    }
    let within = folder.as_ref().map_or(root.as_fd(), AsFd::as_fd);
    Ok(openat(within, file_name, FILE, Mode::empty())?.into())
}

struct Walk {
    files: Vec<FileEntry>,
    faults: Vec<CarrierFault>,
}

impl Walk {
    fn fault(&mut self, at: &str, problem: &str) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(CarrierFault { at: at.to_owned(), problem: problem.to_owned() });
        }
    }

    /// Walks one folder; `prefix` is empty or ends with a slash. The depth is bounded by the length
    /// of part names.
    fn folder(&mut self, mut folder: Dir, prefix: &str) -> io::Result<()> {
        let mut entries: usize = 0;
        while let Some(entry) = folder.read() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            entries += 1;
            if self.files.len() >= MAX_FILES || self.faults.len() >= MAX_FAULTS {
                self.faults.push(CarrierFault {
                    at: prefix.to_owned(),
                    problem: "more than a bundle holds; the rest was not looked at".to_owned(),
                });
                return Ok(());
            }
            let shown = format!("{prefix}{}", String::from_utf8_lossy(name));
            let within = folder.fd()?;
            let status = statat(within, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
            let legal = std::str::from_utf8(name).is_ok().then(|| PartName::new(&shown).ok());
            match (FileType::from_raw_mode(status.st_mode), legal.flatten()) {
                (FileType::RegularFile, Some(name)) => {
                    let size = u64::try_from(status.st_size).unwrap_or(0);
                    self.files.push(FileEntry { name, size });
                }
                (FileType::Directory, Some(_)) => {
                    let inner = openat(within, entry.file_name(), FOLDER, Mode::empty())?;
                    self.folder(Dir::new(inner)?, &format!("{shown}/"))?;
                }
                (FileType::RegularFile | FileType::Directory, None) => {
                    self.fault(&shown, "the name is no part name");
                }
                (FileType::Symlink, _) => self.fault(&shown, "a symbolic link"),
                _ => self.fault(&shown, "neither a file nor a folder"),
            }
        }
        if entries == 0 && !prefix.is_empty() {
            self.fault(prefix, "an empty folder");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    type Opener = fn(&OwnedFd, &str) -> io::Result<File>;

    #[test]
    fn both_ways_of_opening_follow_no_link() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("a/b")).expect("folders");
        fs::write(at("a/b/file"), "x").expect("a file");
        symlink("b", at("a/folder-link")).expect("a link");
        symlink("file", at("a/b/file-link")).expect("a link");
        let root = OwnedFd::from(File::open(dir.path()).expect("opens"));
        for open in [open_without_links as Opener, open_step_by_step] {
            assert!(open(&root, "a/b/file").is_ok());
            for refused in ["a/folder-link/file", "a/b/file-link", "a/b/none"] {
                assert!(open(&root, refused).is_err(), "{refused}");
            }
        }
    }
}
