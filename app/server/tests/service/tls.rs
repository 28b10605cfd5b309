//! HTTPS at the listener.

use std::process::Command;
use std::time::Duration;

use crate::server::Server;

#[test]
fn the_listener_speaks_tls_and_nothing_else_where_it_has_a_certificate() {
    let dir = stella_testkit::temp_dir();
    let (key, certificate) = (dir.path().join("key.pem"), dir.path().join("cert.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]);
    openssl.args(["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    assert!(openssl.output().expect("openssl runs").status.success());
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let (cert, key) = (text(&certificate), text(&key));
    let more = ["--tls-cert", &cert, "--tls-key", &key];
    let server = Server::start_with(&dir.path().join("data"), None, &more);
    let root = std::fs::read(&certificate).expect("reads");
    let root = reqwest::Certificate::from_pem(&root).expect("a certificate");
    let builder = || reqwest::blocking::Client::builder().timeout(Duration::from_secs(20));
    let url = format!("https://{}/api/export/v1/me", server.address);
    let trusting = builder().tls_certs_only([root]).build().expect("a client");
    let answer = trusting.get(&url).bearer_auth(&server.token).send().expect("is answered");
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    // Whoever does not know the certificate does not send the token.
    let strict = builder().build().expect("a client");
    assert!(strict.get(&url).bearer_auth(&server.token).send().is_err());
    let plain = url.replacen("https", "http", 1);
    assert!(strict.get(plain).bearer_auth(&server.token).send().is_err());
}
