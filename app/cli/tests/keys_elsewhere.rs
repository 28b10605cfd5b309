//! Bundles signed with keys that live in a token, in AWS KMS and in Vault: our own verifier and
//! cosign accept them, a second run has the same bytes, and what goes wrong is told.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Outcome, PASSWORD, Stella};
use stella_peers::{COSIGN_VERSIONS, Moto, SoftHsm, cosign, offline, program};
use stella_testkit::{FakeVault, VaultFault};

/// A store with one VEX document, and variables for all calls.
struct Export {
    stella: Stella,
    variables: Vec<(&'static str, String)>,
}

impl Export {
    fn new(variables: Vec<(&'static str, String)>) -> Export {
        let stella = Stella::new();
        let vex = stella_testkit::samples().join("vex/acme-shop-log4shell.openvex.json");
        let vex = vex.to_str().expect("UTF-8");
        stella.ok(&["ingest", "--feed", "acme", "--licence", "CC0-1.0", vex]);
        Export { stella, variables }
    }

    fn run_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Outcome {
        let mut command = self.stella.command(args);
        // Whoever runs the tests may have accounts of these services.
        for name in ["AWS_PROFILE", "AWS_REGION", "VAULT_ADDR", "VAULT_TOKEN", "VAULT_NAMESPACE"] {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let output = command.envs(variables.iter().copied()).output().expect("stella starts");
        Outcome::of(output)
    }

    fn ok(&self, args: &[&str]) -> Outcome {
        let outcome = self.run_with(&[], args);
        assert_eq!(outcome.code, 0, "{args:?}\n{}{}", outcome.stdout, outcome.stderr);
        outcome
    }

    fn export(&self, key: &str, name: &str) -> Outcome {
        let dest = self.stella.arg(name);
        self.run_with(&[], &["export", "run", "json:raw", "-d", &dest, "--key", key])
    }

    /// Fails to sign: with a code, words, no bundle, and no secret on the screen.
    fn fails(&self, variables: &[(&str, &str)], key: &str, code: i32, says: &str) {
        let dest = self.stella.arg("none");
        let args = ["export", "run", "json:raw", "-d", &dest, "--key", key];
        let outcome = self.run_with(variables, &args);
        assert_eq!(outcome.code, code, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(says), "{says}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(&format!("the key {key} ")), "{}", outcome.stderr);
        let secrets = [SoftHsm::PIN, FakeVault::TOKEN, PASSWORD];
        assert!(
            !secrets.iter().any(|secret| outcome.stderr.contains(secret)),
            "{}",
            outcome.stderr
        );
        assert!(!Path::new(&dest).exists(), "nothing is left at the destination");
    }

    /// Forgets what was signed, so that it is signed anew.
    fn forget(&self) {
        fs::remove_dir_all(self.stella.path("store/keys/signatures")).expect("is there");
    }

    /// The whole way of a key that was added: twice the same bundle, which all verifiers accept.
    fn judge(&self, key: &str) {
        let public = self.stella.arg(&format!("{key}.pub"));
        self.ok(&["keys", "export-public", key, "-d", &public]);
        let listed = self.ok(&["keys", "list"]).stdout;
        assert!(listed.contains(key), "{listed}");
        let [one, two, three] = ["one", "two", "three"].map(|name| format!("{key}-{name}"));
        for name in [&one, &two] {
            let outcome = self.export(key, name);
            assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        }
        let first = files(&self.stella.path(&one));
        assert_eq!(files(&self.stella.path(&two)), first, "the signatures are used again");
        // What the next one lacks, it makes anew; the manifest does not change with it.
        self.forget();
        assert_eq!(self.export(key, &three).code, 0);
        let third = files(&self.stella.path(&three));
        assert_eq!(third[Path::new("export.json")], first[Path::new("export.json")]);
        for name in [&one, &three] {
            self.verify(name, &public);
        }
    }

    fn verify(&self, name: &str, public: &str) {
        let bundle = self.stella.arg(name);
        let verified = self.ok(&["export", "verify", &bundle, "--key", public]);
        assert!(verified.stdout.contains("Verified."), "{}", verified.stdout);
        for program in COSIGN_VERSIONS.iter().filter_map(|version| cosign(version)) {
            let common = ["--key", public, "--insecure-ignore-tlog", "--trusted-root"];
            let blob =
                ["trusted_root.json", "--bundle", "export.json.sigstore.json", "export.json"];
            let statement =
                ["trusted_root.json", "--bundle", "provenance.json.sigstore.json", "export.json"];
            let lines: [(&[&str], &[&str]); 2] = [
                (&["verify-blob"], &blob),
                (&["verify-blob-attestation", "--type", "slsaprovenance1"], &statement),
            ];
            for (verb, files) in lines {
                let mut command: Command = offline(&program);
                command.args([verb, &common[..], files].concat()).current_dir(&bundle);
                let output = command.env("HOME", self.stella.path("home")).output();
                let output = output.expect("cosign starts");
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(said.contains("Verified OK"), "{}: {verb:?}: {said}", program.display());
            }
        }
    }
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).expect("below").to_owned();
                    found.insert(name, fs::read(&path).expect("a file"));
                }
            }
        }
    }
    found
}

/// A store beside a token `export` with the keys `release` and `edwards`.
fn with_token() -> Option<(Export, SoftHsm)> {
    let hsm = SoftHsm::start()?;
    hsm.token("export");
    hsm.key("export", "EC:prime256v1", "release", "01");
    hsm.key("export", "EC:edwards25519", "edwards", "02");
    let settings = hsm.settings().to_str().expect("UTF-8").to_owned();
    Some((Export::new(vec![(SoftHsm::VARIABLE, settings)]), hsm))
}

impl Export {
    /// Adds a key of the token whose PIN lies in a file.
    fn add_of_token(&self, hsm: &SoftHsm, name: &str, which: &[&str]) -> Outcome {
        let pin = self.stella.file("pin", SoftHsm::PIN.as_bytes());
        let module = hsm.module().to_str().expect("UTF-8");
        let common = ["keys", "add", "pkcs11", name, "--module", module, "--pin-file", &pin];
        self.run_with(&[], &[&common[..], which].concat())
    }
}

#[test]
fn peer_softhsm_signs_what_all_verifiers_accept() {
    let Some((export, hsm)) = with_token() else { return };
    for (name, which) in [("hsm", ["--label", "release"]), ("ed", ["--id", "02"])] {
        let added = export.add_of_token(&hsm, name, &[&["--token", "export"], &which[..]].concat());
        assert_eq!(added.code, 0, "{}", added.stderr);
        let entry = fs::read_to_string(export.stella.path(&format!("store/keys/{name}.toml")));
        assert!(!entry.expect("an entry").contains(SoftHsm::PIN));
        export.judge(name);
    }
    // OpenSC, which made the key, tells the same public half.
    let theirs = export.stella.arg("theirs.der");
    let read = ["--read-object", "--type", "pubkey", "--label", "release", "-o", &theirs];
    hsm.pkcs11_tool("export", &read);
    let pem = fs::read_to_string(export.stella.path("hsm.pub")).expect("exported");
    let ours = stella_seal::PublicKey::from_pem(&pem).expect("a public key");
    assert_eq!(fs::read(theirs).expect("read"), ours.spki_der());
}

#[test]
fn peer_softhsm_failures_are_told() {
    let Some((export, hsm)) = with_token() else { return };
    let cases: [(&[&str], i32, &str); 5] = [
        (&["--token", "none", "--label", "release"], 3, "tokens that the module sees: export"),
        (&["--token", "export", "--label", "none"], 3, "no public half of such a key"),
        (&["--token", "export", "--id", "zz"], 2, "is not hex"),
        (&["--token", "export"], 2, "--label"),
        (&["--token", "export", "--label", "release", "--pin-file", "/no/such"], 2, "--pin-file"),
    ];
    for (which, code, says) in cases {
        let outcome = export.add_of_token(&hsm, "k", which);
        assert_eq!(outcome.code, code, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(says), "{}", outcome.stderr);
    }
    // The PIN as the password of the key, right and then wrong.
    let module = hsm.module().to_str().expect("UTF-8");
    let add = [
        "keys", "add", "pkcs11", "k", "--module", module, "--token", "export", "--label", "release",
    ];
    let right = [("STELLA_KEY_PASSWORD", SoftHsm::PIN)];
    assert_eq!(export.run_with(&[("STELLA_KEY_PASSWORD", "271829")], &add).code, 4);
    let added = export.run_with(&right, &add);
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert_eq!(export.run_with(&right, &add).code, 9, "a name is not taken twice");
    export.fails(&[("STELLA_KEY_PASSWORD", "271829")], "k", 4, "does not take the PIN");
    let file = ["keys", "generate", "k", "--replace"];
    assert_eq!(export.run_with(&[], &file).code, 9, "a key file does not take its place");
    // The token is gone, then its module.
    export.fails(&[right[0], (SoftHsm::VARIABLE, "/dev/null")], "k", 3, "sees no token");
    let entry = export.stella.path("store/keys/k.toml");
    let text = fs::read_to_string(&entry).expect("an entry");
    fs::write(&entry, text.replace(module, "/no/such/module.so")).expect("writable");
    export.fails(&right, "k", 3, "there is no PKCS#11 module /no/such/module.so");
    fs::write(&entry, text.replace("token =", "pin = \"271828\"\ntoken =")).expect("writable");
    let refused = export.run_with(&right, &["keys", "list"]);
    assert_eq!((refused.code, refused.stderr.contains("unknown field")), (2, true));
    fs::write(&entry, &text).expect("writable");
    // Another key under the same label, then none.
    hsm.remove("export", "release");
    hsm.key("export", "EC:prime256v1", "release", "03");
    export.fails(&right, "k", 8, "not by the recorded key");
    hsm.key("export", "EC:prime256v1", "release", "04");
    export.fails(&right, "k", 2, "several secret halves");
    hsm.remove("export", "release");
    hsm.remove("export", "release");
    export.fails(&right, "k", 3, "no secret half of such a key");
}

#[test]
fn peer_moto_signs_what_all_verifiers_accept() {
    let Some(moto) = Moto::start() else { return };
    let credentials =
        "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n";
    let export = Export::new(Vec::new());
    let file = export.stella.file("credentials", credentials.as_bytes());
    let (id, url) = (moto.signing_key("ECC_NIST_P256"), moto.url());
    let add = ["keys", "add", "aws-kms", "kms", "--key-id", &id, "--region", "eu-west-1"];
    let with_file = [&add[..], &["--endpoint", &url, "--credentials-file", &file]].concat();
    export.ok(&with_file);
    export.judge("kms");
    // The same key by the variables that AWS's own programs read.
    let variables = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let mut by_variables = [&add[..], &["--endpoint", &url]].concat();
    by_variables[3] = "kms2";
    assert_eq!(export.run_with(&variables, &by_variables).code, 0);
    drop(moto);
    export.forget();
    export.fails(&variables, "kms2", 5, "cannot be reached");
    let one = export.stella.arg("kms-one");
    export.ok(&["export", "verify", &one, "--key", &export.stella.arg("kms.pub")]);
}

#[test]
fn peer_openssl_certificates_are_checked_before_a_token_is_sent() {
    let Some(openssl) = program("openssl", "") else { return };
    let export = Export::new(vec![("VAULT_TOKEN", FakeVault::TOKEN.to_owned())]);
    let [key, certificate] = ["tls.key", "tls.pem"].map(|name| export.stella.arg(name));
    let mut make = Command::new(&openssl);
    make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    make.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]);
    make.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", &key, "-out"]);
    assert!(make.arg(&certificate).output().expect("openssl").status.success());
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = free.expect("a free port").port().to_string();
    let mut serve = Command::new(&openssl);
    serve.args([
        "s_server",
        "-accept",
        &port,
        "-cert",
        &certificate,
        "-key",
        &key,
        "-www",
        "-quiet",
    ]);
    let serve = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut serve = serve.expect("openssl");
    let address = format!("https://localhost:{port}");
    let add = ["keys", "add", "vault", "k", "--address", &address, "--transit-key", "release"];
    let begin = Instant::now();
    let refused = loop {
        let outcome = export.run_with(&[], &add);
        // Until it listens, there is nobody.
        match outcome.stderr.contains("refused") && begin.elapsed() < Duration::from_secs(20) {
            true => std::thread::sleep(Duration::from_millis(50)),
            false => break outcome,
        }
    };
    let trusted = export.run_with(&[("SSL_CERT_FILE", &certificate)], &add);
    serve.kill().expect("a child of ours");
    serve.wait().expect("a child of ours");
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("invalid peer certificate"), "{}", refused.stderr);
    assert!(refused.stderr.contains("SSL_CERT_FILE"), "{}", refused.stderr);
    // This server answers with a page for people.
    assert_eq!(trusted.code, 1, "{}", trusted.stderr);
    assert!(trusted.stderr.contains("the answer was not understood"), "{}", trusted.stderr);
}

#[test]
fn a_transit_engine_signs_what_all_verifiers_accept() {
    let vault = FakeVault::start();
    vault.rotate("release");
    let export = Export::new(vec![("VAULT_TOKEN", FakeVault::TOKEN.to_owned())]);
    let url = vault.url();
    export.ok(&["keys", "add", "vault", "v", "--address", &url, "--transit-key", "release"]);
    export.judge("v");
    // A run that changes nothing asks for nothing.
    let asked = vault.asked().len();
    vault.fail(Some(VaultFault::Sealed));
    assert_eq!(export.export("v", "again").code, 0);
    assert_eq!(vault.asked().len(), asked);
    export.forget();
    export.fails(&[], "v", 5, "the server is sealed");
    vault.fail(Some(VaultFault::Forbidden));
    export.fails(&[], "v", 4, "update on transit/sign/release");
    export.fails(&[("VAULT_TOKEN", "")], "v", 2, "set VAULT_TOKEN");
    vault.fail(Some(VaultFault::OtherKey));
    export.fails(&[], "v", 8, "not by the recorded key");
    vault.fail(None);
    vault.remove("release");
    export.fails(&[], "v", 3, "no key release");
}
