//! A deterministic `.tar.gz`: same members, same bytes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use flate2::{Compression, GzBuilder};
use stella_manifest::tar::{END, header, padding};
use stella_model::PartName;

/// How hard deflate tries. zlib-rs at this level takes less than half of gzip's time.
const LEVEL: u32 = 6;

/// "Unknown", by RFC 1952: the bytes do not tell where they were made.
const NO_SYSTEM: u8 = 255;

/// A member of an archive.
pub(super) enum Member<'a> {
    Bytes(&'a [u8]),
    File(&'a mut File),
}

/// Writes an archive of these members in their order.
pub(super) fn tar_gz<W: Write>(out: W, members: &mut [(PartName, Member<'_>)]) -> io::Result<W> {
    let mut gzip =
        GzBuilder::new().mtime(0).operating_system(NO_SYSTEM).write(out, Compression::new(LEVEL));
    for (name, member) in members {
        let size = match member {
            Member::Bytes(bytes) => bytes.len() as u64,
            Member::File(file) => file.seek(SeekFrom::End(0))?,
        };
        gzip.write_all(&header(name, size).map_err(io::Error::other)?)?;
        match member {
            Member::Bytes(bytes) => gzip.write_all(bytes)?,
            Member::File(file) => copy(file, &mut gzip)?,
        }
        gzip.write_all(&END[..padding(size)])?;
    }
    gzip.write_all(&END)?;
    gzip.finish()
}

fn copy(file: &mut File, out: &mut dyn Write) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => out.write_all(&buffer[..read])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_reads_back_and_tells_nothing_of_time_or_place() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[7; 1000]).expect("writes");
        let name = |text| PartName::new(text).expect("a name");
        let mut make = || {
            let mut members =
                [(name("a.json"), Member::Bytes(b"{}")), (name("b.db"), Member::File(&mut file))];
            tar_gz(Vec::new(), &mut members).expect("writes")
        };
        let archive = make();
        assert_eq!(archive, make());
        // No name, no time, system unknown.
        assert_eq!(archive[3..8], [0, 0, 0, 0, 0]);
        assert_eq!(archive[9], NO_SYSTEM);
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(&archive[..]).read_to_end(&mut tar).expect("gzip");
        assert_eq!(&tar[..6], b"a.json");
        assert_eq!(&tar[1024..1028], b"b.db");
        assert_eq!(&tar[1536..2536], &[7; 1000]);
    }
}
