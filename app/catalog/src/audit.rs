//! Who did what: a log that nobody can change without being found out.
//!
//! The hash of an entry covers the one before it, and the row of the tenant has the hash of the last
//! one: an entry that is changed, left out or cut off at the end no longer fits. Whoever can write the
//! whole database can write a new log; `audit export` to a place out of reach is what helps then.

use stella_model::{Digest, DigestBuilder, TenantId};
use stella_run::Millis;

use crate::error::{damaged, doing};
use crate::tenant::{TenantTx, get, integer, number, parsed};
use crate::{Catalog, CatalogError};

const AUDIT: &str = "audit_log";

/// Something that somebody did, or tried to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who, such as a token or the subject of a login.
    pub actor: String,
    /// What, such as `run.create`.
    pub action: &'static str,
    /// To what, such as `r-17`.
    pub object: String,
    /// How it ended: `allowed`, `denied` or `failed`.
    pub outcome: &'static str,
    /// More, as JSON.
    pub details: String,
    /// The request, for those who look for its traces.
    pub trace: String,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number, from 1.
    pub number: u64,
    /// When.
    pub at: Millis,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what.
    pub object: String,
    /// How it ended.
    pub outcome: String,
    /// More, as JSON.
    pub details: String,
    /// The request.
    pub trace: String,
    /// The hash of everything up to here.
    pub hash: Digest,
}

/// Where a log does not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    /// An entry is not what it was when it was written, or not where it was.
    #[error("entry {0} of the audit log was changed, or one before it was left out")]
    Changed(u64),
    /// Entries at the end are missing, or were added by another way.
    #[error("the audit log ends at entry {found}, not at {expected}")]
    Cut {
        /// The last one that there should be.
        expected: u64,
        /// The last one that there is.
        found: u64,
    },
}

impl AuditRecord {
    /// The hash that the entry has after another one.
    fn hash_after(&self, tenant: &TenantId, before: &Digest) -> Digest {
        let mut hash = DigestBuilder::new();
        hash.digest(before).lp(tenant.as_str().as_bytes());
        hash.lp(&self.number.to_be_bytes()).lp(&self.at.0.to_be_bytes());
        for text in
            [&self.actor, &self.action, &self.object, &self.outcome, &self.details, &self.trace]
        {
            hash.lp(text.as_bytes());
        }
        hash.finish()
    }
}

impl TenantTx {
    /// Writes an entry to the log, as part of this transaction.
    pub(crate) async fn audit(
        &mut self,
        entry: &AuditEntry,
        now: Millis,
    ) -> Result<u64, CatalogError> {
        let take = "UPDATE tenants SET last_audit = last_audit + 1 WHERE tenant = $1 \
                    RETURNING last_audit, audit_head";
        let query = sqlx::query(take).bind(self.tenant.as_str());
        let row =
            query.fetch_optional(&mut *self.tx).await.map_err(doing("write the audit log"))?;
        let row = row.ok_or_else(|| self.unknown())?;
        let before: Digest =
            parsed(&row, 1, "tenants")?.ok_or_else(|| damaged("tenants", "no audit head"))?;
        let mut record = AuditRecord {
            number: number(&row, 0, "tenants")?,
            at: now,
            actor: entry.actor.clone(),
            action: entry.action.to_owned(),
            object: entry.object.clone(),
            outcome: entry.outcome.to_owned(),
            details: entry.details.clone(),
            trace: entry.trace.clone(),
            hash: before,
        };
        record.hash = record.hash_after(&self.tenant, &before);
        let write = "INSERT INTO audit_log (tenant, entry, at_ms, actor, action, object, outcome, \
                     details, trace, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let query = sqlx::query(write).bind(self.tenant.as_str()).bind(integer(record.number));
        let query = query.bind(now.0).bind(record.actor).bind(record.action).bind(record.object);
        let query = query.bind(record.outcome).bind(record.details).bind(record.trace);
        let query = query.bind(record.hash.to_string());
        query.execute(&mut *self.tx).await.map_err(doing("write the audit log"))?;
        let head = "UPDATE tenants SET audit_head = $2 WHERE tenant = $1";
        let query = sqlx::query(head).bind(self.tenant.as_str()).bind(record.hash.to_string());
        query.execute(&mut *self.tx).await.map_err(doing("write the audit log"))?;
        Ok(record.number)
    }
}

impl Catalog {
    /// Writes an entry that stands for itself, such as that something was denied.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] if there is no such tenant.
    pub async fn audit(
        &self,
        tenant: &TenantId,
        entry: &AuditEntry,
        now: Millis,
    ) -> Result<u64, CatalogError> {
        let mut tx = self.write(tenant).await?;
        let number = tx.audit(entry, now).await?;
        tx.commit().await?;
        Ok(number)
    }

    /// Entries after a number, the oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn audit_log(
        &self,
        tenant: &TenantId,
        after: u64,
        most: u32,
    ) -> Result<Vec<AuditRecord>, CatalogError> {
        let mut tx = self.read(tenant).await?;
        tx.audit_log(after, most).await
    }

    /// Holds every entry against the one before it, and the last one against the row of the tenant;
    /// gives the number of entries.
    ///
    /// # Errors
    /// [`CatalogError::Database`]; inside, the first [`AuditFault`].
    pub async fn verify_audit_log(
        &self,
        tenant: &TenantId,
    ) -> Result<Result<u64, AuditFault>, CatalogError> {
        const PAGE: u32 = 1_000;
        let mut tx = self.read(tenant).await?;
        let head = "SELECT last_audit, audit_head FROM tenants WHERE tenant = $1";
        let query = sqlx::query(head).bind(tenant.as_str());
        let row = query.fetch_optional(&mut *tx.tx).await.map_err(doing("read the audit log"))?;
        let row = row.ok_or_else(|| tx.unknown())?;
        let expected = number(&row, 0, "tenants")?;
        let last: Option<Digest> = parsed(&row, 1, "tenants")?;
        let (mut seen, mut before) = (0, Digest::from_bytes([0; 32]));
        loop {
            let page = tx.audit_log(seen, PAGE).await?;
            // Entries that were added since the row of the tenant was read come later.
            let page: Vec<_> =
                page.into_iter().filter(|record| record.number <= expected).collect();
            if page.is_empty() {
                break;
            }
            for record in page {
                let fits =
                    record.number == seen + 1 && record.hash == record.hash_after(tenant, &before);
                if !fits {
                    return Ok(Err(AuditFault::Changed(record.number)));
                }
                (seen, before) = (record.number, record.hash);
            }
        }
        if seen != expected || last != Some(before) {
            return Ok(Err(AuditFault::Cut { expected, found: seen }));
        }
        Ok(Ok(seen))
    }
}

impl TenantTx {
    async fn audit_log(&mut self, after: u64, most: u32) -> Result<Vec<AuditRecord>, CatalogError> {
        let read = "SELECT entry, at_ms, actor, action, object, outcome, details, trace, hash \
                    FROM audit_log WHERE tenant = $1 AND entry > $2 ORDER BY entry LIMIT $3";
        let query = sqlx::query(read).bind(self.tenant.as_str()).bind(integer(after));
        let query = query.bind(i64::from(most));
        let rows = query.fetch_all(&mut *self.tx).await.map_err(doing("read the audit log"))?;
        let record = |row| {
            Ok(AuditRecord {
                number: number(row, 0, AUDIT)?,
                at: Millis(get(row, 1, AUDIT)?),
                actor: get(row, 2, AUDIT)?,
                action: get(row, 3, AUDIT)?,
                object: get(row, 4, AUDIT)?,
                outcome: get(row, 5, AUDIT)?,
                details: get(row, 6, AUDIT)?,
                trace: get(row, 7, AUDIT)?,
                hash: parsed(row, 8, AUDIT)?.ok_or_else(|| damaged(AUDIT, "no hash"))?,
            })
        };
        rows.iter().map(record).collect()
    }
}
