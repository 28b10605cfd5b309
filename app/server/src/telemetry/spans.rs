//! Spans: what took how long for whom, sent to a collector by OTLP where one is named.
//!
//! A span is made by hand where something begins and ends, as lines of the log and figures are: what
//! is in it is what was put into it, and never an argument or a message that somebody logs
//! (docs/adr/0020). Nothing waits for the collector: spans go through a queue of bounded length, and
//! are lost where that is full or the collector is away.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _,
    TraceFlags, TraceId, TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use prometheus_client::metrics::counter::Counter;
use reqwest::Url;
use stella_run::TraceParent;

use crate::service::random;

/// What the service is called among others.
const SERVICE: &str = "export-center";

/// How long sending spans may take, and connecting for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where spans are sent. Its address may tell more than logs should.
#[derive(Clone)]
pub(crate) struct Collector(Option<Url>);

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

impl FromStr for Collector {
    type Err = &'static str;

    /// A variable that is empty is one that is not set.
    fn from_str(text: &str) -> Result<Collector, &'static str> {
        if text.is_empty() {
            return Ok(Collector(None));
        }
        let url = Url::parse(text).map_err(|_| "it is not a URL")?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("it begins with http:// or https://");
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err("credentials go into OTEL_EXPORTER_OTLP_HEADERS");
        }
        Ok(Collector(Some(url)))
    }
}

impl Collector {
    /// Where traces go, as the standard has it for an endpoint of all signals.
    fn traces(&self) -> Option<String> {
        let url = self.0.as_ref()?;
        Some(format!("{}/v1/traces", url.as_str().trim_end_matches('/')))
    }
}

/// Makes spans, and sends them if there is a collector.
pub(crate) struct Spans {
    sent: Option<(SdkTracerProvider, SdkTracer)>,
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans").field("are_sent", &self.sent.is_some()).finish()
    }
}

impl Spans {
    /// Spans of this process; `instance` is its name among others, `lost` counts those that no
    /// collector took. Not to be called on a thread of the runtime.
    pub(crate) fn start(
        collector: Option<&Collector>,
        instance: &str,
        lost: Counter,
    ) -> anyhow::Result<Spans> {
        let Some(traces) = collector.and_then(Collector::traces) else {
            return Ok(Spans { sent: None });
        };
        let builder = reqwest::blocking::Client::builder();
        // What goes in the clear goes to the collector, and to no proxy.
        let builder = if traces.starts_with("http:") { builder.no_proxy() } else { builder };
        let client = builder
            .connect_timeout(PATIENCE)
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client.context("cannot prepare to send traces")?)
            .with_endpoint(traces)
            .with_protocol(Protocol::HttpBinary)
            .build()
            .context("cannot prepare to send traces")?;
        let exporter = Watched { exporter, lost, is_away: AtomicBool::new(false) };
        // Sampling, limits and the queue are those of the standard variables.
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource(instance))
            .build();
        let tracer = provider.tracer(SERVICE);
        Ok(Spans { sent: Some((provider, tracer)) })
    }

    /// Whether they are sent anywhere.
    pub(crate) fn are_sent(&self) -> bool {
        self.sent.is_some()
    }

    /// Begins a span: a child of another one, or the first of a trace.
    pub(crate) fn begin(&self, builder: SpanBuilder, parent: Option<TraceParent>) -> Span {
        let Some((_, tracer)) = &self.sent else { return Span::unsent(parent) };
        let around = match parent {
            Some(parent) => Context::new().with_remote_span_context(context_of(parent)),
            None => Context::new(),
        };
        let made = tracer.build_with_context(builder, &around);
        match named(made.span_context()) {
            Some(name) => Span { made: Some(made), name },
            // The process is about to end, and nobody takes it any more.
            None => Span::unsent(parent),
        }
    }

    /// Sends what is left, for so long at most.
    pub(crate) fn end(&self, patience: Duration) {
        if let Some((provider, _)) = &self.sent {
            // What the collector did not take was told when it was tried.
            drop(provider.shutdown_with_timeout(patience));
        }
    }
}

/// Who sends the spans, unless the standard variables say more.
fn resource(instance: &str) -> Resource {
    let name = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    let resource = Resource::builder_empty()
        .with_service_name(SERVICE)
        .with_attributes([
            KeyValue::new("service.version", stella_model::PRODUCT_VERSION),
            KeyValue::new("service.instance.id", instance.to_owned()),
        ])
        .with_detector(Box::new(EnvResourceDetector::new()));
    match name {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}

/// Something that takes time. It is over when it is dropped.
pub(crate) struct Span {
    made: Option<opentelemetry_sdk::trace::Span>,
    name: TraceParent,
}

impl Span {
    /// Begins a span that is sent nowhere. What belongs to it belongs to its parent: nobody will have
    /// seen the span itself.
    fn unsent(parent: Option<TraceParent>) -> Span {
        let made = || {
            // A trace is no secret: without random bytes it is only not told from others.
            let (trace, span) = (random().unwrap_or([1; 16]), random().unwrap_or([1; 8]));
            // Nobody records it, so nobody is told to.
            TraceParent::new(trace, span, 0)
        };
        let name = parent.or_else(made).or_else(|| TraceParent::new([1; 16], [1; 8], 0));
        #[expect(clippy::expect_used, reason = "neither of the ids is zero")]
        Span { made: None, name: name.expect("names a span") }
    }

    /// What names it, for what belongs to it.
    pub(crate) fn name(&self) -> TraceParent {
        self.name
    }

    /// Says something of it.
    pub(crate) fn say(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(made) = &mut self.made {
            made.set_attribute(KeyValue::new(key, value));
        }
    }

    /// Says that it failed, by a code or a status.
    pub(crate) fn fail(&mut self, code: &str) {
        self.say("error.type", code.to_owned());
        if let Some(made) = &mut self.made {
            // Messages may name what is in documents; the log has them.
            made.set_status(Status::error(code.to_owned()));
        }
    }
}

/// What a span is made of.
pub(crate) fn span(name: String, kind: SpanKind, attributes: Vec<KeyValue>) -> SpanBuilder {
    SpanBuilder::from_name(name).with_kind(kind).with_attributes(attributes)
}

fn context_of(name: TraceParent) -> SpanContext {
    let (trace, span) = (TraceId::from_bytes(name.trace()), SpanId::from_bytes(name.span()));
    SpanContext::new(trace, span, TraceFlags::new(name.flags()), true, TraceState::NONE)
}

fn named(context: &SpanContext) -> Option<TraceParent> {
    let (trace, span) = (context.trace_id().to_bytes(), context.span_id().to_bytes());
    TraceParent::new(trace, span, context.trace_flags().to_u8())
}

/// Sends spans, and says once when the collector goes away, and once when it is back.
#[derive(Debug)]
struct Watched<E> {
    exporter: E,
    lost: Counter,
    is_away: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let sent = self.exporter.export(batch).await;
        match &sent {
            Ok(()) => {
                if self.is_away.swap(false, Ordering::Relaxed) {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                self.lost.inc_by(count);
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the collector takes no traces; they are lost until it does");
                }
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROUGHT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_collector_is_named_as_the_standard_has_it() {
        for (text, traces) in [
            ("", None),
            ("http://127.0.0.1:4318", Some("http://127.0.0.1:4318/v1/traces")),
            ("http://127.0.0.1:4318/", Some("http://127.0.0.1:4318/v1/traces")),
            ("https://otlp.example/some/place", Some("https://otlp.example/some/place/v1/traces")),
        ] {
            let collector: Collector = text.parse().expect("is one");
            assert_eq!(collector.traces().as_deref(), traces);
            assert!(!format!("{collector:?}").contains("example"));
        }
        for bad in ["127.0.0.1:4318", "grpc://a", "http://me:secret@a", "http://a/?key=secret"] {
            assert!(bad.parse::<Collector>().is_err(), "{bad}");
        }
    }

    #[test]
    fn without_a_collector_what_was_brought_is_handed_on() {
        let spans = Spans::start(None, "here", Counter::default()).expect("starts");
        let begin = |parent| spans.begin(span(String::new(), SpanKind::Server, vec![]), parent);
        let brought: TraceParent = BROUGHT.parse().expect("is one");
        assert_eq!(begin(Some(brought)).name(), brought);
        let (one, two) = (begin(None).name(), begin(None).name());
        assert_ne!(one.trace(), two.trace());
        assert_eq!(one.flags(), 0);
    }

    #[test]
    fn a_collector_that_is_away_is_waited_for_by_nobody() {
        // Nobody listens there.
        let nowhere: Collector = "http://127.0.0.1:9".parse().expect("is one");
        let lost = Counter::default();
        let spans = Spans::start(Some(&nowhere), "here", lost.clone()).expect("starts");
        let brought: TraceParent = BROUGHT.parse().expect("is one");
        let begun = std::time::Instant::now();
        for _ in 0..10_000 {
            let made = spans.begin(span("x".to_owned(), SpanKind::Server, vec![]), Some(brought));
            assert_eq!(made.name().trace(), brought.trace());
            assert_ne!(made.name().span(), brought.span());
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let begun = std::time::Instant::now();
        spans.end(Duration::from_secs(1));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        // What ends after the end is of no use, and does no harm.
        let late = spans.begin(span("x".to_owned(), SpanKind::Server, vec![]), Some(brought));
        assert_eq!(late.name(), brought);
    }
}
