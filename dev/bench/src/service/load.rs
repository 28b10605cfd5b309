//! Clients that fetch as fast as they can, and throw away what they get.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Something to be fetched.
#[derive(Clone)]
pub(super) struct Target {
    /// Host and port.
    pub(super) address: String,
    pub(super) path: String,
    /// Lines of the head besides those that every request has.
    pub(super) head: String,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// What each request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Everything.
    Whole,
    /// So many bytes anywhere in something of this size.
    Ranges { bytes: u64, of: u64 },
}

/// What clients got.
#[derive(Debug, Clone, Default)]
pub(super) struct Load {
    pub(super) requests: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    /// How long each request took until its end, sorted.
    pub(super) took: Vec<Duration>,
}

impl Load {
    /// The time within which this share of the requests was answered.
    pub(super) fn within(&self, share: f64) -> Duration {
        let at = ((self.took.len() as f64 * share) as usize).min(self.took.len().saturating_sub(1));
        self.took.get(at).copied().unwrap_or_default()
    }
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    fn both(&mut self) -> &mut dyn ReadWrite {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &mut **stream,
        }
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// A connection that is kept.
pub(super) struct Client {
    target: Target,
    wire: Wire,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens there.
    pub(super) fn connect(target: &Target) -> Result<Client> {
        let stream = TcpStream::connect(&target.address).context("connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let wire = match &target.tls {
            None => Wire::Plain(stream),
            Some(config) => {
                let name = ServerName::try_from("127.0.0.1")?;
                let connection = ClientConnection::new(config.clone(), name)?;
                Wire::Tls(Box::new(StreamOwned::new(connection, stream)))
            }
        };
        Ok(Client { target: target.clone(), wire, buffer: vec![0; 256 << 10] })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// If the connection is gone.
    pub(super) fn send(&mut self, method: &str, head: &str, body: &[u8]) -> Result<()> {
        let Target { address, path, head: common, .. } = &self.target;
        let length = match body.is_empty() {
            true => String::new(),
            false => format!("Content-Length: {}\r\n", body.len()),
        };
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{common}{head}{length}\r\n");
        self.wire.both().write_all(&[head.as_bytes(), body].concat()).context("send a request")
    }

    /// Reads some bytes, whatever they are.
    ///
    /// # Errors
    /// If the connection is gone.
    pub(super) fn read_some(&mut self, most: usize) -> io::Result<usize> {
        let most = most.min(self.buffer.len());
        self.wire.both().read(&mut self.buffer[..most])
    }

    /// Reads an answer; gives its status and the length of its body.
    ///
    /// # Errors
    /// If it breaks off, or does not say how long it is.
    pub(super) fn answer(&mut self, into: &mut dyn Write) -> Result<(u16, u64)> {
        let mut have = 0;
        let (status, length, mut body) = loop {
            let read = self.wire.both().read(&mut self.buffer[have..]).context("read a head")?;
            anyhow::ensure!(read > 0, "the connection ended");
            have += read;
            if let Some(end) = memchr::memmem::find(&self.buffer[..have], b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.buffer[..end])?;
                let (status, length) = parse(head).with_context(|| head.to_owned())?;
                into.write_all(&self.buffer[end + 4..have])?;
                break (status, length, (have - end - 4) as u64);
            }
            anyhow::ensure!(have < self.buffer.len(), "the head has no end");
        };
        while body < length {
            let read = self.wire.both().read(&mut self.buffer).context("read a body")?;
            anyhow::ensure!(read > 0, "the body breaks off after {body} of {length} bytes");
            into.write_all(&self.buffer[..read])?;
            body += read as u64;
        }
        Ok((status, length))
    }

    /// Fetches something and throws it away; gives its length.
    ///
    /// # Errors
    /// If it is not there.
    pub(super) fn fetch(&mut self, head: &str) -> Result<u64> {
        self.get(head, &mut io::sink())
    }

    /// Fetches something and keeps it.
    ///
    /// # Errors
    /// If it is not there.
    pub(super) fn keep(&mut self, into: &mut dyn Write) -> Result<u64> {
        self.get("", into)
    }

    fn get(&mut self, head: &str, into: &mut dyn Write) -> Result<u64> {
        self.send("GET", head, b"")?;
        match self.answer(into)? {
            (200 | 206, bytes) => Ok(bytes),
            (status, _) => bail!("{} answered {status}", self.target.path),
        }
    }
}

/// The status and the length of the body.
fn parse(head: &str) -> Option<(u16, u64)> {
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    Some((status, lengths.next()?.1.trim().parse().ok()?))
}

/// Has so many clients fetch for so long.
///
/// # Errors
/// If one of them gets no answer.
pub(super) fn drive(
    target: &Target,
    connections: usize,
    lasts: Duration,
    shape: Shape,
) -> Result<Load> {
    let (bytes, begun) = (AtomicU64::new(0), Instant::now());
    let worker = |seed: usize| -> Result<Vec<Duration>> {
        let mut client = Client::connect(target)?;
        let (mut took, mut random) = (Vec::new(), 0x9e37_79b9_7f4a_7c15 ^ (seed as u64 + 1));
        while begun.elapsed() < lasts {
            let head = match shape {
                Shape::Whole => String::new(),
                Shape::Ranges { bytes, of } => {
                    let first = next(&mut random) % (of - bytes);
                    format!("Range: bytes={first}-{}\r\n", first + bytes - 1)
                }
            };
            let asked = Instant::now();
            bytes.fetch_add(client.fetch(&head)?, Ordering::Relaxed);
            took.push(asked.elapsed());
        }
        Ok(took)
    };
    let mut took = std::thread::scope(|scope| {
        let worker = &worker;
        let threads: Vec<_> =
            (0..connections).map(|seed| scope.spawn(move || worker(seed))).collect();
        let mut all = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(took) => all.extend(took?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    took.sort();
    let requests = took.len() as u64;
    let (bytes, seconds) = (bytes.load(Ordering::Relaxed), begun.elapsed().as_secs_f64());
    Ok(Load { requests, bytes, seconds, took })
}

/// The next number of a sequence that looks random (xorshift64).
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
