//! Decompression with bounds.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use stella_model::Limits;

use crate::source::{Fault, Source};

/// The content of a zstd stream of any number of frames.
pub(crate) fn zstd<'s>(
    source: &'s mut Source<'_>,
    limits: &Limits,
) -> io::Result<Bounded<impl Read + 's>> {
    let counter = source.counter();
    let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
    decoder.window_log_max(limits.zstd_window_log)?;
    Ok(Bounded::new(decoder, counter, limits, "zstd stream"))
}

/// The content of a gzip stream of any number of members.
pub(crate) fn gzip<'s>(source: &'s mut Source<'_>, limits: &Limits) -> Bounded<impl Read + 's> {
    let counter = source.counter();
    Bounded::new(MultiGzDecoder::new(source), counter, limits, "gzip stream")
}

/// The content of a raw deflate stream.
pub(crate) fn deflate<'s>(source: &'s mut Source<'_>, limits: &Limits) -> Bounded<impl Read + 's> {
    let counter = source.counter();
    Bounded::new(DeflateDecoder::new(source), counter, limits, "deflate stream")
}

/// Ends with an error once more comes out of a decoder than the limits allow.
pub(crate) struct Bounded<R> {
    decoder: R,
    what: &'static str,
    /// Compressed bytes taken, counted by the reader beneath.
    taken: Rc<Cell<u64>>,
    taken_before: u64,
    given: u64,
    limits: Limits,
}

impl<R> Bounded<R> {
    pub(crate) fn new(
        decoder: R,
        taken: Rc<Cell<u64>>,
        limits: &Limits,
        what: &'static str,
    ) -> Bounded<R> {
        let taken_before = taken.get();
        Bounded { decoder, what, taken, taken_before, given: 0, limits: *limits }
    }

    fn check(&self) -> Result<(), Fault> {
        let at = self.taken.get();
        let taken = (at - self.taken_before).max(1);
        if self.given > self.limits.container_bytes {
            let limit = self.limits.container_bytes;
            let problem = format!("the {} holds more than {limit} bytes", self.what);
            return Err(Fault::refused(at, problem));
        }
        if self.given > self.limits.ratio_free_bytes && self.given / taken > self.limits.ratio {
            let ratio = self.limits.ratio;
            let problem = format!("the {} expands to more than {ratio} times its size", self.what);
            return Err(Fault::refused(at, problem));
        }
        Ok(())
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.decoder.read(out) {
            Ok(count) => {
                self.given += count as u64;
                self.check().map_err(Fault::into_error)?;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(Fault::of_decoder(self.what, &error, self.taken.get()).into_error()),
        }
    }
}
