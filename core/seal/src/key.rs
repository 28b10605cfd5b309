//! Public and secret keys, signing and verifying.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek as ed25519;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::pkcs8::spki::SubjectPublicKeyInfoRef;
use p256::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
    ObjectIdentifier, PrivateKeyInfoRef,
};
use stella_model::Digest;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{ecdsa, pem};

/// Longest signature of any algorithm that a bundle may carry, in bytes. Stops signature files
/// that are data in disguise; RSA with 8192 bits fits.
pub const SIGNATURE_BYTES_MAX: usize = 1024;

const PUBLIC_LABEL: &str = "PUBLIC KEY";
const OID_EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const OID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const OID_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// PKCS#8 version 1 around an Ed25519 seed (RFC 8410 §7), the form that Go and so cosign writes.
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The algorithms that cosign 2 and 3 both verify and that sign the same bytes alike every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// ECDSA over P-256 with SHA-256, nonce by RFC 6979, low S.
    EcdsaP256Sha256,
    /// Ed25519 (RFC 8032), plain.
    Ed25519,
}

impl Algorithm {
    /// All algorithms, the default first.
    pub const ALL: [Algorithm; 2] = [Algorithm::EcdsaP256Sha256, Algorithm::Ed25519];

    /// The name that options and listings show.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::EcdsaP256Sha256 => "ecdsa-p256",
            Algorithm::Ed25519 => "ed25519",
        }
    }

    /// The algorithm with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why bytes are no key that can be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not one PEM block.
    #[error("the key is no PEM file: {0}")]
    Pem(String),
    /// A PEM block of something else.
    #[error("a PEM block {wanted:?} is wanted, this is {found:?}")]
    Label {
        /// The label of the form that is read here.
        wanted: &'static str,
        /// The label found, cut to 60 characters.
        found: String,
    },
    /// Not the DER of a key.
    #[error("the key is no valid DER: it is damaged, or not the usual encoding of its algorithm")]
    Der,
    /// A key of another algorithm.
    #[error("keys of the algorithm {0} are not supported: ECDSA P-256 and Ed25519 are")]
    Algorithm(String),
    /// A point or number that is no safe key of its algorithm.
    #[error("the value in the key is not a valid {0} key")]
    Weak(Algorithm),
}

/// A signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not the one accepted encoding: 64 bytes for Ed25519, minimal DER with low S for ECDSA.
    #[error("the signature is not in its one accepted encoding")]
    Encoding,
    /// Well-formed, but not made by this key over these bytes.
    #[error("the signature does not belong to these bytes and this key")]
    Mismatch,
}

/// A signer could not sign.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign with the key {key}")]
pub struct SignError {
    /// The key by the name or fingerprint its user knows.
    pub key: String,
    /// Why: a wrong password, a device that is gone, a refused request.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Something that signs: a secret key in memory, or a key of a store, wherever it lives.
///
/// # Guarantees
/// What [`sign`](Signer::sign) returns passes [`PublicKey::verify`] of
/// [`public_key`](Signer::public_key): implementations over hardware call
/// [`normalise_ecdsa`](crate::normalise_ecdsa).
pub trait Signer {
    /// The public half.
    fn public_key(&self) -> &PublicKey;

    /// Signs a message (not its digest).
    ///
    /// # Errors
    /// [`SignError`] says which key and why.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A public key in its one accepted encoding.
#[derive(Clone)]
pub struct PublicKey {
    point: Point,
    spki: Vec<u8>,
    fingerprint: Digest,
}

#[derive(Clone)]
enum Point {
    P256(p256::ecdsa::VerifyingKey),
    Ed25519(ed25519::VerifyingKey),
}

impl PublicKey {
    /// Reads a `PUBLIC KEY` PEM block.
    ///
    /// # Errors
    /// [`KeyError`]; a private key is named as such by its label.
    pub fn from_pem(text: &str) -> Result<PublicKey, KeyError> {
        PublicKey::from_spki_der(&block(text, PUBLIC_LABEL)?)
    }

    /// Reads a `SubjectPublicKeyInfo`: named curve and uncompressed point for P-256.
    ///
    /// # Errors
    /// [`KeyError`]; also for encodings that other readers take, because the fingerprint is over
    /// the bytes and one key must have one.
    pub fn from_spki_der(der: &[u8]) -> Result<PublicKey, KeyError> {
        let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| KeyError::Der)?;
        let curve = info.algorithm.parameters_oid().ok();
        let point = match algorithm(info.algorithm.oid, curve)? {
            Algorithm::EcdsaP256Sha256 => p256::ecdsa::VerifyingKey::from_public_key_der(der)
                .map(Point::P256)
                .map_err(|_| KeyError::Weak(Algorithm::EcdsaP256Sha256))?,
            Algorithm::Ed25519 => ed25519::VerifyingKey::from_public_key_der(der)
                .ok()
                .filter(|key| !key.is_weak())
                .map(Point::Ed25519)
                .ok_or(KeyError::Weak(Algorithm::Ed25519))?,
        };
        let key = PublicKey::from_point(point);
        if key.spki == der { Ok(key) } else { Err(KeyError::Der) }
    }

    fn from_point(point: Point) -> PublicKey {
        let spki = match &point {
            Point::P256(key) => key.to_public_key_der(),
            Point::Ed25519(key) => key.to_public_key_der(),
        };
        let spki = spki.expect("a valid point always has its DER").into_vec();
        PublicKey { fingerprint: Digest::of(&spki), point, spki }
    }

    /// The `PUBLIC KEY` PEM block: 64 columns, line feed at the end.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(PUBLIC_LABEL, &self.spki).to_string()
    }

    /// The `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of the `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }

    /// The fingerprint as cosign writes it into bundles: padded base64.
    #[must_use]
    pub fn hint(&self) -> String {
        STANDARD.encode(self.fingerprint.as_bytes())
    }

    /// First eight hex digits of the fingerprint, as in the names of `signatures/`.
    #[must_use]
    pub fn hint8(&self) -> String {
        self.fingerprint.short(8)
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.point {
            Point::P256(_) => Algorithm::EcdsaP256Sha256,
            Point::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// Checks a signature over a message.
    ///
    /// # Errors
    /// [`SignatureError::Encoding`] for every spelling but the one that FORMATS accepts, whether
    /// or not it would verify; [`SignatureError::Mismatch`] otherwise.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        match &self.point {
            Point::P256(key) => {
                let signature = ecdsa::strict(signature).ok_or(SignatureError::Encoding)?;
                key.verify(message, &signature).map_err(|_| SignatureError::Mismatch)
            }
            Point::Ed25519(key) => {
                let signature = ed25519::Signature::from_slice(signature)
                    .map_err(|_| SignatureError::Encoding)?;
                key.verify_strict(message, &signature).map_err(|_| SignatureError::Mismatch)
            }
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &PublicKey) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm(), self.fingerprint)
    }
}

/// A secret key. Wiped when dropped; never printed.
pub struct SecretKey {
    scalar: Scalar,
    public: PublicKey,
}

enum Scalar {
    // Both types wipe themselves when they are dropped.
    P256(p256::ecdsa::SigningKey),
    Ed25519(Box<ed25519::SigningKey>),
}

impl SecretKey {
    /// The key that a random seed gives.
    ///
    /// The seed is the key itself: it must come from the system's generator and be wiped.
    ///
    /// # Errors
    /// [`KeyError::Weak`] if the seed is no P-256 scalar, which happens to one in 2³² seeds: draw
    /// again.
    pub fn generate(algorithm: Algorithm, seed: &[u8; 32]) -> Result<SecretKey, KeyError> {
        let scalar = match algorithm {
            Algorithm::EcdsaP256Sha256 => p256::ecdsa::SigningKey::from_slice(seed)
                .map(Scalar::P256)
                .map_err(|_| KeyError::Weak(algorithm))?,
            Algorithm::Ed25519 => Scalar::Ed25519(Box::new(ed25519::SigningKey::from_bytes(seed))),
        };
        Ok(SecretKey::from_scalar(scalar))
    }

    /// Reads a plain `PRIVATE KEY` PEM block (PKCS#8, not encrypted).
    ///
    /// # Errors
    /// [`KeyError`]; other kinds of private key are named by their label.
    pub fn from_pkcs8_pem(text: &str) -> Result<SecretKey, KeyError> {
        SecretKey::from_pkcs8_der(&block(text, "PRIVATE KEY")?)
    }

    /// Reads plain PKCS#8.
    ///
    /// # Errors
    /// [`KeyError`] for damaged keys, other algorithms, and halves that do not belong together.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<SecretKey, KeyError> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| KeyError::Der)?;
        let curve = info.algorithm.parameters_oid().ok();
        let scalar = match algorithm(info.algorithm.oid, curve)? {
            Algorithm::EcdsaP256Sha256 => p256::ecdsa::SigningKey::from_pkcs8_der(der)
                .map(Scalar::P256)
                .map_err(|_| KeyError::Weak(Algorithm::EcdsaP256Sha256))?,
            Algorithm::Ed25519 => ed25519::SigningKey::from_pkcs8_der(der)
                .map(|key| Scalar::Ed25519(Box::new(key)))
                .map_err(|_| KeyError::Weak(Algorithm::Ed25519))?,
        };
        Ok(SecretKey::from_scalar(scalar))
    }

    /// Plain PKCS#8, the form inside cosign's key file.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        match &self.scalar {
            Scalar::P256(key) => {
                key.to_pkcs8_der().expect("a valid scalar always has its DER").to_bytes()
            }
            Scalar::Ed25519(key) => {
                let mut seed = key.to_bytes();
                let der = Zeroizing::new([&ED25519_PKCS8[..], &seed[..]].concat());
                seed.zeroize();
                der
            }
        }
    }

    fn from_scalar(scalar: Scalar) -> SecretKey {
        let point = match &scalar {
            Scalar::P256(key) => Point::P256(*key.verifying_key()),
            Scalar::Ed25519(key) => Point::Ed25519(key.verifying_key()),
        };
        SecretKey { public: PublicKey::from_point(point), scalar }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message. The same key and message always give the same bytes.
    #[must_use]
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        match &self.scalar {
            Scalar::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                ecdsa::to_minimal(&signature)
            }
            Scalar::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }
}

impl Signer for SecretKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.signature(message))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {:?})", self.public)
    }
}

/// The body of the only PEM block of a text, if it has this label.
fn block(text: &str, wanted: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let (label, body) = pem::decode(text).map_err(|fault| KeyError::Pem(fault.to_string()))?;
    if label == wanted {
        Ok(body)
    } else {
        Err(KeyError::Label { wanted, found: label.chars().take(60).collect() })
    }
}

fn algorithm(
    oid: ObjectIdentifier,
    curve: Option<ObjectIdentifier>,
) -> Result<Algorithm, KeyError> {
    let p256 = <p256::NistP256 as p256::pkcs8::AssociatedOid>::OID;
    match (oid, curve) {
        (OID_ED25519, _) => Ok(Algorithm::Ed25519),
        (OID_EC, Some(curve)) if curve == p256 => Ok(Algorithm::EcdsaP256Sha256),
        (OID_EC, Some(curve)) => Err(KeyError::Algorithm(format!("ECDSA on curve {curve}"))),
        (OID_RSA, _) => Err(KeyError::Algorithm("RSA".into())),
        (other, _) => Err(KeyError::Algorithm(other.to_string())),
    }
}

#[cfg(test)]
mod tests;
