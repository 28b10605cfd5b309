//! Compression of parts: one part, one single-threaded streaming zstd frame.
//!
//! The bytes of a zstd frame depend on the library version, the level, the frame parameters and
//! on *how* the library is called: the multithreaded and the one-shot API write other bytes than
//! the streaming API (measured; docs/adr/0004). This module is the one place that calls it, always
//! the same way, so that equal input gives equal bytes on every machine. Frame format:
//! <https://www.rfc-editor.org/rfc/rfc8878>.

use std::io;

use stella_plan::Codec;
use zstd::stream::raw::{CParameter, Encoder, Operation};
use zstd::zstd_safe;

/// A window as large as the largest usual part, 16 MiB: matches reach back to its beginning, and
/// the library's input buffer never wraps around. Decoders allow up to 2^27 unasked.
const WINDOW_LOG: u32 = 24;

/// Parameters that differ from those of the level, by the names of the library.
///
/// Level 3 is tuned for evidence, which repeats long texts: tables that stay in the second-level
/// cache and matches of at least 7 bytes take a seventh less CPU and write fewer bytes (measured;
/// docs/adr/0004).
fn parameters(level: i32) -> Vec<(&'static str, u32, CParameter)> {
    let mut parameters = vec![("windowLog", WINDOW_LOG, CParameter::WindowLog(WINDOW_LOG))];
    if level == 3 {
        parameters.extend([
            ("hashLog", 16, CParameter::HashLog(16)),
            ("chainLog", 14, CParameter::ChainLog(14)),
            ("minMatch", 7, CParameter::MinMatch(7)),
        ]);
    }
    parameters
}

/// The codec of parts at a level, as plans name it.
#[must_use]
pub fn codec(level: i32) -> Codec {
    let tuned = parameters(level).into_iter().map(|(name, value, _)| (name, value.into()));
    let fixed = [("contentChecksum", 1), ("contentSize", 1)];
    let parameters = fixed.into_iter().chain(tuned);
    Codec {
        level,
        library: "libzstd".to_owned(),
        parameters: parameters.map(|(name, value)| (name.to_owned(), value)).collect(),
        version: zstd_safe::version_string().to_owned(),
    }
}

/// A compression context, reused from part to part; what came before never shows in the bytes.
pub struct Compressor {
    encoder: Encoder<'static>,
    /// What the library writes at once.
    chunk: Box<[u8]>,
}

impl Compressor {
    /// A context for one level.
    ///
    /// # Errors
    /// If libzstd has no memory for it or does not know the level.
    pub fn new(level: i32) -> io::Result<Compressor> {
        let mut encoder = Encoder::new(level)?;
        encoder.set_parameter(CParameter::ChecksumFlag(true))?;
        encoder.set_parameter(CParameter::ContentSizeFlag(true))?;
        for (_, _, parameter) in parameters(level) {
            encoder.set_parameter(parameter)?;
        }
        let chunk = vec![0; zstd_safe::CCtx::out_size()].into_boxed_slice();
        Ok(Compressor { encoder, chunk })
    }

    /// Compresses `input` into one frame with its size and checksum.
    ///
    /// # Errors
    /// Only if libzstd has no memory.
    pub fn frame(&mut self, input: &[u8]) -> io::Result<Vec<u8>> {
        let mut frame = Vec::with_capacity(input.len() / 8 + 1024);
        self.begin(input.len() as u64)?;
        self.push(input, &mut frame)?;
        self.end(&mut frame)?;
        Ok(frame)
    }

    /// Begins a frame of exactly `size` bytes before compression. One that was not ended is
    /// forgotten.
    ///
    /// # Errors
    /// Only if libzstd has no memory.
    pub(crate) fn begin(&mut self, size: u64) -> io::Result<()> {
        self.encoder.reinit()?;
        self.encoder.set_pledged_src_size(Some(size))
    }

    /// Compresses more of a frame, as far as there is a block of it, to the end of `frame`. How the
    /// input is cut into pieces never shows in the bytes.
    ///
    /// # Errors
    /// If the input goes beyond the size of the frame.
    pub(crate) fn push(&mut self, input: &[u8], frame: &mut Vec<u8>) -> io::Result<()> {
        let Compressor { encoder, chunk } = self;
        let mut at = 0;
        while at < input.len() {
            let status = encoder.run_on_buffers(&input[at..], chunk)?;
            at += status.bytes_read;
            frame.extend_from_slice(&chunk[..status.bytes_written]);
        }
        Ok(())
    }

    /// Ends a frame.
    ///
    /// # Errors
    /// If the input stays short of the size of the frame.
    pub(crate) fn end(&mut self, frame: &mut Vec<u8>) -> io::Result<()> {
        let Compressor { encoder, chunk } = self;
        loop {
            let mut out = zstd_safe::OutBuffer::around(&mut **chunk);
            let left = encoder.finish(&mut out, true)?;
            let written = out.pos();
            frame.extend_from_slice(&chunk[..written]);
            if left == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text that compresses about as well as evidence does, from a fixed seed.
    fn text(bytes: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut out = Vec::with_capacity(bytes + 64);
        while out.len() < bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let line =
                format!("{{\"id\":\"CVE-{}\",\"package\":\"p{}\"}}\n", state >> 44, state >> 58);
            out.extend_from_slice(line.as_bytes());
        }
        out.truncate(bytes);
        out
    }

    #[test]
    fn frames_decompress_and_carry_size_and_checksum() {
        let mut compressor = Compressor::new(3).expect("level 3 exists");
        for size in [0, 1, 100, 4096, 1 << 17, (1 << 17) + 1, 5 << 20] {
            let input = text(size);
            let frame = compressor.frame(&input).expect("compresses");
            assert_eq!(zstd::decode_all(&frame[..]).expect("a frame"), input);
            // RFC 8878 §3.1.1.1.1: bit 2 of the descriptor is the checksum flag.
            assert_ne!(frame[4] & 4, 0, "checksum flag");
            let told = zstd_safe::get_frame_content_size(&frame).expect("a frame header");
            assert_eq!(told, Some(size as u64));
        }
    }

    #[test]
    fn a_used_context_writes_the_bytes_of_a_fresh_one() {
        let fresh = |input: &[u8]| Compressor::new(3)?.frame(input);
        let mut used = Compressor::new(3).expect("level 3 exists");
        for size in [3 << 20, 10, 1 << 20, 0, 77_777] {
            let input = text(size);
            assert_eq!(used.frame(&input).expect("compresses"), fresh(&input).expect("compresses"));
        }
    }

    #[test]
    fn bytes_are_those_of_the_streaming_api_whatever_the_size_of_writes() {
        use std::io::Write as _;
        let input = text(3 << 20);
        let ours = Compressor::new(3).expect("level 3 exists").frame(&input).expect("compresses");
        for step in [7919, 1 << 16, 1 << 20] {
            let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("level 3 exists");
            encoder.include_checksum(true).expect("a parameter");
            for (_, _, parameter) in parameters(3) {
                encoder.set_parameter(parameter).expect("a parameter");
            }
            encoder.set_pledged_src_size(Some(input.len() as u64)).expect("a parameter");
            input.chunks(step).for_each(|chunk| encoder.write_all(chunk).expect("into memory"));
            assert_eq!(encoder.finish().expect("into memory"), ours, "{step}");
        }
    }
}
