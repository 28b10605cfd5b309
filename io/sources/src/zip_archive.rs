//! Zip archives, read by their central directory, member by member.
//!
//! The directory is streamed: an archive of a million members costs no more memory than one of ten,
//! which is why no crate that loads it whole is used here.
//! Format: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use flate2::Crc;

use crate::magic;
use crate::member::{Seen, safe_name, text};
use crate::source::{Fault, Source};
use crate::stream::Nesting;
use crate::{Place, Reason, Walk, Walker, decode, failed};

const END_BYTES: u64 = 22;
const COMMENT_BYTES: u64 = 65_535;
const END64_BYTES: u64 = 56;
const LOCATOR_BYTES: u64 = 20;
const LOCAL_BYTES: u64 = 30;

/// Where the central directory lies.
struct Directory {
    start: u64,
    end: u64,
    entries: u64,
}

/// One entry of the central directory.
struct Entry {
    name: Vec<u8>,
    /// Unix mode, if the writer was one.
    mode: Option<u32>,
    encrypted: bool,
    method: u16,
    crc: u32,
    compressed: u64,
    size: u64,
    local: u64,
}

impl Walker<'_> {
    pub(crate) fn zip(&mut self, file: &File, archive: Place<'_>, nesting: Nesting) -> Walk {
        let wrong = |error: io::Error| failed(archive, None, &error);
        let directory = find_directory(file).map_err(wrong)?;
        let limit = self.options.limits.members;
        if directory.entries > limit {
            let problem = format!("the archive has more than {limit} members");
            return Err(crate::refused(archive, directory.start, problem));
        }
        let section = Section { file, at: directory.start, end: directory.end };
        let mut listing = Source::new(section);
        let mut seen = Seen::default();
        let (mut claimed, mut content) = (0_u64, 0_u64);
        for _ in 0..directory.entries {
            let at = directory.start + listing.taken();
            let entry =
                read_entry(&mut listing).map_err(|error| failed(archive, Some(at), &error))?;
            // Members that share bytes hold more than the archive has: a bomb without recursion.
            claimed = claimed.saturating_add(entry.compressed).saturating_add(LOCAL_BYTES);
            if claimed > directory.start {
                let problem = "the members of the archive overlap";
                return Err(crate::refused(archive, at, problem));
            }
            content = content.saturating_add(entry.size);
            if content > self.options.limits.container_bytes {
                let limit = self.options.limits.container_bytes;
                let problem = format!("the archive holds more than {limit} bytes");
                return Err(crate::refused(archive, at, problem));
            }
            self.zip_member(file, archive, nesting, &directory, &entry, &mut seen)?;
        }
        if directory.start + listing.taken() != directory.end {
            let problem = "the archive's directory has more entries than it says";
            return Err(crate::refused(archive, directory.start + listing.taken(), problem));
        }
        Ok(())
    }

    fn zip_member(
        &mut self,
        file: &File,
        archive: Place<'_>,
        nesting: Nesting,
        directory: &Directory,
        entry: &Entry,
        seen: &mut Seen,
    ) -> Walk {
        let shown = text(&entry.name);
        let name = safe_name(&shown);
        let path = format!("{}!{}", archive.path, name.as_deref().unwrap_or(&shown));
        let place = Place { path: &path, name: name.as_deref().unwrap_or(&shown) };
        let kind = entry.mode.map_or(0, |mode| mode & 0o170_000);
        let is_directory = kind == 0o040_000 || entry.name.ends_with(b"/");
        let refusal = match (&name, kind) {
            (Err(problem), _) => Some((Reason::UnsafeName, (*problem).to_owned())),
            (_, 0o120_000) => Some((Reason::Link, "a symbolic link".to_owned())),
            _ if is_directory => return Ok(()),
            (_, 0 | 0o100_000) if entry.encrypted => {
                Some((Reason::Encrypted, "the member is encrypted".to_owned()))
            }
            (_, 0 | 0o100_000) if !matches!(entry.method, 0 | 8 | 93) => {
                let method = entry.method;
                Some((Reason::UnknownFormat, format!("compression method {method} is not read")))
            }
            (_, 0 | 0o100_000) => None,
            _ => Some((Reason::Device, "a device, pipe or socket".to_owned())),
        };
        if let Some((reason, detail)) = refusal {
            return self.reject(place, reason, Some(entry.local), detail);
        }
        if !seen.insert(place.name.as_bytes()) {
            let detail = "the archive has this name twice; the first was taken";
            return self.reject(place, Reason::DuplicateMember, Some(entry.local), detail);
        }
        if self.skip_by_name(place)? {
            return Ok(());
        }
        let outcome = match find_content(file, directory, entry) {
            Ok(section) => self.zip_content(section, place, nesting, entry),
            Err(error) => Err(failed(place, Some(entry.local), &error)),
        };
        self.contain(outcome)
    }

    fn zip_content(
        &mut self,
        section: Section<'_>,
        place: Place<'_>,
        nesting: Nesting,
        entry: &Entry,
    ) -> Walk {
        let limits = self.options.limits;
        let mut stored = Source::new(section);
        let decoder: Box<dyn Read + '_> = match entry.method {
            8 => Box::new(decode::deflate(&mut stored, &limits)),
            93 => match decode::zstd(&mut stored, &limits) {
                Ok(decoder) => Box::new(decoder),
                Err(error) => return Err(failed(place, None, &error)),
            },
            _ => Box::new(&mut stored),
        };
        let checked = Checked { decoder, crc: Crc::new(), given: 0, entry };
        let mut content = Source::new(checked);
        let head = content.peek(magic::HEAD_BYTES);
        let head = head.map_err(|error| failed(place, None, &error))?;
        if magic::detect(head).is_some() {
            self.stream(&mut content, place, nesting, None)
        } else {
            self.leaf(&mut content, place, None)
        }
    }
}

/// Part of a file.
struct Section<'f> {
    file: &'f File,
    at: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(out.len());
        // Others read from the same file in between.
        let mut file = self.file;
        file.seek(SeekFrom::Start(self.at))?;
        let count = file.read(&mut out[..left])?;
        self.at += count as u64;
        Ok(count)
    }
}

/// A member's content, which must have the size and checksum that the directory gives.
struct Checked<'s> {
    decoder: Box<dyn Read + 's>,
    crc: Crc,
    given: u64,
    entry: &'s Entry,
}

impl Read for Checked<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(out)?;
        self.crc.update(&out[..count]);
        self.given += count as u64;
        let ended = count == 0 && !out.is_empty();
        if self.given > self.entry.size || (ended && self.given < self.entry.size) {
            return Err(corrupt(self.entry.local, "the member has another size than it says"));
        }
        if ended && self.crc.sum() != self.entry.crc {
            return Err(corrupt(self.entry.local, "the member's checksum is wrong"));
        }
        Ok(count)
    }
}

fn corrupt(offset: u64, problem: &str) -> io::Error {
    Fault::refused(offset, problem).into_error()
}

/// Finds the end record, whose comment must reach exactly to the end of the file: an archive that
/// has two directories means different things to different readers.
fn find_directory(file: &File) -> io::Result<Directory> {
    let length = file.metadata()?.len();
    let tail_start = length.saturating_sub(END_BYTES + COMMENT_BYTES);
    let tail = read_at(file, tail_start, length - tail_start)?;
    let truncated = || corrupt(length, "the zip archive ends before it is complete");
    let last =
        tail.len().checked_sub(usize::try_from(END_BYTES).unwrap_or(0)).ok_or_else(truncated)?;
    let is_end = |at: &usize| {
        let record = Fields(&tail[*at..]);
        record.u32(0) == 0x0605_4b50 && *at + 22 + usize::from(record.u16(20)) == tail.len()
    };
    let at = (0..=last).rev().find(is_end).ok_or_else(truncated)?;
    let (record, at) = (Fields(&tail[at..]), tail_start + at as u64);
    if record.u16(4) != 0 && record.u16(4) != u16::MAX {
        return Err(corrupt(at, "the archive is split over several files"));
    }
    let mut directory =
        Directory { start: u64::from(record.u32(16)), end: at, entries: u64::from(record.u16(10)) };
    let mut size = u64::from(record.u32(12));
    if let Some((end64, at)) = find_end64(file, at)? {
        let record = Fields(&end64);
        (directory.entries, size, directory.start) =
            (record.u64(32), record.u64(40), record.u64(48));
        directory.end = at;
    }
    if directory.start.checked_add(size) != Some(directory.end) {
        return Err(corrupt(at, "the archive's directory is not where it says"));
    }
    Ok(directory)
}

/// The end record of the 64-bit form and its offset, if there is one.
fn find_end64(file: &File, end: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
    let Some(locator_at) = end.checked_sub(LOCATOR_BYTES) else { return Ok(None) };
    let locator = read_at(file, locator_at, LOCATOR_BYTES)?;
    if Fields(&locator).u32(0) != 0x0706_4b50 {
        return Ok(None);
    }
    let at = Fields(&locator).u64(8);
    let wrong = || corrupt(locator_at, "the archive's directory is not where it says");
    if at.checked_add(END64_BYTES).is_none_or(|end| end > locator_at) {
        return Err(wrong());
    }
    let record = read_at(file, at, END64_BYTES)?;
    let end = Fields(&record).u64(4).checked_add(12).and_then(|length| at.checked_add(length));
    if Fields(&record).u32(0) != 0x0606_4b50 || end != Some(locator_at) {
        return Err(wrong());
    }
    Ok(Some((record, at)))
}

fn read_at(file: &File, at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Section { file, at, end: at + length }.read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(corrupt(at + bytes.len() as u64, "the zip archive ends before it is complete"))
    }
}

fn read_entry(listing: &mut Source<'_>) -> io::Result<Entry> {
    let wrong = || corrupt_here("an entry of the archive's directory is malformed");
    let mut fixed = [0; 46];
    listing.read_exact(&mut fixed).map_err(|error| ended(error, wrong))?;
    let fields = Fields(&fixed);
    if fields.u32(0) != 0x0201_4b50 {
        return Err(wrong());
    }
    let mut name = vec![0; usize::from(fields.u16(28))];
    let mut extra = vec![0; usize::from(fields.u16(30))];
    listing.read_exact(&mut name).map_err(|error| ended(error, wrong))?;
    listing.read_exact(&mut extra).map_err(|error| ended(error, wrong))?;
    let comment = u64::from(fields.u16(32));
    if listing.skip(comment)? != comment {
        return Err(wrong());
    }
    let made_by_unix = matches!(fields.u16(4) >> 8, 3 | 19);
    let mut entry = Entry {
        name,
        mode: made_by_unix.then(|| fields.u32(38) >> 16),
        encrypted: fields.u16(8) & 0x2041 != 0,
        method: fields.u16(10),
        crc: fields.u32(16),
        compressed: u64::from(fields.u32(20)),
        size: u64::from(fields.u32(24)),
        local: u64::from(fields.u32(42)),
    };
    widen(&mut entry, &extra).ok_or_else(wrong)?;
    Ok(entry)
}

/// Puts the 64-bit figures of the extra field in the place of those that do not fit in 32 bits.
fn widen(entry: &mut Entry, mut extra: &[u8]) -> Option<()> {
    let full = u64::from(u32::MAX);
    let mut missing: Vec<&mut u64> = [&mut entry.size, &mut entry.compressed, &mut entry.local]
        .into_iter()
        .filter(|figure| **figure == full)
        .collect();
    if missing.is_empty() {
        return Some(());
    }
    while extra.len() >= 4 {
        let length = usize::from(Fields(extra).u16(2));
        let field = extra.get(4..4 + length)?;
        if Fields(extra).u16(0) == 1 {
            for (index, figure) in missing.iter_mut().enumerate() {
                let bytes = field.get(index * 8..index * 8 + 8)?;
                **figure = Fields(bytes).u64(0);
            }
            return Some(());
        }
        extra = &extra[4 + length..];
    }
    // A size of exactly 2^32 - 1 is possible, but not within the limits of a document.
    None
}

/// The bytes of a member. Its own header must name it as the directory does.
fn find_content<'f>(
    file: &'f File,
    directory: &Directory,
    entry: &Entry,
) -> io::Result<Section<'f>> {
    let outside = || corrupt(entry.local, "the member does not lie within the archive");
    let within = |at: Option<u64>| at.filter(|at| *at <= directory.start).ok_or_else(outside);
    let header_end = within(entry.local.checked_add(LOCAL_BYTES))?;
    let header = read_at(file, entry.local, LOCAL_BYTES)?;
    let fields = Fields(&header);
    let (name, extra) = (u64::from(fields.u16(26)), u64::from(fields.u16(28)));
    let start = within(header_end.checked_add(name + extra))?;
    let end = within(start.checked_add(entry.compressed))?;
    let same_name = read_at(file, header_end, name)? == entry.name;
    if fields.u32(0) != 0x0403_4b50 || !same_name || fields.u16(8) != entry.method {
        return Err(corrupt(entry.local, "the member's two headers disagree"));
    }
    Ok(Section { file, at: start, end })
}

fn corrupt_here(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.to_owned())
}

/// A read that found the end means a malformed directory; any other failure stands.
fn ended(error: io::Error, wrong: impl Fn() -> io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { wrong() } else { error }
}

/// Little-endian numbers at fixed offsets; 0 beyond the end.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.bytes(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }
}
