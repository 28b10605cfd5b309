//! Where the depot is, how long it keeps what, and whether all of it is as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use stella_catalog::{AuditEntry, Catalog, Needed, RunFilter};
use stella_depot::{
    Bucket, BucketAddress, BucketPlace, Collected, CollectionRules, Credentials, Damage, Damaged,
    Depot, DepotError, Patience, Repair, Roots,
};
use stella_engine::{DEFAULT_CACHE_BYTES, Store};
use stella_model::{Digest, DigestBuilder, TenantId};
use stella_run::Millis;
use tokio::runtime::Runtime;

use crate::output;
use crate::place::Place;
use crate::service::{Service, depot_store, now};
use crate::telemetry::{CollectionFigures, ScrubFigures, start_log, text_of};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Runs that are looked at together.
const PAGE: u32 = 200;

/// How often copies of what is in a bucket are held against the size of the cache.
const TRIM: Duration = Duration::from_secs(600);

/// How soon a collection comes again where runs held a depot all the time.
const AGAIN: Duration = Duration::from_secs(60);

/// Where the depot is.
#[derive(Debug, Clone, Args)]
pub(crate) struct DepotPlace {
    /// Depot that machines share, `s3://BUCKET/PREFIX`, of which the one in the data directory is then a
    /// cache. Credentials come from the environment, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
    /// from a web identity, or from the machine.
    #[arg(long, env = "EXPORT_CENTER_DEPOT", value_name = "URL")]
    depot: Option<BucketAddress>,
    /// The server of the bucket; that of AWS unless given. One with http: is spoken to without TLS.
    #[arg(long, env = "EXPORT_CENTER_S3_ENDPOINT", value_name = "URL")]
    s3_endpoint: Option<String>,
    /// The region of the bucket.
    #[arg(long, env = "EXPORT_CENTER_S3_REGION", value_name = "NAME")]
    s3_region: Option<String>,
    /// Bytes of what is kept because it may be used again: parts and outputs of no kept bundle, and of a
    /// shared depot the copies in the data directory.
    #[arg(long, env = "EXPORT_CENTER_CACHE_BYTES", value_name = "NUMBER",
          default_value_t = DEFAULT_CACHE_BYTES)]
    cache_bytes: u64,
}

impl DepotPlace {
    /// Whether other machines use it too.
    pub(crate) fn is_shared(&self) -> bool {
        self.depot.is_some()
    }

    /// The bucket, if there is one.
    pub(crate) fn bucket(&self) -> Result<Option<Bucket>, DepotError> {
        let Some(address) = &self.depot else { return Ok(None) };
        let place = BucketPlace {
            address: address.clone(),
            endpoint: self.s3_endpoint.clone(),
            region: self.s3_region.clone(),
            credentials: Credentials::Surroundings,
            patience: Patience::default(),
        };
        Bucket::at(&place).map(Some)
    }
}

/// How long what is kept.
#[derive(Debug, Clone, Args)]
pub(crate) struct Keeping {
    /// Days after which the bundle of a run need not be kept any more; 0 keeps all for ever.
    #[arg(
        long,
        env = "EXPORT_CENTER_KEEP_BUNDLES_DAYS",
        value_name = "NUMBER",
        default_value = "0"
    )]
    keep_bundles_days: u32,
    /// Hours that what nobody needs stays in the depot after it was used last: longer than any task takes.
    #[arg(long, env = "EXPORT_CENTER_GC_GRACE_HOURS", value_name = "HOURS", default_value = "24",
          value_parser = clap::value_parser!(u32).range(2..=8760))]
    gc_grace_hours: u32,
    /// Minutes between two collections; 0 leaves them to `export-center collect`.
    #[arg(long, env = "EXPORT_CENTER_GC_MINUTES", value_name = "MINUTES", default_value = "60")]
    gc_minutes: u32,
}

/// `export-center collect`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Collect {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    depot: DepotPlace,
    #[command(flatten)]
    keeping: Keeping,
    /// Servers and workers are all stopped: what nobody needs goes at once, without the hours of grace.
    /// Beside one that runs it takes away what that one is about to need.
    #[arg(long, conflicts_with = "gc_grace_hours")]
    nothing_runs: bool,
}

/// `export-center scrub`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Scrub {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    depot: DepotPlace,
    /// Forget what is damaged, so that the next run of the same plan makes it again.
    #[arg(long)]
    repair: bool,
    /// Write figures of what was found to this file, for a collector that reads text files.
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
}

/// That something in the depot is damaged.
#[derive(Debug, thiserror::Error)]
#[error("{0} files of the depot are damaged or missing; {1}")]
pub(crate) struct DamageFound(usize, &'static str);

/// What a tenant has in a depot, and what of it is still counted on.
struct Keeper {
    catalog: Catalog,
    rules: CollectionRules,
    /// None keeps all for ever.
    keep_ms: Option<i64>,
    figures: CollectionFigures,
}

/// What a collection of all tenants left undone.
#[derive(Debug, Default)]
struct Undone {
    /// How many tenants could not be collected.
    failed: usize,
    /// Those whose depots runs held all the time.
    busy: Vec<TenantId>,
}

impl Keeper {
    fn new(
        catalog: Catalog,
        keeping: &Keeping,
        depot: &DepotPlace,
        figures: CollectionFigures,
    ) -> Keeper {
        let hours = Duration::from_secs(3600) * keeping.gc_grace_hours;
        let rules = CollectionRules {
            grace: hours.max(CollectionRules::SHORTEST_GRACE),
            cache_bytes: depot.cache_bytes,
        };
        let days = i64::from(keeping.keep_bundles_days);
        Keeper { catalog, rules, keep_ms: (days > 0).then_some(days * DAY_MS), figures }
    }

    /// One collection of all tenants, or of those that were busy in an earlier one, unless another process
    /// is at it; what of it was left undone.
    async fn collect(
        &self,
        earlier: Option<Undone>,
        store: impl Fn(&TenantId) -> Store,
    ) -> anyhow::Result<Undone> {
        let Some(turn) = self.catalog.turn_to_collect().await? else {
            return Ok(Undone::default());
        };
        let (tenants, failed) = match earlier {
            Some(Undone { failed, busy }) => (busy, failed),
            None => {
                self.figures.unreadable.set(0);
                (self.catalog.tenants().await?.into_iter().collect(), 0)
            }
        };
        let mut undone = Undone { failed, busy: Vec::new() };
        for tenant in tenants {
            match self.collect_tenant(&tenant, store(&tenant).depot()).await {
                Ok(Collected { is_busy: true, .. }) => undone.busy.push(tenant),
                Ok(_) => {}
                // What is wrong with one must not stand in the way of the others.
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(%tenant, error, "the depot is not collected");
                    self.figures.failures.inc();
                    undone.failed += 1;
                }
            }
        }
        // A depot that is never left alone only grows, and so does one that cannot be collected: such a time
        // must not look like one of a collection.
        if undone.busy.is_empty() && undone.failed == 0 {
            self.figures.ended.set(now().0 / 1000);
        }
        turn.end().await?;
        Ok(undone)
    }

    /// The same beside servers and workers, of which a later one makes good what fails.
    async fn try_to_collect(&self, earlier: Option<Undone>, service: &Service) -> Undone {
        let collected = self.collect(earlier, |tenant| service.store(tenant)).await;
        collected.unwrap_or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "the depot is not collected");
            Undone::default()
        })
    }

    async fn collect_tenant(&self, tenant: &TenantId, depot: Depot) -> anyhow::Result<Collected> {
        let released = self.release(tenant, now()).await?;
        let needed = self.catalog.needed(tenant).await?;
        let owner = owner(tenant, &needed);
        let (roots, rules) = (roots(needed), self.rules);
        let collected = tokio::task::spawn_blocking(move || {
            anyhow::ensure!(depot.claim(&owner)?, "it belongs to another catalog");
            let collected = depot.collect(&roots, &rules)?;
            Ok((collected, depot.clear_unfinished(rules.grace)))
        });
        let (collected, uploads) = collected.await.context("the collection broke off")??;
        CollectionEnded { tenant, released, collected, uploads }.emit(&self.figures);
        Ok(collected)
    }

    /// Releases what is old enough, and says so in the audit log.
    async fn release(&self, tenant: &TenantId, now: Millis) -> anyhow::Result<u64> {
        let Some(keep_ms) = self.keep_ms else { return Ok(0) };
        let before = now.after(-keep_ms);
        let runs = self.catalog.release(tenant, before, now).await?;
        if runs > 0 {
            let entry = AuditEntry {
                actor: "export-center".to_owned(),
                action: "bundle.release",
                object: format!("bundles of {runs} runs"),
                outcome: "allowed",
                details: format!("{{\"endedBeforeMs\":{}}}", before.0),
                trace: String::new(),
            };
            self.catalog.audit(tenant, &entry, now).await?;
        }
        Ok(runs)
    }
}

/// Which catalog knows what a tenant needs.
fn owner(tenant: &TenantId, needed: &Needed) -> Digest {
    let mut owner = DigestBuilder::new();
    owner.lp(b"stella-depot-owner-1").lp(tenant.as_str().as_bytes());
    owner.lp(needed.since.0.to_string().as_bytes());
    owner.finish()
}

fn roots(needed: Needed) -> Roots {
    Roots { plans: needed.plans, bundles: needed.bundles }
}

/// A tenant was collected.
struct CollectionEnded<'a> {
    tenant: &'a TenantId,
    released: u64,
    collected: Collected,
    /// Uploads thrown away that killed processes left.
    uploads: Result<u64, DepotError>,
}

impl CollectionEnded<'_> {
    fn emit(&self, figures: &CollectionFigures) {
        let CollectionEnded { tenant, released, collected, uploads } = self;
        let Collected { records, blobs, bytes, unreadable, is_busy } = collected;
        if let Err(error) = uploads {
            tracing::warn!(%tenant, %error, "uploads that nobody ended are not cleared");
        }
        figures.released.inc_by(*released);
        if *is_busy {
            tracing::info!(%tenant, released, "depot not collected: runs hold it");
            figures.busy.inc();
            return;
        }
        let uploads = uploads.as_ref().unwrap_or(&0);
        tracing::info!(%tenant, released, records, blobs, bytes, uploads, unreadable,
            "depot collected");
        figures.records.inc_by(*records);
        figures.blobs.inc_by(*blobs);
        figures.bytes.inc_by(*bytes);
        figures.unreadable.inc_by(i64::try_from(*unreadable).unwrap_or(i64::MAX));
        if *unreadable > 0 {
            tracing::error!(%tenant, unreadable,
                "bundles in the depot do not read, so no blob is removed: export-center scrub");
        }
    }
}

/// Trims the cache of this process, and collects if it is asked to, for as long as it runs.
pub(crate) fn keep_in_order(
    runtime: &Runtime,
    service: &Arc<Service>,
    depot: &DepotPlace,
    keeping: Option<&Keeping>,
) {
    if service.bucket.is_some() {
        runtime.spawn(trim(service.clone(), depot.cache_bytes));
    }
    let Some(keeping) = keeping.filter(|keeping| keeping.gc_minutes > 0) else { return };
    let figures = service.figures.collection.clone();
    let keeper = Keeper::new(service.catalog.clone(), keeping, depot, figures);
    let pause = Duration::from_secs(60) * keeping.gc_minutes;
    let service = service.clone();
    runtime.spawn(async move {
        loop {
            let mut undone = keeper.try_to_collect(None, &service).await;
            let ended = tokio::time::Instant::now();
            // Those that runs held are tried again until it is the turn of all.
            while !undone.busy.is_empty() && ended.elapsed() + AGAIN < pause {
                tokio::time::sleep(AGAIN).await;
                undone = keeper.try_to_collect(Some(undone), &service).await;
            }
            tokio::time::sleep_until(ended + pause).await;
        }
    });
}

async fn trim(service: Arc<Service>, limit: u64) {
    loop {
        let tenants = service.catalog.tenants().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the caches of the depot are not trimmed");
            BTreeSet::new()
        });
        for tenant in tenants {
            let depot = service.store(&tenant).depot();
            let trimmed = tokio::task::spawn_blocking(move || depot.trim(limit)).await;
            if let Ok(Err(error)) = trimmed {
                tracing::warn!(%tenant, %error, "the cache of the depot is not trimmed");
            }
        }
        tokio::time::sleep(TRIM).await;
    }
}

/// The store of each tenant, for its depot.
fn stores(place: &Place, depot: &DepotPlace) -> anyhow::Result<impl Fn(&TenantId) -> Store> {
    let (data, bucket) = (place.dir()?.to_owned(), depot.bucket()?);
    Ok(move |tenant: &TenantId| depot_store(&data, bucket.as_ref(), tenant))
}

/// `export-center collect`.
pub(crate) fn collect(arguments: &Collect) -> anyhow::Result<()> {
    let Collect { place, depot, keeping, nothing_runs } = arguments;
    start_log(place.log_format, &place.log)?;
    let stores = stores(place, depot)?;
    let runtime = Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let catalog = place.open().await?;
        let figures = CollectionFigures::default();
        let mut keeper = Keeper::new(catalog.clone(), keeping, depot, figures);
        if *nothing_runs {
            keeper.rules.grace = Duration::ZERO;
        }
        let Undone { failed, busy } = keeper.collect(None, stores).await?;
        catalog.close().await;
        for tenant in busy {
            output::line(format_args!(
                "{tenant} is not collected: runs hold its depot; collect again later"
            ))?;
        }
        anyhow::ensure!(failed == 0, "the depots of {failed} tenants are not collected");
        Ok(())
    })
}

/// `export-center scrub`.
pub(crate) fn scrub(arguments: &Scrub) -> anyhow::Result<()> {
    let Scrub { place, depot, repair, figures } = arguments;
    start_log(place.log_format, &place.log)?;
    let stores = stores(place, depot)?;
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let catalog = runtime.block_on(place.open())?;
    let (repair, next) = match repair {
        true => (
            Repair::Forget,
            "retry the runs that are named: stella export retry RUN makes it again",
        ),
        false => (
            Repair::No,
            "--repair forgets it, so that the runs that are named, repeated, make it again",
        ),
    };
    let mut damaged = 0;
    let found = ScrubFigures::default();
    for tenant in runtime.block_on(catalog.tenants())? {
        let roots = roots(runtime.block_on(catalog.needed(&tenant))?);
        let scrubbed = stores(&tenant).depot().scrub(&roots, repair)?;
        let (blobs, bytes) = (scrubbed.blobs, scrubbed.bytes);
        output::line(format_args!("{tenant} {blobs} blobs, {bytes} bytes read"))?;
        found.blobs.inc_by(i64::try_from(scrubbed.blobs).unwrap_or(i64::MAX));
        found.bytes.inc_by(i64::try_from(scrubbed.bytes).unwrap_or(i64::MAX));
        for one in &scrubbed.damaged {
            output::line(format_args!("{}", line(&tenant, one)))?;
        }
        let runs = newest_runs(&catalog, &tenant, scrubbed.bundles);
        for (run, bundle) in runtime.block_on(runs)? {
            output::line(format_args!("{tenant} r-{run} made bundle sha256:{bundle}"))?;
        }
        damaged += scrubbed.damaged.len();
    }
    runtime.block_on(catalog.close());
    found.damaged.set(i64::try_from(damaged).unwrap_or(i64::MAX));
    found.ended.set(now().0 / 1000);
    if let Some(path) = figures {
        write_figures(&found, path)
            .with_context(|| format!("cannot write figures to {}", path.display()))?;
    }
    match damaged {
        0 => Ok(()),
        damaged => Err(DamageFound(damaged, next).into()),
    }
}

/// The newest run that made each of some bundles, with the digest of its manifest.
async fn newest_runs(
    catalog: &Catalog,
    tenant: &TenantId,
    mut bundles: BTreeSet<Digest>,
) -> anyhow::Result<BTreeMap<u64, Digest>> {
    let mut runs = BTreeMap::new();
    let mut filter = RunFilter::default();
    while !bundles.is_empty() {
        let page = catalog.runs(tenant, &filter, PAGE).await?;
        for run in page.runs {
            if let Some(made) = run.bundle.filter(|made| bundles.remove(&made.files)) {
                runs.insert(run.number, made.export_digest);
            }
        }
        filter.before = page.next;
        if page.next.is_none() {
            break;
        }
    }
    Ok(runs)
}

/// Puts figures in the place of those before: whoever reads them sees these or those.
fn write_figures(found: &ScrubFigures, path: &Path) -> anyhow::Result<()> {
    let mut partial = path.to_owned().into_os_string();
    partial.push(".partial");
    std::fs::write(&partial, text_of(&found.registry())?)?;
    Ok(std::fs::rename(&partial, path)?)
}

/// What is told of something that is damaged.
fn line(tenant: &TenantId, one: &Damaged) -> String {
    let how = match one.damage {
        Damage::Changed => "changed",
        Damage::Missing => "missing",
    };
    let size = one.size.map_or_else(|| "-".to_owned(), |size| size.to_string());
    let needed = match one.needed_by.is_empty() {
        true => "nothing that is known".to_owned(),
        false => one.needed_by.join(" "),
    };
    format!("{tenant} {how} {} {size} -> {needed}", one.name)
}
