//! The one spelling of an ECDSA P-256 signature: minimal DER, low S.
//!
//! (r, s) and (r, n − s) both verify, and BER allows many encodings of each. FORMATS accepts one,
//! so that nobody can change a signature file without its signer.

use p256::ecdsa::Signature;

/// Brings what an HSM or a KMS returns to the form that is written and accepted: DER with minimal
/// integers and the smaller of s and n − s.
///
/// Takes DER, and the 64 bytes r‖s of PKCS#11. `None` if the bytes are neither.
#[must_use]
pub fn normalise_ecdsa(signature: &[u8]) -> Option<Vec<u8>> {
    let parsed = match Signature::from_der(signature) {
        Ok(parsed) => parsed,
        Err(_) if signature.len() == 64 => Signature::from_slice(signature).ok()?,
        Err(_) => lenient_der(signature)?,
    };
    Some(to_minimal(&parsed))
}

/// Reads a signature that is already in the accepted form, and no other.
pub(crate) fn strict(der: &[u8]) -> Option<Signature> {
    let parsed = Signature::from_der(der).ok()?;
    (to_minimal(&parsed) == der).then_some(parsed)
}

/// The accepted form of a signature.
pub(crate) fn to_minimal(signature: &Signature) -> Vec<u8> {
    signature.normalize_s().to_der().as_bytes().to_vec()
}

/// Reads integers with superfluous leading zeros, which some hardware returns.
fn lenient_der(der: &[u8]) -> Option<Signature> {
    let [0x30, length, body @ ..] = der else { return None };
    if usize::from(*length) != body.len() {
        return None;
    }
    let (r, rest) = integer(body)?;
    let (s, rest) = integer(rest)?;
    if !rest.is_empty() {
        return None;
    }
    Signature::from_scalars(r, s).ok()
}

fn integer(der: &[u8]) -> Option<([u8; 32], &[u8])> {
    let [0x02, length, rest @ ..] = der else { return None };
    let (value, rest) = rest.split_at_checked(usize::from(*length))?;
    let first = value.iter().position(|&byte| byte != 0)?;
    let digits = &value[first..];
    let mut padded = [0; 32];
    padded.get_mut(32_usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some((padded, rest))
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::SigningKey;
    use p256::ecdsa::signature::Signer as _;

    use super::*;

    fn low(message: &[u8]) -> Signature {
        let signature: Signature =
            SigningKey::from_slice(&[9; 32]).expect("a scalar").sign(message);
        signature.normalize_s()
    }

    /// The same signature with n − s for s.
    fn high(signature: &Signature) -> Signature {
        let (r, s) = signature.split_scalars();
        Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).expect("both are scalars")
    }

    /// A signature with leading zeros before its integers.
    fn padded(signature: &Signature) -> Vec<u8> {
        let mut body = Vec::new();
        for half in signature.to_bytes().chunks(32) {
            body.extend([0x02, 34, 0, 0]);
            body.extend(half);
        }
        [vec![0x30, u8::try_from(body.len()).expect("short")], body].concat()
    }

    #[test]
    fn every_spelling_normalises_to_the_one_that_is_accepted() {
        for message in [&b"a"[..], b"b", b"c", b"d", b"e", b"f"] {
            let signature = low(message);
            let accepted = signature.to_der().as_bytes().to_vec();
            let spellings = [
                accepted.clone(),
                high(&signature).to_der().as_bytes().to_vec(),
                signature.to_bytes().to_vec(),
                high(&signature).to_bytes().to_vec(),
                padded(&signature),
                padded(&high(&signature)),
            ];
            for (index, spelling) in spellings.iter().enumerate() {
                assert_eq!(normalise_ecdsa(spelling).as_ref(), Some(&accepted), "{index}");
                assert_eq!(strict(spelling).is_some(), index == 0, "{index}");
            }
        }
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        let good = low(b"a").to_der().as_bytes().to_vec();
        // Any 64 bytes may be r‖s: that they are the wrong ones is for the signature check to say.
        let mut cases: Vec<Vec<u8>> =
            (0..good.len()).filter(|&end| end != 64).map(|end| good[..end].to_vec()).collect();
        cases.push([good.clone(), vec![0]].concat());
        cases.push(vec![0; 64]);
        cases.push(vec![0xff; 64]);
        cases.push(vec![0x30, 6, 2, 1, 0, 2, 1, 1]);
        cases.push(vec![0x30, 0x80, 2, 1, 1, 2, 1, 1, 0, 0]);
        cases.push(vec![0x30, 0x81, 6, 2, 1, 1, 2, 1, 1]);
        for case in cases {
            assert_eq!(normalise_ecdsa(&case), None, "{case:02x?}");
            assert!(strict(&case).is_none());
        }
    }
}
