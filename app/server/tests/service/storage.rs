//! A proxy in front of S3-compatible storage that fails as a test tells it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stella_testkit::{Passing, Proxy};

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

impl Fault {
    /// What comes back.
    fn answer(self, passing: &Passing<'_>) -> Option<Vec<u8>> {
        match self {
            Fault::None => Some(passing.answer()),
            Fault::Late(time) => {
                std::thread::sleep(time);
                Some(passing.answer())
            }
            Fault::Refused(status, code) => Some(refusal(passing, status, code)),
            Fault::Down => None,
            Fault::Unanswered => {
                drop(passing.answer());
                None
            }
            Fault::Half => {
                let answer = passing.answer();
                Some(answer[..answer.len() / 2].to_vec())
            }
        }
    }
}

fn refusal(passing: &Passing<'_>, status: u16, code: &str) -> Vec<u8> {
    let body = format!("<Error><Code>{code}</Code><Message>told to</Message></Error>");
    let length = body.len();
    let body = if passing.asked.method == "HEAD" { "" } else { &body };
    let answer = format!(
        "HTTP/1.1 {status} Told\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    answer.into_bytes()
}

/// A bucket behind a network that fails.
pub(crate) struct Storage {
    proxy: Proxy,
    faults: Arc<AtomicU64>,
}

impl Storage {
    /// One on this port of this machine; nothing fails yet.
    pub(crate) fn start(port: u16) -> Storage {
        let proxy = Proxy::start(format!("127.0.0.1:{port}"), |passing| Some(passing.answer()));
        Storage { proxy, faults: Arc::default() }
    }

    pub(crate) fn url(&self) -> String {
        self.proxy.url()
    }

    /// From now on this decides; the numbers of requests begin anew.
    pub(crate) fn set(&self, decide: impl Fn(&Passing<'_>) -> Fault + Send + Sync + 'static) {
        let faults = self.faults.clone();
        faults.store(0, Ordering::SeqCst);
        self.proxy.set(move |passing| {
            let fault = decide(passing);
            if !matches!(fault, Fault::None | Fault::Late(_)) {
                faults.fetch_add(1, Ordering::SeqCst);
            }
            fault.answer(passing)
        });
    }

    /// How many requests were not answered as they should since the last [`set`](Self::set).
    pub(crate) fn faults(&self) -> u64 {
        self.faults.load(Ordering::SeqCst)
    }
}
