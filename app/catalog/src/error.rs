//! Why the catalog did not do what it was asked.

use stella_model::ErrorCode;

/// Why the catalog did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The database cannot be reached or does not answer.
    #[error("cannot {doing}")]
    Database {
        /// What was attempted.
        doing: &'static str,
        /// What the database says.
        #[source]
        source: sqlx::Error,
    },
    /// The tables cannot be brought to the form of this version.
    #[error("cannot bring the catalog to the form of this version")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// The address names no database that a catalog can be in.
    #[error("{0} is no address of a catalog: it begins with sqlite: or postgres:")]
    Address(String),
    /// A row does not read: it was not written by this program, or not by this version.
    #[error("a row of {table} does not read: {what}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// What is wrong.
        what: String,
    },
    /// There is no such thing.
    #[error("there is no {0}")]
    NotFound(String),
    /// Somebody else was faster, or something else is there.
    #[error("{0}")]
    Conflict(String),
    /// A quota is used up.
    #[error("the tenant has {used} of {limit} {what}")]
    Quota {
        /// What is counted, such as `queued runs`.
        what: &'static str,
        /// How much there may be.
        limit: u64,
        /// How much there is.
        used: u64,
    },
}

impl CatalogError {
    /// The row of the one table of errors.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            CatalogError::Database { .. } => ErrorCode::Unreachable,
            CatalogError::Migration(sqlx::migrate::MigrateError::VersionMissing(_)) => {
                ErrorCode::NeedsNewer
            }
            CatalogError::Migration(_) | CatalogError::Damaged { .. } => ErrorCode::Io,
            CatalogError::Address(_) => ErrorCode::Usage,
            CatalogError::NotFound(_) => ErrorCode::NotFound,
            CatalogError::Conflict(_) => ErrorCode::Conflict,
            CatalogError::Quota { .. } => ErrorCode::Quota,
        }
    }
}

/// Says what was attempted, of an error of the database.
pub(crate) fn doing(doing: &'static str) -> impl Fn(sqlx::Error) -> CatalogError {
    move |source| CatalogError::Database { doing, source }
}

/// A stored text that is not what it should be.
pub(crate) fn damaged(table: &'static str, what: impl std::fmt::Display) -> CatalogError {
    CatalogError::Damaged { table, what: what.to_string() }
}
