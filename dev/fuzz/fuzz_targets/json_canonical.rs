//! Any bytes: parsing never panics, and the canonical form of what parses is a fixed point.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stella_model::Limits;
use stella_model::json::Document;

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = Document::parse(bytes, &Limits::DEFAULT) else { return };
    let mut once = Vec::new();
    document.write_canonical(&mut once);
    let again = Document::parse(&once, &Limits::DEFAULT).expect("the canonical form is valid");
    let mut twice = Vec::new();
    again.write_canonical(&mut twice);
    assert_eq!(once, twice, "the canonical form of the canonical form differs");
});
