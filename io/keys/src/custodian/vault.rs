//! Keys in the transit engine of HashiCorp Vault or OpenBao.
//!
//! [The interface](https://developer.hashicorp.com/vault/api-docs/secret/transit): `GET keys/NAME`
//! tells public halves by version, `POST sign/NAME` signs a digest.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use stella_model::{Digest, ErrorCode};
use stella_seal::{Algorithm, PublicKey};

use super::web::{self, Address, Answer, not_understood};
use super::{Custodian, Fault, Refusal};
use crate::password::{Password, TOKEN_FILE, read_secret};
use crate::{Elsewhere, VaultPlace};

/// The variable with the token, as for the program `vault`.
const TOKEN_VARIABLE: &str = "VAULT_TOKEN";

/// The only type of key that is used here, as the engine calls it.
const KEY_TYPE: &str = "ecdsa-p256";

/// A key in a transit engine.
#[derive(Debug)]
pub(super) struct Transit(VaultPlace);

impl Transit {
    pub(super) fn new(place: &VaultPlace) -> Transit {
        Transit(place.clone())
    }

    fn ask<T: DeserializeOwned + Send>(
        &self,
        verb: &str,
        body: Option<serde_json::Value>,
    ) -> Result<T, Refusal> {
        let token = self.token()?;
        let address = Address::parse(&self.0.address)?;
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let path = format!("v1/{}/{verb}/{}", self.0.mount, self.0.key);
        let mut request = Request::new(method, address.join(&path));
        *request.headers_mut() = self.headers(&token)?;
        *request.body_mut() = body.map(|body| body.to_string().into());
        let client = address.client()?;
        let answer = web::wait(self.0.timeout_seconds, web::send(&client, request))?;
        Ok(self.read(&answer)?)
    }

    fn token(&self) -> Result<Password, Refusal> {
        if let Some(file) = &self.0.token_file {
            return read_secret(TOKEN_FILE, file).map_err(Refusal::Secret);
        }
        let variable = std::env::var_os(TOKEN_VARIABLE).filter(|value| !value.is_empty());
        let token = variable.map(|value| Password::new(value.into_encoded_bytes()));
        let missing = || {
            Fault::new(ErrorCode::Usage, "there is no token for the server").hint(format!(
                "set {TOKEN_VARIABLE}, or name a file that holds it: token-file in the entry of \
                 the key"
            ))
        };
        Ok(token.ok_or_else(missing)?)
    }

    fn headers(&self, token: &Password) -> Result<HeaderMap, Fault> {
        let mut headers = HeaderMap::new();
        let value = |bytes: &[u8], what: &str| {
            let said = format!("the {what} holds characters that no request can carry");
            HeaderValue::from_bytes(bytes).map_err(|_| Fault::new(ErrorCode::Invalid, said))
        };
        let mut secret = value(token.as_bytes(), "token")?;
        secret.set_sensitive(true);
        headers.insert(HeaderName::from_static("x-vault-token"), secret);
        // Agents and proxies of Vault demand it: it proves that no browser was tricked.
        headers
            .insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(namespace) = &self.0.namespace {
            let namespace = value(namespace.as_bytes(), "namespace")?;
            headers.insert(HeaderName::from_static("x-vault-namespace"), namespace);
        }
        Ok(headers)
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Fault> {
        if !(200..300).contains(&answer.status) {
            return Err(self.refused(answer));
        }
        let read = serde_json::from_slice::<Envelope<T>>(&answer.body);
        read.map(|envelope| envelope.data).map_err(|_| not_understood("it is no such JSON"))
    }

    /// What an answer that is no success means.
    fn refused(&self, answer: &Answer) -> Fault {
        let errors = serde_json::from_slice::<Errors>(&answer.body).unwrap_or_default().errors;
        let text = errors.join("; ");
        let VaultPlace { mount, key, .. } = &self.0;
        match answer.status {
            // Signing with a key that is not there is a bad request.
            404 => missing(mount, key),
            400 if text.contains("not found") => missing(mount, key),
            400 => {
                let said = format!("the server refuses the request: {}", web::said(&text));
                Fault::new(ErrorCode::Invalid, said)
            }
            401 | 403 => {
                let said = format!("the server does not allow it: {}", web::said(&text));
                Fault::new(ErrorCode::NotAllowed, said).hint(format!(
                    "the token may have expired; its policy must allow update on {mount}/sign/{key}, \
                     and read on {mount}/keys/{key} to add the key"
                ))
            }
            503 if text.contains("sealed") => {
                Fault::new(ErrorCode::Unreachable, "the server is sealed")
                    .hint("have it unsealed, then run the same command again")
            }
            300..400 => not_understood("it leads to another address"),
            408 | 412 | 429 | 472 | 473 | 500.. => web::unavailable(answer.status, &text),
            status => not_understood(&format!("status {status}: {}", web::said(&text))),
        }
    }
}

fn missing(mount: &str, key: &str) -> Fault {
    let said = format!("there is no key {key} in the engine {mount}, or no such engine");
    Fault::new(ErrorCode::NotFound, said)
        .hint("vault list MOUNT/keys shows the keys of an engine; check the namespace, too")
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize, Default)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct KeyData {
    #[serde(rename = "type")]
    key_type: String,
    latest_version: u32,
    // Symmetric keys have numbers here, which is why the type is looked at first.
    keys: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct SignData {
    signature: String,
}

impl Custodian for Transit {
    fn find(&self) -> Result<(PublicKey, Elsewhere), Refusal> {
        let data: KeyData = self.ask("keys", None)?;
        if data.key_type != KEY_TYPE {
            let said = format!("the key has the type {}, not {KEY_TYPE}", data.key_type);
            return Err(Fault::new(ErrorCode::Invalid, web::said(&said)).into());
        }
        let version = self.0.version.unwrap_or(data.latest_version);
        let found = data.keys.get(&version.to_string());
        let absent = || {
            let said = format!("the key has no version {version}");
            Fault::new(ErrorCode::NotFound, said)
        };
        let pem = found.ok_or_else(absent)?.get("public_key").and_then(|pem| pem.as_str());
        let pem = pem.ok_or_else(|| not_understood("the version has no public key"))?;
        // The engine writes no line end after the last line.
        let public = PublicKey::from_pem(&format!("{}\n", pem.trim_end()))
            .map_err(|error| not_understood(&error.to_string()))?;
        // A later version is another key: this one stays the one that signs.
        let place = VaultPlace { version: Some(version), ..self.0.clone() };
        Ok((public, Elsewhere::Vault(place)))
    }

    fn sign(&self, message: &[u8], _algorithm: Algorithm) -> Result<Vec<u8>, Refusal> {
        let mut body = json!({
            "input": STANDARD.encode(Digest::of(message).as_bytes()),
            "prehashed": true,
            "hash_algorithm": "sha2-256",
            "marshaling_algorithm": "asn1",
        });
        if let Some(version) = self.0.version {
            body["key_version"] = version.into();
        }
        let data: SignData = self.ask("sign", Some(body))?;
        // vault:v1:BASE64
        let encoded = data.signature.rsplit(':').next().unwrap_or_default();
        let decoded = STANDARD.decode(encoded);
        Ok(decoded.map_err(|_| not_understood("the signature is no base64"))?)
    }
}
