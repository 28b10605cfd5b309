//! A bucket that fails in every way a server and a network can: what was asked for is done, or an error
//! says that it was not. Never is something wrong.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use stella_depot::{BundleRecord, Depot, Patience, StoredFile};
use stella_model::{Digest, ErrorCode};
use stella_peers::SeaweedFs;

use crate::place::{bucket, bytes, keep_bundle};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// It is answered with a status and goes nowhere.
    Status(u16),
    /// Nobody answers for longer than anybody waits.
    Silence,
    /// The connection is cut before the request goes on.
    Refused,
    /// The request is done; the answer is cut after so many bytes.
    Cut(usize),
}

type Plan = dyn Fn(usize, &str) -> Fault + Send + Sync;

/// Stands between a client and a server. Every request has a connection of its own.
struct Proxy {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    fn start(server: u16, plan: impl Fn(usize, &str) -> Fault + Send + Sync + 'static) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("is bound");
        let proxy = Proxy { address, requests: Arc::default(), ended: Arc::default() };
        let (requests, ended) = (proxy.requests.clone(), proxy.ended.clone());
        let plan: Arc<Plan> = Arc::new(plan);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (requests, plan) = (requests.clone(), plan.clone());
                std::thread::spawn(move || {
                    stream.and_then(|stream| pass(stream, server, &requests, &*plan)).ok()
                });
            }
        });
        proxy
    }

    fn depot(&self, dir: &std::path::Path) -> Depot {
        let patience = Patience {
            retries: 4,
            retrying: Duration::from_secs(20),
            request: Duration::from_secs(1),
        };
        let bucket = bucket(&format!("http://{}", self.address), patience);
        Depot::shared(dir, &"acme".parse().expect("a tenant"), &bucket)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
    }
}

fn pass(mut client: TcpStream, server: u16, requests: &AtomicUsize, plan: &Plan) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let fault = plan(requests.fetch_add(1, Ordering::SeqCst), &head);
    let most = match fault {
        Fault::Refused => return Ok(()),
        Fault::Silence => {
            std::thread::sleep(Duration::from_secs(3));
            return Ok(());
        }
        Fault::Status(status) => {
            let answer =
                format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\nConnection: close");
            return client.write_all(format!("{answer}\r\n\r\n").as_bytes());
        }
        Fault::Cut(bytes) => bytes,
        Fault::None => usize::MAX,
    };
    let mut server = TcpStream::connect(("127.0.0.1", server))?;
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer[..most.min(answer.len())])
}

/// All that a run does with a depot: keeps a large blob and a small one, and reads them elsewhere.
fn work(proxy: &Proxy) {
    let dirs = [stella_testkit::temp_dir(), stella_testkit::temp_dir()];
    let (small, large) = (bytes(1, 1000), bytes(2, (9 << 20) + 7));
    let record = keep_bundle(&proxy.depot(dirs[0].path()), &[&small, &large]);
    let other = proxy.depot(dirs[1].path());
    let found = other.reuse::<BundleRecord>(&record.identity()).expect("looks");
    assert_eq!(found, Some(record.clone()));
    for (file, expected) in record.files.iter().zip([&small, &large]) {
        let mut read = Vec::new();
        other.open(&file.stored).expect("opens").read_to_end(&mut read).expect("reads");
        assert!(read == *expected);
    }
}

#[test]
fn failures_that_pass_are_not_seen() {
    let Some(weed) = SeaweedFs::start() else { return };
    for fault in [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Refused,
        Fault::Silence,
        Fault::Cut(0),
        Fault::Cut(20),
        Fault::Cut(400),
    ] {
        weed.remove("some/");
        let plan = move |number, _: &str| if number % 3 == 0 { fault } else { Fault::None };
        let proxy = Proxy::start(weed.port(), plan);
        work(&proxy);
        assert!(proxy.requests.load(Ordering::SeqCst) > 15, "{fault:?}");
    }
}

#[test]
fn failures_that_stay_are_errors_for_which_the_run_waits() {
    let Some(weed) = SeaweedFs::start() else { return };
    for fault in [Fault::Status(500), Fault::Status(503), Fault::Refused, Fault::Silence] {
        let proxy = Proxy::start(weed.port(), move |_, _| fault);
        let dir = stella_testkit::temp_dir();
        let depot = proxy.depot(dir.path());
        let key = Digest::of(b"key");
        let codes = [
            depot.put_blob(b"bytes").expect_err("fails").code(),
            depot.find::<BundleRecord>(&key).expect_err("fails").code(),
            depot.is_intact(&StoredFile::of(b"bytes")).expect_err("fails").code(),
        ];
        assert_eq!(codes, [ErrorCode::Unreachable; 3], "{fault:?}");
        assert_eq!(weed.names("some"), Vec::<String>::new());
    }
}

#[test]
fn who_is_not_let_in_is_told_so() {
    let Some(weed) = SeaweedFs::start() else { return };
    let proxy = Proxy::start(weed.port(), |_, _| Fault::Status(403));
    let dir = stella_testkit::temp_dir();
    let error = proxy.depot(dir.path()).put_blob(b"bytes").expect_err("fails");
    assert_eq!(error.code(), ErrorCode::NotAllowed);
}

#[test]
fn nothing_wrong_is_ever_kept_whatever_fails_when() {
    let Some(weed) = SeaweedFs::start() else { return };
    let faults = [
        Fault::None,
        Fault::Status(500),
        Fault::None,
        Fault::Status(503),
        Fault::Refused,
        Fault::None,
        Fault::Cut(0),
        Fault::Cut(300),
    ];
    let mut kept = 0;
    for seed in 0..stella_testkit::rounds(12, 200) {
        let plan = move |number: usize, _: &str| {
            let at = (number + 1).wrapping_mul(2_654_435_761).wrapping_add(seed * 40_503) >> 7;
            faults[at % faults.len()]
        };
        let proxy = Proxy::start(weed.port(), plan);
        let dirs = [stella_testkit::temp_dir(), stella_testkit::temp_dir()];
        let blob = bytes(u8::try_from(seed % 250).expect("is small"), 3000 + seed);
        let depot = proxy.depot(dirs[0].path());
        // Either it is there, or an error says that it is not.
        let Ok(stored) = depot.put_blob(&blob) else { continue };
        let whole = bucket(&weed.url(), Patience::default());
        let other = Depot::shared(dirs[1].path(), &"acme".parse().expect("a tenant"), &whole);
        assert!(other.is_intact(&stored).expect("looks"), "round {seed}");
        kept += 1;
    }
    assert!(kept > 0, "something comes through");
}
