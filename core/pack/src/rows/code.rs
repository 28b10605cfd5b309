//! How the values of rows are written to memory and spool, and read back, by every adapter that has
//! rows: lengths as u32 little-endian, then bytes. Nothing of this leaves the run.

use std::io;

/// Appends to a value.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn clear(&mut self) -> &mut Writer {
        self.bytes.clear();
        self
    }

    pub(crate) fn byte(&mut self, byte: u8) -> &mut Writer {
        self.bytes.push(byte);
        self
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Writer {
        self.bytes.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Writer {
        self.length(text.len()).bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// Whatever `write` appends.
    pub(crate) fn sized(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Writer {
        let at = self.bytes.len();
        self.length(0);
        write(&mut self.bytes);
        let length = (self.bytes.len() - at - 4) as u32;
        self.bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        self
    }

    fn length(&mut self, length: usize) -> &mut Writer {
        self.bytes.extend_from_slice(&(length as u32).to_le_bytes());
        self
    }

    pub(crate) fn list<S: AsRef<str>>(&mut self, texts: &[S]) -> &mut Writer {
        self.length(texts.len());
        for text in texts {
            self.text(text.as_ref());
        }
        self
    }

    /// A list of whatever `write` appends for each item.
    pub(crate) fn sized_list<T>(
        &mut self,
        items: &[T],
        write: impl Fn(&mut Vec<u8>, &T),
    ) -> &mut Writer {
        self.length(items.len());
        for item in items {
            self.sized(|out| write(out, item));
        }
        self
    }
}

/// Reads what [`Writer`] wrote.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Reader<'a> {
        Reader { rest }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn number(&mut self) -> io::Result<u64> {
        let bytes = self.take(8)?.first_chunk().ok_or_else(damaged)?;
        Ok(u64::from_le_bytes(*bytes))
    }

    pub(crate) fn text(&mut self) -> io::Result<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| damaged())
    }

    pub(crate) fn list(&mut self) -> io::Result<Vec<&'a str>> {
        self.collect(Reader::text)
    }

    /// What [`Writer::sized_list`] wrote.
    pub(crate) fn sized_list(&mut self) -> io::Result<Vec<&'a [u8]>> {
        self.collect(Reader::bytes)
    }

    fn collect<T>(&mut self, next: fn(&mut Reader<'a>) -> io::Result<T>) -> io::Result<Vec<T>> {
        let count = self.length()?;
        // Each has a length of four bytes, whatever the count says.
        let mut all = Vec::with_capacity(count.min(self.rest.len() / 4));
        for _ in 0..count {
            all.push(next(self)?);
        }
        Ok(all)
    }

    /// The texts of a list.
    pub(crate) fn each_text(&mut self, found: &mut dyn FnMut(&'a str)) -> io::Result<()> {
        for _ in 0..self.length()? {
            found(self.text()?);
        }
        Ok(())
    }

    /// What [`Writer::sized`] wrote.
    pub(crate) fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    fn length(&mut self) -> io::Result<usize> {
        let bytes = self.take(4)?.first_chunk().ok_or_else(damaged)?;
        Ok(u32::from_le_bytes(*bytes) as usize)
    }

    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(damaged)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// The spool gave back other bytes than it took.
pub(crate) fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a temporary file of the run is damaged")
}
