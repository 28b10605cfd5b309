//! The database of Trivy as a file of bbolt: what joins the adapter, which knows rows and no file, to the writer,
//! which knows the file and no rows.

use std::fs::File;
use std::io;

use stella_bolt::{PageSize, Writer};
use stella_pack::trivy_db::Tree;

/// A file that takes the tree of buckets that the adapter writes.
#[derive(Debug)]
pub struct BoltTree<'f>(Writer<&'f mut File>);

impl<'f> BoltTree<'f> {
    /// A tree that is written to an empty file, which no reader takes before [`Self::finish`].
    #[must_use]
    pub fn new(file: &'f mut File) -> BoltTree<'f> {
        BoltTree(Writer::new(file, PageSize::DEFAULT))
    }

    /// Completes the file.
    ///
    /// # Errors
    /// If it cannot be written, or a bucket was not left.
    pub fn finish(self) -> io::Result<()> {
        self.0.finish().map(drop).map_err(io::Error::other)
    }
}

impl Tree for BoltTree<'_> {
    fn enter(&mut self, key: &[u8]) -> io::Result<()> {
        self.0.enter(key).map_err(io::Error::other)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.0.put(key, value).map_err(io::Error::other)
    }

    fn leave(&mut self) -> io::Result<()> {
        self.0.leave().map_err(io::Error::other)
    }
}
