//! A small HTTP server of a test's own, whose answers the test decides: services that fail.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET` or `POST`.
    pub method: String,
    /// The path with what follows it.
    pub path: String,
    /// Headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Asked {
    /// A header, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Answered {
    /// A status and a body.
    Json(u16, serde_json::Value),
    /// These bytes, whatever they are, as status 200.
    Bytes(Vec<u8>),
    /// A status and a header `location`.
    Redirect(String),
    /// Nothing: the connection is closed.
    HangUp,
    /// Nothing: the connection stays open for a while.
    Silence(Duration),
}

/// A running server; it ends when it is dropped.
pub struct WebServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    ended: Arc<AtomicBool>,
}

impl WebServer {
    /// Starts a server on this machine.
    ///
    /// # Panics
    /// If the system has no free port.
    #[must_use]
    pub fn start(answer: impl Fn(&Asked) -> Answered + Send + Sync + 'static) -> WebServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let server = WebServer { address, asked: Arc::default(), ended: Arc::default() };
        let (asked, ended) = (server.asked.clone(), server.ended.clone());
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (asked, answer) = (asked.clone(), answer.clone());
                // A client that goes away is no matter of ours.
                let serve = move |stream| serve(stream, &asked, &*answer).ok();
                std::thread::spawn(move || stream.ok().and_then(serve));
            }
        });
        server
    }

    /// Its address, such as `http://127.0.0.1:4711`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked up to now.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, which then ends.
        TcpStream::connect(self.address).ok();
    }
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Asked>>,
    answer: &(impl Fn(&Asked) -> Answered + ?Sized),
) -> io::Result<()> {
    let asked = read(&mut BufReader::new(stream.try_clone()?))?;
    log.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
    let (head, body) = match answer(&asked) {
        Answered::Json(status, body) => (format!("{status} Said"), body.to_string().into_bytes()),
        Answered::Bytes(body) => ("200 OK".to_owned(), body),
        Answered::Redirect(to) => (format!("307 Elsewhere\r\nlocation: {to}"), Vec::new()),
        Answered::HangUp => return Ok(()),
        Answered::Silence(time) => {
            std::thread::sleep(time);
            return Ok(());
        }
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {head}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}

fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Asked> {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).map(|_| line.trim_end().to_owned())
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
