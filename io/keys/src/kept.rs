//! Signatures that were made before, kept so that the same bytes are signed once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use stella_model::{Digest, ErrorCode};
use stella_seal::{PublicKey, detached, detached_sig};

use crate::files::{Readers, read_bytes, write};
use crate::{Existing, KeysError};

const KEPT: &str = "the kept signature";

/// The kept signatures of one key.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
    key: PublicKey,
}

impl Kept {
    /// Those of a key in a folder of keys.
    pub(crate) fn of(key: &PublicKey, keys: &Path) -> Kept {
        let folder = keys.join("signatures").join(key.fingerprint().to_string());
        Kept { folder, key: key.clone() }
    }

    /// The signature over a message, if a good one is kept.
    pub(crate) fn get(&self, message: &[u8]) -> Option<Vec<u8>> {
        let text = read_bytes(KEPT, &self.path(&Digest::of(message))).ok()?;
        let signature = detached::parse(&text).ok()?;
        self.key.verify(message, &signature).ok()?;
        Some(signature)
    }

    /// As [`get`](Self::get), and remembers that it was of use.
    pub(crate) fn take(&self, message: &[u8]) -> Option<Vec<u8>> {
        let kept = self.get(message)?;
        // A time that cannot be set only makes it look older to `prune`.
        let file = File::options().append(true).open(self.path(&Digest::of(message)));
        let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
        Some(kept)
    }

    /// Whether there is a signature over bytes with this digest, whatever it is worth.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Keeps a signature that was checked, and gives the one that is kept: where another process
    /// was quicker, that is the other's, so that both write the same bundle.
    pub(crate) fn keep(&self, message: &[u8], signature: Vec<u8>) -> Result<Vec<u8>, KeysError> {
        let path = self.path(&Digest::of(message));
        let text = detached_sig(&signature);
        match write(KEPT, &path, text.as_bytes(), Readers::Everyone, Existing::Keep) {
            Err(error) if error.code() == ErrorCode::Conflict => match self.get(message) {
                Some(kept) => Ok(kept),
                None => {
                    let replace = Existing::Replace;
                    write(KEPT, &path, text.as_bytes(), Readers::Everyone, replace)?;
                    Ok(signature)
                }
            },
            written => written.map(|()| signature),
        }
    }

    /// Removes those that were used longest ago until `most` are left; how many were removed.
    pub(crate) fn prune(&self, most: usize) -> Result<usize, KeysError> {
        let failed = |source| KeysError::Read {
            what: "the folder of kept signatures",
            path: self.folder.clone(),
            source,
        };
        let mut kept = Vec::new();
        let entries = match fs::read_dir(&self.folder) {
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

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.sig"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signature_that_is_kept_is_the_one_that_counts() {
        let folder = tempfile::tempdir().unwrap();
        let key =
            stella_seal::SecretKey::generate(stella_seal::Algorithm::EcdsaP256Sha256, &[3; 32]);
        let key = key.unwrap();
        let kept = Kept::of(key.public(), folder.path());
        let good = key.signature(b"m");
        assert_eq!(kept.keep(b"m", good.clone()).unwrap(), good);
        // Another process was quicker: what it kept is good, and is given instead of ours.
        assert_eq!(kept.keep(b"m", b"later".to_vec()).unwrap(), good);
        // What is damaged gives way.
        fs::write(kept.path(&Digest::of(b"m")), "AAAA").unwrap();
        assert_eq!(kept.get(b"m"), None);
        assert_eq!(kept.keep(b"m", good.clone()).unwrap(), good);
        assert_eq!(kept.take(b"m"), Some(good));
    }
}
