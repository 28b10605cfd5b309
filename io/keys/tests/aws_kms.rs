//! Keys in AWS KMS: moto, and answers that moto does not give.
#![cfg(feature = "aws-kms")]
#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Keys, LONG, SHORT, check, nonsense, nowhere, told};
use serde_json::{Value, json};
use stella_keys::{AwsKmsPlace, Elsewhere};
use stella_model::{Digest, ErrorCode};
use stella_peers::Moto;
use stella_seal::{Algorithm, PublicKey, SecretKey};
use stella_testkit::{Answered, Asked, WebServer};

const SECRET: &str = "wJalrXUtnFEMI-secret-of-a-test";
const SESSION: &str = "session-token-of-a-test";

fn place(keys: &Keys, url: &str, key: &str) -> AwsKmsPlace {
    let credentials = format!(
        "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = {SECRET}\n\
         [session]\naws_access_key_id = ASIAEXAMPLE\naws_secret_access_key = {SECRET}\n\
         aws_session_token = {SESSION}"
    );
    AwsKmsPlace {
        key: key.into(),
        region: "eu-west-1".into(),
        endpoint: Some(url.into()),
        profile: None,
        credentials_file: Some(keys.secret("credentials", &credentials)),
        timeout_seconds: Some(20),
    }
}

#[test]
fn peer_moto_key_is_added_and_signs_once_for_the_same_bytes() {
    let Some(moto) = Moto::start() else { return };
    let keys = Keys::new();
    let id = moto.signing_key("ECC_NIST_P256");
    let entry = keys.add("k", &Elsewhere::AwsKms(place(&keys, &moto.url(), &id))).unwrap();
    let theirs = moto.kms(&format!(
        "import base64\nprint(base64.b64encode(kms.get_public_key(KeyId='{id}')['PublicKey']).decode())"
    ));
    let theirs = PublicKey::from_spki_der(&STANDARD.decode(theirs).unwrap()).unwrap();
    assert_eq!(*entry.public_key(), theirs, "Amazon's library is told the same");
    let first = keys.sign("k", SHORT).unwrap();
    assert_eq!(keys.sign("k", SHORT).unwrap(), first);
    keys.forget();
    assert_ne!(keys.sign("k", SHORT).unwrap(), first, "the service draws its nonces");
}

#[test]
fn peer_moto_key_by_alias_that_is_pointed_elsewhere_is_refused() {
    let Some(moto) = Moto::start() else { return };
    let keys = Keys::new();
    let (first, second) = (moto.signing_key("ECC_NIST_P256"), moto.signing_key("ECC_NIST_P256"));
    let _ = moto.kms(&format!("kms.create_alias(AliasName='alias/k', TargetKeyId='{first}')"));
    keys.add("k", &Elsewhere::AwsKms(place(&keys, &moto.url(), "alias/k"))).unwrap();
    let kept = keys.sign("k", SHORT).unwrap();
    let _ = moto.kms(&format!("kms.update_alias(AliasName='alias/k', TargetKeyId='{second}')"));
    assert_eq!(keys.sign("k", SHORT).unwrap(), kept);
    let error = keys.sign("k", b"other").unwrap_err();
    check(&error, ErrorCode::Signature, "not by the recorded key", &[SECRET]);
}

#[test]
fn peer_moto_keys_that_are_missing_or_of_another_kind_are_told() {
    let Some(moto) = Moto::start() else { return };
    let keys = Keys::new();
    let good = place(&keys, &moto.url(), "12345678-1234-1234-1234-123456789012");
    let missing = keys.add("k", &Elsewhere::AwsKms(good.clone())).unwrap_err();
    check(&missing, ErrorCode::NotFound, "NotFoundException", &[SECRET]);
    for (spec, says) in [("RSA_2048", "RSA"), ("ECC_NIST_P384", "must be ECC_NIST_P256")] {
        let key = moto.signing_key(spec);
        let error = keys.add("k", &Elsewhere::AwsKms(AwsKmsPlace { key, ..good.clone() }));
        check(&error.unwrap_err(), ErrorCode::Invalid, says, &[SECRET]);
    }
    assert!(!keys.path("keys").exists(), "no key was added");
}

/// A KMS as Amazon documents it, which keeps one key and hashes only what is raw.
fn service(fault: impl Fn(&Asked) -> Option<Answered> + Send + Sync + 'static) -> WebServer {
    let key = SecretKey::generate(Algorithm::EcdsaP256Sha256, &[5; 32]).unwrap();
    let digests =
        [SHORT, LONG].map(|message| (STANDARD.encode(Digest::of(message).as_bytes()), message));
    WebServer::start(move |asked| {
        if let Some(answer) = fault(asked) {
            return answer;
        }
        let call = asked.json();
        let sent = call["Message"].as_str().unwrap_or_default();
        match asked.header("x-amz-target") {
            "TrentService.GetPublicKey" => Answered::Json(
                200,
                json!({
                    "KeyId": call["KeyId"], "KeyUsage": "SIGN_VERIFY",
                    "PublicKey": STANDARD.encode(key.public().spki_der()),
                }),
            ),
            // What stands behind a digest is known for two messages.
            "TrentService.Sign" => {
                let message = match call["MessageType"].as_str() {
                    Some("RAW") => STANDARD.decode(sent).unwrap(),
                    _ => {
                        digests.iter().find(|row| row.0 == sent).map(|row| row.1.to_vec()).unwrap()
                    }
                };
                let signature = STANDARD.encode(key.signature(&message));
                Answered::Json(200, json!({"Signature": signature}))
            }
            other => Answered::Json(
                400,
                json!({"__type": "UnknownOperationException", "message": other}),
            ),
        }
    })
}

fn refused(status: u16, kind: &str, message: &str) -> Answered {
    Answered::Json(
        status,
        json!({"__type": format!("com.amazonaws.kms#{kind}"), "message": message}),
    )
}

#[test]
fn long_messages_are_sent_as_their_digest_and_requests_are_signed() {
    let kms = service(|_| None);
    let keys = Keys::new();
    let place =
        AwsKmsPlace { profile: Some("session".into()), ..place(&keys, &kms.url(), "alias/k") };
    keys.add("k", &Elsewhere::AwsKms(place)).unwrap();
    keys.sign("k", SHORT).unwrap();
    keys.sign("k", LONG).unwrap();
    let asked = kms.asked();
    let sent: Vec<(Value, usize)> = asked
        .iter()
        .filter(|asked| asked.header("x-amz-target") == "TrentService.Sign")
        .map(|asked| (asked.json()["MessageType"].clone(), asked.body.len()))
        .collect();
    assert_eq!(sent.last().unwrap().0, "DIGEST");
    assert!(sent[..sent.len() - 1].iter().all(|(form, _)| form == "RAW"), "{sent:?}");
    for request in &asked {
        let proof = request.header("authorization");
        assert!(proof.starts_with("AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/"), "{proof}");
        assert!(proof.contains("/eu-west-1/kms/aws4_request"), "{proof}");
        assert!(proof.contains("x-amz-content-sha256;"), "{proof}");
        let digest = Digest::of(&request.body).to_string();
        assert_eq!(request.header("x-amz-content-sha256"), digest);
        assert_eq!(request.header("x-amz-security-token"), SESSION);
    }
}

#[test]
fn a_service_that_fails_is_told_by_code_and_next_step() {
    let mut cases = vec![
        (
            refused(400, "AccessDeniedException", "User: u is not authorized"),
            ErrorCode::NotAllowed,
            "kms:GetPublicKey",
        ),
        (refused(400, "NotFoundException", "no key"), ErrorCode::NotFound, "NotFoundException"),
        (refused(400, "DisabledException", "disabled"), ErrorCode::NotAllowed, "enable it"),
        (refused(400, "KMSInvalidStateException", "pending"), ErrorCode::NotAllowed, "enable it"),
        (
            refused(400, "ThrottlingException", "slow down"),
            ErrorCode::Unreachable,
            "pass by itself",
        ),
        (refused(400, "ExpiredTokenException", "expired"), ErrorCode::NotAllowed, "credentials"),
        (refused(500, "KMSInternalException", ""), ErrorCode::Unreachable, "answered 500"),
        (refused(400, "InvalidSignatureException", SESSION), ErrorCode::NotAllowed, "clock"),
        (Answered::Json(200, json!({"Signature": "!"})), ErrorCode::Io, "no base64"),
        (Answered::Json(200, json!({"Signature": "AAAA"})), ErrorCode::Signature, "no signature"),
    ];
    cases.extend(nonsense());
    let (answers, expected): (Vec<Answered>, Vec<_>) =
        cases.into_iter().map(|(answer, code, says)| (answer, (code, says))).unzip();
    let next = std::sync::Mutex::new(answers.into_iter());
    let trial = "c3RlbGxh";
    let kms = service(move |asked| {
        let is_trial = asked.json()["Message"].as_str().is_none_or(|sent| sent.starts_with(trial));
        if is_trial { None } else { next.lock().unwrap().next() }
    });
    let keys = Keys::new();
    let place = AwsKmsPlace { timeout_seconds: Some(1), ..place(&keys, &kms.url(), "k") };
    keys.add("k", &Elsewhere::AwsKms(place)).unwrap();
    for (code, says) in expected {
        check(&keys.sign("k", SHORT).unwrap_err(), code, says, &[SECRET, SESSION]);
    }
    keys.sign("k", SHORT).unwrap();
}

#[test]
fn without_credentials_nothing_is_asked() {
    let kms = service(|_| None);
    let keys = Keys::new();
    let good = place(&keys, &kms.url(), "k");
    let empty = keys.secret("empty", "[default]");
    let cases = [
        AwsKmsPlace { credentials_file: Some(nowhere().into()), ..good.clone() },
        AwsKmsPlace { credentials_file: Some(empty), ..good.clone() },
        AwsKmsPlace { profile: Some("none".into()), ..good.clone() },
    ];
    for place in cases {
        let error = keys.add("k", &Elsewhere::AwsKms(place)).unwrap_err();
        check(&error, ErrorCode::NotAllowed, "credentials-file", &[SECRET]);
    }
    let plain = AwsKmsPlace { endpoint: Some("http://kms.example".into()), ..good };
    let error = keys.add("k", &Elsewhere::AwsKms(plain)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Invalid, "{}", told(&error));
    assert!(kms.asked().is_empty());
}
