//! A proxy before an HTTP server that does with requests and answers what a test tells it: networks
//! that fail.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A request on its way to the server.
#[derive(Debug)]
pub struct Passing<'p> {
    /// How many came before it since the plan was made.
    pub number: usize,
    /// Such as `GET`.
    pub method: &'p str,
    /// The path with what follows it.
    pub path: &'p str,
    head: &'p str,
    body: &'p [u8],
    to: &'p str,
}

impl Passing<'_> {
    /// Has the server answer; gives all of its answer with the head. Nothing if it does not answer.
    #[must_use]
    pub fn answer(&self) -> Vec<u8> {
        self.ask().unwrap_or_default()
    }

    fn ask(&self) -> io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(self.to)?;
        server.write_all(format!("{}Connection: close\r\n\r\n", self.head).as_bytes())?;
        server.write_all(self.body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// Gives what goes back to the client as it is; without it the connection is closed.
type Plan = dyn Fn(&Passing<'_>) -> Option<Vec<u8>> + Send + Sync;

/// A running proxy; it ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: String,
    plan: Mutex<Arc<Plan>>,
    requests: AtomicUsize,
    ended: AtomicBool,
}

impl Proxy {
    /// Starts a proxy before a server, given as host and port. Every request gets a connection of its
    /// own.
    ///
    /// # Panics
    /// If this machine has no free port.
    pub fn start(
        to: impl Into<String>,
        plan: impl Fn(&Passing<'_>) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("is bound");
        let shared = Arc::new(Shared {
            to: to.into(),
            plan: Mutex::new(Arc::new(plan)),
            requests: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        });
        let own = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if own.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = own.clone();
                // Whoever is killed goes away in the middle.
                std::thread::spawn(move || shared.pass(client).ok());
            }
        });
        Proxy { address, shared }
    }

    /// From now on another plan holds; requests are counted anew.
    pub fn set(&self, plan: impl Fn(&Passing<'_>) -> Option<Vec<u8>> + Send + Sync + 'static) {
        *self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
        self.shared.requests.store(0, Ordering::SeqCst);
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Where it is to be asked.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests since the plan was made.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, which then ends.
        TcpStream::connect(self.address).ok();
    }
}

impl Shared {
    /// One request, and what the plan makes of it.
    fn pass(&self, mut client: TcpStream) -> io::Result<()> {
        let (head, body) = request(&client)?;
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        let passing =
            Passing { number, method, path, head: &head, body: &body, to: self.to.as_str() };
        match plan(&passing) {
            Some(answer) => client.write_all(&answer),
            None => Ok(()),
        }
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
