//! Versions that need no parser: numbers and dots, which a comparer orders number by number.

use super::Comparer;

/// Numbers of a version that a comparer reads as nothing else: it orders them as they are ordered
/// here, and understands every range of them.
///
/// Nearly all versions of advisories are like this, and reading them so takes a tenth of the time.
/// That both ways decide the same is a law that the tests of this crate hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Plain([u32; Plain::MOST]);

impl Plain {
    /// Most numbers.
    const MOST: usize = 4;

    /// Reads a version; nothing if the comparer may see more in it than its numbers.
    #[must_use]
    pub fn read(comparer: Comparer, text: &str) -> Option<Plain> {
        /// So many digits are held whatever they are.
        const DIGITS: usize = 9;
        let mut numbers = [0; Plain::MOST];
        // Of the number at hand.
        let (mut count, mut digits) = (0, 0);
        for byte in text.bytes() {
            match byte {
                b'.' if digits > 0 => (count, digits) = (count + 1, 0),
                // `01` is no number to some, and another text to all.
                b'0'..=b'9' if digits < DIGITS => {
                    let number = numbers.get_mut(count)?;
                    if digits > 0 && *number == 0 {
                        return None;
                    }
                    *number = *number * 10 + u32::from(byte - b'0');
                    digits += 1;
                }
                _ => return None,
            }
        }
        if digits == 0 {
            return None;
        }
        count += 1;
        let counts = match comparer {
            Comparer::Pep440 => 1..=Plain::MOST,
            Comparer::Deb | Comparer::Rpm | Comparer::Apk => return None,
            // For some a version of two numbers is a range of versions.
            _ => 3..=3,
        };
        counts.contains(&count).then_some(Plain(numbers))
    }
}
