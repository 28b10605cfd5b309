//! The one tar that a bundle makes: same bundle, same bytes.
//!
//! POSIX ustar with every field fixed (FORMATS "Carriers"): regular files only, mode 0644, ids and
//! time zero, two zero blocks at the end and nothing after. Headers are a function of name and
//! size, so the tar can also be served without ever being written.

use stella_model::PartName;

/// Size of a tar block in bytes.
pub const BLOCK: u64 = 512;

/// The two zero blocks that end a tar.
pub const END: [u8; 1024] = [0; 1024];

/// A file of 8 GiB or more has no ustar header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} has {size} bytes; a tar entry holds less than 8 GiB")]
pub struct TooLarge {
    /// The file.
    pub name: PartName,
    /// Its size.
    pub size: u64,
}

/// The header block of a file.
///
/// # Errors
/// [`TooLarge`] from 8 GiB on.
pub fn header(name: &PartName, size: u64) -> Result<[u8; 512], TooLarge> {
    if size >= 1 << 33 {
        return Err(TooLarge { name: name.clone(), size });
    }
    let mut block = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    // A part name has at most 100 bytes: the name field without a terminator, no prefix needed.
    put(0, name.as_str().as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// Zero bytes after a file of `size` bytes up to the next block.
#[must_use]
pub fn padding(size: u64) -> usize {
    ((BLOCK - size % BLOCK) % BLOCK) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_ustar_to_the_byte() {
        let name = PartName::new("export.json").expect("a part name");
        let block = header(&name, 0o1234).expect("small");
        assert_eq!(&block[..12], b"export.json\0");
        assert_eq!(&block[100..136], b"0000644\x000000000\x000000000\x0000000001234\0");
        assert_eq!(&block[136..148], b"00000000000\0");
        assert_eq!(&block[156..158], b"0\0");
        assert_eq!(&block[257..265], b"ustar\x0000");
        assert!(block[265..].iter().all(|byte| *byte == 0));
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        assert_eq!(&block[148..156], format!("{sum:06o}\0 ").as_bytes());
    }

    #[test]
    fn sizes_are_bounded_and_padded() {
        let name = PartName::new("a").expect("a part name");
        assert!(header(&name, (1 << 33) - 1).is_ok());
        assert!(header(&name, 1 << 33).is_err());
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }
}
