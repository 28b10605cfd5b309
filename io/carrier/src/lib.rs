//! Bundles as directories and as tar files: reading them as hostile input, placing them atomically.
//!
//! Reading: [`Bundle::open`] walks a carrier once and gives random access to its files. It follows
//! no links, reads no names but [`PartName`](stella_model::PartName)s and keeps what does not
//! belong in a bundle as faults, which `stella_verify` turns into a failed check.
//!
//! Placing: [`place`] puts a finished bundle at its destination. INV-ATOMIC: it is written beside
//! the destination under a name that begins with `.NAME.partial-`, made durable, and renamed; a
//! crash at any instant leaves either nothing at the destination or a whole bundle (FORMATS
//! "Carriers").

mod directory;
mod error;
mod partial;
mod place;
mod tarball;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use stella_model::PartName;
use stella_verify::{BundleFiles, CarrierFault, FileEntry};

pub use directory::DirBundle;
pub use error::CarrierError;
pub use place::{Carrier, Existing, FileSpec, Outcome, Placed, Source, difference, place};
pub use tarball::{TarBundle, begins_as_tar};

/// Most files of one bundle: at the usual size of parts, more than 4 TB of evidence. Stops carriers
/// of nothing but names.
pub const MAX_FILES: usize = 1 << 20;

/// A bundle in either carrier.
#[derive(Debug)]
pub enum Bundle {
    /// A directory.
    Dir(DirBundle),
    /// A tar file.
    Tar(TarBundle),
}

impl Bundle {
    /// Walks the carrier at `path`: a directory, else a tar file.
    ///
    /// What is wrong inside is no error but a fault ([`BundleFiles::faults`]).
    ///
    /// # Errors
    /// [`CarrierError::NotFound`] if nothing is there, [`CarrierError::Io`] if it cannot be read.
    pub fn open(path: &Path) -> Result<Bundle, CarrierError> {
        let metadata = std::fs::metadata(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => CarrierError::NotFound { path: path.to_owned() },
            _ => CarrierError::io("look at", path, source),
        })?;
        if metadata.is_dir() {
            return DirBundle::open(path).map(Bundle::Dir);
        }
        if !metadata.is_file() {
            return Err(CarrierError::NotABundle { path: path.to_owned() });
        }
        let file = File::open(path).map_err(|source| CarrierError::io("open", path, source))?;
        TarBundle::scan(file).map(Bundle::Tar).map_err(|e| CarrierError::io("read", path, e))
    }

    fn files_of(&self) -> &dyn BundleFiles {
        match self {
            Bundle::Dir(dir) => dir,
            Bundle::Tar(tar) => tar,
        }
    }
}

impl BundleFiles for Bundle {
    fn files(&self) -> &[FileEntry] {
        self.files_of().files()
    }

    fn faults(&self) -> &[CarrierFault] {
        self.files_of().faults()
    }

    fn open(&self, name: &PartName) -> io::Result<Box<dyn Read + Send + '_>> {
        self.files_of().open(name)
    }
}
