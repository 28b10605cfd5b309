//! Progress on standard error: live lines, plain lines, JSON lines, or nothing.
//!
//! Updates come often and from several threads; they only replace a value. One thread looks at the
//! value ten times a second and draws, so work never waits for a terminal, and a stage that is
//! silent for long still shows that time passes.

mod line;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Clock};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use stella_engine::{Progress, Stage, StageUpdate};

use crate::args::ProgressMode;
use crate::clock;
use line::Running;

/// How often the drawing thread looks.
const TICK: Duration = Duration::from_millis(100);
/// Least time between two plain lines of one stage.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// Least time between two JSON lines of one stage.
const JSON_EVERY: Duration = Duration::from_secs(1);

/// The progress of one command. Dropping it stops the drawing and clears live lines.
pub(crate) struct Reporter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    mode: Mode,
    state: Mutex<State>,
    wake: Condvar,
    /// Told after every look of the drawing thread.
    drawn: Condvar,
    status_wanted: Arc<AtomicBool>,
}

/// A mode after `auto` was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Tty,
    Plain,
    Json,
    Silent,
}

#[derive(Default)]
struct State {
    stages: Vec<Tracked>,
    /// Lines that are to stand between those of the stages.
    lines: Vec<String>,
    /// What went wrong, is tried again, and was not told yet.
    troubles: Vec<String>,
    over: bool,
}

/// A stage as far as it was told.
struct Tracked {
    update: StageUpdate,
    began: Clock,
    ended: Option<Clock>,
    /// When a line was last written, for the modes that count lines.
    written: Option<Clock>,
    bar: Option<ProgressBar>,
}

impl Tracked {
    fn running(&self) -> Running {
        let end = self.ended.unwrap_or_else(Clock::now);
        Running { update: self.update.clone(), elapsed: end - self.began }
    }
}

impl Reporter {
    /// Starts to report. `status_wanted` is set from outside (SIGUSR1) and cleared here.
    pub(crate) fn start(
        mode: ProgressMode,
        quiet: bool,
        status_wanted: Arc<AtomicBool>,
    ) -> Reporter {
        let mode = decide(mode, quiet);
        let shared = Arc::new(Shared {
            mode,
            state: Mutex::default(),
            wake: Condvar::new(),
            drawn: Condvar::new(),
            status_wanted,
        });
        let drawer = Arc::clone(&shared);
        // Without a thread there is no progress, but the work itself goes on.
        let thread =
            std::thread::Builder::new().name("progress".into()).spawn(move || drawer.draw()).ok();
        Reporter { shared, thread }
    }

    /// Tells a line between those of the stages, above those that are live.
    pub(crate) fn tell(&self, line: String) {
        self.shared.lock().lines.push(line);
        self.shared.wake.notify_all();
    }

    /// The work succeeded: stages that did not tell of their end are over.
    pub(crate) fn succeed(&mut self) {
        let now = Clock::now();
        for tracked in &mut self.shared.lock().stages {
            tracked.update.finished.get_or_insert_default();
            tracked.ended.get_or_insert(now);
        }
        self.finish();
    }

    /// Draws what is due and ends live lines, so that other text may follow.
    pub(crate) fn finish(&mut self) {
        self.shared.lock().over = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Progress for Reporter {
    fn update(&self, update: &StageUpdate) {
        let mut state = self.shared.lock();
        let known = state
            .stages
            .iter_mut()
            .find(|tracked| tracked.update.stage == update.stage && tracked.ended.is_none());
        let ended = update.finished.is_some().then(Clock::now);
        match known {
            Some(tracked) => tracked.take(update, ended),
            None => {
                let began = Clock::now();
                let update = update.clone();
                state.stages.push(Tracked { update, began, ended, written: None, bar: None });
            }
        }
        if ended.is_some() {
            self.shared.wake.notify_all();
        } else if asks(update.stage) && self.shared.mode == Mode::Tty {
            self.shared.settle(state);
        }
    }

    fn trouble(&self, what: &str) {
        self.shared.lock().troubles.push(what.to_owned());
    }

    fn before_question(&self) {
        if self.shared.mode == Mode::Tty {
            self.shared.settle(self.shared.lock());
        }
    }
}

/// Whether a person may be asked for a password during the stage. It has no live line: that would
/// be drawn over the question, ten times a second.
fn asks(stage: Stage) -> bool {
    stage == Stage::Seal
}

impl Tracked {
    /// Takes an update. The last one of a stage may carry no counts; those told before then stay.
    fn take(&mut self, update: &StageUpdate, ended: Option<Clock>) {
        let previous = std::mem::replace(&mut self.update, update.clone());
        if ended.is_some() && update.done == 0 {
            self.update.done = previous.done;
            self.update.total = previous.total;
            self.update.bytes = previous.bytes;
            self.update.unit = previous.unit;
        }
        self.ended = ended;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not hide how far the work was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the lines of the stages before are cleared. Not for long: a terminal that takes
    /// no text holds up no work.
    fn settle(&self, state: MutexGuard<'_, State>) {
        self.wake.notify_all();
        let is_drawn = |state: &mut State| {
            state.stages.iter().any(|tracked| tracked.ended.is_some() || tracked.bar.is_some())
        };
        drop(self.drawn.wait_timeout_while(state, 5 * TICK, is_drawn));
    }

    fn draw(&self) {
        let bars = (self.mode == Mode::Tty)
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        let mut state = self.lock();
        loop {
            if self.status_wanted.swap(false, Ordering::Relaxed) {
                self.say(bars.as_ref(), &line::status(clock::now(), state.current().as_ref()));
            }
            for line in std::mem::take(&mut state.lines) {
                self.say(bars.as_ref(), &line);
            }
            for trouble in std::mem::take(&mut state.troubles) {
                match self.mode {
                    Mode::Silent => {}
                    Mode::Json => self.say(None, &line::trouble_json(clock::now(), &trouble)),
                    Mode::Tty | Mode::Plain => self.say(bars.as_ref(), &format!("  {trouble}")),
                }
            }
            self.draw_stages(&mut state, bars.as_ref());
            state.stages.retain(|tracked| tracked.ended.is_none());
            self.drawn.notify_all();
            if state.over {
                break;
            }
            state = match self.wake.wait_timeout(state, TICK) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        if let Some(bars) = bars {
            bars.clear().ok();
        }
    }

    fn draw_stages(&self, state: &mut State, bars: Option<&MultiProgress>) {
        state.stages.sort_by_key(|tracked| line::rank(tracked.update.stage));
        for tracked in &mut state.stages {
            match self.mode {
                Mode::Silent => {}
                Mode::Tty => draw_live(tracked, bars),
                Mode::Plain => self.draw_line(tracked, PLAIN_EVERY, line::plain),
                Mode::Json => self.draw_line(tracked, JSON_EVERY, line::json),
            }
        }
    }

    fn draw_line(
        &self,
        tracked: &mut Tracked,
        every: Duration,
        line: fn(stella_model::Instant, &Running) -> String,
    ) {
        let due = tracked.written.is_none_or(|written| written.elapsed() >= every);
        if due || tracked.ended.is_some() {
            tracked.written = Some(Clock::now());
            self.say(None, &line(clock::now(), &tracked.running()));
        }
    }

    fn say(&self, bars: Option<&MultiProgress>, line: &str) {
        match bars {
            Some(bars) => bars.suspend(|| write_line(line)),
            None => write_line(line),
        }
    }
}

impl State {
    /// The stage that a status line speaks of: the last that began and is running.
    fn current(&self) -> Option<Running> {
        self.stages.iter().rfind(|tracked| tracked.ended.is_none()).map(Tracked::running)
    }
}

fn draw_live(tracked: &mut Tracked, bars: Option<&MultiProgress>) {
    let Some(bars) = bars else { return };
    let running = tracked.running();
    if tracked.ended.is_some() {
        if let Some(bar) = tracked.bar.take() {
            bar.finish_and_clear();
            bars.remove(&bar);
        }
        bars.suspend(|| write_line(&line::done(&running)));
        return;
    }
    if asks(tracked.update.stage) {
        return;
    }
    let bar = tracked.bar.get_or_insert_with(|| {
        let style = ProgressStyle::with_template("{msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        bars.add(ProgressBar::new_spinner().with_style(style))
    });
    bar.set_message(line::live(&running));
    bar.tick();
}

/// Standard error that is gone is no reason to stop working.
fn write_line(line: &str) {
    let mut stderr = io::stderr().lock();
    stderr.write_all(format!("{line}\n").as_bytes()).and_then(|()| stderr.flush()).ok();
}

fn decide(mode: ProgressMode, quiet: bool) -> Mode {
    match mode {
        ProgressMode::None => Mode::Silent,
        ProgressMode::Json => Mode::Json,
        _ if quiet => Mode::Silent,
        ProgressMode::Plain => Mode::Plain,
        ProgressMode::Tty => Mode::Tty,
        ProgressMode::Auto => {
            let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
            let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            if io::stderr().is_terminal() && !ci && !dumb { Mode::Tty } else { Mode::Plain }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_update_of_a_stage_keeps_the_counts_told_before() {
        let update = |done, finished: Option<&str>| StageUpdate {
            stage: Stage::Pack,
            done,
            total: Some(9).filter(|_| done > 0),
            bytes: done,
            unit: if done > 0 { "parts" } else { "" },
            finished: finished.map(str::to_owned),
        };
        let now = Clock::now();
        let mut tracked =
            Tracked { update: update(9, None), began: now, ended: None, written: None, bar: None };
        tracked.take(&update(0, Some("0.1 s")), Some(now));
        assert_eq!((tracked.update.done, tracked.update.unit), (9, "parts"));
        assert_eq!(tracked.update.finished.as_deref(), Some("0.1 s"));
    }

    #[test]
    fn an_explicit_mode_wins_over_quiet_only_for_json() {
        assert_eq!(decide(ProgressMode::Plain, true), Mode::Silent);
        assert_eq!(decide(ProgressMode::Json, true), Mode::Json);
        assert_eq!(decide(ProgressMode::Tty, false), Mode::Tty);
        assert_eq!(decide(ProgressMode::None, false), Mode::Silent);
    }
}
