//! `keys` and `trust`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use stella_keys::{KeyName, PasswordSource};

/// Verbs of `keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a signing key, encrypted with a password
    Generate(GenerateArgs),
    /// Take a key in: an encrypted cosign key or plain PKCS#8 PEM
    Import(ImportArgs),
    /// Write the public key as PEM
    ExportPublic {
        /// Name of the key [default: the store's only key]
        name: Option<KeyName>,
        /// File to write [default: standard output]
        #[arg(short = 'd', long = "dest", value_name = "FILE")]
        dest: Option<PathBuf>,
    },
    /// List the signing keys
    #[command(visible_alias = "ls")]
    List,
}

/// Arguments of `keys generate`.
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// Name of the key: a-z, 0-9, '.', '_' and '-'
    #[arg(default_value = "release")]
    pub(crate) name: KeyName,
    /// Kind of key
    #[arg(long, value_enum, default_value = "ecdsa-p256")]
    pub(crate) algorithm: Algorithm,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    /// Replace a key of this name, which then cannot sign again
    #[arg(long)]
    pub(crate) replace: bool,
}

/// Arguments of `keys import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Name of the key: a-z, 0-9, '.', '_' and '-'
    pub(crate) name: KeyName,
    #[command(flatten)]
    pub(crate) file: InputFile,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    /// Replace a key of this name, which then cannot sign again
    #[arg(long)]
    pub(crate) replace: bool,
}

/// The one file that is taken in, after the name or with `-f`.
#[derive(Debug, Clone, Args)]
pub(crate) struct InputFile {
    /// The key as PEM; the file is left as it is
    #[arg(value_name = "FILE", required_unless_present = "named", conflicts_with = "named")]
    positional: Option<PathBuf>,
    /// The same as FILE
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    named: Option<PathBuf>,
}

impl InputFile {
    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        // Clap requires exactly one.
        self.named.as_deref().or(self.positional.as_deref()).unwrap_or(Path::new("-"))
    }
}

/// Where a password comes from. Never the command line itself, which others can read.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PasswordArgs {
    /// File with the key's password on its first line [else STELLA_KEY_PASSWORD, else a prompt]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

impl PasswordArgs {
    /// Where to get the password when it is needed.
    pub(crate) fn source(&self) -> PasswordSource {
        self.password_file.clone().map_or(PasswordSource::Surroundings, PasswordSource::File)
    }
}

/// Kinds of signing keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    /// ECDSA over P-256 with SHA-256, deterministic (RFC 6979)
    #[value(name = "ecdsa-p256")]
    EcdsaP256,
    /// Ed25519
    #[value(name = "ed25519")]
    Ed25519,
}

/// Verbs of `trust`.
#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Believe signatures of a public key from now on
    Add {
        /// Name to know the key by: a-z, 0-9, '.', '_' and '-'
        name: KeyName,
        #[command(flatten)]
        file: InputFile,
    },
    /// List the trusted keys
    #[command(visible_alias = "ls")]
    List,
    /// Stop believing a key
    Remove {
        /// Name of the key
        name: KeyName,
    },
}
