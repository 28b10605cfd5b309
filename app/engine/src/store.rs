//! Where everything of one installation lives.

use std::fmt;
use std::path::{Path, PathBuf};

use stella_depot::{Bucket, Depot};
use stella_ledger::{Ledger, PostgresLedger, SqliteLedger};
use stella_model::TenantId;

use crate::EngineError;

/// A data directory: ledger, depot, keys, trust store and run records. The ledger may be elsewhere.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
    /// Whose evidence and bundles these are.
    tenant: TenantId,
    /// The database of the ledger; none for a file in the directory.
    database: Option<Secret>,
    /// What the depots of all machines share; none if the directory is all there is.
    bucket: Option<Bucket>,
}

/// A connection string, which may have a password in it.
#[derive(Clone)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

/// A text with a folder called `DATA`, where the folder is meant and not the end of another word.
fn without_folder(text: &str, folder: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    let (mut told, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(folder).filter(|_| folder.len() > 1) {
        let (before, found) = rest.split_at(at);
        let after = &found[folder.len()..];
        let begins = !before.chars().next_back().or(told.chars().next_back()).is_some_and(is_word);
        let ends = after.chars().next().is_none_or(|c| c == '/' || !is_word(c));
        told.push_str(before);
        told.push_str(if begins && ends { "DATA" } else { folder });
        rest = after;
    }
    told + rest
}

impl Store {
    /// The store in a directory, which is made when something is first written.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Store {
        Store { dir: dir.into(), tenant: TenantId::local(), database: None, bucket: None }
    }

    /// The same store with its ledger in a PostgreSQL database. `url` is a connection string or URL
    /// as libpq has it.
    #[must_use]
    pub fn with_database(mut self, url: &str) -> Store {
        self.database = Some(Secret(url.to_owned()));
        self
    }

    /// The same store with its depot in a bucket, of which the one in the directory is a cache: runs and
    /// bundles are then those of every store with this bucket.
    #[must_use]
    pub fn with_bucket(mut self, bucket: &Bucket) -> Store {
        self.bucket = Some(bucket.clone());
        self
    }

    /// Whether other machines use the same depot.
    pub(crate) fn is_shared(&self) -> bool {
        self.bucket.is_some()
    }

    /// The same store as a tenant of it sees it (INV-TENANT); unless told, that is `local`.
    #[must_use]
    pub fn of_tenant(mut self, tenant: TenantId) -> Store {
        self.tenant = tenant;
        self
    }

    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// A text for those who need not know where everything is: without the directory, and without host
    /// and name of a database.
    #[must_use]
    pub fn without_places(&self, text: &str) -> String {
        let text = without_folder(text, &self.dir.to_string_lossy());
        let database = self.database.as_ref().filter(|_| text.contains("PostgreSQL"));
        match database.and_then(|Secret(url)| stella_ledger::place_of(url)) {
            Some(place) => text.replace(&place, "the database of the ledger"),
            None => text,
        }
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The ledger that is there.
    ///
    /// # Errors
    /// [`EngineError`] if there is none yet or it cannot be opened.
    pub fn ledger(&self) -> Result<Box<dyn Ledger>, EngineError> {
        let tenant = self.tenant.clone();
        Ok(match &self.database {
            Some(Secret(url)) => Box::new(PostgresLedger::open(url, tenant)?),
            None => Box::new(SqliteLedger::open_existing(&self.dir, tenant)?),
        })
    }

    /// The ledger, which is made if there is none yet.
    ///
    /// # Errors
    /// [`EngineError`] if it cannot be opened or made.
    pub(crate) fn new_ledger(&self) -> Result<Box<dyn Ledger>, EngineError> {
        match &self.database {
            Some(_) => self.ledger(),
            None => Ok(Box::new(SqliteLedger::open(&self.dir, self.tenant.clone())?)),
        }
    }

    /// The depot.
    #[must_use]
    pub fn depot(&self) -> Depot {
        match &self.bucket {
            Some(bucket) => Depot::shared(&self.depot_dir(), &self.tenant, bucket),
            None => Depot::at(&self.depot_dir(), &self.tenant),
        }
    }

    /// What a tenant has for itself, beside ledger and depot, which know tenants.
    fn own_dir(&self) -> PathBuf {
        match self.tenant == TenantId::local() {
            true => self.dir.clone(),
            false => self.dir.join("tenants").join(self.tenant.as_str()),
        }
    }

    /// Folder of the signing keys.
    #[must_use]
    pub fn keys_dir(&self) -> PathBuf {
        self.own_dir().join("keys")
    }

    /// Folder of the trusted public keys.
    #[must_use]
    pub fn trust_dir(&self) -> PathBuf {
        self.own_dir().join("trust")
    }

    /// Folder of the depot, or of its cache.
    #[must_use]
    pub fn depot_dir(&self) -> PathBuf {
        self.dir.join("depot")
    }

    /// Folder of the run records.
    #[must_use]
    pub fn runs_dir(&self) -> PathBuf {
        self.own_dir().join("runs")
    }
}

#[cfg(test)]
mod tests {
    use super::without_folder;

    #[test]
    fn a_folder_is_hidden_where_it_is_meant() {
        for (text, told) in [
            ("cannot read /data/depot/x: gone", "cannot read DATA/depot/x: gone"),
            ("\"/data\" is full, /data", "\"DATA\" is full, DATA"),
            ("parts/data/x, /database, /srv/data/x", "parts/data/x, /database, /srv/data/x"),
            ("", ""),
        ] {
            assert_eq!(without_folder(text, "/data"), told);
        }
        assert_eq!(without_folder("a/b", "/"), "a/b");
    }
}
