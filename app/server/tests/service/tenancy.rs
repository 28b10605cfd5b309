//! Nobody sees, changes or hears of what another tenant has (INV-TENANT), and within a tenant
//! everybody may what their role says.

use serde_json::{Value, json};

use crate::document::{Operation, operations};
use crate::server::{Answer, Server, ingest};

const ROLES: [&str; 4] = ["viewer", "operator", "admin", "auditor"];

/// A token of a role.
fn token(server: &Server, admin: &str, role: &str) -> String {
    let order = json!({ "name": role, "role": role }).to_string();
    let made = server.as_somebody(admin).ask("POST", "/tokens", &[], &order);
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["token"].as_str().expect("a token").to_owned()
}

/// A body that the request could have.
fn body(operation: &Operation) -> String {
    match operation.name.as_str() {
        "run.create" | "plan.create" => r#"{"profile":"secret-profile"}"#.to_owned(),
        "profile.put" => r#"{"name":"nightly","outputs":["mirror:full"]}"#.to_owned(),
        "token.create" => r#"{"name":"x","role":"viewer"}"#.to_owned(),
        "feed.ingest" => "not evidence".to_owned(),
        _ => String::new(),
    }
}

/// Streams of events do not end by themselves.
fn is_stream(operation: &Operation) -> bool {
    operation.name == "event.list"
}

#[test]
pub(crate) fn every_role_may_what_the_table_says() {
    let dir = stella_testkit::temp_dir();
    let server = Server::start(dir.path(), None);
    for role in ROLES {
        let token = token(&server, &server.token, role);
        let client = server.as_somebody(&token);
        for operation in operations().iter().filter(|operation| operation.scopes.is_some()) {
            if is_stream(operation) {
                continue;
            }
            let may = operation.roles.iter().any(|allowed| allowed == role);
            let answer = client.ask(&operation.method, &operation.path, &[], &body(operation));
            assert_eq!(answer.status != 403, may, "{role}: {operation:?} {answer:?}");
        }
    }
    // Whoever was not allowed to is in the log.
    let log = server.ask("GET", "/audit?limit=1000", &[], "").json();
    let denied = log["items"].as_array().expect("entries").iter();
    let denied = denied.filter(|entry| entry["outcome"] == json!("denied")).count();
    let expected: usize = operations()
        .iter()
        .filter(|operation| operation.scopes.is_some() && !is_stream(operation))
        .map(|operation| ROLES.len() - operation.roles.len())
        .sum();
    assert_eq!(denied, expected);
    let verdict = server.ask("GET", "/audit/verification", &[], "").json();
    assert_eq!(verdict["result"], json!("pass"), "{verdict}");
}

/// Mangles a token in one of many ways.
fn mangled(token: &str, how: usize) -> String {
    let at = how % token.len();
    match how % 5 {
        0 => token[..at].to_owned(),
        1 => token.replacen("ec1.other/", "ec1.local/", 1),
        2 => format!("{}{}", token, "A".repeat(at + 1)),
        3 => {
            let mut bytes = token.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).expect("is ASCII")
        }
        _ => token.replacen("ec1.other/", "ec1.secret-tenant/", 1),
    }
}

#[test]
pub(crate) fn nothing_of_another_tenant_ever_comes_back() {
    let dir = stella_testkit::temp_dir();
    ingest(dir.path());
    let more = ["--rate", "1000000"];
    let server = Server::start_with(dir.path(), None, &more);
    // What the other one must not see: two runs, a profile, a token, feeds.
    let secret = r#"{"name":"secret-profile","outputs":["mirror:full"]}"#;
    let new = [("If-None-Match", "*")];
    assert_eq!(server.ask("PUT", "/profiles/secret-profile", &new, secret).status, 201);
    server.start_run("secret-profile", &[]);
    let run = server.wait("r-1");
    assert_eq!(run["status"], json!("succeeded"), "{run}");
    server.start_run("mirror:full", &[]);
    server.wait("r-2");
    let manifest = server.ask("GET", "/runs/r-1/manifest", &[], "").json();
    let part = manifest["parts"][0]["path"].as_str().expect("a part").to_owned();
    let mut words: Vec<String> = ["secret-profile", "ec1.local"].map(str::to_owned).into();
    for member in ["exportDigest", "planHash"] {
        words.push(run[member].as_str().expect("a digest").to_owned());
    }
    let other = server.add_tenant("other");
    let tokens: Vec<String> =
        ROLES.iter().map(|role| token(&server, &other, role)).chain([other.clone()]).collect();
    let paths = |operation: &Operation| {
        let path = &operation.path;
        let mut paths = vec![path.clone(), path.replace("r-1", "r-2")];
        paths.push(path.replace("nightly", "secret-profile"));
        paths.push(path.replace("export.json", &part));
        paths.sort();
        paths.dedup();
        paths
    };
    let operations: Vec<Operation> = operations()
        .into_iter()
        .filter(|operation| operation.scopes.is_some() && !is_stream(operation))
        .collect();
    let wanted = stella_testkit::rounds(1_500, 50_000);
    let (mut sent, mut how) = (0, 0);
    let check = |operation: &Operation, path: &str, answer: &Answer| {
        let text = String::from_utf8_lossy(&answer.body);
        // A name in the request comes back where the answer says that there is none.
        // So it does in the log of what the other tenant asked for itself.
        let own = if operation.name == "audit.list" { "secret-profile" } else { "" };
        let asked = format!("{path} {} {own}", body(operation));
        let shown = words.iter().find(|word| text.contains(*word) && !asked.contains(*word));
        assert_eq!(shown, None, "{operation:?} {path}: {text}");
        assert!(answer.status < 500, "{operation:?} {path}: {text}");
        if path.contains("r-1") || path.contains("r-2") {
            // Whoever tries too many tokens has to wait.
            assert!([401, 403, 404, 405, 429].contains(&answer.status), "{operation:?} {answer:?}");
        }
    };
    while sent < wanted {
        for operation in &operations {
            // Nothing is made: numbers of runs stay what they are.
            if matches!(operation.name.as_str(), "token.revoke" | "token.create") {
                continue;
            }
            for path in paths(operation) {
                // A feed of this name would be the other tenant's own.
                if operation.name == "feed.ingest" && path.contains("secret-profile") {
                    continue;
                }
                for token in &tokens {
                    how += 1;
                    let (token, header) = match how % 4 {
                        0 => (mangled(token, how), None),
                        1 => (token.clone(), Some(("X-Stella-Tenant", "local"))),
                        2 => (token.clone(), Some(("X-Stella-Tenant", "secret-tenant"))),
                        _ => (token.clone(), None),
                    };
                    let client = server.as_somebody(&token);
                    let header = header.as_slice();
                    let answer = client.ask(&operation.method, &path, header, &body(operation));
                    check(operation, &path, &answer);
                    sent += 1;
                }
            }
        }
    }
    // All of it happened in the other tenant: the first one has no entry more than its own.
    let log = server.ask("GET", "/audit?limit=1000", &[], "").json();
    let foreign = |entry: &&Value| entry["outcome"] == json!("denied");
    assert_eq!(log["items"].as_array().expect("entries").iter().find(foreign), None);
    let listed = server.ask("GET", "/runs", &[], "").json();
    assert_eq!(listed["items"].as_array().expect("runs").len(), 2);
}
