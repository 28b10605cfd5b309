//! Feeds that are for all tenants.

use std::path::Path;

use serde_json::{Value, json};

use crate::feeds::lines;
use crate::operator::command;
use crate::server::{Client, Server};

/// A token of who keeps the library, of whom nobody has heard before.
fn keeper(data: &Path) -> String {
    let (code, told) = command(data, &["token", "library"]);
    assert_eq!(code, Some(0), "{told}");
    told.trim().rsplit(' ').next().expect("a word").to_owned()
}

/// Takes the samples of npm in as a feed.
fn fill(client: &Client<'_>, feed: &str) {
    let text = String::from_utf8(lines()).expect("is text");
    let path = format!("/feeds/{feed}/records?licence=CC-BY-4.0&redistribution=false");
    let taken = client.ask("POST", &path, &[], &text);
    assert_eq!((taken.status, &taken.json()["added"]), (200, &json!(9)), "{taken:?}");
}

fn items(client: &Client<'_>, path: &str) -> Vec<Value> {
    client.ask("GET", path, &[], "").json()["items"].as_array().expect("a list").clone()
}

/// The actions in an audit log that have to do with subscriptions.
fn subscriptions(client: &Client<'_>) -> Vec<(String, Value)> {
    let log = items(client, "/audit?limit=1000").into_iter();
    let told = log.map(|entry| {
        let action = entry["action"].as_str().unwrap_or_default().to_owned();
        (action, entry["details"]["changed"].clone())
    });
    told.filter(|(action, _)| action.ends_with("subscribe")).collect()
}

#[test]
pub(crate) fn a_feed_of_the_library_is_read_by_those_who_are_subscribed() {
    let dir = stella_testkit::temp_dir();
    let server = Server::start(dir.path(), None);
    let (library, other) = (keeper(dir.path()), server.add_tenant("other"));
    let [library, other] = [&library, &other].map(|token| server.as_somebody(token));
    let tenant = server.as_somebody(&server.token);
    fill(&library, "npm");
    for client in [&tenant, &other] {
        let offered = items(client, "/library/feeds");
        assert_eq!(
            (&offered[0]["name"], &offered[0]["subscribed"]),
            (&json!("npm"), &json!(false))
        );
        assert!(items(client, "/feeds").is_empty());
    }
    let path = "/feeds/npm/subscription";
    let once = [("Idempotency-Key", "s-1")];
    for headers in [&once[..], &once, &[]] {
        assert_eq!(tenant.ask("PUT", path, headers, "").status, 204);
    }
    assert_eq!(tenant.ask("DELETE", path, &once, "").problem().0, 409, "the key is another's");
    let own = items(&tenant, "/feeds");
    assert_eq!((&own[0]["library"], &own[0]["records"]), (&json!(true), &json!({ "advisory": 9 })));
    let refused = tenant.ask("POST", "/feeds/npm/records", &[], "{}");
    assert_eq!(refused.problem(), (409, "ERR_EXPORT_CONFLICT".to_owned()));
    assert!(refused.json()["hint"].as_str().is_some_and(|hint| hint.contains("unsubscribe")));

    server.start_run("mirror:full", &[]);
    let run = server.wait("r-1");
    assert_eq!(run["status"], json!("succeeded"), "{run}");
    let manifest = server.ask("GET", "/runs/r-1/manifest", &[], "").json();
    let feed = &manifest["feeds"][0];
    assert_eq!((&feed["feed"], &feed["licence"]), (&json!("npm"), &json!("CC-BY-4.0")));
    assert_eq!(feed["redistribution"], json!(false), "{feed}");
    let page = tenant.ask("GET", "/ledger/export/advisories", &[], "");
    assert!(!String::from_utf8_lossy(&page.body).contains("npm"), "{page:?}");
    // Nothing of it is the other's, nor are they told of it.
    assert_eq!(items(&other, "/library/feeds")[0]["subscribed"], json!(false));
    assert!(items(&other, "/feeds").is_empty() && subscriptions(&other).is_empty());
    assert_eq!(other.ask("GET", "/feeds/npm", &[], "").status, 404);
    assert_eq!(other.ask("DELETE", path, &[], "").status, 204, "there was none");
    assert_eq!(items(&tenant, "/feeds").len(), 1);

    assert_eq!(tenant.ask("DELETE", path, &[], "").status, 204);
    assert!(items(&tenant, "/feeds").is_empty());
    server.start_run("mirror:full", &[]);
    assert_eq!(server.wait("r-2")["failure"]["code"], json!("ERR_EXPORT_EMPTY"));
    assert_eq!(server.ask("GET", "/runs/r-1/bundle.tar", &[], "").status, 200, "it is still there");
    let wanted = |action: &str, changed: Value| (action.to_owned(), changed);
    let expected = [
        wanted("feed.subscribe", Value::Null),
        wanted("feed.subscribe", json!(true)),
        wanted("feed.subscribe", Value::Null),
        wanted("feed.subscribe", json!(false)),
        wanted("feed.unsubscribe", Value::Null),
        wanted("feed.unsubscribe", json!(true)),
    ];
    assert_eq!(subscriptions(&tenant), expected);
}

#[test]
pub(crate) fn what_cannot_be_subscribed_to_says_why() {
    let dir = stella_testkit::temp_dir();
    let server = Server::start(dir.path(), None);
    let tenant = server.as_somebody(&server.token);
    let unknown = (404, "ERR_EXPORT_NOT_FOUND".to_owned());
    // Before anybody brought evidence, and after.
    assert!(items(&tenant, "/library/feeds").is_empty());
    for method in ["PUT", "DELETE"] {
        let answer = tenant.ask(method, "/feeds/npm/subscription", &[], "");
        assert_eq!(answer.problem(), unknown, "{answer:?}");
    }
    let library = keeper(dir.path());
    let library = server.as_somebody(&library);
    fill(&library, "pypi");
    assert_eq!(tenant.ask("PUT", "/feeds/npm/subscription", &[], "").problem(), unknown);
    assert_eq!(tenant.ask("PUT", "/feeds/..%2f/subscription", &[], "").problem(), unknown);
    // A name is one feed, and what is one's own already needs no subscription.
    fill(&tenant, "pypi");
    for client in [&tenant, &library] {
        let refused = client.ask("PUT", "/feeds/pypi/subscription", &[], "");
        assert_eq!(refused.problem(), (409, "ERR_EXPORT_CONFLICT".to_owned()));
        assert!(refused.json()["message"].as_str().is_some_and(|told| told.contains("pypi")));
    }
    let log = items(&tenant, "/audit?limit=1000").into_iter();
    let failed = log.filter(|entry| entry["outcome"] == json!("failed"));
    let codes: Vec<Value> = failed.map(|entry| entry["details"]["code"].clone()).collect();
    let missing = "ERR_EXPORT_NOT_FOUND";
    assert_eq!(codes, [missing, missing, missing, "ERR_EXPORT_CONFLICT"]);
}
