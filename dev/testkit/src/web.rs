//! A small HTTP server of a test's own, whose answers the test decides: services that fail.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::listening::{Listening, read};

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
    listening: Listening,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl WebServer {
    /// Starts a server on this machine.
    ///
    /// # Panics
    /// If the system has no free port.
    #[must_use]
    pub fn start(answer: impl Fn(&Asked) -> Answered + Send + Sync + 'static) -> WebServer {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = asked.clone();
        let listening = Listening::start(move |stream| serve(stream, &log, &answer));
        WebServer { listening, asked }
    }

    /// Its address, such as `http://127.0.0.1:4711`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.listening.address)
    }

    /// What was asked up to now.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Asked>>,
    answer: &impl Fn(&Asked) -> Answered,
) -> io::Result<()> {
    let asked = read(&stream)?;
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
