//! Keys on this machine: signing keys in cosign's encrypted files, and the public keys that are
//! trusted.
//!
//! # Files
//! ```text
//! keys/NAME.key                          encrypted secret key, readable by its owner only
//! keys/NAME.pub                          public key, for cosign and for other people
//! keys/signatures/FINGERPRINT/SHA256.sig signatures made before, by the SHA-256 of what is signed
//! trust/NAME.pub                         public key of a signer whose bundles are accepted
//! ```
//! Every write goes to a temporary file first and nothing is replaced unless the caller says so
//! ([`Existing::Replace`]). Passwords come from a file, a variable or a prompt, never from an
//! argument of a command.

mod error;
mod files;
mod name;
mod password;
mod signer;
mod store;
mod trust;

pub use error::KeysError;
pub use files::{Existing, read_public_key};
pub use name::KeyName;
pub use password::{Password, PasswordSource, VARIABLES};
pub use signer::KeyFileSigner;
pub use store::{KeyEntry, KeyStore};
pub use trust::{TrustStore, TrustedKey};
