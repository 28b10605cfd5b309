//! A proxy before an HTTP server that does with requests and answers what a test tells it: networks
//! that fail.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Asked;
use crate::listening::{Listening, read};

/// A request on its way to the server.
#[derive(Debug)]
pub struct Passing<'p> {
    /// How many came before it since the plan was made.
    pub number: usize,
    /// What is asked.
    pub asked: &'p Asked,
    to: &'p str,
}

impl Passing<'_> {
    /// Has the server answer; gives all of its answer with the head. Nothing if it does not answer.
    #[must_use]
    pub fn answer(&self) -> Vec<u8> {
        self.ask().unwrap_or_default()
    }

    fn ask(&self) -> io::Result<Vec<u8>> {
        let Asked { method, path, headers, body } = self.asked;
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in headers.iter().filter(|(name, _)| *name != "connection") {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut server = TcpStream::connect(self.to)?;
        server.write_all(format!("{request}connection: close\r\n\r\n").as_bytes())?;
        server.write_all(body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// Gives what goes back to the client as it is; without it the connection is closed.
type Plan = dyn Fn(&Passing<'_>) -> Option<Vec<u8>> + Send + Sync;

/// A running proxy; it ends when it is dropped.
pub struct Proxy {
    listening: Listening,
    shared: Arc<Shared>,
}

struct Shared {
    to: String,
    plan: Mutex<Arc<Plan>>,
    requests: AtomicUsize,
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
        let (to, plan) = (to.into(), Mutex::new(Arc::new(plan) as Arc<Plan>));
        let shared = Arc::new(Shared { to, plan, requests: AtomicUsize::new(0) });
        let own = shared.clone();
        Proxy { listening: Listening::start(move |client| own.pass(client)), shared }
    }

    /// From now on another plan holds; requests are counted anew.
    pub fn set(&self, plan: impl Fn(&Passing<'_>) -> Option<Vec<u8>> + Send + Sync + 'static) {
        *self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
        self.shared.requests.store(0, Ordering::SeqCst);
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        self.listening.address.to_string()
    }

    /// Where it is to be asked.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.listening.address)
    }

    /// Requests since the plan was made.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// One request, and what the plan makes of it.
    fn pass(&self, mut client: TcpStream) -> io::Result<()> {
        let asked = read(&client)?;
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        match plan(&Passing { number, asked: &asked, to: &self.to }) {
            Some(answer) => client.write_all(&answer),
            None => Ok(()),
        }
    }
}
