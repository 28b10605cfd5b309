//! A bucket that fails in every way a server and a network can: what was asked for is done, or an error
//! says that it was not. Never is something wrong.

use std::io::Read as _;
use std::time::Duration;

use stella_depot::{BundleRecord, Depot, Patience, StoredFile};
use stella_model::{Digest, ErrorCode};
use stella_peers::SeaweedFs;
use stella_testkit::{Passing, Proxy};

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

impl Fault {
    /// What comes back.
    fn answer(self, passing: &Passing<'_>) -> Option<Vec<u8>> {
        match self {
            Fault::None => Some(passing.answer()),
            Fault::Status(status) => {
                let answer = format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n");
                Some(format!("{answer}Connection: close\r\n\r\n").into_bytes())
            }
            Fault::Silence => {
                std::thread::sleep(Duration::from_secs(3));
                None
            }
            Fault::Refused => None,
            Fault::Cut(bytes) => {
                let answer = passing.answer();
                Some(answer[..bytes.min(answer.len())].to_vec())
            }
        }
    }
}

/// A bucket of which requests fail by their number.
fn failing(weed: &SeaweedFs, plan: impl Fn(usize) -> Fault + Send + Sync + 'static) -> Proxy {
    let server = format!("127.0.0.1:{}", weed.port());
    Proxy::start(server, move |passing| plan(passing.number).answer(passing))
}

/// A depot in a bucket, for whoever has little patience.
fn depot(bucket_at: &Proxy, dir: &std::path::Path) -> Depot {
    let patience =
        Patience { retries: 4, retrying: Duration::from_secs(20), request: Duration::from_secs(1) };
    Depot::shared(dir, &"acme".parse().expect("a tenant"), &bucket(&bucket_at.url(), patience))
}

/// All that a run does with a depot: keeps a large blob and a small one, and reads them elsewhere.
fn work(proxy: &Proxy) {
    let dirs = [stella_testkit::temp_dir(), stella_testkit::temp_dir()];
    let (small, large) = (bytes(1, 1000), bytes(2, (9 << 20) + 7));
    let record = keep_bundle(&depot(proxy, dirs[0].path()), &[&small, &large]);
    let other = depot(proxy, dirs[1].path());
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
        let plan = move |number| if number % 3 == 0 { fault } else { Fault::None };
        let proxy = failing(&weed, plan);
        work(&proxy);
        assert!(proxy.requests() > 15, "{fault:?}");
    }
}

#[test]
fn failures_that_stay_are_errors_for_which_the_run_waits() {
    let Some(weed) = SeaweedFs::start() else { return };
    for fault in [Fault::Status(500), Fault::Status(503), Fault::Refused, Fault::Silence] {
        let proxy = failing(&weed, move |_| fault);
        let dir = stella_testkit::temp_dir();
        let depot = depot(&proxy, dir.path());
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
    let proxy = failing(&weed, |_| Fault::Status(403));
    let dir = stella_testkit::temp_dir();
    let error = depot(&proxy, dir.path()).put_blob(b"bytes").expect_err("fails");
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
        let plan = move |number: usize| {
            let at = (number + 1).wrapping_mul(2_654_435_761).wrapping_add(seed * 40_503) >> 7;
            faults[at % faults.len()]
        };
        let proxy = failing(&weed, plan);
        let dirs = [stella_testkit::temp_dir(), stella_testkit::temp_dir()];
        let blob = bytes(u8::try_from(seed % 250).expect("is small"), 3000 + seed);
        let depot = depot(&proxy, dirs[0].path());
        // Either it is there, or an error says that it is not.
        let Ok(stored) = depot.put_blob(&blob) else { continue };
        let whole = bucket(&weed.url(), Patience::default());
        let other = Depot::shared(dirs[1].path(), &"acme".parse().expect("a tenant"), &whole);
        assert!(other.is_intact(&stored).expect("looks"), "round {seed}");
        kept += 1;
    }
    assert!(kept > 0, "something comes through");
}
