//! The OpenAPI document is what is served, and what the repository and its pages have.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// A request of the document, with something in every place that varies.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) method: String,
    /// After the base.
    pub(crate) path: String,
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
            found.push(Operation {
                name: operation["operationId"].as_str().expect("a name").to_owned(),
                method: method.to_uppercase(),
                path: path.strip_prefix("/api/export/v1").expect("a base").to_owned(),
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
