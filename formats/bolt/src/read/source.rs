//! Where bytes come from.

use std::borrow::Cow;
use std::fs::File;
use std::io;

/// A source of bytes that can be read at any place.
///
/// What it holds must not change while a file is read from it; if it does, reading may stop with an
/// error or give a mixture, and still never panics.
pub trait ReadAt {
    /// How many bytes there are.
    ///
    /// # Errors
    /// If that cannot be told.
    fn size_bytes(&self) -> io::Result<u64>;

    /// Exactly `length` bytes from `offset` on.
    ///
    /// # Errors
    /// If they cannot be read, or there are fewer.
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Cow<'_, [u8]>>;
}

impl ReadAt for [u8] {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Cow<'_, [u8]>> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let bytes = rest.and_then(|rest| rest.get(..length));
        bytes.map(Cow::Borrowed).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl ReadAt for File {
    fn size_bytes(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Cow<'_, [u8]>> {
        let mut bytes = vec![0; length];
        read_exact(self, &mut bytes, offset)?;
        Ok(Cow::Owned(bytes))
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn size_bytes(&self) -> io::Result<u64> {
        (**self).size_bytes()
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Cow<'_, [u8]>> {
        (**self).read_at(offset, length)
    }
}

#[cfg(unix)]
fn read_exact(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_exact(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[count..];
        offset += count as u64;
    }
    Ok(())
}
