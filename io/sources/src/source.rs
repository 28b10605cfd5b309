//! The one buffered reader of this crate: it can be looked ahead into, counts, and stays failed.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use crate::SourceErrorKind;

/// Bytes that a reader holds; at least [`crate::magic::HEAD_BYTES`].
const BUFFER_BYTES: usize = 64 << 10;

/// A reader that can be looked ahead into and knows how many bytes were taken out of it.
///
/// After an error every further read gives the same error, so that whoever skips the rest of a
/// member meets the container's own fault and not garbage behind it.
pub(crate) struct Source<'r> {
    inner: Box<dyn Read + 'r>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    taken: Rc<Cell<u64>>,
    ended: bool,
    fault: Option<Fault>,
}

impl<'r> Source<'r> {
    pub(crate) fn new(inner: impl Read + 'r) -> Source<'r> {
        Source {
            inner: Box::new(inner),
            buffer: vec![0; BUFFER_BYTES].into(),
            start: 0,
            end: 0,
            taken: Rc::default(),
            ended: false,
            fault: None,
        }
    }

    /// Bytes taken out so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.get()
    }

    /// The same, for who reads through this source while it is borrowed.
    pub(crate) fn counter(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.taken)
    }

    /// The next `count` bytes, fewer only at the end.
    pub(crate) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.end - self.start < count && !self.ended {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            self.fill()?;
        }
        let end = self.end.min(self.start + count);
        Ok(&self.buffer[self.start..end])
    }

    /// The fault that this reader met, if it did.
    pub(crate) fn fault(&self) -> Option<io::Error> {
        self.fault.clone().map(Fault::into_error)
    }

    /// Takes `count` bytes and throws them away; fewer only at the end.
    pub(crate) fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut skipped = 0;
        while skipped < count {
            let available = self.fill_buf()?.len();
            if available == 0 {
                break;
            }
            let step = usize::try_from(count - skipped).unwrap_or(usize::MAX).min(available);
            self.consume(step);
            skipped += step as u64;
        }
        Ok(skipped)
    }

    /// Reads into the free end of the buffer.
    fn fill(&mut self) -> io::Result<()> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone().into_error());
        }
        loop {
            match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let fault = Fault::of(&error);
                    self.fault = Some(fault.clone());
                    return Err(fault.into_error());
                }
            }
            return Ok(());
        }
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if !self.ended {
                self.fill()?;
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.taken.set(self.taken.get() + count as u64);
    }
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(out.len());
        out[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// An error of a reader that says where it happened and survives being wrapped by decoders.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    kind: io::ErrorKind,
    offset: Option<u64>,
    problem: String,
}

impl Fault {
    /// A container's own fault.
    pub(crate) fn refused(offset: u64, problem: impl Into<String>) -> Fault {
        Fault { kind: io::ErrorKind::InvalidData, offset: Some(offset), problem: problem.into() }
    }

    fn of(error: &io::Error) -> Fault {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Fault>()) {
            Some(fault) => fault.clone(),
            None => Fault { kind: error.kind(), offset: None, problem: error.to_string() },
        }
    }

    /// The fault of a decoder, at `offset` of its input. The fault of what lies beneath stands.
    pub(crate) fn of_decoder(what: &str, error: &io::Error, offset: u64) -> Fault {
        let known = error.get_ref().is_some_and(|inner| inner.is::<Fault>());
        // The operating system's own errors carry a number; decoders' errors do not.
        if known || error.raw_os_error().is_some() {
            return Fault::of(error);
        }
        let problem = match error.kind() {
            io::ErrorKind::UnexpectedEof => format!("the {what} ends before it is complete"),
            _ => format!("the {what} is corrupt: {error}"),
        };
        Fault::refused(offset, problem)
    }

    pub(crate) fn into_error(self) -> io::Error {
        io::Error::new(self.kind, self)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Fault {}

/// Offset, kind and text of an error; `offset` is taken where the error knows none.
pub(crate) fn describe(
    error: &io::Error,
    offset: Option<u64>,
) -> (Option<u64>, SourceErrorKind, String) {
    let fault = Fault::of(error);
    let kind = match fault.kind {
        io::ErrorKind::NotFound => SourceErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => SourceErrorKind::Denied,
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => SourceErrorKind::Refused,
        _ => SourceErrorKind::Io,
    };
    (fault.offset.or(offset), kind, fault.problem)
}
