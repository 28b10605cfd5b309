//! Makes records ready to be stored: everything that costs time and needs no ledger.

use std::cell::RefCell;
use std::sync::Arc;

use stella_model::{Digest, Kind, RecordId};
use stella_records::{Draft, Format, Revision, has_byte_order_mark};

/// Level for received bytes and long contents. Measured on the real corpus: negative levels take as
/// much time and a fifth more space, level 3 a tenth more time and 3 % less space.
const LEVEL: i32 = 1;

/// Level for contents up to [`SHORT`]. It does without tables of codes, whose building is more than
/// half of what reading such a content takes: 0.9 instead of 2.5 µs on the real advisories, for two
/// fifths more space. Exports read every content, and nearly all are short.
const SHORT_LEVEL: i32 = -4;

/// Bytes up to which a content is short. Together such contents are a small part of a ledger.
const SHORT: usize = 8 << 10;

/// A document's records, compressed.
#[derive(Debug, Clone)]
pub struct PreparedDocument {
    pub(crate) path: String,
    pub(crate) received_bytes: u64,
    /// Whether a byte order mark was dropped from it.
    pub(crate) byte_order_mark: bool,
    pub(crate) records: Vec<Prepared>,
    /// The received bytes, unless each record's content is them.
    pub(crate) original: Option<Blob>,
}

/// One record, compressed.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(crate) kind: Kind,
    pub(crate) id: RecordId,
    pub(crate) revision: Revision,
    pub(crate) format: Format,
    pub(crate) content_digest: Digest,
    pub(crate) content: Blob,
    pub(crate) facets: String,
    pub(crate) verbatim: bool,
}

/// Stored bytes.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) encoding: Encoding,
    /// Length of what is stored, uncompressed.
    pub(crate) size: u64,
    pub(crate) bytes: Arc<[u8]>,
}

/// How bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Zstd,
}

impl Encoding {
    pub(crate) fn number(self) -> i64 {
        match self {
            Encoding::Plain => 0,
            Encoding::Zstd => 1,
        }
    }

    pub(crate) fn from_number(number: i64) -> Option<Encoding> {
        [Encoding::Plain, Encoding::Zstd].into_iter().find(|encoding| encoding.number() == number)
    }
}

/// Compresses the records of one document. `path` says where it was found, `received` are its bytes
/// as they came. Meant for worker threads; each keeps its compressor.
#[must_use]
pub fn prepare(path: String, received: &[u8], drafts: Vec<Draft>) -> PreparedDocument {
    // Only JSON loses it, and a report without records is JSON.
    let json = drafts.iter().all(|draft| draft.format.is_json());
    let byte_order_mark = json && has_byte_order_mark(received);
    let records: Vec<Prepared> = drafts.into_iter().map(prepare_record).collect();
    let needed = records.iter().any(|record| !record.verbatim);
    let original =
        needed.then(|| COMPRESSOR.with_borrow_mut(|compressor| compressor.blob(received, LEVEL)));
    let received_bytes = received.len() as u64;
    PreparedDocument { path, received_bytes, byte_order_mark, records, original }
}

impl PreparedDocument {
    /// Bytes that the document holds in memory, about: what a queue of them weighs.
    #[must_use]
    pub fn weight(&self) -> usize {
        let blob = |blob: &Blob| blob.bytes.len();
        let record = |record: &Prepared| 256 + record.facets.len() + blob(&record.content);
        self.original.as_ref().map_or(0, blob) + self.records.iter().map(record).sum::<usize>()
    }

    /// How many records it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it has no records, as a report without findings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

fn prepare_record(draft: Draft) -> Prepared {
    let level = if draft.content.len() <= SHORT { SHORT_LEVEL } else { LEVEL };
    let content = COMPRESSOR.with_borrow_mut(|compressor| compressor.blob(&draft.content, level));
    let facets = serde_json::to_string(&draft.facets).unwrap_or_else(|_| "{}".into());
    Prepared {
        kind: draft.kind,
        id: draft.id,
        revision: draft.revision,
        format: draft.format,
        content_digest: draft.content_digest,
        content,
        facets,
        verbatim: draft.verbatim,
    }
}

thread_local! {
    static COMPRESSOR: RefCell<Compressor> = const { RefCell::new(Compressor::new()) };
}

/// A compressor that is made once and keeps its tables and its output buffer.
struct Compressor {
    context: Option<zstd::bulk::Compressor<'static>>,
    out: Vec<u8>,
}

impl Compressor {
    const fn new() -> Compressor {
        Compressor { context: None, out: Vec::new() }
    }

    fn blob(&mut self, bytes: &[u8], level: i32) -> Blob {
        let size = bytes.len() as u64;
        match self.compress(bytes, level) {
            Ok(()) if self.out.len() < bytes.len() => {
                Blob { encoding: Encoding::Zstd, size, bytes: self.out.as_slice().into() }
            }
            // Incompressible, or no memory for a context: stored as it is.
            _ => Blob { encoding: Encoding::Plain, size, bytes: bytes.into() },
        }
    }

    fn compress(&mut self, bytes: &[u8], level: i32) -> std::io::Result<()> {
        let context = match &mut self.context {
            Some(context) => context,
            None => {
                let mut context = zstd::bulk::Compressor::new(LEVEL)?;
                // A checksum of 4 bytes tells a damaged ledger from a record.
                context.include_checksum(true)?;
                self.context.insert(context)
            }
        };
        context.set_compression_level(level)?;
        self.out.clear();
        self.out.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        context.compress_to_buffer(bytes, &mut self.out)?;
        Ok(())
    }
}
