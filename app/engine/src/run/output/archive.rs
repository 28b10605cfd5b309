//! A deterministic `.tar.gz`: same members, same bytes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use flate2::write::GzEncoder;
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
    let mut archive = Archive::new(out);
    for (name, member) in members {
        match member {
            Member::Bytes(bytes) => archive.member(name, bytes.len() as u64, &mut &**bytes)?,
            Member::File(file) => {
                let size = file.seek(SeekFrom::End(0))?;
                file.seek(SeekFrom::Start(0))?;
                archive.member(name, size, *file)?;
            }
        }
    }
    archive.finish()
}

/// An archive that is written member by member.
pub(super) struct Archive<W: Write> {
    gzip: GzEncoder<W>,
    buffer: Vec<u8>,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W) -> Archive<W> {
        let level = Compression::new(LEVEL);
        let gzip = GzBuilder::new().mtime(0).operating_system(NO_SYSTEM).write(out, level);
        Archive { gzip, buffer: vec![0; 256 << 10] }
    }

    /// Adds a file of so many bytes.
    pub(super) fn member(
        &mut self,
        name: &PartName,
        size: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        self.gzip.write_all(&header(name, size).map_err(io::Error::other)?)?;
        let mut left = size;
        loop {
            let read = content.read(&mut self.buffer)?;
            if read == 0 {
                break;
            }
            self.gzip.write_all(&self.buffer[..read])?;
            left = left.wrapping_sub(read as u64);
        }
        if left != 0 {
            return Err(io::Error::other(format!("{name} has another size than its header tells")));
        }
        self.gzip.write_all(&END[..padding(size)])
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.gzip.write_all(&END)?;
        self.gzip.finish()
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
