//! Tokens of an identity provider.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use stella_peers::OidcProvider;

use crate::server::{LONGEST, Server};

/// A provider with one key.
struct Issuer {
    address: String,
    /// How often its keys were asked for.
    asked: Arc<AtomicUsize>,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("a key")
}

fn jwk(kid: &str, key: &SigningKey) -> Value {
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = (point.x().expect("a point"), point.y().expect("a point"));
    json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": kid,
            "x": BASE64.encode(x), "y": BASE64.encode(y) })
}

impl Issuer {
    fn start() -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(AtomicUsize::new(0));
        let issuer = Issuer { address: address.clone(), asked: asked.clone() };
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream.try_clone().expect("clones"));
                let mut first = String::new();
                reader.read_line(&mut first).ok();
                let body = if first.contains("openid-configuration") {
                    json!({ "issuer": address, "jwks_uri": format!("{address}/keys") })
                } else {
                    asked.fetch_add(1, Ordering::Relaxed);
                    json!({ "keys": [jwk("one", &key(1))] })
                };
                let body = body.to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", body.len());
                write!(stream, "{head}Connection: close\r\n\r\n{body}").ok();
            }
        });
        issuer
    }

    /// Claims of somebody who may something.
    fn claims(&self) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        json!({ "iss": self.address, "aud": "export-center", "sub": "ada", "exp": now + 300,
                "nbf": now - 5, "export_center": { "local": ["viewer"] } })
    }
}

/// A token with a head and claims, signed by a key.
fn token(head: &Value, claims: &Value, key: &SigningKey) -> String {
    let text = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
    let signature: Signature = key.sign(text.as_bytes());
    format!("{text}.{}", BASE64.encode(signature.to_bytes()))
}

#[test]
pub(crate) fn who_the_provider_knows_may_what_it_says_and_nobody_else() {
    let issuer = Issuer::start();
    let dir = stella_testkit::temp_dir();
    let more = ["--oidc-issuer", &issuer.address, "--oidc-audience", "export-center"];
    let server = Server::start_with(dir.path(), None, &more);
    let head = json!({ "alg": "ES256", "kid": "one", "typ": "JWT" });
    let ask = |token: &str, headers: &[(&str, &str)]| {
        server.as_somebody(token).ask("GET", "/me", headers, "")
    };
    let with = |member: &str, value: Value| {
        let mut claims = issuer.claims();
        claims[member] = value;
        token(&head, &claims, &key(1))
    };
    let good = token(&head, &issuer.claims(), &key(1));
    let me = ask(&good, &[]);
    assert_eq!(me.status, 200, "{me:?}");
    assert_eq!(me.json()["name"], json!("oidc:ada"));
    assert_eq!(me.json()["roles"], json!(["viewer"]));
    // What they may not is in the log under their name.
    let denied = server.as_somebody(&good).ask("POST", "/runs", &[], r#"{"profile":"json:raw"}"#);
    assert_eq!(denied.problem().0, 403);
    let log = server.ask("GET", "/audit", &[], "").json();
    let last = log["items"].as_array().expect("entries").last().cloned().expect("one");
    assert_eq!((&last["actor"], &last["outcome"]), (&json!("oidc:ada"), &json!("denied")));
    // Tokens of the service go on to work.
    assert_eq!(ask(&server.token.clone(), &[]).status, 200);
    let now = issuer.claims()["nbf"].as_u64().expect("a time");
    let hmac = json!({ "alg": "HS256", "kid": "one" });
    let none = json!({ "alg": "none", "kid": "one" });
    let bare = format!(
        "{}.{}.",
        BASE64.encode(none.to_string()),
        BASE64.encode(issuer.claims().to_string())
    );
    let bad = [
        ("expired", with("exp", json!(now - 100))),
        ("not yet", with("nbf", json!(now + 500))),
        ("for others", with("aud", json!("another"))),
        ("of others", with("iss", json!("https://other.example"))),
        ("without an end", with("exp", Value::Null)),
        ("by another key", token(&head, &issuer.claims(), &key(2))),
        (
            "by an unknown key",
            token(&json!({ "alg": "ES256", "kid": "two" }), &issuer.claims(), &key(2)),
        ),
        ("without a key", token(&json!({ "alg": "ES256" }), &issuer.claims(), &key(1))),
        ("by a secret", token(&hmac, &issuer.claims(), &key(1))),
        ("by nobody", bare),
        ("changed", good.replacen('.', ".e", 1)),
        ("no token", "a.b.c".to_owned()),
    ];
    for (why, token) in &bad {
        assert_eq!(ask(token, &[]).problem().0, 401, "{why}");
    }
    // Unknown keys do not make the service ask for keys again and again.
    assert!(issuer.asked.load(Ordering::Relaxed) <= 2, "{:?}", issuer.asked);
}

#[test]
pub(crate) fn a_token_of_several_tenants_reaches_the_one_that_is_named() {
    let issuer = Issuer::start();
    let dir = stella_testkit::temp_dir();
    let more = ["--oidc-issuer", &issuer.address, "--oidc-audience", "export-center"];
    let server = Server::start_with(dir.path(), None, &more);
    server.add_tenant("acme");
    let mut claims = issuer.claims();
    claims["export_center"] =
        json!({ "local": ["viewer"], "acme": ["operator"], "nowhere": ["admin"] });
    let head = json!({ "alg": "ES256", "kid": "one" });
    let several = token(&head, &claims, &key(1));
    let client = server.as_somebody(&several);
    let ask = |wanted: &str| client.ask("GET", "/me", &[("X-Stella-Tenant", wanted)], "");
    assert_eq!(client.ask("GET", "/me", &[], "").problem().0, 400);
    assert_eq!(ask("acme").json()["roles"], json!(["viewer", "operator"]));
    assert_eq!(ask("local").json()["roles"], json!(["viewer"]));
    // One that is not there and one that is not the token's are answered alike.
    for other in ["nowhere", "other", "\u{1}"] {
        assert!([400, 403].contains(&ask(other).status), "{other}");
    }
}

#[test]
fn tokens_of_a_real_provider_are_believed_until_its_keys_are_others() {
    let Some(mut provider) = OidcProvider::start() else { return };
    let dir = stella_testkit::temp_dir();
    let issuer = provider.issuer();
    let more = ["--oidc-issuer", issuer.as_str(), "--oidc-audience", "export-center"];
    let server = Server::start_with(dir.path(), None, &more);
    let ask = |token: &str| server.as_somebody(token).ask("GET", "/me", &[], "");
    let mut old = Vec::new();
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let token = provider.token(algorithm, "viewer operator");
        let me = ask(&token);
        assert_eq!(me.status, 200, "{algorithm}: {me:?}");
        assert_eq!(me.json()["name"], json!("oidc:ada"), "{algorithm}");
        assert_eq!(me.json()["roles"], json!(["viewer", "operator"]), "{algorithm}");
        old.push(token);
    }
    // New keys are looked for once a token comes that has one of them, and soon: not at once, so that
    // made-up keys do not have the provider asked again and again.
    provider.rotate();
    let new = provider.token("ES256", "viewer");
    let begun = std::time::Instant::now();
    while ask(&new).status != 200 {
        assert!(begun.elapsed() < LONGEST, "the new keys are not believed");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(ask(&new).json()["roles"], json!(["viewer"]));
    for token in &old {
        assert_eq!(ask(token).problem().0, 401);
    }
}

#[test]
pub(crate) fn a_tenant_is_told_of_people_from_elsewhere_who_wanted_in() {
    let issuer = Issuer::start();
    let dir = stella_testkit::temp_dir();
    let more = ["--oidc-issuer", &issuer.address, "--oidc-audience", "export-center"];
    let server = Server::start_with(dir.path(), None, &more);
    let admin = server.add_tenant("acme");
    let ada = token(&json!({ "alg": "ES256", "kid": "one" }), &issuer.claims(), &key(1));
    let ask = |tenant: &str| {
        let wanted = [("X-Stella-Tenant", tenant)];
        server.as_somebody(&ada).ask("GET", "/runs/r-1", &wanted, "")
    };
    // Once a minute is enough to be told.
    for _ in 0..3 {
        assert_eq!(ask("acme").problem().0, 403);
    }
    assert_eq!(ask("nowhere").problem().0, 403);
    let begun = std::time::Instant::now();
    let denied = loop {
        let log = server.as_somebody(&admin).ask("GET", "/audit", &[], "").json();
        let entries = log["items"].as_array().expect("entries").clone();
        let denied: Vec<Value> =
            entries.into_iter().filter(|entry| entry["outcome"] == json!("denied")).collect();
        if !denied.is_empty() {
            break denied;
        }
        assert!(begun.elapsed() < crate::server::LONGEST);
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!(denied.len(), 1, "{denied:?}");
    let told = (&denied[0]["actor"], &denied[0]["action"], &denied[0]["object"]);
    let object = json!("GET /runs/r-1");
    assert_eq!(told, (&json!("oidc:ada"), &json!("run.get"), &object));
}
