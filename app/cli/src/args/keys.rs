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
    /// Use a key that lives in a token or a service and never leaves it
    #[command(subcommand)]
    Add(AddCommand),
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

/// Where a key lives that is added.
#[derive(Debug, Subcommand)]
pub(crate) enum AddCommand {
    /// In a PKCS#11 token: an HSM, a smart card, SoftHSM
    #[command(name = "pkcs11")]
    Pkcs11(AddPkcs11Args),
    /// In AWS KMS: an asymmetric key ECC_NIST_P256
    AwsKms(AddAwsKmsArgs),
    /// In the transit engine of HashiCorp Vault or OpenBao: ecdsa-p256
    Vault(AddVaultArgs),
}

/// The name of a key that is added, and what is done about one that has it.
#[derive(Debug, Args)]
pub(crate) struct AddedArgs {
    /// Name of the key here: a-z, 0-9, '.', '_' and '-'
    pub(crate) name: KeyName,
    /// Replace a key of this name that lives in such a place, too
    #[arg(long)]
    pub(crate) replace: bool,
}

/// Arguments of `keys add pkcs11`.
#[derive(Debug, Args)]
pub(crate) struct AddPkcs11Args {
    #[command(flatten)]
    pub(crate) added: AddedArgs,
    /// The PKCS#11 module, a library of the token's maker
    #[arg(long, value_name = "FILE")]
    pub(crate) module: PathBuf,
    /// Label of the token
    #[arg(long, value_name = "LABEL")]
    pub(crate) token: String,
    /// Label of the key in the token
    #[arg(long, value_name = "LABEL", required_unless_present = "id")]
    pub(crate) label: Option<String>,
    /// Id of the key in the token, in hex
    #[arg(long, value_name = "HEX")]
    pub(crate) id: Option<String>,
    /// File with the PIN, also read at every signature [else the PIN is the key's password]
    #[arg(long, value_name = "FILE")]
    pub(crate) pin_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
}

/// Arguments of `keys add aws-kms`.
#[derive(Debug, Args)]
pub(crate) struct AddAwsKmsArgs {
    #[command(flatten)]
    pub(crate) added: AddedArgs,
    /// Id or ARN of the key, or alias/NAME
    #[arg(long, value_name = "ID")]
    pub(crate) key_id: String,
    /// Region of the key
    #[arg(long, env = "AWS_REGION", hide_env_values = true)]
    pub(crate) region: String,
    /// Address of the service [default: that of the region]
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Profile in the credentials file [else AWS's variables, files and roles are looked at]
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// File with the credentials, also read at every signature
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials_file: Option<PathBuf>,
}

/// Arguments of `keys add vault`.
#[derive(Debug, Args)]
pub(crate) struct AddVaultArgs {
    #[command(flatten)]
    pub(crate) added: AddedArgs,
    /// Address of the server, such as https://vault.example:8200
    #[arg(long, value_name = "URL", env = "VAULT_ADDR", hide_env_values = true)]
    pub(crate) address: String,
    /// Name of the key in the engine
    #[arg(long, value_name = "NAME")]
    pub(crate) transit_key: String,
    /// Where the engine is mounted
    #[arg(long, value_name = "PATH", default_value = "transit")]
    pub(crate) mount: String,
    /// Version of the key [default: its newest]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) key_version: Option<u32>,
    /// Namespace of the engine
    #[arg(long, value_name = "NAME", env = "VAULT_NAMESPACE", hide_env_values = true)]
    pub(crate) namespace: Option<String>,
    /// File with the token, also read at every signature [else VAULT_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
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
    /// File with the key's password or PIN on its first line [else STELLA_KEY_PASSWORD, else a prompt]
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
