//! The signing keys of a store.

use std::io;
use std::path::{Path, PathBuf};

use stella_seal::is_encrypted_key_file;
use stella_seal::{Algorithm, Cost, KeyFileError, KeyFileSeed, PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::custodian::{self, Attempt};
use crate::files::{Readers, read_public_key, read_text, write};
use crate::place::ENTRY;
use crate::{
    Elsewhere, Existing, KeyName, KeysError, Password, PasswordSource, Place, StoreSigner,
};

const KEY_FILE: &str = "the key file";
const PUBLIC_FILE: &str = "the public key";

/// A folder of signing keys, made when the first key is written.
#[derive(Debug, Clone)]
pub struct KeyStore {
    folder: PathBuf,
}

/// One signing key: its name, its public half, and where its secret half lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    name: KeyName,
    public: PublicKey,
    place: Place,
    folder: PathBuf,
}

impl KeyStore {
    /// The keys in a folder.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> KeyStore {
        KeyStore { folder: folder.into() }
    }

    /// Makes a key and keeps it under a new password.
    ///
    /// # Errors
    /// [`KeysError::Exists`] before any password is asked for, unless it may be replaced.
    pub fn generate(
        &self,
        name: &KeyName,
        algorithm: Algorithm,
        password: &PasswordSource,
        existing: Existing,
    ) -> Result<KeyEntry, KeysError> {
        self.refuse_existing(name, existing, &self.key_path(name), &self.entry_path(name))?;
        let password = password.new_password(name.as_str())?;
        let secret = loop {
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *seed).map_err(KeysError::Random)?;
            // One seed in 2³² is no scalar of P-256.
            if let Ok(secret) = SecretKey::generate(algorithm, &seed) {
                break secret;
            }
        };
        self.keep(name, &secret, &password, existing)
    }

    /// Takes over a key file of cosign, which keeps its password, or a plain PKCS#8 PEM file, which
    /// gets a new one. Either way it is encrypted afresh here; the given file is left alone.
    ///
    /// # Errors
    /// [`KeysError::SecretKey`] and [`KeysError::KeyFile`] for what cannot be imported,
    /// [`KeysError::WrongPassword`], [`KeysError::Exists`].
    pub fn import(
        &self,
        name: &KeyName,
        file: &Path,
        password: &PasswordSource,
        existing: Existing,
    ) -> Result<KeyEntry, KeysError> {
        self.refuse_existing(name, existing, &self.key_path(name), &self.entry_path(name))?;
        let text = read_text("the key to import", file)?;
        let (secret, password) = if is_encrypted_key_file(&text) {
            let password = password.existing(name.as_str())?;
            (open(&text, file, &password)?, password)
        } else {
            let secret = SecretKey::from_pkcs8_pem(&text)
                .map_err(|source| KeysError::SecretKey { path: file.to_owned(), source })?;
            (secret, password.new_password(name.as_str())?)
        };
        self.keep(name, &secret, &password, existing)
    }

    /// Takes up a key that lives elsewhere: asks there for its public half, which is recorded, and
    /// has it sign once.
    ///
    /// # Errors
    /// [`KeysError::Exists`] and [`KeysError::OtherPlace`] before anyone is asked,
    /// [`KeysError::Place`], and [`KeysError::Custodian`] for what is wrong there.
    pub fn add(
        &self,
        name: &KeyName,
        place: &Elsewhere,
        password: &PasswordSource,
        existing: Existing,
    ) -> Result<KeyEntry, KeysError> {
        self.refuse_existing(name, existing, &self.entry_path(name), &self.key_path(name))?;
        // Before anyone is asked: what cannot be read back is not a place.
        place.to_entry()?;
        let failed = |refusal: custodian::Refusal| refusal.during(Attempt::Find, name, place);
        let (public, place) = custodian::of(name, place, password).find().map_err(failed)?;
        let (text, pem) = (place.to_entry()?, public.to_pem());
        let place = Place::Elsewhere(place);
        let entry = KeyEntry { name: name.clone(), public, place, folder: self.folder.clone() };
        entry.signer(password.clone()).ready()?;
        write(ENTRY, &self.entry_path(name), text.as_bytes(), Readers::Owner, existing)?;
        write(PUBLIC_FILE, &self.public_path(name), pem.as_bytes(), Readers::Everyone, existing)?;
        self.get(name)
    }

    /// All keys, by name.
    ///
    /// # Errors
    /// [`KeysError`] if one of them has no readable public half.
    pub fn list(&self) -> Result<Vec<KeyEntry>, KeysError> {
        self.names()?.into_iter().map(|name| self.get(&name)).collect()
    }

    /// The key of this name.
    ///
    /// # Errors
    /// [`KeysError::NotFound`].
    pub fn get(&self, name: &KeyName) -> Result<KeyEntry, KeysError> {
        let has_file = is_there(KEY_FILE, &self.key_path(name))?;
        let place = match (has_file, is_there(ENTRY, &self.entry_path(name))?) {
            (true, true) => return Err(KeysError::TwoPlaces { name: name.clone() }),
            (true, false) => Place::File,
            (false, true) => Place::Elsewhere(Elsewhere::read(&self.entry_path(name))?),
            (false, false) => {
                return Err(KeysError::NotFound { what: "signing key", name: name.clone() });
            }
        };
        let public_path = self.public_path(name);
        if !public_path.exists() {
            return Err(KeysError::NoPublicHalf { name: name.clone() });
        }
        let public = read_public_key(&public_path)?;
        Ok(KeyEntry { name: name.clone(), public, place, folder: self.folder.clone() })
    }

    /// The key of this name, or the only one if none is named.
    ///
    /// # Errors
    /// [`KeysError::NoKey`] if there is none, [`KeysError::SeveralKeys`] if there is a choice.
    pub fn choose(&self, name: Option<&KeyName>) -> Result<KeyEntry, KeysError> {
        if let Some(name) = name {
            return self.get(name);
        }
        let names = self.names()?;
        match names.as_slice() {
            [] => Err(KeysError::NoKey),
            [only] => self.get(only),
            _ => Err(KeysError::SeveralKeys { names }),
        }
    }

    /// The `PUBLIC KEY` PEM block of a key, for those who verify.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn export_public(&self, name: &KeyName) -> Result<String, KeysError> {
        Ok(self.get(name)?.public.to_pem())
    }

    fn names(&self) -> Result<Vec<KeyName>, KeysError> {
        let mut names = names_in(&self.folder, ".key", "the folder of keys")?;
        names.extend(names_in(&self.folder, ".toml", "the folder of keys")?);
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Refuses a name that is taken, and one of a key in another kind of place always.
    fn refuse_existing(
        &self,
        name: &KeyName,
        existing: Existing,
        own: &Path,
        other: &Path,
    ) -> Result<(), KeysError> {
        if other.exists() {
            return Err(KeysError::OtherPlace { path: other.to_owned() });
        }
        let what = if own == self.key_path(name) { KEY_FILE } else { ENTRY };
        for (what, path) in [(what, own.to_owned()), (PUBLIC_FILE, self.public_path(name))] {
            if existing == Existing::Keep && path.exists() {
                return Err(KeysError::Exists { what, path });
            }
        }
        Ok(())
    }

    fn keep(
        &self,
        name: &KeyName,
        secret: &SecretKey,
        password: &Password,
        existing: Existing,
    ) -> Result<KeyEntry, KeysError> {
        let mut seed = KeyFileSeed { salt: [0; 32], nonce: [0; 24] };
        getrandom::fill(&mut seed.salt).map_err(KeysError::Random)?;
        getrandom::fill(&mut seed.nonce).map_err(KeysError::Random)?;
        let sealed = secret.encrypt(password.as_bytes(), &seed, Cost::default());
        let pem = secret.public().to_pem();
        // The secret half first: a public key without it could be handed out and never be used.
        write(KEY_FILE, &self.key_path(name), sealed.as_bytes(), Readers::Owner, existing)?;
        write(PUBLIC_FILE, &self.public_path(name), pem.as_bytes(), Readers::Everyone, existing)?;
        self.get(name)
    }

    fn key_path(&self, name: &KeyName) -> PathBuf {
        self.folder.join(format!("{name}.key"))
    }

    fn entry_path(&self, name: &KeyName) -> PathBuf {
        self.folder.join(format!("{name}.toml"))
    }

    fn public_path(&self, name: &KeyName) -> PathBuf {
        self.folder.join(format!("{name}.pub"))
    }
}

impl KeyEntry {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Where the secret half lives.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Decrypts the secret half of a key file, which takes about a third of a second and 64 MiB.
    ///
    /// # Errors
    /// [`KeysError::WrongPassword`]; [`KeysError::Halves`] if it is not the secret half of
    /// [`public_key`](Self::public_key); [`KeysError::NoKeyFile`] if it lives elsewhere.
    pub fn unlock(&self, password: &PasswordSource) -> Result<SecretKey, KeysError> {
        if self.place != Place::File {
            return Err(KeysError::NoKeyFile { name: self.name.clone() });
        }
        let path = self.folder.join(format!("{}.key", self.name));
        let text = read_text(KEY_FILE, &path)?;
        let secret = open(&text, &path, &password.existing(self.name.as_str())?)?;
        if *secret.public() == self.public {
            Ok(secret)
        } else {
            Err(KeysError::Halves { name: self.name.clone() })
        }
    }

    /// A signer that decrypts or asks when it is first needed, and never for what it signed before.
    /// The password is that of the key file, or the PIN of the token.
    #[must_use]
    pub fn signer(&self, password: PasswordSource) -> StoreSigner {
        StoreSigner::new(self.clone(), password, &self.folder)
    }
}

fn open(text: &str, path: &Path, password: &Password) -> Result<SecretKey, KeysError> {
    SecretKey::open(text, password.as_bytes()).map_err(|source| match source {
        KeyFileError::Password => KeysError::WrongPassword { path: path.to_owned() },
        source => KeysError::KeyFile { path: path.to_owned(), source },
    })
}

/// Whether there is a file; one that cannot be looked at is told.
fn is_there(what: &'static str, path: &Path) -> Result<bool, KeysError> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(found.is_file()),
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(KeysError::Read { what, path: path.to_owned(), source })
        }
        Err(_) => Ok(false),
    }
}

/// Names of the files with a suffix, sorted; other files are not ours and are passed over.
pub(crate) fn names_in(
    folder: &Path,
    suffix: &str,
    what: &'static str,
) -> Result<Vec<KeyName>, KeysError> {
    let failed = |source| KeysError::Read { what, path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let file = entry.map_err(failed)?.file_name();
        let name = file.to_str().and_then(|file| file.strip_suffix(suffix));
        names.extend(name.and_then(|name| KeyName::new(name).ok()));
    }
    names.sort();
    Ok(names)
}
