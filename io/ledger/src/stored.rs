//! Numbers and documents as they lie in a ledger.

use std::cell::RefCell;

use stella_model::{Digest, Limits, RecordId};
use stella_records::view::Evidence;
use stella_records::{Facets, Format};

use crate::prepare::Encoding;

/// No stored document is longer: a size above it is damage.
const MAX_BYTES: u64 = 1 << 31;

/// What is wrong with what is stored.
pub(crate) struct Damage(pub(crate) String);

thread_local! {
    static DECODER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A count or length as a database's integer. What is stored is far below 2^63.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The bytes of a record's content, in place of what `out` holds.
pub(crate) fn content_into(
    encoding: i64,
    size: u64,
    stored: &[u8],
    digest: &Digest,
    out: &mut Vec<u8>,
) -> Result<(), Damage> {
    decode_into(encoding, size, stored, out)?;
    // What is compressed has a checksum of its own; hashing that again would cost more than reading
    // it.
    let checked = encoding != Encoding::Plain.number();
    if !checked && Digest::of(out) != *digest {
        return Err(Damage("a stored document has another digest than noted".to_owned()));
    }
    Ok(())
}

/// The bytes as they were before [`prepare`](crate::prepare()) stored them.
pub(crate) fn decode(encoding: i64, size: u64, stored: &[u8]) -> Result<Vec<u8>, Damage> {
    let mut bytes = Vec::new();
    decode_into(encoding, size, stored, &mut bytes)?;
    Ok(bytes)
}

/// As [`decode`], in place of what `out` holds.
fn decode_into(encoding: i64, size: u64, stored: &[u8], out: &mut Vec<u8>) -> Result<(), Damage> {
    let damage = |problem: &str| Err(Damage(format!("a stored document {problem}")));
    if size > MAX_BYTES {
        return damage("has an impossible length");
    }
    out.clear();
    match Encoding::from_number(encoding) {
        Some(Encoding::Plain) => out.extend_from_slice(stored),
        Some(Encoding::Zstd) => {
            let decompressed = DECODER.with_borrow_mut(|decoder| {
                let decoder = match decoder {
                    Some(decoder) => decoder,
                    None => decoder.insert(zstd::bulk::Decompressor::new()?),
                };
                out.reserve(usize::try_from(size).unwrap_or(0));
                decoder.decompress_to_buffer(stored, out)
            });
            if let Err(error) = decompressed {
                return damage(&format!("does not decompress: {error}"));
            }
        }
        None => return damage("has an unknown encoding"),
    }
    if out.len() as u64 == size { Ok(()) } else { damage("has another length than noted") }
}

/// Facets as this version of the product sees them. What was recognised once can be read again.
pub(crate) fn derive_facets(
    format: Format,
    id: &RecordId,
    content: &[u8],
) -> Result<Facets, Damage> {
    // No limit: the content passed those of its time.
    let limits = Limits { document_bytes: MAX_BYTES, json_values: u64::MAX, ..Limits::DEFAULT };
    let evidence = Evidence::open(format, content, &limits)
        .map_err(|rejection| Damage(format!("a stored document is not readable: {rejection}")))?;
    Ok(Facets::of(id, &evidence))
}
