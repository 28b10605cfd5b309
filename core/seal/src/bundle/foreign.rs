//! Bundles as other tools write them, brought to the one accepted form.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use stella_model::json::{Shape, Value};
use stella_model::{Digest, Limits};

use super::{BundleError, BundleFault, Content, DIGEST_ALGORITHM, SigstoreBundle};
use super::{document, member, text};
use crate::{Algorithm, Envelope, PublicKey, SIGNATURE_BYTES_MAX, normalise_ecdsa};

/// What cosign 2 and 3 take as bundle; version 0.4 does not exist.
const MEDIA_TYPES: [&str; 5] = [
    super::MEDIA_TYPE,
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle.v0.2+json",
];

/// Protobuf's JSON lets a writer choose the alphabet and the padding.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// A foreign bundle in the accepted form, and what of it did not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalised {
    /// The bundle. Its hint is that of the key it was normalised for.
    pub bundle: SigstoreBundle,
    /// Evidence that the accepted form has no place for and that was left out, such as
    /// `verificationMaterial.tlogEntries`; to be told to the person who adds the bundle.
    pub left_out: Vec<String>,
}

impl SigstoreBundle {
    /// Brings a bundle of another tool to the accepted form, on the claim that `key` signed it and
    /// that it is about the file with the digest `artefact`.
    ///
    /// Checks neither claim: the caller does, with [`verify_message`](Self::verify_message) or
    /// [`verify_document`](Self::verify_document). The digest only fills the gap that cosign 3
    /// leaves when it signs with Ed25519, a bundle that cosign itself cannot verify.
    ///
    /// # Errors
    /// [`BundleError`] if it is no bundle, if it was signed with a certificate instead of a key, or
    /// if it has no or several signatures.
    pub fn normalise(
        bytes: &[u8],
        key: &PublicKey,
        artefact: &Digest,
        limits: &Limits,
    ) -> Result<Normalised, BundleError> {
        normalise(bytes, key, artefact, limits).map_err(|fault| BundleError { fault })
    }
}

fn normalise(
    bytes: &[u8],
    key: &PublicKey,
    artefact: &Digest,
    limits: &Limits,
) -> Result<Normalised, BundleFault> {
    let document = document(bytes, limits)?;
    let root = document.root();
    if !MEDIA_TYPES.contains(&text(root, "mediaType", "mediaType")?.as_str()) {
        return Err(BundleFault::Value("mediaType"));
    }
    let mut left_out = Vec::new();
    let names = ["dsseEnvelope", "mediaType", "messageSignature", "verificationMaterial"];
    note_others(root, "", &names, &mut left_out);
    let material = member(root, "verificationMaterial", "verificationMaterial")?;
    if ["certificate", "x509CertificateChain"].iter().any(|name| present(material, name).is_some())
    {
        return Err(BundleFault::Value("verificationMaterial (a certificate instead of a key)"));
    }
    member(material, "publicKey", "verificationMaterial.publicKey")?;
    note_others(material, "verificationMaterial.", &["publicKey"], &mut left_out);
    let content = match (present(root, "messageSignature"), present(root, "dsseEnvelope")) {
        (Some(message), None) => message_signature(message, key, artefact)?,
        (None, Some(envelope)) => dsse(envelope, key)?,
        _ => return Err(BundleFault::Member("either messageSignature or dsseEnvelope")),
    };
    Ok(Normalised { bundle: SigstoreBundle { hint: *key.fingerprint(), content }, left_out })
}

fn message_signature(
    value: Value<'_>,
    key: &PublicKey,
    artefact: &Digest,
) -> Result<Content, BundleFault> {
    let digest = match present(value, "messageDigest") {
        Some(named) => named_digest(named)?,
        None => *artefact,
    };
    let signature = signature(value, "signature", "messageSignature.signature", key)?;
    Ok(Content::MessageSignature { digest, signature })
}

fn named_digest(value: Value<'_>) -> Result<Digest, BundleFault> {
    if text(value, "algorithm", "messageDigest.algorithm")? != DIGEST_ALGORITHM {
        return Err(BundleFault::Value("messageDigest.algorithm"));
    }
    let path = "messageDigest.digest";
    Digest::from_slice(&lenient(value, "digest", path)?).ok_or(BundleFault::Value(path))
}

fn dsse(value: Value<'_>, key: &PublicKey) -> Result<Content, BundleFault> {
    let mut signatures = member(value, "signatures", "dsseEnvelope.signatures")?.items();
    let (Some(only_one), None) = (signatures.next(), signatures.next()) else {
        return Err(BundleFault::Value("dsseEnvelope.signatures"));
    };
    Ok(Content::Dsse(Envelope {
        payload_type: text(value, "payloadType", "dsseEnvelope.payloadType")?,
        payload: lenient(value, "payload", "dsseEnvelope.payload")?,
        signature: signature(only_one, "sig", "dsseEnvelope.signatures.sig", key)?,
    }))
}

fn signature(
    of: Value<'_>,
    name: &str,
    path: &'static str,
    key: &PublicKey,
) -> Result<Vec<u8>, BundleFault> {
    let bytes = lenient(of, name, path)?;
    let signature = match key.algorithm() {
        Algorithm::EcdsaP256Sha256 => normalise_ecdsa(&bytes).ok_or(BundleFault::Value(path))?,
        Algorithm::Ed25519 => bytes,
    };
    if (1..=SIGNATURE_BYTES_MAX).contains(&signature.len()) {
        Ok(signature)
    } else {
        Err(BundleFault::Value(path))
    }
}

fn lenient(of: Value<'_>, name: &str, path: &'static str) -> Result<Vec<u8>, BundleFault> {
    let text = text(of, name, path)?;
    PLAIN.decode(&text).or_else(|_| URL_SAFE.decode(&text)).map_err(|_| BundleFault::Base64(path))
}

/// The member, unless it is absent, `null` or empty: protobuf's JSON means the same by all three.
fn present<'t>(of: Value<'t>, name: &str) -> Option<Value<'t>> {
    of.get(name).filter(|value| match value.shape() {
        Shape::Null => false,
        Shape::Array | Shape::Object => !value.is_empty(),
        _ => true,
    })
}

fn note_others(of: Value<'_>, prefix: &str, known: &[&str], left_out: &mut Vec<String>) {
    for (name, _) in of.members() {
        if !known.contains(&&*name) && present(of, &name).is_some() {
            left_out.push(format!("{prefix}{name}").chars().take(120).collect());
        }
    }
}
