//! The span of an attempt at a task, and of the stages in it.

use std::sync::{Mutex, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use stella_engine::{Progress, Stage, StageUpdate};
use stella_model::ErrorCode;
use stella_run::{Failure, Lease, TaskResult};

use super::figures::Outcome;
use super::spans::{Span, Spans, span};

/// An attempt at a task, by a worker: a child of the request that asked for the run, wherever that was
/// answered.
pub(crate) struct TaskSpan<'a> {
    spans: &'a Spans,
    /// None where spans are sent nowhere.
    span: Option<Span>,
}

impl<'a> TaskSpan<'a> {
    /// That it begins now.
    pub(crate) fn begin(spans: &'a Spans, lease: &Lease, worker: &str) -> TaskSpan<'a> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let begin = || {
            let attributes = vec![
                KeyValue::new("export_center.run", number(lease.run.number)),
                KeyValue::new("export_center.tenant", lease.run.tenant.to_string()),
                KeyValue::new("export_center.task", lease.task.to_string()),
                KeyValue::new("export_center.attempt", i64::from(lease.attempt)),
                KeyValue::new("export_center.worker", worker.to_owned()),
                KeyValue::new("export_center.waited_ms", lease.waited_ms),
            ];
            let name = format!("task {}", lease.task);
            spans.begin(span(name, SpanKind::Consumer, attributes), lease.trace)
        };
        TaskSpan { spans, span: spans.are_sent().then(begin) }
    }

    /// Tells of the stages of the task as spans within it, and of how far they are as before.
    pub(crate) fn stages<'t>(&'t self, progress: &'t dyn Progress) -> Stages<'t> {
        Stages { of: self, progress, open: Mutex::new(None) }
    }

    /// That it ended so.
    pub(crate) fn end(mut self, done: &Result<TaskResult, Option<Failure>>) {
        let Some(span) = &mut self.span else { return };
        let outcome = match done {
            Ok(_) => Outcome::Done,
            Err(None) => Outcome::GivenBack,
            Err(Some(failure)) => {
                span.fail(&failure.code);
                Outcome::Failed
            }
        };
        span.say("export_center.outcome", outcome.as_str());
        self.span = None;
    }
}

impl Drop for TaskSpan<'_> {
    /// A defect ends the task without another word.
    fn drop(&mut self) {
        if let Some(span) = &mut self.span {
            span.fail(ErrorCode::Internal.as_str());
            span.say("export_center.outcome", Outcome::Failed.as_str());
        }
    }
}

/// The stages of a task, one after the other.
pub(crate) struct Stages<'t> {
    of: &'t TaskSpan<'t>,
    progress: &'t dyn Progress,
    open: Mutex<Option<(Stage, Span)>>,
}

impl Progress for Stages<'_> {
    fn update(&self, update: &StageUpdate) {
        self.progress.update(update);
        let Some(task) = &self.of.span else { return };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_none_or(|(stage, _)| *stage != update.stage) {
            // The one before is over where the next one begins.
            *open = None;
            if update.finished.is_none() {
                let builder =
                    span(format!("stage {}", update.stage.as_str()), SpanKind::Internal, vec![]);
                *open = Some((update.stage, self.of.spans.begin(builder, Some(task.name()))));
            }
        } else if update.finished.is_some() {
            *open = None;
        }
    }
}
