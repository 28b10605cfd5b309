//! What can go wrong with keys, in two parts: what failed, and what to do.

use std::io;
use std::path::PathBuf;

use stella_model::ErrorCode;
use stella_seal::{KeyError, KeyFileError};

use crate::files::PUBLIC_KEY;
use crate::password::{PASSWORD_FILE, PIN_FILE, TOKEN_FILE};
use crate::trust::TRUSTED;
use crate::{CustodianError, KeyName, VARIABLES};

/// Why an operation on keys failed.
///
/// `Display` says what was attempted on what; [`hint`](KeysError::hint) says what to do;
/// [`code`](KeysError::code) gives the exit code.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file could not be read.
    #[error("cannot read {what} {path}")]
    Read {
        /// What the file is, such as `the key file`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {what} {path}")]
    Write {
        /// What the file is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is far too long for what it should be, or no text.
    #[error("{path} is not {what}: {fault}")]
    NotText {
        /// What the file should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// No key of this name.
    #[error("there is no {what} named {name}")]
    NotFound {
        /// `signing key` or `trusted key`.
        what: &'static str,
        /// The name asked for.
        name: KeyName,
    },
    /// The store holds no signing key.
    #[error("there is no signing key yet")]
    NoKey,
    /// The store holds several signing keys and none was named.
    #[error("there are several signing keys: {}", join(names))]
    SeveralKeys {
        /// Their names.
        names: Vec<KeyName>,
    },
    /// Something is already there.
    #[error("{what} {path} exists already")]
    Exists {
        /// What the file is.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The same public key is trusted under another name.
    #[error("this key is trusted already, as {name}")]
    TrustedAs {
        /// The other name.
        name: KeyName,
    },
    /// A file is no public key.
    #[error("{path} is no public key that can be used")]
    PublicKey {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: KeyError,
    },
    /// A file is no secret key that can be imported.
    #[error("{path} is no secret key that can be imported")]
    SecretKey {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: KeyError,
    },
    /// A file is no encrypted key file, or holds something else.
    #[error("cannot open the key file {path}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: KeyFileError,
    },
    /// The password does not open the key file.
    #[error("the password does not open the key file {path}")]
    WrongPassword {
        /// The file.
        path: PathBuf,
    },
    /// `NAME.pub` is not the public half of `NAME.key`.
    #[error("{name}.pub is not the public half of {name}.key")]
    Halves {
        /// The key.
        name: KeyName,
    },
    /// There is a `NAME.key` without its `NAME.pub`.
    #[error("the key {name} has no {name}.pub beside its {name}.key")]
    NoPublicHalf {
        /// The key.
        name: KeyName,
    },
    /// There is a `NAME.key` and a `NAME.toml`.
    #[error("the key {name} has both a key file and an entry for another place")]
    TwoPlaces {
        /// The key.
        name: KeyName,
    },
    /// A key of this name lives in another kind of place and is not replaced.
    #[error("{path} exists already, of a key that lives elsewhere")]
    OtherPlace {
        /// What would have to go.
        path: PathBuf,
    },
    /// An entry says no place.
    #[error("{path} does not say where a key lives: {fault}")]
    Entry {
        /// The entry file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// A place is none that a key can have.
    #[error("this is no place of a key ({kind}): {fault}")]
    Place {
        /// Its kind.
        kind: &'static str,
        /// What is wrong with it.
        fault: String,
    },
    /// The secret half of a key cannot be taken out of where it is.
    #[error("the secret half of the key {name} is not in a key file")]
    NoKeyFile {
        /// The key.
        name: KeyName,
    },
    /// Where the key lives, something failed.
    #[error(transparent)]
    Custodian(Box<CustodianError>),
    /// A password is needed and there is nowhere to get one from.
    #[error("the key {name} needs a password")]
    NoPassword {
        /// The key.
        name: String,
    },
    /// A password cannot be taken from the terminal.
    #[error("cannot ask for the password of the key {name}")]
    Prompt {
        /// The key.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The two entries of a new password differ, or are empty.
    #[error("no password was set for the key {name}: {fault}")]
    NewPassword {
        /// The key.
        name: String,
        /// What was wrong with it.
        fault: &'static str,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a key")]
    Random(#[source] getrandom::Error),
}

impl KeysError {
    /// The code, from which exit code and HTTP status follow.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            KeysError::Read { source, .. } => ErrorCode::of_reading(source.kind()),
            KeysError::Write { source, .. } => ErrorCode::of_writing(source.kind()),
            KeysError::Prompt { source, .. } if source.kind() == io::ErrorKind::Interrupted => {
                ErrorCode::Interrupted
            }
            KeysError::Prompt { .. } => ErrorCode::Io,
            KeysError::NotText { .. }
            | KeysError::PublicKey { .. }
            | KeysError::SecretKey { .. }
            | KeysError::KeyFile { .. }
            | KeysError::Halves { .. }
            | KeysError::TwoPlaces { .. }
            | KeysError::Entry { .. }
            | KeysError::Place { .. }
            | KeysError::NoPublicHalf { .. } => ErrorCode::Invalid,
            KeysError::NotFound { .. } => ErrorCode::NotFound,
            KeysError::NoKey => ErrorCode::NoKey,
            KeysError::SeveralKeys { .. }
            | KeysError::NoPassword { .. }
            | KeysError::NewPassword { .. } => ErrorCode::Usage,
            KeysError::Exists { .. }
            | KeysError::OtherPlace { .. }
            | KeysError::TrustedAs { .. } => ErrorCode::Conflict,
            KeysError::WrongPassword { .. } | KeysError::NoKeyFile { .. } => ErrorCode::NotAllowed,
            KeysError::Custodian(error) => error.code(),
            KeysError::Random(_) => ErrorCode::Internal,
        }
    }

    /// What to do, if there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            KeysError::NoPublicHalf { name } => {
                format!("import {name}.key under another name, which writes both halves")
            }
            KeysError::TwoPlaces { name } => {
                format!("move {name}.key or {name}.toml away, with what else belongs to it")
            }
            KeysError::OtherPlace { .. } => {
                "choose another name: a key is not replaced by one in another kind of place".into()
            }
            KeysError::Entry { .. } | KeysError::Place { .. } => {
                "stella keys add writes such an entry; its members are in \
                 docs/modules/export-center/signing-keys.md"
                    .into()
            }
            KeysError::Custodian(error) => return error.hint(),
            KeysError::NotFound { what: "trusted key", .. } => {
                "`stella trust list` shows the keys that are trusted".into()
            }
            KeysError::NotFound { .. } => "`stella keys list` shows the keys there are".into(),
            KeysError::NoKey => "make one with: stella keys generate release".into(),
            KeysError::SeveralKeys { .. } => {
                "name one of them: export run --key NAME, keys export-public NAME".into()
            }
            KeysError::Exists { what: TRUSTED, .. } => {
                "choose another name, or first: stella trust remove NAME".into()
            }
            KeysError::Read { what: PASSWORD_FILE, .. } if self.code() == ErrorCode::NotFound => {
                "give the path of a file with the password on its first line".into()
            }
            KeysError::Read { what: PIN_FILE | TOKEN_FILE, .. } => {
                "the entry of the key, keys/NAME.toml, names this file".into()
            }
            KeysError::Exists { .. } => {
                "choose another name, or replace it with --replace: a replaced key cannot sign \
                 again"
                    .into()
            }
            KeysError::TrustedAs { name } => {
                format!("to give it another name, first: stella trust remove {name}")
            }
            KeysError::PublicKey { source: KeyError::Label { found, .. }, .. }
                if found.contains("PRIVATE") =>
            {
                "this is a private key: give the public one (stella keys export-public NAME)".into()
            }
            KeysError::PublicKey { .. } | KeysError::NotText { what: PUBLIC_KEY, .. } => {
                "a public key is a PEM file that begins with -----BEGIN PUBLIC KEY-----, such as \
                 stella keys export-public NAME prints"
                    .into()
            }
            KeysError::Read { what: PUBLIC_KEY, .. } => {
                "give the path of the signer's public key, a PEM file; stella keys export-public \
                 NAME prints one of your own"
                    .into()
            }
            KeysError::Prompt { .. } if self.code() == ErrorCode::Interrupted => {
                "nothing was changed; run the same command again".into()
            }
            KeysError::Read { .. } | KeysError::Write { .. }
                if self.code() == ErrorCode::NotAllowed =>
            {
                "check the owner and mode of the folder, or choose another with --store".into()
            }
            KeysError::SecretKey { source: KeyError::Label { found, .. }, .. } => {
                import_hint(found)
            }
            KeysError::WrongPassword { .. } => format!(
                "check the password file or the variables {}; a damaged key file looks the same",
                VARIABLES.join(" and ")
            ),
            KeysError::Halves { .. } => {
                "one of the two files was replaced: restore it from a backup, or import the key \
                 again"
                    .into()
            }
            KeysError::NoPassword { .. } => format!(
                "give a file with it (--password-file, for a service --key-password-file) or set {}; \
                 without a terminal nothing is asked",
                VARIABLES[0]
            ),
            KeysError::NewPassword { .. } => format!(
                "try again; an empty password is only taken from --password-file or {}",
                VARIABLES[0]
            ),
            _ => return None,
        })
    }
}

/// How other forms of private keys become one that is read here.
fn import_hint(label: &str) -> String {
    match label {
        "PUBLIC KEY" => "this is a public key: stella trust add NAME FILE trusts its owner".into(),
        "ENCRYPTED PRIVATE KEY" | "EC PRIVATE KEY" | "EC PARAMETERS" => {
            "convert it first: openssl pkcs8 -topk8 -nocrypt -in FILE -out plain.pem".into()
        }
        _ => "keys that can be imported: key files of cosign, and PEM files that begin with \
              -----BEGIN PRIVATE KEY-----"
            .into(),
    }
}

fn join(names: &[KeyName]) -> String {
    names.iter().map(KeyName::as_str).collect::<Vec<_>>().join(", ")
}
