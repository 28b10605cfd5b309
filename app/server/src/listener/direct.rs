//! Bytes of files that go from the memory of the system to a connection and never through this process.
//!
//! hyper writes what bodies give it: bytes in memory. A body that has files instead gives a *stand-in*,
//! bytes of a region that nobody reads or writes, and leaves pieces, ranges of files and what lies
//! between them, in the [`Outbox`] of its connection. Where the connection is to write bytes of that
//! region, it sends the pieces that are next in the outbox, files by the system (sendfile(2)). A stand-in
//! without a piece ends the connection: its own bytes never go out.
//!
//! For connections in the clear only. With TLS every byte has to be encrypted here.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Most bytes that one stand-in stands for.
pub(crate) const LARGEST: usize = 1 << 20;

/// Most bytes that one packet carries.
const PACKET: usize = 64 << 10;

/// What stand-ins are made of. As nobody reads it, it takes addresses and no memory.
static REGION: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(vec![0; LARGEST]));

/// Whether bytes are a stand-in.
fn is_stand_in(bytes: &[u8]) -> bool {
    REGION.as_ptr_range().contains(&bytes.as_ptr())
}

/// Something that is sent past hyper.
#[derive(Debug)]
pub(crate) enum Piece {
    /// A range of a file.
    File(Arc<File>, Range<u64>),
    /// Bytes between files.
    Bytes(Bytes),
}

impl Piece {
    /// Number of bytes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Piece::File(_, range) => {
                usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX)
            }
            Piece::Bytes(bytes) => bytes.len(),
        }
    }
}

/// What a connection is to send, in the order of the stand-ins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outbox(Arc<Mutex<VecDeque<Piece>>>);

impl Outbox {
    /// Has pieces sent, of [`LARGEST`] bytes together at most; gives what stands for them in the body,
    /// which is to come at once and whole.
    pub(crate) fn put(&self, pieces: impl IntoIterator<Item = Piece>) -> Bytes {
        let mut outbox = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut size = 0;
        for piece in pieces.into_iter().filter(|piece| piece.size() > 0) {
            size += piece.size();
            outbox.push_back(piece);
        }
        REGION.slice(..size)
    }
}

/// Whether the beginning and the end of a range of a file are in memory, so that sending it does not
/// wait for a disk. Where the system cannot tell, or cannot send files, they count as not there.
pub(crate) fn is_in_memory(file: &File, range: &Range<u64>) -> bool {
    let has = |at| system::read_in_memory(file, at, &mut [0]) == 1;
    !range.is_empty() && has(range.start) && has(range.end - 1)
}

/// Adds what of a file is in memory from a byte on, so many bytes at most; gives how many.
pub(crate) fn read_from_memory(file: &File, at: u64, most: usize, into: &mut Vec<u8>) -> usize {
    let had = into.len();
    into.resize(had + most, 0);
    let read = system::read_in_memory(file, at, &mut into[had..]);
    into.truncate(had + read);
    read
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io::{self, IoSliceMut};

    use rustix::io::{ReadWriteFlags, preadv2};
    use rustix::net::SendFlags;
    use tokio::net::TcpStream;

    /// That more follows at once.
    pub(super) const MORE: SendFlags = SendFlags::MORE;

    /// Has packets that are not full wait, or go; whether the system does.
    pub(super) fn cork(stream: &TcpStream, waits: bool) -> bool {
        rustix::net::sockopt::set_tcp_cork(stream, waits).is_ok()
    }

    pub(super) fn read_in_memory(file: &File, at: u64, into: &mut [u8]) -> usize {
        preadv2(file, &mut [IoSliceMut::new(into)], at, ReadWriteFlags::NOWAIT).unwrap_or(0)
    }

    pub(super) fn send(
        to: &TcpStream,
        file: &File,
        at: &mut u64,
        most: usize,
    ) -> io::Result<usize> {
        Ok(rustix::fs::sendfile(to, file, Some(at), most)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io;

    use rustix::net::SendFlags;
    use tokio::net::TcpStream;

    pub(super) const MORE: SendFlags = SendFlags::empty();

    pub(super) fn cork(_: &TcpStream, _: bool) -> bool {
        false
    }

    /// Nothing is: files are read and written.
    pub(super) fn read_in_memory(_: &File, _: u64, _: &mut [u8]) -> usize {
        0
    }

    pub(super) fn send(_: &TcpStream, _: &File, _: &mut u64, _: usize) -> io::Result<usize> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

/// A connection that sends ranges of files where stand-ins are written.
pub(super) struct Direct {
    stream: TcpStream,
    outbox: Outbox,
}

impl Direct {
    pub(super) fn new(stream: TcpStream, outbox: Outbox) -> Direct {
        Direct { stream, outbox }
    }

    /// Sends what the system takes of the pieces that are next, at most so many bytes.
    fn send_pieces(&self, most: usize) -> io::Result<usize> {
        let mut outbox = self.outbox.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What ends in the middle of a packet waits for what follows at once.
        let corked = outbox.len() > 1 && system::cork(&self.stream, true);
        let mut sent = 0;
        let ended = loop {
            match self.send_piece(&mut outbox, most - sent) {
                Ok(some) => sent += some,
                Err(error) => break Err(error),
            }
            if sent == most {
                break Ok(());
            }
        };
        if corked {
            system::cork(&self.stream, false);
        }
        match ended {
            // What was sent counts; what is wrong shows again.
            Err(error) if sent == 0 => Err(error),
            _ => Ok(sent),
        }
    }

    /// Sends what the system takes of the next piece, at most so many bytes.
    fn send_piece(&self, outbox: &mut VecDeque<Piece>, most: usize) -> io::Result<usize> {
        let piece = outbox.front_mut().ok_or_else(|| io::Error::other("nothing is to be sent"))?;
        let most = most.min(piece.size());
        let sent = match piece {
            Piece::File(file, range) => system::send(&self.stream, file, &mut range.start, most)?,
            Piece::Bytes(bytes) => {
                let sent = send(&self.stream, &bytes[..most], SendFlags::NOSIGNAL)?;
                drop(bytes.split_to(sent));
                sent
            }
        };
        if sent == 0 {
            let short = "a stored file is shorter than it was";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, short));
        }
        if piece.size() == 0 {
            outbox.pop_front();
        }
        Ok(sent)
    }

    /// Sends bytes, or what stand-ins stand for: whichever comes first.
    fn send(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let first = bytes.iter().position(|bytes| !bytes.is_empty());
        let bytes = &bytes[first.unwrap_or(bytes.len())..];
        if let Some(first) = bytes.first()
            && is_stand_in(first)
        {
            return self.send_pieces(first.len());
        }
        let before = bytes.iter().position(|bytes| is_stand_in(bytes)).unwrap_or(bytes.len());
        // What comes before a little goes with it. Before much it goes at once: who waits for it is
        // awake when the rest comes.
        let is_little = bytes.get(before).is_some_and(|bytes| bytes.len() <= PACKET);
        let more = if is_little { system::MORE } else { SendFlags::empty() };
        let flags = SendFlags::NOSIGNAL | more;
        let mut nothing = SendAncillaryBuffer::default();
        Ok(sendmsg(&self.stream, &bytes[..before], &mut nothing, flags)?)
    }
}

impl AsyncRead for Direct {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Direct {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match self.stream.try_io(Interest::WRITABLE, || self.send(bytes)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("is written");
        Arc::new(file)
    }

    /// What comes out of a connection into which `write` wrote, and how that went.
    async fn written<F: Future<Output = io::Result<()>>>(
        write: impl FnOnce(Direct, Outbox) -> F,
    ) -> (Vec<u8>, io::Result<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut other = TcpStream::connect(address).await.expect("connects");
        let (stream, _) = listener.accept().await.expect("is there");
        let outbox = Outbox::default();
        let mut bytes = Vec::new();
        let writing = write(Direct::new(stream, outbox.clone()), outbox);
        let (read, written) = tokio::join!(other.read_to_end(&mut bytes), writing);
        read.expect("is read");
        (bytes, written)
    }

    #[tokio::test]
    async fn files_go_out_where_their_stand_ins_are_written() {
        let large: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
        let (one, two, again) = (file(b"0123456789"), file(&large), large.clone());
        let (bytes, written) = written(|mut to, outbox| async move {
            to.write_all(b"head ").await?;
            let first = outbox.put([Piece::File(one.clone(), 2..5)]);
            let mut all = vec![&b""[..], b"a", &first, b"b"];
            // As one vector, whatever of it is taken at a time.
            while all.iter().any(|bytes| !bytes.is_empty()) {
                let slices: Vec<_> = all.iter().map(|bytes| IoSlice::new(bytes)).collect();
                let mut taken = to.write_vectored(&slices).await?;
                for bytes in &mut all {
                    let cut = taken.min(bytes.len());
                    (*bytes, taken) = (&bytes[cut..], taken - cut);
                }
            }
            let mut at = 7;
            while at < 3_000_000 {
                // Pieces of all sizes, of which some are no files and some are empty.
                let end = 3_000_000.min(at + LARGEST as u64);
                let cut = [at, at, end.min(at + 5), end.min(at + 90_000), end];
                let pieces = cut.windows(2).enumerate().map(|(number, ends)| match number % 2 {
                    0 => Piece::Bytes(Bytes::copy_from_slice(
                        &again[ends[0] as usize..ends[1] as usize],
                    )),
                    _ => Piece::File(two.clone(), ends[0]..ends[1]),
                });
                let stand_in = outbox.put(pieces);
                assert_eq!(stand_in.len() as u64, end - at);
                to.write_all(&stand_in).await?;
                at = end;
            }
            to.write_all(b" end").await
        })
        .await;
        written.expect("is written");
        let expected = [&b"head a234b"[..], &large[7..], b" end"].concat();
        assert!(bytes == expected, "{} bytes, not {}", bytes.len(), expected.len());
    }

    #[tokio::test]
    async fn a_stand_in_without_a_file_never_goes_out() {
        let (bytes, written) = written(|mut to, outbox| async move {
            let piece = outbox.put([Piece::File(file(b"0123"), 0..4)]);
            to.write_all(&piece).await?;
            to.write_all(&piece).await
        })
        .await;
        assert_eq!(bytes, b"0123");
        assert!(written.is_err());
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_ends_the_connection() {
        let (bytes, written) = written(|mut to, outbox| async move {
            to.write_all(&outbox.put([Piece::File(file(b"0123"), 1..9)])).await
        })
        .await;
        assert_eq!(bytes, b"123");
        assert_eq!(written.map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn what_was_just_written_is_in_memory_and_what_is_not_there_is_not() {
        let file = file(&[7; 5000]);
        // Some file systems cannot tell: then neither is said to be there.
        assert!(!is_in_memory(&file, &(4000..6000)));
        let mut bytes = b"before".to_vec();
        let read = read_from_memory(&file, 4990, 100, &mut bytes);
        assert!([0, 10].contains(&read), "{read}");
        assert_eq!(bytes, [&b"before"[..], &vec![7; read]].concat());
        assert_eq!(read_from_memory(&file, 6000, 100, &mut bytes), 0);
    }
}
