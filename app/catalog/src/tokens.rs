//! Tokens of the API: named, scoped, expiring; only their hash is kept.
//!
//! A token names its tenant and itself, so that it is looked up within the tenant like everything
//! else: `ec1.TENANT/ID/SECRET`. The secret has 256 random bits, so a plain hash of it is enough.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use stella_model::{Digest, TenantId};
use stella_run::Millis;

use crate::error::{damaged, doing};
use crate::tenant::{TenantTx, get, parsed};
use crate::{Catalog, CatalogError, Made, Mutation};

const TOKENS: &str = "api_tokens";

/// What a token begins with, so that people and scanners of secrets know one.
const MARK: &str = "ec1.";

/// A query for tokens, with the columns in the order that [`token`] has them; last the hash.
macro_rules! select_tokens {
    ($which:literal) => {
        concat!(
            "SELECT token, name, scopes, created_ms, created_by, expires_ms, revoked_ms, used_ms, hash \
             FROM api_tokens ",
            $which
        )
    };
}

/// Milliseconds within which the last use of a token is not written again.
const USED_MS: i64 = 60_000;

/// A token to be made.
#[derive(Clone)]
pub struct NewToken {
    /// What it is for, for people.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<String>,
    /// When it ends.
    pub expires: Millis,
    /// 8 random bytes that name it.
    pub id: [u8; 8],
    /// 32 random bytes that only whoever has the token knows.
    pub secret: [u8; 32],
}

impl NewToken {
    /// What it is called.
    #[must_use]
    pub fn id_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.id)
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name among the tokens of the tenant.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created: Millis,
    /// By whom.
    pub by: String,
    /// When it ends.
    pub expires: Millis,
    /// When it was revoked, if it was.
    pub revoked: Option<Millis>,
    /// When it was used last, to a minute.
    pub used: Option<Millis>,
}

impl Token {
    /// Whether a text is meant to be a token of this catalog, and not one of an identity provider.
    #[must_use]
    pub fn is_local(text: &str) -> bool {
        text.starts_with(MARK)
    }

    /// Why it opens nothing at this time, if so.
    fn fault(&self, now: Millis) -> Option<TokenFault> {
        if self.revoked.is_some() {
            return Some(TokenFault::Revoked);
        }
        (self.expires <= now).then_some(TokenFault::Expired)
    }
}

/// Somebody with a token that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The tenant of the token.
    pub tenant: TenantId,
    /// The token.
    pub token: Token,
    /// Why it opens nothing all the same.
    pub fault: Option<TokenFault>,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Somebody revoked it.
    #[error("the token was revoked")]
    Revoked,
}

impl Catalog {
    /// Makes a token; gives the text that is shown once.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] if there is no such tenant.
    pub async fn add_token(
        &self,
        tenant: &TenantId,
        token: &NewToken,
        mutation: &Mutation<'_>,
    ) -> Result<Made<String>, CatalogError> {
        let Mutation { entry, now, .. } = *mutation;
        let (id, secret) = (token.id_text(), URL_SAFE_NO_PAD.encode(token.secret));
        let mut tx = self.write(tenant).await?;
        if let Some(before) = tx.begin(mutation).await? {
            return Ok(Made::Before(before));
        }
        let write = "INSERT INTO api_tokens \
            (tenant, token, name, hash, scopes, created_ms, created_by, expires_ms) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let query = sqlx::query(write).bind(tenant.as_str()).bind(&id).bind(&token.name);
        let query = query.bind(Digest::of(secret.as_bytes()).to_string());
        let query = query.bind(token.scopes.join(" ")).bind(now.0).bind(&entry.actor);
        let query = query.bind(token.expires.0);
        query.execute(&mut *tx.tx).await.map_err(doing("make a token"))?;
        tx.end(mutation, &id).await?;
        Ok(Made::Now(format!("{MARK}{tenant}/{id}/{secret}")))
    }

    /// The token of a text, and its tenant; none if it is not one of ours. Its use is remembered where
    /// there is room for that.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn authenticate(
        &self,
        text: &str,
        now: Millis,
    ) -> Result<Option<Known>, CatalogError> {
        let Some((tenant, id, secret)) = parts(text) else { return Ok(None) };
        let mut tx = self.read(&tenant).await?;
        const ONE: &str = select_tokens!("WHERE tenant = $1 AND token = $2");
        let query = sqlx::query(ONE).bind(tenant.as_str()).bind(id);
        let row = query.fetch_optional(&mut *tx.tx).await.map_err(doing("look for a token"))?;
        let Some(row) = row else { return Ok(None) };
        let hash: Digest = parsed(&row, 8, TOKENS)?.ok_or_else(|| damaged(TOKENS, "no hash"))?;
        // Digests are compared: how far they agree tells nothing of the secret.
        if hash != Digest::of(secret.as_bytes()) {
            return Ok(None);
        }
        let token = token(&row)?;
        drop(tx);
        if token.used.is_none_or(|used| used.after(USED_MS) <= now) {
            match self.used_token(&tenant, &token.id, now).await {
                // A catalog that cannot be written can still tell who somebody is.
                Ok(()) | Err(CatalogError::Full(_) | CatalogError::ReadOnly(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let fault = token.fault(now);
        Ok(Some(Known { tenant, token, fault }))
    }

    async fn used_token(
        &self,
        tenant: &TenantId,
        id: &str,
        now: Millis,
    ) -> Result<(), CatalogError> {
        let mut tx = self.write(tenant).await?;
        let write = "UPDATE api_tokens SET used_ms = $3 WHERE tenant = $1 AND token = $2";
        let query = sqlx::query(write).bind(tenant.as_str()).bind(id).bind(now.0);
        query.execute(&mut *tx.tx).await.map_err(doing("remember the use of a token"))?;
        tx.commit().await
    }

    /// All tokens of a tenant, the newest first.
    ///
    /// # Errors
    /// [`CatalogError::Database`].
    pub async fn tokens(&self, tenant: &TenantId) -> Result<Vec<Token>, CatalogError> {
        let mut tx: TenantTx = self.read(tenant).await?;
        const ALL: &str = select_tokens!("WHERE tenant = $1 ORDER BY created_ms DESC, token");
        let query = sqlx::query(ALL).bind(tenant.as_str());
        let rows = query.fetch_all(&mut *tx.tx).await.map_err(doing("read tokens"))?;
        rows.iter().map(token).collect()
    }

    /// Revokes a token, from now on and for ever.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] if there is no such token.
    pub async fn revoke_token(
        &self,
        tenant: &TenantId,
        id: &str,
        mutation: &Mutation<'_>,
    ) -> Result<(), CatalogError> {
        let mut tx = self.write(tenant).await?;
        if tx.begin(mutation).await?.is_some() {
            return Ok(());
        }
        let now = mutation.now;
        let revoke = "UPDATE api_tokens SET revoked_ms = COALESCE(revoked_ms, $3) \
                      WHERE tenant = $1 AND token = $2";
        let query = sqlx::query(revoke).bind(tenant.as_str()).bind(id).bind(now.0);
        let revoked = query.execute(&mut *tx.tx).await.map_err(doing("revoke a token"))?;
        if revoked.rows_affected() == 0 {
            return Err(CatalogError::NotFound(format!("token {id}")));
        }
        tx.end(mutation, id).await
    }
}

/// Tenant, id and secret of the text of a token.
fn parts(text: &str) -> Option<(TenantId, &str, &str)> {
    let (tenant, rest) = text.strip_prefix(MARK)?.split_once('/')?;
    let (id, secret) = rest.split_once('/')?;
    Some((tenant.parse().ok()?, id, secret))
}

fn token(row: &sqlx::any::AnyRow) -> Result<Token, CatalogError> {
    let scopes: String = get(row, 2, TOKENS)?;
    let (revoked, used): (Option<i64>, Option<i64>) = (get(row, 6, TOKENS)?, get(row, 7, TOKENS)?);
    Ok(Token {
        id: get(row, 0, TOKENS)?,
        name: get(row, 1, TOKENS)?,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        created: Millis(get(row, 3, TOKENS)?),
        by: get(row, 4, TOKENS)?,
        expires: Millis(get(row, 5, TOKENS)?),
        revoked: revoked.map(Millis),
        used: used.map(Millis),
    })
}
