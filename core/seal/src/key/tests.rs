//! Known answers of the standards, and every way in which a key or signature can be wrong.

use super::*;
use crate::normalise_ecdsa;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().map(|b| char::from(b).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn seed(text: &str) -> [u8; 32] {
    hex(text).try_into().unwrap()
}

/// RFC 6979 A.2.5, the SHA-256 rows: message, r, s.
const RFC_6979: [(&str, &str, &str); 2] = [
    (
        "sample",
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
    ),
    (
        "test",
        "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
        "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
    ),
];

fn rfc_6979_key() -> SecretKey {
    let scalar = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721";
    SecretKey::generate(Algorithm::EcdsaP256Sha256, &seed(scalar)).unwrap()
}

#[test]
fn ecdsa_signatures_are_those_of_rfc_6979_with_low_s() {
    let key = rfc_6979_key();
    let point = "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6\
                 7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299";
    assert!(key.public().spki_der().ends_with(&hex(point)));
    for (message, r, s) in RFC_6979 {
        let signature = key.signature(message.as_bytes());
        let raw = hex(&format!("{r}{s}"));
        assert_eq!(Some(&signature), normalise_ecdsa(&raw).as_ref(), "{message}");
        key.public().verify(message.as_bytes(), &signature).unwrap();
        // The s of "sample" is in the upper half: what the RFC prints is not accepted here.
        let as_printed = p256::ecdsa::Signature::from_slice(&raw).unwrap().to_der();
        let expected = if message == "sample" { Err(SignatureError::Encoding) } else { Ok(()) };
        assert_eq!(key.public().verify(message.as_bytes(), as_printed.as_bytes()), expected);
    }
}

/// RFC 8032 §7.1, tests 1 to 3: seed, public key, message, signature.
const RFC_8032: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c\
         f9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0\
         f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098\
         4dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

#[test]
fn ed25519_signatures_are_those_of_rfc_8032() {
    for [secret, public, message, signature] in RFC_8032 {
        let key = SecretKey::generate(Algorithm::Ed25519, &seed(secret)).unwrap();
        assert!(key.public().spki_der().ends_with(&hex(public)));
        assert_eq!(key.signature(&hex(message)), hex(signature));
        key.public().verify(&hex(message), &hex(signature)).unwrap();
    }
}

#[test]
fn every_flipped_bit_of_signature_or_message_is_refused() {
    for algorithm in Algorithm::ALL {
        let key = SecretKey::generate(algorithm, &[5; 32]).unwrap();
        let (message, signature) = (b"message".to_vec(), key.signature(b"message"));
        let flips = |bytes: &[u8]| {
            let bits = (0..bytes.len() * 8).map(|bit| (bit / 8, 1 << (bit % 8)));
            let flip = |(at, mask): (usize, u8)| {
                let mut changed = bytes.to_vec();
                changed[at] ^= mask;
                changed
            };
            bits.map(flip).collect::<Vec<_>>()
        };
        for changed in flips(&signature) {
            assert!(key.public().verify(&message, &changed).is_err(), "{changed:02x?}");
        }
        for changed in flips(&message) {
            let verdict = key.public().verify(&changed, &signature);
            assert_eq!(verdict, Err(SignatureError::Mismatch));
        }
        for cut in 0..signature.len() {
            let verdict = key.public().verify(&message, &signature[..cut]);
            assert_eq!(verdict, Err(SignatureError::Encoding));
        }
    }
}

#[test]
fn a_signature_of_one_key_is_not_of_another() {
    let keys: Vec<SecretKey> = Algorithm::ALL
        .into_iter()
        .flat_map(|algorithm| [1, 2].map(|n| SecretKey::generate(algorithm, &[n; 32]).unwrap()))
        .collect();
    for (i, signer) in keys.iter().enumerate() {
        let signature = signer.signature(b"x");
        for (j, reader) in keys.iter().enumerate() {
            assert_eq!(reader.public().verify(b"x", &signature).is_ok(), i == j, "{i} {j}");
        }
    }
}

#[test]
fn ed25519_signatures_that_some_readers_take_are_refused() {
    let key = SecretKey::generate(Algorithm::Ed25519, &[5; 32]).unwrap();
    let signature = key.signature(b"x");
    // s + L verifies with readers that forget to check that s < L.
    let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    let mut raised = signature.clone();
    for (byte, add) in raised[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert_ne!(raised, signature);
    assert!(key.public().verify(b"x", &raised).is_err());
    // A key of small order would verify anything.
    let mut weak = key.public().spki_der().to_vec();
    weak[12..].copy_from_slice(&[&[1][..], &[0; 31]].concat());
    assert_eq!(PublicKey::from_spki_der(&weak), Err(KeyError::Weak(Algorithm::Ed25519)));
}

#[test]
fn secret_keys_survive_pkcs8_and_have_the_length_that_cosign_writes() {
    for (algorithm, length) in [(Algorithm::EcdsaP256Sha256, 138), (Algorithm::Ed25519, 48)] {
        let key = SecretKey::generate(algorithm, &[6; 32]).unwrap();
        let der = key.to_pkcs8_der();
        assert_eq!(der.len(), length);
        assert_eq!(SecretKey::from_pkcs8_der(&der).unwrap().public(), key.public());
        let pem = pem::encode("PRIVATE KEY", &der);
        assert_eq!(SecretKey::from_pkcs8_pem(&pem).unwrap().public(), key.public());
        assert!(!format!("{key:?}").contains("06060606"));
    }
}

#[test]
fn secret_keys_whose_halves_do_not_belong_together_are_refused() {
    for algorithm in Algorithm::ALL {
        let (one, other) = (
            SecretKey::generate(algorithm, &[6; 32]).unwrap(),
            SecretKey::generate(algorithm, &[7; 32]).unwrap(),
        );
        let mixed = match algorithm {
            // The public half is the last 65 bytes.
            Algorithm::EcdsaP256Sha256 => {
                let (mine, theirs) = (one.to_pkcs8_der(), other.to_pkcs8_der());
                [&mine[..mine.len() - 65], &theirs[theirs.len() - 65..]].concat()
            }
            // PKCS#8 version 2 with a public half, which others write.
            Algorithm::Ed25519 => {
                let with = |public: &SecretKey| {
                    let mut der = one.to_pkcs8_der().to_vec();
                    (der[1], der[4]) = (0x51, 1);
                    der.extend([0x81, 0x21, 0]);
                    der.extend(&public.public().spki_der()[12..]);
                    der
                };
                assert!(SecretKey::from_pkcs8_der(&with(&one)).is_ok());
                with(&other)
            }
        };
        let read = SecretKey::from_pkcs8_der(&mixed).map(|_| ());
        assert_eq!(read, Err(KeyError::Weak(algorithm)), "{algorithm}");
    }
}

#[test]
fn seeds_that_are_no_scalar_are_refused_and_not_reduced() {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    for bad in [[0; 32], [0xff; 32], seed(order)] {
        let made = SecretKey::generate(Algorithm::EcdsaP256Sha256, &bad).map(|_| ());
        assert_eq!(made, Err(KeyError::Weak(Algorithm::EcdsaP256Sha256)));
    }
}

#[test]
fn public_keys_have_one_encoding_and_the_fingerprint_is_over_it() {
    for algorithm in Algorithm::ALL {
        let key = SecretKey::generate(algorithm, &[8; 32]).unwrap().public().clone();
        let pem = key.to_pem();
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n") && pem.ends_with("-----\n"));
        assert_eq!(PublicKey::from_pem(&pem).as_ref(), Ok(&key));
        assert_eq!(key.fingerprint(), &Digest::of(key.spki_der()));
        assert!(key.fingerprint().to_string().starts_with(&key.hint8()));
        let der = key.spki_der();
        let mut longer = der.to_vec();
        longer.push(0);
        assert_eq!(PublicKey::from_spki_der(&longer), Err(KeyError::Der));
        for cut in 0..der.len() {
            assert!(PublicKey::from_spki_der(&der[..cut]).is_err());
        }
    }
    let key = rfc_6979_key().public().clone();
    // The same point compressed: 02 or 03 and x. Others read it; its fingerprint would differ.
    let mut compressed = hex("3039301306072a8648ce3d020106082a8648ce3d030107032200");
    compressed.push(2 + (key.spki_der().last().unwrap() & 1));
    compressed.extend(&key.spki_der()[27..59]);
    assert_eq!(PublicKey::from_spki_der(&compressed), Err(KeyError::Der));
    // A point that is not on the curve.
    let mut off = key.spki_der().to_vec();
    *off.last_mut().unwrap() ^= 1;
    assert_eq!(PublicKey::from_spki_der(&off), Err(KeyError::Weak(Algorithm::EcdsaP256Sha256)));
}

#[test]
fn other_algorithms_and_other_files_are_named() {
    // Algorithm identifiers of RSA, P-384, X25519 with a few bytes of key.
    let cases = [
        ("301a300d06092a864886f70d0101010500030900300602010102011d", "RSA"),
        ("3017301006072a8648ce3d020106052b810400220303000401", "ECDSA on curve 1.3.132.0.34"),
        ("300c300506032b656e0303000102", "1.3.101.110"),
    ];
    for (der, name) in cases {
        let error = PublicKey::from_spki_der(&hex(der)).unwrap_err();
        assert_eq!(error, KeyError::Algorithm(name.into()), "{der}");
    }
    let secret = pem::encode("PRIVATE KEY", &rfc_6979_key().to_pkcs8_der());
    let public = rfc_6979_key().public().to_pem();
    let label = |wanted, found: &str| KeyError::Label { wanted, found: found.into() };
    assert_eq!(PublicKey::from_pem(&secret), Err(label("PUBLIC KEY", "PRIVATE KEY")));
    let made = SecretKey::from_pkcs8_pem(&public).map(|_| ());
    assert_eq!(made, Err(label("PRIVATE KEY", "PUBLIC KEY")));
    let garbled = pem::encode("PUBLIC KEY", b"hello");
    assert_eq!(PublicKey::from_pem(&garbled), Err(KeyError::Der));
    assert!(matches!(PublicKey::from_pem("hello"), Err(KeyError::Pem(_))));
}

#[test]
fn names_of_algorithms_survive_the_round_trip() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
    }
    assert_eq!(Algorithm::parse("rsa"), None);
}
