//! `export.json`, the manifest of a bundle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stella_model::{Digest, FeedName, Instant, Kind, PartName, RecordId, TenantId, rfc8785};
pub use stella_plan::run_plan::FORMAT_VERSION;
use stella_plan::{FeedEntry, Handling, PolicyVersion, ProfileId, SetEntry};

/// The manifest: what the bundle holds, from what it was made, and the digest of every part.
///
/// The file equals the RFC 8785 form of itself, without a line feed; unknown members are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportManifest {
    /// The one second from which everything time-like derives.
    pub as_of: Instant,
    /// Totals.
    pub counts: Counts,
    /// What scanners would and would not see; empty for outputs that say nothing of it.
    pub coverage: Vec<Coverage>,
    /// The feeds, sorted by name.
    pub feeds: Vec<FeedEntry>,
    /// Always [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Handling marks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handling: Option<Handling>,
    /// Digest of everything that the policy was evaluated over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs_hash: Option<Digest>,
    /// The outputs, sorted by adapter.
    pub outputs: Vec<OutputEntry>,
    /// Every file except the envelope, sorted by path.
    pub parts: Vec<PartEntry>,
    /// Digest of the plan.
    pub plan_hash: Digest,
    /// Version of the policy that outputs for scanners belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<PolicyVersion>,
    /// The profile.
    pub profile: ProfileId,
    /// What was redacted.
    pub redaction: RedactionReport,
    /// Features that a reader must understand.
    pub requires: Vec<String>,
    /// The carried sets after redaction, sorted by kind and feed.
    pub sets: Vec<SetEntry>,
    /// The tenant.
    pub tenant: TenantId,
}

/// What one ecosystem or distribution is covered by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// The ecosystem or distribution.
    pub ecosystem: String,
    /// `full`, `partial` or `absent`.
    pub state: String,
}

/// Totals over the bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counts {
    /// Stored bytes of all parts.
    pub bytes: u64,
    /// Carried records per kind.
    pub kinds: BTreeMap<Kind, u64>,
    /// Selected records that are not carried, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_carried: BTreeMap<String, u64>,
    /// Number of parts.
    pub parts: u64,
    /// Carried records.
    pub records: u64,
    /// Uncompressed bytes of the data parts.
    pub uncompressed_bytes: u64,
}

/// One output of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputEntry {
    /// Name of the adapter.
    pub adapter: String,
    /// Its version.
    pub adapter_version: u32,
    /// Whether a site may import the output.
    pub importable: bool,
    /// Of a database: its keys by bucket at the top.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, u64>,
    /// What the output could not say although the evidence does, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_represented: BTreeMap<String, u64>,
    /// The scanner that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanner: Option<Scanner>,
}

impl OutputEntry {
    /// Keys of all buckets; a manifest of a stranger may say anything.
    #[must_use]
    pub fn key_count(&self) -> u64 {
        total(&self.keys)
    }

    /// Statements that it could not make, whatever the reason.
    #[must_use]
    pub fn not_represented_count(&self) -> u64 {
        total(&self.not_represented)
    }
}

fn total(counts: &BTreeMap<String, u64>) -> u64 {
    counts.values().fold(0, |sum, count| sum.saturating_add(*count))
}

/// A scanner, and which versions of it can use an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scanner {
    /// Its name.
    pub name: String,
    /// The oldest version.
    pub oldest: String,
    /// Version of the schema that the output follows; versions of the scanner that read another
    /// cannot use it.
    pub schema: u32,
}

/// What redaction did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactionReport {
    /// Redacted values by rule.
    pub counts: BTreeMap<String, u64>,
    /// Digest of the rules; absent for `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// `none`, `standard`, or the name a file gives itself.
    pub name: String,
    /// Records in which something was redacted.
    pub records: u64,
}

/// A digest by algorithm, as in-toto has it, so that an algorithm can be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestMap {
    /// SHA-256.
    pub sha256: Digest,
}

impl From<Digest> for DigestMap {
    fn from(sha256: Digest) -> DigestMap {
        DigestMap { sha256 }
    }
}

/// One file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PartEntry {
    /// Digest of the stored bytes.
    pub digest: DigestMap,
    /// Feed of a data or index part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<FeedName>,
    /// Id of the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_id: Option<RecordId>,
    /// Kind of a data or index part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Id of the last record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_id: Option<RecordId>,
    /// Media type of the stored bytes.
    pub media_type: String,
    /// Path within the bundle.
    pub path: PartName,
    /// Number of records (lines).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Size of the stored bytes.
    pub size: u64,
    /// Size after decompression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncompressed_size: Option<u64>,
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, an unknown or missing member, or a wrong type.
    #[error("export.json is not a manifest: {0}")]
    Syntax(String),
    /// Another spelling than RFC 8785.
    #[error("export.json is not in RFC 8785 form")]
    NotCanonical,
    /// A newer format version.
    #[error("export.json has formatVersion {0}; this version reads {FORMAT_VERSION}")]
    Version(u64),
    /// A required feature is unknown.
    #[error("the bundle requires `{0}`, which this version does not know")]
    Requires(String),
}

impl ExportManifest {
    /// The bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        rfc8785::to_vec(self)
    }

    /// Reads the file strictly.
    ///
    /// # Errors
    /// [`ManifestError`]; version and required features are looked at before anything else, so
    /// that a newer bundle is told apart from a broken one.
    pub fn from_bytes(bytes: &[u8]) -> Result<ExportManifest, ManifestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            format_version: u64,
            #[serde(default)]
            requires: Vec<String>,
        }
        let syntax = |error: serde_json::Error| ManifestError::Syntax(error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(syntax)?;
        if head.format_version != u64::from(FORMAT_VERSION) {
            return Err(ManifestError::Version(head.format_version));
        }
        if let Some(feature) = head.requires.into_iter().next() {
            return Err(ManifestError::Requires(feature));
        }
        let manifest: ExportManifest = serde_json::from_slice(bytes).map_err(syntax)?;
        if manifest.to_bytes() == bytes { Ok(manifest) } else { Err(ManifestError::NotCanonical) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> ExportManifest {
        let id = RecordId::new("X-1").expect("an id");
        ExportManifest {
            as_of: Instant::parse("2026-11-01T00:00:00Z").expect("a time"),
            counts: Counts { records: 1, parts: 1, ..Counts::default() },
            coverage: Vec::new(),
            feeds: Vec::new(),
            format_version: FORMAT_VERSION,
            handling: None,
            inputs_hash: None,
            outputs: Vec::new(),
            parts: vec![PartEntry {
                digest: Digest::EMPTY.into(),
                feed: FeedName::new("npm").ok(),
                first_id: Some(id.clone()),
                kind: Some(Kind::advisory()),
                last_id: Some(id),
                media_type: "text/plain".to_owned(),
                path: PartName::new("data/x").expect("a part name"),
                records: Some(1),
                size: 0,
                uncompressed_size: Some(0),
            }],
            plan_hash: Digest::EMPTY,
            policy_version: None,
            profile: ProfileId { name: "json:raw".to_owned(), revision: Digest::EMPTY },
            redaction: RedactionReport {
                counts: BTreeMap::new(),
                digest: None,
                name: "none".to_owned(),
                records: 0,
            },
            requires: Vec::new(),
            sets: Vec::new(),
            tenant: TenantId::local(),
        }
    }

    fn refused(from: &str, to: &str) -> String {
        let text = String::from_utf8(manifest().to_bytes()).expect("UTF-8");
        assert!(text.contains(from), "{from}");
        let changed = text.replacen(from, to, 1);
        ExportManifest::from_bytes(changed.as_bytes()).expect_err("is refused").to_string()
    }

    #[test]
    fn the_file_reads_back_and_is_its_own_canonical_form() {
        let bytes = manifest().to_bytes();
        assert_eq!(ExportManifest::from_bytes(&bytes).expect("reads back"), manifest());
        assert!(bytes.starts_with(b"{\"asOf\":\"2026-11-01T00:00:00Z\","));
    }

    #[test]
    fn other_spellings_and_unknown_members_are_refused() {
        assert!(refused("{\"asOf\"", "{ \"asOf\"").contains("RFC 8785"));
        assert!(
            refused("2026-11-01T00", "2026-11-01T01:00:00+01:00\",\"x\":\"")
                .contains("unknown field")
        );
        assert!(refused("2026-11-01T00:00:00Z", "2026-11-01T00:00:00.0Z").contains("RFC 8785"));
        assert!(
            refused("\"records\":1,\"size\"", "\"records\":1.0,\"size\"")
                .contains("not a manifest")
        );
        assert!(refused("\"path\":\"data/x\"", "\"path\":\"../x\"").contains("part name"));
        assert!(refused("\"coverage\":[],", "").contains("missing field"));
        let policy = |member: &str| refused("\"profile\":{", &format!("{member},\"profile\":{{"));
        assert!(policy(r#""policyVersion":"a b""#).contains("policy version"));
        assert!(policy(r#""policyVersion":null"#).contains("RFC 8785"));
    }

    #[test]
    fn newer_bundles_are_told_apart_from_broken_ones() {
        let newer = refused("\"formatVersion\":1", "\"formatVersion\":2");
        assert!(newer.contains("formatVersion 2"), "{newer}");
        let feature = refused("\"requires\":[]", "\"requires\":[\"age\"]");
        assert!(feature.contains("requires `age`"), "{feature}");
    }
}
