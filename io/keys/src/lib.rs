//! Signing keys, in cosign's encrypted files or where nobody can take them out, and the public keys
//! that are trusted.
//!
//! # Files
//! ```text
//! keys/NAME.key                          encrypted secret key, readable by its owner only
//! keys/NAME.toml                         or: where the secret key lives, a token, AWS KMS, Vault
//! keys/NAME.pub                          public key, for cosign and for other people
//! keys/signatures/FINGERPRINT/SHA256.sig signatures made before, by the SHA-256 of what is signed
//! trust/NAME.pub                         public key of a signer whose bundles are accepted
//! ```
//! Every write goes to a temporary file first and nothing is replaced unless the caller says so
//! ([`Existing::Replace`]). Passwords come from a file, a variable or a prompt, never from an
//! argument of a command.
//!
//! # Places of keys
//! [`StoreSigner`] signs with a key wherever it lives ([`Place`]). Behind it stands what holds the
//! secret half: a key file, or a custodian that signs and gives nothing out. Three are built in by
//! features, `pkcs11`, `aws-kms` and `vault`; none of them changes a byte that is written
//! (docs/adr/0016).

mod custodian;
mod error;
mod files;
mod kept;
mod name;
mod password;
mod place;
mod signer;
mod store;
mod trust;

pub use custodian::CustodianError;
pub use error::KeysError;
pub use files::{Existing, read_public_key};
pub use name::KeyName;
pub use password::{Password, PasswordSource, VARIABLES};
pub use place::{AwsKmsPlace, Elsewhere, Pkcs11Place, Place, VaultPlace};
pub use signer::StoreSigner;
pub use store::{KeyEntry, KeyStore};
pub use trust::{TrustStore, TrustedKey};
