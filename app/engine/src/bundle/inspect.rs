//! `export inspect`: what a bundle says of itself, without a key and without a check.

use std::path::Path;

use serde::Serialize;
use stella_carrier::Bundle;
use stella_manifest::{ExportManifest, layout};
use stella_model::{Digest, Limits};
use stella_seal::{SignatureName, SigstoreBundle};
use stella_verify::BundleFiles;
use stella_verify::lines::read_small;

use super::read::ReadBundle;
use crate::EngineError;

/// What a bundle says of itself. Nothing of it was checked.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectReport {
    /// Always `not-checked`.
    pub state: &'static str,
    /// `dir` or `tar`.
    pub carrier: &'static str,
    /// SHA-256 of `export.json`.
    pub export_digest: Digest,
    /// The manifest.
    pub manifest: ExportManifest,
    /// The provenance statement, if there is one that reads.
    pub provenance: Option<serde_json::Value>,
    /// Who claims to have signed.
    pub signatures: Vec<ClaimedSignature>,
    /// Every file of the carrier, by name.
    pub files: Vec<InspectedFile>,
    /// What the carrier holds that no bundle does.
    pub faults: Vec<String>,
}

/// A signature that was read and not verified.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimedSignature {
    /// Its file.
    pub file: String,
    /// Its role, for those in `signatures/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Fingerprint of the key that it names; `None` if the file does not read.
    pub fingerprint: Option<Digest>,
}

/// A file of the carrier.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectedFile {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the manifest lists it; the manifest and its signatures are not listed.
    pub listed: bool,
}

/// Reads what a bundle says of itself.
///
/// # Errors
/// [`EngineError`] if there is no bundle or its manifest does not read.
pub fn inspect(path: &Path) -> Result<InspectReport, EngineError> {
    let bundle = ReadBundle::open(path)?;
    let carrier = &bundle.carrier;
    let provenance = read(carrier, layout::PROVENANCE);
    let provenance = provenance.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let is_listed = |name: &str| {
        let parts = &bundle.manifest.parts;
        parts.binary_search_by(|part| part.path.as_str().cmp(name)).is_ok()
    };
    let files = carrier.files().iter().map(|entry| InspectedFile {
        name: entry.name.to_string(),
        size: entry.size,
        listed: is_listed(entry.name.as_str()),
    });
    let faults = carrier.faults().iter().map(|fault| {
        let text = format!("{}: {}", fault.at, fault.problem);
        stella_model::screen::Safe(&text).to_string()
    });
    Ok(InspectReport {
        state: "not-checked",
        carrier: match carrier {
            Bundle::Dir(_) => "dir",
            Bundle::Tar(_) => "tar",
        },
        export_digest: bundle.export,
        provenance,
        signatures: signatures(carrier),
        files: files.collect(),
        faults: faults.collect(),
        manifest: bundle.manifest,
    })
}

/// Largest signature that is looked at.
const SIGNATURE_BYTES: u64 = 32 << 20;

fn read(carrier: &Bundle, name: &str) -> Option<Vec<u8>> {
    let entry = carrier.entry(name)?;
    read_small(carrier, &entry.name, SIGNATURE_BYTES).ok()
}

fn signatures(carrier: &Bundle) -> Vec<ClaimedSignature> {
    let names = carrier.files().iter().map(|entry| entry.name.as_str());
    let signed = names.filter(|name| {
        [layout::EXPORT_BUNDLE, layout::PROVENANCE_BUNDLE].contains(name)
            || name.starts_with(layout::SIGNATURES)
    });
    let claim = |name: &str| ClaimedSignature {
        file: name.to_owned(),
        role: SignatureName::parse(name).map(|name| name.role().to_string()),
        fingerprint: read(carrier, name)
            .and_then(|bytes| SigstoreBundle::parse(&bytes, &Limits::DEFAULT).ok())
            .map(|bundle| *bundle.hint()),
    };
    signed.map(claim).collect()
}
