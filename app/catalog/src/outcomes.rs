//! What runs read and where their bundles are, as rows of their own: written with the state that says
//! so, never apart from it.

use serde::Serialize;
use stella_model::{Digest, FeedName, Kind, Target};
use stella_run::{Millis, RunKey, RunState, Snapshot, TaskId};

use crate::error::{damaged, doing};
use crate::tenant::{TenantTx, get, integer, number, parsed};
use crate::{Catalog, CatalogError};

const INPUTS: &str = "export_inputs";
const DISTRIBUTIONS: &str = "export_distributions";

/// A set of the snapshot of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The kind.
    pub kind: Kind,
    /// The feed.
    pub feed: FeedName,
    /// Number of records.
    pub records: u64,
    /// Set root before redaction.
    pub root: Digest,
    /// The ledger that was read.
    pub ledger: String,
    /// Up to which sequence.
    pub sequence: u64,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DistributionState {
    /// It is not there yet.
    Pending,
    /// It is there, and was not read back yet.
    Delivered,
    /// It was read back and is what it should be.
    Verified,
    /// It failed.
    Failed,
}

impl DistributionState {
    const ALL: [(DistributionState, &'static str); 4] = [
        (DistributionState::Pending, "pending"),
        (DistributionState::Delivered, "delivered"),
        (DistributionState::Verified, "verified"),
        (DistributionState::Failed, "failed"),
    ];

    /// The word for people and machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        DistributionState::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, word)| word)
    }

    fn of_word(word: &str) -> Option<DistributionState> {
        let found = DistributionState::ALL.iter().find(|(_, known)| *known == word);
        found.map(|(state, _)| *state)
    }
}

/// A delivery of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Distribution {
    /// Where to.
    pub target: Target,
    /// How far it is.
    pub state: DistributionState,
    /// SHA-256 of `export.json` of what is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_digest: Option<Digest>,
    /// Its bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Code of the table of errors, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

impl Distribution {
    /// How far the delivery to a target is in a state.
    fn of(state: &RunState, target: &Target) -> Distribution {
        let deliver = state.tasks.get(&TaskId::Distribute(target.clone()));
        let verify = state.tasks.get(&TaskId::Verify(target.clone()));
        let given_up = [deliver, verify].into_iter().flatten().find(|task| task.is_given_up());
        let reached = match (given_up, deliver, verify) {
            (Some(_), _, _) => DistributionState::Failed,
            (_, _, Some(task)) if task.is_done() => DistributionState::Verified,
            (_, Some(task), _) if task.is_done() => DistributionState::Delivered,
            _ => DistributionState::Pending,
        };
        let there = matches!(reached, DistributionState::Delivered | DistributionState::Verified);
        let bundle = state.bundle.filter(|_| there);
        let trouble = given_up.and_then(|task| task.trouble.as_ref());
        Distribution {
            target: target.clone(),
            state: reached,
            export_digest: bundle.map(|bundle| bundle.export_digest),
            bytes: bundle.map(|bundle| bundle.bytes),
            error_code: trouble.map(|failure| failure.code.clone()),
        }
    }
}

impl Catalog {
    /// What the snapshot of a run held, by kind and feed.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn inputs(&self, run: &RunKey) -> Result<Vec<Input>, CatalogError> {
        const READ: &str = "SELECT kind, feed, records, root, ledger, sequence FROM export_inputs \
                            WHERE tenant = $1 AND run = $2 ORDER BY kind, feed";
        let mut tx = self.read(&run.tenant).await?;
        let query = sqlx::query(READ).bind(run.tenant.as_str()).bind(integer(run.number));
        let rows = query.fetch_all(&mut *tx.tx).await.map_err(doing("read the inputs of a run"))?;
        let input = |row| {
            let missing = || damaged(INPUTS, "a name or a root is missing");
            Ok(Input {
                kind: parsed(row, 0, INPUTS)?.ok_or_else(missing)?,
                feed: parsed(row, 1, INPUTS)?.ok_or_else(missing)?,
                records: number(row, 2, INPUTS)?,
                root: parsed(row, 3, INPUTS)?.ok_or_else(missing)?,
                ledger: get(row, 4, INPUTS)?,
                sequence: number(row, 5, INPUTS)?,
            })
        };
        rows.iter().map(input).collect()
    }

    /// The deliveries of a run, by target.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn distributions(&self, run: &RunKey) -> Result<Vec<Distribution>, CatalogError> {
        const READ: &str = "SELECT target, state, export_digest, bytes, error_code \
            FROM export_distributions WHERE tenant = $1 AND run = $2 ORDER BY target";
        let mut tx = self.read(&run.tenant).await?;
        let query = sqlx::query(READ).bind(run.tenant.as_str()).bind(integer(run.number));
        let rows = query.fetch_all(&mut *tx.tx).await.map_err(doing("read distributions"))?;
        let distribution = |row| {
            let missing = || damaged(DISTRIBUTIONS, "a target or a state is missing");
            let state: String = get(row, 1, DISTRIBUTIONS)?;
            let bytes: Option<i64> = get(row, 3, DISTRIBUTIONS)?;
            Ok(Distribution {
                target: parsed(row, 0, DISTRIBUTIONS)?.ok_or_else(missing)?,
                state: DistributionState::of_word(&state).ok_or_else(missing)?,
                export_digest: parsed(row, 2, DISTRIBUTIONS)?,
                bytes: bytes.map(i64::cast_unsigned),
                error_code: get(row, 4, DISTRIBUTIONS)?,
            })
        };
        rows.iter().map(distribution).collect()
    }
}

impl TenantTx {
    /// Keeps what the snapshot of a run holds. A run is planned once.
    pub(crate) async fn set_inputs(
        &mut self,
        run: u64,
        snapshot: &Snapshot,
    ) -> Result<(), CatalogError> {
        const WRITE: &str = "INSERT INTO export_inputs \
            (tenant, run, kind, feed, records, root, ledger, sequence) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        for set in &snapshot.sets {
            let query = sqlx::query(WRITE).bind(self.tenant.as_str()).bind(integer(run));
            let query = query.bind(set.set.kind.as_str()).bind(set.set.feed.as_str());
            let query = query.bind(integer(set.records)).bind(set.root.to_string());
            let query = query.bind(snapshot.ledger.as_str()).bind(integer(snapshot.sequence));
            query.execute(&mut *self.tx).await.map_err(doing("write the inputs of a run"))?;
        }
        Ok(())
    }

    /// Keeps how far the deliveries of a run are.
    pub(crate) async fn set_distributions(
        &mut self,
        run: u64,
        state: &RunState,
        now: Millis,
    ) -> Result<(), CatalogError> {
        const WRITE: &str = "INSERT INTO export_distributions \
            (tenant, run, target, state, export_digest, bytes, changed_ms, error_code) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
            ON CONFLICT (tenant, run, target) DO UPDATE SET state = $4, export_digest = $5, \
            bytes = $6, changed_ms = $7, error_code = $8 WHERE export_distributions.state <> $4";
        for target in &state.targets {
            let distribution = Distribution::of(state, target);
            let query = sqlx::query(WRITE).bind(self.tenant.as_str()).bind(integer(run));
            let query = query.bind(distribution.target.as_str()).bind(distribution.state.as_str());
            let query = query.bind(distribution.export_digest.map(|digest| digest.to_string()));
            let query = query.bind(distribution.bytes.map(integer)).bind(now.0);
            let query = query.bind(distribution.error_code.as_deref());
            query.execute(&mut *self.tx).await.map_err(doing("write a distribution"))?;
        }
        Ok(())
    }
}
