//! HTTPS at the listener, and TLS to the databases.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::blocking::Client;
use stella_peers::Postgres;
use stella_testkit::Certificate;

use crate::server::{LONGEST, Server, program};

/// The options of a server that uses a certificate.
fn options(files: &Certificate) -> [&str; 4] {
    let [certificate, key] = [&files.certificate, &files.key];
    let certificate = certificate.to_str().expect("UTF-8");
    ["--tls-cert", certificate, "--tls-key", key.to_str().expect("UTF-8")]
}

fn serve(files: &Certificate, data: &Path) -> Server {
    Server::start_with(data, None, &options(files))
}

/// A client that believes this certificate alone.
fn client(files: &Certificate) -> Client {
    let root = std::fs::read(&files.certificate).expect("reads");
    let root = reqwest::Certificate::from_pem(&root).expect("a certificate");
    builder().tls_certs_only([root]).build().expect("a client")
}

fn builder() -> reqwest::blocking::ClientBuilder {
    Client::builder().timeout(Duration::from_secs(20))
}

#[test]
fn the_listener_speaks_tls_and_nothing_else_where_it_has_a_certificate() {
    let dir = stella_testkit::temp_dir();
    let files = Certificate::make(dir.path(), "one");
    let server = serve(&files, &dir.path().join("data"));
    let url = format!("https://{}/api/export/v1/me", server.address);
    let answer = client(&files).get(&url).bearer_auth(&server.token).send().expect("is answered");
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    // Whoever does not know the certificate does not send the token.
    let strict = builder().build().expect("a client");
    assert!(strict.get(&url).bearer_auth(&server.token).send().is_err());
    let plain = url.replacen("https", "http", 1);
    assert!(strict.get(plain).bearer_auth(&server.token).send().is_err());
}

#[test]
fn a_certificate_that_is_replaced_is_used_without_a_new_start() {
    let dir = stella_testkit::temp_dir();
    let (files, next) =
        (Certificate::make(dir.path(), "one"), Certificate::make(dir.path(), "two"));
    let server = serve(&files, &dir.path().join("data"));
    let url = format!("https://{}/api/export/v1/health", server.address);
    let is_answered = |client: Client| client.get(&url).send().is_ok();
    let old = client(&files);
    assert!(is_answered(old));
    // Half of it is of no use: the old one stays until the other half is there.
    let old = client(&files);
    std::fs::copy(&next.certificate, &files.certificate).expect("copies");
    std::thread::sleep(Duration::from_secs(5));
    assert!(is_answered(old));
    std::fs::copy(&next.key, &files.key).expect("copies");
    let begun = Instant::now();
    while !is_answered(client(&next)) {
        assert!(begun.elapsed() < LONGEST, "the new certificate is not used");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn a_demo_with_a_certificate_says_so() {
    let dir = stella_testkit::temp_dir();
    let files = Certificate::make(dir.path(), "one");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_export-center"));
    // What it leaves when it is killed goes with the folder of the test.
    demo.env_clear().env("TMPDIR", dir.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    demo.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--log", "error"]);
    let mut demo = demo.args(options(&files)).spawn().expect("starts");
    let lines = BufReader::new(demo.stdout.take().expect("is piped")).lines();
    let said: Vec<String> = lines.map_while(Result::ok).take(4).collect();
    demo.kill().expect("runs");
    demo.wait().expect("ends");
    assert!(said[0].contains(" https://127.0.0.1:"), "{said:?}");
    assert!(said[3].contains("STELLA_SERVER=https://127.0.0.1:"), "{said:?}");
}

#[test]
fn catalog_and_ledger_may_be_where_only_tls_leads() {
    let dir = stella_testkit::temp_dir();
    let [own, foreign] = ["own", "foreign"].map(|name| Certificate::make(dir.path(), name));
    let Some(postgres) = Postgres::start_on_network(Some(&own)) else { return };
    let address = |database: &str, root: &Certificate| {
        let address = postgres.network_address("127.0.0.1", database);
        format!("{address}?sslmode=verify-full&sslrootcert={}", root.certificate.display())
    };
    let databases = ["catalog", "ledger"];
    databases.iter().for_each(|name| drop(postgres.database(name)));
    let data = dir.path().join("data");
    let of = |root| databases.map(|database| address(database, root));
    let [catalog, ledger] = of(&own);
    let place = ["--catalog", catalog.as_str(), "--ledger", ledger.as_str()];
    assert!(program(&data).arg("migrate").args(place).status().expect("runs").success());
    let server = Server::start_with(&data, None, &place);
    let text = String::from_utf8(crate::feeds::lines()).expect("is text");
    assert_eq!(server.ask("POST", "/feeds/npm/records", &[], &text).status, 200);
    server.start_run("mirror:full", &[]);
    assert_eq!(server.wait("r-1")["status"], "succeeded");
    server.end();
    // Whoever cannot show that they are the server is told nothing.
    let [catalog, _] = of(&foreign);
    let refused = program(&data).args(["migrate", "--catalog", &catalog]).output().expect("runs");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("invalid peer certificate"), "{told}");
}
