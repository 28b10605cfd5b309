//! cosign's encrypted key file, the same in cosign 1, 2 and 3.
//!
//! A PEM block around a JSON object: scrypt turns the password into a key, XSalsa20-Poly1305 (NaCl
//! secretbox) keeps the PKCS#8 secret key under it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use stella_model::rfc8785;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{KeyError, SecretKey, pem};

/// Longest key file that is read, in bytes. The real ones are below 1 KiB.
pub const MAX_KEY_FILE_BYTES: usize = 64 << 10;

const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
/// What cosign 1 wrote; everyone still reads it.
const OLD_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";
const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";

/// What one guess of the password costs. The three values that cosign takes; each doubles time and
/// memory of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Cost {
    /// N = 32768, 32 MiB: what cosign 1 wrote.
    N32768,
    /// N = 65536, 64 MiB: what cosign 2 and 3 write.
    #[default]
    N65536,
    /// N = 131072, 128 MiB.
    N131072,
}

impl Cost {
    /// The parameter N of scrypt.
    #[must_use]
    pub const fn n(self) -> u32 {
        1 << self.log_n()
    }

    const fn log_n(self) -> u8 {
        match self {
            Cost::N32768 => 15,
            Cost::N65536 => 16,
            Cost::N131072 => 17,
        }
    }

    /// `None` for every other N: a file must not decide how long its reader computes.
    fn from_n(n: u64) -> Option<Cost> {
        [Cost::N32768, Cost::N65536, Cost::N131072].into_iter().find(|c| u64::from(c.n()) == n)
    }
}

/// The random bytes of one encryption. Never used twice.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct KeyFileSeed {
    /// Salt of scrypt.
    pub salt: [u8; 32],
    /// Nonce of the cipher.
    pub nonce: [u8; 24],
}

/// Why a key file cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// Not a key file of cosign.
    #[error("this is no encrypted key file of cosign: {0}")]
    Format(String),
    /// Parameters that cosign refuses as well.
    #[error("the key file is encrypted with {0}, which is not supported")]
    Unsupported(String),
    /// The password is wrong, or the file was changed: the cipher cannot tell which.
    #[error("the password does not open the key file")]
    Password,
    /// The password is right and what it opens is not a key that can be used.
    #[error("the key file opens, but holds no usable key")]
    Key(#[source] KeyError),
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    cipher: Cipher,
    ciphertext: String,
    kdf: Kdf,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    p: u64,
    r: u64,
}

/// Whether a text is one PEM block with a label of cosign's encrypted key files.
#[must_use]
pub fn is_encrypted_key_file(text: &str) -> bool {
    pem::decode(text).is_ok_and(|(label, _)| matches!(label, LABEL | OLD_LABEL))
}

impl SecretKey {
    /// Opens an encrypted key file of cosign. Takes about a third of a second and up to 128 MiB.
    ///
    /// # Errors
    /// [`KeyFileError::Password`] for a wrong password or a changed file; the others without the
    /// password having been tried.
    pub fn open(text: &str, password: &[u8]) -> Result<SecretKey, KeyFileError> {
        let sealed = parse(text)?;
        let (cost, salt, nonce, ciphertext) = sealed.parameters()?;
        let cipher = derive(password, &salt, cost);
        let der = cipher
            .decrypt(Nonce::from_slice(&nonce), ciphertext.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| KeyFileError::Password)?;
        SecretKey::from_pkcs8_der(&der).map_err(KeyFileError::Key)
    }

    /// The encrypted key file, as cosign reads it.
    #[must_use]
    pub fn encrypt(&self, password: &[u8], seed: &KeyFileSeed, cost: Cost) -> String {
        let cipher = derive(password, &seed.salt, cost);
        let ciphertext = cipher
            .encrypt(Nonce::from_slice(&seed.nonce), self.to_pkcs8_der().as_slice())
            .expect("secretbox takes every message of this length");
        let sealed = Sealed {
            cipher: Cipher { name: CIPHER.into(), nonce: STANDARD.encode(seed.nonce) },
            ciphertext: STANDARD.encode(ciphertext),
            kdf: Kdf {
                name: KDF.into(),
                params: Params { n: cost.n().into(), p: 1, r: 8 },
                salt: STANDARD.encode(seed.salt),
            },
        };
        pem::encode(LABEL, &rfc8785::to_vec(&sealed)).to_string()
    }
}

fn parse(text: &str) -> Result<Sealed, KeyFileError> {
    if text.len() > MAX_KEY_FILE_BYTES {
        return Err(KeyFileError::Format(format!("it is longer than {MAX_KEY_FILE_BYTES} bytes")));
    }
    let (label, body) =
        pem::decode(text).map_err(|fault| KeyFileError::Format(fault.to_string()))?;
    if !matches!(label, LABEL | OLD_LABEL) {
        let label: String = label.chars().take(60).collect();
        return Err(KeyFileError::Format(format!("its PEM block is {label:?}")));
    }
    serde_json::from_slice(&body)
        .map_err(|fault| KeyFileError::Format(format!("what it holds is not understood ({fault})")))
}

type Parameters = (Cost, [u8; 32], [u8; 24], Vec<u8>);

impl Sealed {
    fn parameters(&self) -> Result<Parameters, KeyFileError> {
        let Params { n, r, p } = self.kdf.params;
        let refused = |what: String| Err(KeyFileError::Unsupported(what));
        if self.kdf.name != KDF {
            return refused(format!("the key derivation {:?}", cut(&self.kdf.name)));
        }
        if self.cipher.name != CIPHER {
            return refused(format!("the cipher {:?}", cut(&self.cipher.name)));
        }
        let (Some(cost), 8, 1) = (Cost::from_n(n), r, p) else {
            return refused(format!("the scrypt parameters N={n} r={r} p={p}"));
        };
        let salt = fixed(&self.kdf.salt, "salt")?;
        let nonce = fixed(&self.cipher.nonce, "nonce")?;
        Ok((cost, salt, nonce, bytes(&self.ciphertext, "ciphertext")?))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

fn bytes(base64: &str, what: &str) -> Result<Vec<u8>, KeyFileError> {
    STANDARD.decode(base64).map_err(|_| KeyFileError::Format(format!("its {what} is not base64")))
}

fn fixed<const LENGTH: usize>(base64: &str, what: &str) -> Result<[u8; LENGTH], KeyFileError> {
    bytes(base64, what)?
        .try_into()
        .map_err(|_| KeyFileError::Format(format!("its {what} is not {LENGTH} bytes long")))
}

fn derive(password: &[u8], salt: &[u8], cost: Cost) -> XSalsa20Poly1305 {
    let params = scrypt::Params::new(cost.log_n(), 8, 1).expect("the three costs are valid");
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(password, salt, &params, &mut *key).expect("32 bytes are a valid length");
    XSalsa20Poly1305::new((&*key).into())
}

#[cfg(test)]
mod tests;
