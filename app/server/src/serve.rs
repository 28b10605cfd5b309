//! Starting, serving, and stopping in good order.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use stella_engine::{EngineError, LocalQueue, Signing};
use stella_keys::PasswordSource;
use stella_model::{ErrorCode, TenantId};
use stella_run::Rules;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::access::Limits;
use crate::api::{BASE, operations, router};
use crate::arguments::{Serve, Usage, Work};
use crate::demo::{self, Demo};
use crate::end::End;
use crate::listener::Places;
use crate::operator::{self, first_token};
use crate::output;
use crate::place::Place;
use crate::remembered::Remembered;
use crate::service::Service;
use crate::telemetry::{Figures, Spans, start_log};
use crate::tls::Certificate;
use crate::watch::Watchers;
use crate::workers::{process_name, with_workers};
use crate::{keeping, listener};

/// Requests a second of one tenant where nobody asks.
const NO_RATE: std::num::NonZeroU32 = std::num::NonZeroU32::MAX;

/// How often limits forget those who have been quiet.
const FORGET: Duration = Duration::from_secs(60);

/// `export-center migrate`.
pub(crate) fn migrate(place: &Place) -> anyhow::Result<()> {
    let runtime = Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(place.make())
}

/// `export-center serve`.
pub(crate) fn serve(arguments: &Serve) -> anyhow::Result<()> {
    let demo = demo::wanted(&arguments.work, arguments.demo)?.then(Demo::new).transpose()?;
    let arguments = &demo.as_ref().map_or_else(|| arguments.clone(), |demo| demo.serve(arguments));
    let place = &arguments.work.place;
    start_log(place.log_format, &place.log)?;
    let runtime = Runtime::new().context("cannot start the runtime")?;
    if place.catalog.is_none() {
        // The embedded database has no other keeper.
        runtime.block_on(place.make())?;
    }
    let mut service = open(&runtime, &arguments.work)?;
    service.rules.lease_ms = i64::from(arguments.lease) * 1000;
    service.limits = Limits::new(arguments.rate);
    service.provider = arguments.oidc.provider()?;
    if arguments.tls_cert.is_some() {
        service.scheme = "https";
    }
    if let Some(demo) = &demo {
        service.signing = Signing::Key { name: None, password: demo.password() };
    }
    let service = Arc::new(service);
    let files = arguments.tls_cert.as_deref().zip(arguments.tls_key.as_deref());
    let certificate = files.map(|(chain, key)| Certificate::read(chain, key)).transpose()?;
    let tls = certificate.as_ref().map(Certificate::acceptor).transpose()?;
    let scheme = service.scheme;
    let listener = listen(&runtime, arguments.listen)?;
    let address = listener.local_addr().context("cannot tell where it listens")?;
    let token = runtime.block_on(first_token(&service.catalog, &TenantId::local()))?;
    let version = stella_model::PRODUCT_VERSION;
    match (&demo, token) {
        (None, Some(token)) => operator::show(&token)?,
        (Some(demo), Some(token)) => {
            let what = "demo: sample data, one tenant, key made for this run";
            let address = format!("{scheme}://{address}");
            output::line(format_args!("Export Center {version}   {address}   ({what})"))?;
            demo.ingest()?;
            demo.explain(&address, &token)?;
        }
        (_, None) => {}
    }
    let end = End::new(&runtime, &arguments.work)?;
    if demo.is_none() {
        output::line(format_args!("Export Center {version}   {scheme}://{address}{BASE}"))?;
    }
    let places = Places::new();
    serve_operations(&runtime, &service, &arguments.work, places.clone())?;
    hear(&runtime, &service, &place.catalog()?);
    keeping::keep_in_order(&runtime, &service, &arguments.work.depot, Some(&arguments.keeping));
    if let Some(certificate) = certificate {
        runtime.spawn(certificate.follow());
    }
    look_and_forget(&runtime, &service);
    look_at_keys(&runtime, &service, arguments.work.workers);
    let done = with_workers(&runtime, &service, arguments.work.workers, |stop| {
        // Tasks are given back at once; who is being answered has a little longer.
        let (stop, asked, own) = (stop.clone(), end.asked(), service.clone());
        let begun = async move {
            asked.await;
            stop.set();
            own.watchers.end();
        };
        let patience = end.patience;
        let router = router(service.clone());
        runtime.block_on(listener::serve(listener, tls, router, places, begun, patience));
        Ok(())
    });
    service.spans.end(end.left());
    done
}

/// Looks at what other processes did, and forgets clients that are quiet, for as long as the process
/// runs.
fn look_and_forget(runtime: &Runtime, service: &Arc<Service>) {
    runtime.spawn({
        let service = service.clone();
        async move { service.watchers.look_at(&service.catalog).await }
    });
    let service = service.clone();
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(FORGET).await;
            service.limits.forget_quiet();
            service.remembered.forget_old();
        }
    });
}

/// Says at the start which tenants could not sign: not with their first run that fails.
fn look_at_keys(runtime: &Runtime, service: &Arc<Service>, workers: u16) {
    if workers == 0 {
        return;
    }
    let service = service.clone();
    runtime.spawn(async move {
        let tenants = service.catalog.tenants().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "whether runs can be signed is not known");
            BTreeSet::new()
        });
        for tenant in tenants.into_iter().filter(|tenant| *tenant != TenantId::library()) {
            let (store, own) = (service.store(&tenant), service.clone());
            let keys = store.keys_dir();
            let tried = tokio::task::spawn_blocking(move || own.signing.check(&store)).await;
            if let Ok(Err(error)) = tried {
                let hint = error.next_step().unwrap_or(error.code().next());
                // Each tenant has a store of its own for its keys.
                let place = keys.parent().unwrap_or(&keys).display();
                let hint = hint.replace("stella keys", &format!("stella --store {place} keys"));
                tracing::warn!(%tenant, error = %error, hint, "no run of the tenant can be signed");
            }
        }
    });
}

/// Hears what other processes change, for as long as this one runs.
fn hear(runtime: &Runtime, service: &Arc<Service>, catalog: &str) {
    let (service, catalog) = (service.clone(), catalog.to_owned());
    runtime.spawn(async move {
        service.catalog.hear(&catalog, |run| service.changed(run)).await;
    });
}

fn listen(runtime: &Runtime, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = runtime.block_on(TcpListener::bind(address));
    bound.map_err(|error| {
        let code = match error.kind() {
            ErrorKind::AddrInUse => ErrorCode::Conflict,
            ErrorKind::PermissionDenied => ErrorCode::NotAllowed,
            _ => ErrorCode::Usage,
        };
        let hint =
            "another address is given by --listen or --operations-listen; port 0 is a free one";
        EngineError::new(code, format!("cannot listen on {address}"))
            .because(error)
            .hint(hint)
            .into()
    })
}

/// Serves figures to the operator, for as long as the process runs.
fn serve_operations(
    runtime: &Runtime,
    service: &Arc<Service>,
    work: &Work,
    places: Places,
) -> anyhow::Result<()> {
    let Some(address) = work.operations_listen else { return Ok(()) };
    let listener = listen(runtime, address)?;
    let address = listener.local_addr().context("cannot tell where it listens")?;
    output::line(format_args!("Figures   http://{address}/metrics"))?;
    let router = operations(service.clone());
    let never = std::future::pending();
    runtime.spawn(listener::serve(listener, None, router, places, never, Duration::ZERO));
    Ok(())
}

/// `export-center worker`.
pub(crate) fn work(arguments: &Work) -> anyhow::Result<()> {
    if arguments.workers == 0 {
        return Err(Usage::new("--workers 0: a worker does at least one task at once").into());
    }
    start_log(arguments.place.log_format, &arguments.place.log)?;
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let service = Arc::new(open(&runtime, arguments)?);
    hear(&runtime, &service, &arguments.place.catalog()?);
    serve_operations(&runtime, &service, arguments, Places::new())?;
    keeping::keep_in_order(&runtime, &service, &arguments.depot, None);
    let end = End::new(&runtime, arguments)?;
    look_at_keys(&runtime, &service, arguments.workers);
    let done = with_workers(&runtime, &service, arguments.workers, |_| {
        runtime.block_on(end.asked());
        Ok(())
    });
    service.spans.end(end.left());
    done
}

fn open(runtime: &Runtime, work: &Work) -> anyhow::Result<Service> {
    let catalog = runtime.block_on(work.place.open())?;
    let figures = Figures::default();
    let lost = figures.spans_lost.clone();
    let spans = Spans::start(work.otlp_endpoint.as_ref(), &process_name(), lost)?;
    let signing = match (work.unsigned_for_testing, &work.key_password_file) {
        (true, _) => Signing::UnsignedForTesting,
        (false, None) => Signing::Key { name: None, password: PasswordSource::Variables },
        (false, Some(file)) => {
            let password = PasswordSource::File(file.clone());
            password.check()?;
            Signing::Key { name: None, password }
        }
    };
    Ok(Service {
        catalog,
        // Absolute: its name is taken out of what clients are told, and a short one is in any text.
        data: std::path::absolute(work.place.dir()?).context("cannot tell the data directory")?,
        ledger: work.place.ledger.clone(),
        bucket: work.depot.bucket()?,
        signing,
        queue: Arc::new(LocalQueue::default()),
        rules: Rules::DEFAULT,
        limits: Limits::new(NO_RATE),
        provider: None,
        figures,
        spans,
        scheme: "http",
        watchers: Watchers::default(),
        remembered: Remembered::default(),
        writable: tokio::sync::Mutex::default(),
    })
}
