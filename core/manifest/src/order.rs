//! The order of files in a carrier.

use crate::layout::{ENVELOPE, SIGNATURES};

/// Sort key of a file in a carrier: the envelope in its fixed order, then `signatures/`, then the
/// parts, each bytewise by name (FORMATS "Carriers").
#[must_use]
pub fn carrier_order(name: &str) -> (usize, &str) {
    let rank = match ENVELOPE.iter().position(|envelope| *envelope == name) {
        Some(position) => position,
        None if name.starts_with(SIGNATURES) => ENVELOPE.len(),
        None => ENVELOPE.len() + 1,
    };
    (rank, name)
}

/// Sorts files as carriers have them, by [`carrier_order`] of their names.
pub fn sort_for_carrier<T>(files: &mut [T], name: impl Fn(&T) -> &str) {
    files.sort_by(|a, b| carrier_order(name(a)).cmp(&carrier_order(name(b))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_comes_first_and_parts_follow_bytewise() {
        let expected = [
            "export.json",
            "export.json.sig",
            "export.json.sigstore.json",
            "provenance.json",
            "provenance.json.sigstore.json",
            "signatures/audit.00000000.sigstore.json",
            "signatures/release.00000000.sigstore.json",
            "NOTICE.md",
            "README.md",
            "data/raw/advisory/npm/p-0.jsonl.zst",
            "trusted_root.json",
        ];
        let mut sorted = expected;
        sorted.reverse();
        sort_for_carrier(&mut sorted, |name| name);
        assert_eq!(sorted, expected);
    }
}
