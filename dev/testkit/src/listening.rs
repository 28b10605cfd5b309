//! What servers of tests listen with, and how they read a request.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Asked;

/// A port of this machine on which connections are served, each by a thread of its own; closed when it
/// is dropped.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Listening {
    /// Serves connections from now on.
    ///
    /// # Panics
    /// If the system has no free port.
    pub(crate) fn start(
        serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Listening {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let listening = Listening { address, ended: Arc::default() };
        let (ended, serve) = (listening.ended.clone(), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let serve = serve.clone();
                // A client that goes away is no matter of ours.
                std::thread::spawn(move || serve(stream).ok());
            }
        });
        listening
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, which then ends.
        TcpStream::connect(self.address).ok();
    }
}

/// Reads a request.
pub(crate) fn read(stream: &TcpStream) -> io::Result<Asked> {
    let mut stream = BufReader::new(stream.try_clone()?);
    let mut line = || {
        let mut line = String::new();
        match stream.read_line(&mut line)? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            _ => Ok(line.trim_end().to_owned()),
        }
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let header = line()?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok(Asked { method, path, headers, body })
}
