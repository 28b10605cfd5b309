//! Signatures as bytes: keys, cosign's encrypted key file, DSSE envelopes and sigstore bundles.
//!
//! Everything written here is accepted by cosign 2 and 3 without a network, and everything read
//! here is read strictly: one signature has exactly one accepted spelling (FORMATS "The bundle").
//! ECDSA nonces are derived (RFC 6979), so that the same key over the same bytes gives the same
//! signature. INV-PURE: seeds, salts and nonces are arguments; files and passwords belong to
//! `io/keys`. Secrets are wiped when they are dropped.
//!
//! # Examples
//! ```
//! use stella_model::Limits;
//! use stella_seal::{Algorithm, SecretKey, SigstoreBundle};
//! let key = SecretKey::generate(Algorithm::EcdsaP256Sha256, &[7; 32])?;
//! let bundle = SigstoreBundle::sign_message(&key, b"hello")?;
//! let read = SigstoreBundle::parse(&bundle.to_bytes(), &Limits::DEFAULT)?;
//! read.verify_message(key.public(), b"hello")?;
//! assert!(read.verify_message(key.public(), b"hullo").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod bundle;
pub mod detached;
pub mod dsse;
mod ecdsa;
mod key;
mod key_file;
mod name;
mod pem;

pub use bundle::{BundleError, BundleFault, Content, Normalised, SigstoreBundle, VerifyError};
pub use detached::detached_sig;
pub use dsse::Envelope;
pub use ecdsa::normalise_ecdsa;
pub use key::{
    Algorithm, KeyError, PublicKey, SIGNATURE_BYTES_MAX, SecretKey, SignError, SignatureError,
    Signer,
};
pub use key_file::{Cost, KeyFileError, KeyFileSeed, MAX_KEY_FILE_BYTES, is_encrypted_key_file};
pub use name::SignatureName;

/// The smallest trusted root that cosign takes: it names no service at all.
///
/// cosign 2 asks the internet for one unless it is given this file; our verifier ignores it.
pub const TRUSTED_ROOT: &str =
    r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;
