//! A bundle as a tar file, read by a scan over its headers.
//!
//! The reader accepts exactly what the format describes: for every entry, the one header that its
//! name and size have.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use stella_manifest::carrier_order;
use stella_manifest::tar::{BLOCK, END, header, padding};
use stella_model::PartName;
use stella_verify::{BundleFiles, CarrierFault, FileEntry, OTHER_HEADER};

use crate::MAX_FILES;

/// What the tar of a bundle begins with: the name of its first file.
const BEGINNING: &[u8; 12] = b"export.json\0";

/// Whether a file begins as the tar of a bundle does.
///
/// # Errors
/// Any error of reading the file.
pub fn begins_as_tar(path: &Path) -> io::Result<bool> {
    let mut first = Vec::with_capacity(BEGINNING.len());
    File::open(path)?.take(BEGINNING.len() as u64).read_to_end(&mut first)?;
    Ok(first == BEGINNING)
}

/// A bundle in a tar file.
#[derive(Debug)]
pub struct TarBundle {
    file: File,
    files: Vec<FileEntry>,
    /// Where the content of each file begins, in the order of `files`.
    offsets: Vec<u64>,
    faults: Vec<CarrierFault>,
}

impl TarBundle {
    /// Reads all headers of a tar.
    ///
    /// The scan stops at the first header of another form: what follows it cannot be told.
    ///
    /// # Errors
    /// Any error of reading the file.
    pub fn scan(file: File) -> io::Result<TarBundle> {
        let size = file.metadata()?.len();
        let mut scan = Scan { file: &file, size, entries: Vec::new(), faults: Vec::new() };
        scan.run()?;
        let Scan { mut entries, faults, .. } = scan;
        entries.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        entries.dedup_by(|a, b| a.0.name == b.0.name);
        let (files, offsets) = entries.into_iter().unzip();
        Ok(TarBundle { file, files, offsets, faults })
    }
}

impl BundleFiles for TarBundle {
    fn files(&self) -> &[FileEntry] {
        &self.files
    }

    fn faults(&self) -> &[CarrierFault] {
        &self.faults
    }

    fn open(&self, name: &PartName) -> io::Result<Box<dyn Read + Send + '_>> {
        let found = self.files.binary_search_by(|entry| entry.name.cmp(name));
        let at = found.map_err(|_| io::ErrorKind::NotFound)?;
        let start = self.offsets[at];
        Ok(Box::new(Section { file: &self.file, at: start, end: start + self.files[at].size }))
    }
}

/// The content of one entry.
struct Section<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

struct Scan<'a> {
    file: &'a File,
    size: u64,
    entries: Vec<(FileEntry, u64)>,
    faults: Vec<CarrierFault>,
}

impl Scan<'_> {
    fn fault(&mut self, at: impl Into<String>, problem: impl Into<String>) {
        self.faults.push(CarrierFault { at: at.into(), problem: problem.into() });
    }

    fn run(&mut self) -> io::Result<()> {
        let mut at = 0;
        let mut last: Option<PartName> = None;
        loop {
            if at + BLOCK > self.size {
                self.fault(offset(at), "the tar ends without its two zero blocks");
                return Ok(());
            }
            let mut block = [0; BLOCK as usize];
            self.file.read_exact_at(&mut block, at)?;
            if block.iter().all(|byte| *byte == 0) {
                return self.end(at);
            }
            let entry = match entry(&block) {
                Ok(entry) => entry,
                Err(problem) => {
                    self.fault(offset(at), problem);
                    return Ok(());
                }
            };
            let padded = entry.size + padding(entry.size) as u64;
            let content = at + BLOCK;
            if content + padded > self.size {
                self.fault(entry.name.as_str(), "the tar is cut short within this file");
                return Ok(());
            }
            self.padding(&entry, content)?;
            let order =
                |name: &PartName| carrier_order(name.as_str()) < carrier_order(entry.name.as_str());
            if last.as_ref().is_some_and(|last| !order(last)) {
                self.fault(entry.name.as_str(), "out of order, or in the tar twice");
            }
            if self.entries.len() >= MAX_FILES {
                self.fault(entry.name.as_str(), "more files than a bundle holds");
                return Ok(());
            }
            last = Some(entry.name.clone());
            self.entries.push((entry, content));
            at = content + padded;
        }
    }

    fn padding(&mut self, entry: &FileEntry, content: u64) -> io::Result<()> {
        let mut bytes = [0; BLOCK as usize];
        let bytes = &mut bytes[..padding(entry.size)];
        self.file.read_exact_at(bytes, content + entry.size)?;
        if bytes.iter().any(|byte| *byte != 0) {
            self.fault(entry.name.as_str(), "the padding after this file is not zero");
        }
        Ok(())
    }

    fn end(&mut self, at: u64) -> io::Result<()> {
        let mut blocks = END;
        let whole = self.size - at == END.len() as u64;
        if !whole {
            self.fault(offset(at), "the tar does not end with exactly two zero blocks");
            return Ok(());
        }
        self.file.read_exact_at(&mut blocks, at)?;
        if blocks != END {
            self.fault(offset(at), "something follows the first zero block");
        }
        Ok(())
    }
}

fn offset(at: u64) -> String {
    format!("offset {at}")
}

/// The entry of a header block, if it is the one header of that entry.
fn entry(block: &[u8; 512]) -> Result<FileEntry, String> {
    let length = block[..100].iter().position(|byte| *byte == 0).unwrap_or(100);
    let name = String::from_utf8_lossy(&block[..length]).into_owned();
    let name = PartName::new(&name).map_err(|error| error.to_string())?;
    match block[156] {
        b'0' => {}
        b'1' | b'2' => return Err(format!("{name} is a link")),
        b'5' => return Err(format!("{name} is a folder entry")),
        _ => return Err(format!("{name} is no regular file")),
    }
    let digits = block[124..135].iter().try_fold(0_u64, |size, byte| match byte {
        b'0'..=b'7' => Some(size << 3 | u64::from(byte - b'0')),
        _ => None,
    });
    let size = digits.ok_or_else(|| format!("{name} has no octal size"))?;
    let expected = header(&name, size).map_err(|error| error.to_string())?;
    match block.iter().zip(&expected).position(|(found, expected)| found != expected) {
        None => Ok(FileEntry { name, size }),
        Some(at) => Err(format!("the header of {name} {OTHER_HEADER} in its byte {at}")),
    }
}
