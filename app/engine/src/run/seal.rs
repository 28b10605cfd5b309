//! Stage seal: the signatures beside manifest and provenance (INV-SEAL).

use serde::Serialize;
use stella_keys::{KeyEntry, KeyName, KeyStore, PasswordSource, StoreSigner};
use stella_manifest::layout;
use stella_model::{Digest, ErrorCode, PartName};
use stella_seal::{PublicKey, SignError, SigstoreBundle, detached_sig, dsse};

use super::assemble::Files;
use crate::{EngineError, Store};

/// Who signs a bundle.
#[derive(Debug, Clone)]
pub enum Signing {
    /// A key of the store, wherever its secret half lives.
    Key {
        /// Its name; `None` takes the only one.
        name: Option<KeyName>,
        /// Where the password of its key file or the PIN of its token comes from.
        password: PasswordSource,
    },
    /// Nobody. `verify` refuses such a bundle unless told otherwise.
    UnsignedForTesting,
}

impl Signing {
    /// Tries to sign now, so that whoever looks after a service learns at its start, not with a run
    /// that fails, that there is no key or no password.
    ///
    /// # Errors
    /// [`EngineError`] as a run would end with it.
    pub fn check(&self, store: &Store) -> Result<(), EngineError> {
        let key = self.key(store)?;
        Ok(key.map_or(Ok(()), |key| key.ready())?)
    }

    /// The key, looked up before any work is done.
    pub(crate) fn key(&self, store: &Store) -> Result<Option<StoreSigner>, EngineError> {
        let Signing::Key { name, password } = self else { return Ok(None) };
        password.check()?;
        let entry: KeyEntry = KeyStore::at(store.keys_dir()).choose(name.as_ref())?;
        Ok(Some(entry.signer(password.clone())))
    }
}

/// The key that signed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyReport {
    /// Its name in the store.
    pub name: String,
    /// SHA-256 of its SPKI.
    pub fingerprint: Digest,
    /// Whether stored signatures were used, so that no password was needed.
    pub reused_signatures: bool,
}

/// The files of the envelope, and who signed them.
pub(crate) struct Sealed {
    pub(crate) files: Vec<(PartName, Vec<u8>)>,
    pub(crate) key: Option<KeyReport>,
    pub(crate) public_key: Option<PublicKey>,
}

/// Signs the manifest and the provenance.
pub(crate) fn seal(files: &Files, key: Option<&StoreSigner>) -> Result<Sealed, EngineError> {
    let mut envelope = vec![
        file(layout::EXPORT, files.export.clone())?,
        file(layout::PROVENANCE, files.provenance.clone())?,
    ];
    let Some(signer) = key else {
        return Ok(Sealed { files: envelope, key: None, public_key: None });
    };
    let reused_signatures = signer.has_signed(&files.export)
        && signer.has_signed(&dsse::pae(dsse::IN_TOTO, &files.provenance));
    let manifest = SigstoreBundle::sign_message(signer, &files.export).map_err(not_signed)?;
    let provenance =
        SigstoreBundle::sign_statement(signer, &files.provenance).map_err(not_signed)?;
    let signature = detached_sig(manifest.signature()).into_bytes();
    envelope.push(file(layout::EXPORT_SIG, signature)?);
    envelope.push(file(layout::EXPORT_BUNDLE, manifest.to_bytes())?);
    envelope.push(file(layout::PROVENANCE_BUNDLE, provenance.to_bytes())?);
    let key = KeyReport {
        name: signer.entry().name().to_string(),
        fingerprint: *signer.entry().public_key().fingerprint(),
        reused_signatures,
    };
    let public_key = Some(signer.entry().public_key().clone());
    Ok(Sealed { files: envelope, key: Some(key), public_key })
}

fn file(name: &str, bytes: Vec<u8>) -> Result<(PartName, Vec<u8>), EngineError> {
    let name = PartName::new(name).map_err(|error| {
        EngineError::new(ErrorCode::Internal, "a file of the envelope has no usable name")
            .because(error)
    })?;
    Ok((name, bytes))
}

/// The signer's own error says what is wrong with the key and what to do.
fn not_signed(error: SignError) -> EngineError {
    match error.source.downcast::<stella_keys::KeysError>() {
        Ok(keys) => EngineError::from(*keys),
        Err(source) => {
            let message = format!("the key {} cannot sign", error.key);
            EngineError::new(ErrorCode::Internal, message).because(source)
        }
    }
}
