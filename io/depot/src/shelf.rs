//! Where the files of a depot lie, for those who look at all of them: the folder, or the bucket.

use std::fs::{self, File};
use std::time::SystemTime;

use crate::folder::entries;
use crate::objects::{Objects, Seen};
use crate::{Depot, DepotError, StoredFile, digest_of_file, failed};

/// A file of a depot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name, such as `blobs/ab/abcd…`.
    pub(crate) name: String,
    pub(crate) size: u64,
    /// When it was used last, by the clock of the shelf.
    pub(crate) used: SystemTime,
}

/// The files of a depot by name.
pub(crate) trait Shelf {
    /// The time by which `used` counts.
    fn now(&self) -> Result<SystemTime, DepotError>;

    /// The files of `blobs`, or of a sort of records.
    fn list(&self, folder: &str) -> Result<Vec<Entry>, DepotError>;

    /// When a file was used last; none if it is gone.
    fn used(&self, name: &str) -> Result<Option<SystemTime>, DepotError>;

    /// A small file, whole; none if it is gone.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DepotError>;

    /// What the bytes of a file are; none if it is gone.
    fn digest(&self, name: &str) -> Result<Option<StoredFile>, DepotError>;

    /// Removes a file, if it is there.
    fn remove(&self, name: &str) -> Result<(), DepotError>;

    /// How a file is named to a person.
    fn what(&self, name: &str) -> String;
}

/// The folder of a depot.
pub(crate) struct Folder<'a>(pub(crate) &'a Depot);

impl Shelf for Folder<'_> {
    fn now(&self) -> Result<SystemTime, DepotError> {
        Ok(SystemTime::now())
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>, DepotError> {
        let root = &self.0.root;
        let mut all = Vec::new();
        for folder in entries(&root.join(folder))? {
            for path in entries(&folder)? {
                // What is gone meanwhile was removed by somebody else.
                let Ok(metadata) = fs::metadata(&path) else { continue };
                let used = metadata.modified().map_err(failed("read", &path))?;
                let Some(name) = path.strip_prefix(root).ok().and_then(|name| name.to_str()) else {
                    continue;
                };
                all.push(Entry { name: name.to_owned(), size: metadata.len(), used });
            }
        }
        Ok(all)
    }

    fn used(&self, name: &str) -> Result<Option<SystemTime>, DepotError> {
        let path = self.0.root.join(name);
        let Ok(metadata) = fs::metadata(&path) else { return Ok(None) };
        metadata.modified().map(Some).map_err(failed("read", &path))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DepotError> {
        let path = self.0.root.join(name);
        match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some).map_err(failed("read", &path)),
        }
    }

    fn digest(&self, name: &str) -> Result<Option<StoredFile>, DepotError> {
        let path = self.0.root.join(name);
        match File::open(&path).and_then(|_| digest_of_file(&path)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some).map_err(failed("read", &path)),
        }
    }

    fn remove(&self, name: &str) -> Result<(), DepotError> {
        let path = self.0.root.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(failed("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn what(&self, name: &str) -> String {
        self.0.root.join(name).display().to_string()
    }
}

/// The bucket of a depot, with its folder for copies of records.
pub(crate) struct Shared<'a> {
    pub(crate) depot: &'a Depot,
    pub(crate) objects: &'a Objects,
    pub(crate) copies: Copies,
}

/// Whether copies of records in the folder will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    /// They will: a record never changes under its name.
    WillDo,
    /// The bucket itself is looked at.
    Ignored,
}

impl Shelf for Shared<'_> {
    /// By the clock of the bucket, whatever the one of this machine says.
    fn now(&self) -> Result<SystemTime, DepotError> {
        const NAME: &str = "collected";
        self.objects.put(NAME, Vec::new())?;
        let seen = self.objects.look(NAME)?;
        seen.map(|seen| seen.written).ok_or_else(|| {
            DepotError::damaged("find", self.objects.what(NAME), "it was just written and is gone")
        })
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>, DepotError> {
        let listed = self.objects.list(folder)?.into_iter();
        let entry = |(name, Seen { size, written })| Entry { name, size, used: written };
        Ok(listed.map(entry).collect())
    }

    fn used(&self, name: &str) -> Result<Option<SystemTime>, DepotError> {
        Ok(self.objects.look(name)?.map(|seen| seen.written))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DepotError> {
        if self.copies == Copies::Ignored {
            return self.objects.get(name);
        }
        let copy = self.depot.root.join(name);
        if let Some(bytes) = fs::read(&copy).ok().filter(|bytes| crate::kept::is_whole(bytes)) {
            return Ok(Some(bytes));
        }
        let bytes = self.objects.get(name)?;
        if let Some(bytes) = bytes.as_ref().filter(|bytes| crate::kept::is_whole(bytes)) {
            self.depot.write_whole(&copy, bytes)?;
        }
        Ok(bytes)
    }

    fn digest(&self, name: &str) -> Result<Option<StoredFile>, DepotError> {
        let Some(seen) = self.objects.look(name)? else { return Ok(None) };
        self.objects.read(name, seen.size, &mut std::io::sink()).map(Some)
    }

    fn remove(&self, name: &str) -> Result<(), DepotError> {
        self.objects.remove(name)
    }

    fn what(&self, name: &str) -> String {
        self.objects.what(name)
    }
}
