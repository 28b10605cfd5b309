//! Signing with a key file, decrypted only when a signature is not there yet.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use stella_model::Digest;
use stella_seal::{PublicKey, SecretKey, SignError, Signer, detached, detached_sig};

use crate::files::{Readers, read_bytes, write};
use crate::{Existing, KeyEntry, KeysError, PasswordSource};

/// Signs with a key of the store.
///
/// # Guarantees
/// The first signature per key and SHA-256 of the message is kept and given again on every later
/// request, without the password (ARCHITECTURE, "stored once per key and payload digest"): a
/// repeated run costs no scrypt. A kept signature is checked with the public key before it is given out; a
/// damaged one is made anew.
#[derive(Debug)]
pub struct KeyFileSigner {
    entry: KeyEntry,
    password: PasswordSource,
    kept: PathBuf,
    unlocked: Mutex<Option<SecretKey>>,
}

impl KeyFileSigner {
    pub(crate) fn new(entry: KeyEntry, password: PasswordSource, folder: &Path) -> KeyFileSigner {
        let kept = folder.join("signatures").join(entry.public_key().fingerprint().to_string());
        KeyFileSigner { entry, password, kept, unlocked: Mutex::new(None) }
    }

    /// The key.
    #[must_use]
    pub fn entry(&self) -> &KeyEntry {
        &self.entry
    }

    /// Decrypts the key now, so that a wrong password shows before hours of work.
    ///
    /// # Errors
    /// As [`KeyEntry::unlock`].
    pub fn unlock(&self) -> Result<(), KeysError> {
        self.with_secret(|_| ())
    }

    /// Whether a signature over these bytes is kept, so that no password is needed.
    #[must_use]
    pub fn has_signed(&self, message: &[u8]) -> bool {
        self.kept_signature(message, &self.kept_path(message)).is_some()
    }

    /// Whether a signature over bytes with this digest is kept, whatever it is worth: for those who
    /// do not have the bytes yet.
    #[must_use]
    pub fn keeps_signature_of(&self, digest: &Digest) -> bool {
        self.kept.join(format!("{digest}.sig")).is_file()
    }

    /// Removes the kept signatures that were used longest ago until `most` are left; how many were
    /// removed. One that is gone is made again when it is needed.
    ///
    /// # Errors
    /// [`KeysError::Read`] if the folder cannot be read or a file in it not be removed.
    pub fn prune_kept(&self, most: usize) -> Result<usize, KeysError> {
        let failed = |source| KeysError::Read {
            what: "the folder of kept signatures",
            path: self.kept.clone(),
            source,
        };
        let mut kept = Vec::new();
        let entries = match fs::read_dir(&self.kept) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "sig") {
                kept.push(path);
            }
        }
        let surplus = kept.len().saturating_sub(most);
        if surplus == 0 {
            return Ok(0);
        }
        // A file whose time cannot be read counts as the oldest.
        kept.sort_by_cached_key(|path| fs::metadata(path).and_then(|m| m.modified()).ok());
        for path in &kept[..surplus] {
            match fs::remove_file(path) {
                // Another run prunes at the same time.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(failed)?,
            }
        }
        Ok(surplus)
    }

    /// Signs as [`Signer::sign`], with the error of this crate.
    ///
    /// # Errors
    /// As [`KeyEntry::unlock`], and if the signature cannot be kept.
    pub fn signature(&self, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        let path = self.kept_path(message);
        if let Some(kept) = self.kept_signature(message, &path) {
            // A time that cannot be set only makes it look older to `prune_kept`.
            let _ = File::options()
                .append(true)
                .open(&path)
                .and_then(|file| file.set_modified(SystemTime::now()));
            return Ok(kept);
        }
        let signature = self.with_secret(|secret| secret.signature(message))?;
        let text = detached_sig(&signature);
        let replace = Existing::Replace;
        write("the kept signature", &path, text.as_bytes(), Readers::Everyone, replace)?;
        Ok(signature)
    }

    fn with_secret<T>(&self, use_it: impl FnOnce(&SecretKey) -> T) -> Result<T, KeysError> {
        // A panic elsewhere leaves no half-made key behind: it is stored in one step.
        let mut unlocked = self.unlocked.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = match unlocked.take() {
            Some(secret) => secret,
            None => self.entry.unlock(&self.password)?,
        };
        Ok(use_it(unlocked.insert(secret)))
    }

    fn kept_path(&self, message: &[u8]) -> PathBuf {
        self.kept.join(format!("{}.sig", Digest::of(message)))
    }

    fn kept_signature(&self, message: &[u8], path: &Path) -> Option<Vec<u8>> {
        let text = read_bytes("the kept signature", path).ok()?;
        let signature = detached::parse(&text).ok()?;
        self.entry.public_key().verify(message, &signature).ok()?;
        Some(signature)
    }
}

impl Signer for KeyFileSigner {
    fn public_key(&self) -> &PublicKey {
        self.entry.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let key = self.entry.name().to_string();
        self.signature(message).map_err(|source| SignError { key, source: source.into() })
    }
}
