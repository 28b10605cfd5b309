//! Any bytes as `export.json`: reading never panics, and what is accepted has one spelling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stella_manifest::ExportManifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = ExportManifest::from_bytes(bytes) {
        assert_eq!(manifest.to_bytes(), bytes, "a second spelling of the same manifest");
    }
});
