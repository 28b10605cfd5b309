//! Proofs that a record is, or is not, in a bundle.
//!
//! A proof is checked against the signed manifest, which tells count and root of the set; it needs
//! no data. Presence is one leaf; absence the two neighbours between which the record would be, one
//! of them at an end, none in an empty set (FORMATS "Set root").

use serde::{Deserialize, Serialize};
use stella_manifest::{DigestMap, ExportManifest, ManifestError, layout};
use stella_model::{Digest, FeedName, Kind, Limits, RecordId, SetKey, rfc8785};
use stella_records::setroot::{leaf, root_of_path};

use crate::report::{Check, Findings, Problem, Report};
use crate::signatures::{Sidecars, check_manifest};
use crate::verification::UNTRUSTED;
use crate::{TrustedKey, listing};

/// A proof, as its file holds it: RFC 8785, no line feed, no unknown members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proof {
    /// Number of records in the set.
    pub count: u64,
    /// Digest of `export.json`.
    pub export: DigestMap,
    /// The feed.
    pub feed: FeedName,
    /// Version of the proof's form.
    pub format_version: u32,
    /// The record that the proof is about.
    pub id: RecordId,
    /// The kind.
    pub kind: Kind,
    /// The record itself, or its neighbours in order.
    pub leaves: Vec<ProofLeaf>,
    /// Root of the set.
    pub root: Digest,
}

/// A record of the set with its way up to the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProofLeaf {
    /// Digest of the document.
    pub content_digest: Digest,
    /// Id of the record.
    pub id: RecordId,
    /// Its number within the set.
    pub index: u64,
    /// The siblings from the leaf up.
    pub path: Vec<Digest>,
}

/// What a proof proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "proves")]
pub enum Proven {
    /// The record is in the bundle, with this document.
    #[serde(rename_all = "camelCase")]
    Presence {
        /// Digest of the document.
        content_digest: Digest,
    },
    /// The record is not in the bundle.
    Absence,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not JSON of this form.
    #[error("the file is no proof: {0}")]
    Syntax(String),
    /// Another spelling.
    #[error("the proof is not in RFC 8785 form")]
    NotCanonical,
    /// A newer form.
    #[error("the proof has formatVersion {0}; this version reads 1")]
    Version(u64),
    /// About another bundle.
    #[error("the proof is about the bundle {proof}, the manifest has the digest {manifest}")]
    OtherBundle {
        /// Digest in the proof.
        proof: Digest,
        /// Digest of the manifest.
        manifest: Digest,
    },
    /// Count or root differ from those of the manifest.
    #[error("the proof tells another count or root of {0} than the signed manifest")]
    OtherSet(SetKey),
    /// A leaf does not lead to the root.
    #[error("the record {0} does not lead to the root of the set")]
    Path(RecordId),
    /// The leaves neither are the record nor enclose where it would be.
    #[error("the records shown neither are {0} nor the neighbours that enclose it")]
    Leaves(RecordId),
}

impl Proof {
    /// The set.
    #[must_use]
    pub fn set(&self) -> SetKey {
        SetKey { kind: self.kind.clone(), feed: self.feed.clone() }
    }

    /// The bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        rfc8785::to_vec(self)
    }

    /// Reads a proof strictly.
    ///
    /// # Errors
    /// [`ProofError`] of its form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Proof, ProofError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            format_version: u64,
        }
        let syntax = |error: serde_json::Error| ProofError::Syntax(error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(syntax)?;
        if head.format_version != 1 {
            return Err(ProofError::Version(head.format_version));
        }
        let proof: Proof = serde_json::from_slice(bytes).map_err(syntax)?;
        if proof.to_bytes() == bytes { Ok(proof) } else { Err(ProofError::NotCanonical) }
    }

    /// Checks the proof against a manifest, whose signature is the caller's to check.
    ///
    /// A set that the manifest does not list holds no record.
    ///
    /// # Errors
    /// [`ProofError`] with the first reason why nothing is proven.
    pub fn check(&self, manifest: &ExportManifest, export: &Digest) -> Result<Proven, ProofError> {
        if self.export.sha256 != *export {
            return Err(ProofError::OtherBundle { proof: self.export.sha256, manifest: *export });
        }
        let set = self.set();
        let entry = manifest.sets.iter().find(|e| e.kind == set.kind && e.feed == set.feed);
        let (count, root) = entry.map_or((0, Digest::EMPTY), |entry| (entry.count, entry.root));
        if (self.count, self.root) != (count, root) {
            return Err(ProofError::OtherSet(set));
        }
        for shown in &self.leaves {
            let hash = leaf(&set, shown.id.as_str(), &shown.content_digest);
            if root_of_path(hash, shown.index, count, &shown.path) != Some(root) {
                return Err(ProofError::Path(shown.id.clone()));
            }
        }
        self.conclude()
    }

    /// What leaves that lead to the root prove. Sets are in the strict order of ids.
    fn conclude(&self) -> Result<Proven, ProofError> {
        let absent = match &self.leaves[..] {
            [only] if only.id == self.id => {
                return Ok(Proven::Presence { content_digest: only.content_digest });
            }
            [] => self.count == 0,
            [first] if self.id < first.id => first.index == 0,
            [last] => last.index + 1 == self.count,
            [before, after] => {
                before.id < self.id && self.id < after.id && before.index + 1 == after.index
            }
            _ => false,
        };
        if absent { Ok(Proven::Absence) } else { Err(ProofError::Leaves(self.id.clone())) }
    }
}

/// A proof and the signed manifest that it is checked against, as bytes.
#[derive(Debug, Clone, Copy)]
pub struct ProofFiles<'a> {
    /// The proof.
    pub proof: &'a [u8],
    /// `export.json`.
    pub export: &'a [u8],
    /// `export.json.sig`, if it is there.
    pub export_sig: Option<&'a [u8]>,
    /// `export.json.sigstore.json`, if it is there.
    pub export_bundle: Option<&'a [u8]>,
}

/// The outcome of checking a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofReport {
    /// The record, if the proof could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<ProofRecord>,
    /// What is proven; nothing unless the report verifies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<Proven>,
    /// The checks and the exit code.
    #[serde(flatten)]
    pub report: Report,
}

/// The record that a proof is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofRecord {
    /// Its kind.
    pub kind: Kind,
    /// Its feed.
    pub feed: FeedName,
    /// Its id.
    pub id: RecordId,
}

/// The checks of a proof.
const CHECKS: [Check; 5] = [
    Check::FormatVersion,
    Check::ManifestForm,
    Check::Signer,
    Check::ManifestSignature,
    Check::Proof,
];

/// Checks a proof against a manifest, and the manifest's signatures.
#[must_use]
pub fn verify_proof(files: ProofFiles<'_>, keys: &[TrustedKey], limits: &Limits) -> ProofReport {
    let mut findings = Findings::default();
    let sidecars = Sidecars {
        export: files.export,
        export_sig: files.export_sig,
        export_bundle: files.export_bundle,
        provenance: None,
        provenance_bundle: None,
    };
    match keys {
        [] => findings.not_checked(Check::Signer, "no trusted key was given"),
        [_] => findings.pass(Check::Signer, "1 trusted key"),
        _ => findings.pass(Check::Signer, format!("{} trusted keys", keys.len())),
    }
    let signer = check_manifest(sidecars, keys, limits, &mut findings);
    let untrusted = !keys.is_empty() && findings.failed(Check::ManifestSignature);
    let (manifest, otherwise) = if untrusted {
        (None, UNTRUSTED)
    } else {
        (read_manifest(files.export, &mut findings), "the manifest could not be read")
    };
    let (mut record, mut proven) = (None, None);
    let fail = |findings: &mut Findings, error: &ProofError| {
        findings.fail(Check::Proof, Problem::new(error.to_string()));
    };
    match Proof::from_bytes(files.proof) {
        Err(error) => fail(&mut findings, &error),
        Ok(proof) => {
            let outcome =
                manifest.map(|manifest| proof.check(&manifest, &Digest::of(files.export)));
            match outcome {
                Some(Ok(outcome)) => {
                    let what = match outcome {
                        Proven::Presence { .. } => "the record is in the bundle",
                        Proven::Absence if proof.count == 0 => {
                            "the bundle holds nothing of this kind and feed"
                        }
                        Proven::Absence => "no record of the set has this id; aliases do not count",
                    };
                    findings.pass(Check::Proof, what);
                    proven = Some(outcome);
                }
                Some(Err(error)) => fail(&mut findings, &error),
                None => {}
            }
            record = Some(ProofRecord { kind: proof.kind, feed: proof.feed, id: proof.id });
        }
    }
    let signers = signer.into_iter().collect();
    let report = findings.report_of(&CHECKS, None, signers, otherwise);
    ProofReport { record, proven: proven.filter(|_| report.verified), report }
}

fn read_manifest(export: &[u8], findings: &mut Findings) -> Option<ExportManifest> {
    match ExportManifest::from_bytes(export) {
        Ok(manifest) => {
            findings.pass(Check::FormatVersion, manifest.format_version.to_string());
            if let Err(message) = listing::check_sets(&manifest) {
                findings.fail(Check::ManifestForm, Problem::new(message).of(layout::EXPORT));
                return None;
            }
            findings.pass(Check::ManifestForm, "RFC 8785");
            Some(manifest)
        }
        Err(error) => {
            let check = match error {
                ManifestError::Version(_) | ManifestError::Requires(_) => Check::FormatVersion,
                ManifestError::Syntax(_) | ManifestError::NotCanonical => Check::ManifestForm,
            };
            findings.fail(check, Problem::new(error.to_string()).of(layout::EXPORT));
            None
        }
    }
}
