//! The figures of the service, as Prometheus reads them.
//!
//! None has a label for a tenant: whoever reads them sees the whole service, which is why they are
//! served apart from the API, where only its operator comes.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::CollectionFigures;

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

/// How an attempt at a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Done,
    Failed,
    GivenBack,
}

impl Outcome {
    /// The word for figures, the log and spans.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::GivenBack => "given_back",
        }
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.as_str())
    }
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
    pub(crate) attempts_lost: Counter,
    pub(crate) attempts_refused: Counter,
    pub(crate) spans_lost: Counter,
    pub(crate) collection: CollectionFigures,
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
            attempts_lost: Counter::default(),
            attempts_refused: Counter::default(),
            spans_lost: Counter::default(),
            collection: CollectionFigures::default(),
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
        let help =
            "Attempts at tasks that were taken back because their workers gave no sign of life";
        to.register("attempts_lost", help, self.attempts_lost.clone());
        let help = "Attempts at tasks whose end did not count: the run was over, or somebody else had the task";
        to.register("attempts_refused", help, self.attempts_refused.clone());
        let help = "Spans that the collector of traces did not take";
        to.register("spans_lost", help, self.spans_lost.clone());
        self.collection.register(to);
    }

    /// All of them, in the text format of OpenMetrics.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        text_of(&self.registry)
    }
}

/// Figures in the text format of OpenMetrics.
pub(crate) fn text_of(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::super::ScrubFigures;
    use super::*;

    /// Figures with one of each that is counted by labels.
    fn figures() -> Figures {
        let figures = Figures::default();
        let (profile_kind, status) = (String::new(), "succeeded");
        figures.run_duration.get_or_create(&OfRun { profile_kind, status }).observe(1.0);
        let (error_code, profile_kind) = (String::new(), String::new());
        figures.run_failures.get_or_create(&OfFailure { error_code, profile_kind }).inc();
        let label = OfTask { task: "plan", outcome: Outcome::Done };
        figures.task_duration.get_or_create(&label).observe(1.0);
        let label = OfRequest { method: String::new(), route: String::new(), status: 200 };
        figures.requests.get_or_create(&label).inc();
        figures
    }

    /// The rows of a table of figures, as a registry has them.
    fn rows(text: &str) -> Vec<String> {
        let mut labels: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, rest)) = line.split_once('{') else { continue };
            let Some((inside, _)) = rest.split_once('}') else { continue };
            let names = inside.split(',').filter_map(|pair| Some(pair.split_once('=')?.0));
            let name = name.trim_end_matches("_total").trim_end_matches("_bucket");
            labels.insert(name, names.filter(|label| *label != "le").collect());
        }
        let mut rows = Vec::new();
        let mut help = "";
        for line in text.lines() {
            if let Some(told) = line.strip_prefix("# HELP ") {
                help = told.split_once(' ').map_or("", |(_, help)| help.trim_end_matches('.'));
            }
            let Some((name, kind)) =
                line.strip_prefix("# TYPE ").and_then(|told| told.split_once(' '))
            else {
                continue;
            };
            let unit = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(unit));
            let labels = labels.get(name).map(Vec::as_slice).unwrap_or_default();
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            let total = if kind == "counter" { "_total" } else { "" };
            rows.push(format!(
                "| `{name}{total}` | {kind} | {} | {} | {help} |\n",
                unit.unwrap_or("1"),
                labels.join(", "),
            ));
        }
        rows
    }

    #[test]
    fn the_page_has_every_figure_and_no_other() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations/telemetry.md");
        let mut page = std::fs::read_to_string(&path).expect("reads");
        let served = figures().text().expect("is text");
        let scrubbed = text_of(&ScrubFigures::default().registry()).expect("is text");
        for (name, text) in [("figures", served), ("figures of a scrub", scrubbed)] {
            let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
            let (before, rest) = page.split_once(&begin).expect("a beginning");
            let (_, after) = rest.split_once(&end).expect("an end");
            let head = "| figure | kind | unit | labels | what it says |\n| --- | --- | --- | --- | --- |\n";
            let rows = rows(&text);
            assert!(rows.len() >= 4, "{text}");
            page = format!("{before}{begin}{head}{}{end}{after}", rows.concat());
        }
        if std::env::var_os("STELLA_BLESS").is_some() {
            std::fs::write(&path, &page).expect("writes");
        }
        let found = std::fs::read_to_string(&path).expect("reads");
        assert!(found == page, "{} is not what it should be: STELLA_BLESS=1", path.display());
    }
}
