//! The files of a bundle, wherever they lie.

use std::io::{self, Read};

use stella_model::PartName;

/// One file of a bundle with its size as the carrier tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Name within the bundle.
    pub name: PartName,
    /// Size in bytes.
    pub size: u64,
}

/// Something in a carrier that a bundle does not hold: a link, a device, a name that is no part
/// name, a tar header of another form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarrierFault {
    /// Where: a name as found, or an offset. Not escaped.
    pub at: String,
    /// What is wrong, for people.
    pub problem: String,
}

/// Random access to the files of a bundle. Implemented in `io` for directories and tars, in tests
/// by a map.
///
/// The carrier has been walked when a value exists: names and sizes are known and bounded, nothing
/// has been read.
pub trait BundleFiles: Sync {
    /// The files, sorted by name.
    fn files(&self) -> &[FileEntry];

    /// What the carrier holds that no bundle does.
    fn faults(&self) -> &[CarrierFault];

    /// Opens a file for reading from its start to its end.
    ///
    /// # Errors
    /// Any I/O error; also if the file is not what it was when the carrier was walked.
    fn open(&self, name: &PartName) -> io::Result<Box<dyn Read + Send + '_>>;

    /// The entry of a name.
    fn entry(&self, name: &str) -> Option<&FileEntry> {
        let files = self.files();
        let at = files.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok()?;
        files.get(at)
    }
}
