//! Why the catalog did not do what it was asked.

use std::io::ErrorKind;

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
    /// No space is left where the database is.
    #[error("cannot {0}: no space is left for the catalog")]
    Full(&'static str),
    /// The database can be read and not written.
    #[error("cannot {0}: the catalog cannot be written")]
    ReadOnly(&'static str),
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
    /// A run is over, so that nothing can be done about it.
    #[error("r-{run} is {status}: there is nothing to cancel")]
    Over {
        /// The run.
        run: u64,
        /// How it ended.
        status: stella_run::Status,
    },
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
            CatalogError::Migration(_)
            | CatalogError::Damaged { .. }
            | CatalogError::Full(_)
            | CatalogError::ReadOnly(_) => ErrorCode::Io,
            CatalogError::Address(_) => ErrorCode::Usage,
            CatalogError::NotFound(_) => ErrorCode::NotFound,
            CatalogError::Conflict(_) | CatalogError::Over { .. } => ErrorCode::Conflict,
            CatalogError::Quota { .. } => ErrorCode::Quota,
        }
    }
}

/// Says what was attempted, of an error of the database.
pub(crate) fn doing(doing: &'static str) -> impl Fn(sqlx::Error) -> CatalogError {
    move |source| {
        let trouble = Trouble::in_error(&source);
        match trouble {
            Trouble::Full => CatalogError::Full(doing),
            Trouble::ReadOnly => CatalogError::ReadOnly(doing),
            Trouble::Other => CatalogError::Database { doing, source },
        }
    }
}

/// What is wrong with the place of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Full,
    ReadOnly,
    Other,
}

impl Trouble {
    fn in_error(error: &sqlx::Error) -> Trouble {
        match error {
            // Files beside the database, such as the one of its lock.
            sqlx::Error::Io(error) => match error.kind() {
                ErrorKind::StorageFull => Trouble::Full,
                ErrorKind::ReadOnlyFilesystem => Trouble::ReadOnly,
                _ => Trouble::Other,
            },
            sqlx::Error::Database(error) => {
                error.code().map_or(Trouble::Other, |code| Trouble::of(&code))
            }
            _ => Trouble::Other,
        }
    }

    /// Those of PostgreSQL have five characters, those of SQLite are numbers below 10,000 of which the
    /// last byte is the kind.
    fn of(code: &str) -> Trouble {
        match (code, code.parse::<u32>().map(|number| number & 0xff)) {
            ("53100", _) => Trouble::Full,
            ("25006", _) => Trouble::ReadOnly,
            (_, Ok(13)) if code.len() < 5 => Trouble::Full,
            (_, Ok(8)) if code.len() < 5 => Trouble::ReadOnly,
            _ => Trouble::Other,
        }
    }
}

/// A stored text that is not what it should be.
pub(crate) fn damaged(table: &'static str, what: impl std::fmt::Display) -> CatalogError {
    CatalogError::Damaged { table, what: what.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_place_is_told_from_the_rest() {
        for (code, trouble) in [
            ("13", Trouble::Full),
            ("53100", Trouble::Full),
            ("8", Trouble::ReadOnly),
            ("1032", Trouble::ReadOnly),
            ("25006", Trouble::ReadOnly),
            // 53000 is 8 in its last byte, and another thing.
            ("53000", Trouble::Other),
            ("5", Trouble::Other),
            ("57P01", Trouble::Other),
        ] {
            assert_eq!(Trouble::of(code), trouble, "{code}");
        }
    }
}
