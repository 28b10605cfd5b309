//! What the tests of custodians share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stella_keys::{Elsewhere, Existing, KeyEntry, KeyName, KeyStore, KeysError, PasswordSource};
use stella_model::ErrorCode;
use stella_seal::Signer as _;
use stella_testkit::Answered;

/// A message short enough for a service that hashes it itself, and one that is not.
pub(crate) const SHORT: &[u8] = br#"{"formatVersion":1}"#;
pub(crate) const LONG: &[u8] = &[b'x'; 5000];

/// A folder of keys and what a test does with it.
pub(crate) struct Keys {
    folder: tempfile::TempDir,
}

impl Keys {
    pub(crate) fn new() -> Keys {
        Keys { folder: stella_testkit::temp_dir() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> KeyStore {
        KeyStore::at(self.folder.path().join("keys"))
    }

    /// A file with a secret on its first line.
    pub(crate) fn secret(&self, name: &str, secret: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, format!("{secret}\n")).unwrap();
        path
    }

    pub(crate) fn add(&self, name: &str, place: &Elsewhere) -> Result<KeyEntry, KeysError> {
        let name = KeyName::new(name).unwrap();
        self.store().add(&name, place, &PasswordSource::Surroundings, Existing::Keep)
    }

    /// Signs with what the store has under a name, as another process would.
    pub(crate) fn sign(&self, name: &str, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        let entry = self.store().get(&KeyName::new(name).unwrap())?;
        let signer = entry.signer(PasswordSource::Surroundings);
        let signature = signer.signature(message)?;
        entry.public_key().verify(message, &signature).unwrap();
        assert_eq!(signer.sign(message).unwrap(), signature, "what is kept is used again");
        Ok(signature)
    }

    /// Forgets what was signed, so that it is signed anew.
    pub(crate) fn forget(&self) {
        std::fs::remove_dir_all(self.path("keys/signatures")).unwrap();
    }
}

/// All that a person is told.
pub(crate) fn told(error: &KeysError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let hint = error.hint().unwrap_or_default();
    format!("{} {error}: {source}; {hint}", error.code().exit_code())
}

/// Every failure has its code, names the key, says what was tried, and gives no secret away.
pub(crate) fn check(error: &KeysError, code: ErrorCode, says: &str, secrets: &[&str]) {
    let told = told(error);
    assert_eq!(error.code(), code, "{told}");
    assert!(told.contains(says), "{told}");
    assert!(error.to_string().contains("the key k ("), "{told}");
    let all = format!("{told} {error:?}");
    assert!(!secrets.iter().any(|secret| all.contains(secret)), "{all}");
}

/// Answers that no service should give, and what becomes of them.
pub(crate) fn nonsense() -> Vec<(Answered, ErrorCode, &'static str)> {
    use serde_json::json;
    let silence = Answered::Silence(Duration::from_secs(20));
    vec![
        (silence, ErrorCode::Unreachable, "no answer within 1 s"),
        (Answered::HangUp, ErrorCode::Unreachable, "cannot be reached"),
        (Answered::Json(500, json!({})), ErrorCode::Unreachable, "answered 500"),
        (Answered::Json(429, json!({})), ErrorCode::Unreachable, "answered 429"),
        (Answered::Json(418, json!({})), ErrorCode::Io, "not understood: status 418"),
        (Answered::Json(200, json!({})), ErrorCode::Io, "not understood"),
        (Answered::Json(200, json!([1])), ErrorCode::Io, "not understood"),
        (Answered::Bytes(b"<html>".to_vec()), ErrorCode::Io, "not understood"),
        (Answered::Bytes(vec![b' '; 300 * 1024]), ErrorCode::Io, "far too long"),
        (Answered::Redirect("http://127.0.0.1:1/".into()), ErrorCode::Io, "another address"),
    ]
}

/// A path that is not there.
pub(crate) fn nowhere() -> &'static Path {
    Path::new("/no/such/file")
}
