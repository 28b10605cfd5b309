//! The catalog of the service: tenants, profiles, runs, events, the audit log, tokens and quotas, in
//! SQLite or PostgreSQL.
//!
//! One text of SQL for both, through the `Any` driver of sqlx: columns are TEXT or BIGINT. Whatever
//! reads or writes goes through one kind of transaction that names its tenant (INV-TENANT). On
//! PostgreSQL row-level security beneath it sees to that a query which forgets the tenant finds
//! nothing; on SQLite the query layer is all there is, and one process is all that opens the file.
//!
//! Times arrive as arguments. Nothing here runs longer than a few statements, and no transaction is
//! held while anything is done.

mod audit;
mod calls;
mod catalog;
mod error;
mod events;
mod idempotency;
mod kept;
mod migrate;
mod outcomes;
mod profiles;
mod quotas;
mod runs;
mod states;
mod store;
mod tenant;
mod tokens;

pub use audit::{AuditEntry, AuditFault, AuditRecord};
pub use catalog::Catalog;
pub use error::CatalogError;
pub use events::Event;
pub use idempotency::{IdempotencyKey, Made, Mutation};
pub use kept::{Needed, Turn};
pub use outcomes::{Distribution, DistributionState, Input};
pub use profiles::ProfileRevision;
pub use quotas::{Quota, Usage};
pub use runs::{NewRun, Run, RunFilter, RunSummary, RunsPage, Started};
pub use states::Queue;
pub use store::BlockingStore;
pub use tokens::{Known, NewToken, Token, TokenFault};
