//! How a process ends: in good order when it is asked to, in bounded time, and at once when it is asked
//! a second time.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::arguments::Work;

/// How much longer than clients the rest of the process has, to say that tasks are given back.
const REST: Duration = Duration::from_secs(1);

/// How long before the process is ended, whatever it is at, all else has to be over.
const MARGIN: Duration = Duration::from_millis(100);

/// The exit code of a process that was asked twice: as if the signal itself had ended it.
const ASKED_TWICE: i32 = 128 + 15;

/// That the process is asked to end.
pub(crate) struct End {
    /// How long clients and tasks have.
    pub(crate) patience: Duration,
    /// Since when.
    asked: watch::Receiver<Option<Instant>>,
}

impl End {
    /// Listens for the signals of a process from now on.
    pub(crate) fn new(runtime: &Runtime, work: &Work) -> anyhow::Result<End> {
        let patience = Duration::from_secs(work.drain.into());
        let (tell, asked) = watch::channel(None);
        let mut signals =
            runtime.block_on(async { Signals::new() }).context("cannot listen for signals")?;
        runtime.spawn(async move {
            signals.next().await;
            tell.send_replace(Some(Instant::now()));
            // A thread of its own: what does not end may be anywhere, also on the threads of the runtime.
            // Nothing is lost that is not lost with a process that is killed: leases run out, and what
            // is being written has no name yet.
            std::thread::spawn(move || {
                std::thread::sleep(patience + REST);
                tracing::warn!("not everything came to its end in time");
                end_now(0);
            });
            signals.next().await;
            tracing::warn!("asked to end a second time");
            end_now(ASKED_TWICE);
        });
        Ok(End { patience, asked })
    }

    /// Waits until somebody asks the process to end.
    pub(crate) fn asked(&self) -> impl Future<Output = ()> + use<> {
        let mut asked = self.asked.clone();
        async move {
            // The sender lives as long as the runtime.
            let _ = asked.wait_for(Option::is_some).await;
        }
    }

    /// What the process has left, once clients have gone.
    pub(crate) fn left(&self) -> Duration {
        let since = self.asked.borrow().map_or(Duration::ZERO, |asked| asked.elapsed());
        (self.patience + REST).saturating_sub(since + MARGIN)
    }
}

/// Ends the process, whatever its threads are at.
#[expect(
    clippy::disallowed_methods,
    reason = "what holds the threads up is what is not waited for; a killed process leaves as much"
)]
fn end_now(code: i32) -> ! {
    std::process::exit(code)
}

/// The signals that ask for an end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Signals { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
