//! Archives: a gzip stream around a tar, in the one form that is written.

use std::io::{self, BufReader, Read};

use flate2::bufread::GzDecoder;
use stella_manifest::PartEntry;
use stella_manifest::tar::{END, header, padding};
use stella_model::PartName;

use super::metadata::{self, Form};
use super::{Context, Kind, Problems};
use crate::report::{Check, Problem};

/// The member with the times and the version.
const METADATA: &str = "metadata.json";

/// Larger than `metadata.json` ever is.
const METADATA_BYTES: u64 = 4 << 10;

/// Largest database or repository, unpacked: seven times the public database of all languages and
/// distributions. Stops archives that fill the disk.
const UNPACKED_BYTES: u64 = 8 << 30;

/// How many times larger content may be than its archive, once it is over
/// [`Limits::ratio_free_bytes`](stella_model::Limits::ratio_free_bytes). Deflate reaches a thousand
/// with zeros, databases ten.
const RATIO: u64 = 100;

/// How gzip begins here: deflate, no name, no time, an unknown system (RFC 1952). The ninth byte
/// tells how hard the compressor tried.
const GZIP_START: [u8; 8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
const GZIP_SYSTEM: u8 = 255;

const BLOCK: usize = 512;

/// Why an archive does not unpack.
pub(super) enum Fault {
    /// It is not what it should be.
    Bad(Problem),
    /// It cannot be read, or is no gzip.
    Read(io::Error),
    /// There is no room for it.
    Room(io::Error),
    Stopped,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Read(error)
    }
}

impl Fault {
    fn bad(message: impl AsRef<str>) -> Fault {
        Fault::Bad(Problem::new(message))
    }

    /// The problem to tell; `None` if it was told to stop.
    pub(super) fn problem(self) -> Option<Problem> {
        match self {
            Fault::Bad(problem) => Some(problem),
            Fault::Read(error) => {
                Some(Problem::new(format!("the archive does not unpack: {error}")))
            }
            Fault::Room(error) => Some(Problem::new(format!("no room for the database: {error}"))),
            Fault::Stopped => None,
        }
    }
}

/// Unpacks a database into `room`; the number of its bytes.
pub(super) fn unpack(
    context: &Context<'_>,
    kind: &Kind,
    layer: &PartEntry,
    room: &mut dyn io::Write,
    problems: &mut Problems,
) -> Option<u64> {
    let fault = match run(context, kind, layer, room, problems) {
        Ok(bytes) => return Some(bytes),
        Err(fault) => fault,
    };
    if let Some(problem) = fault.problem() {
        problems.add(Check::ScannerPackaging, problem.of(layer.path.as_str()));
    }
    None
}

fn run(
    context: &Context<'_>,
    kind: &Kind,
    layer: &PartEntry,
    room: &mut dyn io::Write,
    problems: &mut Problems,
) -> Result<u64, Fault> {
    let mut archive = TarGz::open(context, layer)?;
    let size = archive.member(METADATA, METADATA_BYTES)?;
    let mut bytes = Vec::new();
    archive.copy(context, size, &mut bytes)?;
    let file = format!("{} in {}", METADATA, layer.path);
    metadata::check(&file, &bytes, context.manifest.as_of, Form::Layer, kind, problems);
    let size = archive.member(kind.file, u64::MAX)?;
    archive.copy(context, size, room)?;
    room.flush().map_err(Fault::Room)?;
    match archive.next()? {
        None => archive.finish().map(|()| size),
        Some(_) => Err(Fault::bad("the archive has more members than it should")),
    }
}

/// An archive that is read from its start to its end.
pub(super) struct TarGz<'a> {
    gzip: GzDecoder<BufReader<Box<dyn Read + 'a>>>,
    /// Bytes that its content may still have.
    left: u64,
}

/// A member of an archive.
pub(super) struct Member {
    pub(super) name: PartName,
    pub(super) size: u64,
}

impl<'a> TarGz<'a> {
    /// Opens the archive in a part.
    pub(super) fn open(context: &Context<'a>, part: &PartEntry) -> Result<TarGz<'a>, Fault> {
        let mut stored = context.files.open(&part.path)?.take(part.size);
        let mut start = [0; 10];
        stored.read_exact(&mut start)?;
        if start[..8] != GZIP_START || start[9] != GZIP_SYSTEM {
            return Err(Fault::bad(
                "the gzip header tells more than it should: a name, a time or a system",
            ));
        }
        let whole: Box<dyn Read + 'a> = Box::new(io::Cursor::new(start).chain(stored));
        let gzip = GzDecoder::new(BufReader::with_capacity(128 << 10, whole));
        let left = part.size.saturating_mul(RATIO).max(context.limits.ratio_free_bytes);
        Ok(TarGz { gzip, left: left.min(UNPACKED_BYTES) })
    }

    /// The next member, whose header must be the one of its name and size; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Fault> {
        let mut block = [0; BLOCK];
        self.gzip.read_exact(&mut block)?;
        if block == END[..BLOCK] {
            return Ok(None);
        }
        let name: Vec<u8> = block.iter().take(100).copied().take_while(|byte| *byte != 0).collect();
        let digits = std::str::from_utf8(&block[124..135]).unwrap_or_default();
        let member = u64::from_str_radix(digits, 8).ok().and_then(|size| {
            let name = PartName::new(std::str::from_utf8(&name).ok()?).ok()?;
            let exact = header(&name, size).ok()?[..] == block[..];
            exact.then_some(Member { name, size })
        });
        let Some(member) = member else {
            let name = String::from_utf8_lossy(&name).into_owned();
            let problem = Problem::new("a member of the archive has another name or header");
            return Err(Fault::Bad(problem.expected("a name and a size alone", name)));
        };
        let most = self.left;
        match self.left.checked_sub(member.size) {
            Some(left) => self.left = left,
            None => return Err(too_large(&member, most)),
        }
        Ok(Some(member))
    }

    /// The size of the next member, which must have this name.
    fn member(&mut self, name: &str, most: u64) -> Result<u64, Fault> {
        match self.next()? {
            Some(member) if member.name.as_str() == name && member.size <= most => Ok(member.size),
            Some(member) if member.name.as_str() == name => Err(too_large(&member, most)),
            other => {
                let found = other.map_or_else(|| "nothing".to_owned(), |m| m.name.to_string());
                let problem = Problem::new("a member of the archive has another name or header");
                Err(Fault::Bad(problem.expected(name, found)))
            }
        }
    }

    /// What the member at hand holds; its caller reads as many bytes as it has.
    pub(super) fn content(&mut self) -> &mut dyn Read {
        &mut self.gzip
    }

    /// Copies what the member at hand holds, and reads over the padding after it.
    pub(super) fn copy(
        &mut self,
        context: &Context<'_>,
        size: u64,
        to: &mut dyn io::Write,
    ) -> Result<(), Fault> {
        let mut buffer = vec![0; 128 << 10];
        let mut left = size;
        while left > 0 {
            if (context.stop)() {
                return Err(Fault::Stopped);
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.gzip.read(&mut buffer[..most])?;
            if read == 0 {
                return Err(Fault::Read(io::ErrorKind::UnexpectedEof.into()));
            }
            to.write_all(&buffer[..read]).map_err(Fault::Room)?;
            left -= read as u64;
        }
        self.pad(size)
    }

    /// Reads over the padding after a member of this size.
    pub(super) fn pad(&mut self, size: u64) -> Result<(), Fault> {
        let mut rest = [0; BLOCK];
        let rest = &mut rest[..padding(size)];
        self.gzip.read_exact(rest)?;
        match rest.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(Fault::bad("the padding after a member is not empty")),
        }
    }

    /// Demands that nothing follows the end, of which the first block was read.
    pub(super) fn finish(mut self) -> Result<(), Fault> {
        let mut end = [1; END.len() - BLOCK];
        self.gzip.read_exact(&mut end)?;
        if end[..] != END[BLOCK..] {
            return Err(Fault::bad("the archive has an end that is none"));
        }
        if self.gzip.read(&mut [0])? > 0 {
            return Err(Fault::bad("something follows the archive"));
        }
        if self.gzip.get_mut().read(&mut [0])? > 0 {
            return Err(Fault::bad("something follows the compressed data"));
        }
        Ok(())
    }
}

fn too_large(member: &Member, most: u64) -> Fault {
    let problem = Problem::new(format!("{} expands to more than its archive allows", member.name));
    Fault::Bad(problem.expected(format!("at most {most}"), member.size))
}
