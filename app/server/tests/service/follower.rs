//! A client that follows a stream of events as a browser does: it goes on after the last event it was
//! told, however often the stream breaks, and writes down every event as it comes.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Where the service is now: it is another place after every start.
pub(crate) type Whereabouts = Arc<Mutex<String>>;

/// An event as it was told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) number: u64,
    pub(crate) data: Value,
}

/// Somebody who follows a stream.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    place: Whereabouts,
    token: String,
    path: String,
    told: Mutex<Vec<Told>>,
    news: Condvar,
    /// How often a stream was begun.
    begun: Mutex<u64>,
    ended: AtomicBool,
}

impl Follower {
    /// Follows `/events` or `/runs/{id}/events` from the first event on.
    pub(crate) fn start(place: &Whereabouts, token: &str, path: &str) -> Follower {
        let shared = Arc::new(Shared {
            place: place.clone(),
            token: token.to_owned(),
            path: path.to_owned(),
            told: Mutex::default(),
            news: Condvar::new(),
            begun: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let own = shared.clone();
        let thread = std::thread::spawn(move || own.follow());
        Follower { shared, thread: Some(thread) }
    }

    /// How many events were told by now.
    pub(crate) fn count(&self) -> usize {
        self.shared.told().len()
    }

    /// How often a stream was begun.
    pub(crate) fn streams(&self) -> u64 {
        *self.shared.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first event from a place in the order of arrival on that is wanted, and its place; none if
    /// it does not come in time.
    pub(crate) fn wait<T>(
        &self,
        mut from: usize,
        patience: Duration,
        wanted: impl Fn(&Told) -> Option<T>,
    ) -> Option<(usize, T)> {
        let until = Instant::now() + patience;
        let mut told = self.shared.told();
        loop {
            while from < told.len() {
                if let Some(found) = wanted(&told[from]) {
                    return Some((from, found));
                }
                from += 1;
            }
            let left = until.checked_duration_since(Instant::now())?;
            told =
                self.shared.news.wait_timeout(told, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything that was told, in the order of arrival, once the server says that it is all.
    pub(crate) fn all_of_run(mut self) -> Vec<Told> {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("follows to the end");
        }
        self.shared.told().clone()
    }

    /// Everything that was told by now.
    pub(crate) fn so_far(&self) -> Vec<Told> {
        self.shared.told().clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Shared {
    fn told(&self) -> MutexGuard<'_, Vec<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Comes again until the server says that the run is over, or nobody wants to know any more.
    fn follow(&self) {
        while !self.ended.load(Ordering::SeqCst) {
            if let Ok(true) = self.listen() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// One stream; whether there will be no more events.
    fn listen(&self) -> io::Result<bool> {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut stream = TcpStream::connect(&place)?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        let last = self.told().last().map_or(0, |told| told.number);
        let (path, token) = (&self.path, &self.token);
        write!(
            stream,
            "GET /api/export/v1{path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nLast-Event-ID: {last}\r\n\r\n"
        )?;
        let mut reader = BufReader::new(stream);
        let (mut line, mut number, mut data) = (Vec::new(), None, None);
        let mut is_first = true;
        while let Some(()) = self.line(&mut reader, &mut line)? {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if is_first {
                match text.split(' ').nth(1) {
                    Some("200") => *self.begun.lock().unwrap_or_else(PoisonError::into_inner) += 1,
                    Some("204") => return Ok(true),
                    _ => return Ok(false),
                }
                is_first = false;
            } else if let Some(id) = text.strip_prefix("id: ") {
                number = id.parse().ok();
            } else if let Some(json) = text.strip_prefix("data: ") {
                data = serde_json::from_str(json).ok();
            } else if text.is_empty()
                && let (Some(number), Some(data)) = (number.take(), data.take())
            {
                // An event counts once the empty line after it is there.
                self.told().push(Told { number, data });
                self.news.notify_all();
            }
        }
        Ok(false)
    }

    /// The next line; none at the end.
    fn line(
        &self,
        reader: &mut BufReader<TcpStream>,
        line: &mut Vec<u8>,
    ) -> io::Result<Option<()>> {
        loop {
            match reader.read_until(b'\n', line) {
                Ok(0) => return Ok(None),
                Ok(_) if line.ends_with(b"\n") => return Ok(Some(())),
                Ok(_) => return Ok(None),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) && !self.ended.load(Ordering::SeqCst) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
