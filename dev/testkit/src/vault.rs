//! A stand-in for the transit engine of Vault, as far as keys that sign need it. That it speaks as
//! Vault does, Vault's own library for Python says (`io/keys/tests/vault.rs`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::ops::Reduce as _;
use p256::elliptic_curve::point::AffineCoordinates as _;
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use p256::{FieldBytes, ProjectivePoint, Scalar};
use serde_json::{Value, json};

use crate::web::{Answered, Asked, WebServer};

/// A server with a transit engine at `transit`, whose keys are ECDSA P-256.
pub struct FakeVault {
    server: WebServer,
    state: Arc<Mutex<State>>,
}

/// How the server fails instead of answering.
#[derive(Debug, Clone)]
pub enum VaultFault {
    /// The token may do nothing.
    Forbidden,
    /// Nobody has unsealed it.
    Sealed,
    /// It signs with another key than it tells of.
    OtherKey,
    /// It signs, and writes the greater of s and n − s.
    HighS,
    /// It answers whatever is asked with this.
    Says(Answered),
}

#[derive(Default)]
struct State {
    /// Secret halves by name; the version is the place plus one.
    keys: BTreeMap<String, Vec<SigningKey>>,
    fault: Option<VaultFault>,
    signed: u64,
}

impl FakeVault {
    /// The token that may do everything.
    pub const TOKEN: &str = "hvs.a-token-of-a-test";

    /// Starts an empty engine.
    ///
    /// # Panics
    /// As [`WebServer::start`].
    #[must_use]
    pub fn start() -> FakeVault {
        let state: Arc<Mutex<State>> = Arc::default();
        let own = state.clone();
        let answer = move |asked: &Asked| lock(&own).answer(asked);
        FakeVault { server: WebServer::start(answer), state }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What was asked up to now.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.server.asked()
    }

    /// Gives a key a new version; the first one makes it.
    pub fn rotate(&self, name: &str) {
        lock(&self.state).rotate(name);
    }

    /// Removes a key.
    pub fn remove(&self, name: &str) {
        lock(&self.state).keys.remove(name);
    }

    /// Fails from now on, or no longer.
    pub fn fail(&self, fault: Option<VaultFault>) {
        lock(&self.state).fault = fault;
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(status: u16, error: &str) -> Answered {
    Answered::Json(status, json!({"errors": [error]}))
}

impl State {
    fn answer(&mut self, asked: &Asked) -> Answered {
        match &self.fault {
            Some(VaultFault::Forbidden) => return refused(403, "permission denied"),
            Some(VaultFault::Sealed) => return refused(503, "Vault is sealed"),
            Some(VaultFault::Says(answer)) => return answer.clone(),
            _ if asked.header("x-vault-token") != FakeVault::TOKEN => {
                return refused(403, "permission denied");
            }
            _ => {}
        }
        let path: Vec<&str> = asked.path.trim_start_matches("/v1/transit/").split('/').collect();
        match (asked.method.as_str(), &path[..]) {
            ("GET", ["keys", name]) => self.read(name),
            ("POST" | "PUT", ["keys", name]) => {
                self.rotate(name);
                self.read(name)
            }
            ("POST" | "PUT", ["sign", name]) => self.sign(name, &asked.json()),
            // hvac names the hash in the path as well.
            ("POST" | "PUT", ["sign", name, "sha2-256"]) => self.sign(name, &asked.json()),
            _ => refused(404, "no handler for route"),
        }
    }

    fn rotate(&mut self, name: &str) {
        let seed = 1 + self.keys.values().map(|versions| versions.len() as u64).sum::<u64>();
        let key = SigningKey::from_slice(&Scalar::from(seed + 1000).to_bytes());
        self.keys.entry(name.to_owned()).or_default().push(key.expect("a small scalar"));
    }

    fn read(&self, name: &str) -> Answered {
        let Some(versions) = self.keys.get(name) else { return refused(404, "") };
        let row = |(index, key): (usize, &SigningKey)| {
            let pem = key.verifying_key().to_public_key_pem(LineEnding::LF);
            let pem = pem.expect("a valid key has its PEM");
            let told = json!({"name": "P-256", "public_key": pem, "creation_time": "2026-01-01T00:00:00Z"});
            ((index + 1).to_string(), told)
        };
        let keys: serde_json::Map<String, Value> = versions.iter().enumerate().map(row).collect();
        let data = json!({
            "type": "ecdsa-p256", "name": name, "keys": keys, "latest_version": versions.len(),
            "min_available_version": 0, "supports_signing": true, "exportable": false,
        });
        Answered::Json(200, json!({"request_id": "fake", "data": data}))
    }

    fn sign(&mut self, name: &str, asked: &Value) -> Answered {
        let Some(versions) = self.keys.get(name) else {
            return refused(400, "encryption key not found");
        };
        let wanted = asked["key_version"].as_u64().filter(|version| *version > 0);
        let version = wanted.unwrap_or(versions.len() as u64);
        let key = usize::try_from(version - 1).ok().and_then(|index| versions.get(index));
        let Some(key) = key else { return refused(400, "cannot sign with this key version") };
        let input = STANDARD.decode(asked["input"].as_str().unwrap_or_default());
        let digest: Option<[u8; 32]> = input.ok().and_then(|input| input.try_into().ok());
        let is_as_documented = asked["prehashed"] == true
            && asked["marshaling_algorithm"] == "asn1"
            && matches!(asked["hash_algorithm"].as_str(), None | Some("sha2-256"));
        let (Some(digest), true) = (digest, is_as_documented) else {
            return refused(400, "unable to decode input, or not as this stand-in can sign");
        };
        self.signed += 1;
        let other = SigningKey::from_slice(&[7; 32]).expect("a scalar");
        let key = if matches!(self.fault, Some(VaultFault::OtherKey)) { &other } else { key };
        let signature = sign(key, &digest, self.signed);
        let signature = match self.fault {
            Some(VaultFault::HighS) => high(&signature),
            _ => signature,
        };
        let text = format!("vault:v{version}:{}", STANDARD.encode(signature.to_der().as_bytes()));
        Answered::Json(200, json!({"data": {"signature": text, "key_version": version}}))
    }
}

/// A signature with a nonce that is another one each time, as Vault draws it. Whoever sees two can
/// compute the key, which is why this stays a stand-in.
fn sign(key: &SigningKey, digest: &[u8; 32], nonce: u64) -> Signature {
    let k = Scalar::from(nonce + 0x9e37_79b9_7f4a_7c15 / 2);
    let r = Scalar::reduce(&(ProjectivePoint::GENERATOR * k).to_affine().x());
    let z = Scalar::reduce(&FieldBytes::from(*digest));
    let s = k.invert().expect("not zero") * (z + r * *key.as_nonzero_scalar().as_ref());
    Signature::from_scalars(r.to_bytes(), s.to_bytes()).expect("no scalar is zero")
}

/// The same signature with the greater of s and n − s.
fn high(signature: &Signature) -> Signature {
    let low = signature.normalize_s();
    let (r, s) = low.split_scalars();
    Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).expect("no scalar is zero")
}
