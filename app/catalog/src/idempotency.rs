//! Requests that may come twice and are done once.

use stella_model::{Digest, TenantId};
use stella_run::Millis;

use crate::error::{damaged, doing};
use crate::tenant::{TenantTx, get, parsed};
use crate::{AuditEntry, Catalog, CatalogError};

/// How long a key is remembered, in milliseconds: a day.
const REMEMBERED_MS: i64 = 24 * 60 * 60 * 1000;

/// What a client gives so that a request may come twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key, chosen by the client; of one tenant.
    pub key: String,
    /// What the request is, so that a key is not used for another one.
    pub request: Digest,
}

/// A change that somebody makes: who, and whether it may come twice.
#[derive(Debug, Clone, Copy)]
pub struct Mutation<'a> {
    /// What the audit log tells of it, in the same transaction.
    pub entry: &'a AuditEntry,
    /// With which the same request is done once.
    pub key: Option<&'a IdempotencyKey>,
    /// When.
    pub now: Millis,
}

/// What became of a change that makes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made<T> {
    /// It was made now.
    Now(T),
    /// The same request came before, and made the thing of this name.
    Before(String),
}

impl<T> Made<T> {
    /// What was made now.
    pub fn now(self) -> Option<T> {
        match self {
            Made::Now(made) => Some(made),
            Made::Before(_) => None,
        }
    }
}

impl Catalog {
    /// The result of a request that came before with this key; none if it did not.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if the key came with another request.
    pub async fn result_of(
        &self,
        tenant: &TenantId,
        key: &IdempotencyKey,
        now: Millis,
    ) -> Result<Option<String>, CatalogError> {
        let mut tx = self.read(tenant).await?;
        Ok(match tx.look(key, now).await? {
            Seen::New => None,
            Seen::Before(result) => Some(result),
        })
    }

    /// Notes a change of something that is not in the catalog, once it was made: in the audit log, and
    /// under its key.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if the key came with another request meanwhile.
    pub async fn note(
        &self,
        tenant: &TenantId,
        mutation: &Mutation<'_>,
    ) -> Result<(), CatalogError> {
        let mut tx = self.write(tenant).await?;
        match tx.begin(mutation).await? {
            None => tx.end(mutation, "").await,
            Some(_) => tx.commit().await,
        }
    }
}

/// What is known of a key.
pub(crate) enum Seen {
    /// Nothing: the request is to be done, and its result remembered.
    New,
    /// The result that the same request had.
    Before(String),
}

impl TenantTx {
    /// Begins a change: writes it to the audit log, and gives the result that the same request had
    /// before, if it came before; then nothing is to be changed. Holds the row of the tenant from here
    /// on.
    pub(crate) async fn begin(
        &mut self,
        mutation: &Mutation<'_>,
    ) -> Result<Option<String>, CatalogError> {
        self.audit(mutation.entry, mutation.now).await?;
        match mutation.key {
            Some(key) => match self.seen(key, mutation.now).await? {
                Seen::Before(result) => Ok(Some(result)),
                Seen::New => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// Ends a change, whose result is remembered for the same request.
    pub(crate) async fn end(
        mut self,
        mutation: &Mutation<'_>,
        result: &str,
    ) -> Result<(), CatalogError> {
        if let Some(key) = mutation.key {
            self.remember(key, result, mutation.now).await?;
        }
        self.commit().await
    }

    /// What is known of a key. Two requests with one key come one after the other here, because
    /// whoever asks holds the row of the tenant.
    pub(crate) async fn seen(
        &mut self,
        key: &IdempotencyKey,
        now: Millis,
    ) -> Result<Seen, CatalogError> {
        let forget = "DELETE FROM idempotency_keys WHERE tenant = $1 AND created_ms < $2";
        let query = sqlx::query(forget).bind(self.tenant.as_str()).bind(now.0 - REMEMBERED_MS);
        query.execute(&mut *self.tx).await.map_err(doing("forget old keys"))?;
        self.look(key, now).await
    }

    async fn look(&mut self, key: &IdempotencyKey, now: Millis) -> Result<Seen, CatalogError> {
        let read = "SELECT request, result FROM idempotency_keys \
                    WHERE tenant = $1 AND idempotency_key = $2 AND created_ms >= $3";
        let query = sqlx::query(read).bind(self.tenant.as_str()).bind(&key.key);
        let query = query.bind(now.0 - REMEMBERED_MS);
        let row = query.fetch_optional(&mut *self.tx).await.map_err(doing("look for a key"))?;
        let Some(row) = row else { return Ok(Seen::New) };
        let request: Digest = parsed(&row, 0, KEYS)?.ok_or_else(|| damaged(KEYS, "no request"))?;
        if request != key.request {
            let what = "the Idempotency-Key came with another request before";
            return Err(CatalogError::Conflict(what.to_owned()));
        }
        Ok(Seen::Before(get(&row, 1, KEYS)?))
    }

    /// Remembers the result of a request.
    pub(crate) async fn remember(
        &mut self,
        key: &IdempotencyKey,
        result: &str,
        now: Millis,
    ) -> Result<(), CatalogError> {
        let write = "INSERT INTO idempotency_keys \
                     (tenant, idempotency_key, request, result, created_ms) \
                     VALUES ($1, $2, $3, $4, $5)";
        let query = sqlx::query(write).bind(self.tenant.as_str()).bind(&key.key);
        let query = query.bind(key.request.to_string()).bind(result).bind(now.0);
        query.execute(&mut *self.tx).await.map(drop).map_err(doing("remember a key"))
    }
}

const KEYS: &str = "idempotency_keys";
