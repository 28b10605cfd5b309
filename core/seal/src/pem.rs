//! PEM (RFC 7468) as far as key files need it: one block, any line length, either line ending.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Why a text is not one PEM block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PemError {
    /// There is no `-----BEGIN …-----` line.
    #[error("there is no PEM block in it")]
    None,
    /// The block does not end, or ends under another label.
    #[error("its PEM block has no matching END line")]
    Unfinished,
    /// Text before or after the block, or a second block.
    #[error("it holds more than one PEM block, or text beside it")]
    More,
    /// The body is not base64.
    #[error("the body of its PEM block is not base64")]
    Body,
}

/// Reads the only block of a text: its label and its body.
pub(crate) fn decode(text: &str) -> Result<(&str, Zeroizing<Vec<u8>>), PemError> {
    let (before, rest) = text.split_once("-----BEGIN ").ok_or(PemError::None)?;
    let (label, rest) = rest.split_once("-----").ok_or(PemError::None)?;
    let end = format!("-----END {label}-----");
    let (body, after) = rest.split_once(&end).ok_or(PemError::Unfinished)?;
    if !before.trim().is_empty() || !after.trim().is_empty() {
        return Err(PemError::More);
    }
    let mut joined = Zeroizing::new(String::with_capacity(body.len()));
    joined.extend(body.split_ascii_whitespace());
    let bytes = STANDARD.decode(joined.as_bytes()).map_err(|_| PemError::Body)?;
    Ok((label, Zeroizing::new(bytes)))
}

/// Writes one block: 64 columns, line feeds, one at the end.
pub(crate) fn encode(label: &str, body: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(body));
    // Room for everything, so that no copy of a secret stays behind where a buffer grew.
    let mut out = String::with_capacity(base64.len() / 64 + base64.len() + 2 * label.len() + 64);
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    Zeroizing::new(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_survives_the_round_trip_at_every_length() {
        for length in 0..200_u8 {
            let body: Vec<u8> = (0..length).collect();
            let text = encode("PUBLIC KEY", &body);
            assert!(text.lines().all(|line| line.len() <= 64), "{text:?}");
            let (label, back) = decode(&text).unwrap();
            assert_eq!((label, &*back), ("PUBLIC KEY", &body));
        }
    }

    #[test]
    fn line_ends_and_surrounding_space_do_not_matter_and_the_rest_does() {
        let block = "-----BEGIN X-----\nAAEC\n-----END X-----\n";
        for good in [block, &block.replace('\n', "\r\n"), &format!("\n  {block}\n"), block.trim()] {
            assert_eq!(decode(good).map(|(_, body)| body.to_vec()), Ok(vec![0, 1, 2]), "{good:?}");
        }
        let cases = [
            ("", PemError::None),
            ("AAEC", PemError::None),
            ("-----BEGIN X", PemError::None),
            ("-----BEGIN X-----\nAAEC\n", PemError::Unfinished),
            ("-----BEGIN X-----\nAAEC\n-----END Y-----\n", PemError::Unfinished),
            ("hi\n-----BEGIN X-----\nAAEC\n-----END X-----\n", PemError::More),
            (&format!("{block}{block}"), PemError::More),
            ("-----BEGIN X-----\nA: b\n\nAAEC\n-----END X-----\n", PemError::Body),
            ("-----BEGIN X-----\nAAE\n-----END X-----\n", PemError::Body),
        ];
        for (text, fault) in cases {
            assert_eq!(decode(text).map(|_| ()), Err(fault), "{text:?}");
        }
    }
}
