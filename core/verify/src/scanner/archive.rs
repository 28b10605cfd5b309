//! The layer: a gzip stream around a tar of exactly two members, in the one form that is written.

use std::io::{self, BufReader, Read};

use flate2::bufread::GzDecoder;
use stella_manifest::PartEntry;
use stella_manifest::tar::{END, header, padding};
use stella_model::PartName;

use super::metadata::{self, Form};
use super::{Context, Problems};
use crate::report::{Check, Problem};

/// The name that a registry's clients give the layer; its ending tells them how to unpack it.
pub(super) const TITLE: &str = "db.tar.gz";

/// The member with the database.
pub(super) const DATABASE: &str = "trivy.db";

const METADATA: &str = "metadata.json";

/// Larger than `metadata.json` ever is.
const METADATA_BYTES: u64 = 4 << 10;

/// Largest database, unpacked: seven times the public one of all languages and distributions. Stops
/// layers that fill the disk.
const DATABASE_BYTES: u64 = 8 << 30;

/// How many times larger a database may be than its layer, once it is over
/// [`Limits::ratio_free_bytes`](stella_model::Limits::ratio_free_bytes). Deflate reaches a thousand with zeros, databases ten.
const DATABASE_RATIO: u64 = 100;

/// How gzip begins here: deflate, no name, no time, an unknown system (RFC 1952). The ninth byte
/// tells how hard the compressor tried.
const GZIP_START: [u8; 8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
const GZIP_SYSTEM: u8 = 255;

const BLOCK: usize = 512;

/// Why the layer does not unpack.
enum Fault {
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

/// Unpacks the database into `room`; the number of its bytes.
pub(super) fn unpack(
    context: &Context<'_>,
    layer: &PartEntry,
    room: &mut dyn io::Write,
    problems: &mut Problems,
) -> Option<u64> {
    let path = layer.path.as_str();
    let problem = match run(context, layer, room, problems) {
        Ok(bytes) => return Some(bytes),
        Err(Fault::Bad(problem)) => problem,
        Err(Fault::Read(error)) => Problem::new(format!("the layer does not unpack: {error}")),
        Err(Fault::Room(error)) => Problem::new(format!("no room for the database: {error}")),
        Err(Fault::Stopped) => return None,
    };
    problems.add(Check::ScannerPackaging, problem.of(path));
    None
}

fn run(
    context: &Context<'_>,
    layer: &PartEntry,
    room: &mut dyn io::Write,
    problems: &mut Problems,
) -> Result<u64, Fault> {
    let mut stored = context.files.open(&layer.path)?.take(layer.size);
    let mut start = [0; 10];
    stored.read_exact(&mut start)?;
    if start[..8] != GZIP_START || start[9] != GZIP_SYSTEM {
        let message = "the gzip header tells more than it should: a name, a time or a system";
        return Err(Fault::Bad(Problem::new(message)));
    }
    let mut gzip = GzDecoder::new(BufReader::with_capacity(128 << 10, (&start[..]).chain(stored)));
    let size = member(&mut gzip, METADATA, METADATA_BYTES)?;
    let mut bytes = Vec::new();
    copy(context, &mut gzip, size, &mut bytes)?;
    let file = format!("{} in {}", METADATA, layer.path);
    metadata::check(&file, &bytes, context.manifest.as_of, Form::Layer, problems);
    let most = layer.size.saturating_mul(DATABASE_RATIO).max(context.limits.ratio_free_bytes);
    let size = member(&mut gzip, DATABASE, most.min(DATABASE_BYTES))?;
    copy(context, &mut gzip, size, room)?;
    room.flush().map_err(Fault::Room)?;
    let mut end = [1; END.len()];
    gzip.read_exact(&mut end)?;
    if end != END {
        return Err(Fault::Bad(Problem::new("the archive has more members than it should")));
    }
    if gzip.read(&mut [0])? > 0 {
        return Err(Fault::Bad(Problem::new("something follows the archive")));
    }
    if gzip.get_mut().read(&mut [0])? > 0 {
        return Err(Fault::Bad(Problem::new("something follows the compressed data")));
    }
    Ok(size)
}

/// Reads the header of a member, which must be exactly that of this name; its size.
fn member(tar: &mut dyn Read, name: &str, most: u64) -> Result<u64, Fault> {
    let mut block = [0; BLOCK];
    tar.read_exact(&mut block)?;
    let digits = std::str::from_utf8(&block[124..135]).unwrap_or_default();
    let size = u64::from_str_radix(digits, 8).ok();
    let exact = size.and_then(|size| {
        let name = PartName::new(name).ok()?;
        Some(header(&name, size).ok()?[..] == block[..])
    });
    let (Some(size), Some(true)) = (size, exact) else {
        let found = block.iter().take(100).take_while(|byte| **byte != 0);
        let found = String::from_utf8_lossy(&found.copied().collect::<Vec<u8>>()).into_owned();
        let problem = Problem::new("a member of the archive has another name or header");
        return Err(Fault::Bad(problem.expected(name, found)));
    };
    if size > most {
        let problem = Problem::new(format!("{name} expands to more than its layer allows"));
        return Err(Fault::Bad(problem.expected(format!("at most {most}"), size)));
    }
    Ok(size)
}

/// Copies what a member holds, and reads over the padding after it.
fn copy(
    context: &Context<'_>,
    tar: &mut dyn Read,
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
        let read = tar.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(Fault::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        to.write_all(&buffer[..read]).map_err(Fault::Room)?;
        left -= read as u64;
    }
    let rest = &mut buffer[..padding(size)];
    tar.read_exact(rest)?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Fault::Bad(Problem::new("the padding after a member is not empty")));
    }
    Ok(())
}
