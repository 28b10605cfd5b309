//! The public keys whose bundles this machine accepts.

use std::io;
use std::path::{Path, PathBuf};

use stella_seal::PublicKey;

use crate::files::{Existing, Readers, read_public_key, write};
use crate::store::names_in;
use crate::{KeyName, KeysError};

pub(crate) const TRUSTED: &str = "the trusted key";

/// A folder of public keys. A key inside a bundle proves nothing; these do.
#[derive(Debug, Clone)]
pub struct TrustStore {
    folder: PathBuf,
}

/// A trusted public key and the name it has here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// Its name.
    pub name: KeyName,
    /// The key.
    pub key: PublicKey,
}

impl TrustStore {
    /// The trusted keys in a folder.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> TrustStore {
        TrustStore { folder: folder.into() }
    }

    /// Trusts the key in a PEM file. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`KeysError::PublicKey`] if it is none; [`KeysError::Exists`] if the name belongs to another
    /// key, [`KeysError::TrustedAs`] if the key has another name.
    pub fn add(&self, name: &KeyName, file: &Path) -> Result<TrustedKey, KeysError> {
        self.add_key(name, read_public_key(file)?)
    }

    /// Trusts a key; as [`add`](Self::add).
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_key(&self, name: &KeyName, key: PublicKey) -> Result<TrustedKey, KeysError> {
        let added = TrustedKey { name: name.clone(), key };
        match self.list()?.into_iter().find(|known| known.key == added.key) {
            Some(known) if known.name == added.name => return Ok(added),
            Some(known) => return Err(KeysError::TrustedAs { name: known.name }),
            None => {}
        }
        let pem = added.key.to_pem();
        let path = self.path(name);
        write(TRUSTED, &path, pem.as_bytes(), Readers::Everyone, Existing::Keep)?;
        Ok(added)
    }

    /// Trusts a key no longer, readable or damaged.
    ///
    /// # Errors
    /// [`KeysError::NotFound`].
    pub fn remove(&self, name: &KeyName) -> Result<(), KeysError> {
        let path = self.path(name);
        std::fs::remove_file(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                KeysError::NotFound { what: "trusted key", name: name.clone() }
            }
            _ => KeysError::Write { what: TRUSTED, path, source },
        })
    }

    /// Looks whether there is a trusted key of this name, readable or damaged.
    ///
    /// # Errors
    /// [`KeysError::NotFound`].
    pub fn check(&self, name: &KeyName) -> Result<(), KeysError> {
        match self.path(name).exists() {
            true => Ok(()),
            false => Err(KeysError::NotFound { what: "trusted key", name: name.clone() }),
        }
    }

    /// All trusted keys, by name.
    ///
    /// # Errors
    /// [`KeysError`] if one cannot be read: a key that is passed over in silence would turn a known
    /// signer into an unknown one.
    pub fn list(&self) -> Result<Vec<TrustedKey>, KeysError> {
        let names = names_in(&self.folder, ".pub", "the folder of trusted keys")?;
        let read =
            |name: KeyName| read_public_key(&self.path(&name)).map(|key| TrustedKey { name, key });
        names.into_iter().map(read).collect()
    }

    fn path(&self, name: &KeyName) -> PathBuf {
        self.folder.join(format!("{name}.pub"))
    }
}
