//! The trace that a request belongs to (W3C Trace Context), and what is told of every request.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use stella_model::TenantId;
use stella_run::TraceParent;

use super::events::{Answered, Asked};
use crate::service::Service;

/// What answering a request has at hand everywhere.
struct Answering {
    /// The span of the request.
    span: TraceParent,
    /// Whoever answers.
    service: Arc<Service>,
}

tokio::task_local! {
    static ANSWERING: Answering;
}

/// The trace of the request that is being answered; empty where none is.
pub(crate) fn trace() -> String {
    asked_by().map(|span| span.trace_text()).unwrap_or_default()
}

/// The span of the request that is being answered; none where none is.
pub(crate) fn asked_by() -> Option<TraceParent> {
    ANSWERING.try_with(|answering| answering.span).ok()
}

/// A text for whoever sent the request: where everything is, is nobody's business but the operator's.
pub(crate) fn without_places(text: &str) -> String {
    let hide =
        |answering: &Answering| answering.service.store(&TenantId::local()).without_places(text);
    ANSWERING.try_with(hide).unwrap_or_else(|_| text.to_owned())
}

/// The span that a request comes from, if it says so.
fn brought(headers: &HeaderMap) -> Option<TraceParent> {
    let mut all = headers.get_all("traceparent").iter();
    // One that comes twice says two things.
    let (first, None) = (all.next()?, all.next()) else { return None };
    first.to_str().ok()?.parse().ok()
}

/// Gives every request a span in the trace that it brings, else in a new one, and tells how it was
/// answered.
pub(crate) async fn traced(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let parent = brought(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let asked = Asked { method: &method, route: route.as_deref(), scheme: service.scheme };
    let mut span = service.spans.begin(asked.span(), parent);
    let begun = Instant::now();
    let answering = Answering { span: span.name(), service: service.clone() };
    let trace = answering.span.trace_text();
    let mut response = ANSWERING.scope(answering, next.run(request)).await;
    let status = response.status().as_u16();
    let answered = Answered { asked, status, took: begun.elapsed(), trace: &trace };
    answered.emit(&service.figures, &mut span);
    if let Ok(value) = HeaderValue::from_str(&trace) {
        response.headers_mut().insert(HeaderName::from_static("x-trace-id"), value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sent: &[&str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append("traceparent", value.parse().expect("a value"));
        }
        assert_eq!(brought(&headers).map(|span| span.trace_text()).as_deref(), expected);
    }

    #[test]
    fn a_trace_is_taken_over_if_it_is_one() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let good = format!("00-{id}-b7ad6b7169203331-01");
        check(&[&good], Some(id));
        check(&[&good, &good], None);
        for bad in
            ["", "00", "00-1-2-3", &format!("00-{}-b7-01", "0".repeat(32)), &id.to_uppercase()]
        {
            check(&[bad], None);
        }
    }
}
