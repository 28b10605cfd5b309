//! What is asked of a run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stella_carrier::Carrier;
use stella_ledger::Seq;
use stella_model::{Digest, ErrorCode, Instant, SetKey};
use stella_plan::profile::Select;
use stella_plan::{PolicyVersion, RunPlan};

use super::seal::Signing;
use crate::EngineError;

/// What to run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The recipe.
    pub profile: ProfileSource,
    /// Selectors of the request; each one given replaces the profile's.
    pub select: Select,
    /// `asOf`, instead of the newest revision time among the selected records.
    pub as_of: Option<Instant>,
    /// `none`, `standard` or a rules file, instead of the profile's.
    pub redaction: Option<String>,
    /// The policy that outputs for Trivy belong to, instead of the profile's.
    pub policy: PolicyRequest,
    /// Sets that may be empty, besides the profile's.
    pub allow_empty: Vec<SetKey>,
    /// Why it is right that less is there than in the last run; `None` = it is refused.
    pub accept_drop: Option<String>,
    /// Worker threads.
    pub threads: usize,
    /// The time of planning.
    pub now: Instant,
    /// The bundle that is to be made again; none takes the evidence as it is now.
    pub again: Option<Again>,
}

/// A bundle that is to be made again, of the evidence that it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Again {
    /// The ledger that was read.
    pub ledger: String,
    /// Up to which sequence.
    pub sequence: u64,
    /// The plan that has to come of it.
    pub plan_hash: Digest,
}

impl Again {
    /// The snapshot, if it is one of this ledger.
    pub(super) fn snapshot(&self, ledger: &str) -> Result<Seq, EngineError> {
        match self.ledger == ledger {
            true => Ok(Seq(self.sequence)),
            false => Err(self.lost("the ledger is another one, or was made anew")),
        }
    }

    /// Looks whether what was planned is what it has to be.
    pub(super) fn check(&self, plan: &RunPlan) -> Result<(), EngineError> {
        match plan.hash() == self.plan_hash {
            true => Ok(()),
            false => Err(self.lost(
                "what is told of a feed, the profile or the version of the program is not what it was",
            )),
        }
    }

    fn lost(&self, why: &str) -> EngineError {
        let plan = self.plan_hash.short(16);
        let message = format!("the bundle of plan {plan} cannot be made again: {why}");
        EngineError::new(ErrorCode::RunFailed, message)
            .hint("start a new run: its bundle is of the evidence as it is now")
    }
}

/// What a request says of the policy of a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyRequest {
    /// Its version. The hash of a profile belongs to the version of the profile, and goes with it.
    pub version: Option<PolicyVersion>,
    /// Digest of everything that it was evaluated over.
    pub inputs_hash: Option<Digest>,
}

/// Where a profile comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileSource {
    /// The name of an adapter.
    BuiltIn(String),
    /// A TOML file.
    File(PathBuf),
    /// The text of such a file, which may name no other file: for services, where a request must not
    /// choose what is read.
    Document(String),
}

/// A run and where its bundle goes.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// What to export.
    pub run: RunRequest,
    /// The bundle itself: a folder, or a file for [`Carrier::Tar`].
    pub dest: PathBuf,
    /// What carries it.
    pub carrier: Carrier,
    /// Whether another bundle at the destination is replaced.
    pub replace: bool,
    /// Who signs.
    pub signing: Signing,
    /// Most bytes that the depot keeps afterwards; `None` = [`DEFAULT_CACHE_BYTES`].
    pub cache_bytes: Option<u64>,
}

/// What a depot keeps when nobody says otherwise.
pub const DEFAULT_CACHE_BYTES: u64 = 20 << 30;
