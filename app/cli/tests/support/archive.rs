//! Archives that no honest program writes.

use std::io::Write as _;

/// A tar archive that is written header by header.
#[derive(Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn new() -> Tar {
        Tar::default()
    }

    /// A plain file.
    pub(crate) fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Tar {
        self.member(b'0', name, b"", content)
    }

    /// A member of any type with any name and link target, at most 100 bytes each.
    pub(crate) fn member(
        mut self,
        kind: u8,
        name: impl AsRef<[u8]>,
        target: &[u8],
        content: impl AsRef<[u8]>,
    ) -> Tar {
        let content = content.as_ref();
        self.0.extend_from_slice(&tar_header(kind, name.as_ref(), target, content.len() as u64));
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// A file whose name comes in a GNU long-name member.
    pub(crate) fn long(self, name: &[u8], content: impl AsRef<[u8]>) -> Tar {
        self.member(b'L', "././@LongLink", b"", name).file("long", content)
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

/// The header of a tar member, with a right checksum.
pub(crate) fn tar_header(kind: u8, name: &[u8], target: &[u8], size: u64) -> [u8; 512] {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    if size < 1 << 33 {
        header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        // GNU: a binary number, marked by its first bit.
        header[124] = 0x80;
        header[128..136].copy_from_slice(&size.to_be_bytes());
    }
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = kind;
    header[157..157 + target.len()].copy_from_slice(target);
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A zip archive that is written entry by entry.
#[derive(Default)]
pub(crate) struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    entries: u16,
}

impl Zip {
    pub(crate) fn new() -> Zip {
        Zip::default()
    }

    /// A deflated file.
    pub(crate) fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Zip {
        self.entry(name, content, 0o100_644, 0)
    }

    /// A deflated entry with a Unix mode and flags.
    pub(crate) fn entry(
        self,
        name: impl AsRef<[u8]>,
        content: impl AsRef<[u8]>,
        mode: u32,
        flags: u16,
    ) -> Zip {
        let content = content.as_ref();
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let mut deflate =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        deflate.write_all(content).expect("memory takes all");
        let packed = deflate.finish().expect("memory takes all");
        let size = u32::try_from(content.len()).expect("small test data");
        self.raw(name.as_ref(), &packed, size, crc.sum(), mode, flags)
    }

    /// An entry with given deflated bytes, size and checksum.
    pub(crate) fn raw(
        mut self,
        name: &[u8],
        packed: &[u8],
        size: u32,
        crc: u32,
        mode: u32,
        flags: u16,
    ) -> Zip {
        let offset = u32::try_from(self.bytes.len()).expect("small test data");
        let length = u16::try_from(name.len()).expect("a short name");
        let stored = u32::try_from(packed.len()).expect("small test data");
        // Version, flags, deflate, time, date, checksum, sizes, length of name, no extra field.
        let mut common = Vec::new();
        for field in [20, flags, 8, 0, 0x21] {
            common.extend_from_slice(&field.to_le_bytes());
        }
        for field in [crc, stored, size] {
            common.extend_from_slice(&field.to_le_bytes());
        }
        common.extend_from_slice(&length.to_le_bytes());
        common.extend_from_slice(&[0, 0]);

        self.bytes.extend_from_slice(b"PK\x03\x04");
        self.bytes.extend_from_slice(&common);
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(packed);

        self.directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        self.directory.extend_from_slice(&common);
        // No comment, disk 0, no internal attributes.
        self.directory.extend_from_slice(&[0; 6]);
        self.directory.extend_from_slice(&(mode << 16).to_le_bytes());
        self.directory.extend_from_slice(&offset.to_le_bytes());
        self.directory.extend_from_slice(name);
        self.entries += 1;
        self
    }

    pub(crate) fn end(self) -> Vec<u8> {
        let start = u32::try_from(self.bytes.len()).expect("small test data");
        let size = u32::try_from(self.directory.len()).expect("small test data");
        let mut bytes = [self.bytes, self.directory].concat();
        bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        bytes.extend_from_slice(&self.entries.to_le_bytes());
        bytes.extend_from_slice(&self.entries.to_le_bytes());
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(&start.to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes
    }
}

/// Gzip around bytes.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// Zstandard around bytes.
pub(crate) fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory takes all")
}

/// A zstd frame of so many zeros, after `begin`.
pub(crate) fn zstd_zeros(begin: &[u8], zeros: u64) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.write_all(begin).expect("memory takes all");
    fill(&mut encoder, 0, zeros).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// A gzip stream of so many zeros, after `begin`.
pub(crate) fn gzip_zeros(begin: &[u8], zeros: u64) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(begin).expect("memory takes all");
    fill(&mut encoder, 0, zeros).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// Writes one byte so many times.
pub(crate) fn fill(to: &mut dyn std::io::Write, byte: u8, count: u64) -> std::io::Result<()> {
    let block = vec![byte; 1 << 16];
    let mut left = count;
    while left > 0 {
        let part = left.min(block.len() as u64);
        to.write_all(&block[..usize::try_from(part).expect("a block")])?;
        left -= part;
    }
    Ok(())
}
