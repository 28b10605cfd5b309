//! The figures of the service, as Prometheus reads them.
//!
//! None has a label for a tenant: whoever reads them sees the whole service, which is why they are
//! served apart from the API, where only its operator comes.

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds of the buckets: from a look at the catalog to a run of an hour.
const SECONDS: [f64; 14] =
    [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfRun {
    pub(crate) profile_kind: String,
    pub(crate) status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfFailure {
    pub(crate) error_code: String,
    pub(crate) profile_kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfTask {
    pub(crate) task: &'static str,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    Done,
    Failed,
    GivenBack,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfRequest {
    pub(crate) method: String,
    pub(crate) route: String,
    pub(crate) status: u16,
}

/// Everything that is counted.
pub(crate) struct Figures {
    registry: Registry,
    pub(crate) run_duration: Histograms<OfRun>,
    pub(crate) run_failures: Family<OfFailure, Counter>,
    pub(crate) bundle_bytes: Counter,
    pub(crate) source_records: Counter,
    pub(crate) task_duration: Histograms<OfTask>,
    pub(crate) store_failures: Counter,
    pub(crate) download_bytes: Counter,
    pub(crate) requests: Family<OfRequest, Counter>,
    pub(crate) request_duration: Histogram,
    pub(crate) active_runs: Gauge,
    pub(crate) queue_depth: Gauge,
    pub(crate) queue_age: Gauge,
    pub(crate) watchers: Gauge,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

impl Default for Figures {
    fn default() -> Figures {
        let mut figures = Figures {
            registry: Registry::with_prefix("exporter"),
            run_duration: Family::new_with_constructor(histogram),
            run_failures: Family::default(),
            bundle_bytes: Counter::default(),
            source_records: Counter::default(),
            task_duration: Family::new_with_constructor(histogram),
            store_failures: Counter::default(),
            download_bytes: Counter::default(),
            requests: Family::default(),
            request_duration: histogram(),
            active_runs: Gauge::default(),
            queue_depth: Gauge::default(),
            queue_age: Gauge::default(),
            watchers: Gauge::default(),
        };
        figures.register();
        figures
    }
}

impl Figures {
    fn register(&mut self) {
        let to = &mut self.registry;
        let help = "How long runs took from being accepted to their end";
        to.register("run_duration_seconds", help, self.run_duration.clone());
        to.register("run_failures", "Runs that failed", self.run_failures.clone());
        to.register("bundle_bytes", "Bytes of bundles that were sealed", self.bundle_bytes.clone());
        let help = "Records that planned runs select";
        to.register("source_records", help, self.source_records.clone());
        let help = "How long attempts at tasks took";
        to.register("task_duration_seconds", help, self.task_duration.clone());
        let help = "Times that the catalog did not answer a worker";
        to.register("store_failures", help, self.store_failures.clone());
        to.register("download_bytes", "Bytes of bundles sent", self.download_bytes.clone());
        to.register("http_requests", "Requests answered", self.requests.clone());
        let help = "Time until the head of an answer";
        to.register("http_request_duration_seconds", help, self.request_duration.clone());
        to.register("active_runs", "Runs that are not over", self.active_runs.clone());
        let help = "Runs for which there is something to do now";
        to.register("queue_depth", help, self.queue_depth.clone());
        let help = "How long the run waits that waits longest";
        to.register("queue_age_seconds", help, self.queue_age.clone());
        to.register("event_watchers", "Streams of events that are open", self.watchers.clone());
    }

    /// All of them, in the text format of OpenMetrics.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
