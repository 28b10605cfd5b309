//! Memory while many are connected and little happens.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::bundle::{Bundle, PATH};
use super::load::Client;

/// Streams of events that are open.
const WATCHERS: usize = 1_000;

/// Clients that fetch slowly.
const SLOW: usize = 200;

/// How long they stay.
const LASTS: Duration = Duration::from_secs(20);

/// Most memory that the service may need.
const MOST: u64 = 300 << 20;

/// Connects all of them, and looks at the memory of the service until they go.
///
/// # Errors
/// If one of them is not served.
pub(super) fn measure(bundle: &Bundle, page: &mut String) -> Result<()> {
    let place = &bundle.place;
    let server = place.serve(&[])?;
    let (alone, _) = server.memory();
    let events = place.target(&server, "/events");
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        let mut client = Client::connect(&events)?;
        client.send("GET", "Accept: text/event-stream\r\n", b"")?;
        anyhow::ensure!(client.read_some(4096)? > 0, "a watcher was sent away");
        watchers.push(client);
    }
    let (with_watchers, _) = server.memory();
    let bundle = place.target(&server, PATH);
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut client = Client::connect(&bundle)?;
        client.send("GET", "", b"")?;
        slow.push(client);
    }
    let (begun, cpu) = (Instant::now(), server.cpu());
    let mut now = 0;
    while begun.elapsed() < LASTS {
        for client in &mut slow {
            anyhow::ensure!(client.read_some(16 << 10)? > 0, "a slow client was cut off");
        }
        now = now.max(server.memory().0);
        std::thread::sleep(Duration::from_millis(200));
    }
    let (_, peak) = server.memory();
    let used = (server.cpu() - cpu) / begun.elapsed().as_secs_f64();
    let verdict = if peak <= MOST { "met" } else { "missed" };
    let mib = |bytes: u64| bytes >> 20;
    let _ = writeln!(
        page,
        "{WATCHERS} idle streams of events and {SLOW} slow downloads at once for {} s: {} MiB at the \
         start, {} MiB with the streams, {} MiB with all, peak {} MiB (goal ≤ {} MiB): {verdict}; {:.1} % \
         of one processor.\n",
        LASTS.as_secs(),
        mib(alone),
        mib(with_watchers),
        mib(now),
        mib(peak),
        mib(MOST),
        used * 100.0
    );
    Ok(())
}
