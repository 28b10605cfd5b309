//! Tar archives as streams: old, POSIX and GNU headers, long names bounded.
//!
//! Headers are read with the `tar` crate's types; the loop over members is our own, because that
//! crate gathers a long name of any claimed length in memory.
//! Format: POSIX.1-2024 `pax`, "ustar Interchange Format" and "pax Header Block".

use std::io::{self, BufRead, Read};

use tar::{EntryType, Header};

use crate::magic::{self, HEAD_BYTES};
use crate::member::{Seen, safe_name, text};
use crate::source::Source;
use crate::stream::Nesting;
use crate::{Halt, Place, Reason, Walk, Walker, failed, refused};

/// Longest extended header or long name that is read. Stops names that fill the memory.
const EXTENSION_BYTES: u64 = 1 << 20;

const BLOCK: u64 = HEAD_BYTES as u64;

/// What extended headers say about the member that follows them.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

impl Walker<'_> {
    pub(crate) fn tar(
        &mut self,
        source: &mut Source<'_>,
        place: Place<'_>,
        nesting: Nesting,
    ) -> Walk {
        let limits = self.options.limits;
        let mut seen = Seen::default();
        let mut extended = Extended::default();
        let mut members = 0_u64;
        while let Some((block, at)) = header(source, place)? {
            members += 1;
            if members > limits.members {
                let problem = format!("the archive has more than {} members", limits.members);
                return Err(refused(place, at, problem));
            }
            let header = Header::from_byte_slice(&block);
            let claimed = header.entry_size();
            let size = claimed.map_err(|_| refused(place, at, "a member's size is no number"))?;
            if self.extension(source, place, header, size, at, &mut extended)? {
                continue;
            }
            let extended = std::mem::take(&mut extended);
            if extended.size.is_some_and(|other| other != size) {
                let problem = "a member's two headers give different sizes";
                return Err(refused(place, at, problem));
            }
            if source.taken().checked_add(size).is_none_or(|end| end > limits.container_bytes) {
                let problem =
                    format!("the archive is longer than {} bytes", limits.container_bytes);
                return Err(refused(place, at, problem));
            }
            let end = source.taken() + size.next_multiple_of(BLOCK);
            self.tar_member(source, place, nesting, header, &extended, size, &mut seen)?;
            let rest = end - source.taken();
            skip(source, place, rest)?;
        }
        self.tar_end(source, place)
    }

    /// Takes in a header that only extends the next one.
    fn extension(
        &mut self,
        source: &mut Source<'_>,
        place: Place<'_>,
        header: &Header,
        size: u64,
        at: u64,
        extended: &mut Extended,
    ) -> Result<bool, Halt> {
        let kind = header.entry_type();
        let known = [
            EntryType::GNULongName,
            EntryType::GNULongLink,
            EntryType::XHeader,
            EntryType::XGlobalHeader,
        ];
        if !known.contains(&kind) {
            return Ok(false);
        }
        if size > EXTENSION_BYTES {
            let problem = format!("a long name or extended header of {size} bytes");
            return Err(refused(place, at, problem));
        }
        let mut data = Vec::new();
        let read = Read::take(&mut *source, size).read_to_end(&mut data);
        read.map_err(|error| failed(place, Some(source.taken()), &error))?;
        skip(source, place, size.next_multiple_of(BLOCK) - data.len() as u64)?;
        match kind {
            EntryType::GNULongName => {
                while data.last() == Some(&0) {
                    data.pop();
                }
                extended.path = Some(data);
            }
            EntryType::GNULongLink => {}
            _ => {
                let records = pax_records(&data);
                let records =
                    records.ok_or_else(|| refused(place, at, "an extended header is malformed"))?;
                let global = kind == EntryType::XGlobalHeader;
                apply_pax(&records, global, extended).map_err(|p| refused(place, at, p))?;
            }
        }
        Ok(true)
    }

    #[expect(clippy::too_many_arguments, reason = "one member, seen from its archive")]
    fn tar_member(
        &mut self,
        source: &mut Source<'_>,
        archive: Place<'_>,
        nesting: Nesting,
        header: &Header,
        extended: &Extended,
        size: u64,
        seen: &mut Seen,
    ) -> Walk {
        let raw = match &extended.path {
            Some(path) => path.clone(),
            None => header.path_bytes().into_owned(),
        };
        let kind = header.entry_type();
        // Archives before POSIX mark a directory by the slash alone.
        if kind == EntryType::Directory || (kind.is_file() && raw.ends_with(b"/")) {
            return Ok(());
        }
        let shown = text(&raw);
        let name = safe_name(&shown);
        let path = format!("{}!{}", archive.path, name.as_deref().unwrap_or(&shown));
        let place = Place { path: &path, name: name.as_deref().unwrap_or(&shown) };
        let refusal = match (kind, name.as_ref()) {
            (_, Err(problem)) => Some((Reason::UnsafeName, *problem)),
            (EntryType::Symlink, _) => Some((Reason::Link, "a symbolic link")),
            (EntryType::Link, _) => Some((Reason::Link, "a hard link")),
            (EntryType::Char | EntryType::Block | EntryType::Fifo, _) => {
                Some((Reason::Device, "a device or pipe"))
            }
            (EntryType::GNUSparse, _) => Some((Reason::UnknownFormat, "a sparse file")),
            _ if extended.sparse => Some((Reason::UnknownFormat, "a sparse file")),
            (EntryType::Regular | EntryType::Continuous, Ok(_)) => None,
            _ => Some((Reason::UnknownFormat, "a member of unknown type")),
        };
        if let Some((reason, detail)) = refusal {
            return self.reject(place, reason, None, detail);
        }
        if !seen.insert(place.name.as_bytes()) {
            let detail = "the archive has this name twice; the first was taken";
            return self.reject(place, Reason::DuplicateMember, None, detail);
        }
        if self.skip_by_name(place)? {
            return Ok(());
        }
        let outcome = self.tar_content(source, place, nesting, size);
        // What broke may be the archive itself; then the archive says so.
        match source.fault() {
            Some(error) => Err(failed(archive, Some(source.taken()), &error)),
            None => self.contain(outcome),
        }
    }

    fn tar_content(
        &mut self,
        source: &mut Source<'_>,
        place: Place<'_>,
        nesting: Nesting,
        size: u64,
    ) -> Walk {
        let wanted = usize::try_from(size).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
        let head = source.peek(wanted).map_err(|error| failed(place, Some(0), &error))?;
        let container = magic::detect(head).is_some();
        let mut content = Whole { reader: Read::take(source, size) };
        if container {
            self.stream(&mut Source::new(content), place, nesting, None)
        } else {
            self.leaf(&mut content, place, Some(size))
        }
    }

    /// Reads what follows the end mark: nothing but zeros, which fill the last record.
    fn tar_end(&mut self, source: &mut Source<'_>, place: Place<'_>) -> Walk {
        let mut told = false;
        loop {
            let at = source.taken();
            let rest = source.fill_buf().map_err(|error| failed(place, Some(at), &error))?;
            if rest.is_empty() {
                return Ok(());
            }
            let (length, hidden) = (rest.len(), rest.iter().position(|b| *b != 0));
            if let (Some(hidden), false) = (hidden, told) {
                told = true;
                let detail = "there is data behind the end of the archive; it is not read";
                self.reject(place, Reason::BadContainer, Some(at + hidden as u64), detail)?;
            }
            source.consume(length);
        }
    }
}

/// A member's content, which must not end early.
struct Whole<'s, 'r> {
    reader: io::Take<&'s mut Source<'r>>,
}

impl Read for Whole<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(out)?;
        if count == 0 && !out.is_empty() && self.reader.limit() > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, TRUNCATED));
        }
        Ok(count)
    }
}

const TRUNCATED: &str = "the tar archive ends before it is complete";

/// The next header and its offset; `None` at the end mark.
fn header(
    source: &mut Source<'_>,
    place: Place<'_>,
) -> Result<Option<([u8; HEAD_BYTES], u64)>, Halt> {
    let at = source.taken();
    let block = source.peek(HEAD_BYTES).map_err(|error| failed(place, Some(at), &error))?;
    let Ok(block) = <[u8; HEAD_BYTES]>::try_from(block) else {
        return Err(refused(place, at, TRUNCATED));
    };
    source.consume(HEAD_BYTES);
    if block.iter().all(|b| *b == 0) {
        return Ok(None);
    }
    if !magic::checksum_holds(&block) {
        return Err(refused(place, at, "the tar archive is corrupt: a header's checksum is wrong"));
    }
    Ok(Some((block, at)))
}

fn skip(source: &mut Source<'_>, place: Place<'_>, count: u64) -> Walk {
    let skipped =
        source.skip(count).map_err(|error| failed(place, Some(source.taken()), &error))?;
    if skipped == count { Ok(()) } else { Err(refused(place, source.taken(), TRUNCATED)) }
}

/// The records `LENGTH KEY=VALUE\n` of an extended header.
fn pax_records(mut data: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !data.is_empty() {
        let space = data.iter().take(20).position(|b| *b == b' ')?;
        let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
        let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|b| *b == b'=')?;
        records.push((&record[..equals], &record[equals + 1..]));
        data = &data[length..];
    }
    Some(records)
}

/// Takes over what matters here. What a global header sets would hold for all members; no writer of
/// evidence does that for names and sizes.
fn apply_pax(
    records: &[(&[u8], &[u8])],
    global: bool,
    extended: &mut Extended,
) -> Result<(), &'static str> {
    for (key, value) in records {
        match *key {
            b"path" | b"size" | b"linkpath" if global => {
                return Err("a global header names or sizes all members");
            }
            b"path" => extended.path = Some(value.to_vec()),
            b"size" => {
                let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                extended.size = Some(size.ok_or("an extended header's size is no number")?);
            }
            key if key.starts_with(b"GNU.sparse.") => extended.sparse = true,
            _ => {}
        }
    }
    Ok(())
}
