//! Profiles: a revision never changes, and a profile is its newest revision.

use stella_model::TenantId;
use stella_run::Millis;

use crate::error::{damaged, doing};
use crate::tenant::{TenantTx, get, integer, number};
use crate::{Catalog, CatalogError, Mutation};

const PROFILES: &str = "export_profiles";

/// A query for revisions, with the columns in the order that [`revision`] has them.
macro_rules! select_revisions {
    ($which:literal) => {
        concat!(
            "SELECT name, revision, document, created_ms, created_by FROM export_profiles ",
            $which
        )
    };
}

/// A revision of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileRevision {
    /// The name of the profile.
    pub name: String,
    /// Its number, from 1.
    pub revision: u64,
    /// The profile as it was given; none if it was deleted with this revision.
    pub document: Option<String>,
    /// When.
    pub created: Millis,
    /// By whom.
    pub by: String,
}

impl Catalog {
    /// Writes a revision of a profile that follows the one which the writer has seen: 0 for a profile
    /// that is not there. Without a document the profile is deleted.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if another revision is the newest.
    pub async fn put_profile(
        &self,
        tenant: &TenantId,
        name: &str,
        document: Option<&str>,
        seen: u64,
        mutation: &Mutation<'_>,
    ) -> Result<ProfileRevision, CatalogError> {
        let Mutation { entry, now, .. } = *mutation;
        let mut tx = self.write(tenant).await?;
        // Whoever writes a profile comes one after the other.
        if let Some(result) = tx.begin(mutation).await? {
            let before: u64 = result.parse().map_err(|error| damaged("idempotency_keys", error))?;
            let found = tx.profile_at(name, before).await?;
            return found.ok_or_else(|| damaged(PROFILES, "a revision is missing"));
        }
        let newest = tx.profile(name).await?;
        // Numbers go on where a deleted profile ended: revisions stay what they were.
        let last = newest.as_ref().map_or(0, |profile| profile.revision);
        let live = newest.filter(|profile| profile.document.is_some());
        let found = live.map_or(0, |profile| profile.revision);
        if found != seen {
            let what = match found {
                0 => format!("profile {name} is not there"),
                found => format!("profile {name} is at revision {found}, not at {seen}"),
            };
            return Err(CatalogError::Conflict(what));
        }
        let write = "INSERT INTO export_profiles \
                     (tenant, name, revision, document, created_ms, created_by) \
                     VALUES ($1, $2, $3, $4, $5, $6)";
        let query = sqlx::query(write).bind(tenant.as_str()).bind(name).bind(integer(last + 1));
        let query = query.bind(document).bind(now.0).bind(&entry.actor);
        query.execute(&mut *tx.tx).await.map_err(doing("write a profile"))?;
        tx.end(mutation, &(last + 1).to_string()).await?;
        Ok(ProfileRevision {
            name: name.to_owned(),
            revision: last + 1,
            document: document.map(str::to_owned),
            created: now,
            by: entry.actor.clone(),
        })
    }

    /// A profile as it is; none if it is not there.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn profile(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Result<Option<ProfileRevision>, CatalogError> {
        let newest = self.read(tenant).await?.profile(name).await?;
        Ok(newest.filter(|profile| profile.document.is_some()))
    }

    /// Revisions of a profile, the newest first, and at most so many.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn profile_history(
        &self,
        tenant: &TenantId,
        name: &str,
        most: u32,
    ) -> Result<Vec<ProfileRevision>, CatalogError> {
        let read =
            select_revisions!("WHERE tenant = $1 AND name = $2 ORDER BY revision DESC LIMIT $3");
        let mut tx = self.read(tenant).await?;
        let query = sqlx::query(read).bind(tenant.as_str()).bind(name).bind(i64::from(most));
        let rows = query.fetch_all(&mut *tx.tx).await.map_err(doing("read profiles"))?;
        rows.iter().map(revision).collect()
    }

    /// All profiles as they are, by name.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn profiles(&self, tenant: &TenantId) -> Result<Vec<ProfileRevision>, CatalogError> {
        let read = select_revisions!(
            "AS newest WHERE tenant = $1 AND document IS NOT NULL AND revision = ( \
                        SELECT MAX(revision) FROM export_profiles AS all_of_it \
                        WHERE all_of_it.tenant = newest.tenant AND all_of_it.name = newest.name) \
                    ORDER BY name"
        );
        let mut tx = self.read(tenant).await?;
        let query = sqlx::query(read).bind(tenant.as_str());
        let rows = query.fetch_all(&mut *tx.tx).await.map_err(doing("read profiles"))?;
        rows.iter().map(revision).collect()
    }
}

impl TenantTx {
    async fn profile_at(
        &mut self,
        name: &str,
        number: u64,
    ) -> Result<Option<ProfileRevision>, CatalogError> {
        let read = select_revisions!("WHERE tenant = $1 AND name = $2 AND revision = $3");
        let query = sqlx::query(read).bind(self.tenant.as_str()).bind(name).bind(integer(number));
        let row = query.fetch_optional(&mut *self.tx).await.map_err(doing("read a profile"))?;
        row.as_ref().map(revision).transpose()
    }

    /// The newest revision of a profile, also one that says that it was deleted.
    async fn profile(&mut self, name: &str) -> Result<Option<ProfileRevision>, CatalogError> {
        let read =
            select_revisions!("WHERE tenant = $1 AND name = $2 ORDER BY revision DESC LIMIT 1");
        let query = sqlx::query(read).bind(self.tenant.as_str()).bind(name);
        let row = query.fetch_optional(&mut *self.tx).await.map_err(doing("read a profile"))?;
        row.as_ref().map(revision).transpose()
    }
}

fn revision(row: &sqlx::any::AnyRow) -> Result<ProfileRevision, CatalogError> {
    Ok(ProfileRevision {
        name: get(row, 0, PROFILES)?,
        revision: number(row, 1, PROFILES)?,
        document: get(row, 2, PROFILES)?,
        created: Millis(get(row, 3, PROFILES)?),
        by: get(row, 4, PROFILES)?,
    })
}
