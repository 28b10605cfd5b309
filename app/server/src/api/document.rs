//! The OpenAPI document: made of the handlers, completed from the table of requests.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;

use super::problem::{Detail, ProblemBody};
use super::{BASE, routes};
use crate::access::REQUESTS;

/// Statuses that any request may be answered with.
const ANY: [(&str, &str); 5] = [
    ("400", "the request is not understood"),
    ("404", "there is no such thing, or it is not the tenant's"),
    ("405", "the address does not know the method"),
    ("500", "something failed that no request should make fail"),
    ("503", "the catalog or the ledger does not answer"),
];

/// Statuses of requests that take a token.
const WITH_TOKEN: [(&str, &str); 3] = [
    ("401", "no token, or none that is known and valid"),
    ("403", "the token does not have the scope, or belongs to another tenant"),
    ("429", "a quota is used up, or requests come too fast"),
];

/// Statuses of requests that change something.
const CHANGING: [(&str, &str); 5] = [
    ("409", "something else is already there, or the state does not allow it"),
    ("412", "it is not what the request says that it is"),
    ("413", "the body is too large"),
    ("415", "the body is of another type"),
    ("422", "a member of the body is wrong"),
];

/// The document.
pub(crate) fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Export Center")
        .version(stella_model::PRODUCT_VERSION)
        .description(Some("Portable bundles of security evidence: runs, bundles, profiles, audit."))
        .license(Some(utoipa::openapi::License::new("Apache-2.0")))
        .build();
    let (_, api) = OpenApiRouter::new().nest(BASE, routes()).split_for_parts();
    let mut document = OpenApiBuilder::from(api).info(info).build();
    let components = document.components.get_or_insert_default();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.security_schemes.insert("token".to_owned(), bearer.into());
    components.schemas.insert(ProblemBody::name().into_owned(), ProblemBody::schema());
    components.schemas.insert(Detail::name().into_owned(), Detail::schema());
    // Of the router's way to say that a name has slashes in it, OpenAPI knows nothing.
    let paths = std::mem::take(&mut document.paths.paths);
    let plain = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item));
    document.paths.paths = plain.collect();
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("GET", &mut item.get),
            ("PUT", &mut item.put),
            ("POST", &mut item.post),
            ("DELETE", &mut item.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            let path = path.strip_prefix(BASE).unwrap_or(path);
            let row = REQUESTS
                .iter()
                .find(|row| row.method.as_str() == method && row.path.replace("{*", "{") == path);
            let responses = &mut operation.responses.responses;
            let mut add = |statuses: &[(&str, &str)]| {
                for (status, meaning) in statuses {
                    responses.entry((*status).to_owned()).or_insert_with(|| problem(meaning));
                }
            };
            add(&ANY);
            if method != "GET" {
                add(&CHANGING);
            }
            if let Some(row) = row {
                add(&WITH_TOKEN);
                let scopes = row.scope.map(|scope| scope.as_str());
                operation.security = Some(vec![SecurityRequirement::new("token", scopes)]);
                operation.operation_id = Some(row.name.to_owned());
                let roles = serde_json::json!({ "x-roles": row.roles() });
                operation.extensions = serde_json::from_value(roles).ok();
            }
        }
    }
    document
}

fn problem(meaning: &str) -> RefOr<Response> {
    let schema = Ref::from_schema_name(ProblemBody::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new().description(meaning);
    response.content("application/problem+json", content).build().into()
}
