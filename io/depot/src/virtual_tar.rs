//! A bundle as one tar file that is nowhere written: computed headers over stored files.
//!
//! Any range of its bytes can be served, and each file is stored once however many bundles have it.
//! The bytes are those of the tar carrier (FORMATS "Carriers").

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use stella_manifest::tar::{self, TooLarge};
use stella_model::{Digest, DigestBuilder};

use crate::{BlobReader, BundleFile, BundleRecord, Depot, DepotError, StoredFile};

/// A tar of a bundle in the depot.
#[derive(Debug, Clone)]
pub struct VirtualTar {
    depot: Depot,
    /// The files in the order of the tar, and where the header of each begins.
    files: Arc<[(u64, BundleFile)]>,
    size: u64,
    identity: Digest,
}

/// Bytes of a tar that lie together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slice {
    /// Bytes that are computed: headers, and zeros.
    Bytes(Vec<u8>),
    /// A range of a stored file.
    File {
        /// Which one.
        stored: StoredFile,
        /// The bytes of it.
        range: Range<u64>,
    },
}

impl Slice {
    /// Number of bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Slice::Bytes(bytes) => bytes.len() as u64,
            Slice::File { range, .. } => range.end - range.start,
        }
    }
}

impl VirtualTar {
    /// The tar of a bundle.
    ///
    /// # Errors
    /// [`TooLarge`] if a file of it is.
    pub fn new(depot: Depot, bundle: &BundleRecord) -> Result<VirtualTar, TooLarge> {
        let (mut files, mut at) = (Vec::new(), 0);
        for file in bundle.in_carrier_order() {
            // The only thing that a header can be refused for.
            tar::header(&file.name, file.stored.size)?;
            files.push((at, file.clone()));
            at += tar::BLOCK + file.stored.size + tar::padding(file.stored.size) as u64;
        }
        let size = at + tar::END.len() as u64;
        Ok(VirtualTar { depot, files: files.into(), size, identity: bundle.identity() })
    }

    /// Number of bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Names the bytes of the tar: equal tars have equal names, others have others. Not the SHA-256 of
    /// the bytes, which nobody can tell without reading all of them: see [`digest`](Self::digest).
    #[must_use]
    pub fn identity(&self) -> &Digest {
        &self.identity
    }

    /// The pieces of a range of bytes, in order; what lies beyond the end is left out.
    pub fn slices(&self, range: Range<u64>) -> impl Iterator<Item = Slice> + '_ {
        let range = range.start.min(self.size)..range.end.min(self.size);
        let first = self.files.partition_point(|(at, _)| *at <= range.start).saturating_sub(1);
        let of_files = self.files.iter().skip(first).take_while({
            let end = range.end;
            move |(at, _)| *at < end
        });
        let wanted = range.clone();
        let of_files = of_files.flat_map(move |(at, file)| self.of_file(*at, file, &wanted));
        let end = self.size - tar::END.len() as u64;
        of_files.chain(computed(end, &tar::END, &range))
    }

    /// What a range has of a file with its header and padding.
    fn of_file(
        &self,
        at: u64,
        file: &BundleFile,
        range: &Range<u64>,
    ) -> impl Iterator<Item = Slice> + use<> {
        let stored = &file.stored;
        // Looked at when the tar was made: a name and a size that have a header.
        let header = tar::header(&file.name, stored.size).unwrap_or([0; 512]);
        let begin = at + tar::BLOCK;
        let content =
            cut(begin, stored.size, range).map(|range| Slice::File { stored: *stored, range });
        let padding = &[0; 512][..tar::padding(stored.size)];
        let padding = computed(begin + stored.size, padding, range);
        computed(at, &header, range).into_iter().chain(content).chain(padding)
    }

    /// SHA-256 of all bytes. Reads them, and holds every file against its own digest; `before` each it
    /// asks whether to go on.
    ///
    /// # Errors
    /// [`DepotError`] if a file cannot be read or is no longer what it was, and what `before` says.
    pub fn digest<E: From<DepotError>>(
        &self,
        before: impl Fn(&StoredFile) -> Result<(), E>,
    ) -> Result<Digest, E> {
        let mut all = DigestBuilder::new();
        let mut buffer = vec![0; 128 << 10];
        for slice in self.slices(0..self.size) {
            match slice {
                Slice::Bytes(bytes) => drop(all.bytes(&bytes)),
                Slice::File { stored, range } => {
                    before(&stored)?;
                    let path = self.depot.blob_path(&stored.digest);
                    let mut file = self.depot.reader(&stored, range);
                    let mut of_file = DigestBuilder::new();
                    loop {
                        let read = file.read(&mut buffer).map_err(DepotError::of_reading(&path))?;
                        if read == 0 {
                            break;
                        }
                        all.bytes(&buffer[..read]);
                        of_file.bytes(&buffer[..read]);
                    }
                    if of_file.finish() != stored.digest {
                        let what = path.display().to_string();
                        return Err(DepotError::other_bytes("read", what).into());
                    }
                }
            }
        }
        Ok(all.finish())
    }

    /// Reads a range of bytes; what lies beyond the end is left out. Holds one slice of it at a time,
    /// however many files the bundle has.
    #[must_use]
    pub fn reader(&self, range: Range<u64>) -> TarReader {
        TarReader { tar: self.clone(), range, current: None }
    }
}

/// What a range has of `size` bytes that begin at `begin`, counted from there.
fn cut(begin: u64, size: u64, range: &Range<u64>) -> Option<Range<u64>> {
    let first = range.start.max(begin);
    let end = range.end.min(begin + size);
    (first < end).then(|| first - begin..end - begin)
}

/// What a range has of computed bytes.
fn computed(begin: u64, bytes: &[u8], range: &Range<u64>) -> Option<Slice> {
    let cut = cut(begin, bytes.len() as u64, range)?;
    let index = |at: u64| usize::try_from(at).ok();
    Some(Slice::Bytes(bytes.get(index(cut.start)?..index(cut.end)?)?.to_vec()))
}

/// Reads the slices of a tar one after the other.
#[derive(Debug)]
pub struct TarReader {
    tar: VirtualTar,
    /// What comes after the current slice.
    range: Range<u64>,
    current: Option<Current>,
}

#[derive(Debug)]
enum Current {
    Bytes(io::Cursor<Vec<u8>>),
    File(Box<BlobReader>),
}

impl Read for TarReader {
    /// # Errors
    /// Also if a stored file is gone or shorter than it was.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let read = match &mut self.current {
                None => 0,
                Some(Current::Bytes(bytes)) => bytes.read(buffer)?,
                Some(Current::File(file)) => file.read(buffer)?,
            };
            if read > 0 {
                return Ok(read);
            }
            let next = self.tar.slices(self.range.clone()).next();
            let Some(slice) = next else { return Ok(0) };
            self.range.start += slice.size();
            self.current = Some(match slice {
                Slice::Bytes(bytes) => Current::Bytes(io::Cursor::new(bytes)),
                Slice::File { stored, range } => {
                    Current::File(Box::new(self.tar.depot.reader(&stored, range)))
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use stella_model::{ErrorCode, TenantId};

    use super::*;

    /// A bundle with files of these sizes, and the whole of its tar.
    fn bundle(dir: &std::path::Path, sizes: &[(&str, usize)]) -> (VirtualTar, Vec<u8>) {
        let depot = Depot::at(dir, &TenantId::local());
        let (mut files, mut all) = (Vec::new(), Vec::new());
        for (name, size) in sizes {
            let bytes: Vec<u8> = (0..*size).map(|at| (at % 251) as u8 + 1).collect();
            let name = name.parse().expect("a name");
            all.extend(tar::header(&name, bytes.len() as u64).expect("is small"));
            all.extend(&bytes);
            all.resize(all.len() + tar::padding(bytes.len() as u64), 0);
            files.push(BundleFile { name, stored: depot.put_blob(&bytes).expect("is kept") });
        }
        all.extend(tar::END);
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let record = BundleRecord::read(&depot, files, go_on).expect("is whole");
        assert_eq!(record.tar, Digest::of(&all));
        let tar = VirtualTar::new(depot, &record).expect("is small");
        (tar, all)
    }

    /// That nobody wants it to stop.
    fn go_on(_: &StoredFile) -> Result<(), DepotError> {
        Ok(())
    }

    fn read(tar: &VirtualTar, range: Range<u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        tar.reader(range).read_to_end(&mut bytes).expect("reads");
        bytes
    }

    #[test]
    fn any_range_is_that_of_the_whole() {
        let dir = stella_testkit::temp_dir();
        let sizes =
            [("export.json", 700), ("provenance.json", 512), ("a/b", 0), ("a/c", 1), ("z", 1025)];
        let (tar, all) = bundle(dir.path(), &sizes);
        assert_eq!(tar.size(), all.len() as u64);
        assert_eq!(read(&tar, 0..u64::MAX), all);
        for first in 0..all.len() {
            for length in [1, 2, 511, 512, 513, 1500] {
                let last = (first + length).min(all.len());
                let slices = tar.slices(first as u64..(first + length) as u64);
                let size: u64 = slices.map(|slice| slice.size()).sum();
                assert_eq!(size, (last - first) as u64, "{first}+{length}");
                let bytes = read(&tar, first as u64..(first + length) as u64);
                assert_eq!(bytes, all[first..last], "{first}+{length}");
            }
        }
        let (later, earlier) = (9, 3);
        for empty in [5..5, tar.size()..u64::MAX, u64::MAX..u64::MAX, later..earlier] {
            assert!(read(&tar, empty.clone()).is_empty(), "{empty:?}");
        }
    }

    #[test]
    fn a_tar_is_named_by_its_bytes() {
        let dir = stella_testkit::temp_dir();
        let name = |sizes: &[(&str, usize)]| *bundle(dir.path(), sizes).0.identity();
        let one = name(&[("export.json", 7), ("a", 8)]);
        assert_eq!(one, name(&[("export.json", 7), ("a", 8)]));
        for other in [
            &[("export.json", 7)][..],
            &[("export.json", 7), ("b", 8)],
            &[("export.json", 7), ("a", 9)],
        ] {
            assert_ne!(one, name(other), "{other:?}");
        }
    }

    #[test]
    fn the_digest_of_a_tar_is_none_of_damaged_files() {
        let dir = stella_testkit::temp_dir();
        let (tar, all) = bundle(dir.path(), &[("export.json", 700), ("a", 200_000)]);
        assert_eq!(tar.digest(go_on).expect("is whole"), Digest::of(&all));
        let stop = |file: &StoredFile| match file.size {
            700 => Ok(()),
            _ => Err(DepotError::other_bytes("stop at", String::new())),
        };
        tar.digest(stop).expect_err("was told to stop");
        let path = tar.depot.blob_path(&tar.files[1].1.stored.digest);
        stella_testkit::overwrite(&path, [7; 200_000]);
        assert_eq!(tar.digest(go_on).expect_err("is another").code(), ErrorCode::DigestMismatch);
        std::fs::remove_file(&path).expect("is there");
        assert_eq!(tar.digest(go_on).expect_err("is gone").code(), ErrorCode::Io);
    }

    #[test]
    fn a_file_that_became_shorter_or_is_gone_is_an_error() {
        let dir = stella_testkit::temp_dir();
        let (tar, all) = bundle(dir.path(), &[("export.json", 700)]);
        let digest = tar.files[0].1.stored.digest;
        let path = tar.depot.blob_path(&digest);
        stella_testkit::overwrite(&path, &all[512..600]);
        let error = tar.reader(0..tar.size()).read_to_end(&mut Vec::new()).expect_err("is short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(&tar, 0..512), all[..512]);
        std::fs::remove_file(&path).expect("is there");
        let error = tar.reader(0..tar.size()).read_to_end(&mut Vec::new()).expect_err("is gone");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
