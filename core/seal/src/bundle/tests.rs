//! One spelling per bundle: what is written, what is refused, what other tools write.

use super::*;
use crate::{Algorithm, SecretKey};

const LIMITS: Limits = Limits::DEFAULT;

fn key(seed: u8) -> SecretKey {
    SecretKey::generate(Algorithm::EcdsaP256Sha256, &[seed; 32]).unwrap()
}

fn message_bundle() -> String {
    let bundle = SigstoreBundle::sign_message(&key(1), b"hello").unwrap();
    String::from_utf8(bundle.to_bytes()).unwrap()
}

fn dsse_bundle() -> String {
    let bundle = SigstoreBundle::sign_statement(&key(1), b"{}").unwrap();
    String::from_utf8(bundle.to_bytes()).unwrap()
}

fn fault(text: &str) -> BundleFault {
    match SigstoreBundle::parse(text.as_bytes(), &LIMITS) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.fault,
    }
}

#[test]
fn bundles_have_the_members_that_cosign_wants_and_no_others() {
    let hint = key(1).public().hint();
    let signature = STANDARD.encode(key(1).signature(b"hello"));
    assert_eq!(
        message_bundle(),
        format!(
            "{{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\",\
             \"messageSignature\":{{\"messageDigest\":{{\"algorithm\":\"SHA2_256\",\
             \"digest\":\"LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=\"}},\
             \"signature\":\"{signature}\"}},\
             \"verificationMaterial\":{{\"publicKey\":{{\"hint\":\"{hint}\"}}}}}}"
        )
    );
    let signature =
        STANDARD.encode(key(1).signature(b"DSSEv1 28 application/vnd.in-toto+json 2 {}"));
    assert_eq!(
        dsse_bundle(),
        format!(
            "{{\"dsseEnvelope\":{{\"payload\":\"e30=\",\
             \"payloadType\":\"application/vnd.in-toto+json\",\
             \"signatures\":[{{\"sig\":\"{signature}\"}}]}},\
             \"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\",\
             \"verificationMaterial\":{{\"publicKey\":{{\"hint\":\"{hint}\"}}}}}}"
        )
    );
}

#[test]
fn what_is_written_is_read_and_verifies() {
    let key = key(1);
    let message = SigstoreBundle::parse(message_bundle().as_bytes(), &LIMITS).unwrap();
    message.verify_message(key.public(), b"hello").unwrap();
    assert_eq!(message.hint(), key.public().fingerprint());
    assert_eq!(message.hint8(), key.public().hint8());
    let document = SigstoreBundle::parse(dsse_bundle().as_bytes(), &LIMITS).unwrap();
    let envelope = document.verify_document(key.public()).unwrap();
    assert_eq!(envelope.payload, b"{}");
    assert_eq!(document.signature(), envelope.signature);
    for (bundle, text) in [(message, message_bundle()), (document, dsse_bundle())] {
        assert_eq!(bundle.to_bytes(), text.as_bytes());
    }
}

/// From, to: one change of the spelling of a bundle over a file, each refused.
const MESSAGE_MUTATIONS: [(&str, &str); 24] = [
    ("{\"mediaType\"", "{ \"mediaType\""),
    ("{\"mediaType\"", "\u{feff}{\"mediaType\""),
    ("{\"mediaType\"", "{\"a\":1,\"mediaType\""),
    ("{\"mediaType\"", "{\"dsseEnvelope\":null,\"mediaType\""),
    ("mediaType", "mediatype"),
    ("mediaType", "media\\u0054ype"),
    ("\"application/", "\"application\\/"),
    ("v0.3+json", "v0.4+json"),
    ("v0.3+json", "v0.2+json"),
    ("bundle.v0.3+json", "bundle+json;version=0.3"),
    ("SHA2_256", "SHA2_512"),
    ("SHA2_256", "sha2_256"),
    ("\"algorithm\":\"SHA2_256\",", ""),
    ("\"SHA2_256\"", "1"),
    ("LPJNul+wow4m", "LPJNul-wow4m"),
    ("YpOLmCQ=", "YpOLmCQ"),
    ("YpOLmCQ=", "YpOLmCR="),
    ("YpOLmCQ=", "YpOLmC=="),
    ("LPJN", "LPJN\\n"),
    ("LPJN", ""),
    ("\"signature\":\"", "\"keyid\":\"\",\"signature\":\""),
    ("\"signature\":\"", "\"signature\":\"\",\"signature\":\""),
    ("{\"publicKey\"", "{\"certificate\":{\"rawBytes\":\"\"},\"publicKey\""),
    ("{\"hint\":\"", "{\"hint\":\"AAAA"),
];

/// The same for a bundle with a document.
const DSSE_MUTATIONS: [(&str, &str); 14] = [
    ("[{\"sig\"", "[{\"keyid\":\"\",\"sig\""),
    ("[{\"sig\"", "[{\"sig\":\"AAAA\"},{\"sig\""),
    ("\"sig\":\"", "\"sig\":\"\",\"x\":\""),
    ("\"signatures\":[", "\"signatures\":[["),
    ("\"e30=\"", "\"e30\""),
    ("\"e30=\"", "\"e31=\""),
    ("\"e30=\"", "\"e30=\\n\""),
    ("\"e30=\"", "{}"),
    ("\"application/vnd.in-toto+json\"", "\"\""),
    ("\"application/vnd.in-toto+json\"", "null"),
    ("\"payload\":", "\"payloads\":"),
    ("\"dsseEnvelope\"", "\"dsseEnvelopes\""),
    ("}]},", "}],\"x\":0},"),
    ("{\"publicKey\"", "{\"publicKey\":{},\"publicKey\""),
];

#[test]
fn every_other_spelling_is_refused() {
    let tables: [(String, &[(&str, &str)]); 2] =
        [(message_bundle(), &MESSAGE_MUTATIONS), (dsse_bundle(), &DSSE_MUTATIONS)];
    for (good, mutations) in tables {
        for (from, to) in mutations {
            assert!(good.contains(from), "{from} is not in {good}");
            fault(&good.replacen(from, to, 1));
        }
        for changed in [format!("{good}\n"), format!("{good} "), format!("[{good}]"), String::new()]
        {
            fault(&changed);
        }
        for cut in 1..good.len() {
            fault(&good[..cut]);
        }
    }
}

#[test]
fn no_flipped_bit_of_a_bundle_goes_unnoticed() {
    let key = key(1);
    for good in [message_bundle(), dsse_bundle()] {
        for bit in 0..good.len() * 8 {
            let mut changed = good.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(bundle) = SigstoreBundle::parse(&changed, &LIMITS) else { continue };
            assert_eq!(bundle.to_bytes(), changed, "what is read has one spelling");
            let verdict = match bundle.content() {
                Content::MessageSignature { .. } => bundle.verify_message(key.public(), b"hello"),
                Content::Dsse(_) => bundle.verify_document(key.public()).map(|_| ()),
            };
            assert!(verdict.is_err(), "bit {bit} of {good}");
        }
    }
}

#[test]
fn members_in_another_order_are_refused() {
    let good = message_bundle();
    let (first, rest) = good[1..].split_once(',').unwrap();
    let moved = format!("{{{},{first}}}", rest.strip_suffix('}').unwrap());
    assert_eq!(fault(&moved), BundleFault::Spelling);
}

#[test]
fn faults_name_the_member() {
    let cases = [
        ("v0.3+json", "v0.4+json", BundleFault::Value("mediaType")),
        ("YpOLmCQ=", "YpOLmCR=", BundleFault::Base64("messageDigest.digest")),
        ("SHA2_256", "SHA1", BundleFault::Value("messageDigest.algorithm")),
        (
            "{\"publicKey\"",
            "{\"certificate\":1,\"publicKey\"",
            BundleFault::Unknown { of: "verificationMaterial", name: "certificate".into() },
        ),
        (
            "messageSignature",
            "messageSignatur",
            BundleFault::Unknown { of: "the bundle", name: "messageSignatur".into() },
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(fault(&message_bundle().replacen(from, to, 1)), expected);
    }
    let both = message_bundle().replacen(
        "{\"mediaType\"",
        "{\"dsseEnvelope\":{\"payload\":\"\",\"payloadType\":\"a\",\"signatures\":[{\"sig\":\
         \"AAAA\"}]},\"mediaType\"",
        1,
    );
    let either = BundleFault::Member("either messageSignature or dsseEnvelope");
    assert_eq!(fault(&both), either);
}

#[test]
fn signatures_are_bounded() {
    let bundle = |length| {
        let signature = vec![7; length];
        SigstoreBundle::message_signature(key(1).public(), Digest::EMPTY, signature).to_bytes()
    };
    assert!(SigstoreBundle::parse(&bundle(SIGNATURE_BYTES_MAX), &LIMITS).is_ok());
    for length in [0, SIGNATURE_BYTES_MAX + 1] {
        let error = SigstoreBundle::parse(&bundle(length), &LIMITS).unwrap_err();
        assert_eq!(error.fault, BundleFault::Value("messageSignature.signature"));
    }
    let small = Limits { manifest_bytes: 100, ..LIMITS };
    let error = SigstoreBundle::parse(message_bundle().as_bytes(), &small).unwrap_err();
    assert!(matches!(error.fault, BundleFault::Json(fault) if fault.fault.is_limit()));
}

#[test]
fn verification_names_the_first_thing_that_is_wrong() {
    let (signer, other) = (key(1), key(2));
    let good = SigstoreBundle::sign_message(&signer, b"hello").unwrap();
    let named = Digest::of(b"hello");
    let found = Digest::of(b"hallo");
    let mismatch = VerifyError::Signature(SignatureError::Mismatch);
    assert_eq!(
        good.verify_message(signer.public(), b"hallo"),
        Err(VerifyError::Digest { named, found })
    );
    assert_eq!(good.verify_message(other.public(), b"hello"), Err(mismatch.clone()));
    let document = SigstoreBundle::sign_statement(&signer, b"{}").unwrap();
    assert_eq!(document.verify_document(other.public()), Err(mismatch));
    assert!(matches!(
        good.verify_document(signer.public()),
        Err(VerifyError::Content { wanted: "a signed document", .. })
    ));
    assert!(matches!(
        document.verify_message(signer.public(), b"{}"),
        Err(VerifyError::Content { wanted: "a signature over a file", .. })
    ));
    // A true signature under the hint of somebody else.
    let foreign_hint = SigstoreBundle { hint: *other.public().fingerprint(), ..good };
    assert_eq!(
        foreign_hint.verify_message(signer.public(), b"hello"),
        Err(VerifyError::Hint {
            hint: *other.public().fingerprint(),
            signer: *signer.public().fingerprint(),
        })
    );
}

#[test]
fn a_signature_in_another_encoding_is_refused_though_it_would_verify() {
    let signer = key(1);
    let low = p256::ecdsa::Signature::from_der(&signer.signature(b"hello")).unwrap();
    let (r, s) = low.split_scalars();
    let high = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap();
    let encoding = VerifyError::Signature(SignatureError::Encoding);
    for spelling in [high.to_der().as_bytes().to_vec(), low.to_bytes().to_vec()] {
        let bundle =
            SigstoreBundle::message_signature(signer.public(), Digest::of(b"hello"), spelling);
        let verdict = bundle.verify_message(signer.public(), b"hello");
        assert_eq!(verdict, Err(encoding.clone()));
    }
}

const FOREIGN: [(&str, &[u8], &[u8]); 3] = [
    (
        include_str!("../../testdata/cosign-2.5.0.pub"),
        include_bytes!("../../testdata/cosign-2.5.0.blob.json"),
        b"hello\n",
    ),
    (
        include_str!("../../testdata/cosign-3.1.1.pub"),
        include_bytes!("../../testdata/cosign-3.1.1.blob.json"),
        b"hello\n",
    ),
    (
        include_str!("../../testdata/cosign-3.1.1.pub"),
        include_bytes!("../../testdata/cosign-3.1.1.attestation.json"),
        b"",
    ),
];

#[test]
fn bundles_of_cosign_are_normalised_and_then_verify() {
    for (pem, bytes, message) in FOREIGN {
        let key = PublicKey::from_pem(pem).unwrap();
        assert!(SigstoreBundle::parse(bytes, &LIMITS).is_err(), "not in our spelling");
        let Normalised { bundle, left_out } =
            SigstoreBundle::normalise(bytes, &key, &Digest::of(message), &LIMITS).unwrap();
        assert_eq!(left_out, Vec::<String>::new());
        match bundle.content() {
            Content::MessageSignature { .. } => bundle.verify_message(&key, message).unwrap(),
            Content::Dsse(_) => assert!(bundle.verify_document(&key).is_ok()),
        }
        assert_eq!(SigstoreBundle::parse(&bundle.to_bytes(), &LIMITS), Ok(bundle.clone()));
        // What is normal stays as it is.
        let again =
            SigstoreBundle::normalise(&bundle.to_bytes(), &key, &Digest::EMPTY, &LIMITS).unwrap();
        assert_eq!(again.bundle, bundle);
    }
}

#[test]
fn normalising_reads_the_dialects_and_tells_what_it_left_out() {
    let key = key(1);
    let good = message_bundle();
    let digest = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    let url_safe = digest.replace('+', "-");
    let named = format!("{{\"algorithm\":\"SHA2_256\",\"digest\":\"{digest}\"}}");
    let log = "{\"tlogEntries\":[{\"logIndex\":\"1\"}],\"publicKey\"";
    let empty = "{\"timestampVerificationData\":null,\"tlogEntries\":[],\"publicKey\"";
    let dialects: [(&str, &str, &[&str]); 10] = [
        ("", "", &[]),
        ("bundle.v0.3+json", "bundle+json;version=0.1", &[]),
        (digest, &url_safe, &[]),
        (digest, digest.trim_end_matches('='), &[]),
        (digest, url_safe.trim_end_matches('='), &[]),
        (&named, "{}", &[]),
        ("{\"hint\":\"", "{\"hint\":\"x", &[]),
        ("{\"publicKey\"", empty, &[]),
        ("{\"publicKey\"", log, &["verificationMaterial.tlogEntries"]),
        ("{\"mediaType\"", "{\n \"extra\": 1, \"mediaType\"", &["extra"]),
    ];
    for (from, to, expected) in dialects {
        assert!(good.contains(from), "{from}");
        let foreign = good.replacen(from, to, 1);
        let normal = SigstoreBundle::normalise(
            foreign.as_bytes(),
            key.public(),
            &Digest::of(b"hello"),
            &LIMITS,
        )
        .unwrap();
        assert_eq!(normal.bundle.to_bytes(), good.as_bytes(), "{to}");
        assert_eq!(normal.left_out, expected, "{to}");
    }
}

#[test]
fn normalising_refuses_what_is_no_signature_by_a_key() {
    let key = key(1);
    let cases = [
        (message_bundle(), "v0.3+json", "v0.4+json"),
        (
            message_bundle(),
            "{\"publicKey\"",
            "{\"certificate\":{\"rawBytes\":\"AA==\"},\"publicKey\"",
        ),
        (message_bundle(), "{\"publicKey\"", "{\"publicKeys\""),
        (message_bundle(), "messageSignature", "messageSignatures"),
        (message_bundle(), "\"signature\":\"", "\"signature\":\"AAAA"),
        (message_bundle(), "{\"mediaType\"", "{\"mediaType\":\"\",\"mediaType\""),
        (dsse_bundle(), "[{\"sig\"", "[{\"sig\":\"AAAA\"},{\"sig\""),
        (dsse_bundle(), "\"e30=\"", "\"e3 0=\""),
    ];
    for (good, from, to) in cases {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good);
        let normal =
            SigstoreBundle::normalise(changed.as_bytes(), key.public(), &Digest::EMPTY, &LIMITS);
        assert!(normal.is_err(), "{changed}");
    }
    let plain = b"{\"base64Signature\":\"AAAA\"}";
    assert!(SigstoreBundle::normalise(plain, key.public(), &Digest::EMPTY, &LIMITS).is_err());
}
