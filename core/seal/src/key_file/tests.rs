//! Key files of cosign read, key files for cosign written, damaged ones refused.

use super::*;
use crate::{Algorithm, PublicKey};

const KEYS: [(&str, &str, &str); 2] = [
    (
        include_str!("../../testdata/cosign-2.5.0.key"),
        include_str!("../../testdata/cosign-2.5.0.pub"),
        "correct horse 2.5.0",
    ),
    (
        include_str!("../../testdata/cosign-3.1.1.key"),
        include_str!("../../testdata/cosign-3.1.1.pub"),
        "correct horse 3.1.1",
    ),
];

#[test]
fn key_files_of_cosign_open_with_their_password_only() {
    for (file, public, password) in KEYS {
        assert!(is_encrypted_key_file(file) && !is_encrypted_key_file(public));
        let key = SecretKey::open(file, password.as_bytes()).unwrap();
        assert_eq!(*key.public(), PublicKey::from_pem(public).unwrap());
        assert_eq!(key.public().to_pem(), public, "the same spelling as cosign's");
        let old = file.replace("SIGSTORE", "COSIGN");
        let key = SecretKey::open(&old, password.as_bytes()).unwrap();
        assert_eq!(key.public().to_pem(), public);
        for wrong in ["", "correct horse", "correct horse 2.5.0 "] {
            let opened = SecretKey::open(file, wrong.as_bytes()).map(|_| ());
            assert_eq!(opened, Err(KeyFileError::Password), "{wrong:?}");
        }
    }
}

#[test]
fn our_key_files_open_again_at_every_cost() {
    let seed = KeyFileSeed { salt: [1; 32], nonce: [2; 24] };
    let costs = [Cost::N32768, Cost::N65536, Cost::N131072];
    for (cost, algorithm) in costs.into_iter().zip(Algorithm::ALL.into_iter().cycle()) {
        let key = SecretKey::generate(algorithm, &[4; 32]).unwrap();
        let file = key.encrypt(b"password", &seed, cost);
        assert_eq!(file, key.encrypt(b"password", &seed, cost), "a function of its arguments");
        let back = SecretKey::open(&file, b"password").unwrap();
        assert_eq!(back.public(), key.public());
        assert_eq!(*back.to_pkcs8_der(), *key.to_pkcs8_der());
        assert!(SecretKey::open(&file, b"passwort").is_err());
    }
    assert_eq!(Cost::default().n(), 65_536);
}

/// A file of ours with one change in its JSON.
fn edited(from: &str, to: &str) -> String {
    let key = SecretKey::generate(Algorithm::Ed25519, &[4; 32]).unwrap();
    let seed = KeyFileSeed { salt: [0; 32], nonce: [0; 24] };
    let file = key.encrypt(b"", &seed, Cost::N32768);
    let (label, body) = pem::decode(&file).unwrap();
    let json = String::from_utf8(body.to_vec()).unwrap();
    assert!(json.contains(from), "{json}");
    pem::encode(label, json.replacen(from, to, 1).as_bytes()).to_string()
}

#[test]
fn damaged_and_unsupported_files_are_refused_before_any_work() {
    assert!(SecretKey::open(&edited("", ""), b"").is_ok(), "an unchanged file opens");
    let unsupported = [
        ("\"N\":32768", "\"N\":16384"),
        ("\"N\":32768", "\"N\":32769"),
        ("\"N\":32768", "\"N\":1073741824"),
        ("\"r\":8", "\"r\":16"),
        ("\"p\":1", "\"p\":1000000"),
        ("scrypt", "argon2id"),
        ("nacl/secretbox", "aes-gcm"),
    ];
    for (from, to) in unsupported {
        let opened = SecretKey::open(&edited(from, to), b"").map(|_| ());
        assert!(matches!(opened, Err(KeyFileError::Unsupported(_))), "{to}: {opened:?}");
    }
    let format = [
        ("\"N\":32768", "\"N\":-1"),
        ("\"N\":32768", "\"N\":\"32768\""),
        ("\"salt\":\"AAAA", "\"salt\":\""),
        ("\"salt\":\"AAAA", "\"salt\":\"====AAAA"),
        ("\"nonce\":\"AAAA", "\"nonce\":\"AAAAAAAA"),
        ("\"ciphertext\":\"", "\"ciphertext\":\"!"),
        ("\"ciphertext\"", "\"cyphertext\""),
        ("{", "["),
    ];
    for (from, to) in format {
        let opened = SecretKey::open(&edited(from, to), b"").map(|_| ());
        assert!(matches!(opened, Err(KeyFileError::Format(_))), "{to}: {opened:?}");
    }
    let other = pem::encode("PRIVATE KEY", b"x");
    let long = "x".repeat(MAX_KEY_FILE_BYTES + 1);
    for text in ["", "hello", other.as_str(), long.as_str()] {
        let opened = SecretKey::open(text, b"").map(|_| ());
        assert!(matches!(opened, Err(KeyFileError::Format(_))), "{opened:?}");
    }
}

#[test]
fn a_changed_ciphertext_looks_like_a_wrong_password() {
    let cut = SecretKey::open(&edited("\"ciphertext\":\"", "\"ciphertext\":\"AAAA"), b"");
    assert_eq!(cut.map(|_| ()), Err(KeyFileError::Password));
    let salt = SecretKey::open(&edited("\"salt\":\"AAAA", "\"salt\":\"AAAB"), b"");
    assert_eq!(salt.map(|_| ()), Err(KeyFileError::Password));
}

#[test]
fn what_opens_but_is_no_key_is_told_apart() {
    let seed = KeyFileSeed { salt: [0; 32], nonce: [0; 24] };
    let cipher = derive(b"", &seed.salt, Cost::N32768);
    let ciphertext = cipher.encrypt(Nonce::from_slice(&seed.nonce), &b"no key"[..]).unwrap();
    let sealed = Sealed {
        cipher: Cipher { name: CIPHER.into(), nonce: STANDARD.encode(seed.nonce) },
        ciphertext: STANDARD.encode(ciphertext),
        kdf: Kdf {
            name: KDF.into(),
            params: Params { n: 32_768, p: 1, r: 8 },
            salt: STANDARD.encode(seed.salt),
        },
    };
    let file = pem::encode(LABEL, &rfc8785::to_vec(&sealed));
    let opened = SecretKey::open(&file, b"").map(|_| ());
    assert_eq!(opened, Err(KeyFileError::Key(KeyError::Der)));
}
