//! The plan of a run: what is hashed, and nothing that is not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stella_model::{Digest, FeedName, Instant, Kind, TenantId, rfc8785};

use crate::{Partition, Policy, Selectors};

/// Version of plan and manifest formats.
pub const FORMAT_VERSION: u32 = 1;

/// Everything that decides the bytes of a bundle (FORMATS "Snapshot, time, plan").
///
/// Equal evidence, profile, `asOf` and product version give an equal plan and equal bytes. Keys,
/// recipients and targets are no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunPlan {
    /// The one second from which everything time-like in the bundle derives.
    pub as_of: Instant,
    /// How parts are compressed.
    pub codec: Codec,
    /// The feeds of the selected sets, sorted by name.
    pub feeds: Vec<FeedEntry>,
    /// Always [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Handling marks of the profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handling: Option<Handling>,
    /// The outputs, sorted by adapter.
    pub outputs: Vec<OutputPlan>,
    /// Where parts end.
    pub partition: Partition,
    /// The policy that outputs for scanners belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Version of the product.
    pub producer: String,
    /// The profile and its revision.
    pub profile: ProfileId,
    /// The redaction rules.
    pub redaction: RedactionId,
    /// Which records were selected.
    pub selectors: Selectors,
    /// The selected sets before redaction, sorted by kind and feed.
    pub sets: Vec<SetEntry>,
    /// The tenant.
    pub tenant: TenantId,
}

/// How parts are compressed: another library version may write other bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Compression level.
    pub level: i32,
    /// Name of the library.
    pub library: String,
    /// Frame parameters by name, as the library numbers them; a switch that is on is 1.
    pub parameters: BTreeMap<String, i64>,
    /// Version of the library.
    pub version: String,
}

/// A feed with what its licence asks to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedEntry {
    /// Text that must go with copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribution: Option<String>,
    /// The name.
    pub feed: FeedName,
    /// SPDX licence expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// The publisher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Whether the records may be passed on; absent = not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redistribution: Option<bool>,
}

/// Handling marks, which belong to what is in the bundle.
///
/// Profiles spell the members in kebab case; a manifest that does is refused for its form.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Handling {
    /// Caveats, such as `NOFORN`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caveats: Vec<String>,
    /// Classification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<String>,
    /// Highest Traffic Light Protocol label inside.
    #[serde(default, alias = "max-tlp", skip_serializing_if = "Option::is_none")]
    pub max_tlp: Option<String>,
    /// Who may have it.
    #[serde(default, alias = "releasable-to", skip_serializing_if = "Vec::is_empty")]
    pub releasable_to: Vec<String>,
}

/// One output of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputPlan {
    /// Name of the adapter.
    pub adapter: String,
    /// Its version.
    pub adapter_version: u32,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

/// A profile and its revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileId {
    /// The name.
    pub name: String,
    /// Digest of the members that decide bytes.
    pub revision: Digest,
}

/// The redaction rules by name and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactionId {
    /// Digest of the rules; absent for `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// `none`, `standard`, or the name a file gives itself.
    pub name: String,
}

/// Count and Merkle root of one set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetEntry {
    /// Number of records.
    pub count: u64,
    /// The feed.
    pub feed: FeedName,
    /// The kind.
    pub kind: Kind,
    /// Merkle root (`stella_records::setroot`).
    pub root: Digest,
}

impl RunPlan {
    /// `planHash`: SHA-256 of the RFC 8785 form.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::of(&rfc8785::to_vec(self))
    }

    /// The id of the invocation in the provenance.
    #[must_use]
    pub fn invocation_id(&self) -> String {
        format!("urn:stella:export:sha256:{}", self.hash())
    }
}
