//! Names of further signatures: `signatures/<role>.<hint8>.sigstore.json`.

use std::fmt;

use stella_model::Role;

use crate::PublicKey;

const FOLDER: &str = "signatures/";
const SUFFIX: &str = ".sigstore.json";

/// The name of one file in `signatures/`: who signed in which role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignatureName {
    role: Role,
    hint8: String,
}

impl SignatureName {
    /// The name under which a key signs in a role.
    #[must_use]
    pub fn new(role: Role, key: &PublicKey) -> SignatureName {
        SignatureName { role, hint8: key.hint8() }
    }

    /// Reads a path of the bundle; `None` if it is not the name of a signature.
    #[must_use]
    pub fn parse(path: &str) -> Option<SignatureName> {
        let (role, hint8) = path.strip_prefix(FOLDER)?.strip_suffix(SUFFIX)?.split_once('.')?;
        let digits = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hint8.len() != 8 || !digits(hint8) {
            return None;
        }
        Some(SignatureName { role: Role::new(role).ok()?, hint8: hint8.to_owned() })
    }

    /// The role.
    #[must_use]
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// First eight hex digits of the signer's fingerprint.
    #[must_use]
    pub fn hint8(&self) -> &str {
        &self.hint8
    }
}

impl fmt::Display for SignatureName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FOLDER}{}.{}{SUFFIX}", self.role, self.hint8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_round_trip_and_others_are_none() {
        let good = "signatures/approval-2.00c0ffee.sigstore.json";
        let name = SignatureName::parse(good).unwrap();
        assert_eq!((name.role().as_str(), name.hint8()), ("approval-2", "00c0ffee"));
        assert_eq!(name.to_string(), good);
        for bad in [
            "signatures/approval.00C0FFEE.sigstore.json",
            "signatures/approval.00c0ffe.sigstore.json",
            "signatures/approval.00c0ffee0.sigstore.json",
            "signatures/.00c0ffee.sigstore.json",
            "signatures/a.b.00c0ffee.sigstore.json",
            "signatures/Approval.00c0ffee.sigstore.json",
            "signatures/approval.00c0ffee.json",
            "signatures/x/approval.00c0ffee.sigstore.json",
            "approval.00c0ffee.sigstore.json",
            "signatures/approval.sigstore.json",
            "signatures/",
        ] {
            assert_eq!(SignatureName::parse(bad), None, "{bad}");
        }
    }
}
