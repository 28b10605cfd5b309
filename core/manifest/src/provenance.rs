//! `provenance.json`: an in-toto Statement v1 with a SLSA Provenance v1 predicate.
//!
//! Specifications: <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>,
//! <https://slsa.dev/spec/v1.0/provenance>. Nothing in it comes from a clock, a host or a run id:
//! `invocationId` derives from the plan, and start and finish times are left out, as SLSA allows.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stella_model::{Digest, rfc8785};
use stella_plan::RunPlan;

use crate::{DigestMap, layout};

/// Statement type of in-toto v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Predicate type of SLSA provenance v1.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// How a bundle is built: documented in `docs/modules/export-center/provenance-and-signing.md`.
pub const BUILD_TYPE: &str = "https://stella-ops.org/export-center/buildtypes/export/v1";
/// The builder, the same for every installation.
pub const BUILDER_ID: &str = "https://stella-ops.org/export-center";

/// A statement; only subject and types have a fixed shape, the predicate is carried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// The predicate.
    pub predicate: Value,
    /// [`PREDICATE_TYPE`].
    pub predicate_type: String,
    /// What the statement is about: `export.json` alone.
    pub subject: Vec<Subject>,
}

/// A subject by name and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Digest of the file.
    pub digest: DigestMap,
    /// Name of the file.
    pub name: String,
}

impl Statement {
    /// The statement about the manifest with this digest, made by this plan.
    #[must_use]
    pub fn new(plan: &RunPlan, export: Digest) -> Statement {
        Statement::of_plan(&json!(plan), export)
    }

    /// The statement for a plan as JSON, which a verifier puts together from what it is told:
    /// it differs from the one received in whatever was added to that.
    #[must_use]
    pub fn of_plan(plan: &Value, export: Digest) -> Statement {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let tenant = text(&plan["tenant"]);
        let sets = plan["sets"].as_array().into_iter().flatten();
        let mut dependencies: Vec<Value> = sets
            .map(|set| {
                let name = format!("{}/{}", text(&set["kind"]), text(&set["feed"]));
                json!({
                    "annotations": {"count": set["count"]},
                    "digest": {"sha256": set["root"]},
                    "name": name,
                    "uri": format!("urn:stella:set:{tenant}:{name}"),
                })
            })
            .collect();
        let profile = text(&plan["profile"]["name"]);
        dependencies.push(json!({
            "digest": {"sha256": plan["profile"]["revision"]},
            "name": format!("profile/{profile}"),
            "uri": format!("urn:stella:profile:{tenant}:{profile}"),
        }));
        dependencies.sort_by_key(|dependency| dependency["uri"].to_string());
        let hash = Digest::of(&rfc8785::to_vec(plan));
        let invocation_id = format!("urn:stella:export:sha256:{hash}");
        let mut predicate = json!({
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "asOf": plan["asOf"],
                    "outputs": plan["outputs"],
                    "profile": plan["profile"],
                    "selectors": plan["selectors"],
                    "tenant": plan["tenant"],
                },
                "internalParameters": {
                    "codec": plan["codec"],
                    "partition": plan["partition"],
                    "redaction": plan["redaction"],
                },
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {
                    "id": BUILDER_ID,
                    "version": {"export-center": plan["producer"]},
                },
                "metadata": {"invocationId": invocation_id},
            },
        });
        if let Some(policy) = plan.get("policy") {
            predicate["buildDefinition"]["externalParameters"]["policy"] = policy.clone();
        }
        Statement {
            statement_type: STATEMENT_TYPE.to_owned(),
            predicate,
            predicate_type: PREDICATE_TYPE.to_owned(),
            subject: vec![Subject { digest: export.into(), name: layout::EXPORT.to_owned() }],
        }
    }

    /// The bytes of the file: RFC 8785, no line feed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        rfc8785::to_vec(self)
    }

    /// The `invocationId` that the statement claims.
    #[must_use]
    pub fn invocation_id(&self) -> Option<&str> {
        self.predicate.pointer("/runDetails/metadata/invocationId")?.as_str()
    }
}
