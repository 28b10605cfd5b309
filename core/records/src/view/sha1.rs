//! SHA-1 digests, by which scanners still know jars.

use std::fmt;

/// A SHA-1 that evidence tells of a file. It names a file and vouches for nothing: no check of a
/// bundle rests on one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sha1([u8; 20]);

impl Sha1 {
    /// Reads 40 hex digits of either case.
    ///
    /// # Examples
    /// ```
    /// use stella_records::view::Sha1;
    /// let sha1 = Sha1::parse("DA39A3EE5E6B4B0D3255BFEF95601890AFD80709").expect("40 digits");
    /// assert_eq!(sha1.to_string(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    /// assert_eq!(Sha1::parse("da39"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Sha1> {
        let digits = text.trim().as_bytes();
        if digits.len() != 40 {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Some(Sha1(bytes))
    }

    /// The 20 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for Sha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
