//! How long work tells where it stands, and how it is stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stella_model::ErrorCode;

use crate::EngineError;

/// The stages of work, in the words of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Reading and storing evidence.
    Ingest,
    /// Deciding what a run will do.
    Plan,
    /// Reading records from the ledger.
    Collect,
    /// Writing parts.
    Pack,
    /// Manifest and signatures.
    Seal,
    /// Putting the bundle where it was asked for.
    Distribute,
    /// Reading it back.
    Verify,
}

impl Stage {
    /// All, in the order in which work passes them.
    pub const ALL: [Stage; 7] = [
        Stage::Ingest,
        Stage::Plan,
        Stage::Collect,
        Stage::Pack,
        Stage::Seal,
        Stage::Distribute,
        Stage::Verify,
    ];

    /// The stage of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| stage.as_str() == word)
    }

    /// The word for people and machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Ingest => "ingest",
            Stage::Plan => "plan",
            Stage::Collect => "collect",
            Stage::Pack => "pack",
            Stage::Seal => "seal",
            Stage::Distribute => "distribute",
            Stage::Verify => "verify",
        }
    }
}

/// Where a stage stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageUpdate {
    /// The stage.
    pub stage: Stage,
    /// Units done: records, parts or documents, as `unit` says.
    pub done: u64,
    /// Units in all, if known.
    pub total: Option<u64>,
    /// Bytes done.
    pub bytes: u64,
    /// What a unit is, such as `records`.
    pub unit: &'static str,
    /// One line about the outcome once the stage is over.
    pub finished: Option<String>,
}

impl StageUpdate {
    /// That a stage begins.
    #[must_use]
    pub fn begun(stage: Stage) -> StageUpdate {
        StageUpdate { stage, done: 0, total: None, bytes: 0, unit: "", finished: None }
    }

    /// That it is over. Whoever shows it has its counts and its time already.
    #[must_use]
    pub fn over(stage: Stage) -> StageUpdate {
        StageUpdate { finished: Some(String::new()), ..StageUpdate::begun(stage) }
    }
}

/// Takes updates; called from several threads, often.
pub trait Progress: Sync {
    /// Takes one update.
    fn update(&self, update: &StageUpdate);

    /// Something went wrong that is tried again: a person may want to know why it takes so long.
    fn trouble(&self, _what: &str) {}

    /// A person may be asked for a password now: until the next update nothing is to be drawn over
    /// the question. Comes between two stages.
    fn before_question(&self) {}
}

/// Drops every update.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn update(&self, _: &StageUpdate) {}
}

/// A request to stop, shared with whoever may make it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A request that was not made.
    #[must_use]
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Makes the request.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails if it was made.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        if !self.is_set() {
            return Ok(());
        }
        let error = EngineError::new(ErrorCode::Interrupted, "interrupted; nothing was changed");
        Err(error.hint("run the same command again; parts that are finished are reused"))
    }

    /// Waits; fails soon if it is made meanwhile.
    pub(crate) fn wait(&self, mut left: Duration) -> Result<(), EngineError> {
        const LOOK: Duration = Duration::from_millis(100);
        while !left.is_zero() {
            self.check()?;
            std::thread::sleep(left.min(LOOK));
            left = left.saturating_sub(LOOK);
        }
        Ok(())
    }

    /// Whether it was made.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
