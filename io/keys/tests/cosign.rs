//! What we write is read by cosign and the reverse, without any network.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use stella_keys::{Existing, KeyName, KeyStore, Password, PasswordSource, read_public_key};
use stella_model::{Digest, Limits};
use stella_peers::{COSIGN_VERSIONS, cosign, offline};
use stella_seal::{
    Algorithm, SecretKey, Signer, SigstoreBundle, TRUSTED_ROOT, detached, detached_sig,
};
use stella_testkit::temp_dir;

const PASSWORD: &str = "correct horse battery staple";
const MANIFEST: &[u8] = br#"{"formatVersion":1}"#;

fn password() -> PasswordSource {
    PasswordSource::Given(Password::new(PASSWORD.into()))
}

/// A folder with a key pair of ours and a manifest signed in every way a bundle is.
struct Signed {
    folder: tempfile::TempDir,
}

impl Signed {
    fn new(algorithm: Algorithm) -> Signed {
        let folder = temp_dir();
        let name = KeyName::new("cosign").unwrap();
        let entry = KeyStore::at(folder.path())
            .generate(&name, algorithm, &password(), Existing::Keep)
            .unwrap();
        let signed = Signed { folder };
        signed.sign(&entry.signer(password()));
        signed
    }

    fn sign(&self, signer: &dyn Signer) {
        self.write("export.json", MANIFEST);
        self.write("trusted_root.json", TRUSTED_ROOT.as_bytes());
        let bundle = SigstoreBundle::sign_message(signer, MANIFEST).unwrap();
        self.write("export.json.sig", detached_sig(bundle.signature()).as_bytes());
        self.write("export.json.sigstore.json", &bundle.to_bytes());
        let statement = format!(
            "{{\"_type\":\"https://in-toto.io/Statement/v1\",\"predicate\":{{}},\
             \"predicateType\":\"https://slsa.dev/provenance/v1\",\"subject\":[{{\"digest\":\
             {{\"sha256\":\"{}\"}},\"name\":\"export.json\"}}]}}",
            Digest::of(MANIFEST)
        );
        let bundle = SigstoreBundle::sign_statement(signer, statement.as_bytes()).unwrap();
        self.write("provenance.json.sigstore.json", &bundle.to_bytes());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        offline(program)
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("COSIGN_PASSWORD", PASSWORD)
            .output()
            .unwrap()
    }

    fn accepts(&self, program: &Path, command: &str) {
        let output = self.run(program, &command.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {command}: {said}", program.display());
        assert!(said.contains("Verified OK"), "{}: {command}: {said}", program.display());
    }

    fn refuses(&self, program: &Path, command: &str) {
        let output = self.run(program, &command.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{}: {command}", program.display());
        assert!(!said.contains("Verified OK"), "{}: {command}: {said}", program.display());
    }
}

/// The commands that README and the verify report print.
const BLOB: &str = "verify-blob --key cosign.pub --insecure-ignore-tlog \
                    --trusted-root trusted_root.json --bundle export.json.sigstore.json export.json";
const ATTESTATION: &str = "verify-blob-attestation --type slsaprovenance1 --key cosign.pub \
    --insecure-ignore-tlog --trusted-root trusted_root.json \
    --bundle provenance.json.sigstore.json export.json";
const DETACHED: &str = "verify-blob --key cosign.pub --insecure-ignore-tlog \
                        --signature export.json.sig export.json";
const ALL: [&str; 3] = [BLOB, ATTESTATION, DETACHED];

#[test]
fn peer_cosign_verifies_what_we_sign() {
    for algorithm in Algorithm::ALL {
        let signed = Signed::new(algorithm);
        for program in COSIGN_VERSIONS.iter().filter_map(|version| cosign(version)) {
            for command in ALL {
                signed.accepts(&program, command);
            }
        }
    }
}

#[test]
fn peer_cosign_refuses_what_was_tampered_with() {
    for program in COSIGN_VERSIONS.iter().filter_map(|version| cosign(version)) {
        let signed = Signed::new(Algorithm::EcdsaP256Sha256);
        signed.write("export.json", br#"{"formatVersion":2}"#);
        ALL.iter().for_each(|command| signed.refuses(&program, command));
        signed.write("export.json", MANIFEST);
        ALL.iter().for_each(|command| signed.accepts(&program, command));
        let other = SecretKey::generate(Algorithm::EcdsaP256Sha256, &[9; 32]).unwrap();
        signed.write("cosign.pub", other.public().to_pem().as_bytes());
        ALL.iter().for_each(|command| signed.refuses(&program, command));
    }
}

#[test]
fn peer_cosign_signs_with_our_key_file_what_we_verify() {
    for version in COSIGN_VERSIONS {
        let Some(program) = cosign(version) else { continue };
        for algorithm in Algorithm::ALL {
            let signed = Signed::new(algorithm);
            let output = signed.run(&program, &sign_blob(version, "their.json"));
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{version} {algorithm}: {said}");
            let key = read_public_key(&signed.path("cosign.pub")).unwrap();
            let bytes = fs::read(signed.path("their.json")).unwrap();
            let artefact = Digest::of(MANIFEST);
            let normal =
                SigstoreBundle::normalise(&bytes, &key, &artefact, &Limits::DEFAULT).unwrap();
            normal.bundle.verify_message(&key, MANIFEST).unwrap();
            assert_eq!(normal.bundle.hint(), key.fingerprint());
            // The normal form is still a bundle for cosign.
            signed.write("export.json.sigstore.json", &normal.bundle.to_bytes());
            signed.accepts(&program, BLOB);
        }
    }
}

#[test]
fn peer_cosign_generates_a_key_that_we_import_and_sign_with() {
    for version in COSIGN_VERSIONS {
        let Some(program) = cosign(version) else { continue };
        let signed = Signed { folder: temp_dir() };
        let output = signed.run(&program, &["generate-key-pair", "--output-key-prefix", "theirs"]);
        assert!(output.status.success(), "{version}: {output:?}");
        let keys = KeyStore::at(signed.path("keys"));
        let name = KeyName::new("k").unwrap();
        let file = signed.path("theirs.key");
        let entry = keys.import(&name, &file, &password(), Existing::Keep).unwrap();
        let public = fs::read_to_string(signed.path("theirs.pub")).unwrap();
        assert_eq!(keys.export_public(&name).unwrap(), public, "{version}");
        signed.write("cosign.pub", public.as_bytes());
        signed.sign(&entry.signer(password()));
        ALL.iter().for_each(|command| signed.accepts(&program, command));
        // The copy in our store is a key file for cosign, too.
        fs::copy(signed.path("keys/k.key"), signed.path("cosign.key")).unwrap();
        let output = signed.run(&program, &sign_blob(version, "again.json"));
        assert!(output.status.success(), "{version}: {output:?}");
    }
}

#[test]
fn peer_cosign_refuses_our_key_file_under_another_password() {
    let signed = Signed::new(Algorithm::EcdsaP256Sha256);
    let name = KeyName::new("cosign").unwrap();
    let other = PasswordSource::Given(Password::new(b"other".to_vec()));
    KeyStore::at(signed.folder.path())
        .generate(&name, Algorithm::EcdsaP256Sha256, &other, Existing::Replace)
        .unwrap();
    for version in COSIGN_VERSIONS {
        let Some(program) = cosign(version) else { continue };
        let output = signed.run(&program, &sign_blob(version, "their.json"));
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("decrypt"), "{version}: {said}");
    }
}

#[test]
fn peer_cosign_detached_signatures_normalise_to_ours() {
    let signed = Signed::new(Algorithm::EcdsaP256Sha256);
    let key = read_public_key(&signed.path("cosign.pub")).unwrap();
    for version in COSIGN_VERSIONS {
        let Some(program) = cosign(version) else { continue };
        let output = signed.run(&program, &sign_blob(version, "their.json"));
        let said = String::from_utf8(output.stdout).unwrap();
        let theirs = detached::parse(said.trim().as_bytes());
        // cosign 3 prints nothing when it writes a bundle.
        let Ok(theirs) = theirs else { continue };
        let normal = stella_seal::normalise_ecdsa(&theirs).unwrap();
        key.verify(MANIFEST, &normal).unwrap();
        signed.write("export.json.sig", detached_sig(&normal).as_bytes());
        signed.accepts(&program, DETACHED);
    }
}

fn sign_blob<'a>(version: &str, bundle: &'a str) -> Vec<&'a str> {
    let common = ["sign-blob", "--yes", "--key", "cosign.key", "--tlog-upload=false"];
    // Version 3 writes no other form and asks a service unless it is told not to.
    let own: &[&str] = if version.starts_with('2') {
        &["--new-bundle-format"]
    } else {
        &["--use-signing-config=false"]
    };
    [&common, own, &["--bundle", bundle, "export.json"]].concat()
}
