//! Keys in AWS KMS.
//!
//! Two calls of [its interface](https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html),
//! `GetPublicKey` and `Sign`, signed with SigV4.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqsign_aws_v4::{DefaultCredentialProvider, ProfileCredentialProvider, RequestSigner};
use reqsign_core::{Context, Env, FileRead, HttpSend, OsEnv, Signer};
use reqwest::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stella_model::{Digest, ErrorCode};
use stella_seal::{Algorithm, PublicKey};

use super::web::{self, Address, Answer, not_understood};
use super::{Custodian, Fault, Refusal};
use crate::{AwsKmsPlace, Elsewhere};

/// The only kind of key that is used here, as KMS calls it.
const KEY_SPEC: &str = "ECC_NIST_P256";

/// Longest message that KMS hashes itself, in bytes; of longer ones it is given the digest.
const RAW_BYTES_MAX: usize = 4096;

/// Longest file of credentials that is read, in bytes.
const CREDENTIALS_BYTES_MAX: u64 = 1 << 20;

/// A key in AWS KMS.
#[derive(Debug)]
pub(super) struct Kms(AwsKmsPlace);

impl Kms {
    pub(super) fn new(place: &AwsKmsPlace) -> Kms {
        Kms(place.clone())
    }

    fn ask<T: DeserializeOwned + Send>(&self, call: &str, body: &Value) -> Result<T, Refusal> {
        let address = Address::parse(&self.endpoint())?;
        let client = address.client()?;
        let body = body.to_string();
        let send = async {
            let request = self.signed(&client, &address, call, body).await?;
            web::send(&client, request).await
        };
        let answer = web::wait(self.0.timeout_seconds, send)?;
        if answer.status != 200 {
            return Err(self.refused(&answer).into());
        }
        let read = serde_json::from_slice(&answer.body);
        Ok(read.map_err(|_| not_understood("it is no such JSON"))?)
    }

    fn endpoint(&self) -> String {
        let region = &self.0.region;
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let of_region = || format!("https://kms.{region}.{domain}");
        self.0.endpoint.clone().unwrap_or_else(of_region)
    }

    /// A call with its signature.
    async fn signed(
        &self,
        client: &Client,
        address: &Address,
        call: &str,
        body: String,
    ) -> Result<reqwest::Request, Fault> {
        let unusable = |_| Fault::new(ErrorCode::Internal, "no request can be made of the call");
        let request = http::Request::post(address.join("").as_str())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("TrentService.{call}"))
            .header("x-amz-content-sha256", Digest::of(body.as_bytes()).to_string())
            .body(())
            .map_err(unusable)?;
        let (mut head, ()) = request.into_parts();
        let context = Context::new()
            .with_env(Surroundings { credentials_file: self.0.credentials_file.clone() })
            .with_file_read(Files)
            .with_http_send(Requests { tls: client.clone(), plain: web::plain_client()? });
        let rule = RequestSigner::new("kms", &self.0.region);
        let signer = match (&self.0.profile, &self.0.credentials_file) {
            (None, None) => {
                // Nothing is run, and no browser is asked for, to get at credentials.
                let usual = DefaultCredentialProvider::builder().no_process().no_sso().build();
                Signer::new(context, usual, rule)
            }
            (None, _) => Signer::new(context, ProfileCredentialProvider::new(), rule),
            (Some(profile), _) => {
                let named = ProfileCredentialProvider::new().with_profile(profile);
                Signer::new(context, named, rule)
            }
        };
        // The last place that is asked, a machine of AWS, is silent where there is none.
        let limit = web::limit(self.0.timeout_seconds) / 2;
        match tokio::time::timeout(limit, signer.sign(&mut head, None)).await {
            Ok(signed) => signed.map_err(|error| no_credentials(&error.to_string()))?,
            Err(_) => return Err(no_credentials("nobody has any")),
        }
        reqwest::Request::try_from(http::Request::from_parts(head, body)).map_err(|_| {
            Fault::new(ErrorCode::Internal, "no request can be made of the signed call")
        })
    }

    /// What an answer that is no success means.
    fn refused(&self, answer: &Answer) -> Fault {
        let said: ServiceError = serde_json::from_slice(&answer.body).unwrap_or_default();
        // com.amazonaws.kms#NotFoundException
        let kind = said.kind.rsplit('#').next().unwrap_or_default();
        let text = match kind {
            // It repeats the request, and with it the token of a session.
            "InvalidSignatureException" | "SignatureDoesNotMatch" => kind.to_owned(),
            "" => String::new(),
            _ => format!("{kind}: {}", web::said(&said.message)),
        };
        let denied = |hint: &str| {
            let said = format!("the service does not allow it: {text}");
            Fault::new(ErrorCode::NotAllowed, said).hint(hint)
        };
        match kind {
            "NotFoundException" => {
                let said = format!("there is no such key in {}: {text}", self.0.region);
                Fault::new(ErrorCode::NotFound, said)
                    .hint("check the key id or ARN, the region and the account")
            }
            "AccessDeniedException" => denied(
                "the key's policy or a policy of the caller must allow kms:Sign, and \
                 kms:GetPublicKey to add the key",
            ),
            "DisabledException" | "KMSInvalidStateException" => {
                denied("the key is disabled or about to be deleted: enable it, or use another")
            }
            "UnsupportedOperationException"
            | "InvalidKeyUsageException"
            | "ValidationException" => {
                let said = format!("the service refuses the call: {text}");
                Fault::new(ErrorCode::Invalid, said)
                    .hint(format!("the key must be an asymmetric one of {KEY_SPEC} that signs"))
            }
            "ThrottlingException"
            | "LimitExceededException"
            | "KeyUnavailableException"
            | "DependencyTimeoutException" => web::unavailable(answer.status, &text),
            _ => match answer.status {
                400 | 401 | 403 => denied("check the credentials and the clock of this machine"),
                300..400 => not_understood("it leads to another address"),
                429 | 500.. => web::unavailable(answer.status, &text),
                status => not_understood(&format!("status {status} {text}")),
            },
        }
    }
}

fn no_credentials(why: &str) -> Fault {
    let said = format!("there are no credentials for AWS: {}", web::said(why));
    Fault::new(ErrorCode::NotAllowed, said).hint(
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a file: credentials-file in the \
         entry of the key; roles of containers and machines are looked at by themselves",
    )
}

#[derive(Deserialize, Default)]
struct ServiceError {
    #[serde(default, rename = "__type")]
    kind: String,
    #[serde(default, alias = "Message")]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublicHalf {
    public_key: String,
    key_usage: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Signature {
    signature: String,
}

impl Custodian for Kms {
    fn find(&self) -> Result<(PublicKey, Elsewhere), Refusal> {
        let half: PublicHalf = self.ask("GetPublicKey", &json!({"KeyId": self.0.key}))?;
        // Members that name the kind of key were renamed once; the key itself tells.
        let public = PublicKey::from_spki_der(&decode(&half.public_key, "public key")?);
        let unusable = |said: String| {
            Fault::new(ErrorCode::Invalid, web::said(&said))
                .hint(format!("the key must be {KEY_SPEC} for SIGN_VERIFY"))
        };
        let public = public.map_err(|error| unusable(error.to_string()))?;
        if half.key_usage != "SIGN_VERIFY" || public.algorithm() != Algorithm::EcdsaP256Sha256 {
            let said = format!("the key is {} for {}", public.algorithm(), half.key_usage);
            return Err(unusable(said).into());
        }
        Ok((public, Elsewhere::AwsKms(self.0.clone())))
    }

    fn sign(&self, message: &[u8], _algorithm: Algorithm) -> Result<Vec<u8>, Refusal> {
        let (form, sent) = match message.len() {
            ..=RAW_BYTES_MAX => ("RAW", STANDARD.encode(message)),
            _ => ("DIGEST", STANDARD.encode(Digest::of(message).as_bytes())),
        };
        let call = json!({
            "KeyId": self.0.key,
            "Message": sent,
            "MessageType": form,
            "SigningAlgorithm": "ECDSA_SHA_256",
        });
        let signed: Signature = self.ask("Sign", &call)?;
        Ok(decode(&signed.signature, "signature")?)
    }
}

fn decode(text: &str, what: &str) -> Result<Vec<u8>, Fault> {
    STANDARD.decode(text).map_err(|_| not_understood(&format!("the {what} is no base64")))
}

/// The variables of the process, but for the file of credentials that the entry names.
#[derive(Debug)]
struct Surroundings {
    credentials_file: Option<PathBuf>,
}

impl Env for Surroundings {
    fn var(&self, key: &str) -> Option<String> {
        match (&self.credentials_file, key) {
            (Some(file), "AWS_SHARED_CREDENTIALS_FILE") => Some(file.to_str()?.to_owned()),
            // A profile of the process belongs to its own files.
            (Some(_), "AWS_CONFIG_FILE" | "AWS_PROFILE") => None,
            _ => OsEnv.var(key),
        }
    }

    fn vars(&self) -> std::collections::HashMap<String, String> {
        OsEnv.vars()
    }

    fn home_dir(&self) -> Option<PathBuf> {
        // The files of the process's user do not stand in for the one that the entry names.
        if self.credentials_file.is_some() { None } else { OsEnv.home_dir() }
    }
}

/// Files of credentials and of tokens.
#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        use std::io::Read as _;
        let failed = |error: std::io::Error| {
            reqsign_core::Error::config_invalid(format!("cannot read {path}: {error}"))
        };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(CREDENTIALS_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }
}

/// Requests for credentials of roles, to addresses that AWS's own variables name.
#[derive(Debug)]
struct Requests {
    tls: Client,
    plain: Client,
}

impl HttpSend for Requests {
    async fn http_send(
        &self,
        request: http::Request<Bytes>,
    ) -> reqsign_core::Result<http::Response<Bytes>> {
        let failed = |fault: Fault| reqsign_core::Error::unexpected(fault.to_string());
        let unusable = |_| failed(not_understood("no request can be made"));
        let request = reqwest::Request::try_from(request).map_err(unusable)?;
        let is_plain = request.url().scheme() == "http";
        let client = if is_plain { &self.plain } else { &self.tls };
        let answer = web::send(client, request).await.map_err(failed)?;
        let response = http::Response::builder().status(answer.status);
        response.body(Bytes::from(answer.body)).map_err(|_| failed(not_understood("its status")))
    }
}
