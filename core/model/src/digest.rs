//! SHA-256 digests and the length-prefixed encoding that goes into them.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{self, Context, SHA256};
use serde::{Deserialize, Serialize};

/// A SHA-256 digest: 32 raw bytes inside hash inputs, 64 lower-case hex digits in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digest of no bytes; the set root of an empty set.
    pub const EMPTY: Digest = Digest([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Digest {
        taken(&digest::digest(&SHA256, bytes))
    }

    /// Takes the 32 bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// Takes a slice of exactly 32 bytes, for digests that come back from a database.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Digest> {
        bytes.try_into().ok().map(Digest)
    }

    /// The 32 raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hex digits as bytes, without allocating.
    #[must_use]
    pub fn hex(&self) -> [u8; 64] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut out = [0; 64];
        for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        }
        out
    }

    /// The first `digits` hex digits, for names that need fewer than all 64.
    #[must_use]
    pub fn short(&self, digits: usize) -> String {
        let mut text = self.to_string();
        text.truncate(digits);
        text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.hex()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

/// A text is not 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 digest is 64 lower-case hex digits")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Digest, DigestError> {
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| DigestError)?;
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(DigestError),
        };
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = value(*high)? << 4 | value(*low)?;
        }
        Ok(Digest(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A hash input put together piece by piece.
///
/// Texts enter as LP(s): their byte length as `u32` big-endian, then their bytes, so that no two
/// lists of texts give the same input (FORMATS "Encodings used in hashes").
#[derive(Clone)]
pub struct DigestBuilder(Context);

impl DigestBuilder {
    /// An empty hash input.
    #[must_use]
    pub fn new() -> DigestBuilder {
        DigestBuilder(Context::new(&SHA256))
    }

    /// Appends bytes without a length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut DigestBuilder {
        self.0.update(bytes);
        self
    }

    /// Appends LP(text).
    ///
    /// # Panics
    /// On a text of 4 GiB or more, which no [`Limits`](crate::Limits) lets in.
    pub fn lp(&mut self, text: &[u8]) -> &mut DigestBuilder {
        let length = u32::try_from(text.len()).expect("texts are bounded far below 4 GiB");
        self.0.update(&length.to_be_bytes());
        self.0.update(text);
        self
    }

    /// Appends a number as `u32` big-endian.
    pub fn u32(&mut self, number: u32) -> &mut DigestBuilder {
        self.0.update(&number.to_be_bytes());
        self
    }

    /// Appends the 32 raw bytes of a digest.
    pub fn digest(&mut self, digest: &Digest) -> &mut DigestBuilder {
        self.0.update(digest.as_bytes());
        self
    }

    /// The SHA-256 of everything appended.
    #[must_use]
    pub fn finish(self) -> Digest {
        taken(&self.0.finish())
    }
}

impl Default for DigestBuilder {
    fn default() -> DigestBuilder {
        DigestBuilder::new()
    }
}

impl fmt::Debug for DigestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestBuilder").finish_non_exhaustive()
    }
}

fn taken(digest: &digest::Digest) -> Digest {
    Digest::from_slice(digest.as_ref()).expect("a SHA-256 has 32 bytes")
}

impl std::io::Write for DigestBuilder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_64_lower_case_digits_and_nothing_else() {
        let digest = Digest::of(b"");
        assert_eq!(digest, Digest::EMPTY);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in ["", "E3B0", &digest.to_string().to_uppercase(), &digest.to_string()[1..]] {
            assert_eq!(bad.parse::<Digest>(), Err(DigestError), "{bad}");
        }
    }

    #[test]
    fn length_prefix_keeps_neighbours_apart() {
        let of = |texts: &[&str]| {
            let mut input = DigestBuilder::new();
            for text in texts {
                input.lp(text.as_bytes());
            }
            input.finish()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_eq!(of(&["a"]), Digest::of(b"\0\0\0\x01a"));
    }
}
