//! Parameters of addresses: one that a request does not take is a mistake and not passed over. Whoever asks
//! to try something with `dryRun` shall not have it done.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use stella_model::screen::Safe;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};

use super::{BASE, Problem, document};
use crate::access;

/// The ids of requests that take parameters, as the OpenAPI document has them.
static TAKING: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let is_query = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
        RefOr::Ref(_) => false,
    };
    let document = document();
    let items = document.paths.paths.values();
    let operations = items.flat_map(|item| [&item.get, &item.put, &item.post, &item.delete]);
    let takes_any = |operation: &&Operation| operation.parameters.iter().flatten().any(is_query);
    let taking = operations.flatten().filter(takes_any);
    taking.filter_map(|operation| operation.operation_id.clone()).collect()
});

/// Refuses parameters of a request that takes none. Those of others are for whoever reads them to judge. Who
/// asks is looked up later: what is misspelt is for nobody.
pub(super) async fn refuse_stray(request: Request, next: Next) -> Response {
    match stray(&request) {
        Some(name) => {
            let message = format!("the request takes no parameter `{}`, nor any other", Safe(name));
            Problem::usage(message).into_response()
        }
        None => next.run(request).await,
    }
}

/// The first parameter of a request with a token that takes none.
fn stray(request: &Request) -> Option<&str> {
    let query = request.uri().query()?;
    let name = query.split('&').find(|piece| !piece.is_empty())?;
    let path = request.extensions().get::<MatchedPath>()?.as_str();
    let path = path.strip_prefix(BASE).unwrap_or(path);
    let row = access::Request::of(request.method(), path)?;
    (!TAKING.contains(row.name)).then(|| name.split('=').next().unwrap_or(name))
}
