//! What every command works with: store, output, progress, interruptions.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use etcetera::BaseStrategy as _;
use stella_engine::{Cancel, EngineError, Progress, Store};
use stella_model::ErrorCode;
use stella_model::screen::Safe;

use crate::args::{Format, Global};
use crate::error::Failure;
use crate::interrupt::Interrupts;
use crate::output::{Out, Page, Paint, Tone, use_colour};
use crate::progress::Reporter;

/// What every command works with.
pub(crate) struct Context {
    /// The flags that every command takes.
    pub(crate) global: Global,
    /// Where everything lives.
    pub(crate) store: Store,
    /// Standard output.
    pub(crate) out: Out,
    /// Colours of standard error.
    pub(crate) err_paint: Paint,
    interrupts: Interrupts,
}

impl Context {
    /// Looks at flags and surroundings.
    pub(crate) fn new(global: Global, interrupts: Interrupts) -> Result<Context, Failure> {
        let variable = |name: &str| std::env::var(name).ok();
        let stdout = io::stdout().is_terminal();
        let paint = Paint { on: use_colour(global.color, stdout, variable) };
        let err_paint =
            Paint { on: use_colour(global.color, io::stderr().is_terminal(), variable) };
        if paint.on {
            // Tables paint by themselves, and look at NO_COLOR again.
            crossterm::style::force_color_output(true);
        }
        let width = stdout.then(|| terminal_width(variable("COLUMNS"))).flatten();
        let out = Out { format: global.output, headers: !global.no_headers, paint, width };
        let named = std::env::var_os("STELLA_STORE").filter(|dir| !dir.is_empty());
        let store = Store::at(match global.store.clone().or_else(|| named.map(PathBuf::from)) {
            Some(dir) => dir,
            None => default_store()?,
        });
        let context = Context { global, store, out, err_paint, interrupts };
        if context.global.verbose > 0 {
            let dir = context.store.dir().to_string_lossy();
            note(&format!("store {}, {} threads\n", Safe(&dir), context.threads()));
        }
        Ok(context)
    }

    /// Prints the result.
    pub(crate) fn print(&self, page: &Page) -> Result<(), Failure> {
        Ok(self.out.page(page)?)
    }

    /// Runs one operation with progress, and stops it when asked to.
    pub(crate) fn work<T>(
        &self,
        operation: impl FnOnce(&dyn Progress, &Cancel) -> Result<T, EngineError>,
    ) -> Result<T, Failure> {
        let mut reporter = self.reporter();
        self.interrupts.begin_work();
        let outcome = operation(&reporter, &self.interrupts.cancel);
        self.interrupts.end_work();
        match &outcome {
            Ok(_) => reporter.succeed(),
            Err(_) => reporter.finish(),
        }
        outcome.map_err(|error| self.rename_interruption(error.into()))
    }

    /// Shows how far work is that goes on elsewhere.
    pub(crate) fn reporter(&self) -> Reporter {
        let status = self.interrupts.status_wanted.clone();
        Reporter::start(self.global.progress, self.global.quiet, status)
    }

    /// Tells that the work reads these, where one may be no file: input that may never come.
    pub(crate) fn expect_input(&self, paths: &[PathBuf]) {
        let ends = |path: &PathBuf| path.metadata().is_ok_and(|it| it.is_file() || it.is_dir());
        if !paths.iter().all(ends) {
            self.interrupts.expect_input();
        }
    }

    /// Worker threads.
    pub(crate) fn threads(&self) -> usize {
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        self.global.threads.unwrap_or_else(available)
    }

    /// Tells something that must not be missed.
    pub(crate) fn warn(&self, text: &str) {
        let head = self.err_paint.text(Tone::Warn, "warning");
        note(&format!("{head}: {}\n", Safe(text)));
    }

    /// Tells something useful to a person who reads the result; the caller has escaped it.
    pub(crate) fn hint(&self, text: &str) {
        if !self.global.quiet && self.out.is_for_people() {
            note(&format!("{text}\n"));
        }
    }

    /// Tells something on standard error unless `-q`; the caller has escaped it.
    pub(crate) fn note(&self, text: &str) {
        if !self.global.quiet {
            note(&format!("{text}\n"));
        }
    }

    /// Asks a question that `--yes` answers.
    ///
    /// # Errors
    /// Usage, naming the flag, where nobody can be asked; interrupted if the answer is no.
    pub(crate) fn confirm(&self, question: &str) -> Result<(), Failure> {
        if self.global.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            let failure =
                Failure::new(ErrorCode::Usage, format!("{question}: nobody can be asked here"));
            return Err(failure.hint("add --yes if you mean it"));
        }
        note(&format!("{}? [y/N] ", Safe(question)));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        let failure =
            Failure::new(ErrorCode::Interrupted, "nothing was changed: the answer was no");
        Err(failure.hint("answer y, or add --yes, if you mean it"))
    }

    /// An interruption by `--timeout` has its own code.
    fn rename_interruption(&self, failure: Failure) -> Failure {
        match (failure.code(), self.interrupts.code()) {
            (ErrorCode::Interrupted, ErrorCode::Timeout) => {
                failure.with_code(ErrorCode::Timeout, "the time given by --timeout passed")
            }
            _ => failure,
        }
    }
}

/// Standard error that is gone is no reason to fail.
fn note(text: &str) {
    io::stderr().write_all(text.as_bytes()).ok();
}

/// Columns of the terminal behind standard output, else what `COLUMNS` says: some terminals do not
/// know, and say 0.
fn terminal_width(columns: Option<String>) -> Option<u16> {
    let mut probe = comfy_table::Table::new();
    probe.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    let told = probe.width().filter(|width| *width > 0).or_else(|| columns?.parse().ok());
    told.filter(|width| *width > 0)
}

fn default_store() -> Result<PathBuf, Failure> {
    let strategy = etcetera::choose_base_strategy().map_err(|error| {
        let failure =
            Failure::new(ErrorCode::Usage, "there is no home folder to keep the store in");
        failure.because(&error).hint("name a folder: --store DIR, or set STELLA_STORE")
    })?;
    Ok(strategy.data_dir().join("stella"))
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("store", &self.store)
            .field("format", &Format::Table)
            .finish_non_exhaustive()
    }
}
