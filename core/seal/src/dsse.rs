//! DSSE: what is signed when a statement is signed.
//!
//! Specification: <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>.

use crate::{PublicKey, SignError, SignatureError, Signer};

/// Payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The pre-authentication encoding: the bytes that a DSSE signature covers.
///
/// Type and payload enter with their lengths, so that no other pair gives the same bytes.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    let mut out = Vec::with_capacity(head.len() + payload.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(payload);
    out
}

/// A payload with its type and exactly one signature.
///
/// cosign takes neither several signatures nor a key id in a bundle; further signers have bundles
/// of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Media type of the payload, such as [`IN_TOTO`].
    pub payload_type: String,
    /// The signed document.
    pub payload: Vec<u8>,
    /// The signature over [`pae`] of both.
    pub signature: Vec<u8>,
}

impl Envelope {
    /// Signs a payload.
    ///
    /// # Errors
    /// [`SignError`] as the signer gives it.
    pub fn sign(
        signer: &dyn Signer,
        payload_type: &str,
        payload: &[u8],
    ) -> Result<Envelope, SignError> {
        let signature = signer.sign(&pae(payload_type, payload))?;
        Ok(Envelope { payload_type: payload_type.to_owned(), payload: payload.to_vec(), signature })
    }

    /// Checks the signature with a key. Says nothing about what the payload claims.
    ///
    /// # Errors
    /// [`SignatureError`] as [`PublicKey::verify`] gives it.
    pub fn verify(&self, key: &PublicKey) -> Result<(), SignatureError> {
        key.verify(&pae(&self.payload_type, &self.payload), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, SecretKey};

    #[test]
    fn encoding_is_that_of_the_specification() {
        // The example of the DSSE protocol page.
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(pae("http://example.com/HelloWorld", b"hello world"), expected);
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
        assert_eq!(pae("é", b"\0"), "DSSEv1 2 é 1 \0".as_bytes());
    }

    #[test]
    fn type_and_payload_are_both_signed() {
        let key = SecretKey::generate(Algorithm::Ed25519, &[3; 32]).unwrap();
        let good = Envelope::sign(&key, IN_TOTO, b"{}").unwrap();
        good.verify(key.public()).unwrap();
        let other_type = Envelope { payload_type: "text/plain".into(), ..good.clone() };
        let other_payload = Envelope { payload: b"{ }".into(), ..good.clone() };
        let shifted = Envelope {
            payload_type: format!("{IN_TOTO} "),
            payload: good.payload.clone(),
            signature: good.signature.clone(),
        };
        for bad in [other_type, other_payload, shifted] {
            assert_eq!(bad.verify(key.public()), Err(SignatureError::Mismatch));
        }
    }
}
