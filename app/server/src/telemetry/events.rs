//! What happens, one struct each: `emit` writes it to the log and counts it.

use std::time::Duration;

use axum::http::Method;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanKind};
use stella_engine::WorkerEvent;
use stella_run::{Ending, RunEvent, RunKey, RunState, TaskId, TraceParent};

use super::Figures;
use super::figures::{OfFailure, OfRequest, OfRun, OfTask, Outcome};
use super::spans::{Span, span};

/// Methods that are counted by name.
const KNOWN_METHODS: [Method; 5] =
    [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE];

/// A request came.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    /// The address as it is routed: what varies in it is not told. None where nothing is.
    pub(crate) route: Option<&'a str>,
    pub(crate) scheme: &'static str,
}

impl Asked<'_> {
    /// The method; whoever comes may call one what they like.
    fn known_method(&self) -> Option<&str> {
        KNOWN_METHODS.contains(self.method).then(|| self.method.as_str())
    }

    /// What its span is made of, in the names that are usual for HTTP.
    pub(crate) fn span(&self) -> SpanBuilder {
        let method = self.known_method();
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.unwrap_or("_OTHER").to_owned()),
            KeyValue::new("url.scheme", self.scheme),
        ];
        let method = method.unwrap_or("HTTP");
        let name = match self.route {
            Some(route) => format!("{method} {route}"),
            None => method.to_owned(),
        };
        attributes.extend(self.route.map(|route| KeyValue::new("http.route", route.to_owned())));
        span(name, SpanKind::Server, attributes)
    }
}

/// A request was answered; of a long answer, its head.
pub(crate) struct Answered<'a> {
    pub(crate) asked: Asked<'a>,
    pub(crate) status: u16,
    pub(crate) took: Duration,
    pub(crate) trace: &'a str,
}

impl Answered<'_> {
    pub(crate) fn emit(&self, figures: &Figures, span: &mut Span) {
        let Answered { asked, status, took, trace } = self;
        let (method, route) = (asked.method, asked.route.unwrap_or("none"));
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(%method, route, status, took_ms, trace, "request");
        span.say("http.response.status_code", i64::from(*status));
        if *status >= 500 {
            span.fail(&status.to_string());
        }
        let method = asked.known_method().unwrap_or("other");
        let label =
            OfRequest { method: method.to_owned(), route: route.to_owned(), status: *status };
        figures.requests.get_or_create(&label).inc();
        figures.request_duration.observe(took.as_secs_f64());
    }
}

/// A run was accepted.
pub(crate) struct RunAccepted<'a> {
    pub(crate) run: &'a RunKey,
    pub(crate) profile: &'a str,
    pub(crate) trace: &'a str,
}

impl RunAccepted<'_> {
    pub(crate) fn emit(&self) {
        let RunAccepted { run, profile, trace } = self;
        tracing::info!(run = run.number, tenant = %run.tenant, profile, trace, "run accepted");
    }
}

/// A run has ended.
pub(crate) struct RunEnded<'a> {
    pub(crate) run: &'a RunKey,
    pub(crate) state: &'a RunState,
    pub(crate) profile: &'a str,
    /// Since it was accepted.
    pub(crate) took: Duration,
}

impl RunEnded<'_> {
    pub(crate) fn emit(&self, figures: &Figures) {
        let RunEnded { run, state, profile, took } = self;
        let profile_kind = profile_kind(profile);
        let code = state.failure.as_ref().map_or("", |failure| failure.code.as_str());
        let took_s = took.as_secs_f64();
        let trace = trace_text(state.origin.map(|origin| origin.trace));
        tracing::info!(run = run.number, tenant = %run.tenant, profile, status = %state.status,
            error_code = code, took_s, trace, "run ended");
        let label = OfRun { profile_kind: profile_kind.clone(), status: state.status.as_str() };
        figures.run_duration.get_or_create(&label).observe(took_s);
        if state.failure.is_some() {
            let label = OfFailure { error_code: code.to_owned(), profile_kind };
            figures.run_failures.get_or_create(&label).inc();
        }
    }
}

/// A profile as figures know it: built-in ones by name, those of tenants as one, so that tenants do
/// not decide how many figures there are.
fn profile_kind(profile: &str) -> String {
    let built_in = stella_engine::adapter_specs().iter().any(|spec| spec.id == profile);
    if built_in { profile.to_owned() } else { "own".to_owned() }
}

/// A worker tells of something.
pub(crate) struct OfWorker<'a>(pub(crate) &'a WorkerEvent<'a>);

impl OfWorker<'_> {
    pub(crate) fn emit(&self, figures: &Figures) {
        match self.0 {
            WorkerEvent::Begun { lease, worker } => {
                let trace = trace_text(lease.trace);
                tracing::debug!(run = lease.run.number, tenant = %lease.run.tenant,
                    task = %lease.task, attempt = lease.attempt, worker,
                    waited_ms = lease.waited_ms, trace, "task begun");
            }
            WorkerEvent::Ended { lease, worker, ending, took_ms } => {
                let (outcome, why) = match ending {
                    Ending::Done(_) => (Outcome::Done, ""),
                    Ending::Failed(failure) => (Outcome::Failed, failure.message.as_str()),
                    Ending::GivenBack => (Outcome::GivenBack, ""),
                };
                let trace = trace_text(lease.trace);
                tracing::info!(run = lease.run.number, tenant = %lease.run.tenant,
                    task = %lease.task, attempt = lease.attempt, worker, took_ms,
                    waited_ms = lease.waited_ms, outcome = outcome.as_str(), why, trace, "task ended");
                let label = OfTask { task: task_kind(&lease.task), outcome };
                let seconds = *took_ms as f64 / 1000.0;
                figures.task_duration.get_or_create(&label).observe(seconds);
            }
            WorkerEvent::Refused { lease, worker, refused } => {
                let trace = trace_text(lease.trace);
                tracing::info!(run = lease.run.number, tenant = %lease.run.tenant,
                    task = %lease.task, attempt = lease.attempt, worker, %refused, trace,
                    "task does not count");
                figures.attempts_refused.inc();
            }
            WorkerEvent::Changed { events, .. } => {
                for event in *events {
                    match event {
                        RunEvent::Planned { snapshot, .. } => {
                            let records = snapshot.sets.iter().map(|set| set.records).sum();
                            figures.source_records.inc_by(records);
                        }
                        RunEvent::Sealed { bundle } => {
                            figures.bundle_bytes.inc_by(bundle.bytes);
                        }
                        RunEvent::Failed { failure, .. } if failure.is_silence => {
                            figures.attempts_lost.inc();
                        }
                        _ => {}
                    }
                }
            }
            WorkerEvent::StoreFailed { run, error } => {
                let run = run.map_or(0, |run| run.number);
                tracing::warn!(run, %error, "the catalog did not answer a worker");
                figures.store_failures.inc();
            }
        }
    }
}

/// A trace as lines of the log have it; empty where none is known.
fn trace_text(trace: Option<TraceParent>) -> String {
    trace.map(|trace| trace.trace_text()).unwrap_or_default()
}

fn task_kind(task: &TaskId) -> &'static str {
    match task {
        TaskId::Plan => "plan",
        TaskId::Make(_) => "make",
        TaskId::Pack(_) => "pack",
        TaskId::Seal => "seal",
        TaskId::Distribute(_) => "distribute",
        TaskId::Verify(_) => "verify",
    }
}
