//! Any bytes as `*.sigstore.json`: reading never panics, and what is accepted has one spelling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stella_model::Limits;
use stella_seal::SigstoreBundle;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(bundle) = SigstoreBundle::parse(bytes, &Limits::DEFAULT) {
        assert_eq!(bundle.to_bytes(), bytes, "a second spelling of the same signature");
    }
});
