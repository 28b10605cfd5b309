//! The tasks of a run: what each is for, and where it stands.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use stella_model::{ErrorCode, Target};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// So many milliseconds later.
    #[must_use]
    pub const fn after(self, milliseconds: i64) -> Millis {
        Millis(self.0.saturating_add(milliseconds))
    }
}

/// Names a task within its run: `plan`, `make/0`, `pack/12`, `seal`, `distribute/http`, `verify/http`.
///
/// Ordered as they are offered: a database takes longer than any shard of parts, so it comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskId {
    /// Decides the run.
    Plan,
    /// Makes the output at this place of the plan's list of those that are made of records.
    Make(u32),
    /// Packs this shard: a range of the plan's parts.
    Pack(u32),
    /// Writes the manifest and signs it.
    Seal,
    /// Delivers the bundle to a target.
    Distribute(Target),
    /// Reads back what a target has.
    Verify(Target),
}

impl TaskId {
    /// The target, of a task that serves one.
    #[must_use]
    pub const fn target(&self) -> Option<&Target> {
        match self {
            TaskId::Distribute(target) | TaskId::Verify(target) => Some(target),
            _ => None,
        }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskId::Plan => f.write_str("plan"),
            TaskId::Seal => f.write_str("seal"),
            TaskId::Make(output) => write!(f, "make/{output}"),
            TaskId::Pack(shard) => write!(f, "pack/{shard}"),
            TaskId::Distribute(target) => write!(f, "distribute/{target}"),
            TaskId::Verify(target) => write!(f, "verify/{target}"),
        }
    }
}

/// A text names no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no task of a run")]
pub struct TaskIdError(String);

impl FromStr for TaskId {
    type Err = TaskIdError;

    fn from_str(text: &str) -> Result<TaskId, TaskIdError> {
        let unknown = || TaskIdError(text.chars().take(60).collect());
        let number = |digits: &str| digits.parse().map_err(|_| unknown());
        let target = |name: &str| name.parse().map_err(|_| unknown());
        let id = match text.split_once('/') {
            None if text == "plan" => TaskId::Plan,
            None if text == "seal" => TaskId::Seal,
            Some(("make", output)) => TaskId::Make(number(output)?),
            Some(("pack", shard)) => TaskId::Pack(number(shard)?),
            Some(("distribute", name)) => TaskId::Distribute(target(name)?),
            Some(("verify", name)) => TaskId::Verify(target(name)?),
            _ => return Err(unknown()),
        };
        // One name per task: `pack/07` and `pack/+7` are none.
        if id.to_string() == text { Ok(id) } else { Err(unknown()) }
    }
}

impl Serialize for TaskId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<TaskId, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A task and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// How often it was claimed: the fencing token of the newest claim.
    pub attempt: u32,
    /// How often an attempt failed.
    #[serde(default)]
    pub failures: u32,
    /// How often an attempt was lost with its worker.
    #[serde(default)]
    pub losses: u32,
    /// Where it stands.
    pub phase: Phase,
    /// Why the newest attempt that is over did not do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Failure>,
}

impl Task {
    /// A task that nobody may claim yet.
    pub(crate) const NEW: Task =
        Task { attempt: 0, failures: 0, losses: 0, phase: Phase::Waiting, trouble: None };

    /// Whether it is done.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// Whether it will not be done any more.
    #[must_use]
    pub const fn is_given_up(&self) -> bool {
        matches!(self.phase, Phase::GivenUp)
    }

    /// Whether a worker holds it.
    #[must_use]
    pub const fn is_leased(&self) -> bool {
        matches!(self.phase, Phase::Leased { .. })
    }
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "is")]
pub enum Phase {
    /// What comes before it is not done.
    Waiting,
    /// It may be claimed from this time on.
    Ready {
        /// The time.
        not_before: Millis,
    },
    /// A worker holds it.
    Leased {
        /// The worker, for people: nothing is decided by the name.
        worker: String,
        /// Until when, unless the lease is renewed.
        until: Millis,
        /// How far it is, if it takes long enough to tell. It ends with the lease: what an attempt
        /// told of itself is not believed of the next one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<TaskProgress>,
    },
    /// It is done.
    Done,
    /// It failed for good.
    GivenUp,
}

/// How far an attempt at a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskProgress {
    /// The stage that it is at, in the words of the product, such as `pack`.
    pub stage: String,
    /// Units done, as `unit` says.
    pub done: u64,
    /// Units in all, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What a unit is, such as `records`.
    pub unit: String,
    /// Bytes done.
    pub bytes: u64,
}

/// What a task that is done gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskResult {
    /// The run is decided.
    Planned {
        /// What it is.
        plan: crate::Plan,
        /// What it reads.
        snapshot: crate::Snapshot,
    },
    /// A shard or a database lies in the depot.
    Stored,
    /// The bundle is sealed.
    Sealed(crate::Bundle),
    /// The target has the bundle.
    Delivered,
    /// The target has what it should.
    Verified,
}

/// What can be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// Nothing, until someone changes something.
    None,
    /// The same again, later.
    Again,
    /// Something in the depot is missing or no longer what it was: pack anew.
    Rebuild,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// A code of the one table, such as `ERR_EXPORT_IO`.
    pub code: String,
    /// What failed, for a person.
    pub message: String,
    /// The next step, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What can be done about it without a person.
    pub remedy: Remedy,
    /// Whether nobody told of it: the worker gave no sign of life until its lease ran out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_silence: bool,
}

impl Failure {
    /// A failure of this code, with the remedy that the table gives.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Failure {
        let remedy = match code.retry() {
            stella_model::error::Retry::Never => Remedy::None,
            stella_model::error::Retry::Later => Remedy::Again,
        };
        Failure {
            code: code.as_str().to_owned(),
            message: message.into(),
            hint: None,
            remedy,
            is_silence: false,
        }
    }

    /// That a worker gave no sign of life until its lease ran out.
    #[must_use]
    pub(crate) fn silence(worker: &str) -> Failure {
        let message = format!("worker {worker} gave no sign of life until its lease ran out");
        Failure { is_silence: true, ..Failure::new(ErrorCode::Unreachable, message) }
    }
}
