//! The OpenAPI document is what is served, and what the repository and its pages have.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::server::Server;

/// A request of the document, with something in every place that varies.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) method: String,
    /// After the base, if it has one.
    pub(crate) path: String,
    /// Whether it takes parameters, behind the question mark.
    pub(crate) takes_parameters: bool,
    /// None if it takes no token.
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) roles: Vec<String>,
    pub(crate) summary: String,
}

fn document() -> Value {
    let program = env!("CARGO_BIN_EXE_export-center");
    let printed = Command::new(program).arg("openapi").output().expect("runs");
    assert!(printed.status.success(), "{printed:?}");
    serde_json::from_slice(&printed.stdout).expect("is JSON")
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str()).map(str::to_owned).collect()
}

/// Every request, as the document has it.
pub(crate) fn operations() -> Vec<Operation> {
    let mut found = templates();
    for operation in &mut found {
        operation.path = operation.path.replace("{id}", "r-1").replace("{name}", "nightly");
        operation.path = operation.path.replace("{path}", "export.json");
        operation.path = operation.path.replace("{kind}", "advisories");
    }
    found
}

/// Every request, with names in braces where something varies.
fn templates() -> Vec<Operation> {
    let document = document();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let security = &operation["security"][0]["token"];
            let parameters = operation["parameters"].as_array();
            let mut parameters = parameters.into_iter().flatten();
            found.push(Operation {
                name: operation["operationId"].as_str().expect("a name").to_owned(),
                method: method.to_uppercase(),
                path: path.strip_prefix("/api/export/v1").unwrap_or(path).to_owned(),
                takes_parameters: parameters.any(|parameter| parameter["in"] == "query"),
                scopes: security.is_array().then(|| texts(security)),
                roles: texts(&operation["x-roles"]),
                summary: operation["summary"].as_str().unwrap_or_default().to_owned(),
            });
        }
    }
    found
}

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Holds a file against what it should be; writes it where the developer asks for that.
fn check(path: &str, expected: &str) {
    let path = file(path);
    if std::env::var_os("STELLA_BLESS").is_some() {
        std::fs::write(&path, expected).expect("writes");
    }
    let found = std::fs::read_to_string(&path).expect("reads");
    assert!(found == expected, "{} is not what it should be: STELLA_BLESS=1", path.display());
}

#[test]
pub(crate) fn the_service_keeps_what_the_document_promises() {
    let Some(mut program) = stella_peers::python("schemathesis", "4.32.5") else { return };
    let dir = stella_testkit::temp_dir();
    crate::server::ingest(dir.path());
    let server = Server::start_with(dir.path(), None, &["--rate", "100000"]);
    server.start_run("mirror:full", &[]);
    server.wait("r-1");
    let address = format!("http://{}/api/export/v1/openapi.json", server.address);
    program.args(["-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"]);
    program.args([address.as_str(), "-H", &format!("Authorization: Bearer {}", server.token)]);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_schema_conformance,unsupported_method";
    // Streams of events do not end, and a token that revokes itself is known to nobody.
    program.args(["--exclude-path", "/api/export/v1/events", "--checks", checks]);
    program.args(["--max-examples", &stella_testkit::rounds(5, 200).to_string()]);
    program.args(["--request-timeout", "20", "--no-color"]).current_dir(dir.path());
    let judged = program.output().expect("python runs");
    let text = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{text}{}", String::from_utf8_lossy(&judged.stderr));
    assert!(text.contains("API Operations:"), "{text}");
}

#[test]
fn the_document_of_the_repository_is_the_one_that_is_served() {
    let mut text = serde_json::to_string_pretty(&document()).expect("is JSON");
    text.push('\n');
    check("openapi/export-center.json", &text);
}

#[test]
fn the_page_has_every_request_with_its_scope_and_roles() {
    let path = "docs/modules/export-center/api.md";
    let page = std::fs::read_to_string(file(path)).expect("reads");
    let (begin, end) = ("<!-- requests -->\n", "<!-- end of requests -->\n");
    let (before, rest) = page.split_once(begin).expect("a beginning");
    let (_, after) = rest.split_once(end).expect("an end");
    let mut table =
        "| request | what it does | scope | roles |\n| --- | --- | --- | --- |\n".to_owned();
    for Operation { method, path, summary, scopes, roles, .. } in templates() {
        let scope = match scopes {
            Some(scopes) if scopes.is_empty() => "any token".to_owned(),
            Some(scopes) => format!("`{}`", scopes.join(" ")),
            None => "none".to_owned(),
        };
        let summary = summary.trim_end_matches('.').replace('\n', " ");
        let roles = roles.join(", ");
        table.push_str(&format!("| `{method} {path}` | {summary} | {scope} | {roles} |\n"));
    }
    check(path, &format!("{before}{begin}{table}{end}{after}"));
}
