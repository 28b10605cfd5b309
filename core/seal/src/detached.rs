//! The detached form of a signature, `F.sig`: padded base64, no line feed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::SIGNATURE_BYTES_MAX;

/// The text of `F.sig`.
#[must_use]
pub fn detached_sig(signature: &[u8]) -> String {
    STANDARD.encode(signature)
}

/// A `.sig` file is not the base64 of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a detached signature is the padded base64 of a signature and nothing else")]
pub struct DetachedError;

/// Reads the text of `F.sig`.
///
/// # Errors
/// [`DetachedError`] unless the text is exactly what [`detached_sig`] writes for its bytes.
pub fn parse(text: &[u8]) -> Result<Vec<u8>, DetachedError> {
    if text.len() > SIGNATURE_BYTES_MAX * 2 {
        return Err(DetachedError);
    }
    let signature = STANDARD.decode(text).map_err(|_| DetachedError)?;
    if signature.is_empty() || STANDARD.encode(&signature).as_bytes() != text {
        return Err(DetachedError);
    }
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_only() {
        assert_eq!(detached_sig(&[1, 2, 3, 4]), "AQIDBA==");
        assert_eq!(parse(b"AQIDBA=="), Ok(vec![1, 2, 3, 4]));
        let cases: [&[u8]; 9] = [
            b"",
            b"AQIDBA",
            b"AQIDBA=",
            b"AQIDBA==\n",
            b" AQIDBA==",
            b"AQIDBB==",
            b"AQID\nBA==",
            b"AQIDBA==AQIDBA==",
            b"__8=",
        ];
        for case in cases {
            assert_eq!(parse(case), Err(DetachedError), "{}", String::from_utf8_lossy(case));
        }
        assert_eq!(parse("AAAA".repeat(1 << 20).as_bytes()), Err(DetachedError));
    }
}
