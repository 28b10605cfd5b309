//! Where the secret half of a key lives, and the entry of the store that says so.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::KeysError;
use crate::files::read_text;

/// What an entry file is called.
pub(crate) const ENTRY: &str = "the entry of the key";

/// Where the secret half of a key lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a key file of the store, encrypted with a password.
    File,
    /// Where nobody can take it out.
    Elsewhere(Elsewhere),
}

/// A place outside the store, as `keys/NAME.toml` names it. It holds no secret, only where secrets
/// are read from.
///
/// # Examples
/// ```
/// use stella_keys::Elsewhere;
/// let entry = "[vault]\naddress = \"https://vault.example\"\nkey = \"release\"\n";
/// let place = Elsewhere::parse(entry)?;
/// assert_eq!(place.to_string(), "Vault https://vault.example, key transit/release");
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Elsewhere {
    /// A token that a PKCS#11 module reaches: an HSM, a smart card, SoftHSM.
    Pkcs11(Pkcs11Place),
    /// AWS KMS.
    AwsKms(AwsKmsPlace),
    /// The transit engine of HashiCorp Vault or OpenBao.
    Vault(VaultPlace),
}

/// A key in a PKCS#11 token. At least one of label and id names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pkcs11Place {
    /// The module, an absolute path. Whoever can change the entry can load code with it.
    pub module: PathBuf,
    /// Label of the token.
    pub token: String,
    /// Label of the key (`CKA_LABEL`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Id of the key (`CKA_ID`) in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A file with the PIN on its first line; else the PIN is the password of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin_file: Option<PathBuf>,
}

/// A key in AWS KMS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AwsKmsPlace {
    /// Key id, ARN, or `alias/NAME`.
    pub key: String,
    /// The region.
    pub region: String,
    /// Another address than that of the region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Profile of the credentials file; else AWS's usual variables, files and roles are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Another credentials file than AWS's usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// Most seconds for one operation, 15 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
}

/// A key in a transit engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VaultPlace {
    /// Address of the server, such as `https://vault.example:8200`.
    pub address: String,
    /// Where the engine is mounted.
    #[serde(default = "transit")]
    pub mount: String,
    /// Name of the key in the engine.
    pub key: String,
    /// Version of the key; the newest, and recorded, when the key is added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Namespace, where the server has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A file with the token on its first line; else `VAULT_TOKEN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Most seconds for one operation, 15 if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
}

fn transit() -> String {
    "transit".to_owned()
}

impl Place {
    /// The word for its kind: `file`, `pkcs11`, `aws-kms` or `vault`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Place::File => "file",
            Place::Elsewhere(elsewhere) => elsewhere.kind(),
        }
    }
}

impl Elsewhere {
    /// The word for its kind, also that of the feature that reaches it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Elsewhere::Pkcs11(_) => "pkcs11",
            Elsewhere::AwsKms(_) => "aws-kms",
            Elsewhere::Vault(_) => "vault",
        }
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn parse(text: &str) -> Result<Elsewhere, String> {
        let place: Elsewhere = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        place.check().map(|()| place)
    }

    /// Reads an entry file.
    pub(crate) fn read(path: &Path) -> Result<Elsewhere, KeysError> {
        let text = read_text(ENTRY, path)?;
        let refused = |fault| KeysError::Entry { path: path.to_owned(), fault };
        Elsewhere::parse(&text).map_err(refused)
    }

    /// The text of its entry file.
    pub(crate) fn to_entry(&self) -> Result<String, KeysError> {
        let refused = |fault: String| KeysError::Place { kind: self.kind(), fault };
        self.check().map_err(refused)?;
        let text = toml::to_string(self).map_err(|error| refused(error.to_string()))?;
        Ok(format!("# Where this key lives. No secret is in here.\n{text}"))
    }

    /// Looks at what a type does not say.
    fn check(&self) -> Result<(), String> {
        match self {
            Elsewhere::Pkcs11(place) => place.check(),
            Elsewhere::AwsKms(place) => {
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                if place.region.is_empty() || !place.region.chars().all(plain) {
                    return Err(format!("{:?} is no region of AWS", place.region));
                }
                named("key", &place.key)?;
                timeout(place.timeout_seconds)
            }
            Elsewhere::Vault(place) => {
                path("mount", &place.mount)?;
                path("key", &place.key)?;
                named("address", &place.address)?;
                if place.version == Some(0) {
                    return Err("versions of a key begin with 1".into());
                }
                timeout(place.timeout_seconds)
            }
        }
    }
}

impl Pkcs11Place {
    fn check(&self) -> Result<(), String> {
        if !self.module.is_absolute() {
            return Err("the module must be an absolute path".into());
        }
        if self.label.is_none() && self.id.is_none() {
            return Err("label or id must name the key".into());
        }
        named("token", &self.token)?;
        match &self.id {
            Some(id) if from_hex(id).is_none() => Err(format!("id {id:?} is not hex")),
            _ => Ok(()),
        }
    }
}

fn named(what: &str, text: &str) -> Result<(), String> {
    match text {
        "" => Err(format!("{what} is empty")),
        _ if text.chars().any(char::is_control) => Err(format!("{what} has control characters")),
        _ => Ok(()),
    }
}

/// Parts of the path of a request: nothing that leads elsewhere or needs an escape.
fn path(what: &str, text: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let segment = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(plain);
    match text.split('/').all(segment) {
        true => Ok(()),
        false => Err(format!("{what} {text:?} has other characters than a-z, A-Z, 0-9, . _ - /")),
    }
}

fn timeout(seconds: Option<u32>) -> Result<(), String> {
    match seconds {
        None | Some(1..=300) => Ok(()),
        Some(_) => Err("timeout-seconds must be 1 to 300".into()),
    }
}

/// The bytes of hex digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect::<Option<Vec<u8>>>().filter(|id| !id.is_empty())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File => f.write_str("key file"),
            Place::Elsewhere(elsewhere) => elsewhere.fmt(f),
        }
    }
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Elsewhere::Pkcs11(Pkcs11Place { token, label, id, .. }) => {
                write!(f, "PKCS#11 token {token}, key ")?;
                match (label, id) {
                    (Some(label), Some(id)) => write!(f, "{label} (id {id})"),
                    (Some(label), None) => f.write_str(label),
                    (None, id) => write!(f, "id {}", id.as_deref().unwrap_or_default()),
                }
            }
            Elsewhere::AwsKms(AwsKmsPlace { key, region, .. }) => {
                write!(f, "AWS KMS {region}, key {key}")
            }
            Elsewhere::Vault(VaultPlace { address, mount, key, version, .. }) => {
                write!(f, "Vault {address}, key {mount}/{key}")?;
                version.map_or(Ok(()), |version| write!(f, " version {version}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_as_it_was_written() {
        let entries = [
            "[pkcs11]\nmodule = \"/usr/lib/m.so\"\ntoken = \"export\"\nlabel = \"k\"\n",
            "[pkcs11]\nmodule = \"/m\"\ntoken = \"t\"\nid = \"0a\"\npin-file = \"/run/pin\"\n",
            "[aws-kms]\nkey = \"alias/k\"\nregion = \"eu-west-1\"\n",
            "[vault]\naddress = \"https://v\"\nmount = \"a/b\"\nkey = \"k\"\nversion = 2\n",
        ];
        for entry in entries {
            let place = Elsewhere::parse(entry).unwrap();
            let written = place.to_entry().unwrap();
            assert!(written.ends_with(entry), "{written}");
            assert_eq!(Elsewhere::parse(&written), Ok(place));
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        let cases = [
            ("", "empty"),
            ("[file]\n", "unknown variant"),
            ("[pkcs11]\nmodule = \"m.so\"\ntoken = \"t\"\nlabel = \"k\"\n", "absolute"),
            ("[pkcs11]\nmodule = \"/m\"\ntoken = \"t\"\n", "label or id"),
            ("[pkcs11]\nmodule = \"/m\"\ntoken = \"t\"\nid = \"abc\"\n", "not hex"),
            ("[pkcs11]\nmodule = \"/m\"\ntoken = \"t\"\nid = \"\"\n", "not hex"),
            (
                "[pkcs11]\nmodule = \"/m\"\ntoken = \"t\"\nlabel = \"k\"\npin = \"1\"\n",
                "unknown field",
            ),
            ("[aws-kms]\nkey = \"k\"\nregion = \"eu.evil/\"\n", "no region"),
            ("[aws-kms]\nkey = \"\"\nregion = \"eu-west-1\"\n", "key is empty"),
            ("[vault]\naddress = \"https://v\"\nkey = \"../sys/seal\"\n", "other characters"),
            ("[vault]\naddress = \"https://v\"\nkey = \"k?x\"\n", "other characters"),
            ("[vault]\naddress = \"https://v\"\nkey = \"k\"\nmount = \"\"\n", "other characters"),
            ("[vault]\naddress = \"https://v\"\nkey = \"k\"\nversion = 0\n", "begin with 1"),
            ("[vault]\naddress = \"https://v\"\nkey = \"k\"\ntimeout-seconds = 0\n", "1 to 300"),
        ];
        for (entry, fault) in cases {
            let said = Elsewhere::parse(entry).unwrap_err();
            assert!(said.contains(fault) || fault == "empty", "{entry}: {said}");
        }
    }
}
