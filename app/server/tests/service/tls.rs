//! HTTPS at the listener.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::blocking::Client;

use crate::server::{LONGEST, Server};

/// A certificate of this machine with its key, in a folder.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn make(folder: &Path, name: &str) -> Files {
        let file = |end: &str| folder.join(format!("{name}.{end}"));
        let files = Files { certificate: file("crt"), key: file("key") };
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.args(["-nodes", "-days", "2", "-subj", "/CN=test"]);
        openssl.args(["-addext", "subjectAltName=IP:127.0.0.1"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        openssl.arg("-keyout").arg(&files.key).arg("-out").arg(&files.certificate);
        assert!(openssl.output().expect("openssl runs").status.success());
        files
    }

    /// The options of a server that uses them.
    fn options(&self) -> [&str; 4] {
        let [certificate, key] = [&self.certificate, &self.key];
        let certificate = certificate.to_str().expect("UTF-8");
        ["--tls-cert", certificate, "--tls-key", key.to_str().expect("UTF-8")]
    }

    fn serve(&self, data: &Path) -> Server {
        Server::start_with(data, None, &self.options())
    }

    /// A client that believes this certificate alone.
    fn client(&self) -> Client {
        let root = std::fs::read(&self.certificate).expect("reads");
        let root = reqwest::Certificate::from_pem(&root).expect("a certificate");
        builder().tls_certs_only([root]).build().expect("a client")
    }
}

fn builder() -> reqwest::blocking::ClientBuilder {
    Client::builder().timeout(Duration::from_secs(20))
}

#[test]
fn the_listener_speaks_tls_and_nothing_else_where_it_has_a_certificate() {
    let dir = stella_testkit::temp_dir();
    let files = Files::make(dir.path(), "one");
    let server = files.serve(&dir.path().join("data"));
    let url = format!("https://{}/api/export/v1/me", server.address);
    let answer = files.client().get(&url).bearer_auth(&server.token).send().expect("is answered");
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
    let (files, next) = (Files::make(dir.path(), "one"), Files::make(dir.path(), "two"));
    let server = files.serve(&dir.path().join("data"));
    let url = format!("https://{}/api/export/v1/health", server.address);
    let is_answered = |client: Client| client.get(&url).send().is_ok();
    let old = files.client();
    assert!(is_answered(old));
    // Half of it is of no use: the old one stays until the other half is there.
    let old = files.client();
    std::fs::copy(&next.certificate, &files.certificate).expect("copies");
    std::thread::sleep(Duration::from_secs(5));
    assert!(is_answered(old));
    std::fs::copy(&next.key, &files.key).expect("copies");
    let begun = Instant::now();
    while !is_answered(next.client()) {
        assert!(begun.elapsed() < LONGEST, "the new certificate is not used");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn a_demo_with_a_certificate_says_so() {
    let dir = stella_testkit::temp_dir();
    let files = Files::make(dir.path(), "one");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_export-center"));
    // What it leaves when it is killed goes with the folder of the test.
    demo.env_clear().env("TMPDIR", dir.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    demo.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--log", "error"]);
    let mut demo = demo.args(files.options()).spawn().expect("starts");
    let lines = BufReader::new(demo.stdout.take().expect("is piped")).lines();
    let said: Vec<String> = lines.map_while(Result::ok).take(4).collect();
    demo.kill().expect("runs");
    demo.wait().expect("ends");
    assert!(said[0].contains(" https://127.0.0.1:"), "{said:?}");
    assert!(said[3].contains("STELLA_SERVER=https://127.0.0.1:"), "{said:?}");
}
