//! The key store and the trust store on a real file system.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::fs;
use std::path::{Path, PathBuf};

use stella_keys::{
    Existing, KeyName, KeyStore, KeysError, Password, PasswordSource, TrustStore, read_public_key,
};
use stella_model::ErrorCode;
use stella_seal::{Algorithm, PublicKey, Signer as _};
use stella_testkit::temp_dir;

fn name(text: &str) -> KeyName {
    KeyName::new(text).unwrap()
}

fn password(text: &str) -> PasswordSource {
    PasswordSource::Given(Password::new(text.into()))
}

/// A password that must not be asked for.
fn none() -> PasswordSource {
    PasswordSource::File("/no/such/password".into())
}

fn store(folder: &Path) -> KeyStore {
    KeyStore::at(folder.join("keys"))
}

/// Names of all files below a folder, sorted.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_key_is_generated_listed_exported_and_signs() {
    let folder = temp_dir();
    let keys = store(folder.path());
    assert!(keys.list().unwrap().is_empty(), "a store that does not exist yet is empty");
    for (text, algorithm) in [("b", Algorithm::EcdsaP256Sha256), ("a", Algorithm::Ed25519)] {
        let made = keys.generate(&name(text), algorithm, &password("p"), Existing::Keep).unwrap();
        assert_eq!(made.public_key().algorithm(), algorithm);
        let signer = made.signer(password("p"));
        let signature = signer.sign(b"message").unwrap();
        made.public_key().verify(b"message", &signature).unwrap();
        let exported = PublicKey::from_pem(&keys.export_public(&name(text)).unwrap()).unwrap();
        assert_eq!(&exported, made.public_key());
        let file = folder.path().join(format!("keys/{text}.pub"));
        assert_eq!(read_public_key(&file).unwrap(), exported);
    }
    let listed = keys.list().unwrap();
    let names: Vec<&str> = listed.iter().map(|entry| entry.name().as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(files(folder.path()).iter().all(|file| !file.contains("partial")));
}

#[test]
#[cfg(unix)]
fn secret_files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = temp_dir();
    store(folder.path())
        .generate(&name("k"), Algorithm::Ed25519, &password("p"), Existing::Keep)
        .unwrap();
    let mode =
        |file: &str| fs::metadata(folder.path().join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("keys/k.key"), 0o600);
    assert_eq!(mode("keys") & 0o077, 0);
    let secret = fs::read_to_string(folder.path().join("keys/k.key")).unwrap();
    assert!(secret.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"));
}

#[test]
fn nothing_is_replaced_without_consent_and_no_password_is_asked_for() {
    let folder = temp_dir();
    let keys = store(folder.path());
    let k = name("k");
    keys.generate(&k, Algorithm::Ed25519, &password("p"), Existing::Keep).unwrap();
    let before = keys.export_public(&k).unwrap();
    let refused = keys.generate(&k, Algorithm::Ed25519, &none(), Existing::Keep).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    assert!(refused.hint().unwrap().contains("--replace"));
    let refused = keys.import(&k, Path::new("/none"), &none(), Existing::Keep).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    assert_eq!(keys.export_public(&k).unwrap(), before);
    // A public key that stands alone belongs to someone, too.
    fs::copy(folder.path().join("keys/k.pub"), folder.path().join("keys/j.pub")).unwrap();
    let refused = keys.generate(&name("j"), Algorithm::Ed25519, &none(), Existing::Keep);
    assert_eq!(refused.unwrap_err().code(), ErrorCode::Conflict);
    keys.generate(&k, Algorithm::Ed25519, &password("q"), Existing::Replace).unwrap();
    assert_ne!(keys.export_public(&k).unwrap(), before);
    keys.get(&k).unwrap().unlock(&password("q")).unwrap();
    assert!(files(folder.path()).iter().all(|file| !file.contains("partial")));
}

#[test]
fn a_wrong_password_is_not_allowed_and_says_where() {
    let folder = temp_dir();
    let keys = store(folder.path());
    let entry = keys
        .generate(&name("k"), Algorithm::EcdsaP256Sha256, &password("right"), Existing::Keep)
        .unwrap();
    let error = entry.unlock(&password("wrong")).unwrap_err();
    assert_eq!((error.code(), error.code().exit_code()), (ErrorCode::NotAllowed, 4));
    assert!(error.to_string().contains("k.key"), "{error}");
    assert!(error.hint().unwrap().contains("STELLA_KEY_PASSWORD"));
    let signer = entry.signer(password("wrong"));
    let error = signer.sign(b"x").unwrap_err();
    assert_eq!(error.to_string(), "cannot sign with the key k");
    let cause = error.source.downcast_ref::<KeysError>().unwrap();
    assert_eq!(cause.code(), ErrorCode::NotAllowed);
}

#[test]
fn a_signature_that_is_kept_needs_no_password_and_a_damaged_one_is_made_anew() {
    let folder = temp_dir();
    let keys = store(folder.path());
    let entry = keys
        .generate(&name("k"), Algorithm::EcdsaP256Sha256, &password("p"), Existing::Keep)
        .unwrap();
    let first = entry.signer(password("p")).sign(b"manifest").unwrap();
    let again = entry.signer(none());
    assert!(again.has_signed(b"manifest") && !again.has_signed(b"other"));
    assert_eq!(again.sign(b"manifest").unwrap(), first);
    assert!(again.sign(b"other").is_err(), "what was never signed needs the password");
    let kept = files(folder.path()).into_iter().find(|file| file.ends_with(".sig")).unwrap();
    let kept = folder.path().join(kept);
    let other = stella_seal::SecretKey::generate(Algorithm::EcdsaP256Sha256, &[3; 32]).unwrap();
    let planted = stella_seal::detached_sig(&other.signature(b"manifest"));
    for damage in ["", "!", "AAAA", planted.as_str()] {
        fs::write(&kept, damage).unwrap();
        assert!(!again.has_signed(b"manifest"), "{damage}");
        assert!(again.sign(b"manifest").is_err());
        assert_eq!(entry.signer(password("p")).sign(b"manifest").unwrap(), first);
        assert_eq!(again.sign(b"manifest").unwrap(), first);
    }
}

#[test]
fn the_kept_signatures_used_longest_ago_are_removed_first() {
    let folder = temp_dir();
    let entry = store(folder.path())
        .generate(&name("k"), Algorithm::Ed25519, &password("p"), Existing::Keep)
        .unwrap();
    let signer = entry.signer(password("p"));
    assert_eq!(signer.prune_kept(0).unwrap(), 0, "nothing was signed yet");
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    for message in [b"1", b"2", b"3"] {
        signer.sign(message).unwrap();
        let kept = format!("{}.sig", stella_model::Digest::of(message));
        let kept = files(folder.path()).into_iter().find(|file| file.ends_with(&kept)).unwrap();
        let kept = fs::File::options().append(true).open(folder.path().join(kept)).unwrap();
        kept.set_modified(past).unwrap();
    }
    signer.sign(b"1").unwrap();
    signer.sign(b"4").unwrap();
    assert_eq!(signer.prune_kept(4).unwrap(), 0);
    assert_eq!(signer.prune_kept(2).unwrap(), 2);
    let left = [b"1", b"2", b"3", b"4"].map(|message| signer.has_signed(message));
    assert_eq!(left, [true, false, false, true], "what was used again is kept");
}

#[test]
fn unlocking_shows_a_wrong_password_before_any_work() {
    let folder = temp_dir();
    let entry = store(folder.path())
        .generate(&name("k"), Algorithm::Ed25519, &password("p"), Existing::Keep)
        .unwrap();
    entry.signer(password("p")).ready().unwrap();
    let error = entry.signer(password("q")).ready().unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotAllowed);
}

#[test]
fn halves_that_do_not_belong_together_do_not_sign() {
    let folder = temp_dir();
    let keys = store(folder.path());
    for key in ["a", "b"] {
        keys.generate(&name(key), Algorithm::Ed25519, &password("p"), Existing::Keep).unwrap();
    }
    let path = |file: &str| folder.path().join("keys").join(file);
    fs::copy(path("b.pub"), path("a.pub")).unwrap();
    let error = keys.get(&name("a")).unwrap().signer(password("p")).signature(b"x").unwrap_err();
    assert!(matches!(error, KeysError::Halves { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::Invalid);
}

#[test]
fn a_lost_public_half_comes_back_by_importing_the_key_file() {
    let folder = temp_dir();
    let keys = store(folder.path());
    let made =
        keys.generate(&name("a"), Algorithm::Ed25519, &password("p"), Existing::Keep).unwrap();
    fs::remove_file(folder.path().join("keys/a.pub")).unwrap();
    let error = keys.get(&name("a")).unwrap_err();
    assert!(error.hint().unwrap().contains("import"), "{error}");
    let file = folder.path().join("keys/a.key");
    let entry = keys.import(&name("b"), &file, &password("p"), Existing::Keep).unwrap();
    assert_eq!(entry.public_key(), made.public_key());
}

#[test]
fn one_key_needs_no_name_and_none_or_several_say_what_to_do() {
    let folder = temp_dir();
    let keys = store(folder.path());
    let error = keys.choose(None).unwrap_err();
    assert_eq!((error.code(), error.code().exit_code()), (ErrorCode::NoKey, 2));
    assert!(error.hint().unwrap().contains("stella keys generate"));
    keys.generate(&name("a"), Algorithm::Ed25519, &password("p"), Existing::Keep).unwrap();
    assert_eq!(keys.choose(None).unwrap().name(), &name("a"));
    keys.generate(&name("b"), Algorithm::Ed25519, &password("p"), Existing::Keep).unwrap();
    let error = keys.choose(None).unwrap_err();
    assert_eq!(error.to_string(), "there are several signing keys: a, b");
    assert_eq!(error.code().exit_code(), 2);
    assert_eq!(keys.choose(Some(&name("b"))).unwrap().name(), &name("b"));
    let error = keys.choose(Some(&name("c"))).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string()),
        (ErrorCode::NotFound, "there is no signing key named c".into())
    );
}

fn write(folder: &Path, file: &str, text: &str) -> PathBuf {
    let path = folder.join(file);
    fs::write(&path, text).unwrap();
    path
}

/// The first key of RFC 8032 §7.1.
const PKCS8: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";

#[test]
fn plain_keys_are_imported_encrypted() {
    let folder = temp_dir();
    let keys = store(folder.path());
    let file = write(folder.path(), "plain.pem", PKCS8);
    let entry = keys.import(&name("k"), &file, &password("new"), Existing::Keep).unwrap();
    let expected = stella_seal::SecretKey::from_pkcs8_pem(PKCS8).unwrap();
    assert_eq!(entry.public_key(), expected.public());
    let kept = fs::read_to_string(folder.path().join("keys/k.key")).unwrap();
    assert!(stella_seal::is_encrypted_key_file(&kept));
    assert_eq!(entry.unlock(&password("new")).unwrap().signature(b"x"), expected.signature(b"x"));
    assert!(entry.unlock(&password("")).is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), PKCS8, "the given file is left alone");
}

#[test]
fn encrypted_keys_are_imported_under_their_password() {
    let folder = temp_dir();
    let keys = store(folder.path());
    keys.generate(&name("a"), Algorithm::Ed25519, &password("p"), Existing::Keep).unwrap();
    let file = folder.path().join("keys/a.key");
    let error = keys.import(&name("b"), &file, &password("q"), Existing::Keep).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotAllowed);
    let entry = keys.import(&name("b"), &file, &password("p"), Existing::Keep).unwrap();
    assert_eq!(entry.public_key(), keys.get(&name("a")).unwrap().public_key());
    entry.unlock(&password("p")).unwrap();
    let copy = fs::read(folder.path().join("keys/b.key")).unwrap();
    assert_ne!(copy, fs::read(&file).unwrap(), "a salt is never used twice");
}

#[test]
fn what_cannot_be_imported_is_refused_with_the_way_out() {
    let folder = temp_dir();
    let keys = store(folder.path());
    let block = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let cases = [
        (block("EC PRIVATE KEY"), "openssl pkcs8"),
        (block("ENCRYPTED PRIVATE KEY"), "openssl pkcs8"),
        (block("PUBLIC KEY"), "stella trust add"),
        (block("OPENSSH PRIVATE KEY"), "BEGIN PRIVATE KEY"),
    ];
    for (text, way_out) in cases {
        let file = write(folder.path(), "key.pem", &text);
        let error = keys.import(&name("k"), &file, &none(), Existing::Keep).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Invalid, "{text}");
        assert!(error.hint().unwrap().contains(way_out), "{text}: {:?}", error.hint());
    }
    for text in [String::new(), "hello".into(), block("PRIVATE KEY"), "x".repeat(1 << 17)] {
        let file = write(folder.path(), "key.pem", &text);
        let error = keys.import(&name("k"), &file, &none(), Existing::Keep).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Invalid, "{error}");
    }
    let gone = folder.path().join("gone.pem");
    let error = keys.import(&name("k"), &gone, &none(), Existing::Keep).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    assert!(keys.list().unwrap().is_empty());
}

#[test]
fn names_that_are_no_safe_file_names_are_refused() {
    for bad in ["", "A", "a/b", "../a", ".a", "a.", "con", "a b", "a\n", &"a".repeat(41)] {
        let error = KeyName::new(bad).unwrap_err();
        assert!(error.to_string().contains("key name"), "{error}");
    }
}

#[test]
fn trusted_keys_are_added_once_listed_and_removed() {
    let folder = temp_dir();
    let keys = store(folder.path());
    let trust = TrustStore::at(folder.path().join("trust"));
    assert!(trust.list().unwrap().is_empty());
    for key in ["a", "b"] {
        keys.generate(&name(key), Algorithm::Ed25519, &password("p"), Existing::Keep).unwrap();
    }
    let file = |key: &str| folder.path().join(format!("keys/{key}.pub"));
    let added = trust.add(&name("acme"), &file("a")).unwrap();
    assert_eq!(trust.add(&name("acme"), &file("a")).unwrap(), added, "again changes nothing");
    assert_eq!(trust.list().unwrap(), std::slice::from_ref(&added));
    let error = trust.add(&name("acme"), &file("b")).unwrap_err();
    assert!(matches!(error, KeysError::Exists { .. }) && error.code() == ErrorCode::Conflict);
    let error = trust.add(&name("other"), &file("a")).unwrap_err();
    assert_eq!(error.to_string(), "this key is trusted already, as acme");
    assert_eq!(error.code(), ErrorCode::Conflict);
    let second = trust.add(&name("zeta"), &file("b")).unwrap();
    assert_eq!(trust.list().unwrap(), [added, second.clone()]);
    trust.remove(&name("acme")).unwrap();
    assert_eq!(trust.list().unwrap(), [second]);
    let error = trust.remove(&name("acme")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    let error = trust.add(&name("x"), &folder.path().join("keys/a.key")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Invalid);
    assert!(error.hint().unwrap().contains("private key"), "{:?}", error.hint());
}

#[test]
fn a_damaged_trusted_key_is_not_passed_over_and_can_be_removed() {
    let folder = temp_dir();
    let trust = TrustStore::at(folder.path());
    write(folder.path(), "acme.pub", "damaged");
    write(folder.path(), "README", "not a key");
    let error = trust.list().unwrap_err();
    assert!(error.to_string().contains("acme.pub"), "{error}");
    trust.remove(&name("acme")).unwrap();
    assert!(trust.list().unwrap().is_empty());
}
