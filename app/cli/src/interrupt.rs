//! Ctrl-C, `--timeout` and SIGUSR1.
//!
//! The first Ctrl-C asks the work to stop cleanly; a second one, or one while nothing can be
//! stopped cleanly (a prompt), ends the process at once. Work that waits for input which may never
//! come is ended after seconds. All exit 130.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use stella_engine::Cancel;
use stella_model::ErrorCode;

/// Who asked the work to stop.
const NOBODY: u8 = 0;
const OPERATOR: u8 = 1;
const CLOCK: u8 = 2;

/// How long work may take to stop cleanly.
const GRACE: Duration = Duration::from_secs(5);

/// What the outside world wants of the running work.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupts {
    /// Handed to every operation.
    pub(crate) cancel: Cancel,
    /// Set by SIGUSR1.
    pub(crate) status_wanted: Arc<AtomicBool>,
    stopped_by: Arc<AtomicU8>,
    working: Arc<AtomicBool>,
    /// Whether the work may wait for input that never comes.
    may_wait: Arc<AtomicBool>,
}

impl Interrupts {
    /// Installs the handlers. A system that refuses them leaves the defaults in place.
    pub(crate) fn install() -> Interrupts {
        let interrupts = Interrupts::default();
        let handler = interrupts.clone();
        ctrlc::set_handler(move || handler.on_interrupt()).ok();
        #[cfg(unix)]
        signal_hook::flag::register(
            signal_hook::consts::SIGUSR1,
            Arc::clone(&interrupts.status_wanted),
        )
        .ok();
        interrupts
    }

    /// From now on Ctrl-C stops work cleanly.
    pub(crate) fn begin_work(&self) {
        self.working.store(true, Ordering::SeqCst);
    }

    /// The work reads what may never come, such as standard input.
    pub(crate) fn expect_input(&self) {
        self.may_wait.store(true, Ordering::SeqCst);
    }

    /// From now on Ctrl-C ends the process.
    pub(crate) fn end_work(&self) {
        self.working.store(false, Ordering::SeqCst);
    }

    /// Stops the work after a time, and ends the process if the work does not stop within
    /// [`GRACE`].
    pub(crate) fn stop_after(&self, time: Duration) {
        if time.is_zero() {
            self.stop(CLOCK);
            return;
        }
        let interrupts = self.clone();
        let wait = move || {
            std::thread::sleep(time);
            interrupts.stop(CLOCK);
            std::thread::sleep(GRACE);
            let note = b"error[ERR_EXPORT_TIMEOUT]: the time given by --timeout passed\n";
            std::io::stderr().write_all(note).ok();
            end_process(ErrorCode::Timeout);
        };
        std::thread::Builder::new().name("timeout".into()).spawn(wait).ok();
    }

    /// The code of an interruption: the operator's, or the clock's.
    pub(crate) fn code(&self) -> ErrorCode {
        match self.stopped_by.load(Ordering::SeqCst) {
            CLOCK => ErrorCode::Timeout,
            _ => ErrorCode::Interrupted,
        }
    }

    fn stop(&self, by: u8) -> bool {
        let first = self
            .stopped_by
            .compare_exchange(NOBODY, by, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        self.cancel.set();
        first
    }

    fn on_interrupt(&self) {
        let working = self.working.load(Ordering::SeqCst);
        let first = self.stop(OPERATOR);
        if working && first {
            let note = b"\nstopping cleanly; Ctrl-C again stops at once\n";
            std::io::stderr().write_all(note).ok();
            if self.may_wait.load(Ordering::SeqCst) {
                self.end_waiting();
            }
            return;
        }
        end_process(ErrorCode::Interrupted);
    }

    /// Ends the process if the work is still going on after [`GRACE`]: whoever waits for input does
    /// not look whether to stop.
    fn end_waiting(&self) {
        let interrupts = self.clone();
        let wait = move || {
            std::thread::sleep(GRACE);
            if interrupts.working.load(Ordering::SeqCst) {
                let note = b"error[ERR_EXPORT_INTERRUPTED]: the input did not come\n  hint: \
                             nothing was changed; run the same command again\n";
                std::io::stderr().write_all(note).ok();
                end_process(ErrorCode::Interrupted);
            }
        };
        std::thread::Builder::new().name("interrupt".into()).spawn(wait).ok();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "asked to stop at once; every write is atomic, so what stays is a temporary file"
)]
fn end_process(code: ErrorCode) -> ! {
    std::process::exit(i32::from(code.exit_code()))
}
