//! Keys in a transit engine: a stand-in that Vault's own library takes for one.
#![cfg(feature = "vault")]
#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod common;

use common::{Keys, LONG, SHORT, check, nonsense, nowhere};
use serde_json::{Value, json};
use stella_keys::{Elsewhere, VaultPlace};
use stella_model::{Digest, ErrorCode};
use stella_seal::{PublicKey, normalise_ecdsa};
use stella_testkit::{Answered, FakeVault, VaultFault};

fn place(keys: &Keys, vault: &FakeVault) -> VaultPlace {
    VaultPlace {
        address: vault.url(),
        mount: "transit".into(),
        key: "release".into(),
        version: None,
        namespace: Some("team/a".into()),
        token_file: Some(keys.secret("token", FakeVault::TOKEN)),
        timeout_seconds: Some(1),
    }
}

/// A store with a key `k` in a new engine.
fn added() -> (Keys, FakeVault) {
    let (keys, vault) = (Keys::new(), FakeVault::start());
    vault.rotate("release");
    keys.add("k", &Elsewhere::Vault(place(&keys, &vault))).unwrap();
    (keys, vault)
}

#[test]
fn a_key_is_added_and_signs_once_for_the_same_bytes() {
    let (keys, vault) = added();
    let entry = std::fs::read_to_string(keys.path("keys/k.toml")).unwrap();
    assert!(entry.contains("[vault]") && entry.contains("version = 1"), "{entry}");
    assert!(!entry.contains(FakeVault::TOKEN), "{entry}");
    let first = keys.sign("k", SHORT).unwrap();
    let asked = vault.asked().len();
    assert_eq!(keys.sign("k", SHORT).unwrap(), first);
    assert_eq!(vault.asked().len(), asked, "what is kept is not asked for");
    let entry = keys.store().get(&"k".parse().unwrap()).unwrap();
    let signer = entry.signer(stella_keys::PasswordSource::Surroundings);
    assert_eq!(signer.prune_kept(0).unwrap(), 0, "nothing could make it again alike");
    keys.forget();
    assert_ne!(keys.sign("k", SHORT).unwrap(), first, "the engine draws its nonces");
    keys.sign("k", LONG).unwrap();
    let last = vault.asked().pop().unwrap();
    assert_eq!(last.header("x-vault-namespace"), "team/a");
    assert_eq!(last.path, "/v1/transit/sign/release");
}

#[test]
fn a_high_s_is_brought_low() {
    let (keys, vault) = added();
    vault.fail(Some(VaultFault::HighS));
    for message in [&b"1"[..], b"2", b"3", b"4"] {
        let signature = keys.sign("k", message).unwrap();
        assert_eq!(normalise_ecdsa(&signature).unwrap(), signature);
    }
}

#[test]
fn a_new_version_of_the_key_changes_nothing_and_is_added_under_another_name() {
    let (keys, vault) = added();
    vault.rotate("release");
    keys.sign("k", SHORT).unwrap();
    let second = keys.add("k2", &Elsewhere::Vault(place(&keys, &vault))).unwrap();
    assert_ne!(keys.store().list().unwrap()[0].public_key(), second.public_key());
    keys.sign("k2", SHORT).unwrap();
}

#[test]
fn a_signature_by_another_key_is_refused_and_not_kept() {
    let (keys, vault) = added();
    vault.fail(Some(VaultFault::OtherKey));
    let error = keys.sign("k", SHORT).unwrap_err();
    check(&error, ErrorCode::Signature, "not by the recorded key", &[FakeVault::TOKEN]);
    // The key was removed and another one made under its name.
    vault.fail(None);
    vault.remove("release");
    vault.rotate("other");
    vault.rotate("release");
    check(&keys.sign("k", SHORT).unwrap_err(), ErrorCode::Signature, "stella keys add", &[]);
    assert!(!keys.path("keys/signatures").exists(), "nothing wrong is kept");
}

#[test]
fn a_server_that_fails_is_told_by_code_and_next_step() {
    let (keys, vault) = added();
    let says =
        |status, error: &str| VaultFault::Says(Answered::Json(status, json!({"errors": [error]})));
    let mut cases = vec![
        (VaultFault::Forbidden, ErrorCode::NotAllowed, "update on transit/sign/release"),
        (VaultFault::Sealed, ErrorCode::Unreachable, "is sealed"),
        (says(404, "no handler"), ErrorCode::NotFound, "no such engine"),
        (says(400, "encryption key not found"), ErrorCode::NotFound, "no key release"),
        (says(400, "bad \u{1b}[2J input"), ErrorCode::Invalid, "refuses the request"),
        (says(473, "standby"), ErrorCode::Unreachable, "answered 473"),
        (
            VaultFault::Says(Answered::Json(200, json!({"data": {"signature": "vault:v1:!"}}))),
            ErrorCode::Io,
            "no base64",
        ),
        (
            VaultFault::Says(Answered::Json(200, json!({"data": {"signature": "vault:v1:AAAA"}}))),
            ErrorCode::Signature,
            "no signature",
        ),
    ];
    let nonsense = nonsense().into_iter();
    cases.extend(nonsense.map(|(answer, code, says)| (VaultFault::Says(answer), code, says)));
    for (fault, code, says) in cases {
        vault.fail(Some(fault));
        check(&keys.sign("k", SHORT).unwrap_err(), code, says, &[FakeVault::TOKEN]);
    }
    vault.fail(None);
    keys.sign("k", SHORT).unwrap();
}

#[test]
fn what_cannot_be_added_leaves_nothing_behind() {
    let (keys, vault) = (Keys::new(), FakeVault::start());
    vault.rotate("release");
    let good = place(&keys, &vault);
    let wrong = keys.secret("wrong", "hvs.wrong");
    let cases = [
        (VaultPlace { key: "none".into(), ..good.clone() }, ErrorCode::NotFound),
        (VaultPlace { mount: "other".into(), ..good.clone() }, ErrorCode::NotFound),
        (VaultPlace { version: Some(9), ..good.clone() }, ErrorCode::NotFound),
        (VaultPlace { token_file: Some(wrong), ..good.clone() }, ErrorCode::NotAllowed),
        (VaultPlace { token_file: Some(nowhere().into()), ..good.clone() }, ErrorCode::NotFound),
        (
            VaultPlace { address: "http://127.0.0.1:1".into(), ..good.clone() },
            ErrorCode::Unreachable,
        ),
        (VaultPlace { address: "http://vault.example".into(), ..good.clone() }, ErrorCode::Invalid),
        (VaultPlace { key: "../sys/seal".into(), ..good.clone() }, ErrorCode::Invalid),
    ];
    for (place, code) in cases {
        let error = keys.add("k", &Elsewhere::Vault(place)).unwrap_err();
        assert_eq!(error.code(), code, "{}", common::told(&error));
    }
    for key in [json!({"1": 1_700_000_000}), json!({}), json!({"1": {"public_key": "x"}})] {
        for kind in ["aes256-gcm96", "ecdsa-p256"] {
            let data = json!({"data": {"type": kind, "latest_version": 1, "keys": key}});
            vault.fail(Some(VaultFault::Says(Answered::Json(200, data))));
            keys.add("k", &Elsewhere::Vault(good.clone())).unwrap_err();
        }
    }
    assert!(!keys.path("keys").exists(), "no key was added");
}

#[test]
fn peer_hvac_takes_the_stand_in_for_vault_and_asks_as_we_do() {
    let Some(mut python) = stella_peers::python("hvac", "2.4.0") else { return };
    let (keys, vault) = added();
    let script = format!(
        "import base64, hvac, json
client = hvac.Client(url='{url}', token='{token}', namespace='team/a')
transit = client.secrets.transit
transit.create_key('theirs', key_type='ecdsa-p256')
told = transit.read_key('theirs')['data']
digest = base64.b64encode(bytes.fromhex('{digest}')).decode()
signed = transit.sign_data('theirs', hash_input=digest, hash_algorithm='sha2-256', prehashed=True,
    marshaling_algorithm='asn1', key_version=1)['data']['signature']
errors = []
for name, client in [('none', client), ('theirs', hvac.Client(url='{url}', token='wrong'))]:
    try:
        client.secrets.transit.read_key(name)
    except hvac.exceptions.VaultError as error:
        errors.append(type(error).__name__)
print(json.dumps([told['type'], told['latest_version'], told['keys']['1']['public_key'], signed,
    errors]))",
        url = vault.url(),
        token = FakeVault::TOKEN,
        digest = Digest::of(SHORT),
    );
    let output = python.args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said[0], &said[1]), (&json!("ecdsa-p256"), &json!(1)));
    assert_eq!(said[4], json!(["InvalidPath", "Forbidden"]));
    let signature = said[3].as_str().unwrap().strip_prefix("vault:v1:").unwrap();
    let signature = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, signature);
    let public = PublicKey::from_pem(said[2].as_str().unwrap()).unwrap();
    public.verify(SHORT, &normalise_ecdsa(&signature.unwrap()).unwrap()).unwrap();
    // Both ask for a signature with the same words.
    keys.sign("k", SHORT).unwrap();
    let asked = vault.asked();
    let signs: Vec<_> = asked.iter().filter(|asked| asked.path.contains("/sign/")).collect();
    let [.., theirs, ours] = signs[..] else { panic!("two requests") };
    assert_eq!(theirs.path.replace("theirs", "release"), ours.path);
    let names = ["input", "prehashed", "hash_algorithm", "marshaling_algorithm", "key_version"];
    for name in names {
        assert_eq!(theirs.json()[name], ours.json()[name], "{name}");
    }
    for name in ["x-vault-token", "x-vault-namespace", "x-vault-request"] {
        assert_eq!(theirs.header(name), ours.header(name), "{name}");
    }
}
