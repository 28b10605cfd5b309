//! What the operator of the service says of tenants: that there is one, who begins in it, and how much it
//! may have.

use std::str::FromStr;

use anyhow::Context as _;
use clap::Args;
use stella_catalog::{AuditEntry, Catalog, CatalogError, Made, Mutation, NewToken, Quota};
use stella_model::TenantId;
use tokio::runtime::Runtime;

use crate::access::Scope;
use crate::arguments::OfTenant;
use crate::output;
use crate::place::Place;
use crate::serve::migrate;
use crate::service::{now, random};

/// Milliseconds that a token of the operator opens anything: a week, to make others with.
const TOKEN_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How much a tenant may have.
#[derive(Debug, Clone, Args)]
pub(crate) struct NewQuota {
    #[command(flatten)]
    of: OfTenant,
    /// Runs that workers are at, at once; `none` limits nothing. What is left out stays as it is.
    #[arg(long, value_name = "NUMBER")]
    concurrent_runs: Option<Limit>,
    /// Runs that are accepted and not over.
    #[arg(long, value_name = "NUMBER")]
    queued_runs: Option<Limit>,
    /// Bytes of new bundles in a day (UTC).
    #[arg(long, value_name = "NUMBER")]
    bytes_per_day: Option<Limit>,
    /// Bytes that all bundles which are kept have.
    #[arg(long, value_name = "NUMBER")]
    stored_bytes: Option<Limit>,
}

/// A limit, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit(Option<u64>);

impl FromStr for Limit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Limit, &'static str> {
        if text == "none" {
            return Ok(Limit(None));
        }
        // Databases count as far as this.
        let number = text.parse().ok().filter(|number| i64::try_from(*number).is_ok());
        number.map(|number| Limit(Some(number))).ok_or("is a number below 2^63, or none")
    }
}

/// Does something with the catalog of a place.
pub(crate) fn with_catalog<T>(
    place: &Place,
    act: impl AsyncFnOnce(&Catalog) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let runtime = Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let catalog = place.open().await?;
        let done = act(&catalog).await;
        catalog.close().await;
        done
    })
}

/// `export-center tenant`.
pub(crate) fn add_tenant(new: &OfTenant) -> anyhow::Result<()> {
    if new.place.catalog.is_none() {
        // The first tenant of an embedded catalog begins it.
        migrate(&new.place)?;
    }
    match with_catalog(&new.place, async |catalog| first_token(catalog, &new.name).await)? {
        Some(token) => show(&token),
        None => output::line(format_args!(
            "The tenant {0} is there and has had tokens; export-center token {0} makes one more.",
            new.name
        )),
    }
}

/// `export-center token`.
pub(crate) fn add_token(of: &OfTenant) -> anyhow::Result<()> {
    let token = with_catalog(&of.place, async |catalog| {
        find(catalog, &of.name).await?;
        token(catalog, &of.name, "made by the operator").await
    })?;
    token.map_or(Ok(()), |token| show(&token))
}

/// Shows a token of an administrator.
pub(crate) fn show(token: &str) -> anyhow::Result<()> {
    output::line(format_args!("Token of the administrator, shown this once: {token}"))
}

/// `export-center quota`.
pub(crate) fn set_quota(new: &NewQuota) -> anyhow::Result<()> {
    let tenant = &new.of.name;
    let quota = with_catalog(&new.of.place, async |catalog| {
        find(catalog, tenant).await?;
        let before = catalog.quota(tenant).await?;
        let wanted = new.over(before);
        if wanted != before {
            let mut entry = entry("quota.set", "quotas");
            entry.details = serde_json::to_string(&wanted)?;
            let mutation = Mutation { entry: &entry, key: None, now: now() };
            catalog.set_quota(tenant, &wanted, &mutation).await?;
        }
        Ok(wanted)
    })?;
    let told = |limit: Option<u64>| limit.map_or_else(|| "none".to_owned(), |n| n.to_string());
    let limits = [
        ("concurrent runs", quota.concurrent_runs),
        ("queued runs", quota.queued_runs),
        ("bytes per day", quota.bytes_per_day),
        ("stored bytes", quota.stored_bytes),
    ];
    limits
        .iter()
        .try_for_each(|(of, limit)| output::line(format_args!("{of:<16} {}", told(*limit))))
}

impl NewQuota {
    /// What is said here, else what was before.
    fn over(&self, before: Quota) -> Quota {
        let or = |new: Option<Limit>, before| new.map_or(before, |Limit(limit)| limit);
        Quota {
            concurrent_runs: or(self.concurrent_runs, before.concurrent_runs),
            queued_runs: or(self.queued_runs, before.queued_runs),
            bytes_per_day: or(self.bytes_per_day, before.bytes_per_day),
            stored_bytes: or(self.stored_bytes, before.stored_bytes),
        }
    }
}

/// That a tenant is there: whoever misspells one is not to make another. The library always is.
pub(crate) async fn find(catalog: &Catalog, tenant: &TenantId) -> anyhow::Result<()> {
    if *tenant == TenantId::library() {
        catalog.add_tenant(tenant, now()).await?;
    }
    match catalog.has_tenant(tenant).await? {
        true => Ok(()),
        false => {
            let what = format!("tenant {tenant} (`export-center tenant {tenant}` makes it)");
            Err(CatalogError::NotFound(what).into())
        }
    }
}

/// Makes a tenant that is not there yet, and a token to begin with if it never had one. Whoever took all
/// tokens away meant it.
pub(crate) async fn first_token(
    catalog: &Catalog,
    tenant: &TenantId,
) -> anyhow::Result<Option<String>> {
    catalog.add_tenant(tenant, now()).await?;
    match catalog.tokens(tenant).await?.is_empty() {
        true => token(catalog, tenant, "first administrator").await,
        false => Ok(None),
    }
}

/// Makes a token that opens everything of a tenant.
async fn token(catalog: &Catalog, tenant: &TenantId, name: &str) -> anyhow::Result<Option<String>> {
    let now = now();
    let token = NewToken {
        name: name.to_owned(),
        scopes: vec![Scope::Admin.as_str().to_owned()],
        expires: now.after(TOKEN_MS),
        id: random().context("no random bytes to make a token of")?,
        secret: random().context("no random bytes to make a token of")?,
    };
    let entry = entry("token.create", &token.id_text());
    let mutation = Mutation { entry: &entry, key: None, now };
    let made = catalog.add_token(tenant, &token, &mutation).await?;
    Ok(Made::now(made))
}

/// What the audit log of a tenant tells of the operator.
pub(crate) fn entry(action: &'static str, object: &str) -> AuditEntry {
    AuditEntry {
        actor: "export-center".to_owned(),
        action,
        object: object.to_owned(),
        outcome: "allowed",
        details: "{}".to_owned(),
        trace: String::new(),
    }
}
