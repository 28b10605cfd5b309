//! Sigstore bundles, version 0.3, signed with a key.
//!
//! Format: <https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto>.
//! A bundle here carries one signature, either over a file or over a DSSE envelope, and the
//! fingerprint of its key as hint. It has exactly one spelling: the RFC 8785 form of its JSON
//! without a line feed (FORMATS "The bundle"); what other tools write is brought to it with
//! [`SigstoreBundle::normalise`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stella_model::json::{Document, JsonError, Value};
use stella_model::{Digest, Limits, rfc8785};

use crate::{Envelope, PublicKey, SIGNATURE_BYTES_MAX, SignError, SignatureError, Signer};

mod foreign;

pub use foreign::Normalised;

/// The media type that is written and the only one that is accepted.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

const DIGEST_ALGORITHM: &str = "SHA2_256";

/// One signature with what it covers and who claims to have made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigstoreBundle {
    hint: Digest,
    content: Content,
}

/// What a bundle holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A signature over a file that lies beside the bundle.
    MessageSignature {
        /// SHA-256 of the file.
        digest: Digest,
        /// The signature over the bytes of the file.
        signature: Vec<u8>,
    },
    /// A signed document within the bundle.
    Dsse(Envelope),
}

/// Bytes are no bundle in its one accepted form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no sigstore bundle in the accepted form: {fault}")]
pub struct BundleError {
    /// What is wrong.
    pub fault: BundleFault,
}

/// What is wrong with a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleFault {
    /// Not JSON that every reader understands alike.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The same JSON in another spelling: white space, member order, escapes, a line feed.
    #[error("its JSON is not in RFC 8785 form")]
    Spelling,
    /// A member that is missing or has another shape.
    #[error("{0} is missing or has the wrong shape")]
    Member(&'static str),
    /// A member that does not belong there.
    #[error("the member {name:?} of {of} is unknown")]
    Unknown {
        /// The object.
        of: &'static str,
        /// The name of the member, cut to 60 characters.
        name: String,
    },
    /// A member with a value that is not supported.
    #[error("{0} has a value that is not supported")]
    Value(&'static str),
    /// A value that is not padded base64, or not the base64 that its bytes give.
    #[error("{0} is not base64 in its one accepted form")]
    Base64(&'static str),
}

/// A bundle does not prove what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A bundle over a file where one with a document is wanted, or the reverse.
    #[error("the bundle holds {found} where {wanted} is wanted")]
    Content {
        /// What was asked for.
        wanted: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// The file is not the one that the bundle names.
    #[error("the bundle is over a file with SHA-256 {named}, this one has {found}")]
    Digest {
        /// Digest that the bundle names.
        named: Digest,
        /// Digest of the file.
        found: Digest,
    },
    /// The signature does not hold.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The signature holds and the hint names another key.
    #[error("the signature is by the key {signer}, the hint of the bundle names {hint}")]
    Hint {
        /// Fingerprint that the bundle claims.
        hint: Digest,
        /// Fingerprint of the key that made the signature.
        signer: Digest,
    },
}

impl SigstoreBundle {
    /// A bundle for a signature by `key` over a file with this digest.
    #[must_use]
    pub fn message_signature(
        key: &PublicKey,
        digest: Digest,
        signature: Vec<u8>,
    ) -> SigstoreBundle {
        let content = Content::MessageSignature { digest, signature };
        SigstoreBundle { hint: *key.fingerprint(), content }
    }

    /// A bundle for an envelope that `key` has signed.
    #[must_use]
    pub fn dsse(key: &PublicKey, envelope: Envelope) -> SigstoreBundle {
        SigstoreBundle { hint: *key.fingerprint(), content: Content::Dsse(envelope) }
    }

    /// Signs the bytes of a file.
    ///
    /// # Errors
    /// [`SignError`] as the signer gives it.
    pub fn sign_message(signer: &dyn Signer, message: &[u8]) -> Result<SigstoreBundle, SignError> {
        let signature = signer.sign(message)?;
        let digest = Digest::of(message);
        Ok(SigstoreBundle::message_signature(signer.public_key(), digest, signature))
    }

    /// Signs an in-toto statement into a DSSE envelope.
    ///
    /// # Errors
    /// [`SignError`] as the signer gives it.
    pub fn sign_statement(
        signer: &dyn Signer,
        statement: &[u8],
    ) -> Result<SigstoreBundle, SignError> {
        let envelope = Envelope::sign(signer, crate::dsse::IN_TOTO, statement)?;
        Ok(SigstoreBundle::dsse(signer.public_key(), envelope))
    }

    /// The bytes of the file: RFC 8785, no line feed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
        let material = serde_json::json!({"publicKey": {"hint": base64(self.hint.as_bytes())}});
        let bundle = match &self.content {
            Content::MessageSignature { digest, signature } => serde_json::json!({
                "mediaType": MEDIA_TYPE,
                "messageSignature": {
                    "messageDigest": {
                        "algorithm": DIGEST_ALGORITHM,
                        "digest": base64(digest.as_bytes()),
                    },
                    "signature": base64(signature),
                },
                "verificationMaterial": material,
            }),
            Content::Dsse(envelope) => serde_json::json!({
                "dsseEnvelope": {
                    "payload": base64(&envelope.payload),
                    "payloadType": envelope.payload_type,
                    "signatures": [{"sig": base64(&envelope.signature)}],
                },
                "mediaType": MEDIA_TYPE,
                "verificationMaterial": material,
            }),
        };
        rfc8785::to_vec(&bundle)
    }

    /// Reads a bundle in its one accepted form.
    ///
    /// Whatever is returned gives the same bytes back through [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// [`BundleError`] with the first fault found.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<SigstoreBundle, BundleError> {
        let bundle = read(bytes, limits).map_err(|fault| BundleError { fault })?;
        // The rules above leave one spelling; this makes sure of it whatever they missed.
        if bundle.to_bytes() == bytes {
            Ok(bundle)
        } else {
            Err(BundleError { fault: BundleFault::Spelling })
        }
    }

    /// The fingerprint of the key that claims to have signed.
    #[must_use]
    pub fn hint(&self) -> &Digest {
        &self.hint
    }

    /// First eight hex digits of the hint.
    #[must_use]
    pub fn hint8(&self) -> String {
        self.hint.short(8)
    }

    /// What the bundle holds.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The signature, whatever it is over.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        match &self.content {
            Content::MessageSignature { signature, .. } => signature,
            Content::Dsse(envelope) => &envelope.signature,
        }
    }

    /// Checks that `key` signed this file: digest, then signature, then hint.
    ///
    /// # Errors
    /// [`VerifyError`] names the first check that fails; [`VerifyError::Hint`] means that the
    /// signature itself holds.
    pub fn verify_message(&self, key: &PublicKey, message: &[u8]) -> Result<(), VerifyError> {
        let Content::MessageSignature { digest, signature } = &self.content else {
            return Err(self.other_content("a signature over a file"));
        };
        let found = Digest::of(message);
        if *digest != found {
            return Err(VerifyError::Digest { named: *digest, found });
        }
        key.verify(message, signature)?;
        self.check_hint(key)
    }

    /// Checks that `key` signed the document in this bundle, and returns it. What the document
    /// claims is the caller's to check: cosign 2 itself ignores the predicate type.
    ///
    /// # Errors
    /// [`VerifyError`] as for [`verify_message`](Self::verify_message).
    pub fn verify_document(&self, key: &PublicKey) -> Result<&Envelope, VerifyError> {
        let Content::Dsse(envelope) = &self.content else {
            return Err(self.other_content("a signed document"));
        };
        envelope.verify(key)?;
        self.check_hint(key)?;
        Ok(envelope)
    }

    fn other_content(&self, wanted: &'static str) -> VerifyError {
        let found = match self.content {
            Content::MessageSignature { .. } => "a signature over a file",
            Content::Dsse(_) => "a signed document",
        };
        VerifyError::Content { wanted, found }
    }

    fn check_hint(&self, key: &PublicKey) -> Result<(), VerifyError> {
        if self.hint == *key.fingerprint() {
            Ok(())
        } else {
            Err(VerifyError::Hint { hint: self.hint, signer: *key.fingerprint() })
        }
    }
}

fn read(bytes: &[u8], limits: &Limits) -> Result<SigstoreBundle, BundleFault> {
    let document = document(bytes, limits)?;
    let mut canonical = Vec::with_capacity(bytes.len());
    document.write_canonical(&mut canonical);
    if canonical != bytes {
        return Err(BundleFault::Spelling);
    }
    let root = document.root();
    let names = ["dsseEnvelope", "mediaType", "messageSignature", "verificationMaterial"];
    only(root, "the bundle", &names)?;
    if text(root, "mediaType", "mediaType")? != MEDIA_TYPE {
        return Err(BundleFault::Value("mediaType"));
    }
    let material = member(root, "verificationMaterial", "verificationMaterial")?;
    only(material, "verificationMaterial", &["publicKey"])?;
    let key = member(material, "publicKey", "publicKey")?;
    only(key, "publicKey", &["hint"])?;
    let hint = digest(key, "hint", "publicKey.hint")?;
    let content = match (root.get("messageSignature"), root.get("dsseEnvelope")) {
        (Some(message), None) => read_message_signature(message)?,
        (None, Some(envelope)) => read_envelope(envelope)?,
        _ => return Err(BundleFault::Member("either messageSignature or dsseEnvelope")),
    };
    Ok(SigstoreBundle { hint, content })
}

fn read_message_signature(value: Value<'_>) -> Result<Content, BundleFault> {
    only(value, "messageSignature", &["messageDigest", "signature"])?;
    let named = member(value, "messageDigest", "messageDigest")?;
    only(named, "messageDigest", &["algorithm", "digest"])?;
    if text(named, "algorithm", "messageDigest.algorithm")? != DIGEST_ALGORITHM {
        return Err(BundleFault::Value("messageDigest.algorithm"));
    }
    Ok(Content::MessageSignature {
        digest: digest(named, "digest", "messageDigest.digest")?,
        signature: signature(value, "signature", "messageSignature.signature")?,
    })
}

fn read_envelope(value: Value<'_>) -> Result<Content, BundleFault> {
    only(value, "dsseEnvelope", &["payload", "payloadType", "signatures"])?;
    let signatures = member(value, "signatures", "dsseEnvelope.signatures")?;
    let mut items = signatures.items();
    let (Some(only_one), None) = (items.next(), items.next()) else {
        return Err(BundleFault::Value("dsseEnvelope.signatures"));
    };
    only(only_one, "dsseEnvelope.signatures", &["sig"])?;
    let payload_type = text(value, "payloadType", "dsseEnvelope.payloadType")?;
    if payload_type.is_empty() {
        return Err(BundleFault::Value("dsseEnvelope.payloadType"));
    }
    Ok(Content::Dsse(Envelope {
        payload_type,
        payload: base64(value, "payload", "dsseEnvelope.payload")?,
        signature: signature(only_one, "sig", "dsseEnvelope.signatures.sig")?,
    }))
}

fn document<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Document<'a>, BundleFault> {
    let limits = Limits { document_bytes: limits.manifest_bytes, json_values: 10_000, ..*limits };
    Ok(Document::parse(bytes, &limits)?)
}

/// Refuses members of an object that are not named.
fn only(object: Value<'_>, of: &'static str, names: &[&str]) -> Result<(), BundleFault> {
    if object.shape() != stella_model::json::Shape::Object {
        return Err(BundleFault::Member(of));
    }
    match object.members().find(|(name, _)| !names.contains(&&**name)) {
        Some((name, _)) => Err(BundleFault::Unknown { of, name: name.chars().take(60).collect() }),
        None => Ok(()),
    }
}

fn member<'t>(of: Value<'t>, name: &str, path: &'static str) -> Result<Value<'t>, BundleFault> {
    of.get(name).ok_or(BundleFault::Member(path))
}

fn text(of: Value<'_>, name: &str, path: &'static str) -> Result<String, BundleFault> {
    let text = member(of, name, path)?.as_str().ok_or(BundleFault::Member(path))?;
    Ok(text.into_owned())
}

fn base64(of: Value<'_>, name: &str, path: &'static str) -> Result<Vec<u8>, BundleFault> {
    let text = text(of, name, path)?;
    let bytes = STANDARD.decode(&text).map_err(|_| BundleFault::Base64(path))?;
    if STANDARD.encode(&bytes) == text { Ok(bytes) } else { Err(BundleFault::Base64(path)) }
}

fn digest(of: Value<'_>, name: &str, path: &'static str) -> Result<Digest, BundleFault> {
    Digest::from_slice(&base64(of, name, path)?).ok_or(BundleFault::Value(path))
}

fn signature(of: Value<'_>, name: &str, path: &'static str) -> Result<Vec<u8>, BundleFault> {
    let bytes = base64(of, name, path)?;
    if (1..=SIGNATURE_BYTES_MAX).contains(&bytes.len()) {
        Ok(bytes)
    } else {
        Err(BundleFault::Value(path))
    }
}

#[cfg(test)]
mod tests;
