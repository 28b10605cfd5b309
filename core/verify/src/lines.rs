//! Reading a compressed part line by line, hashing it on the way.
//!
//! A part is exactly one zstd frame (<https://www.rfc-editor.org/rfc/rfc8878>) that tells its
//! content size and ends with a checksum. The stored bytes are read once: each chunk is hashed and
//! decompressed, and lines are handed out from the buffer they were decompressed into. Memory is
//! bounded by the longest line, whatever the part claims (INV-LIMIT).

use std::io::{self, Read};

use stella_manifest::PartEntry;
use stella_model::{Digest, DigestBuilder, Limits, PartName};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// Why a part does not unpack.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The stored bytes cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    /// The stored bytes end within the frame.
    #[error("the compressed data ends before it is complete")]
    Truncated,
    /// The frame header has another form.
    #[error("the frame header is not that of a part: {0}")]
    Header(&'static str),
    /// The frame tells another size than the manifest.
    #[error("the frame tells {found} uncompressed bytes, the manifest {expected}")]
    Size {
        /// Size in the manifest.
        expected: u64,
        /// Size in the frame.
        found: u64,
    },
    /// The compressed data is damaged.
    #[error("the compressed data is damaged")]
    Damaged(#[source] io::Error),
    /// Something follows the frame.
    #[error("something follows the compressed data")]
    Trailing,
    /// A line is longer than any record.
    #[error("a line is longer than {0} bytes")]
    LongLine(usize),
    /// The last line has no line feed.
    #[error("the last line does not end with a line feed")]
    Unterminated,
}

/// Buffers for reading one part at a time, kept from part to part.
pub struct Buffers {
    decoder: Decoder<'static>,
    input: Box<[u8]>,
    output: Vec<u8>,
}

const INPUT_BYTES: usize = 128 << 10;
const OUTPUT_BYTES: usize = 512 << 10;

impl Buffers {
    /// Buffers and a decompression context.
    ///
    /// # Errors
    /// If libzstd has no memory for its context.
    pub fn new(limits: &Limits) -> io::Result<Buffers> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(limits.zstd_window_log))?;
        let input = vec![0; INPUT_BYTES].into_boxed_slice();
        Ok(Buffers { decoder, input, output: vec![0; OUTPUT_BYTES] })
    }
}

impl std::fmt::Debug for Buffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffers").field("output", &self.output.len()).finish_non_exhaustive()
    }
}

/// A part being read.
pub struct Lines<'a> {
    source: Source<'a>,
    buffers: &'a mut Buffers,
    /// What of the input buffer was read and is not decompressed yet.
    pending: std::ops::Range<usize>,
    /// What of the output buffer was decompressed and is not handed out yet.
    ready: std::ops::Range<usize>,
    /// Up to where `ready` was searched for a line feed.
    searched: usize,
    uncompressed: u64,
    expected: u64,
    line_limit: usize,
    begun: bool,
    frame_ended: bool,
}

impl std::fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("offset", &self.offset()).finish_non_exhaustive()
    }
}

impl<'a> Lines<'a> {
    /// Begins to read the stored bytes of a part that the manifest tells of.
    pub fn new(
        entry: &PartEntry,
        stored: Box<dyn Read + Send + 'a>,
        buffers: &'a mut Buffers,
        limits: &Limits,
    ) -> Lines<'a> {
        Lines {
            source: Source { stored, digest: DigestBuilder::new(), read: 0, limit: entry.size },
            buffers,
            pending: 0..0,
            ready: 0..0,
            searched: 0,
            uncompressed: 0,
            expected: entry.uncompressed_size.unwrap_or(0),
            line_limit: longest_line(limits),
            begun: false,
            frame_ended: false,
        }
    }

    /// Offset of the next line in the uncompressed part.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.uncompressed - self.ready.len() as u64
    }

    /// The next line without its line feed, `None` after the last.
    ///
    /// # Errors
    /// [`UnpackError`] as soon as it shows; nothing more can be read then.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, UnpackError> {
        loop {
            let unseen = &self.buffers.output[self.searched..self.ready.end];
            if let Some(found) = memchr::memchr(b'\n', unseen) {
                let line = self.ready.start..self.searched + found;
                self.ready.start = line.end + 1;
                self.searched = self.ready.start;
                return Ok(Some(&self.buffers.output[line]));
            }
            self.searched = self.ready.end;
            if self.frame_ended {
                self.expect_end()?;
                return if self.ready.is_empty() {
                    Ok(None)
                } else {
                    Err(UnpackError::Unterminated)
                };
            }
            self.make_room()?;
            self.decompress()?;
        }
    }

    /// Passes over the bytes up to an offset without looking for lines.
    ///
    /// # Errors
    /// [`UnpackError`]; [`UnpackError::Truncated`] if the part ends before.
    pub fn skip_to(&mut self, offset: u64) -> Result<(), UnpackError> {
        while self.offset() < offset {
            let left = usize::try_from(offset - self.offset()).unwrap_or(usize::MAX);
            self.ready.start += left.min(self.ready.len());
            self.searched = self.ready.start;
            if self.offset() < offset {
                if self.frame_ended {
                    return Err(UnpackError::Truncated);
                }
                self.make_room()?;
                self.decompress()?;
            }
        }
        Ok(())
    }

    /// Reads what remains of the stored bytes, whatever they are: size and digest of all of them.
    ///
    /// At most one byte more than the manifest tells is read.
    ///
    /// # Errors
    /// [`UnpackError::Read`].
    pub fn finish(mut self) -> Result<(u64, Digest), UnpackError> {
        while self.source.fill(&mut self.buffers.input)? > 0 {}
        Ok((self.source.read, self.source.digest.finish()))
    }

    /// Makes room behind what is decompressed and not handed out: moves it to the front, or grows.
    fn make_room(&mut self) -> Result<(), UnpackError> {
        let output = &mut self.buffers.output;
        if self.ready.end < output.len() && self.ready.start < self.ready.end {
            return Ok(());
        }
        if self.ready.start > 0 {
            let length = self.ready.len();
            output.copy_within(self.ready.clone(), 0);
            self.searched -= self.ready.start;
            self.ready = 0..length;
        } else if self.ready.end == output.len() {
            if output.len() >= self.line_limit {
                return Err(UnpackError::LongLine(self.line_limit));
            }
            output.resize((output.len() * 2).min(self.line_limit), 0);
        }
        Ok(())
    }

    fn decompress(&mut self) -> Result<(), UnpackError> {
        if self.pending.is_empty() {
            self.pending = 0..self.source.fill(&mut self.buffers.input)?;
            if self.pending.is_empty() {
                return Err(UnpackError::Truncated);
            }
        }
        if !self.begun {
            self.begin()?;
        }
        // Never more than one byte beyond what the frame may hold.
        let allowed = usize::try_from(self.expected - self.uncompressed).unwrap_or(usize::MAX);
        let end = self.buffers.output.len().min(self.ready.end.saturating_add(allowed + 1));
        let mut input = InBuffer::around(&self.buffers.input[self.pending.clone()]);
        let mut output = OutBuffer::around(&mut self.buffers.output[self.ready.end..end]);
        let left = self.buffers.decoder.run(&mut input, &mut output);
        let left = left.map_err(UnpackError::Damaged)?;
        let (read, written) = (input.pos(), output.pos());
        self.pending.start += read;
        self.ready.end += written;
        self.uncompressed += written as u64;
        if self.uncompressed > self.expected {
            return Err(UnpackError::Size { expected: self.expected, found: self.uncompressed });
        }
        self.frame_ended = left == 0;
        Ok(())
    }

    /// Looks at the frame header before the decoder does.
    fn begin(&mut self) -> Result<(), UnpackError> {
        let told = frame_content_size(&self.buffers.input[self.pending.clone()])?;
        if told != self.expected {
            return Err(UnpackError::Size { expected: self.expected, found: told });
        }
        self.buffers.decoder.reinit().map_err(UnpackError::Damaged)?;
        self.begun = true;
        Ok(())
    }

    fn expect_end(&mut self) -> Result<(), UnpackError> {
        if self.uncompressed != self.expected {
            let (expected, found) = (self.expected, self.uncompressed);
            return Err(UnpackError::Size { expected, found });
        }
        if !self.pending.is_empty() || self.source.fill(&mut self.buffers.input)? > 0 {
            return Err(UnpackError::Trailing);
        }
        Ok(())
    }
}

/// Opens a part of a bundle for reading by lines.
///
/// # Errors
/// The I/O error of opening the file.
pub fn open<'a>(
    files: &'a dyn crate::BundleFiles,
    entry: &PartEntry,
    buffers: &'a mut Buffers,
    limits: &Limits,
) -> io::Result<Lines<'a>> {
    Ok(Lines::new(entry, files.open(&entry.path)?, buffers, limits))
}

/// Reads a whole small file.
///
/// # Errors
/// The I/O error; [`io::ErrorKind::FileTooLarge`] beyond `limit` bytes.
pub fn read_small(
    files: &dyn crate::BundleFiles,
    name: &PartName,
    limit: u64,
) -> io::Result<Vec<u8>> {
    let size = files.entry(name.as_str()).map_or(0, |entry| entry.size);
    if size > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    files.open(name)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The longest line of a data part: a text document of the largest size with every second character
/// escaped, and the members before it.
fn longest_line(limits: &Limits) -> usize {
    usize::try_from(limits.document_bytes.saturating_mul(2).saturating_add(64 << 10))
        .unwrap_or(usize::MAX)
}

/// The stored bytes, hashed as they are read.
struct Source<'a> {
    stored: Box<dyn Read + Send + 'a>,
    digest: DigestBuilder,
    read: u64,
    limit: u64,
}

impl Source<'_> {
    /// Fills the buffer as far as the source goes, but never far beyond the size of the part.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, UnpackError> {
        let left = (self.limit + 1).saturating_sub(self.read);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let mut filled = 0;
        while filled < wanted {
            match self.stored.read(&mut buffer[filled..wanted]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(UnpackError::Read(error)),
            }
        }
        self.digest.bytes(&buffer[..filled]);
        self.read += filled as u64;
        Ok(filled)
    }
}

/// The content size that a frame header tells (RFC 8878 §3.1.1.1), if the header is one that parts
/// have: with size and checksum, without a dictionary.
fn frame_content_size(bytes: &[u8]) -> Result<u64, UnpackError> {
    let Some((magic, rest)) = bytes.split_first_chunk::<4>() else {
        return Err(UnpackError::Truncated);
    };
    if u32::from_le_bytes(*magic) != 0xFD2F_B528 {
        return Err(UnpackError::Header("it does not begin with the magic number of zstd"));
    }
    let (&descriptor, rest) = rest.split_first().ok_or(UnpackError::Truncated)?;
    if descriptor & 0b11 != 0 {
        return Err(UnpackError::Header("it names a dictionary"));
    }
    if descriptor & 0b100 == 0 {
        return Err(UnpackError::Header("it promises no checksum"));
    }
    if descriptor & 0b1_1000 != 0 {
        return Err(UnpackError::Header("a reserved bit is set"));
    }
    let single_segment = descriptor & 0b10_0000 != 0;
    let rest = if single_segment { rest } else { rest.get(1..).unwrap_or_default() };
    let field = match (descriptor >> 6, single_segment) {
        (0, false) => return Err(UnpackError::Header("it tells no content size")),
        (0, true) => 1,
        (1, _) => 2,
        (2, _) => 4,
        _ => 8,
    };
    let bytes = rest.get(..field).ok_or(UnpackError::Truncated)?;
    let value = bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    // A field of two bytes begins at 256, where that of one byte ends.
    Ok(if field == 2 { value + 256 } else { value })
}

#[cfg(test)]
mod tests;
