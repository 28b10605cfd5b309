//! Starting, serving, and stopping in good order.

use std::future::IntoFuture as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use stella_catalog::{AuditEntry, BlockingStore, Catalog, NewToken, Token};
use stella_engine::{Cancel, LocalQueue, Signing, WakingStore, Worker};
use stella_keys::PasswordSource;
use stella_model::{ErrorCode, TenantId};
use stella_run::Rules;
use tokio::runtime::Runtime;

use crate::arguments::{Place, Serve, Work};
use crate::caller::Scope;
use crate::performer::Hands;
use crate::problem::Problem;
use crate::service::{Service, random};
use crate::{BASE, bundle, events, runs};

/// Largest body of a request, in bytes: orders are small.
const LARGEST_BODY: usize = 1 << 20;

/// How long clients are still answered once the process is asked to end.
const LONGEST_GOODBYE: Duration = Duration::from_secs(10);

/// Milliseconds that the first token opens anything: a week, to make others with.
const FIRST_TOKEN_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// `export-center migrate`.
pub(crate) fn migrate(place: &Place) -> anyhow::Result<()> {
    let runtime = Runtime::new().context("cannot start the runtime")?;
    std::fs::create_dir_all(&place.data)
        .with_context(|| format!("cannot make {}", place.data.display()))?;
    runtime.block_on(Catalog::migrate(&catalog_of(place)))?;
    Ok(())
}

/// `export-center serve`.
pub(crate) fn serve(arguments: &Serve) -> anyhow::Result<()> {
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let place = &arguments.work.place;
    if place.catalog.is_none() {
        // The embedded database has no other keeper.
        migrate(place)?;
    }
    let mut service = runtime.block_on(open(&arguments.work))?;
    service.rules.lease_ms = i64::from(arguments.lease) * 1000;
    let service = Arc::new(service);
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind(arguments.listen))
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    if let Some(token) = runtime.block_on(first_token(&service))? {
        println!("Token of the administrator, shown this once: {token}");
    }
    println!(
        "Export Center {}   http://{}{BASE}",
        stella_model::PRODUCT_VERSION,
        listener.local_addr().context("cannot tell where it listens")?
    );
    std::io::stdout().flush().context("cannot write to standard output")?;
    with_workers(&runtime, &service, arguments.work.workers, |stop| {
        // Tasks are given back at once; who is being answered has a little longer.
        let stop = stop.clone();
        let begun = async move {
            asked().await;
            stop.set();
        };
        let served = axum::serve(listener, router(service.clone())).with_graceful_shutdown(begun);
        let patience = async {
            asked().await;
            tokio::time::sleep(LONGEST_GOODBYE).await;
        };
        runtime.block_on(async {
            tokio::select! {
                served = served.into_future() => served.context("serving failed"),
                () = patience => Ok(()),
            }
        })
    })
}

/// `export-center worker`.
pub(crate) fn work(arguments: &Work) -> anyhow::Result<()> {
    anyhow::ensure!(arguments.workers > 0, "--workers 0: a worker does at least one task at once");
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let service = Arc::new(runtime.block_on(open(arguments))?);
    with_workers(&runtime, &service, arguments.workers, |_| {
        runtime.block_on(asked());
        Ok(())
    })
}

/// Lets workers work for as long as something else goes on; what they hold then is given back.
fn with_workers(
    runtime: &Runtime,
    service: &Service,
    workers: u16,
    meanwhile: impl FnOnce(&Cancel) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stop = Cancel::new();
    let states = BlockingStore::new(service.catalog.clone(), runtime.handle().clone());
    let states = WakingStore { store: &states, queue: &*service.queue };
    let hands = Hands { service, runtime: runtime.handle().clone() };
    let clock = || service.now();
    std::thread::scope(|scope| {
        for number in 0..workers {
            let worker = Worker {
                name: format!("{}-{number}", std::process::id()),
                store: &states,
                queue: &*service.queue,
                performer: &hands,
                clock: &clock,
            };
            let stop = &stop;
            scope.spawn(move || worker.work(stop));
        }
        let done = meanwhile(&stop);
        stop.set();
        done
    })
}

/// Waits until somebody asks the process to end.
async fn asked() {
    let interrupt = async {
        // Without a handler the process ends as it always did.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        let kind = tokio::signal::unix::SignalKind::terminate();
        match tokio::signal::unix::signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending::<()>().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}

fn catalog_of(place: &Place) -> String {
    let file = || format!("sqlite://{}", place.data.join("catalog.db").display());
    place.catalog.clone().unwrap_or_else(file)
}

async fn open(work: &Work) -> anyhow::Result<Service> {
    let catalog = Catalog::open(&catalog_of(&work.place)).await?;
    let signing = match (work.unsigned_for_testing, &work.key_password_file) {
        (true, _) => Signing::UnsignedForTesting,
        (false, None) => Signing::Key { name: None, password: PasswordSource::Surroundings },
        (false, Some(file)) => {
            Signing::Key { name: None, password: PasswordSource::File(file.clone()) }
        }
    };
    Ok(Service {
        catalog,
        data: work.place.data.clone(),
        ledger: work.place.ledger.clone(),
        signing,
        queue: Arc::new(LocalQueue::default()),
        rules: Rules::DEFAULT,
    })
}

/// Makes the tenant of a service that has none yet, and a token to begin with: also when no other token
/// is left that opens everything.
async fn first_token(service: &Service) -> anyhow::Result<Option<String>> {
    let (tenant, now) = (TenantId::local(), service.now());
    service.catalog.add_tenant(&tenant, now).await?;
    let opens_all = |token: &Token| {
        let is_admin = token.scopes.iter().any(|scope| scope == Scope::Admin.as_str());
        is_admin && token.revoked.is_none() && token.expires > now
    };
    if service.catalog.tokens(&tenant).await?.iter().any(opens_all) {
        return Ok(None);
    }
    let token = NewToken {
        name: "first administrator".to_owned(),
        scopes: vec![Scope::Admin.as_str().to_owned()],
        expires: now.after(FIRST_TOKEN_MS),
        id: random().context("no random bytes to make a token of")?,
        secret: random().context("no random bytes to make a token of")?,
    };
    let entry = AuditEntry {
        actor: "export-center serve".to_owned(),
        action: "token.create",
        object: token.name.clone(),
        outcome: "allowed",
        details: "{}".to_owned(),
        trace: service.trace(None),
    };
    Ok(Some(service.catalog.add_token(&tenant, &token, &entry, now).await?))
}

/// What is served.
pub(crate) fn router(service: Arc<Service>) -> Router {
    let api = Router::new()
        .route("/runs", get(runs::list).post(runs::start))
        .route("/runs/{id}", get(runs::get))
        .route("/runs/{id}/cancel", post(runs::cancel))
        .route("/runs/{id}/retry", post(runs::retry))
        .route("/runs/{id}/events", get(events::of_run))
        .route("/runs/{id}/manifest", get(bundle::manifest))
        .route("/runs/{id}/bundle.tar", get(bundle::tar).head(bundle::tar))
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready));
    let nowhere =
        async || Problem::not_found("such address; the interface begins at /api/export/v1");
    let nohow = async || {
        Problem::new(ErrorCode::Usage, "the address does not know this method")
            .with_status(axum::http::StatusCode::METHOD_NOT_ALLOWED)
    };
    Router::new()
        .nest(BASE, api)
        .fallback(nowhere)
        .method_not_allowed_fallback(nohow)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(service)
}

/// `GET /ready`: whether requests can be answered.
async fn ready(State(service): State<Arc<Service>>) -> Result<&'static str, Problem> {
    service.catalog.ping().await?;
    Ok("ok\n")
}
