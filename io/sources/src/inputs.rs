//! Arguments: files, directories, streams.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::source::Source;
use crate::stream::Nesting;
use crate::{Class, Event, Halt, Place, Reason, Walk, Walker, failed};

/// One argument.
pub enum Input {
    /// A file, a directory or a named pipe. A symbolic link here is followed: it was named.
    Path(PathBuf),
    /// A stream such as standard input. `name` is shown and classed.
    Stream {
        /// What it is called.
        name: String,
        /// Where its bytes come from.
        reader: Box<dyn Read + Send>,
    },
}

impl Input {
    /// An argument as people write it: `-` is standard input.
    #[must_use]
    pub fn from_arg(path: &Path) -> Input {
        if path.as_os_str() == "-" {
            Input::Stream { name: "-".into(), reader: Box::new(io::stdin()) }
        } else {
            Input::Path(path.to_owned())
        }
    }
}

impl Walker<'_> {
    pub(crate) fn input(&mut self, input: Input) -> Walk {
        match input {
            Input::Stream { name, reader } => {
                let place = Place { path: &name, name: &name };
                self.stream(&mut Source::new(reader), place, Nesting::default(), None)
            }
            Input::Path(path) => {
                let shown = path.to_string_lossy();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let place = Place { path: &shown, name: &name };
                let metadata = fs::metadata(&path).map_err(|error| failed(place, None, &error))?;
                if metadata.is_dir() {
                    return self.directory(&path);
                }
                if self.skip_by_name(place)? {
                    return Ok(());
                }
                let file = File::open(&path).map_err(|error| failed(place, None, &error))?;
                self.file(file, place)
            }
        }
    }

    fn file(&mut self, file: File, place: Place<'_>) -> Walk {
        let metadata = file.metadata().map_err(|error| failed(place, None, &error))?;
        // A pipe cannot be read at any place.
        let seekable = metadata.is_file().then_some(&file);
        self.stream(&mut Source::new(&file), place, Nesting::default(), seekable)
    }

    /// Walks a directory depth first, each sorted by the bytes of its names.
    fn directory(&mut self, root: &Path) -> Walk {
        let mut folders = vec![Folder::list(root.to_owned(), String::new()).map_err(|error| {
            failed(Place { path: &root.to_string_lossy(), name: "" }, None, &error)
        })?];
        let mut entries = 0_u64;
        while let Some(folder) = folders.last_mut() {
            let Some(entry) = folder.next() else {
                folders.pop();
                continue;
            };
            entries += 1;
            let path = entry.path.to_string_lossy().into_owned();
            let place = Place { path: &path, name: &entry.name };
            if entries > self.options.limits.members {
                let problem = format!("more than {} files", self.options.limits.members);
                return Err(crate::refused(place, 0, problem));
            }
            if let Some(below) = self.entry(&entry, place)? {
                folders.push(below);
            }
        }
        Ok(())
    }

    /// Walks one entry; gives the folder if it is one.
    fn entry(&mut self, entry: &Entry, place: Place<'_>) -> Result<Option<Folder>, Halt> {
        let metadata = match fs::symlink_metadata(&entry.path) {
            Ok(metadata) => metadata,
            Err(error) => {
                self.contain(Err(failed(place, None, &error)))?;
                return Ok(None);
            }
        };
        let kind = metadata.file_type();
        if kind.is_dir() {
            // Any name in a folder of version control is ignored, so this one tells for all.
            let within = format!("{}/x", entry.name);
            if (self.options.by_name)(&within) == Class::Ignored {
                let path = place.path.to_owned();
                self.emit(Event::Skipped { path, class: Class::Ignored })?;
                return Ok(None);
            }
            return match Folder::list(entry.path.clone(), entry.name.clone()) {
                Ok(below) => Ok(Some(below)),
                Err(error) => self.contain(Err(failed(place, None, &error))).map(|()| None),
            };
        }
        if self.skip_by_name(place)? {
            return Ok(None);
        }
        if kind.is_symlink() {
            self.reject(place, Reason::Link, None, "symbolic links are not followed")?;
        } else if !kind.is_file() {
            self.reject(place, Reason::Device, None, "not a file: a device, pipe or socket")?;
        } else {
            let outcome = match open_plain(&entry.path) {
                Ok(file) => self.file(file, place),
                Err(error) => Err(failed(place, None, &error)),
            };
            self.contain(outcome)?;
        }
        Ok(None)
    }
}

/// One name in a directory.
struct Entry {
    path: PathBuf,
    /// Relative to the argument, `/` between folders.
    name: String,
}

/// A directory that is being walked. Only the file names are held, for there may be millions; paths
/// are made one at a time.
struct Folder {
    path: PathBuf,
    /// Relative to the argument; empty for the argument itself.
    name: String,
    /// Names that are left, the last one first, so that they are taken from the end.
    left: Vec<OsString>,
}

impl Folder {
    fn list(path: PathBuf, name: String) -> io::Result<Folder> {
        let mut left = Vec::new();
        for entry in fs::read_dir(&path)? {
            left.push(entry?.file_name());
        }
        left.sort_unstable_by(|a, b| b.as_encoded_bytes().cmp(a.as_encoded_bytes()));
        Ok(Folder { path, name, left })
    }

    fn next(&mut self) -> Option<Entry> {
        let file = self.left.pop()?;
        let shown = file.to_string_lossy();
        let name = match self.name.as_str() {
            "" => shown.into_owned(),
            folder => format!("{folder}/{shown}"),
        };
        Some(Entry { path: self.path.join(&file), name })
    }
}

/// Opens a file that was a plain one a moment ago: should it have been swapped for a link or a pipe
/// since, the link is not followed and the pipe does not block.
fn open_plain(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it was replaced by something that is no file"))
    }
}
