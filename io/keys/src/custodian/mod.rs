//! Custodians: what holds a secret half that nobody can take out, and signs with it.

#[cfg(feature = "aws-kms")]
mod aws_kms;
mod fault;
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(feature = "vault")]
mod vault;
#[cfg(feature = "web")]
mod web;

use std::fmt;

use stella_model::ErrorCode;
use stella_seal::{Algorithm, PublicKey, normalise_ecdsa};

pub use fault::CustodianError;
pub(crate) use fault::{Attempt, Fault};

use crate::{Elsewhere, KeyName, KeysError, PasswordSource};

/// Signs with a secret half that it does not give out.
///
/// Nothing is connected, loaded or read before it is asked for something.
pub(crate) trait Custodian: fmt::Debug + Send + Sync {
    /// The public half, and the place with what was found out about it, such as a version.
    fn find(&self) -> Result<(PublicKey, Elsewhere), Refusal>;

    /// A signature over a message, in whatever form the custodian writes it. It may be by another
    /// key than the one that was found once: [`accept`] decides.
    fn sign(&self, message: &[u8], algorithm: Algorithm) -> Result<Vec<u8>, Refusal>;
}

/// Why there is no answer: the custodian said so, or the secret to ask it with could not be had.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "pkcs11", feature = "vault")),
    expect(dead_code, reason = "the others find their secrets themselves")
)]
pub(crate) enum Refusal {
    Fault(Fault),
    Secret(KeysError),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        Refusal::Fault(fault)
    }
}

impl Refusal {
    /// As the error of an operation.
    pub(crate) fn during(self, attempt: Attempt, name: &KeyName, place: &Elsewhere) -> KeysError {
        match self {
            Refusal::Secret(error) => error,
            Refusal::Fault(fault) => {
                let (name, place) = (name.clone(), place.to_string());
                KeysError::Custodian(Box::new(CustodianError { name, place, attempt, fault }))
            }
        }
    }
}

/// The custodian of a place; one that this program was built without says so when it is asked.
#[cfg_attr(
    not(feature = "pkcs11"),
    expect(unused_variables, reason = "only a token is asked with a PIN")
)]
pub(crate) fn of(name: &KeyName, place: &Elsewhere, pin: &PasswordSource) -> Box<dyn Custodian> {
    match place {
        #[cfg(feature = "pkcs11")]
        Elsewhere::Pkcs11(place) => Box::new(pkcs11::Token::new(name, place, pin)),
        #[cfg(feature = "aws-kms")]
        Elsewhere::AwsKms(place) => Box::new(aws_kms::Kms::new(place)),
        #[cfg(feature = "vault")]
        Elsewhere::Vault(place) => Box::new(vault::Transit::new(place)),
        #[cfg(not(all(feature = "pkcs11", feature = "aws-kms", feature = "vault")))]
        place => Box::new(NotBuilt(place.kind())),
    }
}

/// Stands for a custodian whose feature was left out.
#[cfg(not(all(feature = "pkcs11", feature = "aws-kms", feature = "vault")))]
#[derive(Debug)]
struct NotBuilt(&'static str);

#[cfg(not(all(feature = "pkcs11", feature = "aws-kms", feature = "vault")))]
impl NotBuilt {
    fn refusal(&self) -> Refusal {
        let said = format!("this program was built without the feature {}", self.0);
        Fault::new(ErrorCode::Usage, said).hint("use a build that has all features").into()
    }
}

#[cfg(not(all(feature = "pkcs11", feature = "aws-kms", feature = "vault")))]
impl Custodian for NotBuilt {
    fn find(&self) -> Result<(PublicKey, Elsewhere), Refusal> {
        Err(self.refusal())
    }

    fn sign(&self, _message: &[u8], _algorithm: Algorithm) -> Result<Vec<u8>, Refusal> {
        Err(self.refusal())
    }
}

/// Brings a signature to its one spelling and checks that it is by the recorded key: what a
/// custodian says is believed no further than that.
pub(crate) fn accept(
    public: &PublicKey,
    message: &[u8],
    signature: Vec<u8>,
) -> Result<Vec<u8>, Fault> {
    let normal = match public.algorithm() {
        Algorithm::EcdsaP256Sha256 => normalise_ecdsa(&signature),
        Algorithm::Ed25519 => Some(signature).filter(|signature| signature.len() == 64),
    };
    let not_one = || Fault::new(ErrorCode::Signature, "what came back is no signature");
    let normal = normal.ok_or_else(not_one)?;
    let other = |_| {
        let said = format!("the signature is not by the recorded key {}", public.hint8());
        Fault::new(ErrorCode::Signature, said).hint(
            "the key there was replaced: undo that, or add it under another name (stella keys \
             add) and hand out its public key",
        )
    };
    public.verify(message, &normal).map_err(other).map(|()| normal)
}

#[cfg(test)]
mod tests {
    use stella_seal::SecretKey;

    use super::*;

    #[test]
    fn only_a_signature_by_the_recorded_key_is_accepted_in_its_one_spelling() {
        for algorithm in Algorithm::ALL {
            let key = SecretKey::generate(algorithm, &[1; 32]).unwrap();
            let other = SecretKey::generate(algorithm, &[2; 32]).unwrap();
            let good = key.signature(b"m");
            assert_eq!(accept(key.public(), b"m", good.clone()), Ok(good.clone()));
            let refused = [good[1..].to_vec(), Vec::new(), other.signature(b"m"), vec![0; 64]];
            for signature in refused {
                accept(key.public(), b"m", signature).unwrap_err();
            }
            accept(key.public(), b"other", good).unwrap_err();
        }
    }

    #[test]
    #[cfg(not(feature = "vault"))]
    fn a_custodian_that_was_left_out_says_so() {
        let place = Elsewhere::parse("[vault]\naddress = \"https://v\"\nkey = \"k\"\n").unwrap();
        let name = KeyName::new("k").unwrap();
        let custodian = of(&name, &place, &PasswordSource::Surroundings);
        let error = custodian.find().unwrap_err().during(Attempt::Find, &name, &place);
        assert_eq!(error.code(), ErrorCode::Usage);
        assert!(error.hint().is_some_and(|hint| hint.contains("all features")));
    }
}
