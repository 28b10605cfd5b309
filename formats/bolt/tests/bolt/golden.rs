//! The smallest file with something in it, byte for byte.

use std::io::Cursor;

use stella_bolt::{PageSize, Writer};

/// The bytes of the file, page by page; what is not named is zero.
///
/// A line is the offset, the bytes, and what they mean.
const LISTING: &str = "
0x0000  00 00 00 00 00 00 00 00  04 00  00 00  00 00 00 00    page 0: meta, no elements, no overflow
0x0010  ed da 0c ed  02 00 00 00  00 10 00 00  00 00 00 00    magic, version 2, pages of 4,096, flags
0x0020  03 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00      root is page 3, sequence 0
0x0030  02 00 00 00 00 00 00 00  04 00 00 00 00 00 00 00      free pages are listed in 2, 4 pages
0x0040  00 00 00 00 00 00 00 00  ee fd 89 46 11 6e 51 07      transaction 0, checksum
0x1000  01 00 00 00 00 00 00 00  04 00  00 00  00 00 00 00    page 1: meta
0x1010  ed da 0c ed  02 00 00 00  00 10 00 00  00 00 00 00
0x1020  03 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
0x1030  02 00 00 00 00 00 00 00  04 00 00 00 00 00 00 00
0x1040  01 00 00 00 00 00 00 00  0f 48 79 51 1a 35 4c 26      transaction 1, checksum
0x2000  02 00 00 00 00 00 00 00  10 00  00 00  00 00 00 00    page 2: no free pages
0x3000  03 00 00 00 00 00 00 00  02 00  02 00  00 00 00 00    page 3: leaf of two elements
0x3010  01 00 00 00  20 00 00 00  0b 00 00 00  20 00 00 00    bucket, key 32 on, 11 and 32 bytes
0x3020  01 00 00 00  3b 00 00 00  0d 00 00 00  37 00 00 00    bucket, key 59 on, 13 and 55 bytes
0x3030  64 61 74 61 2d 73 6f 75 72 63 65                      data-source
0x303b  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00      inline, sequence 0
0x304b  00 00 00 00 00 00 00 00  02 00  00 00  00 00 00 00    leaf of no element
0x305b  76 75 6c 6e 65 72 61 62 69 6c 69 74 79                vulnerability
0x3068  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00      inline, sequence 0
0x3078  00 00 00 00 00 00 00 00  02 00  01 00  00 00 00 00    leaf of one element
0x3088  00 00 00 00  10 00 00 00  05 00 00 00  02 00 00 00    pair, key 16 on, 5 and 2 bytes
0x3098  43 56 45 2d 31  7b 7d                                 CVE-1 {}
";

#[test]
fn the_smallest_file_is_that_of_the_listing() {
    let mut writer = Writer::new(Cursor::new(Vec::new()), PageSize::DEFAULT);
    writer.enter(b"data-source").unwrap();
    writer.leave().unwrap();
    writer.enter(b"vulnerability").unwrap();
    writer.put(b"CVE-1", b"{}").unwrap();
    writer.leave().unwrap();
    let finished = writer.finish().unwrap();
    assert_eq!((finished.pages, finished.size_bytes), (4, 16_384));
    let file = finished.sink.into_inner();

    let mut expected = vec![0; 16_384];
    for line in LISTING.lines().filter(|line| !line.is_empty()) {
        let (offset, rest) = line.split_at(8);
        let offset = usize::from_str_radix(offset.trim().trim_start_matches("0x"), 16).unwrap();
        let bytes = rest.split("    ").next().unwrap().split_whitespace();
        let bytes: Vec<u8> = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        expected[offset..offset + bytes.len()].copy_from_slice(&bytes);
    }
    let differs = file.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!((file.len(), differs), (expected.len(), None));
}
