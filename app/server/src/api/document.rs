//! The OpenAPI document: made of the handlers, completed from the table of requests.

use axum::http::Method;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Response,
    ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::problem::{Detail, ProblemBody};
use super::{BASE, addresses};
use crate::access::{REQUESTS, Request};

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
const CHANGING: [(&str, &str); 6] = [
    ("408", "the body did not come"),
    ("409", "something else is already there, or the state does not allow it"),
    ("412", "it is not what the request says that it is"),
    ("413", "the body is too large"),
    ("415", "the body is of another type"),
    ("422", "a member of the body is wrong"),
];

/// Statuses of requests for something of a bundle.
const OF_BUNDLE: [(&str, &str); 2] =
    [("409", "the run has no bundle"), ("410", "the bundle is not kept any more")];

/// Headers with which a range is asked for.
const RANGE_HEADERS: [(&str, &str); 3] = [
    ("Range", "one range of bytes"),
    ("If-Range", "the tag of what is there already"),
    ("If-None-Match", "tags of what is there already"),
];

/// The document.
pub(crate) fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Export Center")
        .version(stella_model::PRODUCT_VERSION)
        .description(Some("Portable bundles of security evidence: runs, bundles, profiles, audit."))
        .license(Some(utoipa::openapi::License::new("Apache-2.0")))
        .build();
    let (_, api) = addresses().split_for_parts();
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
            complete(operation, method, row_of(method, path));
        }
    }
    document
}

/// The row of a request, if it takes a token.
fn row_of(method: &str, path: &str) -> Option<&'static Request> {
    let is_it =
        |row: &&Request| row.method.as_str() == method && row.path.replace("{*", "{") == path;
    REQUESTS.iter().find(is_it)
}

/// Adds what all requests of a sort have in common.
fn complete(operation: &mut Operation, method: &str, row: Option<&Request>) {
    add(operation, &ANY);
    if method != "GET" {
        add(operation, &CHANGING);
    }
    let Some(row) = row else { return };
    add(operation, &WITH_TOKEN);
    if row.name.starts_with("bundle.") {
        add(operation, &OF_BUNDLE);
    }
    if row.name == "ledger.export" {
        add(operation, &[("410", "the sequence cannot be read, or not any more")]);
    }
    if matches!(row.name, "bundle.part" | "bundle.download") {
        add_ranges(operation);
    }
    if row.method != Method::GET && !matches!(row.name, "plan.create" | "feed.ingest") {
        let key =
            header("Idempotency-Key", "a request with the same key within a day is done once");
        operation.parameters.get_or_insert_default().push(key);
    }
    let scopes = row.scope.map(|scope| scope.as_str());
    operation.security = Some(vec![SecurityRequirement::new("token", scopes)]);
    operation.operation_id = Some(row.name.to_owned());
    let roles = serde_json::json!({ "x-roles": row.roles() });
    operation.extensions = serde_json::from_value(roles).ok();
}

/// Adds statuses with which a request may be refused.
fn add(operation: &mut Operation, statuses: &[(&str, &str)]) {
    for (status, meaning) in statuses {
        let responses = &mut operation.responses.responses;
        responses.entry((*status).to_owned()).or_insert_with(|| problem(meaning));
    }
}

/// Adds what a request may ask for and get of bytes of which a range may be asked for.
fn add_ranges(operation: &mut Operation) {
    add(operation, &[("416", "the range is not within it")]);
    let responses = &mut operation.responses.responses;
    if let Some(whole) = responses.get("200").cloned() {
        responses.insert("206".to_owned(), whole);
    }
    let there = ResponseBuilder::new().description("it is there already").build();
    responses.insert("304".to_owned(), there.into());
    let headers = RANGE_HEADERS.map(|(name, meaning)| header(name, meaning));
    operation.parameters.get_or_insert_default().extend(headers);
}

/// A header that a request may have.
fn header(name: &str, meaning: &str) -> RefOr<Parameter> {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
    let header = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header);
    let header = header.description(Some(meaning)).required(Required::False);
    header.schema(Some(text.max_length(Some(255)))).build().into()
}

fn problem(meaning: &str) -> RefOr<Response> {
    let schema = Ref::from_schema_name(ProblemBody::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new().description(meaning);
    response.content("application/problem+json", content).build().into()
}
