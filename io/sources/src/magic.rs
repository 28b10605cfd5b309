//! What a container is by its first bytes.

/// Bytes that are looked at: one tar header.
pub(crate) const HEAD_BYTES: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Magic {
    Zstd,
    Gzip,
    Zip,
    Tar,
    /// A container that is known but not read.
    Other(&'static str),
}

/// The container that begins with `head`; `None` for anything else, that is for documents.
pub(crate) fn detect(head: &[u8]) -> Option<Magic> {
    match head {
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Magic::Zstd),
        [0x1f, 0x8b, ..] => Some(Magic::Gzip),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Magic::Zip),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Magic::Other("bzip2")),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Magic::Other("xz")),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Some(Magic::Other("7-Zip")),
        [b'R', b'a', b'r', b'!', 0x1a, 7, ..] => Some(Magic::Other("RAR")),
        _ if is_tar(head) => Some(Magic::Tar),
        _ => None,
    }
}

/// Archives before POSIX have no magic, but every header has a checksum.
fn is_tar(head: &[u8]) -> bool {
    let Ok(block) = <&[u8; HEAD_BYTES]>::try_from(head) else { return false };
    &block[257..262] == b"ustar" || (block[0] != 0 && checksum_holds(block))
}

/// Whether the checksum of a tar header is right, counted as signed or as unsigned bytes: both
/// have been written.
pub(crate) fn checksum_holds(block: &[u8; HEAD_BYTES]) -> bool {
    let Ok(expected) = tar::Header::from_byte_slice(block).cksum() else { return false };
    let bytes =
        || block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { b' ' } else { *b });
    let unsigned: u32 = bytes().map(u32::from).sum();
    let signed: i32 = bytes().map(|b| i32::from(b.cast_signed())).sum();
    expected == unsigned || i64::from(expected) == i64::from(signed)
}
