//! Which policy the evidence of a bundle was looked at with, and what that policy was evaluated over.
//!
//! The two names travel with the bundle, so that a site can tell which snapshot of a policy its
//! database belongs to. Nothing is evaluated here, and no policy is carried.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use stella_model::Digest;

/// Longest version in bytes.
const LONGEST: usize = 128;

/// Version of a policy as whoever keeps it names it: opaque, and safe on a screen and in a URN.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PolicyVersion(String);

/// Why a text is no [`PolicyVersion`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a policy version is 1 to 128 of the characters A-Z a-z 0-9 . _ - + : / @, the first a letter or digit"
)]
pub struct PolicyVersionError;

impl PolicyVersion {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PolicyVersion {
    type Err = PolicyVersionError;

    fn from_str(text: &str) -> Result<PolicyVersion, PolicyVersionError> {
        PolicyVersion::try_from(text.to_owned())
    }
}

impl TryFrom<String> for PolicyVersion {
    type Error = PolicyVersionError;

    fn try_from(text: String) -> Result<PolicyVersion, PolicyVersionError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+:/@".contains(&byte);
        let is_version = text.len() <= LONGEST
            && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
            && text.bytes().all(is_plain);
        if is_version { Ok(PolicyVersion(text)) } else { Err(PolicyVersionError) }
    }
}

/// The snapshot of a policy as the plan names it; the manifest has the same two members at its top.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Digest of everything that the policy was evaluated over, where that is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs_hash: Option<Digest>,
    /// Its version.
    pub policy_version: PolicyVersion,
}

/// SHA-256 as people and tools write it: 64 lower-case hex digits, alone or after `sha256:`.
///
/// # Errors
/// What it must be, for people.
pub fn inputs_hash(text: &str) -> Result<Digest, &'static str> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    digits.parse().map_err(|_| "a SHA-256: 64 lower-case hex digits, with or without `sha256:`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_texts_that_are_safe_everywhere() {
        for good in ["7", "2026.11.1+a", "sha256:0a", "refs/tags/v1", "policy@4", &"a".repeat(128)]
        {
            assert_eq!(good.parse::<PolicyVersion>().expect(good).as_str(), good);
        }
        for bad in ["", ".1", "-1", "a b", "a\n", "a%", "a\u{202e}", "ä", &"a".repeat(129)] {
            assert!(bad.parse::<PolicyVersion>().is_err(), "{bad}");
            let json = serde_json::to_string(bad).expect("JSON");
            assert!(serde_json::from_str::<PolicyVersion>(&json).is_err(), "{bad}");
        }
    }

    #[test]
    fn hashes_are_read_with_and_without_the_algorithm() {
        let digits = Digest::EMPTY.to_string();
        assert_eq!(inputs_hash(&digits), Ok(Digest::EMPTY));
        assert_eq!(inputs_hash(&format!("sha256:{digits}")), Ok(Digest::EMPTY));
        for bad in ["", "sha256:", "sha512:00", &digits[1..], &digits.to_uppercase()] {
            assert!(inputs_hash(bad).is_err(), "{bad}");
        }
    }
}
