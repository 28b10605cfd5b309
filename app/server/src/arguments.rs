//! The command line of `export-center`.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use stella_model::TenantId;

use crate::access::Provider;
use crate::keeping::{Collect, DepotPlace, Keeping, Scrub};
use crate::operator::NewQuota;
use crate::place::Place;
use crate::pull::Pull;
use crate::telemetry::Collector;

/// Export Center as a service.
#[derive(Debug, Parser)]
#[command(name = "export-center", version, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API and do the tasks of runs.
    Serve(Serve),
    /// Do the tasks of runs, beside a server on the same PostgreSQL.
    Worker(Work),
    /// Make the tables of the catalog, or bring them to the form of this version.
    Migrate(Place),
    /// Make a tenant, and a first token of its administrator.
    Tenant(OfTenant),
    /// Make a token of the administrator of a tenant, where nobody has one any more.
    Token(OfTenant),
    /// Say how much a tenant may have, and show it.
    Quota(NewQuota),
    /// Remove from the depot what no run and no kept bundle needs, once: as a server does by itself.
    Collect(Collect),
    /// Read everything in the depot and name what is damaged.
    Scrub(Scrub),
    /// Pull the feeds of another instance into the ledger of a tenant: what changed since the last time.
    Pull(Pull),
    /// Print the OpenAPI document of the API.
    #[command(hide = true)]
    Openapi,
}

/// The address of a database, which may have a password in it.
#[derive(Clone)]
pub(crate) struct Address(String);

impl Address {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

impl FromStr for Address {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Address, Infallible> {
        Ok(Address(text.to_owned()))
    }
}

/// A tenant of a service.
#[derive(Debug, Clone, Args)]
pub(crate) struct OfTenant {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The name of the tenant.
    pub(crate) name: TenantId,
}

/// Whose tokens are believed beside those of this service.
#[derive(Debug, Clone, Args)]
pub(crate) struct Oidc {
    /// An OpenID Connect provider whose tokens (JWT) are believed, as `iss` in them has it.
    #[arg(long, env = "EXPORT_CENTER_OIDC_ISSUER", value_name = "URL", requires = "oidc_audience")]
    pub(crate) oidc_issuer: Option<String>,
    /// What `aud` in its tokens has to have.
    #[arg(long, env = "EXPORT_CENTER_OIDC_AUDIENCE", value_name = "NAME")]
    pub(crate) oidc_audience: Option<String>,
    /// The claim that says roles and scopes by tenant: `{"TENANT": ["operator"]}`.
    #[arg(
        long,
        env = "EXPORT_CENTER_OIDC_CLAIM",
        value_name = "NAME",
        default_value = "export_center"
    )]
    pub(crate) oidc_claim: String,
}

impl Oidc {
    /// The provider, if one was named.
    pub(crate) fn provider(&self) -> anyhow::Result<Option<Provider>> {
        let named = self.oidc_issuer.as_deref().zip(self.oidc_audience.as_deref());
        named
            .map(|(issuer, audience)| Provider::new(issuer, audience, &self.oidc_claim))
            .transpose()
    }
}

/// The command line does not say what has to be said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) Cow<'static, str>);

impl Usage {
    /// With what has to be said.
    pub(crate) fn new(what: impl Into<Cow<'static, str>>) -> Usage {
        Usage(what.into())
    }
}

/// How tasks are done.
#[derive(Debug, Clone, Args)]
pub(crate) struct Work {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) depot: DepotPlace,
    /// Tasks that are done at once; a server with 0 leaves them to workers beside it.
    #[arg(long, env = "EXPORT_CENTER_WORKERS", value_name = "NUMBER", default_value = "2")]
    pub(crate) workers: u16,
    /// File with the password of the signing keys.
    #[arg(long, env = "EXPORT_CENTER_KEY_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) key_password_file: Option<PathBuf>,
    /// Make bundles that nobody signed. They do not verify unless whoever verifies says so too.
    #[arg(long, conflicts_with = "key_password_file")]
    pub(crate) unsigned_for_testing: bool,
    /// Where figures (`/metrics`), `/health` and `/ready` are served to the operator; nowhere unless
    /// given. Whoever reaches it sees figures of all tenants.
    #[arg(long, env = "EXPORT_CENTER_OPERATIONS_LISTEN", value_name = "ADDRESS")]
    pub(crate) operations_listen: Option<SocketAddr>,
    /// Seconds that clients and tasks have to end when the process is asked to; asked twice it ends at once.
    #[arg(long, env = "EXPORT_CENTER_DRAIN", value_name = "SECONDS", default_value = "10",
          value_parser = clap::value_parser!(u16).range(0..=3600))]
    pub(crate) drain: u16,
    /// Collector that traces are sent to, by OTLP over HTTP (protobuf) at URL/v1/traces; nowhere unless
    /// given. What else the standard says has its variables, as OTEL_EXPORTER_OTLP_HEADERS,
    /// OTEL_TRACES_SAMPLER and OTEL_RESOURCE_ATTRIBUTES.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", hide_env_values = true)]
    pub(crate) otlp_endpoint: Option<Collector>,
}

/// How the API is served.
#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) work: Work,
    #[command(flatten)]
    pub(crate) keeping: Keeping,
    /// Try it: sample data and a key made for it, all of it gone at the end.
    #[arg(long, conflicts_with_all = ["unsigned_for_testing", "key_password_file"])]
    pub(crate) demo: bool,
    /// Where to listen; port 0 takes a free one.
    #[arg(
        long,
        env = "EXPORT_CENTER_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8480"
    )]
    pub(crate) listen: SocketAddr,
    /// Seconds after which a worker that gives no sign of life loses its task to another one.
    #[arg(long, env = "EXPORT_CENTER_LEASE", value_name = "SECONDS", default_value = "30",
          value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub(crate) lease: u16,
    /// File with the certificate chain (PEM), for https://
    #[arg(long, env = "EXPORT_CENTER_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// File with the key of the certificate (PEM)
    #[arg(long, env = "EXPORT_CENTER_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) oidc: Oidc,
    /// Requests a second that a tenant may send; ten times as many in a burst.
    #[arg(long, env = "EXPORT_CENTER_RATE", value_name = "NUMBER", default_value = "100")]
    pub(crate) rate: NonZeroU32,
}
