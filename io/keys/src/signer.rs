//! Signing with a key of the store, wherever its secret half lives.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use stella_model::Digest;
use stella_seal::{Algorithm, PublicKey, SecretKey, SignError, Signer};

use crate::custodian::{self, Attempt, Custodian, Refusal, accept};
use crate::kept::Kept;
use crate::{Elsewhere, KeyEntry, KeysError, PasswordSource, Place};

/// What [`StoreSigner::ready`] has signed and throws away. No file of a bundle begins like this.
const TRIAL: &[u8] = b"stella: a trial whether this key can sign";

/// Signs with a key of the store.
///
/// # Guarantees
/// The first signature per key and SHA-256 of the message is kept and given again on every later
/// request, without a password or a connection (ARCHITECTURE, "stored once per key and payload
/// digest"). So a repeated run gives the same bytes even where the place of the key signs
/// differently every time. A signature, kept or new, is in its one spelling and was checked with
/// the recorded public key before it is given out; a damaged one is made anew.
pub struct StoreSigner {
    entry: KeyEntry,
    half: SecretHalf,
    kept: Kept,
}

/// What makes new signatures.
enum SecretHalf {
    /// The key file, decrypted when it is first needed.
    File {
        password: PasswordSource,
        unlocked: Mutex<Option<Box<SecretKey>>>,
    },
    Elsewhere {
        place: Elsewhere,
        custodian: Box<dyn Custodian>,
    },
}

impl StoreSigner {
    pub(crate) fn new(entry: KeyEntry, password: PasswordSource, folder: &Path) -> StoreSigner {
        let half = match entry.place() {
            Place::File => SecretHalf::File { password, unlocked: Mutex::new(None) },
            Place::Elsewhere(place) => {
                let custodian = custodian::of(entry.name(), place, &password);
                SecretHalf::Elsewhere { place: place.clone(), custodian }
            }
        };
        let kept = Kept::of(entry.public_key(), folder);
        StoreSigner { entry, half, kept }
    }

    /// The key.
    #[must_use]
    pub fn entry(&self) -> &KeyEntry {
        &self.entry
    }

    /// Tries to sign now, so that a wrong password, a key that was replaced or a service out of
    /// reach shows before hours of work.
    ///
    /// # Errors
    /// As [`KeyEntry::unlock`] for key files, else [`KeysError::Custodian`].
    pub fn ready(&self) -> Result<(), KeysError> {
        self.sign_afresh(TRIAL).map(drop)
    }

    /// Whether a signature over these bytes is kept, so that no password is needed.
    #[must_use]
    pub fn has_signed(&self, message: &[u8]) -> bool {
        self.kept.get(message).is_some()
    }

    /// Whether a signature over bytes with this digest is kept, whatever it is worth: for those who
    /// do not have the bytes yet.
    #[must_use]
    pub fn keeps_signature_of(&self, digest: &Digest) -> bool {
        self.kept.has(digest)
    }

    /// Removes the kept signatures that were used longest ago until `most` are left; how many were
    /// removed. One that is gone is made again when it is needed.
    ///
    /// Those of a key that never signs alike are all left: nothing could make them again.
    ///
    /// # Errors
    /// [`KeysError::Read`] if the folder cannot be read or a file in it not be removed.
    pub fn prune_kept(&self, most: usize) -> Result<usize, KeysError> {
        match (&self.half, self.entry.public_key().algorithm()) {
            (SecretHalf::Elsewhere { .. }, Algorithm::EcdsaP256Sha256) => Ok(0),
            _ => self.kept.prune(most),
        }
    }

    /// Signs as [`Signer::sign`], with the error of this crate.
    ///
    /// # Errors
    /// As [`ready`](Self::ready), and if the signature cannot be kept.
    pub fn signature(&self, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        match self.kept.take(message) {
            Some(kept) => Ok(kept),
            None => self.kept.keep(message, self.sign_afresh(message)?),
        }
    }

    fn sign_afresh(&self, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        match &self.half {
            SecretHalf::File { password, unlocked } => {
                // A panic elsewhere leaves no half-made key behind: it is stored in one step.
                let mut unlocked = unlocked.lock().unwrap_or_else(PoisonError::into_inner);
                let secret = match unlocked.take() {
                    Some(secret) => secret,
                    None => Box::new(self.entry.unlock(password)?),
                };
                Ok(unlocked.insert(secret).signature(message))
            }
            SecretHalf::Elsewhere { place, custodian } => {
                let public = self.entry.public_key();
                let signed = custodian.sign(message, public.algorithm());
                let accepted = signed.and_then(|raw| Ok(accept(public, message, raw)?));
                let name = self.entry.name();
                accepted.map_err(|refusal: Refusal| refusal.during(Attempt::Sign, name, place))
            }
        }
    }
}

impl Signer for StoreSigner {
    fn public_key(&self) -> &PublicKey {
        self.entry.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let key = self.entry.name().to_string();
        self.signature(message).map_err(|source| SignError { key, source: source.into() })
    }
}

impl fmt::Debug for StoreSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSigner").field("entry", &self.entry).finish_non_exhaustive()
    }
}
