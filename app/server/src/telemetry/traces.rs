//! The trace that a request belongs to (W3C Trace Context), and what is told of every request.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use super::events::Answered;
use crate::service::{Service, random};

/// What answering a request has at hand everywhere.
struct Answering {
    trace: String,
    /// The data directory, which is nobody's business but the operator's.
    data: String,
}

tokio::task_local! {
    static ANSWERING: Answering;
}

/// The trace of the request that is being answered; empty where none is.
pub(crate) fn trace() -> String {
    ANSWERING.try_with(|answering| answering.trace.clone()).unwrap_or_default()
}

/// A text for whoever sent the request: without the place where the service keeps its files.
pub(crate) fn without_places(text: &str) -> String {
    let hide = |answering: &Answering| text.replace(&answering.data, "DATA");
    ANSWERING.try_with(hide).unwrap_or_else(|_| text.to_owned())
}

/// The trace that a request brings, else a new one.
fn trace_of(headers: &HeaderMap) -> String {
    let brought = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let brought = brought.and_then(|text| text.split('-').nth(1));
    let is_id = |id: &&str| {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        id.len() == 32 && id.bytes().all(is_hex) && id.bytes().any(|byte| byte != b'0')
    };
    match brought.filter(is_id) {
        Some(id) => id.to_owned(),
        // A trace is no secret: without random bytes it is only not told from others.
        None => {
            let bytes = random::<16>().unwrap_or_default();
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
    }
}

/// Gives every request a trace, and tells how it was answered.
pub(crate) async fn traced(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let trace = trace_of(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let begun = Instant::now();
    let data = service.data.to_string_lossy().into_owned();
    let answering = Answering { trace: trace.clone(), data };
    let mut response = ANSWERING.scope(answering, next.run(request)).await;
    let route = route.as_deref().unwrap_or("none");
    let status = response.status().as_u16();
    let answered =
        Answered { method: &method, route, status, took: begun.elapsed(), trace: &trace };
    answered.emit(&service.figures);
    if let Ok(value) = HeaderValue::from_str(&trace) {
        response.headers_mut().insert(HeaderName::from_static("x-trace-id"), value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(traceparent: &str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", traceparent.parse().expect("a value"));
        let trace = trace_of(&headers);
        assert_eq!(trace.len(), 32, "{trace}");
        match expected {
            Some(expected) => assert_eq!(trace, expected),
            None => assert!(!traceparent.contains(&trace)),
        }
    }

    #[test]
    fn a_trace_is_taken_over_if_it_is_one() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        check(&format!("00-{id}-b7ad6b7169203331-01"), Some(id));
        for bad in
            ["", "00", "00-1-2-3", &format!("00-{}-b7-01", "0".repeat(32)), &id.to_uppercase()]
        {
            check(bad, None);
        }
    }
}
