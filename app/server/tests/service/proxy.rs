//! A proxy in front of S3-compatible storage that fails as a test tells it.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is answered.
    None,
    /// It is answered so much later.
    Late(Duration),
    /// It does not arrive, and is answered with this status and code.
    Refused(u16, &'static str),
    /// It does not arrive, and the connection is closed.
    Down,
    /// It arrives, and the answer is lost.
    Unanswered,
    /// It arrives, and half of the answer comes back.
    Half,
}

/// Decides by the number of the request, its method and its address.
type Decide = dyn Fn(u64, &str, &str) -> Fault + Send + Sync;

/// A running proxy; it ends when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// Where the storage is.
    port: u16,
    decide: Mutex<Arc<Decide>>,
    requests: AtomicU64,
    faults: AtomicU64,
    ended: AtomicBool,
}

impl Proxy {
    pub(crate) fn start(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("is bound");
        let shared = Arc::new(Shared {
            port,
            decide: Mutex::new(Arc::new(|_, _, _| Fault::None)),
            requests: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let own = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if own.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = own.clone();
                // Whoever is killed goes away in the middle.
                std::thread::spawn(move || relay(stream, &shared).ok());
            }
        });
        Proxy { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this decides; the numbers of requests begin anew.
    pub(crate) fn set(&self, decide: impl Fn(u64, &str, &str) -> Fault + Send + Sync + 'static) {
        let mut now = self.shared.decide.lock().unwrap_or_else(PoisonError::into_inner);
        *now = Arc::new(decide);
        self.shared.requests.store(0, Ordering::SeqCst);
        self.shared.faults.store(0, Ordering::SeqCst);
    }

    /// How many requests were not answered as they should since the last [`set`](Self::set).
    pub(crate) fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, which then ends.
        TcpStream::connect(self.address).ok();
    }
}

/// One request, and its answer if it is to have one.
fn relay(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    let (head, body) = request(&client)?;
    let first = head.lines().next().unwrap_or_default().to_owned();
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let decide = shared.decide.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let number = shared.requests.fetch_add(1, Ordering::SeqCst);
    let fault = decide(number, method, path);
    if !matches!(fault, Fault::None | Fault::Late(_)) {
        shared.faults.fetch_add(1, Ordering::SeqCst);
    }
    match fault {
        Fault::Down => return Ok(()),
        Fault::Refused(status, code) => {
            let body = format!("<Error><Code>{code}</Code><Message>told to</Message></Error>");
            let length = body.len();
            let body = if method == "HEAD" { String::new() } else { body };
            return write!(
                client,
                "HTTP/1.1 {status} Told\r\nContent-Type: application/xml\r\n\
                 Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
        Fault::Late(time) => std::thread::sleep(time),
        Fault::None | Fault::Unanswered | Fault::Half => {}
    }
    let answer = ask(shared.port, &head, &body)?;
    match fault {
        Fault::Unanswered => Ok(()),
        Fault::Half => client.write_all(&answer[..answer.len() / 2]),
        _ => client.write_all(&answer),
    }
}

/// The head of a request without what it says of the connection, and its body.
fn request(client: &TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "connection" => continue,
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}

/// The whole answer of the storage.
fn ask(port: u16, head: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut storage = TcpStream::connect(("127.0.0.1", port))?;
    storage.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    storage.write_all(body)?;
    let mut answer = Vec::new();
    storage.read_to_end(&mut answer)?;
    Ok(answer)
}
